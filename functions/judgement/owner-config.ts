import { controllerOf, controllerVersion, type DeploymentReads, otherConfiguration } from './controller.ts';
import {
  type EffectiveProxy,
  effectiveProxy,
  expectedHpas,
  expectedRateLimitHpa,
  mergesGateways,
} from './effective-proxy.ts';
import {
  type EnvoyGatewayConfig,
  type EnvoyGatewaySettings,
  isReadable,
  type Unreadable,
} from './envoy-gateway-config.ts';
import { isAtLeast } from './envoy-gateway-version.ts';
import {
  type Condition,
  type EnvoyProxy,
  type EnvoyProxySpec,
  type Gateway,
  type GatewayClass,
  type HorizontalPodAutoscaler,
  type NamespacedName,
  objectKey,
} from './kubernetes-objects.ts';
import { appliedByEnvoyGateway, labelledOwner, type Owner, sameOwner } from './ownership.ts';
import type { ObjectRead, Snapshot } from './snapshot.ts';

/** Everything that decides what a Gateway, or a GatewayClass that merges its Gateways, asks for. */
export interface OwnerConfig {
  /** The Gateway itself, or all Gateways of the class. */
  readonly gateways: readonly Gateway[];
  readonly gatewayClassName: string | undefined;
  readonly gatewayClass: GatewayClass | undefined;
  readonly ownProxy: EnvoyProxy | undefined;
  readonly classProxy: EnvoyProxy | undefined;
  /** The EnvoyProxies that the owner and its class refer to. */
  readonly proxies: readonly EnvoyProxy[];
  readonly restsOn: readonly ObjectRead[];
  readonly identity: { gateway: Gateway } | { className: string; gateways: readonly Gateway[] };
  proxyOf(gateway: Gateway): EnvoyProxy | undefined;
  effective(settings: EnvoyGatewaySettings): EffectiveProxy;
  /** Whether a default counts beside the EnvoyProxies of the owner and its class, whatever it says. */
  readonly usesDefault: boolean;
  describe(levels: EffectiveProxy['levels'], config: EnvoyGatewayConfig): string;
}

/** Of a snapshot that is judged again once more Deployments are known: its lists stay as they are. */
const INDEXES = new WeakMap<Snapshot, ClusterIndex>();

/** The indexes of a snapshot, built once. */
export function indexOf(snapshot: Snapshot): ClusterIndex {
  const known = INDEXES.get(snapshot);
  if (known) return known;
  const index = new ClusterIndex(snapshot);
  INDEXES.set(snapshot, index);
  return index;
}

/** The snapshot with its indexes. */
export class ClusterIndex {
  readonly snapshot: Snapshot;
  #listed: ClusterIndex | undefined;
  readonly #classes: ReadonlyMap<string, GatewayClass>;
  readonly #gateways: ReadonlyMap<string, Gateway>;
  readonly #gatewaysOfClass: ReadonlyMap<string, Gateway[]>;
  readonly #proxies: ReadonlyMap<string, EnvoyProxy>;
  readonly #hpas: ReadonlyMap<string, HorizontalPodAutoscaler>;
  readonly #wanted: ReadonlyMap<string, Owner[]>;

  constructor(snapshot: Snapshot) {
    this.snapshot = snapshot;
    this.#classes = byKey(snapshot.gatewayClasses);
    this.#gateways = byKey(snapshot.gateways);
    this.#gatewaysOfClass = grouped(snapshot.gateways.map((gateway) => [gateway.spec.gatewayClassName, gateway]));
    this.#proxies = byKey(snapshot.envoyProxies);
    this.#hpas = byKey(snapshot.hpas);
    this.#wanted = grouped(
      this.owners().flatMap((owner) => this.#wantedPlaces(owner).map((place) => [objectKey(place), owner] as const)),
    );
  }

