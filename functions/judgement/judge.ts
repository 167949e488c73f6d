import { type ClusterIndex, effectiveProxyOf, indexOf, type OwnerConfig } from './cluster-index.ts';
import { controllerOf, controllerVersion, DeploymentReads } from './controller.ts';
import { type Desired, resolve } from './desired.ts';
import { type EnvoyGatewayConfig, isGatewayNamespaceMode, isReadable } from './envoy-gateway-config.ts';
import { isAtLeast } from './envoy-gateway-version.ts';
import { type HorizontalPodAutoscaler, KEEP_ANNOTATION, type NamespacedName, objectKey } from './kubernetes-objects.ts';
import { adoptedBy, appliedByEnvoyGateway, describeOwner, labelledOwner, type Owner, sameOwner } from './ownership.ts';
import { type ObjectRead, objectRead, type Snapshot } from './snapshot.ts';
import { notObserved } from './status.ts';

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
type DeleteReason = (typeof DELETE_REASONS)[number];

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
type KeepReason = (typeof KEEP_REASONS)[number];

export type Verdict = Grounds & ({ action: 'delete'; reason: DeleteReason } | { action: 'keep'; reason: KeepReason });

interface Grounds {
  readonly hpa: HorizontalPodAutoscaler;
  readonly owner: Owner | undefined;
  /** One sentence for a person. */
  readonly explanation: string;
  /** Everything that was read to decide, in a fixed order: if it is equal later, nothing has changed. */
  readonly restsOn: readonly ObjectRead[];
  /** True when the default in the EnvoyGateway ConfigMap decided, and no EnvoyProxy. */
  readonly restsOnDefaultAlone: boolean;
  /** `namespace/name` of Deployments that were not read and can change this verdict or its explanation. */
  readonly needsDeployments: readonly string[];
  /** What Envoy Gateway writes into `spec.replicas` of the Deployment; absent where it leaves that field alone. */
  readonly appliedReplicas?: number | 'unknown';
  /** The HPA that replaces this one. */
  readonly successor?: HorizontalPodAutoscaler;
  /** What a person can do if this verdict lasts. */
  readonly remedy?: string;
}

/** An HPA that is judged, and everything that is known of what its owner asks for. */
interface Candidate {
  readonly hpa: HorizontalPodAutoscaler;
  readonly owner: Owner;
  readonly config: OwnerConfig;
  readonly cluster: ClusterIndex;
  readonly reads: DeploymentReads;
  /** One of the installations that may serve the owner. */
  readonly installation: EnvoyGatewayConfig | undefined;
  /** What that installation wants for the owner. Only the rows that call it depend on the Deployments that it reads. */
  readonly desired: () => Desired;
}

/** A row of the judgement. */
interface Row {
  readonly when: string;
  /** `gone`: the scale target is an `apps/v1` Deployment and does not exist; `seen`: Envoy Gateway has seen the configuration. */
  readonly action: 'keep' | 'gone: delete, else keep' | 'seen: delete, else keep';
  /** To delete first, where the row can. */
  readonly reasons: readonly (DeleteReason | KeepReason)[];
  readonly verdict: (candidate: Candidate) => Verdict | undefined;
}

/**
 * The judgement, from top to bottom; the first row that fits wins. docs/reasons.md has the same table.
 *
 * An HPA whose Deployment still runs is deleted for two reasons only: the configuration of its owner, fully known and seen by
 * Envoy Gateway, asks for no autoscaling, or for another HPA that exists. For every other reason Envoy Gateway must have removed
 * the Deployment.
 */
