import { type EffectiveProxy, effectiveProxy, expectedHpas, mergesGateways } from './effective-proxy.ts';
import { type EnvoyGatewayConfig, type EnvoyGatewaySettings, isReadable } from './envoy-gateway-config.ts';
import {
  type EnvoyProxy,
  type EnvoyProxySpec,
  type Gateway,
  type GatewayClass,
  type HorizontalPodAutoscaler,
  KEEP_ANNOTATION,
  objectKey,
} from './kubernetes-objects.ts';
import { adoptedBy, appliedByEnvoyGateway, labelledOwner, type Owner, sameOwner } from './ownership.ts';
import type { Snapshot } from './snapshot.ts';

export const DELETE_REASONS = [
  'AutoscalingRemoved',
  'Renamed',
  'GatewayDeleted',
  'GatewayClassDeleted',
  'GatewayNotManaged',
  'ScaleTargetGone',
  'MergedIntoGatewayClass',
  'NoLongerMerged',
  'NoGateways',
] as const;
export type DeleteReason = (typeof DELETE_REASONS)[number];

export const KEEP_REASONS = [
  'NotManagedByEnvoyGateway',
  'AmbiguousOwner',
  'Protected',
  'Terminating',
  'Adopted',
  'AutoscalingConfigured',
  'ScaleTargetStillRuns',
  'DefaultsUnreadable',
  'ParametersUnresolved',
] as const;
export type KeepReason = (typeof KEEP_REASONS)[number];

/**
 * An object that a verdict rests on, as it was read; without uid and resourceVersion it was read as absent. Of a Deployment
 * only that much is read: whether it exists.
 */
export interface ObjectRead {
  readonly kind: string;
  readonly namespace?: string | undefined;
  readonly name: string;
  readonly uid?: string | undefined;
  readonly resourceVersion?: string | undefined;
}

export type Verdict = Grounds & ({ action: 'delete'; reason: DeleteReason } | { action: 'keep'; reason: KeepReason });

interface Grounds {
  readonly hpa: HorizontalPodAutoscaler;
  readonly owner: Owner | undefined;
  /** One sentence for a person. */
  readonly explanation: string;
  /** What was read of everything that decided, in a fixed order: equal grounds mean nothing has changed. */
  readonly restsOn: readonly ObjectRead[];
  /** How many replicas the Deployment is left with when no HPA scales it; absent where no configuration says. */
  readonly fallbackReplicas?: number;
  /** True when the default in the EnvoyGateway ConfigMap decided alone, with no EnvoyProxy beside it. */
  readonly restsOnDefaultAlone: boolean;
  /** `namespace/name` of a Deployment whose absence would turn this verdict into a deletion, and that was not read. */
  readonly needsDeployment?: string;
}

/**
 * Says of every HPA of the snapshot whether it is stale, by the rows of the judgement table from top to bottom; the first
 * that fits wins. Pure: no clock, no I/O.
 *
 * An HPA whose Deployment still runs is stale for two reasons only: the configuration that rules it, fully known, asks for
 * no autoscaling (`AutoscalingRemoved`), or for another HPA that is there (`Renamed`). For every other reason Envoy Gateway
 * itself has removed the Deployment, so that must be gone.
 *
 * With `controllerNamespaces` nothing is stale that is not stale by the ConfigMaps in these namespaces alone.
 */
export function judge(snapshot: Snapshot): Verdict[] {
  const { hpas, envoyGatewayConfigs, controllerNamespaces = [] } = snapshot;
  const whole = new Cluster(snapshot);
  if (controllerNamespaces.length === 0) return hpas.map((hpa) => judgeHpa(hpa, whole));

  const isListed = ({ namespace }: { namespace: string }) => controllerNamespaces.includes(namespace);
  const listed = envoyGatewayConfigs.filter(({ configMap }) => isListed(configMap.metadata));
  const known = new Cluster({ ...snapshot, envoyGatewayConfigs: listed });
  return hpas.map((hpa) => {
    const verdict = judgeHpa(hpa, known);
    // A controller puts its HPAs into its own namespace or beside their Gateways. So in a listed namespace they are of a
    // listed controller. Anywhere else they may be of one that was left out of the list: then every ConfigMap must agree.
    const isOfListed = isListed(hpa.metadata) && !isBesideGateway(hpa, verdict.owner);
    return verdict.action === 'keep' || isOfListed ? verdict : judgeHpa(hpa, whole);
  });
}

