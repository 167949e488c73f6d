/** One request that a role must allow, as a SubjectAccessReview asks about it. */
export interface Permission {
  /** Empty for the core group. */
  readonly group: string;
  /** The plural name. */
  readonly resource: string;
  readonly verb: string;
  /** The only name that is read; absent where any is. */
  readonly name?: string;
}

const permissions = (group: string, resources: readonly string[], verbs: readonly string[], name?: string) =>
  resources.flatMap((resource) => verbs.map((verb): Permission => ({ group, resource, verb, name })));

/** The Kubernetes group that `infra/kubernetes/rbac.yaml` lets in, and that the access entries give. */
export const REAPER_GROUP = 'envoy-hpa-reaper';

/** What judging a cluster takes. Together with {@link TO_REAP} and {@link EVENT_PERMISSIONS} it is `infra/kubernetes/rbac.yaml`; a test holds that. */
export const TO_SCAN: readonly Permission[] = [
  ...permissions('autoscaling', ['horizontalpodautoscalers'], ['list']),
  ...permissions('apps', ['deployments'], ['get']),
  ...permissions('gateway.networking.k8s.io', ['gateways', 'gatewayclasses'], ['list']),
  ...permissions('gateway.envoyproxy.io', ['envoyproxies'], ['list']),
  ...permissions('', ['configmaps'], ['list'], 'envoy-gateway-config'),
];

/** What removing stale HPAs takes besides. */
export const TO_REAP: readonly Permission[] = permissions(
  'autoscaling',
  ['horizontalpodautoscalers'],
  ['get', 'patch', 'delete'],
);

/** What telling the owners of deleted HPAs takes: without it nothing fails. */
export const EVENT_PERMISSIONS: readonly Permission[] = permissions('', ['events'], ['create', 'patch']);

/** `list configmaps/envoy-gateway-config`, `patch horizontalpodautoscalers.autoscaling`. */
export function nameOfPermission({ group, resource, verb, name }: Permission): string {
  return `${verb} ${resource}${group === '' ? '' : `.${group}`}${name === undefined ? '' : `/${name}`}`;
}
