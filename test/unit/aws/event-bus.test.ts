import { EventBridgeClient, type PutEventsResultEntry } from '@aws-sdk/client-eventbridge';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { SignatureV4 } from '@smithy/signature-v4';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { eventBridgeBus } from '../../../functions/aws/event-bus.ts';
import { regionsByPartition } from '../../builders/regions.ts';
import { EventBridgeDouble, type PutEventsEntry } from '../../doubles/eventbridge.ts';
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

/** A bus whose requests have the result of `answer` for each entry, and these requests. */
function busWith(answer: Answer) {
  const requests: PutEventsEntry[][] = [];
  const putEvents = async (entries: readonly PutEventsEntry[]) => {
    requests.push([...entries]);
    return { Entries: entries.map(({ Detail }) => answer(Detail)) };
  };
  const sizes = () => requests.map((entries) => entries.length);
  const numbers = () => requests.map((entries) => entries.map(({ Detail }) => JSON.parse(Detail).number));
  return { bus: eventBridgeBus('eu-central-1', 'bus', putEvents), requests, sizes, numbers };
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
    expect(requests[0]).toEqual([
      {
        ...{ EventBusName: 'bus', Source: 'source', DetailType: 'type', Detail: '{"number":7}' },
        ...{ Resources: ['arn'], Time: 1795443467.196 },
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

describe('a request to EventBridge', () => {
  let double: EventBridgeDouble;
  beforeEach(async () => {
    double = new EventBridgeDouble();
    vi.mocked(Math.random).mockReturnValue(0); // Retries without a delay.
    vi.stubEnv('AWS_ENDPOINT_URL_EVENTBRIDGE', await double.start());
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIAIOSFODNN7EXAMPLE');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
    vi.stubEnv('AWS_SESSION_TOKEN', 'token');
    return async () => {
      vi.unstubAllEnvs();
      await double.stop();
    };
  });

  test.each([
    [500, 'InternalException', 3],
    [429, 'Throttled', 3],
    [400, 'ThrottlingException', 3],
    [400, 'AccessDeniedException', 1],
  ])('that is refused with %i %s is sent %i times, and the error has that name', async (status, name, times) => {
    double.failRequests(times, status, name);
    const put = eventBridgeBus('eu-central-1', 'bus').put([event(1)]);
    await expect(put).rejects.toMatchObject({ cause: { name, message: 'refused by the test' } });
    expect(double.requests).toHaveLength(times);
  });

  test('that an intermediary refuses, without an error of EventBridge, is sent again', async () => {
    const answer = vi.fn(() => ({ status: 503, body: 'null' }));
    Object.assign(double, { answer });
    const put = eventBridgeBus('eu-central-1', 'bus').put([event(1)]);
    await expect(put).rejects.toMatchObject({ cause: { name: 'HTTP 503' } });
    expect(answer).toHaveBeenCalledTimes(3);
  });

  test('that fails twice succeeds', async () => {
    double.failRequests(2, 503, 'ServiceUnavailable');
    await eventBridgeBus('eu-central-1', 'bus').put([event(1)]);
    expect(double.taken.map(({ Detail }) => Detail)).toEqual(['{"number":1}']);
    expect([...double.accessKeys]).toEqual(['AKIAIOSFODNN7EXAMPLE']);
  });
});

test('requests go to the endpoint of the Region, as those of the SDK', async () => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', '');
  const handle = vi.spyOn(NodeHttpHandler.prototype, 'handle').mockRejectedValue(new Error('no network'));
  const sign = vi.spyOn(SignatureV4.prototype, 'sign').mockImplementation(async (request) => request as never);
  const regions = regionsByPartition().flatMap(([, names]) => names);
  for (const region of regions) {
    await expect(eventBridgeBus(region, 'bus').put([event(1)])).rejects.toThrow('not all of 1 events');
    const { endpointProvider } = new EventBridgeClient({ region }).config;
    const { protocol, hostname, path } = handle.mock.lastCall?.[0] ?? {};
    expect(`${protocol}//${hostname}${path}`).toBe(endpointProvider({ Region: region }).url.href);
  }
  expect(sign).toHaveBeenCalledTimes(regions.length);
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});
