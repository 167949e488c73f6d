import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Context } from 'aws-lambda';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { OUTCOME_DETAILS, type OutcomeDetailType } from '../../functions/events/outcome-event.ts';
import type { Admission } from '../embedded-cluster/admission.ts';
import type { RbacManifest } from '../embedded-cluster/authorization.ts';
import type { EmbeddedCluster, EmbeddedClusterOptions, Intervention } from '../embedded-cluster/embedded-cluster.ts';
import { lambdaContext } from '../embedded-cluster/event-path.ts';
import { backfillSurroundings, nowhere } from './account.ts';
import {
  deleteAsAdmin,
  hpasOf,
  listOf,
  MISSING,
  missingList,
  STALE,
  serve,
  staleList,
  sweep,
  the,
  times,
  wantedList,
  without,
  writesTo,
} from './harness.ts';
import { changed, loadReap, reapBatch, requested, sweepByEvent, young } from './reap-harness.ts';

/** What infra/kubernetes/rbac.yaml allowed before Events. */
const rbacWithoutEvents = parseAllDocuments(readFileSync('infra/kubernetes/rbac.yaml', 'utf8'))
  .map((document) => document.toJS() as RbacManifest)
  .map((manifest) => ({
    ...manifest,
    ...(manifest.rules && { rules: manifest.rules.filter(({ resources }) => !resources?.includes('events')) }),
  }));
const refuseEvents: Admission = ({ resource }) =>
  resource === 'events' ? { webhook: 'policy.example.com', code: 403, message: 'no Events' } : undefined;

const self = backfillSurroundings();
const { around } = self;

/**
 * What is on the bus, each detail checked by its schema, which lets nothing unknown through. Without the summary of a sweep that
 * nobody requested, which test/unit/events/outcome-event.test.ts shows.
 */
function told(): [detailType: string, detail: Record<string, unknown>][] {
  return around.bus.taken
    .filter(({ DetailType }) => DetailType in OUTCOME_DETAILS)
    .map(({ DetailType, Detail }) => {
      const detail = JSON.parse(Detail);
      expect(OUTCOME_DETAILS[DetailType as OutcomeDetailType].parse(detail)).toEqual(detail);
      return [DetailType, detail] as [string, Record<string, unknown>];
    })
    .filter(([type, { runIds }]) => type !== 'Sweep Completed' || (runIds as string[]).length > 0);
}
const typesTold = () => told().map(([detailType]) => detailType);

const ofShop = { version: '1', cluster: 'shop', region: 'eu-central-1', sweepId: expect.stringMatching(/\/shop$/) };

