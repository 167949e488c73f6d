import { expect, test, vi } from 'vitest';
import type { Change } from '../../../functions/events/report.ts';
import { DEFAULT_GUARDS } from '../../../functions/judgement/guards.ts';
import type { ClusterApi } from '../../../functions/kubernetes/cluster-api.ts';
import { ClusterSkippedError, NoAnswerError } from '../../../functions/platform/errors.ts';
import { type SweepOptions, sweepCluster } from '../../../functions/sweep/sweep-cluster.ts';
import {
  autoscaling,
  deployment,
  envoyHpa,
  envoyProxy,
  gateway,
  gatewayClass,
  hashedNameOf,
} from '../../builders/cluster.ts';
import { apiOf } from '../../builders/cluster-api.ts';
import { config, namespaceMode } from '../../builders/verdicts.ts';

const NOW = '2026-01-02T00:00:00Z';

const installed = [gatewayClass(), config, envoyProxy('shop/own', autoscaling())];
const stale = (name: string, metadata = {}) => [gateway(name), envoyHpa(name, { metadata })];
const missing = (name: string) => [gateway(name, { proxy: 'own' })];
const wanted = (name: string) => [...missing(name), envoyHpa(name)];

/** One sweep of a cluster. */
async function sweep(api: ClusterApi, options: Partial<SweepOptions> = {}) {
  const lines: [level: string, title: string, data: Record<string, unknown>][] = [];
  const write = (level: string) => (title: string, data?: object) => void lines.push([level, title, { ...data }]);
  const report = await sweepCluster({
    ...{ cluster: 'shop', sweepId: 'sweep-1', api, mode: 'delete', guards: DEFAULT_GUARDS, now: () => new Date(NOW) },
    log: { info: write('info'), warn: write('warn'), error: write('error') },
    ...options,
  });
  const outcomes = report.hpas.map(({ owner, outcome }) => `${owner?.name} ${outcome}`).toSorted();
  return { lines, report, outcomes };
}

test('sweeps and reports what is selected, of stale HPAs also by uid', async () => {
  const selected: unknown[] = [];
  const selects: SweepOptions['selects'] = ({ namespace, owner, staleUid }) => {
    selected.push([namespace, owner?.name, staleUid]);
    return owner?.name !== 'b' && owner?.name !== 'e';
  };
  const objects = [stale('shop/a'), stale('shop/b'), wanted('shop/c'), missing('shop/d'), missing('shop/e')].flat();
  const { outcomes, report } = await sweep(apiOf([...installed, ...objects]), { selects });
  expect(outcomes).toEqual(['a Deleted', 'c Kept']);
  expect(report.missing.map(({ owner }) => owner.name)).toEqual(['d']);
  const [namespace, uidOf] = ['envoy-gateway-system', (name: string) => envoyHpa(name).metadata.uid];
  expect(selected.toSorted()).toEqual([
    [namespace, 'a', uidOf('shop/a')],
    [namespace, 'b', uidOf('shop/b')],
    ...['c', 'd', 'e'].map((name) => [namespace, name, undefined]),
  ]);
});

test('throws when the API server stops responding before anything is deleted', async () => {
  const api = apiOf([...installed, ...stale('shop/a'), ...wanted('shop/b')]);
  const hpas = await api.hpas.list();
  vi.mocked(api.hpas.list).mockResolvedValueOnce(hpas).mockRejectedValue(new NoAnswerError('reset'));
  await expect(sweep(api)).rejects.toThrow('reset');
  expect(api.hpas.mark).toHaveBeenCalledOnce();
  expect(api.hpas.delete).not.toHaveBeenCalled();
});

test('reports what was deleted before the credentials expired, and warns of the rest', async () => {
  const expired = new ClusterSkippedError({ reason: 'ClusterUnauthorized', message: 'expired', remedy: '' });
  const api = apiOf([...installed, ...stale('shop/a'), ...stale('shop/b')]);
  vi.mocked(api.hpas.delete).mockResolvedValueOnce({ result: 'done' }).mockRejectedValue(expired);
  const { outcomes, report, lines } = await sweep(api);
  expect(outcomes).toEqual(['a Deleted', 'b Failed']);
  expect(report).toMatchObject({ lookAgain: true, changes: [] });
  expect(lines.at(-2)).toMatchObject(['warn', expect.anything(), { outcome: 'Failed', answer: 'expired' }]);
  expect(lines.at(-1)).toEqual([
    ...['info', 'sweep finished'],
    expect.objectContaining({ outcomes: { Deleted: 1, Failed: 1 }, auditIDs: undefined }),
  ]);
});

