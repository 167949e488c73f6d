import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { Snapshot } from '../../../functions/judgement/cluster-index.ts';
import { judge, type Verdict } from '../../../functions/judgement/judge.ts';
import { type EnvoyProxySpec, objectKey, type Scaler } from '../../../functions/judgement/kubernetes-objects.ts';
import { replicasAfter } from '../../../functions/judgement/replicas-after.ts';
import { snapshotOfList } from '../../../functions/kubernetes/cluster-list.ts';
import {
  type ClusterObject,
  controller,
  deployment,
  envoyGatewayConfig,
  envoyHpa,
  hashedNameOf,
  rateLimitHpa,
  snapshotOf,
} from '../../builders/cluster.ts';
import { config, ownProxy, WEB, webRuns } from '../../builders/verdicts.ts';

const NAME = hashedNameOf('shop/web');
const targetOf = (name: string) => ({ apiVersion: 'apps/v1', kind: 'Deployment', name });

/** Of the first HPA, while all that are stale are deleted. */
function fateOf(snapshot: Snapshot) {
  const verdicts = judge(snapshot);
  const stale = verdicts.filter(({ action }) => action === 'delete').map(({ hpa }) => objectKey(hpa.metadata));
  return replicasAfter(verdicts[0] as Verdict, snapshot, new Set(stale));
}
/** With these HPAs beside those of the cluster. */
const withScalers = (objects: ClusterObject[], ...others: Scaler[]): Snapshot => {
  const snapshot = snapshotOf(objects);
  const all = [...(snapshot.scalers?.get('envoy-gateway-system') ?? []), ...others];
  return { ...snapshot, scalers: new Map([['envoy-gateway-system', all]]) };
};
const scaler = (name: string, target: string, others: Partial<Scaler['spec']['scaleTargetRef']> = {}): Scaler => ({
  metadata: { namespace: 'envoy-gateway-system', name },
  spec: { scaleTargetRef: { ...targetOf(target), ...others } },
});
const web = envoyHpa('shop/web', { currentReplicas: 5 });
/** Autoscaling is removed from an EnvoyProxy that says this. */
const removed = (kubernetes: NonNullable<EnvoyProxySpec['provider']>['kubernetes']) => [
  ...[web, ...ownProxy({ provider: { kubernetes } }), config],
];
const three = { envoyDeployment: { replicas: 3 } };
const STAYS = { kind: 'Stays', replicas: 5 };
const becomes = (replicas: number) => ({ kind: 'Becomes', replicas });
const GONE = { kind: 'NoDeployment' };

const patch = (replicas: unknown) => ({ envoyDeployment: { patch: { value: { spec: { replicas } } } } });
const withoutStatus: ClusterObject[] = [{ ...web, status: null }, ...removed({}).slice(1)];
const limiting = (rateLimit: object) => [
  rateLimitHpa({ currentReplicas: 5 }),
  envoyGatewayConfig({ rateLimit }),
  deployment('envoy-gateway-system/envoy-ratelimit'),
];
test.each<[string, ClusterObject[], object | undefined]>([
  ['stay if nothing sets them', [...removed({}), webRuns], STAYS],
  ['stay, although the HPA does not say how many run', [...withoutStatus, webRuns], { kind: 'Stays' }],
  ['become what the EnvoyProxy sets', [...removed(three), webRuns], becomes(3)],
  ['are unknown for an unknown patch', [...removed(patch('5')), webRuns], { kind: 'Unknown' }],
  ['are none if the Deployment is gone', removed(three), GONE],
  ['need no word for an HPA that stays', [...removed({ envoyHpa: {} }), webRuns], undefined],
  ['become what the rate limit service sets', limiting({ rateLimitDeployment: { replicas: 2 } }), becomes(2)],
])('the replicas %s', (_, objects, expected) => {
  expect(fateOf(snapshotOf(objects))).toEqual(expected);
});

test('does not call a Deployment gone that was not read', () => {
  const deployments = new Map([['envoy-gateway-system/envoy-gateway', null]]);
  expect(fateOf({ ...snapshotOf(removed(three)), deployments })).toEqual(becomes(3));
});

describe('another HPA governs the replicas', () => {
  const objects = [...removed(three), webRuns];
  const keda = scaler('keda-hpa-edge', NAME);
  const BY_KEDA = { kind: 'Governed', hpa: 'envoy-gateway-system/keda-hpa-edge' };
  const old = envoyHpa('shop/web', { at: 'envoy-gateway-system/old', target: targetOf(NAME) });
  const elsewhere = { ...keda, metadata: { namespace: 'other', name: 'keda-hpa-edge' } };
  test.each<[string, Snapshot, object]>([
    ['if it scales the same Deployment', withScalers(objects, keda), BY_KEDA],
    ['if it is one of several', withScalers(objects, scaler('a', 'other'), keda), BY_KEDA],
    ['not if it scales another Deployment', withScalers(objects, scaler('k', 'other')), becomes(3)],
    ['not if it scales another kind', withScalers(objects, scaler('k', NAME, { kind: 'StatefulSet' })), becomes(3)],
    ['not if it is deleted as well', withScalers([...objects, old]), becomes(3)],
    ['not in another namespace', { ...snapshotOf(objects), scalers: new Map([['other', [elsewhere]]]) }, becomes(3)],
    ['not if nobody listed them', { ...snapshotOf(objects), scalers: undefined }, becomes(3)],
    ['not of a Deployment that is gone', withScalers(removed({}), keda), GONE],
  ])('%s', (_, snapshot, expected) => {
    expect(fateOf(snapshot)).toEqual(expected);
  });
});

describe('a successor', () => {
  const renamed = [...removed({ envoyHpa: { name: 'new' }, ...three }), controller({ version: 'v1.9.1' })];
  const successor = (target: string) =>
    envoyHpa('shop/web', { at: 'envoy-gateway-system/new', target: targetOf(target) });
  const governed = { kind: 'Governed', hpa: 'envoy-gateway-system/new' };
  const newRuns = deployment('envoy-gateway-system/new');
  test.each<[string, ClusterObject[], object]>([
    ['governs the same Deployment', [successor(NAME), webRuns], governed],
    ['governs the Deployment that replaces this one', [successor('new'), newRuns], governed],
    // No configuration applies to what is left behind under an old name.
    ['does not govern a Deployment that it leaves behind', [successor('new'), webRuns], STAYS],
  ])('%s', (_, objects, expected) => {
    expect(fateOf(snapshotOf([...renamed, ...objects]))).toEqual(expected);
    expect(fateOf({ ...snapshotOf([...renamed, ...objects]), scalers: undefined })).toEqual(expected);
  });

  test('leaves the old Deployment to another HPA', () => {
    const snapshot = withScalers([...renamed, successor('new'), webRuns], scaler('keda-hpa-edge', NAME));
    expect(fateOf(snapshot)).toEqual({ kind: 'Governed', hpa: 'envoy-gateway-system/keda-hpa-edge' });
  });
});

test.each<[string, object, boolean?]>([
  ['replicas-stay', STAYS],
  ['replicas-by-a-patch', becomes(5)],
  ['replicas-governed-by-the-successor', { kind: 'Governed', hpa: WEB }],
  ['replicas-governed-by-keda', { kind: 'Governed', hpa: 'envoy-gateway-system/keda-hpa-edge' }],
  ['runs-as-daemonset', GONE, true],
])('reads the saved List %s', (name, expected, incomplete = false) => {
  const list = JSON.parse(readFileSync(`test/fixtures/lists/${name}.json`, 'utf8'));
  expect(fateOf(snapshotOfList(list, incomplete))).toEqual(expected);
});
