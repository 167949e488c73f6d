import { getEventListeners } from 'node:events';
import { describe, expect, test, vi } from 'vitest';
import { runReportSchema } from '../../functions/events/report.ts';
import { DEFAULT_GUARDS } from '../../functions/judgement/guards.ts';
import { type ClusterApi, clusterApi } from '../../functions/kubernetes/cluster-api.ts';
import type { AccountDirectory, ClusterDescription } from '../../functions/kubernetes/directory.ts';
import { AwsAccessError, ClusterSkippedError, RetryableError } from '../../functions/platform/errors.ts';
import { dispatchSweeps, sweepAccount } from '../../functions/sweep/sweep-account.ts';
import { connectionTo, type EmbeddedCluster } from '../embedded-cluster/embedded-cluster.ts';
import { beforeFirst, hpasOf, requestsOf, rewrite, serve, staleList, times, wantedList, writesTo } from './harness.ts';

interface Enrolled extends Partial<ClusterDescription> {
  /** Where its requests go; without it describing it fails with `fault`. */
  at?: EmbeddedCluster;
  fault?: Error;
}

/** The clusters of one Region. */
class Region implements AccountDirectory {
  readonly #clusters: Record<string, Enrolled>;
  readonly #connected = new Map<string, ClusterApi>();
  readonly described: string[] = [];
  listFault: Error | undefined;

  constructor(clusters: Record<string, Enrolled>) {
    this.#clusters = clusters;
  }

