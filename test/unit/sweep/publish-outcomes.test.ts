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
  const [log, add, start] = [vi.fn(), vi.fn(), Date.now()];
  const ref = { version: '1', cluster: 'shop', region: 'eu-central-1', sweepId: 'sweep-1' } as const;
  const detail = { ...ref, result: 'failed', reason: 'ClusterUnreachable', message: 'reset', remedy: 'Look.' } as const;
  const invokedFunctionArn = 'arn:aws:lambda:eu-central-1:123456789012:function:reap';
  const published = publishOutcomes(
    [{ detailType: 'Cluster Unreachable', detail }],
    { invokedFunctionArn, getRemainingTimeInMillis: () => timeLeft },
    {
      eventBus: { put: () => new Promise<void>(() => {}) },
      ...{ log: { info: log, warn: log, error: log }, metrics: { add }, now: () => new Date() },
    },
  ).then(() => Date.now() - start);
  await vi.runAllTimersAsync();
  expect(await published).toBe(timeout);
  const reason = `PutEvents timed out after ${timeout / 1000} s`;
  expect(log.mock.calls).toEqual([['failed to publish outcome events; the log has the outcomes', { reason }]]);
  expect(add.mock.calls).toEqual([['OutcomesNotPut', 1]]);
});

test('calls nothing without an outcome', async () => {
  const none = { put: expect.unreachable, error: expect.unreachable, add: expect.unreachable };
  const publisher = { eventBus: none, log: none, metrics: none, now: () => new Date() };
  await publishOutcomes([], {} as never, publisher as never);
});

test('counts HPAs by outcome, kept and held back ones by reason, and missing ones separately', () => {
  const guard = { name: 'Settling' as const, explanation: 'It was created 20 s ago' };
  const hpas = [
    sweptHpa('shop/a', 'Kept', { reason: 'Protected' }),
    sweptHpa('shop/b', 'Kept', { reason: 'AutoscalingConfigured' }),
    sweptHpa('shop/c', 'Kept', { reason: 'Protected' }),
    sweptHpa('shop/d', 'HeldBack', { guard }),
    sweptHpa('shop/e', 'Deleted', { reason: 'Renamed', guard }),
    sweptHpa('shop/f', 'Deleted', { reason: 'AutoscalingRemoved' }),
  ];
  const add = vi.fn();
  measureHpas({ hpas, missing: [missingHpa('shop/a'), missingHpa('shop/b')] }, { add });
  expect(add.mock.calls).toEqual([
    ['HpasFound', 6],
    ['HpasKept', 2, 'Protected'],
    ['HpasKept', 1, 'AutoscalingConfigured'],
    ['HpasHeldBack', 1, 'Settling'],
    ['HpasDeleted', 2, undefined],
    ['HpasMissing', 2],
  ]);
});
