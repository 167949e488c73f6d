import { describe, expect, test } from 'vitest';
import { DEFAULT_GUARDS, guard } from '../../../functions/judgement/guards.ts';
import { judge } from '../../../functions/judgement/judge.ts';
import type { Metadata } from '../../../functions/judgement/kubernetes-objects.ts';
import {
  autoscaling,
  type ClusterObject,
  deployment,
  envoyGatewayConfig,
  envoyHpa,
  envoyProxy,
  gateway,
  gatewayClass,
  snapshotOf,
} from '../../builders/cluster.ts';
import { config } from '../../builders/verdicts.ts';

const NOW = new Date('2026-01-02T12:00:00Z');
const ago = (seconds: number) => new Date(NOW.getTime() - seconds * 1000).toISOString();
const created = (seconds: number) => ({ creationTimestamp: ago(seconds) });
const NO_TIME = { creationTimestamp: null };

type Settings = Partial<typeof DEFAULT_GUARDS>;
function guarded(objects: readonly ClusterObject[], settings: Settings = {}, alreadyDeleted?: number) {
  const snapshot = snapshotOf(objects);
  return guard(judge(snapshot), snapshot, { ...DEFAULT_GUARDS, ...settings }, NOW, alreadyDeleted);
}

describe('Settling', () => {
  const stale = ({ hpa = {}, configMap = {}, ofClass = {} }: Record<string, Partial<Metadata>>) => [
    envoyHpa('shop/web', { metadata: hpa }),
    gatewayClass('eg', { metadata: ofClass }),
    gatewayClass('other', { metadata: created(0) }),
    gateway(),
    envoyGatewayConfig({ metadata: configMap }),
  ];
  const written = (seconds: number, field = 'f:data') => ({
    managedFields: [
      { manager: 'helm', operation: 'Update', time: ago(9999), fieldsV1: { [field]: {} } },
      { manager: 'helm', operation: 'Update', time: ago(seconds), fieldsV1: { [field]: {} } },
    ],
  });
  const noTimes = { ...NO_TIME, managedFields: [{ manager: 'helm' }] };
  const HPA = 'the HPA was created less than 120 s ago';
  const CONFIG_MAP = 'ConfigMap envoy-gateway-system/envoy-gateway-config was written less than 180 s ago';
  const CLASS = 'GatewayClass eg was written less than 180 s ago';

  test.each<[string, Parameters<typeof stale>[0], string | undefined]>([
    ['nothing if everything is old', {}, undefined],
    ['an HPA that is 119 s old', { hpa: created(119) }, HPA],
    ['an HPA from the future', { hpa: created(-3600) }, HPA],
    ['no HPA that has lost its time', { hpa: NO_TIME }, undefined],
    ['a ConfigMap that is 179 s old', { configMap: created(179) }, CONFIG_MAP],
    ['a ConfigMap written 179 s ago', { configMap: written(179) }, CONFIG_MAP],
    ['a ConfigMap with an invalid time', { configMap: { managedFields: [{ time: 'x' }] } }, CONFIG_MAP],
    ['no ConfigMap that has lost its times', { configMap: noTimes }, undefined],
    ['a class that is 179 s old', { ofClass: created(179) }, CLASS],
    ['a class whose spec was written 179 s ago', { ofClass: written(179, 'f:spec') }, CLASS],
    ['no class whose spec was written 180 s ago', { ofClass: written(180, 'f:spec') }, undefined],
    ['a class whose status was written 179 s ago', { ofClass: written(179, 'f:status') }, CLASS],
    ['no class whose status was written 180 s ago', { ofClass: written(180, 'f:status') }, undefined],
    ['a class with a write of unknown fields', { ofClass: { managedFields: [{ time: ago(0) }] } }, CLASS],
  ])('holds back %s', (_, metadata, explanation) => {
    expect(guarded(stale(metadata))[0]?.guard).toEqual(explanation && { name: 'Settling', explanation });
  });

  test('the times can be set', () => {
    const young = stale({ hpa: created(10), configMap: created(10) });
    const held = (settings: Settings) => guarded(young, settings)[0]?.guard?.name;
    expect(held({ settleHpaSeconds: 10, settleConfigSeconds: 10 })).toBeUndefined();
    expect(held({ settleHpaSeconds: 11, settleConfigSeconds: 10 })).toBe('Settling');
    expect(held({ settleHpaSeconds: 10, settleConfigSeconds: 11 })).toBe('Settling');
  });

  test('a ConfigMap that the verdict does not rest on does not matter', () => {
    const other = envoyGatewayConfig({ namespace: 'b', controllerName: 'b', metadata: created(1) });
    expect(guarded([...stale({}), other])[0]?.guard).toBeUndefined();
    const orphan = [envoyHpa('shop/gone'), envoyGatewayConfig({ metadata: created(1) })];
    expect(guarded(orphan)[0]?.guard).toBeUndefined();
    const named = [envoyHpa('b/envoy-gateway-config'), gateway('b/envoy-gateway-config'), gatewayClass(), config];
    expect(guarded([...named, other])[0]?.guard).toBeUndefined();
  });
});

test.each<[string, Partial<Metadata>, boolean]>([
  ['not of an HPA that is 3599 s old', created(3_599), false],
  ['of an HPA that is an hour old', created(3_600), true],
  ['of an HPA that has lost its time', NO_TIME, true],
])('a remedy is given %s', (_, metadata, isGiven) => {
  const hpa = envoyHpa('shop/gone', { metadata });
  const [verdict] = guarded([hpa, deployment(`envoy-gateway-system/${hpa.metadata.name}`)]);
  expect(verdict?.reason).toBe('ScaleTargetStillRuns');
  expect(verdict?.remedy !== undefined).toBe(isGiven);
});

