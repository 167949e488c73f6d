import { createHash } from 'node:crypto';
import type { Snapshot } from '../../functions/judgement/cluster-index.ts';
import { readEnvoyGatewayConfig } from '../../functions/judgement/envoy-gateway-config.ts';
import type {
  Condition,
  ConfigMap,
  Deployment,
  EnvoyProxy,
  EnvoyProxySpec,
  Gateway,
  GatewayClass,
  HorizontalPodAutoscaler,
  ManagedFieldsEntry,
  Metadata,
} from '../../functions/judgement/kubernetes-objects.ts';

/**
 * Clusters for tests, of whole objects as Envoy Gateway and kubectl write them. By default they are those of a fresh
 * installation: controller in `envoy-gateway-system`, everything accepted, everything a day old. A place is `namespace/name`.
 */
export const CONTROLLER = 'gateway.envoyproxy.io/gatewayclass-controller';
export const CONTROLLER_NAMESPACE = 'envoy-gateway-system';
export const CREATED = '2026-01-01T00:00:00Z';

type Of<Kind extends string, T> = T & { apiVersion: string; kind: Kind };
export type ClusterObject =
  | Of<'GatewayClass', GatewayClass>
  | Of<'Gateway', Gateway>
  | Of<'EnvoyProxy', EnvoyProxy>
  | Of<'HorizontalPodAutoscaler', HorizontalPodAutoscaler>
  | Of<'ConfigMap', ConfigMap>
  | Of<'Deployment', Deployment & { metadata: Metadata; spec: { replicas: number } }>;

/** Options of every builder; `metadata` overrides what the builder writes. */
interface Common {
  readonly metadata?: Partial<Metadata>;
}

/** The place of an EnvoyProxy, or any other reference. */
type ParametersRef = string | { group?: string; kind?: string; name: string; namespace?: string };

const placeOf = (place: string): { namespace?: string; name: string } => {
  const [first, second] = place.split('/') as [string, string | undefined];
  return second === undefined ? { name: first } : { namespace: first, name: second };
};

type Stored = Metadata & { uid: string; resourceVersion: string; namespace: string };
const metadataOf = (kind: string, place: string, over: Partial<Metadata> = {}) =>
  ({ ...placeOf(place), uid: `${kind}:${place}`, resourceVersion: '1', creationTimestamp: CREATED, ...over }) as Stored;

const parametersRefOf = (reference: ParametersRef) => ({
  group: 'gateway.envoyproxy.io',
  kind: 'EnvoyProxy',
  ...(typeof reference === 'string' ? placeOf(reference) : reference),
});

/** The status of a Gateway or a class. */
interface Observed extends Common {
  readonly proxy?: ParametersRef;
  readonly generation?: number;
  /** `undefined`: no controller has written a status. */
  readonly accepted?: boolean;
  /** Why it is not accepted. */
  readonly reason?: string;
  /** The generation in the conditions; by default that of the object. */
  readonly observed?: number;
  /** Instead of all that. */
  readonly conditions?: readonly Condition[];
}

function conditionsOf(
  { generation = 1, accepted, reason = 'InvalidParameters', observed = generation, conditions }: Observed,
  others: readonly Condition[] = [],
): Condition[] | undefined {
  if (conditions) return [...conditions];
  if (accepted === undefined) return undefined;
  const verdict = accepted ? { status: 'True', reason: 'Accepted' } : { status: 'False', reason };
  return [{ type: 'Accepted', ...verdict }, ...others].map((one) => ({ ...one, observedGeneration: observed }));
}

/** The default conditions of the CRDs of the Gateway API. */
export const DEFAULT_CONDITIONS: readonly Condition[] = [{ type: 'Accepted', status: 'Unknown', reason: 'Pending' }];

export function gatewayClass(
  name = 'eg',
  { controllerName = CONTROLLER, ...options }: Observed & { controllerName?: string } = {},
): Of<'GatewayClass', GatewayClass> {
  const { proxy, generation = 1, metadata } = options;
  const conditions = conditionsOf({ accepted: true, ...options });
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'GatewayClass',
    metadata: metadataOf('GatewayClass', name, { generation, ...metadata }),
    spec: { controllerName, ...(proxy !== undefined && { parametersRef: parametersRefOf(proxy) }) },
    ...(conditions && { status: { conditions } }),
  };
}

/**
 * @param place `shop/web`; a `proxy` is the name of an EnvoyProxy in the same namespace, `listenersObserved` the generation in
 * the condition of its one listener, by default that of the others
 */
