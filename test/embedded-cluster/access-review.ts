import type { Authorizer, User } from './authorization.ts';
import { ownersAfterUpdate } from './field-ownership.ts';
import { isJsonObject, type Json } from './objects.ts';
import type { RequestInfo } from './request-info.ts';
import { type Answer, decodeObject, type ResourceRequest, type Surroundings, writerOf } from './resource-request.ts';
import { declare, type ResourceType } from './resource-types.ts';
import { invalidObject, methodNotAllowed, noSuchResource } from './status.ts';

const review = (kind: string): ResourceType =>
  declare({
    group: 'authorization.k8s.io',
    version: 'v1',
    plural: `${kind.toLowerCase()}s`,
    kind,
    namespaced: false,
  });

/** Resources that are only ever posted: the answer is in the status, and nothing is stored. */
export const reviewTypes: readonly ResourceType[] = [review('SelfSubjectAccessReview'), review('SubjectAccessReview')];

/** Answers whether somebody may do something: the sender, or who the review names. */
export function reviewAccess(
  surroundings: Surroundings,
  request: ResourceRequest,
  authorizer: Authorizer,
  sender: User,
): Answer {
  const { type, verb, name, trace } = request;
  if (name !== undefined) throw noSuchResource();
  if (verb !== 'create') throw methodNotAllowed();
  const body = decodeObject(request);
  trace.requestObject = body;
  const spec = isJsonObject(body.spec) ? body.spec : {};
  const { resourceAttributes: resource, nonResourceAttributes: path } = spec;
  if (isJsonObject(resource) === isJsonObject(path)) {
    refuse(
      'spec.resourceAttributes',
      'Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified',
    );
  }
  const isSelf = type.kind === 'SelfSubjectAccessReview';
  const { user, groups } = spec;
  if (!isSelf && !user && !(Array.isArray(groups) && groups.length > 0)) {
    refuse('spec.user', 'Invalid value: "": at least one of user or group must be specified');
  }
  const subject = isSelf ? sender : { username: String(user ?? ''), groups: (groups ?? []) as string[] };
  const { allowed, reason } = authorizer(subject, requestOf(resource, path));
  const managedFields = ownersAfterUpdate(type, undefined, body, [], writerOf(surroundings, request, 'Update'));
  return {
    code: 201,
    body: {
      kind: type.kind,
      apiVersion: 'authorization.k8s.io/v1',
      metadata: { managedFields: managedFields as unknown as Json[] },
      spec,
      status: { allowed, ...(reason !== undefined && { reason }) },
    },
  };
}

/** Neither kind nor name is in the server's words here. */
function refuse(field: string, message: string): never {
  const nameless = { group: 'authorization.k8s.io', kind: '' } as ResourceType;
  throw invalidObject(nameless, '', [{ reason: 'FieldValueInvalid', message, field }]);
}

/** What is asked about, as the authorizer sees a request; an attribute that is left out is empty. */
function requestOf(resource: Json | undefined, path: Json | undefined): RequestInfo {
  const text = (attributes: Json | undefined, key: string) =>
    isJsonObject(attributes) && typeof attributes[key] === 'string' ? attributes[key] : '';
  const named = (key: string) => (text(resource, key) === '' ? {} : { [key]: text(resource, key) });
  return {
    verb: text(resource, 'verb') || text(path, 'verb'),
    path: text(path, 'path'),
    isResourceRequest: isJsonObject(resource),
    group: text(resource, 'group'),
    version: text(resource, 'version'),
    resource: text(resource, 'resource'),
    ...named('subresource'),
    ...named('namespace'),
    ...named('name'),
  };
}
