import { describe, expect, test } from 'vitest';
import { judge } from '../../../functions/judgement/judge.ts';
import {
  autoscaling,
  type ClusterObject,
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
import { inShort, judged, merging, REMOVED, WANTED } from '../../builders/verdicts.ts';

/* In GatewayNamespace mode an HPA lies beside its Gateway, and how it is called depends on the release of Envoy Gateway. */

const HASHED = `shop/${hashedNameOf('shop/web')}`;
const hashed = envoyHpa('shop/web', { at: HASHED });
const plain = envoyHpa('shop/web', { at: 'shop/web' });
const config = envoyGatewayConfig({ gatewayNamespaceMode: true });
const asking = [gatewayClass(), gateway('shop/web', { proxy: 'own' }), envoyProxy('shop/own', autoscaling()), config];
const verdicts = (...objects: ClusterObject[]) => judge(snapshotOf(objects));

describe('both names are there, and both Deployments run', () => {
  const both = [hashed, plain, ...asking, deployment(HASHED), deployment('shop/web')];
  test.each<[string, ClusterObject[], string, string]>([
    ['v1.4.2', [controller({ version: 'v1.4.2' })], WANTED, 'delete Renamed'],
    ['v1.5.0', [controller({ version: 'v1.5.0' })], 'delete Renamed', WANTED],
    ['v1.9.1', [controller({ version: 'v1.9.1' })], 'delete Renamed', WANTED],
    ['v2.0.0', [controller({ version: 'v2.0.0' })], 'delete Renamed', WANTED],
    ['an unknown version', [controller()], WANTED, WANTED],
    ['no Deployment of that name', [], WANTED, WANTED],
  ])('%s', (_, installed, ofHashed, ofPlain) => {
    expect(verdicts(...both, ...installed).map(inShort)).toEqual([ofHashed, ofPlain]);
  });

  test('says which one is asked for, or why neither goes', () => {
    const says = (...installed: ClusterObject[]) =>
      verdicts(...both, ...installed).map(({ explanation }) => explanation);
    expect(says(controller({ version: 'v1.9.1' }))[0]).toBe(
      'Gateway shop/web asks for HPA shop/web instead, which exists.',
    );
    const why = (own: string, other: string, which: string) =>
      `Gateway shop/web asks for this HPA or for ${other}: v1.4 and v1.5 use different names, and Deployment ` +
      `envoy-gateway-system/envoy-gateway ${which} which version runs, but Deployment ${own} still runs.`;
    const ofBoth = (which: string) => [why(HASHED, 'shop/web', which), why('shop/web', HASHED, which)];
    expect(says(controller())).toEqual(ofBoth('does not say'));
    expect(says()).toEqual(ofBoth('does not exist to say'));
  });

  test('with a known version the verdict rests on it, and asks whether anybody scales the old Deployment', () => {
    const v191 = controller({ version: 'v1.9.1' });
    const snapshot = snapshotOf([...both, v191]);
    const known = new Map([['envoy-gateway-system/envoy-gateway', v191]]);
    const [verdict] = judge({ ...snapshot, deployments: known });
    expect(verdict).toMatchObject({ action: 'delete', reason: 'Renamed', needsDeployments: [HASHED] });
    expect(verdict?.restsOn.slice(-2)).toEqual([
      { kind: 'HorizontalPodAutoscaler', namespace: 'shop', name: 'web', uid: 'HorizontalPodAutoscaler:shop/web' },
      {
        ...{ kind: 'Deployment', namespace: 'envoy-gateway-system', name: 'envoy-gateway' },
        ...{ uid: 'Deployment:envoy-gateway-system/envoy-gateway', generation: 1 },
      },
    ]);
    expect(judge(snapshot)[0]?.needsDeployments).toEqual([]);
  });

  test('it waits for Envoy Gateway to see the configuration, like any deletion beside a running Deployment', () => {
    const unseen = gateway('shop/web', { proxy: 'own', generation: 2, observed: 1 });
    const objects = both.map((object) => (object.kind === 'Gateway' ? unseen : object));
    expect(inShort(judged(...objects, controller({ version: 'v1.9.1' })))).toBe('keep NotObserved');
  });
});

describe('one name alone is there', () => {
  const v191 = controller({ version: 'v1.9.1' });
  test.each<[string, ClusterObject[]]>([
    ['the plain one, v1.4.2', [plain, controller({ version: 'v1.4.2' })]],
    ['the hashed one, v1.9.1', [hashed, v191]],
    ['the hashed one, an unknown version', [hashed, controller()]],
  ])('%s: it stays until the other is there', (_, objects) => {
    expect(inShort(judged(...(objects as [ClusterObject]), ...asking))).toBe(WANTED);
  });

  test('envoyHpa removed: whichever it is, it goes', () => {
    const none = [gatewayClass(), gateway(), config, v191];
    expect(verdicts(hashed, plain, ...none).map(inShort)).toEqual([REMOVED, REMOVED]);
  });
});

describe('a class that merges its Gateways', () => {
  // Measured on v1.9.1: the namespace and name of one of its Gateways.
  const NAME = 'web';
  const [inShop, inBank] = ['shop', 'bank'].map((namespace) => envoyHpa('eg', { at: `${namespace}/${NAME}` })) as [
    ClusterObject,
    ClusterObject,
  ];
  const gateways = [gateway('shop/web'), gateway('bank/web')];
  const byDefault = (spec = autoscaling()) =>
    envoyGatewayConfig({ gatewayNamespaceMode: true, envoyProxy: merging(spec) });
  const v191 = controller({ version: 'v1.9.1' });

  test('by its own EnvoyProxy is rejected', () => {
    const own = [gatewayClass('eg', { proxy: 'shop/class' }), envoyProxy('shop/class', merging(autoscaling()))];
    const place = `shop/${hashedNameOf('eg')}`;
    const rest = [envoyHpa('eg', { at: place }), ...own, ...gateways, v191, deployment(place)];
    const verdict = judged(...rest, config);
    expect(inShort(verdict)).toBe('keep ParametersUnresolved');
    expect(verdict.explanation).toContain('by its own EnvoyProxy, which GatewayNamespace mode rejects');
    // The default says the same, and does not make it better.
    expect(inShort(judged(...rest, byDefault()))).toBe('keep ParametersUnresolved');
  });

  test('by the default gets one HPA with the namespace and name of one of its Gateways', () => {
    expect(inShort(judged(inShop, gatewayClass(), ...gateways, byDefault(), v191))).toBe(WANTED);
    expect(inShort(judged(inBank, gatewayClass(), ...gateways, byDefault(), v191))).toBe(WANTED);
    expect(inShort(judged(inShop, gatewayClass(), ...gateways, byDefault({}), v191))).toBe(REMOVED);
    const elsewhere = envoyHpa('eg', { at: `third/${NAME}` });
    expect(inShort(judged(elsewhere, gatewayClass(), ...gateways, byDefault(), v191))).toBe(WANTED);
    expect(inShort(judged(elsewhere, inShop, gatewayClass(), ...gateways, byDefault(), v191))).toBe('delete Renamed');
  });

  test('beside a Gateway it may be of that Envoy Gateway, whose default then decides', () => {
    const runs = deployment(`shop/${NAME}`);
    const rest = [gatewayClass(), ...gateways, v191, runs];
    expect(inShort(judged(inShop, ...rest, byDefault({})))).toBe(REMOVED);
    const inItsOwnNamespace = envoyGatewayConfig({ envoyProxy: merging() });
    expect(inShort(judged(inShop, ...rest, inItsOwnNamespace))).toBe('keep DefaultsUnreadable');
    const elsewhere = envoyHpa('eg', { at: `third/${NAME}` });
    expect(inShort(judged(elsewhere, ...rest, deployment(`third/${NAME}`), byDefault({})))).toBe(
      'keep DefaultsUnreadable',
    );
  });

  test('a list of controller namespaces that has the namespace of a Gateway does not make it of nobody', () => {
    const snapshot = snapshotOf([inShop, gatewayClass(), ...gateways, byDefault(), v191]);
    const listed = (...controllerNamespaces: string[]) =>
      inShort(judge({ ...snapshot, controllerNamespaces })[0] as ReturnType<typeof judged>);
    expect([listed(), listed('shop'), listed('shop', 'envoy-gateway-system')]).toEqual([WANTED, WANTED, WANTED]);
  });

  test('two of them: nothing says which is meant, but the Deployment', () => {
    const both = [inShop, inBank, gatewayClass(), ...gateways, byDefault(), v191];
    const [shop, bank] = ['shop', 'bank'].map((namespace) => deployment(`${namespace}/${NAME}`)) as [
      ClusterObject,
      ClusterObject,
    ];
    expect(verdicts(...both, shop, bank).map(inShort)).toEqual([WANTED, WANTED]);
    expect(verdicts(...both, bank).map(inShort)).toEqual(['delete Renamed', WANTED]);
    expect(verdicts(...both).map(inShort)).toEqual([WANTED, WANTED]);
    expect(judged(...both, shop, bank).explanation).toBe(
      `GatewayClass eg asks for this HPA or for bank/${NAME}: it has the namespace and name of one of its Gateways, and nothing says which, but Deployment shop/${NAME} still runs.`,
    );
  });

  test("its Gateways' own HPAs go once their Deployments are gone", () => {
    const place = `shop/${hashedNameOf('shop/web')}`;
    const own = envoyHpa('shop/web', { at: place });
    const rest = [gatewayClass(), ...gateways, byDefault(), v191];
    expect(inShort(judged(own, ...rest))).toBe('delete MergedIntoGatewayClass');
    expect(inShort(judged(own, ...rest, deployment(place)))).toBe('keep ScaleTargetStillRuns');
  });
});
