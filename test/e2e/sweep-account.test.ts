import { describe, expect, test, vi } from 'vitest';
import { DEFAULT_GUARDS } from '../../functions/judgement/guards.ts';
import { clusterApi } from '../../functions/kubernetes/cluster-api.ts';
import { SILENT } from '../../functions/platform/logger.ts';
import { sweepAccount } from '../../functions/sweep/sweep-account.ts';
import { directoryOf, scopesOf } from '../builders/directory.ts';
import { connectionTo, type EmbeddedCluster } from '../embedded-cluster/embedded-cluster.ts';
import { beforeFirst, rewrite, serve, staleList, times } from './harness.ts';

/** A run over these clusters, whose connections close when they are forgotten. */
async function run(clusters: Record<string, EmbeddedCluster>, deadlineSignal: AbortSignal, log = SILENT) {
  const known = new Map(Object.entries(clusters).map(([name, at]) => [name, { api: clusterApi(connectionTo(at)) }]));
  const directory = directoryOf(Object.fromEntries(known));
  directory.forget.mockImplementation((name) => known.get(name)?.api.close());
  const report = await sweepAccount({
    ...{ scopes: scopesOf({ 'eu-central-1': directory }), mode: 'delete', guards: DEFAULT_GUARDS, concurrency: 1 },
    ...{ maxDeletionsOfRun: 100, runId: 'run-1', now: () => new Date('2027-01-01T00:00:00Z'), log, deadlineSignal },
  });
  const outcomes = report.clusters.map(({ cluster, hpas }) => [cluster, hpas.map(({ outcome }) => outcome).toSorted()]);
  return { directory, report, outcomes: Object.fromEntries(outcomes) };
}
const serveStale = (count = 1) => serve(times(count, staleList()));

describe('a run at its deadline', () => {
  test('answers although a cluster hangs, lists it as remaining, and begins no other', async () => {
    const deadline = new AbortController();
    const [a, b, c] = [await serveStale(), await serveStale(), await serveStale()];
    b.onRequest = () => {
      deadline.abort();
      return { kind: 'hang' };
    };
    const warn = vi.fn();
    const { directory, report, outcomes } = await run({ a, b, c }, deadline.signal, { ...SILENT, warn });
    expect(outcomes).toEqual({ a: ['Deleted'] });
    expect(report.remaining.map(({ cluster }) => cluster)).toEqual(['b', 'c']);
    expect(report.totals).toMatchObject({ clusters: 3, swept: 1, failed: 0 });
    expect(new Set(directory.forget.mock.calls.flat())).toEqual(new Set(['a', 'b']));
    expect(directory.describe.mock.calls).toEqual([['a'], ['b']]);
    expect(c.requests).toEqual([]);
    expect(warn).not.toHaveBeenCalled();
  });

  test.each<[string, string, object[]]>([
    ['hangs until the deadline', 'Stopped', [{ cluster: 'a', region: 'eu-central-1' }]],
    ['fails', 'Failed', []],
  ])('reports what was deleted before the cluster %s', async (_, last, remaining) => {
    const deadline = new AbortController();
    const a = await serveStale(3);
    let deletions = 0;
    a.onRequest = ({ method, path }) => {
      if (method === 'DELETE') deletions += 1;
      // The third is changed before it is deleted, and then the list that it is to be judged by never comes.
      if (method === 'DELETE' && deletions === 3)
        rewrite(a, 'horizontalpodautoscalers', ({ spec }) => spec.maxReplicas++);
      if (deletions < 3 || !path.endsWith('/v2/horizontalpodautoscalers')) return undefined;
      if (last === 'Failed') return { kind: 'respond', status: 500, body: { message: 'storage is gone' } };
      deadline.abort();
      return { kind: 'hang' };
    };
    const { report, outcomes } = await run({ a }, deadline.signal);
    expect(outcomes).toEqual({ a: ['Deleted', 'Deleted', last].toSorted() });
    const { hpas = [], lookAgain } = report.clusters[0] ?? {};
    expect(hpas.map(({ manifest }) => manifest !== undefined).toSorted()).toEqual([false, true, true]);
    expect(hpas.find(({ outcome }) => outcome === last)?.message).toMatch(/no whole answer|storage is gone/);
    expect(report).toMatchObject({ remaining, totals: { clusters: 1, swept: 1 } });
    expect(lookAgain).toBe(true);
  });

  test('reports a deletion without an answer as failed, in a cluster that remains', async () => {
    const deadline = new AbortController();
    const a = await serveStale();
    beforeFirst('DELETE', a, () => {
      deadline.abort();
      return { kind: 'hang' };
    });
    const { report, outcomes } = await run({ a }, deadline.signal);
    expect(outcomes).toEqual({ a: ['Failed'] });
    expect(report.remaining).toEqual([{ cluster: 'a', region: 'eu-central-1' }]);
  });
});
