import type { EventBus } from '../aws/event-bus.ts';
import { EVENT_SOURCE } from '../events/event-source.ts';
import { countOutcomes } from '../events/outcomes.ts';
import type { SweepRequest } from '../events/queued-event.ts';
import type { ClusterReport, RunReport } from '../events/report.ts';
import { type ClusterDescription, refuseUnavailable } from '../kubernetes/directory.ts';
import { problem } from '../platform/problems.ts';
import { type ClusterRef, forEachCluster, type LoopOptions, type Target } from './for-each-cluster.ts';
import { type Selects, type SweepOptions, sweepCluster } from './sweep-cluster.ts';

interface RunOptions
  extends Omit<LoopOptions, 'hasTimeLeft'>,
    Pick<SweepOptions, 'mode' | 'now' | 'log' | 'drainSignal'> {
  readonly runId: string;
}

interface AccountSweepOptions
  extends RunOptions,
    Omit<SweepOptions, 'cluster' | 'region' | 'api' | 'sweepId' | 'budget' | 'selects'> {
  /** Maximum deletions of the whole run, besides the limit for each cluster. */
  readonly maxDeletionsOfRun: number;
  readonly selects?: (hpa: Parameters<Selects>[0], cluster: ClusterRef) => boolean;
}

/**
 * Sweeps every cluster of an account or a kubeconfig. A cluster that cannot be swept is reported with its reason and remedy.
 *
 * @throws what {@link forEachCluster} throws
 */
export async function sweepAccount(options: AccountSweepOptions): Promise<RunReport> {
  const { maxDeletionsOfRun, selects, deadlineSignal, ...sweep } = options;
  const budget = deletionBudget(maxDeletionsOfRun);
  const drainSignal = AbortSignal.any([options.drainSignal, deadlineSignal].filter((signal) => signal !== undefined));
  const report = await runOverClusters(options, async ({ cluster, region, directory }, _, sweepId) => {
    const api = await directory.connect(cluster);
    const selectsHere: Selects | undefined = selects && ((hpa) => selects(hpa, { cluster, region }));
    const here = { cluster, region, api, sweepId, budget, drainSignal, selects: selectsHere };
    const { lookAgain, hpas, missing } = await sweepCluster({ ...sweep, ...here });
    return { result: 'swept', lookAgain, warnings: [], hpas, missing };
  });
  return finished(report, options);
}

/** The scope is the Region of `reap` alone. */
interface DispatchOptions extends RunOptions {
  readonly eventBus: EventBus;
  readonly maxDeletions?: number;
  /** The ARN of a cluster of that Region. */
  readonly arnOf: (cluster: string) => string;
}

/**
 * Puts one event on the bus for each cluster that can be swept, so that the queue and Lambda's concurrency spread the work.
 * No request is sent to a cluster.
 *
 * @throws what {@link forEachCluster} throws, and {@link RetryableError} when events did not reach the bus: to request the
 * same sweep twice does no harm
 */
export async function dispatchSweeps(options: DispatchOptions): Promise<RunReport> {
  const { eventBus, arnOf, mode, runId, maxDeletions } = options;
  const report = await runOverClusters(options, async ({ cluster }, description) => {
    refuseUnavailable(cluster, description);
    return { result: 'dispatched', warnings: [], hpas: [], missing: [] };
  });
  const time = options.now();
  const request = { version: '1', mode, runId, requestedAt: time.toISOString(), maxDeletions } as const;
  await eventBus.put(
    report.clusters
      .filter(({ result }) => result === 'dispatched')
      .map(({ cluster }) => ({
        source: EVENT_SOURCE,
        detailType: 'Cluster Sweep Requested',
        detail: { ...request, cluster } satisfies SweepRequest,
        resources: [arnOf(cluster)],
        time,
      })),
  );
  return finished(report, options);
}

type ClusterFindings = Pick<ClusterReport, 'result' | 'lookAgain' | 'warnings' | 'hpas' | 'missing'>;

/**
 * Does the same work on every cluster, and reports on all of them.
 *
 * @throws what {@link forEachCluster} throws
 */
