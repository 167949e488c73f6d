import * as z from 'zod/mini';
import type { GuardedVerdict } from './guards.ts';

/** What became of one HPA in a pass. */
export const OUTCOMES = [
  'Kept', // The judgement keeps it.
  'Deleted',
  'AlreadyGone', // Somebody else was faster: a success.
  'Reported', // Stale, and the pass may only report.
  'HeldBack', // Stale, and a guard holds it back.
  'MarkRefused', // Stale, and an admission policy refuses the mark: kept.
  'DeleteRefused', // Stale, and an admission policy refuses the deletion: kept.
  'Conflict', // Stale, and it or its configuration went on changing during the pass: looked at again later.
  'Failed', // Stale, and the API server did not answer a write; what came of that is seen in the next pass.
] as const;
export type Outcome = (typeof OUTCOMES)[number];

const objectSchema = z.object({
  kind: z.string(),
  namespace: z.optional(z.string()),
  name: z.string(),
  uid: z.optional(z.string()),
  resourceVersion: z.optional(z.string()),
});

const changeSchema = z.object({
  username: z.string(),
  impersonatedUsername: z.optional(z.string()),
  auditID: z.string(),
  verb: z.string(),
  resource: z.string(),
  namespace: z.optional(z.string()),
  name: z.optional(z.string()),
  /** RFC 3339. */
  time: z.string(),
});
/** Who wrote what, from the audit events that led to the pass. */
export type Change = z.infer<typeof changeSchema>;

const hpaReportSchema = z.object({
  namespace: z.string(),
  name: z.string(),
  uid: z.string(),
  action: z.enum(['delete', 'keep']),
  /** A row of the judgement table. */
  reason: z.string(),
  /** One sentence for a person. */
  explanation: z.string(),
  owner: z.optional(z.object({ kind: z.string(), namespace: z.optional(z.string()), name: z.string() })),
  restsOn: z.array(objectSchema),
  guard: z.optional(z.object({ name: z.string(), explanation: z.string() })),
  replicas: z.object({
    current: z.optional(z.number()),
    min: z.number(),
    max: z.number(),
    /** What the Deployment is left with without the HPA; absent where no configuration says (its Deployment is gone). */
    fallback: z.optional(z.number()),
  }),
  /** True when more replicas run now than the Deployment is left with. */
  dropsCapacity: z.boolean(),
});
export type HpaReport = z.infer<typeof hpaReportSchema>;

const sweptHpaSchema = z.extend(hpaReportSchema, {
  outcome: z.enum(OUTCOMES),
  /** What the API server said, for MarkRefused, DeleteRefused and Failed. */
  message: z.optional(z.string()),
  /** The changes that touched an object this verdict rests on. */
  changes: z.array(changeSchema),
  /** The API server's own JSON of what was deleted, as it was before the mark. */
  manifest: z.optional(z.record(z.string(), z.unknown())),
});
export type SweptHpa = z.infer<typeof sweptHpaSchema>;

/** What one pass over one cluster did and why. The version rises when a reader would have to change. */
export const passReportSchema = z.object({
  schemaVersion: z.literal(1),
  cluster: z.string(),
  passId: z.string(),
  mode: z.enum(['report', 'delete']),
  /** RFC 3339. */
  startedAt: z.string(),
  finishedAt: z.string(),
  hpas: z.array(sweptHpaSchema),
  /** All changes that led to the pass. */
  changes: z.array(changeSchema),
  /** True when something is to be looked at again soon: it settles, its Deployment is going, or it conflicted. */
  lookAgain: z.boolean(),
});
export type PassReport = z.infer<typeof passReportSchema>;

/** What every view shows of a verdict: the CLI's JSON, the report of a pass, a log line. */
export function reportHpa(verdict: GuardedVerdict): HpaReport {
  const { hpa, action, reason, explanation, owner, restsOn, guard, fallbackReplicas } = verdict;
  const current = hpa.status?.currentReplicas ?? undefined;
  return {
    namespace: hpa.metadata.namespace,
    name: hpa.metadata.name,
    uid: hpa.metadata.uid,
    action,
    reason,
    explanation,
    ...(owner && { owner }),
    restsOn: [...restsOn],
    ...(guard && { guard }),
    replicas: {
      ...(current !== undefined && { current }),
      min: hpa.spec.minReplicas ?? 1,
      max: hpa.spec.maxReplicas,
      ...(fallbackReplicas !== undefined && { fallback: fallbackReplicas }),
    },
    dropsCapacity: action === 'delete' && (current ?? 0) > (fallbackReplicas ?? Number.POSITIVE_INFINITY),
  };
}
