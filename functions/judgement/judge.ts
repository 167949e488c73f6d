import { controllerOf, controllerVersion, DeploymentReads } from './controller.ts';
import { appliedReplicas, expectedRateLimitHpa } from './effective-proxy.ts';
import { type EnvoyGatewayConfig, isReadable } from './envoy-gateway-config.ts';
import { isAtLeast } from './envoy-gateway-version.ts';
import {
  type GatewayClass,
  type HorizontalPodAutoscaler,
  KEEP_ANNOTATION,
  type NamespacedName,
  objectKey,
} from './kubernetes-objects.ts';
import {
  absent,
  type ClusterIndex,
  describeOwner,
  indexOf,
  knownSettings,
  notObserved,
  type OwnerConfig,
  type Resolved,
  read,
  resolve,
} from './owner-config.ts';
import { adoptedBy, appliedByEnvoyGateway, labelledOwner, type Owner, sameOwner } from './ownership.ts';
import type { ObjectRead, Snapshot } from './snapshot.ts';

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
  'NotObserved',
] as const;
export type KeepReason = (typeof KEEP_REASONS)[number];

export type Verdict = Grounds & ({ action: 'delete'; reason: DeleteReason } | { action: 'keep'; reason: KeepReason });

interface Grounds {
  readonly hpa: HorizontalPodAutoscaler;
  readonly owner: Owner | undefined;
  /** One sentence for a person. */
  readonly explanation: string;
  /** What was read of everything that decided, in a fixed order: equal grounds mean nothing has changed. */
  readonly restsOn: readonly ObjectRead[];
  /** True when the default in the EnvoyGateway ConfigMap decided alone, with no EnvoyProxy beside it. */
  readonly restsOnDefaultAlone: boolean;
  /** `namespace/name` of Deployments that were not read, and may change this verdict or what is said of it. */
  readonly needsDeployments: readonly string[];
  /** What Envoy Gateway writes into `spec.replicas` of the Deployment; absent where it leaves that field alone. */
  readonly appliedReplicas?: number | 'unknown';
  /** The HPA that takes the place of this one. */
  readonly successor?: HorizontalPodAutoscaler;
  /** What a person can do, if this verdict stays as it is. */
  readonly remedy?: string;
}

/**
 * Says of every HPA of the snapshot whether it is stale, by the rows of the judgement table from top to bottom; the first
 * that fits wins. Pure: no clock, no I/O.
 *
 * An HPA whose Deployment still runs is stale for two reasons only: the configuration that rules it, fully known and seen by
 * Envoy Gateway, asks for no autoscaling (`AutoscalingRemoved`), or for another HPA that is there (`Renamed`). For every other
 * reason Envoy Gateway itself has removed the Deployment, so that must be gone.
 *
 * With `controllerNamespaces` nothing is stale that is not stale by the ConfigMaps in these namespaces alone.
 */
export function judge(snapshot: Snapshot): Verdict[] {
  const { hpas, controllerNamespaces = [] } = snapshot;
  const whole = indexOf(snapshot);
  const known = whole.ofListedControllers();
  return hpas.map((hpa) => {
    const verdict = judgeHpa(hpa, known);
    // A controller puts its HPAs into its own namespace or beside their Gateways. So in a listed namespace they are of a
    // listed controller. Anywhere else they may be of one that was left out of the list: then every ConfigMap must agree.
    const isOfListed =
      controllerNamespaces.includes(hpa.metadata.namespace) && !isBesideGateway(hpa, verdict.owner, whole);
    return verdict.action === 'keep' || known === whole || isOfListed ? verdict : judgeHpa(hpa, whole);
  });
}

/** An HPA that carries both marks of Envoy Gateway, what its owner asks for, and what was asked of the Deployments. */
interface Candidate {
  readonly hpa: HorizontalPodAutoscaler;
  readonly owner: Owner;
  readonly config: OwnerConfig;
  readonly cluster: ClusterIndex;
  readonly reads: DeploymentReads;
}

