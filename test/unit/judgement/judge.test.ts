import { describe, expect, test } from 'vitest';
import { judge, type Verdict } from '../../../functions/judgement/judge.ts';
import type { EnvoyProxySpec, Metadata } from '../../../functions/judgement/kubernetes-objects.ts';
import { snapshotOfList } from '../../../functions/kubernetes/cluster-list.ts';
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
  labelsOf,
  listOf,
  snapshotOf,
} from '../../builders/cluster.ts';
import {
  byDefault,
  classProxy,
  config,
  EG,
  egRuns,
  inShort,
  judged,
  judgedWith,
  merging,
  NO_AUTOSCALING,
  namespaceMode,
  ownProxy,
  REMOVED,
  RENAMED,
  STILL_RUNS,
  shortVerdict,
  shortVerdicts,
  UNREADABLE,
  WANTED,
  WEB,
  webRuns,
} from '../../builders/verdicts.ts';

// Each test has the HPA in question first.
const KEEP = { metadata: { annotations: { 'envoy-hpa-reaper/keep': 'true' } } };
const deleting = { metadata: { deletionTimestamp: '2026-01-02T00:00:00Z' } };
const FOREIGN = 'keep NotManagedByEnvoyGateway';

/** Deployment `envoy-gateway`, as a verdict names it if it does not exist, and if it does. */
const CONTROLLER_ABSENT = { kind: 'Deployment', namespace: 'envoy-gateway-system', name: 'envoy-gateway' };
const CONTROLLER_READ = { ...CONTROLLER_ABSENT, uid: 'Deployment:envoy-gateway-system/envoy-gateway', generation: 1 };
const read = (kind: string, place: string, resourceVersion = '1') => {
  const [namespace, name] = place.includes('/') ? place.split('/') : [undefined, place];
  return { kind, namespace, name, uid: `${kind}:${place}`, resourceVersion };
};
const successorRead = (place: string) => ({ ...read('HorizontalPodAutoscaler', place), resourceVersion: undefined });

/** An installation where nothing asks for autoscaling, so that only the row in question can keep an HPA. */
const owner = [gatewayClass(), gateway()];
const bare = [...owner, config, webRuns];
/** A class that merges its Gateways and asks for no autoscaling. */
const bareMerging = [...classProxy(merging()), gateway(), config, egRuns];

test('judges every HPA of the snapshot, in its order', () => {
  const gone = envoyHpa('shop/gone', { at: 'envoy-gateway-system/b' });
  const cluster = [...ownProxy(autoscaling()), gateway('shop/api'), config];
  const hpas = [envoyHpa(), envoyHpa('shop/api'), gone];
  expect(shortVerdicts(...hpas, ...cluster)).toEqual([WANTED, REMOVED, 'delete GatewayDeleted']);
  expect(shortVerdicts(...bare)).toEqual([]);
});

