import { randomUUID } from 'node:crypto';
import type { PutEventsRequestEntry } from '@aws-sdk/client-eventbridge';
import { type AwsRequest, refusal, type ServiceAnswer, ServiceDouble } from './service-double.ts';

/** An entry over the wire. Time is in seconds since 1970. */
export type PutEventsEntry = Required<Omit<PutEventsRequestEntry, 'Time' | 'TraceHeader'>> & { Time: number };

/** Answers PutEvents as Amazon EventBridge does, with its limits of ten entries and 256 KB a request. */
export class EventBridgeDouble extends ServiceDouble {
  /** The entries of each request, in the order of arrival, whatever the answer was. */
  readonly requests: PutEventsEntry[][] = [];
  /** The entries on the bus. */
  readonly taken: PutEventsEntry[] = [];
  readonly #refusals: { matches: (entry: PutEventsEntry) => boolean; code: string; left: number }[] = [];

  /** Refuses the next entries that match, each within a response of status 200. */
  refuseEntries(times: number, code: string, matches: (entry: PutEventsEntry) => boolean = () => true): void {
    this.#refusals.push({ matches, code, left: times });
  }

  protected override answer({ headers }: AwsRequest, body: string, refused: ServiceAnswer | undefined): ServiceAnswer {
    if (headers['x-amz-target'] !== 'AWSEvents.PutEvents') return refusal(400, 'UnknownOperationException');
    const { Entries: entries } = JSON.parse(body) as { Entries: PutEventsEntry[] };
    this.requests.push(entries);
    if (refused) return refused;
    const size = entries.reduce((bytes, entry) => bytes + sizeOf(entry), 0);
    if (entries.length > 10 || size > 256 * 1024) return refusal(400, 'ValidationException');

    const results = entries.map((entry) => this.#take(entry));
    const failed = results.filter((result) => 'ErrorCode' in result).length;
    return { status: 200, body: { FailedEntryCount: failed, Entries: results } };
  }

  #take(entry: PutEventsEntry) {
    const refused = this.#refusals.find(({ left, matches }) => left > 0 && matches(entry));
    if (refused) {
      refused.left -= 1;
      return { ErrorCode: refused.code, ErrorMessage: 'refused by the test' };
    }
    this.taken.push(entry);
    return { EventId: randomUUID() };
  }
}

const sizeOf = ({ Source, DetailType, Detail, Resources }: PutEventsEntry) =>
  14 + Buffer.byteLength([Source, DetailType, Detail, ...Resources].join(''));
