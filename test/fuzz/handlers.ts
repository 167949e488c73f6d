import process from 'node:process';
import { gzipSync } from 'node:zlib';
import type { Context } from 'aws-lambda';
import { backfillConfigSchema, createHandler as createBackfill } from '../../functions/backfill/backfill.ts';
import { createHandler as createEnroll, enrollConfigSchema } from '../../functions/enroll/enroll.ts';
import { EVENT_SOURCE } from '../../functions/events/event-source.ts';
import { QUEUED_DETAILS } from '../../functions/events/queued-event.ts';
import { createHandler as createForward, forwardConfigSchema } from '../../functions/forward/forward.ts';
import type { ClusterConnection } from '../../functions/kubernetes/api-client.ts';
import { clusterApi } from '../../functions/kubernetes/cluster-api.ts';
import type { AccountDirectory } from '../../functions/kubernetes/directory.ts';
import { ClusterSkippedError } from '../../functions/platform/errors.ts';
import { lambdaHandler } from '../../functions/platform/lambda.ts';
import { problem } from '../../functions/platform/problems.ts';
import { createHandler as createReap, reapConfigSchema } from '../../functions/reap/reap.ts';
import type { Choices } from '../choices.ts';
import type { List } from '../e2e/harness.ts';
import {
  ACCOUNT,
  type BusEvent,
  busEvent,
  lambdaContext,
  queueBatch,
  REGION,
  subscriptionPayload,
} from '../embedded-cluster/event-path.ts';
import { auditEvents, auditLogs, keptLists, lists, splices } from './corpus.ts';
import { bytesOf, jsonOf, mutatedJson, mutatedText, mutatedValue, SECRET } from './mutate.ts';
import { type Answer, apiServer, FOREIGN, world } from './surroundings.ts';
import { Finding, type Parts, type Target } from './target.ts';

const iam = `arn:aws:iam::${ACCOUNT}:role`;
/** The environment of every function. */
export const ENVIRONMENT = {
  ACCOUNT_ID: ACCOUNT,
  AWS_REGION: REGION,
  EVENT_BUS_NAME: 'envoy-hpa-reaper',
  MODE: 'delete',
  MAX_DELETIONS: '25',
  CONTROLLER_NAMESPACES: '',
  FORWARD_FUNCTION_ARN: `arn:aws:lambda:${REGION}:${ACCOUNT}:function:envoy-hpa-reaper-forward`,
  REAP_ROLE_ARN: `${iam}/reap`,
  REAP_ROLE_ID: 'AROAREAP',
  BACKFILL_ROLE_ARN: `${iam}/backfill`,
  BACKFILL_ROLE_ID: 'AROABACKFILL',
  CLUSTERS: '',
  POWERTOOLS_LOGGER_LOG_EVENT: 'true',
};
Object.assign(process.env, ENVIRONMENT);

const servers = keptLists.map(({ items }) => apiServer(items));

/** A cluster of any name is one of the recorded ones; the host of its API server says which. */
const connectionTo = (name: string): ClusterConnection => ({
  server: `https://${name.length % servers.length}.example.com`,
  agent: { destroy() {} } as ClusterConnection['agent'],
  headers: async () => ({ authorization: `Bearer ${SECRET}` }),
});
const serveRecorded: typeof world.serve = (method, url, body) =>
  servers[Number(url.hostname.split('.')[0])]?.(method, url, body) ?? { code: 404, text: '' };

/** Clusters of any name, except for those whose name begins with `no`. */
const directory: AccountDirectory = {
  connect: async (name) => clusterApi(connectionTo(name)),
  connection: async (name) => connectionTo(name),
  forget() {},
  list: async () => ['shop', 'payments'],
  async describe(name) {
    if (name.startsWith('no')) throw new ClusterSkippedError(problem('ClusterNotFound', name, REGION));
    const arn = `arn:aws:eks:${REGION}:${ACCOUNT}:cluster/${name}`;
    return { tags: {}, status: 'ACTIVE', auditLog: true, authenticationMode: 'API', arn };
  },
};

/** What a server answers from the `at`th request on, in place of its own answers. */
function answeringFrom(at: number, foreign: Answer, serve: typeof world.serve): typeof world.serve {
  let requests = 0;
  return (...request) => {
    requests += 1;
    return requests < at ? serve(...request) : foreign;
  };
}