export function gateway(
  place = 'shop/web',
  {
    className = 'eg',
    listenersObserved,
    ...options
  }: Observed & { className?: string; listenersObserved?: number } = {},
): Of<'Gateway', Gateway> {
  const { proxy, generation = 1, metadata } = options;
  const programmed = { type: 'Programmed', status: 'False', reason: 'AddressNotAssigned' };
  const conditions = conditionsOf({ accepted: true, ...options }, [programmed]);
  const observedGeneration = listenersObserved ?? options.observed ?? generation;
  const conditionOfListener = { type: 'Programmed', status: 'True', reason: 'Programmed', observedGeneration };
  const listeners = [{ name: 'http', conditions: [conditionOfListener] }];
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: metadataOf('Gateway', place, { generation, ...metadata }),
    spec: {
      gatewayClassName: className,
      listeners: [{ name: 'http', port: 80, protocol: 'HTTP' }],
      ...(proxy !== undefined && { infrastructure: { parametersRef: parametersRefOf(proxy) } }),
    } as Gateway['spec'],
    ...(conditions && { status: { conditions, listeners } }),
  };
}

export function envoyProxy(
  place: string,
  spec: EnvoyProxySpec | undefined,
  { metadata }: Common = {},
): Of<'EnvoyProxy', EnvoyProxy> {
  return {
    apiVersion: 'gateway.envoyproxy.io/v1alpha1',
    kind: 'EnvoyProxy',
    metadata: metadataOf('EnvoyProxy', place, { generation: 1, ...metadata }),
    spec,
  };
}

/** The part of an EnvoyProxy's spec that asks for autoscaling, with fields that nothing here reads. */
export const autoscaling = (
  envoyHpa: Record<string, unknown> = { minReplicas: 2, maxReplicas: 5 },
): EnvoyProxySpec => ({
  provider: { type: 'Kubernetes', kubernetes: { envoyHpa } },
});

/** The ConfigMap of one Envoy Gateway. `rateLimit` configures a rate limit service; `text` replaces everything. */
export function envoyGatewayConfig({
  namespace = CONTROLLER_NAMESPACE,
  controllerName = CONTROLLER,
  gatewayNamespaceMode = false,
  envoyProxy: defaultProxy,
  rateLimit,
  text,
  metadata,
}: Common & {
  namespace?: string;
  controllerName?: string;
  gatewayNamespaceMode?: boolean;
  envoyProxy?: EnvoyProxySpec;
  rateLimit?: { rateLimitHpa?: object | null; rateLimitDeployment?: object };
  text?: string;
} = {}): Of<'ConfigMap', ConfigMap> {
  const deploy = gatewayNamespaceMode ? { type: 'GatewayNamespace' } : undefined;
  // JSON is YAML.
  const written = JSON.stringify({
    apiVersion: 'gateway.envoyproxy.io/v1alpha1',
    kind: 'EnvoyGateway',
    provider: { type: 'Kubernetes', kubernetes: { deploy, ...rateLimit } },
    gateway: { controllerName },
    rateLimit: rateLimit && { backend: { type: 'Redis', redis: { url: 'redis:6379' } } },
    envoyProxy: defaultProxy,
  });
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: metadataOf('ConfigMap', `${namespace}/envoy-gateway-config`, metadata),
    data: { 'envoy-gateway.yaml': text ?? written },
  };
}

/** The name that Envoy Gateway hashes for a Gateway (`shop/web`) or a merging class (`eg`); test/cases has real ones. */
export function hashedNameOf(owner: string): string {
  const readable = owner.replace('/', '-').slice(0, 48);
  const cut = owner.length > 48 && readable.endsWith('-') ? readable.slice(0, -1) : readable;
  return `envoy-${cut}-${createHash('sha256').update(owner).digest('hex').slice(0, 8)}`;
}

/** The labels of every version; v1.5 and later add three more. */
export const labelsOf = (owner: string): Record<string, string> => {
  const { namespace, name } = placeOf(owner);
  return namespace === undefined
    ? { 'gateway.envoyproxy.io/owning-gatewayclass': name }
    : {
        'gateway.envoyproxy.io/owning-gateway-name': name,
        'gateway.envoyproxy.io/owning-gateway-namespace': namespace,
      };
};

/** The managedFields entry of Envoy Gateway's server-side apply. */
export const appliedFields = (labels: Record<string, string>, manager = 'envoy-gateway'): ManagedFieldsEntry => ({
  apiVersion: 'autoscaling/v2',
  fieldsType: 'FieldsV1',
  fieldsV1: {
    'f:metadata': { 'f:labels': Object.fromEntries(Object.keys(labels).map((label) => [`f:${label}`, {}])) },
    'f:spec': {
      'f:maxReplicas': {},
      'f:metrics': {},
      'f:minReplicas': {},
      'f:scaleTargetRef': { 'f:apiVersion': {}, 'f:kind': {}, 'f:name': {} },
    },
  },
  manager,
  operation: 'Apply',
  time: CREATED,
});

const STATUS_FIELDS: ManagedFieldsEntry = {
  apiVersion: 'autoscaling/v2',
  fieldsType: 'FieldsV1',
  fieldsV1: { 'f:status': { 'f:currentReplicas': {}, 'f:desiredReplicas': {} } },
  manager: 'kube-controller-manager',
  operation: 'Update',
  subresource: 'status',
  time: CREATED,
};

