import { isDeepStrictEqual } from 'node:util';
import { type EnvoyGatewayConfig, readEnvoyGatewayConfig } from '../../functions/judgement/envoy-gateway-config.ts';
import {
  type Deployment,
  type EnvoyProxy,
  type Gateway,
  type GatewayClass,
  type HorizontalPodAutoscaler,
  KEEP_ANNOTATION,
  type ManagedFieldsEntry,
} from '../../functions/judgement/kubernetes-objects.ts';
import { markedManagedFields } from '../../functions/judgement/ownership.ts';
import type { WriteResult } from '../../functions/kubernetes/api-client.ts';
import {
  appliedFields,
  autoscaling,
  CONTROLLER,
  controller,
  deployment,
  envoyGatewayConfig,
  envoyHpa,
  envoyProxy,
  gateway,
  gatewayClass,
  hashedNameOf,
  labelsOf,
} from '../builders/cluster.ts';
import type { Clock } from './clock.ts';

export const SYSTEM = 'envoy-gateway-system';
export const NAMESPACE = 'shop';
/** The release of Envoy Gateway. */
export type Release = 'v1.3.0' | 'v1.4.2' | 'v1.9.1';
/** A kind whose writes are in the audit log, by its plural. */
const RESOURCES = {
  gatewayclasses: { apiGroup: 'gateway.networking.k8s.io', apiVersion: 'v1' },
  gateways: { apiGroup: 'gateway.networking.k8s.io', apiVersion: 'v1' },
  envoyproxies: { apiGroup: 'gateway.envoyproxy.io', apiVersion: 'v1alpha1' },
  configmaps: { apiVersion: 'v1' },
  horizontalpodautoscalers: { apiGroup: 'autoscaling', apiVersion: 'v2' },
} as const;
type Resource = keyof typeof RESOURCES;

export type Configured = GatewayClass | Gateway | EnvoyProxy;
type ParametersRef = NonNullable<GatewayClass['spec']['parametersRef']>;

const names = new Map<string, string>();
/** The name of the HPA and of the Deployment of a Gateway. */
export function hpaNameOf(gatewayName: string): string {
  const known = names.get(gatewayName) ?? hashedNameOf(`${NAMESPACE}/${gatewayName}`);
  names.set(gatewayName, known);
  return known;
}

/** Parsing YAML takes long, and there are few texts. */
const configs = new Map<string, EnvoyGatewayConfig['settings']>();

/** `f:spec` of an entry of kubectl for an HPA. */
const OWN_FIELDS = { 'f:maxReplicas': {}, 'f:metrics': {}, 'f:minReplicas': {}, 'f:scaleTargetRef': { 'f:name': {} } };
export const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/** A label that Envoy Gateway v1.5 and later give their HPAs, and by which they find them to delete them. */
export const NEW_LABELS = {
  'app.kubernetes.io/name': 'envoy',
  'app.kubernetes.io/component': 'proxy',
  'app.kubernetes.io/managed-by': 'envoy-gateway',
};
export const carriesNewLabels = ({ metadata }: HorizontalPodAutoscaler) =>
  metadata.labels?.['app.kubernetes.io/managed-by'] === 'envoy-gateway';

/**
 * The objects of one cluster, and the writes of everybody: API server and etcd. Objects are never changed, only replaced. A write
 * that changes nothing does not move the resourceVersion.
 */
export class Cluster {
  readonly name: string;
  readonly clock: Clock;
  /** All HPAs, by name: they are in one namespace. */
  readonly hpas = new Map<string, HorizontalPodAutoscaler>();
  readonly deployments = new Map<string, Deployment>();
  readonly classes = new Map<string, GatewayClass>();
  readonly gateways = new Map<string, Gateway>();
  readonly proxies = new Map<string, EnvoyProxy>();
  config: EnvoyGatewayConfig;
  /** The lines of the audit log that no subscription has delivered. */
  audit: string[] = [];
  /** The last resourceVersion. */
  revision = 1;
  /** The revision of the last write to anything but a status, by anybody but the reaper. */
  changedAt = 0;
  /** The revision at which Envoy Gateway has something new to read. */
  configuredAt = 0;
  /** The revision since which an object is protected by its annotation, by uid. */
  readonly protectedAt = new Map<string, number>();
  /** The revision of the last write to a spec, by uid. */
  readonly specAt = new Map<string, number>();
  /** Why Envoy Gateway may not create an HPA again by itself, by its name. */
  readonly lost = new Map<string, 'somebody deleted it' | 'the removal was not translated'>();
  #uids = 0;

