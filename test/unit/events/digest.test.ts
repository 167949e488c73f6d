import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Digest, digestOf, MOST_BYTES, totalsOf } from '../../../functions/events/digest.ts';
import type { SweptHpa } from '../../../functions/events/report.ts';
import { ToldOutcomes } from '../../../functions/events/told-outcomes.ts';
import { changeBy, problemLogged, sweepLogged, sweptHpa } from '../../builders/outcomes.ts';

const PLACE = {
  ...{ account: '123456789012', region: 'eu-central-1' },
  logGroup: '/aws/events/envoy-hpa-reaper-outcomes',
};
const DAY = { since: new Date('2026-11-24T00:00:00Z'), until: new Date('2026-11-25T00:00:00Z') };
const at = (time: string) => `2026-11-24T${time}:00Z`;

function told(lines: readonly string[]): ToldOutcomes {
  const outcomes = new ToldOutcomes(PLACE.region);
  for (const line of lines) outcomes.take(line);
  return outcomes;
}

function digest(lines: readonly string[], period = DAY): Digest {
  const made = digestOf(told(lines), period, PLACE);
  if (made === undefined) throw new Error('there is nothing to say');
  return made;
}

/** What is between the first line and what to do. */
const blocks = (lines: readonly string[], period = DAY) => digest(lines, period).text.split('\n\n').slice(1, -2);

const HELD_BACK = {
  guard: { name: 'BlastRadiusExceeded', explanation: '2 deletions at once, and the limit is 1' },
};
const QUERY = `All of it, with CloudWatch Logs Insights in /aws/events/envoy-hpa-reaper-outcomes:
fields @timestamp, \`detail-type\`, detail.cluster, detail.hpa.namespace, detail.hpa.name, detail.hpa.reason, detail.reason
| filter \`detail-type\` != "Sweep Completed" | sort @timestamp | limit 10000`;

