import { describe, expect, test } from 'vitest';
import type { KubernetesObject } from '../embedded-cluster/objects.ts';
import {
  caseNames,
  contents,
  expectedOf,
  hpasOf,
  keyOf,
  listOf,
  requestsOf,
  serve,
  sweep,
  writesTo,
} from './harness.ts';

describe.each(caseNames)('%s', (name) => {
  const expected = expectedOf(name);

  test('deletes what is stale, by exactly the safe requests, and touches nothing else', async () => {
    const cluster = await serve(listOf(name));
    const before = contents(cluster);
    const stale = cluster.objects('horizontalpodautoscalers').filter((hpa) => expected.delete.includes(keyOf(hpa)));

    const report = await sweep(cluster);

    const gone = new Set(expected.delete.map((key) => `HorizontalPodAutoscaler ${key}`));
    expect(contents(cluster)).toEqual(Object.fromEntries(Object.entries(before).filter(([key]) => !gone.has(key))));
    expect(report.hpas.flatMap(({ manifest }) => manifest ?? [])).toEqual(stale);

    expect(requestsOf(cluster, 'PATCH')).toHaveLength(stale.length);
    expect(requestsOf(cluster, 'DELETE')).toHaveLength(stale.length);
    for (const hpa of stale) {
      const { uid, namespace, name: ofHpa, resourceVersion } = hpa.metadata;
      const managedFields = withoutMaxReplicas(hpa);
      const request = (method: string) => requestsOf(cluster, method).find(({ path }) => path.endsWith(`/${ofHpa}`));
      expect(request('PATCH')?.query.get('fieldManager')).toBe('envoy-hpa-reaper');
      expect(JSON.parse(request('PATCH')?.body ?? '')).toEqual([
        { op: 'replace', path: '/metadata/resourceVersion', value: resourceVersion },
        { op: 'replace', path: '/metadata/managedFields', value: managedFields },
      ]);
      const marked = cluster.audit.find(
        ({ verb, objectRef }) => verb === 'patch' && objectRef?.name === ofHpa && objectRef.namespace === namespace,
      )?.responseObject as unknown as KubernetesObject;
      const atMark = marked.metadata.resourceVersion;
      expect(marked).toEqual({ ...hpa, metadata: { ...hpa.metadata, resourceVersion: atMark, managedFields } });
      expect(Number(atMark)).toBeGreaterThan(Number(resourceVersion));
      expect(JSON.parse(request('DELETE')?.body ?? '')).toEqual({
        ...{ apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Background' },
        preconditions: { uid, resourceVersion: atMark },
      });
    }
  });

  test('reports the same in mode report, and writes nothing', async () => {
    const cluster = await serve(listOf(name));
    const before = contents(cluster);

    const report = await sweep(cluster, { mode: 'report' });

    expect(writesTo(cluster)).toEqual([]);
    expect(contents(cluster)).toEqual(before);
    const reported = report.hpas.filter(({ outcome }) => outcome === 'Reported');
    expect(reported.map(({ namespace, name: hpa }) => `${namespace}/${hpa}`)).toEqual(expected.delete);
    expect(reported.every(({ action }) => action === 'delete')).toBe(true);
    expect(report.hpas.flatMap(({ manifest }) => manifest ?? [])).toEqual([]);
    expect(hpasOf(cluster).toSorted()).toEqual([...expected.delete, ...expected.keep].toSorted());
  });
});

/** managedFields as the mark leaves them: Envoy Gateway's Apply entry lacks the one field. */
function withoutMaxReplicas({ metadata }: KubernetesObject) {
  const entries = structuredClone(metadata.managedFields ?? []);
  for (const { manager, operation, fieldsV1 } of entries) {
    if (manager === 'envoy-gateway' && operation === 'Apply') {
      delete (fieldsV1['f:spec'] as Record<string, unknown>)['f:maxReplicas'];
    }
  }
  return entries;
}
