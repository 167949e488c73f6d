import { describe, expect, test, vi } from 'vitest';
import { type SweepReport, sweepReportSchema } from '../../functions/events/report.ts';
import { waitFor } from '../contract/server.ts';
import { readEksToken } from '../doubles/eks.ts';
import { tooManyRequests } from '../doubles/kube-apiserver.ts';
import type { Intervention, ReceivedRequest } from '../embedded-cluster/embedded-cluster.ts';
import { queueBatch } from '../embedded-cluster/event-path.ts';
import type { KubernetesObject } from '../embedded-cluster/objects.ts';
import {
  beforeFirst,
  deleteAsAdmin,
  hpasOf,
  listOf,
  outcomesOf,
  requestsOf,
  rewrite,
  STALE,
  serve,
  staleList,
  the,
  times,
  wantedList,
  without,
  withTenantConfig,
  writesTo,
} from './harness.ts';
import {
  changed,
  context,
  loadReap,
  reapBatch,
  reapEvent,
  requested,
  surroundings,
  sweepByEvent,
  young,
} from './reap-harness.ts';

const around = surroundings();

describe('reap', () => {
  test('deletes the HPA that a message leads to, logs its whole manifest before, and counts it', async () => {
    const cluster = await around.enroll('shop', staleList());
    const [manifest] = cluster.objects('horizontalpodautoscalers');
    const deleting = { message: 'deleting HPA', cluster: 'shop', reason: 'AutoscalingRemoved', manifest };
    let loggedBefore: object[] = [];
    beforeFirst('DELETE', cluster, () => {
      loggedBefore = around.output.logged();
    });

    expect(await reapBatch([changed()])).toEqual([]);

    expect(hpasOf(cluster)).toEqual([]);
    expect(loggedBefore).toMatchObject([deleting]);
    const name = STALE.split('/')[1];
    expect(around.output.logged()).toMatchObject([
      { level: 'INFO', ...deleting },
      {
        level: 'INFO',
        message: `HPA ${STALE}: Deleted, AutoscalingRemoved`,
        ...{ cluster: 'shop', name, action: 'delete', replicas: { min: 2, max: 5, after: { kind: 'Stays' } } },
        changes: [{ username: 'jane@example.com', auditID: 'audit-1', verb: 'patch' }],
      },
      {
        ...{ level: 'INFO', message: 'sweep finished', mode: 'delete' },
        ...{ outcomes: { Deleted: 1 }, missing: 0, lookAgain: false, auditIDs: ['audit-1'] },
      },
    ]);
    expect(around.output.counted('HpasDeleted')).toBe(1);
  });

  test('deletes on a direct invocation with an event, and answers with the report', async () => {
    const cluster = await around.enroll('shop', staleList());
    const [stale] = cluster.objects('horizontalpodautoscalers');
    const event = changed('shop', { user: { username: 'deployer', impersonatedUsername: 'jane' } });

    const report = await sweepByEvent(event);

    expect(hpasOf(cluster)).toEqual([]);
    expect(sweepReportSchema.parse(structuredClone(report))).toEqual(report);
    expect(report).toMatchObject({ schemaVersion: 1, cluster: 'shop', mode: 'delete', lookAgain: false });
    expect(report.hpas).toMatchObject([{ outcome: 'Deleted', manifest: stale, dropsCapacity: false }]);
    expect(report.changes).toEqual([
      {
        ...{ username: 'deployer', impersonatedUsername: 'jane', auditID: 'audit-1', verb: 'patch' },
        ...{ resource: 'envoyproxies', namespace: 'autoscaling-removed', name: 'proxy' },
        time: '2026-11-23T14:17:47.196000Z',
      },
    ]);
  });
});

