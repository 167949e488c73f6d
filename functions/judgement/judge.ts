import { ClusterIndex, DeploymentReads, type OwnerConfig, type Snapshot } from './cluster-index.ts';
import { controllerOf, controllerVersion } from './controller.ts';
import { type Desired, resolve } from './desired.ts';
import { effectiveProxy } from './effective-proxy.ts';
import type { EnvoyGatewayConfig } from './envoy-gateway-config.ts';
import { type HorizontalPodAutoscaler, KEEP_ANNOTATION, type NamespacedName, objectKey } from './kubernetes-objects.ts';
import { adoptedBy, appliedByEnvoyGateway, describeOwner, labeledOwner, type Owner, sameOwner } from './ownership.ts';
import type { DeleteReason, KeepReason } from './reasons.ts';
import { notObserved } from './status.ts';

export type Verdict = Grounds & ({ action: 'delete'; reason: DeleteReason } | { action: 'keep'; reason: KeepReason });

interface Grounds {
  readonly hpa: HorizontalPodAutoscaler;
  readonly owner: Owner | undefined;
  /** One sentence for a person. */
  readonly explanation: string;
  /** Everything that was read to decide, in a fixed order: if it is equal later, nothing has changed. */
  readonly restsOn: OwnerConfig['restsOn'];
  /** True when the default in the EnvoyGateway ConfigMap decided, and no EnvoyProxy. */
  readonly restsOnDefaultAlone: boolean;
  /** `namespace/name` of Deployments that were not read and can change this verdict or its explanation. */
  readonly needsDeployments: readonly string[];
  /** What Envoy Gateway writes into `spec.replicas` of the Deployment; absent if it leaves that field alone. */
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
  /** What that installation wants for the owner. Only a row that calls it depends on the Deployments that it reads. */
  readonly desired: () => Desired;
}

/** Why a row applies: one clause, and what else the verdict says. */
type Finding = Partial<Omit<Grounds, 'hpa' | 'owner' | 'explanation' | 'needsDeployments'>> & { because: string };

/** A row of the judgement: it keeps, or it deletes if its requirement is met. */
type Row = {
  /** The reason if the row does not delete. */
  readonly keeps: KeepReason;
  /** When the row applies, for docs/reasons.md. */
  readonly when: string;
  readonly find: (candidate: Candidate) => Finding | string | undefined;
} & (
  | { readonly deletes: DeleteReason; readonly requires: keyof typeof REQUIREMENTS }
  | { readonly deletes?: undefined; readonly requires?: undefined }
);

/** A row that keeps whatever the configuration says. */
const keeps = (reason: KeepReason, when: string, find: Row['find']): Row => ({ keeps: reason, when, find });

/** A row that deletes if the scale target is an `apps/v1` Deployment and does not exist. */
function ifGone(deletes: DeleteReason, otherwise: KeepReason, when: string, find: Row['find']): Row {
  return { deletes, keeps: otherwise, requires: 'gone', when, find };
}

/** A row that deletes, beside a running Deployment too, if Envoy Gateway has seen the configuration. */
function ifSeen(deletes: DeleteReason, when: string, find: Row['find']): Row {
  return { deletes, keeps: 'NotObserved', requires: 'seen', when, find };
}

/**
 * The judgement, from top to bottom: the first row that applies wins. docs/reasons.md has the same table.
 *
 * An HPA whose Deployment still runs is deleted for two reasons only: the configuration of its owner, fully known and seen by
 * Envoy Gateway, asks for no autoscaling, or for another HPA that exists. For every other reason Envoy Gateway must have removed
 * the Deployment.
 */
