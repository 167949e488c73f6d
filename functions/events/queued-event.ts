import * as z from 'zod/mini';
import { clusterNameSchema } from '../platform/eks-names.ts';
import { described, optional } from '../platform/schema.ts';
import { EVENT_SOURCE } from './event-source.ts';

const detailOf = <Shape extends z.core.$ZodLooseShape>(detailType: string, shape: Shape) =>
  described(
    `The detail of an EventBridge event ${detailType} with source ${EVENT_SOURCE}`,
    z.object({ version: z.literal('1'), ...shape }),
  );

/**
 * The details of the EventBridge events that the queue of `reap` receives, by detail-type. The version rises when a consumer
 * would have to change; new optional fields do not raise it. Every description ends up in docs/schemas.
 */
export const QUEUED_DETAILS = {
  /**
   * From `forward`: an object that an HPA may depend on was written in this cluster. It never carries a body, and decides only
   * which cluster is swept.
   */
  'Envoy Gateway Configuration Changed': detailOf('Envoy Gateway Configuration Changed', {
    cluster: described("The EKS cluster's name, from the log group /aws/eks/<cluster>/cluster", clusterNameSchema),
    auditID: described("The audit event's, for looking it up in CloudWatch Logs"),
    verb: described('create, update, patch, delete or deletecollection'),
    objectRef: described(
      'What was written',
      z.object({
        apiGroup: described('Empty for the core group'),
        apiVersion: z.string(),
        resource: described('The plural name, such as envoyproxies'),
        namespace: z.optional(z.string()),
        name: optional('Absent for a deletecollection and a create with generateName'),
      }),
    ),
    user: z.object({
      username: described('Who sent the request'),
      impersonatedUsername: optional('Whom the sender impersonated'),
    }),
    sourceIPs: z.array(z.string()),
    userAgent: z.optional(z.string()),
    requestReceivedTimestamp: described('RFC 3339, when the API server received the request'),
    stageTimestamp: described('RFC 3339, when the API server had answered it'),
    lines: described(
      'Number of audit lines of one payload about this object; this event has the latest',
      z.number().check(z.int(), z.positive()),
    ),
  }),
  /** From `backfill`: sweep this cluster, whether anything changed or not. */
  'Cluster Sweep Requested': detailOf('Cluster Sweep Requested', {
    cluster: described("The EKS cluster's name", clusterNameSchema),
    mode: described(
      'report: deletes nothing; delete: the mode of the deployment decides',
      z.enum(['report', 'delete']),
    ),
    runId: described('The run that published the event; its log lines have the same id'),
    requestedAt: described('RFC 3339'),
    maxDeletions: optional(
      "More deletions are held back as a whole; above the deployment's limit it has no effect",
      z.number().check(z.int(), z.minimum(0)),
    ),
  }),
  /** From a schedule, each hour; `reap` counts it. It shows that bus, rule, queue and function let events through. */
  Heartbeat: detailOf('Heartbeat', {}),
} as const;
export type ChangeDetail = z.infer<(typeof QUEUED_DETAILS)['Envoy Gateway Configuration Changed']>;
export type SweepRequest = z.infer<(typeof QUEUED_DETAILS)['Cluster Sweep Requested']>;

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
