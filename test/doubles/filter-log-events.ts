import type { FilterLogEventsRequest } from '@aws-sdk/client-cloudwatch-logs';
import { parseFilterPattern } from './filter-pattern.ts';
import { type AwsRequest, refusal, type ServiceAnswer, ServiceDouble } from './service-double.ts';

type Search = FilterLogEventsRequest & { logGroupName: string; startTime: number };

/** Answers FilterLogEvents as Amazon CloudWatch Logs does (AWS JSON 1.1), in pages of which any may be empty. */
export class FilterLogEventsDouble extends ServiceDouble {
  readonly groups = new Map<string, { timestamp: number; message: string }[]>();
  /** In the order of arrival, whatever the answer was. */
  readonly requests: Search[] = [];

  protected override answer({ headers }: AwsRequest, body: string, refused: ServiceAnswer | undefined): ServiceAnswer {
    if (headers['x-amz-target'] !== 'Logs_20140328.FilterLogEvents') return refusal(400, 'UnknownOperationException');
    const request = JSON.parse(body) as Search;
    this.requests.push(request);
    if (refused) return refused;
    const events = this.groups.get(request.logGroupName);
    if (events === undefined) return refusal(400, 'ResourceNotFoundException');
    const { startTime, endTime = Number.POSITIVE_INFINITY, filterPattern, nextToken = '0' } = request;
    const matches = filterPattern === undefined ? () => true : parseFilterPattern(filterPattern);
    // Each page searches one event.
    const next = Number(nextToken) + 1;
    const found = events
      .slice(Number(nextToken), next)
      .filter(({ timestamp, message }) => timestamp >= startTime && timestamp <= endTime && matches(message));
    return { status: 200, body: { events: found, ...(next < events.length && { nextToken: String(next) }) } };
  }
}