export const ROWS: readonly Row[] = [
  keeps('NotManagedByEnvoyGateway', 'it has no owning label, or Envoy Gateway never applied it', foreign),
  keeps('AmbiguousOwner', 'its labels name more than one owner', ambiguous),
  keeps('Protected', 'it or what it belongs to has the annotation `envoy-hpa-reaper/keep`', protectedByAnnotation),
  keeps('Terminating', 'it, its Gateway or its class is being deleted, or it has finalizers', terminating),
  keeps('Adopted', 'another controller, tool or field manager manages it', adopted),
  keeps('AutoscalingConfigured', 'another owner asks for an HPA of its name', wantedByAnother),
  ifGone('GatewayDeleted', 'ScaleTargetStillRuns', 'its Gateway does not exist', gatewayDeleted),
  ifGone('GatewayClassDeleted', 'ScaleTargetStillRuns', 'its class does not exist', gatewayClassDeleted),
  ifGone(
    'ScaleTargetGone',
    'DefaultsUnreadable',
    'rate limits have no readable ConfigMap',
    is('unreadable', 'ConfigMap'),
  ),
  ifGone('GatewayNotManaged', 'DefaultsUnreadable', 'its class has no readable ConfigMap', is('unreadable')),
  ifGone('ScaleTargetGone', 'ParametersUnresolved', 'its parameters are rejected', is('rejected')),
  ifGone('MergedIntoGatewayClass', 'ScaleTargetStillRuns', 'its class merges its Gateways', is('merged')),
  ifGone('NoLongerMerged', 'ScaleTargetStillRuns', 'its class no longer merges its Gateways', is('not merged')),
  ifGone('NoGateways', 'ScaleTargetStillRuns', 'its merging class has no Gateway', is('no Gateways')),
  ifGone('ScaleTargetGone', 'ScaleTargetStillRuns', 'its proxy is a DaemonSet, or not asked for', is('no Deployment')),
  ifGone('AutoscalingRemoved', 'DefaultsUnreadable', 'only an unknown default may ask for autoscaling', defaultUnknown),
  ifSeen('AutoscalingRemoved', 'no `envoyHpa` (or `rateLimitHpa`) is effective', is('no autoscaling')),
  ifSeen('Renamed', 'its owner asks for another name or namespace, and that HPA exists', renamed),
  {
    deletes: 'Renamed',
    keeps: 'AutoscalingConfigured',
    requires: 'replaced',
    when: 'its owner asks for its name or another one, it is not known which, and both HPAs exist',
    find: oneOfTwoNames,
  },
  keeps('AutoscalingConfigured', 'in all other cases', decided),
];

/**
 * Judges every HPA of the snapshot by {@link ROWS}. Pure: no clock, no I/O.
 *
 * With `controllerNamespaces` an HPA is only stale if it is by the ConfigMaps in these namespaces alone.
 */
export function judge(snapshot: Snapshot): Verdict[] {
  const { hpas, controllerNamespaces } = snapshot;
  const whole = ClusterIndex.of(snapshot);
  const known = whole.ofListedControllers();
  return hpas.map((hpa) => {
    const verdict = judgeHpa(hpa, known);
    // A controller creates its HPAs in its own namespace or beside their Gateways. So in a listed namespace they belong to a
    // listed controller. Elsewhere they may belong to one that is not in the list: then every ConfigMap must agree.
    const isOfListed =
      controllerNamespaces?.includes(hpa.metadata.namespace) && !isBesideGateway(hpa, verdict.owner, whole);
    return verdict.action === 'keep' || known === whole || isOfListed ? verdict : judgeHpa(hpa, whole);
  });
}

/**
 * Several installations may serve one controller name (shards, leftovers): an HPA is stale only if it is by each of them, and
 * the verdict rests on what each of them rests on.
 */
function judgeHpa(hpa: HorizontalPodAutoscaler, cluster: ClusterIndex): Verdict {
  const labeled = labeledOwner(hpa);
  const owner = labeled === 'ambiguous' ? undefined : labeled;
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
    const found = row.find(candidate);
    if (found !== undefined) return verdictOf(row, candidate, typeof found === 'string' ? { because: found } : found);
  }
  throw new TypeError(`no row applies to HPA ${objectKey(candidate.hpa.metadata)}`);
}

