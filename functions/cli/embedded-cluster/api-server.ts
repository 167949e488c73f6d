import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { parse as parseYaml } from 'yaml';
import type { AuditTrace } from './audit.ts';
import type { User } from './authorization.ts';
import { applyConfiguration, ownersAfterUpdate, type Writer } from './field-ownership.ts';
import { listOf, listPage, selected } from './lists.ts';
import {
  isJsonObject,
  type Json,
  type JsonObject,
  type KubernetesObject,
  type ManagedFieldsEntry,
  timestamp,
} from './objects.ts';
import { jsonPatch, mergePatch } from './patch.ts';
import { apiVersionOf, type ResourceType, resourceTypes } from './resource-types.ts';
import {
  ApiError,
  alreadyExists,
  badRequest,
  type Cause,
  deniedByWebhook,
  invalid,
  methodNotAllowed,
  noSuchResource,
  notFound,
  preconditionFailed,
  unsupportedMediaType,
  unsupportedPatch,
  updateConflict,
} from './status.ts';
import type { ObjectStore } from './store.ts';

/** A request that has been authorized and is for a resource that is served. */
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
  user: User;
  trace: AuditTrace;
  /** Throws a 403 unless the user may create what this request is about: an apply may turn out to be one. */
  authorizeCreate: () => void;
}

export interface Answer {
  code: number;
  body: JsonObject | KubernetesObject;
}

/** What an admission webhook is asked, in short. */
export interface AdmissionReview {
  operation: 'CREATE' | 'UPDATE' | 'DELETE';
  resource: string;
  subresource?: string;
  namespace?: string;
  name: string;
  object?: KubernetesObject;
  oldObject?: KubernetesObject;
  user: User;
  dryRun: boolean;
}

/** A denial, or nothing to let the request pass. */
export type Admission = (
  review: AdmissionReview,
) => undefined | { webhook: string; code: number; reason?: string; message: string };

interface Surroundings {
  store: ObjectStore;
  now: () => Date;
  admission: () => Admission | undefined;
}

/** Answers authorized requests for resources as kube-apiserver v1.34 does. Throws `ApiError` for the rest. */
export function handleResourceRequest(surroundings: Surroundings, request: ResourceRequest): Answer {
  const { store } = surroundings;
  const { type, namespace, name, verb, query } = request;
  if (type.namespaced ? name !== undefined && namespace === undefined : namespace !== undefined && namespace !== name) {
    throw noSuchResource();
  }
  if (request.subresource !== undefined && !(request.subresource === 'status' && type.hasStatus))
    throw noSuchResource();
  refuseUnknownDryRun(request);
  switch (verb) {
    case 'list':
      return { code: 200, body: listPage(store, type, namespace, query) };
    case 'deletecollection':
      return deleteCollection(surroundings, request);
    case 'create':
      if (name !== undefined || (type.namespaced && namespace === undefined)) throw methodNotAllowed();
      return { code: 201, body: create(surroundings, request, createdObject(request)) };
    case 'get':
      return { code: 200, body: liveObject(surroundings, request) };
    case 'update':
      if (name === undefined) throw methodNotAllowed();
      return { code: 200, body: replace(surroundings, request) };
    case 'patch':
      if (name === undefined) throw methodNotAllowed();
      return patch(surroundings, request);
    case 'delete':
      return { code: 200, body: deleteOne(surroundings, request, liveObject(surroundings, request)) };
    default:
      throw methodNotAllowed();
  }
}

function liveObject({ store }: Surroundings, { type, namespace, name = '' }: ResourceRequest): KubernetesObject {
  const live = store.get(type, type.namespaced ? namespace : undefined, name);
  if (!live) throw notFound(type, name);
  return live;
}

// Creating

