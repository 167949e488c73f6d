import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { eksClusterDirectory } from '../../functions/aws/cluster-directory.ts';
import { type ClusterApi, clusterApi } from '../../functions/kubernetes/cluster-api.ts';
import { createHandler } from '../../functions/reap/reap.ts';
import { tooManyRequests } from '../doubles/kube-apiserver.ts';
import { connectionTo, type Intervention } from '../embedded-cluster/embedded-cluster.ts';
import { ACCOUNT, queueBatch, REGION } from '../embedded-cluster/event-path.ts';
import {
  beforeFirst,
  hpasOf,
  type List,
  outcomesOf,
  requestsOf,
  rewrite,
  STALE,
  serve,
  staleList,
  sweep,
  the,
  times,
  without,
  writesTo,
} from './harness.ts';
import {
  changed,
  loadReap,
  type rbac,
  reapBatch,
  reapEvent,
  requested,
  surroundings,
  sweepByEvent,
} from './reap-harness.ts';

const around = surroundings();

describe('an input that is no event of this project', () => {
  const broken = (change: Record<string, unknown>): object => ({ ...changed(), ...change });
  const withDetail = (detail: Record<string, unknown>): object => changed('shop', detail);
  const expected =
    /; expected source envoy-hpa-reaper, detail-type Envoy Gateway Configuration Changed, Cluster Sweep Requested or Heartbeat$/
      .source;
  const events: [string, unknown, RegExp][] = [
    ['nothing', null, /^not an event of this project: \(the event\): /],
    ['an audit line', { kind: 'Event', apiVersion: 'audit.k8s.io/v1' }, new RegExp(`: detail-type: .*${expected}`)],
    ['a notice of S3', { Records: [{ eventSource: 'aws:s3' }] }, new RegExp(`: detail-type: .*${expected}`)],
    ['another source', broken({ source: 'aws.eks' }), new RegExp(`: source: [^;]*${expected}`)],
    ['our own outcome', broken({ 'detail-type': 'HPA Deleted' }), new RegExp(`: detail-type: [^;]*${expected}`)],
    ['no detail', broken({ detail: undefined }), new RegExp(`: detail: [^;]*${expected}`)],
    ['another version', withDetail({ version: '2' }), new RegExp(`: detail.version: [^;]*${expected}`)],
    ['a path as cluster', withDetail({ cluster: '../shop' }), new RegExp(`: detail.cluster: [^;]*${expected}`)],
    ['two faults', withDetail({ auditID: 1, lines: 0 }), /: detail.auditID: .*; detail.lines: /],
    ['a request without a mode', requested('shop', { mode: undefined }), /: detail.mode: /],
    ['a request with a bad limit', requested('shop', { maxDeletions: -1 }), /: detail.maxDeletions: /],
    [
      'another account',
      broken({ account: '999999999999' }),
      /^the event is from account 999999999999 in eu-central-1, and this function serves 123456789012 in eu-central-1$/,
    ],
    ['another Region', { ...requested(), region: 'eu-west-1' }, /^the event is from account 123456789012 in eu-west-1/],
    ['no JSON', '{"source":', /^the message body is not JSON: /],
  ];

  test.each(events)('fails its message: %s', async (_, event, reason) => {
    expect(await reapBatch([typeof event === 'string' ? event : JSON.stringify(event)])).toEqual(['message-1']);
    expect(around.eks.described).toEqual([]);
    const line = { level: 'ERROR', message: 'message not understood', messageId: 'message-1' };
    expect(around.output.logged()).toMatchObject([{ ...line, reason: expect.stringMatching(reason) }]);
    expect(around.output.counted('MessagesMalformed')).toBe(1);
  });

  test('fails a direct invocation', async () => {
    const message = expect.stringMatching(/^not an event of this project: source: /);
    const event = broken({ source: 'aws.eks' });
    await expect(reapEvent(event)).rejects.toMatchObject({ name: 'MalformedInputError', message });
    expect(around.output.logged()).toMatchObject([
      { level: 'ERROR', message: 'event not handled', error: 'MalformedInputError' },
    ]);
  });

  test('fails a batch of another shape as a whole', async () => {
    const { Records } = queueBatch([JSON.stringify(changed())]);
    const nameless = Records.map(({ messageId: _, ...record }) => record);
    await expect(reapEvent({ Records: nameless })).rejects.toMatchObject({ name: 'MalformedInputError' });
  });
});

