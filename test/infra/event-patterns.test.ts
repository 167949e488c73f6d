import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, inject, test } from 'vitest';
import { EVENT_SOURCE } from '../../functions/events/event-source.ts';
import { QUEUED_DETAILS } from '../../functions/events/queued-event.ts';
import { OUTCOME_DETAILS } from '../../functions/events/report.ts';
import { readTemplate, resourcesOf } from '../builders/packaged-stack.ts';
import { busEvent } from '../embedded-cluster/event-path.ts';

const { jars } = inject('tools');
const [packaging] = inject('packagings');
if (packaging === undefined) throw new Error('nothing was packaged');

const rules = resourcesOf(readTemplate(packaging.folder), 'AWS::Events::Rule');
const patterns = Object.fromEntries(
  rules.map(([id, { Properties }]) => [id, Properties.EventPattern]).filter(([, pattern]) => pattern !== undefined),
);

/** @returns for each event, the IDs of the rules that match it, from AWS's own matcher, the one of EventBridge */
function matchEvents(events: readonly object[]): string[][] {
  const matcher = join(import.meta.dirname, 'event-ruler', 'MatchEvents.java');
  const input = JSON.stringify({ patterns, events });
  return JSON.parse(execFileSync('java', ['--class-path', join(jars, '*'), matcher], { input, encoding: 'utf8' }));
}

const DETAIL_TYPES = [...Object.keys(QUEUED_DETAILS), ...Object.keys(OUTCOME_DETAILS)];

const eventOf = (detailType: string, change: object = {}) => ({
  ...busEvent({
    source: EVENT_SOURCE,
    detailType,
    detail: { version: '1', cluster: 'shop', deleted: 1, heldBack: 0, missing: 0 },
    resources: [],
    time: new Date('2026-11-25T00:00:00Z'),
  }),
  ...change,
});

test.each([
  ['ChangeRule', Object.keys(QUEUED_DETAILS)],
  ['OutcomeRule', Object.keys(OUTCOME_DETAILS)],
  ['SweepNotificationRule', ['Sweep Completed']],
])('%s matches its own detail-types and no others', (rule, detailTypes) => {
  const events = DETAIL_TYPES.flatMap((type) => [eventOf(type), eventOf(type, { source: 'aws.eks' })]);
  const matched = matchEvents(events);
  expect(DETAIL_TYPES.filter((_type, index) => matched[2 * index]?.includes(rule)).toSorted()).toEqual(
    detailTypes.toSorted(),
  );
  expect(DETAIL_TYPES.filter((_type, index) => matched[2 * index + 1]?.includes(rule))).toEqual([]);
});

test('a sweep notifies only if it deleted, held back, or missed something', () => {
  const sweeps = [{ deleted: 1 }, { heldBack: 2 }, { missing: 1 }, {}].map((counts) =>
    eventOf('Sweep Completed', { detail: { version: '1', deleted: 0, heldBack: 0, missing: 0, ...counts } }),
  );
  const matched = matchEvents(sweeps).map((rules) => rules.includes('SweepNotificationRule'));
  expect(matched).toEqual([true, true, true, false]);
});
