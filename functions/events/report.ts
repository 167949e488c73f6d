import * as z from 'zod/mini';
import { DELETE_REASONS, KEEP_REASONS } from '../judgement/reasons.ts';
import { SWEEP_PROBLEMS } from '../platform/problems.ts';
import { described, optional } from '../platform/schema.ts';
import { EVENT_SOURCE } from './event-source.ts';
import { GUARDS, OUTCOMES } from './outcomes.ts';
import { QUEUED_DETAILS } from './queued-event.ts';

const { user, auditID, objectRef } = QUEUED_DETAILS['Envoy Gateway Configuration Changed'].shape;
const { resource, namespace, name } = objectRef.shape;
const changeSchema = z.object({
  ...user.shape,
  ...{ auditID, verb: z.string(), resource, namespace, name, time: described('RFC 3339') },
});
/** Who wrote what, from an audit event that led to a sweep. */
export type Change = z.infer<typeof changeSchema>;

const replicasAfterSchema = z.object({
  kind: described(
    'Stays: nobody sets them any more; Becomes: Envoy Gateway sets them when it next applies the Deployment; Governed: another HPA does; NoDeployment: the Deployment is gone; Unknown: a patch says it in a way that is not understood',
    z.enum(['Stays', 'Becomes', 'Governed', 'NoDeployment', 'Unknown']),
  ),
  replicas: optional('For Becomes; for Stays if the HPA reports how many run', z.number()),
  hpa: optional('For Governed: namespace/name'),
});

const objectNameSchema = z.object({ kind: z.string(), namespace: z.optional(z.string()), name: z.string() });

const reasonSchema = z.enum([...DELETE_REASONS, ...KEEP_REASONS]);

const hpaReportSchema = z.object({
  namespace: z.string(),
  name: z.string(),
  uid: z.string(),
  action: described('The judgement, whatever was done about it', z.enum(['delete', 'keep'])),
  reason: described('A row of the judgement table; docs/reasons.md lists them', reasonSchema),
  explanation: described('One sentence for a person'),
  owner: z.optional(objectNameSchema),
  restsOn: described(
    'The objects that decided, as they were read; one without a uid was read as absent',
    z.array(
      z.extend(objectNameSchema, {
        uid: z.optional(z.string()),
        resourceVersion: z.optional(z.string()),
        generation: z.optional(z.number()),
      }),
    ),
  ),
  guard: optional(
    'What holds the deletion back',
    z.object({ name: z.enum(Object.keys(GUARDS) as (keyof typeof GUARDS)[]), explanation: z.string() }),
  ),
  replicas: z.object({
    current: z.optional(z.number()),
    min: z.number(),
    max: z.number(),
    after: optional('The result without the HPA; absent for an HPA that stays', replicasAfterSchema),
  }),
  createdAt: optional('RFC 3339, when the HPA was created'),
  dropsCapacity: described('More replicas run now than Envoy Gateway then sets', z.boolean()),
  remedy: optional('What a person can do where it stays as it is'),
});

const missingHpaSchema = described(
  'An HPA that is wanted, and that Envoy Gateway has not created',
  z.object({
    namespace: z.string(),
    name: z.string(),
    owner: described('Who asks for it', objectNameSchema),
    reason: z.literal('WantedButMissing'),
    explanation: described('One sentence for a person'),
    remedy: described('What a person can do about it'),
  }),
);

/** How a what-if changes the judgement of an HPA. */
const WHAT_IF_CHANGES = [
  'BecomesStale', // Not stale now, and stale then.
  'BecomesStaleWithoutDeployment', // The same, but only once Envoy Gateway has removed its Deployment.
  'NoLongerStale', // Stale now (or without its Deployment), and no longer then: it is wanted again, or protected.
  'Unchanged',
] as const;

const manifestSchema = described(
  "The API server's own JSON of what was deleted, as it was before the mark; of others only on request",
  z.record(z.string(), z.unknown()),
);

