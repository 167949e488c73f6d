import type { AccountDirectory } from '../../aws/cluster-directory.ts';
import { readEnvoyGatewayConfig } from '../../domain/envoy-gateway-config.ts';
import { judge, type Verdict } from '../../domain/judge.ts';
import {
  type ConfigMap,
  type EnvoyProxy,
  type Gateway,
  type GatewayClass,
  objectKey,
} from '../../domain/kubernetes-objects.ts';
import type { ClusterReport, HpaWhatIf, Problem, RunReport, SweptHpa, WhatIfChange } from '../../domain/report.ts';
import type { Snapshot } from '../../domain/snapshot.ts';
import type { ClusterApi } from '../../kubernetes/cluster-api.ts';
import type { Place } from '../../usecases/sweep-account.ts';
import { readAndJudge } from '../../usecases/sweep-cluster.ts';
import { type Kind, MADE_UP, type Manifest, type ObjectName, placed } from './manifests.ts';

/** What would be applied to a cluster, and what deleted from it. */
export interface Changes {
  readonly laid: readonly Manifest[];
  readonly removed: readonly ObjectName[];
}

/** The judgement of one cluster without the changes, and what else is needed to say what they change. */
interface Before {
  /** By uid. */
  readonly verdicts: ReadonlyMap<string, HpaWhatIf['now']>;
  /** By uid: whether the HPA would be stale if its Deployment were gone, as the cluster is and as it would be. */
  readonly staleIfGone: { readonly now: ReadonlySet<string>; readonly after: ReadonlySet<string> };
  readonly warnings: readonly Problem[];
}

/** Clusters with changes laid over them: they are judged as they would be, and the report says what that changes. */
export class WhatIf {
  readonly #changes: Changes;
  readonly #controllerNamespaces: readonly string[] | undefined;
  readonly #before = new Map<string, Before>();

  /** @param controllerNamespaces as in the pass over these clusters */
  constructor(changes: Changes, controllerNamespaces?: readonly string[]) {
    this.#changes = changes;
    this.#controllerNamespaces = controllerNamespaces;
  }

