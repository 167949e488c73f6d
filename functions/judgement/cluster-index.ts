import { type controllerVersion, isAtLeast } from './controller.ts';
import { effectiveProxy, expectedHpas, mergesGateways } from './effective-proxy.ts';
import type { EnvoyGatewayConfig } from './envoy-gateway-config.ts';
import {
  type Deployment,
  type EnvoyProxy,
  type Gateway,
  type GatewayClass,
  type HorizontalPodAutoscaler,
  type NamespacedName,
  objectKey,
  type Scaler,
} from './kubernetes-objects.ts';
import { appliedByEnvoyGateway, labeledOwner, type Owner, sameOwner } from './ownership.ts';
import { acceptance, notObserved } from './status.ts';

/** The state of one cluster, as far as the judgement needs it: whole lists, and the Deployments that it asked for. */
export interface Snapshot {
  /** Every HPA that has an owning label. */
  readonly hpas: readonly HorizontalPodAutoscaler[];
  readonly gatewayClasses: readonly GatewayClass[];
  readonly gateways: readonly Gateway[];
  readonly envoyProxies: readonly EnvoyProxy[];
  readonly envoyGatewayConfigs: readonly EnvoyGatewayConfig[];
  /** The only namespaces whose ConfigMaps may lead to a deletion; absent or empty: every namespace. */
  readonly controllerNamespaces?: readonly string[];
  /** Deployments by `namespace/name`; `null` where there is none. One that was not read is not in the map. */
  readonly deployments: ReadonlyMap<string, Deployment | null>;
  /** All HPAs by namespace, also those without an owning label. A namespace that was not listed is not in the map. */
  readonly scalers?: ReadonlyMap<string, readonly Scaler[]>;
}

/**
 * An object that a verdict rests on, as it was read; without uid it does not exist. The scale target of an HPA is identified by
 * its uid alone, the Deployment of Envoy Gateway by uid and generation.
 */
interface ObjectRead {
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
}

/** @param objects the metadata of an object that exists, or the name alone of one that does not */
const objectsRead = (kind: string, ...objects: (Omit<ObjectRead, 'kind' | 'generation'> | undefined)[]): ObjectRead[] =>
  objects.flatMap((object) => {
    if (object === undefined) return [];
    const { namespace, name, uid, resourceVersion } = object;
    return [{ kind, namespace, name, uid, resourceVersion }];
  });

/** The Deployments that one judgement uses: those that it needs and were not read, and those that decide. */
export class DeploymentReads {
  readonly needed = new Set<string>();
  readonly #snapshot: Snapshot;
  readonly #decided = new Map<string, ObjectRead>();

  constructor(snapshot: Snapshot) {
    this.#snapshot = snapshot;
  }

  /** @returns `null` if it does not exist, `undefined` if it was not read */
  peek(deployment: NamespacedName): Deployment | null | undefined {
    return this.#snapshot.deployments.get(objectKey(deployment));
  }

  /** Like {@link peek}, and marks it as needed. The verdict rests on it: on its existence, or on its spec. */
  read({ namespace, name }: NamespacedName, of: 'existence' | 'spec' = 'spec'): Deployment | null | undefined {
    const key = objectKey({ namespace, name });
    const deployment = this.peek({ namespace, name });
    if (deployment === undefined) this.needed.add(key);
    this.#decided.set(key, {
      kind: 'Deployment',
      namespace,
      name,
      ...(deployment && { uid: deployment.metadata.uid }),
      ...(deployment && of === 'spec' && { generation: deployment.metadata.generation }),
    });
    return deployment;
  }

  decided(): ObjectRead[] {
    return [...this.#decided.values()];
  }
}

/** Everything that decides what a Gateway, a GatewayClass that merges its Gateways, or a rate limit service asks for. */
export type OwnerConfig = ReturnType<ClusterIndex['configOf']>;

