import * as z from 'zod/mini';
import { clusterNameSchema } from '../platform/eks-names.ts';
import { described } from '../platform/schema.ts';
import { EVENT_SOURCE } from './change-event.ts';

/** The EventBridge event from `backfill` to `reap`: sweep this cluster, whether anything changed or not. */
export const SWEEP_DETAIL_TYPE = 'Cluster Sweep Requested';

/** The version rises when a consumer would have to change; new optional fields do not raise it. */
export const sweepRequestSchema = described(
  `The detail of an EventBridge event ${SWEEP_DETAIL_TYPE} with source ${EVENT_SOURCE}`,
  z.object({
    version: z.literal('1'),
    cluster: described("The EKS cluster's name", clusterNameSchema),
    mode: described(
      'report: deletes nothing; delete: the mode of the deployment decides',
      z.enum(['report', 'delete']),
    ),
    runId: described('The run that published the event; its log lines have the same id'),
    requestedAt: described('RFC 3339'),
    maxDeletions: z.optional(
      described(
        "More deletions are held back as a whole; above the deployment's limit it has no effect",
        z.number().check(z.int(), z.minimum(0)),
      ),
    ),
  }),
);
export type SweepRequest = z.infer<typeof sweepRequestSchema>;

/** What a sweep may do. */
interface SweepPolicy {
  readonly mode: 'report' | 'delete';
  readonly maxDeletions: number;
}

/**
 * The policy of one sweep for several triggers: the most permissive, but never more than that of the deployment. A report
 * request neither prevents the deletion that a change leads to, nor lowers its limit; report requests alone delete nothing.
 *
 * @param triggers at least one; a change is `{ mode: 'delete' }`
 */
export function sweepPolicy(
  triggers: readonly Pick<SweepRequest, 'mode' | 'maxDeletions'>[],
  own: SweepPolicy,
): SweepPolicy {
  const deleting = own.mode === 'delete' ? triggers.filter(({ mode }) => mode === 'delete') : [];
  const decisive = deleting.length > 0 ? deleting : triggers;
  const limits = decisive.map(({ maxDeletions = own.maxDeletions }) => maxDeletions);
  return {
    mode: deleting.length > 0 ? 'delete' : 'report',
    maxDeletions: Math.min(Math.max(...limits), own.maxDeletions),
  };
}

/**
 * The EventBridge event that a schedule puts each hour and `reap` counts: bus, rule, queue and function let it through. It
 * names no cluster.
 */
export const HEARTBEAT_DETAIL_TYPE = 'Heartbeat';

export const heartbeatSchema = described(
  `The detail of an EventBridge event ${HEARTBEAT_DETAIL_TYPE} with source ${EVENT_SOURCE}`,
  z.object({ version: z.literal('1') }),
);
