import { setTimeout } from 'node:timers/promises';
import type { BusEvent, EventBus } from '../aws/event-bus.ts';
import { EVENT_SOURCE } from '../events/change-event.ts';
import type { OutcomeEvent } from '../events/outcome-event.ts';
import { clusterArn } from '../platform/eks-names.ts';
import { describeError } from '../platform/errors.ts';
import type { Log } from '../platform/logger.ts';
import type { MetricsRecorder } from '../platform/metrics.ts';

export interface PublishOptions {
  /** Of the clusters: the account's. */
  readonly place: { readonly partition: string; readonly account: string };
  readonly eventBus: EventBus;
  readonly log: Log;
  readonly metrics: MetricsRecorder;
  readonly now: () => Date;
  /** Milliseconds until the function must be done. */
  readonly timeLeft: number;
}

/** @param arn of the cluster */
export const outcomeBusEvent = ({ detailType, detail }: OutcomeEvent, arn: string, time: Date): BusEvent => ({
  ...{ source: EVENT_SOURCE, detailType, detail, time },
  resources: [arn],
});

/** Milliseconds; a bus that does not answer must not eat the time of the next cluster. */
const PUBLISH_TIMEOUT_MS = 10_000;

/**
 * Puts outcomes on the bus. Never throws and never waits for long: what they tell of is done, and in the log. What did not
 * get there is a log line and a count in the metric `OutcomesNotPut`.
 */
export async function publishOutcomes(outcomes: readonly OutcomeEvent[], options: PublishOptions): Promise<void> {
  const { place, eventBus, log, metrics, now, timeLeft } = options;
  if (outcomes.length === 0) return;
  const arnOf = ({ region, cluster }: OutcomeEvent['detail']) => clusterArn({ ...place, region }, cluster);
  const time = now();
  const events = outcomes.map((outcome) => outcomeBusEvent(outcome, arnOf(outcome.detail), time));
  const patience = Math.max(0, Math.min(PUBLISH_TIMEOUT_MS, timeLeft));
  const put = eventBus.put(events).then(() => 'put');
  try {
    const end = await Promise.race([put, setTimeout(patience, 'late', { ref: false })]);
    if (end === 'late') throw new Error(`the bus has not taken them within ${patience / 1000} s`);
  } catch (error) {
    log.error('outcomes not put on the bus, see the log for what they would tell', { reason: describeError(error) });
    metrics.add('OutcomesNotPut', outcomes.length);
  }
}
