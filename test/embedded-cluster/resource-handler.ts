import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { applyConfiguration, ownersAfterUpdate, type Writer } from './field-ownership.ts';
import { listOf } from './lists.ts';
import {
  isJsonObject,
  type Json,
  type JsonObject,
  type KubernetesObject,
  type ManagedFieldsEntry,
  timestamp,
} from './objects.ts';
import { apiVersionOf, type ResourceType, typeOf } from './resource-types.ts';
import { ApiError, alreadyExists, conflict, noSuchResource, notFound, notSimulated } from './status.ts';
import type { ObjectStore } from './store.ts';

/** An authorized request for a resource that is served. */
export interface ResourceRequest {
  verb: string;
  type: ResourceType;
  namespace?: string;
  name?: string;
  subresource?: string;
  query: URLSearchParams;
  contentType: string | undefined;
  userAgent: string | undefined;
  body: string;
  /** Throws a 403 unless the user may create the object: an apply creates what does not exist. */
  authorizeCreate: () => void;
}

export interface Answer {
  code: number;
  body: JsonObject | KubernetesObject;
}

/** An admission webhook: a denial, or nothing to admit the request. */
export type Admission = (review: {
  operation: 'CREATE' | 'UPDATE' | 'DELETE';
}) => undefined | { webhook: string; code: number; message: string };

/** Answers requests as kube-apiserver v1.34 does. The handler throws `ApiError` for what is refused. */
export function resourceHandler(
  store: ObjectStore,
  now: () => Date,
  admission: () => Admission | undefined,
): (request: ResourceRequest) => Answer {
  function admit(operation: 'CREATE' | 'UPDATE' | 'DELETE'): void {
    const denial = admission()?.({ operation });
    if (denial === undefined) return;
    throw new ApiError(denial.code, '', `admission webhook "${denial.webhook}" denied the request: ${denial.message}`);
  }

  function liveObject({ type, namespace, name = '' }: ResourceRequest): KubernetesObject {
    const live = store.get(type, namespace, name);
    if (!live) throw notFound(type, name);
    return live;
  }

  /** Without a fieldManager, the manager is the first word of the user agent. */
  function writerOf({ query, userAgent, type, subresource }: ResourceRequest): Writer {
    const manager = query.get('fieldManager') || userAgent?.split('/')[0] || 'unknown';
    return { manager, apiVersion: apiVersionOf(type), subresource, time: timestamp(now()) };
  }

  function create(request: ResourceRequest): KubernetesObject {
    const { type } = request;
    const object = JSON.parse(request.body) as JsonObject;
    if (metadataOf(object).resourceVersion) {
      throw new ApiError(500, '', 'resourceVersion should not be set on objects to be created');
    }
    type.setDefaults(object);
    const managedFields = ownersAfterUpdate(type, undefined, object, [], writerOf(request));
    return insert(request, object, managedFields);
  }

  function insert(
    request: ResourceRequest,
    { status: _, ...candidate }: JsonObject,
    managedFields: ManagedFieldsEntry[],
  ): KubernetesObject {
    const { type, namespace } = request;
    const metadata = metadataOf(candidate);
    const name = String(request.name ?? metadata.name);
    const namespaces = typeOf('namespaces');
    if (type.namespaced && !store.get(namespaces, undefined, namespace ?? '')) {
      throw notFound(namespaces, namespace ?? '');
    }
    if (store.get(type, namespace, name)) throw alreadyExists(type, name);
    const object = serverObject(type, {
      ...candidate,
      // Only controllers set the status.
      ...(type.zero.status && { status: type.zero.status }),
      metadata: {
        ...metadata,
        name,
        namespace,
        uid: randomUUID(),
        creationTimestamp: timestamp(now()),
        generation: type.hasGeneration ? 1 : undefined,
        managedFields,
      } as unknown as JsonObject,
    });
    admit('CREATE');
    return isDryRun(request) ? object : store.put(type, object);
  }

  /** Server-side apply with force. */
  function apply(request: ResourceRequest): Answer {
    const { type, namespace, name = '' } = request;
    if (request.query.get('force') !== 'true') throw notSimulated('an apply without force');
    const live = store.get(type, namespace, name);
    if (!live) request.authorizeCreate();
    const configuration = JSON.parse(request.body) as JsonObject;
    const { object, managedFields } = applyConfiguration(type, live, configuration, writerOf(request));
    type.setDefaults(object);
    if (live) return { code: 200, body: commit(request, live, object, managedFields) };
    return { code: 201, body: insert(request, object, managedFields) };
  }

  function patch(request: ResourceRequest): KubernetesObject {
    const { type, contentType } = request;
    const live = liveObject(request);
    const body: Json = JSON.parse(request.body);
    const before = live as unknown as JsonObject;
    const isMerge = contentType === 'application/merge-patch+json';
    if (!isMerge && contentType !== 'application/json-patch+json') {
      throw notSimulated(`a patch of type ${contentType}`);
    }
    const next = structuredClone(isMerge ? mergePatch(before, body) : jsonPatch(before, body)) as JsonObject;
    const { resourceVersion, managedFields = [] } = next.metadata as unknown as KubernetesObject['metadata'];
    if (resourceVersion !== live.metadata.resourceVersion) {
      const why = 'the object has been modified; please apply your changes to the latest version and try again';
      throw conflict(type.plural, type, live, why);
    }
    type.setDefaults(next);
    return commit(request, live, next, ownersAfterUpdate(type, before, next, managedFields, writerOf(request)));
  }

  /** Writes the next state of an object, unless it is the same. */
  function commit(
    request: ResourceRequest,
    live: KubernetesObject,
    candidate: JsonObject,
    managedFields: ManagedFieldsEntry[],
  ): KubernetesObject {
    const { type, subresource } = request;
    const { name, namespace, uid, resourceVersion, creationTimestamp, generation, deletionTimestamp } = live.metadata;
    const ofServer = { name, namespace, uid, resourceVersion, creationTimestamp, generation, deletionTimestamp };
    const next = serverObject(type, {
      ...(type.hasStatus ? withStatusOf(subresource, live, candidate) : candidate),
      metadata: { ...metadataOf(candidate), ...ofServer, managedFields } as unknown as JsonObject,
    });
    admit('UPDATE');
    // The times of managedFields alone are no reason to write.
    if (isDeepStrictEqual(withoutTimes(live), withoutTimes(next))) return live;
    if (type.hasGeneration && !isDeepStrictEqual(desired(live), desired(next))) {
      next.metadata.generation = (generation ?? 0) + 1;
    }
    return isDryRun(request) ? next : store.put(type, next);
  }

  function remove(request: ResourceRequest): JsonObject {
    const { type, body } = request;
    const live = liveObject(request);
    const { uid, name, resourceVersion } = live.metadata;
    const { preconditions = {} } = body === '' ? {} : JSON.parse(body);
    for (const [field, wanted, value] of [
      ['UID', preconditions.uid, uid],
      ['ResourceVersion', preconditions.resourceVersion, resourceVersion],
    ]) {
      if (!wanted || wanted === value) continue;
      const why = `the ${field} in the precondition (${wanted}) does not match the ${field} in record (${value}).`;
      throw conflict(type.kind, type, live, why);
    }
    admit('DELETE');
    store.delete(type, live.metadata);
    const details = { name, group: type.group, kind: type.plural, uid };
    return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details };
  }

  return (request) => {
    const { type, namespace, name, subresource, verb, query, contentType } = request;
    const isMisplaced = type.namespaced
      ? name !== undefined && namespace === undefined
      : namespace !== undefined && namespace !== name;
    if (isMisplaced || (subresource !== undefined && (subresource !== 'status' || !type.hasStatus))) {
      throw noSuchResource();
    }
    const scoped = { ...request, namespace: type.namespaced ? namespace : undefined };
    switch (verb) {
      case 'list':
        return { code: 200, body: listOf(store, type, namespace, query) };
      case 'create':
        return { code: 201, body: create(scoped) };
      case 'get':
        return { code: 200, body: liveObject(scoped) };
      case 'patch':
        if (contentType === 'application/apply-patch+yaml') return apply(scoped);
        return { code: 200, body: patch(scoped) };
      case 'delete':
        return { code: 200, body: remove(scoped) };
      default:
        throw notSimulated(verb);
    }
  };
}

