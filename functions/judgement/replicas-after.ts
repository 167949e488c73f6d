import type { Snapshot } from './cluster-index.ts';
import { deploymentOf, type Verdict } from './judge.ts';
import { objectKey } from './kubernetes-objects.ts';

/**
 * What happens to the replicas when the HPA is deleted. Measured on v1.3.0 and v1.9.1: Envoy Gateway writes `spec.replicas`
 * only where its configuration gives a number; otherwise they stay, for good.
 */
interface ReplicasAfter {
  /**
   * `Stays`: nothing sets them anymore; `Becomes`: Envoy Gateway sets them when it next applies the Deployment; `Governed`:
   * another HPA does; `NoDeployment`: the Deployment is gone; `Unknown`: a patch sets them in a way that is not understood.
   */
  readonly kind: 'Stays' | 'Becomes' | 'Governed' | 'NoDeployment' | 'Unknown';
  /** For `Becomes`; for `Stays` if the HPA reports how many run. */
  readonly replicas?: number;
  /** For `Governed`: `namespace/name`. */
  readonly hpa?: string;
}

/**
 * @param stale `namespace/name` of all HPAs that will be deleted
 * @returns `undefined` for an HPA that is kept: it continues to scale
 */
export function replicasAfter(
  verdict: Verdict,
  { deployments, scalers }: Snapshot,
  stale: ReadonlySet<string>,
): ReplicasAfter | undefined {
  const { hpa, action, reason, successor, appliedReplicas } = verdict;
  if (action === 'keep') return undefined;
  const target = deploymentOf(hpa);
  const isGone = deployments.get(objectKey(target)) === null;
  if (successor && (isGone || objectKey(deploymentOf(successor)) === objectKey(target))) {
    return { kind: 'Governed', hpa: objectKey(successor.metadata) };
  }
  if (isGone) return { kind: 'NoDeployment' };
  const other = scalers
    ?.get(target.namespace)
    ?.find(
      ({ metadata, spec: { scaleTargetRef } }) =>
        scaleTargetRef.name === target.name &&
        scaleTargetRef.kind === hpa.spec.scaleTargetRef.kind &&
        !stale.has(objectKey(metadata)),
    );
  if (other) return { kind: 'Governed', hpa: objectKey(other.metadata) };
  // No configuration applies to a Deployment that is left behind under an old name.
  if (appliedReplicas !== undefined && reason !== 'Renamed') {
    return appliedReplicas === 'unknown' ? { kind: 'Unknown' } : { kind: 'Becomes', replicas: appliedReplicas };
  }
  const current = hpa.status?.currentReplicas ?? undefined;
  return { kind: 'Stays', replicas: current };
}