describe('reap tells the bus', () => {
  test('of each HPA that it deleted: what, why, and who asked for it', async () => {
    const cluster = await around.enroll('shop', staleList());
    const [manifest] = cluster.objects('horizontalpodautoscalers');
    expect(await reapBatch([changed()])).toEqual([]);
    expect(told()).toEqual([
      [
        'HPA Deleted',
        {
          ...ofShop,
          hpa: {
            ...{ namespace: 'envoy-gateway-system', name: STALE.split('/')[1], uid: manifest?.metadata.uid },
            ...{ action: 'delete', reason: 'AutoscalingRemoved', explanation: expect.any(String) },
            owner: { kind: 'Gateway', namespace: 'autoscaling-removed', name: 'web' },
            ...{ restsOn: expect.any(Array), replicas: { min: 2, max: 5, after: { kind: 'Stays' } } },
            ...{ createdAt: expect.any(String), dropsCapacity: false },
          },
          changes: [
            {
              ...{ username: 'jane@example.com', auditID: 'audit-1', verb: 'patch', resource: 'envoyproxies' },
              ...{ namespace: 'autoscaling-removed', name: 'proxy', time: '2026-11-23T14:17:47.196000Z' },
            },
          ],
          manifest,
        },
      ],
    ]);
    expect(around.bus.taken).toMatchObject(
      ['HPA Deleted', 'Sweep Completed'].map((DetailType) => ({
        ...{ EventBusName: 'envoy-hpa-reaper', Source: 'envoy-hpa-reaper', DetailType },
        Resources: ['arn:aws:eks:eu-central-1:123456789012:cluster/shop'],
      })),
    );
  });

  test('of each that it only reports', async () => {
    vi.stubEnv('MODE', 'report');
    await around.enroll('shop', staleList());
    await reapBatch([changed()]);
    expect(told()).toMatchObject([['HPA Reported', { ...ofShop, hpa: { reason: 'AutoscalingRemoved' } }]]);
    expect(told()[0]?.[1]).not.toHaveProperty('manifest');
  });

  test('of each that the blast radius holds back, and not of what settles', async () => {
    vi.stubEnv('MAX_DELETIONS', '1');
    await around.enroll('shop', times(2, staleList()));
    await around.enroll('bank', young(staleList()));
    await reapBatch([changed('shop'), changed('bank')]);
    const guard = { name: 'BlastRadiusExceeded', explanation: '2 deletions at once, and the limit is 1' };
    expect(told()).toMatchObject([
      ['HPA Held Back', { ...ofShop, hpa: { guard } }],
      ['HPA Held Back', { ...ofShop, hpa: { guard } }],
    ]);
  });

  test.each([
    ['MarkRefused', 'UPDATE'],
    ['DeleteRefused', 'DELETE'],
  ])('of each whose %s, with what the API server said', async (name, refused) => {
    const webhook = { webhook: 'policy.example.com', code: 403, message: 'never on a Friday' };
    await around.enroll('shop', staleList(), {
      admission: ({ operation, resource }) =>
        operation === refused && resource === 'horizontalpodautoscalers' ? webhook : undefined,
    });
    await reapBatch([changed()]);
    const explanation = expect.stringMatching(/ 403: admission webhook "policy\.example\.com" .*: never on a Friday$/);
    expect(told()).toMatchObject([['HPA Held Back', { ...ofShop, hpa: { guard: { name, explanation } } }]]);
  });

  test('nothing where nothing is stale, and asks it nothing', async () => {
    await around.enroll('shop', wantedList());
    await reapBatch([changed()]);
    expect(around.bus.requests).toEqual([]);
  });

  test('that a sweep is complete, with what came of it', async () => {
    await around.enroll('shop', staleList());
    await around.enroll('bank', wantedList());
    await around.enroll('office', staleList());
    await reapBatch([
      requested('shop'),
      requested('bank', { runId: 'run-2' }),
      requested('office', { mode: 'report' }),
    ]);
    expect(typesTold().toSorted()).toEqual([
      ...['HPA Deleted', 'HPA Reported'],
      ...['Sweep Completed', 'Sweep Completed', 'Sweep Completed'],
    ]);
    const completed = new Map(told().map((one) => [`${one[0]} ${one[1].cluster}`, one]));
    expect(['shop', 'bank', 'office'].map((name) => completed.get(`Sweep Completed ${name}`))).toEqual([
      [
        'Sweep Completed',
        {
          ...ofShop,
          runIds: ['run-1'],
          mode: 'delete',
          hpas: 1,
          stale: 1,
          deleted: 1,
          heldBack: 0,
          missing: 0,
          outcomes: { Deleted: 1 },
        },
      ],
      [
        'Sweep Completed',
        {
          ...{ ...ofShop, cluster: 'bank', sweepId: expect.stringMatching(/\/bank$/) },
          ...{
            runIds: ['run-2'],
            mode: 'delete',
            hpas: 1,
            stale: 0,
            deleted: 0,
            heldBack: 0,
            missing: 0,
            outcomes: { Kept: 1 },
          },
        },
      ],
      [
        'Sweep Completed',
        {
          ...{ ...ofShop, cluster: 'office', sweepId: expect.stringMatching(/\/office$/) },
          ...{
            runIds: ['run-1'],
            mode: 'report',
            hpas: 1,
            stale: 1,
            deleted: 0,
            heldBack: 0,
            missing: 0,
            outcomes: { Reported: 1 },
          },
        },
      ],
    ]);
  });

  test('of a cluster that it could not sweep, with the remedy; not of one that opted out', async () => {
    await around.enroll('forbidden', staleList(), { rbac: [] });
    await around.enroll('gone', staleList(), { described: { endpoint: await nowhere() } });
    await around.enroll('out', staleList(), { described: { tags: { 'envoy-hpa-reaper': 'off' } } });
    expect(await reapBatch(['forbidden', 'gone', 'out'].map((cluster) => changed(cluster)))).toEqual(['message-2']);
    expect(told()).toMatchObject([
      [
        'Cluster Unreachable',
        {
          cluster: 'forbidden',
          result: 'skipped',
          reason: 'ClusterForbidden',
          remedy: expect.stringContaining('RBAC'),
        },
      ],
      [
        'Cluster Unreachable',
        { cluster: 'gone', result: 'failed', reason: 'ClusterUnreachable', message: expect.stringMatching(/no whole/) },
      ],
    ]);
  });

  test('without the manifest where that is too large for an event, and says so', async () => {
    const list = staleList();
    the('HorizontalPodAutoscaler', list).metadata.annotations = { note: 'ü'.repeat(130_000) };
    await around.enroll('shop', list);
    await sweepByEvent(changed());
    const [[detailType, detail] = []] = told();
    expect([detailType, detail?.leftOut, detail?.manifest]).toEqual(['HPA Deleted', ['manifest'], undefined]);
  });

  test.each(['ThrottlingException', 'InternalFailure'])(
    'and where that answers %s the message does not come back for it',
    async (code) => {
      const cluster = await around.enroll('shop', staleList());
      around.bus.refuseEntries(Number.POSITIVE_INFINITY, code);
      expect(await reapBatch([changed()])).toEqual([]);
      expect([hpasOf(cluster), around.bus.taken]).toEqual([[], []]);
      expect(around.output.logged()).toContainEqual(
        expect.objectContaining({
          ...{ level: 'ERROR', message: 'failed to publish outcome events; the log has the outcomes' },
          reason: `not all of 2 events reached envoy-hpa-reaper: after 4 attempts still refused: ${code}`,
        }),
      );
      expect(around.output.counted('OutcomesNotPut')).toBe(2);
    },
  );

  test('and where that lets nobody in, the answer is the report all the same', async () => {
    await around.enroll('shop', staleList());
    around.bus.failRequests(1, 400, 'AccessDeniedException');
    expect((await sweepByEvent(changed())).hpas).toMatchObject([{ outcome: 'Deleted' }]);
    expect(around.output.counted('OutcomesNotPut')).toBe(2);
  });
});

