import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  appliedReplicas,
  effectiveProxy,
  expectedHpas,
  expectedRateLimitHpa,
  hashedName,
  mergesGateways,
} from '../../../functions/judgement/effective-proxy.ts';
import {
  type EnvoyGatewaySettings,
  readEnvoyGatewayConfig,
} from '../../../functions/judgement/envoy-gateway-config.ts';
import { type EnvoyGatewayVersion, versionOfTag } from '../../../functions/judgement/envoy-gateway-version.ts';
import { type EnvoyProxySpec, envoyProxySpecSchema } from '../../../functions/judgement/kubernetes-objects.ts';
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

describe('a merge that Envoy Gateway cannot do', () => {
  type Kubernetes = NonNullable<NonNullable<EnvoyProxySpec['provider']>['kubernetes']>;
  const patched = (value: Record<string, unknown> | undefined, component: keyof Kubernetes = 'envoyHpa') => ({
    provider: { kubernetes: { [component]: { patch: { value } } } },
  });
  const labels = { metadata: { labels: { a: 'b' } } };
  const other = { metadata: { annotations: { c: 'd' } } };
  const merged = (mergeType: EnvoyProxySpec['mergeType'], above: EnvoyProxySpec, below: EnvoyProxySpec) =>
    effectiveProxy(withMergeType(mergeType, above), below, undefined).conflict;

  test.each<[string, EnvoyProxySpec['mergeType'], EnvoyProxySpec, EnvoyProxySpec, string | undefined]>([
    [
      'both patch the metadata',
      'StrategicMerge',
      patched(labels),
      patched(other),
      'both have envoyHpa.patch.value.metadata',
    ],
    [
      'both patch the same list',
      'StrategicMerge',
      patched({ x: [1] }),
      patched({ x: [2] }),
      'both have envoyHpa.patch.value.x',
    ],
    ['JSONMerge', 'JSONMerge', patched(labels), patched(other), undefined],
    ['Replace', 'Replace', patched(labels), patched(other), undefined],
    ['only the upper patches', 'StrategicMerge', patched(labels), replicas(2), undefined],
    ['only the lower patches', 'StrategicMerge', replicas(2), patched(labels), undefined],
    ['another key', 'StrategicMerge', patched(labels), patched({ spec: {} }), undefined],
    ['one value is a scalar', 'StrategicMerge', patched({ x: {} }), patched({ x: 1 }), undefined],
    ['both values are scalars', 'StrategicMerge', patched({ x: 1 }), patched({ x: 2 }), undefined],
    ['one value is null', 'StrategicMerge', patched({ x: null }), patched({ x: {} }), undefined],
    ['a map over a list', 'StrategicMerge', patched({ x: {} }), patched({ x: [] }), undefined],
    ['another component', 'StrategicMerge', patched(labels), patched(labels, 'envoyDeployment'), undefined],
    ['a patch without a value', 'StrategicMerge', patched(undefined), patched(labels), undefined],
    [
      'of the Deployment',
      'StrategicMerge',
      patched({ spec: { replicas: 1 } }, 'envoyDeployment'),
      patched({ spec: {} }, 'envoyDeployment'),
      'both have envoyDeployment.patch.value.spec',
    ],
    [
      'of the Service',
      'StrategicMerge',
      patched(labels, 'envoyService'),
      patched(labels, 'envoyService'),
      'both have envoyService.patch.value.metadata',
    ],
  ])('%s', (_, mergeType, above, below, expected) => {
    expect(merged(mergeType, above, below)).toBe(expected);
  });

  test('with the default as well, and a later step does not heal an earlier one', () => {
    const strategic = (spec: EnvoyProxySpec) => withMergeType('StrategicMerge', spec);
    const fails = 'both have envoyHpa.patch.value.metadata';
    expect(effectiveProxy(undefined, strategic(patched(labels)), patched(other)).conflict).toBe(fails);
    // What the Gateway inherits from its class is in the way too.
    expect(effectiveProxy(strategic({}), patched(labels), patched(other)).conflict).toBe(fails);
    expect(effectiveProxy(strategic(patched(labels)), patched(other), replicas(1)).conflict).toBe(fails);
    const replacing = { ...patched(other), mergeType: 'Replace' as const };
    expect(effectiveProxy(strategic(patched(labels)), replacing, patched(other)).conflict).toBe(fails);
    expect(effectiveProxy(strategic(replicas(1)), replacing, patched(other)).conflict).toBeUndefined();
  });
});