function verdictOf({ deletes, keeps, requires }: Row, candidate: Candidate, { because, ...found }: Finding): Verdict {
  const { hpa, owner, config, reads } = candidate;
  const restsOn = found.restsOn ?? (requires ? config.restsOn : []);
  const grounds = { hpa, owner, restsOnDefaultAlone: false, needsDeployments: [], ...found, restsOn };
  const unmet = requires && REQUIREMENTS[requires](candidate);
  if (deletes === undefined || unmet) {
    const explanation = unmet ? `${because}, but ${unmet.because}.` : `${because}.`;
    return { ...grounds, action: 'keep', reason: keeps, explanation, remedy: unmet?.remedy ?? found.remedy };
  }
  const gone = requires === 'seen' ? '' : `, and Deployment ${objectKey(deploymentOf(hpa))} is gone`;
  const decisive = [...restsOn, ...reads.decided()];
  const explanation = `${because}${gone}.`;
  return { ...grounds, restsOn: decisive, action: 'delete', reason: deletes, explanation, remedy: undefined };
}

function foreign({ hpa }: Candidate): string | undefined {
  if (labeledOwner(hpa) === undefined) return 'It does not have the owning labels of Envoy Gateway';
  if (appliedByEnvoyGateway(hpa)) return undefined;
  return hpa.metadata.managedFields?.length
    ? 'It has the label, but Envoy Gateway never applied it: somebody else created it'
    : 'It has the label, but no managedFields, which would show that Envoy Gateway applied it: it was restored or saved without them';
}

function ambiguous({ hpa }: Candidate): string | undefined {
  if (labeledOwner(hpa) !== 'ambiguous') return undefined;
  return 'It has the labels of more than one of a Gateway, a GatewayClass and the rate limit service';
}

function protectedByAnnotation({ hpa, owner, config }: Candidate): string | undefined {
  const configMaps = owner.kind === 'ConfigMap' ? config.installations.map(({ configMap }) => configMap) : [];
  const related = [hpa, ...config.gateways, config.gatewayClass, ...config.proxies, ...configMaps];
  const found = related.find((object) => object?.metadata.annotations?.[KEEP_ANNOTATION] === 'true');
  if (found === undefined) return undefined;
  return `${found === hpa ? 'It' : objectKey(found.metadata)} is annotated ${KEEP_ANNOTATION}: "true"`;
}

function terminating({ hpa, config: { gateways, gatewayClass } }: Candidate): string | undefined {
  const { finalizers, deletionTimestamp } = hpa.metadata;
  if (deletionTimestamp) return 'It is already being deleted';
  if (finalizers?.length) return `It has finalizers: ${finalizers.join(', ')}`;
  if (gatewayClass?.metadata.deletionTimestamp) return `GatewayClass ${gatewayClass.metadata.name} is being deleted`;
  const isEveryGateway = gateways.length > 0 && gateways.every(({ metadata }) => metadata.deletionTimestamp);
  return isEveryGateway ? 'Its Gateway is being deleted' : undefined;
}

function adopted({ hpa }: Candidate): string | undefined {
  const adoption = adoptedBy(hpa);
  return adoption && `Envoy Gateway is not the only one that manages it: ${adoption}`;
}

function wantedByAnother({ hpa, owner, cluster }: Candidate): string | undefined {
  const other = cluster.wantedBy(hpa.metadata).find((one) => !sameOwner(one, owner));
  return other && `${describeOwner(other)} asks for an HPA of this name`;
}

function gatewayDeleted({ hpa, owner, config }: Candidate): Finding | undefined {
  if (owner.kind !== 'Gateway' || config.gateways.length > 0) return undefined;
  return { because: `${describeOwner(owner)} does not exist`, remedy: orphanRemedy(hpa) };
}