test('a day is told by cluster, what is urgent first, each HPA once, with what to do', () => {
  const heldBack = ['shop/a', 'shop/b'].map((gateway) => sweptHpa(gateway, 'HeldBack', HELD_BACK));
  const jane = changeBy('jane@example.com', '2026-11-24T07:58:03.196000Z');
  const ops = changeBy('ops', '2026-11-24T07:59:00.000000Z', {
    impersonatedUsername: 'admin',
    verb: 'deletecollection',
  });
  const { namespace: _, name: _name, ...ofAll } = ops;
  expect(
    digest([
      ...sweepLogged({ sweep: true }, at('07:05')),
      ...problemLogged('bank', at('07:05')),
      ...sweepLogged(
        {},
        at('08:00'),
        heldBack.map((hpa) => ({ ...hpa, changes: [jane] })),
      ),
      ...problemLogged('bank', at('08:05')),
      ...sweepLogged({ sweep: true }, at('08:05'), heldBack),
      ...sweepLogged({ sweep: true }, at('09:05'), heldBack),
      ...sweepLogged({ cluster: 'toys' }, at('10:30'), [
        sweptHpa('toys/web', 'Deleted', {
          changes: [jane, jane, ofAll],
          manifest: { kind: 'HorizontalPodAutoscaler' },
        }),
        sweptHpa('toys/old', 'Deleted', { reason: 'GatewayDeleted', explanation: 'Gateway toys/old is gone.' }),
        sweptHpa('toys/kept', 'Kept'),
      ]),
      ...sweepLogged({ cluster: 'toys', region: 'eu-west-1' }, at('11:00'), [sweptHpa('toys/web', 'Reported')]),
      ...problemLogged('bank', at('12:05'), {
        ...{ reason: 'ClusterForbidden', message: 'horizontalpodautoscalers\ncannot be listed' },
        remedy: 'Apply infra/kubernetes/rbac.yaml.',
      }),
      ...sweepLogged({ cluster: 'bank', sweep: true }, at('13:05')),
    ]),
  ).toEqual({
    subject: 'envoy-hpa-reaper eu-central-1: 1 unreachable, 2 held back, 1 left over, 2 deleted',
    text: `envoy-hpa-reaper in account 123456789012, eu-central-1, from 2026-11-24 00:00 to 2026-11-25 00:00 UTC: 1 unreachable, 2 held back, 1 left over, 2 deleted.

bank
  Unreachable (1)
  - 3 times from 07:05 to 12:05
    ClusterForbidden: horizontalpodautoscalers cannot be listed
    Remedy: Apply infra/kubernetes/rbac.yaml.
    Swept since then, at 13:05.

shop
  Held back until a person decides (2)
  - envoy-gateway-system/envoy-shop-a-0a1b2c3d 3 times from 08:00 to 09:05
    AutoscalingRemoved: Gateway shop/a asks for no autoscaling: no envoyHpa in EnvoyProxy shop/a.
    BlastRadiusExceeded: 2 deletions at once, and the limit is 1.
    Changed by jane@example.com at 2026-11-24T07:58:03.196000Z: patch envoyproxies shop/web (audit ID audit-of-jane@example.com)
  - envoy-gateway-system/envoy-shop-b-0a1b2c3d 3 times from 08:00 to 09:05
    AutoscalingRemoved: Gateway shop/b asks for no autoscaling: no envoyHpa in EnvoyProxy shop/b.
    BlastRadiusExceeded: 2 deletions at once, and the limit is 1.
    Changed by jane@example.com at 2026-11-24T07:58:03.196000Z: patch envoyproxies shop/web (audit ID audit-of-jane@example.com)

toys (eu-west-1)
  Left over, and only reported (1)
  - envoy-gateway-system/envoy-toys-web-0a1b2c3d at 11:00
    AutoscalingRemoved: Gateway toys/web asks for no autoscaling: no envoyHpa in EnvoyProxy toys/web.

toys
  Deleted (2)
  - envoy-gateway-system/envoy-toys-old-0a1b2c3d at 10:30
    GatewayDeleted: Gateway toys/old is gone.
  - envoy-gateway-system/envoy-toys-web-0a1b2c3d at 10:30
    AutoscalingRemoved: Gateway toys/web asks for no autoscaling: no envoyHpa in EnvoyProxy toys/web.
    Changed by jane@example.com at 2026-11-24T07:58:03.196000Z: patch envoyproxies shop/web (audit ID audit-of-jane@example.com)
    Changed by ops as admin at 2026-11-24T07:59:00.000000Z: deletecollection envoyproxies (audit ID audit-of-ops)

What to do
- Unreachable: follow the remedy; docs/runbook.md, "A cluster is unreachable".
- Held back: let them go, mend the policy that refuses it, or put the configuration back; docs/runbook.md, "Deletions are held back".
- Left over: they go once the mode is delete; docs/installing.md, "From report to delete".
- Deleted, and should have stayed: docs/undoing.md, "From the log of the functions".

${QUERY}`,
  });
});

test('what an admission policy refuses is held back, with what the API server said', () => {
  const message = 'admission webhook "policy.example.com" denied the request: never on a Friday';
  const { subject, text } = digest([
    ...sweepLogged({}, at('08:00'), [sweptHpa('shop/a', 'MarkRefused', { message })]),
    ...sweepLogged({ sweep: true }, at('09:05'), [sweptHpa('shop/a', 'DeleteRefused', { message })]),
  ]);
  expect(subject).toBe('envoy-hpa-reaper eu-central-1: 1 held back');
  expect(text).toContain(`
shop
  Held back until a person decides (1)
  - envoy-gateway-system/envoy-shop-a-0a1b2c3d 2 times from 08:00 to 09:05
    AutoscalingRemoved: Gateway shop/a asks for no autoscaling: no envoyHpa in EnvoyProxy shop/a.
    DeleteRefused: ${message}.

`);
});

