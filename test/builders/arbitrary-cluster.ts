import fc from 'fast-check';
import type { Snapshot } from '../../functions/judgement/cluster-index.ts';
import { readEnvoyGatewayConfig } from '../../functions/judgement/envoy-gateway-config.ts';
import type {
  Condition,
  Deployment,
  EnvoyProxySpec,
  Metadata,
  Scaler,
} from '../../functions/judgement/kubernetes-objects.ts';
import {
  appliedFields,
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
  labelsOf,
  rateLimitHpa,
} from './cluster.ts';

/**
 * Small clusters with few names, so that collisions and dangling references are frequent: at most two Envoy Gateways, two
 * classes, three Gateways, three EnvoyProxies and three HPAs. A generated plan prints short when a property fails;
 * {@link snapshotOfPlan} returns its cluster at {@link NOW}.
 */
export const NOW = new Date('2026-01-02T00:00:00Z');
/** Less than ten minutes ago; by default objects are a day old. */
const YOUNG = '2026-01-01T23:55:00Z';

const CONTROLLERS = ['one', 'two', 'vendor'] as const;
const CLASSES = ['c', 'd'] as const;
const GATEWAYS = ['a/w', 'a/x', 'b/w'] as const;
const PROXIES = ['a/p', 'b/p', 'default/p'] as const;

/** Picks one value, each with this weight. */
const weighted = <T>(...choices: [times: number, ...values: T[]][]): fc.Arbitrary<T> =>
  fc.constantFrom(...choices.flatMap(([times, ...values]) => values.flatMap((value) => Array<T>(times).fill(value))));

const HPA_SETTINGS = [
  {},
  { maxReplicas: 5 },
  { name: 'n' },
  { name: hashedNameOf('a/w') },
  { patch: { value: { metadata: { name: 'n' } } } },
  { patch: { value: { metadata: { namespace: 'sys' } } } },
  { patch: { value: { metadata: null } } },
];
const PROVIDERS: NonNullable<EnvoyProxySpec['provider']>[] = [
  { type: 'Kubernetes', kubernetes: {} },
  { type: 'Kubernetes', kubernetes: { envoyDeployment: { replicas: 3 } } },
  ...HPA_SETTINGS.map((envoyHpa) => ({ type: 'Kubernetes', kubernetes: { envoyHpa } })),
];
const DAEMON_SETS: typeof PROVIDERS = [
  { kubernetes: { envoyDaemonSet: {} } },
  { kubernetes: { envoyDaemonSet: {}, envoyHpa: {} } },
  { kubernetes: { envoyDaemonSet: {}, envoyDeployment: {}, envoyHpa: {} } },
];
const specArbitrary: fc.Arbitrary<EnvoyProxySpec> = fc.record(
  {
    mergeType: weighted<EnvoyProxySpec['mergeType']>([1, 'Replace', 'StrategicMerge', 'JSONMerge']),
    mergeGateways: weighted([3, undefined], [2, true], [1, false]),
    provider: weighted([1, { type: 'Host' }, ...DAEMON_SETS, ...PROVIDERS.slice(4)], [4, ...PROVIDERS.slice(0, 4)]),
  },
  { requiredKeys: [] },
) as fc.Arbitrary<EnvoyProxySpec>;

type Fate = 'stays' | 'deleting' | 'protected' | 'young' | 'written';
const fate = weighted<Fate>([40, 'stays'], [1, 'deleting', 'protected', 'young', 'written']);

/** The generation of every Gateway and class. */
const GENERATION = 2;
const REFUSALS = ['InvalidParameters', 'ListenersNotValid', 'UnsupportedAddress', undefined] as const;
type Word = 'accepted' | 'none' | 'pending' | (typeof REFUSALS)[number];
/** The status that Envoy Gateway has written, and of which generation. */
const said = fc.record({
  word: weighted<Word>([40, 'accepted'], [1, 'none', 'pending', ...REFUSALS], [3, 'InvalidParameters']),
  observed: weighted<number | undefined>([40, GENERATION], [1, GENERATION - 1, undefined]),
  /** `Programmed` of a Gateway; `pending` is what its CRD gives. */
  programmed: weighted<number | 'pending' | undefined>([24, GENERATION], [1, GENERATION - 1, 'pending', undefined]),
  listeners: weighted<number | undefined>([12, GENERATION, undefined], [1, GENERATION - 1]),
});
type Said = typeof said extends fc.Arbitrary<infer Plan> ? Plan : never;
const OTHER_KIND = { kind: 'ConfigMap', name: 'p', namespace: 'a' };

