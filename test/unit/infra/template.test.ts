import { homedir, tmpdir } from 'node:os';
import process from 'node:process';
import { describe, expect, inject, it } from 'vitest';
import * as z from 'zod/mini';
import { backfillConfigSchema, payloadSchema } from '../../../functions/backfill/backfill.ts';
import { enrollConfigSchema, enrollmentRequestSchema } from '../../../functions/enroll/enroll.ts';
import { EVENT_SOURCE } from '../../../functions/events/event-source.ts';
import { QUEUED_DETAILS } from '../../../functions/events/queued-event.ts';
import { OUTCOME_DETAILS, type OutcomeDetailType } from '../../../functions/events/report.ts';
import { forwardConfigSchema } from '../../../functions/forward/forward.ts';
import { reapConfigSchema } from '../../../functions/reap/reap.ts';
import { SETTINGS } from '../../../infra/settings.ts';
import { subscriptionFilters } from '../../../infra/subscription-filters.ts';
import { decided, packagedStack } from '../../builders/packaged-stack.ts';

const stack = packagedStack();
const { of, properties, Resources } = stack;
const arn = (id: string) => ({ 'Fn::GetAtt': [id, 'Arn'] });
const idOf = (reference?: { 'Fn::GetAtt'?: [string, string]; Ref?: string }) =>
  reference?.['Fn::GetAtt']?.[0] ?? reference?.Ref ?? '';
const subjectOf = (id: string) => id.replace(/^(Forward|Reap|Backfill|Enroll)LambdaFunction$/, '$1');

it('is packaged as it was reviewed (vitest run --project infra -u accepts a change)', async () => {
  const normalized = JSON.parse(stack.text.replaceAll(/-[0-9a-f]{64}\.zip/g, '-SHA256.zip')) as typeof stack;
  delete normalized.Resources.Dashboard; // The tests of alarms and metrics show what is on it.
  for (const resource of Object.values(normalized.Resources)) delete resource.Metadata; // Exceptions of linters.
  await expect(outline(normalized)).toMatchFileSnapshot('template.snapshot.txt');
});

/** JSON where it fits on a line, otherwise the fields or elements on lines of their own. */
function outline(value: unknown, indent = ''): string {
  const line = JSON.stringify(value);
  if (typeof value !== 'object' || value === null || line.length + indent.length <= 150) return ` ${line}`;
  const lines = Object.entries(value).map(([key, one]) => {
    const label = Array.isArray(value) ? '-' : `${key}:`;
    return `${indent}${label}${outline(one, `${indent}  `)}`;
  });
  return `\n${lines.join('\n')}`;
}

it('contains nothing of the machine that packaged it', () => {
  for (const path of [process.cwd(), homedir(), tmpdir(), inject('packaged')]) expect(stack.text).not.toContain(path);
});

describe('the queue of changes', () => {
  const { VisibilityTimeout, RedrivePolicy } = properties('ChangeQueue');

  it('hides a message for six timeouts of reap and the longest batch window, as Lambda requires', () => {
    const longest = SETTINGS.batchWindowSeconds.limits.MaxValue;
    expect(VisibilityTimeout).toBeGreaterThanOrEqual(6 * properties('ReapLambdaFunction').Timeout + longest);
  });

  it('retries a message for about 50 minutes, with any delay', () => {
    for (const delay of [0, SETTINGS.delaySeconds.limits.MaxValue]) {
      const minutes = (delay + VisibilityTimeout * RedrivePolicy.maxReceiveCount) / 60;
      expect(Math.round(minutes / 5) * 5).toBe(50);
    }
  });
});

describe('a failure', () => {
  it('keeps the event of a function in a queue, which its role may write to, after two retries', () => {
    const kept = of('AWS::Lambda::EventInvokeConfig').map(([, { Properties }]) => {
      const queue = Properties.DestinationConfig.OnFailure.Destination;
      expect([Properties.MaximumRetryAttempts, Resources[idOf(queue)]?.Type]).toEqual([2, 'AWS::SQS::Queue']);
      const role = properties(idOf(properties(idOf(Properties.FunctionName)).Role));
      expect(JSON.stringify(role)).toContain(`"Action":"sqs:SendMessage","Resource":${JSON.stringify(queue)}`);
      return subjectOf(idOf(Properties.FunctionName));
    });
    expect(kept.toSorted()).toEqual(['Backfill', 'Enroll', 'Forward']);
  });

  it('is kept for 14 days', () => {
    const short = of('AWS::SQS::Queue').filter(([, { Properties }]) => Properties.MessageRetentionPeriod !== 1_209_600);
    expect(short.map(([id]) => id)).toEqual(['ChangeQueue']);
  });
});

/** The queues that a rule sends to: as a target, or as the dead-letter queue of one. */
const queuesOf = (rule: string): string[] =>
  properties(rule)
    .Targets.flatMap(({ Arn, DeadLetterConfig }: { Arn: object; DeadLetterConfig?: { Arn: object } }) => [
      idOf(Arn),
      idOf(DeadLetterConfig?.Arn),
    ])
    .filter((id: string) => Resources[id]?.Type === 'AWS::SQS::Queue');

