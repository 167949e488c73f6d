import type { EventBus } from '../aws/event-bus.ts';
import { EVENT_SOURCE } from '../events/change-event.ts';
import type { RunReport } from '../events/report.ts';
import { SWEEP_DETAIL_TYPE, type SweepRequest } from '../events/sweep-request.ts';
import { logRun, type Place, type VisitOptions, visitClusters } from './visit-clusters.ts';

export interface DispatchOptions extends Omit<VisitOptions, 'places'> {
  /** The one Region whose clusters the bus leads to. */
  readonly place: Place;
  readonly eventBus: EventBus;
  readonly maxDeletions?: number;
  /** The ARN of a cluster of that Region. */
  readonly arnOf: (cluster: string) => string;
}

/**
 * Puts one event on the bus for each cluster that can be swept, so that the queue and Lambda's concurrency spread the work.
 * No cluster is asked anything.
 *
 * @throws what {@link visitClusters} throws, and {@link RetryableError} from the bus when events did not get there: to ask
 * for the same sweep twice does no harm
 */
export async function dispatchSweeps(options: DispatchOptions): Promise<RunReport> {
  const { place, eventBus, arnOf, mode, runId, now, maxDeletions, log } = options;
  const report = await visitClusters({ ...options, places: [place] }, async ({ cluster, directory }) => {
    // Refuses one that is not running or opted out, and sends it nothing.
    await directory.connect(cluster);
    return { result: 'dispatched', hpas: [], missing: [] };
  });
  const requestedAt = now();
  const requests = report.clusters
    .filter(({ result }) => result === 'dispatched')
    .map(
      ({ cluster }): SweepRequest => ({
        version: '1',
        cluster,
        mode,
        runId,
        requestedAt: requestedAt.toISOString(),
        maxDeletions,
      }),
    );
  await eventBus.put(
    requests.map((detail) => ({
      source: EVENT_SOURCE,
      detailType: SWEEP_DETAIL_TYPE,
      detail,
      resources: [arnOf(detail.cluster)],
      time: requestedAt,
    })),
  );
  logRun(report, log);
  return report;
}
