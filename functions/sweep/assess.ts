import pMap from 'p-map';
import { judge, type Verdict } from '../judgement/judge.ts';
import { type Deployment, objectKey } from '../judgement/kubernetes-objects.ts';
import { type MissingHpa, missingHpas } from '../judgement/missing.ts';
import { type ReplicasAfter, replicasAfter } from '../judgement/replicas-after.ts';
import type { Snapshot } from '../judgement/snapshot.ts';
import type { ClusterApi } from '../kubernetes/cluster-api.ts';

export type AssessedVerdict = Verdict & { readonly replicasAfter?: ReplicasAfter };

/** What a cluster is found to be at one moment: everything that was read, a verdict on each HPA, and those that are missing. */
export interface Assessment {
  readonly snapshot: Snapshot;
  readonly verdicts: readonly AssessedVerdict[];
  readonly missing: readonly MissingHpa[];
}

/** Maximum concurrent requests for Deployments; thousands of requests that wait would fill the memory. */
const CONCURRENT_READS = 50;

/**
 * Reads what the judgement needs, and judges. The HPAs are listed before the configuration, so that an HPA that is seen was
 * there before the configuration was read. Then the few Deployments that the rows ask for are read, and the HPAs of namespaces
 * where one is stale or missing; a row may ask for more once it knows these.
 *
 * @throws whatever a read throws ({@link ClusterApi}); a cluster without any HPA of Envoy Gateway's needs no Gateway API
 */
export async function assess(
  api: ClusterApi,
  now: Date,
  controllerNamespaces?: readonly string[],
): Promise<Assessment> {
  const hpas = await api.hpas.list();
  const config = hpas.length === 0 ? await api.config.readIfUsed() : await api.config.read();
  const nothing = { gatewayClasses: [], gateways: [], envoyProxies: [], envoyGatewayConfigs: [] };
  const listed = { hpas, ...(config ?? nothing), controllerNamespaces };
  return await assessSnapshot({ ...listed, deployments: new Map(), scalers: new Map() }, api, now);
}

/** The same of lists that were read before (and changed since: what if?); what they need besides comes from the cluster. */
export async function assessSnapshot(lists: Snapshot, api: ClusterApi, now: Date): Promise<Assessment> {
  const deployments = new Map(lists.deployments);
  const scalers = new Map(lists.scalers);
  const snapshot = { ...lists, deployments, scalers };
  for (;;) {
    const verdicts = judge(snapshot);
    const { missing, needs } = missingHpas(snapshot, now);
    const stale = verdicts.filter(({ action }) => action === 'delete');
    const namespaces = [...needs.namespaces, ...stale.map(({ hpa }) => hpa.metadata.namespace)];
    const [neededDeployments, neededNamespaces] = [
      [...needs.deployments, ...verdicts.flatMap(({ needsDeployments }) => needsDeployments)].filter(
        (key) => !deployments.has(key),
      ),
      [...new Set(namespaces)].filter((namespace) => !scalers.has(namespace)),
    ];
    if (neededDeployments.length + neededNamespaces.length === 0) {
      const keys = new Set(stale.map(({ hpa }) => objectKey(hpa.metadata)));
      const assessed = verdicts.map((verdict) => ({
        ...verdict,
        replicasAfter: replicasAfter(verdict, snapshot, keys),
      }));
      return { snapshot, verdicts: assessed, missing };
    }
    const [foundDeployments, foundScalers] = await Promise.all([
      readDeployments(neededDeployments, api),
      pMap(neededNamespaces, async (namespace) => [namespace, await api.hpas.scalers(namespace)] as const, {
        concurrency: CONCURRENT_READS,
      }),
    ]);
    for (const [key, deployment] of foundDeployments) deployments.set(key, deployment);
    for (const [namespace, found] of foundScalers) scalers.set(namespace, found);
  }
}

/** @param keys `namespace/name` */
export async function readDeployments(
  keys: readonly string[],
  api: ClusterApi,
): Promise<Map<string, Deployment | null>> {
  const read = async (key: string) => {
    const [namespace, name] = key.split('/') as [string, string];
    return [key, await api.config.deployment({ namespace, name })] as const;
  };
  return new Map(await pMap(new Set(keys), read, { concurrency: CONCURRENT_READS }));
}
