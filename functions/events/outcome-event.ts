import * as z from 'zod/mini';
import { described } from '../platform/schema.ts';
import { changeSchema, EVENT_SOURCE } from './change-event.ts';
import {
  type ClusterReport,
  countOutcomes,
  hpaReportSchema,
  manifestSchema,
  missingHpaSchema,
  type Problem,
  problemSchema,
  type RunReport,
  type SweepReport,
  type SweptHpa,
} from './report.ts';

/*
 * The EventBridge events that `reap` and `backfill` publish after a sweep, for subscribers. None of their detail-types fills the queue of `reap`. The
 * version of a detail rises when a subscriber would have to change; new optional fields do not raise it.
 */
const DELETED_DETAIL_TYPE = 'HPA Deleted';
const REPORTED_DETAIL_TYPE = 'HPA Reported';
const HELD_BACK_DETAIL_TYPE = 'HPA Held Back';
const MISSING_DETAIL_TYPE = 'HPA Missing';
const UNREACHABLE_DETAIL_TYPE = 'Cluster Unreachable';
const SWEPT_DETAIL_TYPE = 'Sweep Completed';

const detailOf = <Shape extends z.core.$ZodLooseShape>(detailType: string, what: string, shape: Shape) =>
  z
    .object({
      version: z.literal('1'),
      cluster: described("The EKS cluster's name"),
      region: described('The AWS Region of the cluster'),
      ...shape,
    })
    .check(z.describe(`The detail of an EventBridge event ${detailType} with source ${EVENT_SOURCE}: ${what}`));

const ofSweep = { sweepId: described('The sweep; its log lines have the same id') };

const hpaShape = {
  ...ofSweep,
  hpa: hpaReportSchema,
  changes: z
    .array(changeSchema)
    .check(z.describe('Changes of objects that the verdict rests on, if they led to the sweep')),
  leftOut: z.optional(
    z
      .array(z.enum(['manifest', 'restsOn']))
      .check(
        z.describe(
          'What did not fit into an event. manifest: it is in the log of the function, in the line `deleting HPA`; restsOn: it is empty here',
        ),
      ),
  ),
};

export const deletedDetailSchema = detailOf(DELETED_DETAIL_TYPE, 'a stale HPA was deleted', {
  ...hpaShape,
  manifest: z.optional(manifestSchema),
});
export const reportedDetailSchema = detailOf(
  REPORTED_DETAIL_TYPE,
  'an HPA is stale, and the sweep only reports; again with every sweep until it is gone',
  hpaShape,
);
export const heldBackDetailSchema = detailOf(
  HELD_BACK_DETAIL_TYPE,
  'an HPA is stale, and stays until a person decides: its guard is BlastRadiusExceeded, or MarkRefused or DeleteRefused with the message of the API server; again with every sweep until then',
  hpaShape,
);
export const missingDetailSchema = detailOf(
  MISSING_DETAIL_TYPE,
  'an HPA is wanted and missing, and Envoy Gateway does not notice; again with every sweep until it exists',
  { ...ofSweep, hpa: missingHpaSchema },
);
export const unreachableDetailSchema = detailOf(UNREACHABLE_DETAIL_TYPE, 'a cluster could not be swept', {
  ...ofSweep,
  result: z
    .enum(['skipped', 'failed'])
    .check(z.describe('skipped: nothing can be done there now; failed: the same again later may well succeed')),
  ...problemSchema.shape,
});
export const sweptDetailSchema = detailOf(
  SWEPT_DETAIL_TYPE,
  'a sweep that was requested ended, or one that a change triggered and that published other events',
  {
    ...ofSweep,
    runIds: z.array(z.string()).check(z.describe('The runs of backfill that requested it; empty for a change')),
    mode: z.enum(['report', 'delete']),
    hpas: z.number().check(z.describe('HPAs with a label of Envoy Gateway')),
    stale: z.number().check(z.describe('Of these, HPAs whose judgement is `delete`, whatever was done about it')),
    deleted: z.number().check(z.describe('HPAs with an event HPA Deleted')),
    heldBack: z.number().check(z.describe('HPAs with an event HPA Held Back')),
    missing: z.number().check(z.describe('HPAs with an event HPA Missing')),
    outcomes: z.record(z.string(), z.number()).check(z.describe('HPAs by outcome')),
  },
);

/** Every detail-type of an outcome, with what its detail is. */
export const OUTCOME_DETAILS = {
  [DELETED_DETAIL_TYPE]: deletedDetailSchema,
  [REPORTED_DETAIL_TYPE]: reportedDetailSchema,
  [HELD_BACK_DETAIL_TYPE]: heldBackDetailSchema,
  [MISSING_DETAIL_TYPE]: missingDetailSchema,
  [UNREACHABLE_DETAIL_TYPE]: unreachableDetailSchema,
  [SWEPT_DETAIL_TYPE]: sweptDetailSchema,
} as const;
export type OutcomeDetailType = keyof typeof OUTCOME_DETAILS;

