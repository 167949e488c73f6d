import { isJsonObject, type JsonObject } from './objects.ts';

/** The lists and maps of a type that are not what an object without a schema has: granular maps and atomic lists. */
export interface FieldTypes {
  /** Path of a list to the field that identifies its items. */
  keyedLists: Record<string, string>;
  sets: string[];
  atomic: string[];
}

export interface ResourceType {
  apiVersion: string;
  group: string;
  version: string;
  kind: string;
  plural: string;
  namespaced: boolean;
  custom: boolean;
  hasStatus: boolean;
  hasGeneration: boolean;
  fields: FieldTypes;
  /** What Go's zero value of the type serializes to. The field owners of a new object follow from the difference to it. */
  zero: JsonObject;
  setDefaults: (object: JsonObject) => void;
}

type Details = Partial<Omit<ResourceType, 'fields'>> & { fields?: Partial<FieldTypes> };

/** By default a type is built in and namespaced, and has a status and a generation. */
function declare(apiVersion: string, kind: string, { fields, zero, ...details }: Details = {}): ResourceType {
  const [version = '', group = ''] = apiVersion.split('/').toReversed();
  return {
    apiVersion,
    group,
    version,
    kind,
    plural: `${kind.toLowerCase()}s`,
    namespaced: true,
    custom: false,
    hasStatus: true,
    hasGeneration: true,
    setDefaults: () => {},
    ...details,
    zero: { metadata: {}, ...zero },
    fields: {
      keyedLists: { 'metadata.ownerReferences': 'uid', 'status.conditions': 'type', ...fields?.keyedLists },
      sets: ['metadata.finalizers', ...(fields?.sets ?? [])],
      atomic: ['metadata.ownerReferences[]', ...(fields?.atomic ?? [])],
    },
  };
}

const DATA_ONLY = { hasStatus: false, hasGeneration: false };

/** The fields that an API server adds to an Event without them. */
const EVENT_ZERO: JsonObject = {
  involvedObject: {},
  source: {},
  firstTimestamp: null,
  lastTimestamp: null,
  eventTime: null,
  reportingComponent: '',
  reportingInstance: '',
};

/** The resources that the embedded cluster serves. */
export const RESOURCE_TYPES: readonly ResourceType[] = [
  declare('autoscaling/v2', 'HorizontalPodAutoscaler', {
    hasGeneration: false,
    zero: {
      spec: { scaleTargetRef: { kind: '', name: '' }, maxReplicas: 0 },
      status: { desiredReplicas: 0, currentMetrics: null },
    },
    setDefaults: setAutoscalerDefaults,
  }),
  declare('apps/v1', 'Deployment', {
    fields: {
      keyedLists: { 'spec.template.spec.containers': 'name', 'spec.template.spec.volumes': 'name' },
      atomic: ['spec.selector'],
    },
    zero: { spec: { template: { metadata: {}, spec: { containers: null } }, strategy: {} }, status: {} },
  }),
  declare('v1', 'ConfigMap', DATA_ONLY),
  declare('v1', 'Event', {
    ...DATA_ONLY,
    zero: EVENT_ZERO,
    setDefaults: (event) => void Object.assign(event, { ...EVENT_ZERO, ...event }),
  }),
  declare('v1', 'Namespace', {
    namespaced: false,
    hasGeneration: false,
    zero: { spec: {}, status: { phase: 'Active' } },
    setDefaults: setNamespaceDefaults,
  }),
  declare('rbac.authorization.k8s.io/v1', 'ClusterRole', { ...DATA_ONLY, namespaced: false, zero: { rules: null } }),
  declare('rbac.authorization.k8s.io/v1', 'ClusterRoleBinding', {
    ...DATA_ONLY,
    namespaced: false,
    fields: { atomic: ['roleRef'] },
    zero: { roleRef: { apiGroup: '', kind: '', name: '' } },
  }),
  declare('gateway.networking.k8s.io/v1', 'GatewayClass', {
    plural: 'gatewayclasses',
    namespaced: false,
    custom: true,
  }),
  declare('gateway.networking.k8s.io/v1', 'Gateway', {
    custom: true,
    fields: {
      keyedLists: { 'spec.listeners': 'name', 'status.listeners': 'name', 'status.listeners[].conditions': 'type' },
    },
  }),
  declare('gateway.envoyproxy.io/v1alpha1', 'EnvoyProxy', { plural: 'envoyproxies', custom: true }),
];

/** Resources that are only created: the response has a status, and nothing is stored. */
export const REVIEW_TYPES: readonly ResourceType[] = ['SelfSubjectAccessReview', 'SubjectAccessReview'].map((kind) =>
  declare('authorization.k8s.io/v1', kind, { namespaced: false }),
);

export function typeOf(plural: string): ResourceType {
  const type = RESOURCE_TYPES.find((candidate) => candidate.plural === plural);
  if (!type) throw new TypeError(`the embedded cluster has no resource ${plural}`);
  return type;
}

/** `horizontalpodautoscalers.autoscaling`, or `configmaps` in the core group. */
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
