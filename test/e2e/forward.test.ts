import process from 'node:process';
import { gzipSync } from 'node:zlib';
import type { Context } from 'aws-lambda';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ACCOUNT, auditEvent, auditLine, controlMessage, invocation, payload } from '../doubles/cloudwatch-logs.ts';
import { EventBridgeDouble } from '../doubles/eventbridge.ts';

const environment = {
  ACCOUNT_ID: ACCOUNT,
  AWS_REGION: 'eu-central-1',
  EVENT_BUS_NAME: 'envoy-hpa-reaper',
  AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
  AWS_SECRET_ACCESS_KEY: 'secret-access-key',
  AWS_SESSION_TOKEN: 'secret-session-token',
  POWERTOOLS_SERVICE_NAME: 'forward',
  POWERTOOLS_METRICS_NAMESPACE: 'envoy-hpa-reaper',
  // As somebody might set it to look into a problem: the event must stay out of the log all the same.
  POWERTOOLS_LOGGER_LOG_EVENT: 'true',
};
const context = {
  awsRequestId: 'request-1',
  functionName: 'envoy-hpa-reaper-forward',
  invokedFunctionArn: `arn:aws:lambda:eu-central-1:${ACCOUNT}:function:envoy-hpa-reaper-forward`,
  memoryLimitInMB: '256',
} as Context;

let eventBridge: EventBridgeDouble;
let output: string;

beforeEach(async () => {
  eventBridge = new EventBridgeDouble();
  for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
  vi.stubEnv('AWS_ENDPOINT_URL_EVENTBRIDGE', await eventBridge.start());
  vi.resetModules();
  output = '';
  const capture = (text: string | Uint8Array) => {
    output += text;
    return true;
  };
  vi.spyOn(process.stdout, 'write').mockImplementation(capture);
  vi.spyOn(process.stderr, 'write').mockImplementation(capture);
});
afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await eventBridge.stop();
});

/** The function exactly as Lambda loads it. */
async function forward(event: unknown, partition = 'aws') {
  const { handler } = await import('../../functions/forward/handler.ts');
  const invokedFunctionArn = context.invokedFunctionArn.replace(':aws:', `:${partition}:`);
  return handler(event, { ...context, invokedFunctionArn });
}
const written = () =>
  output
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));
const logged = () => written().filter(({ level }) => level !== undefined);
const counted = () => written().find(({ _aws }) => _aws !== undefined);

describe('forward', () => {
  test('puts an audit line on the bus, logs and counts', async () => {
    const lines = [auditLine('envoyproxy-patch'), auditLine('envoyproxy-get'), 'no JSON'];
    await expect(forward(invocation(payload(lines)))).resolves.toBeUndefined();

    expect(eventBridge.taken).toEqual([
      {
        EventBusName: 'envoy-hpa-reaper',
        Source: 'envoy-hpa-reaper',
        DetailType: 'Envoy Gateway Configuration Changed',
        Detail: expect.any(String),
        Resources: [`arn:aws:eks:eu-central-1:${ACCOUNT}:cluster/shop`],
        Time: expect.closeTo(Date.parse('2026-11-23T14:17:47.196Z') / 1000, 2),
      },
    ]);
    expect(JSON.parse(eventBridge.taken[0]?.Detail ?? '')).toMatchObject({
      version: '1',
      cluster: 'shop',
      objectRef: { resource: 'envoyproxies', namespace: 'autoscaling-removed', name: 'proxy' },
      lines: 1,
    });
    expect(logged()).toMatchObject([
      { level: 'WARN', message: 'unreadable line', logEventId: 'log-event-2', fault: 'not JSON' },
      {
        level: 'INFO',
        message: 'forwarded',
        function_request_id: 'request-1',
        ...{ cluster: 'shop', lines: 3, kept: 1, unreadable: 1, entries: 1 },
        auditIDs: [auditEvent('envoyproxy-patch').auditID],
      },
    ]);
    expect(counted()).toMatchObject({
      service: 'forward',
      ...{ Payloads: 1, LinesReceived: 3, LinesKept: 1, LinesUnreadable: 1, EntriesPut: 1 },
    });
  });

  test('logs nothing of bodies, the event or the credentials', async () => {
    const event = invocation(payload([auditLine('hpa-created-by-envoy-gateway'), 'a line of secrets']));
    await forward(event);
    expect(output).not.toMatch(/averageUtilization|a line of secrets|secret-access-key|secret-session-token/);
    expect(output).not.toContain(event.awslogs.data);
    expect(eventBridge.taken[0]?.Detail).not.toMatch(/requestObject|maxReplicas/);
  });

  test('ignores a control message, and counts it', async () => {
    await expect(forward(invocation(controlMessage()))).resolves.toBeUndefined();
    expect(eventBridge.requests).toEqual([]);
    expect(counted()).toMatchObject({ Payloads: 1, ControlMessages: 1 });
  });

  test("names the cluster in the function's own partition", async () => {
    await forward(invocation(payload([auditLine('gateway-patch')])), 'aws-us-gov');
    expect(eventBridge.taken[0]?.Resources).toEqual([`arn:aws-us-gov:eks:eu-central-1:${ACCOUNT}:cluster/shop`]);
  });

  test('puts many objects in requests of ten', async () => {
    const patched = auditEvent('envoyproxy-patch');
    const lines = Array.from({ length: 23 }, (_, number) =>
      JSON.stringify({ ...patched, objectRef: { ...patched.objectRef, name: `proxy-${number}` } }),
    );
    await forward(invocation(payload([...lines, ...lines])));
    expect(eventBridge.requests.map((entries) => entries.length)).toEqual([10, 10, 3]);
    expect(eventBridge.taken.map(({ Detail }) => JSON.parse(Detail).lines)).toEqual(Array(23).fill(2));
  });
});

