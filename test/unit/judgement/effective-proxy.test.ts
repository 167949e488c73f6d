import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { controllerVersion } from '../../../functions/judgement/controller.ts';
import {
  appliedReplicas,
  effectiveProxy,
  expectedHpas,
  mergesGateways,
} from '../../../functions/judgement/effective-proxy.ts';
import { readEnvoyGatewayConfig } from '../../../functions/judgement/envoy-gateway-config.ts';
import { type EnvoyProxySpec, objectKey, SCHEMAS } from '../../../functions/judgement/kubernetes-objects.ts';
import { autoscaling, controller, envoyGatewayConfig, gateway, hashedNameOf } from '../../builders/cluster.ts';

const replicas = (count: number): EnvoyProxySpec => ({
  provider: { kubernetes: { envoyDeployment: { replicas: count } } },
});
/** The effective one of a Gateway's EnvoyProxy, of its class's and of the default. */
const effective = (own?: EnvoyProxySpec, ofClass?: EnvoyProxySpec, defaultProxy?: EnvoyProxySpec) =>
  effectiveProxy({ ownProxy: own && { spec: own }, classProxy: ofClass && { spec: ofClass } }, { defaultProxy });
const withMergeType = (mergeType: EnvoyProxySpec['mergeType'], spec: EnvoyProxySpec): EnvoyProxySpec => ({
  ...spec,
  mergeType,
});

describe('effectiveProxy', () => {
  const own = replicas(1);
  const ofClass = replicas(2);
  const fallback = withMergeType('StrategicMerge', replicas(3)); // A mergeType there is ignored.

  type Levels = { own?: EnvoyProxySpec; ofClass?: EnvoyProxySpec; fallback?: EnvoyProxySpec };
  test.each<[string, Levels, EnvoyProxySpec, string[]]>([
    ['the empty default if nothing is configured', {}, {}, ['default']],
    ['that of the Gateway', { own, ofClass, fallback }, own, ['gateway']],
    ['else that of its class', { ofClass, fallback }, ofClass, ['class']],
    ['else the default', { fallback }, fallback, ['default']],
    ['an empty one', { own: {}, ofClass, fallback }, {}, ['gateway']],
    ['one with mergeType null', { own: withMergeType(null, {}), ofClass, fallback }, { mergeType: null }, ['gateway']],
  ])('is the most specific one: %s', (_, levels, spec, from) => {
    expect(effective(levels.own, levels.ofClass, levels.fallback)).toEqual({ spec, levels: from });
  });

  test.each(['StrategicMerge', 'JSONMerge'] as const)(
    '%s inherits field by field, and changes neither',
    (mergeType) => {
      const envoyDeployment = { replicas: 4 };
      const above = { mergeType, args: ['a'], ...autoscaling({ maxReplicas: 9 }) };
      const kubernetes = { ...autoscaling({ minReplicas: 2, maxReplicas: 5 }).provider?.kubernetes, envoyDeployment };
      const below = { args: ['b', 'c'], mergeGateways: false, provider: { kubernetes } };
      const copies = structuredClone([above, below]);
      const merged = { envoyHpa: { minReplicas: 2, maxReplicas: 9 }, envoyDeployment };
      expect(effective(above, below)).toEqual({
        spec: { mergeType, mergeGateways: false, args: ['a'], provider: { type: 'Kubernetes', kubernetes: merged } },
        levels: ['gateway', 'class'],
      });
      expect([above, below]).toEqual(copies);
    },
  );

  test('null overrides nothing: Envoy Gateway leaves out empty pointers before it merges', () => {
    const above: EnvoyProxySpec = { mergeType: 'JSONMerge', provider: { kubernetes: { envoyHpa: null } } };
    const merged = effective(above, autoscaling()).spec;
    expect(merged.provider?.kubernetes?.envoyHpa).toEqual({ minReplicas: 2, maxReplicas: 5 });
  });

  const spec = { maxReplicas: 9 };
  test.each<[above: Record<string, unknown>, below: Record<string, unknown>, merged: Record<string, unknown>]>([
    [{ metadata: null, spec }, { metadata: { name: 'n' } }, { spec }],
    [{ metadata: { name: null } }, { metadata: { name: 'n', namespace: 's' } }, { metadata: { namespace: 's' } }],
    [{ metadata: null, spec }, {}, { spec }],
  ])('null in the raw JSON of a patch removes what is below: %j over %j', (above, below, merged) => {
    const patch = (value: Record<string, unknown>) => autoscaling({ patch: { type: 'JSONMerge', value } });
    const result = effective(withMergeType('JSONMerge', patch(above)), patch(below)).spec;
    expect(result.provider?.kubernetes?.envoyHpa?.patch?.value).toEqual(merged);
  });

  test('merges a patch of any depth', () => {
    const deep: unknown = JSON.parse(`${'{"a":'.repeat(9_900)}1${'}'.repeat(9_900)}`);
    const patch = (value: Record<string, unknown>) => autoscaling({ patch: { value } });
    const result = effective(withMergeType('JSONMerge', patch({ spec, deep })), patch({ metadata: { name: 'n' } }));
    expect(result.spec.provider?.kubernetes?.envoyHpa?.patch?.value).toMatchObject({ spec, metadata: { name: 'n' } });
  });

  test.each<[EnvoyProxySpec['mergeType'], EnvoyProxySpec['mergeType'], string[]]>([
    ['JSONMerge', undefined, ['gateway', 'class', 'default']],
    ['JSONMerge', 'Replace', ['gateway', 'class']],
    [undefined, 'StrategicMerge', ['gateway', 'default']],
    ['StrategicMerge', 'JSONMerge', ['gateway', 'class', 'default']],
  ])('merges in two steps: mergeType %s of the Gateway, %s of the class', (gatewaySays, classSays, levels) => {
    const [above, below] = [withMergeType(gatewaySays, own), withMergeType(classSays, ofClass)];
    expect(effective(above, below, fallback).levels).toEqual(levels);
  });
});