describe('a stale HPA', () => {
  test('is held back as a whole above the limit, unless a person raises it for one sweep, which the queue cannot', async () => {
    const cluster = await around.enroll('shop', times(3, staleList()));
    vi.stubEnv('MAX_DELETIONS', '2');
    const handler = await loadReap();
    const raised = { ...changed(), maxDeletions: 3 };
    expect(await reapBatch([raised], 1, handler)).toEqual([]);
    expect([around.output.counted('HpasHeldBack'), writesTo(cluster)]).toEqual([3, []]);
    const guard = { name: 'BlastRadiusExceeded', explanation: '3 deletions at once, and the limit is 2' };
    expect(around.output.logged()[0]).toMatchObject({ level: 'WARN', outcome: 'HeldBack', guard });
    expect(outcomesOf(await sweepByEvent({ ...raised, maxDeletions: 2 }, handler))).toEqual(
      hpasOf(cluster).map((key) => `${key}: HeldBack, AutoscalingRemoved`),
    );
    await expect(reapEvent({ ...raised, maxDeletions: 'all' }, handler)).rejects.toThrow('maxDeletions: expected');
    await sweepByEvent(raised, handler);
    expect(hpasOf(cluster)).toEqual([]);
  });

  test.each([
    ['UPDATE', 403, 'MarkRefused'],
    ['UPDATE', 422, 'MarkRefused'],
    ['DELETE', 403, 'DeleteRefused'],
  ])('is unchanged when an admission policy refuses the %s with %i', async (refused, code, outcome) => {
    const message = 'never on a Friday';
    const cluster = await around.enroll('shop', staleList(), {
      admission: ({ operation }) =>
        operation === refused ? { webhook: 'policy.example.com', code, message } : undefined,
    });
    expect(await reapBatch([changed()])).toEqual([]);
    expect(around.output.logged()).toContainEqual(
      expect.objectContaining({ level: 'WARN', outcome, answer: expect.stringContaining(message) }),
    );
    expect(hpasOf(cluster)).toEqual([STALE]);
  });

  test('is not deleted when something silently drops the mark', async () => {
    const cluster = await around.enroll('shop', staleList());
    const [stale] = cluster.objects('horizontalpodautoscalers') as [KubernetesObject];
    beforeFirst('PATCH', cluster, () => ({ kind: 'respond', status: 200, body: stale as never }));
    const report = await sweepByEvent(changed());
    expect(report.hpas).toMatchObject([
      { outcome: 'MarkRefused', message: 'the API server accepted the mark and did not keep it' },
    ]);
    expect(requestsOf(cluster, 'DELETE')).toEqual([]);
  });
});

test.each([
  ['', [STALE]],
  ['other,envoy-gateway-system', []],
  ['other', [STALE]],
])(
  "with the controller namespaces '%s', a ConfigMap of a tenant that cannot be read leaves %j",
  async (names, left) => {
    vi.stubEnv('CONTROLLER_NAMESPACES', names);
    const cluster = await around.enroll('shop', withTenantConfig(staleList()));
    expect(await reapBatch([changed()])).toEqual([]);
    expect(hpasOf(cluster)).toEqual(left);
  },
);

describe('a state that settles', () => {
  const stillRuns = () => {
    const list = listOf('gateway-deleted-v1.3.0');
    const { namespace, name } = the('HorizontalPodAutoscaler', list).metadata;
    const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { namespace, name }, spec: {} };
    return { ...list, items: [...list.items, deployment as unknown as KubernetesObject] };
  };
  /** A Gateway that Envoy Gateway has not reconciled since its last change. */
  const notObserved = () => {
    const list = staleList();
    the('Gateway', list).metadata.generation = 2;
    return list;
  };

  test.each([
    ['a young HPA', () => young(staleList()), 'HeldBack', 'Settling'],
    ['a Deployment that still runs', stillRuns, 'Kept', 'ScaleTargetStillRuns'],
    ['a Gateway whose status is older than its spec', notObserved, 'Kept', 'NotObserved'],
  ])('brings its message back until the seventh time: %s', async (_, list, outcome, why) => {
    const cluster = await around.enroll('shop', list());
    const handler = await loadReap();
    expect(await reapBatch([changed()], 6, handler)).toEqual(['message-1']);
    expect(await reapBatch([changed()], 7, handler)).toEqual([]);
    expect(writesTo(cluster)).toEqual([]);
    expect(around.output.text).toContain(`"${why}"`);
    expect(around.output.counted(`Hpas${outcome}`)).toBe(2);
    expect(around.output.logged()).toContainEqual(
      expect.objectContaining({ level: 'WARN', message: 'giving up after 7 receives; the next sweep retries' }),
    );
  });

  test('brings back only the messages of a batch that were not received seven times', async () => {
    await around.enroll('shop', young(staleList()));
    const { Records } = queueBatch([changed(), changed()].map((event) => JSON.stringify(event)));
    for (const record of Records.slice(1)) record.attributes.ApproximateReceiveCount = '7';
    const handler = await loadReap();
    expect(await handler({ Records }, context())).toEqual({ batchItemFailures: [{ itemIdentifier: 'message-1' }] });
  });

  test('leads to a deletion once it has settled', async () => {
    const cluster = await around.enroll('shop', young(staleList()));
    const handler = await loadReap();
    expect(await reapBatch([changed()], 1, handler)).toEqual(['message-1']);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 121_000 });
    expect(await reapBatch([changed()], 2, handler)).toEqual([]);
    expect(hpasOf(cluster)).toEqual([]);
  });
});