function judgeHpa(hpa: HorizontalPodAutoscaler, cluster: Cluster): Verdict {
  const labelled = labelledOwner(hpa);
  const owner = labelled === 'ambiguous' ? undefined : labelled;
  const grounds = { hpa, owner, restsOn: [], restsOnDefaultAlone: false };
  const keep = (reason: KeepReason, explanation: string): Verdict => ({
    ...grounds,
    action: 'keep',
    reason,
    explanation,
  });

  if (labelled === undefined) {
    return keep('NotManagedByEnvoyGateway', 'It carries no whole owning label of Envoy Gateway.');
  }
  if (!appliedByEnvoyGateway(hpa)) {
    return keep(
      'NotManagedByEnvoyGateway',
      'It carries the label, but Envoy Gateway never applied it: somebody else made it.',
    );
  }
  if (owner === undefined) {
    return keep('AmbiguousOwner', 'It is labelled as owned by a Gateway and by a GatewayClass at once.');
  }

  const relatives = cluster.relativesOf(owner);
  const everyRelative = [hpa, ...relatives.gateways, relatives.gatewayClass, ...relatives.proxies].filter(
    (object) => object !== undefined,
  );
  const protectedBy = everyRelative.find((object) => object.metadata.annotations?.[KEEP_ANNOTATION] === 'true');
  if (protectedBy)
    return keep(
      'Protected',
      `${protectedBy === hpa ? 'It' : objectKey(protectedBy.metadata)} is annotated ${KEEP_ANNOTATION}: "true".`,
    );
  if (hpa.metadata.deletionTimestamp) return keep('Terminating', 'It is being deleted already.');
  if (hpa.metadata.finalizers?.length) {
    return keep('Terminating', `Finalizers hold it: ${hpa.metadata.finalizers.join(', ')}.`);
  }
  if (relatives.gatewayClass?.metadata.deletionTimestamp) {
    return keep('Terminating', `GatewayClass ${relatives.gatewayClass.metadata.name} is being deleted.`);
  }
  if (relatives.gateways.length > 0 && relatives.gateways.every((gateway) => gateway.metadata.deletionTimestamp)) {
    return keep('Terminating', 'Its Gateway is being deleted.');
  }
  const adoption = adoptedBy(hpa);
  if (adoption) return keep('Adopted', `It is no longer Envoy Gateway's alone: ${adoption}.`);
  const wantedBy = cluster.wantedBy(hpa.metadata).find((other) => !sameOwner(other, owner));
  if (wantedBy) {
    return keep('AutoscalingConfigured', `${describeOwner(wantedBy)} asks for an HPA of this name.`);
  }
  return judgeOwned({ hpa, owner, relatives, cluster });
}

interface Place {
  readonly namespace: string;
  readonly name: string;
}

/** An HPA that is Envoy Gateway's, and what its configuration is made of. */
interface Owned {
  readonly hpa: HorizontalPodAutoscaler;
  readonly owner: Owner;
  readonly relatives: Relatives;
  readonly cluster: Cluster;
}

/** The rows from "Gateway or class does not exist" on: the HPA is Envoy Gateway's, and the configuration decides. */
function judgeOwned(owned: Owned): Verdict {
  const { owner, relatives, cluster } = owned;
  const { gatewayClass } = relatives;
  if (owner.kind === 'Gateway' && relatives.gateways.length === 0) {
    return onlyIfGone(owned, [], 'GatewayDeleted', 'ScaleTargetStillRuns', `${describeOwner(owner)} does not exist`);
  }
  if (gatewayClass === undefined) {
    const explanation = `GatewayClass ${relatives.gatewayClassName} does not exist`;
    return onlyIfGone(owned, [], 'GatewayClassDeleted', 'ScaleTargetStillRuns', explanation);
  }

  const configs = cluster.configsFor(gatewayClass);
  const verdicts = configs.map((config) => judgeByConfig(owned, gatewayClass, config, configs));
  const [first] = verdicts;
  if (first === undefined) {
    const { controllerNamespaces = [] } = cluster.snapshot;
    const where = controllerNamespaces.length > 0 ? ` in ${controllerNamespaces.join(', ')}` : '';
    const explanation = `No ConfigMap of an Envoy Gateway${where} names controller ${gatewayClass.spec.controllerName}`;
    return onlyIfGone(owned, [], 'GatewayNotManaged', 'DefaultsUnreadable', explanation);
  }
  // Several installations may serve one controller name (shards, left-overs): stale only if every one says so, and then it
  // rests on what each of them rests on.
  const restsOn = verdicts.flatMap((verdict) => verdict.restsOn);
  return (
    verdicts.find((verdict) => verdict.action === 'keep') ?? {
      ...first,
      restsOn: [...new Map(restsOn.map((object) => [`${object.kind} ${objectKey(object)}`, object])).values()],
    }
  );
}

