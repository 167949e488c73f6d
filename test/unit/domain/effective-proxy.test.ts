import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { effectiveProxy, expectedHpas, hashedName, mergesGateways } from '../../../functions/domain/effective-proxy.ts';
import { type EnvoyGatewaySettings, readEnvoyGatewayConfig } from '../../../functions/domain/envoy-gateway-config.ts';
import type { EnvoyProxySpec } from '../../../functions/domain/kubernetes-objects.ts';
import {
  autoscaling,
  CONTROLLER_NAMESPACE,
  envoyGatewayConfig,
  gateway,
  type WholeEnvoyProxySpec,
} from '../../builders/cluster.ts';

const replicas = (count: number): EnvoyProxySpec => ({
  provider: { kubernetes: { envoyDeployment: { replicas: count } } },
});
const withMergeType = (mergeType: EnvoyProxySpec['mergeType'], spec: EnvoyProxySpec): EnvoyProxySpec => ({
  ...spec,
  mergeType,
});

describe('effectiveProxy', () => {
  const own = replicas(1);
  const ofClass = replicas(2);
  const fallback = replicas(3);

  test('where nothing is configured, the empty default is in force', () => {
    expect(effectiveProxy(undefined, undefined, undefined)).toEqual({ spec: {}, levels: ['default'] });
  });

  type Levels = { own?: EnvoyProxySpec; ofClass?: EnvoyProxySpec; fallback?: EnvoyProxySpec };
  test.each<[string, Levels, EnvoyProxySpec, string[]]>([
    ['the Gateway', { own, ofClass, fallback }, own, ['gateway']],
    ['else its class', { ofClass, fallback }, ofClass, ['class']],
    ['else the default', { fallback }, fallback, ['default']],
    ['an empty spec replaces as well', { own: {}, ofClass, fallback }, {}, ['gateway']],
    ['Replace', { own: withMergeType('Replace', {}), ofClass, fallback }, { mergeType: 'Replace' }, ['gateway']],
    ['mergeType null', { own: withMergeType(null, {}), ofClass, fallback }, { mergeType: null }, ['gateway']],
  ])('most specific first: %s', (_, levels, spec, from) => {
    expect(effectiveProxy(levels.own, levels.ofClass, levels.fallback)).toEqual({ spec, levels: from });
  });

  test.each(['StrategicMerge', 'JSONMerge'] as const)(
    '%s inherits what is left out, field by field, and changes neither',
    (mergeType) => {
      const above: WholeEnvoyProxySpec = {
        mergeType,
        provider: { type: 'Kubernetes', kubernetes: { envoyHpa: { maxReplicas: 9 } } },
        args: ['a'],
      };
      const below: WholeEnvoyProxySpec = {
        provider: { kubernetes: { envoyHpa: { minReplicas: 2, maxReplicas: 5 }, envoyDeployment: { replicas: 4 } } },
        args: ['b', 'c'],
        mergeGateways: false,
      };
      const copies = structuredClone([above, below]);
      expect(effectiveProxy(above, below, undefined)).toEqual({
        spec: {
          mergeType,
          mergeGateways: false,
          args: ['a'],
          provider: {
            type: 'Kubernetes',
            kubernetes: { envoyHpa: { minReplicas: 2, maxReplicas: 9 }, envoyDeployment: { replicas: 4 } },
          },
        },
        levels: ['gateway', 'class'],
      });
      expect([above, below]).toEqual(copies);
    },
  );

  test('null overrides nothing, for Envoy Gateway leaves out empty pointers before it merges', () => {
    const above: EnvoyProxySpec = { mergeType: 'JSONMerge', provider: { kubernetes: { envoyHpa: null } } };
    expect(effectiveProxy(above, autoscaling(), undefined).spec.provider?.kubernetes?.envoyHpa).toEqual({
      minReplicas: 2,
      maxReplicas: 5,
    });
  });

  test("in a patch's value, which is raw JSON, null takes away what lies below", () => {
    const patch = (value: Record<string, unknown>) => autoscaling({ patch: { type: 'JSONMerge', value } });
    const merged = (above: Record<string, unknown>, below: Record<string, unknown> | undefined) =>
      effectiveProxy(withMergeType('JSONMerge', patch(above)), below ? patch(below) : {}, undefined).spec.provider
        ?.kubernetes?.envoyHpa?.patch;
    const spec = { maxReplicas: 9 };
    expect(merged({ metadata: null, spec }, { metadata: { name: 'n' } })?.value).toEqual({ spec });
    expect(merged({ metadata: { name: null } }, { metadata: { name: 'n', namespace: 's' } })?.value).toEqual({
      metadata: { namespace: 's' },
    });
    expect(merged({ metadata: null, spec }, undefined)?.value).toEqual({ spec });
  });

  test.each<[string, EnvoyProxySpec['mergeType'], EnvoyProxySpec['mergeType'], string[]]>([
    ['neither says', undefined, undefined, ['gateway']],
    ['the Gateway merges, the class says nothing', 'JSONMerge', undefined, ['gateway', 'class', 'default']],
    ['the Gateway merges, the class replaces', 'JSONMerge', 'Replace', ['gateway', 'class']],
    ['the Gateway replaces, the class merges', 'Replace', 'StrategicMerge', ['gateway', 'default']],
    ['the Gateway says nothing, the class merges', undefined, 'StrategicMerge', ['gateway', 'default']],
    ['both merge', 'StrategicMerge', 'JSONMerge', ['gateway', 'class', 'default']],
  ])('two steps: %s', (_, gatewaySays, classSays, levels) => {
    expect(effectiveProxy(withMergeType(gatewaySays, own), withMergeType(classSays, ofClass), fallback).levels).toEqual(
      levels,
    );
  });

  test('a mergeType in the default has no effect', () => {
    expect(effectiveProxy(own, ofClass, withMergeType('StrategicMerge', fallback)).levels).toEqual(['gateway']);
  });
});