it('lets each rule send to its own queues, and nothing else to any queue', () => {
  const allowed = of('AWS::SQS::QueuePolicy').flatMap(([, { Properties }]) =>
    // biome-ignore lint/suspicious/noExplicitAny: IAM
    Properties.PolicyDocument.Statement.flatMap(({ Resource, Condition, ...statement }: any) => {
      const Principal = { Service: 'events.amazonaws.com' };
      expect(statement).toEqual({ Effect: 'Allow', Principal, Action: 'sqs:SendMessage' });
      return [Resource].flat().map((queue) => `${idOf(Condition.ArnEquals?.['aws:SourceArn'])} ${idOf(queue)}`);
    }),
  );
  const needed = of('AWS::Events::Rule').flatMap(([rule]) => queuesOf(rule).map((queue) => `${rule} ${queue}`));
  expect(allowed.toSorted()).toEqual(needed.toSorted());
});

it('feeds the queue with changes, requested sweeps, and heartbeats, and stores every outcome', () => {
  const patternOf = (rule: string) => properties(rule).EventPattern;
  const control = Object.keys(QUEUED_DETAILS);
  expect(patternOf('ChangeRule')).toEqual({ source: [EVENT_SOURCE], 'detail-type': control });
  const outcomes = Object.keys(OUTCOME_DETAILS);
  expect(patternOf('OutcomeRule')).toEqual({ source: [EVENT_SOURCE], 'detail-type': outcomes });
});

/** The paths of all fields of an event's detail, such as `detail.hpa.name`. */
function pathsOf(detailType: OutcomeDetailType): Set<string> {
  interface Schema {
    properties?: Record<string, Schema>;
    items?: Schema;
  }
  const walk = ({ properties: fields = {}, items }: Schema, path: string): string[] => [
    path,
    ...Object.entries(fields).flatMap(([name, field]) => walk(field, `${path}.${name}`)),
    ...(items ? walk(items, `${path}.0`) : []),
  ];
  return new Set(walk(z.toJSONSchema(OUTCOME_DETAILS[detailType], { io: 'input' }) as Schema, 'detail'));
}

it('queries only fields that the events have', () => {
  const queries = of('AWS::Logs::QueryDefinition').map(([, { Properties }]) => Properties);
  expect(queries).toHaveLength(4);
  for (const { Name, QueryString, LogGroupNames } of queries) {
    expect([Name, LogGroupNames]).toEqual([
      expect.stringMatching(/^envoy-hpa-reaper\/\w/),
      [{ Ref: 'OutcomeLogGroup' }],
    ]);
    const [, detailType = ''] = /`detail-type` = "([^"]+)"/.exec(QueryString) ?? [];
    const paths = pathsOf(detailType as OutcomeDetailType);
    for (const path of QueryString.match(/detail\.[\w.]+/g)) expect([...paths], `${Name}: ${path}`).toContain(path);
  }
});

it('notifies with one message per sweep, of fields that the event has', () => {
  const { EventPattern, Targets } = properties('SweepNotificationRule');
  expect(EventPattern['detail-type']).toEqual(['Sweep Completed']);
  const paths = pathsOf('Sweep Completed');
  const [{ Arn, InputTransformer }] = Targets;
  expect(Arn).toEqual({ Ref: 'NotificationTopic' });
  for (const path of Object.values<string>(InputTransformer.InputPathsMap)) expect(paths).toContain(path.slice(2));
  for (const counted of EventPattern.detail.$or) expect(paths).toContain(`detail.${Object.keys(counted)}`);
  const used = InputTransformer.InputTemplate.match(/(?<=<)\w+(?=>)/g);
  expect(used.toSorted()).toEqual(Object.keys(InputTransformer.InputPathsMap).toSorted());
  expect(JSON.parse(InputTransformer.InputTemplate)).toContain('<deleted> deleted');
});

it.each([
  ['SweepSchedule', 'BackfillLambdaFunction', payloadSchema],
  ['EnrollmentSchedule', 'EnrollLambdaFunction', enrollmentRequestSchema],
  ['HeartbeatSchedule', 'EventBus', QUEUED_DETAILS.Heartbeat],
] as const)('%s starts %s with a payload that it accepts', (id, target, schema) => {
  const { Target } = properties(id);
  expect(Target.Arn).toEqual(arn(target));
  const input = (Target.Input['Fn::Sub'] ?? Target.Input).replace(`${'$'}{Mode}`, 'delete');
  expect(schema.safeParse(JSON.parse(input)).error).toBeUndefined();
  expect(JSON.stringify(properties(idOf(Target.RoleArn)))).toContain(`"Resource":${JSON.stringify(arn(target))}`);
});