/** The verdict by one of the installations that may serve the class; it rests on all of their ConfigMaps. */
function judgeByConfig(
  owned: Owned,
  gatewayClass: GatewayClass,
  config: EnvoyGatewayConfig,
  configs: readonly EnvoyGatewayConfig[],
): Verdict {
  const { hpa, owner, relatives } = owned;
  const { settings } = config;
  if (!isReadable(settings)) {
    const explanation = `ConfigMap ${objectKey(config.configMap.metadata)} cannot be read (${settings.unreadable})`;
    return onlyIfGone(owned, configs, 'GatewayNotManaged', 'DefaultsUnreadable', explanation);
  }
  const rejection = rejected(owner, relatives, settings);
  if (rejection) return onlyIfGone(owned, configs, 'ScaleTargetGone', 'ParametersUnresolved', rejection);

  const merges = mergesGateways(specOf(relatives.classProxy), settings.defaultProxy);
  if (owner.kind === 'Gateway' && merges) {
    const explanation = `GatewayClass ${gatewayClass.metadata.name} merges its Gateways`;
    return onlyIfGone(owned, configs, 'MergedIntoGatewayClass', 'ScaleTargetStillRuns', explanation);
  }
  if (owner.kind === 'GatewayClass' && !merges) {
    const explanation = `GatewayClass ${owner.name} no longer merges its Gateways`;
    return onlyIfGone(owned, configs, 'NoLongerMerged', 'ScaleTargetStillRuns', explanation);
  }
  if (owner.kind === 'GatewayClass' && relatives.gateways.length === 0) {
    const explanation = `GatewayClass ${owner.name} has no Gateway`;
    return onlyIfGone(owned, configs, 'NoGateways', 'ScaleTargetStillRuns', explanation);
  }

  const effective = relatives.effective(settings);
  const { provider } = effective.spec;
  if ((provider?.type ?? 'Kubernetes') !== 'Kubernetes') {
    const explanation = `The EnvoyProxy in force has provider ${provider?.type}`;
    return onlyIfGone(owned, configs, 'ScaleTargetGone', 'ParametersUnresolved', explanation);
  }
  const kubernetes = provider?.kubernetes;
  const source = relatives.describe(effective.levels, config);
  const decided = {
    ...groundsOf(owned, configs),
    restsOnDefaultAlone: effective.levels.every((level) => level === 'default'),
    fallbackReplicas: kubernetes?.envoyDeployment?.replicas ?? 1,
  };
  if (!kubernetes?.envoyHpa) {
    const explanation = `${describeOwner(owner)} asks for no autoscaling: no envoyHpa in ${source}`;
    if (relatives.heedsDefault && !mayBeOf(configs, hpa, owner)) {
      const { namespace } = hpa.metadata;
      const unknown = `${explanation}, and what a ConfigMap of an Envoy Gateway in ${namespace} said is not known`;
      return onlyIfGone(owned, configs, 'AutoscalingRemoved', 'DefaultsUnreadable', unknown);
    }
    return { ...decided, action: 'delete', reason: 'AutoscalingRemoved', explanation: `${explanation}.` };
  }
  const expected = expectedHpas(relatives.identity, effective.spec, config, settings);
  return (
    judgeRenamed(owned, expected, configs, decided) ?? {
      ...decided,
      action: 'keep',
      reason: 'AutoscalingConfigured',
      explanation: `${describeOwner(owner)} asks for autoscaling in ${source}.`,
    }
  );
}