test.each<[string, string[]]>([
  ['nothing was told', []],
  ['sweeps found nothing stale', sweepLogged({ sweep: true }, at('07:05'), [sweptHpa('shop/web', 'Kept')])],
  [
    'a sweep found something that settles',
    sweepLogged({ sweep: true }, at('07:05'), [
      sweptHpa('shop/web', 'HeldBack', { guard: { name: 'Settling', explanation: 'created moments ago' } }),
    ]),
  ],
])('there is nothing to say where %s', (_, lines) => {
  expect(digestOf(told(lines), DAY, PLACE)).toBeUndefined();
});

describe('what is left over or held back', () => {
  const reported = sweepLogged({}, at('08:00'), [sweptHpa('shop/web', 'Reported')]);
  const deleted = sweepLogged({}, at('09:00'), [sweptHpa('shop/web', 'Deleted')]);

  test('is not told once it was deleted later', () => {
    const heldBack = sweepLogged({}, at('08:30'), [sweptHpa('shop/web', 'HeldBack', HELD_BACK)]);
    expect(totalsOf(told([...reported, ...heldBack, ...deleted]))).toEqual({ 'HPA Deleted': 1 });
  });

  test('is told where it was deleted before, in another cluster, or another of that cluster was', () => {
    const again = sweepLogged({}, at('10:00'), [sweptHpa('shop/web', 'Reported')]);
    expect(totalsOf(told([...reported, ...deleted, ...again]))).toEqual({ 'HPA Reported': 1, 'HPA Deleted': 1 });
    const others = [
      ...sweepLogged({ cluster: 'bank' }, at('09:00'), [sweptHpa('shop/web', 'Deleted')]),
      ...sweepLogged({ region: 'eu-west-1' }, at('09:00'), [sweptHpa('shop/web', 'Deleted')]),
      ...sweepLogged({}, at('09:00'), [sweptHpa('shop/other', 'Deleted')]),
    ];
    expect(totalsOf(told([...reported, ...others]))).toEqual({ 'HPA Reported': 1, 'HPA Deleted': 3 });
  });

  test.each<[string, SweptHpa[], string[]]>([
    ['says so where a later sweep found nothing stale', [], ['    Nothing was stale there any more at 09:00.']],
    ['says nothing more where it found something', [sweptHpa('shop/b', 'Failed')], []],
  ])('%s', (_, found, added) => {
    const sweep = sweepLogged({ sweep: true }, at('09:00'), found);
    const why = 'AutoscalingRemoved: Gateway shop/web asks for no autoscaling: no envoyHpa in EnvoyProxy shop/web.';
    expect(blocks([...reported, ...sweep])).toEqual([
      [
        ...['shop', '  Left over, and only reported (1)'],
        ...['  - envoy-gateway-system/envoy-shop-web-0a1b2c3d at 08:00', `    ${why}`, ...added],
      ].join('\n'),
    ]);
  });

  test('is the same in whatever order the log has the events, also within one second', () => {
    const lines = [
      ...sweepLogged({}, at('07:00'), [sweptHpa('shop/web', 'Reported'), sweptHpa('shop/other', 'Reported')]),
      ...sweepLogged({}, at('09:00'), [sweptHpa('shop/web', 'Reported'), sweptHpa('shop/other', 'Reported')]),
      ...deleted,
      ...sweepLogged({ sweep: true }, at('10:00'), [sweptHpa('shop/b', 'Failed')]),
      ...sweepLogged({ sweep: true }, at('11:00')),
    ];
    const inOrder = digest(lines);
    expect(inOrder.text).toContain('envoy-shop-other-0a1b2c3d 2 times from 07:00 to 09:00\n');
    expect(inOrder.text).toContain('Nothing was stale there any more at 11:00.\n');
    expect(inOrder.subject).toBe('envoy-hpa-reaper eu-central-1: 1 left over, 1 deleted');
    expect(digest(lines.toReversed())).toEqual(inOrder);
  });

  test('says nothing of the sweep that told it, nor of an earlier one', () => {
    const before = sweepLogged({ sweep: true }, at('07:00'));
    const same = sweepLogged({ sweep: true }, at('08:00'));
    expect(blocks([...before, ...reported, ...same])[0]).not.toContain('any more');
  });
});