const sweptHpaSchema = z.extend(hpaReportSchema, {
  outcome: described('The result; docs/reasons.md lists the outcomes', z.enum(OUTCOMES)),
  message: optional('What the API server said, for MarkRefused, DeleteRefused and Failed'),
  changes: described('The changes that touched an object this verdict rests on', z.array(changeSchema)),
  manifest: z.optional(manifestSchema),
  whatIf: optional(
    'Only in a what-if, whose judgements are of the changed cluster: the difference from the current one',
    z.object({
      change: described(
        'BecomesStaleWithoutDeployment: only once Envoy Gateway has removed its Deployment',
        z.enum(WHAT_IF_CHANGES),
      ),
      now: described(
        'The judgement of the cluster as it is',
        z.object({ action: z.enum(['delete', 'keep']), reason: reasonSchema, explanation: z.string() }),
      ),
    }),
  ),
});
export type SweptHpa = z.infer<typeof sweptHpaSchema>;

/** The version rises when a reader would have to change. Every description ends up in docs/schemas. */
export const sweepReportSchema = described(
  'The report of one sweep',
  z.object({
    schemaVersion: z.literal(1),
    cluster: z.string(),
    sweepId: z.string(),
    mode: z.enum(['report', 'delete']),
    startedAt: described('RFC 3339'),
    finishedAt: described('RFC 3339'),
    hpas: z.array(sweptHpaSchema),
    missing: z.array(missingHpaSchema),
    changes: described('All changes that led to the sweep', z.array(changeSchema)),
    lookAgain: described(
      'The cluster has to be swept again soon: something settles, a Deployment is going, a write conflicted, or the sweep was stopped',
      z.boolean(),
    ),
  }),
);
export type SweepReport = z.infer<typeof sweepReportSchema>;

const problemSchema = z.object({
  reason: described('Machine-readable; docs/reasons.md lists them', z.enum(SWEEP_PROBLEMS)),
  message: z.string(),
  remedy: described('What a person can do about it'),
});

const placeOfCluster = {
  cluster: z.string(),
  region: optional('The AWS Region; absent for a cluster of a kubeconfig or a file'),
};

const clusterReportSchema = z.object({
  ...placeOfCluster,
  result: described(
    'dispatched: reap was asked to sweep it; skipped: nothing can be done there now; failed: a retry may succeed',
    z.enum(['swept', 'dispatched', 'skipped', 'failed']),
  ),
  problem: optional('Why it was not swept', problemSchema),
  warnings: described('What is not as it should be, though it was swept', z.array(problemSchema)),
  sweepId: z.optional(z.string()),
  lookAgain: z.optional(z.boolean()),
  hpas: z.array(sweptHpaSchema),
  missing: z.array(missingHpaSchema),
});
export type ClusterReport = z.infer<typeof clusterReportSchema>;

/** The version rises when a reader would have to change. */
export const runReportSchema = described(
  'What one run over any number of clusters did and why',
  z.object({
    schemaVersion: z.literal(1),
    runId: z.string(),
    mode: z.enum(['report', 'delete']),
    selection: optional(
      'The run was about these HPAs only; the others are not in the report',
      z.object({ namespace: z.optional(z.string()), gateway: z.optional(z.string()) }),
    ),
    whatIf: optional(
      'Every cluster was judged as if these were applied and deleted',
      z.object({
        applied: described(
          "Manifests; one without a namespace goes to the context's, or to default",
          z.array(objectNameSchema),
        ),
        deleted: z.array(objectNameSchema),
      }),
    ),
    startedAt: described('RFC 3339'),
    finishedAt: described('RFC 3339'),
    totals: z.object({
      clusters: described('Every cluster that was asked for, those of `remaining` included', z.number()),
      swept: z.number(),
      dispatched: z.optional(z.number()),
      skipped: z.number(),
      failed: z.number(),
      hpas: z.number(),
      stale: described('HPAs whose judgement is `delete`, whatever was done about it', z.number()),
      missing: described('HPAs that are wanted and missing', z.number()),
      outcomes: described('HPAs by outcome', z.record(z.string(), z.number())),
    }),
    clusters: z.array(clusterReportSchema),
    regions: described(
      'Regions whose clusters could not be listed',
      z.array(z.extend(problemSchema, { region: z.optional(z.string()) })),
    ),
    remaining: described(
      'Clusters that the run did not begin, or did not finish in time',
      z.array(z.object(placeOfCluster)),
    ),
    shortened: optional('What was left out to fit the limit of an answer; the log has it all', z.array(z.string())),
  }),
);
export type RunReport = z.infer<typeof runReportSchema>;

