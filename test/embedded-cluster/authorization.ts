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
  /** A path, or its beginning and `*`. */
  nonResourceURLs?: string[];
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
  /** `ClusterRoleBinding "readers" of ClusterRole "readers"`. */
  name: string;
}

/** A manifest of kind ClusterRole, Role, ClusterRoleBinding or RoleBinding; others say nothing here. */
export interface RbacManifest {
  kind: string;
  metadata: { name: string; namespace?: string };
  rules?: PolicyRule[];
  subjects?: Subject[];
  roleRef?: { kind: string; name: string };
}

/** What the authorizer made of a request, as a SubjectAccessReview gives it. */
export interface Decision {
  allowed: boolean;
  reason?: string;
}

/** Decides by the user's groups as they are given; `system:authenticated` is one of them only where it is named. */
export type Authorizer = (user: User, request: RequestInfo) => Decision;

/** What every API server binds to everybody it knows, as far as it matters here. */
const DEFAULT_MANIFESTS: readonly RbacManifest[] = [
  {
    kind: 'ClusterRole',
    metadata: { name: 'system:discovery' },
    rules: [{ nonResourceURLs: ['/api', '/api/*', '/apis', '/apis/*', '/version', '/version/'], verbs: ['get'] }],
  },
  {
    kind: 'ClusterRole',
    metadata: { name: 'system:basic-user' },
    rules: [{ apiGroups: ['authorization.k8s.io'], resources: ['selfsubjectaccessreviews'], verbs: ['create'] }],
  },
  ...['system:discovery', 'system:basic-user'].map((name) => ({
    kind: 'ClusterRoleBinding',
    metadata: { name },
    roleRef: { kind: 'ClusterRole', name },
    subjects: [{ kind: 'Group', name: 'system:authenticated' }],
  })),
];

/** An authorizer that knows RBAC manifests as `kubectl apply` would take them. `system:masters` may do everything. */
export function rbacAuthorizer(manifests: readonly RbacManifest[]): Authorizer {
  const known = [...DEFAULT_MANIFESTS, ...manifests];
  const grants: Grant[] = known.flatMap(({ kind, metadata, roleRef, subjects = [] }) => {
    if (roleRef === undefined) return [];
    const role = known.find((manifest) => manifest.kind === roleRef.kind && manifest.metadata.name === roleRef.name);
    const { namespace } = metadata;
    const binding = namespace === undefined ? metadata.name : `${metadata.name}/${namespace}`;
    return {
      name: `${kind} "${binding}" of ${roleRef.kind} "${roleRef.name}"`,
      rules: role?.rules ?? [],
      subjects,
      ...(namespace !== undefined && { namespace }),
    };
  });
  return (user, request) => {
    if (user.groups.includes('system:masters')) return { allowed: true };
    for (const { name, rules, subjects, namespace } of grants) {
      if (namespace !== undefined && namespace !== request.namespace) continue;
      const subject = subjects.find((one) => isMember(user, one));
      if (subject === undefined || !rules.some((rule) => allows(rule, request))) continue;
      return { allowed: true, reason: `RBAC: allowed by ${name} to ${subject.kind} "${subject.name}"` };
    }
    return { allowed: false };
  };
}

function isMember(user: User, { kind, name }: Subject): boolean {
  return kind === 'Group' ? user.groups.includes(name) : kind === 'User' && user.username === name;
}

function allows(rule: PolicyRule, request: RequestInfo): boolean {
  if (!request.isResourceRequest) {
    const isCovered = (url: string) =>
      url.endsWith('*') ? request.path.startsWith(url.slice(0, -1)) : request.path === url;
    return rule.verbs.includes(request.verb) && (rule.nonResourceURLs ?? []).some(isCovered);
  }
  const resource = request.subresource ? `${request.resource}/${request.subresource}` : request.resource;
  const covers = (values: string[] | undefined, value: string): boolean =>
    values !== undefined && (values.includes('*') || values.includes(value));
  return (
    covers(rule.verbs, request.verb) &&
    covers(rule.apiGroups, request.group) &&
    covers(rule.resources, resource) &&
    (!rule.resourceNames?.length || (request.name !== undefined && rule.resourceNames.includes(request.name)))
  );
}

/** The refusal of what no rule allows, in the API server's own words. */
export function forbidden(user: User, request: RequestInfo): ApiError {
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
