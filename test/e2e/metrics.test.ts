import { readFileSync } from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import * as z from 'zod/mini';
import { EVENT_SOURCE } from '../../functions/events/event-source.ts';
import { OUTCOMES } from '../../functions/events/outcomes.ts';
import { lambdaHandler } from '../../functions/platform/lambda.ts';
import { METRICS } from '../../functions/platform/metrics.ts';
import { measureHpas } from '../../functions/sweep/publish-outcomes.ts';
import { dashboardBody } from '../../infra/dashboard.ts';
import { alarms } from '../builders/alarms.ts';
import { missingHpa, sweptHpa } from '../builders/outcomes.ts';
import { auditLine, controlMessage, payload } from '../doubles/cloudwatch-logs.ts';
import { EksAccountDouble } from '../doubles/eks.ts';
import { SubscriptionFiltersDouble } from '../doubles/subscription-filters.ts';
import { busEvent, invocation, lambdaContext } from '../embedded-cluster/event-path.ts';
import { backfillSurroundings, NOWHERE } from './account.ts';
import { enroll, environment as enrollEnvironment, logGroup, ourEntries, ourFilter } from './enroll-harness.ts';
import { staleList, times, wantedList } from './harness.ts';
import { changed, loadReap, reapBatch, reapEvent, requested } from './reap-harness.ts';

const self = backfillSurroundings();
const { around } = self;

const heartbeat = (detail: object = { version: '1' }) =>
  busEvent({ source: EVENT_SOURCE, detailType: 'Heartbeat', detail, resources: [], time: new Date() });

interface EmfLine {
  _aws: {
    CloudWatchMetrics: { Namespace: string; Dimensions: string[][]; Metrics: { Name: string; Unit: string }[] }[];
  };
  [dimensionOrMetric: string]: unknown;
}

/** What CloudWatch makes of what was printed: `namespace name {dimension=value,…}`, and the unit of each. */
function emitted(): Map<string, string> {
  const lines = around.output.written().filter((line) => '_aws' in line) as unknown as EmfLine[];
  return new Map(
    lines.flatMap((line) =>
      line._aws.CloudWatchMetrics.flatMap(({ Namespace, Dimensions, Metrics }) =>
        Metrics.flatMap(({ Name, Unit }) =>
          Dimensions.map((names) => {
            const values = names.toSorted().map((name) => `${name}=${line[name]}`);
            return [`${Namespace} ${Name} {${values}}`, Unit] as const;
          }),
        ),
      ),
    ),
  );
}

describe('a heartbeat', () => {
  test('is counted, and touches no cluster', async () => {
    const cluster = await around.enroll('shop', staleList());
    expect(await reapBatch([heartbeat()])).toEqual([]);
    expect([...emitted().keys()]).toEqual(['EnvoyHpaReaper Heartbeats {service=reap}']);
    expect([around.output.logged(), around.eks.described, cluster.requests]).toEqual([[], [], []]);
    // Nor does it delay the messages that come with it.
    expect(await reapBatch([heartbeat(), changed(), heartbeat()])).toEqual([]);
    expect([around.output.counted('Heartbeats'), around.output.counted('HpasDeleted')]).toEqual([3, 1]);
  });

  test('is refused in a direct invocation', async () => {
    await expect(reapEvent(heartbeat())).rejects.toMatchObject({
      name: 'MalformedInputError',
      message: 'a heartbeat must come through the queue',
    });
    expect(around.output.counted('Heartbeats')).toBe(0);
  });
});

