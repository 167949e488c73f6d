import type { SQSBatchResponse } from 'aws-lambda';
import { describe, expect, test, vi } from 'vitest';
import { QUEUED_DETAILS } from '../../functions/events/queued-event.ts';
import { readEksToken } from '../doubles/eks.ts';
import type { PutEventsEntry } from '../doubles/eventbridge.ts';
import type { EmbeddedCluster } from '../embedded-cluster/embedded-cluster.ts';
import { busEvent, lambdaContext, queueBatch } from '../embedded-cluster/event-path.ts';
import { backfillSurroundings, NOWHERE } from './account.ts';
import { hpasOf, STALE, staleList, times, wantedList, withTenantConfig, writesTo } from './harness.ts';
import { loadReap, context as reapContext, SECRET_ACCESS_KEY } from './reap-harness.ts';

const self = backfillSurroundings();
const { around } = self;

describe('a payload of backfill', () => {
  test('that is empty makes a report run over the own Region', async () => {
    const cluster = await around.enroll('shop', staleList());
    const report = await self.backfill({});
    expect(report).toMatchObject({ mode: 'report', totals: { clusters: 1, outcomes: { Reported: 1 } } });
    expect(around.eks.listed).toEqual(['eu-central-1']);
    expect(writesTo(cluster)).toEqual([]);
  });

  const keys = 'clusters, regions, tags, mode, dispatch, maxDeletions, concurrency';
  test.each<[unknown, string]>([
    [null, `the payload does not fit: (the payload): expected an object; it may have ${keys}`],
    [{ cluster: ['a'], dryRun: true }, `the payload does not fit: unknown cluster, dryRun; it may have ${keys}`],
    [
      { clusters: 'shop', regions: ['Frankfurt'], mode: 'off', dispatch: 1, maxDeletions: 2.5, concurrency: 51, x: 1 },
      'the payload does not fit: clusters: expected a list; regions.0: expected an AWS Region; ' +
        'mode: expected report or delete; dispatch: expected inline or bus; ' +
        'maxDeletions: expected a whole number from 0 to 10000; concurrency: expected a whole number from 1 to 50; ' +
        `unknown x; it may have ${keys}`,
    ],
    [
      { clusters: [], regions: [], tags: 'team=shop' },
      'the payload does not fit: clusters: names nothing; leave it out for all; ' +
        `regions: names nothing; leave it out for all; tags: expected tags by key; it may have ${keys}`,
    ],
    [
      { dispatch: 'bus', regions: ['eu-central-1', 'eu-west-1'], maxDeletions: 26 },
      'refused: dispatch bus leads to clusters in eu-central-1 only, not to eu-west-1: invoke the function of the stack in ' +
        'that Region, or use dispatch inline; maxDeletions 26, and dispatch bus cannot raise the limit of 25: use dispatch inline',
    ],
  ])('%j is refused', async (payload, message) => {
    const name = message.startsWith('refused') ? 'UsageError' : 'MalformedInputError';
    await expect(self.backfill(payload)).rejects.toMatchObject({ name, message });
    expect([around.eks.listed, around.eks.described, around.bus.requests]).toEqual([[], [], []]);
    expect(around.output.logged()).toMatchObject([
      { level: 'ERROR', message: 'run failed', error: name, reason: message },
    ]);
  });

  test.each(['inline', 'bus'])('that deletes where the deployment only reports is refused, %s', async (dispatch) => {
    vi.stubEnv('MODE', 'report');
    await expect(self.backfill({ mode: 'delete', dispatch })).rejects.toMatchObject({
      name: 'UsageError',
      message: 'refused: mode delete, and this deployment only reports: deploy with --parameter-overrides Mode=delete',
    });
    expect(around.eks.listed).toEqual([]);
  });
});