export interface OutcomeEvent<Type extends OutcomeDetailType = OutcomeDetailType> {
  readonly detailType: Type;
  readonly detail: z.infer<(typeof OUTCOME_DETAILS)[Type]>;
}

/** A sweep, in its events. */
interface SweepRef {
  readonly cluster: string;
  readonly region: string;
  readonly sweepId: string;
}

/** What a sweep found. */
type Findings = Pick<SweepReport, 'hpas' | 'missing'>;

/** An entry of PutEvents may have 256 KB; what is left is for its source, detail-type and ARN. */
const MOST_DETAIL_BYTES = 255 * 1024;

/** Characters of what an API server said; a webhook may say any amount. */
const MOST_OF_MESSAGE = 1_024;

/**
 * The events of a sweep that ended. The last one sums up the others; a sweep that only a change triggered and that has nothing
 * to report has none.
 */
export function sweepOutcomes(
  place: SweepRef,
  report: Findings,
  { mode, runIds }: { readonly mode: 'report' | 'delete'; readonly runIds: readonly string[] },
): OutcomeEvent[] {
  const { hpas, missing } = report;
  const outcomes = [
    ...hpas.flatMap((hpa) => outcomeOf(place, hpa) ?? []),
    ...missing.map(
      (hpa): OutcomeEvent => ({
        detailType: MISSING_DETAIL_TYPE,
        detail: { version: '1', ...place, hpa },
      }),
    ),
  ];
  if (outcomes.length === 0 && runIds.length === 0) return [];
  const countOf = (type: OutcomeDetailType) => outcomes.filter(({ detailType }) => detailType === type).length;
  const detail = {
    version: '1' as const,
    ...place,
    runIds: [...runIds],
    mode,
    hpas: hpas.length,
    stale: hpas.filter(({ action }) => action === 'delete').length,
    deleted: countOf(DELETED_DETAIL_TYPE),
    heldBack: countOf(HELD_BACK_DETAIL_TYPE),
    missing: missing.length,
    outcomes: countOutcomes(hpas),
  };
  return [...outcomes, { detailType: SWEPT_DETAIL_TYPE, detail }];
}

/** The outcome of a sweep that was not possible: none for a cluster that opted out. */
export function outcomesOfProblem(
  place: SweepRef,
  result: 'skipped' | 'failed',
  { reason, message, remedy }: Problem,
): OutcomeEvent[] {
  if (reason === 'ClusterOptedOut') return [];
  const detail = { version: '1' as const, ...place, result, reason, message, remedy };
  return [{ detailType: UNREACHABLE_DETAIL_TYPE, detail }];
}

/** The outcomes of a run over many clusters, without those that `reap` was requested to sweep: it publishes its own. */
export function outcomesOfRun({ clusters, mode, runId }: RunReport, ownRegion: string): OutcomeEvent[] {
  return clusters.flatMap((report: ClusterReport) => {
    const { cluster, region = ownRegion, sweepId = runId, result, problem } = report;
    const place = { cluster, region, sweepId };
    if (result === 'swept') return sweepOutcomes(place, report, { mode, runIds: [runId] });
    return result !== 'dispatched' && problem !== undefined ? outcomesOfProblem(place, result, problem) : [];
  });
}

function outcomeOf(place: SweepRef, swept: SweptHpa): OutcomeEvent | undefined {
  const { outcome, message = '', whatIf: _whatIf, changes, manifest, ...hpa } = swept;
  const detail = { version: '1' as const, ...place, hpa, changes };
  switch (outcome) {
    case 'Reported':
      return { detailType: REPORTED_DETAIL_TYPE, detail: fitting(detail) };
    case 'HeldBack':
      // What settles is looked at again by itself.
      if (hpa.guard?.name === 'Settling') return undefined;
      return { detailType: HELD_BACK_DETAIL_TYPE, detail: fitting(detail) };
    case 'MarkRefused':
    case 'DeleteRefused': {
      const refused = { ...hpa, guard: { name: outcome, explanation: message.slice(0, MOST_OF_MESSAGE) } };
      return { detailType: HELD_BACK_DETAIL_TYPE, detail: fitting({ ...detail, hpa: refused }) };
    }
    case 'Deleted':
      return { detailType: DELETED_DETAIL_TYPE, detail: fitting({ ...detail, manifest }) };
    default:
      return undefined;
  }
}

/** The detail without what is too large for an event; it says what that is. */
function fitting(whole: z.infer<typeof deletedDetailSchema>): z.infer<typeof deletedDetailSchema> {
  if (fits(whole)) return whole;
  const { manifest, ...detail } = whole;
  const leftOut = manifest ? ['manifest' as const] : [];
  const withoutManifest = { ...detail, leftOut };
  if (manifest && fits(withoutManifest)) return withoutManifest;
  // Of a class that merges its Gateways these are all of them.
  return { ...detail, hpa: { ...detail.hpa, restsOn: [] }, leftOut: [...leftOut, 'restsOn'] };
}

const fits = (detail: object) => Buffer.byteLength(JSON.stringify(detail)) <= MOST_DETAIL_BYTES;
