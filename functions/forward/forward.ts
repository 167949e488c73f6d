import { gunzipSync } from 'node:zlib';
import * as z from 'zod/mini';
import type { EventBus } from '../aws/event-bus.ts';
import { changesOf } from '../events/audit-event.ts';
import { EVENT_SOURCE } from '../events/event-source.ts';
import type { ChangeDetail } from '../events/queued-event.ts';
import { clusterArn, clusterNameSchema, clusterOfLogGroup } from '../platform/eks-names.ts';
import { MalformedInputError } from '../platform/errors.ts';
import type { Handler } from '../platform/lambda.ts';
import type { Log } from '../platform/logger.ts';
import type { MetricsRecorder } from '../platform/metrics.ts';
import { eventBusSchema, formatZodIssues, placeSchema } from '../platform/schema.ts';

/** The environment variables of `forward`. */
export const forwardConfigSchema = z.object({ ...placeSchema, EVENT_BUS_NAME: eventBusSchema });

interface ForwardDependencies {
  config: z.infer<typeof forwardConfigSchema>;
  eventBus: EventBus;
  log: Log;
  metrics: MetricsRecorder;
}

/**
 * The Lambda handler on a CloudWatch Logs subscription: puts one event on the bus for each object that the audit lines say
 * was changed and that an HPA depends on. When it throws, Lambda retries the payload twice and then sends it to the
 * on-failure destination.
 *
 * @throws {MalformedInputError} for a payload that is not of a subscription to a cluster's log group in this account
 * @throws {RetryableError} when events did not reach the bus
 */
export function createHandler({ config, eventBus, log, metrics }: ForwardDependencies): Handler<void> {
  return async (event, context) => {
    metrics.add('Payloads', 1);
    const payload = decodePayload(event);
    if (payload.messageType === 'CONTROL_MESSAGE') {
      metrics.add('ControlMessages', 1);
      log.info('control message', { messageType: payload.messageType });
      return;
    }
    const cluster = clusterOf(payload, config.ACCOUNT_ID);
    const { changes, kept, faults } = changesOf(payload.logEvents.map(({ message }) => message));
    for (const { index, fault } of faults) {
      log.warn('unreadable line', { cluster, logEventId: payload.logEvents[index]?.id, fault });
    }
    await eventBus.put(
      changes.map((change) => ({
        source: EVENT_SOURCE,
        detailType: 'Envoy Gateway Configuration Changed',
        detail: { version: '1', cluster, ...change } satisfies ChangeDetail,
        // A log group feeds only functions of its own Region.
        resources: [clusterArn(context.invokedFunctionArn, cluster)],
        time: new Date(change.stageTimestamp),
      })),
    );
    const counts = { lines: payload.logEvents.length, kept, unreadable: faults.length, entries: changes.length };
    metrics.add('LinesReceived', counts.lines);
    metrics.add('LinesKept', kept);
    metrics.add('LinesUnreadable', counts.unreadable);
    metrics.add('EntriesPut', counts.entries);
    log.info('forwarded', { cluster, ...counts, auditIDs: changes.map(({ auditID }) => auditID) });
  };
}

/** More than fits into the memory of the function; an invocation of 6 MB contains that much only if somebody crafted it. */
const MAX_PAYLOAD_BYTES = 100 * 2 ** 20;

const invocationSchema = z.object({ awslogs: z.object({ data: z.string() }) });

/** What CloudWatch Logs sends to a subscription. A control message tests the destination and carries no changes. */
const payloadSchema = z.object({
  messageType: z.enum(['DATA_MESSAGE', 'CONTROL_MESSAGE'], 'expected DATA_MESSAGE or CONTROL_MESSAGE'),
  /** The account that owns the log group. */
  owner: z.string(),
  logGroup: z.string(),
  logEvents: z.array(z.object({ id: z.string(), message: z.string() })).check(z.minLength(1)),
});
type LogPayload = z.infer<typeof payloadSchema>;

/**
 * Decodes the event that CloudWatch Logs invokes a function with: base64 of gzip of JSON.
 *
 * @throws {MalformedInputError} naming what is wrong, and never a part of the payload
 */
function decodePayload(event: unknown): LogPayload {
  const refuse = (fault: string) =>
    new MalformedInputError(
      `${fault}; only a subscription filter of CloudWatch Logs may invoke this function: ` +
        'find what else does, or what changes the event on its way',
    );
  const invocation = invocationSchema.safeParse(event);
  if (!invocation.success) throw refuse('the event has no text awslogs.data');
  const { data } = invocation.data.awslogs;
  let json: unknown;
  try {
    const unpacked = gunzipSync(Buffer.from(data, 'base64'), { maxOutputLength: MAX_PAYLOAD_BYTES });
    json = JSON.parse(unpacked.toString('utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw refuse('awslogs.data is too large');
    throw refuse('awslogs.data is not base64 of gzip of JSON');
  }
  const payload = payloadSchema.safeParse(json);
  if (payload.success) return payload.data;
  const faults = formatZodIssues(payload.error, '(the payload)');
  throw refuse(`awslogs.data is JSON but not what CloudWatch Logs sends: ${faults}`);
}

/** @throws {MalformedInputError} for the log group of another account, or of no cluster */
function clusterOf({ owner, logGroup }: LogPayload, account: string): string {
  if (owner !== account) {
    throw new MalformedInputError(
      `the log group belongs to account ${owner}, this function to ${account}; ` +
        'remove that subscription and deploy the product in the other account',
    );
  }
  const cluster = clusterNameSchema.safeParse(clusterOfLogGroup(logGroup));
  if (cluster.success) return cluster.data;
  throw new MalformedInputError(
    `log group ${logGroup} is not /aws/eks/<cluster>/cluster; subscribe this function to EKS control plane logs only`,
  );
}
