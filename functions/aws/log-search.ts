import {
  CloudWatchLogsClient,
  type FilteredLogEvent,
  type FilterLogEventsRequest,
  paginateFilterLogEvents,
} from '@aws-sdk/client-cloudwatch-logs';
import { awsError } from './access-error.ts';
import { type AwsClientOptions, awsClient } from './client-options.ts';

/** Milliseconds. CloudWatch Logs searches for the events of a page while it answers, so some answers take long. */
const REQUEST_TIMEOUT = 30_000;

export const searchClient = (options: AwsClientOptions): CloudWatchLogsClient =>
  new CloudWatchLogsClient(awsClient({ requestTimeout: REQUEST_TIMEOUT, ...options }));

/**
 * The events of one log group that a search finds, page by page, the oldest first.
 *
 * @throws {RetryableError} when the search fails; its cause is a ResourceNotFoundException when the log group does not exist
 */
export async function* searchLog(
  client: CloudWatchLogsClient,
  request: FilterLogEventsRequest,
): AsyncGenerator<FilteredLogEvent[]> {
  try {
    for await (const { events = [] } of paginateFilterLogEvents({ client }, request)) yield events;
  } catch (error) {
    const region = await client.config.region();
    throw awsError(`CloudWatch Logs could not search ${request.logGroupName} in ${region}`, error);
  }
}
