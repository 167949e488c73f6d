import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { describe, expect, it } from 'vitest';
import { backfillConfigSchema, payloadSchema } from '../../../functions/backfill/backfill.ts';
import { STATIC_FILTER_NAME } from '../../../functions/enrollment/enrollment.ts';
import { SUBSCRIPTION_PATTERN } from '../../../functions/events/audit-event.ts';
import { CHANGE_DETAIL_TYPE, EVENT_SOURCE } from '../../../functions/events/change-event.ts';
import { OUTCOME_DETAILS } from '../../../functions/events/outcome-event.ts';
import { HEARTBEAT_DETAIL_TYPE, heartbeatSchema, SWEEP_DETAIL_TYPE } from '../../../functions/events/sweep-request.ts';
import { forwardConfigSchema } from '../../../functions/forward/forward.ts';
import { reapConfigSchema } from '../../../functions/reap/reap.ts';
import { type Configuration, configurationSchema, readConfiguration } from '../../../infra/configuration.ts';
import { stackParameters } from '../../../infra/parameters.ts';
import { decided, packagedStack } from '../../builders/packaged-stack.ts';

const OUTCOMES = Object.keys(OUTCOME_DETAILS);
const LOG_GROUP = {
  'Fn::Sub': [
    `arn:`,
    `{AWS::Partition}:logs:`,
    `{AWS::Region}:`,
    `{AWS::AccountId}:log-group:`,
    `{OutcomeLogGroup}`,
  ].join('$'),
};
const DAYS_14 = 14 * 24 * 60 * 60;
const configuration: Configuration = {
  enrollment: 'off',
  clusters: ['shop', 'shop-2'],
  controllerNamespaces: ['eg', 'eg-2'],
  mode: 'report',
  maxDeletions: 7,
  maxDeletionsPerRun: 8,
  sweepSchedule: 'rate(2 hours)',
  sweepAlarmHours: 5,
  settleHpaSeconds: 11,
  settleConfigSeconds: 12,
  delaySeconds: 20,
  batchSize: 9,
  batchWindowSeconds: 10,
  concurrency: 7,
  logRetentionDays: 30,
  notifyEmail: 'sre@example.com',
  tracing: 'active',
  outcomeRetentionDays: 731,
  logLevel: 'DEBUG',
  kmsKeyArn: 'arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab',
  subnetIds: ['subnet-0a1b2c3d', 'subnet-0a1b2c3d4e5f67890'],
  securityGroupIds: ['sg-0a1b2c3d'],
  permissionsBoundary: 'arn:aws:iam::123456789012:policy/boundary',
  tags: { team: 'platform' },
};

const stack = packagedStack(configuration);
const { of, properties, folder } = stack;
const arn = (id: string) => ({ 'Fn::GetAtt': [id, 'Arn'] });

