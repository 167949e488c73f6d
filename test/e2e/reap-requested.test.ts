import { describe, expect, test, vi } from 'vitest';
import { PLACE, queueBatch } from '../embedded-cluster/event-path.ts';
import { hpasOf, outcomesOf, requestsOf, STALE, staleList, times, writesTo } from './harness.ts';
import {
  changed,
  context,
  loadReap,
  reapBatch,
  reapEvent,
  requested,
  surroundings,
  sweepByEvent,
  young,
} from './reap-harness.ts';

const around = surroundings();
const reports = (cluster = 'shop', detail: Record<string, unknown> = {}) =>
  requested(cluster, { mode: 'report', ...detail });

describe('a sweep that is requested', () => {
  test.each([
    ['delete', 'delete', 'Deleted'],
    ['delete', 'report', 'Reported'],
    ['report', 'delete', 'Reported'],
    ['report', 'report', 'Reported'],
  ])(
    'where the deployment may %s and the request says %s: %s, from the queue and directly',
    async (own, mode, outcome) => {
      vi.stubEnv('MODE', own);
      const shop = await around.enroll('shop', staleList());
      const bank = await around.enroll('bank', staleList());
      expect(await reapBatch([requested('shop', { mode })])).toEqual([]);
      expect(around.output.counted(`Hpas${outcome}`)).toBe(1);
      const report = await sweepByEvent(requested('bank', { mode }));
      expect(outcomesOf(report)).toEqual([`${STALE}: ${outcome}, AutoscalingRemoved`]);
      expect(report).toMatchObject({ mode: outcome === 'Deleted' ? 'delete' : 'report', changes: [] });
      for (const cluster of [shop, bank]) {
        expect(hpasOf(cluster)).toEqual(outcome === 'Deleted' ? [] : [STALE]);
        if (outcome === 'Reported') expect(writesTo(cluster)).toEqual([]);
      }
      expect(around.output.logged()).toContainEqual(
        expect.objectContaining({ message: 'sweep requested', cluster: 'shop', runIds: ['run-1'] }),
      );
    },
  );

  test.each([
    ['lowers it', 1, 'HeldBack'],
    ['leaves it', 2, 'Deleted'],
    ['does not get in the way', undefined, 'Deleted'],
  ])('with a limit of its own: %s', async (_, maxDeletions, outcome) => {
    await around.enroll('shop', times(2, staleList()));
    await reapBatch([requested('shop', { maxDeletions })]);
    expect(around.output.counted(`Hpas${outcome}`)).toBe(2);
  });

  test("with a limit above the deployment's does not raise it, from the queue or directly", async () => {
    vi.stubEnv('MAX_DELETIONS', '2');
    const cluster = await around.enroll('shop', times(3, staleList()));
    await reapBatch([requested('shop', { maxDeletions: 3 })]);
    await reapEvent(requested('shop', { maxDeletions: 3 }));
    expect(around.output.counted('HpasHeldBack')).toBe(6);
    expect(writesTo(cluster)).toEqual([]);
  });

  test('of a cluster that cannot be swept is skipped, or comes back, as a change is', async () => {
    const gone = await around.enroll('gone', staleList());
    await gone.close();
    await around.enroll('out', staleList(), { described: { tags: { 'envoy-hpa-reaper': 'off' } } });
    expect(await reapBatch([requested('gone'), requested('out')])).toEqual(['message-1']);
    expect(around.output.counted('ClustersSkipped')).toBe(1);
  });

  test.each<[string, object, RegExp]>([
    ['another version', requested('shop', { version: '2' }), /: detail.version: /],
    ['no mode', requested('shop', { mode: undefined }), /: detail.mode: /],
    ['a path as cluster', requested('../shop'), /: detail.cluster: expected the name of an EKS cluster/],
    ['a limit that is none', requested('shop', { maxDeletions: -1 }), /: detail.maxDeletions: /],
    ['two faults', requested('shop', { runId: 1, requestedAt: 2 }), /: detail.runId: .*; detail.requestedAt: /],
    ['another Region', { ...requested(), region: 'eu-west-1' }, /is from account \d+ in eu-west-1/],
  ])('with %s is not understood, and no cluster is asked', async (_, event, reason) => {
    expect(await reapBatch([event])).toEqual(['message-1']);
    await expect(reapEvent(event)).rejects.toMatchObject({
      ...{ name: 'MalformedInputError', message: expect.stringMatching(reason) },
    });
    expect(around.eks.described).toEqual([]);
  });
});

