import fc from 'fast-check';
import { readEnvoyGatewayConfig } from '../../functions/domain/envoy-gateway-config.ts';
import type { EnvoyProxySpec, Metadata } from '../../functions/domain/kubernetes-objects.ts';
import type { Snapshot } from '../../functions/domain/snapshot.ts';
import {
  appliedFields,
  envoyGatewayConfig,
  envoyHpa,
  envoyProxy,
  gateway,
  gatewayClass,
  hashedNameOf,
  labelsOf,
} from './cluster.ts';

/**
 * Small clusters over a tiny name space, so that collisions and references to nothing are frequent: at most two Envoy
 * Gateways, two classes, three Gateways, three EnvoyProxies and three HPAs. What is generated is a plan, which prints
 * short when a property fails; {@link snapshotOfPlan} makes the cluster of it.
 */
const CONTROLLERS = ['one', 'two', 'vendor'] as const;
const CLASSES = ['c', 'd'] as const;
const GATEWAYS = ['a/w', 'a/x', 'b/w'] as const;
const PROXIES = ['a/p', 'b/p', 'default/p'] as const;

/** Picks one, each as often as it says. */
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
const specArbitrary: fc.Arbitrary<EnvoyProxySpec> = fc.record(
  {
    mergeType: weighted<EnvoyProxySpec['mergeType']>([1, 'Replace', 'StrategicMerge', 'JSONMerge']),
    mergeGateways: weighted([3, undefined], [2, true], [1, false]),
    provider: weighted([1, { type: 'Host' }, ...PROVIDERS.slice(4)], [4, ...PROVIDERS.slice(0, 4)]),
  },
  { requiredKeys: [] },
) as fc.Arbitrary<EnvoyProxySpec>;

type Fate = 'stays' | 'deleting' | 'protected';
const fate = weighted<Fate>([40, 'stays'], [1, 'deleting', 'protected']);
const accepted = weighted([16, true], [4, undefined], [1, false]);
const OTHER_KIND = { kind: 'ConfigMap', name: 'p', namespace: 'a' };

const classPlan = fc.record({
  controllerName: weighted<(typeof CONTROLLERS)[number]>([12, 'one'], [1, 'two', 'vendor']),
  proxy: weighted<string | typeof OTHER_KIND | undefined>([10, undefined, 'a/p'], [5, 'p'], [1, 'a/none', OTHER_KIND]),
  accepted,
  fate,
});
const gatewayPlan = fc.record({
  className: weighted([12, 'c'], [3, 'd'], [1, 'none']),
  proxy: weighted<string | typeof OTHER_KIND | undefined>([10, undefined, 'p'], [1, 'none', OTHER_KIND]),
  accepted,
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
      { mergeType: 'StrategicMerge', provider: PROVIDERS[3] },
      { provider: PROVIDERS[4] },
    ],
  ),
  unreadable: weighted([16, false], [1, true]),
});