describe('keeps, whatever the configuration asks for,', () => {
  const labels = labelsOf('shop/web');
  const twice = { ...labels, ...labelsOf('eg') };
  const [apply] = envoyHpa().metadata.managedFields ?? [];
  const hpa = (metadata: Partial<Metadata>) => envoyHpa('shop/web', { metadata });
  const controllerReference = { apiVersion: 'keda.sh/v1', kind: 'ScaledObject', name: 'so', controller: true };
  const [TERMINATING, ANNOTATED] = ['keep Terminating', 'It is annotated envoy-hpa-reaper/keep: "true".'];
  const byOther = { managedFields: [{ ...apply, manager: 'x' }] };
  const deletedClass = [envoyHpa(), gatewayClass('eg', deleting), gateway(), config];
  const deletedGateway = [envoyHpa(), gatewayClass(), gateway('shop/web', deleting), config];
  const byKeda = { ownerReferences: [controllerReference] };
  const never = 'It has the label, but Envoy Gateway never applied it: somebody else created it.';
  test.each<[string, ClusterObject[], string, string]>([
    ['an HPA without labels', [hpa({ labels: {} }), ...bare], FOREIGN, 'It does not have the owning labels'],
    ['an HPA that somebody else applied', [hpa(byOther), ...bare], FOREIGN, never],
    ['an HPA of two owners', [hpa({ labels: twice }), ...bare], 'keep AmbiguousOwner', 'more than one of a Gateway'],
    ['two owners, never applied', [hpa({ labels: twice, managedFields: null }), ...bare], FOREIGN, 'no managedFields'],
    ['an annotated HPA', [hpa(KEEP.metadata), ...bare], 'keep Protected', ANNOTATED],
    ['an HPA that is being deleted', [hpa(deleting.metadata), ...bare], TERMINATING, 'It is already being deleted.'],
    ['an HPA with finalizers', [hpa({ finalizers: ['a/b', 'c'] }), ...bare], TERMINATING, 'It has finalizers: a/b, c.'],
    ['an HPA of a deleted class', deletedClass, TERMINATING, 'GatewayClass eg is being deleted.'],
    ['an HPA of a deleted Gateway', deletedGateway, TERMINATING, 'Its Gateway is being deleted.'],
    ['an HPA that KEDA controls', [hpa(byKeda), ...bare], 'keep Adopted', 'ScaledObject so controls it.'],
  ])('%s', (_, objects, expected, says) => {
    const verdict = judged(...objects);
    expect([inShort(verdict), verdict.restsOn]).toEqual([expected, []]);
    expect(verdict.explanation).toContain(says);
    expect(verdict.owner === undefined || verdict.owner.name === 'web').toBe(true);
  });

  test('but not an HPA with empty finalizers', () => {
    expect(shortVerdict(hpa({ finalizers: [] }), ...bare)).toBe(REMOVED);
  });

  const otherValue = { metadata: { annotations: { 'envoy-hpa-reaper/keep': 'True' } } };
  test.each<[string, Record<string, object>, string | undefined]>([
    ['its Gateway keeps it', { gateway: KEEP }, 'shop/web'],
    ['its class keeps it', { class: KEEP }, 'eg'],
    ["the Gateway's EnvoyProxy keeps it", { own: KEEP }, 'shop/own'],
    ["the class's EnvoyProxy keeps it", { classProxy: KEEP }, 'shop/class'],
    ['an EnvoyProxy that it does not use does not keep it', { other: KEEP }, undefined],
    ['another value does not keep it', { gateway: otherValue }, undefined],
    ['a ConfigMap keeps the HPA of the rate limit service alone', { config: KEEP }, undefined],
  ])('the annotation on %s', (_, over, by) => {
    const verdict = judged(
      envoyHpa(),
      gatewayClass('eg', { proxy: 'shop/class', ...over.class }),
      gateway('shop/web', { proxy: 'own', ...over.gateway }),
      envoyProxy('shop/own', NO_AUTOSCALING, over.own),
      envoyProxy('shop/class', NO_AUTOSCALING, over.classProxy),
      envoyProxy('shop/other', NO_AUTOSCALING, over.other),
      ...[envoyGatewayConfig(over.config), webRuns],
    );
    expect(inShort(verdict)).toBe(by ? 'keep Protected' : REMOVED);
    if (by) expect(verdict.explanation).toBe(`${by} is annotated envoy-hpa-reaper/keep: "true".`);
  });

  test('the HPA of a merging class if any of its Gateways is annotated, or all are being deleted', () => {
    const hpaOf = envoyHpa('eg');
    const rest = [...classProxy(merging()), config, egRuns];
    const deletedWeb = gateway('shop/web', deleting);
    expect(shortVerdict(hpaOf, ...bareMerging, gateway('shop/api', KEEP))).toBe('keep Protected');
    expect(shortVerdict(hpaOf, ...rest, deletedWeb, gateway('shop/api', deleting))).toBe('keep Terminating');
    expect(shortVerdict(hpaOf, ...rest, deletedWeb, gateway('shop/api'))).toBe(REMOVED);
  });
});

