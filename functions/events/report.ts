import * as z from 'zod/mini';
import { described } from '../platform/schema.ts';
import { changeSchema } from './change-event.ts';

/** The result of a sweep for one HPA. */
export const OUTCOMES = [
  'Kept', // The judgement keeps it.
  'Deleted',
  'AlreadyGone', // Somebody else was faster: a success.
  'Reported', // Stale, and the sweep only reports.
  'HeldBack', // Stale, and a guard holds it back.
  'MarkRefused', // Stale, and an admission policy refuses the mark: kept.
  'DeleteRefused', // Stale, and an admission policy refuses the deletion: kept.
  'Conflict', // Stale, and it or its configuration kept changing during the sweep: swept again later.
  'Stopped', // Stale, and the sweep was stopped before it was deleted.
  'Failed', // Stale, and the API server did not answer a write, nor is it known to be done: tried again later.
] as const;
export type Outcome = (typeof OUTCOMES)[number];

const replicasAfterSchema = z.object({
  kind: z
    .enum(['Stays', 'Becomes', 'Governed', 'NoDeployment', 'Unknown'])
    .check(
      z.describe(
        'Stays: nobody sets them any more; Becomes: Envoy Gateway sets them when it next applies the Deployment; Governed: another HPA does; NoDeployment: the Deployment is gone; Unknown: a patch says it in a way that is not understood',
      ),
    ),
  replicas: z.optional(z.number().check(z.describe('For Becomes; for Stays if the HPA reports how many run'))),
  hpa: z.optional(described('For Governed: namespace/name')),
});

const ownerSchema = z.object({ kind: z.string(), namespace: z.optional(z.string()), name: z.string() });

