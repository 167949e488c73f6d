import type {
  ClusterReport,
  HpaWhatIf,
  MissingHpaReport,
  Problem,
  RunReport,
  SweptHpa,
  WhatIfChange,
} from '../events/report.ts';
import { readEnvoyGatewayConfig } from '../judgement/envoy-gateway-config.ts';
import { deploymentOf, type Verdict } from '../judgement/judge.ts';
import {
  type ConfigMap,
  type EnvoyProxy,
  type Gateway,
  type GatewayClass,
  objectKey,
} from '../judgement/kubernetes-objects.ts';
import type { Snapshot } from '../judgement/snapshot.ts';
import type { ClusterApi } from '../kubernetes/cluster-api.ts';
import type { AccountDirectory } from '../kubernetes/directory.ts';
import { assess, assessSnapshot } from '../sweep/assess.ts';
import type { Place } from '../sweep/sweep-account.ts';
import { type Kind, type Manifest, type ObjectName, PLACEHOLDER_METADATA, placed } from './input/manifests.ts';
import { snapshotApi } from './input/saved-list.ts';

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
  /** By place and owner. What comes to be wanted, Envoy Gateway has yet to make. */
  readonly missing: ReadonlySet<string>;
  readonly warnings: readonly Problem[];
}

/** Clusters with changes laid over them: they are judged as they would be, and the report says what that changes. */
export class WhatIf {
  readonly #changes: Changes;
  readonly #now: () => Date;
  readonly #controllerNamespaces: readonly string[] | undefined;
  readonly #before = new Map<string, Before>();

  /** @param now as in the pass over these clusters, and so are the `controllerNamespaces` */
  constructor(changes: Changes, now: () => Date, controllerNamespaces?: readonly string[]) {
    this.#changes = changes;
    this.#now = now;
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
        const now = this.#now();
        const before = await assess(live, now, this.#controllerNamespaces);
        const inNamespace = <Object extends ObjectName>(object: Object) => placed(object, namespace);
        const laid = this.#changes.laid.map(inNamespace);
        const { changed, absent } = layOver(before.snapshot, { laid, removed: this.#changes.removed });
        const after = await assessSnapshot(changed, live, now);
        this.#before.set(keyOf({ cluster, region }), {
          verdicts: new Map(before.verdicts.map(decisionOf)),
          staleIfGone: {
            now: await staleWithoutDeployments(before.snapshot, live, now),
            after: await staleWithoutDeployments(after.snapshot, live, now),
          },
          missing: new Set(before.missing.map(missingKey)),
          // Without an HPA and a GatewayClass nothing else was read.
          warnings:
            before.snapshot.hpas.length + before.snapshot.gatewayClasses.length === 0 ? [] : absent.map(notThere),
        });
        return { ...snapshotApi(after.snapshot), requestsSent: live.requestsSent, close: live.close };
      },
    };
    return { ...place, directory: laid };
  }

  /** Adds to a report of those clusters what is different from now. */
  annotated(report: RunReport): RunReport {
    const { laid, removed } = this.#changes;
    const clusters = report.clusters.map((cluster) => this.#annotatedCluster(cluster));
    return {
      ...report,
      whatIf: { laid: laid.map(nameOf), removed: removed.map(nameOf) },
      totals: { ...report.totals, missing: clusters.flatMap(({ missing }) => missing).length },
      clusters,
    };
  }

  #annotatedCluster(cluster: ClusterReport): ClusterReport {
    const before = this.#before.get(keyOf(cluster));
    if (before === undefined || cluster.result !== 'swept') return cluster;
    return {
      ...cluster,
      warnings: [...cluster.warnings, ...before.warnings],
      hpas: cluster.hpas.map((hpa) => annotatedHpa(hpa, before)),
      missing: cluster.missing.filter((one) => before.missing.has(missingKey(one))),
    };
  }
}