export const ROWS: readonly Row[] = [
  keeps('NotManagedByEnvoyGateway', 'no owning label, or Envoy Gateway never applied it', foreign),
  keeps(
    'AmbiguousOwner',
    'labelled for more than one of a Gateway, a GatewayClass and the rate limit service',
    ambiguous,
  ),
  keeps('Protected', 'annotation `envoy-hpa-reaper/keep`', protectedByAnnotation),
  keeps('Terminating', 'it, its Gateway or its class is being deleted, or it has finalizers', terminating),
  keeps('Adopted', 'somebody else controls it, applies it, or owns its scale target', adopted),
  keeps('AutoscalingConfigured', 'another owner asks for an HPA of its name', wantedByAnother),
  ifGone('GatewayDeleted', 'ScaleTargetStillRuns', 'its Gateway does not exist', gatewayDeleted, orphanRemedy),
  ifGone('GatewayClassDeleted', 'ScaleTargetStillRuns', 'its class does not exist', gatewayClassDeleted, orphanRemedy),
  ifGone('ScaleTargetGone', 'DefaultsUnreadable', 'rate limit: no readable ConfigMap beside it', rateLimitUnknown),
  ifGone('GatewayNotManaged', 'DefaultsUnreadable', 'no readable ConfigMap', is('unmanaged', 'unreadable')),
  ifGone('ScaleTargetGone', 'ParametersUnresolved', 'its parameters are rejected', is('rejected')),
  ifGone('MergedIntoGatewayClass', 'ScaleTargetStillRuns', 'its class merges its Gateways', is('merged')),
  ifGone('NoLongerMerged', 'ScaleTargetStillRuns', 'its class no longer merges its Gateways', is('not merged')),
  ifGone('NoGateways', 'ScaleTargetStillRuns', 'its merging class has no Gateway', is('no Gateways')),
  ifGone('ScaleTargetGone', 'ScaleTargetStillRuns', 'DaemonSet, or no rate limit service', is('no Deployment')),
  ifGone('AutoscalingRemoved', 'DefaultsUnreadable', 'default of another installation', defaultUnknown),
  ifSeen('AutoscalingRemoved', 'no effective `envoyHpa`', (candidate) => {
    const { state, because } = candidate.desired();
    return state === 'no autoscaling' ? { because } : undefined;
  }),
  ifSeen('Renamed', 'its owner asks for another name or namespace, and that HPA exists', renamed),
  {
    when: 'its owner asks for this name or for another, it is not known which, and both HPAs exist',
    action: 'gone: delete, else keep',
    reasons: ['Renamed', 'AutoscalingConfigured'],
    verdict: oneOfTwoNames,
  },
  {
    when: 'in all other cases',
    action: 'keep',
    reasons: ['AutoscalingConfigured'],
    verdict: (candidate) => kept(decided(candidate), 'AutoscalingConfigured', `${candidate.desired().because}.`),
  },
];

/**
 * Judges every HPA of the snapshot by {@link ROWS}. Pure: no clock, no I/O.
 *
 * With `controllerNamespaces` an HPA is only stale if it is by the ConfigMaps in these namespaces alone.
 */
export function judge(snapshot: Snapshot): Verdict[] {
  const { hpas, controllerNamespaces = [] } = snapshot;
  const whole = indexOf(snapshot);
  const known = whole.ofListedControllers();
  return hpas.map((hpa) => {
    const verdict = judgeHpa(hpa, known);
    // A controller creates its HPAs in its own namespace or beside their Gateways. So in a listed namespace they belong to a
    // listed controller. Elsewhere they may belong to one that is not in the list: then every ConfigMap must agree.
    const isOfListed =
      controllerNamespaces.includes(hpa.metadata.namespace) && !isBesideGateway(hpa, verdict.owner, whole);
    return verdict.action === 'keep' || known === whole || isOfListed ? verdict : judgeHpa(hpa, whole);
  });
}

/**
 * Several installations may serve one controller name (shards, leftovers): an HPA is stale only if it is by each of them, and
 * the verdict rests on what each of them rests on.
 */