  /** The same cluster with those ConfigMaps alone that may lead to a deletion: itself, where all of them may. */
  ofListedControllers(): ClusterIndex {
    const { controllerNamespaces = [], envoyGatewayConfigs } = this.snapshot;
    if (controllerNamespaces.length === 0) return this;
    this.#listed ??= new ClusterIndex({
      ...this.snapshot,
      envoyGatewayConfigs: envoyGatewayConfigs.filter(({ configMap }) =>
        controllerNamespaces.includes(configMap.metadata.namespace),
      ),
    });
    return this.#listed;
  }

  /** Every object that can ask for an HPA. */
  owners(): Owner[] {
    const { gateways, gatewayClasses, envoyGatewayConfigs } = this.snapshot;
    const named = <Kind extends string>(kind: Kind, { namespace, name }: NamespacedName) => ({ kind, namespace, name });
    return [
      ...gateways.map(({ metadata }) => named('Gateway', metadata)),
      ...gatewayClasses.map(({ metadata }) => ({ kind: 'GatewayClass' as const, name: metadata.name })),
      ...envoyGatewayConfigs.map(({ configMap }) => named('ConfigMap', configMap.metadata)),
    ];
  }

  /** The installations that serve the class. One that cannot be read may serve any. */
  configsFor(gatewayClass: GatewayClass): EnvoyGatewayConfig[] {
    return this.snapshot.envoyGatewayConfigs.filter(
      ({ settings }) => !isReadable(settings) || settings.controllerName === gatewayClass.spec.controllerName,
    );
  }

  configIn(namespace: string): EnvoyGatewayConfig | undefined {
    return this.snapshot.envoyGatewayConfigs.find(({ configMap }) => configMap.metadata.namespace === namespace);
  }

  /**
   * A class of this controller that is rejected for its parameters, or whose parametersRef leads to no EnvoyProxy: its status
   * may come later than what follows from it.
   */
  rejectedClass(controllerName: string): GatewayClass | undefined {
    return this.snapshot.gatewayClasses.find((gatewayClass) => {
      if (gatewayClass.spec.controllerName !== controllerName) return false;
      const { status, reason = 'InvalidParameters' } = acceptance(gatewayClass) ?? {};
      const isDangling = gatewayClass.spec.parametersRef != null && this.#proxyOfClass(gatewayClass) === undefined;
      return isDangling || (status === 'False' && reason === 'InvalidParameters');
    });
  }

  #proxyOfClass(gatewayClass: GatewayClass): EnvoyProxy | undefined {
    const reference = classProxyReference(gatewayClass);
    return reference && this.#proxies.get(objectKey(reference));
  }

  hpaAt(place: NamespacedName): HorizontalPodAutoscaler | undefined {
    return this.#hpas.get(objectKey(place));
  }

  /** The HPA at this place, if it is there to stay and Envoy Gateway made it for this owner. */
  hpaOf(owner: Owner, place: NamespacedName): HorizontalPodAutoscaler | undefined {
    const hpa = this.hpaAt(place);
    if (hpa === undefined || hpa.metadata.deletionTimestamp || !appliedByEnvoyGateway(hpa)) return undefined;
    const labelled = labelledOwner(hpa);
    return labelled !== undefined && labelled !== 'ambiguous' && sameOwner(labelled, owner) ? hpa : undefined;
  }

  /** The live owners whose configuration asks for an HPA of this namespace and name. */
  wantedBy(place: NamespacedName): readonly Owner[] {
    return this.#wanted.get(objectKey(place)) ?? [];
  }

  configOf(owner: Owner): OwnerConfig {
    const gateway = owner.kind === 'Gateway' ? this.#gateways.get(objectKey(owner)) : undefined;
    const gateways =
      owner.kind === 'GatewayClass' ? (this.#gatewaysOfClass.get(owner.name) ?? []) : gateway ? [gateway] : [];
    const className = owner.kind === 'GatewayClass' ? owner.name : gateway?.spec.gatewayClassName;
    const gatewayClass = className === undefined ? undefined : this.#classes.get(className);
    const classReference = gatewayClass && classProxyReference(gatewayClass);
    const ownReference = gateway && gatewayProxyReference(gateway);
    const references = [ownReference, classReference].filter((reference) => reference !== undefined);
    const find = (reference: ReturnType<typeof proxyReference>) => reference && this.#proxies.get(objectKey(reference));
    const classProxy = find(classReference);
    const ownProxy = find(ownReference);
    const sources = { gateway: ownProxy, class: classProxy };
    const effective = (defaultProxy: EnvoyProxySpec | undefined) =>
      effectiveProxy(specOf(ownProxy), specOf(classProxy), defaultProxy);

    return {
      gateways,
      gatewayClassName: className,
      gatewayClass,
      ownProxy,
      classProxy,
      proxies: [ownProxy, classProxy].filter((proxy) => proxy !== undefined),
      restsOn: [
        ...(owner.kind === 'Gateway' && !gateway ? [absent('Gateway', owner.namespace, owner.name)] : []),
        ...gateways.map(({ metadata }) => read('Gateway', metadata)),
        ...(className === undefined ? [] : [readOrAbsent('GatewayClass', gatewayClass, { name: className })]),
        ...references.map((reference) => readOrAbsent('EnvoyProxy', find(reference), reference)),
      ],
      identity: gateway ? { gateway } : { className: className ?? '', gateways },
      proxyOf: (other) => find(gatewayProxyReference(other)),
      effective: (settings) => effective(settings.defaultProxy),
      get usesDefault() {
        return effective({}).levels.includes('default');
      },
      describe: (levels, config) =>
        levels
          .map((level) => {
            const proxy = level === 'default' ? undefined : sources[level];
            return proxy
              ? `EnvoyProxy ${objectKey(proxy.metadata)}`
              : `the default in ConfigMap ${objectKey(config.configMap.metadata)}`;
          })
          .join(' over '),
    };
  }

  /** Whatever may be in the way of it: what somebody asks for is not taken away from them because Envoy Gateway refuses it. */
  #wantedPlaces(owner: Owner): NamespacedName[] {
    if (owner.kind === 'ConfigMap') {
      const config = this.configIn(owner.namespace);
      const hpa = config && isReadable(config.settings) ? config.settings.rateLimit?.hpa : undefined;
      return hpa ? expectedRateLimitHpa(hpa, owner.namespace, undefined) : [];
    }
    const ownerConfig = this.configOf(owner);
    if (ownerConfig.gatewayClass === undefined || ownerConfig.gateways.length === 0) return [];
    return this.configsFor(ownerConfig.gatewayClass).flatMap((config) => {
      const { settings } = config;
      if (!isReadable(settings)) return [];
      if (mergesInForce(ownerConfig.classProxy, settings) !== (owner.kind === 'GatewayClass')) return [];
      const { spec } = ownerConfig.effective(settings);
      return spec.provider?.kubernetes?.envoyHpa
        ? expectedHpas(ownerConfig.identity, spec, config, settings, undefined)
        : [];
    });
  }
}