/** A row of the judgement table: the verdict where it fits. */
type Row = (candidate: Candidate) => Verdict | undefined;

/** In the order of the table; the first that fits wins. */
const ROWS: readonly Row[] = [
  protectedByAnnotation,
  terminating,
  adopted,
  wantedByAnother,
  ofRateLimit,
  gatewayGone,
  gatewayClassGone,
  byConfiguration,
];

function judgeHpa(hpa: HorizontalPodAutoscaler, cluster: ClusterIndex): Verdict {
  const labelled = labelledOwner(hpa);
  const owner = labelled === 'ambiguous' ? undefined : labelled;
  const notOurs = (reason: KeepReason, explanation: string) => keep({ hpa, owner }, reason, explanation);
  if (labelled === undefined) {
    return notOurs('NotManagedByEnvoyGateway', 'It carries no whole owning label of Envoy Gateway.');
  }
  if (!appliedByEnvoyGateway(hpa)) {
    const explanation = hpa.metadata.managedFields?.length
      ? 'It carries the label, but Envoy Gateway never applied it: somebody else made it.'
      : 'It carries the label, but no managedFields, which would show that Envoy Gateway applied it: it was restored or saved without them.';
    return notOurs('NotManagedByEnvoyGateway', explanation);
  }
  if (owner === undefined) {
    const owners = 'a Gateway, a GatewayClass and the rate limit service';
    return notOurs('AmbiguousOwner', `It is labelled as owned by more than one of ${owners} at once.`);
  }
  const reads = new DeploymentReads(cluster.snapshot);
  const candidate = { hpa, owner, config: cluster.configOf(owner), cluster, reads };
  for (const row of ROWS) {
    const verdict = row(candidate);
    if (verdict) return { ...verdict, needsDeployments: [...reads.needed] };
  }
  throw new TypeError(`no row fits HPA ${objectKey(hpa.metadata)}`);
}

/** A verdict for a reason that no configuration decides. */
const keep = ({ hpa, owner }: Pick<Verdict, 'hpa' | 'owner'>, reason: KeepReason, explanation: string): Verdict => ({
  ...{ hpa, owner, action: 'keep', reason, explanation, restsOn: [], restsOnDefaultAlone: false, needsDeployments: [] },
});

function protectedByAnnotation(candidate: Candidate): Verdict | undefined {
  const { hpa, owner, config, cluster } = candidate;
  const related = [
    hpa,
    ...config.gateways,
    config.gatewayClass,
    ...config.proxies,
    owner.kind === 'ConfigMap' ? cluster.configIn(owner.namespace)?.configMap : undefined,
  ];
  const found = related.find((object) => object?.metadata.annotations?.[KEEP_ANNOTATION] === 'true');
  if (found === undefined) return undefined;
  const name = found === hpa ? 'It' : objectKey(found.metadata);
  return keep(candidate, 'Protected', `${name} is annotated ${KEEP_ANNOTATION}: "true".`);
}

function terminating(candidate: Candidate): Verdict | undefined {
  const { hpa, config } = candidate;
  const { finalizers, deletionTimestamp } = hpa.metadata;
  if (deletionTimestamp) return keep(candidate, 'Terminating', 'It is being deleted already.');
  if (finalizers?.length) return keep(candidate, 'Terminating', `Finalizers hold it: ${finalizers.join(', ')}.`);
  if (config.gatewayClass?.metadata.deletionTimestamp) {
    return keep(candidate, 'Terminating', `GatewayClass ${config.gatewayClass.metadata.name} is being deleted.`);
  }
  if (config.gateways.length > 0 && config.gateways.every(({ metadata }) => metadata.deletionTimestamp)) {
    return keep(candidate, 'Terminating', 'Its Gateway is being deleted.');
  }
  return undefined;
}

function adopted(candidate: Candidate): Verdict | undefined {
  const adoption = adoptedBy(candidate.hpa);
  return adoption ? keep(candidate, 'Adopted', `It is no longer Envoy Gateway's alone: ${adoption}.`) : undefined;
}