/** By its message (consumed, whatever the outcome) and directly. */
async function isSkipped(skipped: string, message: RegExp, remedy: RegExp): Promise<void> {
  const handler = await loadReap();
  expect(await reapBatch([changed()], 1, handler)).toEqual([]);
  expect(await reapEvent(changed(), handler)).toEqual({
    ...{ cluster: 'shop', skipped },
    message: expect.stringMatching(message),
    remedy: expect.stringMatching(remedy),
  });
  expect(around.output.logged()[0]).toMatchObject({
    ...{ level: 'WARN', message: 'cluster skipped', cluster: 'shop', reason: skipped, auditIDs: ['audit-1'] },
    explanation: expect.stringMatching(message),
    remedy: expect.stringMatching(remedy),
  });
  expect(around.output.counted('ClustersSkipped')).toBe(2);
}

/** RetryableError and the classes that say more of it (functions/platform/errors.ts). */
const RETRIED = /^(Retryable|NoAnswer|Overloaded)Error$/;

/** By its message (which comes back) and directly (where Lambda tries it again). */
async function isRetried(reason: RegExp, handler?: Awaited<ReturnType<typeof loadReap>>): Promise<void> {
  const reap = handler ?? (await loadReap());
  expect(await reapBatch([changed()], 4, reap)).toEqual(['message-1']);
  await expect(reapEvent(changed(), reap)).rejects.toMatchObject({ name: expect.stringMatching(RETRIED) });
  if (handler === undefined) {
    const failed = {
      level: 'ERROR',
      message: 'sweep failed',
      cluster: 'shop',
      explanation: expect.stringMatching(reason),
    };
    expect(around.output.logged()).toMatchObject([
      failed,
      failed,
      { level: 'ERROR', error: expect.stringMatching(RETRIED), reason: expect.stringMatching(reason) },
    ]);
    expect(around.output.counted('SweepsFailed')).toBe(2);
  }
}

describe('a cluster that EKS', () => {
  test('does not know is skipped', async () => {
    await isSkipped('ClusterNotFound', /^there is no cluster shop in eu-central-1$/, /if it was deleted/);
  });

  test.each<[string, object]>([
    ['CREATING', {}],
    ['DELETING', {}],
    ['ACTIVE', { endpoint: undefined, ca: undefined }],
  ])('describes as %s with %j is skipped', async (status, rest) => {
    const cluster = await around.enroll('shop', staleList(), { described: { status, ...rest } });
    await isSkipped('ClusterNotActive', new RegExp(`^cluster shop is ${status}`), /^Once it is ACTIVE/);
    expect(cluster.requests).toEqual([]);
  });

  test('has the opt-out tag of is skipped, and swept once the tag is gone', async () => {
    const cluster = await around.enroll('shop', staleList(), { described: { tags: { 'envoy-hpa-reaper': 'off' } } });
    await isSkipped('ClusterOptedOut', /tagged envoy-hpa-reaper=off/, /Remove the tag/);
    expect(cluster.requests).toEqual([]);
    Object.assign(around.eks.clusters.get('shop') ?? {}, { tags: { 'envoy-hpa-reaper': 'on' } });
    expect(await reapBatch([changed()])).toEqual([]);
    expect(hpasOf(cluster)).toEqual([]);
  });

  test.each([
    [429, 'ThrottlingException'],
    [500, 'ServerException'],
  ])('does not describe now (%i %s) is retried', async (status, type) => {
    const cluster = await around.enroll('shop', staleList());
    around.eks.failRequests(2, status, type);
    await isRetried(/^EKS could not describe cluster shop: refused by the test$/);
    expect(cluster.requests).toEqual([]);
  });

  test('refuses to describe is reported once, and its message is consumed: a person has to allow it', async () => {
    await around.enroll('shop', staleList(), { described: { denied: true } });
    expect(await reapBatch([changed()])).toEqual([]);
    await expect(reapEvent(changed())).rejects.toMatchObject({ name: 'AwsAccessError' });
    expect(around.output.logged()[0]).toMatchObject({ level: 'ERROR', reason: 'AwsAccessRefused' });
    expect(around.bus.taken).toMatchObject([
      { DetailType: 'Cluster Unreachable' },
      { DetailType: 'Cluster Unreachable' },
    ]);
  });
});