const eventsOf = (cluster: EmbeddedCluster) =>
  cluster.objects('events').map(({ metadata: { namespace }, ...event }) => ({ namespace, ...event }));

describe('a wanted HPA that somebody deleted', () => {
  const owner = { kind: 'Gateway', namespace: 'autoscaling-kept', name: 'web' };
  const missing = {
    ...{ namespace: 'envoy-gateway-system', name: MISSING.split('/')[1], owner, reason: 'WantedButMissing' },
    explanation: `Gateway autoscaling-kept/web asks for autoscaling in EnvoyProxy autoscaling-kept/proxy, and there is no HPA ${MISSING}.`,
    remedy: expect.stringMatching(/^Envoy Gateway does not notice that it is gone: restart Envoy Gateway/),
  };
  const [toldOfIt, swept] = [
    ['HPA Missing', { ...ofShop, hpa: missing }],
    { hpas: 0, stale: 0, deleted: 0, heldBack: 0, missing: 1, outcomes: {} },
  ];
  const deleteByHand = (cluster: EmbeddedCluster) =>
    deleteAsAdmin(cluster, `/apis/autoscaling/v2/namespaces/${MISSING.replace('/', '/horizontalpodautoscalers/')}`);

  test.each(['delete', 'report'])('is told of by the next sweep, in mode %s', async (mode) => {
    vi.stubEnv('MODE', mode);
    const cluster = await around.enroll('shop', wantedList());
    await deleteByHand(cluster);
    cluster.requests.length = 0;
    const report = await sweepByEvent(requested('shop', { mode }));

    expect(report).toMatchObject({ mode, hpas: [], lookAgain: false });
    expect(report.missing).toEqual([missing]);
    expect(told()).toEqual([toldOfIt, ['Sweep Completed', { ...ofShop, runIds: ['run-1'], mode, ...swept }]]);
    expect(around.output.logged().slice(-2)).toMatchObject([
      { level: 'WARN', message: `HPA ${MISSING} is missing, WantedButMissing`, cluster: 'shop', ...missing },
      { level: 'INFO', message: 'sweep finished', missing: 1 },
    ]);
    expect(around.output.counted('HpasMissing')).toBe(1);
    const { uid } = the('Gateway', wantedList()).metadata;
    const event = {
      namespace: 'autoscaling-kept',
      involvedObject: { apiVersion: 'gateway.networking.k8s.io/v1', ...owner, uid },
      ...{ type: 'Warning', reason: 'WantedHPAMissing', source: { component: 'envoy-hpa-reaper' }, count: 1 },
      message: `${missing.explanation} ${report.missing[0]?.remedy}`,
    };
    expect(eventsOf(cluster)).toMatchObject(mode === 'delete' ? [event] : []);
    expect(writesTo(cluster)).toHaveLength(mode === 'delete' ? 1 : 0);
  });

  test('is told of by each pass, also for a change, until it is back', async () => {
    const cluster = await around.enroll('shop', wantedList());
    await deleteByHand(cluster);
    const handler = await loadReap();
    for (const _ of [1, 2]) expect(await reapBatch([changed()], 1, handler)).toEqual([]);
    expect(told()).toEqual([toldOfIt, toldOfIt]);
    expect(eventsOf(cluster)).toMatchObject([{ type: 'Warning', count: 2 }]);

    cluster.load({ items: [the('HorizontalPodAutoscaler', wantedList())] });
    expect(await reapBatch([changed()], 1, handler)).toEqual([]);
    expect([told().length, around.output.counted('HpasMissing'), eventsOf(cluster).length]).toEqual([2, 2, 1]);
  });

  test.each(['delete', 'report'])('is told of by backfill, in mode %s', async (mode) => {
    const cluster = await around.enroll('shop', missingList());
    const { runId, totals, clusters } = await self.backfill({ mode });
    expect([totals.missing, clusters]).toMatchObject([1, [{ cluster: 'shop', result: 'swept', missing: [missing] }]]);
    expect(told()).toEqual([toldOfIt, ['Sweep Completed', { ...ofShop, runIds: [runId], mode, ...swept }]]);
    expect(around.output.counted('HpasMissing')).toBe(1);
    expect(writesTo(cluster).map(({ method }) => method)).toEqual(mode === 'delete' ? ['POST'] : []);
  });

  test('is told of beside what was deleted, each owner by an Event of its own', async () => {
    const list = staleList();
    list.items.push(...without(missingList(), 'GatewayClass', 'ConfigMap').items);
    const cluster = await around.enroll('shop', list);
    await sweepByEvent(changed());
    expect(typesTold()).toEqual(['HPA Deleted', 'HPA Missing']);
    expect(eventsOf(cluster)).toMatchObject([
      { namespace: 'autoscaling-kept', type: 'Warning', reason: 'WantedHPAMissing' },
      { namespace: 'autoscaling-removed', type: 'Normal', reason: 'StaleHPADeleted' },
    ]);
  });

  test('is not told of while what asks for it is young, or Envoy Gateway has not accepted it', async () => {
    const fresh = missingList();
    the('Gateway', fresh).metadata.creationTimestamp = new Date(Date.now() - 599_000).toISOString();
    await around.enroll('shop', fresh);
    const refused = missingList();
    Object.assign(the('Gateway', refused).status?.conditions[0], { status: 'False', reason: 'InvalidParameters' });
    await around.enroll('bank', refused);
    expect(await reapBatch([changed('shop'), changed('bank')])).toEqual([]);
    expect([told(), around.output.counted('HpasMissing')]).toEqual([[], 0]);
  });
});

