import { once } from 'node:events';
import { request } from 'node:https';
import process from 'node:process';
import { CreateLogGroupCommand, CreateLogStreamCommand, PutLogEventsCommand } from '@aws-sdk/client-cloudwatch-logs';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { logGroupOf } from '../../functions/platform/eks-names.ts';
import { record } from '../assurance/record.ts';
import {
  autoscaling,
  CONTROLLER_NAMESPACE,
  deployment,
  envoyGatewayConfig,
  envoyHpa,
  envoyProxy,
  gateway,
  gatewayClass,
  hashedNameOf,
} from '../builders/cluster.ts';
import { readTemplate, resourcesOf } from '../builders/packaged-stack.ts';
import { waitFor } from '../contract/server.ts';
import { EksAccountDouble, readEksToken } from '../doubles/eks.ts';
import { admin, type EmbeddedCluster, startEmbeddedCluster } from '../embedded-cluster/embedded-cluster.ts';
import { ACCOUNT, REGION } from '../embedded-cluster/event-path.ts';
import { LOCALSTACK, MOTO } from './limits.ts';
import { LocalStack } from './localstack.ts';

/*
 * The packaged template as it is, in LocalStack, with functions that run, in an embedded cluster. The tests build on each other.
 * limits.ts names what LocalStack does not have. With RECORD=1, the figures are saved for docs/assurance.md.
 */
const { bin, localStack: python } = inject('tools');
const packaging = inject('packagings').find(({ configuration }) => configuration === 'everything');
if (packaging === undefined) throw new Error('the configuration with everything was not packaged');
const template = readTemplate(packaging.folder);
const FUNCTION = 'envoy-hpa-reaper-';
const arnOf = (service: string, resource: string) => `arn:aws:${service}:${REGION}:${ACCOUNT}:${resource}`;
const queueUrl = (name: string) => ({ QueueUrl: `${localStack.url}/${ACCOUNT}/${name}` });

const eks = new EksAccountDouble();
let localStack: LocalStack;
let cluster: EmbeddedCluster;
beforeAll(async () => {
  cluster = await startEmbeddedCluster({
    users: (token) => (token === 'admin-token' || readEksToken(token) ? admin : undefined),
  });
  cluster.load({
    items: [
      ...[gatewayClass(), envoyGatewayConfig(), deployment(`${CONTROLLER_NAMESPACE}/${HPA}`), envoyHpa('shop/web')],
      ...[gateway('shop/web', { proxy: 'web' }), envoyProxy('shop/web', autoscaling())],
    ],
  });
  const { url: endpoint, caCertificate: ca } = cluster;
  eks.add('shop', { endpoint, ca, authenticationMode: 'API_AND_CONFIG_MAP' });
  localStack = await LocalStack.start(python, bin, await eks.start());
  empty = await inventory();
  await localStack.createBucket();
  await localStack.upload(packaging);
  await localStack.deploy('CREATE', PARAMETERS);
  created = await describeAll(Object.keys(DESCRIBED));
});
afterAll(async () => {
  await localStack?.stop();
  await Promise.all([eks.stop(), cluster?.close()]);
});

const PARAMETERS = { SubnetIds: 'off', SecurityGroupIds: 'off' };
const HPA = hashedNameOf('shop/web');

// biome-ignore lint/suspicious/noExplicitAny: answers of many services
type Free = any;
let empty: unknown;
/** The resources by their types, as they were created. */
let created: Map<string, Free[]>;

const inventory = () =>
  localStack.inventory('sns list-subscriptions', 'cloudwatch describe-alarms', 'scheduler list-schedules');