const classPlan = fc.record({
  controllerName: weighted<(typeof CONTROLLERS)[number]>([12, 'one'], [1, 'two', 'vendor']),
  proxy: weighted<string | typeof OTHER_KIND | undefined>([10, undefined, 'a/p'], [5, 'p'], [1, 'a/none', OTHER_KIND]),
  said,
  fate,
});
const gatewayPlan = fc.record({
  className: weighted([12, 'c'], [3, 'd'], [1, 'none']),
  proxy: weighted<string | typeof OTHER_KIND | undefined>([10, undefined, 'p'], [1, 'none', OTHER_KIND]),
  said,
  fate,
});
const proxyPlan = fc.record({ spec: fc.option(specArbitrary, { nil: undefined, freq: 8 }), fate });

const configPlan = fc.record({
  controllerName: weighted<(typeof CONTROLLERS)[number]>([8, 'one'], [1, 'two']),
  gatewayNamespaceMode: weighted([3, false], [2, true]),
  envoyProxy: weighted<EnvoyProxySpec | undefined>(
    [8, undefined],
    [
      1,
      {},
      { mergeGateways: true },
      { mergeGateways: true, provider: PROVIDERS[3] },
      { mergeType: 'StrategicMerge', provider: PROVIDERS[3] },
      { provider: PROVIDERS[4] },
    ],
  ),
  rateLimit: weighted<{ rateLimitHpa?: object } | undefined>(
    [6, undefined],
    [2, { rateLimitHpa: {} }],
    [1, {}, { rateLimitHpa: { name: 'n' } }],
  ),
  unreadable: weighted([16, false], [1, true]),
  fate: weighted<Fate>([24, 'stays'], [1, 'young', 'written']),
});

/** Envoy Gateway's own Deployment. */
const controllerPlan = weighted<{ version?: string; configMap?: string } | 'absent' | 'not read'>(
  [8, { version: 'v1.9.1' }],
  [4, { version: 'v1.3.0' }, { version: 'v1.4.2' }, {}, 'absent'],
  [1, { version: 'v1.9.1', configMap: 'custom' }, 'not read'],
);

/** What can be wrong with the metadata of an HPA that Envoy Gateway created. */
const HPA_FAULTS = {
  'no label': () => ({ labels: {} }),
  'half a label': () => ({ labels: { 'gateway.envoyproxy.io/owning-gateway-name': 'w' } }),
  'two labels': () => ({ labels: { ...labelsOf('a/w'), ...labelsOf('c') } }),
  'never applied': () => ({ managedFields: [] }),
  'applied by another': (labels) => ({ managedFields: [{ ...appliedFields(labels), manager: 'kubectl' }] }),
  'only its status applied': (labels) => ({ managedFields: [{ ...appliedFields(labels), subresource: 'status' }] }),
  protected: () => metadataOfFate.protected,
  deleting: () => metadataOfFate.deleting,
  finalizer: () => ({ finalizers: ['x/y'] }),
  controlled: () => ({
    ownerReferences: [{ apiVersion: 'keda.sh/v1', kind: 'ScaledObject', name: 'so', controller: true }],
  }),
  retargeted: (labels) => ({
    managedFields: [appliedFields(labels), { manager: 'kubectl', fieldsV1: { 'f:spec': { 'f:scaleTargetRef': {} } } }],
  }),
  'tracked by Argo CD': () => ({ annotations: { 'argocd.argoproj.io/tracking-id': 'x' } }),
  'labeled by kapp': (labels) => ({ labels: { ...labels, 'kapp.k14s.io/app': '1' } }),
} satisfies Record<string, (labels: Record<string, string>) => Partial<Metadata>>;
type Fault = keyof typeof HPA_FAULTS;
const RATE_LIMIT = 'rate limit';
const hpaOf = (
  owner: fc.Arbitrary<(typeof GATEWAYS)[number] | (typeof CLASSES)[number] | typeof RATE_LIMIT>,
  at: fc.Arbitrary<string>,
) =>
  fc.record({
    owner,
    at,
    fault: weighted<Fault | undefined>([60, undefined], [1, ...(Object.keys(HPA_FAULTS) as Fault[])]),
    target: weighted([16, 'apps/v1 Deployment'], [1, 'apps/v1 StatefulSet', 'v2 Deployment']),
    deployment: weighted<'runs' | 'gone' | 'not asked'>([8, 'runs', 'gone'], [1, 'not asked']),
  });