  /** The same clusters with the changes laid over what is read of them; nothing can be written there. */
  over(place: Place): Place {
    const { directory, region } = place;
    const laid: AccountDirectory = {
      list: () => directory.list(),
      describe: (cluster) => directory.describe(cluster),
      forget: (cluster) => directory.forget(cluster),
      connect: async (cluster) => {
        const { namespace = 'default' } = await directory.describe(cluster);
        const live = await directory.connect(cluster);
        const { snapshot, verdicts } = await readAndJudge(live, this.#controllerNamespaces);
        const inNamespace = <Object extends ObjectName>(object: Object) => placed(object, namespace);
        const laid = this.#changes.laid.map(inNamespace);
        const { changed, absent } = layOver(snapshot, { laid, removed: this.#changes.removed });
        this.#before.set(keyOf({ cluster, ...(region !== undefined && { region }) }), {
          verdicts: new Map(verdicts.map(decisionOf)),
          staleIfGone: { now: staleWithoutDeployments(snapshot), after: staleWithoutDeployments(changed) },
          // Of a cluster without an HPA the configuration is not read.
          warnings: snapshot.hpas.length === 0 ? [] : absent.map(notThere),
        });
        return apiOver(live, changed);
      },
    };
    return { ...place, directory: laid };
  }

  /** Adds to a report of those clusters what is different from now. */
  annotated(report: RunReport): RunReport {
    const { laid, removed } = this.#changes;
    return {
      ...report,
      whatIf: { laid: laid.map(nameOf), removed: removed.map(nameOf) },
      clusters: report.clusters.map((cluster) => this.#annotatedCluster(cluster)),
    };
  }

  #annotatedCluster(cluster: ClusterReport): ClusterReport {
    const before = this.#before.get(keyOf(cluster));
    if (before === undefined || cluster.result !== 'swept') return cluster;
    return {
      ...cluster,
      warnings: [...cluster.warnings, ...before.warnings],
      hpas: cluster.hpas.map((hpa) => annotatedHpa(hpa, before)),
    };
  }
}

function annotatedHpa(hpa: SweptHpa, { verdicts, staleIfGone }: Before): SweptHpa {
  const now = verdicts.get(hpa.uid);
  if (now === undefined) return hpa;
  const ifGone = { now: staleIfGone.now.has(hpa.uid), after: staleIfGone.after.has(hpa.uid) };
  return { ...hpa, whatIf: { change: changeOf(now.action, hpa.action, ifGone), now } };
}

/**
 * Envoy Gateway removes the Deployment of what it no longer serves, and a what-if does not: so an HPA that is kept only
 * because its Deployment still runs is told apart from one that is kept for good.
 */
function changeOf(
  now: Verdict['action'],
  after: Verdict['action'],
  staleIfGone: { now: boolean; after: boolean },
): WhatIfChange {
  if (after === 'delete') return now === 'delete' ? 'Unchanged' : 'BecomesStale';
  const wasStale = now === 'delete' || staleIfGone.now;
  if (staleIfGone.after) return now === 'keep' && wasStale ? 'Unchanged' : 'BecomesStaleWithoutDeployment';
  return wasStale ? 'NoLongerStale' : 'Unchanged';
}

function staleWithoutDeployments(snapshot: Snapshot): ReadonlySet<string> {
  const gone = snapshot.hpas.map(
    ({ metadata, spec }) =>
      [objectKey({ namespace: metadata.namespace, name: spec.scaleTargetRef.name }), false] as const,
  );
  const verdicts = judge({ ...snapshot, deployments: new Map(gone) });
  return new Set(verdicts.filter(({ action }) => action === 'delete').map(({ hpa }) => hpa.metadata.uid));
}

/** The changed snapshot, and from the cluster what it lacks: Deployments that only matter since it was changed. */
function apiOver(live: ClusterApi, { hpas, deployments, ...config }: Snapshot): ClusterApi {
  const readOnly = async (): Promise<never> => {
    throw new TypeError('a what-if cannot be written');
  };
  return {
    hpas: { list: async () => [...hpas], get: live.hpas.get, mark: readOnly, delete: readOnly },
    config: {
      read: async () => config,
      deploymentExists: async (place) =>
        deployments.get(objectKey(place)) ?? (await live.config.deploymentExists(place)),
    },
    requestsSent: live.requestsSent,
    close: live.close,
  };
}

/** @returns the snapshot with the changes, and what was to be removed and is not there */
function layOver(snapshot: Snapshot, { laid, removed }: Changes): { changed: Snapshot; absent: ObjectName[] } {
  const absent: ObjectName[] = [];
  const lay = <T extends { metadata: { namespace?: string | undefined; name: string } }>(
    kind: Kind,
    live: readonly T[],
  ): T[] => {
    const objects = new Map(live.map((object) => [objectKey(object.metadata), object]));
    for (const manifest of laid.filter((one) => one.kind === kind)) {
      objects.set(objectKey(manifest), laidOver(objects.get(objectKey(manifest)), manifest));
    }
    for (const object of removed.filter((one) => one.kind === kind)) {
      if (!objects.delete(objectKey(object))) absent.push(object);
    }
    return [...objects.values()];
  };
  const liveConfigMaps = snapshot.envoyGatewayConfigs.map(({ configMap }) => configMap);
  const changed = {
    ...snapshot,
    gatewayClasses: lay<GatewayClass>('GatewayClass', snapshot.gatewayClasses),
    gateways: lay<Gateway>('Gateway', snapshot.gateways),
    envoyProxies: lay<EnvoyProxy>('EnvoyProxy', snapshot.envoyProxies),
    envoyGatewayConfigs: lay<ConfigMap>('ConfigMap', liveConfigMaps).map(readEnvoyGatewayConfig),
  };
  return { changed: withoutOldStatus(changed, laid), absent };
}

/** The manifest with what the server has given the object that it replaces. Its status told of the old spec. */
function laidOver<T extends { metadata: { namespace?: string | undefined; name: string } }>(
  live: T | undefined,
  manifest: Manifest,
): T {
  const { namespace, name, labels, annotations, content } = manifest;
  const place = { ...(namespace !== undefined && { namespace }), name };
  // Its shape was checked when the file was read.
  return { ...content, metadata: { ...MADE_UP, ...live?.metadata, ...place, labels, annotations } } as unknown as T;
}

/** What Envoy Gateway has said of a class or a Gateway whose parameters are changed, it will say anew. */
function withoutOldStatus(snapshot: Snapshot, laid: readonly Manifest[]): Snapshot {
  const keysOf = (kind: Kind) => new Set(laid.filter((one) => one.kind === kind).map(objectKey));
  const [proxies, classes] = [keysOf('EnvoyProxy'), keysOf('GatewayClass')];
  const isAnyConfigLaid = keysOf('ConfigMap').size > 0;
  const isOld = ({ metadata, spec: { parametersRef } }: GatewayClass): boolean =>
    isAnyConfigLaid ||
    classes.has(metadata.name) ||
    (parametersRef != null && proxies.has(`${parametersRef.namespace ?? 'default'}/${parametersRef.name}`));
  const changedClasses = new Set(snapshot.gatewayClasses.filter(isOld).map(({ metadata }) => metadata.name));
  const isOldOfGateway = ({ metadata, spec: { gatewayClassName, infrastructure } }: Gateway): boolean =>
    changedClasses.has(gatewayClassName) ||
    (infrastructure?.parametersRef != null &&
      proxies.has(`${metadata.namespace}/${infrastructure.parametersRef.name}`));
  return {
    ...snapshot,
    gatewayClasses: snapshot.gatewayClasses.map((one) => (isOld(one) ? { ...one, status: undefined } : one)),
    gateways: snapshot.gateways.map((one) => (isOldOfGateway(one) ? { ...one, status: undefined } : one)),
  };
}

const notThere = (object: ObjectName): Problem => ({
  reason: 'NothingToRemove',
  message: `there is no ${object.kind} ${objectKey(object)} to be removed`,
  remedy: 'Check --without; nothing to do if it is meant for another cluster.',
});

const nameOf = ({ kind, namespace, name }: ObjectName) => ({
  kind,
  ...(namespace !== undefined && { namespace }),
  name,
});

const keyOf = ({ cluster, region = '' }: Pick<ClusterReport, 'cluster' | 'region'>) => `${region}/${cluster}`;

const decisionOf = ({ hpa, action, reason, explanation }: Verdict) =>
  [hpa.metadata.uid, { action, reason, explanation }] as const;
