import { describe, expect, test, vi } from 'vitest';
import { OUTCOMES } from '../../../functions/events/outcomes.ts';
import { sweepReportSchema } from '../../../functions/events/report.ts';
import type { GuardedVerdict } from '../../../functions/judgement/guards.ts';
import type { ClusterApi } from '../../../functions/kubernetes/cluster-api.ts';
import { assess, assessSnapshot, reportHpa, reportMissing } from '../../../functions/sweep/assess.ts';
import {
  autoscaling,
  type ClusterObject,
  envoyHpa,
  gateway,
  gatewayClass,
  snapshotOf,
} from '../../builders/cluster.ts';
import { missingHpa } from '../../builders/outcomes.ts';
import {
  classProxy,
  config,
  judged,
  NO_AUTOSCALING,
  namespaceMode,
  ownProxy,
  webRuns,
} from '../../builders/verdicts.ts';

const now = new Date('2026-01-02T00:00:00Z');
const unread = (...objects: ClusterObject[]) => ({
  ...snapshotOf(objects),
  deployments: new Map(),
  scalers: new Map(),
});
const bare = [gatewayClass(), gateway(), config];

test('reads the Deployments that a verdict asks for, and the HPAs of the namespaces of stale ones', async () => {
  const keda = {
    metadata: { namespace: 'envoy-gateway-system', name: 'keda' },
    spec: { scaleTargetRef: envoyHpa().spec.scaleTargetRef },
  };
  const scalers = vi.fn(async () => [keda]);
  const api = { hpas: { scalers }, config: { deployment: async () => webRuns } } as unknown as ClusterApi;
  const { verdicts } = await assessSnapshot(unread(envoyHpa(), ...bare), now, api);
  expect(verdicts).toMatchObject([
    { action: 'delete', replicasAfter: { kind: 'Governed', hpa: 'envoy-gateway-system/keda' } },
  ]);
  expect(scalers.mock.calls).toEqual([['envoy-gateway-system']]);
});

test('sends 50 reads at a time', async () => {
  const deployment = vi.fn(() => new Promise(() => {}));
  const scalers = vi.fn(() => new Promise(() => {}));
  const names = Array.from({ length: 51 }, (_, number) => `shop-${number}/web`);
  const orphans = names.map((name) => envoyHpa(name));
  const stale = names.flatMap((name) => [gateway(name), envoyHpa(name, { at: name })]);
  const api = { hpas: { scalers }, config: { deployment } } as unknown as ClusterApi;
  void assessSnapshot(unread(...orphans, config), now, api);
  void assessSnapshot({ ...snapshotOf([...stale, gatewayClass(), namespaceMode]), scalers: new Map() }, now, api);
  await vi.waitFor(() => expect(scalers).toHaveBeenCalled());
  expect(deployment).toHaveBeenCalledTimes(50);
  expect(scalers).toHaveBeenCalledTimes(50);
});

test('nothing else exists in a saved cluster', async () => {
  const { missing } = await assessSnapshot(unread(...ownProxy(autoscaling()), config), now);
  expect(missing).toMatchObject([{ reason: 'WantedButMissing' }]);
});

test('reads the whole configuration for a what-if without HPAs', async () => {
  const { hpas: _, ...lists } = unread(...bare);
  const read = vi.fn(async () => lists);
  const api = { hpas: { list: async () => [] }, config: { read, readIfUsed: expect.unreachable } };
  await assess(api as unknown as ClusterApi, { now, overlay: (before) => before });
  expect(read).toHaveBeenCalledOnce();
});

