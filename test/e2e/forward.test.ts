import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { auditEvent, auditLine, controlMessage, payload } from '../doubles/cloudwatch-logs.ts';
import { ACCOUNT, invocation, lambdaContext } from '../embedded-cluster/event-path.ts';
import { surroundings } from './reap-harness.ts';

const around = surroundings();

/** The function exactly as Lambda loads it. */
async function forward(event: unknown, partition = 'aws') {
  const { handler } = await import('../../functions/forward/handler.ts');
  const context = lambdaContext('forward');
  const invokedFunctionArn = context.invokedFunctionArn.replace(':aws:', `:${partition}:`);
  return handler(event, { ...context, invokedFunctionArn });
}
const counted = () => around.output.written().find(({ _aws }) => _aws !== undefined);

describe('forward', () => {
  test('puts an audit line on the bus, with the cluster in its own partition, and logs and counts it', async () => {
    const lines = [auditLine('envoyproxy-patch'), auditLine('envoyproxy-get'), 'no JSON'];
    await expect(forward(invocation(payload(lines)), 'aws-us-gov')).resolves.toBeUndefined();

    expect(around.bus.taken).toEqual([
      {
        EventBusName: 'envoy-hpa-reaper',
        Source: 'envoy-hpa-reaper',
        DetailType: 'Envoy Gateway Configuration Changed',
        Detail: expect.any(String),
        Resources: [`arn:aws-us-gov:eks:eu-central-1:${ACCOUNT}:cluster/shop`],
        Time: expect.closeTo(Date.parse('2026-11-23T14:17:47.196Z') / 1000, 2),
      },
    ]);
    expect(JSON.parse(around.bus.taken[0]?.Detail ?? '')).toMatchObject({
      version: '1',
      cluster: 'shop',
      objectRef: { resource: 'envoyproxies', namespace: 'autoscaling-removed', name: 'proxy' },
      lines: 1,
    });
    expect(around.output.logged()).toMatchObject([
      { level: 'WARN', message: 'unreadable line', logEventId: 'log-event-2', fault: 'not JSON' },
      {
        level: 'INFO',
        message: 'forwarded',
        function_request_id: expect.any(String),
        ...{ cluster: 'shop', lines: 3, kept: 1, unreadable: 1, entries: 1 },
        auditIDs: [auditEvent('envoyproxy-patch').auditID],
      },
    ]);
    expect(counted()).toMatchObject({
      service: 'forward',
      ...{ Payloads: 1, LinesReceived: 3, LinesKept: 1, LinesUnreadable: 1, EntriesPut: 1 },
    });
  });

  test('logs nothing of the bodies or the event', async () => {
    const event = invocation(payload([auditLine('hpa-created-by-envoy-gateway'), 'a line of secrets']));
    await forward(event);
    expect(around.output.text).not.toMatch(/averageUtilization|a line of secrets/);
    expect(around.output.text).not.toContain(event.awslogs.data);
    expect(around.bus.taken[0]?.Detail).not.toMatch(/requestObject|maxReplicas/);
  });

  test('ignores a control message, and counts it', async () => {
    await expect(forward(invocation(controlMessage()))).resolves.toBeUndefined();
    expect(around.bus.requests).toEqual([]);
    expect(counted()).toMatchObject({ Payloads: 1, ControlMessages: 1 });
  });
});

test('fails when EventBridge refuses some entries, and puts the others', async () => {
  const event = invocation(payload([auditLine('envoyproxy-patch'), auditLine('gateway-delete')]));
  around.bus.refuseEntries(4, 'ThrottlingException', ({ Detail }) => Detail.includes('"gateways"'));
  await expect(forward(event)).rejects.toMatchObject({ name: 'RetryableError' });
  expect(around.bus.taken).toHaveLength(1);
  expect(around.output.logged()).toMatchObject([
    {
      level: 'ERROR',
      message: 'payload not forwarded',
      error: 'RetryableError',
      reason: 'not all of 2 events reached envoy-hpa-reaper: after 4 attempts still refused: ThrottlingException',
    },
  ]);
});

describe('a bad event fails the invocation', () => {
  const data = (content: string | Buffer) => ({ awslogs: { data: Buffer.from(content).toString('base64') } });
  const line = auditLine('envoyproxy-patch');

  const payloadOf = (change: Record<string, unknown>) => invocation(payload([line], change));
  const encoding = /^awslogs.data is not base64 of gzip of JSON; only a subscription filter/;
  const shape = /^awslogs.data is JSON but not what CloudWatch Logs sends: /;

  test.each<[string, unknown, RegExp]>([
    ['nothing', undefined, /^the event has no text awslogs.data; only a subscription filter/],
    ['data that is no text', { awslogs: { data: 1 } }, /^the event has no text awslogs.data; /],
    ['not base64', { awslogs: { data: '%secret%' } }, encoding],
    ['cut gzip', data(gzipSync('secret').subarray(0, 12)), encoding],
    ['not JSON', data(gzipSync('secret')), encoding],
    ['far more than fits', data(gzipSync(Buffer.alloc(2 ** 27))), /^awslogs.data is too large; only a subscription/],
    ['other JSON', invocation({ logEvents: 'secret' }), new RegExp(`${shape.source}messageType: .*; owner: `)],
    ['no lines', invocation(payload([])), new RegExp(`${shape.source}logEvents: `)],
    ['an unknown type', payloadOf({ messageType: 'NEWS' }), /messageType: expected DATA_MESSAGE or/],
    ['an impossible cluster name', payloadOf({ logGroup: '/aws/eks/-shop/cluster' }), /is not \/aws\/eks/],
    ["another account's", payloadOf({ owner: '999999999999' }), /999999999999.*123456789012/],
    ['another log group', payloadOf({ logGroup: '/aws/rds/x' }), /^log group \/aws\/rds\/x is not/],
  ])('with nothing forwarded: %s', async (_, event, message) => {
    await expect(forward(event)).rejects.toMatchObject({
      name: 'MalformedInputError',
      message: expect.stringMatching(message),
    });
    expect(around.bus.requests).toEqual([]);
    expect(around.output.logged()).toMatchObject([
      { level: 'ERROR', error: 'MalformedInputError', reason: expect.stringMatching(message) },
    ]);
    expect(around.output.text).not.toContain('secret');
  });
});
