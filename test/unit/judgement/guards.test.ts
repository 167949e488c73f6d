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

const NOW = new Date('2026-01-02T12:00:00Z');
const ago = (seconds: number) => new Date(NOW.getTime() - seconds * 1000).toISOString();

function guarded(
  objects: readonly ClusterObject[],
  settings: Partial<typeof DEFAULT_GUARDS> = {},
  alreadyDeleted?: number,
) {
  const snapshot = snapshotOf(objects);
  return guard(judge(snapshot), snapshot, { ...DEFAULT_GUARDS, ...settings }, NOW, alreadyDeleted);
}
const guardsOf = (...args: Parameters<typeof guarded>) => guarded(...args).map((verdict) => verdict.guard?.name);

describe('Settling', () => {
  const stale = (
    hpa: Partial<Metadata>,
    configMap: Partial<Metadata> = {},
    ofClass: NonNullable<Parameters<typeof gatewayClass>[1]>['metadata'] = {},
  ) => [
    envoyHpa('shop/web', { metadata: hpa }),
    gatewayClass('eg', { metadata: ofClass }),
    gatewayClass('other', { metadata: { creationTimestamp: ago(0) } }),
    gateway(),
    envoyGatewayConfig({ metadata: configMap }),
  ];
  const written = (field: 'f:spec' | 'f:status', seconds: number) => ({
    managedFields: [{ manager: 'kubectl', operation: 'Update', time: ago(seconds), fieldsV1: { [field]: {} } }],
  });
  const entry = (time: string | undefined) => ({ manager: 'helm', operation: 'Update', time });

  test.each<[string, ClusterObject[], 'Settling' | undefined]>([
    ['all is old', stale({}), undefined],
    ['the HPA is 119 s old', stale({ creationTimestamp: ago(119) }), 'Settling'],
    ['the HPA is 120 s old', stale({ creationTimestamp: ago(120) }), undefined],
    ['the HPA comes from the future', stale({ creationTimestamp: ago(-3600) }), 'Settling'],
    ['the HPA has lost its time', stale({ creationTimestamp: null }), undefined],
    ["the HPA's time is garbled", stale({ creationTimestamp: 'yesterday' }), 'Settling'],
    ["the HPA's time is empty", stale({ creationTimestamp: '' }), 'Settling'],
    ['the ConfigMap was created 179 s ago', stale({}, { creationTimestamp: ago(179) }), 'Settling'],
    ['the ConfigMap was created 180 s ago', stale({}, { creationTimestamp: ago(180) }), undefined],
    [
      'the ConfigMap was written 179 s ago',
      stale({}, { managedFields: [entry(ago(9999)), entry(ago(179))] }),
      'Settling',
    ],
    ['the ConfigMap was written 180 s ago', stale({}, { managedFields: [entry(ago(180))] }), undefined],
    ['the ConfigMap was written at a garbled time', stale({}, { managedFields: [entry('x')] }), 'Settling'],
    [
      'the ConfigMap has lost its times',
      stale({}, { creationTimestamp: null, managedFields: [entry(undefined)] }),
      undefined,
    ],
    ['the ConfigMap has no managedFields', stale({}, { managedFields: null }), undefined],
    ['the class was created 179 s ago', stale({}, {}, { creationTimestamp: ago(179) }), 'Settling'],
    ['the spec of the class was written 179 s ago', stale({}, {}, written('f:spec', 179)), 'Settling'],
    ['the spec of the class was written 180 s ago', stale({}, {}, written('f:spec', 180)), undefined],
    ['the status of the class was written just now', stale({}, {}, written('f:status', 0)), undefined],
    ['the class has lost its times', stale({}, {}, { creationTimestamp: null }), undefined],
  ])('%s', (_, objects, expected) => {
    expect(guardsOf(objects)).toEqual([expected]);
  });

  test('says what settles', () => {
    expect(guarded(stale({ creationTimestamp: ago(1) }))[0]?.guard).toEqual({
      name: 'Settling',
      explanation: 'the HPA was created less than 120 s ago',
    });
    expect(guarded(stale({}, { creationTimestamp: ago(1) }))[0]?.guard).toEqual({
      name: 'Settling',
      explanation: 'ConfigMap envoy-gateway-system/envoy-gateway-config was written less than 180 s ago',
    });
    expect(guarded(stale({}, {}, { creationTimestamp: ago(1) }))[0]?.guard).toEqual({
      name: 'Settling',
      explanation: 'GatewayClass eg was written less than 180 s ago',
    });
  });

  test('both times can be set', () => {
    const objects = stale({ creationTimestamp: ago(10) }, { creationTimestamp: ago(10) });
    expect(guardsOf(objects, { settleHpaSeconds: 10, settleConfigSeconds: 10 })).toEqual([undefined]);
    expect(guardsOf(objects, { settleHpaSeconds: 11, settleConfigSeconds: 10 })).toEqual(['Settling']);
    expect(guardsOf(objects, { settleHpaSeconds: 10, settleConfigSeconds: 11 })).toEqual(['Settling']);
  });

  test('a ConfigMap that the verdict does not rest on does not matter', () => {
    const other = envoyGatewayConfig({ namespace: 'b', controllerName: 'b', metadata: { creationTimestamp: ago(1) } });
    expect(guardsOf([...stale({}), other])).toEqual([undefined]);
    const orphan = [envoyHpa('shop/gone'), envoyGatewayConfig({ metadata: { creationTimestamp: ago(1) } })];
    expect(guardsOf(orphan)).toEqual([undefined]);
  });

  test('what is kept needs no guard', () => {
    const verdicts = guarded([envoyHpa('shop/web', { metadata: { creationTimestamp: ago(1), managedFields: [] } })]);
    expect(verdicts).toMatchObject([{ action: 'keep' }]);
    expect(verdicts[0]).not.toHaveProperty('guard');
  });
});

