import * as z from 'zod/mini';
import { described, optional } from '../platform/schema.ts';

/** The checks by their stable names, in the order of an event's path: from the audit log to the HPAs. */
export const CHECKS = [
  'eks-cluster',
  'eks-opt-out',
  'eks-endpoint',
  'eks-audit-log',
  'eks-log-group',
  'eks-subscription-filter',
  'eks-filter-slots',
  'eks-authentication-mode',
  'eks-access-entry-reap',
  'eks-access-entry-backfill',
  'cluster-access',
  'cluster-version',
  'rbac-scan',
  'rbac-reap',
  'rbac-functions',
  'crds-gateway-api',
  'crds-envoy-gateway',
  'envoy-gateway',
  'envoy-gateway-config',
  'envoy-gateway-leaks',
  'envoy-gateway-downgrade',
  'stale-hpas',
  'missing-hpas',
] as const;

/** From the worst to the best; `unknown`: what the check needs could not be read. */
export const STATES = ['broken', 'warning', 'unknown', 'ok'] as const;

const checkSchema = z.object({
  id: z.enum(CHECKS),
  state: z.enum(STATES),
  found: described('What was found, one sentence without its period'),
  remedy: optional('What a person can do about it; absent where nothing is to be done'),
  command: optional('A shell command that does it, or that shows more'),
});
/** The result of a check of one cluster. */
export type Check = z.infer<typeof checkSchema>;

/** The version rises when a reader would have to change. */
export const doctorReportSchema = described(
  'Which links between clusters and this program work, and how to fix those that do not',
  z.object({
    schemaVersion: z.literal(1),
    startedAt: described('RFC 3339'),
    finishedAt: described('RFC 3339'),
    totals: described(
      'Checks of all clusters by their state',
      z.object({ ok: z.number(), warning: z.number(), broken: z.number(), unknown: z.number() }),
    ),
    clusters: z.array(
      z.object({
        cluster: z.string(),
        region: optional('The AWS Region; absent for a cluster of a kubeconfig'),
        checks: described(
          'In the order of the path of an event; eks-* only for EKS; eks-cluster alone if EKS did not describe it',
          z.array(checkSchema),
        ),
      }),
    ),
    regions: described(
      'Regions whose clusters could not be listed',
      z.array(
        z.object({ region: z.optional(z.string()), reason: z.string(), message: z.string(), remedy: z.string() }),
      ),
    ),
  }),
);
export type DoctorReport = z.infer<typeof doctorReportSchema>;

/** Whether a link is broken, or EKS did not describe the cluster. */
export const needsFixing = ({ checks }: DoctorReport['clusters'][number]): boolean =>
  checks.some(({ id, state }) => state === 'broken' || (id === 'eks-cluster' && state === 'unknown'));

export function countStates(clusters: DoctorReport['clusters']): DoctorReport['totals'] {
  const counts = { ok: 0, warning: 0, broken: 0, unknown: 0 };
  for (const { checks } of clusters) for (const { state } of checks) counts[state] += 1;
  return counts;
}
