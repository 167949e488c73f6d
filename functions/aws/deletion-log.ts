import { ResourceNotFoundException } from '@aws-sdk/client-cloudwatch-logs';
import { UsageError } from '../platform/errors.ts';
import type { AwsClientOptions } from './client-options.ts';
import { searchClient, searchLog } from './log-search.ts';

/** The log groups of the functions that delete. */
const LOG_GROUPS = ['/aws/lambda/envoy-hpa-reaper-reap', '/aws/lambda/envoy-hpa-reaper-backfill'];

/**
 * The lines `deleting HPA` that the functions in a Region have logged of one cluster, as JSON, the oldest first within each
 * function.
 *
 * @throws {UsageError} when none of the functions has a log group in the Region
 * @throws {RetryableError} when CloudWatch Logs cannot be searched
 */
export async function loggedDeletions(options: AwsClientOptions, cluster: string, since: Date): Promise<string[]> {
  const client = searchClient(options);
  const search = async (logGroupName: string): Promise<string[] | undefined> => {
    const lines: string[] = [];
    const filterPattern = `{ $.message = "deleting HPA" && $.cluster = "${cluster}" }`;
    try {
      for await (const events of searchLog(client, { logGroupName, startTime: since.getTime(), filterPattern })) {
        lines.push(...events.map(({ message = '' }) => message.trim()));
      }
      return lines;
    } catch (error) {
      if (error instanceof Error && error.cause instanceof ResourceNotFoundException) return undefined;
      throw error;
    }
  };
  const found = (await Promise.all(LOG_GROUPS.map(search))).filter((lines) => lines !== undefined);
  if (found.length > 0) return found.flat();
  throw new UsageError(
    `${options.region} has neither log group ${LOG_GROUPS.join(' nor ')}; give the Region of the deployment with --region`,
  );
}
