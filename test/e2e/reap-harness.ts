import { readFileSync } from 'node:fs';
import type { Context, EventBridgeEvent, SQSBatchResponse } from 'aws-lambda';
import { afterEach, beforeEach, expect, vi } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { EVENT_SOURCE } from '../../functions/events/event-source.ts';
import type { SweepReport } from '../../functions/events/report.ts';
import { type DescribedCluster, EksDouble, readEksToken } from '../doubles/eks.ts';
import { EventBridgeDouble } from '../doubles/eventbridge.ts';
import type { RbacManifest, User } from '../embedded-cluster/authorization.ts';
import { admin, type EmbeddedCluster, type EmbeddedClusterOptions } from '../embedded-cluster/embedded-cluster.ts';
import { ACCOUNT, busEvent, lambdaContext, queueBatch, REGION } from '../embedded-cluster/event-path.ts';
import { captureOutput, type List, type Output, serve, the } from './harness.ts';

export const SECRET_ACCESS_KEY = 'secret-access-key';
/** The environment of every function. */
export const FUNCTION_ENVIRONMENT = {
  ACCOUNT_ID: ACCOUNT,
  AWS_REGION: REGION,
  AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
  AWS_SECRET_ACCESS_KEY: SECRET_ACCESS_KEY,
  AWS_SESSION_TOKEN: 'secret-session-token',
  AWS_CONFIG_FILE: '/dev/null',
  AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
  // As somebody might set it to look into a problem: the event must stay out of the log all the same.
  POWERTOOLS_LOGGER_LOG_EVENT: 'true',
};
const environment = {
  ...FUNCTION_ENVIRONMENT,
  ...{ MODE: 'delete', EVENT_BUS_NAME: 'envoy-hpa-reaper', AWS_MAX_ATTEMPTS: '1' },
};

export const rbac = parseAllDocuments(readFileSync('infra/kubernetes/rbac.yaml', 'utf8')).map(
  (document) => document.toJS() as RbacManifest,
);

/** What a test has around the function: EKS, a bus, and what the function prints. */
export interface Surroundings {
  eks: EksDouble;
  bus: EventBridgeDouble;
  output: Output;
  /**
   * A cluster that EKS knows. It authenticates the function's role as `user`, by default in the group that
   * `infra/kubernetes/rbac.yaml` authorizes.
   */
  enroll(
    name: string,
    list: List,
    options?: EmbeddedClusterOptions & { user?: User; described?: Partial<DescribedCluster> },
  ): Promise<EmbeddedCluster>;
}

/** Each test has EKS and the environment of the function of its own; none leaves a secret in what was printed. */
export function surroundings(): Surroundings {
  const self = { enroll } as Surroundings;
  const authorities: string[] = [];
  beforeEach(async () => {
    self.eks = new EksDouble();
    self.bus = new EventBridgeDouble();
    self.output = captureOutput();
    for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
    vi.stubEnv('AWS_ENDPOINT_URL_EKS', await self.eks.start());
    vi.stubEnv('AWS_ENDPOINT_URL_EVENTBRIDGE', await self.bus.start());
    vi.resetModules();
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    vi.useRealTimers();
    vi.unstubAllEnvs();
    await self.eks.stop();
    await self.bus.stop();
    expect(self.output.text).not.toMatch(/k8s-aws-v1|Bearer|AKIDEXAMPLE|secret-access-key|secret-session-token/);
    // Powertools drops what a line's attributes name like its own fields.
    expect(self.output.text).not.toContain('reserved key');
    for (const pem of authorities.splice(0)) expect(self.output.text).not.toContain(pem.split('\n')[1]);
  });

  async function enroll(
    name: string,
    list: List,
    {
      user = { username: 'reap', groups: ['envoy-hpa-reaper'] },
      described,
      ...options
    }: Parameters<Surroundings['enroll']>[2] = {},
  ) {
    const isGood = (token: string) => readEksToken(token)?.isGoodFor(name, SECRET_ACCESS_KEY);
    const cluster = await serve(aged(list), {
      rbac,
      users: (token) => (token === 'admin-token' ? admin : isGood(token) ? user : undefined),
      ...options,
    });
    authorities.push(cluster.caCertificate);
    self.eks.clusters.set(name, {
      status: 'ACTIVE',
      endpoint: cluster.url,
      ca: cluster.caCertificate,
      tags: {},
      ...described,
    });
    return cluster;
  }
  return self;
}