describe('an HPA whose name another owner expects', () => {
  const named = autoscaling({ name: 'shared', maxReplicas: 5 });
  const elsewhere = autoscaling({ name: 'shared', patch: { value: { metadata: { namespace: 'x' } } } });
  const shared = envoyHpa('shop/web', { at: 'envoy-gateway-system/shared' });
  const other = (spec: EnvoyProxySpec) => [gateway('shop/api', { proxy: 'api' }), envoyProxy('shop/api', spec)];
  const ofClass = (spec: EnvoyProxySpec) => [gatewayClass('m', { proxy: 'shop/m' }), envoyProxy('shop/m', spec)];
  const api = gateway('shop/api', { className: 'm' });
  const merged = [gateway('shop/api', { className: 'm', proxy: 'api' }), envoyProxy('shop/api', named)];
  const ofC = envoyGatewayConfig({ controllerName: 'c', envoyProxy: named });
  const defaultAsks = [gatewayClass('m', { controllerName: 'c' }), api, ofC];

  test.each<[string, ClusterObject[], string | undefined]>([
    ['is kept if another Gateway asks for it', other(named), 'Gateway shop/api'],
    ['is kept if a merging class asks for it', [...ofClass(merging(named)), api], 'GatewayClass m'],
    ['is kept if a default asks for it', defaultAsks, 'Gateway shop/api'],
    ['goes if the other owner asks for no autoscaling', other(NO_AUTOSCALING), undefined],
    ['goes if the other owner asks for another namespace', other(elsewhere), undefined],
    ['goes if the other owner is merged', [...ofClass(merging()), ...merged], undefined],
    ['goes if the other owner is a class that merges no Gateway', ofClass(merging(named)), undefined],
  ])('%s', (_, objects, who) => {
    const verdict = judged(shared, ...bare, ...objects);
    expect(inShort(verdict)).toBe(who ? WANTED : REMOVED);
    if (who) expect(verdict.explanation).toBe(`${who} asks for an HPA of this name.`);
  });

  test('is kept although the configuration of Envoy Gateway cannot be read', () => {
    const unreadable = envoyGatewayConfig({ text: '{' });
    expect(shortVerdict(shared, ...owner, ...other(named), unreadable)).toBe(WANTED);
    expect(shortVerdict(shared, ...owner, ...other(autoscaling()), unreadable)).toBe('delete GatewayNotManaged');
  });

  test('is kept in GatewayNamespace mode, which rejects a merging class, so that its Gateways want their own', () => {
    const plain = envoyHpa('old/gone', { at: 'shop/api' });
    const objects = [...ofClass(merging(autoscaling())), api];
    expect(shortVerdict(plain, ...objects, namespaceMode)).toBe(WANTED);
    expect(shortVerdict(plain, ...objects, config)).toBe('delete GatewayDeleted');
    // v1.4 uses the hashed name, and the version is not known.
    const hashed = envoyHpa('old/gone', { at: `shop/${hashedNameOf('shop/api')}` });
    expect(shortVerdict(hashed, ...objects, namespaceMode)).toBe(WANTED);
  });
});

