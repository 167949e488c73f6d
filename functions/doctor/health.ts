import * as z from 'zod/mini';
import { described } from '../platform/schema.ts';

/** The links that are checked. Their names stay: a machine may go by them. The first part of a name is whose link it is. */
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

/** `unknown`: it could not be looked at, so nothing is said of it. */
export const STATES = ['ok', 'warning', 'broken', 'unknown'] as const;
export type State = (typeof STATES)[number];

const checkSchema = z.object({
  id: z.enum(CHECKS),
  state: z.enum(STATES),
  found: described('What was found, one sentence without its full stop'),
  remedy: z.optional(described('What a person can do about it; absent where nothing is to be done')),
  command: z.optional(described('A command for a shell that does it, or that shows more')),
});
export type Check = z.infer<typeof checkSchema>;

const placeOfCluster = {
  cluster: z.string(),
  region: z.optional(described('The AWS Region; absent for a cluster of a kubeconfig')),
};

const clusterHealthSchema = z.object({
  ...placeOfCluster,
  checks: z
    .array(checkSchema)
    .check(
      z.describe('In the order of the way of an event; those of EKS only for a cluster that was found through EKS'),
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
  .check(z.describe('Which links between clusters and this program hold, and how to mend those that do not'));
export type DoctorReport = z.infer<typeof doctorReportSchema>;

/** What was read, or why it could not be. */
export type Reading<Value> = { readonly value: Value } | Unread;
export interface Unread {
  /** Why, one sentence without its full stop. */
  readonly unread: string;
  readonly remedy?: string;
}

/** A check of something that may not have been read. */
export function checkOf<Value>(
  id: CheckId,
  reading: Reading<Value>,
  verdict: (value: Value) => Omit<Check, 'id'>,
): Check {
  if ('value' in reading) return { id, ...verdict(reading.value) };
  return {
    id,
    state: 'unknown',
    found: reading.unread,
    remedy: reading.remedy,
  };
}

/** For what rests on something that was not there, or not read. */
export const notLookedAt = (because: string): Unread => ({ unread: `not looked at: ${because}` });

/** A reading that rests on another, which has a check of its own: that one tells why where it could not be made. */
export function given<From, To>(reading: Reading<From>, its: CheckId, next: (value: From) => Reading<To>): Reading<To> {
  return 'value' in reading ? next(reading.value) : notLookedAt(`see ${its}`);
}

/** The same reading, seen otherwise. */
export function as<From, To>(reading: Reading<From>, view: (value: From) => To): Reading<To> {
  return 'value' in reading ? { value: view(reading.value) } : reading;
}

/** Whether a link is broken, or nothing could be seen of the cluster because EKS would not tell of it. */
export function needsMending({ checks }: ClusterHealth): boolean {
  return checks.some(({ id, state }) => state === 'broken' || (id === 'eks-cluster' && state === 'unknown'));
}

/** The checks of all clusters by their state. */
export function countStates(clusters: readonly ClusterHealth[]): Record<State, number> {
  const counts = { ok: 0, warning: 0, broken: 0, unknown: 0 };
  for (const { checks } of clusters) for (const { state } of checks) counts[state] += 1;
  return counts;
}