test('with more than a day (UTC) the times have their dates', () => {
  const lines = problemLogged('bank', at('23:05'));
  const days = { since: new Date('2026-11-23T12:00:00Z'), until: DAY.until };
  expect(blocks(lines, days)[0]).toContain('- at 2026-11-24 23:05\n');
  expect(blocks(lines)[0]).toContain('- at 23:05\n');
  // Written to the log a day later.
  expect(blocks(lines, { since: DAY.until, until: new Date('2026-11-26T00:00:00Z') })[0]).toContain(
    '- at 2026-11-24 23:05\n',
  );
});

describe('an event that is not understood', () => {
  const known = JSON.parse(problemLogged('bank', at('08:00'))[0] as string);
  const NOT_UNDERSTOOD: [string, string][] = [
    ['no JSON', 'no JSON'],
    ['no event', '{}'],
    ['null', 'null'],
    ['an unknown detail-type', JSON.stringify({ ...known, 'detail-type': 'HPA Admired' })],
    ['what every object has as a detail-type', JSON.stringify({ ...known, 'detail-type': 'constructor' })],
    ['another version', JSON.stringify({ ...known, detail: { ...known.detail, version: '2' } })],
    ['no detail', JSON.stringify({ ...known, detail: undefined })],
    ['no time', JSON.stringify({ ...known, time: 'yesterday' })],
  ];

  test.each(NOT_UNDERSTOOD)('%s, is counted, and the others are told', (_, line) => {
    const { subject, text } = digest([line, JSON.stringify(known)]);
    expect(subject).toBe('envoy-hpa-reaper eu-central-1: 1 unreachable, 1 not understood');
    expect(text).toContain(
      '\n- Not understood: events of another version or of somebody else; the log group has them.\n',
    );
  });

  test('is something to say by itself', () => {
    const outcomes = told(NOT_UNDERSTOOD.map(([, line]) => line));
    expect([outcomes.events, outcomes.notUnderstood]).toEqual([8, 8]);
    expect(digestOf(outcomes, DAY, PLACE)?.subject).toBe('envoy-hpa-reaper eu-central-1: 8 not understood');
  });

  test('with fields that this version does not know is understood', () => {
    expect(told([JSON.stringify({ ...known, detail: { ...known.detail, mood: 'good' } })]).notUnderstood).toBe(0);
  });
});

describe('a day with thousands of HPAs', () => {
  const many = (count: number, cluster: string) =>
    sweepLogged(
      { cluster },
      at('08:00'),
      Array.from({ length: count }, (_, index) => sweptHpa(`shop/${String(index).padStart(4, '0')}`, 'Deleted')),
    );

  test('is shortened, and says by how much and where the rest is', () => {
    const { text } = digest([...many(5_000, 'shop'), ...many(3, 'bank')]);
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(MOST_BYTES);
    expect(text).toContain('\nbank\n  Deleted (3)\n');
    expect(text).toContain(
      '\nshop\n  Deleted (5000, 100 of them here)\n  - envoy-gateway-system/envoy-shop-0000-0a1b2c3d at 08:00\n',
    );
    expect(text.match(/^ {2}- /gm)).toHaveLength(103);
    expect(text).toContain('\n\nLeft out here: 4900 of 5003.\n\nWhat to do\n');
    expect(text.endsWith(QUERY)).toBe(true);
  });

  test('in hundreds of clusters still has what waits for a person', () => {
    const lines = Array.from({ length: 1_000 }, (_, index) => many(2, `cluster-${index}-${'x'.repeat(80)}`)).flat();
    const { text } = digest([...lines, ...problemLogged('zoo', at('08:00'))]);
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(MOST_BYTES);
    expect(text).toContain('\n\nzoo\n  Unreachable (1, 0 of them here)\n\ncluster-0-');
    expect(text).toContain('\n\nLeft out here: 2001 of 2001, and 976 clusters altogether.\n\n');
  });
});

