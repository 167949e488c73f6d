import type { HorizontalPodAutoscaler, ManagedFieldsEntry, Metadata } from '../judgement/kubernetes-objects.ts';
import { OWN_MANAGER } from '../judgement/ownership.ts';
import {
  type ApiClient,
  hpasPath,
  managedFieldsPatch,
  parseHpa,
  resourcePath,
  type WriteResult,
} from './api-client.ts';
import type { ApiRequest } from './transport.ts';

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
export function hpaRestorer({ read, write }: ApiClient): HpaRestorer {
  const exists = (path: string) => read({ method: 'GET', path });
  const written = async (request: ApiRequest): Promise<Written> => {
    const { body, ...answer } = await write(request);
    return answer.result === 'done' ? { result: 'done', hpa: parseHpa(body) } : answer;
  };
  return {
    namespaceExists: async (name) => (await exists(resourcePath('v1', 'namespaces', undefined, name))) !== undefined,
    async ownerExists({ apiVersion, kind, name, uid }, namespace) {
      // An owner is in the namespace of what it owns, or cluster-scoped.
      for (const scope of [namespace, undefined]) {
        const owner = await exists(resourcePath(apiVersion, pluralOf(kind), scope, name));
        if ((owner as { metadata?: { uid?: string } } | undefined)?.metadata?.uid === uid) return true;
      }
      return false;
    },
    create: (manifest) =>
      written({
        method: 'POST',
        path: hpasPath(manifest.metadata.namespace),
        query: { fieldManager: OWN_MANAGER },
        body: manifest,
      }),
    setManagedFields: (hpa, entries) => written(managedFieldsPatch(hpa, entries)),
  };
}

/** As `meta.UnsafeGuessKindToResource` of apimachinery. A wrong guess finds no owner, and its reference is omitted. */
function pluralOf(kind: string): string {
  const singular = kind.toLowerCase();
  if (singular.endsWith('s')) return `${singular}es`;
  return singular.endsWith('y') ? `${singular.slice(0, -1)}ies` : `${singular}s`;
}
