import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { EVENT_SOURCE } from '../../../functions/events/event-source.ts';
import { QUEUED_DETAILS } from '../../../functions/events/queued-event.ts';
import { OUTCOME_DETAILS } from '../../../functions/events/report.ts';
import { decided, packagedStack, type Resource } from '../../builders/packaged-stack.ts';
import { isAllowed, type RecordedCall, type Statement } from '../../doubles/iam-policy.ts';

/* Rules of many AWS accounts, checked for every resource of a type, so that new resources are included. */

const stack = packagedStack();
const { of } = stack;

/** The resources of a type with every condition true, and with every condition false. */
const switched = (type: string) =>
  of(type).map(([id, resource]): [string, Resource, Resource] => [
    id,
    decided(resource, true),
    decided(resource, false),
  ]);

const statementsOf = ({ Properties }: Resource): Statement[] =>
  Properties.Policies.flatMap(({ PolicyDocument }: { PolicyDocument: { Statement: Statement[] } }) => [
    ...PolicyDocument.Statement,
  ]);
const actionsOf = (role: Resource) => statementsOf(role).flatMap(({ Action }) => Action);
const ofService = (service: string, role: Resource) =>
  statementsOf(role).filter(({ Action }) => [Action].flat().some((action) => action.startsWith(`${service}:`)));

/** The functions that use a role. */
const functionsOf = (role: string) =>
  of('AWS::Lambda::Function').filter(([, { Properties }]) => Properties.Role['Fn::GetAtt'][0] === role);

it.each([
  ['AWS::SQS::Queue', 'KmsMasterKeyId', { Ref: 'KmsKeyArn' }, undefined],
  ['AWS::SQS::Queue', 'SqsManagedSseEnabled', undefined, true],
  ['AWS::SNS::Topic', 'KmsMasterKeyId', { Ref: 'KmsKeyArn' }, undefined],
  ['AWS::Logs::LogGroup', 'KmsKeyId', { Ref: 'KmsKeyArn' }, undefined],
  ['AWS::Lambda::Function', 'KmsKeyArn', { Ref: 'KmsKeyArn' }, undefined],
  ['AWS::Events::EventBus', 'KmsKeyIdentifier', undefined, undefined],
  ['AWS::IAM::Role', 'PermissionsBoundary', { Ref: 'PermissionsBoundary' }, undefined],
])(
  'sets, on every %s, %s to %j with the optional parameters, and to %j without',
  (type, property, withAll, without) => {
    expect(of(type)).not.toEqual([]);
    for (const [id, on, off] of switched(type)) {
      expect([id, on.Properties[property], off.Properties[property]]).toEqual([id, withAll, without]);
    }
  },
);

describe('a customer managed key', () => {
  it('may be used by each role for its own calls, through these services only', () => {
    for (const [id, on, off] of switched('AWS::IAM::Role')) {
      const needs = (action: string, service: string, actions: string | string[]) =>
        actionsOf(off).includes(action) ? [[service, actions]] : [];
      const expected = [
        ...needs('sqs:SendMessage', 'sqs', ['kms:GenerateDataKey', 'kms:Decrypt']),
        ...needs('sqs:ReceiveMessage', 'sqs', 'kms:Decrypt'),
        ...needs('logs:PutLogEvents', 'logs', ['kms:GenerateDataKey', 'kms:Decrypt']),
      ];
      const via = (service: string) => ({ 'Fn::Sub': `${service}.${'$'}{AWS::Region}.amazonaws.com` });
      expect([id, ofService('kms', on).map(({ Sid: _, ...statement }) => statement)]).toEqual([
        id,
        expected.map(([service, Action]) => ({
          ...{ Effect: 'Allow', Action, Resource: { Ref: 'KmsKeyArn' } },
          Condition: { StringEquals: { 'kms:ViaService': via(service as string) } },
        })),
      ]);
      expect([id, ofService('kms', off)]).toEqual([id, []]);
    }
  });
});

