import { type HorizontalPodAutoscaler, KEEP_ANNOTATION } from '../../functions/judgement/kubernetes-objects.ts';
import type { Message } from '../doubles/queue.ts';
import { type Cluster, hpaNameOf, isApplied, isForeign } from './cluster.ts';
import { configuredIn, type EnvoyGateway } from './envoy-gateway.ts';
import type { Process, Sight, Watcher } from './process.ts';

/** A broken invariant. */
export interface Finding {
  readonly invariant:
    | 'ForeignTouched'
    | 'ProtectedTouched'
    | 'WantedDeleted'
    | 'StaleLeft'
    | 'MissingUnexplained'
    | 'MissingUnreported'
    | 'FalselyMissing'
    | 'EventLost'
    | 'NoRest'
    | 'Crash';
  readonly what: string;
}

/** One cluster with everything that the invariants know about it. */
export interface Installation {
  readonly cluster: Cluster;
  readonly envoyGateway: EnvoyGateway;
  /** The names of all Gateways that ever exist. */
  readonly gateways: readonly string[];
}

/** The time that the reaper waits after a write to a class or a ConfigMap: DEFAULT_GUARDS.settleConfigSeconds. */
const SETTLE_CONFIG_SECONDS = 180;

/** Looks at every write of the reaper, and at every message that it consumes. */
export class Invariants implements Watcher {
  readonly #installations: ReadonlyMap<string, Installation>;
  finding: Finding | undefined;
  readonly counts: Record<string, number> = {};

  constructor(installations: ReadonlyMap<string, Installation>) {
    this.#installations = installations;
  }

  found(invariant: Finding['invariant'], what: string): void {
    this.finding ??= { invariant, what };
  }

