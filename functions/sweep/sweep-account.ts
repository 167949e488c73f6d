import type { RunReport } from '../events/report.ts';
import { deletionBudget } from './deletion-budget.ts';
import { type Selects, type SweepOptions, sweepCluster } from './sweep-cluster.ts';
import { type ClusterRef, logRun, placeOf, sweepIdOf, type VisitOptions, visitClusters } from './visit-clusters.ts';

export type { ClusterRef, Place, RunProgress } from './visit-clusters.ts';

type SweepPassOptions = Omit<SweepOptions, 'cluster' | 'region' | 'api' | 'sweepId' | 'budget' | 'stop' | 'selects'>;

export interface RunOptions extends VisitOptions, SweepPassOptions {
  /** How many HPAs the whole run may delete, besides the limit for each cluster. */
  readonly maxDeletionsOfRun: number;
  /** As for one pass, told where. */
  readonly selects?: ((hpa: Parameters<Selects>[0], place: ClusterRef) => boolean) | undefined;
  /** Once aborted, no further cluster is begun, and nothing more is written to those that are under way. */
  readonly stop?: AbortSignal;
}

/**
 * One pass over every cluster of an account (or of a kubeconfig), side by side with a bound. A cluster that cannot be swept
 * is in the report with its reason and its remedy, and stops no other.
 *
 * @throws what {@link visitClusters} throws
 */
export async function sweepAccount(options: RunOptions): Promise<RunReport> {
  const { maxDeletionsOfRun, runId, deadlineSignal, log, selects, ...pass } = options;
  const budget = deletionBudget(maxDeletionsOfRun);
  const stop = AbortSignal.any([options.stop, deadlineSignal].filter((signal) => signal !== undefined));
  const report = await visitClusters(options, async (target) => {
    const { cluster, directory } = target;
    const place = placeOf(target);
    const sweepId = sweepIdOf(runId, target);
    const { lookAgain, hpas, missing } = await sweepCluster({
      ...pass,
      ...{ ...place, log, api: await directory.connect(cluster), sweepId, budget, stop },
      ...(selects && { selects: (hpa) => selects(hpa, place) }),
    });
    return { result: 'swept', sweepId, lookAgain, hpas, missing };
  });
  logRun(report, log);
  return report;
}
