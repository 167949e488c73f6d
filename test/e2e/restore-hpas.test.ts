import { expect, test } from 'vitest';
import type { HorizontalPodAutoscaler } from '../../functions/judgement/kubernetes-objects.ts';
import { apiClient } from '../../functions/kubernetes/api-client.ts';
import { clusterApi } from '../../functions/kubernetes/cluster-api.ts';
import { restoreHpas } from '../../functions/sweep/restore-hpas.ts';
import { connectionTo, type EmbeddedCluster, type Intervention } from '../embedded-cluster/embedded-cluster.ts';
import {
  missingList,
  requestsOf,
  rewrite,
  STALE,
  serve,
  staleList,
  sweep,
  the,
  wantedList,
  without,
  writesTo,
} from './harness.ts';

// What is restored, and what is refused. test/contract/restoration.ts shows that an HPA is restored as it was.

const hpaOf = (list = wantedList()) =>
  the('HorizontalPodAutoscaler', list) as unknown as HorizontalPodAutoscaler & { spec: Record<string, unknown> };

async function restore(
  cluster: EmbeddedCluster,
  manifests: readonly HorizontalPodAutoscaler[],
  options: Partial<Parameters<typeof restoreHpas>[1]> = {},
) {
  const connection = connectionTo(cluster);
  const api = clusterApi(connection);
  try {
    const client = apiClient(connection, 10_000);
    return await restoreHpas(manifests, { api, client, force: false, dryRun: false, ...options });
  } finally {
    api.close();
  }
}

test('restores a stale HPA with --force or --keep only', async () => {
  const cluster = await serve(without(staleList(), 'HorizontalPodAutoscaler'));
  const manifest = hpaOf(staleList());
  const refused = /^It would be deleted again: Gateway .* asks for no .*\. --keep restores and protects it\.$/;
  const why = expect.stringMatching(refused);
  expect(await restore(cluster, [manifest])).toMatchObject([{ outcome: 'StillStale', why }]);
  expect(writesTo(cluster)).toEqual([]);
  expect(await restore(cluster, [manifest], { force: true })).toMatchObject([{ outcome: 'Restored' }]);
  expect((await sweep(cluster)).hpas).toMatchObject([{ outcome: 'Deleted' }]);

  const protection = 'It is protected until you remove the annotation envoy-hpa-reaper/keep.';
  expect(await restore(cluster, [manifest], { keep: true })).toMatchObject([{ outcome: 'Restored', why: protection }]);
  const command = `kubectl annotate hpa -n ${STALE.replace('/', ' ')} envoy-hpa-reaper/keep=true`;
  expect(await restore(cluster, [manifest], { keep: true })).toMatchObject([
    {
      outcome: 'AlreadyThere',
      why: `An HPA of this name exists; it is not changed. To protect it: ${command}`,
    },
  ]);
});

test('reports a missing Deployment, and a manifest without managedFields, which takes one write', async () => {
  const cluster = await serve(missingList());
  const manifest = hpaOf();
  Reflect.deleteProperty(manifest.metadata, 'managedFields');
  Object.assign(manifest.spec.scaleTargetRef, { name: 'gone' });
  const byHand = 'Its manifest has no managedFields: from now on it counts as created by hand.';
  const why = `Its Deployment envoy-gateway-system/gone does not exist. ${byHand}`;
  expect(await restore(cluster, [manifest])).toMatchObject([{ outcome: 'Restored', why }]);
  expect(writesTo(cluster)).toHaveLength(1);
  Object.assign(manifest.metadata, { name: 'other' });
  Object.assign(manifest.spec.scaleTargetRef, { kind: 'StatefulSet' });
  expect(await restore(cluster, [manifest])).toMatchObject([{ why: byHand }]);
});

