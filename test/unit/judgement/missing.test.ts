import { describe, expect, test } from 'vitest';
import type { HorizontalPodAutoscaler, Metadata, Scaler } from '../../../functions/judgement/kubernetes-objects.ts';
import { MISSING_AFTER_SECONDS, missingHpas } from '../../../functions/judgement/missing.ts';
import type { Snapshot } from '../../../functions/judgement/snapshot.ts';
import {
  autoscaling,
  type ClusterObject,
  CREATED,
  controller,
  DEFAULT_CONDITIONS,
  deployment,
  envoyGatewayConfig,
  envoyHpa,
  envoyProxy,
  gateway,
  gatewayClass,
  hashedNameOf,
  rateLimitHpa,
  snapshotOf,
} from '../../builders/cluster.ts';
import { merging, NO_AUTOSCALING } from '../../builders/verdicts.ts';

const NOW = new Date('2026-01-02T12:00:00Z');
const ago = (seconds: number) => new Date(NOW.getTime() - seconds * 1000).toISOString();
const young = { creationTimestamp: ago(MISSING_AFTER_SECONDS - 1) };
const SYSTEM = 'envoy-gateway-system';
const NAME = hashedNameOf('shop/web');

/** With the HPAs of these namespaces listed, those of the snapshot among them. */
function withScalers(snapshot: Snapshot, ...others: Scaler[]): Snapshot {
  const all: (HorizontalPodAutoscaler | Scaler)[] = [...snapshot.hpas, ...others];
  const namespaces = [SYSTEM, 'shop', 'bank', 'second', 'q'];
  const of = (namespace: string) => all.filter(({ metadata }) => metadata.namespace === namespace);
  return { ...snapshot, scalers: new Map(namespaces.map((namespace) => [namespace, of(namespace)])) };
}
const found = (...objects: ClusterObject[]) => missingHpas(withScalers(snapshotOf(objects)), NOW);
const placesOf = ({ missing }: ReturnType<typeof missingHpas>) =>
  missing.map(({ namespace, name }) => `${namespace}/${name}`);
const missingOf = (...objects: ClusterObject[]) => placesOf(found(...objects));

interface Parts {
  class?: Parameters<typeof gatewayClass>[1];
  gateway?: Parameters<typeof gateway>[1];
  proxy?: Partial<Metadata>;
  config?: Parameters<typeof envoyGatewayConfig>[0];
  installed?: ClusterObject[];
  spec?: Parameters<typeof envoyProxy>[1];
}
/** A Gateway that asks in its own EnvoyProxy, for long enough; its HPA is not there. */
const asking = (over: Parts = {}): ClusterObject[] => [
  gatewayClass('eg', over.class),
  gateway('shop/web', { proxy: 'own', ...over.gateway }),
  envoyProxy('shop/own', over.spec ?? autoscaling(), over.proxy && { metadata: over.proxy }),
  envoyGatewayConfig(over.config),
  ...(over.installed ?? [controller({ version: 'v1.9.1' })]),
];
const MISSING = [`${SYSTEM}/${NAME}`];

test.each<[string, object, string[]]>([
  [
    'serves one',
    { listeners: [{ conditions: [{ type: 'Programmed', status: 'True', observedGeneration: 1 }] }] },
    MISSING,
  ],
  [
    'serves none',
    { listeners: [{ conditions: [{ type: 'Programmed', status: 'False', observedGeneration: 1 }] }] },
    [],
  ],
  ['has none', { listeners: [] }, []],
  ['serves those of a listener set', { listeners: [], attachedListenerSets: 1 }, MISSING],
])('of listeners Envoy Gateway %s: without one it makes nothing for a Gateway', (_, status, expected) => {
  const objects = asking().map((object) =>
    object.kind === 'Gateway' ? { ...object, status: { ...object.status, ...status } } : object,
  );
  expect(missingOf(...objects)).toEqual(expected);
});

test.each([
  ['v1.6.3', []],
  ['v1.7.0', MISSING],
])('a default of the configuration counts from v1.7 on: %s', (version, expected) => {
  const config = { envoyProxy: autoscaling() };
  const parts = { gateway: { proxy: undefined }, config, installed: [controller({ version })] };
  expect(missingOf(...asking(parts))).toEqual(expected);
});