const detailOf = <Shape extends z.core.$ZodLooseShape>(detailType: string, what: string, shape: Shape) =>
  described(
    `The detail of an EventBridge event ${detailType} with source ${EVENT_SOURCE}: ${what}`,
    z.object({
      version: z.literal('1'),
      cluster: described("The EKS cluster's name"),
      region: described('The AWS Region of the cluster'),
      sweepId: described('The sweep; its log lines have the same id'),
      ...shape,
    }),
  );

const hpaShape = {
  hpa: hpaReportSchema,
  changes: described('Changes of objects that the verdict rests on, if they led to the sweep', z.array(changeSchema)),
  leftOut: optional(
    'What did not fit into an event. manifest: it is in the log of the function, in the line `deleting HPA`; restsOn: it is empty here',
    z.array(z.enum(['manifest', 'restsOn'])),
  ),
};

/**
 * The details of the EventBridge events that `reap` and `backfill` publish after a sweep, by detail-type. The queue of `reap`
 * receives none of them. The version rises when a subscriber would have to change; new optional fields do not raise it.
 */
export const OUTCOME_DETAILS = {
  'HPA Deleted': detailOf('HPA Deleted', 'a stale HPA was deleted', {
    ...hpaShape,
    manifest: z.optional(manifestSchema),
  }),
  'HPA Reported': detailOf(
    'HPA Reported',
    'an HPA is stale, and the sweep only reports; again with every sweep until it is gone',
    hpaShape,
  ),
  'HPA Held Back': detailOf(
    'HPA Held Back',
    'an HPA is stale, and stays until a person decides: its guard is BlastRadiusExceeded, or MarkRefused or DeleteRefused with the message of the API server; again with every sweep until then',
    hpaShape,
  ),
  'HPA Missing': detailOf(
    'HPA Missing',
    'an HPA is wanted and missing, and Envoy Gateway does not notice; again with every sweep until it exists',
    { hpa: missingHpaSchema },
  ),
  'Cluster Unreachable': detailOf('Cluster Unreachable', 'a cluster could not be swept', {
    result: described(
      'skipped: nothing can be done there now; failed: a retry may succeed',
      z.enum(['skipped', 'failed']),
    ),
    ...problemSchema.shape,
  }),
  'Sweep Completed': detailOf(
    'Sweep Completed',
    'a sweep that was requested ended, or one that a change triggered and that published other events',
    {
      runIds: described('The runs of backfill that requested it; empty for a change', z.array(z.string())),
      mode: z.enum(['report', 'delete']),
      hpas: described('HPAs with a label of Envoy Gateway', z.number()),
      stale: described('Of these, HPAs whose judgement is `delete`, whatever was done about it', z.number()),
      deleted: described('HPAs with an event HPA Deleted', z.number()),
      heldBack: described('HPAs with an event HPA Held Back', z.number()),
      missing: described('HPAs with an event HPA Missing', z.number()),
      outcomes: described('HPAs by outcome', z.record(z.string(), z.number())),
    },
  ),
} as const;
export type OutcomeDetailType = keyof typeof OUTCOME_DETAILS;
