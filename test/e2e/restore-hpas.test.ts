import { expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { selectionOf } from '../../functions/cli/input/selection.ts';
import type { HorizontalPodAutoscaler } from '../../functions/judgement/kubernetes-objects.ts';
import { apiClient } from '../../functions/kubernetes/api-client.ts';
import { clusterApi } from '../../functions/kubernetes/cluster-api.ts';
import { restoreHpas } from '../../functions/sweep/restore-hpas.ts';
import { connectionTo, type EmbeddedCluster, type Intervention } from '../embedded-cluster/embedded-cluster.ts';
import {
  hpasOf,
  listOf,
  missingList,
  requestsOf,
  rewrite,
  STALE,
  serve,
  staleList,
  sweep,
  the,
  times,
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

test('restores a stale HPA with --force or --keep only, and protects it with --keep', async () => {
  const cluster = await serve(without(staleList(), 'HorizontalPodAutoscaler'));
  const manifest = hpaOf(staleList());
  const why = expect.stringMatching(
    /^It would be deleted again: Gateway .* asks for no autoscaling: .*\. --keep restores and protects it\.$/,
  );
  expect(await restore(cluster, [manifest])).toMatchObject([{ outcome: 'StillStale', why }]);
  expect(writesTo(cluster)).toEqual([]);
  expect(await restore(cluster, [manifest], { force: true })).toMatchObject([
    { outcome: 'Restored', why: expect.stringMatching(/^It is stale, so the next sweep deletes it again: Gateway /) },
  ]);
  expect(hpasOf(cluster)).toEqual([STALE]);
  expect((await sweep(cluster)).hpas).toMatchObject([{ outcome: 'Deleted' }]);

  const protection = 'It is protected until you remove the annotation envoy-hpa-reaper/keep.';
  expect(await restore(cluster, [manifest], { keep: true })).toMatchObject([{ outcome: 'Restored', why: protection }]);
  const [restored] = cluster.objects('horizontalpodautoscalers');
  expect(restored?.spec).toEqual(manifest.spec);
  expect(restored?.metadata.annotations).toMatchObject({ 'envoy-hpa-reaper/keep': 'true' });
  // Envoy Gateway owns what it owned, and nobody owns the annotation.
  expect(restored?.metadata.managedFields).toEqual(manifest.metadata.managedFields);
  expect((await sweep(cluster)).hpas).toMatchObject([{ outcome: 'Kept', reason: 'Protected' }]);

  expect(await restore(cluster, [manifest], { keep: true })).toMatchObject([
    {
      outcome: 'AlreadyThere',
      why: `An HPA of this name exists; it is not changed. To protect it: kubectl annotate hpa -n ${STALE.replace('/', ' ')} envoy-hpa-reaper/keep=true`,
    },
  ]);
});

test('reports a missing Deployment, and a manifest without managedFields, which takes one write', async () => {
  const cluster = await serve(missingList());
  const manifest = hpaOf();
  Reflect.deleteProperty(manifest.metadata, 'managedFields');
  Object.assign(manifest.spec.scaleTargetRef, { name: 'gone' });
  expect(await restore(cluster, [manifest])).toMatchObject([
    {
      outcome: 'Restored',
      why: 'Its Deployment envoy-gateway-system/gone does not exist. Its manifest has no managedFields: from now on it counts as created by hand.',
    },
  ]);
  expect(writesTo(cluster)).toHaveLength(1);
  Object.assign(manifest.metadata, { name: 'other' });
  Object.assign(manifest.spec.scaleTargetRef, { kind: 'StatefulSet' });
  expect((await restore(cluster, [manifest]))[0]?.why).toMatch(/^Its manifest has no managedFields/);
});

test('judges each manifest for itself, and selects by namespace and owner', async () => {
  const cluster = await serve(without(staleList(), 'HorizontalPodAutoscaler'));
  const manifest = hpaOf(staleList());
  const annotations = { 'envoy-hpa-reaper/keep': 'true' };
  const kept = { ...manifest, metadata: { ...manifest.metadata, name: 'kept', annotations } };
  const { namespace } = manifest.metadata;
  const selects = (of: { namespace: string; owner?: { name: string } }) =>
    of.namespace === namespace && of.owner?.name === 'web';
  expect(await restore(cluster, [manifest, kept], { selects })).toMatchObject([
    { name: manifest.metadata.name, outcome: 'StillStale' },
    { name: 'kept', outcome: 'Restored' },
  ]);
});

test('finishes an interrupted restoration, and leaves others what they have written since', async () => {
  const update = {
    manager: 'kubectl',
    operation: 'Update',
    apiVersion: 'autoscaling/v2',
    fieldsType: 'FieldsV1',
  } as const;
  const fields = (name: string) => ({ fieldsV1: { 'f:spec': { [`f:${name}`]: {} } } });
  const own = { ...update, ...fields('metrics'), manager: 'envoy-hpa-reaper' };
  const applied = { ...update, manager: 'argocd', operation: 'Apply', ...fields('behavior') } as const;
  const since = [{ ...update, ...fields('minReplicas') }, applied];
  const old = { ...update, ...fields('maxReplicas') };
  const v1 = { ...old, apiVersion: 'autoscaling/v1' };
  const others = [
    v1,
    { ...old, manager: 'helm' },
    { ...old, operation: 'Apply' as const },
    { ...old, subresource: 'scale' },
  ];
  const list = wantedList();
  const created = the('HorizontalPodAutoscaler', list);
  const manifest = structuredClone(hpaOf());
  const apply = (manifest.metadata.managedFields ?? []).slice(0, 1);
  manifest.metadata.managedFields = [...apply, old, { ...applied, apiVersion: 'autoscaling/v1' }, ...others];
  created.metadata.managedFields = [own, ...since];
  const cluster = await serve(list);
  const bare = { ...manifest, metadata: { ...manifest.metadata, managedFields: null } };
  expect(await restore(cluster, [bare])).toMatchObject([{ outcome: 'AlreadyThere' }]);
  expect(await restore(cluster, [manifest])).toMatchObject([
    { outcome: 'Restored', why: expect.stringMatching(/^An earlier/) },
  ]);
  const [restored] = cluster.objects('horizontalpodautoscalers');
  const inShort = (entries: readonly object[] = []) =>
    entries
      .map((entry) =>
        JSON.stringify(
          Object.entries(entry)
            .filter(([, value]) => value !== undefined)
            .toSorted(),
        ),
      )
      .toSorted();
  expect(inShort(restored?.metadata.managedFields)).toEqual(inShort([...apply, ...others, ...since]));
});

test('reports the answer of an admission policy, and restores the others', async () => {
  const list = times(2, wantedList());
  const manifests = list.items.filter(({ kind }) => kind === 'HorizontalPodAutoscaler');
  const cluster = await serve(without(list, 'HorizontalPodAutoscaler'));
  let refused = false;
  cluster.admission = () => {
    if (refused) return undefined;
    refused = true;
    return { webhook: 'policy.example.com', code: 403, message: 'not here' };
  };
  const restored = await restore(cluster, manifests as unknown as HorizontalPodAutoscaler[]);
  expect(restored.toSorted((a, b) => a.outcome.localeCompare(b.outcome))).toMatchObject([
    { outcome: 'Refused', why: expect.stringContaining('not here') },
    { outcome: 'Restored' },
  ]);
});

test('restores the HPA of the rate limit service when the configuration asks for it', async () => {
  const list = listOf('rate-limit-hpa-leaked-v1.3.0');
  const manifest = list.items.find(
    ({ kind, metadata }) => kind === 'HorizontalPodAutoscaler' && metadata.name === 'envoy-ratelimit',
  ) as unknown as HorizontalPodAutoscaler;
  const cluster = await serve({ ...list, items: list.items.filter((item) => (item as unknown) !== manifest) });
  expect(await restore(cluster, [manifest])).toMatchObject([
    { outcome: 'StillStale', why: expect.stringContaining('asks for no autoscaling of the rate limit service') },
  ]);
  // It belongs to no Gateway.
  expect(await restore(cluster, [manifest], { force: true, selects: selectionOf({ gateway: 'shop/web' }) })).toEqual(
    [],
  );
  const config = the('ConfigMap', list).data as Record<string, string>;
  const text = stringify({
    ...parse(config['envoy-gateway.yaml'] ?? ''),
    provider: { type: 'Kubernetes', kubernetes: { rateLimitHpa: { maxReplicas: 9 } } },
  });
  rewrite(cluster, 'configmaps', (object) => void Object.assign(object, { data: { 'envoy-gateway.yaml': text } }));
  expect(await restore(cluster, [manifest])).toMatchObject([{ outcome: 'Restored', why: '' }]);
});

test('fails when an admission policy refuses to give the fields back', async () => {
  const cluster = await serve(missingList());
  cluster.admission = ({ operation }) =>
    operation === 'UPDATE' ? { webhook: 'policy.example.com', code: 403, message: 'not now' } : undefined;
  const why = expect.stringMatching(/^It was created, but its managedFields are not as before: .*not now/);
  expect(await restore(cluster, [hpaOf()])).toMatchObject([{ outcome: 'Failed', why }]);
});

const unauthorized: Intervention = { kind: 'respond', status: 401, body: { message: 'who are you?' } };
const conflict = (cluster: EmbeddedCluster) =>
  rewrite(cluster, 'horizontalpodautoscalers', ({ spec }) => void spec.maxReplicas++);
test.each<[string, string, RegExp, string, number, (cluster: EmbeddedCluster) => Intervention | undefined]>([
  ['there is no answer', 'Failed', /^no whole answer/, 'POST', 1, () => ({ kind: 'reset' })],
  ['the credentials expire', 'Refused', /answered 401/, 'POST', 2, () => unauthorized],
  ['it keeps changing', 'Failed', /^It was created, but continues to change;/, 'PATCH', 5, (at) => void conflict(at)],
])('reports why an HPA was not restored: %s', async (_, outcome, why, written, times, intervene) => {
  const cluster = await serve(missingList());
  expect(await restore(cluster, [hpaOf()], { dryRun: true })).toMatchObject([{ outcome: 'Restorable', why: '' }]);
  cluster.onRequest = ({ method }) => (method === written ? intervene(cluster) : undefined);
  expect(await restore(cluster, [hpaOf()])).toMatchObject([{ outcome, why: expect.stringMatching(why) }]);
  expect(requestsOf(cluster, written)).toHaveLength(times);
});