/** How each service describes the resources of a type, by the property that names them. */
const DESCRIBED: Record<string, [name: string, describe: (names: string[]) => Promise<Free[]>]> = {
  'AWS::CloudWatch::Alarm': [
    'AlarmName',
    async () => (await localStack.aws<Free>('cloudwatch', 'describe-alarms')).MetricAlarms,
  ],
  'AWS::Events::EventBusPolicy': [
    'StatementId',
    async () => {
      const { Name, Policy } = await localStack.aws<Free>('events', 'describe-event-bus', '--name', 'envoy-hpa-reaper');
      return JSON.parse(Policy).Statement.map(({ Sid: StatementId, ...Statement }: Free) => ({
        ...{ EventBusName: Name, StatementId, Statement },
      }));
    },
  ],
  'AWS::Events::Rule': [
    'Name',
    async () => {
      const bus = ['--event-bus-name', 'envoy-hpa-reaper'];
      const { Rules } = await localStack.aws<Free>('events', 'list-rules', ...bus);
      return await Promise.all(
        Rules.map(async ({ EventPattern, ...rule }: Free) => ({
          ...rule,
          ...(await localStack.aws<Free>('events', 'list-targets-by-rule', ...bus, '--rule', rule.Name)),
          EventPattern: JSON.parse(EventPattern),
        })),
      );
    },
  ],
  'AWS::Lambda::EventSourceMapping': [
    'FunctionName',
    async () =>
      (await localStack.aws<Free>('lambda', 'list-event-source-mappings')).EventSourceMappings.map((each: Free) => ({
        ...each,
        FunctionName: each.FunctionArn,
        Enabled: each.State === 'Enabled',
      })),
  ],
  'AWS::Lambda::Function': [
    'FunctionName',
    async () => (await localStack.functions()).map((each) => ({ ...each, Code: { S3Bucket: '', S3Key: '' } })),
  ],
  'AWS::Logs::LogGroup': [
    'LogGroupName',
    async () =>
      (await localStack.aws<Free>('logs', 'describe-log-groups')).logGroups.map(({ logGroupName }: Free) => ({
        LogGroupName: logGroupName,
        ...{ RetentionInDays: 1, KmsKeyId: '' }, // Not kept.
      })),
  ],
  'AWS::SNS::Topic': [
    'TopicName',
    async () => {
      const { Topics } = await localStack.aws<Free>('sns', 'list-topics');
      return Topics.map(({ TopicArn }: Free) => ({ TopicName: TopicArn.split(':').at(-1) }));
    },
  ],
  'AWS::SQS::Queue': [
    'QueueName',
    (names) =>
      Promise.all(
        names.map(async (QueueName) => {
          const input = { ...queueUrl(QueueName), AttributeNames: ['All'] };
          const { Attributes } = await localStack.sqs<Free>('GetQueueAttributes', input);
          const read = Object.entries<string>(Attributes).map(([key, value]) => [key, asJson(value)]);
          return { QueueName, ...Object.fromEntries(read) };
        }),
      ),
  ],
  'AWS::Scheduler::Schedule': [
    'Name',
    (names) => Promise.all(names.map((name) => localStack.aws<Free>('scheduler', 'get-schedule', '--name', name))),
  ],
};

