import type { SQSRecord } from 'aws-lambda';
import { queueBatch } from '../embedded-cluster/event-path.ts';

export interface Message {
  readonly id: string;
  readonly body: string;
  receives: number;
  /** Milliseconds since 1970. */
  visibleAt: number;
}

/** A standard queue of SQS with its dead letters. Times are in milliseconds. */
export class QueueDouble {
  readonly deadLetters: Message[] = [];
  sent = 0;
  readonly #attributes: Readonly<Record<'delay' | 'visibilityTimeout' | 'maxReceiveCount', number>>;
  readonly #messages = new Map<string, Message>();

  constructor(attributes: Readonly<Record<'delay' | 'visibilityTimeout' | 'maxReceiveCount', number>>) {
    this.#attributes = attributes;
  }

  /** All messages, also those that are not visible. */
  get messages(): Message[] {
    return [...this.#messages.values()];
  }

  send(body: string, now: number): void {
    this.sent += 1;
    const message = { id: `message-${this.sent}`, body, receives: 0, visibleAt: now + this.#attributes.delay };
    this.#messages.set(message.id, message);
  }

  /** Those that can be received. What was received too often becomes a dead letter instead. */
  visible(now: number): Message[] {
    const due = this.messages.filter(({ visibleAt }) => visibleAt <= now);
    const { true: tired = [], false: visible = [] } = Object.groupBy(due, ({ receives }) =>
      String(receives >= this.#attributes.maxReceiveCount),
    );
    for (const message of tired) this.delete(message);
    this.deadLetters.push(...tired);
    return visible;
  }

  receive(messages: readonly Message[], now: number): void {
    for (const message of messages) {
      message.receives += 1;
      message.visibleAt = now + this.#attributes.visibilityTimeout;
    }
  }

  delete({ id }: Message): void {
    this.#messages.delete(id);
  }

  /** Sends every dead letter to the queue again, as a person does in the console. */
  redrive(now: number): void {
    for (const { body } of this.deadLetters.splice(0)) this.send(body, now);
  }
}

/** The event that Lambda invokes `reap` with. */
export function eventOf(batch: readonly Message[]): { Records: SQSRecord[] } {
  const records = queueBatch(batch.map(({ body }) => body)).Records;
  return {
    Records: batch.map(({ id, receives }, index) => {
      const record = records[index] as SQSRecord;
      const attributes = { ...record.attributes, ApproximateReceiveCount: String(receives) };
      return { ...record, messageId: id, attributes };
    }),
  };
}