describe('a bus in trouble', () => {
  const event = invocation(payload([auditLine('envoyproxy-patch'), auditLine('gateway-delete')]));

  test('entries that were refused are sent again, and no other', async () => {
    eventBridge.refuseEntries(2, 'InternalFailure', ({ Detail }) => Detail.includes('"gateways"'));
    await forward(event);
    expect(eventBridge.requests.map((entries) => entries.length)).toEqual([2, 1, 1]);
    expect(eventBridge.taken).toHaveLength(2);
  });

  test('entries that stay refused fail the invocation', async () => {
    eventBridge.refuseEntries(4, 'ThrottlingException', ({ Detail }) => Detail.includes('"gateways"'));
    await expect(forward(event)).rejects.toMatchObject({ name: 'RetryableError' });
    expect(eventBridge.taken).toHaveLength(1);
    expect(logged()).toMatchObject([
      {
        level: 'ERROR',
        message: 'payload not forwarded',
        error: 'RetryableError',
        reason: 'not all of 2 events reached envoy-hpa-reaper: after 4 attempts still refused: ThrottlingException',
      },
    ]);
  });

  test.each([
    [500, 'InternalException'],
    [400, 'ThrottlingException'],
  ])('%i %s is tried again', async (status, type) => {
    eventBridge.failRequests(2, status, type);
    await forward(event);
    expect(eventBridge.requests).toHaveLength(3);
    expect(eventBridge.taken).toHaveLength(2);
  });

  test('one that fails for good fails the invocation', async () => {
    eventBridge.failRequests(1, 400, 'ResourceNotFoundException');
    await expect(forward(event)).rejects.toMatchObject({
      name: 'RetryableError',
      cause: { name: 'ResourceNotFoundException' },
    });
    expect(eventBridge.taken).toEqual([]);
  });
});

describe('a bad event', () => {
  const data = (content: string | Buffer) => ({ awslogs: { data: Buffer.from(content).toString('base64') } });
  const line = auditLine('envoyproxy-patch');

  test.each<[string, unknown, RegExp]>([
    ['nothing', undefined, /^the event has no text awslogs.data; only a subscription filter/],
    ['another service', { Records: [] }, /^the event has no text awslogs.data; /],
    ['data that is no text', { awslogs: { data: 1 } }, /^the event has no text awslogs.data; /],
    ['not base64', { awslogs: { data: '%secret%' } }, /^awslogs.data is not base64; /],
    ['not gzip', data('secret'), /^awslogs.data is base64 but not of gzip; /],
    ['cut gzip', data(gzipSync('secret').subarray(0, 12)), /^awslogs.data is base64 but not of gzip; /],
    ['not JSON', data(gzipSync('secret')), /^awslogs.data is base64 of gzip but not of JSON; /],
    [
      'other JSON',
      invocation({ logEvents: 'secret' }),
      /^awslogs.data is JSON but not what .*: messageType: .*; owner: /,
    ],
    ['no lines', invocation(payload([])), /^awslogs.data is JSON but not what CloudWatch Logs sends: logEvents: .*; /],
    ['an unknown messageType', invocation(payload([line], { messageType: 'NEWS' })), /^messageType NEWS is neither/],
    [
      'a log group that goes deeper',
      invocation(payload([line], { logGroup: '/aws/eks/shop/cluster/x' })),
      /is not \/aws\/eks/,
    ],
    [
      'an impossible cluster name',
      invocation(payload([line], { logGroup: '/aws/eks/-shop/cluster' })),
      /is not \/aws\/eks/,
    ],
    ["another account's", invocation(payload([line], { owner: '999999999999' })), /999999999999.*123456789012/],
    ['another log group', invocation(payload([line], { logGroup: '/aws/rds/x' })), /^log group \/aws\/rds\/x is not/],
  ])('%s is refused: logged, thrown, nothing forwarded', async (_, event, message) => {
    await expect(forward(event)).rejects.toMatchObject({
      name: 'MalformedInputError',
      message: expect.stringMatching(message),
    });
    expect(eventBridge.requests).toEqual([]);
    expect(logged()).toMatchObject([
      { level: 'ERROR', error: 'MalformedInputError', reason: expect.stringMatching(message) },
    ]);
    expect(output).not.toContain('secret');
  });
});

describe('the environment', () => {
  test('all that is missing or malformed is named at once, before anything is done', async () => {
    vi.stubEnv('ACCOUNT_ID', undefined);
    vi.stubEnv('AWS_REGION', 'Frankfurt');
    vi.stubEnv('EVENT_BUS_NAME', 'secret bus');
    const failure = await forward(invocation(payload([]))).catch((error: unknown) => error);
    expect(failure).toMatchObject({
      name: 'ConfigurationError',
      faults: [
        'ACCOUNT_ID is missing',
        'AWS_REGION: expected an AWS Region',
        "EVENT_BUS_NAME: expected an event bus's name or ARN",
      ],
    });
    expect(String(failure)).not.toContain('secret bus');
  });

  test.each([
    ['EVENT_BUS_NAME', `arn:aws-us-gov:events:us-gov-west-1:${ACCOUNT}:event-bus/envoy-hpa-reaper`],
    ['AWS_REGION', 'us-gov-west-1'],
  ])('%s may be %s', async (name, value) => {
    vi.stubEnv(name, value);
    await expect(forward(invocation(payload([auditLine('gateway-patch')])))).resolves.toBeUndefined();
  });
});
