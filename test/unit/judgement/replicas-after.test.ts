import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { judge, type Verdict } from '../../../functions/judgement/judge.ts';
import { type EnvoyProxySpec, objectKey, type Scaler } from '../../../functions/judgement/kubernetes-objects.ts';
import { type ReplicasAfter, replicasAfter } from '../../../functions/judgement/replicas-after.ts';
import type { Snapshot } from '../../../functions/judgement/snapshot.ts';
import { snapshotOfList } from '../../../functions/kubernetes/cluster-list.ts';
import {
  autoscaling,
  type ClusterObject,
  controller,
  deployment,
  envoyGatewayConfig,
  envoyHpa,
  envoyProxy,
  gateway,
  gatewayClass,
  hashedNameOf,
  rateLimitHpa,
  snapshotOf,
} from '../../builders/cluster.ts';

const NAME = hashedNameOf('shop/web');
const PLACE = `envoy-gateway-system/${NAME}`;
const running = deployment(PLACE);
const config = envoyGatewayConfig();

/** Of the first HPA, and what is made of all that are stale. */
function fateOf(snapshot: Snapshot): ReplicasAfter | undefined {
  const verdicts = judge(snapshot);
  const stale = verdicts.filter(({ action }) => action === 'delete').map(({ hpa }) => objectKey(hpa.metadata));
  return replicasAfter(verdicts[0] as Verdict, snapshot, new Set(stale));
}
const afterOf = (...objects: ClusterObject[]) => fateOf(snapshotOf(objects));
const removed = (
  kubernetes: NonNullable<EnvoyProxySpec['provider']>['kubernetes'],
  hpa: Parameters<typeof envoyHpa>[1] = { currentReplicas: 5 },
) => [
  envoyHpa('shop/web', hpa),
  gatewayClass(),
  gateway('shop/web', { proxy: 'own' }),
  envoyProxy('shop/own', { provider: { kubernetes } }),
  config,
];
const scaler = (name: string, target: string, others: Partial<Scaler['spec']['scaleTargetRef']> = {}): Scaler => ({
  metadata: { namespace: 'envoy-gateway-system', name },
  spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: target, ...others } },
});
const withScalers = (objects: ClusterObject[], ...scalers: Scaler[]): Snapshot => {
  const snapshot = snapshotOf(objects);
  return {
    ...snapshot,
    scalers: new Map([
      ['envoy-gateway-system', [...(snapshot.scalers?.get('envoy-gateway-system') ?? []), ...scalers]],
    ]),
  };
};
const patch = (replicas: unknown) => ({ envoyDeployment: { patch: { value: { spec: { replicas } } } } });

test.each<[string, ClusterObject[], ReplicasAfter | undefined]>([
  ['nobody sets them: they stay', [...removed({}), running], { kind: 'Stays', replicas: 5 }],
  [
    'nobody sets them, and the HPA does not tell how many run',
    [
      ...removed({}).map((object) =>
        'status' in object && object.kind === 'HorizontalPodAutoscaler' ? { ...object, status: null } : object,
      ),
      running,
    ],
    { kind: 'Stays' },
  ],
  [
    'the EnvoyProxy sets them',
    [...removed({ envoyDeployment: { replicas: 3 } }), running],
    { kind: 'Becomes', replicas: 3 },
  ],
  [
    'the EnvoyProxy sets none',
    [...removed({ envoyDeployment: { replicas: 0 } }), running],
    { kind: 'Becomes', replicas: 0 },
  ],
  ['a patch sets them', [...removed(patch(5)), running], { kind: 'Becomes', replicas: 5 }],
  ['a patch takes the number away', [...removed(patch(null)), running], { kind: 'Stays', replicas: 5 }],
  ['a patch says it in a way that is not understood', [...removed(patch('5')), running], { kind: 'Unknown' }],
  ['the Deployment is gone', removed({ envoyDeployment: { replicas: 3 } }), { kind: 'NoDeployment' }],
  ['the Gateway and its Deployment are gone', [envoyHpa(), gatewayClass(), config], { kind: 'NoDeployment' }],
  ['an HPA that stays goes on scaling', [...removed({ envoyHpa: {} }), running], undefined],
  [
    'the rate limit service of this number',
    [
      rateLimitHpa({ currentReplicas: 5 }),
      envoyGatewayConfig({ rateLimit: { rateLimitDeployment: { replicas: 2 } } }),
      deployment('envoy-gateway-system/envoy-ratelimit'),
    ],
    { kind: 'Becomes', replicas: 2 },
  ],
  [
    'the rate limit service without one',
    [
      rateLimitHpa({ currentReplicas: 5 }),
      envoyGatewayConfig({ rateLimit: {} }),
      deployment('envoy-gateway-system/envoy-ratelimit'),
    ],
    { kind: 'Stays', replicas: 5 },
  ],
])('%s', (_, objects, expected) => {
  expect(afterOf(...objects)).toEqual(expected);
});