function judgeHpa(hpa: HorizontalPodAutoscaler, cluster: ClusterIndex): Verdict {
  const labelled = labelledOwner(hpa);
  const owner = labelled === 'ambiguous' ? undefined : labelled;
  const config = owner && cluster.configOf(owner);
  const reads = new DeploymentReads(cluster.snapshot);
  const installations = config?.installations.length ? config.installations : [undefined];
  const verdicts = installations.map((installation) => {
    let desired: Desired | undefined;
    const resolved = () => (desired ??= resolve(config as OwnerConfig, installation, cluster, reads));
    // The first two rows keep every HPA without an owner; the others rely on that.
    return firstRow({ hpa, owner, config, cluster, reads, installation, desired: resolved } as Candidate);
  });
  const needsDeployments = [...reads.needed];
  const [first] = verdicts as [Verdict];
  const isKept = verdicts.find(({ action }) => action === 'keep');
  if (isKept) return { ...isKept, needsDeployments };
  const restsOn = verdicts.flatMap((verdict) => verdict.restsOn);
  const unique = new Map(restsOn.map((object) => [`${object.kind} ${objectKey(object)}`, object]));
  return { ...first, restsOn: [...unique.values()], needsDeployments };
}

function firstRow(candidate: Candidate): Verdict {
  for (const row of ROWS) {
    const verdict = row.verdict(candidate);
    if (verdict) return verdict;
  }
  throw new TypeError(`no row fits HPA ${objectKey(candidate.hpa.metadata)}`);
}

/** A row that keeps whatever the configuration says; `because` gives the explanation. */
function keeps(reason: KeepReason, when: string, because: (candidate: Candidate) => string | undefined): Row {
  return {
    when,
    action: 'keep',
    reasons: [reason],
    verdict: (candidate) => {
      const explanation = because(candidate);
      const { hpa, owner } = candidate;
      const grounds = { hpa, owner, restsOn: [], restsOnDefaultAlone: false, needsDeployments: [] };
      return explanation === undefined ? undefined : kept(grounds, reason, explanation);
    },
  };
}

/** A row that deletes once the Deployment is gone; `because` gives one clause. */
function ifGone(
  reason: DeleteReason,
  otherwise: KeepReason,
  when: string,
  because: (candidate: Candidate) => string | undefined,
  remedyOf?: (candidate: Candidate) => string | undefined,
): Row {
  return {
    when,
    action: 'gone: delete, else keep',
    reasons: [reason, otherwise],
    verdict: (candidate) => {
      const clause = because(candidate);
      if (clause === undefined) return undefined;
      const grounds = groundsOf(candidate);
      const running = notGone(candidate);
      return running === undefined
        ? deleted(
            candidate,
            grounds,
            reason,
            `${clause}, and Deployment ${objectKey(deploymentOf(candidate.hpa))} is gone.`,
          )
        : { ...kept(grounds, otherwise, `${clause}, but ${running}.`), remedy: remedyOf?.(candidate) };
    },
  };
}

/** A row that deletes beside a running Deployment once Envoy Gateway has seen the configuration; `because` is one clause. */
function ifSeen(
  reason: DeleteReason,
  when: string,
  find: (candidate: Candidate) => { because: string; successor?: HorizontalPodAutoscaler } | undefined,
): Row {
  return {
    when,
    action: 'seen: delete, else keep',
    reasons: [reason, 'NotObserved'],
    verdict: (candidate) => {
      const found = find(candidate);
      if (found === undefined) return undefined;
      const { because, successor } = found;
      const grounds = withSuccessor(decided(candidate), successor);
      const unseen = notSeen(candidate);
      if (unseen === undefined) return deleted(candidate, grounds, reason, `${because}.`);
      const explanation = `${because}, but Envoy Gateway may not have seen that: ${unseen.because}.`;
      return { ...kept(grounds, 'NotObserved', explanation), remedy: unseen.remedy };
    },
  };
}

const kept = (grounds: Omit<Grounds, 'explanation'>, reason: KeepReason, explanation: string): Verdict => ({
  ...grounds,
  action: 'keep',
  reason,
  explanation,
});

/** The verdict also rests on the Deployments that were read. */
const deleted = (
  { reads }: Candidate,
  grounds: Omit<Grounds, 'explanation'>,
  reason: DeleteReason,
  explanation: string,
): Verdict => ({
  ...grounds,
  restsOn: [...grounds.restsOn, ...reads.decided()],
  action: 'delete',
  reason,
  explanation,
});