describe('an API server that', () => {
  const html: Intervention = {
    ...{ kind: 'respond', status: 200, headers: { 'Content-Type': 'text/html' } },
    body: '<html><body>Please log in.</body></html>',
  };
  const status = (code: number, message: string): Intervention => ({
    ...{ kind: 'respond', status: code },
    body: { kind: 'Status', apiVersion: 'v1', status: 'Failure', message, code },
  });
  const list = 'GET /apis/autoscaling/v2/horizontalpodautoscalers was answered';

  test.each<[string, Intervention, RegExp]>([
    [
      'resets connections',
      { kind: 'reset' },
      /^no whole answer from 127\.0\.0\.1:\d+: (socket hang up|read ECONNRESET)/,
    ],
    ['cuts the body', { kind: 'cut', after: 100 }, /^no whole answer from 127\.0\.0\.1:\d+: aborted/],
    ['answers HTML', html, new RegExp(`^${list} 200 with text/html, not JSON$`)],
    [
      'answers half a JSON',
      { ...html, headers: { 'Content-Type': 'application/json' }, body: '{"items":[' },
      /cut or no JSON/,
    ],
    ['answers JSON that is no list', { ...html, headers: {}, body: {} }, /^a list was answered without items$/],
    ['is overloaded', tooManyRequests(1), new RegExp(`^${list} 429: Too many requests, please try again later\\.`)],
    ['fails', status(500, 'etcdserver: leader changed'), new RegExp(`^${list} 500: etcdserver: leader changed`)],
  ])('%s is retried, and its endpoint is looked up again', async (_, intervention, reason) => {
    const cluster = await around.enroll('shop', staleList());
    cluster.onRequest = () => intervention;
    await isRetried(reason);
    expect(around.eks.described).toEqual(['shop', 'shop']);
    expect(writesTo(cluster)).toEqual([]);
  });

  test('hangs is retried after the timeout', async () => {
    const cluster = await around.enroll('shop', staleList());
    cluster.onRequest = () => ({ kind: 'hang' });
    const errors: unknown[][] = [];
    const log = { info: () => {}, warn: () => {}, error: (...line: unknown[]) => void errors.push(line) };
    const handler = createHandler({
      config: {
        ...{ ACCOUNT_ID: ACCOUNT, AWS_REGION: REGION, MODE: 'delete' },
        ...{ MAX_DELETIONS: 25, SETTLE_HPA_SECONDS: 120, SETTLE_CONFIG_SECONDS: 180, EVENT_BUS_NAME: 'bus' },
      },
      eventBus: { put: async () => {} },
      directory: eksClusterDirectory(REGION, { timeout: 100 }),
      log,
      metrics: { add: () => {} },
      now: () => new Date(),
    });
    await isRetried(/./, handler as never);
    expect(JSON.stringify(errors)).toMatch(/no whole answer from 127\.0\.0\.1:\d+: no answer within 0\.1 s/);
  });

  test('does not authenticate the token is skipped after one retry', async () => {
    const cluster = await around.enroll('shop', staleList(), { users: {} });
    await isSkipped(
      'ClusterUnauthorized',
      new RegExp(`^${list} 401: Unauthorized$`),
      /reaper enroll --eks CLUSTER` creates the access entries/,
    );
    expect(around.eks.described).toEqual(['shop', 'shop']);
    expect(writesTo(cluster)).toEqual([]);
  });

  const reader: typeof rbac = [
    {
      ...{ kind: 'ClusterRole', metadata: { name: 'reader' } },
      rules: [{ apiGroups: ['*'], resources: ['*'], verbs: ['get', 'list'] }],
    },
    {
      ...{ kind: 'ClusterRoleBinding', metadata: { name: 'reader' } },
      ...{ roleRef: { kind: 'ClusterRole', name: 'reader' }, subjects: [{ kind: 'User', name: 'reap' }] },
    },
  ];
  test.each<[string, typeof rbac, RegExp]>([
    ['nothing', [], /403: .*cannot list resource "horizontalpodautoscalers"/],
    ['reading only', reader, /403: .*cannot patch resource "horizontalpodautoscalers"/],
  ])('authorizes %s is skipped, and keeps everything', async (_, rules, message) => {
    const cluster = await around.enroll('shop', staleList(), { rbac: rules });
    await isSkipped('ClusterForbidden', message, /reaper enroll --eks CLUSTER` applies the RBAC/);
    expect(around.eks.described).toEqual(['shop', 'shop']);
    expect(hpasOf(cluster)).toEqual([STALE]);
  });

  test('has no custom resources is skipped, and keeps everything', async () => {
    const cluster = await around.enroll('shop', staleList(), { customResources: false });
    await isSkipped('CustomResourcesNotInstalled', /is not known to this API server/, /CRDs/);
    expect(writesTo(cluster)).toEqual([]);
  });

  test.each(['gatewayclasses', 'configmaps'])('fails for %s only gets no write', async (plural) => {
    const cluster = await around.enroll('shop', staleList());
    cluster.onRequest = ({ path }) => (path.endsWith(`/${plural}`) ? status(500, 'storage is gone') : undefined);
    await isRetried(/500: storage is gone/);
    expect(writesTo(cluster)).toEqual([]);
  });

  test('fails at the second assessment has nothing deleted', async () => {
    const cluster = await around.enroll('shop', staleList());
    let marked = false;
    cluster.onRequest = ({ method, path }) => {
      marked ||= method === 'PATCH';
      return marked && path.endsWith('/envoyproxies') ? status(500, 'storage is gone') : undefined;
    };
    await isRetried(/500: storage is gone/);
    expect(requestsOf(cluster, 'DELETE')).toEqual([]);
  });

  test.each(['PATCH', 'DELETE'])(
    'fails one %s of three fails that HPA alone, and its message comes back',
    async (method) => {
      const cluster = await around.enroll('shop', times(3, staleList()));
      beforeFirst(method, cluster, () => tooManyRequests(1));
      expect(await reapBatch([changed()], 4)).toEqual(['message-1']);
      expect(hpasOf(cluster)).toHaveLength(1);
      expect(around.output.counted('HpasDeleted')).toBe(2);
      expect(around.output.counted('HpasFailed')).toBe(1);
      expect(around.output.logged()).toContainEqual(
        expect.objectContaining({ outcome: 'Failed', answer: expect.stringContaining('Too many requests') }),
      );
    },
  );

  test('forbids one mark ends the sweep only when no other write is under way', async () => {
    const cluster = await serve(times(2, staleList()));
    const api = clusterApi(connectionTo(cluster));
    onTestFinished(() => api.close());
    const refused = Promise.withResolvers<void>();
    const ends: string[] = [];
    const mark: ClusterApi['hpas']['mark'] = async (hpa) => {
      try {
        const answer = await api.hpas.mark(hpa);
        ends.push(answer.result);
        return answer;
      } catch (error) {
        ends.push('forbidden');
        refused.resolve();
        throw error;
      }
    };
    const forbidden = status(403, 'hpa "a" is forbidden: User "reap" cannot patch resource "horizontalpodautoscalers"');
    cluster.onRequest = async ({ method }) => {
      if (method !== 'PATCH') return undefined;
      if (requestsOf(cluster, 'PATCH').length === 1) return forbidden;
      await refused.promise;
      return undefined;
    };
    await expect(sweep(cluster, { api: { ...api, hpas: { ...api.hpas, mark } } })).rejects.toMatchObject({
      reason: 'ClusterForbidden',
    });
    expect(ends).toEqual(['forbidden', 'done']);
  });
});