function wantedByAnother(candidate: Candidate): Verdict | undefined {
  const { hpa, owner, cluster } = candidate;
  const other = cluster.wantedBy(hpa.metadata).find((one) => !sameOwner(one, owner));
  return other && keep(candidate, 'AutoscalingConfigured', `${describeOwner(other)} asks for an HPA of this name.`);
}

/** The rate limit service is configured where Envoy Gateway itself is: nothing else decides, and nothing rejects it. */
function ofRateLimit(candidate: Candidate): Verdict | undefined {
  const { owner, cluster, reads } = candidate;
  if (owner.kind !== 'ConfigMap') return undefined;
  const config = cluster.configIn(owner.namespace);
  const name = describeOwner(owner);
  if (config === undefined) {
    return onlyIfGone(
      candidate,
      [],
      'ScaleTargetGone',
      'DefaultsUnreadable',
      `${name} does not exist or does not count`,
    );
  }
  const configs = [config];
  const settings = knownSettings(config, reads);
  if (!isReadable(settings)) {
    return onlyIfGone(candidate, configs, 'ScaleTargetGone', 'DefaultsUnreadable', settings.unreadable);
  }
  if (settings.rateLimit === undefined) {
    const explanation = `${name} configures no rate limit service`;
    return onlyIfGone(candidate, configs, 'ScaleTargetGone', 'ScaleTargetStillRuns', explanation);
  }
  const { hpa, deployment } = settings.rateLimit;
  const grounds = { ...groundsOf(candidate, configs), appliedReplicas: appliedReplicas(deployment) };
  if (hpa) {
    const version = controllerVersion(reads.peek(controllerOf(config)));
    const places = expectedRateLimitHpa(hpa, owner.namespace, version);
    return (
      renamed(candidate, undefined, config, configs, places, grounds) ??
      keep(candidate, 'AutoscalingConfigured', `${name} asks for autoscaling of the rate limit service.`)
    );
  }
  const explanation = `${name} asks for no autoscaling of the rate limit service: it has no rateLimitHpa.`;
  return ifObserved(candidate, config, { ...grounds, action: 'delete', reason: 'AutoscalingRemoved', explanation });
}

function gatewayGone(candidate: Candidate): Verdict | undefined {
  const { owner, config } = candidate;
  if (owner.kind !== 'Gateway' || config.gateways.length > 0) return undefined;
  return ownerGone(candidate, 'GatewayDeleted', describeOwner(owner));
}

function gatewayClassGone(candidate: Candidate): Verdict | undefined {
  const { config } = candidate;
  if (config.gatewayClass !== undefined) return undefined;
  return ownerGone(candidate, 'GatewayClassDeleted', `GatewayClass ${config.gatewayClassName}`);
}

function ownerGone(candidate: Candidate, ifGone: DeleteReason, owner: string): Verdict {
  const verdict = onlyIfGone(candidate, [], ifGone, 'ScaleTargetStillRuns', `${owner} does not exist`);
  const { hpa } = candidate;
  if (verdict.action === 'delete' || !isDeployment(hpa.spec.scaleTargetRef)) return verdict;
  const remedy = `Envoy Gateway removes Deployment ${objectKey(deploymentOf(hpa))} too, unless it was down when its owner went: then nothing ever does. If it serves nobody any more, delete it, and the next sweep deletes the HPA.`;
  return { ...verdict, remedy };
}

/**
 * Several installations may serve one controller name (shards, left-overs): stale only if every one says so, and then it rests
 * on what each of them rests on.
 */
