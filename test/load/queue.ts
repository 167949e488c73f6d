import { randomUUID } from 'node:crypto';
import type { SQSRecord } from 'aws-lambda';
import { queueBatch } from '../embedded-cluster/event-path.ts';
import type { Stack } from './stack.ts';

export interface Message {
  readonly id: string;
  readonly body: string;
  receives: number;
  /** Milliseconds since 1970. */
  visibleAt: number;
}

/** A standard queue of SQS with its dead letters, and the poller of Lambda that makes batches of it. */
export class ChangeQueue {
  readonly deadLetters: Message[] = [];
  /** Messages that were consumed, by the number of receives. */
  readonly consumed: number[] = [];
  sent = 0;
  readonly #stack: Pick<Stack, 'queue' | 'batches'>;
  readonly #random: () => number;
  readonly #messages = new Map<string, Message>();

  constructor(stack: Pick<Stack, 'queue' | 'batches'>, random: () => number) {
    this.#stack = stack;
    this.#random = random;
  }

  get size(): number {
    return this.#messages.size;
  }

  /** When the next message is visible; `undefined` if there is none. */
  get nextAt(): number | undefined {
    return this.size === 0 ? undefined : Math.min(...[...this.#messages.values()].map(({ visibleAt }) => visibleAt));
  }

  send(body: string, now: number): void {
    this.sent += 1;
    const message = { id: randomUUID(), body, receives: 0, visibleAt: now + this.#stack.queue.delay };
    this.#messages.set(message.id, message);
  }

  /** Sends every dead letter to the queue again, as a person does in the console. */
  redrive(now: number): void {
    for (const { body } of this.deadLetters.splice(0)) this.send(body, now);
  }

  /** The batches of one batch window, at most as many as may run concurrently, in no certain order. */
  receive(now: number): Message[][] {
    const { size, concurrency } = this.#stack.batches;
    const visible: { at: number; message: Message }[] = [];
    for (const message of this.#messages.values()) {
      if (message.visibleAt > now) continue;
      if (message.receives < this.#stack.queue.maxReceiveCount) visible.push({ at: this.#random(), message });
      else {
        this.#messages.delete(message.id);
        this.deadLetters.push(message);
      }
    }
    // The oldest first, and those of about the same time in any order.
    const order = ({ at, message }: (typeof visible)[number]) => message.visibleAt + at * this.#stack.batches.window;
    visible.sort((one, other) => order(one) - order(other));
    const received = visible.slice(0, size * concurrency).map(({ message }) => message);
    for (const message of received) {
      message.receives += 1;
      message.visibleAt = now + this.#stack.queue.visibilityTimeout;
    }
    return Array.from({ length: Math.ceil(received.length / size) }, (_, index) =>
      received.slice(index * size, (index + 1) * size),
    );
  }

  /** Deletes the messages of a batch except for those that the function reports as failed. */
  settle(batch: readonly Message[], failed: ReadonlySet<string>): void {
    for (const { id, receives } of batch) {
      if (failed.has(id)) continue;
      this.#messages.delete(id);
      this.consumed[receives] = (this.consumed[receives] ?? 0) + 1;
    }
  }
}

/** The event that Lambda invokes `reap` with. */
export function eventOf(batch: readonly Message[]): { Records: SQSRecord[] } {
  const { Records: records } = queueBatch(batch.map(({ body }) => body));
  return {
    Records: records.map((record, index) => {
      const { id, receives } = batch[index] as Message;
      const attributes = { ...record.attributes, ApproximateReceiveCount: String(receives) };
      return { ...record, messageId: id, attributes };
    }),
  };
}
