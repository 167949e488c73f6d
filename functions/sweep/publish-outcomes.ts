import { setTimeout } from 'node:timers/promises';
import type { Context } from 'aws-lambda';
import type { EventBus } from '../aws/event-bus.ts';
import { EVENT_SOURCE } from '../events/event-source.ts';
import type { OutcomeEvent } from '../events/outcome-event.ts';
import type { SweepReport, SweptHpa } from '../events/report.ts';
import { clusterArn } from '../platform/eks-names.ts';
import { describeError } from '../platform/errors.ts';
import type { Log } from '../platform/logger.ts';
import type { MetricsRecorder } from '../platform/metrics.ts';

/** Counts HPAs by outcome and reason: one metric value for each, however many HPAs there are. */
export function measureHpas({ hpas, missing }: Pick<SweepReport, 'hpas' | 'missing'>, metrics: MetricsRecorder): void {
  metrics.add('HpasFound', hpas.length);
  for (const [outcome, same] of Map.groupBy(hpas, (hpa) => hpa.outcome)) {
    for (const [reason, { length }] of Map.groupBy(same, reasonOf)) metrics.add(`Hpas${outcome}`, length, reason);
  }
  metrics.add('HpasMissing', missing.length);
}

const reasonOf = ({ outcome, reason, guard }: SweptHpa): string | undefined =>
  outcome === 'Kept' ? reason : outcome === 'HeldBack' ? guard?.name : undefined;

/** What every function that sweeps has. */
export interface Publisher {
  /** The bus for the outcomes. */
  readonly eventBus: EventBus;
  readonly log: Log;
  readonly metrics: MetricsRecorder;
  readonly now: () => Date;
}

/** Milliseconds; a bus that does not answer must not use up the time of the next cluster. */
const PUBLISH_TIMEOUT_MS = 10_000;
/** Milliseconds before the function must return. */
const RESERVE_MS = 2_000;

/**
 * Publishes outcomes. Never throws and never waits for long: what they report is done, and in the log. When they do not reach
 * the bus, there is a log line and a count in the metric `OutcomesNotPut`.
 */
export async function publishOutcomes(
  outcomes: readonly OutcomeEvent[],
  context: Pick<Context, 'invokedFunctionArn' | 'getRemainingTimeInMillis'>,
  { eventBus, log, metrics, now }: Publisher,
): Promise<void> {
  if (outcomes.length === 0) return;
  const time = now();
  const events = outcomes.map(({ detailType, detail }) => {
    const resources = [clusterArn(context.invokedFunctionArn, detail.cluster, detail.region)];
    return { source: EVENT_SOURCE, detailType, detail, resources, time };
  });
  const timeout = Math.max(0, Math.min(PUBLISH_TIMEOUT_MS, context.getRemainingTimeInMillis() - RESERVE_MS));
  try {
    const timedOut = setTimeout(timeout, 'timeout', { ref: false });
    if ((await Promise.race([eventBus.put(events), timedOut])) === 'timeout') {
      throw new Error(`PutEvents timed out after ${timeout / 1000} s`);
    }
  } catch (error) {
    log.error('failed to publish outcome events; the log has the outcomes', { reason: describeError(error) });
    metrics.add('OutcomesNotPut', outcomes.length);
  }
}
