import {
  type CloudWatchLogsClient,
  type FilteredLogEvent,
  type FilterLogEventsRequest,
  paginateFilterLogEvents,
} from '@aws-sdk/client-cloudwatch-logs';
import { awsError } from './access-error.ts';

/**
 * The events of one log group that a search finds, page by page, the oldest first.
 *
 * @throws {RetryableError} when CloudWatch Logs cannot be asked; its cause is a ResourceNotFoundException where there is no
 *   such log group
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