export const hpaReportSchema = z.object({
  namespace: z.string(),
  name: z.string(),
  uid: z.string(),
  action: z.enum(['delete', 'keep']).check(z.describe('The judgement, whatever was done about it')),
  reason: described('A row of the judgement table; docs/reasons.md lists them'),
  explanation: described('One sentence for a person'),
  owner: z.optional(ownerSchema),
  restsOn: z
    .array(
      z.object({
        kind: z.string(),
        namespace: z.optional(z.string()),
        name: z.string(),
        uid: z.optional(z.string()),
        resourceVersion: z.optional(z.string()),
        generation: z.optional(z.number()),
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
    after: z.optional(
      replicasAfterSchema.check(z.describe('What becomes of them without the HPA; absent where it stays')),
    ),
  }),
  createdAt: z.optional(described('RFC 3339, when the HPA was created')),
  dropsCapacity: z.boolean().check(z.describe('More replicas run now than Envoy Gateway then sets')),
  remedy: z.optional(described('What a person can do where it stays as it is')),
});
export type HpaReport = z.infer<typeof hpaReportSchema>;

export const missingHpaSchema = z
  .object({
    namespace: z.string(),
    name: z.string(),
    owner: ownerSchema.check(z.describe('Who asks for it')),
    reason: z.literal('WantedButMissing'),
    explanation: described('One sentence for a person'),
    remedy: described('What a person can do about it'),
  })
  .check(z.describe('An HPA that is asked for, and that Envoy Gateway has not made'));
export type MissingHpaReport = z.infer<typeof missingHpaSchema>;

/** How a what-if changes the judgement of an HPA. */
const WHAT_IF_CHANGES = [
  'BecomesStale', // Not stale now, and stale then.
  'BecomesStaleWithoutDeployment', // The same, but only once Envoy Gateway has removed its Deployment.
  'NoLongerStale', // Stale now (or without its Deployment), and no longer then: it is wanted again, or protected.
  'Unchanged',
] as const;

const hpaWhatIfSchema = z.object({
  change: z
    .enum(WHAT_IF_CHANGES)
    .check(z.describe('BecomesStaleWithoutDeployment: only once Envoy Gateway has removed its Deployment')),
  now: z
    .object({ action: z.enum(['delete', 'keep']), reason: z.string(), explanation: z.string() })
    .check(z.describe('The judgement of the cluster as it is')),
});
export type HpaWhatIf = z.infer<typeof hpaWhatIfSchema>;

export const manifestSchema = z
  .record(z.string(), z.unknown())
  .check(
    z.describe("The API server's own JSON of what was deleted, as it was before the mark; of others only on request"),
  );

const sweptHpaSchema = z.extend(hpaReportSchema, {
  outcome: z.enum(OUTCOMES).check(z.describe('The result; docs/reasons.md lists the outcomes')),
  message: z.optional(described('What the API server said, for MarkRefused, DeleteRefused and Failed')),
  changes: z.array(changeSchema).check(z.describe('The changes that touched an object this verdict rests on')),
  manifest: z.optional(manifestSchema),
  whatIf: z.optional(
    hpaWhatIfSchema.check(
      z.describe('Only in a what-if, whose judgements are of the cluster as it would be: what changes against now'),
    ),
  ),
});
export type SweptHpa = z.infer<typeof sweptHpaSchema>;

/** How many HPAs came to each outcome; none that no HPA came to. */
export function countOutcomes(hpas: readonly SweptHpa[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { outcome } of hpas) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
}

/** The version rises when a reader would have to change. Every description ends up in docs/schemas. */
export const sweepReportSchema = z
  .object({
    schemaVersion: z.literal(1),
    cluster: z.string(),
    sweepId: z.string(),
    mode: z.enum(['report', 'delete']),
    startedAt: described('RFC 3339'),
    finishedAt: described('RFC 3339'),
    hpas: z.array(sweptHpaSchema),
    missing: z.array(missingHpaSchema),
    changes: z.array(changeSchema).check(z.describe('All changes that led to the sweep')),
    lookAgain: z
      .boolean()
      .check(
        z.describe(
          'The cluster has to be swept again soon: something settles, a Deployment is going, a write conflicted, or the sweep was stopped',
        ),
      ),
  })
  .check(z.describe('The report of one sweep'));
export type SweepReport = z.infer<typeof sweepReportSchema>;

export const problemSchema = z.object({
  reason: described('Machine-readable, such as ClusterForbidden; docs/reasons.md lists them'),
  message: z.string(),
  remedy: described('What a person can do about it'),
});
/** Why a cluster was not swept, or what is not as it should be with one that was. */
export type Problem = z.infer<typeof problemSchema>;

const placeOfCluster = {
  cluster: z.string(),
  region: z.optional(described('The AWS Region; absent for a cluster of a kubeconfig or a file')),
};

const clusterReportSchema = z.object({
  ...placeOfCluster,
  result: z
    .enum(['swept', 'dispatched', 'skipped', 'failed'])
    .check(
      z.describe(
        'dispatched: reap was asked to sweep it; skipped: nothing can be done there now; failed: the same again later may well succeed',
      ),
    ),
  problem: z.optional(problemSchema.check(z.describe('Why it was not swept'))),
  warnings: z.array(problemSchema).check(z.describe('What is not as it should be, though it was swept')),
  sweepId: z.optional(z.string()),
  lookAgain: z.optional(z.boolean()),
  hpas: z.array(sweptHpaSchema),
  missing: z.array(missingHpaSchema),
});
export type ClusterReport = z.infer<typeof clusterReportSchema>;

const objectNameSchema = z.object({ kind: z.string(), namespace: z.optional(z.string()), name: z.string() });

/** The version rises when a reader would have to change. */
export const runReportSchema = z
  .object({
    schemaVersion: z.literal(1),
    runId: z.string(),
    mode: z.enum(['report', 'delete']),
    selection: z.optional(
      z
        .object({ namespace: z.optional(z.string()), gateway: z.optional(z.string()) })
        .check(z.describe('The run was about these HPAs only; the others are not in the report')),
    ),
    whatIf: z.optional(
      z
        .object({
          applied: z
            .array(objectNameSchema)
            .check(z.describe("Manifests; one without a namespace goes to the context's, or to default")),
          deleted: z.array(objectNameSchema),
        })
        .check(z.describe('Every cluster was judged as if these were applied and deleted')),
    ),
    startedAt: described('RFC 3339'),
    finishedAt: described('RFC 3339'),
    totals: z.object({
      clusters: z.number().check(z.describe('Every cluster that was asked for, those of `remaining` included')),
      swept: z.number(),
      dispatched: z.optional(z.number()),
      skipped: z.number(),
      failed: z.number(),
      hpas: z.number(),
      stale: z.number().check(z.describe('HPAs whose judgement is `delete`, whatever was done about it')),
      missing: z.number().check(z.describe('HPAs that are asked for and not there')),
      outcomes: z.record(z.string(), z.number()).check(z.describe('HPAs by outcome')),
    }),
    clusters: z.array(clusterReportSchema),
    regions: z
      .array(z.extend(problemSchema, { region: z.optional(z.string()) }))
      .check(z.describe('Regions whose clusters could not be listed')),
    remaining: z
      .array(z.object(placeOfCluster))
      .check(z.describe('Clusters that the run did not get to, or did not finish, before it had to end')),
    shortened: z.optional(
      z.array(z.string()).check(z.describe('What was left out to fit the limit of an answer; the log has it all')),
    ),
  })
  .check(z.describe('What one run over any number of clusters did and why'));
export type RunReport = z.infer<typeof runReportSchema>;
