import { randomUUID } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import type { CloudWatchLogsEvent, Context, EventBridgeEvent, SQSEvent } from 'aws-lambda';
import type { BusEvent } from '../../functions/aws/event-bus.ts';

/** Where the event path pretends to run when it runs on a laptop. */
export const PLACE = { account: '123456789012', region: 'eu-central-1' };

/** What CloudWatch Logs invokes `forward` with: lines of a cluster's audit log, as base64 of gzip of JSON. */
export function subscriptionEvent(cluster: string, lines: readonly object[]): CloudWatchLogsEvent {
  const payload = {
    messageType: 'DATA_MESSAGE',
    owner: PLACE.account,
    logGroup: `/aws/eks/${cluster}/cluster`,
    logStream: 'kube-apiserver-audit-0123456789abcdef',
    subscriptionFilters: ['envoy-hpa-reaper'],
    logEvents: lines.map((line, index) => ({
      id: String(index).padStart(56, '0'),
      timestamp: Date.now(),
      message: JSON.stringify(line),
    })),
  };
  return { awslogs: { data: gzipSync(JSON.stringify(payload)).toString('base64') } };
}

/** What the rule makes of an entry that was put on the bus. */
export function busEvent({ source, detailType, detail, resources, time }: BusEvent): EventBridgeEvent<string, object> {
  return {
    version: '0',
    id: randomUUID(),
    source,
    'detail-type': detailType,
    account: PLACE.account,
    region: PLACE.region,
    time: time.toISOString(),
    resources: [...resources],
    detail,
  };
}

/** What Lambda invokes `reap` with: a batch of the queue's messages. */
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
      eventSourceARN: `arn:aws:sqs:${PLACE.region}:${PLACE.account}:envoy-hpa-reaper-changes`,
      awsRegion: PLACE.region,
    })),
  };
}

/** The part of Lambda's context that the handlers use. */
export function lambdaContext(functionName: string, remainingMilliseconds = 60_000): Context {
  return {
    awsRequestId: randomUUID(),
    functionName,
    invokedFunctionArn: `arn:aws:lambda:${PLACE.region}:${PLACE.account}:function:${functionName}`,
    getRemainingTimeInMillis: () => remainingMilliseconds,
  } as Context;
}
