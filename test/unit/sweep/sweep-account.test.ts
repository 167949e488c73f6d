import { describe, expect, test, vi } from 'vitest';
import { runReportSchema } from '../../../functions/events/report.ts';
import { DEFAULT_GUARDS } from '../../../functions/judgement/guards.ts';
import { NoAnswerError, RetryableError } from '../../../functions/platform/errors.ts';
import { SILENT } from '../../../functions/platform/logger.ts';
import { dispatchSweeps, sweepAccount } from '../../../functions/sweep/sweep-account.ts';
import { autoscaling, envoyHpa, gateway, gatewayClass } from '../../builders/cluster.ts';
import { apiOf } from '../../builders/cluster-api.ts';
import { type Directory, directoryOf, scopesOf, skipped } from '../../builders/directory.ts';
import { byDefault, config } from '../../builders/verdicts.ts';

const NOW = new Date('2027-01-01T00:00:00Z');
const hpasOf = (names: readonly string[]) => names.flatMap((name) => [gateway(name), envoyHpa(name)]);
const stale = (...names: string[]) => apiOf([gatewayClass(), config, ...hpasOf(names)]);
const wanted = (...names: string[]) => apiOf([gatewayClass(), byDefault(autoscaling()), ...hpasOf(names)]);

type Options = Parameters<typeof sweepAccount>[0];
const sweep = (scopes: Options['scopes'], options: Partial<Options> = {}) =>
  sweepAccount({
    ...{ scopes, mode: 'delete', guards: DEFAULT_GUARDS, concurrency: 1, maxDeletionsOfRun: 100, runId: 'run-1' },
    ...{ now: () => NOW, log: SILENT },
    ...options,
  });
const sweepRegion = (directory: Directory, options?: Partial<Options>) =>
  sweep(scopesOf({ 'eu-central-1': directory }), options);

/** `cluster in region: result and outcomes` of each. */
const summaryOf = ({ clusters }: Awaited<ReturnType<typeof sweep>>) =>
  clusters.map(({ cluster, region, result, problem, hpas }) =>
    [`${cluster} in ${region}: ${result}`, problem?.reason, ...hpas.map(({ outcome }) => outcome)]
      .filter(Boolean)
      .join(' '),
  );