/** An HPA of Envoy Gateway v1.3 with a status; `owner` is `shop/web` for a Gateway, `eg` for a merging class. */
export function envoyHpa(
  owner = 'shop/web',
  {
    at = `${CONTROLLER_NAMESPACE}/${hashedNameOf(owner)}`,
    target,
    currentReplicas = 2,
    metadata,
  }: Common & {
    at?: string;
    target?: { apiVersion?: string; kind: string; name: string };
    currentReplicas?: number;
  } = {},
): Of<'HorizontalPodAutoscaler', HorizontalPodAutoscaler> {
  const labels = labelsOf(owner);
  return {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: metadataOf('HorizontalPodAutoscaler', at, {
      labels,
      managedFields: [appliedFields(labels), STATUS_FIELDS],
      ...metadata,
    }),
    spec: {
      minReplicas: 2,
      maxReplicas: 5,
      metrics: [
        { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } } },
      ],
      scaleTargetRef: target ?? { apiVersion: 'apps/v1', kind: 'Deployment', name: placeOf(at).name },
    },
    status: { currentReplicas, desiredReplicas: currentReplicas, currentMetrics: null },
  };
}

/** The HPA of the rate limit service of Envoy Gateway v1.3, in its own namespace. */
export function rateLimitHpa({
  namespace = CONTROLLER_NAMESPACE,
  at = `${namespace}/envoy-ratelimit`,
  metadata,
  ...options
}: NonNullable<Parameters<typeof envoyHpa>[1]> & { namespace?: string } = {}): ReturnType<typeof envoyHpa> {
  const labels = {
    'app.kubernetes.io/name': 'envoy-ratelimit',
    'app.kubernetes.io/component': 'ratelimit',
    'app.kubernetes.io/managed-by': 'envoy-gateway',
  };
  const managedFields = [appliedFields(labels), STATUS_FIELDS];
  return envoyHpa(at, { ...options, at, metadata: { labels, managedFields, ...metadata } });
}

export function deployment(place: string): Extract<ClusterObject, { kind: 'Deployment' }> {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: metadataOf('Deployment', place),
    spec: { replicas: 2 },
  };
}

/** The Deployment of Envoy Gateway's Helm chart; without a version, neither its label nor its image names one. */
export function controller({
  namespace = CONTROLLER_NAMESPACE,
  version,
  image = version === undefined ? 'envoyproxy/gateway:latest' : `envoyproxy/gateway:${version}`,
  configMap = 'envoy-gateway-config',
}: {
  namespace?: string;
  version?: string;
  image?: string;
  configMap?: string;
} = {}): Extract<ClusterObject, { kind: 'Deployment' }> {
  const { metadata, ...whole } = deployment(`${namespace}/envoy-gateway`);
  const labels: Record<string, string> = version === undefined ? {} : { 'app.kubernetes.io/version': version };
  const container = {
    name: 'envoy-gateway',
    image,
    args: ['server', '--config-path=/config/envoy-gateway.yaml'],
    volumeMounts: [{ name: 'envoy-gateway-config', mountPath: '/config' }],
  };
  const volumes = [{ name: 'envoy-gateway-config', configMap: { name: configMap } }];
  return {
    ...whole,
    metadata: { ...metadata, generation: 1, labels },
    spec: { replicas: 1, template: { spec: { containers: [container], volumes } } },
  };
}

/** What `kubectl get … -A -o json --show-managed-fields` prints of it. */
export const listOf = (objects: readonly ClusterObject[]) => ({ apiVersion: 'v1', kind: 'List', items: [...objects] });

const isKind =
  <Kind extends ClusterObject['kind']>(kind: Kind) =>
  (object: ClusterObject): object is Extract<ClusterObject, { kind: Kind }> =>
    object.kind === kind;

/** The snapshot of the cluster, with every scale target and every controller read; nothing is checked or copied. */
export function snapshotOf(objects: readonly ClusterObject[]): Snapshot {
  const hpas = objects.filter(isKind('HorizontalPodAutoscaler'));
  const deployments = objects.filter(isKind('Deployment'));
  const envoyGatewayConfigs = objects.filter(isKind('ConfigMap')).map(readEnvoyGatewayConfig);
  const asked = [
    ...hpas.map(({ metadata, spec }) => `${metadata.namespace}/${spec.scaleTargetRef.name}`),
    ...envoyGatewayConfigs.map(({ configMap }) => `${configMap.metadata.namespace}/envoy-gateway`),
  ];
  return {
    hpas,
    gatewayClasses: objects.filter(isKind('GatewayClass')),
    gateways: objects.filter(isKind('Gateway')),
    envoyProxies: objects.filter(isKind('EnvoyProxy')),
    envoyGatewayConfigs,
    deployments: new Map<string, Deployment | null>([
      ...asked.map((place) => [place, null] as const),
      ...deployments.map((one) => [`${one.metadata.namespace}/${one.metadata.name}`, one] as const),
    ]),
    scalers: Map.groupBy(hpas, ({ metadata }) => metadata.namespace),
  };
}
