import { describe, expect, test, vi } from 'vitest';
import { hpasOf, outcomesOf, requestsOf, STALE, staleList, times, writesTo } from './harness.ts';
import {
  changed,
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

describe('a requested sweep', () => {
  test.each([
    ['delete', 'delete', 'Deleted'],
    ['delete', 'report', 'Reported'],
    ['report', 'delete', 'Reported'],
    ['report', 'report', 'Reported'],
  ])('in a deployment in mode %s, requested in mode %s, ends as %s', async (own, mode, outcome) => {
    vi.stubEnv('MODE', own);
    const cluster = await around.enroll('shop', staleList());
    const report = await sweepByEvent(requested('shop', { mode }));
    expect(outcomesOf(report)).toEqual([`${STALE}: ${outcome}, AutoscalingRemoved`]);
    expect(report).toMatchObject({ mode: outcome === 'Deleted' ? 'delete' : 'report', changes: [] });
    expect(hpasOf(cluster)).toEqual(outcome === 'Deleted' ? [] : [STALE]);
    if (outcome === 'Reported') expect(writesTo(cluster)).toEqual([]);
  });

  test("with a limit above the deployment's does not raise it, from the queue or directly", async () => {
    vi.stubEnv('MAX_DELETIONS', '2');
    const cluster = await around.enroll('shop', times(3, staleList()));
    await reapBatch([requested('shop', { maxDeletions: 3 })]);
    await reapEvent(requested('shop', { maxDeletions: 3 }));
    expect(around.output.counted('HpasHeldBack')).toBe(6);
    expect(writesTo(cluster)).toEqual([]);
  });
});

describe('a request together with others in a batch', () => {
  test('makes one sweep for all', async () => {
    const cluster = await around.enroll('shop', staleList());
    expect(await reapBatch([requested(), changed(), reports(), requested('shop', { runId: 'run-2' })])).toEqual([]);
    expect(requestsOf(cluster, 'DELETE')).toHaveLength(1);
    expect(around.eks.described).toEqual(['shop']);
    const sweeps = around.output.logged().filter(({ message }) => message === 'sweep finished');
    expect(sweeps).toMatchObject([{ mode: 'delete', outcomes: { Deleted: 1 } }]);
    expect(around.output.logged()).toContainEqual(expect.objectContaining({ runIds: ['run-1', 'run-1', 'run-2'] }));
  });

  test('brings back the change while something settles, and no request', async () => {
    await around.enroll('shop', young(staleList()));
    expect(await reapBatch([requested(), changed(), reports()])).toEqual(['message-2']);
    expect(await reapBatch([requested()])).toEqual([]);
  });
});

test('gives up a request, but not a change, after three receives without an answer', async () => {
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