describe('reap tells the owner in the cluster', () => {
  test('once for a Gateway, and counts what follows', async () => {
    const cluster = await around.enroll('shop', staleList());
    await sweepByEvent(changed());
    const { uid } = the('Gateway', staleList()).metadata;
    const told = {
      namespace: 'autoscaling-removed',
      involvedObject: {
        ...{ apiVersion: 'gateway.networking.k8s.io/v1', kind: 'Gateway', namespace: 'autoscaling-removed' },
        ...{ name: 'web', uid },
      },
      ...{ type: 'Normal', reason: 'StaleHPADeleted', source: { component: 'envoy-hpa-reaper' }, count: 1 },
      message:
        `Deleted HPA ${STALE}, which Envoy Gateway left behind (AutoscalingRemoved): ` +
        'Gateway autoscaling-removed/web asks for no autoscaling: no envoyHpa in EnvoyProxy autoscaling-removed/proxy.',
    };
    expect(eventsOf(cluster)).toMatchObject([told]);
    const [post] = cluster.requests.filter(({ path }) => path.endsWith('/events'));
    expect(post?.query.get('fieldManager')).toBe('envoy-hpa-reaper');

    const again = the('HorizontalPodAutoscaler', staleList());
    const { resourceVersion: _version, creationTimestamp: _time, ...metadata } = again.metadata;
    cluster.load({ items: [{ ...again, metadata: { ...metadata, uid: 'another' } }] });
    await sweepByEvent(changed());
    expect(eventsOf(cluster)).toMatchObject([{ ...told, count: 2 }]);
  });

  test.each<[string, (deleted: AbortSignal) => Partial<Parameters<typeof sweep>[1]>]>([
    ['is stopped', (deleted) => ({ drainSignal: deleted })],
    ['runs out of time', (deleted) => ({ hasTimeLeft: () => !deleted.aborted })],
  ])('nobody once the pass %s', async (_, optionsOf) => {
    const deleted = new AbortController();
    const cluster = await serve(staleList());
    cluster.onRequest = ({ method }) => void (method === 'DELETE' && deleted.abort());
    expect((await sweep(cluster, optionsOf(deleted.signal))).hpas).toMatchObject([{ outcome: 'Deleted' }]);
    expect(eventsOf(cluster)).toEqual([]);
  });

  test('nobody where the Gateway is gone as well', async () => {
    const cluster = await around.enroll('shop', listOf('gateway-deleted-v1.3.0'));
    await sweepByEvent(changed());
    expect([hpasOf(cluster), eventsOf(cluster)]).toEqual([[], []]);
    expect(around.output.text).not.toContain('no Event written');
  });

  test.each<[string, Partial<EmbeddedClusterOptions>, Intervention | undefined, RegExp]>([
    ['where it may not', { rbac: rbacWithoutEvents }, undefined, /403: .*cannot create resource "events"/],
    ['where a policy refuses', { admission: refuseEvents }, undefined, /^refused$/],
    ['where that fails', {}, { kind: 'respond', status: 500, body: { message: 'etcd' } }, /500: etcd/],
    ['where no answer comes', {}, { kind: 'reset' }, /no whole answer/],
  ])('nothing %s, and the deletion stands', async (_, options, intervention, why) => {
    const cluster = await around.enroll('shop', staleList(), options);
    cluster.onRequest = ({ method }) => (method === 'POST' ? intervention : undefined);
    expect(await reapBatch([changed()])).toEqual([]);
    expect([hpasOf(cluster), eventsOf(cluster)]).toEqual([[], []]);
    expect(typesTold()).toEqual(['HPA Deleted']);
    expect(around.output.logged()).toContainEqual(
      expect.objectContaining({
        ...{ level: 'INFO', message: 'no Event written', cluster: 'shop', object: 'Gateway autoscaling-removed/web' },
        why: expect.stringMatching(why),
      }),
    );
  });
});