describe('deletes only once the Deployment is gone,', () => {
  const asks = envoyProxy('shop/own', autoscaling());
  const points = (reference: NonNullable<Parameters<typeof gateway>[1]>['proxy']) => [
    ...[gatewayClass(), gateway('shop/web', { proxy: reference }), asks, envoyProxy('other/none', {}), config],
  ];
  const classPoints = (reference: NonNullable<Parameters<typeof gatewayClass>[1]>['proxy']) => [
    ...[gatewayClass('eg', { proxy: reference }), gateway(), asks, config],
  ];
  const withParameters = gateway('shop/web', { proxy: 'own' });
  const rejectedApi = gateway('shop/api', { accepted: false });
  const everyRejected = [...classProxy(merging()), withParameters, rejectedApi, asks, config];
  const NOT_MANAGED = 'No ConfigMap of an Envoy Gateway names controller';
  const NOWHERE = 'The parametersRef of Gateway shop/web does not resolve to an EnvoyProxy';
  const CLASS_NOWHERE = 'The parametersRef of GatewayClass eg does not resolve to an EnvoyProxy';
  const REFUSED = 'GatewayClass eg merges its Gateways by its own EnvoyProxy, which GatewayNamespace mode rejects';
  const PARAMETERS = 'Gateway shop/web has a parametersRef although its class merges Gateways';
  const MERGES = 'GatewayClass eg merges its Gateways';
  const NOT_MERGED = 'GatewayClass eg no longer merges its Gateways';
  const NO_GATEWAY = 'Gateway shop/web does not exist';
  const rejectedClass = gatewayClass('eg', { accepted: false });
  const rejectedWeb = gateway('shop/web', { accepted: false });
  const otherHost = [...classProxy({ provider: { type: 'Host' } }), gateway(), config];
  const noGateway = [...classProxy(merging(autoscaling())), gateway('shop/web', { className: 'other' }), config];
  const mergesNot = [...classProxy({ mergeGateways: false }), gateway(), byDefault(merging())];
  const otherKind = { kind: 'ConfigMap', name: 'own', namespace: 'shop' };
  const otherVendor = gatewayClass('eg', { controllerName: 'istio.io/c' });

  type Case = [title: string, objects: ClusterObject[], explanation: string, owner?: string];
  const cases: Record<string, [ifRunning: string, ...Case[]]> = {
    GatewayDeleted: [STILL_RUNS, ['its Gateway does not exist', [gatewayClass(), config], NO_GATEWAY]],
    GatewayClassDeleted: [
      STILL_RUNS,
      ['its class does not exist', [gateway(), config], 'GatewayClass eg does not exist'],
    ],
    GatewayNotManaged: [
      UNREADABLE,
      ['there is no ConfigMap', owner, `${NOT_MANAGED} gateway.envoyproxy.io/gatewayclass-controller`],
      ['its class belongs to another vendor', [otherVendor, gateway(), config], `${NOT_MANAGED} istio.io/c`],
      ['the ConfigMap is not readable', [...owner, envoyGatewayConfig({ text: '{' })], 'is not valid YAML'],
    ],
    ScaleTargetGone: [
      'keep ParametersUnresolved',
      ['its class is rejected', [rejectedClass, gateway(), config], 'GatewayClass eg is not accepted'],
      ['its Gateway is rejected', [gatewayClass(), rejectedWeb, config], 'Gateway shop/web is not accepted'],
      ['its class points to another kind', classPoints(otherKind), CLASS_NOWHERE],
      ['its class names no namespace', classPoints('own'), CLASS_NOWHERE],
      ['its Gateway points nowhere, or to another namespace', points('none'), NOWHERE],
      ['GatewayNamespace mode rejects the class', [...classProxy(merging()), gateway(), namespaceMode], REFUSED, 'eg'],
      ['its class allows no parametersRef', [...classProxy(merging()), withParameters, asks, config], PARAMETERS],
      [
        'every Gateway of the class is rejected',
        everyRejected,
        `Every Gateway of GatewayClass eg is rejected (${PARAMETERS})`,
        'eg',
      ],
      ['the provider is another one', otherHost, 'The effective EnvoyProxy has provider Host'],
    ],
    MergedIntoGatewayClass: [
      STILL_RUNS,
      ['its class merges', [...classProxy(merging(autoscaling())), gateway(), config], MERGES],
      ['the default merges', [...classProxy(autoscaling()), gateway(), byDefault(merging())], MERGES],
    ],
    NoLongerMerged: [
      STILL_RUNS,
      ['the class no longer merges', [...classProxy(autoscaling()), gateway(), config], NOT_MERGED, 'eg'],
      ['the class does not merge, against the default', mergesNot, NOT_MERGED, 'eg'],
    ],
    NoGateways: [STILL_RUNS, ['the merging class has no Gateway', noGateway, 'GatewayClass eg has no Gateway', 'eg']],
  };
  const rows = Object.entries(cases).flatMap(([reason, [ifRunning, ...ofReason]]) =>
    ofReason.map(([title, objects, says, of]) => [title, of ?? 'shop/web', reason, ifRunning, objects, says] as const),
  );

  test.each(rows)('if %s', (_, of, reason, ifRunning, objects, says) => {
    const hpa = envoyHpa(of);
    const place = of === 'eg' ? EG : WEB;
    const gone = judged(hpa, ...objects);
    expect(inShort(gone)).toBe(`delete ${reason}`);
    expect(gone.explanation).toContain(says);
    expect(gone.explanation).toContain(`, and Deployment ${place} is gone.`);
    expect(gone.restsOn.at(-1)).toEqual({ ...CONTROLLER_ABSENT, name: hpa.metadata.name });
    expect(gone).toMatchObject({ needsDeployments: [], restsOnDefaultAlone: false });
    expect(gone.appliedReplicas).toBeUndefined();

    const running = judged(hpa, ...objects, deployment(place));
    expect(inShort(running)).toBe(ifRunning);
    expect(running.explanation).toContain(says);
    expect(running.explanation).toContain(`, but Deployment ${place} still runs.`);
    expect(running.needsDeployments).toEqual([]);

    const unread = judgedWith(new Map(), hpa, ...objects);
    expect([inShort(unread), unread.needsDeployments]).toEqual([ifRunning, [place]]);
  });

  test.each([
    { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'x' },
    { apiVersion: 'apps/v2', kind: 'Deployment', name: 'x' },
    { kind: 'Deployment', name: 'x' },
  ])('and never if it scales something else: %j', (target) => {
    const verdict = judged(envoyHpa('shop/web', { target }), gatewayClass(), config);
    expect([inShort(verdict), verdict.needsDeployments]).toEqual([STILL_RUNS, []]);
    expect(verdict.explanation).toContain(
      `, but it scales ${target.apiVersion ?? ''} ${target.kind} x.`.replace('  ', ' '),
    );
  });
});