let published: BusEvent[] = [];
const eventBus = { put: async (events: readonly BusEvent[]) => void published.push(...events) };
const now = () => new Date();
const entry = { groups: ['x'], username: 'x', type: 'STANDARD', tags: {} };
const enrollment = {
  filters: {
    logGroups: async () =>
      new Map(Object.entries({ shop: 'STANDARD', payments: 'INFREQUENT_ACCESS', gone: 'STANDARD' })),
    list: async () => [{ name: 'other', pattern: '', destinationArn: '' }],
    put: async () => {},
    delete: async () => {},
  },
  entries: { describe: async () => entry, create: async () => {}, update: async () => {}, delete: async () => {} },
};

const handlers = {
  forward: lambdaHandler('forward', forwardConfigSchema, 'failed', (wiring) => createForward({ ...wiring, eventBus })),
  reap: lambdaHandler('reap', reapConfigSchema, 'failed', (wiring) =>
    createReap({ ...wiring, directory, eventBus, now }),
  ),
  report: lambdaHandler('reap', reapConfigSchema, 'failed', ({ config, ...wiring }) =>
    createReap({ ...wiring, config: { ...config, MODE: 'report' }, directory, eventBus, now }),
  ),
  backfill: lambdaHandler('backfill', backfillConfigSchema, 'failed', (wiring) =>
    createBackfill({ ...wiring, directoryOf: () => directory, eventBus, now }),
  ),
  enroll: lambdaHandler('enroll', enrollConfigSchema, 'failed', (wiring) =>
    createEnroll({ ...wiring, ...enrollment, directory, now }),
  ),
};

async function invoke(name: keyof typeof handlers, event: unknown, parts: Parts): Promise<unknown> {
  published = [];
  const { cluster, foreign } = parts;
  world.serve = cluster === undefined ? serveRecorded : apiServer((JSON.parse(String(cluster)) as List).items ?? []);
  if (foreign !== undefined) {
    const [at, index] = String(foreign).split(':').map(Number);
    world.serve = answeringFrom(at ?? 1, FOREIGN[index ?? 0] as Answer, world.serve);
  }
  const handler = handlers[name] as unknown as (event: unknown, context: Context) => Promise<unknown>;
  return await handler(event, lambdaContext(name));
}

/** What Lambda makes of the text of an event. */
function eventOf({ event }: Parts): unknown {
  try {
    return JSON.parse(String(event));
  } catch {
    return String(event);
  }
}

function auditLine(choices: Choices): string {
  const line = mutatedJson(choices.of(auditEvents), splices, choices);
  return choices.chance(10) ? mutatedText(line, auditLogs, choices) : line;
}

const forward: Target = {
  name: 'forward',
  weight: 16,
  make(choices) {
    const lines = Array.from({ length: 1 + choices.pick(3) }, () => auditLine(choices));
    const payload = subscriptionPayload(choices.of(['shop', 'a-b_c', '-x']), lines);
    if (choices.chance(70)) return { payload: JSON.stringify(payload) };
    if (choices.chance(70)) return { payload: mutatedJson(payload, splices, choices) };
    if (choices.chance(0.2)) return { bomb: '' };
    const data = bytesOf(mutatedText(JSON.stringify(payload), auditLogs, choices), choices).toString('base64');
    return { event: mutatedJson({ awslogs: { data } }, splices, choices) };
  },
  async run(parts) {
    const bytes = parts.bomb === undefined ? parts.payload && gzipSync(parts.payload, { level: 1 }) : bomb();
    const data = bytes?.toString('base64');
    await invoke('forward', data === undefined ? eventOf(parts) : { awslogs: { data } }, parts);
    for (const event of published) {
      const schema = QUEUED_DETAILS[event.detailType as keyof typeof QUEUED_DETAILS];
      const delivered = JSON.parse(JSON.stringify(busEvent(event)));
      if (!schema.safeParse(delivered.detail).success) throw new Finding('reap does not understand what forward puts');
    }
  },
};

/** Far more than CloudWatch Logs sends, in few bytes. */
const bomb = () => {
  bombBytes ??= gzipSync(Buffer.alloc(400_000_000, ' '));
  return bombBytes;
};
let bombBytes: Buffer | undefined;