describe('a run', () => {
  test('sweeps all clusters of all Regions, and sums up', async () => {
    const central = directoryOf({ b: { api: stale('shop/a') }, a: { api: wanted('shop/a') } });
    const west = directoryOf({ a: { api: stale('shop/a', 'shop/b') } });
    const info = vi.fn();
    const report = await sweep(scopesOf({ 'eu-central-1': central, 'eu-west-1': west }), { log: { ...SILENT, info } });
    expect(summaryOf(report)).toEqual([
      'a in eu-central-1: swept Kept',
      'b in eu-central-1: swept Deleted',
      'a in eu-west-1: swept Deleted Deleted',
    ]);
    expect(report).toMatchObject({ runId: 'run-1', mode: 'delete', regions: [], remaining: [] });
    expect(report.totals).toEqual({
      ...{ clusters: 3, swept: 3, skipped: 0, failed: 0, hpas: 4, stale: 3, missing: 0 },
      outcomes: { Kept: 1, Deleted: 3 },
    });
    expect(report.clusters.map(({ sweepId }) => sweepId)).toEqual([
      ...['run-1/eu-central-1/a', 'run-1/eu-central-1/b', 'run-1/eu-west-1/a'],
    ]);
    expect(runReportSchema.parse(structuredClone(report))).toEqual(report);
    const { runId, mode, totals, regions, remaining } = report;
    expect(info).toHaveBeenLastCalledWith('run finished', { runId, mode, totals, regions, remaining });
  });

  test('counts a cluster with several names once, although an HPA was created between its sweeps', async () => {
    const server = 'https://a.example.com';
    const directory = directoryOf({
      ...{ a: { api: wanted('shop/a'), server }, b: { api: wanted('shop/b', 'shop/a'), server } },
      ...{ c: { api: wanted('shop/a'), server }, copy: { api: wanted('shop/a'), server: `${server}:8443` } },
      ...{ proxied: { api: wanted('shop/c'), server }, unknown: { api: wanted('shop/a') } },
    });
    const report = await sweep([{ directory }]);
    expect(report.clusters.map(({ cluster, sweepId, warnings }) => [cluster, sweepId, warnings])).toMatchObject([
      ['a', 'run-1/a', [{ reason: 'SameCluster', message: expect.stringContaining('b, c') }]],
      ['copy', 'run-1/copy', []],
      ['proxied', 'run-1/proxied', []],
      ['unknown', 'run-1/unknown', []],
    ]);
    expect(report.totals.clusters).toBe(4);
  });

  test('reports only the HPAs that are selected in their cluster', async () => {
    const at = () => ({ api: wanted('shop/a', 'shop/b') });
    const { clusters } = await sweepRegion(directoryOf({ shop: at(), bank: at() }), {
      selects: ({ owner }, { cluster, region }) => `${region}/${cluster}/${owner?.name}` === 'eu-central-1/shop/b',
    });
    expect(clusters.map(({ hpas }) => hpas.map(({ owner }) => owner?.name))).toEqual([[], ['b']]);
  });

  test('is not stopped by a cluster with a problem, which is logged once with its remedy', async () => {
    const warn = vi.fn();
    const unreachable = apiOf([], { list: () => Promise.reject(new NoAnswerError('reset')) });
    const directory = directoryOf({
      a: { fault: new RetryableError('EKS could not describe cluster a') },
      b: { fault: new TypeError('a fault of this program') },
      c: { api: unreachable },
      d: { api: unreachable, publicEndpoint: false },
      e: { fault: skipped('ClusterNotFound', 'there is no cluster e') },
      f: { api: stale('shop/a'), auditLog: false },
    });
    const report = await sweepRegion(directory, { log: { ...SILENT, warn } });
    expect(summaryOf(report)).toEqual([
      'a in eu-central-1: failed SweepFailed',
      'b in eu-central-1: failed InternalError',
      'c in eu-central-1: failed ClusterUnreachable',
      'd in eu-central-1: failed ClusterEndpointPrivate',
      'e in eu-central-1: skipped ClusterNotFound',
      'f in eu-central-1: swept Deleted',
    ]);
    expect(report.totals).toMatchObject({ clusters: 6, swept: 1, skipped: 1, failed: 4 });
    const command = 'aws eks update-cluster-config --region eu-central-1 --name f ';
    expect(report.clusters.flatMap(({ warnings }) => warnings)).toEqual([
      {
        reason: 'AuditLogOff',
        message: expect.stringMatching(/^the audit log of cluster \S+ is off: /),
        remedy: expect.stringContaining(` that it stores: ${command}`),
      },
    ]);
    expect(warn.mock.calls.map(([message]) => message)).toEqual([
      ...Array(4).fill('cluster failed'),
      'cluster skipped',
    ]);
    expect(warn.mock.calls[4]?.[1]).toEqual({
      ...{ cluster: 'e', region: 'eu-central-1', sweepId: 'run-1/eu-central-1/e', reason: 'ClusterNotFound' },
      ...{ explanation: 'there is no cluster e', remedy: 'Nothing to do.' },
    });
  });

  test('names the Region in what it logs and saves before a deletion', async () => {
    const [info, beforeDeletion] = [vi.fn(), vi.fn()];
    await sweepRegion(directoryOf({ a: { api: stale('shop/a') } }), { log: { ...SILENT, info }, beforeDeletion });
    expect(beforeDeletion.mock.calls).toMatchObject([[{ cluster: 'a', region: 'eu-central-1', manifest: {} }]]);
    expect(info).toHaveBeenCalledWith('deleting HPA', ...(beforeDeletion.mock.calls[0] as []));
  });

  test('that is stopped begins no further cluster, and writes no more to the one under way', async () => {
    const stop = new AbortController();
    const [second, third] = [stale('shop/a', 'shop/b'), stale('shop/a')];
    const remove = second.hpas.delete;
    second.hpas.delete = vi.fn((hpa) => {
      stop.abort();
      return remove(hpa);
    });
    const directory = directoryOf({ a: { api: stale('shop/a') }, b: { api: second }, c: { api: third } });
    const report = await sweepRegion(directory, { drainSignal: stop.signal });
    expect(summaryOf(report)).toEqual(['a in eu-central-1: swept Deleted', 'b in eu-central-1: swept Stopped Deleted']);
    expect(report.remaining.map(({ cluster }) => cluster)).toEqual(['b', 'c']);
    expect(report.totals).toMatchObject({ clusters: 3, swept: 2, outcomes: { Deleted: 2, Stopped: 1 } });
    expect(second.hpas.delete).toHaveBeenCalledOnce();
    expect(third.hpas.list).not.toHaveBeenCalled();
  });
});

