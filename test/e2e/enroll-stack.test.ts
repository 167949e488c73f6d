import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type AwsRequest, type ServiceAnswer, ServiceDouble } from '../doubles/service-double.ts';
import { ACCOUNT, REGION } from '../embedded-cluster/event-path.ts';
import { enroll, enrollmentSurroundings, logGroup, ourEntry, ourFilter, REAP } from './enroll-harness.ts';

const around = enrollmentSurroundings();

/** The signed query of a URL with which anybody can answer for the stack. */
const SIGNATURE = '?X-Amz-Signature=0123456789abcdef';

/** CloudFormation's side. */
class StackDouble extends ServiceDouble {
  readonly answers: (AwsRequest & { body: Record<string, unknown> })[] = [];
  /** The status of each reply, 200 by default; a function: no reply. */
  readonly statuses: (number | (() => void))[] = [];

  protected override async answer({ method, url, headers }: AwsRequest, body: string): Promise<ServiceAnswer> {
    this.answers.push({ method, url, headers, body: JSON.parse(body) });
    const status = this.statuses.shift() ?? 200;
    if (typeof status === 'number') return { status, body: '' };
    status();
    return await new Promise(() => {});
  }
}
let stack: StackDouble;
let stackUrl: string;

beforeEach(async () => {
  stack = new StackDouble();
  stackUrl = await stack.start();
});
afterEach(async () => {
  await stack.stop();
  expect(around.output.text).not.toContain('X-Amz-Signature');
});

const IDS = {
  StackId: `arn:aws:cloudformation:${REGION}:${ACCOUNT}:stack/envoy-hpa-reaper/0123`,
  ...{ RequestId: 'request-1', LogicalResourceId: 'EnrollmentRemoval' },
};

/** A request as CloudFormation sends it. */
const stackRequest = (RequestType: string) => ({
  ...{ ...IDS, RequestType, ResponseURL: `${stackUrl}/answer${SIGNATURE}` },
  ServiceToken: `arn:aws:lambda:${REGION}:${ACCOUNT}:function:envoy-hpa-reaper-enroll`,
  ResourceType: 'AWS::CloudFormation::CustomResource',
  ResourceProperties: { ServiceToken: 'arn', ServiceTimeout: '330' },
  ...(RequestType !== 'Create' && { PhysicalResourceId: 'envoy-hpa-reaper-enrollment' }),
});

const theAnswer = (answer: Record<string, unknown>) => {
  const body = { PhysicalResourceId: 'envoy-hpa-reaper-enrollment', ...IDS, ...answer };
  return [expect.objectContaining({ method: 'PUT', url: `/answer${SIGNATURE}`, body })];
};
const succeeded = () => theAnswer({ Status: 'SUCCESS' });

function enrolledAccount() {
  for (const name of ['a', 'b', 'c']) around.enrolled(name);
  around.logs.add(logGroup('gone'), [ourFilter()]);
}
const left = () => [
  ...[...around.eks.clusters.values()].flatMap(({ entries }) => [...entries.keys()]),
  ...[...around.logs.groups.values()].flatMap(({ filters }) => filters.map(({ filterName }) => filterName)),
];

const failed = (reason: RegExp) => theAnswer({ Status: 'FAILED', Reason: expect.stringMatching(reason) });

test.each(['Create', 'Update'])('answers %s at once, and does nothing', async (type) => {
  enrolledAccount();
  await expect(enroll(stackRequest(type))).resolves.toBeUndefined();
  expect(stack.answers).toEqual(succeeded());
  // The URL is signed for a request without a content type.
  expect(stack.answers[0]?.headers['content-type']).toBeUndefined();
  expect(stack.answers[0]?.headers['content-length']).toBe(String(JSON.stringify(stack.answers[0]?.body).length));
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
  expect(stack.answers).toEqual(succeeded());
});

