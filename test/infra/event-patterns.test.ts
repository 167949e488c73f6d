import { globSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, inject, test } from 'vitest';
import type { BusEvent } from '../../functions/aws/event-bus.ts';
import { CHANGE_DETAIL_TYPE, EVENT_SOURCE } from '../../functions/events/change-event.ts';
import { OUTCOME_DETAILS } from '../../functions/events/outcome-event.ts';
import { HEARTBEAT_DETAIL_TYPE, SWEEP_DETAIL_TYPE } from '../../functions/events/sweep-request.ts';
import { createHandler } from '../../functions/forward/forward.ts';
import type { ClusterApi } from '../../functions/kubernetes/cluster-api.ts';
import { dispatchSweeps } from '../../functions/sweep/sweep-account.ts';
import { decided } from '../builders/packaged-stack.ts';
import { auditEvent, auditEventNames } from '../doubles/cloudwatch-logs.ts';
import { busEvent, lambdaContext, PLACE, subscriptionEvent } from '../embedded-cluster/event-path.ts';
import { matchEvents } from './event-ruler.ts';
import { readTemplate, resourcesOf } from './packaged.ts';

const { jars } = inject('tools');
const [packaging] = inject('packagings');
if (packaging === undefined) throw new Error('nothing was packaged');
const template = readTemplate(packaging);

const idOf = (arn: { 'Fn::GetAtt'?: [string, string] } | undefined) => arn?.['Fn::GetAtt']?.[0];

/** The queue that `reap` takes its messages from. */
const [queue] = resourcesOf(template, 'AWS::Lambda::EventSourceMapping')
  .filter(([, { Properties }]) => idOf(Properties.FunctionName) === 'ReapLambdaFunction')
  .map(([, { Properties }]) => idOf(Properties.EventSourceArn));

const rules = resourcesOf(template, 'AWS::Events::Rule').filter(([, { Properties }]) => Properties.EventPattern);
const patterns = Object.fromEntries(rules.map(([id, { Properties }]) => [id, Properties.EventPattern]));
const feeding = rules
  .filter(([, { Properties }]) => Properties.Targets.some(({ Arn }: { Arn: object }) => idOf(Arn) === queue))
  .map(([id]) => id);

/** Every detail-type that the code knows: the constants `…_DETAIL_TYPE` of functions/domain. */
async function knownDetailTypes(): Promise<string[]> {
  const modules = await Promise.all(
    globSync('functions/events/*.ts').map((file) => import(pathToFileURL(resolve(file)).href)),
  );
  const constants = modules.flatMap((exported) => Object.entries(exported as Record<string, unknown>));
  return constants.filter(([name]) => name.endsWith('_DETAIL_TYPE')).map(([, value]) => value as string);
}

/** What `forward` really puts for an audit event that a real API server wrote, as EventBridge hands it on. */
async function forwarded(name: string): Promise<object[]> {
  const events: BusEvent[] = [];
  const forward = createHandler({
    config: { ACCOUNT_ID: PLACE.account, AWS_REGION: PLACE.region, EVENT_BUS_NAME: 'bus' },
    eventBus: { put: async (put) => void events.push(...put) },
    log: { info: () => {}, warn: () => {}, error: () => {} },
    metrics: { add: () => {} },
  });
  await forward(subscriptionEvent('shop', [auditEvent(name)]), lambdaContext('forward'));
  return events.map(busEvent);
}

