import { expect, test, vi } from 'vitest';
import type { GuardedVerdict } from '../../../functions/judgement/guards.ts';
import type { ClusterApi } from '../../../functions/kubernetes/cluster-api.ts';
import { assess, assessSnapshot, reportHpa } from '../../../functions/sweep/assess.ts';
import {
  autoscaling,
  type ClusterObject,
  envoyHpa,
  gateway,
  gatewayClass,
  snapshotOf,
} from '../../builders/cluster.ts';
import { config, judged, namespaceMode, ownProxy, webRuns } from '../../builders/verdicts.ts';

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

test.each<[string, number | undefined, GuardedVerdict['replicasAfter'], boolean]>([
  ['fewer replicas', 5, { kind: 'Becomes', replicas: 3 }, true],
  ['as many replicas', 3, { kind: 'Becomes', replicas: 3 }, false],
  ['an unknown number of replicas', undefined, { kind: 'Becomes', replicas: 3 }, false],
  ['no Deployment', 5, { kind: 'NoDeployment' }, false],
])('reports whether capacity drops: %s', (_, currentReplicas, replicasAfter, dropsCapacity) => {
  const hpa = { ...envoyHpa(), status: currentReplicas === undefined ? null : { currentReplicas } };
  const report = reportHpa({ ...judged(envoyHpa(), ...bare), hpa, replicasAfter });
  expect(report).toMatchObject({ dropsCapacity, replicas: { current: currentReplicas, after: replicasAfter } });
});