describe('a configuration that cannot be read', () => {
  const withConfig = (yaml: string): List => {
    const list = staleList();
    the('ConfigMap', list).data = { 'envoy-gateway.yaml': yaml };
    return list;
  };

  test.each<[string, List]>([
    ['no ConfigMap', without(staleList(), 'ConfigMap')],
    ['a ConfigMap with a field of another shape', withConfig('kind: EnvoyGateway\ngateway: [controllerName]')],
  ])('keeps everything and is not retried: %s', async (_, list) => {
    const cluster = await around.enroll('shop', list);
    expect(await reapBatch([changed()])).toEqual([]);
    expect(writesTo(cluster)).toEqual([]);
    expect(around.output.logged()).toContainEqual(
      expect.objectContaining({ outcome: 'Kept', reason: 'DefaultsUnreadable', explanation: expect.any(String) }),
    );
  });

  test('is used once it becomes readable, in a process that has seen it before', async () => {
    const cluster = await around.enroll('shop', withConfig('{'));
    const handler = await loadReap();
    expect(outcomesOf(await sweepByEvent(changed(), handler))).toEqual([`${STALE}: Kept, DefaultsUnreadable`]);
    rewrite(cluster, 'configmaps', (configMap) =>
      Object.assign(configMap, { data: the('ConfigMap', staleList()).data }),
    );
    expect(outcomesOf(await sweepByEvent(changed(), handler))).toEqual([`${STALE}: Deleted, AutoscalingRemoved`]);
  });

  test.each<[string, object, RegExp]>([
    [
      'EnvoyProxy',
      { provider: 'Kubernetes' },
      /^EnvoyProxy autoscaling-removed\/proxy has a shape .*: spec\.provider: /,
    ],
    [
      'HorizontalPodAutoscaler',
      { maxReplicas: 'many' },
      new RegExp(`^HorizontalPodAutoscaler ${STALE} has a shape .*: spec\\.maxReplicas: `),
    ],
  ])(
    'fails the sweep when an object of kind %s has an unknown shape, and nothing is written',
    async (kind, spec, message) => {
      const list = staleList();
      Object.assign(the(kind, list).spec, spec);
      const cluster = await around.enroll('shop', list);
      await isRetried(message);
      expect(writesTo(cluster)).toEqual([]);
    },
  );
});