describe('the queue', () => {
  it('hides a message for six timeouts of reap and its batch window, the longest that the configuration takes', () => {
    expect(of('AWS::Lambda::EventSourceMapping').map(([, { Properties }]) => Properties)).toEqual([
      {
        EventSourceArn: arn('ChangeQueue'),
        FunctionName: arn('ReapLambdaFunction'),
        Enabled: true,
        BatchSize: 9,
        MaximumBatchingWindowInSeconds: 10,
        FunctionResponseTypes: ['ReportBatchItemFailures'],
        ScalingConfig: { MaximumConcurrency: 7 },
      },
    ]);
    const longest = configurationSchema.shape.batchWindowSeconds.maxValue ?? Number.POSITIVE_INFINITY;
    const atLeast = 6 * properties('ReapLambdaFunction').Timeout + longest;
    expect(properties('ChangeQueue').VisibilityTimeout).toBeGreaterThanOrEqual(atLeast);
  });

  it('tries a message for about 50 minutes, the longest delay that the configuration takes included', () => {
    const { DelaySeconds, VisibilityTimeout, RedrivePolicy } = properties('ChangeQueue');
    expect(DelaySeconds).toBe(20);
    const longest = configurationSchema.shape.delaySeconds.maxValue ?? Number.POSITIVE_INFINITY;
    const minutes = [0, longest].map((delay) => (delay + VisibilityTimeout * RedrivePolicy.maxReceiveCount) / 60);
    for (const tried of minutes) expect(Math.round(tried / 5) * 5).toBe(50);
  });

  it('gives a message more receives than a look-again takes', () => {
    expect(properties('ChangeQueue').RedrivePolicy).toMatchObject({
      deadLetterTargetArn: arn('ChangeDeadLetterQueue'),
      maxReceiveCount: 8,
    });
  });

  it('lets in its rule only, by its own policy', () => {
    expect(of('AWS::SQS::QueuePolicy').map(([, { Properties }]) => Properties.PolicyDocument.Statement)).toEqual([
      [
        {
          Effect: 'Allow',
          Principal: { Service: 'events.amazonaws.com' },
          Action: 'sqs:SendMessage',
          Resource: [arn('ChangeQueue'), arn('UndeliveredQueue')],
          Condition: { ArnEquals: { 'aws:SourceArn': arn('ChangeRule') } },
        },
        {
          Effect: 'Allow',
          Principal: { Service: 'events.amazonaws.com' },
          Action: 'sqs:SendMessage',
          Resource: arn('UndeliveredQueue'),
          Condition: { ArnEquals: { 'aws:SourceArn': arn('OutcomeRule') } },
        },
      ],
    ]);
  });
});

describe('what is lost nowhere', () => {
  it('are dead letters, for 14 days', () => {
    const queues = of('AWS::SQS::Queue');
    expect(
      queues.filter(([, { Properties }]) => Properties.MessageRetentionPeriod === DAYS_14).map(([id]) => id),
    ).toEqual(
      expect.arrayContaining(['ChangeDeadLetterQueue', 'UndeliveredQueue', 'UnforwardedQueue', 'UnsweptQueue']),
    );
  });

  it('are the events that the rule cannot deliver', () => {
    const [target, ...others] = properties('ChangeRule').Targets;
    expect(others).toEqual([]);
    expect(target).toMatchObject({ Arn: arn('ChangeQueue'), DeadLetterConfig: { Arn: arn('UndeliveredQueue') } });
    expect(target.RetryPolicy).toEqual({ MaximumEventAgeInSeconds: 86_400, MaximumRetryAttempts: 185 });
  });

  it.each([
    ['the payloads that forward', 'ForwardLambdaFunction', 'UnforwardedQueue'],
    ['the runs that backfill', 'BackfillLambdaFunction', 'UnsweptQueue'],
  ])('are %s fails on', (_, id, queue) => {
    const asynchronous = of('AWS::Lambda::EventInvokeConfig').find(
      ([, { Properties }]) => Properties.FunctionName.Ref === id,
    );
    expect(asynchronous?.[1].Properties).toMatchObject({
      MaximumRetryAttempts: 2,
      DestinationConfig: { OnFailure: { Destination: arn(queue) } },
    });
  });
});

it('tells what a person needs for entries and filters of their own', () => {
  const outputs = Object.entries(stack.Outputs).filter(([name]) => !name.includes('Serverless'));
  expect(Object.fromEntries(outputs.map(([name, { Value }]) => [name, Value]))).toEqual({
    ReapRoleArn: arn('ReapRole'),
    BackfillRoleArn: arn('BackfillRole'),
    ForwardFunctionArn: arn('ForwardLambdaFunction'),
  });
});

