import { execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import {
  CreateLogGroupCommand,
  DescribeSubscriptionFiltersCommand,
  paginateFilterLogEvents,
} from '@aws-sdk/client-cloudwatch-logs';
import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import {
  GetRolePolicyCommand,
  IAMClient,
  ListAttachedRolePoliciesCommand,
  ListRolePoliciesCommand,
  ListRolesCommand,
} from '@aws-sdk/client-iam';
import type { EventBridgeEvent, SQSEvent, SQSRecord } from 'aws-lambda';
import { logGroupOf } from '../../functions/platform/eks-names.ts';
import { resourcesOf } from '../builders/packaged-stack.ts';
import { callsOf, signatureOf } from '../doubles/aws-calls.ts';
import { type AccountCluster, EksAccountDouble, readEksToken, type StoredEntry } from '../doubles/eks.ts';
import type { RecordedCall, Statement } from '../doubles/iam-policy.ts';
import { type AwsRequest, type ServiceAnswer, ServiceDouble } from '../doubles/service-double.ts';
import type { User } from '../embedded-cluster/authorization.ts';
import { ACCOUNT, lambdaContext, REGION } from '../embedded-cluster/event-path.ts';
import type { EventSourceMapping, FunctionConfiguration } from './emulator.ts';
import { type Moto, templateForMoto } from './moto.ts';
import type { Packaging } from './packaged.ts';

/*
 * The moto server as an AWS account with the packaged stack. A function runs as in Lambda: the handler of the zip file in its own
 * process, with the environment of the stack and the credentials of the role. A proxy records its calls. What replaces missing
 * features of moto:
 * - Functions run only in Docker: `invoke` runs them without. The event source mapping is disabled; `deliver` polls the queue.
 * - The delay of the queue is removed, since it would have to be waited for.
 * - Rules leave the account out of an event: `deliver` adds it. They support no topic: a queue receives the notifications.
 * - Clusters have no API server and no access entries: EksAccountDouble is EKS, and `userOf` evaluates the entries.
 * - There are no schedules and no custom resources: `fire` does what Scheduler would, with the role of the schedule.
 * - No permission is checked; permissions.ts does so afterwards.
 */

export interface Invocation {
  // biome-ignore lint/suspicious/noExplicitAny: each function has answers of its own
  answer: any;
  /** The JSON lines of the output. */
  // biome-ignore lint/suspicious/noExplicitAny: of every shape
  lines: any[];
  printed: string;
}

/** A batch of messages, and the result of its invocation. */
interface Delivery extends Invocation {
  messages: Record<string, unknown>[];
}

/** An outcome on the bus. */
// biome-ignore lint/suspicious/noExplicitAny: each detail-type has a shape of its own
type OutcomeEvent = EventBridgeEvent<string, any>;

interface Message {
  MessageId: string;
  ReceiptHandle: string;
  Body: string;
  MD5OfBody: string;
  Attributes: SQSRecord['attributes'];
}

/** A call with the role of its caller. */
export type Call = RecordedCall & { role: string };

const nameOf = (arn: string) => arn.split(/[:/]/).at(-1) ?? '';
/** The access key of a role is its name, so that the proxy can identify it. */
const credentialsOf = (role: string) => ({ accessKeyId: role, secretAccessKey: `secret-of-${role}` });

/** moto supports no policy of a bus. As the policy of a role, its references are resolved. */
const BUS_POLICY = 'bus-policy';

export type Account = Awaited<ReturnType<typeof deployTo>>;

/**
 * Deploys a packaging.
 *
 * @param moto an empty account
 * @param bin the bin folder of the virtual environment that install.sh creates
 * @param parameters of the template
 */
export async function deployTo(
  moto: Moto,
  bin: string,
  packaging: Packaging,
  parameters: Readonly<Record<string, string>>,
) {
  const folder = await mkdtemp(join(tmpdir(), 'account-'));
  const eks = new EksAccountDouble();
  const eksUrl = await eks.start();
  const proxy = new RecordingProxy(({ url = '' }) => (url.startsWith('/clusters') ? eksUrl : moto.url));
  const url = await proxy.start();

  const template = templateForMoto(packaging);
  const schedules = resourcesOf(template, 'AWS::Scheduler::Schedule');
  for (const [id, { Properties }] of schedules) {
    // The references in an output are resolved.
    const { Arn, RoleArn, Input } = Properties.Target;
    for (const [name, Value] of Object.entries({ Arn, RoleArn, Input })) template.Outputs[`${id}${name}`] = { Value };
  }
  const [policy, ...others] = resourcesOf(template, 'AWS::Events::EventBusPolicy');
  if (policy === undefined || others.length > 0) throw new Error('expected one policy of the bus');
  const Statement = { Sid: policy[0], ...policy[1].Properties.Statement };
  template.Resources.BusPolicy = {
    Type: 'AWS::IAM::Role',
    Properties: {
      RoleName: BUS_POLICY,
      AssumeRolePolicyDocument: {},
      Policies: [{ PolicyName: BUS_POLICY, PolicyDocument: { Version: '2012-10-17', Statement: [Statement] } }],
    },
  };
  const { QueueUrl: inbox } = await moto.sqs<{ QueueUrl: string }>('CreateQueue', { QueueName: 'inbox' });
  const [target] = template.Resources.SweepNotificationRule?.Properties.Targets ?? [];
  target.Arn = `arn:aws:sqs:${REGION}:${ACCOUNT}:inbox`;
  await moto.createBucket();
  const outputs = await moto.createStack(packaging, template, parameters);

  const functions = new Map((await moto.functions()).map((each) => [each.FunctionName, each]));
  for (const each of functions.values()) await unpack(bin, packaging, join(folder, each.FunctionName), each);

  const { EventSourceMappings: mappings } = await moto.aws<{ EventSourceMappings: EventSourceMapping[] }>(
    ...['lambda', 'list-event-source-mappings'],
  );
  const queueOf = ({ EventSourceArn }: EventSourceMapping) => ({
    QueueUrl: `${moto.url}/${ACCOUNT}/${nameOf(EventSourceArn)}`,
  });
  for (const mapping of mappings) {
    await moto.aws('lambda', 'update-event-source-mapping', '--uuid', mapping.UUID, '--no-enabled');
    await moto.sqs('SetQueueAttributes', { ...queueOf(mapping), Attributes: { DelaySeconds: '0' } });
  }

  const iam = new IAMClient({ region: REGION, endpoint: moto.url, credentials: credentialsOf('admin') });
  async function statementsOf(RoleName: string): Promise<Statement[]> {
    const { AttachedPolicies = [] } = await iam.send(new ListAttachedRolePoliciesCommand({ RoleName }));
    if (AttachedPolicies.length > 0) throw new Error(`${RoleName} has policies that are not read here`);
    const { PolicyNames = [] } = await iam.send(new ListRolePoliciesCommand({ RoleName }));
    const documents = await Promise.all(
      PolicyNames.map((PolicyName) => iam.send(new GetRolePolicyCommand({ RoleName, PolicyName }))),
    );
    return documents.flatMap(
      ({ PolicyDocument = '' }) => JSON.parse(decodeURIComponent(PolicyDocument).replaceAll("'", '"')).Statement,
    );
  }

  const ran = new Set<string>();
  const callsOfServices: Call[] = [];
  let printed = '';

  async function invoke(name: string, event: unknown): Promise<Invocation> {
    const configuration = functions.get(name);
    if (configuration === undefined) throw new Error(`no function ${name}`);
    ran.add(name);
    const { accessKeyId, secretAccessKey } = credentialsOf(nameOf(configuration.Role));
    const surroundings = {
      AWS_REGION: REGION,
      AWS_LAMBDA_FUNCTION_NAME: name,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      AWS_SESSION_TOKEN: 'session-token',
      AWS_ENDPOINT_URL: url,
    };
    const invocation = await invokeFunction(configuration, join(folder, name), surroundings, event);
    printed += invocation.printed;
    return invocation;
  }

  return {
    /** The functions and schedules of the stack that did not run. */
    idle: () => [...functions.keys(), ...schedules.map(([id]) => id)].filter((name) => !ran.has(name)),
    /** What the functions printed. */
    printed: () => printed,

    /** Every call of a function or a service with a role of the stack, so far. */
    calls: (): Call[] => [
      ...proxy.calls.map(({ accessKeyId, ...call }) => ({ role: accessKeyId, ...call })),
      ...callsOfServices,
    ],

    /** The statements of each role of the stack and of the policy of the bus, by the name of the role. */
    async permissions(): Promise<[string, Statement[]][]> {
      const { Roles = [] } = await iam.send(new ListRolesCommand());
      const names = Roles.map(({ RoleName = '' }) => RoleName).filter((name) => name !== BUS_POLICY);
      const ofTheBus = await statementsOf(BUS_POLICY);
      return await Promise.all(names.map(async (name) => [name, [...(await statementsOf(name)), ...ofTheBus]]));
    },

    /** Creates a cluster, and its log group where that is in the Region of the stack. */
    async createCluster(name: string, cluster: Partial<AccountCluster>): Promise<void> {
      eks.add(name, { region: REGION, authenticationMode: 'API_AND_CONFIG_MAP', ...cluster });
      if (cluster.region === undefined) {
        await moto.logs.send(new CreateLogGroupCommand({ logGroupName: logGroupOf(name) }));
      }
    },
    clusters: eks.clusters,

    /** The access entries of a cluster, by the ARN of the role. May be changed. */
    entriesOf: (cluster: string): Map<string, StoredEntry> => eks.clusters.get(cluster)?.entries ?? new Map(),
    logs: moto.logs,
    async filtersOf(cluster: string) {
      const logGroupName = logGroupOf(cluster);
      const { subscriptionFilters = [] } = await moto.logs.send(
        new DescribeSubscriptionFiltersCommand({ logGroupName }),
      );
      return subscriptionFilters.map(({ filterName, filterPattern, destinationArn }) => ({
        ...{ filterName, filterPattern, destinationArn },
      }));
    },

    /** Whom the access entries of a cluster make of a token, as aws-iam-authenticator tells it the API server. */
    userOf(cluster: string, token: string): User | undefined {
      const read = readEksToken(token);
      const role = read?.url.searchParams.get('X-Amz-Credential')?.split('/')[0] ?? '';
      if (!read?.isGoodFor(cluster, credentialsOf(role).secretAccessKey)) return undefined;
      const entry = eks.clusters.get(cluster)?.entries.get(`arn:aws:iam::${ACCOUNT}:role/${role}`);
      if (entry === undefined) return undefined;
      return { username: entry.username.replace('{{SessionName}}', 'session'), groups: entry.kubernetesGroups };
    },

    /** One invocation in a process of its own. */
    invoke,

    /** As Lambda's poller does with a batch of each queue: what the function does not give back is deleted. */
    async deliver(): Promise<Delivery[]> {
      const deliveries: Delivery[] = [];
      for (const mapping of mappings) {
        const { Messages = [] } = await moto.sqs<{ Messages?: Message[] }>('ReceiveMessage', {
          ...queueOf(mapping),
          MaxNumberOfMessages: mapping.BatchSize,
          AttributeNames: ['All'],
        });
        if (Messages.length === 0) continue;
        const invocation = await invoke(nameOf(mapping.FunctionArn), batchOf(mapping, Messages));
        const failed = new Set(
          invocation.answer.batchItemFailures.map((failure: { itemIdentifier: string }) => failure.itemIdentifier),
        );
        for (const { MessageId, ReceiptHandle } of Messages) {
          if (!failed.has(MessageId)) await moto.sqs('DeleteMessage', { ...queueOf(mapping), ReceiptHandle });
        }
        deliveries.push({ ...invocation, messages: Messages.map(({ Body }) => JSON.parse(Body)) });
      }
      return deliveries;
    },

    /** What Scheduler does when a schedule comes round, with its role. */
    async fire(schedule: string): Promise<Invocation | undefined> {
      ran.add(schedule);
      const [arn, role, input] = ['Arn', 'RoleArn', 'Input'].map((name) => outputs.get(`${schedule}${name}`));
      if (!arn || !role || !input) throw new Error(`the stack has no schedule ${schedule}`);
      if (arn.includes(':function:')) {
        callsOfServices.push({ role: nameOf(role), action: 'lambda:InvokeFunction', resource: arn, context: {} });
        return await invoke(nameOf(arn), JSON.parse(input));
      }
      const events = new EventBridgeClient({ region: REGION, endpoint: url, credentials: credentialsOf(nameOf(role)) });
      const { Source, DetailType } = template.Resources[schedule]?.Properties.Target.EventBridgeParameters ?? {};
      await events.send(new PutEventsCommand({ Entries: [{ EventBusName: arn, Source, DetailType, Detail: input }] }));
      return undefined;
    },

    /** What the bus has led into the log group of the outcomes. */
    async outcomes(): Promise<OutcomeEvent[]> {
      const outcomes: OutcomeEvent[] = [];
      const logGroupName = '/aws/events/envoy-hpa-reaper-outcomes';
      for await (const { events = [] } of paginateFilterLogEvents({ client: moto.logs }, { logGroupName })) {
        outcomes.push(...events.map(({ message = '' }) => JSON.parse(message)));
      }
      return outcomes;
    },

    /** What the stack sent to the topic since it was deployed. */
    async notifications(): Promise<string[]> {
      const received = { QueueUrl: inbox, MaxNumberOfMessages: 10 };
      const { Messages = [] } = await moto.sqs<{ Messages?: Message[] }>('ReceiveMessage', received);
      return Messages.map(({ Body }) => JSON.parse(Body));
    },

    async stop(): Promise<void> {
      await Promise.all([proxy.stop(), eks.stop()]);
      await rm(folder, { recursive: true });
    },
  };
}

const batchOf = ({ EventSourceArn }: EventSourceMapping, messages: readonly Message[]): SQSEvent => ({
  Records: messages.map(({ MessageId, ReceiptHandle, Body, MD5OfBody, Attributes }) => ({
    messageId: MessageId,
    receiptHandle: ReceiptHandle,
    body: JSON.stringify({ account: ACCOUNT, ...JSON.parse(Body) }),
    attributes: Attributes,
    messageAttributes: {},
    md5OfBody: MD5OfBody,
    eventSource: 'aws:sqs',
    eventSourceARN: EventSourceArn,
    awsRegion: REGION,
  })),
});

/** Unpacks the zip file with the digest that Lambda shows for a function. */
async function unpack(bin: string, packaging: Packaging, to: string, code: FunctionConfiguration): Promise<void> {
  const digest = Buffer.from(code.CodeSha256, 'base64').toString('hex');
  const zip = (await readdir(packaging.folder)).find((file) => file.endsWith(`-${digest}.zip`));
  if (zip === undefined) throw new Error(`${code.FunctionName} has code that was not packaged`);
  await mkdir(to, { recursive: true });
  await promisify(execFile)(join(bin, 'python'), ['-m', 'zipfile', '-e', join(packaging.folder, zip), to]);
}

/**
 * One invocation in its own process, with the environment, the handler, and the timeout of the function.
 *
 * @param folder the folder with the unpacked code
 * @param surroundings the variables that Lambda itself sets
 * @throws {Error} with the output of the function, when it fails
 */
async function invokeFunction(
  { FunctionName, FunctionArn, Handler, Environment, Timeout }: FunctionConfiguration,
  folder: string,
  surroundings: Readonly<Record<string, string>>,
  event: unknown,
): Promise<Invocation> {
  const context = { ...lambdaContext(FunctionName), invokedFunctionArn: FunctionArn };
  const eventFile = join(folder, `${randomUUID()}.json`);
  await writeFile(eventFile, JSON.stringify({ event, context, remaining: Timeout * 1000 }));
  const variables = Object.entries(Environment.Variables).map(([name, value]) => [name, String(value)]);
  const script = join(import.meta.dirname, '../e2e/one-invocation.mjs');
  const handler = join(folder, Handler.replace(/\.handler$/, '.mjs'));
  const { stdio } = spawn(process.execPath, [script, handler, eventFile], {
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    env: { ...Object.fromEntries(variables), ...surroundings },
  });
  const [out, err, told] = await Promise.all(stdio.slice(1, 4).map((stream) => text(stream as Readable)));
  const printed = `${out}${err}`;
  if (!told) throw new Error(`${FunctionName} ended without an answer:\n${printed}`);
  const lines = printed.split('\n').filter((line) => line.startsWith('{'));
  return { answer: JSON.parse(told).answer, lines: lines.map((line) => JSON.parse(line)), printed };
}

/** A proxy before all services of AWS, which records what IAM authorizes before each request. */
class RecordingProxy extends ServiceDouble {
  /** Each with the access key that signed it. */
  readonly calls: (RecordedCall & { accessKeyId: string })[] = [];
  readonly #upstreamOf: (request: AwsRequest) => string;

  /** @param upstreamOf the URL of the server that answers a request */
  constructor(upstreamOf: (request: AwsRequest) => string) {
    super();
    this.#upstreamOf = upstreamOf;
  }

  protected override async answer(request: AwsRequest, body: string): Promise<ServiceAnswer> {
    try {
      const { method, url = '/' } = request;
      const { accessKeyId } = signatureOf(request);
      for (const call of callsOf(request, body)) this.calls.push({ ...call, accessKeyId });
      const { host: _, connection: __, 'content-length': ___, ...headers } = request.headers;
      const answer = await fetch(this.#upstreamOf(request) + url, {
        method,
        headers: headers as Record<string, string>,
        body: body || undefined,
      });
      return { status: answer.status, body: JSON.parse((await answer.text()) || '{}') };
    } catch (error) {
      // The function fails with it, since no client retries this status.
      return { status: 400, body: { __type: 'NotRecorded', message: String(error) } };
    }
  }
}
