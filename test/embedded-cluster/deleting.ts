import { admit } from './admission.ts';
import { isJsonObject, type JsonObject, type KubernetesObject, timestamp } from './objects.ts';
import { decode, isDryRun, type ResourceRequest, type Surroundings } from './resource-request.ts';
import { preconditionFailed } from './status.ts';

/**
 * Deletes an object under the request's preconditions. The answer is a Status or, where finalizers keep the object, the
 * object with its deletionTimestamp.
 */
export function deleteOne(
  { store, now, admission }: Surroundings,
  request: ResourceRequest,
  live: KubernetesObject,
): KubernetesObject | JsonObject {
  const { type } = request;
  const { uid, name, generation, finalizers = [] } = live.metadata;
  requirePreconditions(request, live);
  admit(admission(), request, 'DELETE', undefined, live);
  if (finalizers.length === 0) {
    if (!isDryRun(request)) store.delete(type, live);
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
  };
  return isDryRun(request) ? { ...live, metadata } : store.put(type, { ...live, metadata });
}

function requirePreconditions({ type, body, trace }: ResourceRequest, { metadata }: KubernetesObject): void {
  if (body === '') return;
  const options = decode(body, 'DeleteOptions');
  trace.requestObject = { ...options, kind: 'DeleteOptions', apiVersion: 'meta.k8s.io/__internal' };
  const { uid, resourceVersion } = isJsonObject(options.preconditions) ? options.preconditions : {};
  const refuse = (why: string) => {
    throw preconditionFailed(type, metadata.name, why);
  };
  if (uid && uid !== metadata.uid) {
    refuse(
      `the UID in the precondition (${uid}) does not match the UID in record (${metadata.uid}). The object might have been deleted and then recreated`,
    );
  }
  if (resourceVersion && resourceVersion !== metadata.resourceVersion) {
    refuse(
      `the ResourceVersion in the precondition (${resourceVersion}) does not match the ResourceVersion in record (${metadata.resourceVersion}). The object might have been modified`,
    );
  }
}
