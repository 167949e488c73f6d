import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { versionOfTag } from '../../../functions/judgement/controller.ts';
import {
  appliedReplicas,
  effectiveProxy,
  expectedHpas,
  hashedName,
  mergesGateways,
} from '../../../functions/judgement/effective-proxy.ts';
import { readEnvoyGatewayConfig } from '../../../functions/judgement/envoy-gateway-config.ts';
import {
  type EnvoyProxySpec,
  envoyProxySpecSchema,
  objectKey,
} from '../../../functions/judgement/kubernetes-objects.ts';
import { autoscaling, envoyGatewayConfig, gateway, type WholeEnvoyProxySpec } from '../../builders/cluster.ts';

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
      version === undefined ? undefined : versionOfTag(version),
    ).map(objectKey);
  const patch = (metadata: unknown, others: Hpa = {}) => ({ ...others, patch: { value: { metadata } } });
  const web = { owner: { kind: 'Gateway', namespace: 'shop', name: 'web' } as const, gateways: [gateway('shop/web')] };
  const gatewayClass = {
    owner: { kind: 'GatewayClass', name: 'eg' } as const,
    gateways: ['shop/web', 'shop/api', 'bank/web'].map((name) => gateway(name)),
  };
  const rateLimit = { owner: { kind: 'ConfigMap', namespace: 'sys', name: 'c' } as const, gateways: [] };
  const WEB = 'envoy-shop-web-97375646';
  const CLASS = hashedName('eg');

  test.each<[string, Parameters<typeof names>, string[]]>([
    ["a Gateway: hashed, in the controller's namespace", [web, {}], [`sys/${WEB}`]],
    ['a class: hashed', [gatewayClass, {}], [`sys/${CLASS}`]],
    ['the rate limit service', [rateLimit, {}], ['sys/envoy-ratelimit']],
    ['v1.4.2 ignores envoyHpa.name', [web, { name: 'n' }, { version: 'v1.4.2' }], [`sys/${WEB}`]],
    ['v1.5.0 uses envoyHpa.name', [web, { name: 'n' }, { version: 'v1.5.0' }], ['sys/n']],
    ['v2.0.0 uses envoyHpa.name', [web, { name: 'n' }, { version: 'v2.0.0' }], ['sys/n']],
    ['an unknown version may do either', [web, { name: 'n' }], ['sys/n', `sys/${WEB}`]],
    ['v1.3.0 ignores rateLimitHpa.name', [rateLimit, { name: 'n' }, { version: 'v1.3.0' }], ['sys/envoy-ratelimit']],
    ['v1.9.1 uses rateLimitHpa.name', [rateLimit, { name: 'n' }, { version: 'v1.9.1' }], ['sys/n']],
    ['an empty name is none', [web, { name: '' }], [`sys/${WEB}`]],
    ['a patch overrides the name in every release', [web, patch({ name: 'p' }, { name: 'n' })], ['sys/p']],
    ['a patch can name a namespace', [web, patch({ namespace: 'q' })], [`q/${WEB}`]],
    ['a patch of the rate limit service', [rateLimit, patch({ name: 'p', namespace: 'q' })], ['q/p']],
  ])('%s', (_, args, expected) => {
    expect(names(...args)).toEqual(expected);
  });

  test.each<[string, Parameters<typeof names>[0], Hpa, string | undefined, string[]]>([
    ['v1.4.2 hashes the name', web, {}, 'v1.4.2', [`shop/${WEB}`]],
    ['v1.5.0 uses that of the Gateway', web, {}, 'v1.5.0', ['shop/web']],
    ['an unknown version may do either', web, {}, undefined, ['shop/web', `shop/${WEB}`]],
    ['envoyHpa.name is the only one', web, { name: 'n' }, 'v1.9.1', ['shop/n']],
    ['a patch can name a namespace', web, patch({ namespace: 'q' }), undefined, ['q/web', `q/${WEB}`]],
    ['a class uses that of one of its Gateways', gatewayClass, {}, 'v1.9.1', ['shop/web', 'shop/api', 'bank/web']],
    ['a class of v1.4.2', gatewayClass, {}, 'v1.4.2', [`shop/${CLASS}`, `bank/${CLASS}`]],
    ['a class with envoyHpa.name', gatewayClass, { name: 'n' }, 'v1.9.1', ['shop/n', 'bank/n']],
    ['a class, patched', gatewayClass, patch({ namespace: 'q' }), undefined, ['q/web', `q/${CLASS}`, 'q/api']],
  ])('in GatewayNamespace mode the HPA is beside its Gateway: %s', (_, owner, hpa, version, expected) => {
    expect(names(owner, hpa, { version, gatewayNamespaceMode: true })).toEqual(expected);
  });

  test.each([
    ...[null, 'x', { name: 1 }, { name: null }, { namespace: 1 }, { namespace: null }],
    ...['x/y', '..', 'UPPER', 'a'.repeat(64)].map((namespace) => ({ namespace })),
  ])('no name is known of a patch with metadata %j', (metadata) => {
    expect(names(web, patch(metadata))).toEqual([]);
    expect(names(rateLimit, patch(metadata))).toEqual([]);
  });
});

test.each(['text', 5, [1], true])('nothing is known of a patch whose value is %j', (value) => {
  const kubernetes = { envoyHpa: { patch: { value } }, envoyDeployment: { replicas: 3, patch: { value } } };
  const spec = envoyProxySpecSchema.parse({ provider: { kubernetes } });
  const { envoyHpa, envoyDeployment } = spec.provider?.kubernetes ?? {};
  const owner = { kind: 'GatewayClass', name: 'eg' } as const;
  const config = readEnvoyGatewayConfig(envoyGatewayConfig());
  expect(expectedHpas({ owner, gateways: [] }, envoyHpa ?? {}, config, undefined)).toEqual([]);
  expect(appliedReplicas(envoyDeployment)).toBe('unknown');
  expect(effectiveProxy({ ...spec, mergeType: 'StrategicMerge' }, spec, undefined).conflict).toBe(
    Array.isArray(value) ? 'both have a list as envoyHpa.patch.value' : undefined,
  );
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
