import * as z from 'zod/mini';
import { described } from '../platform/schema.ts';

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
export type CheckId = (typeof CHECKS)[number];

/** From the worst to the best; `unknown`: what the check needs could not be read. */
export const STATES = ['broken', 'warning', 'unknown', 'ok'] as const;
export type State = (typeof STATES)[number];

const checkSchema = z.object({
  id: z.enum(CHECKS),
  state: z.enum(STATES),
  found: described('What was found, one sentence without its period'),
  remedy: z.optional(described('What a person can do about it; absent where nothing is to be done')),
  command: z.optional(described('A shell command that does it, or that shows more')),
});
/** The result of a check of one cluster. */
export type Check = z.infer<typeof checkSchema>;

const clusterHealthSchema = z.object({
  cluster: z.string(),
  region: z.optional(described('The AWS Region; absent for a cluster of a kubeconfig')),
  checks: z
    .array(checkSchema)
    .check(
      z.describe(
        'In the order of the path of an event; eks-* only for EKS; eks-cluster alone if EKS did not describe it',
      ),
    ),
});
export type ClusterHealth = z.infer<typeof clusterHealthSchema>;

/** The version rises when a reader would have to change. */
export const doctorReportSchema = z
  .object({
    schemaVersion: z.literal(1),
    startedAt: described('RFC 3339'),
    finishedAt: described('RFC 3339'),
    totals: z
      .object({ ok: z.number(), warning: z.number(), broken: z.number(), unknown: z.number() })
      .check(z.describe('Checks of all clusters by their state')),
    clusters: z.array(clusterHealthSchema),
    regions: z
      .array(z.object({ region: z.optional(z.string()), reason: z.string(), message: z.string(), remedy: z.string() }))
      .check(z.describe('Regions whose clusters could not be listed')),
  })
  .check(z.describe('Which links between clusters and this program work, and how to fix those that do not'));
export type DoctorReport = z.infer<typeof doctorReportSchema>;

/** Whether a link is broken, or EKS did not describe the cluster. */
export const needsFixing = ({ checks }: ClusterHealth): boolean =>
  checks.some(({ id, state }) => state === 'broken' || (id === 'eks-cluster' && state === 'unknown'));

/** The checks of all clusters by their state. */
export function countStates(clusters: readonly ClusterHealth[]): Record<State, number> {
  const counts = { ok: 0, warning: 0, broken: 0, unknown: 0 };
  for (const { checks } of clusters) for (const { state } of checks) counts[state] += 1;
  return counts;
}
