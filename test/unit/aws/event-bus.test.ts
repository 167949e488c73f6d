import type { EventBridgeClient, PutEventsCommand, PutEventsResultEntry } from '@aws-sdk/client-eventbridge';
import { describe, expect, test } from 'vitest';
import { type BusEvent, eventBridgeBus } from '../../../functions/aws/event-bus.ts';
import { RetryableError } from '../../../functions/platform/errors.ts';

const TIME = new Date('2026-11-23T14:17:47.196Z');
const event = (number: number, change: Partial<BusEvent> = {}): BusEvent => ({
  source: 'source',
  detailType: 'type',
  detail: { number },
  resources: ['arn'],
  time: TIME,
  ...change,
});
const events = (count: number) => Array.from({ length: count }, (_, number) => event(number));

/** An event of exactly so many bytes, as EventBridge counts them. */
function eventOfSize(bytes: number, letter = 'x'): BusEvent {
  const rest = 14 + 'source'.length + 'type'.length + 'arn'.length + JSON.stringify({ text: '' }).length;
  const letters = (bytes - rest) / Buffer.byteLength(letter);
  return event(0, { detail: { text: letter.repeat(letters) } });
}

type Answer = (detail: string) => Promise<PutEventsResultEntry> | PutEventsResultEntry;

/** A bus on a client that gives each entry what `answer` says; what was sent and how long was waited is kept. */
function busWith(answer: Answer, random = 0.5) {
  const sent: string[][] = [];
  const commands: PutEventsCommand[] = [];
  const waits: number[] = [];
  const client = {
    async send(command: PutEventsCommand) {
      commands.push(command);
      const details = (command.input.Entries ?? []).map(({ Detail = '' }) => Detail);
      sent.push(details);
      return { Entries: await Promise.all(details.map(answer)) };
    },
  } as unknown as Pick<EventBridgeClient, 'send'>;
  const bus = eventBridgeBus(client, 'bus', { sleep: async (ms) => waits.push(ms), random: () => random });
  return { bus, sent, commands, waits };
}

const taken: Answer = () => ({ EventId: 'id' });
const throttled = { ErrorCode: 'ThrottlingException', ErrorMessage: 'too many' };
const numbers = (sent: string[][]) => sent.map((batch) => batch.map((detail) => JSON.parse(detail).number));

describe('the event bus', () => {
  test('puts an entry as EventBridge wants it', async () => {
    const { bus, commands } = busWith(taken);
    await bus.put([event(7)]);
    expect(commands[0]?.input).toEqual({
      Entries: [
        {
          EventBusName: 'bus',
          Source: 'source',
          DetailType: 'type',
          Detail: '{"number":7}',
          Resources: ['arn'],
          Time: TIME,
        },
      ],
    });
  });

  test.each([
    [0, []],
    [1, [1]],
    [10, [10]],
    [11, [10, 1]],
    [25, [10, 10, 5]],
  ])('puts %i events in requests of %j', async (count, sizes) => {
    const { bus, sent } = busWith(taken);
    await bus.put(events(count));
    expect(sent.map((batch) => batch.length)).toEqual(sizes);
    expect(numbers(sent).flat()).toEqual(Array.from({ length: count }, (_, number) => number));
  });

  const KB = 1024;
  test.each<[string, BusEvent[], number[]]>([
    ['exactly 256 KB', [eventOfSize(200 * KB), eventOfSize(56 * KB)], [2]],
    ['one byte more', [eventOfSize(200 * KB), eventOfSize(56 * KB + 1)], [1, 1]],
    ['three, of which two fit', [eventOfSize(100 * KB), eventOfSize(100 * KB), eventOfSize(100 * KB)], [2, 1]],
    ['bytes, not characters', [eventOfSize(140 * KB, 'ß'), eventOfSize(140 * KB, 'ß')], [1, 1]],
    ['one too large for any request', [event(1), eventOfSize(300 * KB), event(2), event(3)], [1, 1, 2]],
  ])('keeps a request within 256 KB: %s', async (_, large, sizes) => {
    const { bus, sent } = busWith(taken);
    await bus.put(large);
    expect(sent.map((batch) => batch.length)).toEqual(sizes);
  });

  test('sends only refused entries again, later each time', async () => {
    let refusals = 3;
    const { bus, sent, waits } = busWith((detail) => {
      if (detail !== '{"number":1}' || refusals === 0) return { EventId: 'id' };
      refusals -= 1;
      return throttled;
    });
    await bus.put(events(3));
    expect(numbers(sent)).toEqual([[0, 1, 2], [1], [1], [1]]);
    expect(waits).toEqual([50, 100, 200]);
  });

  test('gives up after four attempts and says what the refusals were', async () => {
    const { bus, sent, waits } = busWith((detail) => (detail === '{"number":1}' ? throttled : { EventId: 'id' }));
    const failure = await bus.put(events(2)).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(RetryableError);
    expect(failure).toMatchObject({
      message: 'not all of 2 events reached bus',
      cause: { message: 'after 4 attempts still refused: ThrottlingException' },
    });
    expect(sent).toHaveLength(4);
    expect(waits).toHaveLength(3);
  });

  test('puts the other batches when one fails', async () => {
    const fault = new Error('no connection');
    const { bus, sent } = busWith((detail) => {
      if (detail === '{"number":3}') throw fault;
      return { EventId: 'id' };
    });
    await expect(bus.put(events(25))).rejects.toMatchObject({ name: 'RetryableError', cause: fault });
    expect(sent.map((batch) => batch.length)).toEqual([10, 10, 5]);
  });

  test('treats an answer without results as a refusal', async () => {
    const client = { send: async () => ({ FailedEntryCount: 0 }) } as unknown as Pick<EventBridgeClient, 'send'>;
    const bus = eventBridgeBus(client, 'bus', { sleep: async () => {}, random: () => 0 });
    await expect(bus.put(events(1))).rejects.toThrow(RetryableError);
  });
});
