import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { clusterApi } from '../../functions/kubernetes/cluster-api.ts';
import { tooManyRequests } from '../doubles/kube-apiserver.ts';
import { connectionTo, type Intervention } from '../embedded-cluster/embedded-cluster.ts';
import { queueBatch } from '../embedded-cluster/event-path.ts';
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
  the,
  times,
  without,
  writesTo,
} from './harness.ts';
import { changed, loadReap, reapBatch, reapEvent, requested, surroundings, sweepByEvent } from './reap-harness.ts';

const around = surroundings();

describe('an input that is no event of this project', () => {
  const broken = (change: Record<string, unknown>): object => ({ ...changed(), ...change });
  const unexpected = 'not an event of this project: ';

  test.each<[string, unknown, string]>([
    ['nothing', null, `${unexpected}(the event): `],
    ['an audit line', { kind: 'Event', apiVersion: 'audit.k8s.io/v1' }, `${unexpected}detail-type: `],
    ['another source', broken({ source: 'aws.eks' }), `${unexpected}source: `],
    ['our own outcome', broken({ 'detail-type': 'HPA Deleted' }), `${unexpected}detail-type: `],
    ['another version', changed('shop', { version: '2' }), `${unexpected}detail.version: `],
    ['a path as cluster', changed('../shop'), `${unexpected}detail.cluster: `],
    ['two faults', changed('shop', { auditID: 1, lines: 0 }), 'detail.lines: '],
    ['a request without a mode', requested('shop', { mode: undefined }), `${unexpected}detail.mode: `],
    ['a request with a bad limit', requested('shop', { maxDeletions: -1 }), `${unexpected}detail.maxDeletions: `],
    ['another account', broken({ account: '999999999999' }), 'the event is from account 999999999999 in eu-central-1'],
    ['another Region', { ...requested(), region: 'eu-west-1' }, 'from account 123456789012 in eu-west-1, and this'],
    ['no JSON', '{"source":', 'the message body is not JSON'],
  ])('fails its message: %s', async (_, event, reason) => {
    expect(await reapBatch([typeof event === 'string' ? event : JSON.stringify(event)])).toEqual(['message-1']);
    expect(around.eks.described).toEqual([]);
    const line = { level: 'ERROR', message: 'message not understood', messageId: 'message-1' };
    expect(around.output.logged()).toMatchObject([{ ...line, reason: expect.stringContaining(reason) }]);
    expect(around.output.counted('MessagesMalformed')).toBe(1);
  });

  test('fails a direct invocation, which names what is expected', async () => {
    const message = expect.stringMatching(
      /source: .*; expected source envoy-hpa-reaper, detail-type Envoy Gateway Configuration Changed, Cluster Sweep Requested or Heartbeat$/,
    );
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

const list = 'GET /apis/autoscaling/v2/horizontalpodautoscalers was answered';

describe('a cluster is skipped, its message is consumed, and nothing is written, if', () => {
  const readOnly = [
    {
      ...{ kind: 'ClusterRole', metadata: { name: 'reader' } },
      rules: [{ apiGroups: ['*'], resources: ['*'], verbs: ['get', 'list'] }],
    },
    {
      ...{ kind: 'ClusterRoleBinding', metadata: { name: 'reader' } },
      ...{ roleRef: { kind: 'ClusterRole', name: 'reader' }, subjects: [{ kind: 'User', name: 'reap' }] },
    },
  ];
  const described = (change: object) => ({ described: change });
  const forbidden = (verb: string) => new RegExp(`403: .*cannot ${verb} resource "horizontalpodautoscalers"`);
  const enrolls = /reaper enroll --eks CLUSTER` applies the RBAC/;

  test.each<[string, Parameters<typeof around.enroll>[2], string, RegExp, RegExp]>([
    ['EKS does not know it', undefined, 'ClusterNotFound', /^there is no cluster shop in eu-central-1$/, /if it was/],
    ['it is CREATING', described({ status: 'CREATING' }), 'ClusterNotActive', /^cluster shop is CREATING/, /ACTIVE/],
    ['it is DELETING', described({ status: 'DELETING' }), 'ClusterNotActive', /^cluster shop is DELETING/, /ACTIVE/],
    ['it has no endpoint', described({ endpoint: undefined }), 'ClusterNotActive', /^cluster shop is ACTIVE/, /ACTIVE/],
    ['it opted out', described({ tags: { 'envoy-hpa-reaper': 'off' } }), 'ClusterOptedOut', /=off$/, /^Remove the tag/],
    [
      'it does not authenticate the token',
      { users: {} },
      'ClusterUnauthorized',
      /401: Unauthorized$/,
      /access entries/,
    ],
    ['it authorizes nothing', { rbac: [] }, 'ClusterForbidden', forbidden('list'), enrolls],
    ['it authorizes reading only', { rbac: readOnly }, 'ClusterForbidden', forbidden('patch'), enrolls],
    ['it has no CRDs', { customResources: false }, 'CustomResourcesNotInstalled', /is not known to this/, /CRDs/],
  ])('%s', async (_, options, skipped, message, remedy) => {
    const cluster = options && (await around.enroll('shop', staleList(), options));
    const handler = await loadReap();
    expect(await reapBatch([changed()], 1, handler)).toEqual([]);
    const explained = { message: expect.stringMatching(message), remedy: expect.stringMatching(remedy) };
    expect(await reapEvent(changed(), handler)).toEqual({ cluster: 'shop', skipped, ...explained });
    expect(around.output.logged()[0]).toMatchObject({
      ...{ level: 'WARN', message: 'cluster skipped', cluster: 'shop', reason: skipped, auditIDs: ['audit-1'] },
      ...{ explanation: explained.message, remedy: explained.remedy },
    });
    expect(around.output.counted('ClustersSkipped')).toBe(2);
    // Its endpoint is looked up again.
    expect(around.eks.described).toEqual(['shop', 'shop']);
    if (cluster === undefined) return;
    expect(hpasOf(cluster)).toEqual([STALE]);
    expect(requestsOf(cluster, 'DELETE')).toEqual([]);
    if (options?.described) expect(cluster.requests).toEqual([]);
  });
});

test('a cluster is swept if its tag is not off', async () => {
  const cluster = await around.enroll('shop', staleList(), { described: { tags: { 'envoy-hpa-reaper': 'on' } } });
  expect(await reapBatch([changed()])).toEqual([]);
  expect(hpasOf(cluster)).toEqual([]);
});

/** By its message, which comes back, and directly, where Lambda retries it. */
async function isRetried(reason: RegExp): Promise<void> {
  const reap = await loadReap();
  expect(await reapBatch([changed()], 4, reap)).toEqual(['message-1']);
  const name = expect.stringMatching(/^(Retryable|NoAnswer|ForeignAnswer|Overloaded)Error$/);
  await expect(reapEvent(changed(), reap)).rejects.toMatchObject({ name });
  const explanation = expect.stringMatching(reason);
  const failed = { level: 'ERROR', message: 'sweep failed', cluster: 'shop', explanation };
  expect(around.output.logged()).toMatchObject([failed, failed, { level: 'ERROR', error: name, reason: explanation }]);
  expect(around.output.counted('SweepsFailed')).toBe(2);
}

describe('EKS', () => {
  test.each([
    [429, 'ThrottlingException'],
    [500, 'ServerException'],
  ])('that does not describe the cluster now (%i %s) leads to a retry', async (status, type) => {
    const cluster = await around.enroll('shop', staleList());
    around.eks.failRequests(2, status, type);
    await isRetried(/^EKS could not describe cluster shop: refused by the test$/);
    expect(cluster.requests).toEqual([]);
  });

  test('that refuses to describe the cluster is reported once, since a person has to allow it', async () => {
    await around.enroll('shop', staleList(), { described: { denied: true } });
    expect(await reapBatch([changed()])).toEqual([]);
    await expect(reapEvent(changed())).rejects.toMatchObject({ name: 'AwsAccessError' });
    expect(around.output.logged()[0]).toMatchObject({ level: 'ERROR', reason: 'AwsAccessRefused' });
    const unreachable = { DetailType: 'Cluster Unreachable' };
    expect(around.bus.taken).toMatchObject([unreachable, unreachable]);
  });
});

test('a cluster with a private endpoint only, which does not answer, is reported as such', async () => {
  await around.enroll('shop', staleList(), { described: { publicAccess: false, endpoint: 'https://127.0.0.1:1' } });
  expect(await reapBatch([changed()], 4)).toEqual(['message-1']);
  expect(around.output.logged()).toMatchObject([
    {
      level: 'ERROR',
      reason: 'ClusterEndpointPrivate',
      remedy: expect.stringMatching(/^Run this from within the VPC/),
    },
  ]);
  expect(around.output.counted('ClustersUnreachable')).toBe(1);
});

describe('an API server that', () => {
  const answers = (body: string | object, type = 'application/json'): Intervention => ({
    ...{ kind: 'respond', status: 200, headers: { 'Content-Type': type }, body: body as never },
  });
  const status = (code: number, message: string): Intervention => ({
    ...{ kind: 'respond', status: code },
    body: { kind: 'Status', apiVersion: 'v1', status: 'Failure', message, code },
  });
  const gone = status(500, 'storage is gone');

  test.each<[string, Intervention, RegExp, string?]>([
    [
      'resets connections',
      { kind: 'reset' },
      /^no whole answer from 127\.0\.0\.1:\d+: (socket hang up|read ECONNRESET)/,
    ],
    ['cuts the body', { kind: 'cut', after: 100 }, /^no whole answer from 127\.0\.0\.1:\d+: aborted/],
    ['answers HTML', answers('<html>', 'text/html'), new RegExp(`^${list} 200 with text/html: `)],
    ['answers half a JSON', answers('{"items":['), /cut or no JSON/],
    ['answers JSON that is no list', answers({}), /^a list was answered without items$/],
    ['is overloaded', tooManyRequests(1), new RegExp(`^${list} 429: Too many requests, please try again later\\.`)],
    ['fails', status(500, 'leader changed'), new RegExp(`^${list} 500: leader changed`)],
    ['fails for GatewayClasses only', gone, /500: storage is gone/, '/gatewayclasses'],
    ['fails for ConfigMaps only', gone, /500: storage is gone/, '/configmaps'],
  ])(
    '%s is retried without a write, and its endpoint is looked up again',
    async (_, intervention, reason, only = '') => {
      const cluster = await around.enroll('shop', staleList());
      cluster.onRequest = ({ path }) => (path.endsWith(only) ? intervention : undefined);
      await isRetried(reason);
      expect(around.eks.described).toEqual(['shop', 'shop']);
      expect(writesTo(cluster)).toEqual([]);
    },
  );

  test('hangs gives no answer after the timeout', async () => {
    const cluster = await serve(staleList());
    cluster.onRequest = () => ({ kind: 'hang' });
    const api = clusterApi(connectionTo(cluster), 100);
    onTestFinished(() => api.close());
    const message = expect.stringMatching(/^no whole answer from 127\.0\.0\.1:\d+: no answer within 0\.1 s/);
    await expect(api.hpas.list()).rejects.toMatchObject({ name: 'NoAnswerError', message });
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
    ['EnvoyProxy', { provider: 'Kubernetes' }, / autoscaling-removed\/proxy has a shape .*: spec\.provider: /],
    ['HorizontalPodAutoscaler', { maxReplicas: 'many' }, new RegExp(` ${STALE} has a shape .*: spec\\.maxReplicas: `)],
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

  test('names every variable that is missing', async () => {
    vi.stubEnv('ACCOUNT_ID', undefined);
    vi.stubEnv('MODE', undefined);
    await expect(loadReap()).rejects.toThrow('ACCOUNT_ID is missing; MODE is missing');
  });
});