describe('the deletion limit of a run', () => {
  test.each([
    [7, 'only 1 of the 7 that this run may make is left'],
    [6, 'none of the 6 that this run may make is left'],
  ])(
    'of %i holds back as a whole what does not fit, and counts the same uid in two clusters twice',
    async (limit, left) => {
      const region = () =>
        directoryOf({ a: { api: stale('shop/a', 'shop/b') }, b: { api: stale('shop/a', 'shop/b') } });
      const scopes = scopesOf({ 'eu-central-1': region(), 'eu-west-1': region() });
      const report = await sweep(scopes, { maxDeletionsOfRun: limit });
      expect(report.totals.outcomes).toEqual({ Deleted: 6, HeldBack: 2 });
      const guards = report.clusters.flatMap(({ hpas }) => hpas.flatMap(({ guard }) => guard ?? []));
      expect(guards).toEqual(Array(2).fill({ name: 'BlastRadiusExceeded', explanation: `2 deletions, but ${left}` }));
    },
  );

  test('counts an HPA once that changes and is judged again', async () => {
    const api = stale('shop/a');
    vi.mocked(api.hpas.delete).mockResolvedValueOnce({ result: 'conflict' });
    vi.mocked(api.hpas.get).mockResolvedValueOnce(envoyHpa('shop/a'));
    const report = await sweepRegion(directoryOf({ a: { api } }), { maxDeletionsOfRun: 1 });
    expect(report.totals.outcomes).toEqual({ Deleted: 1 });
    // It is marked once: the mark is intact.
    const { mark, list, delete: remove } = api.hpas;
    expect([mark, list, remove].map((asked) => vi.mocked(asked).mock.calls.length)).toEqual([1, 4, 2]);
  });
});

test('a sweep of each cluster that can be swept is requested over the bus', async () => {
  const put = vi.fn();
  const directory = directoryOf({ a: {}, off: { tags: { 'envoy-hpa-reaper': 'off' } }, b: {} });
  const request = { mode: 'report', runId: 'run-1', maxDeletions: 3 } as const;
  const report = await dispatchSweeps({
    ...{ ...request, scopes: [{ directory }], concurrency: 1, now: () => NOW, eventBus: { put }, log: SILENT },
    arnOf: (cluster) => `arn of ${cluster}`,
  });
  const common = { source: 'envoy-hpa-reaper', detailType: 'Cluster Sweep Requested', time: NOW };
  const detail = { version: '1', ...request, requestedAt: NOW.toISOString() };
  expect(put.mock.calls).toEqual([
    [['a', 'b'].map((cluster) => ({ ...common, detail: { ...detail, cluster }, resources: [`arn of ${cluster}`] }))],
  ]);
  expect(report.totals).toMatchObject({ dispatched: 2, skipped: 1, hpas: 0, missing: 0 });
  expect(report.clusters[0]).toMatchObject({ result: 'dispatched', warnings: [] });
});
