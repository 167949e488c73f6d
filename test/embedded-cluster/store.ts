import { randomUUID } from 'node:crypto';
import type { KubernetesObject } from './objects.ts';
import type { ResourceType } from './resource-types.ts';

const keyOf = (namespace: string | undefined, name: string): string => `${namespace ?? ''}/${name}`;

/** The objects by resource, namespace and name, with one revision for all of them: what etcd is to an API server. */
export class ObjectStore {
  #revision = 1;
  readonly #objects = new Map<string, Map<string, KubernetesObject>>();

  get revision(): number {
    return this.#revision;
  }

  get(type: ResourceType, namespace: string | undefined, name: string): KubernetesObject | undefined {
    return this.#of(type).get(keyOf(namespace, name));
  }

  /** All objects of a resource, sorted by key. */
  all(type: ResourceType): KubernetesObject[] {
    return [...this.#of(type)].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, object]) => object);
  }

  /**
   * Writes an object at the next revision.
   *
   * @returns the stored object
   */
  put(type: ResourceType, object: KubernetesObject): KubernetesObject {
    this.#revision += 1;
    const metadata = { ...object.metadata, resourceVersion: String(this.#revision) };
    return this.#set(type, { ...object, metadata });
  }

  /** Loads an object of another cluster, with its resourceVersion if it has one. */
  restore(type: ResourceType, object: KubernetesObject): KubernetesObject {
    const metadata = { ...object.metadata, uid: object.metadata.uid || randomUUID() };
    const revision = Number(metadata.resourceVersion);
    if (!(revision > 0)) return this.put(type, { ...object, metadata });
    this.#revision = Math.max(this.#revision, revision);
    return this.#set(type, { ...object, metadata });
  }

  delete(type: ResourceType, { namespace, name }: KubernetesObject['metadata']): void {
    this.#revision += 1;
    this.#of(type).delete(keyOf(namespace, name));
  }

  #of(type: ResourceType): Map<string, KubernetesObject> {
    let objects = this.#objects.get(type.plural);
    if (!objects) {
      objects = new Map();
      this.#objects.set(type.plural, objects);
    }
    return objects;
  }

  #set(type: ResourceType, object: KubernetesObject): KubernetesObject {
    this.#of(type).set(keyOf(object.metadata.namespace, object.metadata.name), object);
    return object;
  }
}
