import { describe, expect, it } from 'vitest';
import { enrollConfigSchema, enrollmentRequestSchema } from '../../../functions/enroll/enroll.ts';
import { packagedStack } from '../../builders/packaged-stack.ts';

const stack = packagedStack({ enrollment: 'auto', clusters: ['shop', 'shop-2'] });
const { properties } = stack;
const arn = (id: string) => ({ 'Fn::GetAtt': [id, 'Arn'] });

/** What a resource waits for when the stack is created, and outlives when it is deleted. */
function needs(id: string, found = new Set<string>()): Set<string> {
  const { DependsOn = [], ...resource } = stack.Resources[id] ?? {};
  const text = JSON.stringify(resource);
  const named = [
    ...[DependsOn].flat(),
    ...[...text.matchAll(/"Fn::GetAtt":\["(\w+)"/g)].map(([, name]) => name as string),
    ...[...text.matchAll(/"Ref":"(\w+)"/g)].map(([, name]) => name as string),
    ...[...text.matchAll(/\$\{(\w+)[}.]/g)].map(([, name]) => name as string),
  ];
  for (const name of named) {
    if (!(name in stack.Resources) || found.has(name)) continue;
    found.add(name);
    needs(name, found);
  }
  return found;
}

describe('the removal', () => {
  it('comes before everything that it needs goes, and after the schedule has gone', () => {
    const needed = needs('EnrollmentRemoval');
    for (const id of ['EnrollLambdaFunction', 'EnrollRole', 'EnrollLogGroup', 'UnenrolledQueue']) {
      expect(needed, id).toContain(id);
    }
    for (const id of ['ReapRole', 'BackfillRole', 'ForwardLambdaFunction']) expect(needed, id).toContain(id);
    expect(needs('EnrollmentSchedule')).toContain('EnrollmentRemoval');
    expect(needed).not.toContain('EnrollmentSchedule');
  });

  it('is given up by CloudFormation only after the function would have ended', () => {
    const { ServiceToken, ServiceTimeout } = properties('EnrollmentRemoval');
    expect(ServiceToken).toEqual(arn('EnrollLambdaFunction'));
    expect(Number(ServiceTimeout)).toBeGreaterThan(properties('EnrollLambdaFunction').Timeout);
  });
});

it('runs every 15 minutes with a payload that it takes', () => {
  const { ScheduleExpression, Target } = properties('EnrollmentSchedule');
  expect(ScheduleExpression).toBe('rate(15 minutes)');
  expect(enrollmentRequestSchema.parse(JSON.parse(Target.Input))).toEqual({});
  expect(Target).toEqual({
    Arn: arn('EnrollLambdaFunction'),
    RoleArn: arn('EnrollmentScheduleRole'),
    Input: '{}',
    RetryPolicy: { MaximumEventAgeInSeconds: 900, MaximumRetryAttempts: 5 },
    DeadLetterConfig: { Arn: arn('UnenrolledQueue') },
  });
  expect(needs('EnrollmentSchedule')).toContain('LogsMayInvokeForward');
});

it('keeps what failed three times', () => {
  expect(properties('EnrollLambdaEvConf')).toMatchObject({
    MaximumRetryAttempts: 2,
    DestinationConfig: { OnFailure: { Destination: arn('UnenrolledQueue') } },
  });
});

it('has the environment that it reads: the ARNs and ids of the stack, and the list', () => {
  const { Variables } = properties('EnrollLambdaFunction').Environment;
  expect(Variables).toMatchObject({
    FORWARD_FUNCTION_ARN: arn('ForwardLambdaFunction'),
    REAP_ROLE_ARN: arn('ReapRole'),
    REAP_ROLE_ID: { 'Fn::GetAtt': ['ReapRole', 'RoleId'] },
    BACKFILL_ROLE_ARN: arn('BackfillRole'),
    BACKFILL_ROLE_ID: { 'Fn::GetAtt': ['BackfillRole', 'RoleId'] },
    CLUSTERS: 'shop,shop-2',
  });
  expect(Object.keys(Variables)).toEqual(
    expect.arrayContaining(Object.keys(enrollConfigSchema.shape).filter((name) => name !== 'AWS_REGION')),
  );
});

it('is all there or nothing of it, and with it the stack has no filter of its own', () => {
  const ofEnrollment = Object.keys(stack.Resources).filter((id) => /nrol/.test(id));
  expect(ofEnrollment).toHaveLength(10);
  for (const id of ofEnrollment) expect([id, stack.Resources[id]?.Condition]).toEqual([id, 'EnrollsByItself']);
  expect(stack.Conditions.EnrollsByItself).toEqual({ 'Fn::Equals': [{ Ref: 'Enrollment' }, 'auto'] });
  expect(Object.values(stack.Resources).filter(({ Type }) => Type === 'AWS::Logs::SubscriptionFilter')).toEqual([]);
});

describe('the role', () => {
  // biome-ignore lint/suspicious/noExplicitAny: IAM
  const statements = (): any[] => properties('EnrollRole').Policies[0].PolicyDocument.Statement;

  it('has no resource but the narrowest that IAM knows', () => {
    const everything = statements().filter(({ Resource }) => Resource === '*');
    expect(everything.map(({ Action }) => Action)).toEqual(['eks:ListClusters']);
  });
});