/** The verdict where the owner asks for an HPA in another place, and that one is there; else `undefined`. */
function judgeRenamed(
  owned: Owned,
  expected: readonly Place[],
  configs: readonly EnvoyGatewayConfig[],
  decided: Omit<Grounds, 'explanation'>,
): Verdict | undefined {
  const { hpa, owner, cluster } = owned;
  const [successor] = expected
    .filter((place) => !samePlace(place, hpa.metadata))
    .flatMap((place) => cluster.hpaOf(owner, place));
  if (successor === undefined) return undefined;
  const successorRead = { ...read('HorizontalPodAutoscaler', successor.metadata), resourceVersion: undefined };
  const restsOn = [...decided.restsOn, successorRead];
  const explanation = `${describeOwner(owner)} asks for HPA ${objectKey(successor.metadata)} instead, which is there`;
  if (!expected.some((place) => samePlace(place, hpa.metadata))) {
    return { ...decided, restsOn, action: 'delete', reason: 'Renamed', explanation: `${explanation}.` };
  }
  // Envoy Gateway v1.4 and v1.5 disagree about the name, and both are there: the one whose Deployment is gone is stale, if
  // the other's runs. With both gone (deleted by hand, not restored yet) nothing says which of them is wanted.
  const verdict = onlyIfGone(owned, configs, 'Renamed', 'AutoscalingConfigured', explanation);
  if (verdict.action === 'keep') return verdict;
  // Asked for with the verdict on the other HPA.
  const other = absent('Deployment', successor.metadata.namespace, successor.spec.scaleTargetRef.name);
  if (cluster.snapshot.deployments.get(objectKey(other))) {
    return { ...verdict, restsOn: [...verdict.restsOn, other, successorRead] };
  }
  const bothGone = `${explanation}, but neither's Deployment is.`;
  return { ...decided, action: 'keep', reason: 'AutoscalingConfigured', explanation: bothGone };
}

/** A row that also wants the Deployment to be gone. */
function onlyIfGone(
  owned: Owned,
  configs: readonly EnvoyGatewayConfig[],
  ifGone: DeleteReason,
  otherwise: KeepReason,
  explanation: string,
): Verdict {
  const { hpa, cluster } = owned;
  const grounds = groundsOf(owned, configs);
  const keep = (but: string): Verdict => ({
    ...grounds,
    action: 'keep',
    reason: otherwise,
    explanation: `${explanation}, but ${but}.`,
  });
  const target = hpa.spec.scaleTargetRef;
  if (target.kind !== 'Deployment' || target.apiVersion !== 'apps/v1') {
    return keep(`it scales ${`${target.apiVersion ?? ''} ${target.kind} ${target.name}`.trim()}`);
  }
  const deployment = objectKey({ namespace: hpa.metadata.namespace, name: target.name });
  const exists = cluster.snapshot.deployments.get(deployment);
  if (exists === false) {
    const restsOn = [...grounds.restsOn, absent('Deployment', hpa.metadata.namespace, target.name)];
    const gone = `${explanation}, and Deployment ${deployment} is gone.`;
    return { ...grounds, restsOn, action: 'delete', reason: ifGone, explanation: gone };
  }
  const kept = keep(`Deployment ${deployment} still runs`);
  return exists === undefined ? { ...kept, needsDeployment: deployment } : kept;
}

const groundsOf = ({ hpa, owner, relatives }: Owned, configs: readonly EnvoyGatewayConfig[]) => ({
  hpa,
  owner,
  restsOn: [...relatives.restsOn, ...configs.map(({ configMap }) => read('ConfigMap', configMap.metadata))],
  restsOnDefaultAlone: false,
});

/** Envoy Gateway puts its HPAs into its own namespace, where its ConfigMap is, or beside their Gateways. */
const mayBeOf = (configs: readonly EnvoyGatewayConfig[], hpa: HorizontalPodAutoscaler, owner: Owner) =>
  isBesideGateway(hpa, owner) ||
  configs.some(({ configMap }) => configMap.metadata.namespace === hpa.metadata.namespace);

const isBesideGateway = ({ metadata }: HorizontalPodAutoscaler, owner: Owner | undefined) =>
  owner?.kind === 'Gateway' && owner.namespace === metadata.namespace;