describe('the schedule', () => {
  it('has backfill put the sweeps on the bus, in the mode of the deployment', () => {
    const { Target, ...schedule } = properties('SweepSchedule');
    expect(schedule).toMatchObject({
      ScheduleExpression: { Ref: 'SweepScheduleExpression' },
      FlexibleTimeWindow: { Mode: 'OFF' },
    });
    expect(Target).toEqual({
      Arn: arn('BackfillLambdaFunction'),
      RoleArn: arn('SweepScheduleRole'),
      Input: { 'Fn::Sub': `{"dispatch":"bus","mode":"${'$'}{Mode}"}` },
      RetryPolicy: { MaximumEventAgeInSeconds: 3_600, MaximumRetryAttempts: 185 },
      DeadLetterConfig: { Arn: arn('UnsweptQueue') },
    });
    for (const mode of stack.Parameters.Mode?.AllowedValues ?? []) {
      const input = Target.Input['Fn::Sub'].replace(`${'$'}{Mode}`, mode);
      expect(payloadSchema.parse(JSON.parse(input))).toMatchObject({ dispatch: 'bus', mode });
    }
  });

  it('is not there when it is off', () => {
    expect(stack.Conditions[stack.Resources.SweepSchedule?.Condition ?? '']).toEqual({
      'Fn::Not': [{ 'Fn::Equals': [{ Ref: 'SweepScheduleExpression' }, 'off'] }],
    });
  });
});

it('gives the queue exactly the events of forward, backfill and the heartbeat', () => {
  expect(properties('ChangeRule')).toMatchObject({
    EventBusName: { Ref: 'EventBus' },
    EventPattern: {
      source: [EVENT_SOURCE],
      'detail-type': [CHANGE_DETAIL_TYPE, SWEEP_DETAIL_TYPE, HEARTBEAT_DETAIL_TYPE],
    },
  });
  expect(Object.keys(properties('ChangeRule').EventPattern)).toHaveLength(2);
});

describe('the heartbeat', () => {
  it('is put on the bus each hour, as reap takes it', () => {
    const { Target, ...schedule } = properties('HeartbeatSchedule');
    expect(schedule).toMatchObject({ ScheduleExpression: 'rate(1 hour)', FlexibleTimeWindow: { Mode: 'OFF' } });
    expect(Target).toEqual({
      Arn: arn('EventBus'),
      RoleArn: arn('HeartbeatScheduleRole'),
      EventBridgeParameters: { Source: EVENT_SOURCE, DetailType: HEARTBEAT_DETAIL_TYPE },
      Input: expect.any(String),
      RetryPolicy: { MaximumEventAgeInSeconds: 1_800, MaximumRetryAttempts: 10 },
    });
    expect(heartbeatSchema.parse(JSON.parse(Target.Input))).toEqual(JSON.parse(Target.Input));
  });
});

describe('tracing', () => {
  it('is on where it is configured, for every function and no further', () => {
    expect(stack.Conditions.TracesInvocations).toEqual({ 'Fn::Equals': [{ Ref: 'Tracing' }, 'active'] });
    for (const [id, { Properties }] of of('AWS::Lambda::Function')) {
      const mode = { 'Fn::If': ['TracesInvocations', 'Active', 'PassThrough'] };
      expect([id, Properties.TracingConfig]).toEqual([id, { Mode: mode }]);
    }
  });

  it('is allowed to the role of each function itself: Lambda makes no traced function whose role lacks it', () => {
    const ofFunctions = of('AWS::Lambda::Function').map(([, { Properties }]) => Properties.Role['Fn::GetAtt'][0]);
    const policy = {
      PolicyName: 'write-traces',
      PolicyDocument: {
        Version: '2012-10-17',
        Statement: [
          {
            Sid: 'WriteTraces',
            Effect: 'Allow',
            Action: ['xray:PutTraceSegments', 'xray:PutTelemetryRecords'],
            Resource: '*',
          },
        ],
      },
    };
    for (const [id, { Properties }] of of('AWS::IAM::Role')) {
      const traces = Properties.Policies.filter((one: object) => JSON.stringify(one).includes('xray:'));
      const expected = { 'Fn::If': ['TracesInvocations', policy, { Ref: 'AWS::NoValue' }] };
      expect([id, traces]).toEqual([id, ofFunctions.includes(id) ? [expected] : []]);
    }
    expect(of('AWS::IAM::Policy')).toEqual([]);
  });
});