function createdObject(request: ResourceRequest): JsonObject {
  const { type, namespace, trace } = request;
  const body = decodeObject(request);
  const metadata = metadataOf(body);
  if (metadata.resourceVersion) {
    throw new ApiError(500, '', 'resourceVersion should not be set on objects to be created');
  }
  if (type.namespaced) metadata.namespace ??= namespace ?? '';
  if (metadata.name) trace.objectRef.name = metadata.name;
  trace.requestObject = body;
  if (type.namespaced && metadata.namespace !== namespace) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  }
  if (!metadata.name && !metadata.generateName) {
    const message = 'Required value: name or generateName is required';
    throw invalidObject(type, '', [{ reason: 'FieldValueRequired', message, field: 'metadata.name' }]);
  }
  const name = metadata.name || `${metadata.generateName}${randomUUID().slice(0, 5)}`;
  return { ...body, metadata: { ...metadata, name } };
}

function create(surroundings: Surroundings, request: ResourceRequest, object: JsonObject): KubernetesObject {
  const { type } = request;
  const writer = writerOf(surroundings, request, 'Update');
  const candidate = structuredClone(object);
  type.setDefaults(candidate);
  const managedFields = ownersAfterUpdate(type, undefined, candidate, [], writer);
  return insert(surroundings, request, candidate, managedFields);
}

function insert(
  { store, now, admission }: Surroundings,
  request: ResourceRequest,
  candidate: JsonObject,
  managedFields: ManagedFieldsEntry[],
): KubernetesObject {
  const { type, namespace } = request;
  const metadata = metadataOf(candidate);
  const name = String(metadata.name);
  if (type.namespaced && !store.get(namespaces, undefined, namespace ?? ''))
    throw notFound(namespaces, namespace ?? '');
  if (store.get(type, type.namespaced ? namespace : undefined, name)) throw alreadyExists(type, name);
  // The status is the controllers' alone.
  const { status, ...rest } = candidate;
  const initial = type.hasStatus ? type.zero.status : status;
  const object = serverObject(type, {
    ...rest,
    ...(initial !== undefined && { status: initial }),
    metadata: {
      ...metadata,
      uid: randomUUID(),
      creationTimestamp: timestamp(now()),
      ...(type.hasGeneration && { generation: 1 }),
      managedFields: managedFields as unknown as Json[],
    },
  });
  admit(admission(), request, 'CREATE', object, undefined);
  return isDryRun(request) ? object : store.put(type, object);
}

// Updating

function replace(surroundings: Surroundings, request: ResourceRequest): KubernetesObject {
  const { type, name = '', trace } = request;
  const next = decodeObject(request);
  const metadata = metadataOf(next);
  if (metadata.uid) trace.objectRef.uid = metadata.uid;
  if (metadata.resourceVersion) trace.objectRef.resourceVersion = metadata.resourceVersion;
  trace.requestObject = next;
  if (metadata.name !== name) {
    throw badRequest(`the name of the object (${metadata.name ?? ''}) does not match the name on the URL (${name})`);
  }
  const live = liveObject(surroundings, request);
  if (type.custom && !metadata.resourceVersion) {
    const message = 'Invalid value: 0: must be specified for an update';
    const causes = [{ reason: 'FieldValueInvalid', message, field: 'metadata.resourceVersion' }];
    throw invalid({ name, group: type.group, kind: type.plural }, causes);
  }
  if (metadata.uid && metadata.uid !== live.metadata.uid) {
    const prefix = `/registry/${type.custom ? `${type.group}/` : ''}${type.plural}`;
    const key = [prefix, ...(live.metadata.namespace ? [live.metadata.namespace] : []), name].join('/');
    throw updateConflict(
      type,
      name,
      `StorageError: invalid object, Code: 4, Key: ${key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: ${metadata.uid}, UID in object meta: ${live.metadata.uid}`,
    );
  }
  return update(surroundings, request, live, next);
}

