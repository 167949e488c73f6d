import { setTimeout } from 'node:timers/promises';
import pMap from 'p-map';
import { type ClusterReport, countOutcomes, type Problem, type RunReport } from '../events/report.ts';
import type { AccountDirectory, ClusterDescription } from '../kubernetes/directory.ts';
import { ClusterSkippedError } from '../platform/errors.ts';
import type { Log } from '../platform/logger.ts';
import { problem, problemOf } from '../platform/problems.ts';
import { carriesTags, findTargets } from './find-targets.ts';

/** Where clusters are: one Region of the account, or (without a Region) a kubeconfig. */
export interface Place {
  readonly region?: string;
  readonly directory: AccountDirectory;
}

/** A name alone does not tell which cluster is meant: two Regions may have one of the same name. */
export interface ClusterRef {
  readonly cluster: string;
  readonly region?: string;
}

export interface Target extends Place {
  readonly cluster: string;
}

export interface RunProgress {
  /** Absent until the clusters are listed. */
  readonly clusters?: number;
  readonly clustersDone: number;
  readonly hpas: number;
  /** Clusters that were not swept. */
  readonly failures: number;
}

export interface VisitOptions {
  readonly places: readonly Place[];
  /** Names; without them all clusters of all places. */
  readonly clusters?: readonly string[];
  /** Only clusters that carry all of these. */
  readonly tags?: Readonly<Record<string, string>> | undefined;
  readonly mode: 'report' | 'delete';
  /** How many clusters are visited side by side. */
  readonly concurrency: number;
  readonly runId: string;
  readonly now: () => Date;
  readonly log: Log;
  /** Once aborted, no further cluster is begun. */
  readonly stop?: AbortSignal;
  /** Once aborted, the connections to the clusters that are under way end, and the run answers. */
  readonly deadlineSignal?: AbortSignal;
  readonly onProgress?: (progress: RunProgress) => void;
}

/** What is done with a cluster that was found and carries the tags; what it throws becomes the cluster's problem. */
export type Visit = (
  target: Target,
  description: ClusterDescription,
) => Promise<
  Omit<ClusterReport, 'cluster' | 'region' | 'problem' | 'warnings'> & Partial<Pick<ClusterReport, 'warnings'>>
>;

/** Milliseconds that what is under way has to end in when its connections are closed. */
const LAST_MOMENT = 1_000;

/**
 * Visits every cluster of an account (or of a kubeconfig), side by side with a bound. A cluster with a problem is in the
 * report with its reason and its remedy, and stops no other.
 *
 * @throws what listing throws where no place could be listed (`AwsAccessError` before any other): there is nothing
 * to report then
 */
export async function visitClusters(options: VisitOptions, visit: Visit): Promise<RunReport> {
  const { concurrency, runId, mode, now, stop, deadlineSignal, onProgress } = options;
  const startedAt = now().toISOString();
  const { targets, regions, absent } = await destinations(options);
  const reports = new Map<Target, ClusterReport>();
  const notSelected = new Set<Target>();
  const underWay = new Set<Target>();
  const cutShort = new Set<Target>();
  const tell = () => {
    const done = [...reports.values()];
    onProgress?.({
      clusters: targets.length - notSelected.size,
      clustersDone: done.length,
      hpas: done.reduce((sum, { hpas }) => sum + hpas.length, 0),
      failures: done.filter(({ problem }) => problem !== undefined).length,
    });
  };

  tell();
  const visitNext = async (target: Target): Promise<void> => {
    if (stop?.aborted || deadlineSignal?.aborted) return;
    underWay.add(target);
    const report = await visitOne(target, options, visit);
    underWay.delete(target);
    if (deadlineSignal?.aborted) cutShort.add(target);
    if (report === 'not selected') notSelected.add(target);
    else if (report !== 'given up') reports.set(target, report);
    if (!deadlineSignal?.aborted) tell();
  };
  const work = pMap(targets, visitNext, { concurrency });
  await (deadlineSignal ? Promise.race([work, aborted(deadlineSignal)]) : work);
  if (deadlineSignal?.aborted) {
    // What was deleted until now is to be in the report; and nothing goes on behind it, in a process that lives longer.
    for (const { cluster, directory } of underWay) directory.forget(cluster);
    await Promise.race([work, setTimeout(LAST_MOMENT, undefined, { ref: false })]);
  }

  const remaining = targets.filter((target) => {
    if (notSelected.has(target)) return false;
    const report = reports.get(target);
    return report === undefined || cutShort.has(target) || report.hpas.some(({ outcome }) => outcome === 'Stopped');
  });
  const clusters = [...targets.flatMap((target) => reports.get(target) ?? []), ...absent];
  return {
    schemaVersion: 1,
    runId,
    mode,
    startedAt,
    finishedAt: now().toISOString(),
    totals: totalsOf(clusters, remaining.filter((target) => !reports.has(target)).length),
    clusters,
    regions,
    remaining: remaining.map(placeOf),
  };
}