describe('the outcomes', () => {
  it('go to the log group, every one and no other event, and what cannot be written is kept', () => {
    expect(properties('OutcomeRule')).toMatchObject({
      EventBusName: { Ref: 'EventBus' },
      EventPattern: { source: [EVENT_SOURCE], 'detail-type': OUTCOMES },
      Targets: [
        {
          Id: 'OutcomeLogGroup',
          Arn: LOG_GROUP,
          RetryPolicy: { MaximumEventAgeInSeconds: 86_400, MaximumRetryAttempts: 185 },
          DeadLetterConfig: { Arn: arn('UndeliveredQueue') },
        },
      ],
    });
    expect(Object.keys(properties('OutcomeRule').EventPattern)).toHaveLength(2);
  });

  it('never fill the queue', () => {
    const { 'detail-type': fed } = properties('ChangeRule').EventPattern;
    expect(OUTCOMES.filter((detailType) => fed.includes(detailType))).toEqual([]);
  });

  it('are written by their rule and nobody else', () => {
    const policy = properties('OutcomeRuleMayWrite').PolicyDocument['Fn::Sub'];
    const Principal = { Service: ['events.amazonaws.com', 'delivery.logs.amazonaws.com'] };
    const Resource = `${'$'}{OutcomeLogGroup.Arn}`;
    expect(JSON.parse(policy).Statement).toEqual([
      { Sid: 'MakeStreams', Effect: 'Allow', Principal, Action: 'logs:CreateLogStream', Resource },
      {
        ...{ Sid: 'WriteOutcomes', Effect: 'Allow', Principal, Action: 'logs:PutLogEvents', Resource },
        Condition: { ArnEquals: { 'aws:SourceArn': `${'$'}{OutcomeRule.Arn}` } },
      },
    ]);
  });
});

describe('notifications', () => {
  it('go to the address that is configured, if one is', () => {
    expect(stack.Conditions.HasNotifications).toEqual({
      'Fn::Not': [{ 'Fn::Equals': [{ Ref: 'NotifyEmail' }, 'off'] }],
    });
    expect(stack.Resources.NotificationTopic?.Condition).toBe('HasNotifications');
    expect(stack.Resources.NotificationEmail).toMatchObject({
      Condition: 'HasNotifications',
      Properties: { TopicArn: { Ref: 'NotificationTopic' }, Protocol: 'email', Endpoint: { Ref: 'NotifyEmail' } },
    });
  });
});