describe('the environment', () => {
  test('is rejected with every fault at once, and without its values', async () => {
    vi.stubEnv('ACCOUNT_ID', '1234');
    vi.stubEnv('AWS_REGION', 'Frankfurt');
    vi.stubEnv('EVENT_BUS_NAME', 'secret bus');
    vi.stubEnv('MODE', 'destroy');
    vi.stubEnv('MAX_DELETIONS', '-7');
    vi.stubEnv('SETTLE_HPA_SECONDS', '3601');
    vi.stubEnv('SETTLE_CONFIG_SECONDS', 'soon');
    vi.stubEnv('CONTROLLER_NAMESPACES', 'eg,,Shop');
    const failure = await loadReap().catch((error: unknown) => error);
    const faults = [
      'ACCOUNT_ID: expected the 12 digits of an AWS account',
      'AWS_REGION: expected an AWS Region',
      'MODE: expected report or delete',
      'MAX_DELETIONS: expected a whole number from 0 to 10000',
      'SETTLE_HPA_SECONDS: expected a whole number from 0 to 1800',
      'SETTLE_CONFIG_SECONDS: expected a whole number from 0 to 1800',
      'CONTROLLER_NAMESPACES: expected comma-separated names of namespaces',
      "EVENT_BUS_NAME: expected an event bus's name or ARN",
    ];
    expect(String(failure)).toBe(`ConfigurationError: the environment does not fit: ${faults.join('; ')}`);
    expect(String(failure)).not.toMatch(/1234|Frankfurt|secret|destroy|-7|3601|soon|Shop/);
  });

  test('has a default for every optional variable', async () => {
    await expect(loadReap()).resolves.toBeTypeOf('function');
    vi.stubEnv('ACCOUNT_ID', undefined);
    vi.stubEnv('MODE', undefined);
    await expect(loadReap()).rejects.toThrow('ACCOUNT_ID is missing; MODE is missing');
  });
});
