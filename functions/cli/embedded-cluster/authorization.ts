import type { RequestInfo } from './request-info.ts';
import { qualified } from './resource-types.ts';
import { ApiError } from './status.ts';

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

interface Subject {
  kind: string;
  name: string;
}

interface Grant {
  rules: PolicyRule[];
  subjects: Subject[];
  /** Absent for a ClusterRoleBinding. */
  namespace?: string;
}

/** A manifest of kind ClusterRole, Role, ClusterRoleBinding or RoleBinding; others say nothing here. */
export interface RbacManifest {
  kind: string;
  metadata: { name: string; namespace?: string };
  rules?: PolicyRule[];
  subjects?: Subject[];
  roleRef?: { kind: string; name: string };
}

/** Refuses what no rule allows with the API server's own words. */
export type Authorizer = (user: User, request: RequestInfo) => void;

/** An authorizer that knows RBAC manifests as `kubectl apply` would take them. `system:masters` may do everything. */
export function rbacAuthorizer(manifests: readonly RbacManifest[]): Authorizer {
  const grants: Grant[] = manifests
    .filter(({ roleRef }) => roleRef !== undefined)
    .map(({ metadata, roleRef, subjects = [] }) => {
      const role = manifests.find(
        (manifest) => manifest.kind === roleRef?.kind && manifest.metadata.name === roleRef.name,
      );
      return { rules: role?.rules ?? [], subjects, ...(metadata.namespace && { namespace: metadata.namespace }) };
    });
  return (user, request) => {
    if (user.groups.includes('system:masters')) return;
    const isAllowed = grants.some(
      ({ rules, subjects, namespace }) =>
        (namespace === undefined || namespace === request.namespace) &&
        subjects.some((subject) => isMember(user, subject)) &&
        rules.some((rule) => allows(rule, request)),
    );
    if (!isAllowed) throw forbidden(user, request);
  };
}

function isMember(user: User, { kind, name }: Subject): boolean {
  return kind === 'Group' ? user.groups.includes(name) : kind === 'User' && user.username === name;
}

function allows(rule: PolicyRule, request: RequestInfo): boolean {
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

function forbidden(user: User, request: RequestInfo): ApiError {
  const { verb, path, group, resource, subresource, name, namespace } = request;
  if (!request.isResourceRequest) {
    return new ApiError(403, 'Forbidden', `forbidden: User "${user.username}" cannot ${verb} path "${path}"`, {});
  }
  const subject = `${qualified(resource, group)}${name ? ` "${name}"` : ''}`;
  const object = `resource "${subresource ? `${resource}/${subresource}` : resource}" in API group "${group}"`;
  const scope = namespace ? `in the namespace "${namespace}"` : 'at the cluster scope';
  const message = `${subject} is forbidden: User "${user.username}" cannot ${verb} ${object} ${scope}`;
  return new ApiError(403, 'Forbidden', message, {
    ...(name && { name }),
    ...(group !== '' && { group }),
    kind: resource,
  });
}
