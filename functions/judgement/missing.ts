import { controllerOf, controllerVersion, DeploymentReads, otherConfiguration } from './controller.ts';
import { expectedRateLimitHpa } from './effective-proxy.ts';
import { type EnvoyGatewayConfig, isReadable } from './envoy-gateway-config.ts';
import { isAtLeast } from './envoy-gateway-version.ts';
import { type Gateway, type NamespacedName, objectKey } from './kubernetes-objects.ts';
import {
  acceptance,
  type ClusterIndex,
  describeOwner,
  indexOf,
  notObserved,
  type OwnerConfig,
  resolve,
  specWriteTimes,
} from './owner-config.ts';
import type { Owner } from './ownership.ts';
import type { Snapshot } from './snapshot.ts';

export const MISSING_REASON = 'WantedButMissing';

/** An HPA that an owner asks for, that Envoy Gateway has had the time to make, and that is not there. */
export interface MissingHpa extends NamespacedName {
  readonly owner: Owner;
  /** Of the owner, for an Event on it. */
  readonly ownerUid: string | undefined;
  readonly reason: typeof MISSING_REASON;
  /** One sentence for a person. */
  readonly explanation: string;
  readonly remedy: string;
}

/** Seconds; so long Envoy Gateway has to make an HPA after something that asks for it was written. */
export const MISSING_AFTER_SECONDS = 600;

/**
 * The HPAs that are wanted and missing, as far as the snapshot knows: Envoy Gateway does not watch what it made, and does not
 * notice. Pure. Nothing is said of an owner while the snapshot lacks a Deployment that was asked for, or the HPAs of the
 * namespace where one is missing; `needs` names these.
 */
export function missingHpas(
  snapshot: Snapshot,
  now: Date,
): { missing: MissingHpa[]; needs: { deployments: string[]; namespaces: string[] } } {
  const cluster = indexOf(snapshot).ofListedControllers();
  const reads = new DeploymentReads(snapshot);
  const namespaces = new Set<string>();
  const missing = cluster.owners().flatMap((owner): MissingHpa[] => {
    const wish =
      owner.kind === 'ConfigMap' ? rateLimitWish(owner, cluster, reads, now) : wishOf(owner, cluster, reads, now);
    const [first] = wish?.places ?? [];
    if (wish === undefined || first === undefined) return [];
    if (wish.places.some((place) => cluster.hpaAt(place) !== undefined)) return [];
    // One without Envoy Gateway's labels (a patch can take them off) is there all the same, and so is a newer one.
    for (const { namespace } of wish.places) {
      if (snapshot.scalers?.get(namespace) === undefined) namespaces.add(namespace);
    }
    const others = wish.places.map((place) =>
      snapshot.scalers?.get(place.namespace)?.some(({ metadata }) => metadata.name === place.name),
    );
    if (others.some((isThere) => isThere !== false)) return [];
    const { namespace, name } = first;
    return [{ namespace, name, owner, ...wish.told, reason: MISSING_REASON }];
  });
  return { missing, needs: { deployments: [...reads.needed], namespaces: [...namespaces] } };
}

interface Wish {
  readonly places: readonly NamespacedName[];
  readonly told: Pick<MissingHpa, 'ownerUid' | 'explanation' | 'remedy'>;
}

/** What every installation that may serve the owner makes of it, if all of them want an HPA, and for long enough. */
function wishOf(owner: Owner, cluster: ClusterIndex, reads: DeploymentReads, now: Date): Wish | undefined {
  const ownerConfig = cluster.configOf(owner);
  const { gatewayClass } = ownerConfig;
  if (gatewayClass === undefined || !isServed(ownerConfig) || !isSettled(ownerConfig, now)) return undefined;
  const configs = cluster.configsFor(gatewayClass);
  const resolved = configs.map((config) => {
    const one = resolve(owner, ownerConfig, gatewayClass, config, reads);
    if (one.state === 'undecided' || !one.wantsHpa) return undefined;
    // Where all of them are there, nothing depends on the controller: it is not asked for.
    if (one.places.every((place) => cluster.hpaAt(place) !== undefined)) return undefined;
    if (!isInForce(config, reads, now)) return undefined;
    // An older release does not know the default.
    const version = controllerVersion(reads.peek(controllerOf(config)));
    return one.effective.levels.includes('default') && isAtLeast(version, 7) === false ? undefined : one;
  });
  const [config] = configs;
  const [wanted] = resolved;
  if (config === undefined || wanted === undefined || resolved.includes(undefined)) return undefined;
  const places = resolved.flatMap((one) => one?.places ?? []);
  const uid = owner.kind === 'Gateway' ? ownerConfig.gateways[0]?.metadata.uid : gatewayClass.metadata.uid;
  const explanation = `${describeOwner(owner)} asks for autoscaling in ${wanted.source}, and there is no HPA ${namesOf(places)}`;
  const change = ownerConfig.proxies.length > 0 ? 'change the spec of its EnvoyProxy' : 'give it an EnvoyProxy';
  return {
    places,
    told: { ownerUid: uid, explanation: `${explanation}.`, remedy: remedyOf(config, change, cluster, reads) },
  };
}

