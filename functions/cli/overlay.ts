import type { SweptHpa } from '../events/report.ts';
import { proxyReference, type Snapshot } from '../judgement/cluster-index.ts';
import { readEnvoyGatewayConfig } from '../judgement/envoy-gateway-config.ts';
import { deploymentOf } from '../judgement/judge.ts';
import { type GatewayClass, objectKey } from '../judgement/kubernetes-objects.ts';
import type { MissingHpa } from '../judgement/missing.ts';
import type { ClusterApi } from '../kubernetes/cluster-api.ts';
import { type Problem, problem } from '../platform/problems.ts';
import { type Assessment, assessSnapshot } from '../sweep/assess.ts';
import { type Manifest, type ObjectName, PLACEHOLDER_METADATA, placed } from './input/manifests.ts';

/** Objects to apply to a cluster, and objects to delete from it. */
export interface Changes {
  readonly applied: readonly Manifest[];
  readonly deleted: readonly ObjectName[];
}

/**
 * Judges a cluster again with changes applied to what was read from it, and compares.
 *
 * @param live the cluster, and the default namespace of manifests there; absent for a saved cluster
 * @returns the changed cluster, and by the uid of each HPA what changes. Missing are only the HPAs that are missing now: Envoy
 * Gateway has yet to create others
 */
export async function assessWhatIf(
  before: Assessment,
  { applied, deleted }: Changes,
  now: Date,
  { api, namespace = 'default' }: { api?: ClusterApi; namespace?: string } = {},
): Promise<{ after: Assessment; comparison: Map<string, SweptHpa['whatIf']>; warnings: Problem[] }> {
  const changes = { applied: applied.map((manifest) => placed(manifest, namespace)), deleted };
  const { changed, notFound } = overlay(before.snapshot, changes);
  const after = await assessSnapshot(changed, now, api);
  const stateOf = await stateLookup(before, now, api);
  const newStateOf = await stateLookup(after, now, api);
  const verdictsNow = new Map(before.verdicts.map((verdict) => [verdict.hpa.metadata.uid, verdict]));
  const missingNow = new Set(before.missing.map(missingKey));
  const comparison = new Map<string, SweptHpa['whatIf']>();
  const verdicts = after.verdicts.map((verdict) => {
    const { uid } = verdict.hpa.metadata;
    const { action, reason, explanation } = verdictsNow.get(uid) ?? verdict;
    const state = newStateOf(uid);
    const change = state === stateOf(uid) ? 'Unchanged' : CHANGES[state];
    comparison.set(uid, { change, now: { action, reason, explanation } });
    // A remedy applies only to a state that lasts.
    return reason === verdict.reason ? verdict : { ...verdict, remedy: undefined };
  });
  const { hpas, gatewayClasses } = before.snapshot;
  return {
    after: { ...after, verdicts, missing: after.missing.filter((one) => missingNow.has(missingKey(one))) },
    comparison,
    // Without an HPA and a GatewayClass nothing else was read.
    warnings:
      hpas.length + gatewayClasses.length === 0 ? [] : notFound.map((one) => problem('NothingToDelete', keyOf(one))),
  };
}

/** What an HPA becomes, by its new state. */
const CHANGES = {
  stale: 'BecomesStale',
  waiting: 'BecomesStaleWithoutDeployment',
  wanted: 'NoLongerStale',
} as const;

/**
 * Looks up the state of an HPA by its uid. Envoy Gateway removes the Deployment of what it no longer serves, and a what-if does not. So an
 * HPA that is kept only because its Deployment still runs is `waiting`.
 */
async function stateLookup({ snapshot, verdicts }: Assessment, now: Date, api?: ClusterApi) {
  const gone = snapshot.hpas.map((hpa) => [objectKey(deploymentOf(hpa)), null] as const);
  const withoutDeployments = { ...snapshot, deployments: new Map([...snapshot.deployments, ...gone]) };
  const { verdicts: later } = await assessSnapshot(withoutDeployments, now, api);
  const staleOf = (some: Assessment['verdicts']) =>
    new Set(some.filter(({ action }) => action === 'delete').map(({ hpa }) => hpa.metadata.uid));
  const [stale, waiting] = [staleOf(verdicts), staleOf(later)];
  return (uid: string): keyof typeof CHANGES => (stale.has(uid) ? 'stale' : waiting.has(uid) ? 'waiting' : 'wanted');
}