const detail = (more: object) => ({ version: '1', cluster: 'shop', ...more });
const TRIGGERS: readonly object[] = Object.entries({
  'Envoy Gateway Configuration Changed': detail({
    ...{ auditID: 'audit-1', verb: 'patch', user: { username: 'jane' }, sourceIPs: ['192.0.2.1'], lines: 1 },
    objectRef: { apiGroup: 'gateway.envoyproxy.io', apiVersion: 'v1alpha1', resource: 'envoyproxies', name: 'proxy' },
    ...{ requestReceivedTimestamp: '2026-11-23T14:17:47.000000Z', stageTimestamp: '2026-11-23T14:17:47.196000Z' },
  }),
  'Cluster Sweep Requested': detail({
    ...{ mode: 'delete', runId: 'run-1', requestedAt: '2026-11-23T14:00:00.000Z', maxDeletions: 3 },
  }),
  Heartbeat: { version: '1' },
}).map(([detailType, one]) =>
  busEvent({ source: EVENT_SOURCE, detailType, detail: one, resources: [], time: new Date(0) }),
);

function triggerText(choices: Choices): string {
  const trigger = structuredClone(choices.of(TRIGGERS)) as { detail: { cluster?: string }; maxDeletions?: number };
  if (trigger.detail.cluster)
    trigger.detail.cluster = choices.of(['shop', 'a', 'bb', 'ccc', 'dddd', 'eeeee', 'ffffffffff', 'none']);
  if (choices.chance(20)) trigger.maxDeletions = 5;
  const text = mutatedJson(trigger, splices, choices);
  return choices.chance(10) ? mutatedText(text, [text], choices) : choices.chance(2) ? `${SECRET}\n` : text;
}

/** One of the recorded clusters, with some of its objects changed. */
export function mutatedCluster(choices: Choices, all: readonly List[] = lists): List {
  const list = choices.of(all);
  const items = [...list.items];
  for (let times = choices.pick(3); times > 0; times -= 1) {
    const at = choices.pick(items.length);
    const changed = mutatedValue(items[at], splices, choices) as List['items'][number];
    items.splice(at, choices.chance(90) ? 1 : 0, changed);
  }
  return { ...list, items };
}

const reap: Target = {
  name: 'reap',
  weight: 16,
  make(choices) {
    const bodies = Array.from({ length: 1 + choices.pick(3) }, () => triggerText(choices));
    const batch = queueBatch(bodies, choices.of([1, 3, 7]));
    const event = choices.chance(30)
      ? (bodies[0] as string)
      : choices.chance(70)
        ? JSON.stringify(batch)
        : mutatedJson(batch, splices, choices);
    const odd = choices.pick(10);
    if (odd === 1)
      return {
        event: JSON.stringify(queueBatch([JSON.stringify(TRIGGERS[choices.pick(2)])])),
        cluster: jsonOf(mutatedCluster(choices)),
      };
    return odd === 2 ? { event, foreign: `${1 + choices.pick(9)}:${choices.pick(FOREIGN.length)}` } : { event };
  },
  run: async (parts) => void (await invoke(parts.cluster === undefined ? 'reap' : 'report', eventOf(parts), parts)),
};

const REQUESTS: readonly object[] = [
  {},
  { clusters: ['shop', 'none'], mode: 'report', concurrency: 3 },
  { mode: 'delete', dispatch: 'bus', maxDeletions: 5 },
  { mode: 'delete', dispatch: 'inline', tags: { team: 'shop' }, maxDeletions: 500 },
  { regions: [REGION, 'us-east-1'], mode: 'delete' },
];
const backfill: Target = {
  name: 'backfill',
  weight: 8,
  make: (choices) => ({ event: mutatedJson(choices.of(REQUESTS), splices, choices) }),
  run: async (parts) => void (await invoke('backfill', eventOf(parts), parts)),
};

const ENROLLMENTS: readonly object[] = [
  {},
  { clusters: ['shop', 'none'], dryRun: true },
  { remove: true, clusters: ['shop'] },
  ...['Create', 'Update', 'Delete'].map((RequestType) => ({
    RequestType,
    ResponseURL: `https://cloudformation.example.com/answer?X-Amz-Signature=${SECRET}`,
    StackId: 'arn:aws:cloudformation:eu-central-1:123456789012:stack/x/1',
    RequestId: 'request',
    LogicalResourceId: 'Enrollment',
    PhysicalResourceId: 'envoy-hpa-reaper-enrollment',
  })),
];
const enroll: Target = {
  name: 'enroll',
  weight: 8,
  make: (choices) => ({ event: mutatedJson(choices.of(ENROLLMENTS), splices, choices) }),
  run: async (parts) => void (await invoke('enroll', eventOf(parts), parts)),
};

export const HANDLERS: readonly Target[] = [forward, reap, backfill, enroll];