describe('an inline run', () => {
  test('logs a line for each HPA, one for each cluster that could not be swept, and one for the run', async () => {
    await around.enroll('bank', wantedList());
    await around.enroll('shop', staleList());
    await around.enroll('toys', staleList(), { described: { status: 'DELETING' } });
    const { runId } = await self.backfill({ mode: 'delete', concurrency: 1 });
    expect(around.output.logged()).toMatchObject([
      { message: expect.stringMatching(/^HPA .*: Kept, AutoscalingConfigured$/), cluster: 'bank' },
      { message: 'sweep finished', cluster: 'bank', sweepId: `${runId}/eu-central-1/bank` },
      { message: 'deleting HPA', cluster: 'shop', manifest: { kind: 'HorizontalPodAutoscaler' } },
      { message: `HPA ${STALE}: Deleted, AutoscalingRemoved`, cluster: 'shop' },
      { message: 'sweep finished', cluster: 'shop' },
      { level: 'WARN', message: 'cluster skipped', cluster: 'toys', reason: 'ClusterNotActive' },
      { message: 'run finished', runId, mode: 'delete', totals: { swept: 2, skipped: 1 }, remaining: [] },
    ]);
  });

  test('sends each cluster of two Regions a token of its Region', async () => {
    const hosts: (string | undefined)[] = [];
    const enrollIn = async (region: string, name: string) => {
      const cluster = await around.enroll(name, staleList(), { described: { region } });
      cluster.onRequest = ({ headers }) => {
        const token = readEksToken(String(headers.authorization).slice('Bearer '.length));
        if (token?.isGoodFor(name, SECRET_ACCESS_KEY)) hosts.push(`${name} ${token.url.host}`);
        return undefined;
      };
    };
    await enrollIn('eu-central-1', 'shop');
    await enrollIn('eu-west-1', 'bank');
    await enrollIn('us-east-1', 'toys');
    const regions = ['eu-west-1', 'eu-central-1', 'eu-west-1'];
    const report = await self.backfill({ mode: 'delete', regions });
    expect(report.clusters.map(({ cluster, region, result }) => [cluster, region, result])).toEqual([
      ['bank', 'eu-west-1', 'swept'],
      ['shop', 'eu-central-1', 'swept'],
    ]);
    expect(report.totals.outcomes).toEqual({ Deleted: 2 });
    expect(new Set(hosts)).toEqual(
      new Set(['shop sts.eu-central-1.amazonaws.com', 'bank sts.eu-west-1.amazonaws.com']),
    );
  });

  test("takes the limit in the payload in place of the cluster's and the run's", async () => {
    vi.stubEnv('MAX_DELETIONS', '2');
    vi.stubEnv('MAX_DELETIONS_PER_RUN', '2');
    const clusters = [await around.enroll('a', times(3, staleList())), await around.enroll('b', times(2, staleList()))];
    const left = () => clusters.map((cluster) => hpasOf(cluster).length);
    const run = async (payload: object) => (await self.backfill({ mode: 'delete', concurrency: 1, ...payload })).totals;
    expect(await run({ maxDeletions: 1 })).toMatchObject({ outcomes: { HeldBack: 5 } });
    expect(await run({ maxDeletions: 4 })).toMatchObject({ outcomes: { Deleted: 3, HeldBack: 2 } });
    expect(left()).toEqual([0, 2]);
    expect(await run({})).toMatchObject({ outcomes: { Deleted: 2 } });
  });

  test('reads only the ConfigMaps in the controller namespaces', async () => {
    vi.stubEnv('CONTROLLER_NAMESPACES', 'envoy-gateway-system');
    await around.enroll('shop', withTenantConfig(staleList()));
    const { totals } = await self.backfill({ mode: 'delete' });
    expect(totals.outcomes).toEqual({ Deleted: 1 });
  });

  test('shortens an answer over the limit of Lambda', async () => {
    const list = times(40, staleList());
    for (const { kind, metadata } of list.items) {
      if (kind === 'HorizontalPodAutoscaler') metadata.annotations = { note: 'x'.repeat(160_000) };
    }
    await around.enroll('shop', list);
    const report = await self.backfill({ mode: 'delete', maxDeletions: 40 });
    expect(Buffer.byteLength(JSON.stringify(report))).toBeLessThan(6_000_000);
    expect(report.shortened).toEqual(['manifests']);
    expect(report.totals.outcomes).toEqual({ Deleted: 40 });
    expect(around.output.logged().filter(({ message }) => message === 'deleting HPA')).toHaveLength(40);
    expect(around.output.logged()).toContainEqual(
      expect.objectContaining({ message: 'report shortened', leftOut: ['manifests'] }),
    );
  });
});