export class ClusterIndex {
  static readonly #indexes = new WeakMap<Snapshot, ClusterIndex>();
  readonly snapshot: Snapshot;
  #listed: ClusterIndex | undefined;
  readonly #classes: ReadonlyMap<string, GatewayClass>;
  readonly #gateways: ReadonlyMap<string, Gateway>;
  readonly #gatewaysOfClass: ReadonlyMap<string, Gateway[]>;
  readonly #proxies: ReadonlyMap<string, EnvoyProxy>;
  readonly #hpas: ReadonlyMap<string, HorizontalPodAutoscaler>;
  readonly #wanted: ReadonlyMap<string, Owner[]>;

  private constructor(snapshot: Snapshot) {
    this.snapshot = snapshot;
    this.#classes = byKey(snapshot.gatewayClasses);
    this.#gateways = byKey(snapshot.gateways);
    this.#gatewaysOfClass = grouped(snapshot.gateways.map((gateway) => [gateway.spec.gatewayClassName, gateway]));
    this.#proxies = byKey(snapshot.envoyProxies);
    this.#hpas = byKey(snapshot.hpas);
    this.#wanted = grouped(
      this.owners().flatMap((owner) => this.#wantedNames(owner).map((name) => [objectKey(name), owner] as const)),
    );
  }

  /** The indexes of a snapshot, built once: its lists never change. */
  static of(snapshot: Snapshot): ClusterIndex {
    const index = ClusterIndex.#indexes.get(snapshot) ?? new ClusterIndex(snapshot);
    ClusterIndex.#indexes.set(snapshot, index);
    return index;
  }

  /** The same cluster with only those ConfigMaps that may lead to a deletion: itself, where all of them may. */
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

