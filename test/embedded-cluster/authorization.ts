import type { JsonObject } from './objects.ts';
import type { RequestInfo } from './request-info.ts';
import { declare, qualified, type ResourceType } from './resource-types.ts';
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

/** A manifest of kind ClusterRole or ClusterRoleBinding. */
export interface RbacManifest {
  kind: string;
  metadata: { name: string };
  rules?: PolicyRule[];
  subjects?: { kind: string; name: string }[];
  roleRef?: { kind: string; name: string };
}

export type Authorizer = (user: Pick<User, 'username' | 'groups'>, request: RequestInfo) => boolean;

const review = (kind: string): ResourceType =>
  declare({ group: 'authorization.k8s.io', version: 'v1', plural: `${kind.toLowerCase()}s`, kind, namespaced: false });
const selfReview = review('SelfSubjectAccessReview');

/** Resources that can only be created: the answer is in the status, and nothing is stored. */
export const reviewTypes: readonly ResourceType[] = [selfReview, review('SubjectAccessReview')];

/**
 * An authorizer for RBAC manifests. `system:masters` may do everything, and every user may read the version and the API
 * groups, and ask for their own permissions.
 */
export function rbacAuthorizer(manifests: readonly RbacManifest[]): Authorizer {
  const grants = manifests.flatMap(({ roleRef, subjects = [] }) => {
    const role = manifests.find(({ kind, metadata }) => kind === roleRef?.kind && metadata.name === roleRef.name);
    return role?.rules ? [{ rules: role.rules, subjects }] : [];
  });
  return ({ username, groups }, request) =>
    groups.includes('system:masters') ||
    !request.isResourceRequest ||
    request.resource === selfReview.plural ||
    grants.some(
      ({ rules, subjects }) =>
        subjects.some(({ kind, name }) => (kind === 'Group' ? groups.includes(name) : username === name)) &&
        rules.some((rule) => allows(rule, request)),
    );
}

function allows({ verbs, apiGroups, resources, resourceNames }: PolicyRule, request: RequestInfo): boolean {
  const covers = (values: string[] | undefined, value: string): boolean =>
    values !== undefined && (values.includes('*') || values.includes(value));
  return (
    covers(verbs, request.verb) &&
    covers(apiGroups, request.group) &&
    covers(resources, resourceOf(request)) &&
    (!resourceNames?.length || (request.name !== undefined && resourceNames.includes(request.name)))
  );
}

const resourceOf = ({ resource, subresource }: RequestInfo) => (subresource ? `${resource}/${subresource}` : resource);

/** The refusal of what no rule allows, in the API server's own words. */
export function forbidden({ username }: User, request: RequestInfo): ApiError {
  const { verb, group, resource, name, namespace } = request;
  const subject = `${qualified(resource, group)}${name ? ` "${name}"` : ''}`;
  const object = `resource "${resourceOf(request)}" in API group "${group}"`;
  const scope = namespace ? `in the namespace "${namespace}"` : 'at the cluster scope';
  const message = `${subject} is forbidden: User "${username}" cannot ${verb} ${object} ${scope}`;
  return new ApiError(403, 'Forbidden', message);
}

/** The answer of a review: whether the sender, or the subject that it names, may do something at the cluster scope. */
export function reviewAccess({ kind }: ResourceType, text: string, authorizer: Authorizer, sender: User): JsonObject {
  const { spec } = JSON.parse(text);
  const subject = kind === selfReview.kind ? sender : { username: spec.user ?? '', groups: spec.groups ?? [] };
  const request = { path: '', version: '', isResourceRequest: true, group: '', ...spec.resourceAttributes };
  return {
    kind,
    apiVersion: 'authorization.k8s.io/v1',
    metadata: {},
    spec,
    status: { allowed: authorizer(subject, request) },
  };
}
