import { describe, expect, test } from 'vitest';
import { OUTCOMES } from '../../../functions/events/outcomes.ts';
import { sweepReportSchema } from '../../../functions/events/report.ts';
import type { GuardedVerdict } from '../../../functions/judgement/guards.ts';
import { judge } from '../../../functions/judgement/judge.ts';
import { objectKey } from '../../../functions/judgement/kubernetes-objects.ts';
import { replicasAfter } from '../../../functions/judgement/replicas-after.ts';
import { reportHpa, reportMissing } from '../../../functions/sweep/assess.ts';
import {
  autoscaling,
  type ClusterObject,
  deployment,
  envoyGatewayConfig,
  envoyHpa,
  envoyProxy,
  gateway,
  gatewayClass,
  hashedNameOf,
  snapshotOf,
} from '../../builders/cluster.ts';
import { missingHpa } from '../../builders/outcomes.ts';

/** The verdict on the first of these, with its replicas after the deletion. */
function judged(...objects: ClusterObject[]): GuardedVerdict {
  const snapshot = snapshotOf(objects);
  const verdict = judge(snapshot)[0] as GuardedVerdict;
  return { ...verdict, replicasAfter: replicasAfter(verdict, snapshot, new Set([objectKey(verdict.hpa.metadata)])) };
}
const removed = (hpa: Parameters<typeof envoyHpa>[1], replicas: number | undefined) =>
  judged(
    envoyHpa('shop/web', hpa),
    deployment(`envoy-gateway-system/${hashedNameOf('shop/web')}`),
    gatewayClass('eg', { proxy: 'shop/class' }),
    gateway(),
    envoyProxy('shop/class', { provider: { kubernetes: { envoyDeployment: { replicas } } } }),
    envoyGatewayConfig(),
  );

test('reports a stale HPA with its reason, owner, replicas, and what the verdict rests on', () => {
  const report = reportHpa(removed({ currentReplicas: 4 }, 3));
  expect(report).toEqual({
    namespace: 'envoy-gateway-system',
    name: hashedNameOf('shop/web'),
    uid: `HorizontalPodAutoscaler:envoy-gateway-system/${hashedNameOf('shop/web')}`,
    action: 'delete',
    reason: 'AutoscalingRemoved',
    explanation: 'Gateway shop/web asks for no autoscaling: no envoyHpa in EnvoyProxy shop/class.',
    owner: { kind: 'Gateway', namespace: 'shop', name: 'web' },
    restsOn: [
      { kind: 'Gateway', namespace: 'shop', name: 'web', uid: 'Gateway:shop/web', resourceVersion: '1' },
      { kind: 'GatewayClass', name: 'eg', uid: 'GatewayClass:eg', resourceVersion: '1' },
      { kind: 'EnvoyProxy', namespace: 'shop', name: 'class', uid: 'EnvoyProxy:shop/class', resourceVersion: '1' },
      {
        kind: 'ConfigMap',
        namespace: 'envoy-gateway-system',
        name: 'envoy-gateway-config',
        uid: 'ConfigMap:envoy-gateway-system/envoy-gateway-config',
        resourceVersion: '1',
      },
      { kind: 'Deployment', namespace: 'envoy-gateway-system', name: 'envoy-gateway' },
    ],
    replicas: { current: 4, min: 2, max: 5, after: { kind: 'Becomes', replicas: 3 } },
    createdAt: '2026-01-01T00:00:00Z',
    dropsCapacity: true,
  });
  const swept = {
    ...{ schemaVersion: 1, cluster: 'c', sweepId: 'p', mode: 'delete', missing: [], changes: [], lookAgain: false },
    ...{ startedAt: '2026-01-01T00:00:00Z', finishedAt: '2026-01-01T00:00:01Z' },
  };
  for (const outcome of OUTCOMES) {
    const whole = { ...swept, hpas: [{ ...report, outcome, changes: [] }] };
    expect(sweepReportSchema.parse(JSON.parse(JSON.stringify(whole)))).toEqual(JSON.parse(JSON.stringify(whole)));
  }
});

describe('capacity', () => {
  test.each<[string, number, number | undefined, boolean]>([
    ['more run', 4, 3, true],
    ['as many run', 3, 3, false],
    ['fewer run', 2, 3, false],
    ['Envoy Gateway sets none', 1, 0, true],
    ['Envoy Gateway sets nothing, so that they stay', 12, undefined, false],
  ])('drops when more replicas run than Envoy Gateway sets: %s', (_, currentReplicas, replicas, dropsCapacity) => {
    expect(reportHpa(removed({ currentReplicas }, replicas)).dropsCapacity).toBe(dropsCapacity);
  });

  test.each([
    { kind: 'Governed', hpa: 'shop/other' },
    { kind: 'NoDeployment' },
    { kind: 'Unknown' },
    { kind: 'Stays', replicas: 9 },
    { kind: 'Stays', replicas: 1 },
  ] as const)('is not known to be lost: %j', (after) => {
    const report = reportHpa({ ...removed({ currentReplicas: 9 }, 1), replicasAfter: after });
    expect([report.replicas.after, report.dropsCapacity]).toEqual([after, false]);
  });

  test('is not lost with an HPA that stays', () => {
    const wanted = [gatewayClass(), gateway(), envoyGatewayConfig({ envoyProxy: autoscaling() })];
    const report = reportHpa(judged(envoyHpa('shop/web', { currentReplicas: 9 }), ...wanted));
    expect(report).toMatchObject({ action: 'keep', dropsCapacity: false });
    expect(report.replicas).toEqual({ current: 9, min: 2, max: 5 });
  });

  test('is not lost where the Deployment is gone', () => {
    const report = reportHpa(judged(envoyHpa('shop/web', { currentReplicas: 9 })));
    expect(report).toMatchObject({ reason: 'GatewayDeleted', dropsCapacity: false });
    expect(report.replicas).toEqual({ current: 9, min: 2, max: 5, after: { kind: 'NoDeployment' } });
  });

  test('is not lost with an HPA that states no replicas: at least one is wanted, and none is known to run', () => {
    const { status: _status, ...hpa } = envoyHpa();
    const quiet = { ...hpa, spec: { ...hpa.spec, minReplicas: null } };
    expect(reportHpa(judged(quiet))).toMatchObject({ replicas: { min: 1, max: 5 }, dropsCapacity: false });
    expect(reportHpa(judged({ ...quiet, status: { currentReplicas: null } })).replicas.current).toBeUndefined();
  });
});

test('reports a missing HPA without the uid of its owner, which only an Event needs', () => {
  const missing = { ...missingHpa('shop/web'), owner: { kind: 'Gateway', namespace: 'shop', name: 'web' } as const };
  expect(reportMissing({ ...missing, ownerUid: 'uid' })).toStrictEqual(missing);
});

test('reports a remedy, a guard and an owner only where there is one', () => {
  const guard = { name: 'Settling', explanation: 'x' } as const;
  const orphan = judged(envoyHpa(), deployment(`envoy-gateway-system/${hashedNameOf('shop/web')}`));
  expect(reportHpa({ ...orphan, guard })).toMatchObject({
    remedy: expect.stringMatching(/^Envoy Gateway removes Deployment .* too/),
    guard,
  });
  expect(reportHpa(removed({}, 1)).remedy).toBeUndefined();
  const foreign = reportHpa(judged(envoyHpa('shop/web', { metadata: { labels: {} } }), deployment('shop/x')));
  expect([foreign.owner, foreign.guard, foreign.restsOn]).toEqual([undefined, undefined, []]);
});