test('judges each manifest for itself, selects by namespace and owner, and a refusal stops no other', async () => {
  const cluster = await serve(without(staleList(), 'HorizontalPodAutoscaler'));
  let writes = 0;
  cluster.admission = () => (writes++ === 0 ? { webhook: 'a.example.com', code: 403, message: 'not here' } : undefined);
  const manifest = hpaOf(staleList());
  const { namespace, labels } = manifest.metadata;
  const annotations = { 'envoy-hpa-reaper/keep': 'true' };
  const kept = (name: string, gateway = 'web') => {
    const ofGateway = { ...labels, 'gateway.envoyproxy.io/owning-gateway-name': gateway };
    return { ...manifest, metadata: { ...manifest.metadata, name, annotations, labels: ofGateway } };
  };
  const selects = (of: { namespace: string; owner?: { name: string } }) =>
    of.namespace === namespace && of.owner?.name === 'web';
  const restored = await restore(cluster, [manifest, kept('a'), kept('b'), kept('c', 'api')], { selects });
  expect(restored.toSorted((a, b) => a.outcome.localeCompare(b.outcome))).toMatchObject([
    { outcome: 'Refused', why: expect.stringContaining('not here') },
    { outcome: 'Restored' },
    { outcome: 'StillStale', name: manifest.metadata.name },
  ]);
});

test('finishes an interrupted restoration, and leaves others what they have written since', async () => {
  const entry = (manager: string, field: string, more: object = {}) => ({
    ...{ manager, operation: 'Update' as const, apiVersion: 'autoscaling/v2', fieldsType: 'FieldsV1' as const },
    ...{ fieldsV1: { 'f:spec': { [`f:${field}`]: {} } }, ...more },
  });
  const apply = { operation: 'Apply' as const };
  const since = [entry('kubectl', 'minReplicas'), entry('argocd', 'behavior', apply)];
  // Written since under the same name: given back is only what is another entry.
  const same = [
    entry('kubectl', 'maxReplicas'),
    entry('argocd', 'behavior', { ...apply, apiVersion: 'autoscaling/v1' }),
  ];
  const others = [
    entry('kubectl', 'maxReplicas', { apiVersion: 'autoscaling/v1' }),
    entry('helm', 'maxReplicas'),
    entry('kubectl', 'maxReplicas', apply),
    entry('kubectl', 'maxReplicas', { subresource: 'scale' }),
  ];
  const list = wantedList();
  the('HorizontalPodAutoscaler', list).metadata.managedFields = [entry('envoy-hpa-reaper', 'metrics'), ...since];
  const manifest = hpaOf();
  manifest.metadata.managedFields = [...same, ...others];
  const cluster = await serve(list);
  const bare = { ...manifest, metadata: { ...manifest.metadata, managedFields: null } };
  expect(await restore(cluster, [bare])).toMatchObject([{ outcome: 'AlreadyThere' }]);
  const why = expect.stringMatching(/^An earlier/);
  expect(await restore(cluster, [manifest])).toMatchObject([{ outcome: 'Restored', why }]);
  const [restored] = cluster.objects('horizontalpodautoscalers');
  const wanted = [...others, ...since];
  expect(restored?.metadata.managedFields).toHaveLength(wanted.length);
  expect(restored?.metadata.managedFields).toEqual(expect.arrayContaining(wanted));
});

const unauthorized: Intervention = { kind: 'respond', status: 401, body: { message: 'who are you?' } };
const conflict = (cluster: EmbeddedCluster) =>
  rewrite(cluster, 'horizontalpodautoscalers', ({ spec }) => void spec.maxReplicas++);
const refuse = (cluster: EmbeddedCluster) => {
  cluster.admission = () => ({ webhook: 'a.example.com', code: 403, message: 'not now' });
};
test.each<[string, string, RegExp, string, number, (cluster: EmbeddedCluster) => Intervention | undefined]>([
  ['there is no answer', 'Failed', /^no whole answer/, 'POST', 1, () => ({ kind: 'reset' })],
  ['the credentials expire', 'Refused', /answered 401/, 'POST', 2, () => unauthorized],
  ['it keeps changing', 'Failed', /^It was created, but keeps changing;/, 'PATCH', 5, (at) => void conflict(at)],
  [
    'a policy',
    'Failed',
    /^It was created, but its managedFields are not .*not now/,
    'PATCH',
    1,
    (at) => void refuse(at),
  ],
])('reports why an HPA was not restored: %s', async (_, outcome, why, written, times, intervene) => {
  const cluster = await serve(missingList());
  expect(await restore(cluster, [hpaOf()], { dryRun: true })).toMatchObject([{ outcome: 'Restorable', why: '' }]);
  cluster.onRequest = ({ method }) => (method === written ? intervene(cluster) : undefined);
  expect(await restore(cluster, [hpaOf()])).toMatchObject([{ outcome, why: expect.stringMatching(why) }]);
  expect(requestsOf(cluster, written)).toHaveLength(times);
});
