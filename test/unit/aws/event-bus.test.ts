import type { EventBridgeClient, PutEventsCommand, PutEventsResultEntry } from '@aws-sdk/client-eventbridge';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { eventBridgeBus } from '../../../functions/aws/event-bus.ts';
import type { BusEvent } from '../../embedded-cluster/event-path.ts';

const waits = vi.hoisted((): number[] => []);
vi.mock('node:timers/promises', () => ({ setTimeout: async (milliseconds: number) => waits.push(milliseconds) }));
beforeEach(() => {
  waits.length = 0;
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
});

const TIME = new Date('2026-11-23T14:17:47.196Z');
const eventOf = (detail: object): BusEvent => ({
  ...{ source: 'source', detailType: 'type', detail, resources: ['arn'], time: TIME },
});
const event = (number: number) => eventOf({ number });
const events = (count: number) => Array.from({ length: count }, (_, number) => event(number));

type Answer = (detail: string) => PutEventsResultEntry;

/** A bus on a client that answers each entry with the result of `answer`, and the requests that it received. */
function busWith(answer: Answer) {
  const requests: PutEventsCommand['input'][] = [];
  const client = {
    async send({ input }: PutEventsCommand) {
      requests.push(input);
      return { Entries: (input.Entries ?? []).map(({ Detail = '' }) => answer(Detail)) };
    },
  } as unknown as EventBridgeClient;
  const sizes = () => requests.map(({ Entries = [] }) => Entries.length);
  const numbers = () => requests.map(({ Entries = [] }) => Entries.map(({ Detail = '' }) => JSON.parse(Detail).number));
  return { bus: eventBridgeBus('eu-central-1', 'bus', client), requests, sizes, numbers };
}

const accepted: Answer = () => ({ EventId: 'id' });
const refusedIf =
  (isRefused: (number: number) => boolean): Answer =>
  (detail) =>
    isRefused(JSON.parse(detail).number) ? { ErrorCode: 'ThrottlingException' } : { EventId: 'id' };

describe('the event bus', () => {
  test('puts an entry in the shape of EventBridge', async () => {
    const { bus, requests } = busWith(accepted);
    await bus.put([event(7)]);
    expect(requests[0]?.Entries).toEqual([
      {
        ...{ EventBusName: 'bus', Source: 'source', DetailType: 'type', Detail: '{"number":7}' },
        ...{ Resources: ['arn'], Time: TIME },
      },
    ]);
  });

  test.each([
    [0, []],
    [10, [10]],
    [11, [10, 1]],
    [25, [10, 10, 5]],
  ])('puts %i events in requests of %j, in their order', async (count, expected) => {
    const { bus, sizes, numbers } = busWith(accepted);
    await bus.put(events(count));
    expect(sizes()).toEqual(expected);
    expect(numbers().flat()).toEqual(Array.from({ length: count }, (_, number) => number));
  });

  const KB = 1024;
  test.each<[string, BusEvent[], number[]]>([
    ['ten that fill it', Array.from({ length: 10 }, () => eventOf({ text: 'x'.repeat(25 * KB) })), [10]],
    ['large ones alone', [event(1), eventOf({ text: 'x'.repeat(26 * KB) }), event(2)], [1, 2]],
    ['bytes, not characters', [event(1), eventOf({ text: 'ß'.repeat(13 * KB) })], [1, 1]],
  ])('keeps a request within 256 KB: %s', async (_, large, expected) => {
    const { bus, sizes } = busWith(accepted);
    await bus.put(large);
    expect(sizes()).toEqual(expected);
  });

  test('sends only refused entries again, with a longer delay each time', async () => {
    let refusals = 3;
    const { bus, numbers } = busWith(refusedIf((number) => number === 1 && refusals-- > 0));
    await bus.put(events(3));
    expect(numbers()).toEqual([[0, 1, 2], [1], [1], [1]]);
    expect(waits).toEqual([50, 100, 200]);
  });

  test.each<[string, Answer, string]>([
    ['refuses an entry', refusedIf((number) => number === 1), 'ThrottlingException'],
    ['has no result for it', () => ({}), 'no ErrorCode'],
  ])('gives up after four attempts if the response %s, and names the reason', async (_, answer, code) => {
    const { bus, requests } = busWith(answer);
    await expect(bus.put(events(2))).rejects.toMatchObject({
      ...{ name: 'RetryableError', message: 'not all of 2 events reached bus' },
      cause: { message: `after 4 attempts still refused: ${code}` },
    });
    expect([requests.length, waits.length]).toEqual([4, 3]);
  });

  test('puts the other batches when one fails', async () => {
    const fault = new Error('no connection');
    const { bus, sizes } = busWith((detail) => {
      if (detail === '{"number":3}') throw fault;
      return { EventId: 'id' };
    });
    await expect(bus.put(events(25))).rejects.toMatchObject({ name: 'RetryableError', cause: fault });
    expect(sizes()).toEqual([10, 10, 5]);
  });
});