describe('a remedy', () => {
  const orphaned = (metadata: Partial<Metadata>) => {
    const hpa = envoyHpa('shop/gone', { metadata });
    return guarded([hpa, deployment(`envoy-gateway-system/${hpa.metadata.name}`)])[0];
  };

  test.each<[string, Partial<Metadata>, boolean]>([
    ['an HPA that is 3599 s old', { creationTimestamp: ago(3_599) }, false],
    ['an HPA that is an hour old', { creationTimestamp: ago(3_600) }, true],
    ['an HPA that has lost its time', { creationTimestamp: null }, true],
    ['an HPA whose time is garbled', { creationTimestamp: 'yesterday' }, false],
  ])('%s', (_, metadata, isTold) => {
    const verdict = orphaned(metadata);
    expect(verdict).toMatchObject({ action: 'keep', reason: 'ScaleTargetStillRuns' });
    expect(verdict !== undefined && 'remedy' in verdict).toBe(isTold);
  });
});

describe('BlastRadiusExceeded', () => {
  /** `stale` HPAs that an EnvoyProxy without autoscaling makes stale, `wanted` that another asks for. */
  const cluster = ({
    stale,
    wanted = 0,
    byDefault = 0,
    foreign = 0,
  }: {
    stale: number;
    wanted?: number;
    byDefault?: number;
    foreign?: number;
  }) => {
    const some = (count: number, kind: string, proxy: string | undefined): ClusterObject[] =>
      Array.from({ length: count }, (_, i) => [
        envoyHpa(`shop/${kind}-${i}`),
        gateway(`shop/${kind}-${i}`, { proxy }),
        deployment(`envoy-gateway-system/${kind}-${i}`),
      ]).flat();
    return [
      gatewayClass(),
      envoyGatewayConfig(),
      envoyProxy('shop/off', {}),
      envoyProxy('shop/on', autoscaling()),
      ...some(stale, 'off', 'off'),
      ...some(wanted, 'on', 'on'),
      ...some(byDefault, 'default', undefined),
      ...Array.from({ length: foreign }, (_, i) => envoyHpa(`shop/foreign-${i}`, { metadata: { managedFields: [] } })),
    ];
  };
  const held = (...args: Parameters<typeof guarded>) => {
    const verdicts = guarded(...args).filter(({ action }) => action === 'delete');
    const names = new Set(verdicts.map((verdict) => verdict.guard?.name));
    expect(names.size).toBe(1); // As a whole, or not at all.
    return [...names][0] === 'BlastRadiusExceeded';
  };

  test.each<[string, Parameters<typeof cluster>[0], boolean]>([
    ['25 of 100', { stale: 25, wanted: 75 }, false],
    ['26 of 100', { stale: 26, wanted: 74 }, true],
    ['5 of 10', { stale: 5, wanted: 5 }, false],
    ['6 of 10', { stale: 6, wanted: 4 }, true],
    ['6 of 11', { stale: 6, wanted: 5 }, true],
    ['5 of 9', { stale: 5, wanted: 4 }, false],
    ['9 of 9', { stale: 9 }, false],
    ['10 of 10', { stale: 10 }, true],
    ["6 of 10, and others' HPAs do not make it less than half", { stale: 6, wanted: 4, foreign: 10 }, true],
    ["5 of 9, and others' HPAs do not make it ten", { stale: 5, wanted: 4, foreign: 10 }, false],
    ['2 of 2 by the default alone', { stale: 0, byDefault: 2 }, false],
    ['3 of 3 by the default alone', { stale: 0, byDefault: 3 }, true],
    ['3 of 4 by the default alone', { stale: 0, byDefault: 3, wanted: 1 }, false],
    ['3 of 3 by an EnvoyProxy', { stale: 3 }, false],
    ['3 of 3, one of them by an EnvoyProxy', { stale: 1, byDefault: 2 }, false],
  ])('%s', (_, of, expected) => {
    expect(held(cluster(of))).toBe(expected);
  });

  test('an HPA of two owners counts as little as a foreign one', () => {
    const ambiguous = Array.from({ length: 3 }, (_, i) =>
      envoyHpa(`shop/a-${i}`, {
        metadata: { labels: { ...envoyHpa('eg').metadata.labels, ...envoyHpa(`shop/a-${i}`).metadata.labels } },
      }),
    );
    expect(held([...cluster({ stale: 5, wanted: 2 }), ...ambiguous])).toBe(false);
    expect(held([...cluster({ stale: 5, wanted: 5 }), ...ambiguous])).toBe(false);
    expect(held([...cluster({ stale: 6, wanted: 4 }), ...ambiguous])).toBe(true);
  });

  test.each<[string, Parameters<typeof cluster>[0], string]>([
    ['too many', { stale: 26, wanted: 74 }, '26 deletions at once, and the limit is 25'],
    ['too large a part', { stale: 6, wanted: 4 }, '6 of 10 HPAs at once are more than half'],
    [
      'all by the default',
      { stale: 0, byDefault: 3 },
      'all 3 HPAs at once, because of the default in the EnvoyGateway ConfigMap alone',
    ],
  ])('says what it is: %s', (_, of, explanation) => {
    const verdict = guarded(cluster(of)).find(({ action }) => action === 'delete');
    expect(verdict?.guard).toEqual({ name: 'BlastRadiusExceeded', explanation });
  });

  test('the limit can be set', () => {
    expect(held(cluster({ stale: 2, wanted: 5 }), { maxDeletions: 2 })).toBe(false);
    expect(held(cluster({ stale: 3, wanted: 5 }), { maxDeletions: 2 })).toBe(true);
  });

  test('what the pass has deleted already counts', () => {
    expect(held(cluster({ stale: 1, wanted: 75 }), {}, 24)).toBe(false);
    expect(held(cluster({ stale: 1, wanted: 75 }), {}, 25)).toBe(true);
    expect(held(cluster({ stale: 1, wanted: 5 }), {}, 4)).toBe(false);
    expect(held(cluster({ stale: 1, wanted: 5 }), {}, 5)).toBe(true);
    expect(held(cluster({ stale: 0, byDefault: 1 }), {}, 2)).toBe(true);
  });

  test('a limit that a person raised stands in place of every rule', () => {
    expect(held(cluster({ stale: 26 }), { raisedLimit: 26 })).toBe(false);
    expect(held(cluster({ stale: 26 }), { raisedLimit: 25 })).toBe(true);
    expect(held(cluster({ stale: 0, byDefault: 3 }), { raisedLimit: 3 })).toBe(false);
    expect(held(cluster({ stale: 1, wanted: 9 }), { raisedLimit: 0 })).toBe(true);
    expect(held(cluster({ stale: 1, wanted: 9 }), { raisedLimit: 2 }, 2)).toBe(true);
    const [first] = guarded(cluster({ stale: 2 }), { raisedLimit: 1 });
    expect(first?.guard?.explanation).toBe('2 deletions, and the limit for this run is 1');
  });

  test('what settles counts too, and is held back with the rest', () => {
    const objects = cluster({ stale: 5, wanted: 4 });
    const young = [
      envoyHpa('shop/young', { metadata: { creationTimestamp: ago(1) } }),
      gateway('shop/young', { proxy: 'off' }),
    ];
    expect(held([...objects, ...young])).toBe(true);
  });

  test('without anything stale nothing is exceeded', () => {
    expect(guardsOf(cluster({ stale: 0, wanted: 12 }), {}, 99)).toEqual(Array(12).fill(undefined));
  });
});