test('an HPA that an accepted, observed owner has asked for long enough, and that is not there', () => {
  expect(found(...asking())).toEqual({
    missing: [
      {
        ...{ namespace: SYSTEM, name: NAME, reason: 'WantedButMissing' },
        owner: { kind: 'Gateway', namespace: 'shop', name: 'web' },
        ownerUid: 'Gateway:shop/web',
        explanation: `Gateway shop/web asks for autoscaling in EnvoyProxy shop/own, and there is no HPA ${SYSTEM}/${NAME}.`,
        remedy:
          'Envoy Gateway does not notice that it is gone: restart Envoy Gateway (kubectl -n envoy-gateway-system rollout restart deployment envoy-gateway), ' +
          'or change the spec of its EnvoyProxy, or restore it with `reaper restore` if this tool deleted it.',
      },
    ],
    needs: { deployments: [], namespaces: [] },
  });
});

test('nothing is missing where the HPA is there, whoever made it and whatever becomes of it', () => {
  expect(missingOf(envoyHpa(), ...asking())).toEqual([]);
  const foreign = { labels: {}, managedFields: [], deletionTimestamp: CREATED };
  expect(missingOf(envoyHpa('shop/web', { metadata: foreign }), ...asking())).toEqual([]);
  expect(missingOf(envoyHpa('shop/web', { at: `shop/${NAME}` }), ...asking())).toEqual(MISSING);
});

describe('each of these is needed', () => {
  const seen = { generation: 2, observed: 1 };
  const specWritten = (seconds: number, fields = 'f:spec') => ({
    managedFields: [
      { manager: 'kubectl', time: CREATED, fieldsV1: { 'f:spec': {} } },
      { manager: 'kubectl', time: ago(seconds), fieldsV1: { [fields]: {} } },
    ],
  });
  const written = (seconds: number) => ({
    managedFields: [{ manager: 'helm', time: ago(seconds), fieldsV1: { 'f:data': {} } }],
  });
  const deleting = { deletionTimestamp: CREATED };
  const undecided = { type: 'Accepted', status: 'Unknown', observedGeneration: 1 };

  test.each<[string, Parts, string[]]>([
    ['the Gateway is accepted', { gateway: { accepted: false } }, []],
    [
      'the Gateway is accepted, and not for its listeners only',
      { gateway: { accepted: false, reason: 'ListenersNotValid' } },
      [],
    ],
    ['a controller has looked at the Gateway', { gateway: { accepted: undefined } }, []],
    ['a controller has looked at the Gateway, not only its CRD', { gateway: { conditions: DEFAULT_CONDITIONS } }, []],
    ['the class is accepted', { class: { accepted: false } }, []],
    ['the class is accepted, and its controller knows', { class: { conditions: [undecided] } }, []],
    [
      'the class is accepted, even if its Gateways are served all the same',
      { class: { accepted: false, proxy: 'shop/own' } },
      [],
    ],
    ['the Gateway is accepted, and its controller knows', { gateway: { conditions: [undecided] } }, []],
    ['a controller has looked at the class', { class: { accepted: undefined } }, []],
    ['the Gateway is observed', { gateway: seen }, []],
    ['the listeners of the Gateway are observed', { gateway: { generation: 2, listenersObserved: 1 } }, []],
    ['the class is observed', { class: seen }, []],
    ['the Gateway stays', { gateway: { metadata: deleting } }, []],
    ['the class stays', { class: { metadata: deleting } }, []],
    ['the Gateway is not young', { gateway: { metadata: young } }, []],
    ['the class is not young', { class: { metadata: young } }, []],
    ['its EnvoyProxy is not young', { proxy: young }, []],
    ['the Gateway has a time', { gateway: { metadata: { creationTimestamp: null } } }, []],
    ['its EnvoyProxy has a time', { proxy: { creationTimestamp: null } }, []],
    ["nobody wrote the Gateway's spec just now", { gateway: { metadata: specWritten(599) } }, []],
    ["nobody wrote the class's spec just now", { class: { metadata: specWritten(599) } }, []],
    ["nobody wrote the EnvoyProxy's spec just now", { proxy: specWritten(599) }, []],
    ['ten minutes are enough', { gateway: { metadata: specWritten(600) }, proxy: specWritten(600) }, MISSING],
    ['a young status is no reason', { gateway: { metadata: specWritten(1, 'f:status') } }, MISSING],
    ['a young annotation is no reason', { proxy: specWritten(1, 'f:metadata') }, MISSING],
    [
      'a write whose time is not known is no reason',
      { proxy: { managedFields: [{ manager: 'kubectl', fieldsV1: { 'f:spec': {} } }] } },
      MISSING,
    ],
    ['the time is a time', { proxy: { creationTimestamp: 'yesterday' } }, []],
    ['the ConfigMap is not young', { config: { metadata: young } }, []],
    ['nobody wrote the ConfigMap just now', { config: { metadata: written(599) } }, []],
    ['nobody wrote the ConfigMap for ten minutes', { config: { metadata: written(600) } }, MISSING],
    ['a saved ConfigMap without times counts', { config: { metadata: { creationTimestamp: null } } }, MISSING],
    ['the ConfigMap can be read', { config: { text: '{' } }, []],
    ['the ConfigMap names the controller of the class', { config: { controllerName: 'other' } }, []],
    ['Envoy Gateway reads that ConfigMap', { installed: [controller({ configMap: 'custom' })] }, []],
    ['Envoy Gateway may have no Deployment of that name', { installed: [] }, MISSING],
    ['its EnvoyProxy asks', { spec: NO_AUTOSCALING }, []],
    ['its parametersRef leads to an EnvoyProxy', { gateway: { proxy: 'none' } }, []],
    ['its class exists', { gateway: { className: 'none', proxy: 'own' } }, []],
    ['it runs as a Deployment', { spec: { provider: { kubernetes: { envoyHpa: {}, envoyDaemonSet: {} } } } }, []],
    ['the name can be read', { spec: autoscaling({ patch: { value: { metadata: null } } }) }, []],
  ])('%s', (_, parts, expected) => {
    expect(missingOf(...asking(parts))).toEqual(expected);
  });
});

