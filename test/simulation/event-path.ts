import { QUEUED_DETAILS } from '../../functions/events/queued-event.ts';
import { QueueDouble } from '../doubles/queue.ts';
import { type BusEvent, busEvent } from '../embedded-cluster/event-path.ts';
import type { Clock } from './clock.ts';

/** Audit lines of a cluster that CloudWatch Logs invokes `forward` with. */
export interface Payload {
  readonly cluster: string;
  readonly lines: readonly string[];
  /** The number of invocations that failed. */
  failures: number;
}

/** As in serverless.yml: an asynchronous invocation is tried so often. */
export const ATTEMPTS = 3;

/** What is between the functions: the log subscription, the event bus with its rule, and the queue with its dead letters. */
export class EventPath {
  readonly #clock: Clock;
  payloads: Payload[] = [];
  /** What the rule has not delivered yet. */
  onBus: BusEvent[] = [];
  /** Milliseconds; as in infra/queue.yml. */
  readonly queue = new QueueDouble({ delay: 15_000, visibilityTimeout: 370_000, maxReceiveCount: 8 });
  /** Payloads that `forward` failed on three times. */
  readonly unforwarded: Payload[] = [];
  readonly #outcome: (event: BusEvent) => void;

  constructor(clock: Clock, outcome: (event: BusEvent) => void) {
    this.#clock = clock;
    this.#outcome = outcome;
  }

  /** The rule selects what the queue receives; outcomes go elsewhere. */
  put(events: readonly BusEvent[]): void {
    for (const event of events) {
      if (event.detailType in QUEUED_DETAILS) this.onBus.push(event);
      else this.#outcome(event);
    }
  }

  deliver(event: BusEvent, isDuplicate: boolean): void {
    this.onBus = this.onBus.filter((one) => one !== event);
    const body = JSON.stringify(busEvent(event));
    for (let copies = isDuplicate ? 2 : 1; copies > 0; copies -= 1) this.queue.send(body, this.#clock.now);
  }
}