/** The line that ends a run. */
export function logRun({ runId, mode, totals, regions, remaining }: RunReport, log: Log): void {
  log.info('run finished', { runId, mode, totals, regions, remaining });
}

export const sweepIdOf = (runId: string, { region, cluster }: Pick<Target, 'region' | 'cluster'>): string =>
  [runId, region, cluster].filter((part) => part !== undefined).join('/');

/** Where to go, the Regions that could not be listed, and the names that are nowhere. */
async function destinations({
  places,
  clusters: names,
  concurrency,
}: VisitOptions): Promise<{ targets: Target[]; regions: RunReport['regions']; absent: ClusterReport[] }> {
  const { targets, faults, nowhere } = await findTargets(places, names, concurrency);
  const regions = places.flatMap((one) => {
    const region = one.region !== undefined && { region: one.region };
    return faults.has(one) ? [{ ...region, ...problemOf(faults.get(one)) }] : [];
  });
  return { targets, regions, absent: nowhere.map((cluster) => notFound(cluster, places, [...faults.keys()])) };
}

function notFound(cluster: string, places: readonly Place[], notListed: readonly Place[]): ClusterReport {
  const named = (some: readonly Place[]) => some.map(({ region }) => region ?? 'the kubeconfig').join(', ');
  const listed = places.filter((place) => !notListed.includes(place));
  const unknown = notListed.length > 0 ? `; ${named(notListed)} could not be listed` : '';
  return {
    cluster,
    // Where it could not be looked for it may be after all.
    result: notListed.length > 0 ? 'failed' : 'skipped',
    problem: problem('ClusterNotFound', cluster, `${named(listed)}${unknown}`),
    warnings: [],
    hpas: [],
    missing: [],
  };
}

async function visitOne(
  target: Target,
  { tags = {}, runId, deadlineSignal, log }: VisitOptions,
  visit: Visit,
): Promise<ClusterReport | 'not selected' | 'given up'> {
  const { cluster, directory } = target;
  let description: ClusterDescription | undefined;
  try {
    description = await directory.describe(cluster);
    if (!carriesTags(description.tags, tags)) return 'not selected';
    if (deadlineSignal?.aborted) return 'given up';
    const { warnings = [], ...result } = await visit(target, description);
    return { ...placeOf(target), warnings: [...warningsOf(target, description), ...warnings], ...result };
  } catch (error) {
    // Its connection was taken away: that is no fault of the cluster.
    if (deadlineSignal?.aborted) return 'given up';
    const fault = problemOf(error, description);
    const result = error instanceof ClusterSkippedError ? 'skipped' : 'failed';
    const sweepId = sweepIdOf(runId, target);
    log.warn(`cluster ${result}`, { ...placeOf(target), sweepId, ...explained(fault) });
    return { ...placeOf(target), result, problem: fault, warnings: [], sweepId, hpas: [], missing: [] };
  } finally {
    // A run over hundreds of clusters does not keep hundreds of connections.
    directory.forget(cluster);
  }
}

export const placeOf = ({ cluster, region }: Target): ClusterRef => ({
  cluster,
  region,
});

/** A log line has its own message. */
const explained = ({ message, ...problem }: Problem) => ({ ...problem, explanation: message });

const warningsOf = ({ cluster, region }: Target, { auditLog }: ClusterDescription): Problem[] =>
  auditLog === false ? [problem('AuditLogOff', cluster, region)] : [];

export function totalsOf(clusters: readonly ClusterReport[], notBegun: number): RunReport['totals'] {
  const hpas = clusters.flatMap((cluster) => cluster.hpas);
  const withResult = (wanted: ClusterReport['result']) => clusters.filter(({ result }) => result === wanted).length;
  const dispatched = withResult('dispatched');
  return {
    clusters: clusters.length + notBegun,
    swept: withResult('swept'),
    ...(dispatched > 0 && { dispatched }),
    skipped: withResult('skipped'),
    failed: withResult('failed'),
    hpas: hpas.length,
    stale: hpas.filter(({ action }) => action === 'delete').length,
    missing: clusters.reduce((sum, { missing }) => sum + missing.length, 0),
    outcomes: countOutcomes(hpas),
  };
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