test('backfill tells of every cluster that it swept or could not sweep itself', async () => {
  await around.enroll('bank', wantedList());
  await around.enroll('forbidden', staleList(), { rbac: [] });
  await around.enroll('shop', staleList());
  const { runId } = await self.backfill({ mode: 'delete' });
  const sweep = { runIds: [runId], mode: 'delete', hpas: 1 };
  expect(told()).toMatchObject([
    ['Sweep Completed', { cluster: 'bank', ...sweep, stale: 0, outcomes: { Kept: 1 } }],
    ['Cluster Unreachable', { cluster: 'forbidden', reason: 'ClusterForbidden' }],
    ['HPA Deleted', { cluster: 'shop', sweepId: `${runId}/eu-central-1/shop`, changes: [] }],
    ['Sweep Completed', { cluster: 'shop', ...sweep, stale: 1, outcomes: { Deleted: 1 } }],
  ]);
});

test('backfill tells of a cluster of another Region where it is', async () => {
  await around.enroll('shop', staleList(), { described: { region: 'eu-west-1' } });
  await self.backfill({ regions: ['eu-west-1'] });
  expect(told()).toMatchObject([
    ['HPA Reported', { region: 'eu-west-1' }],
    ['Sweep Completed', { region: 'eu-west-1' }],
  ]);
  const resources = ['arn:aws:eks:eu-west-1:123456789012:cluster/shop'];
  expect(around.bus.taken.map(({ Resources }) => Resources)).toEqual([resources, resources]);
});