function gatewayClassDeleted({ hpa, owner, config }: Candidate): Finding | undefined {
  if (owner.kind === 'ConfigMap' || config.gatewayClass !== undefined) return undefined;
  return { because: `GatewayClass ${config.gatewayClassName} does not exist`, remedy: orphanRemedy(hpa) };
}

function orphanRemedy(hpa: HorizontalPodAutoscaler): string | undefined {
  if (!isDeployment(hpa.spec.scaleTargetRef)) return undefined;
  return `Envoy Gateway removes Deployment ${objectKey(deploymentOf(hpa))} too, unless it was down when the owner was deleted. If nothing uses the Deployment anymore, delete it, and the next sweep deletes the HPA.`;
}

/** Whether the configuration resolves to this state. */
function is(expected: Desired['state'], kind?: Owner['kind']) {
  return (candidate: Candidate): Finding | undefined => {
    if (kind !== undefined && candidate.owner.kind !== kind) return undefined;
    return candidate.desired().state === expected ? decided(candidate) : undefined;
  };
}

/**
 * Whether a default could count, and that of the installation that created the HPA is not known: Envoy Gateway creates HPAs in
 * its own namespace, where its ConfigMap is, or beside their Gateways; that of a class only in GatewayNamespace mode.
 */
function defaultUnknown({ hpa, owner, config, cluster, desired }: Candidate): string | undefined {
  const { state, because } = desired();
  if (state !== 'no autoscaling') return undefined;
  if (!effectiveProxy(config, { defaultProxy: {} }).levels.includes('default')) return undefined;
  const { namespace } = hpa.metadata;
  const isBeside = isBesideGateway(hpa, owner, cluster);
  const isKnown = config.installations.some(
    ({ configMap, settings }) =>
      configMap.metadata.namespace === namespace ||
      (isBeside && (owner.kind === 'Gateway' || settings.gatewayNamespaceMode)),
  );
  return isKnown ? undefined : `${because}, and the default of an Envoy Gateway in ${namespace} is not known`;
}

/** The effective configuration of the owner decides. */
function decided({ config, desired }: Candidate): Finding {
  const { because, levels, appliedReplicas } = desired();
  return { because, restsOn: config.restsOn, restsOnDefaultAlone: levels.join() === 'default', appliedReplicas };
}

/** The HPA that the owner asks for instead of this one, if it exists. */
function successorOf({ hpa, owner, cluster, desired }: Candidate): HorizontalPodAutoscaler | undefined {
  return desired()
    .names.filter((name) => !sameName(name, hpa.metadata))
    .map((name) => cluster.hpaOf(owner, name))
    .find((one) => one !== undefined);
}

/** The status of the successor is written all the time, so the verdict rests on its identity, not on its version. */
function replacedBy(successor: HorizontalPodAutoscaler, { config }: Candidate): Partial<Finding> {
  const { namespace, name, uid } = successor.metadata;
  return { successor, restsOn: [...config.restsOn, { kind: 'HorizontalPodAutoscaler', namespace, name, uid }] };
}

function renamed(candidate: Candidate): Finding | undefined {
  const { hpa, owner, reads, desired } = candidate;
  const successor = successorOf(candidate);
  if (successor === undefined || desired().names.some((name) => sameName(name, hpa.metadata))) return undefined;
  // It does not decide, but the report says whether anything still scales the old Deployment.
  const target = deploymentOf(hpa);
  if (!sameName(deploymentOf(successor), target) && reads.peek(target) === undefined) {
    reads.needed.add(objectKey(target));
  }
  const because = `${describeOwner(owner)} asks for HPA ${objectKey(successor.metadata)} instead, which exists`;
  return { ...decided(candidate), ...replacedBy(successor, candidate), because };
}

/**
 * Nothing says which of the two HPAs is meant: v1.4 and v1.5 disagree about the name, and in GatewayNamespace mode the HPA of a
 * class that merges has the name of one of its Gateways.
 */
