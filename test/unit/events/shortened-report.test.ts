import { describe, expect, test } from 'vitest';
import {
  type ClusterReport,
  type RunReport,
  runReportSchema,
  type SweptHpa,
} from '../../../functions/events/report.ts';
import { shortenReport } from '../../../functions/events/shortened-report.ts';
import { missingHpa } from '../../builders/outcomes.ts';

const bytesOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value));
const withoutHpas = ({ hpas: _, missing: _missing, ...cluster }: ClusterReport) => cluster;
const skeletonOf = ({ shortened: _, ...rest }: RunReport) => ({ ...rest, clusters: rest.clusters.map(withoutHpas) });
describe('a report that is too large is shortened step by step', () => {
  const swept = (name: string, action: 'delete' | 'keep', reason: SweptHpa['reason']) => ({
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

  test('takes a step only when the one before is not enough, and keeps all but HPAs', () => {
    const omitted: string[] = [];
    let last = whole;
    for (const [step, left] of [
      ['manifests', ['stale restsOn changes', 'wanted restsOn changes', 'protected restsOn changes', 'missing']],
      ['what kept HPAs rest on, and who changed it', ['stale restsOn changes', 'wanted', 'protected', 'missing']],
      ['HPAs that are plainly wanted', ['stale restsOn changes', 'protected', 'missing']],
      ['all kept HPAs', ['stale restsOn changes', 'missing']],
      ['all HPAs', ['missing']],
      ['all missing HPAs', []],
    ] as const) {
      last = shortenReport(whole, bytesOf(last) - 1);
      omitted.push(step);
      expect([last.shortened, contentOf(last)]).toEqual([omitted, left]);
      expect(shortenReport(whole, bytesOf(last))).toEqual(last);
      // Totals, problems, warnings and remaining clusters always stay.
      expect(skeletonOf(last)).toEqual(skeletonOf(whole));
      expect(runReportSchema.safeParse(last).error).toBeUndefined();
    }
  });
});
