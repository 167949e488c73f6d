import type { IncomingMessage } from 'node:http';
import { parseFilterPattern } from './filter-pattern.ts';
import { refusal, type ServiceAnswer, ServiceDouble } from './service-double.ts';

export interface LoggedEvent {
  timestamp: number;
  message: string;
}

/** What a search comes as over the wire. */
export interface FilterLogEventsRequest {
  logGroupName: string;
  startTime: number;
  endTime?: number;
  filterPattern?: string;
  nextToken?: string;
}

/**
 * Answers FilterLogEvents as Amazon CloudWatch Logs does (AWS JSON 1.1): by the times and the pattern, in pages of
 * which any may be empty although more follow.
 */
export class FilterLogEventsDouble extends ServiceDouble {
  readonly groups = new Map<string, LoggedEvent[]>();
  /** In the order of arrival, whatever the answer was. */
  readonly requests: FilterLogEventsRequest[] = [];

  protected override answer(
    { headers }: Pick<IncomingMessage, 'headers'>,
    body: string,
    failure: ServiceAnswer | undefined,
  ): ServiceAnswer {
    if (headers['x-amz-target'] !== 'Logs_20140328.FilterLogEvents') return refusal(400, 'UnknownOperationException');
    const request = JSON.parse(body) as FilterLogEventsRequest;
    this.requests.push(request);
    if (failure !== undefined) return failure;
    const events = this.groups.get(request.logGroupName);
    if (events === undefined) return refusal(400, 'ResourceNotFoundException');
    const { startTime, endTime = Number.POSITIVE_INFINITY, filterPattern } = request;
    const matches = filterPattern === undefined ? () => true : parseFilterPattern(filterPattern);
    // Each page looks at one event.
    const at = Number(request.nextToken ?? 0);
    const found = events
      .slice(at, at + 1)
      .filter(({ timestamp, message }) => timestamp >= startTime && timestamp <= endTime && matches(message));
    return {
      status: 200,
      body: { events: found, ...(at + 1 < events.length && { nextToken: String(at + 1) }) },
    };
  }
}