function byConfiguration(candidate: Candidate): Verdict {
  const { config, cluster } = candidate;
  const gatewayClass = config.gatewayClass as GatewayClass;
  const configs = cluster.configsFor(gatewayClass);
  const verdicts = configs.map((one) => byOneConfiguration(candidate, gatewayClass, one, configs));
  const [first] = verdicts;
  if (first === undefined) {
    const { controllerNamespaces = [] } = cluster.snapshot;
    const where = controllerNamespaces.length > 0 ? ` in ${controllerNamespaces.join(', ')}` : '';
    const explanation = `No ConfigMap of an Envoy Gateway${where} names controller ${gatewayClass.spec.controllerName}`;
    return onlyIfGone(candidate, [], 'GatewayNotManaged', 'DefaultsUnreadable', explanation);
  }
  const restsOn = verdicts.flatMap((verdict) => verdict.restsOn);
  return (
    verdicts.find(({ action }) => action === 'keep') ?? {
      ...first,
      restsOn: [...new Map(restsOn.map((object) => [`${object.kind} ${objectKey(object)}`, object])).values()],
    }
  );
}

/** What is known of an owner that asks for no HPA of its own: the reason where the Deployment is gone, and where it is not. */
const UNDECIDED: Record<Extract<Resolved, { state: 'undecided' }>['row'], readonly [DeleteReason, KeepReason]> = {
  unreadable: ['GatewayNotManaged', 'DefaultsUnreadable'],
  rejected: ['ScaleTargetGone', 'ParametersUnresolved'],
  merged: ['MergedIntoGatewayClass', 'ScaleTargetStillRuns'],
  'not merged': ['NoLongerMerged', 'ScaleTargetStillRuns'],
  'no Gateways': ['NoGateways', 'ScaleTargetStillRuns'],
  DaemonSet: ['ScaleTargetGone', 'ScaleTargetStillRuns'],
};

/** The verdict by one of the installations that may serve the class; it rests on the ConfigMaps of all. */
function byOneConfiguration(
  candidate: Candidate,
  gatewayClass: GatewayClass,
  config: EnvoyGatewayConfig,
  configs: readonly EnvoyGatewayConfig[],
): Verdict {
  const { hpa, owner, reads } = candidate;
  const resolved = resolve(owner, candidate.config, gatewayClass, config, reads);
  if (resolved.state === 'undecided') {
    const [ifGone, otherwise] = UNDECIDED[resolved.row];
    return onlyIfGone(candidate, configs, ifGone, otherwise, resolved.because);
  }
  const { effective, source, wantsHpa, places } = resolved;
  const grounds = {
    ...groundsOf(candidate, configs),
    restsOnDefaultAlone: effective.levels.every((level) => level === 'default'),
    appliedReplicas: appliedReplicas(effective.spec.provider?.kubernetes?.envoyDeployment),
  };
  if (!wantsHpa) {
    const explanation = `${describeOwner(owner)} asks for no autoscaling: no envoyHpa in ${source}`;
    if (candidate.config.usesDefault && !mayBeOf(configs, candidate)) {
      const { namespace } = hpa.metadata;
      const unknown = `${explanation}, and what a ConfigMap of an Envoy Gateway in ${namespace} said is not known`;
      return onlyIfGone(candidate, configs, 'AutoscalingRemoved', 'DefaultsUnreadable', unknown);
    }
    const removed = {
      ...grounds,
      action: 'delete',
      reason: 'AutoscalingRemoved',
      explanation: `${explanation}.`,
    } as const;
    return ifObserved(candidate, config, removed, gatewayClass);
  }
  return (
    renamed(candidate, gatewayClass, config, configs, places, grounds) ?? {
      ...grounds,
      action: 'keep',
      reason: 'AutoscalingConfigured',
      explanation: `${describeOwner(owner)} asks for autoscaling in ${source}.`,
    }
  );
}