function annotatedHpa(hpa: SweptHpa, { verdicts, staleIfGone }: Before): SweptHpa {
  const now = verdicts.get(hpa.uid);
  if (now === undefined) return hpa;
  const ifGone = { now: staleIfGone.now.has(hpa.uid), after: staleIfGone.after.has(hpa.uid) };
  const change = changeOf(now.action, hpa.action, ifGone);
  // A remedy is for what has stayed as it is for long.
  const { remedy, ...others } = hpa;
  const kept = remedy !== undefined && now.reason === hpa.reason ? { remedy } : {};
  return { ...others, ...kept, whatIf: { change, now } };
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

async function staleWithoutDeployments(snapshot: Snapshot, live: ClusterApi, now: Date): Promise<ReadonlySet<string>> {
  const gone = snapshot.hpas.map((hpa) => [objectKey(deploymentOf(hpa)), null] as const);
  const deployments = new Map([...snapshot.deployments, ...gone]);
  const { verdicts } = await assessSnapshot({ ...snapshot, deployments }, live, now);
  return new Set(verdicts.filter(({ action }) => action === 'delete').map(({ hpa }) => hpa.metadata.uid));
}

/** @returns the snapshot with the changes, and what was to be removed and is not there */
function layOver(snapshot: Snapshot, { laid, removed }: Changes): { changed: Snapshot; absent: ObjectName[] } {
  const absent: ObjectName[] = [];
  const lay = <T extends { metadata: { namespace?: string; name: string } }>(kind: Kind, live: readonly T[]): T[] => {
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
  return { changed: asObserved(changed, { laid, removed }), absent };
}

/**
 * The manifest with what the server has given the object that it replaces, but for its age: what is applied anew is young. Its
 * status told of the old spec.
 */
function laidOver<T extends { metadata: { namespace?: string; name: string } }>(
  live: T | undefined,
  manifest: Manifest,
): T {
  const { namespace, name, labels, annotations, content } = manifest;
  const place = { namespace, name };
  // Its shape was checked when the file was read.
  return {
    ...content,
    metadata: {
      ...PLACEHOLDER_METADATA,
      ...live?.metadata,
      creationTimestamp: undefined,
      managedFields: undefined,
      ...place,
      labels,
      annotations,
    },
  } as unknown as T;
}

/**
 * What Envoy Gateway has said of a class or a Gateway that is changed, or whose parameters are, it says anew: it accepts. Only
 * a class whose parameters are not there is rejected, and that concerns others: see `NotObserved`.
 */
function asObserved(snapshot: Snapshot, { laid, removed }: Changes): Snapshot {
  const keysOf = (kind: Kind, objects: readonly ObjectName[] = laid) =>
    new Set(objects.filter((one) => one.kind === kind).map(objectKey));
  const [gateways, classes] = [keysOf('Gateway'), keysOf('GatewayClass')];
  const proxies = keysOf('EnvoyProxy', [...laid, ...removed]);
  const isAnyConfigLaid = keysOf('ConfigMap').size > 0;
  const isOld = ({ metadata, spec: { parametersRef } }: GatewayClass): boolean =>
    isAnyConfigLaid ||
    classes.has(metadata.name) ||
    (parametersRef != null && proxies.has(proxyOfClass(parametersRef)));
  const changedClasses = new Set(snapshot.gatewayClasses.filter(isOld).map(({ metadata }) => metadata.name));
  const isOldOfGateway = ({ metadata, spec: { gatewayClassName, infrastructure } }: Gateway): boolean =>
    gateways.has(objectKey(metadata)) ||
    changedClasses.has(gatewayClassName) ||
    (infrastructure?.parametersRef != null &&
      proxies.has(`${metadata.namespace}/${infrastructure.parametersRef.name}`));
  const known = new Set(snapshot.envoyProxies.map(({ metadata }) => objectKey(metadata)));
  const statusOfClass = ({ metadata, spec: { parametersRef } }: GatewayClass) =>
    parametersRef == null || known.has(proxyOfClass(parametersRef))
      ? observed(metadata, 'True', 'Accepted')
      : observed(metadata, 'False', 'InvalidParameters');
  return {
    ...snapshot,
    gatewayClasses: snapshot.gatewayClasses.map((one) => (isOld(one) ? { ...one, status: statusOfClass(one) } : one)),
    gateways: snapshot.gateways.map((one) =>
      isOldOfGateway(one) ? { ...one, status: observed(one.metadata, 'True', 'Accepted') } : one,
    ),
  };
}

const proxyOfClass = ({ namespace, name }: NonNullable<GatewayClass['spec']['parametersRef']>) =>
  `${namespace ?? 'default'}/${name}`;

const observed = ({ generation }: GatewayClass['metadata'], status: string, reason: string) => ({
  conditions: [{ type: 'Accepted', status, reason, observedGeneration: generation }],
});

const notThere = (object: ObjectName): Problem => ({
  reason: 'NothingToRemove',
  message: `there is no ${object.kind} ${objectKey(object)} to be removed`,
  remedy: 'Check --without; nothing to do if it is meant for another cluster.',
});

const missingKey = ({ owner, ...place }: Pick<MissingHpaReport, 'namespace' | 'name' | 'owner'>) =>
  `${owner.kind} ${objectKey(owner)}: ${objectKey(place)}`;

const nameOf = ({ kind, namespace, name }: ObjectName) => ({
  kind,
  namespace,
  name,
});

const keyOf = ({ cluster, region = '' }: Pick<ClusterReport, 'cluster' | 'region'>) => `${region}/${cluster}`;

const decisionOf = ({ hpa, action, reason, explanation }: Verdict) =>
  [hpa.metadata.uid, { action, reason, explanation }] as const;