describe('the report of an HPA', () => {
  const current = envoyHpa('shop/web', { currentReplicas: 4 });
  const stale = judged(current, ...classProxy(NO_AUTOSCALING), gateway(), webRuns, config);

  test('has its reason, owner and replicas, and what the verdict rests on', () => {
    const { namespace, name } = stale.hpa.metadata;
    const report = reportHpa({ ...stale, replicasAfter: { kind: 'Becomes', replicas: 3 } });
    const read = (kind: string, place: object, uid: string) => ({ kind, ...place, uid, resourceVersion: '1' });
    const configMap = { namespace: 'envoy-gateway-system', name: 'envoy-gateway-config' };
    expect(report).toEqual({
      ...{ namespace, name, uid: `HorizontalPodAutoscaler:${namespace}/${name}`, action: 'delete' },
      reason: 'AutoscalingRemoved',
      explanation: 'Gateway shop/web asks for no autoscaling: no envoyHpa in EnvoyProxy shop/class.',
      owner: { kind: 'Gateway', namespace: 'shop', name: 'web' },
      restsOn: [
        read('Gateway', { namespace: 'shop', name: 'web' }, 'Gateway:shop/web'),
        read('GatewayClass', { name: 'eg' }, 'GatewayClass:eg'),
        read('EnvoyProxy', { namespace: 'shop', name: 'class' }, 'EnvoyProxy:shop/class'),
        read('ConfigMap', configMap, 'ConfigMap:envoy-gateway-system/envoy-gateway-config'),
        { kind: 'Deployment', namespace: 'envoy-gateway-system', name: 'envoy-gateway' },
      ],
      replicas: { current: 4, min: 2, max: 5, after: { kind: 'Becomes', replicas: 3 } },
      ...{ createdAt: '2026-01-01T00:00:00Z', dropsCapacity: true },
    });
    const swept = {
      ...{ schemaVersion: 1, cluster: 'c', sweepId: 'p', mode: 'delete', missing: [], changes: [], lookAgain: false },
      ...{ startedAt: '2026-01-01T00:00:00Z', finishedAt: '2026-01-01T00:00:01Z' },
    };
    for (const outcome of OUTCOMES) {
      const whole = JSON.parse(JSON.stringify({ ...swept, hpas: [{ ...report, outcome, changes: [] }] }));
      expect(sweepReportSchema.parse(whole)).toEqual(whole);
    }
  });

  test.each<[string, boolean, number | null | undefined, GuardedVerdict['replicasAfter']]>([
    ['fewer replicas', true, 4, { kind: 'Becomes', replicas: 3 }],
    ['none', true, 1, { kind: 'Becomes', replicas: 0 }],
    ['as many replicas', false, 3, { kind: 'Becomes', replicas: 3 }],
    ['more replicas', false, 2, { kind: 'Becomes', replicas: 3 }],
    ['fewer than an unknown number', false, undefined, { kind: 'Becomes', replicas: 3 }],
    ['fewer than a number that is not written', false, null, { kind: 'Becomes', replicas: 3 }],
    ['those that run', false, 12, { kind: 'Stays' }],
    ['another number that stays', false, 9, { kind: 'Stays', replicas: 1 }],
    ['what another HPA sets', false, 9, { kind: 'Governed', hpa: 'shop/other' }],
    ['no Deployment', false, 9, { kind: 'NoDeployment' }],
    ['an unknown number', false, 9, { kind: 'Unknown' }],
    ['its HPA', false, 9, undefined],
  ])('says whether capacity drops: it is left with %s: %j', (_, dropsCapacity, currentReplicas, after) => {
    const hpa = { ...stale.hpa, status: currentReplicas === undefined ? null : { currentReplicas } };
    expect(reportHpa({ ...stale, hpa, replicasAfter: after })).toMatchObject({
      dropsCapacity,
      replicas: { current: currentReplicas ?? undefined, after },
    });
  });

  test('has the default minimum of replicas where none is stated', () => {
    const hpa = { ...stale.hpa, spec: { ...stale.hpa.spec, minReplicas: null } };
    expect(reportHpa({ ...stale, hpa }).replicas).toMatchObject({ min: 1, max: 5 });
  });

  test('has a remedy, a guard and an owner only where there is one', () => {
    const guard = { name: 'Settling', explanation: 'x' } as const;
    expect(reportHpa({ ...judged(envoyHpa(), webRuns), guard })).toMatchObject({
      remedy: expect.stringMatching(/^Envoy Gateway removes Deployment .* too/),
      guard,
    });
    expect(reportHpa(stale).remedy).toBeUndefined();
    const foreign = reportHpa(judged(envoyHpa('shop/web', { metadata: { labels: {} } })));
    expect([foreign.owner, foreign.guard, foreign.restsOn]).toEqual([undefined, undefined, []]);
  });
});

test('reports a missing HPA without the uid of its owner, which only an Event needs', () => {
  const missing = { ...missingHpa('shop/web'), owner: { kind: 'Gateway', namespace: 'shop', name: 'web' } as const };
  expect(reportMissing({ ...missing, ownerUid: 'uid' })).toStrictEqual(missing);
});