const groundsOf = ({ hpa, owner, config }: Candidate): Omit<Grounds, 'explanation'> => ({
  hpa,
  owner,
  restsOn: config.restsOn,
  restsOnDefaultAlone: false,
  needsDeployments: [],
});

/** The grounds where the effective configuration of the owner decides. */
function decided(candidate: Candidate): Omit<Grounds, 'explanation'> {
  const { levels, appliedReplicas } = candidate.desired();
  return { ...groundsOf(candidate), restsOnDefaultAlone: levels.join() === 'default', appliedReplicas };
}

/** Its status is written all the time, so the verdict rests on its identity, not on its version. */
function withSuccessor(
  grounds: Omit<Grounds, 'explanation'>,
  successor: HorizontalPodAutoscaler | undefined,
): Omit<Grounds, 'explanation'> {
  if (successor === undefined) return grounds;
  const { namespace, name, uid } = successor.metadata;
  const read = objectRead('HorizontalPodAutoscaler', { namespace, name, uid });
  return { ...grounds, restsOn: [...grounds.restsOn, read], successor };
}

function foreign({ hpa }: Candidate): string | undefined {
  if (labelledOwner(hpa) === undefined) return 'It carries no whole owning label of Envoy Gateway.';
  if (appliedByEnvoyGateway(hpa)) return undefined;
  return hpa.metadata.managedFields?.length
    ? 'It carries the label, but Envoy Gateway never applied it: somebody else made it.'
    : 'It carries the label, but no managedFields, which would show that Envoy Gateway applied it: it was restored or saved without them.';
}

function ambiguous({ hpa }: Candidate): string | undefined {
  if (labelledOwner(hpa) !== 'ambiguous') return undefined;
  return 'It is labelled as owned by more than one of a Gateway, a GatewayClass and the rate limit service at once.';
}

function protectedByAnnotation({ hpa, owner, config }: Candidate): string | undefined {
  const configMaps = owner.kind === 'ConfigMap' ? config.installations.map(({ configMap }) => configMap) : [];
  const related = [hpa, ...config.gateways, config.gatewayClass, ...config.proxies, ...configMaps];
  const found = related.find((object) => object?.metadata.annotations?.[KEEP_ANNOTATION] === 'true');
  if (found === undefined) return undefined;
  return `${found === hpa ? 'It' : objectKey(found.metadata)} is annotated ${KEEP_ANNOTATION}: "true".`;
}

function terminating({ hpa, config: { gateways, gatewayClass } }: Candidate): string | undefined {
  const { finalizers, deletionTimestamp } = hpa.metadata;
  if (deletionTimestamp) return 'It is being deleted already.';
  if (finalizers?.length) return `Finalizers hold it: ${finalizers.join(', ')}.`;
  if (gatewayClass?.metadata.deletionTimestamp) return `GatewayClass ${gatewayClass.metadata.name} is being deleted.`;
  const isEveryGateway = gateways.length > 0 && gateways.every(({ metadata }) => metadata.deletionTimestamp);
  return isEveryGateway ? 'Its Gateway is being deleted.' : undefined;
}

function adopted({ hpa }: Candidate): string | undefined {
  const adoption = adoptedBy(hpa);
  return adoption && `It is no longer Envoy Gateway's alone: ${adoption}.`;
}

function wantedByAnother({ hpa, owner, cluster }: Candidate): string | undefined {
  const other = cluster.wantedBy(hpa.metadata).find((one) => !sameOwner(one, owner));
  return other && `${describeOwner(other)} asks for an HPA of this name.`;
}

function gatewayDeleted({ owner, config }: Candidate): string | undefined {
  return owner.kind === 'Gateway' && config.gateways.length === 0
    ? `${describeOwner(owner)} does not exist`
    : undefined;
}

