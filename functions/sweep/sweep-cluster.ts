import { countOutcomes, GUARDS } from '../events/outcomes.ts';
import type { Change, SweepReport, SweptHpa } from '../events/report.ts';
import { type GuardedVerdict, type GuardSettings, guard } from '../judgement/guards.ts';
import type { MissingHpa } from '../judgement/missing.ts';
import type { Owner } from '../judgement/ownership.ts';
import type { ClusterApi } from '../kubernetes/cluster-api.ts';
import { KINDS, type Kind } from '../kubernetes/kinds.ts';
import { describeError } from '../platform/errors.ts';
import type { Log } from '../platform/logger.ts';
import { assess, reportHpa, reportMissing } from './assess.ts';
import { recordOwnerEvents } from './owner-events.ts';
import { type RemoveOptions, remove } from './remove.ts';

export interface SweepOptions extends RemoveOptions {
  /** `report` writes nothing to the cluster, not even the mark. */
  readonly mode: 'report' | 'delete';
  readonly guards: GuardSettings;
  readonly now: () => Date;
  /** The changes that led to this sweep. They are reported and decide nothing. */
  readonly changes?: readonly Change[];
  /** The HPAs to sweep; the others are neither reported nor touched. Absent: all. */
  readonly selects?: Selects;
  /**
   * Reserves deletions in the limit of a run over many clusters.
   *
   * @param keys of HPAs, unique in the run; to reserve the same again costs nothing
   * @returns why they do not fit, or `undefined`: then they are reserved. What does not fit is held back as a whole
   */
  readonly budget?: (keys: readonly string[]) => string | undefined;
  /** Writes a log line also for each HPA that is plainly wanted. */
  readonly logEveryHpa?: boolean;
}

/** Selects HPAs by namespace and owner, and stale ones also by uid. A missing HPA has no uid. */
export type Selects = (hpa: {
  readonly namespace: string;
  readonly owner: Owner | undefined;
  readonly staleUid?: string;
}) => boolean;

/** Maximum attempts for a stale HPA that keeps changing; then the next sweep retries. */
const ATTEMPTS = 3;

/**
 * Sweeps one cluster: assesses it, applies the guards, removes what is stale, records Events for the owners, and reports.
 *
 * An HPA is deleted only if the assessments before and after the mark are equal in everything that its verdict rests on, and
 * the deletion carries the resourceVersion of the mark. Envoy Gateway's next apply undoes the mark and so changes the
 * resourceVersion: whichever process stops at whatever moment, an HPA that is wanted exists at the end, or is created again.
 *
 * @throws whatever a read throws ({@link ClusterApi}); an incomplete read deletes nothing
 */
export async function sweepCluster(options: SweepOptions): Promise<SweepReport> {
  const { api, mode, guards, now, log, cluster, sweepId, drainSignal, controllerNamespaces } = options;
  const { selects = () => true, hasTimeLeft = () => true, changes = [] } = options;
  const startedAt = now().toISOString();
  const ended = new Map<string, SweptHpa>();
  const end: Parameters<typeof remove>[2] = (verdict, outcome, extra) => {
    ended.set(verdict.hpa.metadata.uid, {
      ...reportHpa(verdict),
      outcome,
      changes: changes.filter((change) => verdict.restsOn.some((object) => isAbout(change, object))),
      ...extra,
    });
  };
  const deletions = () => [...ended.values()].filter(({ outcome }) => outcome === 'Deleted').length;
  let unsettled: readonly GuardedVerdict[] = [];
  let missing: readonly MissingHpa[] = [];

  /** @returns what to delete; nothing else that was read is kept in memory */
  const findStale = async (): Promise<GuardedVerdict[]> => {
    const assessment = await assess(api, { now: now(), controllerNamespaces });
    missing = assessment.missing.filter(({ namespace, owner }) => selects({ namespace, owner }));
    const selected = assessment.verdicts.filter(({ hpa: { metadata }, owner, action }) =>
      selects({ namespace: metadata.namespace, owner, staleUid: action === 'delete' ? metadata.uid : undefined }),
    );
    const guarded = guard(selected, assessment.snapshot, guards, now(), deletions());
    const verdicts = withinBudget(
      guarded.filter(({ hpa }) => !ended.has(hpa.metadata.uid)),
      options,
    );
    const seen = new Set(verdicts.map(({ hpa }) => hpa.metadata.uid));
    for (const verdict of unsettled) if (!seen.has(verdict.hpa.metadata.uid)) end(verdict, 'AlreadyGone');
    const stale: GuardedVerdict[] = [];
    for (const verdict of verdicts) {
      if (verdict.action === 'keep') end(verdict, 'Kept');
      else if (verdict.guard) end(verdict, 'HeldBack');
      else if (mode === 'report') end(verdict, 'Reported');
      else stale.push(verdict);
    }
    return stale;
  };

  try {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
      unsettled = await findStale();
      unsettled = await remove(unsettled, options, end);
      if (unsettled.length === 0 || drainSignal?.aborted || !hasTimeLeft()) break;
    }
    for (const verdict of unsettled) end(verdict, drainSignal?.aborted ? 'Stopped' : 'Conflict');
  } catch (error) {
    // What was deleted before the API server stopped responding must reach the report.
    if (deletions() === 0) throw error;
    for (const verdict of unsettled) {
      if (ended.has(verdict.hpa.metadata.uid)) continue;
      end(verdict, drainSignal?.aborted ? 'Stopped' : 'Failed', { message: describeError(error) });
    }
  }

  const hpas = [...ended.values()];
  if (mode === 'delete' && !drainSignal?.aborted && hasTimeLeft()) {
    await recordOwnerEvents(hpas, missing, { api, cluster, sweepId, log, now });
  }
  const report: SweepReport = {
    schemaVersion: 1,
    cluster,
    sweepId,
    mode,
    startedAt,
    finishedAt: now().toISOString(),
    hpas,
    missing: missing.map(reportMissing),
    changes: [...changes],
    lookAgain: hpas.some(needsAnotherSweep),
  };
  logReport(report, log, options.logEveryHpa ?? false);
  return report;
}