type Named = { readonly metadata: { readonly namespace?: string; readonly name: string } };

/** @returns the snapshot with the changes, and what was to be deleted and does not exist */
function overlay(snapshot: Snapshot, changes: Changes): { changed: Snapshot; notFound: ObjectName[] } {
  const notFound: ObjectName[] = [];
  const change = <T extends Named>(kind: ObjectName['kind'], live: readonly T[]): T[] => {
    const objects = new Map(live.map((object) => [objectKey(object.metadata), object]));
    for (const manifest of changes.applied.filter((one) => one.kind === kind)) {
      const key = objectKey(manifest);
      objects.set(key, appliedOver(objects.get(key), manifest));
    }
    for (const object of changes.deleted.filter((one) => one.kind === kind)) {
      if (!objects.delete(objectKey(object))) notFound.push(object);
    }
    return [...objects.values()];
  };
  const configMaps = snapshot.envoyGatewayConfigs.map(({ configMap }) => configMap);
  const changed = {
    ...snapshot,
    gatewayClasses: change('GatewayClass', snapshot.gatewayClasses),
    gateways: change('Gateway', snapshot.gateways),
    envoyProxies: change('EnvoyProxy', snapshot.envoyProxies),
    envoyGatewayConfigs: change('ConfigMap', configMaps).map(readEnvoyGatewayConfig),
  };
  return { changed: withNewStatus(changed, changes), notFound };
}

/**
 * The manifest, with what the API server has set on the live object except its age: an applied object counts as new. The status
 * was about the old spec, so it goes.
 */
function appliedOver<T extends Named>(live: T | undefined, manifest: Manifest): T {
  const { namespace, name, labels, annotations, content } = manifest;
  const kept = { ...PLACEHOLDER_METADATA, ...live?.metadata, creationTimestamp: undefined, managedFields: undefined };
  // Its shape was checked when the file was read.
  return { ...content, metadata: { ...kept, namespace, name, labels, annotations } } as unknown as T;
}

/**
 * Envoy Gateway is taken to accept every GatewayClass and Gateway that is changed, or whose parameters are. It rejects a class
 * whose EnvoyProxy does not exist unless the class is being deleted, and such a class matters to others too (`NotObserved`).
 */
function withNewStatus(snapshot: Snapshot, { applied, deleted }: Changes): Snapshot {
  const changed = new Set([...applied, ...deleted].map(keyOf));
  const isChanged = (kind: ObjectName['kind'], object: Named['metadata'] | undefined) =>
    object !== undefined && changed.has(keyOf({ ...object, kind }));
  const isConfigApplied = applied.some(({ kind }) => kind === 'ConfigMap');
  const proxies = new Set(snapshot.envoyProxies.map(({ metadata }) => objectKey(metadata)));
  const changedClasses = new Set<string>();
  const gatewayClasses = snapshot.gatewayClasses.map((one) => {
    const proxy = proxyReference(one);
    if (!isConfigApplied && !isChanged('GatewayClass', one.metadata) && !isChanged('EnvoyProxy', proxy)) return one;
    changedClasses.add(one.metadata.name);
    const isResolved = one.spec.parametersRef == null || (proxy !== undefined && proxies.has(objectKey(proxy)));
    return { ...one, status: statusOf(one, isResolved || Boolean(one.metadata.deletionTimestamp)) };
  });
  const gateways = snapshot.gateways.map((one) =>
    isChanged('Gateway', one.metadata) ||
    changedClasses.has(one.spec.gatewayClassName) ||
    isChanged('EnvoyProxy', proxyReference(one))
      ? { ...one, status: statusOf(one, true) }
      : one,
  );
  return { ...snapshot, gatewayClasses, gateways };
}

const statusOf = ({ metadata: { generation } }: Pick<GatewayClass, 'metadata'>, isAccepted: boolean) => {
  const [status, reason] = isAccepted ? ['True', 'Accepted'] : ['False', 'InvalidParameters'];
  return { conditions: [{ type: 'Accepted', status, reason, observedGeneration: generation }] };
};

const keyOf = (object: { readonly kind: string; readonly namespace?: string; readonly name: string }) =>
  `${object.kind} ${objectKey(object)}`;

const missingKey = ({ owner, namespace, name }: MissingHpa) => `${keyOf(owner)}: ${namespace}/${name}`;