function patch(surroundings: Surroundings, request: ResourceRequest): Answer {
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

// Deleting

function deleteCollection(surroundings: Surroundings, request: ResourceRequest): Answer {
  const { type, namespace, query } = request;
  const { store } = surroundings;
  const objects = selected(store.all(type), namespace, query);
  const resourceVersion = String(store.revision);
  for (const object of objects) deleteOne(surroundings, request, object);
  return { code: 200, body: listOf(type, objects, { ...(type.custom && { continue: '' }), resourceVersion }) };
}

function deleteOne(
  { store, now, admission }: Surroundings,
  request: ResourceRequest,
  live: KubernetesObject,
): KubernetesObject | JsonObject {
  const { type } = request;
  const { uid, name, generation, finalizers = [] } = live.metadata;
  const { policy, dryRun } = deleteOptions(request, live);
  admit(admission(), request, 'DELETE', undefined, live);
  const waitsFor = policy === 'Foreground' ? ['foregroundDeletion'] : policy === 'Orphan' ? ['orphan'] : [];
  const remaining = [...new Set([...finalizers, ...waitsFor])];
  if (remaining.length === 0) {
    if (!dryRun) store.delete(type, live);
    const { group, plural } = type;
    const details = { name, ...(group !== '' && { group }), kind: plural, uid };
    return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details };
  }
  if (live.metadata.deletionTimestamp) return live;
  const metadata = {
    ...live.metadata,
    ...(generation !== undefined && { generation: generation + 1 }),
    deletionTimestamp: timestamp(now()),
    deletionGracePeriodSeconds: 0,
    finalizers: remaining,
  };
  return dryRun ? { ...live, metadata } : store.put(type, { ...live, metadata });
}

function deleteOptions(
  request: ResourceRequest,
  live: KubernetesObject,
): { policy: Json | undefined; dryRun: boolean } {
  const { type, query, trace } = request;
  const { uid, resourceVersion, name } = live.metadata;
  const options = request.body === '' ? {} : decode(request.body, 'DeleteOptions');
  if (request.body !== '') {
    trace.requestObject = { ...options, kind: 'DeleteOptions', apiVersion: 'meta.k8s.io/__internal' };
  }
  const policy = options.propagationPolicy ?? query.get('propagationPolicy') ?? undefined;
  if (policy !== undefined && !['Foreground', 'Background', 'Orphan'].includes(String(policy))) {
    const message = `Unsupported value: "${policy}": supported values: "Foreground", "Background", "Orphan", "nil"`;
    throw invalidOptions('DeleteOptions', { reason: 'FieldValueNotSupported', message, field: 'propagationPolicy' });
  }
  const preconditions = isJsonObject(options.preconditions) ? options.preconditions : {};
  if (preconditions.uid && preconditions.uid !== uid) {
    const why = `the UID in the precondition (${preconditions.uid}) does not match the UID in record (${uid}). The object might have been deleted and then recreated`;
    throw preconditionFailed(type, name, why);
  }
  if (preconditions.resourceVersion && preconditions.resourceVersion !== resourceVersion) {
    const why = `the ResourceVersion in the precondition (${preconditions.resourceVersion}) does not match the ResourceVersion in record (${resourceVersion}). The object might have been modified`;
    throw preconditionFailed(type, name, why);
  }
  return { policy, dryRun: isDryRun(request) || isDeepStrictEqual(options.dryRun, ['All']) };
}

// What several verbs share

const namespaces = resourceTypes.find(({ plural }) => plural === 'namespaces') as ResourceType;

function metadataOf(object: JsonObject): JsonObject {
  return isJsonObject(object.metadata) ? object.metadata : {};
}

function decode(body: string, expected: string, isYaml = false): JsonObject {
  let decoded: unknown;
  try {
    decoded = isYaml && !body.startsWith('{') ? parseYaml(body) : JSON.parse(body);
  } catch (cause) {
    const parseError = `json parse error: ${(cause as Error).message} (${body})`;
    throw badRequest(
      `the object provided is unrecognized (must be of type ${expected}): couldn't get version/kind; ${parseError}`,
    );
  }
  if (!isJsonObject(decoded)) throw badRequest(`the object provided is unrecognized (must be of type ${expected})`);
  return decoded;
}