describe('a StrategicMerge', () => {
  type Kubernetes = NonNullable<NonNullable<EnvoyProxySpec['provider']>['kubernetes']>;
  const patched = (value: Record<string, unknown> | undefined, component: keyof Kubernetes = 'envoyHpa') => ({
    provider: { kubernetes: { [component]: { patch: { value } } } },
  });
  const labels = { metadata: { labels: { a: 'b' } } };
  const other = { metadata: { annotations: { c: 'd' } } };
  const strategic = (spec: EnvoyProxySpec) => withMergeType('StrategicMerge', spec);
  const service = patched(labels, 'envoyService');

  test.each<[string, EnvoyProxySpec, EnvoyProxySpec, string | undefined]>([
    ['fails if both patch the metadata', patched(labels), patched(other), 'envoyHpa.patch.value.metadata'],
    ['fails if both patch the same list', patched({ x: [1] }), patched({ x: [2] }), 'envoyHpa.patch.value.x'],
    ['fails for a Service', service, service, 'envoyService.patch.value.metadata'],
    ['works if only the upper one patches', patched(labels), replicas(2), undefined],
    ['works over a list', patched(labels), patched([] as never), undefined],
    ['works with a component that is null', { provider: { kubernetes: { envoyHpa: null } } }, service, undefined],
    ['works for different keys', patched(labels), patched({ spec: {} }), undefined],
    ['works if one value is null', patched({ x: null }), patched({ x: {} }), undefined],
    ['works for an object over a list', patched({ x: {} }), patched({ x: [] }), undefined],
    ['works for different components', patched(labels), patched(labels, 'envoyDeployment'), undefined],
  ])('%s', (_, above, below, conflict) => {
    const expected = conflict && `both have ${conflict}`;
    expect(effective(strategic(above), below).conflict).toBe(expected);
    expect(effective(withMergeType('JSONMerge', above), below).conflict).toBeUndefined();
    expect(effective(withMergeType('Replace', above), below).conflict).toBeUndefined();
  });

  const replacing = { ...patched(other), mergeType: 'Replace' as const };
  test.each<[string, Parameters<typeof effective>, boolean]>([
    ['fails with the default', [undefined, strategic(patched(labels)), patched(other)], true],
    ['fails for what is inherited from the class', [strategic({}), patched(labels), patched(other)], true],
    ['fails although the default has no patch', [strategic(patched(labels)), patched(other), replicas(1)], true],
    ['fails although the class replaces the default', [strategic(patched(labels)), replacing, patched(other)], true],
  ])('%s', (_, levels, fails) => {
    expect(effective(...levels).conflict).toBe(fails ? 'both have envoyHpa.patch.value.metadata' : undefined);
  });
});

