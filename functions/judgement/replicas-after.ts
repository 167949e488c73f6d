import * as z from 'zod/mini';
import { described } from '../platform/schema.ts';
import { deploymentOf, type Verdict } from './judge.ts';
import { objectKey } from './kubernetes-objects.ts';
import type { Snapshot } from './snapshot.ts';

/**
 * What becomes of the replicas once the HPA is gone. Measured on v1.3.0 and v1.9.1: Envoy Gateway writes `spec.replicas` only
 * where its configuration gives a number; else they stay, for good.
 */
export const replicasAfterSchema = z.object({
  kind: z
    .enum(['Stays', 'Becomes', 'Governed', 'NoDeployment', 'Unknown'])
    .check(
      z.describe(
        'Stays: nobody sets them any more; Becomes: Envoy Gateway sets them when it next applies the Deployment; Governed: another HPA does; NoDeployment: the Deployment is gone; Unknown: a patch says it in a way that is not understood',
      ),
    ),
  replicas: z.optional(z.number().check(z.describe('For Becomes; for Stays where the HPA tells how many run'))),
  hpa: z.optional(described('For Governed: namespace/name')),
});
export type ReplicasAfter = z.infer<typeof replicasAfterSchema>;

/**
 * @param stale `namespace/name` of all HPAs that are to go
 * @returns `undefined` for an HPA that is kept: it goes on scaling
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
  // What is left behind under an old name is nobody's any more: no configuration applies to it.
  if (appliedReplicas !== undefined && reason !== 'Renamed') {
    return appliedReplicas === 'unknown' ? { kind: 'Unknown' } : { kind: 'Becomes', replicas: appliedReplicas };
  }
  const current = hpa.status?.currentReplicas ?? undefined;
  return { kind: 'Stays', replicas: current };
}