function decodeObject({ body, type, contentType }: ResourceRequest): JsonObject {
  const decodable = ['application/json', 'application/yaml', 'application/apply-patch+yaml'];
  if (contentType !== undefined && !decodable.includes(contentType.split(';')[0] ?? '')) throw unsupportedMediaType();
  const object: JsonObject = {
    kind: type.kind,
    apiVersion: apiVersionOf(type),
    ...decode(body, type.kind, contentType?.includes('yaml')),
  };
  const { kind, apiVersion } = object;
  if (apiVersion !== apiVersionOf(type)) {
    throw badRequest(
      `the API version in the data (${apiVersion}) does not match the expected API version (${apiVersionOf(type)})`,
    );
  }
  if (kind !== type.kind && type.custom) {
    const message = `Invalid value: "${kind}": must be ${type.kind}`;
    const named = { name: String(metadataOf(object).name), group: type.group, kind: String(kind) };
    throw invalid(named, [{ reason: 'FieldValueInvalid', message, field: 'kind' }]);
  }
  if (kind !== type.kind) {
    throw badRequest(
      `${kind} in version "${type.version}" cannot be handled as a ${type.kind}: no kind "${kind}" is registered for version "${apiVersionOf(type)}" in scheme "pkg/runtime/scheme.go:110"`,
    );
  }
  return { ...object, metadata: metadataOf(object) };
}

/** The object as the server keeps it: what is empty in metadata is left out. */
function serverObject(type: ResourceType, object: JsonObject): KubernetesObject {
  const { kind: _, apiVersion: __, metadata, ...rest } = object;
  const kept = Object.entries(isJsonObject(metadata) ? metadata : {}).filter(
    ([, value]) =>
      value !== null && value !== undefined && !(typeof value === 'object' && Object.keys(value).length === 0),
  );
  const server = { kind: type.kind, apiVersion: apiVersionOf(type), metadata: Object.fromEntries(kept), ...rest };
  return server as unknown as KubernetesObject;
}

function writerOf(
  { now }: Surroundings,
  { query, userAgent, type, subresource }: ResourceRequest,
  operation: 'Apply' | 'Update',
): Writer {
  const manager = query.get('fieldManager');
  if (operation === 'Apply' && !manager) {
    const message = 'Required value: is required for apply patch';
    throw invalidOptions('PatchOptions', { reason: 'FieldValueRequired', message, field: 'fieldManager' });
  }
  return {
    manager: manager || userAgent?.split('/')[0] || 'unknown',
    apiVersion: apiVersionOf(type),
    ...(subresource !== undefined && { subresource }),
    time: timestamp(now()),
  };
}

function isDryRun({ query }: ResourceRequest): boolean {
  return query.get('dryRun') === 'All';
}

function refuseUnknownDryRun({ query, verb }: ResourceRequest): void {
  const values = query.getAll('dryRun');
  if (values.every((value) => value === 'All')) return;
  const kind = { create: 'CreateOptions', update: 'UpdateOptions', patch: 'PatchOptions' }[verb] ?? 'DeleteOptions';
  const message = `Unsupported value: ${JSON.stringify(values)}: supported values: "All"`;
  throw invalidOptions(kind, { reason: 'FieldValueNotSupported', message, field: 'dryRun' });
}

const invalidOptions = (kind: string, cause: Cause): ApiError => invalid({ group: 'meta.k8s.io', kind }, [cause]);

const invalidObject = ({ group, kind }: ResourceType, name: string, causes: Cause[]): ApiError =>
  invalid({ name, group, kind }, causes);

function admit(
  admission: Admission | undefined,
  request: ResourceRequest,
  operation: AdmissionReview['operation'],
  object: KubernetesObject | undefined,
  oldObject: KubernetesObject | undefined,
): void {
  const { type, namespace, subresource, user } = request;
  const denial = admission?.({
    operation,
    resource: type.plural,
    ...(subresource !== undefined && { subresource }),
    ...(namespace !== undefined && { namespace }),
    name: (object ?? oldObject)?.metadata.name ?? '',
    ...(object && { object }),
    ...(oldObject && { oldObject }),
    user,
    dryRun: isDryRun(request),
  });
  if (denial) throw deniedByWebhook(denial);
}