/** Why Envoy Gateway rejects what the owner asks for, or what it refers to cannot be found: one clause. */
function rejected(owner: Owner, relatives: Relatives, settings: EnvoyGatewaySettings): string | undefined {
  const { gatewayClass, gateways, classProxy } = relatives;
  if (gatewayClass === undefined) return undefined;
  const className = gatewayClass.metadata.name;
  if (isRejected(gatewayClass)) return `GatewayClass ${className} is not accepted`;
  const classReference = gatewayClass.spec.parametersRef;
  if (classReference && classProxy === undefined) {
    return `The parametersRef of GatewayClass ${className} leads to no EnvoyProxy`;
  }
  const merges = mergesGateways(specOf(classProxy), settings.defaultProxy);
  if (merges && settings.gatewayNamespaceMode) {
    return `GatewayClass ${className} merges its Gateways, which GatewayNamespace mode rejects`;
  }
  const refused = (gateway: Gateway): string | undefined => {
    const name = objectKey(gateway.metadata);
    const reference = gateway.spec.infrastructure?.parametersRef;
    if (isRejected(gateway)) return `Gateway ${name} is not accepted`;
    if (reference && classProxy?.spec?.mergeGateways) {
      return `Gateway ${name} has a parametersRef although its class merges Gateways`;
    }
    if (reference && !merges && relatives.proxyOf(gateway) === undefined) {
      return `The parametersRef of Gateway ${name} leads to no EnvoyProxy`;
    }
    return undefined;
  };
  const refusals = gateways.map(refused);
  if (owner.kind === 'Gateway') return refusals[0];
  return refusals.length > 0 && refusals.every((refusal) => refusal !== undefined)
    ? `Every Gateway of GatewayClass ${owner.name} is rejected (${refusals[0]})`
    : undefined;
}

const isRejected = ({ status }: Gateway | GatewayClass): boolean =>
  status?.conditions?.some(({ type, status: value }) => type === 'Accepted' && value === 'False') ?? false;

/** Everything that an owner's configuration is made of, as the snapshot has it. */
interface Relatives {
  /** The Gateway itself, or all Gateways of the class. */
  readonly gateways: readonly Gateway[];
  readonly gatewayClassName: string | undefined;
  readonly gatewayClass: GatewayClass | undefined;
  readonly classProxy: EnvoyProxy | undefined;
  /** The EnvoyProxies that the owner and its class refer to. */
  readonly proxies: readonly EnvoyProxy[];
  readonly restsOn: readonly ObjectRead[];
  readonly identity: { gateway: Gateway } | { className: string };
  proxyOf(gateway: Gateway): EnvoyProxy | undefined;
  effective(settings: EnvoyGatewaySettings): EffectiveProxy;
  /** Whether a default has a say beside the EnvoyProxies of the owner and its class, whatever it says. */
  readonly heedsDefault: boolean;
  describe(levels: EffectiveProxy['levels'], config: EnvoyGatewayConfig): string;
}