describe('when somebody else writes during the sweep, reap', () => {
  const writeStatus = (hpa: KubernetesObject) => {
    hpa.status = { ...hpa.status, desiredReplicas: 3 };
    hpa.metadata.managedFields?.push({
      ...{ manager: 'kube-controller-manager', operation: 'Update', apiVersion: 'autoscaling/v2' },
      ...{ subresource: 'status', fieldsType: 'FieldsV1', fieldsV1: { 'f:status': { 'f:desiredReplicas': {} } } },
    });
  };
  const preconditions = (request: ReceivedRequest) => JSON.parse(request.body).preconditions;

  test('follows a status that the HPA controller writes, and deletes that version', async () => {
    const cluster = await around.enroll('shop', staleList());
    beforeFirst('DELETE', cluster, () => rewrite(cluster, 'horizontalpodautoscalers', writeStatus));
    const report = await sweepByEvent(changed());

    expect(report.hpas).toMatchObject([{ outcome: 'Deleted' }]);
    expect(report.hpas[0]?.manifest?.status).toEqual(the('HorizontalPodAutoscaler', staleList()).status);
    expect(requestsOf(cluster, 'PATCH')).toHaveLength(1);
    const [first, second] = requestsOf(cluster, 'DELETE').map(preconditions);
    expect(second).toEqual({ uid: first.uid, resourceVersion: String(Number(first.resourceVersion) + 1) });
    // Nothing but the HPA was read for it.
    const between = cluster.requests.slice(cluster.requests.findIndex(({ method }) => method === 'DELETE'));
    expect(between.map(({ method, status }) => `${method} ${status}`)).toEqual([
      ...['DELETE 409', 'GET 200', 'DELETE 200', 'POST 201'],
    ]);
  });

  test.each<[string, () => Intervention, string, string[]]>([
    [
      'asks whether a deletion is done whose answer is lost',
      () => ({ kind: 'cut', after: 10 }),
      'Deleted',
      ['GET', 'POST'],
    ],
    ['does not ask after one that the API server did not take up', () => tooManyRequests(1), 'Failed', []],
  ])('%s', async (_, answer, outcome, asked) => {
    const cluster = await around.enroll('shop', staleList());
    beforeFirst('DELETE', cluster, answer);
    expect(await reapBatch([changed()])).toEqual(outcome === 'Failed' ? ['message-1'] : []);
    expect(around.output.counted(`Hpas${outcome}`)).toBe(1);
    const methods = cluster.requests.map(({ method }) => method);
    expect(methods.slice(methods.indexOf('DELETE') + 1)).toEqual(asked);
  });

  test('saves the manifest that it deletes when a person changes the bounds before the second assessment', async () => {
    const cluster = await around.enroll('shop', staleList());
    const readAgain = () => requestsOf(cluster, 'PATCH').length > 0;
    let changedOnce = false;
    cluster.onRequest = ({ path }) => {
      if (!changedOnce && readAgain() && path.endsWith('/horizontalpodautoscalers')) {
        changedOnce = true;
        rewrite(cluster, 'horizontalpodautoscalers', ({ spec }) => Object.assign(spec, { maxReplicas: 50 }));
      }
      return undefined;
    };
    const report = await sweepByEvent(changed());
    expect(report.hpas).toMatchObject([{ outcome: 'Deleted', manifest: { spec: { maxReplicas: 50 } } }]);
    expect(requestsOf(cluster, 'DELETE')).toHaveLength(1);
  });

  const autoscale = ({ spec }: KubernetesObject) => Object.assign(spec.provider.kubernetes, { envoyHpa: {} });
  const apply = ({ metadata }: KubernetesObject) => {
    metadata.managedFields = the('HorizontalPodAutoscaler', staleList()).metadata.managedFields ?? [];
  };
  test('keeps the HPA when Envoy Gateway applies between the mark and the deletion', async () => {
    const cluster = await around.enroll('shop', staleList());
    beforeFirst('DELETE', cluster, () => {
      rewrite(cluster, 'envoyproxies', autoscale);
      rewrite(cluster, 'horizontalpodautoscalers', apply);
    });
    expect(outcomesOf(await sweepByEvent(changed()))).toEqual([`${STALE}: Kept, AutoscalingConfigured`]);
    expect(requestsOf(cluster, 'DELETE').map(({ status }) => status)).toEqual([409]);
  });

  test('counts what it has deleted towards the limit when more becomes stale', async () => {
    vi.stubEnv('MAX_DELETIONS', '2');
    const list = times(3, staleList());
    const last = list.items.at(-1) as KubernetesObject;
    last.metadata.annotations = { 'envoy-hpa-reaper/keep': 'true' };
    const cluster = await around.enroll('shop', list);
    cluster.onRequest = ({ method }) => {
      if (method === 'DELETE' && requestsOf(cluster, 'DELETE').length === 2) {
        rewrite(cluster, 'horizontalpodautoscalers', ({ metadata }) => {
          metadata.annotations = { 'envoy-hpa-reaper/keep': 'false' };
        });
      }
      return undefined;
    };
    const { hpas } = await sweepByEvent(changed());
    expect(hpas.map(({ outcome }) => outcome).toSorted()).toEqual(['Deleted', 'HeldBack', 'Kept']);
    expect(hpasOf(cluster)).toHaveLength(2);
  });

  test.each(['PATCH', 'DELETE'])('succeeds when a person deletes the HPA before the %s', async (method) => {
    const cluster = await around.enroll('shop', staleList());
    const path = `/apis/autoscaling/v2/namespaces/${STALE.replace('/', '/horizontalpodautoscalers/')}`;
    beforeFirst(method, cluster, () => deleteAsAdmin(cluster, path));
    expect(await reapBatch([changed()])).toEqual([]);
    expect(around.output.counted('HpasAlreadyGone')).toBe(1);
    expect(around.output.counted('HpasDeleted')).toBe(0);
  });

  test('judges another HPA that takes the name, and does not delete it', async () => {
    const cluster = await around.enroll('shop', staleList());
    beforeFirst('DELETE', cluster, () =>
      rewrite(cluster, 'horizontalpodautoscalers', ({ metadata }) => {
        metadata.uid = 'another';
        metadata.managedFields = [];
      }),
    );
    const report = await sweepByEvent(changed());
    expect(outcomesOf(report).toSorted()).toEqual([
      `${STALE}: AlreadyGone, AutoscalingRemoved`,
      `${STALE}: Kept, NotManagedByEnvoyGateway`,
    ]);
  });

  test.each(['GET', 'PATCH', 'DELETE'])(
    'deletes each HPA once when a second sweep begins at the first %s',
    async (method) => {
      const keys = times(5, staleList()).items.filter(({ kind }) => kind === 'HorizontalPodAutoscaler');
      const cluster = await around.enroll('shop', times(5, staleList()), { latency: 2 });
      const [first, second] = [await loadReap(), await loadReap()];
      let other: Promise<SweepReport> | undefined;
      beforeFirst(method, cluster, () => {
        other = sweepByEvent(changed(), second);
      });
      const reports = [await sweepByEvent(changed(), first), await (other as unknown as Promise<SweepReport>)];

      expect(hpasOf(cluster)).toEqual([]);
      expect(requestsOf(cluster, 'DELETE').filter(({ status }) => status === 200)).toHaveLength(5);
      const outcomes = reports.flatMap(({ hpas }) => hpas);
      const deleted = outcomes.filter(({ outcome }) => outcome === 'Deleted').map(({ uid }) => uid);
      expect(deleted.toSorted()).toEqual(keys.map(({ metadata }) => metadata.uid).toSorted());
      expect(new Set(outcomes.map(({ outcome }) => outcome)).difference(new Set(['Deleted', 'AlreadyGone']))).toEqual(
        new Set(),
      );
      expect(reports.map(({ lookAgain }) => lookAgain)).toEqual([false, false]);
    },
  );
});

