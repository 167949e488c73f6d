import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { AuditTrace } from './audit.ts';
import { applyConfiguration, ownersAfterUpdate, type Writer } from './field-ownership.ts';
import { listPage } from './lists.ts';
import {
  isJsonObject,
  type Json,
  type JsonObject,
  type KubernetesObject,
  type ManagedFieldsEntry,
  timestamp,
} from './objects.ts';
import { type ResourceType, typeOf } from './resource-types.ts';
import {
  ApiError,
  alreadyExists,
  noSuchResource,
  notFound,
  notSimulated,
  preconditionFailed,
  updateConflict,
} from './status.ts';
import type { ObjectStore } from './store.ts';

/** An authorized request for a served resource. */
export interface ResourceRequest {
  verb: string;
  type: ResourceType;
  namespace?: string;
  name?: string;
  subresource?: string;
  query: URLSearchParams;
  contentType?: string;
  userAgent?: string;
  body: string;
  trace: AuditTrace;
  /** Throws a 403 unless the user may create the object: an apply may create it. */
  authorizeCreate: () => void;
}

export interface Answer {
  code: number;
  body: JsonObject | KubernetesObject;
}

/** The part of an AdmissionReview that the tests decide by. */
export interface AdmissionReview {
  operation: 'CREATE' | 'UPDATE' | 'DELETE';
  resource: string;
  name: string;
}

/** An admission webhook: it returns a denial, or `undefined` to admit the request. */
export type Admission = (
  review: AdmissionReview,
) => undefined | { webhook: string; code: number; reason?: string; message: string };

/** Answers requests for resources as kube-apiserver v1.34 does. Every method throws `ApiError` for a refusal. */
export class ResourceServer {
  readonly #store: ObjectStore;
  readonly #now: () => Date;
  readonly #admission: () => Admission | undefined;

  constructor(store: ObjectStore, now: () => Date, admission: () => Admission | undefined) {
    this.#store = store;
    this.#now = now;
    this.#admission = admission;
  }

