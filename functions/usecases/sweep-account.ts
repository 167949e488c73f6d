import type { RunReport } from '../domain/report.ts';
import { NoAnswerError } from '../platform/errors.ts';
import { deletionBudget } from './deletion-budget.ts';
import { type Selects, type SweepOptions, sweepCluster } from './sweep-cluster.ts';
import { sweepNamedCluster } from './sweep-named-cluster.ts';
import { type ClusterPlace, logRun, passIdOf, placeOf, type VisitOptions, visitClusters } from './visit-clusters.ts';

export type { ClusterPlace, Place, RunProgress } from './visit-clusters.ts';

type PassOptions = Omit<SweepOptions, 'cluster' | 'region' | 'api' | 'passId' | 'budget' | 'stop' | 'selects'>;

export interface RunOptions extends VisitOptions, PassOptions {
  /** How many HPAs the whole run may delete, besides the limit for each cluster. */
  readonly maxDeletionsOfRun: number;
  /** As for one pass, told where. */
  readonly selects?: ((hpa: Parameters<Selects>[0], place: ClusterPlace) => boolean) | undefined;
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
  const { maxDeletionsOfRun, runId, giveUp, log, selects, ...pass } = options;
  const budget = deletionBudget(maxDeletionsOfRun);
  const stop = AbortSignal.any([options.stop, giveUp].filter((signal) => signal !== undefined));
  const report = await visitClusters(options, async (target) => {
    const { cluster, directory } = target;
    const place = placeOf(target);
    const passId = passIdOf(runId, target);
    const { lookAgain, hpas, missing } = await sweepNamedCluster(cluster, directory, async (api) => {
      // The second attempt, after a 401, must not begin behind the answer.
      if (giveUp?.aborted) throw new NoAnswerError('the run has ended');
      return await sweepCluster({
        ...pass,
        ...{ ...place, log, api, passId, budget, stop },
        ...(selects && { selects: (hpa) => selects(hpa, place) }),
      });
    });
    return { result: 'swept', passId, lookAgain, hpas, missing };
  });
  logRun(report, log);
  return report;
}
