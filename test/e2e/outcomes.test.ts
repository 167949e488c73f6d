import { describe, expect, test, vi } from 'vitest';
import { OUTCOME_DETAILS, type OutcomeDetailType } from '../../functions/events/report.ts';
import type { EmbeddedCluster, EmbeddedClusterOptions, Intervention } from '../embedded-cluster/embedded-cluster.ts';
import { lambdaContext } from '../embedded-cluster/event-path.ts';
import { backfillSurroundings, NOWHERE } from './account.ts';
import { deleteAsAdmin, hpasOf, MISSING, missingList, STALE, staleList, the, wantedList, writesTo } from './harness.ts';
import { changed, rbac, reapBatch, requested, sweepByEvent } from './reap-harness.ts';

/** What infra/kubernetes/rbac.yaml allowed before Events. */
const rbacWithoutEvents = rbac.map((manifest) => ({
  ...manifest,
  rules: manifest.rules?.filter(({ resources }) => !resources?.includes('events')),
}));
const self = backfillSurroundings();
const { around } = self;

/**
 * What is on the bus, each detail checked by its schema, which lets nothing unknown through. Without the summary of a sweep that
 * nobody requested, which test/unit/events/outcome-event.test.ts shows.
 */
function published(): [detailType: string, detail: Record<string, unknown>][] {
  return around.bus.taken
    .filter(({ DetailType }) => DetailType in OUTCOME_DETAILS)
    .map(({ DetailType, Detail }) => {
      const detail = JSON.parse(Detail);
      expect(OUTCOME_DETAILS[DetailType as OutcomeDetailType].parse(detail)).toEqual(detail);
      return [DetailType, detail] as [string, Record<string, unknown>];
    })
    .filter(([type, { runIds }]) => type !== 'Sweep Completed' || (runIds as string[]).length > 0);
}
const publishedTypes = () => published().map(([detailType]) => detailType);

const ofShop = { version: '1', cluster: 'shop', region: 'eu-central-1', sweepId: expect.stringMatching(/\/shop$/) };

const eventsOf = (cluster: EmbeddedCluster) =>
  cluster.objects('events').map(({ metadata: { namespace }, ...event }) => ({ namespace, ...event }));