const hpaPlan = hpaOf(
  weighted([6, 'a/w'], [3, 'c'], [2, 'a/x', 'b/w', 'd']),
  weighted(
    [8, 'hashed in sys'],
    [4, 'hashed in its namespace', 'plain in its namespace', 'sys/n'],
    [1, 'hashed in sys2', 'a/n', 'other/z'],
  ),
);
/** The HPAs after an upgrade from v1.4 to v1.5 in GatewayNamespace mode. */
const bothNames = fc.tuple(
  hpaOf(fc.constant('a/w'), fc.constant('hashed in its namespace')),
  hpaOf(fc.constant('a/w'), fc.constant('plain in its namespace')),
);

const ofRateLimit = hpaOf(
  fc.constant(RATE_LIMIT),
  weighted([6, 'sys/envoy-ratelimit'], [1, 'sys2/envoy-ratelimit', 'sys/n']),
);

const maybe = <T>(arbitrary: fc.Arbitrary<T>, freq = 5) => fc.option(arbitrary, { nil: undefined, freq });
export const clusterPlan = fc.record({
  configs: fc.tuple(maybe(configPlan, 16), fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, configPlan)),
  classes: fc.tuple(maybe(classPlan, 14), maybe(classPlan)),
  gateways: fc.tuple(maybe(gatewayPlan, 14), maybe(gatewayPlan), maybe(gatewayPlan)),
  proxies: fc.tuple(maybe(proxyPlan, 20), maybe(proxyPlan), maybe(proxyPlan)),
  hpas: fc.oneof(
    { weight: 10, arbitrary: fc.array(hpaPlan, { minLength: 1, maxLength: 3, size: 'max' }) },
    { weight: 6, arbitrary: bothNames },
    { weight: 1, arbitrary: fc.tuple(ofRateLimit, fc.oneof(hpaPlan, ofRateLimit)) },
  ),
  controllers: fc.tuple(controllerPlan, controllerPlan),
  /** The Deployment of the rate limit service of `sys`, if no HPA scales it. */
  rateLimitService: weighted<'runs' | 'gone' | 'not asked'>([4, 'runs'], [1, 'gone', 'not asked']),
  /** Whether all HPAs of a namespace were listed, and one more that Envoy Gateway did not label. */
  scalers: weighted<'listed' | 'one more' | 'not listed'>([10, 'listed'], [1, 'one more', 'not listed']),
});
type PlanOf<T> = T extends fc.Arbitrary<infer Plan> ? Plan : never;
export type ClusterPlan = PlanOf<typeof clusterPlan>;

const metadataOfFate: Record<Fate, Partial<Metadata>> = {
  stays: {},
  deleting: { deletionTimestamp: '2026-01-02T00:00:00Z' },
  protected: { annotations: { 'envoy-hpa-reaper/keep': 'true' } },
  young: { creationTimestamp: YOUNG },
  written: {
    managedFields: [
      { manager: 'kubectl', time: CREATED, fieldsV1: { 'f:spec': {} } },
      { manager: 'kubectl', time: YOUNG, fieldsV1: { 'f:spec': {} } },
    ],
  },
};

/** The status of a Gateway or class, as options of the builders. */
function statusOf({ word, observed, programmed, listeners }: Said) {
  if (word === 'none') return { accepted: undefined };
  const of = (condition: Condition, observedGeneration: number | undefined): Condition => ({
    ...condition,
    observedGeneration,
  });
  const [status, reason] = word === 'accepted' ? ['True', 'Accepted'] : ['False', word];
  const accepted = word === 'pending' ? DEFAULT_CONDITIONS : [of({ type: 'Accepted', status, reason }, observed)];
  const ofProgrammed: Condition = { type: 'Programmed', status: programmed === 'pending' ? 'Unknown' : 'False' };
  return {
    conditions: [
      ...accepted,
      ...(programmed === undefined ? [] : [of(ofProgrammed, programmed === 'pending' ? undefined : programmed)]),
    ],
    listenersObserved: listeners,
  };
}

/** Parsing YAML takes most of the time, and there are few different texts. */
const configsRead = new Map<string, ReturnType<typeof readEnvoyGatewayConfig>>();
function configOf(plan: PlanOf<typeof configPlan>, namespace: string) {
  const { unreadable, fate, ...options } = plan;
  const key = JSON.stringify([plan, namespace]);
  const object = { ...options, namespace, text: unreadable ? 'kind: [' : undefined, metadata: metadataOfFate[fate] };
  const read = configsRead.get(key) ?? readEnvoyGatewayConfig(envoyGatewayConfig(object));
  configsRead.set(key, read);
  return read;
}