/** Days of few HPAs that are told of often, in texts of any length and any characters. */
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom('a\nb', '\u{1F600}'.repeat(1_000), 'x'.repeat(100_000), '\uD800', ''),
);
const events = fc.array(
  fc.record({
    cluster: fc.oneof(fc.constantFrom('shop', 'bank'), text),
    region: fc.constantFrom('eu-central-1', 'eu-west-1'),
    hour: fc.integer({ min: 0, max: 23 }),
    gateway: fc.oneof(fc.constantFrom('shop/a', 'shop/b'), text),
    outcome: fc.constantFrom('Deleted', 'Reported', 'HeldBack', 'Kept'),
    explanation: text,
    who: text,
  }),
  { maxLength: 60 },
);
const linesOf = (day: typeof events extends fc.Arbitrary<infer T> ? T : never) =>
  day
    .toSorted((a, b) => a.hour - b.hour)
    .flatMap(({ cluster, region, hour, gateway, outcome, explanation, who }) => {
      const time = at(`${String(hour).padStart(2, '0')}:00`);
      return sweepLogged({ cluster, region, sweep: true }, time, [
        sweptHpa(gateway, outcome as 'Kept', { explanation, changes: [changeBy(who, time)] }),
      ]);
    });

test('no text is longer than it may be, or has a line that is not its own, and no HPA is told twice of one outcome', async () => {
  await fc.assert(
    fc.property(events, (day) => {
      const made = digestOf(told(linesOf(day)), DAY, PLACE);
      if (made === undefined) return;
      expect(made.subject).toMatch(/^[A-Za-z][\x20-\x7e]{0,98}$/);
      expect(Buffer.byteLength(made.text)).toBeLessThanOrEqual(MOST_BYTES);
      expect(made.text).not.toMatch(/[^\P{Cc}\n]|\p{Cs}|[\uFFFE\uFFFF]/u);
      for (const list of made.text.split(/\n\n|\n {2}(?=\S)(?!- )/)) {
        const entries = list.split('\n').filter((line) => line.startsWith('  - '));
        const subjects = entries.map((line) => line.replace(/ (at|\d+ times from) [\d: to]+$/, ''));
        expect(new Set(subjects).size).toBe(subjects.length);
      }
    }),
    { numRuns: 200 },
  );
});

test('a subject that would be too long is cut', () => {
  const outcomes = new ToldOutcomes('us-gov-northeast-1');
  for (let event = 0; event < 3; event += 1) outcomes.take('no JSON');
  const place = { ...PLACE, region: `us-${'gov-'.repeat(20)}northeast-1` };
  expect(digestOf(outcomes, DAY, place)?.subject).toBe(`${`envoy-hpa-reaper ${place.region}: 3 not`.slice(0, 96)}...`);
});

test('every heading that a digest names is there', () => {
  const { text } = digest([
    ...problemLogged('bank', at('08:00')),
    ...(['Deleted', 'Reported', 'HeldBack'] as const).flatMap((outcome, index) =>
      sweepLogged({}, at(`1${index}:00`), [
        sweptHpa(`shop/${outcome}`, outcome, outcome === 'HeldBack' ? HELD_BACK : {}),
      ]),
    ),
  ]);
  const named = [...text.matchAll(/(\S+\.md), "([^"]+)"/g)];
  expect(named).toHaveLength(4);
  for (const [, file, heading] of named) expect(readFileSync(file as string, 'utf8')).toContain(`\n## ${heading}\n`);
});