describe('what is asked for in another place', () => {
  test.each<[string, Parts, string[]]>([
    ['envoyHpa.name', { spec: autoscaling({ name: 'n' }) }, [`${SYSTEM}/n`]],
    [
      'envoyHpa.name, which v1.4.2 ignores: there it is',
      { spec: autoscaling({ name: 'n' }), installed: [controller({ version: 'v1.4.2' })] },
      MISSING,
    ],
    [
      "a patch's namespace",
      { spec: autoscaling({ patch: { value: { metadata: { namespace: 'q' } } } }) },
      [`q/${NAME}`],
    ],
    ['GatewayNamespace mode of v1.9.1', { config: { gatewayNamespaceMode: true } }, ['shop/web']],
    [
      'GatewayNamespace mode of v1.4.2',
      { config: { gatewayNamespaceMode: true }, installed: [controller({ version: 'v1.4.2' })] },
      [`shop/${NAME}`],
    ],
  ])('%s', (_, parts, expected) => {
    expect(missingOf(...asking(parts))).toEqual(expected);
    expect(missingOf(envoyHpa(), ...asking(parts))).toEqual(expected.filter((place) => place !== MISSING[0]));
  });

  test('of two places one is enough, and both are named where neither is there', () => {
    const either = asking({ config: { gatewayNamespaceMode: true }, installed: [] });
    const [missing] = found(...either).missing;
    expect(missing).toMatchObject({ namespace: 'shop', name: 'web' });
    expect(missing?.explanation).toContain(`and there is no HPA shop/web or shop/${NAME}.`);
    expect(missingOf(envoyHpa('shop/web', { at: 'shop/web' }), ...either)).toEqual([]);
    expect(missingOf(envoyHpa('shop/web', { at: `shop/${NAME}` }), ...either)).toEqual([]);
    // A release that is not known may ignore envoyHpa.name.
    const named = asking({ spec: autoscaling({ name: 'n' }), installed: [controller()] });
    expect(missingOf(...named)).toEqual([`${SYSTEM}/n`]);
    expect(missingOf(envoyHpa(), ...named)).toEqual([]);
  });
});