describe('a sweep', () => {
  test('counts its requests, each sweep by itself', async () => {
    const cluster = await around.enroll('shop', staleList());
    const handler = await loadReap();
    await reapBatch([changed()], 1, handler);
    // Three lists, the configuration, Envoy Gateway's Deployment, the HPAs of the namespace, the mark, all but these HPAs
    // again, the deletion, its Event.
    expect(cluster.requests).toHaveLength(3 + 4 + 1 + 1 + 1 + 8 + 1 + 1);
    expect(around.output.counted('RequestsPerSweep')).toBe(20);
    await reapBatch([changed()], 1, handler);
    expect(around.output.counted('RequestsPerSweep')).toBe(20 + 7);
  });

  test('measures from the earliest change that a verdict rests on, for each HPA that it deletes', async () => {
    await around.enroll('shop', times(2, staleList()));
    const at = (seconds: number) => ({ stageTimestamp: new Date(Date.now() - seconds * 1000).toISOString() });
    const kind = { apiGroup: 'gateway.envoyproxy.io', apiVersion: 'v1alpha1', resource: 'envoyproxies' };
    const objectRef = { ...kind, namespace: 'autoscaling-removed', name: 'other' };
    await reapBatch([changed('shop', at(30)), changed('shop', at(60)), changed('shop', { ...at(500), objectRef })]);
    const [seconds] = around.output.written().flatMap((line) => ('SecondsToDeletion' in line ? [line] : []));
    expect(seconds?.SecondsToDeletion).toEqual([expect.closeTo(62, -1), expect.closeTo(62, -1)]);
  });

  test('of a skipped cluster is counted by reason', async () => {
    expect(await reapBatch([changed('nowhere')])).toEqual([]);
    expect([...emitted().keys()].toSorted()).toEqual([
      'EnvoyHpaReaper ClustersSkipped {reason=ClusterNotFound,service=reap}',
      'EnvoyHpaReaper Sweeps {service=reap}',
    ]);
    expect(around.output.text).not.toContain('No application metrics');
  });

  test('that only a request led to measures no time', async () => {
    await around.enroll('shop', staleList());
    await reapBatch([requested()]);
    expect(around.output.counted('HpasDeleted')).toBe(1);
    expect(around.output.text).not.toContain('SecondsToDeletion');
  });

  test('that fails with a Status is not counted as unreachable', async () => {
    const cluster = await around.enroll('shop', staleList());
    const body = { kind: 'Status', message: 'storage is gone', code: 500 };
    cluster.onRequest = () => ({ kind: 'respond', status: 500, body });
    expect(await reapBatch([changed()])).toEqual(['message-1']);
    expect([around.output.counted('ClustersUnreachable'), around.output.counted('SweepsFailed')]).toEqual([0, 1]);
    await self.backfill({});
    expect(['ClustersUnreachable', 'ClustersFailed', 'SweepsCompleted'].map(around.output.counted)).toEqual([0, 1, 0]);
  });
});

describe('SweepsCompleted is counted', () => {
  test.each<[string, object, number]>([
    ['by hand', {}, 1],
    ['over the bus', { dispatch: 'bus' }, 1],
    ['of some clusters: not of all', { clusters: ['shop'] }, 0],
    ['of some tags: not of all', { tags: { team: 'a' } }, 0],
    ['of its own Region with others', { regions: ['eu-west-1', 'eu-central-1'] }, 1],
    ['of another Region only: not of its own', { regions: ['eu-west-1'] }, 0],
  ])('%s', async (_, request, count) => {
    await around.enroll('shop', wantedList());
    await self.backfill(request);
    expect(around.output.counted('SweepsCompleted')).toBe(count);
  });

  test.each<[string, string, number]>([
    ['though another Region could not be listed', 'eu-west-1', 1],
    ['but not where its own could not be listed', 'eu-central-1', 0],
  ])('%s', async (_, denied, count) => {
    await around.enroll('shop', wantedList());
    around.eks.deniedRegions.add(denied);
    const { regions } = await self.backfill({ regions: ['eu-west-1', 'eu-central-1'] });
    expect(regions).toMatchObject([{ region: denied, reason: 'AwsAccessRefused' }]);
    expect(around.output.counted('SweepsCompleted')).toBe(count);
  });

  const counts = (...names: ('SweepsCompleted' | 'ClustersFailed' | 'ClustersUnreachable')[]) =>
    names.map((name) => around.output.counted(name));

  test.each([{}, { dispatch: 'bus' }])('but not when AWS denies describing a cluster: %j', async (request) => {
    for (const name of ['shop', 'bank']) await around.enroll(name, wantedList(), { described: { denied: true } });
    await self.backfill(request);
    expect(counts('SweepsCompleted', 'ClustersFailed', 'ClustersUnreachable')).toEqual([0, 2, 0]);
    await around.enroll('shop', wantedList());
    await self.backfill(request);
    expect(counts('SweepsCompleted', 'ClustersFailed')).toEqual([0, 3]);
    await around.enroll('bank', wantedList());
    await self.backfill(request);
    expect(counts('SweepsCompleted', 'ClustersFailed')).toEqual([1, 3]);
  });

  test.each<[string, number, Parameters<typeof around.enroll>[2]]>([
    ['opted out', 0, { described: { tags: { 'envoy-hpa-reaper': 'off' } } }],
    ['authenticates nobody', 0, { users: () => undefined }],
    ['is unreachable, with a private endpoint only', 1, { described: { publicAccess: false } }],
  ])('though a cluster %s', async (_, unreachable, enroll) => {
    await around.enroll('shop', wantedList());
    const other = await around.enroll('bank', wantedList(), enroll);
    if (unreachable > 0) await other.close();
    await self.backfill({});
    expect(counts('SweepsCompleted', 'ClustersFailed', 'ClustersUnreachable')).toEqual([1, unreachable, unreachable]);
  });
});