describe('together with others in a batch', () => {
  const orders = <T>(...messages: T[]) => [messages, messages.toReversed()];

  test('one pass is made for all', async () => {
    const cluster = await around.enroll('shop', staleList());
    expect(await reapBatch([requested(), changed(), reports(), requested('shop', { runId: 'run-2' })])).toEqual([]);
    expect(requestsOf(cluster, 'DELETE')).toHaveLength(1);
    expect(around.eks.described).toEqual(['shop']);
    const passes = around.output.logged().filter(({ message }) => message === 'sweep finished');
    expect(passes).toMatchObject([{ mode: 'delete', outcomes: { Deleted: 1 } }]);
    expect(around.output.logged()).toContainEqual(expect.objectContaining({ runIds: ['run-1', 'run-1', 'run-2'] }));
  });

  test.each(orders(reports('shop', { maxDeletions: 0 }), changed()))(
    'a report request does not keep what a change left behind from being deleted',
    async (...messages) => {
      const cluster = await around.enroll('shop', staleList());
      expect(await reapBatch(messages)).toEqual([]);
      expect(hpasOf(cluster)).toEqual([]);
    },
  );

  test.each(orders(requested('shop', { maxDeletions: 0 }), changed()))(
    'a lower limit of a request does not hold back what a change left behind',
    async (...messages) => {
      const cluster = await around.enroll('shop', staleList());
      expect(await reapBatch(messages)).toEqual([]);
      expect(hpasOf(cluster)).toEqual([]);
    },
  );

  test('report requests alone never delete, and a change in another cluster makes no difference', async () => {
    const shop = await around.enroll('shop', staleList());
    const bank = await around.enroll('bank', staleList());
    expect(await reapBatch([reports(), changed('bank'), reports()])).toEqual([]);
    expect(writesTo(shop)).toEqual([]);
    expect(hpasOf(bank)).toEqual([]);
  });

  test('nothing is deleted where the deployment reports', async () => {
    vi.stubEnv('MODE', 'report');
    const cluster = await around.enroll('shop', staleList());
    expect(await reapBatch([requested(), changed(), reports()])).toEqual([]);
    expect(writesTo(cluster)).toEqual([]);
  });

  test('what settles brings the change back, and no request', async () => {
    await around.enroll('shop', young(staleList()));
    expect(await reapBatch([requested(), changed(), reports()])).toEqual(['message-2']);
    expect(await reapBatch([requested()])).toEqual([]);
  });

  test('what failed brings all of them back', async () => {
    const cluster = await around.enroll('shop', staleList());
    const answer = { kind: 'respond', status: 503, body: { kind: 'Status', message: 'storage is gone' } } as const;
    cluster.onRequest = ({ method }) => (method === 'PATCH' ? answer : undefined);
    expect((await reapBatch([requested(), changed()])).toSorted()).toEqual(['message-1', 'message-2']);
  });
});

test('of a cluster that does not answer, a request is tried three times and a change to the end', async () => {
  const cluster = await around.enroll('shop', staleList());
  await cluster.close();
  const handler = await loadReap();
  const messages = [requested(), changed()];
  expect(await reapBatch(messages, 2, handler)).toEqual(['message-1', 'message-2']);
  expect(await reapBatch(messages, 3, handler)).toEqual(['message-2']);
  expect(around.output.logged().at(-1)).toMatchObject({
    ...{ level: 'WARN', message: 'giving up after 3 receives; the next sweep retries', messageId: 'message-1' },
  });
  expect(await reapBatch(messages, 8, handler)).toEqual(['message-2']);
});

test('a request that names another account is not understood', async () => {
  const handler = await loadReap();
  const batch = queueBatch([JSON.stringify({ ...requested(), account: '999999999999' })]);
  expect(await handler(batch, context())).toEqual({ batchItemFailures: [{ itemIdentifier: 'message-1' }] });
  expect(around.output.text).toContain(`this function serves ${PLACE.account} in ${PLACE.region}`);
});
