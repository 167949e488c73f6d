import { getEventListeners } from 'node:events';
import { describe, expect, test, vi } from 'vitest';
import { AwsAccessError, RetryableError } from '../../../functions/platform/errors.ts';
import { forEachCluster } from '../../../functions/sweep/for-each-cluster.ts';
import { directoryOf, scopesOf, skipped } from '../../builders/directory.ts';

type Options = Parameters<typeof forEachCluster>[0];
const slow = new RetryableError('throttled');
const denied = new AwsAccessError('EKS could not list', 'Get new credentials.');
const unlisted = (fault: Error) => {
  const directory = directoryOf({ a: {} });
  directory.list.mockRejectedValue(fault);
  return directory;
};

async function run(options: Partial<Options> & Pick<Options, 'scopes'>) {
  const worked: string[] = [];
  const report = await forEachCluster({ concurrency: 1, ...options }, async ({ cluster, region }, description) => {
    worked.push([region, cluster, description ? [] : 'without a description'].flat().filter(Boolean).join(' '));
  });
  const problems = report.clusters.flatMap((one) =>
    'problem' in one ? [`${one.result} ${one.cluster}: ${one.problem.reason}, ${one.problem.message}`] : [],
  );
  return { ...report, worked, problems };
}

test('works on all clusters in the order of the Regions and of the names, and keeps no connection', async () => {
  const [central, west] = [directoryOf({ b: {}, a: {} }), directoryOf({ a: {} })];
  const report = await run({ scopes: scopesOf({ 'eu-west-1': west, 'eu-central-1': central }) });
  expect(report.worked).toEqual(['eu-west-1 a', 'eu-central-1 a', 'eu-central-1 b']);
  expect(report.clusters.map(({ cluster }) => cluster)).toEqual(['a', 'a', 'b']);
  expect([central, west].flatMap(({ forget }) => forget.mock.calls)).toEqual([['a'], ['b'], ['a']]);
});

test('works on names that do not exist if asked to, and on no others that cannot be described', async () => {
  const directory = directoryOf({ out: { fault: skipped('ClusterOptedOut', 'tagged') }, slow: { fault: slow } });
  const [clusters, scopes] = [['absent', 'out', 'slow'], [{ directory }]];
  const problems = ['skipped out: ClusterOptedOut, tagged', 'failed slow: SweepFailed, throttled'];
  expect(await run({ scopes, clusters, includesMissing: true })).toMatchObject({
    worked: ['absent without a description'],
    problems,
  });
  const absent = 'skipped absent: ClusterNotFound, there is no cluster absent';
  expect(await run({ scopes, clusters })).toMatchObject({ worked: [], problems: [absent, ...problems] });
  const tags = { team: 'shop' };
  expect(await run({ scopes, clusters: ['absent'], tags, includesMissing: true })).toEqual({
    ...{ worked: [], clusters: [], problems: [], remaining: [], regions: [] },
  });
});

test('works on the clusters with all tags, and does not count the others', async () => {
  const directory = directoryOf({
    carries: { tags: { team: 'shop', stage: 'live', more: '1' } },
    lacksOne: { tags: { team: 'shop' } },
    hasAnother: { tags: { team: 'shop', stage: 'test' } },
    none: {},
  });
  const report = await run({ scopes: [{ directory }], tags: { team: 'shop', stage: 'live' } });
  expect(report).toMatchObject({ worked: ['carries'], clusters: [{}], remaining: [] });
});

test('keeps the connections of clusters without a problem only', async () => {
  const directory = directoryOf({ a: {}, b: { fault: slow } });
  await run({ scopes: [{ directory }], keepsConnections: true });
  expect(directory.forget.mock.calls).toEqual([['b']]);
});

test('looks for the named clusters of one Region once each, without listing any', async () => {
  const directory = directoryOf({ a: {}, b: {} });
  const report = await run({ scopes: [{ directory }], clusters: ['b', 'nowhere', 'b'] });
  expect(report).toMatchObject({ worked: ['b'], problems: [expect.stringMatching(/^skipped nowhere: /)] });
  expect(directory.describe.mock.calls).toEqual([['b'], ['nowhere']]);
  expect(directory.list).not.toHaveBeenCalled();
});