function gatewayClassDeleted({ owner, config }: Candidate): string | undefined {
  if (owner.kind === 'ConfigMap' || config.gatewayClass !== undefined) return undefined;
  return `GatewayClass ${config.gatewayClassName} does not exist`;
}

function orphanRemedy({ hpa }: Candidate): string | undefined {
  if (!isDeployment(hpa.spec.scaleTargetRef)) return undefined;
  return `Envoy Gateway removes Deployment ${objectKey(deploymentOf(hpa))} too, unless it was down when its owner went: then nothing ever does. If it serves nobody any more, delete it, and the next sweep deletes the HPA.`;
}

/** Whether the configuration resolves to one of these states. */
function is(...states: Desired['state'][]) {
  return ({ desired }: Candidate): string | undefined => {
    const { state, because } = desired();
    return states.includes(state) ? because : undefined;
  };
}

function rateLimitUnknown(candidate: Candidate): string | undefined {
  return candidate.owner.kind === 'ConfigMap' ? is('unmanaged', 'unreadable')(candidate) : undefined;
}

/**
 * Whether a default could count, and that of the installation that created the HPA is not known: Envoy Gateway creates HPAs in
 * its own namespace, where its ConfigMap is, or beside their Gateways; that of a class only in GatewayNamespace mode.
 */
function defaultUnknown({ hpa, owner, config, cluster, desired }: Candidate): string | undefined {
  const { state, because } = desired();
  if (state !== 'no autoscaling' || owner.kind === 'ConfigMap') return undefined;
  if (!effectiveProxyOf(config, { defaultProxy: {} }).levels.includes('default')) return undefined;
  const { namespace } = hpa.metadata;
  const isBeside = isBesideGateway(hpa, owner, cluster);
  const isKnown = config.installations.some(
    ({ configMap, settings }) =>
      configMap.metadata.namespace === namespace ||
      (isBeside && (owner.kind === 'Gateway' || isGatewayNamespaceMode(settings))),
  );
  return isKnown ? undefined : `${because}, and what a ConfigMap of an Envoy Gateway in ${namespace} said is not known`;
}

/** The HPA that the owner asks for in place of this one, if it exists. */
function successorOf({ hpa, owner, cluster, desired }: Candidate): HorizontalPodAutoscaler | undefined {
  return desired()
    .names.filter((name) => !sameName(name, hpa.metadata))
    .map((name) => cluster.hpaOf(owner, name))
    .find((one) => one !== undefined);
}

const mayBeWanted = ({ hpa, desired }: Candidate): boolean =>
  desired().names.some((name) => sameName(name, hpa.metadata));

function renamed(candidate: Candidate) {
  const { hpa, owner, reads } = candidate;
  const successor = successorOf(candidate);
  if (successor === undefined || mayBeWanted(candidate)) return undefined;
  // It does not decide, but the report says whether anything still scales the old Deployment.
  const target = deploymentOf(hpa);
  if (!sameName(deploymentOf(successor), target) && reads.peek(target) === undefined) {
    reads.needed.add(objectKey(target));
  }
  const because = `${describeOwner(owner)} asks for HPA ${objectKey(successor.metadata)} instead, which is there`;
  return { because, successor };
}

/**
 * Nothing says which of the two HPAs is meant: v1.4 and v1.5 disagree about the name, and in GatewayNamespace mode the HPA of a
 * class that merges has the name of one of its Gateways. The one whose Deployment is gone is stale, if the other's runs. With
 * both gone (deleted by hand, not restored yet), or with one Deployment for both, nothing says which is wanted.
 */