describe('the deletion of a stack with one cluster', () => {
  const called = () => [...around.eks.calls, ...around.logs.calls].map(({ action }) => action);
  const ENTRY = ['eks:DescribeAccessEntry', 'eks:DeleteAccessEntry'];
  const FILTER = ['logs:DescribeLogGroups', 'logs:DescribeSubscriptionFilters', 'logs:DeleteSubscriptionFilter'];
  const ALL = ['eks:ListClusters', 'eks:DescribeCluster', ...ENTRY, ...ENTRY, ...FILTER];
  test.each([
    ...['ACTIVE', 'UPDATING', 'CREATING', 'FAILED', 'PENDING'].map((status) => [status, ALL] as const),
    // Its entries are deleted with it; its log group is not.
    ['DELETING', ['eks:ListClusters', 'eks:DescribeCluster', ...FILTER]] as const,
  ])('that is %s deletes what is not deleted with it', async (status, calls) => {
    around.enrolled('a', { status });
    await enroll(stackRequest('Delete'));
    expect(called()).toEqual(calls);
    expect(around.logs.groups.get(logGroup('a'))?.filters).toEqual([]);
    expect(stack.answers).toEqual(succeeded());
  });

  test.each([
    ['left its log group', () => around.logs.add(logGroup('a'), [ourFilter()])],
    ['left nothing', () => {}],
  ])('succeeds if the cluster disappeared after it was listed, and %s', async (_, leave) => {
    around.eks.add('a');
    around.eks.refuse(/^GET \/clusters\/a$/, 404, 'ResourceNotFoundException');
    leave();
    await enroll(stackRequest('Delete'));
    expect(left()).toEqual([]);
    expect(stack.answers).toEqual(succeeded());
  });
});

test('fails to delete the stack if something of ours is left, names it, and deletes the rest', async () => {
  enrolledAccount();
  around.eks.refuse(/^DELETE .*b\/access-entries.*-reap-/, 403, 'AccessDeniedException');
  await enroll(stackRequest('Delete'));
  expect(left()).toEqual([REAP.arn]);
  expect(stack.answers).toEqual(
    failed(/^b: EKS could not delete the access entry of .*-reap-eu-central-1 in b.*docs\/permissions\.md\.$/),
  );
});

test('answers with at most as much text as CloudFormation accepts', async () => {
  for (let number = 0; number < 20; number += 1) around.enrolled(`cluster-${number}`);
  around.eks.refuse(/^DELETE/, 403, 'AccessDeniedException');
  await enroll(stackRequest('Delete'));
  expect(stack.answers[0]?.body.Status).toBe('FAILED');
  expect(String(stack.answers[0]?.body.Reason)).toHaveLength(1_000);
});

test.each<[string, () => unknown, RegExp, number?]>([
  [
    'AWS does not answer before Lambda ends the process',
    () => Object.assign(around.eks, { answer: () => new Promise(() => {}) }),
    ...([/^it took too long: delete the stack again$/, 20_300] as const),
  ],
  [
    'the clusters cannot be listed',
    () => around.eks.refuse(/^GET \/clusters$/, 403, 'AccessDeniedException'),
    /^EKS could not list the clusters of eu-central-1: /,
  ],
  ['no time is left for them', () => {}, /^no time was left for 4 clusters: delete the stack again$/, 50_000],
])('answers with a failure, deletes nothing, and logs why, if %s', async (_, fail, reason, time) => {
  enrolledAccount();
  fail();
  const started = Date.now();
  await enroll(stackRequest('Delete'), time);
  expect(Date.now() - started).toBeLessThan(4_000);
  expect(stack.answers).toEqual(failed(reason));
  const line = { message: 'removal not complete', reason: expect.stringMatching(reason) };
  expect(around.output.logged()).toContainEqual(expect.objectContaining(line));
  expect(around.eks.writes).toEqual([]);
});

test('sends an answer again that CloudFormation refused, or did not reply to within 4 seconds', async () => {
  const impatience = new AbortController();
  const timeout = vi.spyOn(AbortSignal, 'timeout').mockReturnValueOnce(impatience.signal);
  stack.statuses.push(() => impatience.abort(), 403);
  await enroll(stackRequest('Create'));
  expect(stack.answers).toHaveLength(3);
  expect(new Set(stack.answers.map(({ body }) => JSON.stringify(body))).size).toBe(1);
  expect(timeout.mock.calls).toEqual([[4_000], [4_000], [4_000]]);
});

test('fails the invocation, so that Lambda retries it, if no answer is accepted, and logs no URL', async () => {
  stack.statuses.push(500, 500, 500);
  await expect(enroll(stackRequest('Create'))).rejects.toMatchObject({
    name: 'RetryableError', // Lambda sends the request again.
    message: expect.stringMatching(/^CloudFormation did not accept the answer: .*500$/),
  });
  expect(stack.answers).toHaveLength(3);
});