describe('appliedReplicas', () => {
  const patch = (value: Record<string, unknown>) => ({ patch: { value } });
  test.each<[Parameters<typeof appliedReplicas>[0], number | 'unknown' | undefined]>([
    [null, undefined],
    [{ replicas: 3 }, 3],
    [{ replicas: 0 }, 0],
    [{ replicas: 3, ...patch({ spec: { replicas: 5 } }) }, 5],
    [{ replicas: 3, ...patch({ spec: { replicas: null } }) }, undefined],
    [{ replicas: 3, ...patch({ spec: { paused: true } }) }, 3],
    [{ replicas: 3, ...patch({ spec: { replicas: '5' } }) }, 'unknown'],
    [{ replicas: 3, ...patch({ spec: [] }) }, 3],
    [{ replicas: 3, patch: null }, 3],
  ])('of envoyDeployment %j is %s', (envoyDeployment, expected) => {
    expect(appliedReplicas(envoyDeployment)).toBe(expected);
  });
});

test.each<[boolean | null | undefined, boolean | null | undefined, boolean, boolean | 'refused']>([
  [undefined, undefined, false, false],
  [undefined, true, true, true],
  [null, true, true, true],
  [false, true, false, false],
  [true, false, true, 'refused'],
  [true, undefined, true, 'refused'],
  [undefined, null, false, false],
])('mergeGateways %s in the class and %s in the default: %s', (ofClass, fallback, expected, inNamespaceMode) => {
  const classProxy = { spec: { mergeGateways: ofClass } };
  const settings = { defaultProxy: { mergeGateways: fallback }, gatewayNamespaceMode: false };
  expect(mergesGateways({ classProxy }, settings)).toBe(expected);
  expect(mergesGateways({ classProxy }, { ...settings, gatewayNamespaceMode: true })).toBe(inNamespaceMode);
});

describe('expectedHpas', () => {
  type Hpa = Parameters<typeof expectedHpas>[1];
  const names = (
    owner: Parameters<typeof expectedHpas>[0],
    hpa: Hpa,
    { version, gatewayNamespaceMode = false }: { version?: string; gatewayNamespaceMode?: boolean } = {},
  ) =>
    expectedHpas(
      owner,
      hpa,
      readEnvoyGatewayConfig(envoyGatewayConfig({ namespace: 'sys', gatewayNamespaceMode })),
      controllerVersion(controller({ version })),
    ).map(objectKey);
  const patch = (metadata: unknown, others: Hpa = {}) => ({ ...others, patch: { value: { metadata } } });
  const web = { owner: { kind: 'Gateway', namespace: 'shop', name: 'web' } as const, gateways: [gateway('shop/web')] };
  const gatewayClass = {
    owner: { kind: 'GatewayClass', name: 'eg' } as const,
    gateways: ['shop/web', 'shop/api', 'bank/web'].map((name) => gateway(name)),
  };
  const WEB = 'envoy-shop-web-97375646';
  const CLASS = hashedNameOf('eg');

  test.each<[string, Parameters<typeof names>, string[]]>([
    ["a Gateway: hashed, in the controller's namespace", [web, {}], [`sys/${WEB}`]],
    ['v1.4.2 ignores envoyHpa.name', [web, { name: 'n' }, { version: 'v1.4.2' }], [`sys/${WEB}`]],
    ['v1.5.0 uses envoyHpa.name', [web, { name: 'n' }, { version: 'v1.5.0' }], ['sys/n']],
    ['a patch of something else keeps the name', [web, patch({ labels: {} }, { name: '' })], [`sys/${WEB}`]],
    ['a patch overrides the name in every release', [web, patch({ name: 'p' }, { name: 'n' })], ['sys/p']],
    ['a patch can name a namespace', [web, patch({ namespace: 'q' })], [`q/${WEB}`]],
  ])('%s', (_, args, expected) => {
    expect(names(...args)).toEqual(expected);
  });

  test.each<[string, Parameters<typeof names>[0], Hpa, string | undefined, string[]]>([
    ['v1.4.2 hashes the name', web, {}, 'v1.4.2', [`shop/${WEB}`]],
    ['v1.5.0 uses that of the Gateway', web, {}, 'v1.5.0', ['shop/web']],
    ['an unknown version may do either', web, {}, undefined, ['shop/web', `shop/${WEB}`]],
    ['a class uses that of one of its Gateways', gatewayClass, {}, 'v1.9.1', ['shop/web', 'shop/api', 'bank/web']],
    ['a class of v1.4.2', gatewayClass, {}, 'v1.4.2', [`shop/${CLASS}`, `bank/${CLASS}`]],
    ['a class, patched', gatewayClass, patch({ namespace: 'q' }), undefined, ['q/web', `q/${CLASS}`, 'q/api']],
  ])('in GatewayNamespace mode the HPA is beside its Gateway: %s', (_, owner, hpa, version, expected) => {
    expect(names(owner, hpa, { version, gatewayNamespaceMode: true })).toEqual(expected);
  });

  test.each([
    ...[null, 'x', { name: 1 }, { name: null }, { namespace: 1 }, { namespace: null }],
    ...['x/y', '..', 'UPPER', 'a'.repeat(64)].map((namespace) => ({ namespace })),
  ])('no name is known of a patch with metadata %j', (metadata) => {
    expect(names(web, patch(metadata))).toEqual([]);
  });
});