async function forward(event: ReturnType<typeof payload>): Promise<void> {
  const { handler } = await import('../../functions/forward/handler.ts');
  await handler(invocation(event) as never, lambdaContext('forward') as never);
}

/** Runs `enroll` in an account with a cluster that it enrolls. */
async function enrollAccount(change: (eks: EksAccountDouble) => void = () => {}, remaining?: number): Promise<void> {
  for (const [name, value] of Object.entries(enrollEnvironment)) vi.stubEnv(name, value);
  const [eks, logs] = [new EksAccountDouble(), new SubscriptionFiltersDouble()];
  vi.stubEnv('AWS_ENDPOINT_URL_EKS', await eks.start());
  vi.stubEnv('AWS_ENDPOINT_URL_CLOUDWATCH_LOGS', await logs.start());
  eks.add('shop', { entries: ourEntries() });
  logs.add(logGroup('shop'), [ourFilter()]);
  change(eks);
  await enroll({}, remaining);
  await Promise.all([eks.stop(), logs.stop()]);
}

/** Everything that can happen, once. */
async function live(): Promise<void> {
  await forward(payload([auditLine('envoyproxy-patch'), 'no JSON']));
  await forward(controlMessage());

  await around.enroll('stale', staleList());
  await around.enroll('opted-out', staleList(), { described: { tags: { 'envoy-hpa-reaper': 'off' } } });
  await around.enroll('unreachable', staleList(), { described: { endpoint: NOWHERE } });
  await around.enroll('unauthorized', staleList(), { users: () => undefined });
  await around.enroll('forbidden', staleList(), { user: { username: 'reap', groups: [] } });
  const bodies = [...[...around.eks.clusters.keys()].map((name) => changed(name)), heartbeat(), 'no JSON'];
  around.bus.failRequests(1, 400, 'AccessDeniedException');
  expect(await reapBatch(bodies)).not.toEqual([]);

  around.bus.failRequests(1, 400, 'AccessDeniedException');
  await self.backfill({});
  await self.backfill({ mode: 'delete' });
  await self.backfill({ dispatch: 'bus' });
  await (await self.loadBackfill())({}, lambdaContext('backfill', 20_000));

  const guard = { name: 'BlastRadiusExceeded', explanation: '30 deletions at once, and the limit is 25' } as const;
  const hpas = OUTCOMES.map((outcome) => sweptHpa('shop/web', outcome, { guard }));
  for (const service of ['reap', 'backfill']) {
    const measure = lambdaHandler(service, z.object({}), 'failed', ({ metrics }) => async () => {
      measureHpas({ hpas, missing: [missingHpa('shop/web')] }, metrics);
    });
    await measure({}, lambdaContext(service));
  }

  await enrollAccount((eks) => {
    eks.add('closed', { authenticationMode: 'CONFIG_MAP' });
    eks.clusters.get('shop')?.entries.clear();
  });
  await enrollAccount(undefined, 1_000);
}

