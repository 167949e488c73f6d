import { isDeepStrictEqual } from 'node:util';
import { admit } from './admission.ts';
import { insert } from './creating.ts';
import { applyConfiguration, ownersAfterUpdate } from './field-ownership.ts';
import { isJsonObject, type Json, type JsonObject, type KubernetesObject, type ManagedFieldsEntry } from './objects.ts';
import { jsonPatch, mergePatch } from './patch.ts';
import {
  type Answer,
  decodeObject,
  isDryRun,
  liveObject,
  metadataOf,
  type ResourceRequest,
  type Surroundings,
  serverObject,
  writerOf,
} from './resource-request.ts';
import type { ResourceType } from './resource-types.ts';
import { badRequest, invalidObject, unsupportedMediaType, unsupportedPatch, updateConflict } from './status.ts';

/** PATCH: a JSON patch, a merge patch or a server-side apply; the last creates what is not there. */
export function patch(surroundings: Surroundings, request: ResourceRequest): Answer {
  const contentType = request.contentType?.split(';')[0];
  if (contentType === 'application/apply-patch+yaml') return apply(surroundings, request);
  const change = patchOf(contentType, request);
  const live = liveObject(surroundings, request);
  const next = change(live as unknown as JsonObject);
  const uid = metadataOf(next).uid;
  if (uid !== undefined && uid !== live.metadata.uid) {
    const message = `Invalid value: "${uid}": field is immutable`;
    const cause = { reason: 'FieldValueInvalid', message, field: 'metadata.uid' };
    throw invalidObject(request.type, live.metadata.name, [cause, cause]);
  }
  return { code: 200, body: update(surroundings, request, live, next) };
}

function patchOf(contentType: string | undefined, request: ResourceRequest): (live: JsonObject) => JsonObject {
  const isMerge = contentType === 'application/merge-patch+json';
  if (!isMerge && contentType !== 'application/json-patch+json') {
    throw contentType === 'application/strategic-merge-patch+json' ? unsupportedPatch() : unsupportedMediaType();
  }
  let body: Json;
  try {
    body = JSON.parse(request.body);
  } catch (cause) {
    throw badRequest(`error decoding patch: ${(cause as Error).message}`);
  }
  request.trace.requestObject = body;
  if (!isMerge) return (live) => jsonPatch(live, body);
  if (!isJsonObject(body)) {
    throw badRequest(
      'error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}',
    );
  }
  return (live) => mergePatch(live, body) as JsonObject;
}

function apply(surroundings: Surroundings, request: ResourceRequest): Answer {
  const { type, query, name = '', namespace } = request;
  const writer = writerOf(surroundings, request, 'Apply');
  const configuration = decodeObject(request);
  request.trace.requestObject = configuration;
  const metadata = metadataOf(configuration);
  if (metadata.managedFields) throw badRequest('metadata.managedFields must be nil');
  const live = surroundings.store.get(type, type.namespaced ? namespace : undefined, name);
  if (live) refuseStale(type, live, metadata);
  else request.authorizeCreate();

  const before = live && (live as unknown as JsonObject);
  const owners = live?.metadata.managedFields ?? [];
  const force = query.get('force') === 'true';
  const { object, managedFields } = applyConfiguration(type, before, configuration, owners, writer, force);
  type.setDefaults(object);
  if (live) return { code: 200, body: commit(surroundings, request, live, object, managedFields) };
  const named = { ...metadataOf(object), name, ...(type.namespaced && { namespace: namespace ?? '' }) };
  return { code: 201, body: insert(surroundings, request, { ...object, metadata: named }, managedFields) };
}

function update(
  surroundings: Surroundings,
  request: ResourceRequest,
  live: KubernetesObject,
  next: JsonObject,
): KubernetesObject {
  const { type } = request;
  refuseStale(type, live, metadataOf(next));
  const candidate = structuredClone(next);
  type.setDefaults(candidate);
  const before = live as unknown as JsonObject;
  const writer = writerOf(surroundings, request, 'Update');
  const owners = ownersAfterUpdate(type, before, candidate, ownersToStartFrom(request, live, candidate), writer);
  return commit(surroundings, request, live, candidate, owners);
}