describe('appliedReplicas', () => {
  const patch = (value: Record<string, unknown>) => ({ patch: { value } });
  test.each<[string, Parameters<typeof appliedReplicas>[0], number | 'unknown' | undefined]>([
    ['no envoyDeployment', undefined, undefined],
    ['envoyDeployment null', null, undefined],
    ['it says nothing', {}, undefined],
    ['replicas null', { replicas: null }, undefined],
    ['it says how many', { replicas: 3 }, 3],
    ['it says none', { replicas: 0 }, 0],
    ['a patch says how many', patch({ spec: { replicas: 5 } }), 5],
    ['a patch over it', { replicas: 3, ...patch({ spec: { replicas: 5 } }) }, 5],
    ['a patch takes it away', { replicas: 3, ...patch({ spec: { replicas: null } }) }, undefined],
    ['a patch of something else', { replicas: 3, ...patch({ spec: { paused: true } }) }, 3],
    ['a patch of another shape', { replicas: 3, ...patch({ spec: { replicas: '5' } }) }, 'unknown'],
    ['a patch without a spec', { replicas: 3, ...patch({ metadata: {} }) }, 3],
    ['a patch whose spec is a list', { replicas: 3, ...patch({ spec: [] }) }, 3],
    ['a patch without a value', { replicas: 3, patch: {} }, 3],
    ['patch null', { replicas: 3, patch: null }, 3],
  ])('%s', (_, deployment, expected) => {
    expect(appliedReplicas(deployment)).toBe(expected);
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
  const places = (
    owner: Parameters<typeof expectedHpas>[0],
    spec: EnvoyProxySpec,
    gatewayNamespaceMode = false,
    version?: EnvoyGatewayVersion,
  ) => {
    const config = readEnvoyGatewayConfig(envoyGatewayConfig({ gatewayNamespaceMode }));
    return expectedHpas(owner, spec, config, config.settings as EnvoyGatewaySettings, version).map(
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

  test.each([
    ['v1.4.2', 'shop/envoy-shop-web-97375646'],
    ['v1.5.0', 'shop/web'],
    ['v1.9.1', 'shop/web'],
    ['v2.0.0', 'shop/web'],
  ])('a Gateway in GatewayNamespace mode of %s has one name', (version, expected) => {
    expect(places(web, autoscaling(), true, versionOfTag(version))).toEqual([expected]);
  });

  test('a class: hashed, in the namespace of the controller; in GatewayNamespace mode as one of its Gateways', () => {
    const gateways = ['shop/web', 'shop/api', 'bank/web'].map((place) => gateway(place));
    const name = hashedName('eg');
    const ofClass = { className: 'eg', gateways };
    expect(places(ofClass, autoscaling())).toEqual([`${CONTROLLER_NAMESPACE}/${name}`]);
    expect(places(ofClass, autoscaling(), true, versionOfTag('v1.9.1'))).toEqual(['shop/web', 'shop/api', 'bank/web']);
    expect(places(ofClass, autoscaling(), true, versionOfTag('v1.4.2'))).toEqual([`shop/${name}`, `bank/${name}`]);
    const v191 = versionOfTag('v1.9.1');
    expect(places(ofClass, autoscaling({ name: 'n' }), true, v191)).toEqual(['shop/n', 'bank/n']);
    const patch = { value: { metadata: { namespace: 'q' } } };
    expect(places(ofClass, autoscaling({ patch }), true)).toEqual(['q/web', `q/${name}`, 'q/api']);
  });

  test('envoyHpa.name, and a patch over it', () => {
    expect(places(web, autoscaling({ name: 'n' }), true, versionOfTag('v1.9.1'))).toEqual(['shop/n']);
    expect(places(web, autoscaling({ name: 'n' }), true)).toEqual(['shop/n', `shop/${hashedName('shop/web')}`]);
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
    expect(expectedHpas({ gateway: gateway() }, spec, config, settings, undefined)).toEqual([]);
  },
);

test.each(['x/y', '..', 'UPPER', 'a'.repeat(64)])(
  'a patch to namespace %s, which none can have, names no place',
  (namespace) => {
    const config = readEnvoyGatewayConfig(envoyGatewayConfig());
    const spec = autoscaling({ patch: { value: { metadata: { namespace } } } });
    expect(
      expectedHpas({ gateway: gateway() }, spec, config, config.settings as EnvoyGatewaySettings, undefined),
    ).toEqual([]);
  },
);

test.each(['text', 5, [1], true])(
  'a patch whose value is %j is let through, and decides nothing that is known',
  (value) => {
    const kubernetes = { envoyHpa: { patch: { value } }, envoyDeployment: { replicas: 3, patch: { value } } };
    const spec = envoyProxySpecSchema.parse({ provider: { kubernetes } });
    const config = readEnvoyGatewayConfig(envoyGatewayConfig());
    expect(
      expectedHpas({ gateway: gateway() }, spec, config, config.settings as EnvoyGatewaySettings, undefined),
    ).toEqual([]);
    expect(appliedReplicas(spec.provider?.kubernetes?.envoyDeployment)).toBe('unknown');
    expect(effectiveProxy({ ...spec, mergeType: 'StrategicMerge' }, spec, undefined).conflict).toBe(
      Array.isArray(value) ? 'both have a list as envoyHpa.patch.value' : undefined,
    );
  },
);

test.each<[string | undefined, string[]]>([
  ['v1.3.0', ['envoy-shop-web-97375646']],
  ['v1.4.2', ['envoy-shop-web-97375646']],
  ['v1.5.0', ['n']],
  ['v2.0.0', ['n']],
  [undefined, ['n', 'envoy-shop-web-97375646']],
])('%s: envoyHpa.name counts from v1.5 on, a patch in every release', (text, names) => {
  const config = readEnvoyGatewayConfig(envoyGatewayConfig());
  const settings = config.settings as EnvoyGatewaySettings;
  const version = text === undefined ? undefined : versionOfTag(text);
  const placesOf = (spec: EnvoyProxySpec) =>
    expectedHpas({ gateway: gateway('shop/web') }, spec, config, settings, version);
  expect(placesOf(autoscaling({ name: 'n' })).map(({ name }) => name)).toEqual(names);
  const patch = { value: { metadata: { name: 'p' } } };
  expect(placesOf(autoscaling({ name: 'n', patch }))).toEqual([{ namespace: CONTROLLER_NAMESPACE, name: 'p' }]);
});

test.each<[string, Parameters<typeof expectedRateLimitHpa>[0], string, string[]]>([
  ['nothing', {}, 'v1.9.1', ['sys/envoy-ratelimit']],
  ['a name', { name: 'n' }, 'v1.9.1', ['sys/n']],
  ['a name, in a release that ignores it', { name: 'n' }, 'v1.3.0', ['sys/envoy-ratelimit']],
  ['a patch', { name: 'n', patch: { value: { metadata: { name: 'p', namespace: 'q' } } } }, 'v1.3.0', ['q/p']],
  ['a patch of another shape', { patch: { value: { metadata: null } } }, 'v1.9.1', []],
])('the HPA of the rate limit service: %s', (_, hpa, version, places) => {
  const found = expectedRateLimitHpa(hpa, 'sys', versionOfTag(version));
  expect(found.map(({ namespace, name }) => `${namespace}/${name}`)).toEqual(places);
});

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
