import { SUBSCRIPTION_PATTERN } from '../../functions/events/audit-event.ts';
import {
  CONFIG_MAP_NAME,
  type EnvoyGatewayConfig,
  readEnvoyGatewayConfig,
} from '../../functions/judgement/envoy-gateway-config.ts';
import {
  type ConfigMap,
  type HorizontalPodAutoscaler,
  KEEP_ANNOTATION,
  type ManagedFieldsEntry,
  type Metadata,
  type NamespacedName,
} from '../../functions/judgement/kubernetes-objects.ts';
import { markedManagedFields } from '../../functions/judgement/ownership.ts';
import {
  type ApiRequest,
  apiPath,
  managedFieldsPatch,
  type WriteResult,
} from '../../functions/kubernetes/api-client.ts';
import { KINDS, type Kind } from '../../functions/kubernetes/kinds.ts';
import {
  autoscaling,
  type ClusterObject,
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
import { parseFilterPattern } from '../doubles/filter-pattern.ts';
import { auditEvent } from '../embedded-cluster/audit.ts';
import type { KubernetesObject } from '../embedded-cluster/objects.ts';
import { requestInfo } from '../embedded-cluster/request-info.ts';
import { type Answer, resourceHandler } from '../embedded-cluster/resource-handler.ts';
import { typeOf } from '../embedded-cluster/resource-types.ts';
import { ApiError } from '../embedded-cluster/status.ts';
import { ObjectStore } from '../embedded-cluster/store.ts';
import type { Clock } from './clock.ts';

export const SYSTEM = 'envoy-gateway-system';
export const NAMESPACE = 'shop';
/** The release of Envoy Gateway. */
export type Release = 'v1.3.0' | 'v1.4.2' | 'v1.9.1';

type Of<K extends Kind> = Extract<ClusterObject, { kind: K }>;
type Configured = Of<'GatewayClass' | 'Gateway' | 'EnvoyProxy'>;

/** Who writes, by the manager of its fields. */
type Manager =
  | 'envoy-gateway'
  | 'envoy-hpa-reaper'
  | 'kube-controller-manager'
  | 'kubectl-create'
  | 'kubectl-patch'
  | 'kubectl-replace';

const names = new Map<string, string>();
/** The name of the HPA and of the Deployment of a Gateway. */
export function hpaNameOf(gatewayName: string): string {
  const known = names.get(gatewayName) ?? hashedNameOf(`${NAMESPACE}/${gatewayName}`);
  names.set(gatewayName, known);
  return known;
}

/** Parsing YAML takes long, and there are few texts. */
const configs = new Map<string, EnvoyGatewayConfig['settings']>();

export const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/** Labels that Envoy Gateway v1.5 and later give their HPAs, and by which they find them to delete them. */
const NEW_LABELS = {
  'app.kubernetes.io/name': 'envoy',
  'app.kubernetes.io/component': 'proxy',
  'app.kubernetes.io/managed-by': 'envoy-gateway',
};
export const carriesNewLabels = ({ metadata }: HorizontalPodAutoscaler) =>
  metadata.labels?.['app.kubernetes.io/managed-by'] === 'envoy-gateway';

const isSelected = parseFilterPattern(SUBSCRIPTION_PATTERN);

/** A write, as the invariants compare it with what a process has read. */
interface Write {
  readonly revision: number;
  /** Milliseconds since 1970. */
  readonly time: number;
}

/**
 * One cluster, and the writes of everybody: the API server of test/embedded-cluster without its network, so that each request is
 * handled at once.
 */
export class Cluster {
  readonly name: string;
  readonly clock: Clock;
  /** All HPAs, by name: they are in one namespace. */
  readonly hpas = new Map<string, Of<'HorizontalPodAutoscaler'>>();
  readonly deployments = new Map<string, Of<'Deployment'>>();
  readonly classes = new Map<string, Of<'GatewayClass'>>();
  readonly gateways = new Map<string, Of<'Gateway'>>();
  readonly proxies = new Map<string, Of<'EnvoyProxy'>>();
  readonly #configMaps = new Map<string, ConfigMap>();
  readonly #objects: Record<string, Map<string, object>> = {
    horizontalpodautoscalers: this.hpas,
    gatewayclasses: this.classes,
    gateways: this.gateways,
    envoyproxies: this.proxies,
    configmaps: this.#configMaps,
  };
  /** The lines of the audit log that no subscription has delivered. */
  audit: string[] = [];
  /** The revision of the last write to anything but a status, by anybody but the reaper. */
  changedAt = 0;
  /** The revision at which Envoy Gateway has something new to read. */
  configuredAt = 0;
  /** The revision since which an object is protected by its annotation, by uid. */
  readonly protectedAt = new Map<string, number>();
  /** The last write to a spec, or to a ConfigMap, by uid. */
  readonly specAt = new Map<string, Write>();
  /** Why Envoy Gateway may not create an HPA again by itself, by its name. */
  readonly lost = new Map<string, 'somebody deleted it' | 'the removal was not translated'>();

  readonly #store = new ObjectStore();
  readonly #handle = resourceHandler(
    this.#store,
    () => new Date(this.clock.now),
    () => undefined,
  );
  readonly #isVersionKnown: boolean;

  constructor(name: string, clock: Clock, release: Release, isVersionKnown: boolean) {
    this.name = name;
    this.clock = clock;
    this.#isVersionKnown = isVersionKnown;
    for (const namespace of [SYSTEM, NAMESPACE]) {
      const metadata = { name: namespace, uid: namespace, resourceVersion: '', creationTimestamp: clock.timestamp() };
      this.#store.put(typeOf('namespaces'), { apiVersion: 'v1', kind: 'Namespace', metadata });
    }
    this.#create(envoyGatewayConfig());
    this.setRelease(release);
  }

  /** The last resourceVersion. */
  get revision(): number {
    return this.#store.revision;
  }

  #send(manager: Manager, { method = 'GET', path, body, contentType }: ApiRequest): Answer {
    const requestURI = `${path}?fieldManager=${manager}&force=true`;
    const url = new URL(requestURI, 'https://kubernetes');
    const info = requestInfo(method, url);
    const type = typeOf(info.resource);
    const request = { ...info, type, query: url.searchParams, contentType, body: body ? JSON.stringify(body) : '' };
    const answer = answerOf(() => this.#handle({ ...request, userAgent: undefined, authorizeCreate: () => {} }));
    const name = info.name ?? (body as KubernetesObject).metadata.name;
    const after = this.#store.get(type, info.namespace, name);
    const isStatus = info.subresource !== undefined;
    this.#wasWritten(manager, info.resource, name, after, isStatus);
    // The filter selects no line of a status.
    if (isStatus) return answer;
    const now = new Date(this.clock.now);
    const user = { username: manager, groups: [] };
    const times = { received: now, completed: now };
    const exchange = { request: info, requestURI, userAgent: undefined, user, decision: 'allow' as const, ...times };
    const event = auditEvent({ ...exchange, code: answer.code, responseBody: undefined });
    const line = JSON.stringify({ ...event, auditID: `${this.name}-${this.revision}` });
    if (isSelected(line)) this.audit.push(line);
    return answer;
  }

  /** @param after the object, unless it was deleted */
  #wasWritten(
    manager: Manager,
    resource: string,
    name: string,
    after: KubernetesObject | undefined,
    isStatus: boolean,
  ): void {
    const objects = this.#objects[resource] as Map<string, object>;
    const before = objects.get(name) as KubernetesObject | undefined;
    if (after === before) return;
    if (after === undefined) objects.delete(name);
    else objects.set(name, after);
    const { revision } = this;
    const { uid } = ((after ?? before) as KubernetesObject).metadata;
    if (!isStatus && manager !== 'envoy-hpa-reaper') this.changedAt = revision;
    const isRespecified = resource === 'configmaps' || before?.metadata.generation !== after?.metadata.generation;
    if (isRespecified) this.specAt.set(uid, { revision, time: this.clock.now });
    // An EnvoyProxy is a part of what Envoy Gateway translates, with its resourceVersion.
    const isConfiguration = resource === 'gatewayclasses' || resource === 'gateways';
    if ((isConfiguration && isRespecified) || resource === 'envoyproxies') this.configuredAt = revision;
    if (after?.metadata.annotations?.[KEEP_ANNOTATION] !== 'true') this.protectedAt.delete(uid);
    else if (!this.protectedAt.has(uid)) this.protectedAt.set(uid, revision);
  }

  /** As kubectl sends a manifest. */
  #create({ metadata, ...rest }: Of<Kind>): void {
    const { name, namespace, labels }: Partial<Metadata> = metadata;
    const body = { ...rest, metadata: { name, namespace, labels } };
    this.#send('kubectl-create', { method: 'POST', path: pathOf(rest.kind, { namespace }), body });
  }

  #merge(manager: Manager, path: string, body: object): void {
    this.#send(manager, { method: 'PATCH', path, body, contentType: 'application/merge-patch+json' });
  }

  // Configuration, as people write it.

  createClass(name: string, ref: string | undefined): void {
    this.#create(gatewayClass(name, { proxy: ref === undefined ? undefined : `${NAMESPACE}/${ref}` }));
  }

  createGateway(name: string, className: string, ref: string | undefined): void {
    this.#create(gateway(`${NAMESPACE}/${name}`, { className, proxy: ref }));
  }

  createProxy(name: string, isOn: boolean): void {
    this.#create(envoyProxy(`${NAMESPACE}/${name}`, isOn ? ON : OFF));
  }

  deleteClass(name: string): void {
    this.#send('kubectl-patch', { method: 'DELETE', path: pathOf('GatewayClass', { name }) });
  }

  deleteGateway(name: string): void {
    this.#send('kubectl-patch', { method: 'DELETE', path: pathOf('Gateway', { namespace: NAMESPACE, name }) });
  }

  setClassRef(name: string, ref: string | undefined): void {
    const parametersRef = ref === undefined ? null : { ...referenceTo(ref), namespace: NAMESPACE };
    this.#merge('kubectl-patch', pathOf('GatewayClass', { name }), { spec: { parametersRef } });
  }

  setGatewayRef(name: string, ref: string | undefined): void {
    const infrastructure = ref === undefined ? null : { parametersRef: referenceTo(ref) };
    this.#merge('kubectl-patch', pathOf('Gateway', { namespace: NAMESPACE, name }), { spec: { infrastructure } });
  }

  setAutoscaling(name: string, isOn: boolean): void {
    const kubernetes = { envoyHpa: isOn ? HPA : null };
    const path = pathOf('EnvoyProxy', { namespace: NAMESPACE, name });
    this.#merge('kubectl-patch', path, { spec: { provider: { kubernetes } } });
  }

  /** The default EnvoyProxy in the configuration of Envoy Gateway. */
  setDefault(isOn: boolean): void {
    const { metadata, data } = envoyGatewayConfig({ envoyProxy: isOn ? ON : undefined });
    this.#merge('kubectl-patch', pathOf('ConfigMap', metadata), { data });
  }

  /** Sets or removes the annotation that protects everything that rests on the object. */
  protect({ kind, metadata }: Configured, isProtected: boolean): void {
    const annotations = { [KEEP_ANNOTATION]: isProtected ? 'true' : null };
    this.#merge('kubectl-patch', pathOf(kind, metadata), { metadata: { annotations } });
  }

  get config(): EnvoyGatewayConfig {
    const configMap = this.#configMaps.get(CONFIG_MAP_NAME) as ConfigMap;
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
    this.#putDeployment(controller({ version: this.#isVersionKnown ? release : undefined }));
  }

  // The writes of Envoy Gateway.

  acceptClass(name: string, isAccepted: boolean): void {
    const observedGeneration = this.classes.get(name)?.metadata.generation;
    const verdict = isAccepted
      ? { status: 'True', reason: 'Accepted' }
      : { status: 'False', reason: 'InvalidParameters' };
    const conditions = [{ type: 'Accepted', ...verdict, observedGeneration }];
    this.#merge('envoy-gateway', `${pathOf('GatewayClass', { name })}/status`, { status: { conditions } });
  }

  /** @param translated the generation in the conditions of the listeners; absent: as they are */
  writeGatewayStatus(name: string, translated?: number): void {
    const observedGeneration = this.gateways.get(name)?.metadata.generation;
    const conditions = ['Accepted', 'Programmed'].map((type) => ({
      type,
      status: 'True',
      reason: type,
      observedGeneration,
    }));
    const ofListener = { type: 'Programmed', status: 'True', observedGeneration: translated };
    const listeners = translated && [{ name: 'http', conditions: [ofListener] }];
    const path = pathOf('Gateway', { namespace: NAMESPACE, name });
    this.#merge('envoy-gateway', `${path}/status`, { status: { conditions, listeners } });
  }

  applyDeployment(name: string): void {
    if (!this.deployments.has(name)) this.#putDeployment(deployment(`${SYSTEM}/${name}`));
  }

  deleteDeployment(name: string): void {
    const known = this.deployments.get(name);
    if (known === undefined) return;
    this.deployments.delete(name);
    this.#store.delete(typeOf('deployments'), known.metadata as KubernetesObject['metadata']);
    this.changedAt = this.revision;
  }

  /** A Deployment that is new in each revision; nobody reads who owns its fields. */
  #putDeployment({ metadata, ...rest }: Of<'Deployment'>): void {
    const generation = this.revision + 1;
    const written = { ...rest, metadata: { ...metadata, uid: `${metadata.uid}-${generation}`, generation } };
    this.#store.put(typeOf('deployments'), written as KubernetesObject);
    this.deployments.set(metadata.name, written);
    this.changedAt = this.revision;
  }

  /** Server-side apply with force, always of the same fields. */
  applyHpa(gatewayName: string, release: Release): void {
    const owner = `${NAMESPACE}/${gatewayName}`;
    const { apiVersion, kind, metadata, spec } = envoyHpa(owner);
    const { namespace, name } = metadata;
    const labels = { ...labelsOf(owner), ...(release === 'v1.9.1' && NEW_LABELS) };
    const body = { apiVersion, kind, metadata: { namespace, name, labels }, spec };
    const path = hpaPath(name);
    const { code } = this.#send('envoy-gateway', {
      method: 'PATCH',
      path,
      body,
      contentType: 'application/apply-patch+yaml',
    });
    if (code === 201) this.lost.delete(name);
  }

  /** Without preconditions, as Envoy Gateway, people and controllers do. */
  removeHpa(name: string): void {
    this.#send('kubectl-patch', { method: 'DELETE', path: hpaPath(name) });
  }

  // The writes of people and of the HPA controller.

  writeHpaStatus(name: string, replicas: number): void {
    const status = { currentReplicas: replicas, desiredReplicas: replicas };
    this.#merge('kube-controller-manager', `${hpaPath(name)}/status`, { status });
  }

  /** `kubectl replace` with another maximum. */
  replaceHpa(name: string, maxReplicas: number): void {
    this.#merge('kubectl-replace', hpaPath(name), { spec: { maxReplicas } });
  }

  /** Sets or removes annotations: `kubectl apply` of the client leaves one, and one protects. */
  annotateHpa(name: string, annotations: Record<string, string | null>): void {
    this.#merge('kubectl-patch', hpaPath(name), { metadata: { annotations } });
  }

  /** `kubectl create` of an HPA with copied labels. */
  createOwnHpa(name: string, gatewayName: string): void {
    this.#create(envoyHpa(`${NAMESPACE}/${gatewayName}`, { at: `${SYSTEM}/${name}` }));
  }

  // The writes of the reaper, as functions/kubernetes/cluster-api.ts sends them.

  mark(hpa: HorizontalPodAutoscaler): WriteResult<{ hpa: HorizontalPodAutoscaler }> {
    const { code, body } = this.#send('envoy-hpa-reaper', managedFieldsPatch(hpa, markedManagedFields(hpa)));
    return RESULTS[code] ?? { result: 'done', hpa: body as HorizontalPodAutoscaler };
  }

  delete({ metadata: { name, uid, resourceVersion } }: HorizontalPodAutoscaler): WriteResult {
    const body = { preconditions: { uid, resourceVersion } };
    const { code } = this.#send('envoy-hpa-reaper', { method: 'DELETE', path: hpaPath(name), body });
    return RESULTS[code] ?? { result: 'done' };
  }
}

