import { QUEUED_DETAILS } from '../../functions/events/queued-event.ts';
import { ACCOUNT, type BusEvent, REGION } from '../embedded-cluster/event-path.ts';
import type { Clock } from './clock.ts';

/** Audit lines of a cluster that CloudWatch Logs invokes `forward` with. */
export interface Payload {
  readonly cluster: string;
  readonly lines: readonly string[];
  /** The number of invocations that failed. */
  failures: number;
}

/** A message of the queue of `reap`. */
export interface Message {
  readonly id: string;
  readonly cluster: string;
  readonly isRequest: boolean;
  readonly body: string;
  receives: number;
  visibleAt: number;
}

/** Milliseconds; as in infra/queue.yml. */
const DELAY = 15_000;
const VISIBILITY_TIMEOUT = 370_000;
const MAX_RECEIVES = 8;
/** As in serverless.yml: an asynchronous invocation is tried so often. */
export const ATTEMPTS = 3;
const BATCH_SIZE = 10;

/** What is between the functions: the log subscription, the event bus with its rule, and the queue with its dead letters. */
export class EventPath {
  readonly #clock: Clock;
  payloads: Payload[] = [];
  /** What the rule has not delivered yet. */
  onBus: BusEvent[] = [];
  queue: Message[] = [];
  readonly dead: Message[] = [];
  /** Payloads that `forward` failed on three times. */
  readonly unforwarded: Payload[] = [];
  readonly #outcome: (event: BusEvent) => void;
  #ids = 0;

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
    const { source, detailType, detail, resources, time } = event;
    const body = JSON.stringify({
      ...{ version: '0', id: 'event', source, 'detail-type': detailType, account: ACCOUNT, region: REGION },
      ...{ time: time.toISOString(), resources, detail },
    });
    const { cluster } = detail as { cluster: string };
    const isRequest = detailType === 'Cluster Sweep Requested';
    for (let copies = isDuplicate ? 2 : 1; copies > 0; copies -= 1) {
      this.#ids += 1;
      const visibleAt = this.#clock.now + DELAY;
      this.queue.push({ id: `message-${this.#ids}`, cluster, isRequest, body, receives: 0, visibleAt });
    }
  }

  visible(): Message[] {
    return this.queue.filter(({ visibleAt }) => visibleAt <= this.#clock.now);
  }

  /** One batch for one invocation; what was received too often becomes a dead letter instead. */
  receive(messages: readonly Message[]): Message[] {
    const batch = messages.slice(0, BATCH_SIZE).filter((message) => {
      message.receives += 1;
      message.visibleAt = this.#clock.now + VISIBILITY_TIMEOUT;
      if (message.receives <= MAX_RECEIVES) return true;
      this.delete(message);
      this.dead.push(message);
      return false;
    });
    return batch;
  }

  delete(message: Message): void {
    this.queue = this.queue.filter((one) => one !== message);
  }
}

/** The event that Lambda invokes `reap` with. */
export const batchOf = (messages: readonly Message[]) => ({
  Records: messages.map(({ id, body, receives }) => ({
    ...{ messageId: id, receiptHandle: 'receipt', body, messageAttributes: {}, md5OfBody: '', awsRegion: REGION },
    ...{ eventSource: 'aws:sqs', eventSourceARN: `arn:aws:sqs:${REGION}:${ACCOUNT}:envoy-hpa-reaper-changes` },
    attributes: { ApproximateReceiveCount: String(receives) },
  })),
});