const asJson = (value: string): unknown => (/^(\d+$|\{)/.test(value) ? JSON.parse(value) : value);

/** A value of the template, in which intrinsic functions are of any value. */
function expected(value: Free): Free {
  if (Array.isArray(value)) return JSON.stringify(value).includes('"Fn::If"') ? expect.anything() : value.map(expected);
  if (typeof value !== 'object') return value;
  const [first = ''] = Object.keys(value);
  if (first === 'Ref' || first.startsWith('Fn::')) return expect.anything();
  const kept = Object.entries(value).filter(([, inner]) => !JSON.stringify(inner).startsWith('{"Fn::If"'));
  return Object.fromEntries(kept.map(([key, inner]) => [key, expected(inner)]));
}

const describeAll = async (types: readonly string[]) =>
  new Map(await Promise.all(types.map(async (type) => [type, await described(type)] as const)));

async function described(type: string): Promise<Free[]> {
  const names = resourcesOf(template, type).map(([, { Properties }]) => Properties[DESCRIBED[type]?.[0] ?? '']);
  return (await DESCRIBED[type]?.[1](names)) ?? [];
}

test('every resource of the template is created, or is of a type that LocalStack does not have', async () => {
  const { StackResourceSummaries: summaries } = await localStack.aws<{
    StackResourceSummaries: { LogicalResourceId: string; ResourceStatus: string }[];
  }>('cloudformation', 'list-stack-resources', '--stack-name', 'envoy-hpa-reaper');
  expect(Object.fromEntries(summaries.map((each) => [each.LogicalResourceId, each.ResourceStatus]))).toEqual(
    Object.fromEntries(Object.keys(template.Resources).map((id) => [id, 'CREATE_COMPLETE'])),
  );
  const excuses = (await localStack.stackEvents()).map(
    (each) => `${each.LogicalResourceId}: ${each.ResourceStatusReason}`,
  );
  const unsupported = LOCALSTACK.types.flatMap((type) =>
    resourcesOf(template, type).map(
      ([id]) => `${id}: Resource type ${type} is not supported but was deployed as a fallback`,
    ),
  );
  expect(excuses.filter((excuse) => !excuse.startsWith('envoy-hpa-reaper:')).toSorted()).toEqual(
    unsupported.toSorted(),
  );
});

test.each(Object.keys(DESCRIBED))('each %s is as the template has it, with every reference resolved', (type) => {
  const name = DESCRIBED[type]?.[0] ?? '';
  const found = created.get(type) ?? [];
  const resources = resourcesOf(template, type);
  expect(found.length).toBe(resources.length);
  for (const [id, { Properties }] of resources) {
    const { Tags: _, ...properties } = expected(Properties);
    const [one] =
      typeof Properties[name] === 'string' ? found.filter((each) => each[name] === Properties[name]) : found;
    expect(one, id).toMatchObject(properties);
  }
  expect(JSON.stringify(found)).not.toMatch(/Fn::|"Ref"|\$\{|NoValue|undefined/);
});

test('messages, events, and runs that fail have a queue to go to', () => {
  const [queues, rules, schedules] = ['SQS::Queue', 'Events::Rule', 'Scheduler::Schedule'].map((type) =>
    created.get(`AWS::${type}`),
  );
  const queue = (name: string) => arnOf('sqs', `envoy-hpa-reaper-${name}`);
  expect(
    queues?.flatMap(({ QueueName, RedrivePolicy }) => (RedrivePolicy ? [[QueueName, RedrivePolicy]] : [])),
  ).toEqual([['envoy-hpa-reaper-changes', { deadLetterTargetArn: queue('changes-dead'), maxReceiveCount: 8 }]]);
  const outcomes = arnOf('logs', 'log-group:/aws/events/envoy-hpa-reaper-outcomes');
  const targets = (each: Free[] = []) =>
    each.map(({ Arn, DeadLetterConfig }: Free) => [Arn, DeadLetterConfig?.Arn]).toSorted();
  expect(targets(rules?.flatMap(({ Targets }) => Targets))).toEqual(
    [
      [outcomes, queue('undelivered')],
      [arnOf('sns', 'envoy-hpa-reaper'), undefined],
      [queue('changes'), queue('undelivered')],
    ].toSorted(),
  );
  expect(targets(schedules?.map(({ Target }) => Target))).toEqual([
    [arnOf('events', 'event-bus/envoy-hpa-reaper'), undefined],
    [arnOf('lambda', 'function:envoy-hpa-reaper-backfill'), queue('unswept')],
    [arnOf('lambda', 'function:envoy-hpa-reaper-enroll'), queue('unenrolled')],
  ]);
});

/** The result of a function that is invoked and waited for. */
async function invoke(name: string, event: object): Promise<Free> {
  const known = localStack.invocations.length;
  const payload = ['--payload', JSON.stringify(event), '/dev/null'];
  await localStack.aws('lambda', 'invoke', '--function-name', FUNCTION + name, ...payload);
  return localStack.invocations.slice(known).find((each) => each.function === FUNCTION + name);
}

const eventsOf = (name: string) =>
  localStack.invocations.filter((each) => each.function === FUNCTION + name).map(({ event }) => event);

/** What the bus led into the log group of the outcomes, each as `<detail-type> <HPA>`. */
async function outcomes(): Promise<string[]> {
  const group = ['--log-group-name', '/aws/events/envoy-hpa-reaper-outcomes'];
  const { events } = await localStack.aws<{ events: { message: string }[] }>('logs', 'filter-log-events', ...group);
  return events
    .map(({ message }) => JSON.parse(message))
    .map(({ 'detail-type': type, detail }) => `${type} ${detail.hpa?.name ?? ''}`.trim())
    .toSorted();
}

const hpas = () => cluster.objects('horizontalpodautoscalers').map(({ metadata }) => metadata.name);

/** Patches the EnvoyProxy, and logs what the API server writes to its audit log. */
async function change(patch: object): Promise<void> {
  const headers = { authorization: 'Bearer admin-token', 'content-type': 'application/merge-patch+json' };
  const url = `${cluster.url}/apis/gateway.envoyproxy.io/v1alpha1/namespaces/shop/envoyproxies/web`;
  const sent = request(url, { method: 'PATCH', headers, ca: cluster.caCertificate, agent: false });
  const [response] = await once(sent.end(JSON.stringify(patch)), 'response');
  await once(response.resume(), 'end');
  const line = cluster.audit.findLast(({ verb }) => verb === 'patch');
  const unrelated = { ...line, verb: 'get' };
  const logEvents = [unrelated, line].map((each) => ({ timestamp: Date.now(), message: JSON.stringify(each) }));
  await localStack.logs.send(new PutLogEventsCommand({ ...STREAM, logEvents }));
}

const STREAM = { logGroupName: logGroupOf('shop'), logStreamName: 'kube-apiserver-audit-1' };

test('enroll leads the audit log of a cluster to forward', async () => {
  await localStack.logs.send(new CreateLogGroupCommand(STREAM));
  await localStack.logs.send(new CreateLogStreamCommand(STREAM));
  expect(await invoke('enroll', {})).toMatchObject({ answer: { totals: { clusters: 1, enrolled: 1, problems: 0 } } });
});

test('in mode report, a change passes from the audit log to reap, which reports and deletes nothing', async () => {
  await localStack.sqs('SetQueueAttributes', {
    ...queueUrl('envoy-hpa-reaper-changes'),
    Attributes: { DelaySeconds: '0' },
  });
  await change({ spec: { provider: { kubernetes: { envoyHpa: null } } } });
  await waitFor(async () => (await outcomes()).length === 2, 60);
  expect(await outcomes()).toEqual([`HPA Reported ${HPA}`, 'Sweep Completed']);
  expect(hpas()).toEqual([HPA]);
  expect(eventsOf('reap')).toEqual([
    { Records: [expect.objectContaining({ eventSourceARN: arnOf('sqs', 'envoy-hpa-reaper-changes') })] },
  ]);
  expect(JSON.parse(eventsOf('reap')[0].Records[0].body)).toMatchObject({
    ...{ source: 'envoy-hpa-reaper', 'detail-type': 'Envoy Gateway Configuration Changed', account: ACCOUNT },
    detail: { version: '1', cluster: 'shop', verb: 'patch', objectRef: { resource: 'envoyproxies', name: 'web' } },
  });
});

test('an update from mode report to delete changes the functions that delete and the schedule, and nothing else', async () => {
  expect((await localStack.deploy('UPDATE', { ...PARAMETERS, Mode: 'delete' })).toSorted()).toEqual([
    'Modify BackfillLambdaFunction',
    'Modify ReapLambdaFunction',
    'Modify SweepSchedule',
  ]);
  const types = [
    'AWS::Lambda::Function',
    'AWS::Lambda::EventSourceMapping',
    'AWS::Events::Rule',
    'AWS::CloudWatch::Alarm',
  ];
  for (const [type, found] of await describeAll(types)) {
    const changed = JSON.stringify(created.get(type)?.map(withoutDates)).replaceAll(
      '"MODE":"report"',
      '"MODE":"delete"',
    );
    expect(found.map(withoutDates), type).toEqual(JSON.parse(changed));
  }
});

const withoutDates = ({ LastModified: _, RevisionId: __, ...rest }: Free) => rest;

test('in mode delete, reap deletes the stale HPA', async () => {
  const known = await outcomes();
  await change({ metadata: { annotations: { changed: 'again' } } });
  await waitFor(async () => (await outcomes()).length === known.length + 2, 60);
  expect(await outcomes()).toEqual([...known, `HPA Deleted ${HPA}`, 'Sweep Completed'].toSorted());
  expect(hpas()).toEqual([]);
});

test('backfill requests sweeps over the bus, and outcomes never return to reap', async () => {
  const known = eventsOf('reap').length;
  await invoke('backfill', { dispatch: 'bus' });
  await waitFor(async () => eventsOf('reap').length > known, 60);
  const bodies = eventsOf('reap').flatMap(({ Records }) => Records.map(({ body }: Free) => JSON.parse(body)));
  expect(bodies.map((body) => body['detail-type'])).toEqual([
    'Envoy Gateway Configuration Changed',
    'Envoy Gateway Configuration Changed',
    'Cluster Sweep Requested',
  ]);
});

test('a run of backfill that fails three times is kept in its queue', async () => {
  const event = ['--function-name', `${FUNCTION}backfill`, '--invocation-type', 'Event'];
  await localStack.aws('lambda', 'invoke', ...event, '--payload', '{"mode":"unknown"}', '/dev/null');
  let body = '';
  await waitFor(async () => {
    const { Messages } = await localStack.sqs<Free>('ReceiveMessage', queueUrl('envoy-hpa-reaper-unswept'));
    body = Messages?.[0].Body ?? '';
    return body !== '';
  }, 60);
  expect(JSON.parse(body)).toMatchObject({
    requestContext: { condition: 'RetriesExhausted', approximateInvokeCount: 3 },
    requestPayload: { mode: 'unknown' },
  });
});

test('the deletion of the stack leaves nothing behind', async () => {
  await localStack.remove();
  await localStack.aws('logs', 'delete-log-group', '--log-group-name', STREAM.logGroupName);
  expect(await inventory()).toEqual(empty);
  expect(await localStack.queues()).toEqual([]);
});

test.runIf(process.env.RECORD === '1')('its figures, and those of moto, are recorded', async () => {
  const all = Object.values(template.Resources);
  const rows = Object.entries({ moto: MOTO, LocalStack: LOCALSTACK }).map(([emulator, { types, others }]) => {
    const created = all.filter(({ Type }) => !types.includes(Type)).length;
    return [emulator, all.length, created, types.join(', '), others.join(' ')];
  });
  const columns = [
    'Emulator',
    'Resources of the template',
    'Created',
    'Types that it does not have',
    'What else it cannot do',
  ];
  await record('emulators', { command: 'npm run verify:infra', columns, rows });
});
