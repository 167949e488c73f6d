import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ACCOUNT, REGION } from '../embedded-cluster/event-path.ts';
import { enroll, enrollmentSurroundings, logGroup, ourEntries, ourEntry, ourFilter, REAP } from './enroll-harness.ts';

const around = enrollmentSurroundings();

/** The signed query of a URL with which anybody can answer for the stack. */
const SIGNATURE = '?X-Amz-Signature=0123456789abcdef';

/** CloudFormation's side: the answers that it received, and the status of each of its replies (200 by default; a function: no reply). */
let answers: { method?: string; url?: string; headers: IncomingHttpHeaders; body: Record<string, unknown> }[];
let statuses: (number | (() => void))[];
let stack: Server;

beforeEach(async () => {
  answers = [];
  statuses = [];
  stack = createServer(async (request, response) => {
    const { method, url, headers } = request;
    answers.push({ method, url, headers, body: JSON.parse(await text(request)) });
    const status = statuses.shift() ?? 200;
    if (typeof status === 'number') response.writeHead(status).end();
    else status();
  });
  await new Promise<void>((listening) => stack.listen(0, '127.0.0.1', listening));
});
afterEach(async () => {
  stack.closeAllConnections();
  await new Promise((closed) => stack.close(closed));
  expect(around.output.text).not.toContain('X-Amz-Signature');
});

const STACK = `arn:aws:cloudformation:${REGION}:${ACCOUNT}:stack/envoy-hpa-reaper/0123`;

/** A request as CloudFormation sends it. */
function stackRequest(RequestType: string, more: Record<string, unknown> = {}) {
  const { port } = stack.address() as AddressInfo;
  return {
    RequestType,
    ServiceToken: `arn:aws:lambda:${REGION}:${ACCOUNT}:function:envoy-hpa-reaper-enroll`,
    ResponseURL: `http://127.0.0.1:${port}/answer${SIGNATURE}`,
    StackId: STACK,
    RequestId: 'request-1',
    LogicalResourceId: 'EnrollmentRemoval',
    ResourceType: 'AWS::CloudFormation::CustomResource',
    ResourceProperties: { ServiceToken: 'arn', ServiceTimeout: '330' },
    ...(RequestType !== 'Create' && { PhysicalResourceId: 'envoy-hpa-reaper-enrollment' }),
    ...more,
  };
}

const theAnswer = (answer: Record<string, unknown>) => {
  const request = { StackId: STACK, RequestId: 'request-1', LogicalResourceId: 'EnrollmentRemoval' };
  const body = { PhysicalResourceId: 'envoy-hpa-reaper-enrollment', ...request, ...answer };
  return [expect.objectContaining({ method: 'PUT', url: `/answer${SIGNATURE}`, body })];
};
const succeeded = () => theAnswer({ Status: 'SUCCESS' });

function enrolledAccount() {
  for (const name of ['a', 'b', 'c']) {
    around.eks.add(name, { entries: ourEntries() });
    around.logs.add(logGroup(name), [ourFilter()]);
  }
  around.logs.add(logGroup('gone'), [ourFilter()]);
}
const left = () => [
  ...[...around.eks.clusters.values()].flatMap(({ entries }) => [...entries.keys()]),
  ...[...around.logs.groups.values()].flatMap(({ filters }) => filters.map(({ filterName }) => filterName)),
];

const failed = (reason: string | RegExp) =>
  theAnswer({ Status: 'FAILED', Reason: typeof reason === 'string' ? reason : expect.stringMatching(reason) });

test.each(['Create', 'Update'])('answers %s at once, and does nothing', async (type) => {
  enrolledAccount();
  await expect(enroll(stackRequest(type))).resolves.toBeUndefined();
  expect(answers).toEqual(succeeded());
  // The URL is signed for a request without a content type.
  expect(answers[0]?.headers['content-type']).toBeUndefined();
  expect(answers[0]?.headers['content-length']).toBe(String(JSON.stringify(answers[0]?.body).length));
  expect([...around.eks.calls, ...around.logs.calls]).toEqual([]);
});

test('deletes everything of ours with the stack, whatever the list says, and nothing else', async () => {
  vi.stubEnv('CLUSTERS', 'a');
  enrolledAccount();
  const theirs = { filterName: 'theirs', filterPattern: '', destinationArn: 'theirs' };
  around.logs.groups.get(logGroup('a'))?.filters.push(theirs);
  around.eks.clusters.get('b')?.entries.set('arn:aws:iam::1:role/admin', ourEntry(REAP));
  await enroll(stackRequest('Delete'));
  expect(left()).toEqual(['arn:aws:iam::1:role/admin', 'theirs']);
  expect(answers).toEqual(succeeded());
});