describe('several ConfigMaps for one controllerName', () => {
  const second = (options: Parameters<typeof envoyGatewayConfig>[0]) =>
    envoyGatewayConfig({ namespace: 'second', ...options });
  const byDefault = [gatewayClass(), gateway(), controller({ version: 'v1.9.1' })];
  const first = envoyGatewayConfig({ envoyProxy: autoscaling() });

  test.each<[string, ClusterObject[], string[]]>([
    ['alone', [first], MISSING],
    ['the second asks for none', [first, second({})], []],
    ['the second cannot be read', [first, second({ text: '{' })], []],
    ['the second is young', [first, second({ envoyProxy: autoscaling(), metadata: young })], []],
    ['both ask', [first, second({ envoyProxy: autoscaling() })], MISSING],
    ["the second is another controller's", [first, second({ controllerName: 'other' })], MISSING],
  ])('%s', (_, configs, expected) => {
    expect(missingOf(...byDefault, ...configs)).toEqual(expected);
    expect(missingOf(...byDefault, ...configs.toReversed()).length).toBe(expected.length);
  });

  test('the HPA of either is enough', () => {
    const both = [...byDefault, first, second({ envoyProxy: autoscaling() })];
    expect(missingOf(envoyHpa('shop/web', { at: `second/${NAME}` }), ...both)).toEqual([]);
  });
});

describe('with a list of controller namespaces', () => {
  const listed = (namespaces: string[], ...objects: ClusterObject[]) =>
    placesOf(missingHpas({ ...withScalers(snapshotOf(objects)), controllerNamespaces: namespaces }, NOW));
  test('only the ConfigMaps that are in it count', () => {
    const tenant = envoyGatewayConfig({ namespace: 'second', text: '{' });
    expect(listed([SYSTEM], ...asking(), tenant)).toEqual(MISSING);
    expect(listed([], ...asking(), tenant)).toEqual([]);
    expect(listed(['second'], ...asking(), tenant)).toEqual([]);
    expect(listed(['other'], ...asking())).toEqual([]);
    const limiting = [envoyGatewayConfig({ rateLimit: { rateLimitHpa: {} } }), deployment(`${SYSTEM}/envoy-ratelimit`)];
    expect(listed([SYSTEM], ...limiting)).toEqual([`${SYSTEM}/envoy-ratelimit`]);
    expect(listed(['second'], ...limiting)).toEqual([]);
  });
});

describe('a merging class', () => {
  const CLASS_NAME = hashedNameOf('eg');
  const merged = (...gateways: ClusterObject[]) => [
    gatewayClass('eg', { proxy: 'shop/class' }),
    envoyProxy('shop/class', merging(autoscaling())),
    ...gateways,
    envoyGatewayConfig(),
    controller({ version: 'v1.9.1' }),
  ];
  test('asks for one HPA, in its own name', () => {
    const { missing } = found(...merged(gateway('shop/web'), gateway('shop/api')));
    expect(missing).toMatchObject([
      {
        ...{ namespace: SYSTEM, name: CLASS_NAME, ownerUid: 'GatewayClass:eg' },
        owner: { kind: 'GatewayClass', name: 'eg' },
        explanation: `GatewayClass eg asks for autoscaling in EnvoyProxy shop/class, and there is no HPA ${SYSTEM}/${CLASS_NAME}.`,
      },
    ]);
  });

  test.each<[string, ClusterObject[], number]>([
    ['no Gateway', [], 0],
    ['one of its Gateways is not accepted', [gateway('shop/web'), gateway('shop/api', { accepted: false })], 1],
    ['none of its Gateways is accepted', [gateway('shop/web', { accepted: false })], 0],
    [
      'one of its Gateways is not observed',
      [gateway('shop/web'), gateway('shop/api', { generation: 2, observed: 1 })],
      0,
    ],
    ['one of its Gateways is young', [gateway('shop/web'), gateway('shop/api', { metadata: young })], 0],
    [
      'one of its Gateways goes',
      [gateway('shop/web'), gateway('shop/api', { metadata: { deletionTimestamp: CREATED } })],
      0,
    ],
  ])('%s', (_, gateways, count) => {
    expect(found(...merged(...gateways)).missing).toHaveLength(count);
  });

  test('by the default in GatewayNamespace mode: beside any of its Gateways', () => {
    const config = envoyGatewayConfig({ gatewayNamespaceMode: true, envoyProxy: merging(autoscaling()) });
    const objects = [
      gatewayClass(),
      gateway('shop/web'),
      gateway('bank/web'),
      config,
      controller({ version: 'v1.9.1' }),
    ];
    expect(missingOf(...objects)).toEqual(['shop/web']);
    expect(missingOf(envoyHpa('eg', { at: 'bank/web' }), ...objects)).toEqual([]);
  });
});

