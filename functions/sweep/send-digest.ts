import type { NotificationTopic } from '../aws/notification-topic.ts';
import type { OutcomeLog } from '../aws/outcome-log.ts';
import { type DigestPlace, type DigestReport, digestOf, type Period, totalsOf } from '../events/digest.ts';
import { ToldOutcomes } from '../events/told-outcomes.ts';
import { RetryableError } from '../platform/errors.ts';
import type { Log } from '../platform/logger.ts';
import type { MetricsRecorder } from '../platform/metrics.ts';

export interface DigestOptions {
  readonly period: Period;
  readonly place: DigestPlace;
  readonly outcomes: OutcomeLog;
  readonly topic: NotificationTopic;
  /** Publishes nothing. */
  readonly dryRun: boolean;
  /** Whether the time suffices for another page, and for publishing. */
  readonly hasTimeLeft: () => boolean;
  readonly log: Log;
  readonly metrics: MetricsRecorder;
}

/**
 * Reads the outcomes of a period and publishes one text on them, or nothing where there is nothing to say. Publishing is the
 * last thing that can fail: what fails before it can be tried again and tells nobody twice.
 *
 * @throws {RetryableError} when the outcomes could not be read in time, or the topic has not answered that it took the text
 */
export async function sendDigest(options: DigestOptions): Promise<DigestReport> {
  const { period, place, outcomes, topic, dryRun, hasTimeLeft, log, metrics } = options;
  const told = new ToldOutcomes(place.region);
  for await (const lines of outcomes.pages(period.since, period.until)) {
    for (const line of lines) told.take(line);
    if (!hasTimeLeft()) {
      throw new RetryableError(
        `${told.events} outcomes read, and no time is left for the rest: ask for a shorter time with since and until`,
      );
    }
  }
  const digest = digestOf(told, period, place);
  const isToBePublished = digest !== undefined && !dryRun;
  const published = isToBePublished && { messageId: await topic.publish(digest.subject, digest.text) };

  const report: DigestReport = {
    schemaVersion: 1,
    ...{ since: period.since.toISOString(), until: period.until.toISOString() },
    ...{ events: told.events, notUnderstood: told.notUnderstood, totals: totalsOf(told) },
    result: digest === undefined ? 'nothing to say' : dryRun ? 'dry run' : 'published',
    ...published,
    ...digest,
  };
  const { text: _text, ...logged } = report;
  log.info('digest finished', logged);
  metrics.add('OutcomesNotUnderstood', told.notUnderstood);
  metrics.add('DigestsPublished', isToBePublished ? 1 : 0);
  return report;
}