test('an hour without anything wrong has values for as many metrics as docs/cost.md counts, and none is 0', async () => {
  await around.enroll('shop', wantedList());
  await forward(payload([auditLine('envoyproxy-patch')]));
  await self.backfill({ dispatch: 'bus' });
  await reapBatch([heartbeat(), requested(), changed()]);
  await enrollAccount();
  const names = [...emitted().keys()];
  expect(readFileSync('docs/cost.md', 'utf8')).toContain(`- ${names.length} metrics have values every hour.`);
  expect(names.filter((name) => around.output.counted(name.split(' ')[1] ?? '') === 0)).toEqual([]);
});

test('a run of enroll that finds only an audit log that is off has no problem', async () => {
  await enrollAccount((eks) => eks.add('quiet', { auditLog: false, entries: ourEntries() }));
  expect([...emitted().keys()]).toEqual(['EnvoyHpaReaper ClustersEnrolled {service=enroll}']);
});

test('an invocation that counts nothing prints neither metrics nor a warning', async () => {
  const handler = lambdaHandler('reap', z.object({}), 'failed', ({ metrics }) => async () => {
    metrics.add('HpasFound', 0);
    metrics.add('ClustersSkipped', 0, 'ClusterForbidden');
  });
  await handler({}, lambdaContext('reap'));
  expect(around.output.text).toBe('');
});

describe('the metrics', () => {
  /** The metrics that alarms watch, written as `emitted` writes them. */
  const alarmed = () =>
    alarms().flatMap(({ Namespace, MetricName, Dimensions = [] }) => {
      if (Namespace !== 'EnvoyHpaReaper') return [];
      return [`${Namespace} ${MetricName} {${Dimensions.map(({ Name, Value }) => `${Name}=${Value}`).toSorted()}}`];
    });

  /** Those that the dashboard shows; where it searches, a pattern for the values. */
  const shown = (): string[] => {
    const { widgets } = JSON.parse(dashboardBody());
    const metrics = widgets.flatMap(
      ({ properties }: { properties: { metrics?: unknown[][] } }) => properties.metrics ?? [],
    );
    return metrics.flatMap(([first, name, ...rest]: [unknown, string, ...unknown[]]) => {
      const dimensions = rest.slice(0, -1).join('=');
      if (first === 'EnvoyHpaReaper') return [`${first} ${name} {${dimensions}}`];
      const { expression = '' } = first as { expression?: string };
      const [, schema, found] = /^SEARCH\('\{(EnvoyHpaReaper,[\w,]+)\} MetricName="(\w+)"', 'Sum', 3600\)$/.exec(
        expression,
      ) ?? [undefined, undefined, undefined];
      if (schema === undefined) return [];
      const [namespace, ...searched] = schema.split(',');
      return [`${namespace} ${found} {${searched.toSorted().map((one) => `${one}=*`)}}`];
    });
  };

  test('of alarms and dashboard are those that the functions emit, in the units of the table', async () => {
    vi.stubEnv('MAX_DELETIONS', '25');
    await live();
    const [metrics, any] = [emitted(), new Set<string>()];
    for (const metric of metrics.keys()) {
      any.add(metric);
      any.add(metric.replaceAll(/=[^,}]+/g, '=*'));
    }
    expect(alarmed()).toHaveLength(11);
    expect(shown().length).toBeGreaterThan(20);
    expect([...alarmed(), ...shown()].filter((metric) => !any.has(metric))).toEqual([]);
    expect(Object.fromEntries([...metrics].map(([metric, unit]) => [metric.split(' ')[1], unit]))).toEqual(METRICS);
  }, 60_000);
});