/** A write may rewrite managedFields: `[{}]` resets them, what cannot be read is ignored, and so are those of a /status. */
function ownersToStartFrom(
  { subresource }: ResourceRequest,
  live: KubernetesObject,
  next: JsonObject,
): ManagedFieldsEntry[] {
  const ofLive = live.metadata.managedFields ?? [];
  const requested = metadataOf(next).managedFields;
  if (subresource !== undefined || !Array.isArray(requested) || requested.length === 0) return ofLive;
  const entries = requested.filter(isJsonObject);
  if (entries.length === 1 && Object.keys(entries[0] ?? {}).length === 0) return [];
  const areReadable = entries.every(
    ({ operation, fieldsType, fieldsV1 }) =>
      (operation === 'Apply' || operation === 'Update') && fieldsType === 'FieldsV1' && isJsonObject(fieldsV1),
  );
  return areReadable ? (entries as unknown as ManagedFieldsEntry[]) : ofLive;
}

function commit(
  { store, admission }: Surroundings,
  request: ResourceRequest,
  live: KubernetesObject,
  candidate: JsonObject,
  managedFields: ManagedFieldsEntry[],
): KubernetesObject {
  const { type, subresource } = request;
  const { uid, resourceVersion, creationTimestamp, generation, deletionTimestamp, name, namespace } = live.metadata;
  const ofServer = {
    name,
    ...(namespace !== undefined && { namespace }),
    uid,
    resourceVersion,
    creationTimestamp,
    ...(generation !== undefined && { generation }),
    ...(deletionTimestamp !== undefined && { deletionTimestamp, deletionGracePeriodSeconds: 0 }),
  };
  // A custom resource's /status takes nothing but the status, not even labels.
  const metadata = type.custom && subresource ? { ...live.metadata } : metadataOf(candidate);
  const next = serverObject(type, {
    ...withStatusOf(type, subresource, live, candidate),
    metadata: { ...metadata, ...ofServer, managedFields } as unknown as JsonObject,
  });
  admit(admission(), request, 'UPDATE', next, live);
  refuseNewFinalizers(type, live, next);
  // The times of managedFields alone are no reason to write.
  if (isDeepStrictEqual(withoutTimes(live), withoutTimes(next))) return live;
  if (type.hasGeneration && !isDeepStrictEqual(desired(live), desired(next))) {
    next.metadata.generation = (live.metadata.generation ?? 0) + 1;
  }
  if (isDryRun(request)) return next;
  if (!deletionTimestamp || next.metadata.finalizers) return store.put(type, next);
  store.delete(type, next);
  return next;
}

function withStatusOf(
  type: ResourceType,
  subresource: string | undefined,
  live: KubernetesObject,
  candidate: JsonObject,
): JsonObject {
  if (!type.hasStatus) return candidate;
  const [spec, status] = subresource === 'status' ? [live, candidate] : [candidate, live];
  const { status: _, ...rest } = spec as JsonObject;
  return status.status === undefined ? rest : { ...rest, status: status.status };
}

function refuseStale(type: ResourceType, live: KubernetesObject, { resourceVersion }: JsonObject): void {
  if (resourceVersion && resourceVersion !== live.metadata.resourceVersion) {
    throw updateConflict(type, live.metadata.name);
  }
}

function refuseNewFinalizers(type: ResourceType, live: KubernetesObject, next: KubernetesObject): void {
  const known = live.metadata.finalizers ?? [];
  const added = (next.metadata.finalizers ?? []).filter((finalizer) => !known.includes(finalizer));
  if (!live.metadata.deletionTimestamp || added.length === 0) return;
  const list = added.map((finalizer) => `"${finalizer}"`).join(', ');
  const message = `Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{${list}}`;
  const cause = { reason: 'FieldValueForbidden', message, field: 'metadata.finalizers' };
  throw invalidObject(type, live.metadata.name, [cause, cause]);
}

/** What `metadata.generation` counts: everything but metadata and status. */
function desired({ metadata: _, status: __, ...rest }: KubernetesObject): JsonObject {
  return rest as JsonObject;
}

function withoutTimes(object: KubernetesObject): unknown {
  const managedFields = object.metadata.managedFields?.map(({ time: _, ...entry }) => entry);
  return { ...object, metadata: { ...object.metadata, managedFields } };
}