  /** In the order in which EKS might give them, which is none. */
  async list() {
    if (this.listFault) throw this.listFault;
    return Object.keys(this.#clusters).toReversed();
  }

  async describe(name: string) {
    this.described.push(name);
    const { at: _, fault, tags = {}, ...rest } = this.#clusters[name] ?? { fault: notFound(name) };
    if (fault) throw fault;
    return { tags, ...rest };
  }

  async connect(name: string) {
    const api = clusterApi(await this.connection(name));
    this.#connected.set(name, api);
    return api;
  }

  async connection(name: string) {
    const at = this.#clusters[name]?.at;
    if (at === undefined) throw new Error('nowhere');
    return connectionTo(at);
  }

  forget(name: string) {
    this.#connected.get(name)?.close();
    this.#connected.delete(name);
  }

  get connected() {
    return [...this.#connected.keys()];
  }
}

const notFound = (name: string) =>
  new ClusterSkippedError({
    reason: 'ClusterNotFound',
    message: `there is no cluster ${name}`,
    remedy: 'Nothing to do.',
  });
const refused = () => new AwsAccessError('EKS could not list', 'Get new credentials.');

function run(regions: Record<string, Region>, options: Partial<Parameters<typeof sweepAccount>[0]> = {}) {
  return sweepAccount({
    scopes: Object.entries(regions).map(([region, directory]) => ({ region, directory })),
    mode: 'delete',
    guards: DEFAULT_GUARDS,
    concurrency: 10,
    maxDeletionsOfRun: 100,
    runId: 'run-1',
    now: () => new Date('2027-01-01T00:00:00Z'),
    log: { info: () => {}, warn: () => {}, error: () => {} },
    ...options,
  });
}

/** A run over one cluster, which is named `a`. */
const runOne = (at: EmbeddedCluster, options: Parameters<typeof run>[1]) =>
  run({ 'eu-central-1': new Region({ a: { at } }) }, options);

const serveStale = (count = 1) => serve(times(count, staleList()));
const serveThree = (...counts: [number, number, number]) =>
  Promise.all(counts.map(serveStale)) as Promise<unknown> as Promise<
    [EmbeddedCluster, EmbeddedCluster, EmbeddedCluster]
  >;

/** `cluster in region: result and outcomes` of each. */
const summaryOf = ({ clusters }: Awaited<ReturnType<typeof run>>) =>
  clusters.map(({ cluster, region, result, problem, hpas }) =>
    [`${cluster} in ${region}: ${result}`, problem?.reason, ...hpas.map(({ outcome }) => outcome)]
      .filter(Boolean)
      .join(' '),
  );

describe('a run sweeps', () => {
  test('all clusters of all Regions, in the order of Region and name, and keeps no connection', async () => {
    const central = new Region({ b: { at: await serveStale() }, a: { at: await serve(wantedList()) } });
    const west = new Region({ a: { at: await serveStale(2) } });
    const report = await run({ 'eu-central-1': central, 'eu-west-1': west });
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
    expect([...central.connected, ...west.connected]).toEqual([]);
  });

  test('a cluster once that has several names, and reports only the selected HPAs', async () => {
    const at = await serve(times(2, wantedList()));
    const server = 'https://a.example.com';
    const directory = new Region({ a: { at, server }, b: { at, server }, c: { at, server }, d: { at } });
    const report = await run(
      {},
      {
        scopes: [{ directory }],
        selects: ({ owner }, { cluster, region }) => owner?.name === 'web-1' && cluster !== 'd' && region === undefined,
      },
    );
    expect(report.clusters.map(({ cluster, hpas, warnings }) => [cluster, hpas.length, warnings])).toMatchObject([
      ['a', 1, [{ reason: 'SameCluster', message: expect.stringContaining('b, c') }]],
      ['d', 0, []],
    ]);
    expect([report.totals.clusters, report.clusters[0]?.sweepId]).toEqual([2, 'run-1/a']);
  });

  test('the clusters with all tags, and does not count the others', async () => {
    const [carries, lacksOne, hasAnother, none] = await Promise.all(Array.from({ length: 4 }, () => serveStale()));
    const region = new Region({
      carries: { at: carries, tags: { team: 'shop', stage: 'live', more: '1' } },
      lacksOne: { at: lacksOne, tags: { team: 'shop' } },
      hasAnother: { at: hasAnother, tags: { team: 'shop', stage: 'test' } },
      none: { at: none },
    });
    const report = await run({ 'eu-central-1': region }, { tags: { team: 'shop', stage: 'live' } });
    expect(summaryOf(report)).toEqual(['carries in eu-central-1: swept Deleted']);
    expect(report.totals.clusters).toBe(1);
    expect(report.remaining).toEqual([]);
    for (const cluster of [lacksOne, hasAnother, none]) expect(cluster?.requests).toEqual([]);
  });

  test('the named clusters of one Region once each, without listing any', async () => {
    const region = new Region({ a: { at: await serveStale() }, b: { at: await serveStale() } });
    region.listFault = refused();
    const report = await run({ 'eu-central-1': region }, { clusters: ['b', 'nowhere', 'b'] });
    expect(summaryOf(report)).toEqual([
      'b in eu-central-1: swept Deleted',
      'nowhere in eu-central-1: skipped ClusterNotFound',
    ]);
    expect(region.described).toEqual(['b', 'nowhere']);
  });

  test('the named clusters of several Regions, and reports a name that is nowhere', async () => {
    const central = new Region({ a: { at: await serveStale() }, b: { at: await serveStale() } });
    const west = new Region({ a: { at: await serveStale() } });
    const report = await run({ 'eu-central-1': central, 'eu-west-1': west }, { clusters: ['a', 'c', 'c'] });
    expect(summaryOf(report)).toEqual([
      'a in eu-central-1: swept Deleted',
      'a in eu-west-1: swept Deleted',
      'c in undefined: skipped ClusterNotFound',
    ]);
    expect(report.clusters[2]?.problem?.message).toBe('there is no cluster c in eu-central-1, eu-west-1');
    expect(report.totals).toMatchObject({ clusters: 3, swept: 2, skipped: 1 });
  });

  test('the other Regions when one cannot be listed', async () => {
    const central = new Region({ a: { at: await serveStale() } });
    const west = new Region({});
    west.listFault = refused();
    const report = await run({ 'eu-central-1': central, 'eu-west-1': west }, { clusters: ['a', 'b'] });
    expect(summaryOf(report)).toEqual(['a in eu-central-1: swept Deleted', 'b in undefined: failed ClusterNotFound']);
    expect(report.clusters[1]?.problem?.message).toBe(
      'there is no cluster b in eu-central-1; eu-west-1 could not be listed',
    );
    expect(report.regions).toEqual([
      {
        ...{ region: 'eu-west-1', reason: 'AwsAccessRefused', message: 'EKS could not list' },
        remedy: 'Get new credentials.',
      },
    ]);
  });

  test.each<[string, Error[], string]>([
    ['the refusal where AWS denies access everywhere', [refused(), refused()], 'AwsAccessError'],
    ['the refusal before another fault', [new RetryableError('throttled'), refused()], 'AwsAccessError'],
    ['another fault', [new RetryableError('throttled')], 'RetryableError'],
  ])('nothing, and throws %s', async (_, faults, name) => {
    const regions = faults.map((fault, index) => {
      const region = new Region({});
      region.listFault = fault;
      return [`eu-west-${index}`, region] as const;
    });
    await expect(run(Object.fromEntries(regions))).rejects.toMatchObject({ name });
  });
});

test('a sweep of each cluster that can be swept is requested over the bus', async () => {
  const put = vi.fn(async () => {});
  const directory = new Region({ a: {}, off: { tags: { 'envoy-hpa-reaper': 'off' } }, b: {} });
  const time = new Date('2027-01-01T00:00:00Z');
  const request = { mode: 'report', runId: 'run-1', maxDeletions: 3 } as const;
  const report = await dispatchSweeps({
    ...{ ...request, scopes: [{ directory }], concurrency: 1, now: () => time, eventBus: { put } },
    ...{ log: { info: () => {}, warn: () => {}, error: () => {} }, arnOf: (cluster) => `arn of ${cluster}` },
  });
  const common = { source: 'envoy-hpa-reaper', detailType: 'Cluster Sweep Requested', time };
  const detail = { version: '1', ...request, requestedAt: time.toISOString() };
  expect(put.mock.calls).toEqual([
    [['a', 'b'].map((cluster) => ({ ...common, detail: { ...detail, cluster }, resources: [`arn of ${cluster}`] }))],
  ]);
  expect(report.totals).toMatchObject({ dispatched: 2, skipped: 1, hpas: 0, missing: 0 });
  expect(report.clusters[0]).toMatchObject({ result: 'dispatched', warnings: [] });
});

describe('a cluster with a problem', () => {
  test('stops no other, and is logged once with its remedy', async () => {
    const gone = await serveStale();
    await gone.close();
    const logged: [string, object | undefined][] = [];
    const log = {
      info: () => {},
      error: () => {},
      warn: (message: string, data?: object) => logged.push([message, data]),
    };
    const region = new Region({
      a: { fault: new RetryableError('EKS could not describe cluster a') },
      b: { fault: new TypeError('a fault of this program') },
      c: { at: gone },
      d: { at: gone, publicEndpoint: false },
      e: { fault: notFound('e') },
      f: { at: await serveStale(), auditLog: false },
    });
    const report = await run({ 'eu-central-1': region }, { log, concurrency: 1 });
    expect(summaryOf(report)).toEqual([
      'a in eu-central-1: failed SweepFailed',
      'b in eu-central-1: failed InternalError',
      'c in eu-central-1: failed ClusterUnreachable',
      'd in eu-central-1: failed ClusterEndpointPrivate',
      'e in eu-central-1: skipped ClusterNotFound',
      'f in eu-central-1: swept Deleted',
    ]);
    expect(report.totals).toMatchObject({ clusters: 6, swept: 1, skipped: 1, failed: 4 });
    expect(report.clusters.flatMap(({ warnings }) => warnings)).toEqual([
      {
        reason: 'AuditLogOff',
        message: expect.stringMatching(/^the audit log of cluster \S+ is off: /),
        remedy: expect.stringContaining('aws eks update-cluster-config --region eu-central-1 --name f '),
      },
    ]);
    expect(logged.map(([message]) => message)).toEqual([...Array(4).fill('cluster failed'), 'cluster skipped']);
    expect(logged[4]?.[1]).toEqual({
      ...{ cluster: 'e', region: 'eu-central-1', sweepId: 'run-1/eu-central-1/e', reason: 'ClusterNotFound' },
      ...{ explanation: 'there is no cluster e', remedy: 'Nothing to do.' },
    });
  });
});

describe('the deletion limit of a run', () => {
  test('holds back as a whole what does not fit, and counts the same uid in two clusters twice', async () => {
    const clusters = await Promise.all(Array.from({ length: 4 }, () => serveStale(2)));
    const [a, b, c, d] = clusters.map((at) => ({ at }));
    const regions = { 'eu-central-1': new Region({ a, b } as never), 'eu-west-1': new Region({ a: c, b: d } as never) };
    const report = await run(regions, { maxDeletionsOfRun: 7 });
    expect(report.totals.outcomes).toEqual({ Deleted: 6, HeldBack: 2 });
    const explanation = '2 deletions, and of the 7 that this run may make over all clusters 1 are left';
    const guards = report.clusters.flatMap(({ hpas }) => hpas.flatMap(({ guard }) => guard ?? []));
    expect(guards).toEqual(Array(2).fill({ name: 'BlastRadiusExceeded', explanation }));
    expect(clusters.map((at) => hpasOf(at).length).toSorted()).toEqual([0, 0, 0, 2]);
  });

  test('counts an HPA once that changes and is judged again', async () => {
    const at = await serveStale();
    beforeFirst('DELETE', at, () => rewrite(at, 'horizontalpodautoscalers', ({ spec }) => spec.maxReplicas++));
    expect((await runOne(at, { maxDeletionsOfRun: 1 })).totals.outcomes).toEqual({ Deleted: 1 });
    expect(requestsOf(at, 'DELETE').map(({ status }) => status)).toEqual([409, 200]);
  });
});

describe('a run that is stopped', () => {
  test('deletes nothing whose manifest was still being saved', async () => {
    const at = await serveStale();
    const stop = new AbortController();
    const report = await runOne(at, { drainSignal: stop.signal, beforeDeletion: async () => stop.abort() });
    expect(summaryOf(report)).toEqual(['a in eu-central-1: swept Stopped']);
    expect(writesTo(at).map(({ method }) => method)).toEqual(['PATCH']);
  });

  test('begins no further cluster, and writes no more to the one under way', async () => {
    const stop = new AbortController();
    const [first, second, third] = await serveThree(1, 2, 1);
    beforeFirst('PATCH', second, () => stop.abort());
    const region = new Region({ a: { at: first }, b: { at: second }, c: { at: third } });
    const report = await run({ 'eu-central-1': region }, { drainSignal: stop.signal, concurrency: 1 });
    expect(summaryOf(report)).toEqual(['a in eu-central-1: swept Deleted', 'b in eu-central-1: swept Stopped Stopped']);
    expect(report.remaining.map(({ cluster }) => cluster)).toEqual(['b', 'c']);
    expect(report.totals).toMatchObject({ clusters: 3, swept: 2, outcomes: { Deleted: 1, Stopped: 2 } });
    expect(requestsOf(second, 'DELETE')).toEqual([]);
    expect(third.requests).toEqual([]);
  });
});

test('names the Region in what it logs and saves before a deletion', async () => {
  const logged: unknown[] = [];
  const saved: unknown[] = [];
  const info = (message: string, attributes?: object) => {
    if (message === 'deleting HPA') logged.push(attributes);
  };
  await runOne(await serveStale(), {
    log: { info, warn: () => {}, error: () => {} },
    beforeDeletion: async (deletion) => void saved.push(deletion),
  });
  expect(logged).toMatchObject([{ cluster: 'a', region: 'eu-central-1', manifest: {} }]);
  expect(saved).toEqual(logged);
});

test('a run that ends before its deadline leaves nothing in memory that waits for it', async () => {
  const deadline = new AbortController();
  const report = await runOne(await serve(wantedList()), { deadlineSignal: deadline.signal });
  expect(report.totals).toMatchObject({ clusters: 1, swept: 1 });
  expect(getEventListeners(deadline.signal, 'abort')).toEqual([]);
});

describe('a run at its deadline', () => {
  test('answers although a cluster hangs, which remains, and begins no other', async () => {
    const deadlineSignal = new AbortController();
    const [first, hanging, third] = await serveThree(1, 1, 1);
    hanging.onRequest = () => {
      deadlineSignal.abort();
      return { kind: 'hang' };
    };
    const logged: string[] = [];
    const log = { info: () => {}, error: () => {}, warn: (message: string) => void logged.push(message) };
    const region = new Region({ a: { at: first }, b: { at: hanging }, c: { at: third } });
    const options = { deadlineSignal: deadlineSignal.signal, concurrency: 1, log };
    const report = await run({ 'eu-central-1': region }, options);
    expect(summaryOf(report)).toEqual(['a in eu-central-1: swept Deleted']);
    expect(report.remaining.map(({ cluster }) => cluster)).toEqual(['b', 'c']);
    expect(report.totals).toMatchObject({ clusters: 3, swept: 1, failed: 0 });
    expect(region.connected).toEqual([]);
    expect(region.described).toEqual(['a', 'b']);
    expect(third.requests).toEqual([]);
    expect(logged).toEqual([]);
  });

  test.each<[string, string, object[]]>([
    ['hangs until the deadline', 'Stopped', [{ cluster: 'a', region: 'eu-central-1' }]],
    ['fails', 'Failed', []],
  ])('reports what was deleted before the cluster %s', async (_, last, remaining) => {
    const deadline = new AbortController();
    const cluster = await serveStale(3);
    let deletions = 0;
    cluster.onRequest = ({ method, path }) => {
      if (method === 'DELETE') deletions += 1;
      // The third is changed before it is deleted, and then the list that it is to be judged by never comes.
      if (method === 'DELETE' && deletions === 3)
        rewrite(cluster, 'horizontalpodautoscalers', ({ spec }) => spec.maxReplicas++);
      if (deletions < 3 || !path.endsWith('/v2/horizontalpodautoscalers')) return undefined;
      if (last === 'Failed') return { kind: 'respond', status: 500, body: { message: 'storage is gone' } };
      deadline.abort();
      return { kind: 'hang' };
    };
    const report = await runOne(cluster, { deadlineSignal: deadline.signal });
    const { hpas = [], lookAgain } = report.clusters[0] ?? {};
    expect(hpas.map(({ outcome }) => outcome).toSorted()).toEqual(['Deleted', 'Deleted', last].toSorted());
    expect(hpas.map(({ manifest }) => manifest !== undefined).toSorted()).toEqual([false, true, true]);
    expect(hpas.find(({ outcome }) => outcome === last)?.message).toMatch(/no whole answer|storage is gone/);
    expect(report.remaining).toEqual(remaining);
    expect(report.totals).toMatchObject({ clusters: 1, swept: 1 });
    expect(lookAgain).toBe(true);
  });

  test('reports a deletion without an answer as failed, in a cluster that remains', async () => {
    const deadlineSignal = new AbortController();
    const cluster = await serveStale();
    beforeFirst('DELETE', cluster, () => {
      deadlineSignal.abort();
      return { kind: 'hang' };
    });
    const report = await runOne(cluster, { deadlineSignal: deadlineSignal.signal });
    expect(summaryOf(report)).toEqual(['a in eu-central-1: swept Failed']);
    expect(report.remaining).toEqual([{ cluster: 'a', region: 'eu-central-1' }]);
  });

  test('does not begin a cluster that EKS describes later', async () => {
    const deadlineSignal = new AbortController();
    const cluster = await serveStale();
    let describeAtLast: (() => void) | undefined;
    const region = new Region({ a: { at: cluster } });
    region.describe = async () => {
      deadlineSignal.abort();
      await new Promise<void>((resolve) => {
        describeAtLast = resolve;
      });
      return { tags: {} };
    };
    const report = await run({ 'eu-central-1': region }, { deadlineSignal: deadlineSignal.signal });
    expect(report).toMatchObject({ clusters: [], remaining: [{ cluster: 'a' }] });
    describeAtLast?.();
    await new Promise((resolve) => setImmediate(resolve));
    expect(region.connected).toEqual([]);
    expect(cluster.requests).toEqual([]);
  });
});

test('reports its progress', async () => {
  const reported: object[] = [];
  const region = new Region({
    a: { at: await serveStale(2), tags: { t: 'x' } },
    b: { at: await serveStale(), tags: { not: 'selected' } },
    c: { fault: notFound('c') },
    d: { at: await serve(wantedList()), tags: { t: 'x' } },
  });
  await run(
    { 'eu-central-1': region },
    { concurrency: 1, tags: { t: 'x' }, onProgress: (progress) => reported.push(progress) },
  );
  expect(reported).toEqual([
    { clusters: 4, done: 0, problems: 0 },
    { clusters: 4, done: 1, problems: 0 },
    { clusters: 3, done: 1, problems: 0 },
    { clusters: 3, done: 2, problems: 1 },
    { clusters: 3, done: 3, problems: 1 },
  ]);
});