function oneOfTwoNames(candidate: Candidate): Verdict | undefined {
  const { hpa, owner, installation, reads } = candidate;
  const successor = successorOf(candidate);
  if (successor === undefined || installation === undefined) return undefined;
  const controller = reads.read(controllerOf(installation));
  const why =
    owner.kind === 'GatewayClass' && isGatewayNamespaceMode(installation.settings)
      ? 'it has the namespace and name of one of its Gateways, and nothing says which'
      : `v1.4 names it otherwise than v1.5, and Deployment ${objectKey(controllerOf(installation))} ${controller ? 'does not say' : 'is not there to say'} which release runs`;
  const because = `${describeOwner(owner)} asks for this HPA or for ${objectKey(successor.metadata)}: ${why}`;
  if (notGone(candidate) !== undefined) {
    const remedy = 'If you know which of the two is meant, delete the other one.';
    return { ...kept(groundsOf(candidate), 'AutoscalingConfigured', `${because}; both are kept.`), remedy };
  }
  if (!reads.read(deploymentOf(successor), 'existence')) {
    return kept(decided(candidate), 'AutoscalingConfigured', `${because}; the Deployment of neither is there.`);
  }
  const explanation = `${because}, and Deployment ${objectKey(deploymentOf(hpa))} is gone.`;
  return deleted(candidate, withSuccessor(groundsOf(candidate), successor), 'Renamed', explanation);
}

/** Why the scale target is not known to be gone: one clause. */
function notGone({ hpa, reads }: Candidate): string | undefined {
  const { apiVersion = '', kind, name } = hpa.spec.scaleTargetRef;
  if (!isDeployment(hpa.spec.scaleTargetRef)) return `it scales ${`${apiVersion} ${kind} ${name}`.trim()}`;
  const isRunning = reads.read(deploymentOf(hpa), 'existence') !== null;
  return isRunning ? `Deployment ${objectKey(deploymentOf(hpa))} still runs` : undefined;
}

/**
 * Why Envoy Gateway may not have seen the configuration, and what to do. Its own Deployment must have been read as well: that
 * says which release runs, and which ConfigMap it reads.
 */
function notSeen(candidate: Candidate): { because: string; remedy: string } | undefined {
  const { config, cluster, reads } = candidate;
  const installation = candidate.installation as EnvoyGatewayConfig;
  const controller = reads.read(controllerOf(installation));
  if (controller === undefined) {
    return { because: `Deployment ${objectKey(controllerOf(installation))} was not read`, remedy: 'Look again.' };
  }
  const unseen = notObserved(config.gateways, config.gatewayClass);
  if (unseen) {
    const remedy = 'If that lasts, see whether Envoy Gateway runs and watches that namespace, and what its log says.';
    return { because: unseen, remedy };
  }
  const { settings } = installation;
  const stuckAt = isReadable(settings) ? cluster.rejectedClass(settings.controllerName)?.metadata.name : undefined;
  const version = controllerVersion(controller);
  if (stuckAt === undefined || isAtLeast(version, 4)) return undefined;
  const which = version ? `${version.text} runs` : 'which release runs is not known';
  return {
    because: `GatewayClass ${stuckAt} is rejected for its parameters, which stops releases before v1.4 altogether, and ${which}`,
    remedy: `Repair the parametersRef of GatewayClass ${stuckAt}, or delete that class.`,
  };
}

const isDeployment = ({ apiVersion, kind }: HorizontalPodAutoscaler['spec']['scaleTargetRef']) =>
  kind === 'Deployment' && apiVersion === 'apps/v1';

/** The scale target of an HPA is in its own namespace. */
export const deploymentOf = ({ metadata, spec }: HorizontalPodAutoscaler): NamespacedName => ({
  namespace: metadata.namespace,
  name: spec.scaleTargetRef.name,
});

/** Whether it is in the namespace of its Gateway, or of one of the Gateways of its class. */
function isBesideGateway(
  { metadata }: HorizontalPodAutoscaler,
  owner: Owner | undefined,
  cluster: ClusterIndex,
): boolean {
  if (owner?.kind === 'Gateway') return owner.namespace === metadata.namespace;
  if (owner?.kind !== 'GatewayClass') return false;
  return cluster.configOf(owner).gateways.some((gateway) => gateway.metadata.namespace === metadata.namespace);
}

const sameName = (a: NamespacedName, b: NamespacedName) => objectKey(a) === objectKey(b);
