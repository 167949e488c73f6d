import { isJsonObject, type JsonObject } from './objects.ts';
import type { RequestInfo } from './request-info.ts';
import { qualified } from './resource-types.ts';
import { ApiError, details } from './status.ts';

export interface User {
  username: string;
  uid?: string;
  groups: string[];
}

interface PolicyRule {
  apiGroups?: string[];
  resources?: string[];
  resourceNames?: string[];
  verbs: string[];
}

/** A manifest of kind ClusterRole, Role, ClusterRoleBinding or RoleBinding. Other kinds grant nothing. */
export interface RbacManifest {
  kind: string;
  metadata: { name: string; namespace?: string };
  rules?: PolicyRule[];
  subjects?: { kind: string; name: string }[];
  roleRef?: { kind: string; name: string };
}

export type Authorizer = (user: User, request: RequestInfo) => boolean;

/** Authorizes with RBAC manifests as `kubectl apply` takes them. `system:masters` is authorized for everything. */
export function rbacAuthorizer(manifests: readonly RbacManifest[]): Authorizer {
  const bindings = manifests.flatMap(({ metadata: { namespace }, roleRef, subjects = [] }) => {
    const role = manifests.find(({ kind, metadata }) => kind === roleRef?.kind && metadata.name === roleRef.name);
    return role === undefined ? [] : [{ namespace, subjects, rules: role.rules ?? [] }];
  });
  return (user, request) =>
    user.groups.includes('system:masters') ||
    (user.groups.includes('system:authenticated') && isOpenToAll(request)) ||
    bindings.some(
      ({ namespace, subjects, rules }) =>
        (namespace === undefined || namespace === request.namespace) &&
        subjects.some(({ kind, name }) =>
          kind === 'Group' ? user.groups.includes(name) : kind === 'User' && user.username === name,
        ) &&
        rules.some((rule) => isCovered(rule, request)),
    );
}

/** The default roles `system:discovery` and `system:basic-user`, which every authenticated user has. */
function isOpenToAll({ verb, path, isResourceRequest, group, resource }: RequestInfo): boolean {
  if (!isResourceRequest) return verb === 'get' && /^\/(version|apis?(\/.*)?)$/.test(path);
  return verb === 'create' && group === 'authorization.k8s.io' && resource === 'selfsubjectaccessreviews';
}

function isCovered(rule: PolicyRule, request: RequestInfo): boolean {
  const resource = request.subresource ? `${request.resource}/${request.subresource}` : request.resource;
  const covers = (values: string[] | undefined, value: string): boolean =>
    values !== undefined && (values.includes('*') || values.includes(value));
  return (
    request.isResourceRequest &&
    covers(rule.verbs, request.verb) &&
    covers(rule.apiGroups, request.group) &&
    covers(rule.resources, resource) &&
    (!rule.resourceNames?.length || (request.name !== undefined && rule.resourceNames.includes(request.name)))
  );
}

/** The refusal of a request for a resource, in the words of the API server. */
export function forbidden(user: User, request: RequestInfo): ApiError {
  const { verb, path, group, resource, subresource, name, namespace } = request;
  if (!request.isResourceRequest) {
    return new ApiError(403, 'Forbidden', `forbidden: User "${user.username}" cannot ${verb} path "${path}"`, {});
  }
  const subject = `${qualified(resource, group)}${name ? ` "${name}"` : ''}`;
  const object = `resource "${subresource ? `${resource}/${subresource}` : resource}" in API group "${group}"`;
  const scope = namespace ? `in the namespace "${namespace}"` : 'at the cluster scope';
  const message = `${subject} is forbidden: User "${user.username}" cannot ${verb} ${object} ${scope}`;
  return new ApiError(403, 'Forbidden', message, details(name, group, resource));
}

/** Fills in the status of a SelfSubjectAccessReview or SubjectAccessReview of a resource. */
export function reviewAccess(review: JsonObject, authorizer: Authorizer, sender: User): JsonObject {
  const spec = isJsonObject(review.spec) ? review.spec : {};
  const {
    group = '',
    version = '',
    resource = '',
    verb,
    subresource,
    namespace,
    name,
  } = {
    ...(spec.resourceAttributes as Record<string, string> | undefined),
  };
  const subject =
    review.kind === 'SelfSubjectAccessReview' ? sender : { username: '', groups: spec.groups as string[] };
  const request = { verb: verb ?? '', path: '', isResourceRequest: true, group, version, resource };
  return { ...review, status: { allowed: authorizer(subject, { ...request, subresource, namespace, name }) } };
}
