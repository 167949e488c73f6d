import { describe, expect, test } from 'vitest';
import { judge } from '../../../functions/judgement/judge.ts';
import {
  autoscaling,
  type ClusterObject,
  controller,
  deployment,
  envoyGatewayConfig,
  envoyHpa,
  gateway,
  gatewayClass,
  hashedNameOf,
  snapshotOf,
} from '../../builders/cluster.ts';
import {
  inShort,
  judged,
  judgedWith,
  merging,
  namespaceMode,
  ownProxy,
  REMOVED,
  RENAMED,
  shortVerdict,
  shortVerdicts,
  UNREADABLE,
  WANTED,
} from '../../builders/verdicts.ts';

/* In GatewayNamespace mode an HPA is beside its Gateway, and its name depends on the version of Envoy Gateway. */

const HASHED = `shop/${hashedNameOf('shop/web')}`;
const CONTROLLER = 'envoy-gateway-system/envoy-gateway';
const hashed = envoyHpa('shop/web', { at: HASHED });
const plain = envoyHpa('shop/web', { at: 'shop/web' });
const hashedRuns = deployment(HASHED);
const plainRuns = deployment('shop/web');
const asking = [...ownProxy(autoscaling()), namespaceMode];
const v142 = controller({ version: 'v1.4.2' });
const v191 = controller({ version: 'v1.9.1' });

describe('if both names exist, and both Deployments run,', () => {
  const both = [hashed, plain, ...asking, hashedRuns, plainRuns] as const;
  test.each<[string, ClusterObject[], string, string]>([
    ['v1.4.2 wants the hashed one', [v142], WANTED, RENAMED],
    ['v1.5.0 wants the plain one', [controller({ version: 'v1.5.0' })], RENAMED, WANTED],
    ['an unknown version may want either', [controller()], WANTED, WANTED],
  ])('%s', (_, installed, ofHashed, ofPlain) => {
    expect(shortVerdicts(...both, ...installed)).toEqual([ofHashed, ofPlain]);
  });

  test('an unknown version: the verdict says why neither is deleted', () => {
    const why = (which: string) =>
      'Gateway shop/web asks for this HPA or for shop/web: v1.4 and v1.5 use different names, and Deployment ' +
      `${CONTROLLER} ${which} which version runs, but Deployment ${HASHED} still runs.`;
    const unknown = judged(...both, controller());
    expect(unknown.explanation).toBe(why('does not say'));
    expect(unknown.remedy).toBe('If you know which of the two HPAs is meant, delete the other one.');
    expect(judged(...both).explanation).toBe(why('does not exist to say'));
  });

  test('a known version: the verdict rests on it, and asks whether the old Deployment still runs', () => {
    const verdict = judgedWith(new Map([[CONTROLLER, v191]]), ...both, v191);
    expect([inShort(verdict), verdict.needsDeployments]).toEqual([RENAMED, [HASHED]]);
    expect(verdict.restsOn.slice(-2)).toEqual([
      { kind: 'HorizontalPodAutoscaler', namespace: 'shop', name: 'web', uid: 'HorizontalPodAutoscaler:shop/web' },
      {
        ...{ kind: 'Deployment', namespace: 'envoy-gateway-system', name: 'envoy-gateway' },
        ...{ uid: `Deployment:${CONTROLLER}`, generation: 1 },
      },
    ]);
    expect(judged(...both, v191).needsDeployments).toEqual([]);
  });
});