/** The rate limit service runs, so Envoy Gateway has taken that part of its configuration up. */
function rateLimitWish(
  owner: Owner & { kind: 'ConfigMap' },
  cluster: ClusterIndex,
  reads: DeploymentReads,
  now: Date,
): Wish | undefined {
  const config = cluster.configIn(owner.namespace);
  const rateLimit = config && isReadable(config.settings) ? config.settings.rateLimit : undefined;
  if (config === undefined || rateLimit?.hpa === undefined) return undefined;
  const version = controllerVersion(reads.peek(controllerOf(config)));
  const places = expectedRateLimitHpa(rateLimit.hpa, owner.namespace, version);
  if (places.some((place) => cluster.hpaAt(place) !== undefined) || !isInForce(config, reads, now)) return undefined;
  const deployment = { namespace: owner.namespace, name: rateLimit.deployment?.name || 'envoy-ratelimit' };
  if (deployment.name.includes('/') || !reads.read(deployment, 'existence')) return undefined;
  const explanation = `${describeOwner(owner)} asks for autoscaling of the rate limit service, and there is no HPA ${namesOf(places)}.`;
  return {
    places,
    told: { ownerUid: config.configMap.metadata.uid, explanation, remedy: remedyOf(config, undefined, cluster, reads) },
  };
}

/** Envoy Gateway has accepted it, in the generation that it has. */
function isServed({ gateways, gatewayClass }: OwnerConfig): boolean {
  const isAccepted = (object: Parameters<typeof acceptance>[0]) => acceptance(object)?.status === 'True';
  const objects = [...gateways, ...(gatewayClass ? [gatewayClass] : [])];
  return (
    gatewayClass !== undefined &&
    isAccepted(gatewayClass) &&
    gateways.some((gateway) => isAccepted(gateway) && isProgrammed(gateway)) &&
    objects.every(({ metadata }) => !metadata.deletionTimestamp) &&
    notObserved({ gateways, gatewayClass }) === undefined
  );
}

/** Without a listener that it can serve Envoy Gateway makes nothing for a Gateway, though it accepts it. */
const isProgrammed = ({ status }: Gateway): boolean =>
  (status?.attachedListenerSets ?? 0) > 0 ||
  (status?.listeners ?? []).some(({ conditions }) =>
    conditions?.some((condition) => condition.type === 'Programmed' && condition.status === 'True'),
  );

/** Nothing that asks for the HPA is young. */
const isSettled = ({ gateways, gatewayClass, proxies }: OwnerConfig, now: Date): boolean =>
  [...gateways, ...(gatewayClass ? [gatewayClass] : []), ...proxies].every(({ metadata }) =>
    isOld(specWriteTimes(metadata), now),
  );

/** The ConfigMap is what its Envoy Gateway reads, and has reached it. Where no Deployment says so, it counts. */
function isInForce(config: EnvoyGatewayConfig, reads: DeploymentReads, now: Date): boolean {
  const { managedFields, creationTimestamp } = config.configMap.metadata;
  const times = [creationTimestamp, ...(managedFields ?? []).map(({ time }) => time)];
  // A saved ConfigMap may have lost all times.
  if (times.some((time) => time != null) && !isOld(times, now)) return false;
  const controller = reads.read(controllerOf(config));
  return controller === null || (controller !== undefined && otherConfiguration(controller) === undefined);
}

/** Without a time nothing is known to be old: what a what-if lays over a cluster has none. */
function isOld(times: readonly (string | null | undefined)[], now: Date): boolean {
  const known = times.filter((time) => time != null).map((time) => (now.getTime() - Date.parse(time)) / 1000);
  return known.length > 0 && known.every((seconds) => seconds >= MISSING_AFTER_SECONDS);
}

const namesOf = (places: readonly NamespacedName[]) => [...new Set(places.map(objectKey))].join(' or ');

function remedyOf(
  config: EnvoyGatewayConfig,
  change: string | undefined,
  cluster: ClusterIndex,
  reads: DeploymentReads,
): string {
  const { namespace, name } = controllerOf(config);
  const controller = reads.peek({ namespace, name });
  const rejected = isReadable(config.settings) ? cluster.rejectedClass(config.settings.controllerName) : undefined;
  const isStuck = rejected && !isAtLeast(controllerVersion(controller), 4);
  const restart = controller
    ? `restart Envoy Gateway (kubectl -n ${namespace} rollout restart deployment ${name})`
    : 'restart Envoy Gateway';
  return [
    ...(isStuck
      ? [
          `First repair GatewayClass ${rejected.metadata.name}, which is rejected: that stops releases before v1.4 altogether.`,
        ]
      : []),
    `Envoy Gateway does not notice that it is gone: ${restart}${change ? `, or ${change}` : ''}, or put it back with \`reaper restore\` if this tool deleted it.`,
  ].join(' ');
}
