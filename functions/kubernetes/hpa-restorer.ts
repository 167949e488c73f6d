import type { HorizontalPodAutoscaler, ManagedFieldsEntry, Metadata } from '../judgement/kubernetes-objects.ts';
import { type ApiClient, apiPath, managedFieldsPatch } from './api-client.ts';

export type OwnerReference = NonNullable<Metadata['ownerReferences']>[number];

export type HpaRestorer = ReturnType<typeof hpaRestorer>;

/**
 * The requests that restoring needs besides those of a sweep. Only a person sends them, with their own rights. Every method
 * throws what the methods of {@link ApiClient} throw.
 */
export function hpaRestorer({ read, writeHpa }: ApiClient) {
  return {
    namespaceExists: async (name: string) =>
      (await read({ path: apiPath('v1', 'namespaces', { name }) })) !== undefined,
    /** Whether an object with the uid of the reference exists: the garbage collector compares uids. */
    async ownerExists({ apiVersion, kind, name, uid }: OwnerReference, namespace: string): Promise<boolean> {
      // An owner is in the namespace of what it owns, or cluster-scoped.
      for (const names of [{ namespace, name }, { name }]) {
        const path = apiPath(apiVersion, pluralOf(kind), names);
        const owner = (await read({ path })) as { metadata?: { uid?: string } } | undefined;
        if (owner?.metadata?.uid === uid) return true;
      }
      return false;
    },
    /** `conflict`: an HPA of this name exists. `gone`: the namespace does not exist. */
    create(manifest: HorizontalPodAutoscaler) {
      const { namespace } = manifest.metadata;
      const path = apiPath('autoscaling/v2', 'horizontalpodautoscalers', { namespace });
      return writeHpa({ method: 'POST', path, body: manifest });
    },
    /** Replaces the managedFields of an HPA that has not changed since it was read. */
    setManagedFields: (hpa: HorizontalPodAutoscaler, entries: readonly ManagedFieldsEntry[]) =>
      writeHpa(managedFieldsPatch(hpa, entries)),
  };
}

/** As `meta.UnsafeGuessKindToResource` of apimachinery. A wrong guess finds no owner, and its reference is omitted. */
function pluralOf(kind: string): string {
  const singular = kind.toLowerCase();
  if (singular.endsWith('s')) return `${singular}es`;
  return singular.endsWith('y') ? `${singular.slice(0, -1)}ies` : `${singular}s`;
}
