import { describe, expect, test } from 'vitest';
import { SABOTAGES } from './sabotage.ts';
import { runSchedules, shrink } from './schedules.ts';
import type { Sabotage } from './simulation.ts';

describe('the simulation', () => {
  test('breaks no invariant in 200 schedules', async () => {
    const { failure, counts } = await runSchedules(20260101, 0, 200);
    expect(failure?.result.finding).toBeUndefined();
    // It was not merely idle.
    expect(counts).toMatchObject({
      marked: expect.any(Number),
      deleted: expect.any(Number),
      retried: expect.any(Number),
    });
  });

  test('makes the same of the same seed', async () => {
    const [once, again] = [await runSchedules(7, 0, 10), await runSchedules(7, 0, 10)];
    expect(again).toEqual(once);
  });

  // The others take thousands of schedules: npm run simulate -- --broken NAME
  const soonFound = {
    'skips the mark': 'WantedDeleted',
    'skips the second judgement': 'WantedDeleted',
    'ignores preconditions': 'WantedDeleted',
    'ignores protection': 'ProtectedTouched',
    'takes every HPA for one of Envoy Gateway': 'ForeignTouched',
    'deletes nothing': 'EventLost',
    'swallows failed messages': 'EventLost',
  };
  test.each(Object.entries(soonFound))('finds out a reaper that %s', async (name, invariant) => {
    const { failure } = await runSchedules(1, 0, 400, { sabotage: SABOTAGES[name] as Sabotage });
    expect(failure?.result.finding?.invariant).toBe(invariant);
  });

  test('shrinks a schedule that breaks an invariant', async () => {
    const sabotage = SABOTAGES['swallows failed messages'] as Sabotage;
    const { failure } = await runSchedules(1, 0, 400, { sabotage });
    if (failure === undefined) throw new Error('nothing to shrink');
    const shrunk = await shrink(failure.result, sabotage);
    expect(shrunk.finding?.invariant).toBe('EventLost');
    expect(shrunk.choices.length).toBeLessThan(failure.result.choices.length);
    expect(shrunk.trace.at(-1)).toContain('is done');
  });
});