describe('the rate limit service', () => {
  const PLACE = `${SYSTEM}/envoy-ratelimit`;
  const limiting = (over: Parameters<typeof envoyGatewayConfig>[0] = {}) =>
    envoyGatewayConfig({ rateLimit: { rateLimitHpa: {} }, ...over });
  const installed = controller({ version: 'v1.9.1' });
  const service = deployment(PLACE);

  test('asks for one HPA', () => {
    expect(found(limiting(), installed, service).missing).toEqual([
      {
        ...{ namespace: SYSTEM, name: 'envoy-ratelimit', reason: 'WantedButMissing' },
        owner: { kind: 'ConfigMap', namespace: SYSTEM, name: 'envoy-gateway-config' },
        ownerUid: `ConfigMap:${SYSTEM}/envoy-gateway-config`,
        explanation: `ConfigMap ${SYSTEM}/envoy-gateway-config asks for autoscaling of the rate limit service, and there is no HPA ${PLACE}.`,
        remedy:
          'Envoy Gateway does not notice that it is gone: restart Envoy Gateway (kubectl -n envoy-gateway-system rollout restart deployment envoy-gateway), ' +
          'or restore it with `reaper restore` if this tool deleted it.',
      },
    ]);
  });

  test.each<[string, ClusterObject[], string[]]>([
    ['it is there', [rateLimitHpa(), limiting(), installed, service], []],
    ['no Deployment of Envoy Gateway of that name', [limiting(), service], [PLACE]],
    ['its Deployment is not there: Envoy Gateway has not taken it up', [limiting(), installed], []],
    [
      'it is asked for by another name',
      [rateLimitHpa(), limiting({ rateLimit: { rateLimitHpa: { name: 'n' } } }), installed, service],
      [`${SYSTEM}/n`],
    ],
    [
      'its Deployment has another name',
      [
        limiting({ rateLimit: { rateLimitHpa: {}, rateLimitDeployment: { name: 'd' } } }),
        installed,
        deployment(`${SYSTEM}/d`),
      ],
      [PLACE],
    ],
    [
      'its Deployment is to have another name, and has not',
      [limiting({ rateLimit: { rateLimitHpa: {}, rateLimitDeployment: { name: 'd' } } }), installed, service],
      [],
    ],
    [
      'its name cannot be read',
      [limiting({ rateLimit: { rateLimitHpa: { patch: { value: { metadata: null } } } } }), installed, service],
      [],
    ],
    ['the ConfigMap is young', [limiting({ metadata: young }), installed, service], []],
    ['Envoy Gateway reads another ConfigMap', [limiting(), controller({ configMap: 'custom' }), service], []],
    ['no autoscaling', [limiting({ rateLimit: {} }), installed, service], []],
    ['no rate limit service', [limiting({ rateLimit: undefined }), installed, service], []],
    ['an unreadable ConfigMap', [limiting({ text: '{' }), installed, service], []],
    ['one of two', [limiting(), installed, service, limiting({ namespace: 'second' })], [PLACE]],
  ])('%s', (_, objects, expected) => {
    expect(missingOf(...objects)).toEqual(expected);
  });

  test("waits for its Deployment and Envoy Gateway's to be read", () => {
    const snapshot = withScalers(snapshotOf([limiting(), installed, service]));
    const needs = (deployments: Snapshot['deployments']) => missingHpas({ ...snapshot, deployments }, NOW);
    expect(needs(new Map())).toEqual({
      missing: [],
      needs: { deployments: [`${SYSTEM}/envoy-gateway`], namespaces: [] },
    });
    expect(needs(new Map([[`${SYSTEM}/envoy-gateway`, installed]]))).toEqual({
      missing: [],
      needs: { deployments: [PLACE], namespaces: [] },
    });
  });
});

