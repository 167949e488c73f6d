import { CloudWatchLogsClient, paginateFilterLogEvents } from '@aws-sdk/client-cloudwatch-logs';
import { UsageError } from '../platform/errors.ts';
import { type AwsClientOptions, allPages, awsClient, findInAws } from './client.ts';

/** The log groups of the functions that delete. */
const LOG_GROUPS = ['/aws/lambda/envoy-hpa-reaper-reap', '/aws/lambda/envoy-hpa-reaper-backfill'];
/** Milliseconds. CloudWatch Logs searches before it responds, which can take long. */
const REQUEST_TIMEOUT = 30_000;

/**
 * The log lines `deleting HPA` of one cluster in a Region, as JSON, the oldest first within each function.
 *
 * @throws {UsageError} if none of the functions has a log group in the Region
 * @throws {RetryableError} if CloudWatch Logs cannot be searched
 */
export async function loggedDeletions(options: AwsClientOptions, cluster: string, since: Date): Promise<string[]> {
  const client = new CloudWatchLogsClient(awsClient({ requestTimeout: REQUEST_TIMEOUT, ...options }));
  const filterPattern = `{ $.message = "deleting HPA" && $.cluster = "${cluster}" }`;
  const search = (logGroupName: string) => {
    const request = { logGroupName, startTime: since.getTime(), filterPattern };
    const what = `CloudWatch Logs could not search ${logGroupName} in ${options.region}`;
    return findInAws(what, allPages(paginateFilterLogEvents({ client }, request)));
  };
  const found = (await Promise.all(LOG_GROUPS.map(search))).filter((pages) => pages !== undefined);
  if (found.length === 0) {
    throw new UsageError(
      `${options.region} has neither log group ${LOG_GROUPS.join(' nor ')}; give the Region of the deployment with --region`,
    );
  }
  return found.flat().flatMap(({ events = [] }) => events.map(({ message = '' }) => message.trim()));
}
