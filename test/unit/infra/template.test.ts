import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHANGE_DETAIL_TYPE, EVENT_SOURCE } from '../../../functions/domain/change-event.ts';
import { SUBSCRIPTION_PATTERN } from '../../../functions/domain/subscription-pattern.ts';
import { forwardConfigSchema } from '../../../functions/forward/forward.ts';
import { reapConfigSchema } from '../../../functions/reap/reap.ts';

// biome-ignore lint/suspicious/noExplicitAny: CloudFormation
type Resource = { Type: string; Properties: any; DependsOn?: string[] };

const DAYS_14 = 14 * 24 * 60 * 60;
const configuration = {
  clusters: ['shop', 'shop-2'],
  mode: 'report',
  maxDeletions: 7,
  settleHpaSeconds: 11,
  settleConfigSeconds: 12,
  logRetentionDays: 30,
  logLevel: 'DEBUG',
};

const folder = mkdtempSync(join(tmpdir(), 'package-'));
afterAll(() => rmSync(folder, { recursive: true }));

let text: string;
let resources: Record<string, Resource>;

beforeAll(() => {
  writeFileSync(join(folder, 'configuration.yml'), JSON.stringify(configuration)); // JSON is YAML.
  // No credentials, no Region, no home.
  const env = {
    PATH: process.env.PATH,
    HOME: folder,
    ENVOY_HPA_REAPER_CONFIGURATION: join(folder, 'configuration.yml'),
  };
  const packaged = spawnSync(process.execPath, ['infra/package.ts', '--package', folder], { env, encoding: 'utf8' });
  expect(packaged.status, packaged.stdout + packaged.stderr).toBe(0);
  text = readFileSync(join(folder, 'cloudformation-template-update-stack.json'), 'utf8');
  resources = JSON.parse(text).Resources;
}, 60_000);

const of = (type: string) => Object.entries(resources).filter(([, { Type }]) => Type === type);
const properties = (id: string) => resources[id]?.Properties;
const arn = (id: string) => ({ 'Fn::GetAtt': [id, 'Arn'] });

describe('the queue', () => {
  it('hides a message for six timeouts of reap and its batch window', () => {
    const [[, mapping] = []] = of('AWS::Lambda::EventSourceMapping');
    expect(mapping?.Properties).toMatchObject({
      EventSourceArn: arn('ChangeQueue'),
      FunctionName: arn('ReapLambdaFunction'),
      FunctionResponseTypes: ['ReportBatchItemFailures'],
      ScalingConfig: { MaximumConcurrency: expect.any(Number) },
    });
    const atLeast = 6 * properties('ReapLambdaFunction').Timeout + mapping?.Properties.MaximumBatchingWindowInSeconds;
    expect(properties('ChangeQueue').VisibilityTimeout).toBeGreaterThanOrEqual(atLeast);
  });

  it('waits a moment, and gives a message more receives than a look-again takes', () => {
    expect(properties('ChangeQueue').DelaySeconds).toBeGreaterThan(0);
    expect(properties('ChangeQueue').RedrivePolicy).toMatchObject({
      deadLetterTargetArn: arn('ChangeDeadLetterQueue'),
      maxReceiveCount: 8,
    });
  });

  it('takes messages from its rule only', () => {
    expect(of('AWS::SQS::QueuePolicy').map(([, { Properties }]) => Properties.PolicyDocument.Statement)).toEqual([
      [
        {
          Effect: 'Allow',
          Principal: { Service: 'events.amazonaws.com' },
          Action: 'sqs:SendMessage',
          Resource: [arn('ChangeQueue'), arn('UndeliveredQueue')],
          Condition: { ArnEquals: { 'aws:SourceArn': arn('ChangeRule') } },
        },
      ],
    ]);
  });
});

describe('what is lost nowhere', () => {
  it('is every queue encrypted, and dead letters kept for 14 days', () => {
    const queues = of('AWS::SQS::Queue');
    for (const [id, { Properties }] of queues) expect([id, Properties.SqsManagedSseEnabled]).toEqual([id, true]);
    expect(
      queues.filter(([, { Properties }]) => Properties.MessageRetentionPeriod === DAYS_14).map(([id]) => id),
    ).toEqual(expect.arrayContaining(['ChangeDeadLetterQueue', 'UndeliveredQueue', 'UnforwardedQueue']));
  });

  it('are the events that the rule cannot deliver', () => {
    const [target, ...others] = properties('ChangeRule').Targets;
    expect(others).toEqual([]);
    expect(target).toMatchObject({ Arn: arn('ChangeQueue'), DeadLetterConfig: { Arn: arn('UndeliveredQueue') } });
    expect(target.RetryPolicy).toEqual({ MaximumEventAgeInSeconds: 86_400, MaximumRetryAttempts: 185 });
  });

  it('are the payloads that forward fails on', () => {
    const [[, asynchronous] = []] = of('AWS::Lambda::EventInvokeConfig');
    expect(asynchronous?.Properties).toMatchObject({
      FunctionName: { Ref: 'ForwardLambdaFunction' },
      MaximumRetryAttempts: 2,
      DestinationConfig: { OnFailure: { Destination: arn('UnforwardedQueue') } },
    });
  });
});

it('gives the queue exactly the events of forward', () => {
  expect(properties('ChangeRule')).toMatchObject({
    EventBusName: { Ref: 'EventBus' },
    EventPattern: { source: [EVENT_SOURCE], 'detail-type': [CHANGE_DETAIL_TYPE] },
  });
  expect(Object.keys(properties('ChangeRule').EventPattern)).toHaveLength(2);
});

