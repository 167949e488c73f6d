import * as z from 'zod/mini';
import type { Problem } from '../platform/problems.ts';
import { described } from '../platform/schema.ts';
import { changeSchema, EVENT_SOURCE } from './change-event.ts';
import {
  countOutcomes,
  GUARDS,
  hpaReportSchema,
  manifestSchema,
  missingHpaSchema,
  problemSchema,
  type RunReport,
  type SweepReport,
  type SweptHpa,
} from './report.ts';

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
  leftOut: z.optional(
    described(
      'What did not fit into an event. manifest: it is in the log of the function, in the line `deleting HPA`; restsOn: it is empty here',
      z.array(z.enum(['manifest', 'restsOn'])),
    ),
  ),
};
const deletedDetailSchema = detailOf('HPA Deleted', 'a stale HPA was deleted', {
  ...hpaShape,
  manifest: z.optional(manifestSchema),
});

/**
 * The details of the EventBridge events that `reap` and `backfill` publish after a sweep, by detail-type. The queue of `reap`
 * receives none of them. The version rises when a subscriber would have to change; new optional fields do not raise it.
 */
export const OUTCOME_DETAILS = {
  'HPA Deleted': deletedDetailSchema,
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

export interface OutcomeEvent<Type extends OutcomeDetailType = OutcomeDetailType> {
  readonly detailType: Type;
  readonly detail: z.infer<(typeof OUTCOME_DETAILS)[Type]>;
}

/** The fields of a sweep in each of its events. */
interface SweepRef {
  readonly version: '1';
  readonly cluster: string;
  readonly region: string;
  readonly sweepId: string;
}

/** An entry of PutEvents may have 256 KB, with its source, detail-type and ARN. */
const MAX_DETAIL_BYTES = 255 * 1024;

/** Characters of the message of an API server; that of a webhook has no limit. */
const MAX_MESSAGE_LENGTH = 1_024;

/**
 * The events of a completed sweep. The last one sums up the others; a sweep that only a change triggered and that has nothing
 * to report has none.
 */
export function sweepOutcomes(
  ref: Omit<SweepRef, 'version'>,
  { hpas, missing }: Pick<SweepReport, 'hpas' | 'missing'>,
  { mode, runIds }: { readonly mode: 'report' | 'delete'; readonly runIds: readonly string[] },
): OutcomeEvent[] {
  const sweep = { version: '1', ...ref } as const;
  const outcomes: OutcomeEvent[] = [
    ...hpas.flatMap((hpa) => outcomeOf(sweep, hpa) ?? []),
    ...missing.map((hpa) => ({ detailType: 'HPA Missing' as const, detail: { ...sweep, hpa } })),
  ];
  if (outcomes.length === 0 && runIds.length === 0) return [];
  const countOf = (type: OutcomeDetailType) => outcomes.filter(({ detailType }) => detailType === type).length;
  const detail = {
    ...sweep,
    runIds: [...runIds],
    mode,
    hpas: hpas.length,
    stale: hpas.filter(({ action }) => action === 'delete').length,
    deleted: countOf('HPA Deleted'),
    heldBack: countOf('HPA Held Back'),
    missing: missing.length,
    outcomes: countOutcomes(hpas),
  };
  return [...outcomes, { detailType: 'Sweep Completed', detail }];
}

/** The outcome of a sweep that was not possible: none for a cluster that opted out. */
export function outcomesOfProblem(
  ref: Omit<SweepRef, 'version'>,
  result: 'skipped' | 'failed',
  { reason, message, remedy }: Problem,
): OutcomeEvent[] {
  if (reason === 'ClusterOptedOut') return [];
  return [{ detailType: 'Cluster Unreachable', detail: { version: '1', ...ref, result, reason, message, remedy } }];
}

/** The outcomes of a run over many clusters, without the dispatched ones: `reap` publishes those. */
export function outcomesOfRun({ clusters, mode, runId }: RunReport, ownRegion: string): OutcomeEvent[] {
  return clusters.flatMap((report) => {
    const { cluster, region = ownRegion, sweepId = runId, result, problem } = report;
    const ref = { cluster, region, sweepId };
    if (result === 'swept') return sweepOutcomes(ref, report, { mode, runIds: [runId] });
    return result !== 'dispatched' && problem !== undefined ? outcomesOfProblem(ref, result, problem) : [];
  });
}

function outcomeOf(sweep: SweepRef, swept: SweptHpa): OutcomeEvent | undefined {
  const { outcome, message = '', whatIf: _whatIf, changes, manifest, ...hpa } = swept;
  const detail = { ...sweep, hpa, changes };
  switch (outcome) {
    case 'Deleted':
      return { detailType: 'HPA Deleted', detail: fitting({ ...detail, manifest }) };
    case 'Reported':
      return { detailType: 'HPA Reported', detail: fitting(detail) };
    case 'HeldBack':
      // What settles is swept again soon.
      if (hpa.guard && GUARDS[hpa.guard.name].retried) return undefined;
      return { detailType: 'HPA Held Back', detail: fitting(detail) };
    case 'MarkRefused':
    case 'DeleteRefused': {
      const guard = { name: outcome, explanation: message.slice(0, MAX_MESSAGE_LENGTH) };
      return { detailType: 'HPA Held Back', detail: fitting({ ...detail, hpa: { ...hpa, guard } }) };
    }
    default:
      return undefined;
  }
}

/** Omits what is too large for an event, and lists that in `leftOut`. */
function fitting(whole: z.infer<typeof deletedDetailSchema>): z.infer<typeof deletedDetailSchema> {
  if (fits(whole)) return whole;
  const { manifest, ...detail } = whole;
  const leftOut = manifest ? ['manifest' as const] : [];
  if (manifest && fits({ ...detail, leftOut })) return { ...detail, leftOut };
  // A class that merges its Gateways rests on all of them.
  return { ...detail, hpa: { ...detail.hpa, restsOn: [] }, leftOut: [...leftOut, 'restsOn'] };
}

const fits = (detail: object) => Buffer.byteLength(JSON.stringify(detail)) <= MAX_DETAIL_BYTES;