test('without a look at the Deployment it is not said to be gone', () => {
  const snapshot = snapshotOf(removed({ envoyDeployment: { replicas: 3 } }));
  const deployments = new Map([['envoy-gateway-system/envoy-gateway', null]]);
  expect(fateOf({ ...snapshot, deployments })).toEqual({ kind: 'Becomes', replicas: 3 });
});

describe('another HPA governs them', () => {
  const objects = [...removed({ envoyDeployment: { replicas: 3 } }), running];
  const keda = { kind: 'Governed', hpa: 'envoy-gateway-system/keda-hpa-edge' };
  const becomes = { kind: 'Becomes', replicas: 3 };
  test.each<[string, Scaler[], object]>([
    ['it scales the same Deployment', [scaler('keda-hpa-edge', NAME)], keda],
    ['it scales another Deployment', [scaler('keda-hpa-edge', 'other')], becomes],
    ['it scales another kind of that name', [scaler('keda-hpa-edge', NAME, { kind: 'StatefulSet' })], becomes],
    ['one of several does', [scaler('a', 'other'), scaler('keda-hpa-edge', NAME)], keda],
  ])('%s', (_, scalers, expected) => {
    expect(fateOf(withScalers(objects, ...scalers))).toEqual(expected);
  });

  test('but not one that goes as well, nor one of another namespace, nor where nobody looked', () => {
    const second = envoyHpa('shop/web', {
      at: 'envoy-gateway-system/old',
      target: { apiVersion: 'apps/v1', kind: 'Deployment', name: NAME },
    });
    expect(fateOf(withScalers([...objects, second]))).toEqual(becomes);
    const elsewhere = { ...scaler('keda-hpa-edge', NAME), metadata: { namespace: 'other', name: 'keda-hpa-edge' } };
    expect(fateOf({ ...snapshotOf(objects), scalers: new Map([['other', [elsewhere]]]) })).toEqual(becomes);
    expect(fateOf({ ...snapshotOf(objects), scalers: undefined })).toEqual(becomes);
  });

  test('of a Deployment that is gone there is nothing to govern', () => {
    expect(fateOf(withScalers(removed({}), scaler('keda-hpa-edge', NAME)))).toEqual({ kind: 'NoDeployment' });
  });
});

describe('a successor', () => {
  const named = { envoyHpa: { name: 'new' }, envoyDeployment: { replicas: 3 } };
  const successor = (target: string) =>
    envoyHpa('shop/web', {
      at: 'envoy-gateway-system/new',
      target: { apiVersion: 'apps/v1', kind: 'Deployment', name: target },
    });
  const governed = { kind: 'Governed', hpa: 'envoy-gateway-system/new' };
  const v191 = controller({ version: 'v1.9.1' });
  test.each<[string, ClusterObject[], object]>([
    ['scales the same Deployment', [successor(NAME), running], governed],
    [
      'scales the Deployment that takes the place of this one',
      [successor('new'), deployment('envoy-gateway-system/new')],
      governed,
    ],
    // What is left behind under an old name is nobody's any more: no configuration applies to it.
    ['scales another Deployment, and this one still runs', [successor('new'), running], { kind: 'Stays', replicas: 5 }],
  ])('%s', (_, objects, expected) => {
    expect(afterOf(...removed(named), v191, ...objects)).toEqual(expected);
  });

  test('and another HPA scales the Deployment that is left behind', () => {
    const snapshot = withScalers([...removed(named), v191, successor('new'), running], scaler('keda-hpa-edge', NAME));
    expect(fateOf(snapshot)).toEqual({ kind: 'Governed', hpa: 'envoy-gateway-system/keda-hpa-edge' });
  });

  test('the old Deployment of GatewayNamespace mode runs on for good', () => {
    const hashed = `shop/${NAME}`;
    const objects = [
      envoyHpa('shop/web', { at: hashed, currentReplicas: 4 }),
      envoyHpa('shop/web', { at: 'shop/web' }),
      gatewayClass(),
      gateway('shop/web', { proxy: 'own' }),
      envoyProxy('shop/own', autoscaling()),
      envoyGatewayConfig({ gatewayNamespaceMode: true }),
      ...[controller({ version: 'v1.9.1' }), deployment(hashed), deployment('shop/web')],
    ];
    expect(afterOf(...objects)).toEqual({ kind: 'Stays', replicas: 4 });
  });
});

describe('saved Lists', () => {
  const listed = (name: string, incomplete = false) =>
    snapshotOfList(JSON.parse(readFileSync(`test/fixtures/lists/${name}.json`, 'utf8')), incomplete);
  test.each<[string, ReplicasAfter, boolean?]>([
    ['replicas-stay', { kind: 'Stays', replicas: 5 }],
    ['replicas-by-a-patch', { kind: 'Becomes', replicas: 5 }],
    ['replicas-governed-by-the-successor', { kind: 'Governed', hpa: PLACE }],
    ['replicas-governed-by-keda', { kind: 'Governed', hpa: 'envoy-gateway-system/keda-hpa-edge' }],
    ['runs-as-daemonset', { kind: 'NoDeployment' }, true],
  ])('%s', (name, expected, incomplete) => {
    expect(fateOf(listed(name, incomplete))).toEqual(expected);
  });
});
