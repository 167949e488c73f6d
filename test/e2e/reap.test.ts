import { describe, expect, test, vi } from 'vitest';
import { type SweepReport, sweepReportSchema } from '../../functions/events/report.ts';
import { waitFor } from '../contract/server.ts';
import { readEksToken } from '../doubles/eks.ts';
import { tooManyRequests } from '../doubles/kube-apiserver.ts';
import type { EmbeddedCluster, EmbeddedClusterOptions, Intervention } from '../embedded-cluster/embedded-cluster.ts';
import { queueBatch } from '../embedded-cluster/event-path.ts';
import type { KubernetesObject } from '../embedded-cluster/objects.ts';
import type { ReceivedRequest } from '../embedded-cluster/request-log.ts';
import {
  beforeFirst,
  deleteAsAdmin,
  hpasOf,
  type List,
  listOf,
  missingList,
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
  test('deletes on a message, logs and counts', async () => {
    const cluster = await around.enroll('shop', staleList());
    const before = cluster.objects('horizontalpodautoscalers');

    expect(await reapBatch([changed()])).toEqual([]);

    expect(hpasOf(cluster)).toEqual([]);
    const name = STALE.split('/')[1];
    expect(around.output.logged()).toMatchObject([
      { level: 'INFO', message: 'deleting HPA', cluster: 'shop', reason: 'AutoscalingRemoved', manifest: before[0] },
      {
        level: 'INFO',
        message: `HPA ${STALE}: Deleted, AutoscalingRemoved`,
        ...{ cluster: 'shop', name, action: 'delete', replicas: { min: 2, max: 5, after: { kind: 'Stays' } } },
        changes: [{ username: 'jane@example.com', auditID: 'audit-1', verb: 'patch' }],
      },
      {
        ...{ level: 'INFO', message: 'sweep finished', mode: 'delete' },
        ...{ outcomes: { Deleted: 1 }, missing: 0, lookAgain: false },
      },
    ]);
    expect(around.output.counted('HpasDeleted')).toBe(1);
  });

  test('deletes on an event that it is invoked with, and answers with the report', async () => {
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

  test('names the changes that an HPA rests on, and not those of others', async () => {
    await around.enroll('shop', staleList());
    const objectRef = { apiGroup: 'gateway.envoyproxy.io', apiVersion: 'v1alpha1', resource: 'envoyproxies' };
    const of = (auditID: string, namespace: string, name?: string) =>
      JSON.stringify(changed('shop', { auditID, objectRef: { ...objectRef, namespace, name } }));
    await reapBatch([
      of('its own', 'autoscaling-removed', 'proxy'),
      of('the whole namespace', 'autoscaling-removed'),
      of('another name', 'autoscaling-removed', 'other'),
      of('another namespace', 'shop', 'proxy'),
    ]);
    const changes = around.output.logged().flatMap((line) => (line.changes as { auditID: string }[]) ?? []);
    expect(changes.map(({ auditID }) => auditID)).toEqual(['its own', 'the whole namespace']);
  });

  test('says of a plainly wanted HPA nothing but that the change was looked at', async () => {
    await around.enroll('shop', wantedList());
    expect(await reapBatch([changed()])).toEqual([]);
    expect(around.output.logged()).toMatchObject([
      { message: 'sweep finished', cluster: 'shop', outcomes: { Kept: 1 }, auditIDs: ['audit-1'] },
    ]);
  });

  test.each([
    ['where Envoy Gateway sets fewer: capacity drops', 3, { kind: 'Becomes', replicas: 3 }, true],
    ['where Envoy Gateway sets more', 5, { kind: 'Becomes', replicas: 5 }, false],
    ['where nobody sets any', undefined, { kind: 'Stays', replicas: 4 }, false],
  ])('says what becomes of the replicas %s', async (_, replicas, after, dropsCapacity) => {
    const list = staleList();
    the('HorizontalPodAutoscaler', list).status = { currentReplicas: 4, desiredReplicas: 4 };
    if (replicas) the('EnvoyProxy', list).spec.provider.kubernetes.envoyDeployment = { replicas };
    await around.enroll('shop', list);
    const report = await sweepByEvent(changed());
    expect(report.hpas).toMatchObject([{ outcome: 'Deleted', replicas: { current: 4, min: 2, max: 5, after } }]);
    expect(around.output.logged()).toContainEqual(expect.objectContaining({ outcome: 'Deleted', dropsCapacity }));
  });

  test('has logged the whole manifest when the DELETE arrives', async () => {
    const cluster = await around.enroll('shop', staleList());
    const [stale] = cluster.objects('horizontalpodautoscalers');
    let logged: unknown;
    beforeFirst('DELETE', cluster, () => {
      logged = around.output.logged().find(({ message }) => message === 'deleting HPA')?.manifest;
    });
    await reapBatch([changed()]);
    expect(logged).toEqual(stale);
  });

  test('writes nothing in mode report', async () => {
    vi.stubEnv('MODE', 'report');
    const cluster = await around.enroll('shop', staleList());
    expect(await reapBatch([changed()])).toEqual([]);
    expect(writesTo(cluster)).toEqual([]);
    expect(around.output.counted('HpasReported')).toBe(1);
  });

  test('does nothing for an empty batch', async () => {
    expect(await reapBatch([])).toEqual([]);
    expect(around.eks.described).toEqual([]);
  });
});

describe('what is stale and stays', () => {
  test.each(['HorizontalPodAutoscaler', 'Gateway', 'GatewayClass', 'EnvoyProxy'])(
    'where its %s is protected',
    async (kind) => {
      const list = staleList();
      the(kind, list).metadata.annotations = { 'envoy-hpa-reaper/keep': 'true' };
      const cluster = await around.enroll('shop', list);
      expect(outcomesOf(await sweepByEvent(changed()))).toEqual([`${STALE}: Kept, Protected`]);
      expect(writesTo(cluster)).toEqual([]);
    },
  );

  test('where more would go than may go at once, as a whole, and the messages are consumed', async () => {
    vi.stubEnv('MAX_DELETIONS', '2');
    const cluster = await around.enroll('shop', times(3, staleList()));
    expect(await reapBatch([changed()])).toEqual([]);
    expect(writesTo(cluster)).toEqual([]);
    expect(around.output.logged()).toContainEqual(
      expect.objectContaining({
        ...{ level: 'WARN', outcome: 'HeldBack' },
        guard: { name: 'BlastRadiusExceeded', explanation: '3 deletions at once, and the limit is 2' },
      }),
    );
    expect(around.output.counted('HpasHeldBack')).toBe(3);
  });

  test('a person raises the limit for one run; the queue never does', async () => {
    const cluster = await around.enroll('shop', times(3, staleList()));
    vi.stubEnv('MAX_DELETIONS', '2');
    const handler = await loadReap();
    const raised = { ...changed(), maxDeletions: 3 };
    expect(await reapBatch([raised], 1, handler)).toEqual([]);
    expect(hpasOf(cluster)).toHaveLength(3);
    expect(outcomesOf(await sweepByEvent({ ...raised, maxDeletions: 2 }, handler))).toEqual(
      hpasOf(cluster).map((key) => `${key}: HeldBack, AutoscalingRemoved`),
    );
    await expect(reapEvent({ ...raised, maxDeletions: 'all' }, handler)).rejects.toThrow('maxDeletions: expected');
    await sweepByEvent(raised, handler);
    expect(hpasOf(cluster)).toEqual([]);
  });

  test.each([403, 422, 400])('where an admission policy refuses the mark with %i', async (code) => {
    const admission = () => ({ webhook: 'policy.example.com', code, message: 'managedFields are not yours' });
    const cluster = await around.enroll('shop', staleList(), { admission });
    const before = cluster.objects('horizontalpodautoscalers');
    expect(await reapBatch([changed()])).toEqual([]);
    expect(around.output.logged()).toContainEqual(
      expect.objectContaining({
        ...{ level: 'WARN', outcome: 'MarkRefused' },
        message: `HPA ${STALE}: MarkRefused, AutoscalingRemoved`,
      }),
    );
    expect(around.output.text).toContain('managedFields are not yours');
    expect(cluster.objects('horizontalpodautoscalers')).toEqual(before);
  });

  test('where something silently drops the mark', async () => {
    const cluster = await around.enroll('shop', staleList());
    const [stale] = cluster.objects('horizontalpodautoscalers') as [KubernetesObject];
    beforeFirst('PATCH', cluster, () => ({ kind: 'respond', status: 200, body: stale as never }));
    const report = await sweepByEvent(changed());
    expect(report.hpas).toMatchObject([
      { outcome: 'MarkRefused', message: 'the API server accepted the mark and did not keep it' },
    ]);
    expect(requestsOf(cluster, 'DELETE')).toEqual([]);
  });

  test.each([403, 422])('where an admission policy refuses the deletion with %i', async (code) => {
    const cluster = await around.enroll('shop', staleList(), {
      admission: ({ operation }) =>
        operation === 'DELETE' ? { webhook: 'policy.example.com', code, message: 'never on a Friday' } : undefined,
    });
    const report = await sweepByEvent(changed());
    expect(report.hpas).toMatchObject([
      { outcome: 'DeleteRefused', message: expect.stringContaining('never on a Friday') },
    ]);
    expect(hpasOf(cluster)).toEqual([STALE]);
  });
});

test.each([
  ['', [STALE]],
  ['envoy-gateway-system', []],
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

describe('what settles is looked at again', () => {
  const stillRuns = () => {
    const list = listOf('gateway-deleted-v1.3.0');
    const { namespace, name } = the('HorizontalPodAutoscaler', list).metadata;
    const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { namespace, name }, spec: {} };
    return { ...list, items: [...list.items, deployment as unknown as KubernetesObject] };
  };
  const freshConfig = () => {
    const list = staleList();
    the('ConfigMap', list).metadata.creationTimestamp = new Date().toISOString();
    return list;
  };
  /** Somebody has changed it, and Envoy Gateway has not looked yet. */
  const notObserved = (kind: string) => {
    const list = staleList();
    the(kind, list).metadata.generation = 2;
    return list;
  };

  test.each([
    ['a young HPA', () => young(staleList()), 'HeldBack', 'Settling'],
    ['a ConfigMap just written', freshConfig, 'HeldBack', 'Settling'],
    ['a Deployment that still runs', stillRuns, 'Kept', 'ScaleTargetStillRuns'],
    ['a Gateway whose status is older than its spec', () => notObserved('Gateway'), 'Kept', 'NotObserved'],
    ['a class whose status is older than its spec', () => notObserved('GatewayClass'), 'Kept', 'NotObserved'],
  ])('%s: its message comes back until the seventh time', async (_, list, outcome, why) => {
    const cluster = await around.enroll('shop', list());
    const handler = await loadReap();
    for (const receiveCount of [1, 2, 3, 4, 5, 6]) {
      expect(await reapBatch([changed()], receiveCount, handler)).toEqual(['message-1']);
    }
    expect(await reapBatch([changed()], 7, handler)).toEqual([]);
    expect(writesTo(cluster)).toEqual([]);
    expect(around.output.text).toContain(`"${why}"`);
    expect(around.output.counted(`Hpas${outcome}`)).toBe(7);
    expect(around.output.logged()).toContainEqual(
      expect.objectContaining({ level: 'WARN', message: 'giving up after 7 receives; the next sweep retries' }),
    );
  });

  test.each(['ParametersUnresolved', 'DefaultsUnreadable'])(
    'but not %s, where no Deployment is going',
    async (reason) => {
      const list = listOf('invalid-parameters-v1.3.0');
      const { namespace, name } = the('HorizontalPodAutoscaler', list).metadata;
      const items = list.items.filter(({ kind }) => reason === 'ParametersUnresolved' || kind !== 'ConfigMap');
      const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { namespace, name }, spec: {} };
      await around.enroll('shop', { ...list, items: [...items, deployment as unknown as KubernetesObject] });
      const explanation = expect.stringMatching(`, but Deployment ${namespace}/${name} still runs\\.$`);
      expect(await reapBatch([changed()])).toEqual([]);
      expect(around.output.logged()).toContainEqual(expect.objectContaining({ outcome: 'Kept', reason, explanation }));
    },
  );

  test('only those messages of a batch come back that were not received seven times', async () => {
    await around.enroll('shop', young(staleList()));
    const { Records } = queueBatch([changed(), changed()].map((event) => JSON.stringify(event)));
    for (const record of Records.slice(1)) record.attributes.ApproximateReceiveCount = '7';
    const handler = await loadReap();
    expect(await handler({ Records }, context())).toEqual({ batchItemFailures: [{ itemIdentifier: 'message-1' }] });
  });

  test('and is gone when it has settled', async () => {
    const cluster = await around.enroll('shop', young(staleList()));
    const handler = await loadReap();
    expect(await reapBatch([changed()], 1, handler)).toEqual(['message-1']);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 121_000 });
    expect(await reapBatch([changed()], 2, handler)).toEqual([]);
    expect(hpasOf(cluster)).toEqual([]);
  });

  test.each([
    ['Gateway', 'gateways', 'Gateway autoscaling-removed/web'],
    ['GatewayClass', 'gatewayclasses', 'GatewayClass eg'],
  ])('and is gone when the status of its %s has caught up', async (kind, plural, name) => {
    const cluster = await around.enroll('shop', notObserved(kind));
    const handler = await loadReap();
    expect(await reapBatch([changed()], 1, handler)).toEqual(['message-1']);
    expect(around.output.logged()).toContainEqual(
      expect.objectContaining({
        ...{ outcome: 'Kept', reason: 'NotObserved' },
        explanation: expect.stringContaining(`${name} is at generation 2, `),
      }),
    );
    expect([writesTo(cluster), hpasOf(cluster)]).toEqual([[], [STALE]]);

    rewrite(cluster, plural, ({ status }) => {
      for (const { conditions } of [status, ...(status?.listeners ?? [])]) {
        for (const condition of conditions) condition.observedGeneration = 2;
      }
    });
    expect(await reapBatch([changed()], 2, handler)).toEqual([]);
    expect(hpasOf(cluster)).toEqual([]);
  });
});