const HPA_FAULTS = [
  'no label',
  'half a label',
  'two labels',
  'never applied',
  'applied by another',
  'only its status applied',
  'protected',
  'deleting',
  'finalizer',
  'controlled',
  'retargeted',
] as const;
const hpaOf = (owner: fc.Arbitrary<(typeof GATEWAYS)[number] | (typeof CLASSES)[number]>, at: fc.Arbitrary<string>) =>
  fc.record({
    owner,
    at,
    fault: weighted<(typeof HPA_FAULTS)[number] | undefined>([60, undefined], [1, ...HPA_FAULTS]),
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
/** What an upgrade from v1.4 to v1.5 leaves in GatewayNamespace mode. */
const bothNames = fc.tuple(
  hpaOf(fc.constant('a/w'), fc.constant('hashed in its namespace')),
  hpaOf(fc.constant('a/w'), fc.constant('plain in its namespace')),
);

const maybe = <T>(arbitrary: fc.Arbitrary<T>, freq = 5) => fc.option(arbitrary, { nil: undefined, freq });
export const clusterPlan = fc.record({
  configs: fc.tuple(maybe(configPlan, 16), fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, configPlan)),
  classes: fc.tuple(maybe(classPlan, 14), maybe(classPlan)),
  gateways: fc.tuple(maybe(gatewayPlan, 14), maybe(gatewayPlan), maybe(gatewayPlan)),
  proxies: fc.tuple(maybe(proxyPlan, 20), maybe(proxyPlan), maybe(proxyPlan)),
  hpas: fc.oneof(
    { weight: 5, arbitrary: fc.array(hpaPlan, { minLength: 1, maxLength: 3, size: 'max' }) },
    { weight: 1, arbitrary: bothNames },
  ),
});
type PlanOf<T> = T extends fc.Arbitrary<infer Plan> ? Plan : never;
export type ClusterPlan = PlanOf<typeof clusterPlan>;

const metadataOfFate: Record<Fate, Partial<Metadata>> = {
  stays: {},
  deleting: { deletionTimestamp: '2026-01-02T00:00:00Z' },
  protected: { annotations: { 'envoy-hpa-reaper/keep': 'true' } },
};

/** Parsing YAML is most of the time, and there are few different ones. */
const configsRead = new Map<string, ReturnType<typeof readEnvoyGatewayConfig>>();
function configOf(plan: PlanOf<typeof configPlan>, namespace: string) {
  const { unreadable, ...options } = plan;
  const key = JSON.stringify([plan, namespace]);
  const read =
    configsRead.get(key) ??
    readEnvoyGatewayConfig(envoyGatewayConfig({ ...options, namespace, text: unreadable ? 'kind: [' : undefined }));
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

function metadataOfFault(owner: string, fault: PlanOf<typeof hpaPlan>['fault']): Partial<Metadata> {
  const labels = labelsOf(owner);
  const apply = appliedFields(labels);
  switch (fault) {
    case undefined:
      return {};
    case 'no label':
      return { labels: {} };
    case 'half a label':
      return { labels: { 'gateway.envoyproxy.io/owning-gateway-name': 'w' } };
    case 'two labels':
      return { labels: { ...labelsOf('a/w'), ...labelsOf('c') } };
    case 'never applied':
      return { managedFields: [] };
    case 'applied by another':
      return { managedFields: [{ ...apply, manager: 'kubectl' }] };
    case 'only its status applied':
      return { managedFields: [{ ...apply, subresource: 'status' }] };
    case 'protected':
    case 'deleting':
      return metadataOfFate[fault];
    case 'finalizer':
      return { finalizers: ['x/y'] };
    case 'controlled':
      return { ownerReferences: [{ apiVersion: 'keda.sh/v1', kind: 'ScaledObject', name: 'so', controller: true }] };
    case 'retargeted':
      return {
        managedFields: [apply, { manager: 'kubectl-edit', fieldsV1: { 'f:spec': { 'f:scaleTargetRef': {} } } }],
      };
  }
}

export function snapshotOfPlan({ configs, classes, gateways, proxies, hpas }: ClusterPlan): Snapshot {
  const places = hpas.map(placeOf);
  const placed = hpas.flatMap((plan, index) => {
    const at = places[index] as string;
    return places.indexOf(at) === index ? [{ ...plan, at }] : [];
  });
  const exists = <T, R>(plans: readonly (T | undefined)[], make: (plan: T, index: number) => R): R[] =>
    plans.flatMap((plan, index) => (plan === undefined ? [] : [make(plan, index)]));
  return {
    hpas: placed.map(({ owner, at, fault, target }) => {
      const [apiVersion, kind] = target.split(' ') as [string, string];
      const name = at.slice(at.indexOf('/') + 1);
      return envoyHpa(owner, { at, target: { apiVersion, kind, name }, metadata: metadataOfFault(owner, fault) });
    }),
    gatewayClasses: exists(classes, ({ fate, ...options }, index) =>
      gatewayClass(CLASSES[index] as string, { ...options, metadata: metadataOfFate[fate] }),
    ),
    gateways: exists(gateways, ({ fate, ...options }, index) =>
      gateway(GATEWAYS[index] as string, { ...options, metadata: metadataOfFate[fate] }),
    ),
    envoyProxies: exists(proxies, ({ fate, spec }, index) =>
      envoyProxy(PROXIES[index] as string, spec, { metadata: metadataOfFate[fate] }),
    ),
    envoyGatewayConfigs: exists(configs, (plan, index) => configOf(plan, index === 0 ? 'sys' : 'sys2')),
    deployments: new Map(
      placed.flatMap(({ at, deployment }) => (deployment === 'not asked' ? [] : [[at, deployment === 'runs']])),
    ),
  };
}