  answer(request: ResourceRequest): Answer {
    const { type, namespace, name, subresource, verb } = request;
    const isInScope = type.namespaced
      ? name === undefined || namespace !== undefined
      : namespace === undefined || namespace === name;
    if (!isInScope || (subresource !== undefined && !(subresource === 'status' && type.hasStatus))) {
      throw noSuchResource();
    }
    switch (verb) {
      case 'list':
        return { code: 200, body: listPage(this.#store, type, namespace, request.query) };
      case 'create':
        return { code: 201, body: this.#create(request) };
      case 'get':
        return { code: 200, body: this.#live(request) };
      case 'patch':
        return this.#patch(request);
      case 'delete':
        return { code: 200, body: this.#delete(request, this.#live(request)) };
      default:
        throw notSimulated(verb);
    }
  }

  #live({ type, namespace, name = '' }: ResourceRequest): KubernetesObject {
    const live = this.#store.get(type, namespaceOf(type, namespace), name);
    if (!live) throw notFound(type, name);
    return live;
  }

  /** The sender of a POST owns all of the object, including defaults. */
  #create(request: ResourceRequest): KubernetesObject {
    const { type, namespace, trace } = request;
    const body = bodyOf(request);
    const metadata = metadataOf(body);
    trace.createdName = String(metadata.name);
    if (type.namespaced) metadata.namespace ??= namespace ?? '';
    const isPlaced = metadata.name && metadata.namespace === namespaceOf(type, namespace);
    if (!isPlaced || metadata.resourceVersion) throw notSimulated('a POST of a misplaced or stored object');
    const candidate = structuredClone(body);
    type.setDefaults(candidate);
    const managedFields = ownersAfterUpdate(type, undefined, candidate, [], this.#writer(request));
    return this.#insert(request, candidate, managedFields);
  }

  #insert(
    { type, namespace, query }: ResourceRequest,
    candidate: JsonObject,
    managedFields: ManagedFieldsEntry[],
  ): KubernetesObject {
    const metadata = metadataOf(candidate);
    const name = String(metadata.name);
    const namespaces = typeOf('namespaces');
    if (type.namespaced && !this.#store.get(namespaces, undefined, namespace ?? '')) {
      throw notFound(namespaces, namespace ?? '');
    }
    if (this.#store.get(type, namespaceOf(type, namespace), name)) throw alreadyExists(type, name);
    // Only controllers set the status.
    const { status, ...rest } = candidate;
    const object = storedObject(
      type,
      { ...rest, ...(type.hasStatus ? type.zero.status && { status: type.zero.status } : status && { status }) },
      {
        ...metadata,
        uid: randomUUID(),
        creationTimestamp: timestamp(this.#now()),
        generation: type.hasGeneration ? 1 : undefined,
        managedFields,
      },
    );
    this.#admit('CREATE', type, name);
    return isDryRun(query) ? object : this.#store.put(type, object);
  }

  /** A JSON patch, a merge patch or a server-side apply. An apply creates a missing object. */
  #patch(request: ResourceRequest): Answer {
    const { type, contentType, trace } = request;
    if (contentType === 'application/apply-patch+yaml') return this.#apply(request);
    const patchOf = PATCHES.get(contentType);
    if (!patchOf) throw notSimulated(`a patch of type ${contentType}`);
    const body: Json = JSON.parse(request.body);
    trace.requestObject = body;
    const live = this.#live(request);
    const candidate = patchOf(live as unknown as JsonObject, body);
    requireLatest(type, live, metadataOf(candidate));
    type.setDefaults(candidate);
    const owners = ownersToStartFrom(request, live, candidate);
    const before = live as unknown as JsonObject;
    const managedFields = ownersAfterUpdate(type, before, candidate, owners, this.#writer(request));
    return { code: 200, body: this.#commit(request, live, candidate, managedFields) };
  }

  #apply(request: ResourceRequest): Answer {
    const { type, query, name = '', namespace } = request;
    const isForced = query.get('force') === 'true';
    if (!query.has('fieldManager') || !isForced)
      throw notSimulated('an apply without a field manager, or without force');
    const configuration = bodyOf(request);
    const live = this.#store.get(type, namespaceOf(type, namespace), name);
    if (live) requireLatest(type, live, metadataOf(configuration));
    else request.authorizeCreate();

    const before = live as unknown as JsonObject | undefined;
    const owners = live?.metadata.managedFields ?? [];
    const applied = applyConfiguration(type, before, configuration, owners, this.#writer(request));
    const { object, managedFields } = applied;
    type.setDefaults(object);
    if (live) return { code: 200, body: this.#commit(request, live, object, managedFields) };
    const metadata = { ...metadataOf(object), name, ...(type.namespaced && { namespace: namespace ?? '' }) };
    return { code: 201, body: this.#insert(request, { ...object, metadata }, managedFields) };
  }

  #commit(
    { type, subresource, query }: ResourceRequest,
    live: KubernetesObject,
    candidate: JsonObject,
    managedFields: ManagedFieldsEntry[],
  ): KubernetesObject {
    const { name, namespace, uid, resourceVersion, creationTimestamp, generation } = live.metadata;
    const setByServer = { name, namespace, uid, resourceVersion, creationTimestamp, generation, managedFields };
    // The status of a custom resource is written alone, without labels.
    const metadata = type.custom && subresource ? { ...live.metadata } : metadataOf(candidate);
    const content = withStatusOf(type, subresource, live, candidate);
    const next = storedObject(type, content, { ...metadata, ...setByServer });
    this.#admit('UPDATE', type, name);
    // A change of times in managedFields alone is not written.
    if (isDeepStrictEqual(withoutTimes(live), withoutTimes(next))) return live;
    if (type.hasGeneration && !isDeepStrictEqual(desired(live), desired(next))) {
      next.metadata.generation = (generation ?? 0) + 1;
    }
    return isDryRun(query) ? next : this.#store.put(type, next);
  }

  /** Deletes an object if the preconditions are met. */
  #delete({ type, body, trace }: ResourceRequest, { metadata }: KubernetesObject): JsonObject {
    const { uid, name, resourceVersion, finalizers = [] } = metadata;
    if (finalizers.length > 0) throw notSimulated('the deletion of an object with finalizers');
    if (body !== '') {
      const options = JSON.parse(body) as { preconditions?: { uid?: string; resourceVersion?: string } };
      trace.requestObject = { ...options, kind: 'DeleteOptions', apiVersion: 'meta.k8s.io/__internal' } as JsonObject;
      for (const [field, is, required, might] of [
        ['UID', uid, options.preconditions?.uid, 'deleted and then recreated'],
        ['ResourceVersion', resourceVersion, options.preconditions?.resourceVersion, 'modified'],
      ]) {
        if (required === undefined || required === is) continue;
        const mismatch = `the ${field} in the precondition (${required}) does not match the ${field} in record (${is})`;
        throw preconditionFailed(type, name, `${mismatch}. The object might have been ${might}`);
      }
    }
    this.#admit('DELETE', type, name);
    this.#store.delete(type, metadata);
    const { group, plural } = type;
    const details = { name, ...(group !== '' && { group }), kind: plural, uid };
    return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details };
  }

  #admit(operation: AdmissionReview['operation'], { plural }: ResourceType, name: string): void {
    const denial = this.#admission()?.({ operation, resource: plural, name });
    if (!denial) return;
    const message = `admission webhook "${denial.webhook}" denied the request: ${denial.message}`;
    throw new ApiError(denial.code, denial.reason ?? '', message);
  }

  /** The writer for managedFields; by default named by the first word of the user agent. */
  #writer({ query, userAgent, type, subresource }: ResourceRequest): Writer {
    return {
      manager: query.get('fieldManager') || userAgent?.split('/')[0] || 'unknown',
      apiVersion: type.apiVersion,
      subresource,
      time: timestamp(this.#now()),
    };
  }
}

const namespaceOf = (type: ResourceType, namespace: string | undefined) => (type.namespaced ? namespace : undefined);

const isDryRun = (query: URLSearchParams): boolean => query.get('dryRun') === 'All';

const metadataOf = (object: JsonObject): JsonObject => (isJsonObject(object.metadata) ? object.metadata : {});

/** The object in the body of a request. It also becomes part of the audit event. */
export function bodyOf({ body, type: { kind, apiVersion }, trace }: ResourceRequest): JsonObject {
  const object: JsonObject = { kind, apiVersion, ...JSON.parse(body) };
  if (object.kind !== kind || object.apiVersion !== apiVersion) throw notSimulated(`a ${object.kind} as ${kind}`);
  trace.requestObject = object;
  return { ...object, metadata: metadataOf(object) };
}

const PATCHES = new Map<string | undefined, (live: JsonObject, patch: Json) => JsonObject>([
  ['application/merge-patch+json', (live, patch) => mergePatch(structuredClone(live), patch) as JsonObject],
  ['application/json-patch+json', jsonPatch],
]);

/** Applies a merge patch (RFC 7386). */
function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isJsonObject(patch)) return patch;
  const merged: JsonObject = isJsonObject(target) ? { ...target } : {};
  for (const [field, value] of Object.entries(patch)) {
    if (value === null) delete merged[field];
    else merged[field] = mergePatch(merged[field], value);
  }
  return merged;
}

/** Applies a JSON patch (RFC 6902) of `replace` operations on fields of objects. */
function jsonPatch(target: JsonObject, patch: Json): JsonObject {
  const document = structuredClone(target);
  for (const { op, path, value } of patch as { op: string; path: string; value: Json }[]) {
    if (op !== 'replace') throw notSimulated(`the JSON patch operation ${op}`);
    const segments = path.split('/').slice(1);
    const last = segments.pop() ?? '';
    const parent = segments.reduce<Json | undefined>((node, segment) => (node as JsonObject)?.[segment], document);
    if (!isJsonObject(parent)) throw notSimulated(`a JSON patch of ${path}`);
    parent[last] = value;
  }
  return document;
}

/** An object as the server stores it: without empty fields of metadata. */
function storedObject(type: ResourceType, content: JsonObject, metadata: Record<string, unknown>): KubernetesObject {
  const { kind: _, apiVersion: __, metadata: ___, ...rest } = content;
  const kept = Object.entries(metadata).filter(([, value]) =>
    typeof value === 'object' ? Object.keys(value ?? {}).length > 0 : value !== undefined,
  );
  const { kind, apiVersion } = type;
  return { kind, apiVersion, metadata: Object.fromEntries(kept), ...rest } as unknown as KubernetesObject;
}

/** A write may replace managedFields, and `[{}]` resets them. A write of the status does neither. */
function ownersToStartFrom({ subresource }: ResourceRequest, live: KubernetesObject, next: JsonObject) {
  const requested = metadataOf(next).managedFields as unknown as ManagedFieldsEntry[] | undefined;
  if (subresource !== undefined || !requested?.length) return live.metadata.managedFields ?? [];
  return requested.filter(({ manager }) => manager !== undefined);
}

function withStatusOf(
  type: ResourceType,
  subresource: string | undefined,
  live: KubernetesObject,
  candidate: JsonObject,
): JsonObject {
  if (!type.hasStatus) return candidate;
  const [{ status: _, ...rest }, { status }] =
    subresource === 'status' ? [live as JsonObject, candidate] : [candidate, live];
  return status === undefined ? rest : { ...rest, status };
}

function requireLatest(type: ResourceType, live: KubernetesObject, { resourceVersion }: JsonObject): void {
  if (resourceVersion && resourceVersion !== live.metadata.resourceVersion) {
    throw updateConflict(type, live.metadata.name);
  }
}

/** The fields that `metadata.generation` counts changes of. */
function desired({ metadata: _, status: __, ...rest }: KubernetesObject): JsonObject {
  return rest as JsonObject;
}

function withoutTimes(object: KubernetesObject): unknown {
  const managedFields = object.metadata.managedFields?.map(({ time: _, ...entry }) => entry);
  return { ...object, metadata: { ...object.metadata, managedFields } };
}
