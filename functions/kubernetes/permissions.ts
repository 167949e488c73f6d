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

/** The permissions for judging a cluster. These three lists are `infra/kubernetes/rbac.yaml`, as a test checks. */
export const SCAN_PERMISSIONS: readonly Permission[] = [
  ...permissions('autoscaling', ['horizontalpodautoscalers'], ['list']),
  ...permissions('apps', ['deployments'], ['get']),
  ...permissions('gateway.networking.k8s.io', ['gateways', 'gatewayclasses'], ['list']),
  ...permissions('gateway.envoyproxy.io', ['envoyproxies'], ['list']),
  ...permissions('', ['configmaps'], ['list'], 'envoy-gateway-config'),
];

/** The further permissions for deleting stale HPAs. */
export const REAP_PERMISSIONS: readonly Permission[] = permissions(
  'autoscaling',
  ['horizontalpodautoscalers'],
  ['get', 'patch', 'delete'],
);

/** The permissions for Events of the owners of deleted HPAs; nothing fails without them. */
export const EVENT_PERMISSIONS: readonly Permission[] = permissions('', ['events'], ['create', 'patch']);

/** `list configmaps/envoy-gateway-config`, `patch horizontalpodautoscalers.autoscaling`. */
export function nameOfPermission({ group, resource, verb, name }: Permission): string {
  return `${verb} ${resource}${group === '' ? '' : `.${group}`}${name === undefined ? '' : `/${name}`}`;
}
