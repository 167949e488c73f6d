import { describe, expect, test } from 'vitest';
import { hpasOf, outcomesOf, STALE, staleList, wantedList, writesTo } from './harness.ts';
import { changed, reapBatch, requested, surroundings, sweepByEvent } from './reap-harness.ts';

/*
 * From docs/threat-model.md: events that somebody forges, repeats, or withholds cost a sweep, which decides by the state of
 * the cluster.
 */
const around = surroundings();

const ofObject = (apiGroup: string, resource: string, name?: string) => ({ apiGroup, apiVersion: '', resource, name });
const lies: [string, object][] = [
  ['that an EnvoyProxy was deleted', changed('shop', { verb: 'delete' })],
  [
    'that all EnvoyProxies were deleted',
    changed('shop', { verb: 'deletecollection', objectRef: ofObject('gateway.envoyproxy.io', 'envoyproxies') }),
  ],
  [
    'that a Gateway was deleted',
    changed('shop', { verb: 'delete', objectRef: ofObject('gateway.networking.k8s.io', 'gateways', 'web') }),
  ],
  ['that something else was written', changed('shop', { objectRef: ofObject('', 'secrets', 'x'), lines: 1_000_000 })],
  ['that it happened years ago', changed('shop', { stageTimestamp: '2001-01-01T00:00:00.000000Z' })],
  ['that it will happen', changed('shop', { stageTimestamp: '2999-01-01T00:00:00.000000Z' })],
  ['more than is known of a change', changed('shop', { mode: 'delete', maxDeletions: 10_000, hpas: [STALE] })],
  ['that everything is to go', requested('shop', { mode: 'delete', maxDeletions: 10_000, force: true })],
];

describe('an event that says', () => {
  test.each(lies)('%s deletes nothing that is wanted', async (_, event) => {
    const cluster = await around.enroll('shop', wantedList());
    const before = hpasOf(cluster);
    expect(before).toHaveLength(1);
    expect(await reapBatch([event])).toEqual([]);
    expect(hpasOf(cluster)).toEqual(before);
    expect(writesTo(cluster)).toEqual([]);
  });

  test.each([lies[5], lies[7]] as [string, object][])(
    '%s has nothing deleted but what the next sweep would',
    async (_, event) => {
      await around.enroll('shop', staleList());
      expect(outcomesOf(await sweepByEvent(event))).toEqual([`${STALE}: Deleted, AutoscalingRemoved`]);
    },
  );
});