/** What the adapter makes of the codes that refuse a write. */
const RESULTS: Readonly<Record<number, { result: 'gone' } | { result: 'conflict' }>> = {
  404: { result: 'gone' },
  409: { result: 'conflict' },
};

function answerOf(handle: () => Answer): Answer {
  try {
    return handle();
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
}

function pathOf(kind: Kind, { namespace, name }: Partial<NamespacedName>): string {
  const { group, version, plural } = KINDS[kind];
  return apiPath(group === '' ? version : `${group}/${version}`, plural, { namespace, name });
}
const hpaPath = (name: string) => pathOf('HorizontalPodAutoscaler', { namespace: SYSTEM, name });

const HPA = { minReplicas: 2, maxReplicas: 5 };
const ON = autoscaling(HPA);
const OFF: typeof ON = { provider: { type: 'Kubernetes', kubernetes: {} } };

const referenceTo = (name: string) => ({ group: 'gateway.envoyproxy.io', kind: 'EnvoyProxy', name });

export const isApplied = ({ manager, operation, subresource }: ManagedFieldsEntry) =>
  manager === 'envoy-gateway' && operation === 'Apply' && !subresource;

/** Whether somebody else has taken the HPA over, or created it. */
export function isForeign({ metadata }: HorizontalPodAutoscaler): boolean {
  const managers = metadata.managedFields ?? [];
  const ownsTarget = ({ fieldsV1 }: ManagedFieldsEntry) =>
    (fieldsV1?.['f:spec'] as Record<string, unknown> | undefined)?.['f:scaleTargetRef'] !== undefined;
  return (
    !managers.some(isApplied) ||
    metadata.annotations?.[LAST_APPLIED] !== undefined ||
    managers.some((entry) => entry.manager !== 'envoy-gateway' && ownsTarget(entry))
  );
}
