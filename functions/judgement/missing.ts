import { ClusterIndex, DeploymentReads, type OwnerConfig, type Snapshot } from './cluster-index.ts';
import { controllerOf, controllerVersion, isAtLeast } from './controller.ts';
import { type Desired, resolve } from './desired.ts';
import type { EnvoyGatewayConfig } from './envoy-gateway-config.ts';
import { type Gateway, type NamespacedName, objectKey } from './kubernetes-objects.ts';
import { describeOwner, type Owner } from './ownership.ts';
import { acceptance, isServed, notObserved, secondsSinceWrite } from './status.ts';

/** An HPA that its owner asks for, that Envoy Gateway has had the time to create, and that does not exist. */
export interface MissingHpa extends NamespacedName {
  readonly owner: Owner;
  /** The uid of the owner, for an Event about it. */
  readonly ownerUid: string | undefined;
  readonly reason: 'WantedButMissing';
  /** One sentence for a person. */
  readonly explanation: string;
  readonly remedy: string;
}

/** The time in seconds that Envoy Gateway has to create an HPA after something that asks for it was written. */
const MISSING_AFTER_SECONDS = 600;

/**
 * The HPAs that are wanted and missing, which Envoy Gateway does not notice: it does not watch HPAs. Pure. Nothing is reported
 * for an owner while the snapshot has no answer for a Deployment that decides, or for the HPAs of the namespace where one is
 * missing; `needs` names these.
 */
export function missingHpas(
  snapshot: Snapshot,
  now: Date,
): { missing: MissingHpa[]; needs: { deployments: string[]; namespaces: string[] } } {
  const cluster = ClusterIndex.of(snapshot).ofListedControllers();
  const reads = new DeploymentReads(snapshot);
  const namespaces = new Set<string>();
  const missing = cluster.owners().flatMap((owner): MissingHpa[] => {
    const config = cluster.configOf(owner);
    const desired = desiredHpa(config, cluster, reads, now);
    if (desired === undefined) return [];
    const { names } = desired;
    if (names.some((name) => cluster.hpaAt(name) !== undefined)) return [];
    if (owner.kind === 'ConfigMap' && !isRateLimitServiceRunning(config, reads)) return [];
    // One without Envoy Gateway's labels (a patch can remove them) exists all the same, and so does a newer one.
    const exists = names.map(({ namespace, name }) => {
      const scalers = snapshot.scalers?.get(namespace);
      if (scalers === undefined) namespaces.add(namespace);
      return scalers?.some(({ metadata }) => metadata.name === name);
    });
    if (exists.some((one) => one !== false)) return [];
    const [{ namespace, name }] = names as [NamespacedName];
    const allNames = [...new Set(names.map(objectKey))].join(' or ');
    return [
      {
        namespace,
        name,
        owner,
        ownerUid: config.restsOn.find((one) => describeOwner(one) === describeOwner(owner))?.uid,
        reason: 'WantedButMissing',
        explanation: `${desired.because}, and there is no HPA ${allNames}.`,
        remedy: remedyOf(config, cluster, reads),
      },
    ];
  });
  return { missing, needs: { deployments: [...reads.needed], namespaces: [...namespaces] } };
}

/** The HPA that the owner asks for, if every installation that may serve it wants it, and has had the time to create it. */
function desiredHpa(
  config: OwnerConfig,
  cluster: ClusterIndex,
  reads: DeploymentReads,
  now: Date,
): Pick<Desired, 'names' | 'because'> | undefined {
  if (config.owner.kind !== 'ConfigMap' && !isOwnerServed(config, now)) return undefined;
  const desired = config.installations.map((installation) => {
    const one = resolve(config, installation, cluster, reads);
    // Where none is wanted, or all of them exist, nothing depends on the controller: it need not be read.
    if (one.names.every((name) => cluster.hpaAt(name) !== undefined)) return undefined;
    // A saved ConfigMap may have lost all times.
    const age = secondsSinceWrite(installation.configMap.metadata, now) ?? Number.POSITIVE_INFINITY;
    if (age < MISSING_AFTER_SECONDS) return undefined;
    // It says which ConfigMap it reads, so it must be known. An older release does not know the default.
    const controller = reads.read(controllerOf(installation));
    const knowsDefault = isAtLeast(controllerVersion(controller), 7) !== false;
    return controller !== undefined && (knowsDefault || !one.levels.includes('default')) ? one : undefined;
  });
  const [first] = desired;
  if (first === undefined || desired.includes(undefined)) return undefined;
  return { because: first.because, names: (desired as Desired[]).flatMap(({ names }) => names) };
}

/** If the rate limit service runs, Envoy Gateway has applied that part of its configuration. */
function isRateLimitServiceRunning({ owner, installations }: OwnerConfig, reads: DeploymentReads): boolean {
  const name = installations[0]?.settings.rateLimit?.deployment?.name || 'envoy-ratelimit';
  const namespace = 'namespace' in owner ? owner.namespace : '';
  return !name.includes('/') && Boolean(reads.read({ namespace, name }, 'existence'));
}

/**
 * Whether Envoy Gateway serves the owner, in its current generation, and everything that asks for the HPA is old enough. Whether it
 * does so although it rejects the class is decided with what the owner asks for.
 */
function isOwnerServed({ gateways, gatewayClass, observed, proxies }: OwnerConfig, now: Date): boolean {
  return (
    gatewayClass !== undefined &&
    ['True', 'False'].includes(acceptance(gatewayClass)?.status ?? '') &&
    gateways.some((gateway) => isServed(gateway) && isProgrammed(gateway)) &&
    observed.every(({ metadata }) => !metadata.deletionTimestamp) &&
    notObserved(observed) === undefined &&
    // The objects of a what-if have no time: they are new.
    [...observed, ...proxies].every(
      ({ metadata }) => (secondsSinceWrite(metadata, now, 'f:spec') ?? 0) >= MISSING_AFTER_SECONDS,
    )
  );
}

/** Without a listener that it can serve, Envoy Gateway creates nothing for a Gateway, although it accepts it. */
const isProgrammed = ({ status }: Gateway): boolean =>
  (status?.attachedListenerSets ?? 0) > 0 ||
  (status?.listeners ?? []).some(({ conditions }) =>
    conditions?.some((condition) => condition.type === 'Programmed' && condition.status === 'True'),
  );

function remedyOf(
  { owner, proxies, installations }: OwnerConfig,
  cluster: ClusterIndex,
  reads: DeploymentReads,
): string {
  const [installation] = installations as [EnvoyGatewayConfig];
  const { namespace, name } = controllerOf(installation);
  const controller = reads.peek({ namespace, name });
  const stuckAt = cluster.stuckAt(installation, controllerVersion(controller));
  const repair = stuckAt
    ? `First fix GatewayClass ${stuckAt}, which is rejected: that stops versions before v1.4 completely. `
    : '';
  const command = controller ? ` (kubectl -n ${namespace} rollout restart deployment ${name})` : '';
  const change = proxies.length > 0 ? ', or change the spec of its EnvoyProxy' : ', or give it an EnvoyProxy';
  return `${repair}Envoy Gateway does not notice that it is gone: restart Envoy Gateway${command}${owner.kind === 'ConfigMap' ? '' : change}, or restore it with \`reaper restore\` if this tool deleted it.`;
}
