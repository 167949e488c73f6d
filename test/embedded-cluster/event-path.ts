import { randomUUID } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import type { CloudWatchLogsEvent, Context, EventBridgeEvent, SQSEvent } from 'aws-lambda';
import type { EventBus } from '../../functions/aws/event-bus.ts';
import { changesOf } from '../../functions/events/audit-event.ts';
import { EVENT_SOURCE } from '../../functions/events/event-source.ts';

/** The AWS account and Region of everything that runs in this process instead. */
export const ACCOUNT = '123456789012';
export const REGION = 'eu-central-1';

/** The payload that CloudWatch Logs sends lines of the audit log of a cluster in, before compression. */
export const subscriptionPayload = (
  cluster: string,
  lines: readonly string[],
  change: Record<string, unknown> = {},
) => ({
  messageType: 'DATA_MESSAGE',
  owner: ACCOUNT,
  logGroup: `/aws/eks/${cluster}/cluster`,
  logStream: 'kube-apiserver-audit-0123456789abcdef',
  subscriptionFilters: ['envoy-hpa-reaper'],
  logEvents: lines.map((message, index) => ({ id: `log-event-${index}`, timestamp: 1_795_444_000_000, message })),
  ...change,
});

/** The event that CloudWatch Logs invokes `forward` with: a payload as base64 of gzip of JSON. */
export const invocation = (payload: unknown): CloudWatchLogsEvent => ({
  awslogs: { data: gzipSync(JSON.stringify(payload)).toString('base64') },
});

export const subscriptionEvent = (cluster: string, lines: readonly object[]): CloudWatchLogsEvent =>
  invocation(
    subscriptionPayload(
      cluster,
      lines.map((line) => JSON.stringify(line)),
    ),
  );

export type BusEvent = Parameters<EventBus['put']>[0][number];

/** The event that a rule delivers for an entry on the bus. */
export function busEvent({ source, detailType, detail, resources, time }: BusEvent): EventBridgeEvent<string, object> {
  return {
    version: '0',
    id: randomUUID(),
    source,
    'detail-type': detailType,
    account: ACCOUNT,
    region: REGION,
    time: time.toISOString(),
    resources: [...resources],
    detail,
  };
}

/** The payload that Lambda invokes `reap` with: a batch of messages of the queue. */
export function queueBatch(bodies: readonly string[], receiveCount = 1): SQSEvent {
  return {
    Records: bodies.map((body, index) => ({
      messageId: `message-${index + 1}`,
      receiptHandle: 'receipt',
      body,
      attributes: {
        ApproximateReceiveCount: String(receiveCount),
        SentTimestamp: '0',
        SenderId: 'events.amazonaws.com',
        ApproximateFirstReceiveTimestamp: '0',
      },
      messageAttributes: {},
      md5OfBody: '',
      eventSource: 'aws:sqs',
      eventSourceARN: `arn:aws:sqs:${REGION}:${ACCOUNT}:envoy-hpa-reaper-changes`,
      awsRegion: REGION,
    })),
  };
}

/** The part of Lambda's context that the handlers use. */
export function lambdaContext(functionName: string, remainingMilliseconds = 60_000): Context {
  return {
    awsRequestId: randomUUID(),
    functionName,
    invokedFunctionArn: `arn:aws:lambda:${REGION}:${ACCOUNT}:function:${functionName}`,
    getRemainingTimeInMillis: () => remainingMilliseconds,
  } as Context;
}

/** The batch with the event that `forward` puts on the bus for a line of the audit log of a cluster. */
export function changeBatch(cluster: string, line: string): SQSEvent {
  const [change] = changesOf([line]).changes;
  const detail = { version: '1', cluster, ...change };
  const event = {
    source: EVENT_SOURCE,
    detailType: 'Envoy Gateway Configuration Changed',
    detail,
    resources: [],
    time: new Date(),
  };
  return queueBatch([JSON.stringify(busEvent(event))]);
}