describe('does not take for rejected', () => {
  test('a parametersRef of a class that means namespace `default`', () => {
    const proxy = envoyProxy('default/own', NO_AUTOSCALING);
    expect(shortVerdict(envoyHpa(), gatewayClass('eg', { proxy: 'own' }), proxy, gateway(), config, webRuns)).toBe(
      REMOVED,
    );
  });

  test('a merging class of which one Gateway is accepted, or whose Gateways have a parametersRef that is ignored', () => {
    expect(shortVerdict(envoyHpa('eg'), ...bareMerging, gateway('shop/api', { accepted: false }))).toBe(REMOVED);
    const cluster = [gatewayClass(), gateway('shop/web', { proxy: 'none' }), byDefault(merging()), egRuns];
    expect(shortVerdict(envoyHpa('eg'), ...cluster)).toBe(REMOVED);
  });
});

describe('the effective envoyHpa decides:', () => {
  const ask = autoscaling();
  const no = NO_AUTOSCALING;
  const merge = { ...no, mergeType: 'StrategicMerge' as const };
  type Levels = { own?: EnvoyProxySpec; ofClass?: EnvoyProxySpec; fallback?: EnvoyProxySpec };
  const cluster = (levels: Levels): ClusterObject[] => [
    gatewayClass('eg', { proxy: levels.ofClass && 'shop/class' }),
    gateway('shop/web', { proxy: levels.own && 'own' }),
    ...(levels.own ? [envoyProxy('shop/own', levels.own)] : []),
    ...(levels.ofClass ? [envoyProxy('shop/class', levels.ofClass)] : []),
    envoyGatewayConfig({ envoyProxy: levels.fallback }),
    ...[webRuns, egRuns],
  ];
  const OWN = 'EnvoyProxy shop/own';
  const CLASS = 'EnvoyProxy shop/class';
  const DEFAULT = 'the default in ConfigMap envoy-gateway-system/envoy-gateway-config';
  const hpaNull: EnvoyProxySpec = { provider: { kubernetes: { envoyHpa: null } } };

  test.each<[string, Levels, string, string]>([
    ['nothing is configured', {}, REMOVED, DEFAULT],
    ['the default asks', { fallback: ask }, WANTED, DEFAULT],
    ['the Gateway replaces its class', { own: no, ofClass: ask, fallback: ask }, REMOVED, OWN],
    ['the Gateway merges over its class', { own: merge, ofClass: ask }, WANTED, `${OWN} over ${CLASS}`],
    ['merging finds none', { own: merge, ofClass: no, fallback: no }, REMOVED, `${OWN} over ${CLASS} over ${DEFAULT}`],
    ['envoyHpa null asks for nothing', { own: hpaNull }, REMOVED, OWN],
  ])('%s', (_, levels, expected, source) => {
    const verdict = judged(envoyHpa(), ...cluster(levels));
    expect(inShort(verdict)).toBe(expected);
    const asked = expected === WANTED ? 'autoscaling in' : 'no autoscaling: no envoyHpa in';
    expect(verdict.explanation).toBe(`Gateway shop/web asks for ${asked} ${source}.`);
    expect(verdict.restsOnDefaultAlone).toBe(source === DEFAULT);
  });

  test.each<[string, Levels, string]>([
    ['it merges by the default, and inherits from it', { ofClass: merge, fallback: merging(ask) }, WANTED],
    ['the EnvoyProxies of its Gateways do not count', { own: ask, fallback: merging(no) }, REMOVED],
  ])('that of a merging class: %s', (_, levels, expected) => {
    expect(shortVerdict(envoyHpa('eg'), ...cluster(levels))).toBe(expected);
  });
});

