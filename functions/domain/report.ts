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

const described = (description: string) => z.string().check(z.describe(description));

const changeSchema = z.object({
  username: described('Who sent the request'),
  impersonatedUsername: z.optional(described('Whom the sender impersonated')),
  auditID: described("The audit event's, for looking it up in CloudWatch Logs"),
  verb: z.string(),
  resource: described('The plural name, such as envoyproxies'),
  namespace: z.optional(z.string()),
  name: z.optional(described('Absent for a deletecollection and a create with generateName')),
  time: described('RFC 3339'),
});
/** Who wrote what, from the audit events that led to the pass. */
export type Change = z.infer<typeof changeSchema>;

const hpaReportSchema = z.object({
  namespace: z.string(),
  name: z.string(),
  uid: z.string(),
  action: z.enum(['delete', 'keep']).check(z.describe('The judgement, whatever was done about it')),
  reason: described('A row of the judgement table; the README lists them'),
  explanation: described('One sentence for a person'),
  owner: z.optional(z.object({ kind: z.string(), namespace: z.optional(z.string()), name: z.string() })),
  restsOn: z
    .array(
      z.object({
        kind: z.string(),
        namespace: z.optional(z.string()),
        name: z.string(),
        uid: z.optional(z.string()),
        resourceVersion: z.optional(z.string()),
      }),
    )
    .check(z.describe('The objects that decided, as they were read; one without a uid was read as absent')),
  guard: z.optional(
    z.object({ name: z.string(), explanation: z.string() }).check(z.describe('What holds the deletion back')),
  ),
  replicas: z.object({
    current: z.optional(z.number()),
    min: z.number(),
    max: z.number(),
    fallback: z.optional(
      z
        .number()
        .check(z.describe('What the Deployment is left with without the HPA; absent where no configuration says')),
    ),
  }),
  dropsCapacity: z.boolean().check(z.describe('More replicas run now than the Deployment is left with')),
});
export type HpaReport = z.infer<typeof hpaReportSchema>;

const sweptHpaSchema = z.extend(hpaReportSchema, {
  outcome: z.enum(OUTCOMES).check(z.describe('What became of it in this pass; the README lists the outcomes')),
  message: z.optional(described('What the API server said, for MarkRefused, DeleteRefused and Failed')),
  changes: z.array(changeSchema).check(z.describe('The changes that touched an object this verdict rests on')),
  manifest: z.optional(
    z
      .record(z.string(), z.unknown())
      .check(z.describe("The API server's own JSON of what was deleted, as it was before the mark")),
  ),
});
export type SweptHpa = z.infer<typeof sweptHpaSchema>;

/** The version rises when a reader would have to change. Every description ends up in docs/schemas. */
export const passReportSchema = z
  .object({
    schemaVersion: z.literal(1),
    cluster: z.string(),
    passId: z.string(),
    mode: z.enum(['report', 'delete']),
    startedAt: described('RFC 3339'),
    finishedAt: described('RFC 3339'),
    hpas: z.array(sweptHpaSchema),
    changes: z.array(changeSchema).check(z.describe('All changes that led to the pass')),
    lookAgain: z
      .boolean()
      .check(
        z.describe('Something is to be looked at again soon: it settles, its Deployment is going, or it conflicted'),
      ),
  })
  .check(z.describe('What one pass over one cluster did and why'));
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