describe('reap', () => {
  test('publishes each HPA that it deleted, with the reason and who changed what, and records an Event for its Gateway', async () => {
    const cluster = await around.enroll('shop', staleList());
    const [manifest] = cluster.objects('horizontalpodautoscalers');
    expect(await reapBatch([changed()])).toEqual([]);
    expect(published()).toEqual([
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
          changes: [expect.objectContaining({ username: 'jane@example.com', auditID: 'audit-1' })],
          manifest,
        },
      ],
    ]);
    const { uid } = the('Gateway', staleList()).metadata;
    const event = { involvedObject: { kind: 'Gateway', uid }, reason: 'StaleHPADeleted', count: 1 };
    expect(eventsOf(cluster)).toMatchObject([{ namespace: 'autoscaling-removed', ...event }]);
    expect(cluster.requests.at(-1)?.query.get('fieldManager')).toBe('envoy-hpa-reaper');
    expect(around.bus.taken).toMatchObject(
      ['HPA Deleted', 'Sweep Completed'].map((DetailType) => ({
        ...{ EventBusName: 'envoy-hpa-reaper', Source: 'envoy-hpa-reaper', DetailType },
        Resources: ['arn:aws:eks:eu-central-1:123456789012:cluster/shop'],
      })),
    );
  });

  test('publishes that a sweep is complete, with its outcomes', async () => {
    await around.enroll('shop', staleList());
    await around.enroll('bank', wantedList());
    await around.enroll('office', staleList());
    await reapBatch([
      requested('shop'),
      requested('bank', { runId: 'run-2' }),
      requested('office', { mode: 'report' }),
    ]);
    expect(publishedTypes().toSorted()).toEqual([
      ...['HPA Deleted', 'HPA Reported'],
      ...['Sweep Completed', 'Sweep Completed', 'Sweep Completed'],
    ]);
    const completed = new Map(published().map(([type, detail]) => [`${type} ${detail.cluster}`, detail]));
    expect(['shop', 'bank', 'office'].map((name) => completed.get(`Sweep Completed ${name}`))).toMatchObject([
      { ...ofShop, runIds: ['run-1'], mode: 'delete', outcomes: { Deleted: 1 } },
      { runIds: ['run-2'], mode: 'delete', outcomes: { Kept: 1 } },
      { runIds: ['run-1'], mode: 'report', outcomes: { Reported: 1 } },
    ]);
  });

  test('publishes a cluster that it could not sweep, with the remedy, unless it opted out', async () => {
    await around.enroll('forbidden', staleList(), { rbac: [] });
    await around.enroll('gone', staleList(), { described: { endpoint: NOWHERE } });
    await around.enroll('out', staleList(), { described: { tags: { 'envoy-hpa-reaper': 'off' } } });
    expect(await reapBatch(['forbidden', 'gone', 'out'].map((cluster) => changed(cluster)))).toEqual(['message-2']);
    expect(published()).toMatchObject([
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

  test('does not return the message when the bus refuses the events', async () => {
    const cluster = await around.enroll('shop', staleList());
    around.bus.refuseEntries(Number.POSITIVE_INFINITY, 'ThrottlingException');
    expect(await reapBatch([changed()])).toEqual([]);
    expect([hpasOf(cluster), around.bus.taken]).toEqual([[], []]);
    expect(around.output.logged()).toContainEqual(
      expect.objectContaining({
        ...{ level: 'ERROR', message: 'failed to publish outcome events; the log has the outcomes' },
        reason: expect.stringMatching(/after 4 attempts still refused: ThrottlingException$/),
      }),
    );
    expect(around.output.counted('OutcomesNotPut')).toBeGreaterThan(0);
  });
});

describe('a wanted HPA that somebody deleted', () => {
  const owner = { kind: 'Gateway', namespace: 'autoscaling-kept', name: 'web' };
  const missing = {
    ...{ namespace: 'envoy-gateway-system', name: MISSING.split('/')[1], owner, reason: 'WantedButMissing' },
    explanation: `Gateway autoscaling-kept/web asks for autoscaling in EnvoyProxy autoscaling-kept/proxy, and there is no HPA ${MISSING}.`,
    remedy: expect.stringMatching(/^Envoy Gateway does not notice that it is gone: restart Envoy Gateway/),
  };
  const [missingEvent, swept] = [
    ['HPA Missing', { ...ofShop, hpa: missing }],
    { hpas: 0, stale: 0, deleted: 0, heldBack: 0, missing: 1, outcomes: {} },
  ];
  const deleteByHand = (cluster: EmbeddedCluster) =>
    deleteAsAdmin(cluster, `/apis/autoscaling/v2/namespaces/${MISSING.replace('/', '/horizontalpodautoscalers/')}`);

  test.each(['delete', 'report'])('is reported by the next sweep, in mode %s', async (mode) => {
    vi.stubEnv('MODE', mode);
    const cluster = await around.enroll('shop', wantedList());
    await deleteByHand(cluster);
    cluster.requests.length = 0;
    const report = await sweepByEvent(requested('shop', { mode }));

    expect(report).toMatchObject({ mode, hpas: [], lookAgain: false });
    expect(report.missing).toEqual([missing]);
    expect(published()).toEqual([missingEvent, ['Sweep Completed', { ...ofShop, runIds: ['run-1'], mode, ...swept }]]);
    expect(around.output.logged().slice(-2)).toMatchObject([
      { level: 'WARN', message: `HPA ${MISSING} is missing, WantedButMissing`, cluster: 'shop', ...missing },
      { level: 'INFO', message: 'sweep finished', missing: 1 },
    ]);
    expect(around.output.counted('HpasMissing')).toBe(1);
    const { uid } = the('Gateway', wantedList()).metadata;
    const event = { namespace: 'autoscaling-kept', involvedObject: { ...owner, uid }, reason: 'WantedHPAMissing' };
    expect(eventsOf(cluster)).toMatchObject(mode === 'delete' ? [event] : []);
    expect(writesTo(cluster)).toHaveLength(mode === 'delete' ? 1 : 0);
  });
});

test.each<[string, Partial<EmbeddedClusterOptions>, Intervention | undefined, RegExp]>([
  ['its role does not allow it', { rbac: rbacWithoutEvents }, undefined, /403: .*cannot create resource "events"/],
  ['the API server does not answer', {}, { kind: 'reset' }, /no whole answer/],
])('reap records no Event if %s, and the deletion stands', async (_, options, intervention, why) => {
  const cluster = await around.enroll('shop', staleList(), options);
  cluster.onRequest = ({ method }) => (method === 'POST' ? intervention : undefined);
  expect(await reapBatch([changed()])).toEqual([]);
  expect([hpasOf(cluster), eventsOf(cluster)]).toEqual([[], []]);
  expect(publishedTypes()).toEqual(['HPA Deleted']);
  expect(around.output.logged()).toContainEqual(
    expect.objectContaining({
      ...{ level: 'INFO', message: 'no Event written', cluster: 'shop', object: 'Gateway autoscaling-removed/web' },
      why: expect.stringMatching(why),
    }),
  );
});

test('backfill publishes the outcomes of every cluster that it swept or could not sweep', async () => {
  await around.enroll('bank', wantedList());
  await around.enroll('forbidden', staleList(), { rbac: [] });
  await around.enroll('lost', missingList());
  await around.enroll('shop', staleList());
  const { runId, totals } = await self.backfill({ mode: 'delete' });
  const sweep = { runIds: [runId], mode: 'delete', hpas: 1 };
  expect(published()).toMatchObject([
    ['Sweep Completed', { cluster: 'bank', ...sweep, stale: 0, outcomes: { Kept: 1 } }],
    ['Cluster Unreachable', { cluster: 'forbidden', reason: 'ClusterForbidden' }],
    ['HPA Missing', { cluster: 'lost', hpa: { name: MISSING.split('/')[1] } }],
    ['Sweep Completed', { cluster: 'lost', runIds: [runId], hpas: 0, missing: 1 }],
    ['HPA Deleted', { cluster: 'shop', sweepId: `${runId}/eu-central-1/shop`, changes: [] }],
    ['Sweep Completed', { cluster: 'shop', ...sweep, stale: 1, outcomes: { Deleted: 1 } }],
  ]);
  expect([totals.missing, around.output.counted('HpasMissing')]).toEqual([1, 1]);
});

test("backfill names the Region of each cluster, and the function's own partition, in its events", async () => {
  await around.enroll('shop', staleList(), { described: { region: 'eu-west-1' } });
  const { invokedFunctionArn, ...context } = lambdaContext('backfill', 900_000);
  const inGovCloud = { ...context, invokedFunctionArn: invokedFunctionArn.replace(':aws:', ':aws-us-gov:') };
  await (await self.loadBackfill())({ regions: ['eu-west-1'] }, inGovCloud);
  expect(published()).toMatchObject([
    ['HPA Reported', { region: 'eu-west-1' }],
    ['Sweep Completed', { region: 'eu-west-1' }],
  ]);
  const resources = ['arn:aws-us-gov:eks:eu-west-1:123456789012:cluster/shop'];
  expect(around.bus.taken.map(({ Resources }) => Resources)).toEqual([resources, resources]);
});