test('lists the HPAs with the labels of Envoy Gateway, and sweeps a cluster without the Gateway API', async () => {
  const list = without(wantedList(), 'HorizontalPodAutoscaler');
  const cluster = await around.enroll('shop', list, { customResources: false });
  expect(await reapBatch([changed()])).toEqual([]);
  expect(cluster.requests.flatMap(({ query }) => query.get('labelSelector') ?? [])).toEqual([
    'gateway.envoyproxy.io/owning-gateway-name',
    'gateway.envoyproxy.io/owning-gatewayclass',
    'app.kubernetes.io/name=envoy-ratelimit,app.kubernetes.io/component=ratelimit,app.kubernetes.io/managed-by=envoy-gateway',
  ]);
  expect(around.output.logged()).toMatchObject([{ message: 'sweep finished', outcomes: {}, missing: 0 }]);
});

describe('a batch', () => {
  test('fails all messages of a cluster that cannot be reached, and no others', async () => {
    const shop = await around.enroll('shop', staleList());
    const bank = await around.enroll('bank', staleList());
    await shop.close();
    const messages = [changed('shop'), changed('bank'), changed('shop'), 'no event', changed('shop')];
    expect((await reapBatch(messages)).toSorted()).toEqual(['message-1', 'message-3', 'message-4', 'message-5']);
    expect(hpasOf(bank)).toEqual([]);
    expect(around.output.logged()).toContainEqual(
      expect.objectContaining({
        ...{ level: 'ERROR', message: 'sweep failed', explanation: expect.stringContaining('ECONNREFUSED') },
        ...{ cluster: 'shop', sweepId: expect.stringMatching(/^[\da-f-]{36}\/shop$/) },
        auditIDs: ['audit-1', 'audit-1', 'audit-1'],
      }),
    );
    expect([around.output.counted('SweepsFailed'), around.output.counted('ClustersUnreachable')]).toEqual([1, 1]);
  });

  test('begins no cluster in the last ten seconds, and gives back its messages, however often they were received', async () => {
    const shop = await around.enroll('shop', staleList());
    const batch = queueBatch(
      [changed(), requested()].map((event) => JSON.stringify(event)),
      3,
    );
    expect(await (await loadReap())(batch, context(9_999))).toEqual({
      batchItemFailures: [{ itemIdentifier: 'message-1' }, { itemIdentifier: 'message-2' }],
    });
    expect(shop.requests).toEqual([]);
  });

  test('sweeps its clusters in parallel: one that hangs costs the others nothing, and alone comes back', async () => {
    const names = ['a', 'b', 'c', 'd'];
    const clusters = await Promise.all(names.map((name) => around.enroll(name, staleList())));
    const dark = await around.enroll('dark', staleList());
    dark.onRequest = () => ({ kind: 'hang' });
    const deadline = new AbortController();
    vi.spyOn(AbortSignal, 'timeout').mockReturnValue(deadline.signal);
    const batch = queueBatch(['dark', ...names].map((name) => JSON.stringify(requested(name))));
    const answer = (await loadReap())(batch, context());
    await waitFor(
      async () => around.bus.taken.filter(({ DetailType }) => DetailType === 'Sweep Completed').length === 4,
    );
    deadline.abort();
    expect(await answer).toEqual({ batchItemFailures: [{ itemIdentifier: 'message-1' }] });
    expect(clusters.flatMap(hpasOf)).toEqual([]);
  });
});

