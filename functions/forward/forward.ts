import { gunzipSync } from 'node:zlib';
import { CloudWatchLogsDecodeSchema, CloudWatchLogsSchema } from '@aws-lambda-powertools/parser/schemas/cloudwatch';
import middy from '@middy/core';
import * as z from 'zod/mini';
import type { EventBus } from '../aws/event-bus.ts';
import { partitionOf } from '../events/arn.ts';
import { eventBusSchema, placeSchema } from '../platform/config.ts';
import { describeError, MalformedInputError } from '../platform/errors.ts';
import type { Log } from '../platform/logger.ts';
import type { MetricsRecorder } from '../platform/metrics.ts';
import { forwardAuditEvents, type LogPayload } from './forward-audit-events.ts';

/** The environment variables of `forward`. */
export const forwardConfigSchema = z.object({
  ...placeSchema,
  EVENT_BUS_NAME: eventBusSchema,
});
export type ForwardConfig = z.infer<typeof forwardConfigSchema>;

export interface ForwardDependencies {
  config: ForwardConfig;
  eventBus: EventBus;
  log: Log;
  metrics: MetricsRecorder;
}

/**
 * The Lambda handler on a CloudWatch Logs subscription: decodes, forwards, counts. Whatever it throws, Lambda tries the
 * payload twice more and then sends it to the on-failure destination.
 */
export function createHandler({ config, eventBus, log, metrics }: ForwardDependencies) {
  return middy<unknown, void>()
    .onError(({ error }) => {
      // Returning nothing leaves the failure a failure.
      log.error('payload not forwarded', { error: error?.name, reason: describeError(error) });
    })
    .handler(async (event: unknown, context): Promise<void> => {
      metrics.add('Payloads', 1);
      const partition = partitionOf(context.invokedFunctionArn);
      const place = { partition, region: config.AWS_REGION, account: config.ACCOUNT_ID };
      const forwarded = await forwardAuditEvents(decodePayload(event), { place, eventBus, log });
      if (forwarded.messageType === 'CONTROL_MESSAGE') {
        metrics.add('ControlMessages', 1);
        log.info('control message', { messageType: forwarded.messageType });
        return;
      }
      const { cluster, lines, kept, unreadable, entries, auditIDs } = forwarded;
      metrics.add('LinesReceived', lines);
      metrics.add('LinesKept', kept);
      metrics.add('LinesUnreadable', unreadable);
      metrics.add('EntriesPut', entries);
      log.info('forwarded', { cluster, lines, kept, unreadable, entries, auditIDs });
    });
}

/**
 * Takes the payload out of the event that CloudWatch Logs invokes a function with: base64 of gzip of JSON.
 *
 * @throws {MalformedInputError} naming the step that fails, and never a part of the payload
 */
export function decodePayload(event: unknown): LogPayload {
  const parsed = CloudWatchLogsSchema.safeParse(event);
  if (parsed.success) return parsed.data.awslogs.data;
  throw new MalformedInputError(
    `${decodingFault(event)}; only a subscription filter of CloudWatch Logs may invoke this function: ` +
      'find who else does, or what changes the event on its way',
  );
}

const invocationSchema = z.object({ awslogs: z.object({ data: z.string() }) });

/** The library's schema has one message for all of this. */
function decodingFault(event: unknown): string {
  const invocation = invocationSchema.safeParse(event);
  if (!invocation.success) return 'the event has no text awslogs.data';
  const { data } = invocation.data.awslogs;
  if (!z.base64().safeParse(data).success) return 'awslogs.data is not base64';
  let text: string;
  try {
    text = gunzipSync(Buffer.from(data, 'base64')).toString('utf8');
  } catch {
    return 'awslogs.data is base64 but not of gzip';
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return 'awslogs.data is base64 of gzip but not of JSON';
  }
  const fields = CloudWatchLogsDecodeSchema.safeParse(json).error?.issues.map(({ path }) => path.join('.'));
  return `awslogs.data is JSON but not what CloudWatch Logs sends: ${fields?.join(', ')}`;
}