describe('the subscription', () => {
  it('has one filter for each cluster, with the pattern that the code tests', () => {
    expect(SUBSCRIPTION_PATTERN.length).toBeLessThanOrEqual(1024);
    expect(of('AWS::Logs::SubscriptionFilter').map(([, filter]) => filter)).toEqual(
      configuration.clusters.map((cluster) => ({
        Type: 'AWS::Logs::SubscriptionFilter',
        DependsOn: ['LogsMayInvokeForward'],
        Properties: {
          FilterName: STATIC_FILTER_NAME,
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

describe('the parameters', () => {
  it('are what differs between accounts, with the configuration as their defaults', () => {
    const { Parameters } = JSON.parse(readFileSync(join(folder, 'template.json'), 'utf8')) as {
      Parameters: Record<string, { Description?: string; ConstraintDescription?: string }>;
    };
    const rules = Object.entries(Parameters).map(([name, { Description, ConstraintDescription, ...rule }]) => {
      expect([name, Description]).toEqual([name, expect.stringMatching(/^\S.{10,}/)]);
      expect([name, ConstraintDescription !== undefined]).toEqual([name, 'AllowedPattern' in rule]);
      return [name, rule];
    });
    const text = (Default: string, AllowedPattern: string) => ({ Type: 'String', Default, AllowedPattern });
    const either = (Default: string, ...AllowedValues: string[]) => ({ Type: 'String', Default, AllowedValues });
    const from = (MinValue: number, MaxValue: number, Default: number) => ({
      ...{ Type: 'Number', Default, MinValue, MaxValue },
    });
    const days = (Default: number) => ({
      ...{ Type: 'Number', Default },
      AllowedValues: [
        ...[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096],
        ...[1827, 2192, 2557, 2922, 3288, 3653],
      ],
    });
    expect(Object.fromEntries(rules)).toEqual({
      ArtifactBucket: { Type: 'String', AllowedPattern: '^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$' },
      ArtifactPrefix: text('envoy-hpa-reaper/', '^([0-9A-Za-z._-]+/)*$'),
      Mode: either('report', 'report', 'delete'),
      MaxDeletions: from(0, 10_000, 7),
      MaxDeletionsPerRun: from(0, 10_000, 8),
      Enrollment: either('off', 'auto', 'off'),
      SweepScheduleExpression: text(
        'rate(2 hours)',
        '^(off|rate\\([1-9][0-9]* (minute|hour|day)s?\\)|cron\\([0-9,*/-]+ [0-9,*/-]+ [0-9,*?/LW-]+ ' +
          '[0-9A-Z,*/-]+ [0-9A-Z,*?#-]+ [0-9,*/-]+\\))$',
      ),
      SweepAlarmHours: from(1, 168, 5),
      NotifyEmail: text('sre@example.com', '^(off|[^\\s@]+@[^\\s@]+\\.[^\\s@]+)$'),
      Tracing: either('active', 'active', 'off'),
      LogRetentionDays: days(30),
      OutcomeRetentionDays: days(731),
      KmsKeyArn: text(configuration.kmsKeyArn, '^(off|arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key[/][0-9A-Za-z-]+)$'),
      SubnetIds: text(
        'subnet-0a1b2c3d,subnet-0a1b2c3d4e5f67890',
        '^(off|subnet-[0-9a-f]{8,17}(,subnet-[0-9a-f]{8,17}){0,15})$',
      ),
      SecurityGroupIds: text('sg-0a1b2c3d', '^(off|sg-[0-9a-f]{8,17}(,sg-[0-9a-f]{8,17}){0,4})$'),
      PermissionsBoundary: text(
        configuration.permissionsBoundary,
        '^(off|arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy[/][!-~]+)$',
      ),
    });
  });

  it('take what the configuration takes', () => {
    const parameters = stackParameters(readConfiguration());
    const { Mode, MaxDeletions, SweepScheduleExpression, SweepAlarmHours, NotifyEmail, Tracing } = parameters;
    const { LogRetentionDays, OutcomeRetentionDays } = parameters;
    const takes = (values: object) => configurationSchema.safeParse({ ...readConfiguration(), ...values }).success;
    for (const mode of Mode.AllowedValues) expect(takes({ mode })).toBe(true);
    for (const outcomeRetentionDays of OutcomeRetentionDays.AllowedValues) {
      expect(takes({ outcomeRetentionDays })).toBe(true);
    }
    for (const logRetentionDays of LogRetentionDays.AllowedValues) expect(takes({ logRetentionDays })).toBe(true);
    const { MinValue, MaxValue } = MaxDeletions;
    expect([MinValue - 1, MinValue, MaxValue, MaxValue + 1].map((maxDeletions) => takes({ maxDeletions }))).toEqual([
      false,
      true,
      true,
      false,
    ]);
    for (const tracing of Tracing.AllowedValues) expect(takes({ tracing })).toBe(true);
    const hours = [SweepAlarmHours.MinValue - 1, SweepAlarmHours.MaxValue, SweepAlarmHours.MaxValue + 1];
    expect(hours.map((sweepAlarmHours) => takes({ sweepAlarmHours }))).toEqual([false, true, false]);
    for (const notifyEmail of ['off', 'sre@example.com', 'sre', 'on', 'a b@example.com', 'sre@example.com ']) {
      const allowed = new RegExp(NotifyEmail.AllowedPattern).test(notifyEmail);
      expect([notifyEmail, takes({ notifyEmail })]).toEqual([notifyEmail, allowed]);
    }
    for (const sweepSchedule of [
      'off',
      'rate(1 hour)',
      'hourly',
      'Off',
      'rate(0 hours)',
      'xoff',
      'cron(a b c d e f)',
    ]) {
      const allowed = new RegExp(SweepScheduleExpression.AllowedPattern).test(sweepSchedule);
      expect([sweepSchedule, takes({ sweepSchedule })]).toEqual([sweepSchedule, allowed]);
    }
    const key = 'arn:aws-cn:kms:cn-north-1:123456789012:key/mrk-1234abcd12ab34cd56ef1234567890ab';
    for (const kmsKeyArn of ['off', key, `${key}/x`, key.replace(':key', ':alias'), 'alias/mine', '', `x${key}`]) {
      const allowed = new RegExp(parameters.KmsKeyArn.AllowedPattern).test(kmsKeyArn);
      expect([kmsKeyArn, takes({ kmsKeyArn })]).toEqual([kmsKeyArn, allowed]);
    }
    const policy = 'arn:aws:iam::123456789012:policy/a/b';
    const aws = 'arn:aws:iam::aws:policy/PowerUserAccess';
    for (const permissionsBoundary of ['off', policy, aws, 'b', '', policy.replace(':policy', ':role'), `${policy} `]) {
      const allowed = new RegExp(parameters.PermissionsBoundary.AllowedPattern).test(permissionsBoundary);
      expect([permissionsBoundary, takes({ permissionsBoundary })]).toEqual([permissionsBoundary, allowed]);
    }
  });

  it.each([
    ['SubnetIds', 'subnet', 16],
    ['SecurityGroupIds', 'sg', 5],
  ] as const)('take as %s a list as it can be configured', (name, prefix, most) => {
    const { AllowedPattern } = stackParameters(readConfiguration())[name];
    const list = (count: number) => Array(count).fill(`${prefix}-0a1b2c3d`).join(',');
    const tried = [
      'off',
      list(1),
      list(most),
      list(most + 1),
      '',
      `${list(1)},`,
      `${list(1)}, ${list(1)}`,
      'vpc-0a1b2c3d',
    ];
    expect(tried.filter((value) => new RegExp(AllowedPattern).test(value))).toEqual(['off', list(1), list(most)]);
  });
});

describe('the roles', () => {
  it('are one for each function, and one for each schedule', () => {
    const roles = of('AWS::Lambda::Function').map(([, { Properties }]) => Properties.Role['Fn::GetAtt'][0]);
    roles.push('SweepScheduleRole', 'EnrollmentScheduleRole', 'HeartbeatScheduleRole');
    expect(new Set(roles)).toEqual(new Set(of('AWS::IAM::Role').map(([id]) => id)));
    expect(new Set(roles).size).toBe(roles.length);
  });

  // Only the clusters are many: which they are is not known before an event comes, or before they are listed.
  const ACCOUNT = `${'$'}{AWS::AccountId}:cluster/*`;
  const MANY = [
    `arn:${'$'}{AWS::Partition}:eks:${'$'}{AWS::Region}:${ACCOUNT}`,
    `arn:${'$'}{AWS::Partition}:eks:*:${ACCOUNT}`,
  ];
  const resourcesOf = (id: string, action: string) =>
    properties(id)
      .Policies[0].PolicyDocument.Statement.filter(({ Action }: { Action: unknown }) => Action === action)
      .map(({ Resource }: { Resource: unknown }) => Resource);

  it('leave it to backfill alone to list clusters, and to look at those of other Regions', () => {
    expect(resourcesOf('BackfillRole', 'eks:ListClusters')).toEqual(['*']);
    expect(resourcesOf('BackfillRole', 'eks:DescribeCluster')).toEqual([{ 'Fn::Sub': MANY[1] }]);
    expect(resourcesOf('ReapRole', 'eks:DescribeCluster')).toEqual([{ 'Fn::Sub': MANY[0] }]);
  });

  it('allow these actions, on one resource each', () => {
    // What enroll may do is held to what it does, in test/e2e/enroll.test.ts.
    const others = of('AWS::IAM::Role').filter(([id]) => id !== 'EnrollRole');
    const allowed = others.map(([id, { Properties }]) => {
      expect(Properties.ManagedPolicyArns).toBeUndefined();
      // What a role has besides where a parameter asks for it is in security.test.ts.
      const statements = decided(Properties.Policies, false).flatMap(
        ({ PolicyDocument }: { PolicyDocument: { Statement: unknown[] } }) => PolicyDocument.Statement,
      );
      for (const { Effect, Action, Resource } of statements) {
        expect(Effect).toBe('Allow');
        const narrowest =
          Action === 'eks:ListClusters' ? '*' : Resource['Fn::GetAtt']?.[1] === 'Arn' || Resource['Fn::Sub'];
        expect([true, '*', ...MANY], JSON.stringify(Resource)).toContain(narrowest);
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
        'events:PutEvents',
        'logs:CreateLogStream',
        'logs:PutLogEvents',
      ],
      BackfillRole: [
        'eks:ListClusters',
        'eks:DescribeCluster',
        'events:PutEvents',
        'events:PutEvents',
        'sqs:SendMessage',
        'logs:CreateLogStream',
        'logs:PutLogEvents',
      ],
      SweepScheduleRole: ['lambda:InvokeFunction', 'sqs:SendMessage'],
      EnrollmentScheduleRole: ['lambda:InvokeFunction', 'sqs:SendMessage'],
      HeartbeatScheduleRole: ['events:PutEvents'],
    });
  });

  it.each([
    ['ForwardRole', [CHANGE_DETAIL_TYPE]],
    ['ReapRole', [OUTCOMES]],
    ['BackfillRole', [SWEEP_DETAIL_TYPE, OUTCOMES]],
    ['HeartbeatScheduleRole', [HEARTBEAT_DETAIL_TYPE]],
  ])('let %s put its own events only', (id, detailTypes) => {
    const statements = properties(id).Policies[0].PolicyDocument.Statement.filter(
      ({ Action }: { Action: unknown }) => Action === 'events:PutEvents',
    );
    expect(
      statements.map(({ Condition, Resource }: { Condition: object; Resource: object }) => [Resource, Condition]),
    ).toEqual(
      detailTypes.map((detailType) => [
        arn('EventBus'),
        {
          'ForAllValues:StringEquals': { 'events:source': EVENT_SOURCE, 'events:detail-type': detailType },
          Null: { 'events:source': 'false', 'events:detail-type': 'false' },
        },
      ]),
    );
  });

  it('can be assumed by Lambda, and those of the schedules by the Scheduler of this account', () => {
    const trusted = of('AWS::IAM::Role').map(([id, { Properties }]) => {
      const [{ Principal, Condition }] = Properties.AssumeRolePolicyDocument.Statement;
      return [id, [Principal.Service, Condition]];
    });
    const account = { StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } };
    expect(Object.fromEntries(trusted)).toEqual({
      ForwardRole: ['lambda.amazonaws.com', undefined],
      ReapRole: ['lambda.amazonaws.com', undefined],
      BackfillRole: ['lambda.amazonaws.com', undefined],
      SweepScheduleRole: ['scheduler.amazonaws.com', account],
      EnrollRole: ['lambda.amazonaws.com', undefined],
      EnrollmentScheduleRole: ['scheduler.amazonaws.com', account],
      HeartbeatScheduleRole: ['scheduler.amazonaws.com', account],
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
    const VALUES = {
      NotificationTopic: 'arn:aws:sns:eu-central-1:123456789012:envoy-hpa-reaper',
      OutcomeLogGroup: properties('OutcomeLogGroup').LogGroupName,
    };
    const defaultOf = ({ Ref }: { Ref: string }) =>
      stack.Parameters[Ref]?.Default.toString() ?? VALUES[Ref as keyof typeof VALUES] ?? '123456789012';
    const environment = (id: string) => {
      const values = Object.entries<string | { Ref: string }>(properties(id).Environment.Variables);
      // Lambda sets the Region itself; CloudFormation fills in what refers to something.
      const filled = values.map(([name, value]) => [name, typeof value === 'string' ? value : defaultOf(value)]);
      return { ...Object.fromEntries(filled), AWS_REGION: 'eu-central-1' };
    };
    expect(forwardConfigSchema.parse(environment('ForwardLambdaFunction'))).toBeTruthy();
    expect(properties('ForwardLambdaFunction').Environment.Variables.EVENT_BUS_NAME).toEqual({ Ref: 'EventBus' });
    expect(reapConfigSchema.parse(environment('ReapLambdaFunction'))).toMatchObject({
      MODE: 'report',
      MAX_DELETIONS: 7,
      SETTLE_HPA_SECONDS: 11,
      SETTLE_CONFIG_SECONDS: 12,
      CONTROLLER_NAMESPACES: ['eg', 'eg-2'],
    });
    expect(backfillConfigSchema.parse(environment('BackfillLambdaFunction'))).toMatchObject({
      MODE: 'report',
      MAX_DELETIONS: 7,
      MAX_DELETIONS_PER_RUN: 8,
      SETTLE_HPA_SECONDS: 11,
      SETTLE_CONFIG_SECONDS: 12,
      CONTROLLER_NAMESPACES: ['eg', 'eg-2'],
    });
    expect(properties('BackfillLambdaFunction').Environment.Variables.EVENT_BUS_NAME).toEqual({ Ref: 'EventBus' });
  });

  it('have the time and the memory that they need', () => {
    const given = of('AWS::Lambda::Function').map(([id, { Properties }]) => [
      id.replace('LambdaFunction', ''),
      `${Properties.Timeout} s, ${Properties.MemorySize} MB`,
    ]);
    expect(Object.fromEntries(given)).toEqual({
      Forward: '30 s, 256 MB',
      Reap: '60 s, 512 MB',
      Backfill: '900 s, 512 MB',
      Enroll: '300 s, 256 MB',
    });
  });

  it('log into groups of the stack, for as long as configured', () => {
    const RetentionInDays = { Ref: 'LogRetentionDays' };
    expect(of('AWS::Logs::LogGroup').map(([, { Properties }]) => decided(Properties, false))).toEqual([
      { LogGroupName: '/aws/lambda/envoy-hpa-reaper-forward', RetentionInDays },
      { LogGroupName: '/aws/lambda/envoy-hpa-reaper-reap', RetentionInDays },
      { LogGroupName: '/aws/lambda/envoy-hpa-reaper-backfill', RetentionInDays },
      { LogGroupName: '/aws/lambda/envoy-hpa-reaper-enroll', RetentionInDays },
      { LogGroupName: '/aws/events/envoy-hpa-reaper-outcomes', RetentionInDays: { Ref: 'OutcomeRetentionDays' } },
    ]);
  });
});

it('names nothing of the machine that packaged it', () => {
  for (const path of [process.cwd(), homedir(), tmpdir(), folder]) expect(stack.text).not.toContain(path);
});

describe('what anybody can deploy', () => {
  it('is what was packaged, with each code by the SHA-256 of its zip file', () => {
    const { Resources } = JSON.parse(readFileSync(join(folder, 'template.json'), 'utf8'));
    const packaged = Object.keys(stack.Resources).filter((id) => !id.startsWith('ServerlessDeploymentBucket'));
    expect(Object.keys(Resources)).toEqual(packaged);
    for (const [id, { Properties }] of of('AWS::Lambda::Function')) {
      const { S3Key, S3Bucket } = Resources[id].Properties.Code;
      expect(S3Bucket).toEqual({ Ref: 'ArtifactBucket' });
      const [, file, hash] = /^\$\{ArtifactPrefix\}(\w+-(\w{64})\.zip)$/.exec(S3Key['Fn::Sub']) ?? [];
      const zip = readFileSync(join(folder, file ?? ''));
      expect(createHash('sha256').update(zip).digest('hex')).toBe(hash);
      expect(zip).toEqual(readFileSync(join(folder, Properties.Code.S3Key.split('/').at(-1))));
    }
  });
});