  configOf(owner: Owner) {
    const gateway = owner.kind === 'Gateway' ? this.#gateways.get(objectKey(owner)) : undefined;
    const gateways =
      owner.kind === 'GatewayClass' ? (this.#gatewaysOfClass.get(owner.name) ?? []) : gateway ? [gateway] : [];
    const gatewayClassName = owner.kind === 'GatewayClass' ? owner.name : gateway?.spec.gatewayClassName;
    const gatewayClass = gatewayClassName === undefined ? undefined : this.#classes.get(gatewayClassName);
    const ownProxy = gateway && this.proxyOf(gateway);
    const classProxy = gatewayClass && this.proxyOf(gatewayClass);
    const installations = this.snapshot.envoyGatewayConfigs.filter(({ configMap, settings }) =>
      owner.kind === 'ConfigMap'
        ? configMap.metadata.namespace === owner.namespace
        : gatewayClass && (settings.unreadable || settings.controllerName === gatewayClass.spec.controllerName),
    );
    const nameOfClass = gatewayClassName === undefined ? undefined : { name: gatewayClassName };
    return {
      owner,
      /** The Gateway itself, or all Gateways of the class. */
      gateways,
      gatewayClassName,
      gatewayClass,
      /** The Gateways and the class, whose status shows what Envoy Gateway has seen. */
      observed: [...gateways, gatewayClass].filter((object) => object !== undefined),
      ownProxy,
      classProxy,
      /** The EnvoyProxies that the owner and its class refer to. */
      proxies: [ownProxy, classProxy].filter((proxy) => proxy !== undefined),
      /** The Envoy Gateways that may serve the owner. One whose ConfigMap cannot be read may serve any. */
      installations,
      restsOn: [
        ...objectsRead('Gateway', owner.kind === 'Gateway' && !gateway ? owner : undefined),
        ...objectsRead('Gateway', ...gateways.map(({ metadata }) => metadata)),
        ...objectsRead('GatewayClass', gatewayClass?.metadata ?? nameOfClass),
        ...objectsRead('EnvoyProxy', ownProxy?.metadata ?? (gateway && proxyReference(gateway))),
        ...objectsRead('EnvoyProxy', classProxy?.metadata ?? (gatewayClass && proxyReference(gatewayClass))),
        ...objectsRead('ConfigMap', owner.kind === 'ConfigMap' && installations.length === 0 ? owner : undefined),
        ...objectsRead('ConfigMap', ...installations.map(({ configMap }) => configMap.metadata)),
      ],
    };
  }

  /** The EnvoyProxy that the Gateway or class itself refers to. */
  proxyOf(object: Gateway | GatewayClass): EnvoyProxy | undefined {
    const reference = proxyReference(object);
    return reference && this.#proxies.get(objectKey(reference));
  }

  /**
   * The class at which an installation before v1.4, or of unknown version, may be stuck: it does nothing at all then. Its
   * parameters are rejected or do not resolve to an EnvoyProxy: Envoy Gateway may act on that before it writes the status.
   */
  stuckAt({ settings }: EnvoyGatewayConfig, version: ReturnType<typeof controllerVersion>): string | undefined {
    if (settings.unreadable || isAtLeast(version, 4)) return undefined;
    const stuckAt = this.snapshot.gatewayClasses.find((gatewayClass) => {
      if (gatewayClass.spec.controllerName !== settings.controllerName) return false;
      const { status, reason = 'InvalidParameters' } = acceptance(gatewayClass) ?? {};
      // From then on its parameters are not read (source of v1.3.0).
      const isDeletionSeen = gatewayClass.metadata.deletionTimestamp && notObserved([gatewayClass]) === undefined;
      if (isDeletionSeen && status === 'True') return false;
      const isDangling = gatewayClass.spec.parametersRef != null && this.proxyOf(gatewayClass) === undefined;
      return isDangling || (status === 'False' && reason === 'InvalidParameters');
    });
    return stuckAt?.metadata.name;
  }

  hpaAt(name: NamespacedName): HorizontalPodAutoscaler | undefined {
    return this.#hpas.get(objectKey(name));
  }

  /** The HPA of this name, if Envoy Gateway created it for this owner and it is not being deleted. */
  hpaOf(owner: Owner, name: NamespacedName): HorizontalPodAutoscaler | undefined {
    const hpa = this.hpaAt(name);
    if (hpa === undefined || hpa.metadata.deletionTimestamp || !appliedByEnvoyGateway(hpa)) return undefined;
    const labeled = labeledOwner(hpa);
    return labeled !== undefined && labeled !== 'ambiguous' && sameOwner(labeled, owner) ? hpa : undefined;
  }

  /** The live owners whose configuration asks for an HPA of this namespace and name. */
  wantedBy(name: NamespacedName): readonly Owner[] {
    return this.#wanted.get(objectKey(name)) ?? [];
  }

  /** Rejected, unreadable or not: nobody loses what they ask for because of that. */
  #wantedNames(owner: Owner): NamespacedName[] {
    const config = this.configOf(owner);
    return config.installations.flatMap((installation) => {
      const { settings } = installation;
      const hpa = owner.kind === 'ConfigMap' ? settings.rateLimit?.hpa : askedEnvoyHpa(config, settings);
      return hpa ? expectedHpas(config, hpa, installation, undefined) : [];
    });
  }
}

function askedEnvoyHpa(config: OwnerConfig, settings: EnvoyGatewayConfig['settings']) {
  const isMerging = mergesGateways(config, settings) === true;
  if (config.gateways.length === 0 || isMerging !== (config.owner.kind === 'GatewayClass')) return undefined;
  return effectiveProxy(config, settings).spec.provider?.kubernetes?.envoyHpa;
}

/** The target of the parametersRef of a Gateway or class, if it names an EnvoyProxy at all. */
export function proxyReference({ metadata, spec }: Gateway | GatewayClass): NamespacedName | undefined {
  const isGateway = 'gatewayClassName' in spec;
  const reference = isGateway ? spec.infrastructure?.parametersRef : spec.parametersRef;
  if (reference?.group !== 'gateway.envoyproxy.io' || reference.kind !== 'EnvoyProxy') return undefined;
  const namespace = isGateway ? metadata.namespace : (spec.parametersRef?.namespace ?? 'default');
  return { namespace: namespace as string, name: reference.name };
}

function grouped<T>(entries: readonly (readonly [string, T])[]): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const [key, value] of entries) {
    const group = groups.get(key) ?? [];
    group.push(value);
    groups.set(key, group);
  }
  return groups;
}

const byKey = <T extends { metadata: { namespace?: string; name: string } }>(objects: readonly T[]): Map<string, T> =>
  new Map(objects.map((object) => [objectKey(object.metadata), object]));