describe('before it is said, everything was read', () => {
  const snapshot = withScalers(snapshotOf(asking()));
  test("Envoy Gateway's own Deployment", () => {
    expect(missingHpas({ ...snapshot, deployments: new Map() }, NOW)).toEqual({
      missing: [],
      needs: { deployments: [`${SYSTEM}/envoy-gateway`], namespaces: [] },
    });
  });

  test('every HPA of the namespace', () => {
    for (const scalers of [undefined, new Map(), new Map([['shop', []]])]) {
      expect(missingHpas({ ...snapshot, scalers }, NOW)).toEqual({
        missing: [],
        needs: { deployments: [], namespaces: [SYSTEM] },
      });
    }
  });

  test('every HPA of each namespace where it may be, though it is found in the first', () => {
    const config = envoyGatewayConfig({ gatewayNamespaceMode: true, envoyProxy: merging(autoscaling()) });
    const either = snapshotOf([gatewayClass(), gateway('shop/web'), gateway('bank/web'), config]);
    const { missing, needs } = missingHpas({ ...either, scalers: new Map([['shop', []]]) }, NOW);
    expect([missing, needs.namespaces]).toEqual([[], ['bank']]);
  });

  test('nothing is asked for an owner that is not missing anything', () => {
    const limiting = [rateLimitHpa(), envoyGatewayConfig({ rateLimit: { rateLimitHpa: {} } })];
    for (const objects of [[envoyHpa(), ...asking()], asking({ spec: NO_AUTOSCALING }), limiting]) {
      const { needs } = missingHpas({ ...snapshotOf(objects), deployments: new Map(), scalers: undefined }, NOW);
      expect(needs).toEqual({ deployments: [], namespaces: [] });
    }
    const young = snapshotOf(asking({ gateway: { generation: 2, observed: 1 } }));
    expect(missingHpas({ ...young, deployments: new Map() }, NOW).needs.deployments).toEqual([]);
  });

  test('one without the labels of Envoy Gateway is there all the same', () => {
    const other = (namespace: string, name: string): Scaler => ({
      metadata: { namespace, name },
      spec: { scaleTargetRef: { kind: 'Deployment', name: 'x' } },
    });
    const among = (...others: Scaler[]) => placesOf(missingHpas(withScalers(snapshotOf(asking()), ...others), NOW));
    expect(among(other(SYSTEM, NAME))).toEqual([]);
    expect(among(other('shop', NAME), other(SYSTEM, 'other'))).toEqual(MISSING);
  });
});

describe('the remedy', () => {
  const remedy = (...objects: ClusterObject[]) => found(...objects).missing[0]?.remedy;
  const RESTART = `restart Envoy Gateway (kubectl -n ${SYSTEM} rollout restart deployment envoy-gateway)`;
  const RESTORE = 'or restore it with `reaper restore` if this tool deleted it.';

  test('an owner without an EnvoyProxy is given one', () => {
    const objects = [
      gatewayClass(),
      gateway(),
      envoyGatewayConfig({ envoyProxy: autoscaling() }),
      controller({ version: 'v1.9.1' }),
    ];
    expect(remedy(...objects)).toBe(
      `Envoy Gateway does not notice that it is gone: ${RESTART}, or give it an EnvoyProxy, ${RESTORE}`,
    );
  });

  test('where its Deployment is not known, there is no command', () => {
    expect(remedy(...asking({ installed: [] }))).toBe(
      `Envoy Gateway does not notice that it is gone: restart Envoy Gateway, or change the spec of its EnvoyProxy, ${RESTORE}`,
    );
  });

  const stuck = 'First fix GatewayClass dangling, which is rejected: that stops versions before v1.4 completely. ';
  const rejected = gatewayClass('dangling', { accepted: false, proxy: 'shop/none' });
  test.each<[string, ClusterObject[], boolean]>([
    ['v1.3.0', [controller({ version: 'v1.3.0' }), rejected], true],
    ['an unknown version', [rejected], true],
    ['v1.4.2', [controller({ version: 'v1.4.2' }), rejected], false],
    ['v1.3.0, and no class is rejected', [controller({ version: 'v1.3.0' })], false],
    [
      "v1.3.0, and another controller's class is",
      [controller({ version: 'v1.3.0' }), gatewayClass('r', { accepted: false, controllerName: 'o' })],
      false,
    ],
  ])('where Envoy Gateway is stuck, the class comes first: %s', (_, installed, isStuck) => {
    expect(remedy(...asking({ installed }))?.startsWith(stuck)).toBe(isStuck);
    const limiting = [envoyGatewayConfig({ rateLimit: { rateLimitHpa: {} } }), deployment(`${SYSTEM}/envoy-ratelimit`)];
    expect(remedy(...limiting, ...installed)?.startsWith(stuck)).toBe(isStuck);
  });
});

test('a cluster without Envoy Gateway lacks nothing', () => {
  expect(found()).toEqual({ missing: [], needs: { deployments: [], namespaces: [] } });
  expect(
    missingOf(gatewayClass('istio', { controllerName: 'istio.io/c' }), gateway('shop/web', { className: 'istio' })),
  ).toEqual([]);
});