/** The verdict where the owner asks for an HPA in another place, and that one is there; else `undefined`. */
function renamed(
  candidate: Candidate,
  gatewayClass: GatewayClass | undefined,
  config: EnvoyGatewayConfig,
  configs: readonly EnvoyGatewayConfig[],
  places: readonly NamespacedName[],
  grounds: Omit<Grounds, 'explanation'>,
): Verdict | undefined {
  const { hpa, owner, cluster, reads } = candidate;
  const successor = places
    .filter((place) => !samePlace(place, hpa.metadata))
    .map((place) => cluster.hpaOf(owner, place))
    .find((one) => one !== undefined);
  if (successor === undefined) return undefined;
  const successorRead = { ...read('HorizontalPodAutoscaler', successor.metadata), resourceVersion: undefined };
  const target = deploymentOf(successor);
  const name = objectKey(successor.metadata);
  if (!places.some((place) => samePlace(place, hpa.metadata))) {
    // Not decided by it: whether anybody scales what this HPA scales is only told.
    if (!samePlace(target, deploymentOf(hpa)) && reads.peek(deploymentOf(hpa)) === undefined) {
      reads.needed.add(objectKey(deploymentOf(hpa)));
    }
    const explanation = `${describeOwner(owner)} asks for HPA ${name} instead, which is there.`;
    const verdict = { ...grounds, action: 'delete', reason: 'Renamed', explanation, successor } as const;
    return ifObserved(candidate, config, { ...verdict, restsOn: [...grounds.restsOn, successorRead] }, gatewayClass);
  }
  // Nothing tells which of them is meant: v1.4 and v1.5 disagree about the name, and in GatewayNamespace mode the HPA of a class
  // that merges lies beside one of its Gateways. The one whose Deployment is gone is stale, if the other's runs. With both gone
  // (deleted by hand, not restored yet), or with one for both, nothing says which of them is wanted.
  const controller = reads.read(controllerOf(config));
  const why =
    owner.kind !== 'GatewayClass' || (isReadable(config.settings) && !config.settings.gatewayNamespaceMode)
      ? `v1.4 names it otherwise than v1.5, and Deployment ${objectKey(controllerOf(config))} ${controller ? 'does not say' : 'is not there to say'} which release runs`
      : 'it has the namespace and name of one of its Gateways, and nothing says which';
  const explanation = `${describeOwner(owner)} asks for this HPA or for ${name}: ${why}`;
  const verdict = onlyIfGone(candidate, configs, 'Renamed', 'AutoscalingConfigured', explanation);
  if (verdict.action === 'keep') {
    const remedy = 'If you know which of the two is meant, delete the other one.';
    return { ...verdict, explanation: `${explanation}; both are kept.`, remedy };
  }
  if (reads.read(target, 'existence')) {
    return {
      ...verdict,
      restsOn: [...groundsOf(candidate, configs).restsOn, ...reads.decided(), successorRead],
      successor,
    };
  }
  const bothGone = `${explanation}; the Deployment of neither is there.`;
  return { ...grounds, action: 'keep', reason: 'AutoscalingConfigured', explanation: bothGone };
}

/**
 * The last look at a deletion beside a running Deployment: not while Envoy Gateway may not have seen the configuration, nor
 * while its own Deployment was not looked at, which says what release it is and which ConfigMap it reads.
 */
function ifObserved(
  candidate: Candidate,
  config: EnvoyGatewayConfig,
  verdict: Verdict & { action: 'delete' },
  gatewayClass?: GatewayClass,
): Verdict {
  const { reads, cluster } = candidate;
  const controller = reads.read(controllerOf(config));
  const unseen = controller === undefined ? undefined : notObserved(candidate.config);
  const stuckAt = stuckAtClass(config, cluster, gatewayClass);
  const version = controllerVersion(controller);
  const keepUnseen = (because: string, remedy: string): Verdict => ({
    ...{ ...verdict, action: 'keep', reason: 'NotObserved', remedy },
    explanation: `${verdict.explanation.replace(/\.$/, '')}, but Envoy Gateway may not have seen that: ${because}.`,
  });
  if (controller === undefined) {
    return keepUnseen(`Deployment ${objectKey(controllerOf(config))} was not read`, 'Look again.');
  }
  if (unseen) {
    return keepUnseen(
      unseen,
      'If that lasts, see whether Envoy Gateway runs and watches that namespace, and what its log says.',
    );
  }
  if (stuckAt && !isAtLeast(version, 4)) {
    const which = version ? `${version.text} runs` : 'which release runs is not known';
    return keepUnseen(
      `GatewayClass ${stuckAt} is rejected for its parameters, which stops releases before v1.4 altogether, and ${which}`,
      `Repair the parametersRef of GatewayClass ${stuckAt}, or delete that class.`,
    );
  }
  return { ...verdict, restsOn: [...verdict.restsOn, ...reads.decided()] };
}

