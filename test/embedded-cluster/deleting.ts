import { isDeepStrictEqual } from 'node:util';
import { admit } from './admission.ts';
import { listOf, selected } from './lists.ts';
import { isJsonObject, type Json, type JsonObject, type KubernetesObject, timestamp } from './objects.ts';
import { type Answer, decode, isDryRun, type ResourceRequest, type Surroundings } from './resource-request.ts';
import { invalidOptions, preconditionFailed } from './status.ts';

/** Deletes what the query selects; the answer lists the objects as they were. */
export function deleteCollection(surroundings: Surroundings, request: ResourceRequest): Answer {
  const { type, namespace, query } = request;
  const { store } = surroundings;
  const objects = selected(store.all(type), namespace, query);
  const resourceVersion = String(store.revision);
  for (const object of objects) deleteOne(surroundings, request, object);
  return { code: 200, body: listOf(type, objects, { ...(type.custom && { continue: '' }), resourceVersion }) };
}

/**
 * Deletes an object under the request's preconditions: the answer is a Status, or, where finalizers keep the object, the
 * object with its deletionTimestamp.
 */
export function deleteOne(
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
