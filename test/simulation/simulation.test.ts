import { describe, expect, test } from 'vitest';
import { SABOTAGES } from './sabotage.ts';
import { runSchedules, shrink } from './schedules.ts';
import type { Sabotage } from './simulation.ts';

describe('the simulation', () => {
  test('breaks no invariant in 200 schedules', async () => {
    const { failure, counts } = await runSchedules(20260101, 0, 200);
    expect(failure?.result.finding).toBeUndefined();
    // It was not merely idle.
    expect(Object.keys(counts)).toEqual(expect.arrayContaining(['HPAs marked', 'HPAs deleted', 'messages retried']));
  });

  test('makes the same of the same seed', async () => {
    const [once, again] = [await runSchedules(7, 0, 10), await runSchedules(7, 0, 10)];
    expect(again).toEqual(once);
  });

  const soonFound = {
    'skips the mark': 'WantedDeleted',
    'skips the second judgement': 'WantedDeleted',
    'ignores what Envoy Gateway has seen': 'WantedDeleted',
    'takes every release for v1.9.1, which no class stops': 'MissingUnexplained',
    'ignores preconditions': 'WantedDeleted',
    'ignores protection': 'ProtectedTouched',
    'takes every HPA for one of Envoy Gateway': 'ForeignTouched',
    'takes missing HPAs for there': 'MissingUnreported',
    'deletes nothing': 'EventLost',
    'swallows failed messages': 'EventLost',
  };
  test.each(Object.entries(soonFound))('finds out a reaper that %s', async (name, invariant) => {
    const { failure } = await runSchedules(1, 0, 400, { sabotage: SABOTAGES[name] as Sabotage });
    expect(failure?.result.finding?.invariant).toBe(invariant);
  });

  // Envoy Gateway v1.9.1 has read that a class lost its reference, and pauses; the reference is put back right before the deletion.
  // One schedule in tens of thousands does that: after a change to what is drawn, find another one with
  // npm run simulate -- --schedules 100000 --broken 'does not wait for what settles'
  test('finds out a reaper that does not wait for what settles', async () => {
    const findingOf = async (settings: Sabotage['settings']) =>
      (await runSchedules(2, 6_749, 6_750, { sabotage: { settings } })).failure?.result.finding?.invariant;
    expect(await findingOf(SABOTAGES['does not wait for what settles']?.settings)).toBe('MissingUnexplained');
    expect(await findingOf({ SETTLE_HPA_SECONDS: 0 })).toBeUndefined();
    expect(await findingOf({ SETTLE_CONFIG_SECONDS: 0 })).toBe('MissingUnexplained');
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