  readonly #isVersionKnown: boolean;

  constructor(name: string, clock: Clock, release: Release, isVersionKnown: boolean) {
    this.name = name;
    this.clock = clock;
    this.config = this.#configOf(false);
    this.#isVersionKnown = isVersionKnown;
    this.setRelease(release);
  }

  /** @returns the next resourceVersion */
  #changed(): string {
    this.revision += 1;
    this.changedAt = this.revision;
    return String(this.revision);
  }

  #created(): { uid: string; resourceVersion: string; creationTimestamp: string } {
    this.#uids += 1;
    const creationTimestamp = this.clock.timestamp();
    return { uid: `${this.name}-${this.#uids}`, resourceVersion: this.#changed(), creationTimestamp };
  }

  #log(verb: string, resource: Resource, name: string, namespace?: string, manager = 'kubectl', code = 200): void {
    const time = new Date(this.clock.now).toISOString();
    const auditID = `${this.name}-${this.revision}`;
    const line = {
      ...{ kind: 'Event', apiVersion: 'audit.k8s.io/v1', level: 'Metadata', auditID, stage: 'ResponseComplete', verb },
      requestURI: `/apis/${resource}/${name}?fieldManager=${manager}`,
      user: { username: manager },
      sourceIPs: ['192.0.2.1'],
      objectRef: { ...RESOURCES[resource], resource, namespace, name },
      responseStatus: { code },
      requestReceivedTimestamp: time,
      stageTimestamp: time,
    };
    this.audit.push(JSON.stringify(line));
  }

  // Configuration, as people write it.

  createClass(name: string, ref: string | undefined): void {
    const proxy = ref === undefined ? undefined : `${NAMESPACE}/${ref}`;
    const made = gatewayClass(name, {
      controllerName: CONTROLLER,
      proxy,
      accepted: undefined,
      metadata: this.#created(),
    });
    this.classes.set(name, made);
    this.#configured(made, 'gatewayclasses', 'create');
  }

  createGateway(name: string, className: string, ref: string | undefined): void {
    const options = { className, proxy: ref, accepted: undefined, metadata: this.#created() };
    const made = gateway(`${NAMESPACE}/${name}`, options);
    this.gateways.set(name, made);
    this.#configured(made, 'gateways', 'create');
  }

  createProxy(name: string, isOn: boolean): void {
    const made = envoyProxy(`${NAMESPACE}/${name}`, isOn ? ON : OFF, { metadata: this.#created() });
    this.proxies.set(name, made);
    this.#configured(made, 'envoyproxies', 'create');
  }

  deleteClass(name: string): void {
    this.#changed();
    this.classes.delete(name);
    this.configuredAt = this.revision;
    this.#log('delete', 'gatewayclasses', name);
  }

  deleteGateway(name: string): void {
    this.#changed();
    this.gateways.delete(name);
    this.configuredAt = this.revision;
    this.#log('delete', 'gateways', name, NAMESPACE);
  }

  setClassRef(name: string, ref: string | undefined): void {
    const before = this.classes.get(name) as GatewayClass;
    const { parametersRef: _, ...spec } = before.spec;
    const parametersRef = ref === undefined ? undefined : { ...referenceTo(ref), namespace: NAMESPACE };
    const next = this.#respecified(before, { ...spec, ...(parametersRef && { parametersRef }) });
    this.classes.set(name, next);
    this.#configured(next, 'gatewayclasses', 'patch');
  }

  setGatewayRef(name: string, ref: string | undefined): void {
    const before = this.gateways.get(name) as Gateway;
    const { infrastructure: _, ...spec } = before.spec;
    const infrastructure = ref === undefined ? undefined : { parametersRef: referenceTo(ref) };
    const next = this.#respecified(before, { ...spec, ...(infrastructure && { infrastructure }) });
    this.gateways.set(name, next);
    this.#configured(next, 'gateways', 'patch');
  }

  setAutoscaling(proxyName: string, isOn: boolean): void {
    const next = this.#respecified(this.proxies.get(proxyName) as EnvoyProxy, isOn ? ON : OFF);
    this.proxies.set(proxyName, next);
    this.#configured(next, 'envoyproxies', 'patch');
  }

  /** The default EnvoyProxy in the configuration of Envoy Gateway. */
  setDefault(isOn: boolean): void {
    if (this.defaultIsOn !== isOn) this.config = this.#configOf(isOn, this.config);
    this.#log('patch', 'configmaps', 'envoy-gateway-config', SYSTEM);
  }

  /** Sets or removes the annotation that protects everything that rests on the object. */
  protect(object: Configured, isProtected: boolean): void {
    const { name, namespace, annotations: before } = object.metadata;
    const resource = this.proxies.has(name) ? 'envoyproxies' : namespace === undefined ? 'gatewayclasses' : 'gateways';
    if ((before?.[KEEP_ANNOTATION] === 'true') !== isProtected) {
      const annotations = isProtected ? { [KEEP_ANNOTATION]: 'true' } : undefined;
      const metadata = { ...object.metadata, annotations, resourceVersion: this.#changed() };
      this.#setProtected(metadata.uid, isProtected);
      if (resource === 'gateways') this.gateways.set(name, { ...object, metadata } as Gateway);
      else if (resource === 'gatewayclasses') this.classes.set(name, { ...object, metadata } as GatewayClass);
      else this.proxies.set(name, { ...object, metadata } as EnvoyProxy);
      // An EnvoyProxy is a part of what Envoy Gateway translates, with its resourceVersion.
      if (resource === 'envoyproxies') this.configuredAt = this.revision;
    }
    this.#log('patch', resource, name, namespace);
  }

  #setProtected(uid: string, isProtected: boolean): void {
    if (isProtected) this.protectedAt.set(uid, this.revision);
    else this.protectedAt.delete(uid);
  }

  #configured(object: Configured, resource: Resource, verb: string): void {
    if (object.metadata.resourceVersion === String(this.revision)) {
      this.configuredAt = this.revision;
      this.specAt.set(object.metadata.uid, this.revision);
    }
    this.#log(verb, resource, object.metadata.name, object.metadata.namespace);
  }

  #respecified<T extends Configured>(before: T, spec: unknown): T {
    if (isDeepStrictEqual(before.spec, spec)) return before;
    const { generation = 1 } = before.metadata;
    const managedFields = [{ time: this.clock.timestamp(), fieldsV1: { 'f:spec': true as const } }];
    const metadata = {
      ...before.metadata,
      generation: generation + 1,
      resourceVersion: this.#changed(),
      managedFields,
    };
    return { ...before, metadata, spec };
  }

  #configOf(isOn: boolean, before?: EnvoyGatewayConfig): EnvoyGatewayConfig {
    const metadata = before
      ? {
          ...before.configMap.metadata,
          resourceVersion: this.#changed(),
          managedFields: [{ time: this.clock.timestamp(), fieldsV1: { 'f:data': {} } }],
        }
      : this.#created();
    const configMap = envoyGatewayConfig({ envoyProxy: isOn ? ON : undefined, metadata });
    const text = configMap.data?.['envoy-gateway.yaml'] as string;
    const settings = configs.get(text) ?? readEnvoyGatewayConfig(configMap).settings;
    configs.set(text, settings);
    return { configMap, settings };
  }

  get defaultIsOn(): boolean {
    return this.config.settings.defaultProxy !== undefined;
  }

  /** Envoy Gateway's own Deployment, as of its Helm chart. */
  setRelease(release: Release): void {
    this.#changed();
    const made = controller({ version: this.#isVersionKnown ? release : undefined });
    const generation = this.revision;
    this.deployments.set('envoy-gateway', { ...made, metadata: { ...made.metadata, uid: 'controller', generation } });
  }

  // The writes of Envoy Gateway.

  acceptClass(name: string, isAccepted: boolean): void {
    const before = this.classes.get(name) as GatewayClass;
    const reason = isAccepted ? 'Accepted' : 'InvalidParameters';
    const observedGeneration = before.metadata.generation;
    const known = before.status?.conditions?.[0];
    if (known?.observedGeneration === observedGeneration && known?.reason === reason) return;
    const conditions = [{ type: 'Accepted', status: isAccepted ? 'True' : 'False', reason, observedGeneration }];
    this.classes.set(name, { ...before, metadata: this.#touched(before), status: { conditions } });
  }

  /** @param translated the generation in the conditions of the listeners; absent: as they are */
  writeGatewayStatus(name: string, translated?: number): void {
    const before = this.gateways.get(name) as Gateway;
    const { generation } = before.metadata;
    const written = before.status?.listeners?.[0]?.conditions?.[0]?.observedGeneration;
    const ofListeners = translated ?? written;
    const own = before.status?.conditions?.[0]?.observedGeneration;
    if (own === generation && written === ofListeners) return;
    const conditions = ['Accepted', 'Programmed'].map((type) => {
      return { type, status: 'True', reason: type, observedGeneration: generation };
    });
    const ofListener = { type: 'Programmed', status: 'True', observedGeneration: ofListeners as number };
    const status = { conditions, listeners: ofListeners === undefined ? [] : [{ conditions: [ofListener] }] };
    this.gateways.set(name, { ...before, metadata: this.#touched(before), status });
  }

  /** A write of a status. */
  #touched<M extends { resourceVersion: string }>({ metadata }: { metadata: M }): M {
    this.revision += 1;
    return { ...metadata, resourceVersion: String(this.revision) };
  }

  applyDeployment(name: string): void {
    if (this.deployments.has(name)) return;
    const made = deployment(`${SYSTEM}/${name}`);
    this.deployments.set(name, { ...made, metadata: { ...made.metadata, uid: this.#created().uid } });
  }

  deleteDeployment(name: string): void {
    if (this.deployments.delete(name)) this.#changed();
  }

  /** Server-side apply with force, always of the same fields. */
  applyHpa(gatewayName: string, release: Release): void {
    const name = hpaNameOf(gatewayName);
    const owner = `${NAMESPACE}/${gatewayName}`;
    const labels = { ...labelsOf(owner), ...(release === 'v1.9.1' && NEW_LABELS) };
    const entry = { ...appliedFields(labels), time: this.clock.timestamp() };
    const before = this.hpas.get(name);
    if (before === undefined) {
      const made = envoyHpa(owner, { metadata: { labels, managedFields: [entry], ...this.#created() } });
      this.hpas.set(name, { ...made, status: undefined });
      this.lost.delete(name);
      this.#log('patch', 'horizontalpodautoscalers', name, SYSTEM, 'envoy-gateway', 201);
      return;
    }
    const { metadata, spec } = before;
    const isChanged =
      spec.maxReplicas !== MAX_REPLICAS ||
      Object.entries(labels).some(([key, value]) => metadata.labels?.[key] !== value);
    const own = metadata.managedFields?.find(isApplied);
    const isOwned = own !== undefined && fieldOf(own, 'f:maxReplicas');
    if (!isChanged && isOwned) return;
    const others = (metadata.managedFields ?? [])
      .filter((one) => one !== own)
      .flatMap((one) => (spec.maxReplicas === MAX_REPLICAS ? [one] : withoutField(one, 'f:maxReplicas')));
    this.hpas.set(name, {
      ...before,
      metadata: {
        ...metadata,
        labels: { ...metadata.labels, ...labels },
        // The time of an entry moves only if the apply changes a value.
        managedFields: [{ ...entry, time: isChanged ? entry.time : own?.time }, ...others],
        resourceVersion: this.#changed(),
      },
      spec: { ...spec, maxReplicas: MAX_REPLICAS },
    });
  }

  /** Without preconditions, as Envoy Gateway, people and controllers do. */
  removeHpa(name: string): void {
    if (this.hpas.delete(name)) this.#changed();
  }

  // The writes of people and of the HPA controller.

  writeHpaStatus(name: string, replicas: number): void {
    const before = this.hpas.get(name);
    if (before === undefined || before.status?.currentReplicas === replicas) return;
    const { managedFields = [], ...metadata } = this.#touched(before);
    const others = (managedFields ?? []).filter(({ subresource }) => subresource !== 'status');
    const entry = {
      ...{
        manager: 'kube-controller-manager',
        operation: 'Update',
        apiVersion: 'autoscaling/v2',
        fieldsType: 'FieldsV1',
      },
      ...{ time: this.clock.timestamp(), subresource: 'status' },
      fieldsV1: { 'f:status': { 'f:currentReplicas': {}, 'f:desiredReplicas': {} } },
    };
    const status = { currentReplicas: replicas, desiredReplicas: replicas, currentMetrics: null };
    this.hpas.set(name, { ...before, metadata: { ...metadata, managedFields: [...others, entry] }, status });
  }

  /** `kubectl replace` with another maximum. */
  replaceHpa(name: string, maxReplicas: number): void {
    const before = this.hpas.get(name);
    if (before === undefined || before.spec.maxReplicas === maxReplicas) return;
    const { managedFields } = before.metadata;
    const own = managedFields?.find(({ manager }) => manager === 'kubectl-replace');
    const others = (managedFields ?? [])
      .filter((one) => one !== own)
      .flatMap((one) => withoutField(one, 'f:maxReplicas'));
    const entry = updateEntry('kubectl-replace', this.clock.timestamp(), { 'f:maxReplicas': {} });
    const metadata = { ...before.metadata, managedFields: [...others, entry], resourceVersion: this.#changed() };
    this.hpas.set(name, { ...before, metadata, spec: { ...before.spec, maxReplicas } });
  }

  /** Sets annotations: `kubectl apply` of the client leaves one, and one protects. */
  annotateHpa(name: string, annotations: Record<string, string>): void {
    const before = this.hpas.get(name) as HorizontalPodAutoscaler;
    if (isDeepStrictEqual(before.metadata.annotations ?? {}, annotations)) return;
    const metadata = { ...before.metadata, annotations, resourceVersion: this.#changed() };
    this.#setProtected(metadata.uid, annotations[KEEP_ANNOTATION] === 'true');
    this.hpas.set(name, { ...before, metadata });
  }

  /** `kubectl create` of an HPA with copied labels. */
  createOwnHpa(name: string, gatewayName: string): void {
    const labels = labelsOf(`${NAMESPACE}/${gatewayName}`);
    const managedFields = [updateEntry('kubectl-create', this.clock.timestamp(), OWN_FIELDS)];
    const at = `${SYSTEM}/${name}`;
    const made = envoyHpa('', { at, metadata: { labels, managedFields, ...this.#created() } });
    this.hpas.set(name, { ...made, status: undefined });
  }

  // The writes of the reaper, as functions/kubernetes/cluster-api.ts sends them.

  mark(hpa: HorizontalPodAutoscaler): WriteResult<{ hpa: HorizontalPodAutoscaler }> {
    const live = this.hpas.get(hpa.metadata.name);
    if (live === undefined) return { result: 'gone' };
    if (live.metadata.resourceVersion !== hpa.metadata.resourceVersion) return { result: 'conflict' };
    this.revision += 1;
    const resourceVersion = String(this.revision);
    const marked = {
      ...live,
      metadata: { ...live.metadata, managedFields: markedManagedFields(hpa), resourceVersion },
    };
    this.hpas.set(hpa.metadata.name, marked);
    return { result: 'done', hpa: marked };
  }

  delete({ metadata: { name, uid, resourceVersion } }: HorizontalPodAutoscaler): WriteResult {
    const live = this.hpas.get(name)?.metadata;
    if (live === undefined) return { result: 'gone' };
    if (live.uid !== uid || live.resourceVersion !== resourceVersion) return { result: 'conflict' };
    this.hpas.delete(name);
    this.revision += 1;
    return { result: 'done' };
  }
}

const ON = autoscaling({ minReplicas: 2, maxReplicas: 5 });
const OFF: typeof ON = { provider: { type: 'Kubernetes', kubernetes: {} } };
/** What Envoy Gateway applies. */
const MAX_REPLICAS = 5;

const referenceTo = (name: string): ParametersRef => ({ group: 'gateway.envoyproxy.io', kind: 'EnvoyProxy', name });

export const isApplied = ({ manager, operation, subresource }: ManagedFieldsEntry) =>
  manager === 'envoy-gateway' && operation === 'Apply' && !subresource;

const fieldOf = ({ fieldsV1 }: ManagedFieldsEntry, field: string): boolean =>
  (fieldsV1?.['f:spec'] as Record<string, unknown> | undefined)?.[field] !== undefined;

/** The entry without the field, and no entry without any. */
function withoutField(entry: ManagedFieldsEntry, field: string): ManagedFieldsEntry[] {
  if (!fieldOf(entry, field)) return [entry];
  const { 'f:spec': spec, ...others } = entry.fieldsV1 as Record<string, Record<string, unknown>>;
  const { [field]: _, ...left } = spec as Record<string, unknown>;
  const fieldsV1 = Object.keys(left).length > 0 ? { ...others, 'f:spec': left } : others;
  return Object.keys(fieldsV1).length > 0 ? [{ ...entry, fieldsV1 }] : [];
}

const updateEntry = (manager: string, time: string, spec: object): ManagedFieldsEntry => ({
  ...{ manager, operation: 'Update', apiVersion: 'autoscaling/v2', fieldsType: 'FieldsV1', time },
  fieldsV1: { 'f:spec': spec },
});

/** Whether somebody else has taken the HPA over, or created it. */
export function isForeign({ metadata }: HorizontalPodAutoscaler): boolean {
  const managers = metadata.managedFields ?? [];
  return (
    !managers.some(isApplied) ||
    metadata.annotations?.[LAST_APPLIED] !== undefined ||
    managers.some((entry) => entry.manager !== 'envoy-gateway' && fieldOf(entry, 'f:scaleTargetRef'))
  );
}