  count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }

  configurationWasRead(process: Process, cluster: Cluster): void {
    const sight = process.sightOf(cluster.name);
    const { envoyGateway, gateways } = this.#installations.get(cluster.name) as Installation;
    const seen = gateways.filter((name) => isUntranslated(name, cluster, envoyGateway));
    if (seen.length > 0) sight.untranslated = new Set([...sight.untranslated, ...seen]);
  }

  willWrite(
    process: Process,
    cluster: Cluster,
    verb: 'mark' | 'delete',
    { metadata }: HorizontalPodAutoscaler,
    readAt: Sight['readAt'],
  ): void {
    const { name, uid, resourceVersion } = metadata;
    const live = cluster.hpas.get(name);
    if (live?.metadata.uid !== uid || live.metadata.resourceVersion !== resourceVersion) return;
    this.count(verb === 'mark' ? 'HPAs marked' : 'HPAs deleted');
    const what = `${verb} of ${name} by ${process.name}`;
    if (isForeign(live)) this.found('ForeignTouched', what);
    const { envoyGateway, gateways } = this.#installations.get(cluster.name) as Installation;
    const gatewayName = gateways.find((one) => hpaNameOf(one) === name);
    if (gatewayName === undefined) {
      this.found('ForeignTouched', what);
      return;
    }
    if (wasProtected(cluster, gatewayName, live, readAt)) this.found('ProtectedTouched', what);
    if (verb === 'mark') return;
    const isWanted = configuredIn(cluster, cluster.defaultIsOn).get(gatewayName)?.wantsHpa ?? false;
    const isKnownLimit = process.sightOf(cluster.name).untranslated.has(gatewayName);
    if (isKnownLimit) {
      this.count('deleted before the removal was translated');
      cluster.lost.set(name, 'the removal was not translated');
    } else cluster.lost.delete(name);
    if (isWanted && envoyGateway.isDoneWith(gatewayName) && !isKnownLimit) this.found('WantedDeleted', what);
  }

  /** @param retried the ids that `reap` gave back */
  batchWasHandled(process: Process, messages: readonly Message[], retried: ReadonlySet<string>): void {
    for (const message of messages) {
      if (retried.has(message.id)) this.count('messages retried');
      else this.#wasConsumed(process, message);
    }
  }

  /** What fails is retried, and so is a change while what it is about is not done: but not forever. */
  #wasConsumed(process: Process, { id, body, receives }: Message): void {
    const { 'detail-type': type, detail } = JSON.parse(body);
    const name: string = detail.cluster;
    const isRequest = type === 'Cluster Sweep Requested';
    this.count('messages consumed');
    const sight = process.sightOf(name);
    const { firstError, firstAt, wasSkipped, wasRefused, wasHeldBack } = sight;
    if (wasSkipped) return;
    if (firstError !== undefined) {
      if (!isRequest || receives < 3)
        this.found('EventLost', `${process.name} consumed ${id} after ${firstError.message}`);
      return;
    }
    const { cluster } = this.#installations.get(name) as Installation;
    if (firstAt === undefined) {
      this.found('EventLost', `${process.name} consumed ${id} and read nothing`);
      return;
    }
    if (isRequest || receives >= 7 || wasRefused || wasHeldBack || cluster.changedAt > firstAt) return;
    for (const { metadata } of this.staleIn(name)) {
      this.found('EventLost', `${process.name} consumed ${id}, and ${metadata.name} is left`);
    }
  }

  wantsEveryHpa(clusterName: string): boolean {
    const { cluster, gateways } = this.#installations.get(clusterName) as Installation;
    const configured = configuredIn(cluster, cluster.defaultIsOn);
    return gateways.every((gateway) => configured.get(gateway)?.wantsHpa || !cluster.hpas.has(hpaNameOf(gateway)));
  }

  /** HPAs that Envoy Gateway created and would not create again, and that nothing protects. */
  staleIn(clusterName: string): HorizontalPodAutoscaler[] {
    const { cluster, gateways } = this.#installations.get(clusterName) as Installation;
    const configured = configuredIn(cluster, cluster.defaultIsOn);
    return gateways.flatMap((gateway) => {
      const hpa = cluster.hpas.get(hpaNameOf(gateway));
      if (hpa === undefined || !hpa.metadata.managedFields?.some(isApplied) || configured.get(gateway)?.wantsHpa)
        return [];
      return rowThatKeeps(hpa, gateway, cluster) === undefined ? [hpa] : [];
    });
  }

  /**
   * At rest, after the last sweep.
   *
   * @param reported the HPAs that it reported as missing, by cluster
   * @param heldBack the HPAs that it held back for their number, by cluster
   */
  check(reported: ReadonlyMap<string, ReadonlySet<string>>, heldBack: ReadonlyMap<string, ReadonlySet<string>>): void {
    for (const [clusterName, { cluster, envoyGateway, gateways }] of this.#installations) {
      const configured = configuredIn(cluster, cluster.defaultIsOn);
      for (const gateway of gateways) {
        const name = hpaNameOf(gateway);
        const hpa = cluster.hpas.get(name);
        const isWanted = configured.get(gateway)?.wantsHpa ?? false;
        const isReported = reported.get(clusterName)?.has(name) ?? false;
        if (isReported && (hpa !== undefined || !isWanted)) this.found('FalselyMissing', name);
        if (hpa === undefined && isWanted) {
          const why = cluster.lost.get(name);
          if (why === undefined) this.found('MissingUnexplained', `${name}: ${envoyGateway.release}`);
          else if (!isReported) this.found('MissingUnreported', `${name}: ${why}`);
          else this.count(`missing and reported: ${why}`);
        }
        if (hpa === undefined || isWanted || !hpa.metadata.managedFields?.some(isApplied)) continue;
        const row = rowThatKeeps(hpa, gateway, cluster);
        if (row !== undefined) this.count(`stale and kept: ${row}`);
        else if (heldBack.get(clusterName)?.has(name)) this.count('stale and kept: BlastRadiusExceeded');
        else if (envoyGateway.translationOf(gateway) === undefined && cluster.deployments.has(name)) {
          this.count('stale and kept: ScaleTargetStillRuns');
        } else this.found('StaleLeft', `${name}: ${envoyGateway.release}`);
      }
    }
  }
}