describe('an inline run that runs out of time', () => {
  /** The signals of one invocation, which the test aborts. */
  function takeSignals() {
    const signals: { milliseconds: number; abort: () => void }[] = [];
    vi.spyOn(AbortSignal, 'timeout').mockImplementation((milliseconds) => {
      const controller = new AbortController();
      signals.push({ milliseconds, abort: () => controller.abort() });
      return controller.signal;
    });
    return signals;
  }

  test('begins no further cluster at 30 s, and names the rest', async () => {
    const clusters = [];
    for (const name of ['a', 'b', 'c']) clusters.push(await around.enroll(name, staleList()));
    const signals = takeSignals();
    const [first] = clusters as [EmbeddedCluster];
    first.onRequest = () => void signals[0]?.abort();
    const report = await self.backfill({ mode: 'delete', concurrency: 1 });
    expect(signals.slice(0, 2).map(({ milliseconds }) => milliseconds)).toEqual([870_000, 895_000]);
    expect(report.totals.outcomes).toEqual({ Stopped: 1 });
    expect(report.remaining).toEqual(['a', 'b', 'c'].map((cluster) => ({ cluster, region: 'eu-central-1' })));
    expect(around.output.counted('ClustersRemaining')).toBe(3);
    expect(around.output.counted('SweepsCompleted')).toBe(0);
    expect(clusters.flatMap(writesTo)).toEqual([]);
  });

  test('answers at 5 s although a cluster hangs, and does not disturb the next invocation', async () => {
    const [shop, bank] = [await around.enroll('shop', staleList()), await around.enroll('bank', staleList())];
    const signals = takeSignals();
    shop.onRequest = () => {
      signals[1]?.abort();
      return { kind: 'hang' };
    };
    const backfill = await self.loadBackfill();
    const invoke = (payload: object) => backfill(payload, lambdaContext('backfill', 900_000));
    const report = await invoke({ mode: 'delete', clusters: ['bank', 'shop'], concurrency: 1 });
    expect(report.remaining).toEqual([{ cluster: 'shop', region: 'eu-central-1' }]);
    expect(report.clusters.map(({ cluster, result }) => [cluster, result])).toEqual([['bank', 'swept']]);
    expect(hpasOf(bank)).toEqual([]);

    shop.onRequest = undefined;
    shop.requests.length = 0;
    const again = await invoke({ mode: 'delete', clusters: ['shop'] });
    expect(again).toMatchObject({ remaining: [], totals: { outcomes: { Deleted: 1 } } });
    // Three lists, the configuration, Envoy Gateway's Deployment, the HPAs of the namespace, the mark, all but these HPAs
    // again, the deletion, its Event: nothing of the first run is among them.
    expect(shop.requests).toHaveLength(3 + 4 + 1 + 1 + 1 + 8 + 1 + 1);
  });
});

