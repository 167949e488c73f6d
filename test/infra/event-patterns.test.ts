import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, inject, test } from 'vitest';
import { EVENT_SOURCE, QUEUED_DETAILS } from '../../functions/events/queued-event.ts';
import { OUTCOME_DETAILS } from '../../functions/events/report.ts';
import { createHandler } from '../../functions/forward/forward.ts';
import type { AccountDirectory } from '../../functions/kubernetes/directory.ts';
import { dispatchSweeps } from '../../functions/sweep/sweep-account.ts';
import { auditEvent, auditEventNames } from '../doubles/cloudwatch-logs.ts';
import {
  ACCOUNT,
  type BusEvent,
  busEvent,
  lambdaContext,
  REGION,
  subscriptionEvent,
} from '../embedded-cluster/event-path.ts';
import { readTemplate, resourcesOf } from './packaged.ts';

const { jars } = inject('tools');
const [packaging] = inject('packagings');
if (packaging === undefined) throw new Error('nothing was packaged');
const template = readTemplate(packaging);

const idOf = (arn: { 'Fn::GetAtt'?: [string, string] } | undefined) => arn?.['Fn::GetAtt']?.[0];

/** The queue that invokes `reap`. */
const [queue] = resourcesOf(template, 'AWS::Lambda::EventSourceMapping')
  .filter(([, { Properties }]) => idOf(Properties.FunctionName) === 'ReapLambdaFunction')
  .map(([, { Properties }]) => idOf(Properties.EventSourceArn));

const rules = resourcesOf(template, 'AWS::Events::Rule').filter(([, { Properties }]) => Properties.EventPattern);
const patterns = Object.fromEntries(rules.map(([id, { Properties }]) => [id, Properties.EventPattern]));
const feeding = rules
  .filter(([, { Properties }]) => Properties.Targets.some(({ Arn }: { Arn: object }) => idOf(Arn) === queue))
  .map(([id]) => id);

/** @returns for each event, the IDs of the rules that match it, from AWS's own matcher, the one of EventBridge */
function matchEvents(events: readonly object[]): string[][] {
  const matcher = join(import.meta.dirname, 'event-ruler', 'MatchEvents.java');
  const input = JSON.stringify({ patterns, events });
  return JSON.parse(execFileSync('java', ['--class-path', join(jars, '*'), matcher], { input, encoding: 'utf8' }));
}

const DETAIL_TYPES = [...Object.keys(QUEUED_DETAILS), ...Object.keys(OUTCOME_DETAILS)];

/** The events that `forward` publishes for an audit event of a real API server, as EventBridge delivers them. */
async function forwarded(name: string): Promise<object[]> {
  const events: BusEvent[] = [];
  const forward = createHandler({
    config: { ACCOUNT_ID: ACCOUNT, AWS_REGION: REGION, EVENT_BUS_NAME: 'bus' },
    eventBus: { put: async (put) => void events.push(...put) },
    log: { info: () => {}, warn: () => {}, error: () => {} },
    metrics: { add: () => {} },
  });
  await forward(subscriptionEvent('shop', [auditEvent(name)]), lambdaContext('forward'));
  return events.map(busEvent);
}

/** The events that `backfill` publishes to request sweeps. */
async function requested(): Promise<object[]> {
  const events: BusEvent[] = [];
  await dispatchSweeps({
    scopes: [
      {
        directory: {
          list: async () => ['shop', 'shop_2'],
          describe: async () => ({ tags: {} }),
        } as Partial<AccountDirectory> as AccountDirectory,
      },
    ],
    eventBus: { put: async (put) => void events.push(...put) },
    arnOf: (cluster) => `arn:aws:eks:${REGION}:${ACCOUNT}:cluster/${cluster}`,
    ...{ mode: 'delete', maxDeletions: 3, concurrency: 1, runId: 'run', now: () => new Date() },
    log: { info: () => {}, warn: () => {}, error: () => {} },
  });
  return events.map(busEvent);
}

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

describe('the rule that fills the queue of reap', () => {
  test('matches every event that forward publishes for the recorded audit events', async () => {
    expect([queue, feeding]).toEqual(['ChangeQueue', ['ChangeRule']]);
    const events = (await Promise.all(auditEventNames.map(forwarded))).flat();
    expect(events.length).toBeGreaterThan(15);
    expect(matchEvents(events)).toEqual(events.map(() => feeding));
  });

  test('matches every sweep that backfill requests', async () => {
    const events = await requested();
    expect(events).toHaveLength(2);
    expect(matchEvents(events)).toEqual(events.map(() => feeding));
  });
});

test('a sweep notifies only if it deleted, held back, or missed something', () => {
  const sweeps = [{ deleted: 1 }, { heldBack: 2 }, { missing: 1 }, {}].map((counts) =>
    eventOf('Sweep Completed', { detail: { version: '1', deleted: 0, heldBack: 0, missing: 0, ...counts } }),
  );
  const matched = matchEvents(sweeps).map((rules) => rules.includes('SweepNotificationRule'));
  expect(matched).toEqual([true, true, true, false]);
});
