import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ClusterReport, OUTCOMES, type RunReport, runReportSchema } from '../../../functions/events/report.ts';
import { shortenReport } from '../../../functions/events/shortened-report.ts';
import { missingHpa } from '../../builders/outcomes.ts';

const text = fc.string({ unit: fc.constantFrom('a', 'ß', '"', '\n', '火'), maxLength: 30 });

const hpa = fc.record(
  {
    namespace: text,
    name: text,
    uid: text,
    action: fc.constantFrom('delete' as const, 'keep' as const),
    reason: fc.constantFrom('AutoscalingRemoved', 'AutoscalingConfigured', 'Protected'),
    explanation: text,
    restsOn: fc.array(fc.record({ kind: text, name: text }), { maxLength: 4 }),
    replicas: fc.record({ min: fc.nat(9), max: fc.nat(9) }),
    dropsCapacity: fc.boolean(),
    outcome: fc.constantFrom(...OUTCOMES),
    changes: fc.array(fc.record({ username: text, auditID: text, verb: text, resource: text, time: text }), {
      maxLength: 3,
    }),
    manifest: fc.dictionary(text, text, { maxKeys: 9 }),
  },
  {
    requiredKeys: [
      ...['namespace', 'name', 'uid', 'action', 'reason', 'explanation', 'restsOn', 'replicas', 'dropsCapacity'],
      ...['outcome', 'changes'],
    ] as never,
  },
);

const missing = fc.record({
  ...{ namespace: text, name: text, explanation: text, remedy: text },
  ...{ owner: fc.record({ kind: text, name: text }), reason: fc.constant('WantedButMissing' as const) },
});

const problem = fc.record({ reason: text, message: text, remedy: text });

const report = fc.record({
  schemaVersion: fc.constant(1 as const),
  runId: text,
  mode: fc.constantFrom('report' as const, 'delete' as const),
  startedAt: text,
  finishedAt: text,
  totals: fc.record({
    ...{ clusters: fc.nat(), swept: fc.nat(), skipped: fc.nat(), failed: fc.nat() },
    ...{ hpas: fc.nat(), stale: fc.nat(), missing: fc.nat() },
    outcomes: fc.dictionary(text, fc.nat(), { maxKeys: 4 }),
  }),
  clusters: fc.array(
    fc.record(
      {
        cluster: text,
        result: fc.constantFrom('swept' as const, 'skipped' as const, 'failed' as const),
        problem,
        warnings: fc.array(problem, { maxLength: 2 }),
        hpas: fc.array(hpa, { maxLength: 6 }),
        missing: fc.array(missing, { maxLength: 2 }),
      },
      { requiredKeys: ['cluster', 'result', 'warnings', 'hpas', 'missing'] },
    ),
    { maxLength: 6 },
  ),
  regions: fc.array(problem, { maxLength: 2 }),
  remaining: fc.array(fc.record({ cluster: text }), { maxLength: 3 }),
}) as fc.Arbitrary<RunReport>;

const bytesOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value));
const withoutHpas = ({ hpas: _, missing: _missing, ...cluster }: ClusterReport) => cluster;
const missingOf = ({ clusters }: RunReport) => clusters.flatMap((cluster) => cluster.missing);
const skeletonOf = ({ shortened: _, ...rest }: RunReport) => ({ ...rest, clusters: rest.clusters.map(withoutHpas) });
/** What a report without any HPA needs, missing ones included. */
const leastBytes = (whole: RunReport) => bytesOf(shortenReport(whole, 0));

describe('any report', () => {
  test('fits wherever it fits without HPAs, and loses no total, problem, warning or remaining cluster', () =>
    fc.assert(
      fc.property(report, fc.double({ min: 0, max: 1.1, noNaN: true }), (whole, share) => {
        const least = leastBytes(whole);
        const limit = Math.floor(least + share * (bytesOf(whole) - least));
        const shorter = shortenReport(whole, limit);
        expect(bytesOf(shorter)).toBeLessThanOrEqual(Math.max(limit, least));
        expect(skeletonOf(shorter)).toEqual(skeletonOf(whole));
        const isLast = shorter.shortened?.at(-1) === 'all missing HPAs';
        expect(missingOf(shorter)).toEqual(isLast ? [] : missingOf(whole));
        expect(runReportSchema.safeParse(shorter).error).toBeUndefined();
        // No further than needed: one step less would not have fitted.
        expect(shorter.shortened === undefined).toBe(bytesOf(whole) <= limit);
      }),
    ));

  test('that fits is given back as it is', () =>
    fc.assert(fc.property(report, (whole) => shortenReport(whole, bytesOf(whole)) === whole)));
});

describe('step by step', () => {
  const swept = (name: string, action: 'delete' | 'keep', reason: string) => ({
    ...{ namespace: 'n', name, uid: name, action, reason, explanation: 'e', dropsCapacity: false },
    outcome: action === 'keep' ? ('Kept' as const) : ('Deleted' as const),
    replicas: { min: 1, max: 2 },
    restsOn: [{ kind: 'Gateway', name: 'web' }],
    changes: [{ username: 'u', auditID: 'a', verb: 'patch', resource: 'gateways', time: 't' }],
    manifest: { kind: 'HorizontalPodAutoscaler' },
  });
  const whole: RunReport = {
    ...{ schemaVersion: 1, runId: 'r', mode: 'delete', startedAt: 's', finishedAt: 'f', regions: [], remaining: [] },
    totals: {
      ...{ clusters: 1, swept: 1, skipped: 0, failed: 0, hpas: 3, stale: 1, missing: 1 },
      outcomes: { Kept: 2, Deleted: 1 },
    },
    clusters: [
      {
        ...{ cluster: 'c', result: 'swept', warnings: [], missing: [missingHpa('shop/web')] },
        hpas: [
          swept('stale', 'delete', 'AutoscalingRemoved'),
          swept('wanted', 'keep', 'AutoscalingConfigured'),
          swept('protected', 'keep', 'Protected'),
        ],
      },
    ],
  };
  /** Of each HPA that is still there its name, and what it still has. */
  const contentOf = ({ clusters }: RunReport) =>
    clusters.flatMap(({ hpas, missing }) => [
      ...hpas.map((hpa) =>
        [hpa.name, hpa.manifest && 'manifest', hpa.restsOn.length > 0 && 'restsOn', hpa.changes.length > 0 && 'changes']
          .filter(Boolean)
          .join(' '),
      ),
      ...missing.map(() => 'missing'),
    ]);

  const STEPS = [
    'manifests',
    'what kept HPAs rest on, and who changed it',
    'HPAs that are plainly wanted',
    'all kept HPAs',
    'all HPAs',
    'all missing HPAs',
  ];
  test.each([
    [1, ['stale restsOn changes', 'wanted restsOn changes', 'protected restsOn changes', 'missing']],
    [2, ['stale restsOn changes', 'wanted', 'protected', 'missing']],
    [3, ['stale restsOn changes', 'protected', 'missing']],
    [4, ['stale restsOn changes', 'missing']],
    [5, ['missing']],
    [6, []],
  ])('step %i leaves %j, and the one before is not enough a byte below it', (step, left) => {
    const steps: RunReport[] = [whole];
    for (let last = whole; steps.length <= STEPS.length; steps.push(last)) {
      last = shortenReport(whole, bytesOf(last) - 1);
    }
    expect(contentOf(steps[step] as RunReport)).toEqual(left);
    expect(steps[step]?.shortened).toEqual(STEPS.slice(0, step));
    expect(shortenReport(whole, bytesOf(steps[step]))).toEqual(steps[step]);
  });
});