describe('another name or namespace', () => {
  const hpaAt = (at: string, of = 'shop/web', metadata = {}) => envoyHpa(of, { at, metadata });
  const NEW = 'envoy-gateway-system/new';
  const v191 = controller({ version: 'v1.9.1' });
  const asking = (hpa: Parameters<typeof autoscaling>[0]) => [...ownProxy(autoscaling(hpa)), config, webRuns];
  const patched = (metadata: object) => ({ patch: { type: 'StrategicMerge', value: { metadata } } });

  test.each<[string, Parameters<typeof autoscaling>[0], string]>([
    ['envoyHpa.name', { name: 'new' }, NEW],
    ["a patch's namespace", patched({ namespace: 'elsewhere' }), `elsewhere/${hashedNameOf('shop/web')}`],
  ])('by %s: the old HPA goes once the new one exists', (_, hpa, place) => {
    const old = envoyHpa();
    const verdict = judged(old, hpaAt(place), ...asking(hpa), v191);
    expect(shortVerdict(old, ...asking(hpa), v191)).toBe(WANTED);
    expect(inShort(verdict)).toBe(RENAMED);
    expect(verdict.explanation).toBe(`Gateway shop/web asks for HPA ${place} instead, which exists.`);
    expect(verdict.restsOn.slice(-2)).toEqual([successorRead(place), CONTROLLER_READ]);
    expect(shortVerdict(hpaAt(place), old, ...asking(hpa), v191)).toBe(WANTED);
  });

  const half = { 'gateway.envoyproxy.io/owning-gateway-name': 'web' };
  const twoOwners = { ...labelsOf('shop/web'), ...labelsOf('eg') };
  test.each<[string, ClusterObject]>([
    ['was not applied by Envoy Gateway', hpaAt(NEW, 'shop/web', { managedFields: [] })],
    ['belongs to another Gateway', hpaAt(NEW, 'shop/api')],
    ['has the labels of two owners', hpaAt(NEW, 'shop/web', { labels: twoOwners })],
    ['has the labels of no whole owner', hpaAt(NEW, 'shop/web', { labels: half })],
    ['is being deleted', hpaAt(NEW, 'shop/web', deleting.metadata)],
    ['is in another namespace', hpaAt('shop/new')],
  ])('keeps the old HPA while the new one %s', (_, successor) => {
    expect(shortVerdict(envoyHpa(), successor, ...asking({ name: 'new' }), v191)).toBe(WANTED);
  });
});

const second = (options: Parameters<typeof envoyGatewayConfig>[0] = {}) =>
  envoyGatewayConfig({ namespace: 'second', ...options });
const IN_SECOND = `second/${hashedNameOf('shop/web')}`;