/** GatewayNamespace mode rejects a class that merges by its own EnvoyProxy; the default's `mergeGateways` counts there too. */
const mergesInForce = (classProxy: EnvoyProxy | undefined, settings: EnvoyGatewaySettings): boolean =>
  mergesGateways(specOf(classProxy), settings.defaultProxy) && !isRefusedMerge(classProxy, settings);

const isRefusedMerge = (classProxy: EnvoyProxy | undefined, { gatewayNamespaceMode }: EnvoyGatewaySettings): boolean =>
  gatewayNamespaceMode && classProxy?.spec?.mergeGateways === true;

/** What one installation of Envoy Gateway makes of the configuration of an owner. */
export type Resolved =
  | {
      /** Nothing is known of what the owner asks for, or it asks for no HPA of its own. */
      readonly state: 'undecided';
      readonly row: 'unreadable' | 'rejected' | 'merged' | 'not merged' | 'no Gateways' | 'DaemonSet';
      /** One clause. */
      readonly because: string;
    }
  | {
      readonly state: 'decided';
      readonly wantsHpa: boolean;
      readonly effective: EffectiveProxy;
      /** Where it is said, for a sentence. */
      readonly source: string;
      /** Where the HPA is to be, if one is wanted; several while it is not known which of them is meant. */
      readonly places: readonly NamespacedName[];
    };

/**
 * @param gatewayClass the owner's, which is there
 * @param config one of those that may serve the class
 * @param reads is asked for the controller only where its version decides
 */
export function resolve(
  owner: Owner,
  ownerConfig: OwnerConfig,
  gatewayClass: GatewayClass,
  config: EnvoyGatewayConfig,
  reads: DeploymentReads,
): Resolved {
  const undecided = (row: Extract<Resolved, { state: 'undecided' }>['row'], because: string): Resolved => ({
    state: 'undecided',
    row,
    because,
  });
  const settings = knownSettings(config, reads);
  if (!isReadable(settings)) return undecided('unreadable', settings.unreadable);

  const rejection = rejected(owner, ownerConfig, gatewayClass, config, settings, reads);
  if (rejection) return undecided('rejected', rejection);

  const merges = mergesInForce(ownerConfig.classProxy, settings);
  const className = gatewayClass.metadata.name;
  if (owner.kind === 'Gateway' && merges) return undecided('merged', `GatewayClass ${className} merges its Gateways`);
  if (owner.kind === 'GatewayClass' && !merges) {
    return undecided('not merged', `GatewayClass ${className} no longer merges its Gateways`);
  }
  if (owner.kind === 'GatewayClass' && ownerConfig.gateways.length === 0) {
    return undecided('no Gateways', `GatewayClass ${className} has no Gateway`);
  }

  const effective = ownerConfig.effective(settings);
  const { provider } = effective.spec;
  if ((provider?.type ?? 'Kubernetes') !== 'Kubernetes') {
    return undecided('rejected', `The EnvoyProxy in force has provider ${provider?.type}`);
  }
  const source = ownerConfig.describe(effective.levels, config);
  const kubernetes = provider?.kubernetes;
  if (kubernetes?.envoyDaemonSet && !kubernetes.envoyDeployment) {
    return undecided('DaemonSet', `${describeOwner(owner)} runs as a DaemonSet by ${source}`);
  }
  const version = controllerVersion(reads.peek(controllerOf(config)));
  const places = expectedHpas(ownerConfig.identity, effective.spec, config, settings, version);
  return { state: 'decided', wantsHpa: Boolean(kubernetes?.envoyHpa), effective, source, places };
}