describe('the key policy in docs/kms-key.md', () => {
  const [, json = ''] = /```json\n(.*?)```/s.exec(readFileSync('docs/kms-key.md', 'utf8')) ?? [];
  const statements = (): Record<string, Statement & { Principal: Record<string, string> }> =>
    Object.fromEntries(JSON.parse(json).Statement.map((statement: Statement) => [statement.Sid, statement]));

  it('allows CloudWatch Logs to use the key for every log group of the stack', () => {
    const [patterns] = Object.values(statements().LogsAreEncrypted?.Condition?.ArnLike ?? {}) as string[][];
    for (const [id, { Properties }] of of('AWS::Logs::LogGroup')) {
      const arn = `arn:aws:logs:REGION:ACCOUNT:log-group:${Properties.LogGroupName}`;
      expect([id, patterns?.some((pattern) => arn.startsWith(pattern.replace(/\*$/, '')))]).toEqual([id, true]);
    }
  });

  it('names every service that sends or publishes without a role', () => {
    const services = of('AWS::SQS::QueuePolicy').flatMap(([, { Properties }]) =>
      Properties.PolicyDocument.Statement.map(({ Principal }: { Principal: { Service: string } }) => Principal.Service),
    );
    const named = new Set(Object.values(statements()).map(({ Principal }) => Object.values(Principal)[0]));
    expect([...named].toSorted()).toEqual(
      [
        'arn:aws:iam::ACCOUNT:root',
        'logs.REGION.amazonaws.com',
        'cloudwatch.amazonaws.com',
        ...new Set(services),
      ].toSorted(),
    );
  });

  it('lets services use it for this account only, or for a resource of this account', () => {
    const { LeaveItToIam: _, ...ofServices } = statements();
    const [topic] = of('AWS::SNS::Topic');
    const ofAccount = { StringEquals: { 'aws:SourceAccount': 'ACCOUNT' } };
    const ofTopic = `arn:aws:sns:REGION:ACCOUNT:${topic?.[1].Properties.TopicName}`;
    expect(Object.entries(ofServices).map(([sid, { Condition }]) => [sid, Condition])).toEqual([
      ['EventBridgeFillsQueues', ofAccount],
      // EventBridge passes no account to an encrypted topic.
      ['EventBridgePublishes', { StringEquals: { 'kms:EncryptionContext:aws:sns:topicArn': ofTopic } }],
      ['AlarmsPublish', ofAccount],
      ['LogsAreEncrypted', { ArnLike: { 'kms:EncryptionContext:aws:logs:arn': expect.any(Array) } }],
    ]);
  });
});

describe('subnets and security groups', () => {
  const split = (parameter: string) => ({ 'Fn::Split': [',', { Ref: parameter }] });
  const inVpc = { SubnetIds: split('SubnetIds'), SecurityGroupIds: split('SecurityGroupIds') };

  it('apply to the functions that call API servers, and to no other', () => {
    const configured = switched('AWS::Lambda::Function').flatMap(([id, on, off]) => {
      expect([id, off.Properties.VpcConfig]).toEqual([id, undefined]);
      return on.Properties.VpcConfig ? [[id, on.Properties.VpcConfig]] : [];
    });
    expect(Object.fromEntries(configured)).toEqual({ ReapLambdaFunction: inVpc, BackfillLambdaFunction: inVpc });
  });

  it('allow network interfaces to the roles of these functions only, and not to their code', () => {
    for (const [id, on, off] of switched('AWS::IAM::Role')) {
      const inside = functionsOf(id).some(([, { Properties }]) => decided(Properties, true).VpcConfig);
      expect([id, ofService('ec2', off)]).toEqual([id, []]);
      const denied = {
        ...{ Sid: 'DenyOurCode', Effect: 'Deny', Action: 'ec2:*', Resource: '*' },
        Condition: {
          ArnLike: {
            'lambda:SourceFunctionArn': { 'Fn::Sub': expect.stringMatching(/:function:envoy-hpa-reaper-\*$/) },
          },
        },
      };
      const allowed = ['SeeNetwork', 'ManageInterfaces'].map((Sid) =>
        expect.objectContaining({ Sid, Effect: 'Allow' }),
      );
      expect([id, ofService('ec2', on)]).toEqual([id, inside ? [...allowed, denied] : []]);
    }
  });

  it('must be set both or neither', () => {
    interface Equals {
      'Fn::Equals': [{ Ref: string }, 'off'];
    }
    const rules = Object.values(stack.Rules) as { RuleCondition: Equals; Assertions: [{ Assert: Equals }] }[];
    const accepts = (...on: string[]) => {
      const isTrue = ({ 'Fn::Equals': [{ Ref }] }: Equals) => !on.includes(Ref);
      return rules.every(({ RuleCondition, Assertions: [{ Assert }] }) => !isTrue(RuleCondition) || isTrue(Assert));
    };
    const [subnets, groups] = ['SubnetIds', 'SecurityGroupIds'];
    expect([accepts(), accepts(subnets, groups)]).toEqual([true, true]);
    expect([accepts(subnets), accepts(groups)]).toEqual([false, false]);
  });
});

