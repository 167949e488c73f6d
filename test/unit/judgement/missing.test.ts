import { describe, expect, test } from 'vitest';
import type { Snapshot } from '../../../functions/judgement/cluster-index.ts';
import type { HorizontalPodAutoscaler, Metadata, Scaler } from '../../../functions/judgement/kubernetes-objects.ts';
import { missingHpas } from '../../../functions/judgement/missing.ts';
import {
  autoscaling,
  type ClusterObject,
  CREATED,
  controller,
  deployment,
  envoyGatewayConfig,
  envoyHpa,
  envoyProxy,
  gateway,
  gatewayClass,
  hashedNameOf,
  snapshotOf,
} from '../../builders/cluster.ts';
import { byDefault, classProxy, config, merging, NO_AUTOSCALING } from '../../builders/verdicts.ts';

const NOW = new Date('2026-01-02T12:00:00Z');
const ago = (seconds: number) => new Date(NOW.getTime() - seconds * 1000).toISOString();
const young = { creationTimestamp: ago(599) };
const SYSTEM = 'envoy-gateway-system';
const NAME = hashedNameOf('shop/web');
const MISSING = [`${SYSTEM}/${NAME}`];
const NONE: string[] = [];
const CONTROLLER = `${SYSTEM}/envoy-gateway`;
const v130 = controller({ version: 'v1.3.0' });
const v142 = controller({ version: 'v1.4.2' });
const v191 = controller({ version: 'v1.9.1' });

/** With the HPAs of all namespaces listed, and these among them. */
function withScalers(snapshot: Snapshot, ...others: Scaler[]): Snapshot {
  const all: (HorizontalPodAutoscaler | Scaler)[] = [...snapshot.hpas, ...others];
  const of = (namespace: string) => all.filter(({ metadata }) => metadata.namespace === namespace);
  return { ...snapshot, scalers: new Map([SYSTEM, 'shop', 'bank', 'second', 'q'].map((one) => [one, of(one)])) };
}
const found = (...objects: ClusterObject[]) => missingHpas(withScalers(snapshotOf(objects)), NOW);
const namesOf = ({ missing }: ReturnType<typeof missingHpas>) =>
  missing.map(({ namespace, name }) => `${namespace}/${name}`);
const missingOf = (...objects: ClusterObject[]) => namesOf(found(...objects));

interface Parts {
  class?: Parameters<typeof gatewayClass>[1];
  gateway?: Parameters<typeof gateway>[1];
  proxy?: Partial<Metadata>;
  config?: Parameters<typeof envoyGatewayConfig>[0];
  installed?: ClusterObject[];
  spec?: Parameters<typeof envoyProxy>[1];
}
/** A Gateway that asks in its own EnvoyProxy, for long enough; its HPA does not exist. */
const asking = (over: Parts = {}): ClusterObject[] => [
  gatewayClass('eg', over.class),
  gateway('shop/web', { proxy: 'own', ...over.gateway }),
  envoyProxy('shop/own', over.spec ?? autoscaling(), over.proxy && { metadata: over.proxy }),
  envoyGatewayConfig(over.config),
  ...(over.installed ?? [v191]),
];