/** What an installation is configured to do, or why that is not known: one clause. */
export function knownSettings(config: EnvoyGatewayConfig, reads: DeploymentReads): EnvoyGatewaySettings | Unreadable {
  const { settings } = config;
  const { metadata } = config.configMap;
  if (!isReadable(settings)) {
    return { unreadable: `ConfigMap ${objectKey(metadata)} cannot be read (${settings.unreadable})` };
  }
  const controller = reads.peek(controllerOf(config));
  const other = controller ? otherConfiguration(controller) : undefined;
  if (other === undefined) return settings;
  reads.read(controllerOf(config)); // So that what follows rests on it.
  return { unreadable: `Envoy Gateway in ${metadata.namespace} reads ${other} and not ${metadata.name}` };
}

/** Why Envoy Gateway rejects what the owner asks for, or what it refers to cannot be found: one clause. */
function rejected(
  owner: Owner,
  ownerConfig: OwnerConfig,
  gatewayClass: GatewayClass,
  config: EnvoyGatewayConfig,
  settings: EnvoyGatewaySettings,
  reads: DeploymentReads,
): string | undefined {
  const { gateways, ownProxy, classProxy } = ownerConfig;
  const className = gatewayClass.metadata.name;
  const merges = mergesGateways(specOf(classProxy), settings.defaultProxy);
  const fault = isRejected(gatewayClass)
    ? `GatewayClass ${className} is not accepted`
    : gatewayClass.spec.parametersRef && classProxy === undefined
      ? `The parametersRef of GatewayClass ${className} leads to no EnvoyProxy`
      : undefined;
  if (fault) {
    // Served in full all the same, from v1.7 on. In v1.4 a class can be rejected while its EnvoyProxy is in force.
    const isReplaced =
      gatewayClass.spec.parametersRef && ownProxy && !merges && (ownProxy.spec?.mergeType ?? 'Replace') === 'Replace';
    const isServed = isReplaced && isAtLeast(controllerVersion(reads.read(controllerOf(config))), 7);
    if (!isServed) return fault;
  }
  if (isRefusedMerge(classProxy, settings)) {
    return `GatewayClass ${className} merges its Gateways by its own EnvoyProxy, which GatewayNamespace mode rejects`;
  }
  const refusalOf = (gateway: Gateway): string | undefined => {
    const name = objectKey(gateway.metadata);
    const reference = gateway.spec.infrastructure?.parametersRef;
    if (isRejected(gateway)) return `Gateway ${name} is not accepted`;
    if (reference && classProxy?.spec?.mergeGateways) {
      return `Gateway ${name} has a parametersRef although its class merges Gateways`;
    }
    if (reference && !merges && ownerConfig.proxyOf(gateway) === undefined) {
      return `The parametersRef of Gateway ${name} leads to no EnvoyProxy`;
    }
    return undefined;
  };
  const refusals = gateways.map(refusalOf);
  if (owner.kind === 'Gateway') {
    if (refusals[0]) return refusals[0];
  } else if (refusals.length > 0 && refusals.every((refusal) => refusal !== undefined)) {
    return `Every Gateway of GatewayClass ${className} is rejected (${refusals[0]})`;
  }
  const conflict = ownerConfig.effective(settings).conflict;
  return conflict && `Envoy Gateway cannot merge the EnvoyProxies of ${describeOwner(owner)} (${conflict})`;
}

/** What a controller says of whether it takes the object; what a CRD gives by default is no controller's word. */
export const acceptance = ({ status }: Gateway | GatewayClass): Condition | undefined =>
  status?.conditions?.find((condition) => condition.type === 'Accepted' && !isDefault(condition));

const isDefault = ({ status, observedGeneration }: Condition) =>
  status === 'Unknown' && observedGeneration === undefined;

/** These say nothing about the EnvoyProxy: Envoy Gateway takes it up as soon as there is something to serve (v1.8 and later). */
const NOT_ABOUT_PARAMETERS = ['ListenersNotValid', 'UnsupportedAddress'];

