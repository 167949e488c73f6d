import type { HorizontalPodAutoscaler, ManagedFieldsEntry, Metadata } from '../judgement/kubernetes-objects.ts';
import { OWN_MANAGER } from '../judgement/ownership.ts';
import { type ApiClient, HPAS, parseHpa, type WriteResult } from './api-client.ts';

export type OwnerReference = NonNullable<Metadata['ownerReferences']>[number];

/** What a write came to, with the HPA as it is then. */
export type Written = Exclude<WriteResult, { result: 'done' }> | { result: 'done'; hpa: HorizontalPodAutoscaler };

/** What putting an HPA back takes beyond a pass. Only a person does that, with their own rights. */
export interface HpaRestorer {
  /** The HPA of this name that is there now. */
  find(place: { namespace: string; name: string }): Promise<HorizontalPodAutoscaler | undefined>;
  namespaceExists(name: string): Promise<boolean>;
  /** Whether the very object, by its uid, is there: the garbage collector goes by that. */
  ownerExists(owner: OwnerReference, namespace: string): Promise<boolean>;
  /** `conflict`: there is one of this name. `gone`: there is no such namespace. */
  create(manifest: object, place: { namespace: string }): Promise<Written>;
  /** Says anew who owns which fields, if the HPA is still what was read. */
  setManagedFields(hpa: HorizontalPodAutoscaler, entries: readonly ManagedFieldsEntry[]): Promise<Written>;
}

/** Every call throws as those of {@link ApiClient} do. */
export function hpaRestorer({ server, requests, read, write }: ApiClient): HpaRestorer {
  const [group, version, plural] = HPAS;
  const get = (path: string) => read(server.makeRequestContext(path, 'GET'));
  const written = ({ body, ...answer }: WriteResult & { body?: unknown }): Written =>
    answer.result === 'done' ? { result: 'done', hpa: parseHpa(body) } : answer;
  return {
    async find({ namespace, name }) {
      const body = await read(await requests.getNamespacedCustomObject(group, version, namespace, plural, name));
      return body === undefined ? undefined : parseHpa(body);
    },
    namespaceExists: async (name) => (await get(`/api/v1/namespaces/${encodeURIComponent(name)}`)) !== undefined,
    async ownerExists({ apiVersion, kind, name, uid }, namespace) {
      const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
      const path = `${pluralOf(kind)}/${encodeURIComponent(name)}`;
      // An owner lies in the namespace of what it owns, or in none.
      for (const place of [`namespaces/${encodeURIComponent(namespace)}/${path}`, path]) {
        const owner = (await get(`${root}/${place}`)) as { metadata?: { uid?: string } };
        if (owner?.metadata?.uid === uid) return true;
      }
      return false;
    },
    async create(manifest, { namespace }) {
      const context = await requests.createNamespacedCustomObject(
        group,
        version,
        namespace,
        plural,
        manifest,
        undefined,
        undefined,
        OWN_MANAGER,
      );
      return written(await write(context));
    },
    async setManagedFields({ metadata: { namespace, name, resourceVersion } }, entries) {
      const patch = [
        { op: 'replace', path: '/metadata/resourceVersion', value: resourceVersion },
        { op: 'replace', path: '/metadata/managedFields', value: entries },
      ];
      const context = await requests.patchNamespacedCustomObject(
        group,
        version,
        namespace,
        plural,
        name,
        patch,
        undefined,
        OWN_MANAGER,
      );
      return written(await write(context));
    },
  };
}

/** As `meta.UnsafeGuessKindToResource` of apimachinery. A wrong guess finds no owner, and its reference is left out. */
function pluralOf(kind: string): string {
  const singular = kind.toLowerCase();
  if (singular.endsWith('s')) return `${singular}es`;
  return singular.endsWith('y') ? `${singular.slice(0, -1)}ies` : `${singular}s`;
}