test('looks for the named clusters of several Regions, and reports a name that is in no scope, and where it looked', async () => {
  const scopes = [...scopesOf({ 'eu-west-1': directoryOf({ a: {}, b: {} }) }), { directory: directoryOf({ a: {} }) }];
  const report = await run({ scopes, clusters: ['a', 'c', 'c'] });
  expect(report.worked).toEqual(['eu-west-1 a', 'a']);
  expect(report.problems).toEqual(['skipped c: ClusterNotFound, there is no cluster c in eu-west-1, the kubeconfig']);
  expect((await run({ scopes: [], clusters: ['a'] })).problems).toHaveLength(1);
});

test('works on the other Regions when one cannot be listed, which may have a name that is nowhere else', async () => {
  const scopes = scopesOf({ 'eu-central-1': directoryOf({ a: {} }), 'eu-west-1': unlisted(denied) });
  const report = await run({ scopes, clusters: ['a', 'b'] });
  expect(report.worked).toEqual(['eu-central-1 a']);
  expect((await run({ scopes })).clusters).toHaveLength(1);
  expect(report.problems).toEqual([
    'failed b: ClusterNotFound, there is no cluster b in eu-central-1; eu-west-1 could not be listed',
  ]);
  expect(report.regions).toEqual([
    {
      ...{ region: 'eu-west-1', reason: 'AwsAccessRefused', message: 'EKS could not list' },
      remedy: 'Get new credentials.',
    },
  ]);
});

test.each<[string, Error[], Error]>([
  ['the refusal where AWS denies access everywhere', [denied, denied], denied],
  ['the refusal before another fault', [slow, denied], denied],
  ['another fault', [slow], slow],
])('throws %s when no Region can be listed', async (_, faults, thrown) => {
  await expect(run({ scopes: faults.map((fault) => ({ directory: unlisted(fault) })) })).rejects.toBe(thrown);
});

test('lists no more Regions at a time than it works on clusters', async () => {
  const directory = directoryOf({});
  directory.list.mockReturnValue(new Promise(() => {}));
  void run({ scopes: [{ directory }, { directory }, { directory }], concurrency: 2 });
  await vi.waitFor(() => expect(directory.list).toHaveBeenCalled());
  expect(directory.list).toHaveBeenCalledTimes(2);
});

test('reports its progress, without the clusters that are not selected', async () => {
  const tags = { team: 'shop' };
  const onProgress = vi.fn();
  const directory = directoryOf({ a: { tags }, b: { tags: { not: 'selected' } }, c: { fault: slow }, d: { tags } });
  await run({ scopes: [{ directory }], tags, onProgress });
  expect(onProgress.mock.calls.map(([{ clusters, done, problems }]) => [clusters, done, problems])).toEqual([
    ...[
      [4, 0, 0],
      [4, 1, 0],
      [3, 1, 0],
      [3, 2, 1],
      [3, 3, 1],
    ],
  ]);
});

describe('a deadline', () => {
  test('keeps nothing in memory if the run ends before it', async () => {
    const deadline = new AbortController();
    await run({ scopes: [{ directory: directoryOf({ a: {} }) }], deadlineSignal: deadline.signal });
    expect(getEventListeners(deadline.signal, 'abort')).toEqual([]);
  });

  test('does not begin a cluster that EKS describes later', async () => {
    const deadline = new AbortController();
    const described = Promise.withResolvers<{ tags: Record<string, string> }>();
    const directory = directoryOf({ a: {} });
    directory.describe.mockImplementation(() => {
      deadline.abort();
      return described.promise;
    });
    const report = await run({ scopes: [{ directory }], deadlineSignal: deadline.signal });
    expect(report).toMatchObject({ clusters: [], remaining: [{ cluster: 'a' }] });
    described.resolve({ tags: {} });
    await new Promise((resolve) => setImmediate(resolve));
    expect(report.worked).toEqual([]);
  });
});