describe('of several ConfigMaps for one controllerName', () => {
  test.each<[string, ClusterObject, string, string]>([
    ['the second asks', second({ envoyProxy: autoscaling() }), WANTED, WANTED],
    ['the second cannot be read', second({ text: 'a: [' }), UNREADABLE, 'delete'],
    ['the second merges', second({ envoyProxy: merging() }), STILL_RUNS, 'delete'],
  ])('every one must agree: %s', (_, other, expected, ifGone) => {
    expect(shortVerdict(envoyHpa(), ...bare, other)).toBe(expected);
    expect(shortVerdict(envoyHpa(), ...owner, config, other)).toContain(ifGone);
  });

  test.each<[string, ClusterObject[], string]>([
    ['without an EnvoyProxy', owner, UNREADABLE],
    ['with an EnvoyProxy that replaces the default', ownProxy(NO_AUTOSCALING), REMOVED],
    ['with an EnvoyProxy that merges into it', ownProxy({ mergeType: 'StrategicMerge' }), UNREADABLE],
  ])('one is missing in the namespace of the HPA, so its default is not known: %s', (_, objects, expected) => {
    const deployed = [webRuns, deployment('shop/web')];
    const another = envoyGatewayConfig({ controllerName: 'other' });
    expect(shortVerdict(envoyHpa(), ...objects, ...deployed, second())).toBe(expected);
    expect(shortVerdict(envoyHpa(), ...objects, ...deployed, second(), config)).toBe(REMOVED);
    expect(shortVerdict(envoyHpa(), ...objects, ...deployed, second(), another)).toBe(expected);
    expect(shortVerdict(envoyHpa(), ...objects, second())).toBe(REMOVED);
    // In GatewayNamespace mode the namespace does not show which installation created it.
    expect(shortVerdict(envoyHpa('shop/web', { at: 'shop/web' }), ...objects, ...deployed, second())).toBe(REMOVED);
  });

  test('the verdict says which default is not known', () => {
    expect(judged(envoyHpa(), ...owner, webRuns, second()).explanation).toBe(
      'Gateway shop/web asks for no autoscaling: no envoyHpa in the default in ConfigMap second/envoy-gateway-config, ' +
        `and the default of an Envoy Gateway in envoy-gateway-system is not known, but Deployment ${WEB} still runs.`,
    );
  });

  test('keeps the HPA of a shard although the other shard expects it elsewhere', () => {
    const ask = [...classProxy(autoscaling()), gateway(), config, second()];
    const both = [envoyHpa(), envoyHpa('shop/web', { at: IN_SECOND }), ...ask];
    expect(shortVerdicts(...both)).toEqual([WANTED, WANTED]);
    const leftover = envoyHpa('shop/web', { at: `third/${hashedNameOf('shop/web')}` });
    expect(shortVerdict(leftover, ...both)).toBe(RENAMED);
    expect(shortVerdict(leftover, envoyHpa(), ...ask)).toBe(WANTED);
  });
});

describe('a ConfigMap of a tenant who may create ConfigMaps', () => {
  const tenant = (options: Parameters<typeof envoyGatewayConfig>[0] = {}) =>
    envoyGatewayConfig({ namespace: 'tenant', ...options });
  const listed = ['envoy-gateway-system'];
  /** The verdict on the first HPA without a list of controller namespaces, and with it. */
  const both = (objects: ClusterObject[], controllerNamespaces = listed) => {
    const snapshot = snapshotOf(objects);
    return [snapshot, { ...snapshot, controllerNamespaces }].map((one) => inShort(judge(one)[0] as Verdict));
  };

  test.each<[string, Parameters<typeof tenant>[0]]>([
    ['is not readable', { text: 'a: [' }],
    ['asks', { envoyProxy: autoscaling() }],
    ['merges', { envoyProxy: merging() }],
  ])('that %s keeps what is stale, unless the controller namespaces are listed', (_, options) => {
    const [without, withList] = both([envoyHpa(), ...owner, config, webRuns, tenant(options)]);
    expect(without).toMatch(/^keep /);
    expect(withList).toBe(REMOVED);
  });

  test('cannot get an HPA deleted that a configuration outside ConfigMaps wants, if controller namespaces are listed', () => {
    const beside = envoyHpa('shop/web', { at: 'shop/web' });
    expect(both([beside, ...owner, deployment('shop/web'), tenant()])).toEqual([REMOVED, UNREADABLE]);
    expect(shortVerdict(envoyHpa(), ...owner, webRuns, tenant())).toBe(UNREADABLE);
    // A tenant who may also create HPAs can pretend that theirs is the newer one.
    const forged = envoyHpa('shop/web', { at: `tenant/${hashedNameOf('shop/web')}` });
    const renaming = tenant({ envoyProxy: autoscaling() });
    expect(both([envoyHpa(), forged, ...owner, webRuns, renaming])).toEqual([RENAMED, UNREADABLE]);
  });

  test('does not count with a list of controller namespaces, which the explanation names if none has a ConfigMap', () => {
    const snapshot = snapshotOf([envoyHpa(), ...owner, config, webRuns, tenant({ text: 'a: [' })]);
    const [verdict] = judge({ ...snapshot, controllerNamespaces: listed });
    const configMaps = verdict?.restsOn.filter(({ kind }) => kind === 'ConfigMap');
    expect(configMaps?.map(({ namespace }) => namespace)).toEqual(listed);
    const [none] = judge({ ...snapshot, controllerNamespaces: ['a', 'b'] });
    expect(none?.explanation).toMatch(/^No ConfigMap of an Envoy Gateway in a, b names controller /);
  });

  test('keeps the HPA beside its deleted Gateway if an unlisted Envoy Gateway wants one of that name', () => {
    const [asked, inMode] = [autoscaling({ name: 'shared' }), tenant({ gatewayNamespaceMode: true })];
    const api = [gatewayClass(), gateway('shop/api', { proxy: 'api' }), envoyProxy('shop/api', asked)];
    expect(both([envoyHpa('shop/web', { at: 'shop/shared' }), ...api, inMode], ['shop'])).toEqual([WANTED, WANTED]);
  });

  test('does not matter to an HPA without owner in a listed namespace', () => {
    const foreign = envoyHpa('shop/web', { metadata: { managedFields: [], labels: {} } });
    expect(both([foreign, ...owner, config, webRuns, tenant()])).toEqual([FOREIGN, FOREIGN]);
  });

  test('does not keep the HPAs of an Envoy Gateway that is not in the list once an EnvoyProxy asks for none', () => {
    const left = [envoyHpa('shop/web', { at: IN_SECOND }), config, second({ envoyProxy: {} })];
    const proxy = [...classProxy(NO_AUTOSCALING), gateway()];
    expect(both([...left, ...proxy, deployment(IN_SECOND)])).toEqual([REMOVED, REMOVED]);
    expect(both([...left, ...owner, deployment(IN_SECOND)])).toEqual([REMOVED, UNREADABLE]);
    expect(both([...left, ...owner])).toEqual([REMOVED, REMOVED]);
  });
});

