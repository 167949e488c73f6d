import type { ClusterDirectory } from '../aws/cluster-directory.ts';
import type { SweepReport } from '../events/report.ts';
import type { ClusterApi } from '../kubernetes/cluster-api.ts';
import { ClusterSkippedError, RetryableError } from '../platform/errors.ts';

/**
 * Runs one pass over a cluster of the directory. A warm process may hold an endpoint, a CA or a token that is no longer
 * good: a cluster that does not answer or does not let us in is asked for anew the next time, and after a 401 at once.
 *
 * @throws what `sweep` or the directory throws
 */
export async function sweepNamedCluster(
  cluster: string,
  directory: ClusterDirectory,
  sweep: (api: ClusterApi) => Promise<SweepReport>,
): Promise<SweepReport> {
  for (let refreshed = false; ; refreshed = true) {
    try {
      return await sweep(await directory.connect(cluster));
    } catch (error) {
      const skipped = error instanceof ClusterSkippedError;
      if (skipped || error instanceof RetryableError) directory.forget(cluster);
      if (refreshed || !skipped || error.reason !== 'ClusterUnauthorized') throw error;
    }
  }
}