const metadataOf = ({ metadata }: JsonObject): JsonObject => (isJsonObject(metadata) ? metadata : {});

const isDryRun = ({ query }: ResourceRequest): boolean => query.get('dryRun') === 'All';

/** The object as the server keeps it: without the fields of its metadata that are empty. */
function serverObject(
  type: ResourceType,
  { kind: _, apiVersion: __, metadata, ...rest }: JsonObject,
): KubernetesObject {
  const kept = Object.entries(metadata as JsonObject).filter(
    ([, value]) =>
      value !== null && value !== undefined && !(typeof value === 'object' && Object.keys(value).length === 0),
  );
  const server = { kind: type.kind, apiVersion: apiVersionOf(type), metadata: Object.fromEntries(kept), ...rest };
  return server as unknown as KubernetesObject;
}

/** A write of the object keeps its status, and a write of the status everything else. */
function withStatusOf(subresource: string | undefined, live: KubernetesObject, candidate: JsonObject): JsonObject {
  const [spec, { status }] = subresource === 'status' ? [live, candidate] : [candidate, live];
  const { status: _, ...rest } = spec as JsonObject;
  return status === undefined ? rest : { ...rest, status };
}

/** What `metadata.generation` counts: everything except metadata and status. */
const desired = ({ metadata: _, status: __, ...rest }: KubernetesObject): object => rest;

function withoutTimes(object: KubernetesObject): object {
  const managedFields = object.metadata.managedFields?.map(({ time: _, ...entry }) => entry);
  return { ...object, metadata: { ...object.metadata, managedFields } };
}

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

/** Applies a JSON patch (RFC 6902) that replaces fields of the metadata, the only one that the product sends. */
function jsonPatch(target: JsonObject, patch: Json): JsonObject {
  const metadata = { ...(target.metadata as JsonObject) };
  for (const { op, path, value } of patch as Record<string, string>[]) {
    const field = /^\/metadata\/(\w+)$/.exec(path ?? '')?.[1];
    if (op !== 'replace' || field === undefined) throw notSimulated(`${op} of ${path}`);
    metadata[field] = value as Json;
  }
  return { ...target, metadata };
}
