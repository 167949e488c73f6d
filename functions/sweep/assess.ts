import pMap from 'p-map';
import type { SweepReport, SweptHpa } from '../events/report.ts';
import type { Snapshot } from '../judgement/cluster-index.ts';
import type { GuardedVerdict } from '../judgement/guards.ts';
import { judge, type Verdict } from '../judgement/judge.ts';
import { objectKey } from '../judgement/kubernetes-objects.ts';
import { type MissingHpa, missingHpas } from '../judgement/missing.ts';
import { replicasAfter } from '../judgement/replicas-after.ts';
import type { ClusterApi } from '../kubernetes/cluster-api.ts';

/** The state of a cluster at one moment: everything that was read, a verdict on each HPA, and the HPAs that are missing. */
export interface Assessment {
  readonly snapshot: Snapshot;
  readonly verdicts: readonly GuardedVerdict[];
  readonly missing: readonly MissingHpa[];
}

interface AssessOptions {
  readonly now: Date;
  /** The namespaces whose ConfigMaps alone may lead to a deletion; absent or empty: every namespace. */
  readonly controllerNamespaces?: readonly string[];
  /** Changes what was listed before it is judged. */
  readonly overlay?: (lists: Snapshot) => Snapshot;
}

/** Maximum concurrent requests for Deployments; thousands of waiting requests would fill the memory. */
const CONCURRENT_READS = 50;

/**
 * Reads what the judgement needs, and judges. The HPAs are listed before the configuration, so that an HPA that is seen was
 * there before the configuration was read.
 *
 * @throws whatever a read throws ({@link ClusterApi}); a cluster without any HPA of Envoy Gateway needs no Gateway API
 */
export async function assess(api: ClusterApi, options: AssessOptions): Promise<Assessment> {
  const { controllerNamespaces, overlay } = options;
  const hpas = await api.hpas.list();
  const config = hpas.length === 0 && overlay === undefined ? await api.config.readIfUsed() : await api.config.read();
  const lists = { hpas, ...config, controllerNamespaces, deployments: new Map(), scalers: new Map() };
  return await assessSnapshot(overlay ? overlay(lists) : lists, options.now, api);
}

/**
 * Judges lists that were read before. Then the few Deployments that the verdicts ask for are read, and the HPAs of namespaces
 * where one is stale or missing; a verdict may ask for more once it knows these.
 *
 * @param api absent for a saved cluster: what its snapshot does not contain does not exist
 */
export async function assessSnapshot(lists: Snapshot, now: Date, api?: ClusterApi): Promise<Assessment> {
  const deployments = new Map(lists.deployments);
  const scalers = new Map(lists.scalers);
  const snapshot = { ...lists, deployments, scalers };
  for (;;) {
    const verdicts = judge(snapshot);
    const { missing, needs } = missingHpas(snapshot, now);
    const stale = verdicts.filter(({ action }) => action === 'delete');
    const neededDeployments = [...needs.deployments, ...verdicts.flatMap(({ needsDeployments }) => needsDeployments)];
    const namespaces = new Set([...needs.namespaces, ...stale.map(({ hpa }) => hpa.metadata.namespace)]);
    const neededNamespaces = [...namespaces].filter((namespace) => !scalers.has(namespace));
    if (neededDeployments.length === 0 && neededNamespaces.length === 0) {
      const keys = new Set(stale.map(({ hpa }) => objectKey(hpa.metadata)));
      const after = (verdict: Verdict) => ({ ...verdict, replicasAfter: replicasAfter(verdict, snapshot, keys) });
      return { snapshot, verdicts: verdicts.map(after), missing };
    }
    const readScalers = async (namespace: string) =>
      void scalers.set(namespace, (await api?.hpas.scalers(namespace)) ?? []);
    const [foundDeployments] = await Promise.all([
      readDeployments(neededDeployments, api),
      pMap(neededNamespaces, readScalers, { concurrency: CONCURRENT_READS }),
    ]);
    for (const [key, deployment] of foundDeployments) deployments.set(key, deployment);
  }
}

/**
 * @param keys `namespace/name`
 * @param api absent where no Deployment exists
 */
export async function readDeployments(keys: readonly string[], api: ClusterApi | undefined) {
  const read = async (key: string) => {
    const [namespace, name] = key.split('/') as [string, string];
    return [key, (await api?.config.deployment({ namespace, name })) ?? null] as const;
  };
  return new Map(await pMap(new Set(keys), read, { concurrency: CONCURRENT_READS }));
}

/** A verdict in reports, events and log lines. */
export function reportHpa(verdict: GuardedVerdict): Omit<SweptHpa, 'outcome' | 'changes'> {
  const { hpa, action, reason, explanation, owner, restsOn, guard, replicasAfter: after, remedy } = verdict;
  const current = hpa.status?.currentReplicas ?? undefined;
  return {
    namespace: hpa.metadata.namespace,
    name: hpa.metadata.name,
    uid: hpa.metadata.uid,
    action,
    reason,
    explanation,
    owner,
    restsOn: [...restsOn],
    guard,
    replicas: { current, min: hpa.spec.minReplicas ?? 1, max: hpa.spec.maxReplicas, after },
    createdAt: hpa.metadata.creationTimestamp || undefined,
    dropsCapacity: after?.kind === 'Becomes' && (current ?? 0) > (after.replicas ?? Number.POSITIVE_INFINITY),
    remedy,
  };
}

export const reportMissing = ({ ownerUid: _, ...missing }: MissingHpa): SweepReport['missing'][number] => missing;