describe('the connection to a cluster', () => {
  /** Invokes one process, some seconds after the test began. */
  async function withClock() {
    const handler = await loadReap();
    const start = Date.now();
    vi.useFakeTimers({ toFake: ['Date'], now: start });
    return (seconds: number) => {
      vi.setSystemTime(start + seconds * 1000);
      return reapEvent(changed(), handler);
    };
  }
  const tokensOf = (requests: readonly ReceivedRequest[]) => [
    ...new Set(requests.map(({ headers }) => String(headers.authorization))),
  ];

  test.each([
    ['eu-central-1', 'sts.eu-central-1.amazonaws.com'],
    ['cn-north-1', 'sts.cn-north-1.amazonaws.com.cn'],
  ])('in %s is a token signed for %s', async (region, host) => {
    vi.stubEnv('AWS_REGION', region);
    const cluster = await around.enroll('shop', wantedList());
    await sweepByEvent({ ...changed(), region });

    const [authorization, ...others] = tokensOf(cluster.requests);
    expect(others).toEqual([]);
    expect(authorization).toMatch(/^Bearer k8s-aws-v1\.[\w-]+$/);
    const token = readEksToken(authorization?.slice('Bearer '.length) ?? '');
    expect(token?.isGoodFor('shop', 'secret-access-key')).toBe(true);
    expect(token?.isGoodFor('bank', 'secret-access-key')).toBe(false);
    expect(token?.url.host).toBe(host);
    expect(token?.url.protocol).toBe('https:');
    expect(Object.fromEntries(token?.url.searchParams ?? [])).toEqual({
      Action: 'GetCallerIdentity',
      Version: '2011-06-15',
      'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
      'X-Amz-Credential': expect.stringMatching(new RegExp(`^AKIDEXAMPLE/\\d{8}/${region}/sts/aws4_request$`)),
      'X-Amz-Date': expect.stringMatching(/^\d{8}T\d{6}Z$/),
      'X-Amz-Expires': '60',
      'X-Amz-Security-Token': 'secret-session-token',
      'X-Amz-Signature': expect.stringMatching(/^[0-9a-f]{64}$/),
      'X-Amz-SignedHeaders': 'host;x-k8s-aws-id',
    });
  });

  test('is looked up again after a minute, and its token is used for 14', async () => {
    const cluster = await around.enroll('shop', wantedList());
    const eventAfter = await withClock();
    const tokenAfter = async (milliseconds: number) => {
      cluster.requests.length = 0;
      await eventAfter(milliseconds / 1000);
      return tokensOf(cluster.requests).join();
    };
    const token = await tokenAfter(0);
    expect(await tokenAfter(14 * 60_000 - 1)).toBe(token);
    expect(await tokenAfter(14 * 60_000)).not.toBe(token);
    expect(around.eks.described).toEqual(['shop', 'shop']);
  });

  test('is looked up once a minute: an opt-out and a new endpoint become effective', async () => {
    const cluster = await around.enroll('shop', wantedList());
    const eventAfter = await withClock();
    await eventAfter(0);
    const known = around.eks.clusters.get('shop');
    if (known === undefined) throw new Error('no cluster');
    around.eks.clusters.set('shop', { ...known, tags: { 'envoy-hpa-reaper': 'off' } });
    expect(await eventAfter(59)).toHaveProperty('hpas');
    expect(await eventAfter(60)).toMatchObject({ skipped: 'ClusterOptedOut' });

    const other = await around.enroll('shop', wantedList());
    cluster.requests.length = 0;
    expect(await eventAfter(120)).toHaveProperty('hpas');
    expect(other.requests).not.toEqual([]);
    expect(cluster.requests).toEqual([]);
  });

  test('gets a new token after a 401', async () => {
    const cluster = await around.enroll('shop', staleList());
    beforeFirst('GET', cluster, () => ({
      kind: 'respond',
      status: 401,
      body: { kind: 'Status', reason: 'Unauthorized' },
    }));
    expect(await reapBatch([changed()])).toEqual([]);
    expect(around.eks.described).toEqual(['shop']);
    expect(hpasOf(cluster)).toEqual([]);
  });

  test('is closed when the certificate is from another CA, before anything is sent, including the token', async () => {
    const { caCertificate } = await serve(wantedList());
    const cluster = await around.enroll('shop', staleList(), { described: { ca: caCertificate } });
    expect(await reapBatch([changed()])).toEqual(['message-1']);
    expect(cluster.requests).toEqual([]);
    expect(around.output.text).toMatch(/self-signed certificate|unable to verify/);
  });
});
