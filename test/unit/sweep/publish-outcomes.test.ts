import { expect, onTestFinished, test, vi } from 'vitest';
import { measureHpas, publishOutcomes } from '../../../functions/sweep/publish-outcomes.ts';
import { missingHpa, sweptHpa } from '../../builders/outcomes.ts';

// Vitest's clock does not reach this module.
vi.mock('node:timers/promises', () => ({
  setTimeout: (delay: number, value: string) => new Promise((resolve) => setTimeout(resolve, delay, value)),
}));

test.each([
  { timeLeft: 62_000, timeout: 10_000 },
  { timeLeft: 2_020, timeout: 20 },
  { timeLeft: 1_000, timeout: 0 },
])('with $timeLeft ms left waits $timeout ms for a bus that does not answer', async ({ timeLeft, timeout }) => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const lines: unknown[][] = [];
  const log = (...line: unknown[]) => void lines.push(line);
  const counts: unknown[][] = [];
  const start = Date.now();
  const cluster = { version: '1' as const, cluster: 'shop', region: 'eu-central-1', sweepId: 'sweep-1' };
  const problem = {
    ...{ result: 'failed' as const, reason: 'ClusterUnreachable' as const, message: 'no answer', remedy: 'Look.' },
  };
  const context = {
    invokedFunctionArn: 'arn:aws:lambda:eu-central-1:123456789012:function:reap',
    getRemainingTimeInMillis: () => timeLeft,
  };
  const published = publishOutcomes(
    [{ detailType: 'Cluster Unreachable', detail: { ...cluster, ...problem } }],
    context,
    {
      eventBus: { put: () => new Promise<void>(() => {}) },
      log: { info: log, warn: log, error: log },
      metrics: { add: (...count) => void counts.push(count) },
      now: () => new Date(),
    },
  ).then(() => Date.now() - start);
  await vi.runAllTimersAsync();
  expect(await published).toBe(timeout);
  const reason = `PutEvents timed out after ${timeout / 1000} s`;
  expect(lines).toEqual([['failed to publish outcome events; the log has the outcomes', { reason }]]);
  expect(counts).toEqual([['OutcomesNotPut', 1]]);
});

test('calls nothing without an outcome', async () => {
  const none = { put: expect.unreachable, error: expect.unreachable, add: expect.unreachable };
  const publisher = { eventBus: none, log: none, metrics: none, now: () => new Date() };
  await publishOutcomes([], {} as never, publisher as never);
});

function countsOf(found: Parameters<typeof measureHpas>[0]): unknown[][] {
  const counts: unknown[][] = [];
  measureHpas(found, { add: (...count) => void counts.push(count) });
  return counts;
}

test('counts HPAs by outcome, kept and held back ones by reason, and missing ones separately', () => {
  const guard = { name: 'Settling' as const, explanation: 'It was created 20 s ago' };
  const hpas = [
    sweptHpa('shop/a', 'Kept', { reason: 'Protected' }),
    sweptHpa('shop/b', 'Kept', { reason: 'AutoscalingConfigured' }),
    sweptHpa('shop/c', 'Kept', { reason: 'Protected' }),
    sweptHpa('shop/d', 'HeldBack', { guard }),
    sweptHpa('shop/e', 'Deleted', { reason: 'Renamed' }),
    sweptHpa('shop/f', 'Deleted', { reason: 'AutoscalingRemoved' }),
  ];
  expect(countsOf({ hpas, missing: [missingHpa('shop/a'), missingHpa('shop/b')] })).toEqual([
    ['HpasFound', 6],
    ['HpasKept', 2, 'Protected'],
    ['HpasKept', 1, 'AutoscalingConfigured'],
    ['HpasHeldBack', 1, 'Settling'],
    ['HpasDeleted', 2, undefined],
    ['HpasMissing', 2],
  ]);
});