function oneOfTwoNames(candidate: Candidate): Finding | undefined {
  const { owner, reads } = candidate;
  const successor = successorOf(candidate);
  if (successor === undefined) return undefined;
  // Without an installation no name is known, and so no successor.
  const installation = candidate.installation as EnvoyGatewayConfig;
  const controller = reads.read(controllerOf(installation));
  const why =
    owner.kind === 'GatewayClass' && installation.settings.gatewayNamespaceMode
      ? 'it has the namespace and name of one of its Gateways, and nothing says which'
      : `v1.4 and v1.5 use different names, and Deployment ${objectKey(controllerOf(installation))} ${controller ? 'does not say' : 'does not exist to say'} which version runs`;
  const because = `${describeOwner(owner)} asks for this HPA or for ${objectKey(successor.metadata)}: ${why}`;
  return { ...replacedBy(successor, candidate), because };
}

/** Why the requirement is not met (one clause), and what to do. */
type Unmet = { because: string; remedy?: string };

/** `replaced`: the Deployment of the HPA is gone, and that of the other HPA exists. */
const REQUIREMENTS = { gone: notGone, replaced: notReplaced, seen: notSeen };

function notGone({ hpa, reads }: Candidate): Unmet | undefined {
  const { apiVersion = '', kind, name } = hpa.spec.scaleTargetRef;
  if (!isDeployment(hpa.spec.scaleTargetRef)) return { because: `it scales ${`${apiVersion} ${kind} ${name}`.trim()}` };
  const isRunning = reads.read(deploymentOf(hpa), 'existence') !== null;
  return isRunning ? { because: `Deployment ${objectKey(deploymentOf(hpa))} still runs` } : undefined;
}

/**
 * Of two HPAs, the one whose Deployment is gone is stale if the Deployment of the other exists. If both are gone (deleted by
 * hand, not restored yet), or both HPAs scale the same one, nothing says which HPA is wanted.
 */
function notReplaced(candidate: Candidate): Unmet | undefined {
  const running = notGone(candidate);
  if (running) return { ...running, remedy: 'If you know which of the two HPAs is meant, delete the other one.' };
  const successor = successorOf(candidate);
  const isServed = successor && candidate.reads.read(deploymentOf(successor), 'existence');
  return isServed ? undefined : { because: 'the Deployment of neither exists' };
}

/**
 * The Deployment of Envoy Gateway must have been read as well: it says which release runs, and which ConfigMap that reads.
 */
function notSeen({ installation, config, cluster, reads }: Candidate): Unmet | undefined {
  const unseen = (why: string, remedy: string) => ({ because: `Envoy Gateway may not have seen that: ${why}`, remedy });
  const served = installation as EnvoyGatewayConfig;
  const controller = reads.read(controllerOf(served));
  if (controller === undefined) {
    return unseen(`Deployment ${objectKey(controllerOf(served))} was not read`, 'Run the sweep again.');
  }
  const notYet = notObserved(config.observed);
  if (notYet) {
    const remedy = 'If this lasts, check whether Envoy Gateway runs and watches that namespace, and read its log.';
    return unseen(notYet, remedy);
  }
  const version = controllerVersion(controller);
  const stuckAt = cluster.stuckAt(served, version);
  if (stuckAt === undefined) return undefined;
  const which = version ? `${version.text} runs` : 'the running version is not known';
  return unseen(
    `GatewayClass ${stuckAt} is rejected for its parameters, which stops versions before v1.4 completely, and ${which}`,
    `Fix the parametersRef of GatewayClass ${stuckAt}, or delete that class.`,
  );
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
  if (owner === undefined) return false;
  if (owner.kind === 'Gateway') return owner.namespace === metadata.namespace;
  return cluster.configOf(owner).gateways.some((gateway) => gateway.metadata.namespace === metadata.namespace);
}

const sameName = (a: NamespacedName, b: NamespacedName) => objectKey(a) === objectKey(b);