describe('the functions', () => {
  it('run on Node 24 and arm64, and can be traced', () => {
    expect(stack.Conditions.TracesInvocations).toEqual({ 'Fn::Equals': [{ Ref: 'Tracing' }, 'active'] });
    for (const [id, { Properties }] of of('AWS::Lambda::Function')) {
      const { Runtime, Architectures, TracingConfig } = decided(Properties, true);
      expect([id, Runtime, Architectures, TracingConfig]).toEqual([id, 'nodejs24.x', ['arm64'], { Mode: 'Active' }]);
      // Lambda creates no traced function whose role lacks this permission.
      const { Policies } = properties(idOf(Properties.Role));
      expect(JSON.stringify(decided(Policies, true)), id).toContain('xray:PutTraceSegments');
      expect(JSON.stringify(decided(Policies, false)), id).not.toContain('xray:');
    }
  });

  it.each([
    ['ForwardLambdaFunction', forwardConfigSchema, {}],
    ['ReapLambdaFunction', reapConfigSchema, { MODE: 'report', MAX_DELETIONS: 7, SETTLE_HPA_SECONDS: 11 }],
    ['BackfillLambdaFunction', backfillConfigSchema, { MAX_DELETIONS_PER_RUN: 8, SETTLE_CONFIG_SECONDS: 12 }],
    [
      'EnrollLambdaFunction',
      z.pick(enrollConfigSchema, { ACCOUNT_ID: true, CLUSTERS: true }),
      { CLUSTERS: 'shop,shop-2' },
    ],
  ] as const)('%s has the environment that it reads', (id, schema, expected) => {
    const stringOf = (value: string | { Ref?: string; 'Fn::GetAtt'?: [string, string] }) => {
      if (typeof value === 'string') return value;
      const [resource, attribute] = value['Fn::GetAtt'] ?? [];
      if (attribute === 'Arn') return `arn:aws:service:eu-central-1:123456789012:${resource}`;
      return String(stack.Parameters[value.Ref ?? '']?.Default ?? '123456789012');
    };
    const variables = Object.entries<string>(properties(id).Environment.Variables);
    const environment = Object.fromEntries(variables.map(([name, value]) => [name, stringOf(value)]));
    expect([...Object.keys(environment), 'AWS_REGION']).toEqual(expect.arrayContaining(Object.keys(schema.shape)));
    expect(schema.parse({ ...environment, AWS_REGION: 'eu-central-1' })).toMatchObject(expected);
  });
});

describe('enrollment', () => {
  /** What a resource waits for when the stack is created, and outlives when it is deleted. */
  function needs(id: string, found = new Set<string>()): Set<string> {
    const { DependsOn = [], ...resource } = Resources[id] ?? {};
    const references = JSON.stringify(resource).matchAll(/"(?:Fn::GetAtt":\[|Ref":)"(\w+)"|\$\{(\w+)[}.]/g);
    for (const name of [...[DependsOn].flat(), ...[...references].map(([, one, other]) => one ?? other ?? '')]) {
      if (!(name in Resources) || found.has(name)) continue;
      found.add(name);
      needs(name, found);
    }
    return found;
  }

  it('is removed before everything that the removal needs, and after its schedule', () => {
    const needed = [...needs('EnrollmentRemoval')];
    expect(needed).toEqual(
      expect.arrayContaining([
        ...['EnrollLambdaFunction', 'EnrollRole', 'EnrollLogGroup', 'UnenrolledQueue'],
        ...['ReapRole', 'BackfillRole', 'ForwardLambdaFunction'],
      ]),
    );
    expect(needed).not.toContain('EnrollmentSchedule');
    expect([...needs('EnrollmentSchedule')]).toEqual(
      expect.arrayContaining(['EnrollmentRemoval', 'LogsMayInvokeForward']),
    );
  });

  it('fails the removal only after the timeout of the function', () => {
    const { ServiceTimeout } = properties('EnrollmentRemoval');
    expect(Number(ServiceTimeout)).toBeGreaterThan(properties('EnrollLambdaFunction').Timeout);
  });

  it('has all of its resources, or none', () => {
    const resources = Object.entries(Resources).filter(([id]) => /nrol/.test(id));
    expect(resources.length).toBeGreaterThan(8);
    for (const [id, { Condition }] of resources) expect([id, Condition]).toEqual([id, 'EnrollsByItself']);
    expect(stack.Conditions.EnrollsByItself).toEqual({ 'Fn::Equals': [{ Ref: 'Enrollment' }, 'auto'] });
  });
});

it('creates a subscription filter with its own ID for each cluster, and none with enrollment', () => {
  const clusters = ['prod-1', 'prod_1', 'prod1', 'prodZD1', 'PROD1'];
  const ids = Object.keys(subscriptionFilters({ enrollment: 'off', clusters }));
  expect(new Set(ids).size).toBe(clusters.length);
  for (const id of ids) expect(id).toMatch(/^SubscriptionFilter[A-Za-z0-9]+$/);
  expect(subscriptionFilters({ enrollment: 'auto', clusters })).toEqual({});
});

it('describes every parameter, and every pattern of one', () => {
  for (const [name, { Description, AllowedPattern, ConstraintDescription }] of Object.entries(stack.Parameters)) {
    expect([name, Description, ConstraintDescription !== undefined]).toEqual([
      ...[name, expect.stringMatching(/^[^`[]{5,}$/), AllowedPattern !== undefined],
    ]);
  }
});