/** What rules a Gateway, as far as it exists: with the EnvoyProxies that it and its class refer to. */
function configurationOf(gatewayName: string, { gateways, classes, proxies }: Cluster) {
  const gateway = gateways.get(gatewayName);
  const gatewayClass = classes.get(gateway?.spec.gatewayClassName ?? '');
  const ofGateway = proxies.get(gateway?.spec.infrastructure?.parametersRef?.name ?? '');
  const ofClass = proxies.get(gatewayClass?.spec.parametersRef?.name ?? '');
  return { gateway, gatewayClass, ofGateway, ofClass };
}

/** Whether it, or what it belongs to, was protected before that was read for the last time, and is what was read. */
function wasProtected(
  cluster: Cluster,
  gatewayName: string,
  hpa: HorizontalPodAutoscaler,
  readAt: Sight['readAt'],
): boolean {
  if (hpa.metadata.annotations?.[KEEP_ANNOTATION] === 'true') return true;
  const { protectedAt, specAt } = cluster;
  const { gateway, gatewayClass, ofGateway, ofClass } = configurationOf(gatewayName, cluster);
  // A Gateway or a reference that is newer than the last reading is protected from the next one on.
  if (gateway === undefined || (specAt.get(gateway.metadata.uid)?.revision ?? 0) >= readAt.Gateway) return false;
  const isSince = (uid: string | undefined, at: number) =>
    (protectedAt.get(uid ?? '') ?? Number.POSITIVE_INFINITY) < at;
  const isClassRead = (specAt.get(gatewayClass?.metadata.uid ?? '')?.revision ?? 0) < readAt.GatewayClass;
  return (
    isSince(gateway.metadata.uid, readAt.Gateway) ||
    isSince(ofGateway?.metadata.uid, readAt.EnvoyProxy) ||
    (isClassRead && isSince(gatewayClass?.metadata.uid, readAt.GatewayClass)) ||
    (isClassRead && isSince(ofClass?.metadata.uid, readAt.EnvoyProxy))
  );
}

/** The documented row that keeps a stale HPA for good, from what is true and not from what the judgement says. */
function rowThatKeeps(
  hpa: HorizontalPodAutoscaler,
  gatewayName: string,
  cluster: Cluster,
): 'Adopted' | 'Protected' | undefined {
  const related = [hpa, ...Object.values(configurationOf(gatewayName, cluster))];
  if (related.some((object) => object?.metadata.annotations?.[KEEP_ANNOTATION] === 'true')) return 'Protected';
  return isForeign(hpa) ? 'Adopted' : undefined;
}

/**
 * The known limit (docs/decisions.md, "Mark before deletion"): a class lost its reference, or a ConfigMap its default, longer ago than
 * the reaper waits; the status of the class shows that Envoy Gateway has read it; and it has not translated it. If it is put back before
 * that, the representations are equal, and Envoy Gateway does nothing. What stops v1.3 for good, a class that dangles, shows.
 */
function isUntranslated(gatewayName: string, cluster: Cluster, envoyGateway: EnvoyGateway): boolean {
  const translated = envoyGateway.translationOf(gatewayName);
  if (!translated?.wantsHpa || translated.source === 'Gateway') return false;
  const { gateway, gatewayClass } = configurationOf(gatewayName, cluster);
  if (!gateway || !gatewayClass || gateway.spec.infrastructure || gatewayClass.spec.parametersRef) return false;
  const isSeen = [gateway, gatewayClass].every(({ metadata, status }) =>
    status?.conditions?.every(({ observedGeneration }) => observedGeneration === metadata.generation),
  );
  if (cluster.defaultIsOn || !isSeen || envoyGateway.isStuck()) return false;
  const { uid } = translated.source === 'default' ? cluster.config.configMap.metadata : gatewayClass.metadata;
  const written = cluster.specAt.get(uid ?? '')?.time ?? 0;
  return cluster.clock.now - Math.floor(written / 1_000) * 1_000 >= SETTLE_CONFIG_SECONDS * 1_000;
}
