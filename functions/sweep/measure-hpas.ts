import type { SweepReport, SweptHpa } from '../events/report.ts';
import type { MetricName, MetricsRecorder } from '../platform/metrics.ts';

/**
 * Counts what was found and what became of it: one value for each outcome and reason, however many HPAs there are, and one for
 * those that are missing, if any are.
 */
export function measureHpas({ hpas, missing }: Pick<SweepReport, 'hpas' | 'missing'>, metrics: MetricsRecorder): void {
  metrics.add('HpasFound', hpas.length);
  const byKey = Map.groupBy(hpas, (hpa) => `${hpa.outcome}/${reasonOf(hpa)}`);
  for (const [one, ...others] of byKey.values()) {
    if (one === undefined) continue;
    metrics.add(`Hpas${one.outcome}` satisfies MetricName, 1 + others.length, reasonOf(one));
  }
  if (missing.length > 0) metrics.add('HpasMissing', missing.length);
}

const reasonOf = ({ outcome, reason, guard }: SweptHpa): string | undefined =>
  outcome === 'Kept' ? reason : outcome === 'HeldBack' ? guard?.name : undefined;