describe('a run over the bus', () => {
  const detailsOf = (entries: readonly PutEventsEntry[]) => entries.map(({ Detail }) => JSON.parse(Detail));

  test('puts one event for each cluster that can be swept, and asks no cluster', async () => {
    const clusters = [];
    for (let number = 100; number < 123; number += 1) clusters.push(await around.enroll(`c${number}`, staleList()));
    await around.enroll('creating', staleList(), { described: { status: 'CREATING' } });
    await around.enroll('out', staleList(), { described: { tags: { 'envoy-hpa-reaper': 'off' } } });
    const report = await self.backfill({ dispatch: 'bus', mode: 'delete', maxDeletions: 3 });

    expect(report.totals).toMatchObject({ clusters: 25, swept: 0, dispatched: 23, skipped: 2, failed: 0 });
    const named = report.clusters.filter(({ result }) => result === 'dispatched').map(({ cluster }) => cluster);
    const skipped = report.clusters.filter(({ problem }) => problem);
    expect(skipped.map(({ cluster, problem }) => [cluster, problem?.reason, !!problem?.remedy])).toEqual([
      ['creating', 'ClusterNotActive', true],
      ['out', 'ClusterOptedOut', true],
    ]);
    // One more reports the cluster that is being created.
    expect(around.bus.requests.map((entries) => entries.length)).toEqual([10, 10, 3, 1]);
    expect(around.bus.taken.at(-1)?.DetailType).toBe('Cluster Unreachable');
    expect(detailsOf(around.bus.taken.slice(0, -1)).map(({ cluster }) => cluster)).toEqual(named);
    const [entry] = around.bus.taken;
    expect(entry).toMatchObject({
      ...{ EventBusName: 'envoy-hpa-reaper', Source: 'envoy-hpa-reaper', DetailType: 'Cluster Sweep Requested' },
      Resources: ['arn:aws:eks:eu-central-1:123456789012:cluster/c100'],
    });
    const [detail] = detailsOf(around.bus.taken);
    expect(QUEUED_DETAILS['Cluster Sweep Requested'].parse(detail)).toEqual(detail);
    expect(detail).toEqual({
      ...{ version: '1', cluster: 'c100', mode: 'delete', runId: report.runId, maxDeletions: 3 },
      requestedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    });
    expect(clusters.flatMap(({ requests }) => requests)).toEqual([]);
    expect(around.output.counted('ClustersDispatched')).toBe(23);
    expect(around.output.logged().at(-1)).toMatchObject({ message: 'run finished', totals: { dispatched: 23 } });
  });

  test('fails when EventBridge refuses an event, and puts the others', async () => {
    for (const name of ['a', 'b', 'c']) await around.enroll(name, staleList());
    around.bus.refuseEntries(4, 'ThrottlingException', ({ Detail }) => Detail.includes('"b"'));
    await expect(self.backfill({ dispatch: 'bus' })).rejects.toMatchObject({ name: 'RetryableError' });
    expect(detailsOf(around.bus.taken).map(({ cluster }) => cluster)).toEqual(['a', 'c']);
    expect(around.output.counted('SweepsCompleted')).toBe(0);
    expect(around.output.logged()).toContainEqual(
      expect.objectContaining({ message: 'run failed', reason: expect.stringContaining('ThrottlingException') }),
    );
  });

  /** The messages that the rule and the queue make of the events on the bus. */
  const batchOf = (entries: readonly PutEventsEntry[]) => {
    const events = entries.map(({ Source, DetailType, Detail, Resources, Time }) => ({
      ...{ source: Source, detailType: DetailType, detail: JSON.parse(Detail), resources: Resources },
      time: new Date(Time * 1000),
    }));
    return queueBatch(events.map((event) => JSON.stringify(busEvent(event))));
  };

  test('leads from the schedule to the cluster', async () => {
    const stale = [await around.enroll('shop', staleList()), await around.enroll('bank', times(2, staleList()))];
    const wanted = await around.enroll('toys', wantedList());
    await around.enroll('gone', staleList(), { described: { endpoint: NOWHERE } });
    // As infra/schedule.yml has it.
    await self.backfill({ dispatch: 'bus', mode: 'delete' });
    const reap = await loadReap();
    const { batchItemFailures } = (await reap(batchOf(around.bus.taken), reapContext())) as SQSBatchResponse;

    const failed = detailsOf(around.bus.taken).findIndex(({ cluster }) => cluster === 'gone');
    expect(batchItemFailures).toEqual([{ itemIdentifier: `message-${failed + 1}` }]);
    expect(stale.map((cluster) => hpasOf(cluster).length)).toEqual([0, 0]);
    expect(around.output.counted('HpasDeleted')).toBe(3);
    expect(writesTo(wanted)).toEqual([]);
  });
});