describe('mergesGateways', () => {
  test.each<[boolean | null | undefined, boolean | null | undefined, boolean]>([
    [undefined, undefined, false],
    [undefined, true, true],
    [null, true, true],
    [false, true, false],
    [true, false, true],
    [true, undefined, true],
    [undefined, null, false],
  ])('the class says %s, the default %s: %s', (ofClass, fallback, expected) => {
    expect(mergesGateways({ mergeGateways: ofClass }, { mergeGateways: fallback })).toBe(expected);
  });

  test('without an EnvoyProxy and without a default it does not', () => {
    expect(mergesGateways(undefined, undefined)).toBe(false);
    expect(mergesGateways(undefined, { mergeGateways: true })).toBe(true);
  });
});

describe('expectedHpas', () => {
  const places = (owner: Parameters<typeof expectedHpas>[0], spec: EnvoyProxySpec, gatewayNamespaceMode = false) => {
    const config = readEnvoyGatewayConfig(envoyGatewayConfig({ gatewayNamespaceMode }));
    return expectedHpas(owner, spec, config, config.settings as EnvoyGatewaySettings).map(
      ({ namespace, name }) => `${namespace}/${name}`,
    );
  };
  const web = { gateway: gateway('shop/web') };

  test("a Gateway: hashed, in the controller's namespace", () => {
    expect(places(web, autoscaling())).toEqual([`${CONTROLLER_NAMESPACE}/envoy-shop-web-97375646`]);
  });

  test('a Gateway in GatewayNamespace mode: in its namespace, plain since v1.5, hashed in v1.4', () => {
    expect(places(web, autoscaling(), true)).toEqual(['shop/web', 'shop/envoy-shop-web-97375646']);
  });

  test("a class: hashed, in the controller's namespace, whatever the mode", () => {
    const expected = [`${CONTROLLER_NAMESPACE}/${hashedName('eg')}`];
    expect(places({ className: 'eg' }, autoscaling())).toEqual(expected);
    expect(places({ className: 'eg' }, autoscaling(), true)).toEqual(expected);
  });

  test('envoyHpa.name, and a patch over it', () => {
    expect(places(web, autoscaling({ name: 'n' }), true)).toEqual(['shop/n']);
    expect(places(web, autoscaling({ name: '' }))).toEqual([`${CONTROLLER_NAMESPACE}/envoy-shop-web-97375646`]);
    const patch = (metadata: object) => ({ patch: { value: { metadata } } });
    expect(places(web, autoscaling({ name: 'n', ...patch({ name: 'p', namespace: 'q' }) }))).toEqual(['q/p']);
    expect(places(web, autoscaling(patch({ namespace: 'q' })), true)).toEqual(['q/web', 'q/envoy-shop-web-97375646']);
  });
});

test.each([null, 'x', { name: 1 }, { name: null }, { namespace: 1 }, { namespace: null }])(
  'a patch with metadata %j names no place at all',
  (metadata) => {
    const config = readEnvoyGatewayConfig(envoyGatewayConfig());
    const spec = autoscaling({ patch: { value: { metadata } } });
    const settings = config.settings as EnvoyGatewaySettings;
    expect(expectedHpas({ gateway: gateway() }, spec, config, settings)).toEqual([]);
  },
);

describe('hashedName', () => {
  test.each([
    ['shop/web', 'envoy-shop-web-97375646'],
    ['autoscaling-kept/web', 'envoy-autoscaling-kept-web-e4f5ee29'],
    ['merge-inherits-class-hpa/web', 'envoy-merge-inherits-class-hpa-web-c7f25b46'],
    ['merged-removed', 'envoy-merged-removed-3ce42b34'],
  ])('of %s is %s, as Envoy Gateway made it', (owner, name) => {
    expect(hashedName(owner)).toBe(name);
  });

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

  test.each([
    ['48 characters stay', `shop/${'a'.repeat(43)}`, `shop-${'a'.repeat(43)}`],
    ['the 49th is cut', `shop/${'a'.repeat(44)}`, `shop-${'a'.repeat(43)}`],
    ['a hyphen at the cut goes', `shop/${'a'.repeat(42)}-b`, `shop-${'a'.repeat(42)}`],
    ['only one of two', `shop/${'a'.repeat(41)}--b`, `shop-${'a'.repeat(41)}-`],
    ['the separator at the cut goes too', `${'a'.repeat(47)}/web`, 'a'.repeat(47)],
    ['a name of 48 that ends in a hyphen is not cut', `${'a'.repeat(47)}-`, `${'a'.repeat(47)}-`],
  ])('%s', (_, owner, readable) => {
    expect(hashedName(owner)).toMatch(new RegExp(`^envoy-${readable}-[0-9a-f]{8}$`));
  });

  test('what is cut counts in the hash', () => {
    const name = `shop/${'a'.repeat(60)}`;
    expect(hashedName(`${name}b`)).not.toBe(hashedName(`${name}c`));
  });
});