/** The function uses the real clock; the server dates what has no date in the list long ago. */
function aged(list: List): List {
  const items = structuredClone(list.items);
  for (const { kind, metadata } of items) {
    const isDatedByTheTest = Date.parse(metadata.creationTimestamp) > Date.now() - 60_000;
    if (kind === 'HorizontalPodAutoscaler' && !isDatedByTheTest) Reflect.deleteProperty(metadata, 'creationTimestamp');
  }
  return { ...list, items };
}

/** Created a moment ago. */
export function young(list: List): List {
  the('HorizontalPodAutoscaler', list).metadata.creationTimestamp = new Date().toISOString();
  return list;
}

type Handler = (event: unknown, context: Context) => Promise<unknown>;

/** The function exactly as Lambda loads it into a new process. */
export async function loadReap(): Promise<Handler> {
  vi.resetModules();
  return (await import('../../functions/reap/handler.ts')).handler as unknown as Handler;
}

export const context = (remaining?: number) => lambdaContext('reap', remaining);

/** One invocation of a new process with a batch of messages: the ids of those that failed. */
export async function reapBatch(bodies: readonly (object | string)[], receiveCount = 1, handler?: Handler) {
  const invoke = handler ?? (await loadReap());
  const texts = bodies.map((body) => (typeof body === 'string' ? body : JSON.stringify(body)));
  const { batchItemFailures } = (await invoke(queueBatch(texts, receiveCount), context())) as SQSBatchResponse;
  return batchItemFailures.map(({ itemIdentifier }) => itemIdentifier);
}

/** One invocation of a new process with an event itself. */
export async function reapEvent(event: unknown, handler?: Handler) {
  const result = await (handler ?? (await loadReap()))(event, context());
  return result as SweepReport | { cluster: string; skipped: string; message: string; remedy: string };
}

/** The same where the cluster is expected to be swept. */
export async function sweepByEvent(event: unknown, handler?: Handler): Promise<SweepReport> {
  const result = await reapEvent(event, handler);
  if ('skipped' in result) throw new Error(`skipped: ${result.message}`);
  return result;
}

const eventOf = (detailType: string, cluster: string, detail: object): EventBridgeEvent<string, object> =>
  busEvent({
    source: EVENT_SOURCE,
    detailType,
    resources: [`arn:aws:eks:${REGION}:${ACCOUNT}:cluster/${cluster}`],
    time: new Date('2026-11-23T14:17:47Z'),
    detail: { version: '1', cluster, ...detail },
  });

/** The event that `forward` publishes for the EnvoyProxy of the stale cluster; a test breaks one field. */
export const changed = (cluster = 'shop', detail: Record<string, unknown> = {}) =>
  eventOf('Envoy Gateway Configuration Changed', cluster, {
    ...{ auditID: 'audit-1', verb: 'patch', user: { username: 'jane@example.com' }, sourceIPs: ['192.0.2.1'] },
    objectRef: {
      ...{ apiGroup: 'gateway.envoyproxy.io', apiVersion: 'v1alpha1', resource: 'envoyproxies' },
      ...{ namespace: 'autoscaling-removed', name: 'proxy' },
    },
    requestReceivedTimestamp: '2026-11-23T14:17:47.000000Z',
    stageTimestamp: '2026-11-23T14:17:47.196000Z',
    lines: 1,
    ...detail,
  });

/** The event that `backfill` publishes for a cluster; a test breaks one field. */
export const requested = (cluster = 'shop', detail: Record<string, unknown> = {}) =>
  eventOf('Cluster Sweep Requested', cluster, {
    ...{ mode: 'delete', runId: 'run-1', requestedAt: '2026-11-23T14:00:00.000Z' },
    ...detail,
  });