function placeOf({ owner, at }: PlanOf<typeof hpaPlan>): string {
  const [namespace, name] = owner.includes('/') ? (owner.split('/') as [string, string]) : ['a', owner];
  if (at === 'hashed in sys') return `sys/${hashedNameOf(owner)}`;
  if (at === 'hashed in sys2') return `sys2/${hashedNameOf(owner)}`;
  if (at === 'hashed in its namespace') return `${namespace}/${hashedNameOf(owner)}`;
  if (at === 'plain in its namespace') return `${namespace}/${name}`;
  return at;
}

/** The HPAs of every namespace of these clusters, except for one that nobody lists. */
function scalersOf(state: ClusterPlan['scalers'], hpas: Snapshot['hpas']): Snapshot['scalers'] {
  if (state === 'not listed') return undefined;
  const metadata = { namespace: 'sys', name: hashedNameOf('a/w') };
  const more: Scaler = { metadata, spec: { scaleTargetRef: { kind: 'Deployment', name: 'x' } } };
  const all = state === 'one more' ? [...hpas, more] : hpas;
  const of = (namespace: string) => all.filter((one) => one.metadata.namespace === namespace);
  return new Map(['sys', 'sys2', 'a', 'b'].map((namespace) => [namespace, of(namespace)]));
}

export function snapshotOfPlan(plan: ClusterPlan): Snapshot {
  const { configs, classes, gateways, proxies, hpas: hpaPlans, controllers, rateLimitService } = plan;
  const places = hpaPlans.map(placeOf);
  const placed = hpaPlans.flatMap((plan, index) => {
    const at = places[index] as string;
    return places.indexOf(at) === index ? [{ ...plan, at }] : [];
  });
  const exists = <T, R>(plans: readonly (T | undefined)[], make: (plan: T, index: number) => R): R[] =>
    plans.flatMap((plan, index) => (plan === undefined ? [] : [make(plan, index)]));
  const hpas = placed.map(({ owner, at, fault, target }) => {
    const [apiVersion, kind] = target.split(' ') as [string, string];
    const name = at.slice(at.indexOf('/') + 1);
    const labels = owner === RATE_LIMIT ? (rateLimitHpa().metadata.labels as Record<string, string>) : labelsOf(owner);
    const options = { at, target: { apiVersion, kind, name }, metadata: fault && HPA_FAULTS[fault](labels) };
    return owner === RATE_LIMIT ? rateLimitHpa(options) : envoyHpa(owner, options);
  });
  const generation = GENERATION;
  return {
    hpas,
    scalers: scalersOf(plan.scalers, hpas),
    gatewayClasses: exists(classes, ({ fate, said: ofClass, ...options }, index) => {
      const { listenersObserved: _, ...status } = statusOf({ ...ofClass, programmed: undefined });
      const metadata = metadataOfFate[fate];
      return gatewayClass(CLASSES[index] as string, { ...options, generation, ...status, metadata });
    }),
    gateways: exists(gateways, ({ fate, said: ofGateway, ...options }, index) => {
      const metadata = metadataOfFate[fate];
      return gateway(GATEWAYS[index] as string, { ...options, generation, ...statusOf(ofGateway), metadata });
    }),
    envoyProxies: exists(proxies, ({ fate, spec }, index) =>
      envoyProxy(PROXIES[index] as string, spec, { metadata: metadataOfFate[fate] }),
    ),
    envoyGatewayConfigs: exists(configs, (plan, index) => configOf(plan, index === 0 ? 'sys' : 'sys2')),
    deployments: new Map<string, Deployment | null>(
      [
        ['sys/envoy-ratelimit', rateLimitService] as const,
        ...placed.map(({ at, deployment: state }) => [at, state] as const),
        ...controllers.map((state, index) => [`${index === 0 ? 'sys' : 'sys2'}/envoy-gateway`, state] as const),
      ].flatMap(([place, state]): [string, Deployment | null][] => {
        if (state === 'not asked' || state === 'not read') return [];
        if (state === 'gone' || state === 'absent') return [[place, null]];
        const namespace = place.slice(0, place.indexOf('/'));
        return [[place, state === 'runs' ? deployment(place) : controller({ namespace, ...state })]];
      }),
    ),
  };
}