export async function runOverClusters(
  options: RunOptions,
  work: (target: Target, description: ClusterDescription, sweepId: string) => Promise<ClusterFindings>,
): Promise<RunReport> {
  const { runId, mode, now, log, drainSignal } = options;
  const startedAt = now().toISOString();
  const sweepIdOf = ({ region, cluster }: ClusterRef) =>
    [runId, region, cluster].filter((part) => part !== undefined).join('/');
  const servers = new Map<ClusterReport['sweepId'], string | undefined>();
  const { clusters, regions, remaining } = await forEachCluster(
    { ...options, hasTimeLeft: () => !drainSignal?.aborted },
    async (target, description = { tags: {} }) => {
      const sweepId = sweepIdOf(target);
      servers.set(sweepId, description.server);
      const { warnings, ...findings } = await work(target, description, sweepId);
      const { command, remedy, ...auditLogOff } = problem('AuditLogOff', target.cluster, target.region);
      const auditLogWarning = { ...auditLogOff, remedy: `${remedy.slice(0, -1)}: ${command}` };
      return {
        ...findings,
        sweepId,
        warnings: [...(description.auditLog === false ? [auditLogWarning] : []), ...warnings],
      };
    },
  );
  const all = clusters.map((one): ClusterReport => {
    const { cluster, region } = one;
    if ('value' in one) return { cluster, region, ...one.value };
    const { result, problem: fault } = one;
    const sweepId = sweepIdOf(one);
    const { message: explanation, ...others } = fault;
    log.warn(`cluster ${result}`, { cluster, region, sweepId, ...others, explanation });
    return { cluster, region, result, problem: fault, warnings: [], sweepId, hpas: [], missing: [] };
  });
  const reports = withoutTwins(all, servers);
  const reported = new Set(all.map(({ sweepId }) => sweepId));
  const stopped = reports.filter(({ hpas }) => hpas.some(({ outcome }) => outcome === 'Stopped'));
  const unfinished = [...stopped, ...remaining].map(({ cluster, region }): ClusterRef => ({ cluster, region }));
  return {
    schemaVersion: 1,
    runId,
    mode,
    startedAt,
    finishedAt: now().toISOString(),
    totals: totalsOf(reports, remaining.filter((ref) => !reported.has(sweepIdOf(ref))).length),
    clusters: reports,
    regions,
    remaining: [...new Map(unfinished.map((ref) => [sweepIdOf(ref), ref])).values()],
  };
}

/**
 * Two contexts of a kubeconfig may lead to one cluster, which counts once. Clusters behind one proxy have the same server, and
 * copies of a cluster have the same uids, so both must be equal.
 *
 * @param servers by sweep
 */
function withoutTwins(
  reports: readonly ClusterReport[],
  servers: ReadonlyMap<ClusterReport['sweepId'], string | undefined>,
) {
  const twinsOf = new Map<ClusterReport, string[]>();
  // By uid and server.
  const first = new Map<string, ClusterReport>();
  for (const report of reports) {
    const server = servers.get(report.sweepId);
    const keys = server === undefined ? [] : report.hpas.map(({ uid }) => `${uid} ${server}`);
    const known = keys.map((key) => first.get(key)).find((found) => found !== undefined);
    if (known) twinsOf.get(known)?.push(report.cluster);
    else {
      twinsOf.set(report, []);
      for (const key of keys) first.set(key, report);
    }
  }
  return [...twinsOf].map(([report, twins]) =>
    twins.length === 0
      ? report
      : { ...report, warnings: [...report.warnings, problem('SameCluster', twins.join(', '))] },
  );
}

function finished(report: RunReport, { log }: Pick<RunOptions, 'log'>): RunReport {
  const { runId, mode, totals, regions, remaining } = report;
  log.info('run finished', { runId, mode, totals, regions, remaining });
  return report;
}

export function totalsOf(clusters: readonly ClusterReport[], notBegun: number): RunReport['totals'] {
  const hpas = clusters.flatMap((cluster) => cluster.hpas);
  const withResult = (wanted: ClusterReport['result']) => clusters.filter(({ result }) => result === wanted).length;
  return {
    clusters: clusters.length + notBegun,
    swept: withResult('swept'),
    dispatched: withResult('dispatched') || undefined,
    skipped: withResult('skipped'),
    failed: withResult('failed'),
    hpas: hpas.length,
    stale: hpas.filter(({ action }) => action === 'delete').length,
    missing: clusters.reduce((sum, { missing }) => sum + missing.length, 0),
    outcomes: countOutcomes(hpas),
  };
}

/** Limits the deletions of one run over all its clusters. */
function deletionBudget(limit: number): NonNullable<SweepOptions['budget']> {
  const reserved = new Set<string>();
  return (keys) => {
    const more = keys.filter((key) => !reserved.has(key));
    const left = limit - reserved.size;
    if (more.length > left) {
      const rest = `${left === 0 ? 'none' : `only ${left}`} of the ${limit} that this run may make`;
      return `${more.length} deletions, but ${rest} ${left > 1 ? 'are' : 'is'} left`;
    }
    for (const key of more) reserved.add(key);
    return undefined;
  };
}
