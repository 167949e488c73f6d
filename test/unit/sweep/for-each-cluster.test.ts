import { expect, test, vi } from 'vitest';
import type { AccountDirectory } from '../../../functions/kubernetes/directory.ts';
import { ClusterSkippedError, RetryableError } from '../../../functions/platform/errors.ts';
import { forEachCluster } from '../../../functions/sweep/for-each-cluster.ts';

type Options = Parameters<typeof forEachCluster>[0];
const skipped = (reason: ClusterSkippedError['reason']) => new ClusterSkippedError({ reason, message: '', remedy: '' });

/** Clusters that are described with one tag, or not described because of a fault. */
function directoryOf(clusters: Record<string, Error | undefined>) {
  const forget = vi.fn();
  const describe = async (name: string) => {
    if (clusters[name]) throw clusters[name];
    return { tags: { team: 'shop' } };
  };
  return { list: async () => Object.keys(clusters), describe, forget } as unknown as AccountDirectory;
}

async function run(options: Partial<Options> & Pick<Options, 'scopes'>) {
  const worked: string[] = [];
  const report = await forEachCluster({ concurrency: 1, ...options }, async ({ cluster }, description) => {
    worked.push(description ? cluster : `${cluster} without a description`);
  });
  const problems = report.clusters.map((one) => [one.cluster, 'problem' in one ? one.problem.reason : undefined]);
  return { worked, problems: Object.fromEntries(problems), remaining: report.remaining, regions: report.regions };
}

test('works on names that do not exist if asked to, and on no others that cannot be described', async () => {
  const faults = { absent: skipped('ClusterNotFound'), out: skipped('ClusterOptedOut'), slow: new RetryableError('') };
  const [clusters, scopes] = [['absent', 'out', 'slow'], [{ directory: directoryOf(faults) }]];
  const problems = { out: 'ClusterOptedOut', slow: 'SweepFailed' };
  expect(await run({ scopes, clusters, includesMissing: true })).toMatchObject({
    worked: ['absent without a description'],
    problems: { absent: undefined, ...problems },
  });
  expect(await run({ scopes, clusters })).toMatchObject({
    worked: [],
    problems: { absent: 'ClusterNotFound', ...problems },
  });
  const tags = { team: 'shop' };
  expect(await run({ scopes, clusters: ['absent'], tags, includesMissing: true })).toEqual({
    ...{ worked: [], problems: {}, remaining: [], regions: [] },
  });
});

test('keeps the connections of clusters without a problem only', async () => {
  const directory = directoryOf({ a: undefined, b: new RetryableError('') });
  await run({ scopes: [{ directory }], keepsConnections: true });
  expect(vi.mocked(directory.forget).mock.calls).toEqual([['b']]);
});

test('works on the other scopes if one cannot be listed', async () => {
  const broken = { ...directoryOf({}), list: () => Promise.reject(new RetryableError('')) };
  const scopes = [{ region: 'eu-west-1', directory: broken }, { directory: directoryOf({ a: undefined }) }];
  expect(await run({ scopes })).toMatchObject({
    ...{ worked: ['a'], problems: { a: undefined }, regions: [{ region: 'eu-west-1' }] },
  });
});

test('lists no more Regions at a time than it works on clusters', async () => {
  const list = vi.fn(() => new Promise<never>(() => {}));
  void run({ scopes: Array.from({ length: 3 }, () => ({ directory: { ...directoryOf({}), list } })), concurrency: 2 });
  await vi.waitFor(() => expect(list).toHaveBeenCalled());
  expect(list).toHaveBeenCalledTimes(2);
});

test('finds no name in no scope, and says where it has looked', async () => {
  expect((await run({ scopes: [], clusters: ['a'] })).problems).toEqual({ a: 'ClusterNotFound' });
  const directory = directoryOf({});
  const report = await forEachCluster(
    { scopes: [{ directory }, { region: 'eu-west-1', directory }], clusters: ['a'], concurrency: 1 },
    async () => {},
  );
  expect(report.clusters).toMatchObject([
    { problem: { message: expect.stringContaining('the kubeconfig, eu-west-1') } },
  ]);
});