function isRejected(object: Gateway | GatewayClass): boolean {
  const condition = acceptance(object);
  return condition?.status === 'False' && !NOT_ABOUT_PARAMETERS.includes(condition.reason ?? '');
}

/**
 * Why nothing shows that Envoy Gateway has seen this configuration: one clause. What it has not seen it has not acted on, and
 * a reference that is removed and put back before it looks leaves it nothing to do: it would not make an HPA again.
 *
 * The conditions of a Gateway's listeners count too: those of the Gateway itself are written anew, with the generation of that
 * moment, whenever its Deployment or Service changes (source of v1.3.0 to v1.9.1, `updateStatusForGateway`); those of its
 * listeners only by a translation.
 */
export function notObserved({
  gateways,
  gatewayClass,
}: Pick<OwnerConfig, 'gateways' | 'gatewayClass'>): string | undefined {
  for (const gateway of gateways) {
    const because = notSeen(
      'Gateway',
      gateway,
      gateway.status?.listeners?.flatMap(({ conditions }) => conditions ?? []),
    );
    if (because) return because;
  }
  return gatewayClass && notSeen('GatewayClass', gatewayClass);
}

function notSeen(
  kind: string,
  object: Gateway | GatewayClass,
  listenerConditions: readonly Pick<Condition, 'observedGeneration'>[] = [],
): string | undefined {
  const { generation } = object.metadata;
  const name = `${kind} ${objectKey(object.metadata)}`;
  if (acceptance(object) === undefined) return `no controller has said anything of ${name} yet`;
  if (generation === undefined) return undefined;
  const own = (object.status?.conditions ?? []).filter(
    (condition) => ['Accepted', 'Programmed'].includes(condition.type) && !isDefault(condition),
  );
  const seen = Math.min(...[...own, ...listenerConditions].map(({ observedGeneration }) => observedGeneration ?? 0));
  return seen < generation
    ? `${name} is at generation ${generation}, and its status is of generation ${seen}`
    : undefined;
}

/** When the object was created, and when each manager of its spec last wrote. */
export const specWriteTimes = ({
  creationTimestamp,
  managedFields,
}: (Gateway | GatewayClass | EnvoyProxy)['metadata']): (string | null | undefined)[] => [
  creationTimestamp,
  ...(managedFields ?? []).flatMap(({ time, fieldsV1 }) => (fieldsV1?.['f:spec'] ? [time] : [])),
];

export const specOf = (proxy: EnvoyProxy | undefined) => proxy && (proxy.spec ?? {});

export const classProxyReference = (gatewayClass: GatewayClass) =>
  proxyReference(gatewayClass.spec.parametersRef, (reference) => reference.namespace ?? 'default');

export const gatewayProxyReference = (gateway: Gateway) =>
  proxyReference(gateway.spec.infrastructure?.parametersRef, () => gateway.metadata.namespace);

/** Where a parametersRef leads, if it names an EnvoyProxy at all. A class's without a namespace means `default`. */
function proxyReference<Reference extends { group: string; kind: string; name: string }>(
  reference: Reference | null | undefined,
  namespaceOf: (reference: Reference) => string,
): NamespacedName | undefined {
  if (reference?.group !== 'gateway.envoyproxy.io' || reference.kind !== 'EnvoyProxy') return undefined;
  return { namespace: namespaceOf(reference), name: reference.name };
}

export function grouped<T>(entries: readonly (readonly [string, T])[]): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const [key, value] of entries) {
    const group = groups.get(key);
    if (group) group.push(value);
    else groups.set(key, [value]);
  }
  return groups;
}

const byKey = <T extends { metadata: Omit<ObjectRead, 'kind'> }>(objects: readonly T[]): Map<string, T> =>
  new Map(objects.map((object) => [objectKey(object.metadata), object]));

export const read = (
  kind: string,
  { namespace, name, uid, resourceVersion }: Omit<ObjectRead, 'kind'>,
): ObjectRead => ({
  kind,
  namespace,
  name,
  uid,
  resourceVersion,
});
export const absent = (kind: string, namespace: string | undefined, name: string): ObjectRead => ({
  kind,
  namespace,
  name,
});
const readOrAbsent = (
  kind: string,
  object: { metadata: Omit<ObjectRead, 'kind'> } | undefined,
  place: { namespace?: string; name: string },
): ObjectRead => (object ? read(kind, object.metadata) : absent(kind, place.namespace, place.name));

export const describeOwner = (owner: Owner) => `${owner.kind} ${objectKey(owner)}`;
