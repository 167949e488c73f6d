import type { HorizontalPodAutoscaler, ManagedFieldsEntry, Metadata } from '../judgement/kubernetes-objects.ts';
import { OWN_MANAGER } from '../judgement/ownership.ts';
import { type ApiClient, HPAS, parseHpa, type WriteResult } from './api-client.ts';

export type OwnerReference = NonNullable<Metadata['ownerReferences']>[number];

/** The result of a write, with the HPA as it is then. */
export type Written = Exclude<WriteResult, { result: 'done' }> | { result: 'done'; hpa: HorizontalPodAutoscaler };

/** The requests that restoring needs besides those of a sweep. Only a person sends them, with their own rights. */
export interface HpaRestorer {
  namespaceExists(name: string): Promise<boolean>;
  /** Whether an object with the uid of the reference exists: the garbage collector compares uids. */
  ownerExists(owner: OwnerReference, namespace: string): Promise<boolean>;
  /** `conflict`: an HPA of this name exists. `gone`: the namespace does not exist. */
  create(manifest: HorizontalPodAutoscaler): Promise<Written>;
  /** Replaces the managedFields of an HPA that is still what was read. */
  setManagedFields(hpa: HorizontalPodAutoscaler, entries: readonly ManagedFieldsEntry[]): Promise<Written>;
}

/** Every method throws what the methods of {@link ApiClient} throw. */
export function hpaRestorer({ server, requests, read, write }: ApiClient): HpaRestorer {
  const [group, version, plural] = HPAS;
  const get = (path: string) => read(server.makeRequestContext(path, 'GET'));
  type Context = Awaited<ReturnType<ApiClient['requests']['createNamespacedCustomObject']>>;
  const written = async (context: Context): Promise<Written> => {
    context.setQueryParam('fieldManager', OWN_MANAGER);
    const { body, ...answer } = await write(context);
    return answer.result === 'done' ? { result: 'done', hpa: parseHpa(body) } : answer;
  };
  return {
    namespaceExists: async (name) => (await get(`/api/v1/namespaces/${encodeURIComponent(name)}`)) !== undefined,
    async ownerExists({ apiVersion, kind, name, uid }, namespace) {
      const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
      const path = `${pluralOf(kind)}/${encodeURIComponent(name)}`;
      // An owner is in the namespace of what it owns, or cluster-scoped.
      for (const scoped of [`namespaces/${encodeURIComponent(namespace)}/${path}`, path]) {
        const owner = (await get(`${root}/${scoped}`)) as { metadata?: { uid?: string } } | undefined;
        if (owner?.metadata?.uid === uid) return true;
      }
      return false;
    },
    async create(manifest) {
      const { namespace } = manifest.metadata;
      return written(await requests.createNamespacedCustomObject(group, version, namespace, plural, manifest));
    },
    async setManagedFields({ metadata: { namespace, name, resourceVersion } }, entries) {
      const patch = [
        { op: 'replace', path: '/metadata/resourceVersion', value: resourceVersion },
        { op: 'replace', path: '/metadata/managedFields', value: entries },
      ];
      return written(await requests.patchNamespacedCustomObject(group, version, namespace, plural, name, patch));
    },
  };
}

/** As `meta.UnsafeGuessKindToResource` of apimachinery. A wrong guess finds no owner, and its reference is omitted. */
function pluralOf(kind: string): string {
  const singular = kind.toLowerCase();
  if (singular.endsWith('s')) return `${singular}es`;
  return singular.endsWith('y') ? `${singular.slice(0, -1)}ies` : `${singular}s`;
}