/** The snapshot with its indexes, built once for all HPAs. */
class Cluster {
  readonly snapshot: Snapshot;
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
    this.#wanted = this.#everythingWanted();
  }

  /** The installations that serve the class. One that cannot be read may serve any. */
  configsFor(gatewayClass: GatewayClass): EnvoyGatewayConfig[] {
    return this.snapshot.envoyGatewayConfigs.filter(
      ({ settings }) => !isReadable(settings) || settings.controllerName === gatewayClass.spec.controllerName,
    );
  }

  /** The HPA at this place, if it is there to stay and Envoy Gateway made it for this owner. */
  hpaOf(owner: Owner, place: Place): HorizontalPodAutoscaler[] {
    const hpa = this.#hpas.get(objectKey(place));
    if (hpa === undefined || hpa.metadata.deletionTimestamp || !appliedByEnvoyGateway(hpa)) return [];
    const labelled = labelledOwner(hpa);
    return labelled !== undefined && labelled !== 'ambiguous' && sameOwner(labelled, owner) ? [hpa] : [];
  }

  /** The live owners whose configuration asks for an HPA of this namespace and name. */
  wantedBy(place: Place): readonly Owner[] {
    return this.#wanted.get(objectKey(place)) ?? [];
  }

  relativesOf(owner: Owner): Relatives {
    const gateway = owner.kind === 'Gateway' ? this.#gateways.get(objectKey(owner)) : undefined;
    const gateways =
      owner.kind === 'GatewayClass' ? (this.#gatewaysOfClass.get(owner.name) ?? []) : gateway ? [gateway] : [];
    const className = owner.kind === 'GatewayClass' ? owner.name : gateway?.spec.gatewayClassName;
    const gatewayClass = className === undefined ? undefined : this.#classes.get(className);
    const classReference = proxyReference(
      gatewayClass?.spec.parametersRef,
      (reference) => reference.namespace ?? 'default',
    );
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
      classProxy,
      proxies: [ownProxy, classProxy].filter((proxy) => proxy !== undefined),
      restsOn: [
        ...(owner.kind === 'Gateway' && !gateway ? [absent('Gateway', owner.namespace, owner.name)] : []),
        ...gateways.map(({ metadata }) => read('Gateway', metadata)),
        ...(className === undefined ? [] : [readOrAbsent('GatewayClass', gatewayClass, { name: className })]),
        ...references.map((reference) => readOrAbsent('EnvoyProxy', find(reference), reference)),
      ],
      identity: gateway ? { gateway } : { className: className ?? '' },
      proxyOf: (other) => find(gatewayProxyReference(other)),
      effective: (settings) => effective(settings.defaultProxy),
      heedsDefault: effective({}).levels.includes('default'),
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

  #everythingWanted(): Map<string, Owner[]> {
    const owners: Owner[] = [
      ...this.snapshot.gateways.map(({ metadata }) => ({
        kind: 'Gateway' as const,
        namespace: metadata.namespace,
        name: metadata.name,
      })),
      ...this.snapshot.gatewayClasses.map(({ metadata }) => ({ kind: 'GatewayClass' as const, name: metadata.name })),
    ];
    return grouped(owners.flatMap((owner) => this.#wantedPlaces(owner).map((place) => [objectKey(place), owner])));
  }

  #wantedPlaces(owner: Owner): Place[] {
    const relatives = this.relativesOf(owner);
    if (relatives.gatewayClass === undefined || relatives.gateways.length === 0) return [];
    return this.configsFor(relatives.gatewayClass).flatMap((config) => {
      const { settings } = config;
      if (!isReadable(settings)) return [];
      const merges =
        !settings.gatewayNamespaceMode && mergesGateways(specOf(relatives.classProxy), settings.defaultProxy);
      if (merges !== (owner.kind === 'GatewayClass')) return [];
      const { spec } = relatives.effective(settings);
      return spec.provider?.kubernetes?.envoyHpa ? expectedHpas(relatives.identity, spec, config, settings) : [];
    });
  }
}

const specOf = (proxy: EnvoyProxy | undefined) => proxy && (proxy.spec ?? {});

const gatewayProxyReference = (gateway: Gateway) =>
  proxyReference(gateway.spec.infrastructure?.parametersRef, () => gateway.metadata.namespace);

/** Where a parametersRef leads, if it names an EnvoyProxy at all. A class's without a namespace means `default`. */
function proxyReference<Reference extends { group: string; kind: string; name: string }>(
  reference: Reference | null | undefined,
  namespaceOf: (reference: Reference) => string,
): Place | undefined {
  if (reference?.group !== 'gateway.envoyproxy.io' || reference.kind !== 'EnvoyProxy') return undefined;
  return { namespace: namespaceOf(reference), name: reference.name };
}

function grouped<T>(entries: readonly (readonly [string, T])[]): Map<string, T[]> {
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

const samePlace = (a: Place, b: Place) => a.namespace === b.namespace && a.name === b.name;

const read = (kind: string, { namespace, name, uid, resourceVersion }: Omit<ObjectRead, 'kind'>): ObjectRead => ({
  kind,
  namespace,
  name,
  uid,
  resourceVersion,
});
const absent = (kind: string, namespace: string | undefined, name: string): ObjectRead => ({ kind, namespace, name });
const readOrAbsent = (
  kind: string,
  object: { metadata: Omit<ObjectRead, 'kind'> } | undefined,
  place: { namespace?: string; name: string },
): ObjectRead => (object ? read(kind, object.metadata) : absent(kind, place.namespace, place.name));

const describeOwner = (owner: Owner) => `${owner.kind} ${objectKey(owner)}`;