describe('somebody else is at work too', () => {
  const writeStatus = (hpa: KubernetesObject) => {
    hpa.status = { ...hpa.status, desiredReplicas: 3 };
    hpa.metadata.managedFields?.push({
      ...{ manager: 'kube-controller-manager', operation: 'Update', apiVersion: 'autoscaling/v2' },
      ...{ subresource: 'status', fieldsType: 'FieldsV1', fieldsV1: { 'f:status': { 'f:desiredReplicas': {} } } },
    });
  };
  const preconditions = (request: ReceivedRequest) => JSON.parse(request.body).preconditions;

  test('the HPA controller writes the status: deleted in the version that followed', async () => {
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

  describe('the answer to a deletion is lost:', () => {
    /** What is asked from the deletion on. */
    const asked = (cluster: EmbeddedCluster) =>
      cluster.requests
        .slice(cluster.requests.findIndex(({ method }) => method === 'DELETE'))
        .map(({ method }) => method);
    const answers = (cluster: EmbeddedCluster, byMethod: Record<string, () => Intervention | undefined>) => {
      const isOfHpa = (path: string) => path.endsWith(`/${STALE.split('/')[1]}`);
      cluster.onRequest = ({ method, path }) => (isOfHpa(path) ? byMethod[method]?.() : undefined);
    };
    const lost = (): Intervention => ({ kind: 'cut', after: 10 });
    const never = (): Intervention => ({ kind: 'reset' });
    const unable = (): Intervention => ({ kind: 'respond', status: 500, body: { message: 'etcd' } });

    test('the HPA is gone, and that is told', async () => {
      const cluster = await around.enroll('shop', staleList());
      answers(cluster, { DELETE: lost });
      expect(await reapBatch([changed()])).toEqual([]);
      expect([hpasOf(cluster), asked(cluster)]).toEqual([[], ['DELETE', 'GET', 'POST']]);
      expect(around.output.counted('HpasDeleted')).toBe(1);
      const [{ DetailType, Detail } = { Detail: '{}' }] = around.bus.taken;
      expect([DetailType, JSON.parse(Detail).manifest.metadata.uid]).toEqual([
        'HPA Deleted',
        the('HorizontalPodAutoscaler', staleList()).metadata.uid,
      ]);
    });

    test('another HPA of its name is there, so it is gone', async () => {
      const cluster = await around.enroll('shop', staleList());
      const { metadata, ...made } = the('HorizontalPodAutoscaler', staleList());
      const { resourceVersion: _, ...again } = { ...metadata, uid: 'another' };
      const makeAgain = () => {
        cluster.load({ items: [{ ...made, metadata: again }] });
        return undefined;
      };
      answers(cluster, { DELETE: lost, GET: makeAgain });
      expect(outcomesOf(await sweepByEvent(changed()))).toEqual([`${STALE}: Deleted, AutoscalingRemoved`]);
      expect(hpasOf(cluster)).toEqual([STALE]);
    });

    test.each<[string, Record<string, () => Intervention>, number, string[]]>([
      ['the HPA is still there', { DELETE: never }, 60_000, ['DELETE', 'GET']],
      ['nobody says whether it is there', { DELETE: lost, GET: unable }, 60_000, ['DELETE', 'GET']],
      ['there is no time to ask', { DELETE: lost }, 19_000, ['DELETE']],
      ['the API server did not take it up', { DELETE: () => tooManyRequests(1) }, 60_000, ['DELETE']],
    ])('%s, so its message comes back', async (_, byMethod, remaining, requests) => {
      const cluster = await around.enroll('shop', staleList());
      answers(cluster, byMethod);
      const handler = await loadReap();
      expect(await handler(queueBatch([JSON.stringify(changed())]), context(remaining))).toEqual({
        batchItemFailures: [{ itemIdentifier: 'message-1' }],
      });
      expect(asked(cluster)).toEqual(requests);
      expect(around.output.logged()).toContainEqual(
        expect.objectContaining({
          outcome: 'Failed',
          answer: expect.stringMatching(/^no whole answer from | 429: Too many requests/),
        }),
      );
      expect(around.bus.taken).toEqual([]);
    });
  });

  test.each<[string, (hpa: KubernetesObject) => void]>([
    ['a label', ({ metadata }) => Object.assign(metadata.labels ?? {}, { team: 'shop' })],
    ['the bounds', ({ spec }) => Object.assign(spec, { maxReplicas: 50 })],
  ])('a person changes %s: judged anew, and deleted if it is stale all the same', async (_, change) => {
    const cluster = await around.enroll('shop', staleList());
    beforeFirst('DELETE', cluster, () => rewrite(cluster, 'horizontalpodautoscalers', change));
    expect(outcomesOf(await sweepByEvent(changed()))).toEqual([`${STALE}: Deleted, AutoscalingRemoved`]);
    expect(cluster.requests.filter(({ path }) => path.endsWith('/envoyproxies'))).toHaveLength(4);
    expect(requestsOf(cluster, 'DELETE').map(({ status }) => status)).toEqual([409, 200]);
  });

  test('a person protects it: judged anew, and kept', async () => {
    const cluster = await around.enroll('shop', staleList());
    beforeFirst('DELETE', cluster, () =>
      rewrite(cluster, 'horizontalpodautoscalers', ({ metadata }) => {
        metadata.annotations = { 'envoy-hpa-reaper/keep': 'true' };
      }),
    );
    expect(outcomesOf(await sweepByEvent(changed()))).toEqual([`${STALE}: Kept, Protected`]);
    expect(hpasOf(cluster)).toEqual([STALE]);
  });

  test('another field manager takes its scale target over, with equal values: judged anew, and kept', async () => {
    const cluster = await around.enroll('shop', staleList());
    beforeFirst('DELETE', cluster, () =>
      rewrite(cluster, 'horizontalpodautoscalers', ({ metadata }) => {
        metadata.managedFields?.push({
          ...{ manager: 'argocd', operation: 'Apply', apiVersion: 'autoscaling/v2', fieldsType: 'FieldsV1' },
          fieldsV1: { 'f:spec': { 'f:scaleTargetRef': { 'f:name': {} } } },
        });
      }),
    );
    expect(outcomesOf(await sweepByEvent(changed()))).toEqual([`${STALE}: Kept, Adopted`]);
  });

  test('a person changes the bounds before the second reading: what is deleted is what the manifest says', async () => {
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
  test('autoscaling comes back before the second reading: kept', async () => {
    const cluster = await around.enroll('shop', staleList());
    beforeFirst('PATCH', cluster, () => rewrite(cluster, 'envoyproxies', autoscale));
    expect(outcomesOf(await sweepByEvent(changed()))).toEqual([`${STALE}: Kept, AutoscalingConfigured`]);
    expect(requestsOf(cluster, 'DELETE')).toEqual([]);
  });

  test('autoscaling was taken out of an EnvoyProxy that was written again meanwhile: judged anew', async () => {
    const cluster = await around.enroll('shop', staleList());
    beforeFirst('PATCH', cluster, () => rewrite(cluster, 'envoyproxies', () => {}));
    expect(outcomesOf(await sweepByEvent(changed()))).toEqual([`${STALE}: Deleted, AutoscalingRemoved`]);
    expect(requestsOf(cluster, 'DELETE')).toHaveLength(1);
    expect(cluster.requests.filter(({ path }) => path.endsWith('/envoyproxies'))).toHaveLength(4);
  });

  const apply = ({ metadata }: KubernetesObject) => {
    metadata.managedFields = the('HorizontalPodAutoscaler', staleList()).metadata.managedFields ?? [];
  };
  test('a pass that died had marked it: that mark serves', async () => {
    const list = staleList();
    const [entry] = the('HorizontalPodAutoscaler', list).metadata.managedFields ?? [];
    Reflect.deleteProperty(entry?.fieldsV1['f:spec'] as object, 'f:maxReplicas');
    const cluster = await around.enroll('shop', list);
    expect(outcomesOf(await sweepByEvent(changed()))).toEqual([`${STALE}: Deleted, AutoscalingRemoved`]);
    expect(writesTo(cluster).map(({ method }) => method)).toEqual(['DELETE', 'POST']);
  });

  test('Envoy Gateway applies once more between mark and second reading: never deleted without a mark', async () => {
    const cluster = await around.enroll('shop', staleList());
    let applied = false;
    cluster.onRequest = ({ method }) => {
      if (applied || method !== 'GET' || requestsOf(cluster, 'PATCH').length === 0) return undefined;
      applied = true;
      rewrite(cluster, 'horizontalpodautoscalers', apply);
      return undefined;
    };
    expect(outcomesOf(await sweepByEvent(changed()))).toEqual([`${STALE}: Deleted, AutoscalingRemoved`]);
    expect(writesTo(cluster).map(({ method, status }) => `${method} ${status}`)).toEqual([
      ...['PATCH 200', 'PATCH 200', 'DELETE 200', 'POST 201'],
    ]);
  });

  test('Envoy Gateway applies between mark and deletion: the deletion conflicts, and the HPA is kept', async () => {
    const cluster = await around.enroll('shop', staleList());
    beforeFirst('DELETE', cluster, () => {
      rewrite(cluster, 'envoyproxies', autoscale);
      rewrite(cluster, 'horizontalpodautoscalers', apply);
    });
    expect(outcomesOf(await sweepByEvent(changed()))).toEqual([`${STALE}: Kept, AutoscalingConfigured`]);
    expect(requestsOf(cluster, 'DELETE').map(({ status }) => status)).toEqual([409]);
  });

  test('one that never rests is left after three attempts, and its message comes back', async () => {
    const cluster = await around.enroll('shop', staleList());
    cluster.onRequest = ({ method }) =>
      void (method === 'PATCH' && rewrite(cluster, 'horizontalpodautoscalers', ({ spec }) => void spec.maxReplicas++));
    expect(await reapBatch([changed()])).toEqual(['message-1']);
    expect(requestsOf(cluster, 'PATCH')).toHaveLength(3);
    expect(around.output.counted('HpasConflict')).toBe(1);
  });

  test('more becomes stale during the pass: what it has deleted counts towards what may go at once', async () => {
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

  test.each(['PATCH', 'DELETE'])('a person deletes it before the %s: already gone, a success', async (method) => {
    const cluster = await around.enroll('shop', staleList());
    const path = `/apis/autoscaling/v2/namespaces/${STALE.replace('/', '/horizontalpodautoscalers/')}`;
    beforeFirst(method, cluster, () => deleteAsAdmin(cluster, path));
    expect(await reapBatch([changed()])).toEqual([]);
    expect(around.output.counted('HpasAlreadyGone')).toBe(1);
    expect(around.output.counted('HpasDeleted')).toBe(0);
  });

  test('a person changes it and then deletes it: already gone, without another look at the cluster', async () => {
    const cluster = await around.enroll('shop', staleList());
    beforeFirst('DELETE', cluster, async ({ path }) => {
      await deleteAsAdmin(cluster, path);
      return { kind: 'respond', status: 409, body: { kind: 'Status', reason: 'Conflict', code: 409 } };
    });
    expect(outcomesOf(await sweepByEvent(changed()))).toEqual([`${STALE}: AlreadyGone, AutoscalingRemoved`]);
    expect(cluster.requests.at(-1)).toMatchObject({ method: 'GET', status: 404 });
    expect(requestsOf(cluster, 'GET').filter(({ path }) => path.endsWith('/envoyproxies'))).toHaveLength(2);
  });

  test('a person deletes it and the name is taken by another: that one is judged, not deleted', async () => {
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
    'a second pass, begun at the first %s: each is deleted once',
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

describe('a pass asks the API server for', () => {
  const api = '/apis/gateway.networking.k8s.io/v1';
  const hpas = [
    'gateway.envoyproxy.io/owning-gateway-name',
    'gateway.envoyproxy.io/owning-gatewayclass',
    'app.kubernetes.io/name=envoy-ratelimit,app.kubernetes.io/component=ratelimit,app.kubernetes.io/managed-by=envoy-gateway',
  ].map((selector) => `GET /apis/autoscaling/v2/horizontalpodautoscalers ${selector}`);
  const classes = `GET ${api}/gatewayclasses`;
  const others = [
    `GET ${api}/gateways`,
    'GET /apis/gateway.envoyproxy.io/v1alpha1/envoyproxies',
    'GET /api/v1/configmaps metadata.name=envoy-gateway-config',
  ];
  const namespaced = (group: string, resource: string) =>
    `GET /apis/${group}/namespaces/envoy-gateway-system/${resource}`;
  const controller = namespaced('apps/v1', 'deployments/envoy-gateway');
  const scalers = namespaced('autoscaling/v2', 'horizontalpodautoscalers');

  /** Of a pass that may only report; those of a wave arrive in any order. */
  async function asked(list: List, options?: EmbeddedClusterOptions): Promise<string[]> {
    vi.stubEnv('MODE', 'report');
    const cluster = await around.enroll('shop', list, options);
    expect(await reapBatch([changed()])).toEqual([]);
    return cluster.requests.map(({ method, path, query }) => {
      const selector = query.get('labelSelector') ?? query.get('fieldSelector');
      return [`${method} ${path}`, ...(selector === null ? [] : [selector])].join(' ');
    });
  }
  const inAnyOrder = (...requests: (string | string[])[]) => requests.flat().toSorted();

  test('the HPAs and the configuration, where nothing is stale and nothing missing', async () => {
    expect((await asked(wantedList())).toSorted()).toEqual(inAnyOrder(hpas, classes, others));
  });

  test("Envoy Gateway's own Deployment and the HPAs of the namespace too, where one is stale", async () => {
    expect((await asked(staleList())).toSorted()).toEqual(inAnyOrder(hpas, classes, others, controller, scalers));
  });

  test('the same where one is missing', async () => {
    expect((await asked(missingList())).toSorted()).toEqual(inAnyOrder(hpas, classes, others, controller, scalers));
  });

  test('the configuration too where no HPA is left, and nothing of Deployments where none is wanted', async () => {
    const none = without(staleList(), 'HorizontalPodAutoscaler');
    expect((await asked(none)).toSorted()).toEqual(inAnyOrder(hpas, classes, others));
  });

  test('the HPAs and the GatewayClasses, and then nothing where there is neither', async () => {
    const requests = await asked(without(wantedList(), 'HorizontalPodAutoscaler', 'GatewayClass'));
    expect([requests.slice(0, 3).toSorted(), requests.slice(3)]).toEqual([hpas.toSorted(), [classes]]);
  });

  test('the same where the Gateway API is not installed: that cluster is swept, and not skipped', async () => {
    const requests = await asked(without(wantedList(), 'HorizontalPodAutoscaler'), { customResources: false });
    expect(requests.slice(3)).toEqual([classes]);
    expect(around.output.counted('ClustersSkipped')).toBe(0);
    expect(around.output.logged()).toMatchObject([{ message: 'sweep finished', outcomes: {}, missing: 0 }]);
  });
});

describe('a batch', () => {
  test('makes one pass for all messages of a cluster', async () => {
    const cluster = await around.enroll('shop', staleList());
    expect(await reapBatch([changed(), changed(), changed()])).toEqual([]);
    expect(around.eks.described).toEqual(['shop']);
    expect(cluster.requests).toHaveLength(3 + 4 + 1 + 1 + 1 + 8 + 1 + 1);
    expect(around.output.logged().filter(({ message }) => message === 'sweep finished')).toHaveLength(1);
  });

  test('fails all messages of a cluster that cannot be reached, and no others', async () => {
    const shop = await around.enroll('shop', staleList());
    const bank = await around.enroll('bank', staleList());
    await shop.close();
    const messages = [changed('shop'), changed('bank'), changed('shop'), 'no event', changed('shop')];
    expect((await reapBatch(messages)).toSorted()).toEqual(['message-1', 'message-3', 'message-4', 'message-5']);
    expect(hpasOf(bank)).toEqual([]);
    expect(around.output.logged()).toContainEqual(
      expect.objectContaining({
        ...{ level: 'ERROR', explanation: expect.stringContaining('ECONNREFUSED'), cluster: 'shop' },
      }),
    );
    expect(around.output.counted('SweepsFailed')).toBe(1);
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

  test('says of an unreachable cluster that its endpoint is private', async () => {
    const cluster = await around.enroll('shop', staleList(), { described: { publicAccess: false } });
    await cluster.close();
    expect(await reapBatch([changed()])).toEqual(['message-1']);
    expect(around.bus.taken.map(({ Detail }) => JSON.parse(Detail).reason)).toEqual(['ClusterEndpointPrivate']);
  });
});

describe('the way into a cluster', () => {
  const tokensOf = (requests: readonly ReceivedRequest[]) => [
    ...new Set(requests.map(({ headers }) => String(headers.authorization))),
  ];

  test.each([
    ['eu-central-1', 'sts.eu-central-1.amazonaws.com'],
    ['cn-north-1', 'sts.cn-north-1.amazonaws.com.cn'],
    ['us-gov-west-1', 'sts.us-gov-west-1.amazonaws.com'],
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
    const handler = await loadReap();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() });
    const start = Date.now();
    const tokenAfter = async (milliseconds: number) => {
      vi.setSystemTime(start + milliseconds);
      cluster.requests.length = 0;
      await sweepByEvent(changed(), handler);
      return tokensOf(cluster.requests).join();
    };
    const token = await tokenAfter(0);
    expect(await tokenAfter(14 * 60_000 - 1)).toBe(token);
    expect(await tokenAfter(14 * 60_000)).not.toBe(token);
    expect(around.eks.described).toEqual(['shop', 'shop']);
  });

  test('is looked up once a minute: an opt-out is heard, and a new endpoint is gone to', async () => {
    const cluster = await around.enroll('shop', wantedList());
    const handler = await loadReap();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() });
    const start = Date.now();
    const eventAfter = (seconds: number) => {
      vi.setSystemTime(start + seconds * 1000);
      return reapEvent(changed(), handler);
    };
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

  test('is looked up again the next time after a 403', async () => {
    const nobody = { username: 'reap', groups: [] as string[] };
    const cluster = await around.enroll('shop', staleList(), { user: nobody });
    const handler = await loadReap();
    expect(await reapBatch([changed()], 1, handler)).toEqual([]);
    expect(around.eks.described).toEqual(['shop']);
    nobody.groups.push('envoy-hpa-reaper');
    expect(await reapBatch([changed()], 1, handler)).toEqual([]);
    expect(around.eks.described).toEqual(['shop', 'shop']);
    expect(hpasOf(cluster)).toEqual([]);
  });

  test('is looked up again the next time after a failed connection', async () => {
    const gone = await around.enroll('shop', wantedList());
    const handler = await loadReap();
    expect(await reapBatch([changed()], 1, handler)).toEqual([]);
    await gone.close();
    const moved = await around.enroll('shop', staleList());
    expect(await reapBatch([changed()], 1, handler)).toEqual(['message-1']);
    expect(await reapBatch([changed()], 2, handler)).toEqual([]);
    expect(around.eks.described).toEqual(['shop', 'shop']);
    expect(hpasOf(moved)).toEqual([]);
  });

  test('is closed where the certificate is of another CA: nothing is sent, not even the token', async () => {
    const { caCertificate } = await serve(wantedList());
    const cluster = await around.enroll('shop', staleList(), { described: { ca: caCertificate } });
    expect(await reapBatch([changed()])).toEqual(['message-1']);
    expect(cluster.requests).toEqual([]);
    expect(around.output.text).toMatch(/self-signed certificate|unable to verify/);
  });
});