describe('no role', () => {
  const statements = () =>
    switched('AWS::IAM::Role').flatMap(([id, on]) =>
      statementsOf(on).map((statement): [role: string, statement: Statement] => [id, statement]),
    );
  const allowed = () =>
    statements().flatMap(([role, { Effect, Action }]) =>
      Effect === 'Allow' ? [Action].flat().map((action) => [role, action] as const) : [],
    );

  it('has a policy that is not inline', () => {
    const beside = Object.entries(stack.Resources).filter(([, { Type }]) => /^AWS::IAM::\w*Policy$/.test(Type));
    expect(beside).toEqual([]);
    for (const [id, { Properties }] of of('AWS::IAM::Role')) {
      expect([id, Properties.ManagedPolicyArns]).toEqual([id, undefined]);
    }
  });

  it('is allowed an action with a wildcard, to associate an access policy, to pass a role, or to create a log group', () => {
    const never = ['eks:AssociateAccessPolicy', 'iam:PassRole', 'logs:CreateLogGroup'];
    expect(allowed().filter(([, action]) => never.includes(action) || !/^\w+:\w+$/.test(action))).toEqual([]);
  });

  it('has a condition on a key that AWS does not know, except for one that infra/enrollment.yml names as such', () => {
    const keys = statements().flatMap(([, { Condition = {} }]) => Object.values(Condition).flatMap(Object.keys));
    // The first group is in the Service Authorization Reference for its service, the second is global.
    const known = [
      ...['eks:accessEntryType', 'eks:kubernetesGroups', 'eks:principalArn', 'eks:username'],
      ...['events:detail-type', 'events:source', 'kms:ViaService', 'lambda:SourceFunctionArn'],
      'aws:TagKeys',
    ];
    expect(new Set(keys)).toEqual(new Set([...known, 'logs:DestinationArn']));
    expect(readFileSync('infra/enrollment.yml', 'utf8')).toContain('does not list logs:DestinationArn');
  });

  it('satisfies a condition on a set of values with an empty set', () => {
    const ofMany = statements().flatMap(([role, { Sid, Condition = {} }]) =>
      Object.entries(Condition)
        .filter(([operator]) => operator.startsWith('ForAllValues:'))
        .flatMap(([, keys]) => Object.keys(keys).map((key) => [role, Sid, key, Condition.Null?.[key]])),
    );
    for (const [role, sid, key, isNull] of ofMany) expect([role, sid, key, isNull]).toEqual([role, sid, key, 'false']);
    expect(JSON.stringify(of('AWS::IAM::Role')).match(/"ForAllValues:/g)).toHaveLength(
      new Set(ofMany.map(([role, sid]) => `${role} ${sid}`)).size,
    );
  });
});

it('creates no version of a function, which would remain after the deletion of the stack', () => {
  expect(of('AWS::Lambda::Version')).toEqual([]);
  expect(stack.text).not.toMatch(/"(DeletionPolicy|UpdateReplacePolicy)":\s*"Retain/);
});

it('sets the retention of every log group by a parameter', () => {
  for (const [id, { Properties }] of of('AWS::Logs::LogGroup')) {
    expect([id, Properties.RetentionInDays]).toEqual([id, { Ref: expect.stringMatching(/RetentionDays$/) }]);
    expect(stack.Parameters[Properties.RetentionInDays.Ref]?.AllowedValues).toContain(400);
  }
});

it('lets nothing publish to the topic but the alarms of the stack and its rule', () => {
  const alarms = { 'Fn::Sub': expect.stringMatching(/:alarm:envoy-hpa-reaper-\*$/) };
  const published = of('AWS::SNS::TopicPolicy').flatMap(([, { Properties }]) =>
    Properties.PolicyDocument.Statement.map(({ Principal, Condition }: Record<string, object>) => [
      ...[Principal, Condition],
    ]),
  );
  expect(published).toEqual([
    [{ Service: 'cloudwatch.amazonaws.com' }, { ArnLike: { 'aws:SourceArn': alarms } }],
    [
      { Service: 'events.amazonaws.com' },
      { ArnEquals: { 'aws:SourceArn': { 'Fn::GetAtt': ['SweepNotificationRule', 'Arn'] } } },
    ],
  ]);
  for (const [id, { Properties }] of of('AWS::CloudWatch::Alarm')) {
    expect([id, Properties.AlarmName]).toEqual([id, expect.stringMatching(/^envoy-hpa-reaper-/)]);
  }
});

describe('the bus', () => {
  const BUS = 'arn:aws:events:eu-central-1:123456789012:event-bus/envoy-hpa-reaper';
  const roleArn = (id: string) => `arn:aws:iam::123456789012:role/${id}`;

  /** With resolved references: the name of a role is its logical ID. */
  const filled = <Part>(part: Part): Part =>
    JSON.parse(JSON.stringify(part), (_, value) => {
      const [id, attribute] = value?.['Fn::GetAtt'] ?? [];
      if (attribute !== 'Arn') return value;
      return id === 'EventBus' ? BUS : roleArn(id);
    });

  const denials = (): Statement[] =>
    of('AWS::Events::EventBusPolicy').map(([, { Properties }]) => filled(Properties.Statement));
  const put = (principal: string | undefined, detailTypes?: string[], sources?: string[]): RecordedCall => ({
    action: 'events:PutEvents',
    resource: BUS,
    context: {
      ...(sources && { 'events:source': sources }),
      ...(principal && { 'aws:PrincipalArn': [principal] }),
      ...(detailTypes && { 'events:detail-type': detailTypes }),
    },
  });
  const outcomes = Object.keys(OUTCOME_DETAILS);
  const DETAIL_TYPES = [...Object.keys(QUEUED_DETAILS), ...outcomes, 'Something Else'];
  /** The detail-types of a request: none, one, and each pair. */
  const TYPES = [
    ...[undefined, []],
    ...DETAIL_TYPES.flatMap((one, index) => [[one], ...DETAIL_TYPES.slice(index + 1).map((other) => [one, other])]),
  ];
  const SOURCES = [undefined, [], [EVENT_SOURCE], ['aws.ec2'], [EVENT_SOURCE, 'aws.ec2']];

  /** What the bus accepts of everything that can be sent, with these permissions. */
  const accepted = (own: readonly Statement[], principal: string | undefined) =>
    TYPES.flatMap((types) =>
      SOURCES.flatMap((sources) =>
        isAllowed(own, denials(), put(principal, types, sources)) ? [`${types} from ${sources}`] : [],
      ),
    );

  it('accepts from each role its own events only, also where a request has several or none', () => {
    const ownTypes: Record<string, string[]> = {
      ForwardRole: ['Envoy Gateway Configuration Changed'],
      HeartbeatScheduleRole: ['Heartbeat'],
      ReapRole: outcomes,
      BackfillRole: ['Cluster Sweep Requested', ...outcomes],
    };
    for (const [id, role] of of('AWS::IAM::Role')) {
      const own = ownTypes[id] ?? [];
      const puts = accepted(filled(statementsOf(decided(role, true))), roleArn(id));
      // One statement of `backfill` allows its requests and another the outcomes, so no request can have both.
      const isOneKind = (types: string[]) => types.length === 1 || types.every((one) => outcomes.includes(one));
      const expected = TYPES.filter(
        (types) => types?.length && types.every((one) => own.includes(one)) && isOneKind(types),
      );
      expect([id, puts]).toEqual([id, expected.map((types) => `${types} from ${EVENT_SOURCE}`)]);
    }
  });

  it('denies the events of everybody else, whatever they are allowed, and of services, which have no ARN', () => {
    const anything: Statement[] = [{ Sid: 'Anything', Effect: 'Allow', Action: 'events:PutEvents', Resource: '*' }];
    const others = [
      ...[roleArn('Administrator'), 'arn:aws:iam::123456789012:root', roleArn('EnrollRole'), undefined],
      'arn:aws:iam::210987654321:role/ForwardRole',
    ];
    for (const principal of others) expect([principal, accepted(anything, principal)]).toEqual([principal, []]);
    // The denial is the reason: the roles of the stack would be accepted.
    expect(accepted(anything, roleArn('ReapRole'))).toHaveLength(TYPES.length * SOURCES.length);
  });

  it('denies nothing but events, so that the stack can be changed and deleted', () => {
    const onlyEvents = expect.objectContaining({ Effect: 'Deny', Principal: '*', Action: 'events:PutEvents' });
    expect(denials()).toEqual([onlyEvents]);
  });
});

describe('the evaluator of conditions', () => {
  const [KEY, ONE] = ['events:detail-type', 'aws:PrincipalArn'];
  const evaluate = (operator: string, key: string, values?: string[]) => {
    const statement: Statement = { Sid: 'A', Effect: 'Allow', Action: 'a:B', Resource: '*', Condition: {} };
    statement.Condition = { [operator]: { [key]: operator === 'Null' ? 'true' : ['x', 'y'] } };
    const context = values === undefined ? {} : { [key]: values };
    return isAllowed([statement], [], { action: 'a:B', resource: 'r', context });
  };

  // From the IAM user guide, "Single-valued vs. multivalued context keys": without a key, [], [x], [z], [x, z].
  it.each([
    ['ForAllValues:StringEquals', KEY, [true, true, true, false, false]],
    ['ForAnyValue:StringEquals', KEY, [false, false, true, false, true]],
    ['ForAllValues:StringNotEquals', KEY, [true, true, false, true, false]],
    ['ForAnyValue:StringNotEquals', KEY, [false, false, false, true, true]],
    ['Null', KEY, [true, true, false, false, false]],
    ['StringEquals', ONE, [false, false, true, false]],
    ['ArnNotEquals', ONE, [true, true, false, true]],
    ['StringEqualsIfExists', ONE, [true, true, true, false]],
  ])('knows %s', (operator, key, results) => {
    const requests = [undefined, [], ['x'], ['z'], ['x', 'z']].slice(0, results.length);
    expect(requests.map((values) => evaluate(operator, key, values))).toEqual(results);
  });

  it.each([
    ['StringNotEquals', KEY],
    ['ForAnyValue:ArnEquals', ONE],
  ])('refuses %s on %s, whose result IAM does not define', (operator, key) => {
    expect(() => evaluate(operator, key, ['x'])).toThrow(/set operator/);
  });
});
