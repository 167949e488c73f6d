import { expect, onTestFinished, test, vi } from 'vitest';
import { publishOutcomes } from '../../../functions/sweep/publish-outcomes.ts';

// Vitest's clock does not reach this module.
vi.mock('node:timers/promises', () => ({
  setTimeout: (delay: number, value: string) => new Promise((resolve) => setTimeout(resolve, delay, value)),
}));

test.each([
  { timeLeft: 60_000, patience: 10_000 },
  { timeLeft: 20, patience: 20 },
  { timeLeft: -1_000, patience: 0 },
])('with $timeLeft ms left a bus that does not answer is waited for $patience ms', async ({ timeLeft, patience }) => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const lines: unknown[][] = [];
  const log = (...line: unknown[]) => void lines.push(line);
  const counts: unknown[][] = [];
  const start = Date.now();
  const place = { version: '1' as const, cluster: 'shop', region: 'eu-central-1', sweepId: 'pass-1' };
  const problem = { result: 'failed' as const, reason: 'ClusterUnreachable', message: 'no answer', remedy: 'Look.' };
  const published = publishOutcomes([{ detailType: 'Cluster Unreachable', detail: { ...place, ...problem } }], {
    place: { partition: 'aws', account: '123456789012' },
    eventBus: { put: () => new Promise<void>(() => {}) },
    log: { info: log, warn: log, error: log },
    metrics: { add: (...count) => void counts.push(count) },
    now: () => new Date(),
    timeLeft,
  }).then(() => Date.now() - start);
  await vi.runAllTimersAsync();
  expect(await published).toBe(patience);
  const reason = `the bus has not taken them within ${patience / 1000} s`;
  expect(lines).toEqual([['outcomes not put on the bus, see the log for what they would tell', { reason }]]);
  expect(counts).toEqual([['OutcomesNotPut', 1]]);
});