test('a verdict names everything that was read, and in which version', () => {
  const verdict = judged(
    envoyHpa(),
    gatewayClass('eg', { proxy: 'shop/class', metadata: { resourceVersion: '7' } }),
    gateway('shop/web', { proxy: 'own', metadata: { resourceVersion: '8' } }),
    envoyProxy('shop/own', NO_AUTOSCALING, { metadata: { resourceVersion: '9' } }),
    envoyProxy('shop/class', autoscaling()),
    envoyProxy('shop/other', autoscaling()),
    ...[config, webRuns],
  );
  expect(verdict.owner).toEqual({ kind: 'Gateway', namespace: 'shop', name: 'web' });
  expect(verdict.restsOn).toEqual([
    read('Gateway', 'shop/web', '8'),
    read('GatewayClass', 'eg', '7'),
    read('EnvoyProxy', 'shop/own', '9'),
    read('EnvoyProxy', 'shop/class'),
    read('ConfigMap', 'envoy-gateway-system/envoy-gateway-config'),
    CONTROLLER_ABSENT,
  ]);
});

test('a verdict names what does not exist without uid and version', () => {
  const absent = { ...CONTROLLER_ABSENT, name: hashedNameOf('shop/web') };
  const nowhere = judged(envoyHpa(), gatewayClass('eg', { proxy: 'shop/none' }), gateway(), config);
  expect(nowhere.restsOn).toContainEqual({ kind: 'EnvoyProxy', namespace: 'shop', name: 'none' });
  expect(judged(envoyHpa()).restsOn).toEqual([{ kind: 'Gateway', namespace: 'shop', name: 'web' }, absent]);
  expect(judged(envoyHpa(), gateway()).restsOn).toContainEqual({ kind: 'GatewayClass', name: 'eg' });
});

test('the builder returns what is read of a saved List of the same cluster', () => {
  const objects = [envoyHpa(), envoyHpa('eg'), ...bareMerging, gateway('shop/api', { proxy: 'own' }), webRuns];
  expect(snapshotOf(objects)).toMatchObject(snapshotOfList(JSON.parse(JSON.stringify(listOf(objects)))));
});
