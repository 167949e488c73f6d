import type * as z from 'zod/mini';
import type { Problem } from '../platform/problems.ts';
import { countOutcomes, GUARDS } from './outcomes.ts';
import type { OUTCOME_DETAILS, OutcomeDetailType, RunReport, SweepReport, SweptHpa } from './report.ts';

export interface OutcomeEvent<Type extends OutcomeDetailType = OutcomeDetailType> {
  readonly detailType: Type;
  readonly detail: z.infer<(typeof OUTCOME_DETAILS)[Type]>;
}

/** The fields of a sweep in each of its events. */
type SweepRef = Pick<OutcomeEvent<'HPA Missing'>['detail'], 'version' | 'cluster' | 'region' | 'sweepId'>;

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
function fitting(whole: OutcomeEvent<'HPA Deleted'>['detail']): OutcomeEvent<'HPA Deleted'>['detail'] {
  if (fits(whole)) return whole;
  const { manifest, ...detail } = whole;
  const leftOut = manifest ? ['manifest' as const] : [];
  if (manifest && fits({ ...detail, leftOut })) return { ...detail, leftOut };
  // A class that merges its Gateways rests on all of them.
  return { ...detail, hpa: { ...detail.hpa, restsOn: [] }, leftOut: [...leftOut, 'restsOn'] };
}

const fits = (detail: object) => Buffer.byteLength(JSON.stringify(detail)) <= MAX_DETAIL_BYTES;