describe('while the version is not known,', () => {
  const old = envoyHpa();
  test.each<[string, ClusterObject[], string]>([
    ["an HPA in the controller's namespace stays while it is alone", [old], WANTED],
    ["an HPA in the controller's namespace goes beside the plain one", [old, plain], RENAMED],
    ["an HPA in the controller's namespace goes beside the hashed one", [old, hashed], RENAMED],
    ['of two names, the hashed one whose Deployment is gone goes', [hashed, plain, plainRuns], RENAMED],
    ['of two names, the plain one whose Deployment is gone goes', [plain, hashed, hashedRuns], RENAMED],
    ['of two names, the one whose Deployment runs stays', [hashed, plain, hashedRuns], WANTED],
    ['of two names without Deployments, each stays', [hashed, plain], WANTED],
  ])('%s', (_, hpas, expected) => {
    expect(shortVerdict(...hpas, ...asking)).toBe(expected);
  });

  test('a verdict on one of two names rests on both Deployments and on the other HPA', () => {
    const running = { ...plainRuns, metadata: { ...plainRuns.metadata, generation: 7 } };
    expect(judged(hashed, plain, running, ...asking).restsOn.slice(-4)).toEqual([
      { kind: 'HorizontalPodAutoscaler', namespace: 'shop', name: 'web', uid: 'HorizontalPodAutoscaler:shop/web' },
      { kind: 'Deployment', namespace: 'envoy-gateway-system', name: 'envoy-gateway' },
      { kind: 'Deployment', namespace: 'shop', name: hashedNameOf('shop/web') },
      { kind: 'Deployment', namespace: 'shop', name: 'web', uid: 'Deployment:shop/web' },
    ]);
  });

  test.each<[ClusterObject[], string]>([
    [[plainRuns], `, and Deployment ${HASHED} is gone.`],
    [[hashedRuns], `, but Deployment ${HASHED} still runs.`],
    [[], ', but the Deployment of neither exists.'],
  ])('of two names it says which Deployment runs (%#)', (deployments, expected) => {
    const { explanation } = judged(hashed, plain, ...deployments, ...asking);
    expect(explanation.slice(explanation.indexOf('which version runs') + 'which version runs'.length)).toBe(expected);
  });
});

describe('a class that merges its Gateways', () => {
  // Measured on v1.9.1: the HPA has the namespace and name of one of its Gateways.
  const inShop = envoyHpa('eg', { at: 'shop/web' });
  const inBank = envoyHpa('eg', { at: 'bank/web' });
  const elsewhere = envoyHpa('eg', { at: 'third/web' });
  const gateways = [gateway('shop/web'), gateway('bank/web')];
  const ofClass = [gatewayClass(), ...gateways, v191];
  const byDefault = (spec = autoscaling()) =>
    envoyGatewayConfig({ gatewayNamespaceMode: true, envoyProxy: merging(spec) });

  const bankRuns = deployment('bank/web');
  const ownDefault = envoyGatewayConfig({ envoyProxy: merging() });
  test.each<[string, ClusterObject[], string]>([
    ['wants one HPA beside one of its Gateways', [inShop, byDefault()], WANTED],
    ['keeps an HPA elsewhere while it is alone', [elsewhere, byDefault()], WANTED],
    ['does not want one elsewhere', [elsewhere, inShop, byDefault()], RENAMED],
    ['decides by its default about an HPA beside a Gateway', [inShop, byDefault({}), plainRuns], REMOVED],
    ['does not do so outside of this mode', [inShop, ownDefault, plainRuns], UNREADABLE],
    ['does not do so elsewhere', [elsewhere, byDefault({}), deployment('third/web')], UNREADABLE],
    ['does not want the one whose Deployment is gone', [inShop, inBank, byDefault(), bankRuns], RENAMED],
  ])('by the default %s', (_, objects, expected) => {
    expect(shortVerdict(...objects, ...ofClass)).toBe(expected);
  });

  test('says that nothing shows which of two HPAs is meant', () => {
    expect(judged(inShop, inBank, byDefault(), ...ofClass, plainRuns, bankRuns).explanation).toBe(
      'GatewayClass eg asks for this HPA or for bank/web: it has the namespace and name of one of its Gateways, and ' +
        'nothing says which, but Deployment shop/web still runs.',
    );
  });

  test('keeps its HPA beside a Gateway in a listed namespace without a ConfigMap', () => {
    const snapshot = snapshotOf([inShop, ...ofClass, byDefault()]);
    expect(judge({ ...snapshot, controllerNamespaces: ['shop'] }).map(inShort)).toEqual([WANTED]);
  });
});
