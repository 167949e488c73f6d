import pMap from 'p-map';
import type { AccountDirectory, ClusterDescription } from '../aws/cluster-directory.ts';
import type { Verdict } from '../domain/judge.ts';
import type { ClusterReport, PassReport, Problem, RunReport } from '../domain/report.ts';
import {
  AwsAccessError,
  ClusterSkippedError,
  describeError,
  NoAnswerError,
  RetryableError,
} from '../platform/errors.ts';
import { deletionBudget } from './deletion-budget.ts';
import { type Deletion, type DeletionBudget, type SweepOptions, sweepCluster } from './sweep-cluster.ts';
import { sweepNamedCluster } from './sweep-named-cluster.ts';

/** Where clusters are: one Region of the account, or (without a Region) a kubeconfig. */
export interface Place {
  readonly region?: string;
  readonly directory: AccountDirectory;
}

export interface RunProgress {
  /** Absent until the clusters are listed. */
  readonly clusters?: number;
  readonly clustersDone: number;
  readonly hpas: number;
  /** Clusters that were not swept. */
  readonly failures: number;
}

/** A name alone does not tell which cluster is meant: two Regions may have one of the same name. */
export interface ClusterPlace {
  readonly cluster: string;
  readonly region?: string;
}

type PassOptions = Omit<SweepOptions, 'cluster' | 'api' | 'passId' | 'budget' | 'stop' | 'selects' | 'beforeDeletion'>;

export interface RunOptions extends PassOptions {
  readonly places: readonly Place[];
  /** Names; without them all clusters of all places. */
  readonly clusters?: readonly string[] | undefined;
  /** Only clusters that carry all of these. */
  readonly tags?: Readonly<Record<string, string>> | undefined;
  /** How many clusters are swept side by side. */
  readonly concurrency: number;
  /** How many HPAs the whole run may delete, besides the limit for each cluster. */
  readonly maxDeletionsOfRun: number;
  readonly runId: string;
  /** As for one pass, told where. */
  readonly selects?: ((verdict: Verdict, place: ClusterPlace) => boolean) | undefined;
  readonly beforeDeletion?: (deletion: Deletion & ClusterPlace) => Promise<void>;
  /** Once aborted, no further cluster is begun, and nothing more is written to those that are under way. */
  readonly stop?: AbortSignal;
  /** Once aborted, the run answers at once; connections to the clusters that are still under way end. */
  readonly giveUp?: AbortSignal;
  readonly onProgress?: (progress: RunProgress) => void;
}

interface Target extends Place {
  readonly cluster: string;
}

/**
 * One pass over every cluster of an account (or of a kubeconfig), side by side with a bound. A cluster that cannot be swept
 * is in the report with its reason and its remedy, and stops no other.
 *
 * @throws {AwsAccessError} when AWS lets us in nowhere: then there is nothing to report
 */
export async function sweepAccount(options: RunOptions): Promise<RunReport> {
  const { places, concurrency, maxDeletionsOfRun, runId, mode, now, stop, giveUp, log, onProgress } = options;
  const startedAt = now().toISOString();
  const { targets, regions, absent } = await findTargets(options);
  const budget = deletionBudget(maxDeletionsOfRun);
  const reports = new Map<Target, ClusterReport>();
  const notSelected = new Set<Target>();
  const count = () => [...reports.values()];
  const tell = () =>
    onProgress?.({
      clusters: targets.length - notSelected.size,
      clustersDone: reports.size,
      hpas: count().reduce((sum, { hpas }) => sum + hpas.length, 0),
      failures: count().filter(({ result }) => result !== 'swept').length,
    });

  tell();
  const work = pMap(
    targets,
    async (target) => {
      if (stop?.aborted) return;
      const report = await sweepTarget(target, options, budget);
      if (giveUp?.aborted) return;
      if (report === undefined) notSelected.add(target);
      else reports.set(target, report);
      tell();
    },
    { concurrency },
  );
  await (giveUp ? Promise.race([work, aborted(giveUp)]) : work);

  const unfinished = targets.filter(
    (target) =>
      !notSelected.has(target) && (reports.get(target)?.hpas.some(({ outcome }) => outcome === 'Stopped') ?? true),
  );
  for (const { cluster, directory } of unfinished) if (giveUp?.aborted) directory.forget(cluster);
  const clusters = [...targets.flatMap((target) => reports.get(target) ?? []), ...absent];
  const report: RunReport = {
    schemaVersion: 1,
    runId,
    mode,
    startedAt,
    finishedAt: now().toISOString(),
    totals: totalsOf(clusters, unfinished.filter((target) => !reports.has(target)).length),
    clusters,
    regions,
    remaining: unfinished.map(placeOf),
  };
  const { totals, remaining } = report;
  log.info('run finished', { runId, mode, places: places.length, totals, regions, remaining });
  return report;
}

/** The clusters in the order of Region and name, the Regions that could not be listed, and the names that are nowhere. */
async function findTargets({
  places,
  clusters: names,
  concurrency,
}: RunOptions): Promise<{ targets: Target[]; regions: RunReport['regions']; absent: ClusterReport[] }> {
  const [place, ...others] = places;
  if (names !== undefined && place !== undefined && others.length === 0) {
    return { targets: [...new Set(names)].map((cluster) => ({ ...place, cluster })), regions: [], absent: [] };
  }
  const regions: RunReport['regions'] = [];
  const faults: unknown[] = [];
  const listed = await pMap(
    places,
    async (one): Promise<Target[]> => {
      try {
        return (await one.directory.list()).toSorted().map((cluster) => ({ ...one, cluster }));
      } catch (error) {
        faults.push(error);
        regions.push({ ...(one.region !== undefined && { region: one.region }), ...problemOf(error) });
        return [];
      }
    },
    { concurrency },
  );
  const refused = faults.find((fault) => fault instanceof AwsAccessError);
  if (refused !== undefined && faults.length === places.length) throw refused;
  const all = listed.flat();
  const known = new Set(all.map(({ cluster }) => cluster));
  return {
    targets: names === undefined ? all : all.filter(({ cluster }) => names.includes(cluster)),
    regions,
    absent: [...new Set(names ?? [])].filter((name) => !known.has(name)).map((cluster) => notFound(cluster, places)),
  };
}