test.each(['text', 5, [1], true])('nothing is known of a patch whose value is %j', (value) => {
  const kubernetes = { envoyHpa: { patch: { value } }, envoyDeployment: { replicas: 3, patch: { value } } };
  const spec = SCHEMAS.EnvoyProxy.shape.spec.parse({ provider: { kubernetes } }) as EnvoyProxySpec;
  const { envoyHpa, envoyDeployment } = spec.provider?.kubernetes ?? {};
  const owner = { kind: 'GatewayClass', name: 'eg' } as const;
  const config = readEnvoyGatewayConfig(envoyGatewayConfig());
  expect(expectedHpas({ owner, gateways: [] }, envoyHpa ?? {}, config, undefined)).toEqual([]);
  expect(appliedReplicas(envoyDeployment)).toBe('unknown');
  expect(effective({ ...spec, mergeType: 'StrategicMerge' }, spec).conflict).toBe(
    Array.isArray(value) ? 'both have a list as envoyHpa.patch.value' : undefined,
  );
});

describe('the hashed name', () => {
  const sys = readEnvoyGatewayConfig(envoyGatewayConfig());
  const hashedName = (place: string) => {
    const [namespace, name] = place.split('/') as [string, string];
    const owner = place.includes('/') ? ({ kind: 'Gateway', namespace, name } as const) : undefined;
    const found = { owner: owner ?? ({ kind: 'GatewayClass', name: place } as const), gateways: [] };
    return expectedHpas(found, {}, sys, undefined)[0]?.name;
  };
  test('is that of every Deployment and HPA in test/cases that Envoy Gateway named', () => {
    const cases = new URL('../../cases/', import.meta.url);
    const named = readdirSync(cases).flatMap((folder) => {
      const { items } = JSON.parse(readFileSync(new URL(`${folder}/cluster.json`, cases), 'utf8'));
      return (items as { metadata: { name: string; labels?: Record<string, string> } }[]).flatMap(({ metadata }) => {
        const labels = metadata.labels ?? {};
        const gatewayName = labels['gateway.envoyproxy.io/owning-gateway-name'];
        const owner =
          labels['gateway.envoyproxy.io/owning-gatewayclass'] ??
          (gatewayName && `${labels['gateway.envoyproxy.io/owning-gateway-namespace']}/${gatewayName}`);
        return owner && /^envoy-.*-[0-9a-f]{8}$/.test(metadata.name) ? [[owner, metadata.name]] : [];
      });
    });
    expect(named.length).toBeGreaterThan(15);
    expect(named.map(([owner]) => hashedName(owner as string))).toEqual(named.map(([, name]) => name));
  });

  test('what is cut counts in the hash', () => {
    const place = `shop/${'a'.repeat(60)}`;
    expect(hashedName(`${place}b`)).not.toBe(hashedName(`${place}c`));
  });

  test.each([
    ['48 characters stay', `shop/${'a'.repeat(43)}`, `shop-${'a'.repeat(43)}`],
    ['a hyphen at the cut goes', `shop/${'a'.repeat(42)}-b`, `shop-${'a'.repeat(42)}`],
    ['only one of two', `shop/${'a'.repeat(41)}--b`, `shop-${'a'.repeat(41)}-`],
    ['the separator at the cut goes too', `${'a'.repeat(47)}/web`, 'a'.repeat(47)],
    ['a name of 48 that ends in a hyphen is not cut', `${'a'.repeat(47)}-`, `${'a'.repeat(47)}-`],
  ])('%s', (_, owner, readable) => {
    expect(hashedName(owner)).toMatch(new RegExp(`^envoy-${readable}-[0-9a-f]{8}$`));
  });
});