describe('the subscription', () => {
  it('has one filter for each cluster, with the pattern that the code tests', () => {
    expect(SUBSCRIPTION_PATTERN.length).toBeLessThanOrEqual(1024);
    expect(of('AWS::Logs::SubscriptionFilter').map(([, filter]) => filter)).toEqual(
      configuration.clusters.map((cluster) => ({
        Type: 'AWS::Logs::SubscriptionFilter',
        DependsOn: ['LogsMayInvokeForward'],
        Properties: {
          FilterName: 'envoy-hpa-reaper',
          LogGroupName: `/aws/eks/${cluster}/cluster`,
          FilterPattern: SUBSCRIPTION_PATTERN,
          DestinationArn: arn('ForwardLambdaFunction'),
        },
      })),
    );
  });

  it('lets in the EKS log groups of this account and Region, and nobody else', () => {
    expect(of('AWS::Lambda::Permission').map(([, { Properties }]) => Properties)).toEqual([
      {
        Action: 'lambda:InvokeFunction',
        FunctionName: arn('ForwardLambdaFunction'),
        Principal: 'logs.amazonaws.com',
        SourceAccount: { Ref: 'AWS::AccountId' },
        SourceArn: {
          'Fn::Sub': `arn:${'$'}{AWS::Partition}:logs:${'$'}{AWS::Region}:${'$'}{AWS::AccountId}:log-group:/aws/eks/*`,
        },
      },
    ]);
  });
});

describe('the roles', () => {
  it('are one for each function', () => {
    const roles = of('AWS::Lambda::Function').map(([, { Properties }]) => Properties.Role['Fn::GetAtt'][0]);
    expect(new Set(roles)).toEqual(new Set(of('AWS::IAM::Role').map(([id]) => id)));
    expect(new Set(roles).size).toBe(roles.length);
  });

  it('allow these actions, on one resource each', () => {
    const allowed = of('AWS::IAM::Role').map(([id, { Properties }]) => {
      expect(Properties.ManagedPolicyArns).toBeUndefined();
      const statements = Properties.Policies.flatMap(
        ({ PolicyDocument }: { PolicyDocument: { Statement: unknown[] } }) => PolicyDocument.Statement,
      );
      for (const { Effect, Resource } of statements) {
        expect(Effect).toBe('Allow');
        // Only the clusters are many: which they are is not known before an event comes.
        const cluster = /^arn:\$\{AWS::Partition\}:eks:\$\{AWS::Region\}:\$\{AWS::AccountId\}:cluster\/\*$/;
        expect(
          Resource['Fn::GetAtt']?.[1] === 'Arn' || cluster.test(Resource['Fn::Sub']),
          JSON.stringify(Resource),
        ).toBe(true);
      }
      return [id, statements.flatMap(({ Action }: { Action: string | string[] }) => Action)];
    });
    expect(Object.fromEntries(allowed)).toEqual({
      ForwardRole: ['events:PutEvents', 'sqs:SendMessage', 'logs:CreateLogStream', 'logs:PutLogEvents'],
      ReapRole: [
        'eks:DescribeCluster',
        'sqs:ReceiveMessage',
        'sqs:DeleteMessage',
        'sqs:GetQueueAttributes',
        'logs:CreateLogStream',
        'logs:PutLogEvents',
      ],
    });
  });

  it('let forward put its own events only', () => {
    const [{ Condition }] = properties('ForwardRole').Policies[0].PolicyDocument.Statement;
    expect(Condition).toEqual({
      'ForAllValues:StringEquals': { 'events:source': EVENT_SOURCE, 'events:detail-type': CHANGE_DETAIL_TYPE },
      Null: { 'events:source': 'false', 'events:detail-type': 'false' },
    });
  });
});

describe('the functions', () => {
  it('run on Node 24 and arm64', () => {
    for (const [, { Properties }] of of('AWS::Lambda::Function')) {
      expect(Properties).toMatchObject({ Runtime: 'nodejs24.x', Architectures: ['arm64'] });
    }
  });

  it('have the environment that they read, from the configuration', () => {
    const environment = (id: string) => {
      const values = Object.entries(properties(id).Environment.Variables);
      // Lambda sets the Region itself; CloudFormation fills in what refers to something.
      const filled = values.map(([name, value]) => [name, typeof value === 'string' ? value : '123456789012']);
      return { ...Object.fromEntries(filled), AWS_REGION: 'eu-central-1' };
    };
    expect(forwardConfigSchema.parse(environment('ForwardLambdaFunction'))).toBeTruthy();
    expect(properties('ForwardLambdaFunction').Environment.Variables.EVENT_BUS_NAME).toEqual({ Ref: 'EventBus' });
    expect(reapConfigSchema.parse(environment('ReapLambdaFunction'))).toMatchObject({
      MODE: 'report',
      MAX_DELETIONS: 7,
      SETTLE_HPA_SECONDS: 11,
      SETTLE_CONFIG_SECONDS: 12,
    });
  });

  it('log into groups of the stack, for as long as configured', () => {
    expect(of('AWS::Logs::LogGroup').map(([, { Properties }]) => Properties)).toEqual([
      { LogGroupName: '/aws/lambda/envoy-hpa-reaper-forward', RetentionInDays: 30 },
      { LogGroupName: '/aws/lambda/envoy-hpa-reaper-reap', RetentionInDays: 30 },
    ]);
  });
});

it('names nothing of the machine that packaged it', () => {
  for (const path of [process.cwd(), homedir(), tmpdir(), folder]) expect(text).not.toContain(path);
});