const notFound = (cluster: string, places: readonly Place[]): ClusterReport => ({
  cluster,
  result: 'skipped',
  problem: {
    reason: 'ClusterNotFound',
    message: `there is no cluster ${cluster} in ${places.map(({ region }) => region ?? 'the kubeconfig').join(', ')}`,
    remedy: 'Check the name and the Regions; nothing to do if it was deleted.',
  },
  warnings: [],
  hpas: [],
});

/** @returns `undefined` for a cluster that does not carry the tags */
async function sweepTarget(
  target: Target,
  options: RunOptions,
  budget: DeletionBudget,
): Promise<ClusterReport | undefined> {
  const { cluster, directory } = target;
  const { places: _places, clusters: _clusters, tags = {}, runId, log, selects, beforeDeletion, ...pass } = options;
  const place = placeOf(target);
  const passId = `${runId}/${target.region === undefined ? '' : `${target.region}/`}${cluster}`;
  let description: ClusterDescription | undefined;
  try {
    description = await directory.describe(cluster);
    const carried = description.tags;
    if (Object.entries(tags).some(([key, value]) => carried[key] !== value)) return undefined;
    const report = await sweepNamedCluster(cluster, directory, (api) =>
      sweepCluster({
        ...pass,
        ...(selects && { selects: (verdict) => selects(verdict, place) }),
        ...(beforeDeletion && { beforeDeletion: (deletion) => beforeDeletion({ ...deletion, ...place }) }),
        ...{ log, api, cluster, passId, budget: ofCluster(budget, passId) },
      }),
    );
    return { ...place, result: 'swept', warnings: warningsOf(cluster, description), ...partOf(report) };
  } catch (error) {
    const problem = problemOf(error, description);
    const result = error instanceof ClusterSkippedError ? 'skipped' : 'failed';
    log.warn(`cluster ${result}`, { ...place, passId, ...explained(problem) });
    return { ...place, result, problem, warnings: [], passId, hpas: [] };
  } finally {
    // A run over hundreds of clusters does not keep hundreds of connections.
    directory.forget(cluster);
  }
}

/** Two clusters may have the same name in two Regions, and the same uid in two copies. */
const ofCluster = (budget: DeletionBudget, passId: string): DeletionBudget => ({
  reserve: (keys) => budget.reserve(keys.map((key) => `${passId}/${key}`)),
});

const partOf = ({ passId, lookAgain, hpas }: PassReport) => ({ passId, lookAgain, hpas });

const placeOf = ({ cluster, region }: Target) => ({ cluster, ...(region !== undefined && { region }) });

/** A log line has its own message. */
const explained = ({ message, ...problem }: Problem) => ({ ...problem, explanation: message });

/** What is wrong with a cluster that cannot be swept, and what a person can do about it. */
function problemOf(error: unknown, description?: ClusterDescription): Problem {
  const message = describeError(error);
  if (error instanceof ClusterSkippedError)
    return { reason: error.reason, message: error.message, remedy: error.remedy };
  if (error instanceof AwsAccessError) return { reason: 'AwsAccessRefused', message, remedy: error.remedy };
  if (error instanceof NoAnswerError && description?.publicEndpoint === false) {
    return {
      reason: 'ClusterEndpointPrivate',
      message: `${message}; the cluster has a private endpoint only`,
      remedy: 'Run this from within the VPC of the cluster, or switch its public endpoint on.',
    };
  }
  if (error instanceof NoAnswerError) {
    return {
      reason: 'ClusterUnreachable',
      message,
      remedy:
        'Check that the API server runs and that its endpoint admits where this runs (publicAccessCidrs, network); then run this again.',
    };
  }
  if (error instanceof RetryableError) {
    return {
      reason: 'PassFailed',
      message,
      remedy: 'Run this again later; if it stays, the message says what is in the way.',
    };
  }
  return { reason: 'InternalError', message, remedy: 'This is a fault of this program: please report it.' };
}

function warningsOf(cluster: string, { auditLog }: ClusterDescription): Problem[] {
  if (auditLog !== false) return [];
  return [
    {
      reason: 'AuditLogOff',
      message: `the audit log of cluster ${cluster} is off: a change there makes no event, only a sweep finds what it leaves`,
      remedy: `aws eks update-cluster-config --name ${cluster} --logging '{"clusterLogging":[{"types":["audit"],"enabled":true}]}' (CloudWatch Logs charges for it)`,
    },
  ];
}

function totalsOf(clusters: readonly ClusterReport[], notBegun: number): RunReport['totals'] {
  const hpas = clusters.flatMap((cluster) => cluster.hpas);
  const outcomes: Record<string, number> = {};
  for (const { outcome } of hpas) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  const withResult = (wanted: ClusterReport['result']) => clusters.filter(({ result }) => result === wanted).length;
  return {
    clusters: clusters.length + notBegun,
    swept: withResult('swept'),
    skipped: withResult('skipped'),
    failed: withResult('failed'),
    hpas: hpas.length,
    stale: hpas.filter(({ action }) => action === 'delete').length,
    outcomes,
  };
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
