import { vi } from 'vitest';
import {
  type HorizontalPodAutoscaler,
  type NamespacedName,
  objectKey,
} from '../../functions/judgement/kubernetes-objects.ts';
import { markedManagedFields } from '../../functions/judgement/ownership.ts';
import type { ClusterApi } from '../../functions/kubernetes/cluster-api.ts';
import { type ClusterObject, snapshotOf } from './cluster.ts';

export const nextVersion = ({ metadata, ...hpa }: HorizontalPodAutoscaler): HorizontalPodAutoscaler => ({
  ...hpa,
  metadata: { ...metadata, resourceVersion: `${Number(metadata.resourceVersion) + 1}` },
});

/** A cluster in memory; its HPAs can be marked and deleted. `over` answers requests for HPAs instead. */
export function apiOf(objects: readonly ClusterObject[], over: Partial<ClusterApi['hpas']> = {}) {
  const { hpas: created, deployments, ...config } = snapshotOf(objects);
  const hpas = new Map(created.map((hpa) => [objectKey(hpa.metadata), hpa]));
  const mark = (hpa: HorizontalPodAutoscaler) => {
    const marked = nextVersion({ ...hpa, metadata: { ...hpa.metadata, managedFields: markedManagedFields(hpa) } });
    hpas.set(objectKey(hpa.metadata), marked);
    return marked;
  };
  const read = async () => config;
  return {
    hpas: {
      list: vi.fn(async () => [...hpas.values()]),
      scalers: vi.fn(async () => []),
      get: vi.fn(async ({ metadata }) => hpas.get(objectKey(metadata))),
      mark: vi.fn(async (hpa) => ({ result: 'done', hpa: mark(hpa) })),
      delete: vi.fn(async ({ metadata }) => {
        hpas.delete(objectKey(metadata));
        return { result: 'done' };
      }),
      ...over,
    },
    config: { read, readIfUsed: read, deployment: async (name: NamespacedName) => deployments.get(objectKey(name)) },
    recordEvent: vi.fn(async () => 'done'),
  } as unknown as ClusterApi;
}
