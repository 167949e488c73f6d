/** One request that a role must allow, with the fields of a SubjectAccessReview. */
export interface Permission {
  /** Empty for the core group. */
  readonly group: string;
  /** The plural name. */
  readonly resource: string;
  readonly verb: string;
  /** The only name that is allowed; absent for all. */
  readonly name?: string;
}

const permissions = (group: string, resources: readonly string[], verbs: readonly string[], name?: string) =>
  resources.flatMap((resource) => verbs.map((verb): Permission => ({ group, resource, verb, name })));

/** The Kubernetes group of the access entries, which `infra/kubernetes/rbac.yaml` authorizes. */
export const REAPER_GROUP = 'envoy-hpa-reaper';

/** The permissions of the functions. Together they are `infra/kubernetes/rbac.yaml`, as a test checks. */
export const PERMISSIONS = {
  /** For judging a cluster. */
  scan: [
    ...permissions('autoscaling', ['horizontalpodautoscalers'], ['list']),
    ...permissions('apps', ['deployments'], ['get']),
    ...permissions('gateway.networking.k8s.io', ['gateways', 'gatewayclasses'], ['list']),
    ...permissions('gateway.envoyproxy.io', ['envoyproxies'], ['list']),
    ...permissions('', ['configmaps'], ['list'], 'envoy-gateway-config'),
  ],
  /** For deleting stale HPAs. */
  reap: permissions('autoscaling', ['horizontalpodautoscalers'], ['get', 'patch', 'delete']),
  /** For Events of the owners of deleted HPAs; nothing fails without them. */
  events: permissions('', ['events'], ['create', 'patch']),
};

/** `list configmaps/envoy-gateway-config`, `patch horizontalpodautoscalers.autoscaling`. */
export function nameOfPermission({ group, resource, verb, name }: Permission): string {
  return `${verb} ${resource}${group === '' ? '' : `.${group}`}${name === undefined ? '' : `/${name}`}`;
}
