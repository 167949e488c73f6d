import { randomUUID } from 'node:crypto';
import { admit } from './admission.ts';
import { ownersAfterUpdate } from './field-ownership.ts';
import { type Json, type JsonObject, type KubernetesObject, type ManagedFieldsEntry, timestamp } from './objects.ts';
import {
  decodeObject,
  isDryRun,
  metadataOf,
  type ResourceRequest,
  type Surroundings,
  serverObject,
  writerOf,
} from './resource-request.ts';
import { type ResourceType, resourceTypes } from './resource-types.ts';
import { ApiError, alreadyExists, badRequest, invalidObject, notFound } from './status.ts';

const namespaces = resourceTypes.find(({ plural }) => plural === 'namespaces') as ResourceType;

/** The object that a POST asks for, with the namespace of the path and a name. */
export function createdObject(request: ResourceRequest): JsonObject {
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
  if (!metadata.name) {
    const message = 'Required value: name or generateName is required';
    throw invalidObject(type, '', [{ reason: 'FieldValueRequired', message, field: 'metadata.name' }]);
  }
  return { ...body, metadata };
}

/** Creates what a POST asks for; its sender owns all of it, defaults included. */
export function create(surroundings: Surroundings, request: ResourceRequest, object: JsonObject): KubernetesObject {
  const { type } = request;
  const writer = writerOf(surroundings, request, 'Update');
  const candidate = structuredClone(object);
  type.setDefaults(candidate);
  const managedFields = ownersAfterUpdate(type, undefined, candidate, [], writer);
  return insert(surroundings, request, candidate, managedFields);
}

/** Stores a new object with what the server alone gives. 404 without its namespace, 409 where the name is taken. */
export function insert(
  { store, now, admission }: Surroundings,
  request: ResourceRequest,
  candidate: JsonObject,
  managedFields: ManagedFieldsEntry[],
): KubernetesObject {
  const { type, namespace } = request;
  const metadata = metadataOf(candidate);
  const name = String(metadata.name);
  const isHomeless = type.namespaced && !store.get(namespaces, undefined, namespace ?? '');
  if (isHomeless) throw notFound(namespaces, namespace ?? '');
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