/** The class at which Envoy Gateway up to v1.3 stops, if there is one: it reconciles nothing at all then. */
const stuckAtClass = (config: EnvoyGatewayConfig, cluster: ClusterIndex, gatewayClass: GatewayClass | undefined) =>
  isReadable(config.settings)
    ? cluster.rejectedClass(gatewayClass?.spec.controllerName ?? config.settings.controllerName)?.metadata.name
    : undefined;

/** A row that also wants the Deployment to be gone. */
function onlyIfGone(
  candidate: Candidate,
  configs: readonly EnvoyGatewayConfig[],
  ifGone: DeleteReason,
  otherwise: KeepReason,
  explanation: string,
): Verdict {
  const { hpa, reads } = candidate;
  const grounds = groundsOf(candidate, configs);
  const kept = (but: string): Verdict => ({
    ...{ ...grounds, action: 'keep', reason: otherwise, explanation: `${explanation}, but ${but}.` },
  });
  const target = hpa.spec.scaleTargetRef;
  if (!isDeployment(target)) {
    return kept(`it scales ${`${target.apiVersion ?? ''} ${target.kind} ${target.name}`.trim()}`);
  }
  const deployment = deploymentOf(hpa);
  const key = objectKey(deployment);
  if (reads.read(deployment, 'existence') !== null) return kept(`Deployment ${key} still runs`);
  const restsOn = [...grounds.restsOn, ...reads.decided()];
  const gone = `${explanation}, and Deployment ${key} is gone.`;
  return { ...grounds, restsOn, action: 'delete', reason: ifGone, explanation: gone };
}

const isDeployment = ({ apiVersion, kind }: HorizontalPodAutoscaler['spec']['scaleTargetRef']) =>
  kind === 'Deployment' && apiVersion === 'apps/v1';

/** What an HPA scales lies in its own namespace. */
export const deploymentOf = ({ metadata, spec }: HorizontalPodAutoscaler): NamespacedName => ({
  namespace: metadata.namespace,
  name: spec.scaleTargetRef.name,
});

const groundsOf = ({ hpa, owner, config }: Candidate, configs: readonly EnvoyGatewayConfig[]) => ({
  hpa,
  owner,
  restsOn: [
    ...config.restsOn,
    ...configs.map(({ configMap }) => read('ConfigMap', configMap.metadata)),
    ...(owner.kind === 'ConfigMap' && configs.length === 0 ? [absent('ConfigMap', owner.namespace, owner.name)] : []),
  ],
  restsOnDefaultAlone: false,
  needsDeployments: [],
});

/**
 * Envoy Gateway puts its HPAs into its own namespace, where its ConfigMap is, or beside their Gateways; that of a class only in
 * GatewayNamespace mode.
 */
const mayBeOf = (configs: readonly EnvoyGatewayConfig[], { hpa, owner, cluster }: Candidate) =>
  configs.some(
    ({ configMap, settings }) =>
      configMap.metadata.namespace === hpa.metadata.namespace ||
      (isBesideGateway(hpa, owner, cluster) &&
        (owner.kind === 'Gateway' || (isReadable(settings) && settings.gatewayNamespaceMode))),
  );

/** Whether it lies in the namespace of its Gateway, or of one of the Gateways of its class. */
function isBesideGateway(
  { metadata }: HorizontalPodAutoscaler,
  owner: Owner | undefined,
  cluster: ClusterIndex,
): boolean {
  if (owner?.kind === 'Gateway') return owner.namespace === metadata.namespace;
  if (owner?.kind !== 'GatewayClass') return false;
  return cluster.configOf(owner).gateways.some((gateway) => gateway.metadata.namespace === metadata.namespace);
}

const samePlace = (a: NamespacedName, b: NamespacedName) => a.namespace === b.namespace && a.name === b.name;
