import { describe, expect, test } from 'vitest';
import { sweepOutcomes } from '../../../functions/events/outcome-event.ts';
import { OUTCOME_DETAILS, type SweptHpa } from '../../../functions/events/report.ts';
import { missingHpa, sweptHpa } from '../../builders/outcomes.ts';

const BY_CHANGE = { mode: 'delete', runIds: [] } as const;
const PLACE = { cluster: 'shop', region: 'eu-central-1', sweepId: 'sweep-1' };

/** The event about the HPA of a sweep over one HPA that published one. */
function eventOf(outcome: SweptHpa['outcome'], hpa: Partial<SweptHpa> = {}) {
  const events = sweepOutcomes(PLACE, { hpas: [sweptHpa('shop/web', outcome, hpa)], missing: [] }, BY_CHANGE);
  const [event, summary, ...others] = events;
  if (event === undefined || summary?.detailType !== 'Sweep Completed' || others.length > 0) {
    throw new Error(`${events.length} events`);
  }
  const { detailType, detail } = event;
  expect(OUTCOME_DETAILS[detailType].parse(detail)).toEqual(detail);
  if (!('hpa' in detail) || !('changes' in detail)) throw new Error(`${detailType} has no HPA`);
  return { detailType, detail, bytes: Buffer.byteLength(JSON.stringify(detail)) };
}

test.each(['MarkRefused', 'DeleteRefused'] as const)(
  '%s is published as held back, with the message of the API server',
  (outcome) => {
    const message = 'admission webhook "policy.example.com" denied the request: never on a Friday';
    expect(eventOf(outcome, { message })).toMatchObject({
      detailType: 'HPA Held Back',
      detail: { ...PLACE, hpa: { reason: 'AutoscalingRemoved', guard: { name: outcome, explanation: message } } },
    });
  },
);

test('shortens the message of an API server', () => {
  const { detail, bytes } = eventOf('DeleteRefused', { message: 'x'.repeat(300_000) });
  expect(detail.hpa.guard?.explanation).toBe('x'.repeat(1_024));
  expect(detail).not.toHaveProperty('leftOut');
  expect(bytes).toBeLessThan(3_000);
});

test.each(['Kept', 'AlreadyGone', 'Conflict', 'Stopped', 'Failed'] as const)('%s is not published', (outcome) => {
  expect(sweepOutcomes(PLACE, { hpas: [sweptHpa('shop/web', outcome)], missing: [] }, BY_CHANGE)).toEqual([]);
});

describe('the last event of a sweep', () => {
  test('counts the events before it, which an HPA that settles is not among', () => {
    const settling = { name: 'Settling', explanation: 'it is 3 s old' } as const;
    const tooMany = { name: 'BlastRadiusExceeded', explanation: '2 deletions at once, and the limit is 1' } as const;
    const hpas = [
      sweptHpa('shop/a', 'Deleted'),
      sweptHpa('shop/b', 'DeleteRefused'),
      sweptHpa('shop/c', 'HeldBack', { guard: tooMany }),
      sweptHpa('shop/d', 'HeldBack', { guard: settling }),
    ];
    const missing = [missingHpa('shop/web'), missingHpa('shop/api')];
    const events = sweepOutcomes(PLACE, { hpas, missing }, BY_CHANGE);
    expect(events.filter(({ detailType }) => detailType === 'HPA Missing').map(({ detail }) => detail)).toEqual(
      missing.map((hpa) => ({ version: '1', ...PLACE, hpa })),
    );
    for (const { detailType, detail } of events) expect(OUTCOME_DETAILS[detailType].parse(detail)).toEqual(detail);
    expect(events.at(-1)).toEqual({
      detailType: 'Sweep Completed',
      detail: {
        ...{ version: '1', ...PLACE, ...BY_CHANGE, hpas: 4, stale: 4, deleted: 1, heldBack: 2, missing: 2 },
        outcomes: { Deleted: 1, DeleteRefused: 1, HeldBack: 2 },
      },
    });
  });

  test('is also published where there is nothing else to report, when the sweep was requested', () => {
    const requested = { mode: 'report', runIds: ['run-1'] } as const;
    expect(sweepOutcomes(PLACE, { hpas: [], missing: [] }, requested)).toMatchObject([
      { detailType: 'Sweep Completed', detail: { ...requested, deleted: 0, heldBack: 0, missing: 0 } },
    ]);
  });
});

describe('an event has at most 255 KB:', () => {
  const MOST = 255 * 1024;
  /** Every Gateway of a class that merges them. */
  const gateways = (count: number) =>
    Array.from({ length: count }, (_, index) => ({
      ...{ kind: 'Gateway', namespace: 'shop', name: `gateway-${String(index).padStart(5, '0')}` },
      ...{ uid: '2e6cc70f-a812-469a-bb91-cb7319000000', resourceVersion: '123456789' },
    }));
  const manifestOf = (note: string) => ({ kind: 'HorizontalPodAutoscaler', metadata: { annotations: { note } } });

  test.each<[SweptHpa['outcome'], Partial<SweptHpa>]>([
    ['Deleted', {}],
    ['Reported', {}],
    ['HeldBack', { guard: { name: 'BlastRadiusExceeded', explanation: '2 deletions at once, and the limit is 1' } }],
    ['MarkRefused', { message: 'no' }],
    ['DeleteRefused', { message: 'no' }],
  ])('%s leaves out what its verdict rests on, where that is too much', (outcome, hpa) => {
    const { detail, bytes } = eventOf(outcome, { ...hpa, restsOn: gateways(2_000) });
    expect([detail.leftOut, detail.hpa.restsOn]).toEqual([['restsOn'], []]);
    expect(bytes).toBeLessThan(1_000);
    expect(eventOf(outcome, { ...hpa, restsOn: gateways(1_000) }).detail).not.toHaveProperty('leftOut');
  });

  test.each([
    ['only the manifest where that is enough', gateways(3), 'ü'.repeat(131_000), ['manifest'], gateways(3)],
    ['what its verdict rests on as well, where it is not', gateways(2_000), '', ['manifest', 'restsOn'], []],
  ])('a deletion leaves out %s', (_, restsOn, note, leftOut, left) => {
    const { detail } = eventOf('Deleted', { restsOn, manifest: manifestOf(note) });
    expect([detail.leftOut, detail.hpa.restsOn]).toEqual([leftOut, left]);
    expect(detail).not.toHaveProperty('manifest');
  });

  test.each([
    [0, undefined],
    [1, ['manifest']],
  ])('exactly at the limit: with %i more bytes it leaves out %j', (more, leftOut) => {
    const { bytes } = eventOf('Deleted', { manifest: manifestOf('') });
    const manifest = manifestOf('x'.repeat(MOST - bytes + more));
    expect(eventOf('Deleted', { manifest }).detail).toEqual(
      expect.objectContaining(leftOut === undefined ? { manifest } : { leftOut }),
    );
  });
});