/**
 * Holds back what exceeds the budget of the run. The keys contain the sweep, since two clusters may have the same name in two
 * Regions, and the same uids where one is a copy of the other.
 */
function withinBudget(
  verdicts: readonly GuardedVerdict[],
  { sweepId, budget }: SweepOptions,
): readonly GuardedVerdict[] {
  const isNext = ({ action, guard: heldBy }: GuardedVerdict) => action === 'delete' && heldBy === undefined;
  const keys = verdicts.filter(isNext).map(({ hpa }) => `${sweepId}/${hpa.metadata.uid}`);
  const explanation = budget?.(keys);
  if (explanation === undefined) return verdicts;
  return verdicts.map((verdict) =>
    isNext(verdict) ? { ...verdict, guard: { name: 'BlastRadiusExceeded', explanation } } : verdict,
  );
}

const needsAnotherSweep = ({ outcome, reason, guard: heldBy }: SweptHpa): boolean =>
  ['Conflict', 'Failed', 'Stopped'].includes(outcome) ||
  (heldBy !== undefined && GUARDS[heldBy.name].retried) ||
  reason === 'NotObserved' ||
  // Its Deployment is being deleted. With unresolved parameters or defaults, it may run forever.
  reason === 'ScaleTargetStillRuns';

/** A change without a name is a deletion of a collection, or has a generated name: it may be about any of them. */
const isAbout = (change: Change, object: GuardedVerdict['restsOn'][number]): boolean =>
  KINDS[object.kind as Kind].plural === change.resource &&
  (change.namespace === undefined || change.namespace === object.namespace) &&
  (change.name === undefined || change.name === object.name);

const WARNINGS: readonly string[] = ['Failed', 'MarkRefused', 'DeleteRefused', 'HeldBack', 'Conflict', 'Stopped'];

/** One line for each HPA that is not plainly wanted (or for every HPA), for each missing one, and for the sweep. */
function logReport(report: SweepReport, log: Log, everyHpa: boolean): void {
  const { hpas, missing, changes, cluster, sweepId, mode, lookAgain } = report;
  // A log line has its own message: that of the API server gets another name.
  for (const { manifest: _manifest, restsOn: _restsOn, message: answer, ...hpa } of hpas) {
    if (hpa.reason === 'AutoscalingConfigured' && hpa.remedy === undefined && !everyHpa) continue;
    const level = WARNINGS.includes(hpa.outcome) ? 'warn' : 'info';
    const title = `HPA ${hpa.namespace}/${hpa.name}: ${hpa.outcome}, ${hpa.reason}`;
    log[level](title, { cluster, sweepId, ...hpa, answer });
  }
  for (const hpa of missing) {
    log.warn(`HPA ${hpa.namespace}/${hpa.name} is missing, ${hpa.reason}`, { cluster, sweepId, ...hpa });
  }
  log.info('sweep finished', {
    cluster,
    sweepId,
    mode,
    outcomes: countOutcomes(hpas),
    missing: missing.length,
    lookAgain,
    auditIDs: changes.length > 0 ? changes.map(({ auditID }) => auditID) : undefined,
  });
}