describe('BlastRadiusExceeded', () => {
  type Counts = Partial<Record<'stale' | 'wanted' | 'byDefault' | 'foreign', number>>;
  /** `stale` HPAs that an EnvoyProxy without autoscaling makes stale, `wanted` ones that another EnvoyProxy asks for. */
  const cluster = ({ stale = 0, wanted = 0, byDefault = 0, foreign = 0 }: Counts) => {
    const some = (count: number, kind: string, proxy?: string): ClusterObject[] =>
      Array.from({ length: count }, (_, i) => `${kind}-${i}`).flatMap((name) => [
        ...[envoyHpa(`shop/${name}`), gateway(`shop/${name}`, { proxy }), deployment(`envoy-gateway-system/${name}`)],
      ]);
    return [
      ...[gatewayClass(), config, envoyProxy('shop/off', {}), envoyProxy('shop/on', autoscaling())],
      ...[...some(stale, 'off', 'off'), ...some(wanted, 'on', 'on'), ...some(byDefault, 'default')],
      ...Array.from({ length: foreign }, (_, i) => envoyHpa(`shop/foreign-${i}`, { metadata: { managedFields: [] } })),
    ];
  };
  const guardOf = (...args: Parameters<typeof guarded>) => {
    const guards = guarded(...args).flatMap((verdict) => (verdict.action === 'delete' ? [verdict.guard] : []));
    expect(new Set(guards.map((one) => one?.name)).size).toBe(1); // All of them, or none.
    return guards[0]?.name === 'BlastRadiusExceeded' ? guards[0].explanation : undefined;
  };
  const TOO_MANY = '26 deletions at once, and the limit is 25';
  const half = (count: number, total: number) => `${count} of ${total} HPAs at once are more than half`;
  const ALL = 'all 3 HPAs at once, because of the default in the EnvoyGateway ConfigMap alone';

  test.each<[string, Counts, string | undefined]>([
    ['not 25 of 100', { stale: 25, wanted: 75 }, undefined],
    ['26 of 100', { stale: 26, wanted: 74 }, TOO_MANY],
    ['not 5 of 10', { stale: 5, wanted: 5 }, undefined],
    ['6 of 10', { stale: 6, wanted: 4 }, half(6, 10)],
    ["6 of 10 beside others' HPAs", { stale: 6, wanted: 4, foreign: 10 }, half(6, 10)],
    ["not 5 of 9 beside others' HPAs", { stale: 5, wanted: 4, foreign: 10 }, undefined],
    ['not 2 of 2 by the default alone', { byDefault: 2 }, undefined],
    ['3 of 3 by the default alone', { byDefault: 3 }, ALL],
    ['not 3 of 4 by the default alone', { byDefault: 3, wanted: 1 }, undefined],
    ['not 3 of 3 by an EnvoyProxy or the default', { stale: 1, byDefault: 2 }, undefined],
  ])('holds back %s', (_, counts, expected) => {
    expect(guardOf(cluster(counts))).toBe(expected);
  });

  test('does not count an HPA of two owners', () => {
    const ambiguous = [0, 1, 2].map((i) => {
      const labels = { ...envoyHpa('eg').metadata.labels, ...envoyHpa(`shop/a-${i}`).metadata.labels };
      return envoyHpa(`shop/a-${i}`, { metadata: { labels } });
    });
    expect(guardOf([...cluster({ stale: 5, wanted: 2 }), ...ambiguous])).toBeUndefined();
    expect(guardOf([...cluster({ stale: 6, wanted: 4 }), ...ambiguous])).toBe(half(6, 10));
  });

  const ofRun = (count: number, limit: number) => `${count} deletions, and the limit for this run is ${limit}`;
  test.each<[string, Counts, Settings, number | undefined, string | undefined]>([
    [
      'a lower limit',
      { stale: 3, wanted: 5 },
      { maxDeletions: 2 },
      undefined,
      '3 deletions at once, and the limit is 2',
    ],
    ['deletions of this sweep count: 26', { stale: 1, wanted: 75 }, {}, 25, TOO_MANY],
    ['deletions of this sweep count: 6 of 11', { stale: 1, wanted: 5 }, {}, 5, half(6, 11)],
    ['deletions of this sweep count: 3 of 3', { byDefault: 1 }, {}, 2, ALL],
    ['a raised limit allows 26', { stale: 26 }, { raisedLimit: 26 }, undefined, undefined],
    ['a raised limit holds back more', { stale: 26 }, { raisedLimit: 25 }, undefined, ofRun(26, 25)],
    ['a raised limit allows all by the default', { byDefault: 3 }, { raisedLimit: 3 }, undefined, undefined],
    ['a raised limit of 0 holds back everything', { stale: 1, wanted: 9 }, { raisedLimit: 0 }, undefined, ofRun(1, 0)],
    ['a raised limit counts deletions of this sweep', { stale: 1, wanted: 9 }, { raisedLimit: 2 }, 2, ofRun(3, 2)],
  ])('%s', (_, counts, settings, alreadyDeleted, expected) => {
    expect(guardOf(cluster(counts), settings, alreadyDeleted)).toBe(expected);
  });

  test('counts what settles, and holds it back with the rest', () => {
    const young = [envoyHpa('shop/young', { metadata: created(1) }), gateway('shop/young', { proxy: 'off' })];
    expect(guardOf([...cluster({ stale: 5, wanted: 4 }), ...young])).toBe(half(6, 10));
  });
});
