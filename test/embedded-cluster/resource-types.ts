import { isJsonObject, type JsonObject } from './objects.ts';

export interface ResourceType {
  group: string;
  version: string;
  plural: string;
  kind: string;
  namespaced: boolean;
  custom: boolean;
  hasStatus: boolean;
  hasGeneration: boolean;
  /** What Go's zero value of the type serializes to. Field ownership is reckoned against it when an object is new. */
  zero: JsonObject;
  setDefaults: (object: JsonObject) => void;
}

type Declared = Pick<ResourceType, 'group' | 'version' | 'plural' | 'kind'> & Partial<ResourceType>;

/** A type with what is not said of it: namespaced, built in, with a status. */
export const declare = (type: Declared): ResourceType => ({
  namespaced: true,
  custom: false,
  hasStatus: true,
  hasGeneration: true,
  setDefaults: () => {},
  ...type,
  zero: { metadata: {}, ...type.zero },
});

/** What an API server writes into an Event that does not say it. */
const EVENT_ZERO: JsonObject = {
  involvedObject: {},
  source: {},
  firstTimestamp: null,
  lastTimestamp: null,
  eventTime: null,
  reportingComponent: '',
  reportingInstance: '',
};

const builtIn = { hasStatus: false, hasGeneration: false };
const core = { ...builtIn, group: '', version: 'v1' };
const rbac = { ...builtIn, group: 'rbac.authorization.k8s.io', version: 'v1', namespaced: false };
const gatewayApi = { group: 'gateway.networking.k8s.io', version: 'v1', custom: true };

/** The resources that the embedded cluster serves. */
export const resourceTypes: readonly ResourceType[] = [
  declare({
    group: 'autoscaling',
    version: 'v2',
    plural: 'horizontalpodautoscalers',
    kind: 'HorizontalPodAutoscaler',
    hasGeneration: false,
    zero: {
      spec: { scaleTargetRef: { kind: '', name: '' }, maxReplicas: 0 },
      status: { desiredReplicas: 0, currentMetrics: null },
    },
    setDefaults: setAutoscalerDefaults,
  }),
  declare({
    group: 'apps',
    version: 'v1',
    plural: 'deployments',
    kind: 'Deployment',
    zero: { spec: { template: { metadata: {}, spec: { containers: null } }, strategy: {} }, status: {} },
  }),
  declare({ ...core, plural: 'configmaps', kind: 'ConfigMap' }),
  declare({
    ...core,
    plural: 'events',
    kind: 'Event',
    zero: EVENT_ZERO,
    setDefaults: (event) => void Object.assign(event, { ...EVENT_ZERO, ...event }),
  }),
  declare({
    ...core,
    plural: 'namespaces',
    kind: 'Namespace',
    namespaced: false,
    hasStatus: true,
    zero: { spec: {}, status: { phase: 'Active' } },
    setDefaults: setNamespaceDefaults,
  }),
  declare({ ...rbac, plural: 'clusterroles', kind: 'ClusterRole', zero: { rules: null } }),
  declare({
    ...rbac,
    plural: 'clusterrolebindings',
    kind: 'ClusterRoleBinding',
    zero: { roleRef: { apiGroup: '', kind: '', name: '' } },
  }),
  declare({ ...gatewayApi, plural: 'gatewayclasses', kind: 'GatewayClass', namespaced: false }),
  declare({ ...gatewayApi, plural: 'gateways', kind: 'Gateway' }),
  declare({
    group: 'gateway.envoyproxy.io',
    version: 'v1alpha1',
    plural: 'envoyproxies',
    kind: 'EnvoyProxy',
    custom: true,
  }),
];

export function typeOf(plural: string): ResourceType {
  const type = resourceTypes.find((candidate) => candidate.plural === plural);
  if (!type) throw new TypeError(`the embedded cluster has no resource ${plural}`);
  return type;
}

export function apiVersionOf(type: Pick<ResourceType, 'group' | 'version'>): string {
  return type.group === '' ? type.version : `${type.group}/${type.version}`;
}

/** `horizontalpodautoscalers.autoscaling`, or `configmaps` where the group is the core group. */
export function qualified(name: string, group: string): string {
  return group === '' ? name : `${name}.${group}`;
}

function setAutoscalerDefaults(autoscaler: JsonObject): void {
  const spec = autoscaler.spec;
  if (isJsonObject(spec)) {
    spec.minReplicas ??= 1;
    const target = { type: 'Utilization', averageUtilization: 80 };
    spec.metrics ??= [{ type: 'Resource', resource: { name: 'cpu', target } }];
  }
  const status = isJsonObject(autoscaler.status) ? autoscaler.status : {};
  autoscaler.status = { desiredReplicas: 0, currentMetrics: null, ...status };
}

function setNamespaceDefaults(namespace: JsonObject): void {
  const { metadata } = namespace;
  if (!isJsonObject(metadata)) return;
  const labels = isJsonObject(metadata.labels) ? metadata.labels : {};
  metadata.labels = { 'kubernetes.io/metadata.name': metadata.name ?? '', ...labels };
}