test('reports an HPA that an accepted, observed owner has asked for long enough, and that does not exist', () => {
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

test('reports nothing if the HPA exists, whoever created it and even while it is being deleted', () => {
  expect(missingOf(envoyHpa(), ...asking())).toEqual(NONE);
  const foreign = { labels: {}, managedFields: [], deletionTimestamp: CREATED };
  expect(missingOf(envoyHpa('shop/web', { metadata: foreign }), ...asking())).toEqual(NONE);
  expect(missingOf(envoyHpa('shop/web', { at: `shop/${NAME}` }), ...asking())).toEqual(MISSING);
});

describe('reports it only if', () => {
  const deleting = { metadata: { deletionTimestamp: CREATED } };
  const noTime = { creationTimestamp: null };
  const written = (seconds: number, fields = 'f:spec') => ({
    managedFields: [
      { manager: 'nobody', time: CREATED },
      { manager: 'kubectl', time: CREATED, fieldsV1: { 'f:spec': {} } },
      { manager: 'kubectl', time: ago(seconds), fieldsV1: { [fields]: {} } },
    ],
  });
  const undecided = { conditions: [{ type: 'Accepted', status: 'Unknown', observedGeneration: 1 }] };
  const telemetry = {
    ...{ type: 'Accepted', status: 'False', reason: 'InvalidParameters', observedGeneration: 1 },
    message: 'Invalid tracing backendRefs in the referenced EnvoyProxy: Service shop/collector not found.',
  };
  const dangling = { accepted: false, proxy: 'shop/none' };
  const ownConfigMapOnly = { installed: [controller({ configMap: 'custom' })] };
  const noClass = { class: { metadata: { name: 'other' } } };
  const unreadableName = autoscaling({ patch: { value: { metadata: null } } });

  test.each<[string, Parts, string[]]>([
    ['the Gateway is accepted', { gateway: { accepted: false } }, NONE],
    ['only the backend of its telemetry may be rejected', { gateway: { conditions: [telemetry] } }, MISSING],
    ['the controller has decided about the Gateway', { gateway: undecided }, NONE],
    ['the class is accepted', { class: { accepted: false } }, NONE],
    ['from v1.7 on, only the EnvoyProxy of the class may be gone', { class: dangling }, MISSING],
    ['before v1.7 that is there', { class: dangling, installed: [v142] }, NONE],
    ['the class has a status', { class: { accepted: undefined } }, NONE],
    ['the controller has decided about the class', { class: undecided }, NONE],
    ['the class exists', noClass, NONE],
    ['the listeners are observed', { gateway: { generation: 2, listenersObserved: 1 } }, NONE],
    ['the Gateway stays', { gateway: deleting }, NONE],
    ['the class stays', { class: deleting }, NONE],
    ['the Gateway is old', { gateway: { metadata: young } }, NONE],
    ['its EnvoyProxy has a time', { proxy: noTime }, NONE],
    ["the EnvoyProxy's spec is old", { proxy: written(599) }, NONE],
    ['ten minutes have passed', { gateway: { metadata: written(600) }, proxy: written(600) }, MISSING],
    ['a status may be young', { gateway: { metadata: written(1, 'f:status') } }, MISSING],
    ['the ConfigMap was written ten minutes ago', { config: { metadata: written(600, 'f:data') } }, MISSING],
    ['the ConfigMap may have lost its times', { config: { metadata: noTime } }, MISSING],
    ['Envoy Gateway reads that ConfigMap', ownConfigMapOnly, NONE],
    ['its EnvoyProxy asks', { spec: NO_AUTOSCALING }, NONE],
    ['the name can be read', { spec: unreadableName }, NONE],
  ])('%s', (_, parts, expected) => {
    expect(missingOf(...asking(parts))).toEqual(expected);
  });

  const condition = (type: string, status: string) => ({ type, status, observedGeneration: 1 });
  const listener = (status: string) => [
    {},
    { conditions: [condition('Programmed', status), condition('Accepted', 'True'), condition('Other', 'False')] },
  ];
  test.each<[string, object, string[]]>([
    ['one is programmed', { listeners: listener('True') }, MISSING],
    ['none is programmed', { listeners: listener('False') }, NONE],
    ['a listener set has some', { listeners: [], attachedListenerSets: 1 }, MISSING],
  ])('Envoy Gateway serves a listener: %s', (_, status, expected) => {
    const objects = asking().map((object) =>
      object.kind === 'Gateway' ? { ...object, status: { ...object.status, ...status } } : object,
    );
    expect(missingOf(...objects)).toEqual(expected);
  });

  test.each<[string, string[]]>([
    ['v1.6.3', NONE],
    ['v1.7.0', MISSING],
  ])('the version knows the default that asks: %s', (version, expected) => {
    const installed = [controller({ version })];
    const parts = { gateway: { proxy: undefined }, config: { envoyProxy: autoscaling() }, installed };
    expect(missingOf(...asking(parts))).toEqual(expected);
  });
});

describe('of another name or namespace', () => {
  const mode = { gatewayNamespaceMode: true };
  const named = autoscaling({ name: 'n' });
  test.each<[string, Parts, string[]]>([
    ['v1.4.2 ignores envoyHpa.name', { spec: named, installed: [v142] }, MISSING],
    ['GatewayNamespace mode of v1.9.1 has the plain name', { config: mode }, ['shop/web']],
  ])('%s', (_, parts, expected) => {
    expect(missingOf(...asking(parts))).toEqual(expected);
    expect(missingOf(envoyHpa(), ...asking(parts))).toEqual(expected.filter((name) => name !== MISSING[0]));
  });

  test('either is enough while it is not known which is meant, and both are named if neither exists', () => {
    const either = asking({ config: mode, installed: [] });
    const [missing] = found(...either).missing;
    expect(missing).toMatchObject({ namespace: 'shop', name: 'web' });
    expect(missing?.explanation).toContain(`and there is no HPA shop/web or shop/${NAME}.`);
    expect(missingOf(envoyHpa('shop/web', { at: 'shop/web' }), ...either)).toEqual(NONE);
    expect(missingOf(envoyHpa('shop/web', { at: `shop/${NAME}` }), ...either)).toEqual(NONE);
    const unlisted = (...objects: ClusterObject[]) => missingHpas({ ...snapshotOf(objects), scalers: undefined }, NOW);
    const plain = envoyHpa('shop/web', { at: 'shop/web' });
    expect(unlisted(plain, ...either).needs).toEqual({ deployments: [], namespaces: [] });
    const unread = { ...snapshotOf([plain, ...either]), deployments: new Map() };
    expect(missingHpas(unread, NOW).needs).toEqual({ deployments: [CONTROLLER], namespaces: [] });
    const unknown = asking({ spec: named, installed: [controller()] });
    expect(missingOf(...unknown)).toEqual([`${SYSTEM}/n`]);
    expect(missingOf(envoyHpa(), ...unknown)).toEqual(NONE);
  });
});

describe('of several ConfigMaps for one controllerName', () => {
  const second = (options: Parameters<typeof envoyGatewayConfig>[0]) =>
    envoyGatewayConfig({ namespace: 'second', ...options });
  const owner = [gatewayClass(), gateway(), v191];
  const first = byDefault(autoscaling());

  test.each<[string, ClusterObject[], string[]]>([
    ['each must ask', [first, second({})], NONE],
    ['each must be old', [first, second({ envoyProxy: autoscaling(), metadata: young })], NONE],
    ['both may ask', [first, second({ envoyProxy: autoscaling() })], MISSING],
  ])('%s', (_, configs, expected) => {
    expect(missingOf(...owner, ...configs)).toEqual(expected);
    expect(missingOf(...owner, ...configs.toReversed()).length).toBe(expected.length);
  });

  const tenant = second({ text: '{' });
  const limiting = [envoyGatewayConfig({ rateLimit: { rateLimitHpa: {} } }), deployment(`${SYSTEM}/envoy-ratelimit`)];
  test.each<[string[], ClusterObject[], string[]]>([
    [[SYSTEM], [...asking(), tenant], MISSING],
    [['other'], asking(), NONE],
    [[SYSTEM], limiting, [`${SYSTEM}/envoy-ratelimit`]],
    [['second'], limiting, NONE],
  ])('only those in the controller namespaces %j count (%#)', (controllerNamespaces, objects, expected) => {
    const snapshot = withScalers(snapshotOf(objects));
    expect(namesOf(missingHpas({ ...snapshot, controllerNamespaces }, NOW))).toEqual(expected);
  });
});

describe('of a merging class', () => {
  const CLASS_NAME = hashedNameOf('eg');
  const api = (options: Parameters<typeof gateway>[1]) => gateway('shop/api', options);
  const merged = (...gateways: ClusterObject[]) =>
    found(...classProxy(merging(autoscaling())), ...gateways, config, v191).missing;

  test('one HPA is reported, of its own name', () => {
    expect(merged(gateway(), api({}))).toMatchObject([
      {
        ...{ namespace: SYSTEM, name: CLASS_NAME, ownerUid: 'GatewayClass:eg' },
        owner: { kind: 'GatewayClass', name: 'eg' },
        explanation: `GatewayClass eg asks for autoscaling in EnvoyProxy shop/class, and there is no HPA ${SYSTEM}/${CLASS_NAME}.`,
      },
    ]);
  });

  test.each<[string, ClusterObject[], number]>([
    ['one of its Gateways is not accepted', [gateway(), api({ accepted: false })], 1],
    ['one of its Gateways is not observed', [gateway(), api({ generation: 2, observed: 1 })], 0],
    ['one of its Gateways is young', [gateway(), api({ metadata: young })], 0],
  ])('if %s', (_, gateways, count) => {
    expect(merged(...gateways)).toHaveLength(count);
  });
});

describe('of the rate limit service', () => {
  const PLACE = `${SYSTEM}/envoy-ratelimit`;
  const limiting = (over: Parameters<typeof envoyGatewayConfig>[0] = {}) =>
    envoyGatewayConfig({ rateLimit: { rateLimitHpa: {} }, ...over });
  const service = deployment(PLACE);
  const deploymentNamed = limiting({ rateLimit: { rateLimitHpa: {}, rateLimitDeployment: { name: 'd' } } });

  test('one HPA is reported', () => {
    expect(found(limiting(), v191, service).missing).toMatchObject([
      {
        ...{ namespace: SYSTEM, name: 'envoy-ratelimit', reason: 'WantedButMissing' },
        owner: { kind: 'ConfigMap', namespace: SYSTEM, name: 'envoy-gateway-config' },
        ownerUid: `ConfigMap:${SYSTEM}/envoy-gateway-config`,
        explanation: `ConfigMap ${SYSTEM}/envoy-gateway-config asks for autoscaling of the rate limit service, and there is no HPA ${PLACE}.`,
        remedy: expect.stringContaining('rollout restart deployment envoy-gateway), or restore it with'),
      },
    ]);
  });

  test.each<[string, ClusterObject[], string[]]>([
    ['also without a Deployment of Envoy Gateway', [limiting(), service], [PLACE]],
    ['not without its Deployment: Envoy Gateway has not applied it', [limiting(), v191], NONE],
    ['beside a Deployment of another name', [deploymentNamed, v191, deployment(`${SYSTEM}/d`)], [PLACE]],
    ['not if the Deployment should have another name', [deploymentNamed, v191, service], NONE],
    ['for each namespace by itself', [limiting(), v191, service, limiting({ namespace: 'second' })], [PLACE]],
  ])('%s', (_, objects, expected) => {
    expect(missingOf(...objects)).toEqual(expected);
  });

  test('first the Deployment of Envoy Gateway is read, then that of the service', () => {
    const snapshot = withScalers(snapshotOf([limiting(), v191, service]));
    const needs = (deployments: Snapshot['deployments']) => missingHpas({ ...snapshot, deployments }, NOW);
    expect(needs(new Map())).toEqual({ missing: [], needs: { deployments: [CONTROLLER], namespaces: [] } });
    const known = new Map([[CONTROLLER, v191]]);
    expect(needs(known)).toEqual({ missing: [], needs: { deployments: [PLACE], namespaces: [] } });
  });
});

describe('before it reports an HPA, it asks for', () => {
  const snapshot = withScalers(snapshotOf(asking()));
  test('the Deployment of Envoy Gateway', () => {
    const needs = { deployments: [CONTROLLER], namespaces: [] };
    expect(missingHpas({ ...snapshot, deployments: new Map() }, NOW)).toEqual({ missing: [], needs });
  });

  test.each([[undefined], [new Map()], [new Map([['shop', []]])]])('every HPA of the namespace (%#)', (scalers) => {
    const needs = { deployments: [], namespaces: [SYSTEM] };
    expect(missingHpas({ ...snapshot, scalers }, NOW)).toEqual({ missing: [], needs });
  });

  test('every HPA of each namespace in which it may be', () => {
    const mode = envoyGatewayConfig({ gatewayNamespaceMode: true, envoyProxy: merging(autoscaling()) });
    const either = snapshotOf([gatewayClass(), gateway('shop/web'), gateway('bank/web'), mode]);
    const { missing, needs } = missingHpas({ ...either, scalers: new Map([['shop', []]]) }, NOW);
    expect([missing, needs.namespaces]).toEqual([[], ['bank']]);
  });

  test.each<[string, ClusterObject[]]>([
    ['has its HPA', [envoyHpa(), ...asking()]],
    ['asks for none', asking({ spec: NO_AUTOSCALING })],
  ])('nothing for an owner that %s', (_, objects) => {
    const unread = { ...snapshotOf(objects), deployments: new Map(), scalers: undefined };
    expect(missingHpas(unread, NOW).needs).toEqual({ deployments: [], namespaces: [] });
  });

  test('nothing more if one of its name exists without the labels of Envoy Gateway', () => {
    const other = (namespace: string, name: string): Scaler => ({
      metadata: { namespace, name },
      spec: { scaleTargetRef: { kind: 'Deployment', name: 'x' } },
    });
    const among = (...others: Scaler[]) => namesOf(missingHpas(withScalers(snapshotOf(asking()), ...others), NOW));
    expect(among(other(SYSTEM, NAME))).toEqual(NONE);
    expect(among(other('shop', NAME), other(SYSTEM, 'other'))).toEqual(MISSING);
  });
});

describe('the remedy', () => {
  const remedy = (...objects: ClusterObject[]) => found(...objects).missing[0]?.remedy;

  test('gives an owner without an EnvoyProxy one, and no command for an unknown Deployment', () => {
    const objects = [gatewayClass(), gateway(), byDefault(autoscaling()), v191];
    expect(remedy(...objects)).toContain(
      'rollout restart deployment envoy-gateway), or give it an EnvoyProxy, or restore',
    );
    expect(remedy(...asking({ installed: [] }))).toContain('gone: restart Envoy Gateway, or change the spec');
  });

  const stuck = 'First fix GatewayClass dangling, which is rejected: that stops versions before v1.4 completely. ';
  const rejected = gatewayClass('dangling', { accepted: false, proxy: 'shop/none' });
  test('starts with the rejected class if Envoy Gateway is stuck at it', () => {
    const installed = [v130, rejected];
    expect(remedy(...asking({ installed }))?.startsWith(stuck)).toBe(true);
    const limiting = [envoyGatewayConfig({ rateLimit: { rateLimitHpa: {} } }), deployment(`${SYSTEM}/envoy-ratelimit`)];
    expect(remedy(...limiting, ...installed)?.startsWith(stuck)).toBe(true);
  });
});