test('the report of backfill is its answer, whatever becomes of the events', async () => {
  await around.enroll('shop', staleList());
  around.bus.failRequests(1, 400, 'AccessDeniedException');
  expect(await self.backfill({ mode: 'delete' })).toMatchObject({ totals: { outcomes: { Deleted: 1 } } });
  expect(around.output.counted('OutcomesNotPut')).toBe(2);
});

test.each(['aws-cn', 'aws-us-gov'])(
  "events name the cluster in the function's own partition, %s",
  async (partition) => {
    await around.enroll('shop', staleList());
    const invokedBy = ({ invokedFunctionArn, ...context }: Context): Context => ({
      ...context,
      invokedFunctionArn: invokedFunctionArn.replace(':aws:', `:${partition}:`),
    });
    const backfill = await self.loadBackfill();
    await backfill({}, invokedBy(lambdaContext('backfill', 900_000)));
    await backfill({ dispatch: 'bus' }, invokedBy(lambdaContext('backfill', 900_000)));
    await (await loadReap())(changed(), invokedBy(lambdaContext('reap')));
    const resources = [`arn:${partition}:eks:eu-central-1:123456789012:cluster/shop`];
    expect(around.bus.taken.map(({ DetailType, Resources }) => [DetailType, Resources])).toEqual([
      ['HPA Reported', resources],
      ['Sweep Completed', resources],
      ['Cluster Sweep Requested', resources],
      ['HPA Deleted', resources],
      ['Sweep Completed', resources],
    ]);
  },
);

/** A bus that takes connections and never answers. */
async function listenSilently(): Promise<void> {
  const silent = createServer(() => {});
  await new Promise<void>((listening) => silent.listen(0, '127.0.0.1', listening));
  onTestFinished(() => {
    silent.closeAllConnections();
    silent.close();
  });
  vi.stubEnv('AWS_ENDPOINT_URL_EVENTBRIDGE', `http://127.0.0.1:${(silent.address() as AddressInfo).port}`);
}

test('a function answers in time where the bus does not', async () => {
  await listenSilently();
  const cluster = await around.enroll('shop', staleList());
  let left = 60_000;
  cluster.onRequest = () => {
    left = 2_020;
    return undefined;
  };
  const getRemainingTimeInMillis = () => left;
  await (await loadReap())(changed(), { ...lambdaContext('reap'), getRemainingTimeInMillis });
  left = 900_000;
  const backfill = await self.loadBackfill();
  await backfill({}, { ...lambdaContext('backfill'), getRemainingTimeInMillis });
  const reasons = around.output.logged().flatMap(({ level, reason }) => (level === 'ERROR' ? [reason] : []));
  expect(reasons).toEqual(['0.02', '0.02'].map((limit) => `PutEvents timed out after ${limit} s`));
});
