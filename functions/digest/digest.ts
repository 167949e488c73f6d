import middy from '@middy/core';
import type { Context } from 'aws-lambda';
import * as z from 'zod/mini';
import type { NotificationTopic } from '../aws/notification-topic.ts';
import type { OutcomeLog } from '../aws/outcome-log.ts';
import type { DigestReport, Period } from '../events/digest.ts';
import { placeSchema } from '../platform/config.ts';
import { describeError, MalformedInputError } from '../platform/errors.ts';
import type { Log } from '../platform/logger.ts';
import type { MetricsRecorder } from '../platform/metrics.ts';
import { parsePayload } from '../platform/schema.ts';
import { sendDigest } from '../sweep/send-digest.ts';

/** The environment variables of `digest`. */
export const digestConfigSchema = z.object({
  ...placeSchema,
  OUTCOME_LOG_GROUP: z.string().check(z.regex(/^[\w./#-]{1,512}$/, "expected a log group's name")),
  TOPIC_ARN: z.string().check(z.regex(/^arn:[^:]+:sns:[^:]+:\d{12}:[\w-]+$/, 'expected the ARN of an SNS topic')),
});
export type DigestConfig = z.infer<typeof digestConfigSchema>;

export interface DigestDependencies {
  config: DigestConfig;
  outcomes: OutcomeLog;
  topic: NotificationTopic;
  log: Log;
  metrics: MetricsRecorder;
  now: () => Date;
}

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const MOST_HOURS = 31 * 24;
/** Milliseconds: another page and publishing are tried three times each, and each time wait up to 30 s for the answer. */
const LEAST_TIME_TO_GO_ON = 190_000;

const hoursExpected = `expected a whole number from 1 to ${MOST_HOURS}`;
const time = (description: string) =>
  z.optional(z.iso.datetime('expected a time such as 2026-11-24T06:00:00Z').check(z.describe(description)));

/** What a person or the schedule may ask for; every description ends up in docs/schemas. */
export const digestRequestSchema = z
  .strictObject(
    {
      hours: z.optional(
        z
          .number(hoursExpected)
          .check(
            z.int(hoursExpected),
            z.minimum(1, hoursExpected),
            z.maximum(MOST_HOURS, hoursExpected),
            z.describe('How long before `until`, in place of `since`; without both 24'),
          ),
      ),
      since: time('From when on, RFC 3339 in UTC'),
      until: time('Until when, not included; without it until now'),
      dryRun: z.optional(
        z.boolean('expected true or false').check(z.describe('Answer with the text, and publish nothing')),
      ),
    },
    'expected an object',
  )
  .check(z.describe('What `digest` may be invoked with; {} tells of the day (UTC) that has ended last'));
export type DigestRequest = z.infer<typeof digestRequestSchema>;

/**
 * The Lambda handler of `digest`: publishes what was told of HPAs and clusters in a time, if there is anything, and answers
 * with a report.
 *
 * @throws {MalformedInputError} for a payload that does not fit
 * @throws {RetryableError} when the outcomes could not be read, or the topic has not taken the text
 */
export function createHandler({ config, outcomes, topic, log, metrics, now }: DigestDependencies) {
  return middy<unknown, DigestReport>()
    .onError(({ error }) => {
      // Returning nothing leaves the failure a failure.
      log.error('digest failed', { error: error?.name, reason: describeError(error) });
    })
    .handler(async (event: unknown, context: Context) => {
      const request = parsePayload(digestRequestSchema, event);
      return await sendDigest({
        period: periodOf(request, now().getTime()),
        place: { account: config.ACCOUNT_ID, region: config.AWS_REGION, logGroup: config.OUTCOME_LOG_GROUP },
        ...{ outcomes, topic, dryRun: request.dryRun ?? false, log, metrics },
        hasTimeLeft: () => context.getRemainingTimeInMillis() > LEAST_TIME_TO_GO_ON,
      });
    });
}

/** The day that ended last is the same for each try of a day, and begins where the day before ended. */
function periodOf({ hours, since, until }: DigestRequest, now: number): Period {
  const isForSchedule = hours === undefined && since === undefined && until === undefined;
  const end = isForSchedule ? Math.floor(now / DAY) * DAY : until === undefined ? now : Date.parse(until);
  const start = since === undefined ? end - (hours ?? 24) * HOUR : Date.parse(since);
  if (hours !== undefined && since !== undefined)
    throw new MalformedInputError('refused: give hours or since, not both');
  if (start >= end || end - start > MOST_HOURS * HOUR) {
    throw new MalformedInputError('refused: since must be before until, by 31 days at most');
  }
  return { since: new Date(start), until: new Date(end) };
}