test.each([
  ['three times', 'Conflict', 3],
  ['until it is stopped', 'Stopped', 1],
])('judges an HPA that keeps changing %s, and warns', async (_, outcome, attempts) => {
  const stop = new AbortController();
  const mark = vi.fn(async () => {
    if (outcome === 'Stopped') stop.abort();
    return { result: 'conflict' } as const;
  });
  const api = apiOf([...installed, ...stale('shop/a')], { mark });
  const { outcomes, report, lines } = await sweep(api, outcome === 'Stopped' ? { drainSignal: stop.signal } : {});
  expect(outcomes).toEqual([`a ${outcome}`]);
  expect(mark).toHaveBeenCalledTimes(attempts);
  expect(lines[0]).toMatchObject(['warn', expect.anything(), { outcome }]);
  expect(report.lookAgain).toBe(true);
});

test.each([
  ['an Event for the owner of an HPA that it deletes', '', 'Deleted', 1],
  ['no Event once it is stopped', 'stop', 'Deleted', 0],
  ['no Event once there is no time left', 'time', 'Deleted', 0],
  ['no Event if it only reports', 'report', 'Reported', 0],
])('records %s', async (_, end, outcome, events) => {
  const deleted = new AbortController();
  const api = apiOf([...installed, ...stale('shop/a')]);
  const remove = api.hpas.delete;
  api.hpas.delete = (hpa) => {
    deleted.abort();
    return remove(hpa);
  };
  const { outcomes } = await sweep(api, {
    ...(end === 'stop' && { drainSignal: deleted.signal }),
    ...(end === 'time' && { hasTimeLeft: () => !deleted.signal.aborted }),
    ...(end === 'report' && { mode: 'report' }),
  });
  expect(outcomes).toEqual([`a ${outcome}`]);
  expect(api.recordEvent).toHaveBeenCalledTimes(events);
});

test('counts nothing but what would be deleted now against the limit of a run', async () => {
  const fresh = stale('shop/c', { creationTimestamp: NOW });
  const api = apiOf([...installed, ...stale('shop/a'), ...wanted('shop/b'), ...fresh]);
  const budget = vi.fn(() => 'too many');
  const { report } = await sweep(api, { budget });
  expect(budget.mock.calls).toEqual([[[`sweep-1/${envoyHpa('shop/a').metadata.uid}`]]]);
  expect(report.hpas.map(({ outcome, guard }) => [outcome, guard?.name])).toEqual([
    ['HeldBack', 'BlastRadiusExceeded'],
    ['Kept', undefined],
    ['HeldBack', 'Settling'],
  ]);
});

test('reports with each HPA the changes of the objects that decided', async () => {
  const change = { auditID: 'audit-1', username: 'jane', time: NOW };
  const changes: Change[] = [
    { ...change, verb: 'deletecollection', resource: 'envoyproxies' },
    { ...change, verb: 'update', resource: 'gateways', namespace: 'shop', name: 'a' },
    { ...change, verb: 'update', resource: 'configmaps', namespace: 'shop', name: 'a' },
    { ...change, verb: 'update', resource: 'gateways', namespace: 'bank', name: 'b' },
    { ...change, verb: 'update', resource: 'gateways', namespace: 'shop', name: 'c' },
    { ...change, verb: 'deletecollection', resource: 'gateways', namespace: 'shop' },
  ];
  const { report, lines } = await sweep(apiOf([...installed, ...stale('shop/a'), ...wanted('shop/b')]), { changes });
  expect(Object.fromEntries(report.hpas.map((hpa) => [hpa.owner?.name, hpa.changes]))).toEqual({
    a: [changes[1], changes[5]],
    b: [changes[0], changes[5]],
  });
  expect(lines.at(-1)?.[2].auditIDs).toEqual(Array(6).fill('audit-1'));
});

test('logs a wanted HPA only if asked to, or if it comes with a remedy', async () => {
  const api = apiOf([...installed, ...wanted('shop/a')]);
  expect((await sweep(api)).lines).toMatchObject([['info', 'sweep finished', {}]]);
  const every = (await sweep(api, { logEveryHpa: true })).lines;
  expect(every).toMatchObject([['info', expect.anything(), { outcome: 'Kept', reason: 'AutoscalingConfigured' }], {}]);
  const both = ['shop/web', `shop/${hashedNameOf('shop/web')}`];
  const { lines } = await sweep(
    apiOf([
      ...[gatewayClass(), namespaceMode, ...missing('shop/web'), envoyProxy('shop/own', autoscaling())],
      ...both.flatMap((at) => [envoyHpa('shop/web', { at }), deployment(at)]),
    ]),
  );
  expect(lines.map(([, , { remedy }]) => remedy !== undefined)).toEqual([true, true, false]);
});
