import { describe, expect, test } from 'vitest';
import { type ClusterReport, type RunReport, runReportSchema } from '../../../functions/events/report.ts';
import { shortenReport } from '../../../functions/events/shortened-report.ts';
import { missingHpa } from '../../builders/outcomes.ts';

const bytesOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value));
const withoutHpas = ({ hpas: _, missing: _missing, ...cluster }: ClusterReport) => cluster;
const skeletonOf = ({ shortened: _, ...rest }: RunReport) => ({ ...rest, clusters: rest.clusters.map(withoutHpas) });
describe('a report that is too large is shortened step by step', () => {
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
  ])('step %i leaves %j, and is taken only when the one before is not enough', (step, left) => {
    const steps: RunReport[] = [whole];
    for (let last = whole; steps.length <= STEPS.length; steps.push(last)) {
      last = shortenReport(whole, bytesOf(last) - 1);
    }
    expect(contentOf(steps[step] as RunReport)).toEqual(left);
    expect(steps[step]?.shortened).toEqual(STEPS.slice(0, step));
    expect(shortenReport(whole, bytesOf(steps[step]))).toEqual(steps[step]);
    // Totals, problems, warnings and remaining clusters always stay.
    expect(skeletonOf(steps[step] as RunReport)).toEqual(skeletonOf(whole));
    expect(runReportSchema.safeParse(steps[step]).error).toBeUndefined();
  });
});