describe('the deletion of a stack with one cluster', () => {
  const called = () => [...around.eks.calls, ...around.logs.calls].map(({ action }) => action);
  const ENTRY = ['eks:DescribeAccessEntry', 'eks:DeleteAccessEntry'];
  const FILTER = ['logs:DescribeLogGroups', 'logs:DescribeSubscriptionFilters', 'logs:DeleteSubscriptionFilter'];
  const ALL = ['eks:ListClusters', 'eks:DescribeCluster', ...ENTRY, ...ENTRY, ...FILTER];
  const enrolled = (status: string) => {
    around.eks.add('a', { status, entries: ourEntries() });
    around.logs.add(logGroup('a'), [ourFilter()]);
  };

  test.each([
    ...['ACTIVE', 'UPDATING', 'CREATING', 'FAILED', 'PENDING'].map((status) => [status, ALL] as const),
    // Its entries are deleted with it; its log group is not.
    ['DELETING', ['eks:ListClusters', 'eks:DescribeCluster', ...FILTER]] as const,
  ])('that is %s deletes what is not deleted with it', async (status, calls) => {
    enrolled(status);
    await enroll(stackRequest('Delete'));
    expect(called()).toEqual(calls);
    expect(around.logs.groups.get(logGroup('a'))?.filters).toEqual([]);
    expect(answers).toEqual(succeeded());
  });

  test.each([
    ['left its log group', () => around.logs.add(logGroup('a'), [ourFilter()])],
    ['left nothing', () => {}],
  ])('that is gone since it was listed, and %s, succeeds', async (_, leave) => {
    around.eks.add('a');
    around.eks.refuse(/^GET \/clusters\/a$/, 404, 'ResourceNotFoundException');
    leave();
    await enroll(stackRequest('Delete'));
    expect(left()).toEqual([]);
    expect(answers).toEqual(succeeded());
  });
});

test('fails to delete the stack if something of ours is left, names it, and deletes the rest', async () => {
  enrolledAccount();
  around.eks.refuse(/^DELETE .*b\/access-entries.*-reap-/, 403, 'AccessDeniedException');
  await enroll(stackRequest('Delete'));
  expect(left()).toEqual([REAP.arn]);
  expect(answers).toEqual(
    failed(/^b: EKS could not delete the access entry of .*-reap-eu-central-1 in b.*docs\/permissions\.md\.$/),
  );
});

test('answers with at most as much text as CloudFormation accepts', async () => {
  for (let number = 0; number < 20; number += 1) around.eks.add(`cluster-${number}`, { entries: ourEntries() });
  around.eks.refuse(/^DELETE/, 403, 'AccessDeniedException');
  await enroll(stackRequest('Delete'));
  expect(answers[0]?.body.Status).toBe('FAILED');
  expect(String(answers[0]?.body.Reason)).toHaveLength(1_000);
});

test('answers with a failure before Lambda ends the process, if AWS does not answer', async () => {
  const silent = createServer(() => {});
  await new Promise<void>((listening) => silent.listen(0, '127.0.0.1', listening));
  vi.stubEnv('AWS_ENDPOINT_URL_EKS', `http://127.0.0.1:${(silent.address() as AddressInfo).port}`);
  const started = Date.now();
  await enroll(stackRequest('Delete'), 20_300);
  expect(Date.now() - started).toBeLessThan(4_000);
  expect(answers).toEqual(failed('it took too long: delete the stack again'));
  silent.closeAllConnections();
  silent.close();
});

test('answers with a failure if the clusters cannot be listed', async () => {
  around.eks.refuse(/^GET \/clusters$/, 403, 'AccessDeniedException');
  await enroll(stackRequest('Delete'));
  const reason = /^EKS could not list the clusters of eu-central-1: /;
  expect(answers).toEqual(failed(reason));
  const line = { message: 'removal not complete', reason: expect.stringMatching(reason) };
  expect(around.output.logged()).toContainEqual(expect.objectContaining(line));
});

test('answers with a failure if no time is left for the clusters', async () => {
  enrolledAccount();
  await enroll(stackRequest('Delete'), 50_000);
  expect(answers).toEqual(failed('no time was left for 4 clusters: delete the stack again'));
  expect(around.eks.writes).toEqual([]);
});

test('sends an answer again that CloudFormation refused, or did not reply to within 4 seconds', async () => {
  const impatience = new AbortController();
  const timeout = vi.spyOn(AbortSignal, 'timeout').mockReturnValueOnce(impatience.signal);
  statuses = [() => impatience.abort(), 403];
  await enroll(stackRequest('Create'));
  expect(answers).toHaveLength(3);
  expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1);
  expect(timeout.mock.calls).toEqual([[4_000], [4_000], [4_000]]);
});

test('fails the invocation, so that Lambda retries it, if no answer is accepted, and logs no URL', async () => {
  statuses = [500, 500, 500];
  await expect(enroll(stackRequest('Create'))).rejects.toMatchObject({
    name: 'RetryableError', // Lambda sends the request again.
    message: expect.stringMatching(/^CloudFormation did not accept the answer: .*500$/),
  });
  expect(answers).toHaveLength(3);
});
