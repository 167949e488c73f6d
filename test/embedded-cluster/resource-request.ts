import { parse as parseYaml } from 'yaml';
import type { Admission } from './admission.ts';
import type { AuditTrace } from './audit.ts';
import type { User } from './authorization.ts';
import type { Writer } from './field-ownership.ts';
import { isJsonObject, type JsonObject, type KubernetesObject, timestamp } from './objects.ts';
import { apiVersionOf, type ResourceType } from './resource-types.ts';
import { badRequest, invalid, invalidOptions, notFound, unsupportedMediaType } from './status.ts';
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

/** What requests are handled with. */
export interface Surroundings {
  store: ObjectStore;
  now: () => Date;
  admission: () => Admission | undefined;
}

/** The object that the request names; 404 where there is none. */
export function liveObject({ store }: Surroundings, { type, namespace, name = '' }: ResourceRequest): KubernetesObject {
  const live = store.get(type, type.namespaced ? namespace : undefined, name);
  if (!live) throw notFound(type, name);
  return live;
}

export function metadataOf(object: JsonObject): JsonObject {
  return isJsonObject(object.metadata) ? object.metadata : {};
}

/** The body as an object; 400 names the expected kind. */
export function decode(body: string, expected: string, isYaml = false): JsonObject {
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

/** The body as an object of the request's type; 400 or 422 where it says that it is something else. */
export function decodeObject({ body, type, contentType }: ResourceRequest): JsonObject {
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
export function serverObject(type: ResourceType, object: JsonObject): KubernetesObject {
  const { kind: _, apiVersion: __, metadata, ...rest } = object;
  const kept = Object.entries(isJsonObject(metadata) ? metadata : {}).filter(
    ([, value]) =>
      value !== null && value !== undefined && !(typeof value === 'object' && Object.keys(value).length === 0),
  );
  const server = { kind: type.kind, apiVersion: apiVersionOf(type), metadata: Object.fromEntries(kept), ...rest };
  return server as unknown as KubernetesObject;
}

/** Whom managedFields will name; without a fieldManager the user agent's first word, which an apply may not do. */
export function writerOf(
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

export function isDryRun({ query }: ResourceRequest): boolean {
  return query.get('dryRun') === 'All';
}