/** What `backfill` really puts to have clusters swept. */
async function requested(): Promise<object[]> {
  const events: BusEvent[] = [];
  await dispatchSweeps({
    scopes: [
      {
        directory: {
          list: async () => ['shop', 'shop_2'],
          describe: async () => ({ tags: {} }),
          connect: async () => ({}) as ClusterApi,
          forget: () => {},
        },
      },
    ],
    eventBus: { put: async (put) => void events.push(...put) },
    arnOf: (cluster) => `arn:aws:eks:${PLACE.region}:${PLACE.account}:cluster/${cluster}`,
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

const without = (field: string, { [field]: _, ...event }: Record<string, unknown>) => event;

/** Events that are almost one of these types. */
function nearMissesOf(types: readonly string[]): [string, object][] {
  const [type = ''] = types;
  const event = eventOf(type);
  return [
    ...[
      'Envoy-hpa-reaper',
      'ENVOY-HPA-REAPER',
      'envoy-hpa-reaper2',
      'envoy-hpa-reaper.shop',
      'envoy-hpa',
      ' envoy-hpa-reaper',
      '',
      '*',
      'aws.eks',
    ].map((source): [string, object] => [`source ${JSON.stringify(source)}`, { ...event, source }]),
    ...types
      .flatMap((one) => [
        one.toLowerCase(),
        one.toUpperCase(),
        `${one} `,
        ` ${one}`,
        `${one} Again`,
        one.slice(0, -1),
        one.slice(1),
        one.replaceAll(' ', ''),
      ])
      .concat('', '*')
      // One word has no space to lose.
      .filter((one) => !types.includes(one))
      .map((one): [string, object] => [`detail-type ${JSON.stringify(one)}`, eventOf(one)]),
    ['no source', without('source', event)],
    ['no detail-type', without('detail-type', event)],
    ['source and detail-type exchanged', { ...eventOf(EVENT_SOURCE), source: type }],
    ['both in the detail only', { ...eventOf('', { source: '' }), detail: event }],
    ['source null', { ...event, source: null }],
    ['detailType as the SDK spells it', { ...without('detail-type', event), DetailType: type }],
  ];
}

describe('the rule that fills the queue of reap', () => {
  test('is one', () => {
    expect(queue).toBeDefined();
    expect(feeding).toHaveLength(1);
  });

  test('takes every event that forward makes of the real audit events', async () => {
    const events = (await Promise.all(auditEventNames.map(forwarded))).flat();
    expect(events.length).toBeGreaterThan(15);
    expect(matchEvents(jars, patterns, events)).toEqual(events.map(() => feeding));
  });

  test('takes every sweep that backfill asks for', async () => {
    const events = await requested();
    expect(events).toHaveLength(2);
    expect(matchEvents(jars, patterns, events)).toEqual(events.map(() => feeding));
  });
});

/** Each rule, by its logical id, and what it is for. */
const taken: [rule: string, detailTypes: readonly string[]][] = [
  [feeding[0] ?? '', [CHANGE_DETAIL_TYPE, SWEEP_DETAIL_TYPE, HEARTBEAT_DETAIL_TYPE]],
  ['OutcomeRule', Object.keys(OUTCOME_DETAILS)],
  ['SweepNotificationRule', ['Sweep Completed']],
];

test('every rule is looked at', () => {
  expect(taken.map(([rule]) => rule).toSorted()).toEqual(Object.keys(patterns).toSorted());
});

describe.each(taken)('%s', (rule, detailTypes) => {
  const matched = (events: readonly object[]) =>
    matchEvents(jars, patterns, [...events]).map((matching) => matching?.includes(rule));

  test('takes its own detail-types, and no other that the code knows', async () => {
    const known = await knownDetailTypes();
    const takes = matched(known.map((type) => eventOf(type)));
    expect(known.filter((_type, index) => takes[index]).toSorted()).toEqual(detailTypes.toSorted());
  });

  test('takes no near miss', () => {
    const nearMisses = nearMissesOf(detailTypes);
    const takes = matched(nearMisses.map(([, event]) => event));
    expect(nearMisses.filter((_miss, index) => takes[index]).map(([name]) => name)).toEqual([]);
  });
});

test('a sweep notifies only if it deleted, held back, or missed something', () => {
  const sweeps = [{ deleted: 1 }, { heldBack: 2 }, { missing: 1 }, {}].map((counts) =>
    eventOf('Sweep Completed', { detail: { version: '1', deleted: 0, heldBack: 0, missing: 0, ...counts } }),
  );
  const matched = matchEvents(jars, patterns, sweeps).map((rules) => rules.includes('SweepNotificationRule'));
  expect(matched).toEqual([true, true, true, false]);
});

/** What each function may put on the bus, by the conditions of its role. */
describe('what the functions may put', () => {
  let puts: [role: string, detailTypes: string[]][];
  beforeAll(() => {
    puts = resourcesOf(template, 'AWS::IAM::Role').flatMap(([role, { Properties }]) =>
      decided(Properties.Policies, false)
        // biome-ignore lint/suspicious/noExplicitAny: IAM
        .flatMap(({ PolicyDocument }: any) => PolicyDocument.Statement)
        .filter(({ Action }: { Action: string | string[] }) => [Action].flat().includes('events:PutEvents'))
        .map(({ Condition }: { Condition: Record<string, Record<string, string | string[]>> }) => {
          const equals = Condition['ForAllValues:StringEquals'] ?? {};
          expect([equals['events:source']].flat(), role).toEqual([EVENT_SOURCE]);
          return [role, [equals['events:detail-type']].flat()];
        }),
    );
  });

  test('is known to the code', async () => {
    const known = await knownDetailTypes();
    expect(puts.map(([role]) => role)).toContain('ForwardRole');
    for (const [role, types] of puts) expect(known, role).toEqual(expect.arrayContaining(types));
  });

  test('comes back to the function that put it in no case', () => {
    const mapped = resourcesOf(template, 'AWS::Lambda::EventSourceMapping').map(([, { Properties }]) => Properties);
    const consumers = mapped
      .filter(({ EventSourceArn }) => idOf(EventSourceArn) === queue)
      .map(({ FunctionName }) => idOf(template.Resources[idOf(FunctionName) ?? '']?.Properties.Role));
    expect(consumers).toEqual(['ReapRole']);
    const own = puts.filter(([role]) => consumers.includes(role)).flatMap(([, types]) => types);
    const matched = matchEvents(
      jars,
      patterns,
      own.map((type) => eventOf(type)),
    );
    expect(own.filter((_type, index) => matched[index]?.some((rule) => feeding.includes(rule)))).toEqual([]);
  });
});
