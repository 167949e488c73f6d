import { setTimeout } from 'node:timers/promises';
import {
  type EventBridgeClient,
  PutEventsCommand,
  type PutEventsRequestEntry,
  type PutEventsResultEntry,
} from '@aws-sdk/client-eventbridge';
import { RetryableError } from '../platform/errors.ts';

export interface BusEvent {
  source: string;
  detailType: string;
  /** Becomes JSON. */
  detail: object;
  /** ARNs that the event is about. */
  resources: readonly string[];
  time: Date;
}

export interface EventBus {
  /**
   * Puts every event on the bus, each at least once and in no certain order.
   *
   * @throws {RetryableError} when some did not get there; the others did
   */
  put(events: readonly BusEvent[]): Promise<void>;
}

/** PutEvents takes at most ten entries in one request. */
const ENTRIES_PER_REQUEST = 10;
/** The whole request was limited to 256 KB; since January 2026 it is 1 MB, but not in every partition. */
const BYTES_PER_REQUEST = 256 * 1024;
/** One entry is sent this often; between the sendings lies at most 100, 200, 400 ms. */
const ATTEMPTS = 4;
const FIRST_BACKOFF_MS = 100;

/** What passing of time and chance EventBridgeBus needs, so that a test needs neither. */
export interface Backoff {
  /** @param milliseconds how long to wait */
  sleep(milliseconds: number): Promise<unknown>;
  /** @returns from 0 up to, not including, 1 */
  random(): number;
}

/**
 * An event bus of Amazon EventBridge, given by name or ARN. An answer with status 200 may refuse single entries: those
 * are sent again after a random delay. A request that fails as a whole was already tried again by the SDK; then the next
 * batch still gets its turn.
 */
export class EventBridgeBus implements EventBus {
  readonly #client: Pick<EventBridgeClient, 'send'>;
  readonly #name: string;
  readonly #backoff: Backoff;

  constructor(
    client: Pick<EventBridgeClient, 'send'>,
    name: string,
    backoff: Backoff = { sleep: setTimeout, random: Math.random },
  ) {
    this.#client = client;
    this.#name = name;
    this.#backoff = backoff;
  }

  async put(events: readonly BusEvent[]): Promise<void> {
    const faults: unknown[] = [];
    for (const batch of batches(events.map((event) => this.#entry(event)))) {
      try {
        await this.#putBatch(batch);
      } catch (error) {
        faults.push(error);
      }
    }
    if (faults.length === 0) return;
    throw new RetryableError(`not all of ${events.length} events reached ${this.#name}`, { cause: faults[0] });
  }

  async #putBatch(batch: readonly PutEventsRequestEntry[]): Promise<void> {
    let waiting = batch;
    for (let attempt = 1; ; attempt += 1) {
      const { Entries: results = [] } = await this.#client.send(new PutEventsCommand({ Entries: [...waiting] }));
      // The answer has a result for each entry, in their order; only an entry that was taken has an EventId.
      const refused = waiting.filter((_, index) => results[index]?.EventId === undefined);
      if (refused.length === 0) return;
      if (attempt === ATTEMPTS) throw new RetryableError(`after ${ATTEMPTS} attempts still refused: ${codes(results)}`);
      await this.#backoff.sleep(this.#backoff.random() * FIRST_BACKOFF_MS * 2 ** (attempt - 1));
      waiting = refused;
    }
  }

  #entry({ source, detailType, detail, resources, time }: BusEvent): PutEventsRequestEntry {
    return {
      EventBusName: this.#name,
      Source: source,
      DetailType: detailType,
      Detail: JSON.stringify(detail),
      Resources: [...resources],
      Time: time,
    };
  }
}

/** In their order, as few as fit the limits of one request. An entry that is too large for any request goes alone. */
function batches(entries: readonly PutEventsRequestEntry[]): PutEventsRequestEntry[][] {
  const filled: PutEventsRequestEntry[][] = [];
  let free = 0;
  for (const entry of entries) {
    const size = entrySize(entry);
    const batch = filled.at(-1);
    if (batch !== undefined && batch.length < ENTRIES_PER_REQUEST && size <= free) {
      batch.push(entry);
      free -= size;
    } else {
      filled.push([entry]);
      free = BYTES_PER_REQUEST - size;
    }
  }
  return filled;
}

/**
 * Bytes, as EventBridge counts them ("Calculating PutEvents event entry size" in its user guide): 14 for the time, and
 * source, detail-type, detail and resources in UTF-8.
 */
function entrySize({ Source = '', DetailType = '', Detail = '', Resources = [] }: PutEventsRequestEntry): number {
  return [Source, DetailType, Detail, ...Resources].reduce((bytes, text) => bytes + Buffer.byteLength(text), 14);
}

function codes(results: readonly PutEventsResultEntry[]): string {
  return [...new Set(results.map(({ ErrorCode }) => ErrorCode ?? 'no ErrorCode'))].join(', ');
}
