import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { refusal, type ServiceAnswer, ServiceDouble } from './service-double.ts';

/** An entry as it comes over the wire; Time is in seconds since 1970. */
export interface PutEventsEntry {
  EventBusName: string;
  Source: string;
  DetailType: string;
  Detail: string;
  Resources: string[];
  Time: number;
}

/** Answers PutEvents (with its limits of ten entries and 256 KB a request) as Amazon EventBridge does. */
export class EventBridgeDouble extends ServiceDouble {
  /** The entries of each request, in the order of arrival, whatever the answer was. */
  readonly requests: PutEventsEntry[][] = [];
  /** What is on the bus. */
  readonly taken: PutEventsEntry[] = [];
  readonly #refusals: { matches: (entry: PutEventsEntry) => boolean; code: string; left: number }[] = [];

  /** The next entries that match are refused, each within an answer of status 200. */
  refuseEntries(times: number, code: string, matches: (entry: PutEventsEntry) => boolean = () => true): void {
    this.#refusals.push({ matches, code, left: times });
  }

  protected override answer(
    { headers }: Pick<IncomingMessage, 'headers'>,
    body: string,
    failure: ServiceAnswer | undefined,
  ): ServiceAnswer {
    if (headers['x-amz-target'] !== 'AWSEvents.PutEvents') return refusal(400, 'UnknownOperationException');
    const { Entries: entries } = JSON.parse(body) as { Entries: PutEventsEntry[] };
    this.requests.push(entries);
    if (failure !== undefined) return failure;
    const size = entries.reduce((bytes, entry) => bytes + sizeOf(entry), 0);
    if (entries.length > 10 || size > 256 * 1024) return refusal(400, 'ValidationException');

    const results = entries.map((entry) => this.#take(entry));
    const failed = results.filter((result) => 'ErrorCode' in result).length;
    return { status: 200, body: { FailedEntryCount: failed, Entries: results } };
  }

  #take(entry: PutEventsEntry) {
    const refusal = this.#refusals.find(({ left, matches }) => left > 0 && matches(entry));
    if (refusal !== undefined) {
      refusal.left -= 1;
      return { ErrorCode: refusal.code, ErrorMessage: 'refused by the test' };
    }
    this.taken.push(entry);
    return { EventId: randomUUID() };
  }
}

const sizeOf = ({ Source, DetailType, Detail, Resources }: PutEventsEntry) =>
  14 + Buffer.byteLength([Source, DetailType, Detail, ...Resources].join(''));
