import { describe, expect, test } from 'vitest';
import { judge, type Verdict } from '../../../functions/judgement/judge.ts';
import type { EnvoyProxySpec } from '../../../functions/judgement/kubernetes-objects.ts';
import type { Snapshot } from '../../../functions/judgement/snapshot.ts';
import { snapshotOfList } from '../../../functions/kubernetes/cluster-list.ts';
import {
  appliedFields,
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
import { inShort, judged, merging, NO_AUTOSCALING, REMOVED, WANTED } from '../../builders/verdicts.ts';

// Each test has the HPA in question first.
const keepAnnotation = (value: string) => ({ metadata: { annotations: { 'envoy-hpa-reaper/keep': value } } });
const deleting = { metadata: { deletionTimestamp: '2026-01-02T00:00:00Z' } };

const OWN_PLACE = `envoy-gateway-system/${hashedNameOf('shop/web')}`;
const CLASS_PLACE = `envoy-gateway-system/${hashedNameOf('eg')}`;
const running = deployment(OWN_PLACE);
const classRunning = deployment(CLASS_PLACE);
const config = envoyGatewayConfig();
const namespaceMode = envoyGatewayConfig({ gatewayNamespaceMode: true });
const withDefault = (spec: EnvoyProxySpec) => envoyGatewayConfig({ envoyProxy: spec });

/** Envoy Gateway's own Deployment, as a verdict names it where it was read and is not there. */
const CONTROLLER_ABSENT = { kind: 'Deployment', namespace: 'envoy-gateway-system', name: 'envoy-gateway' };
const CONTROLLER_READ = { ...CONTROLLER_ABSENT, uid: 'Deployment:envoy-gateway-system/envoy-gateway', generation: 1 };

/** An installation where nothing asks for autoscaling, so that only the row in question can keep an HPA. */
const bare = [gatewayClass(), gateway(), config, running];
/** A class that merges its Gateways and asks for no autoscaling. */
const bareMerging = [
  gatewayClass('eg', { proxy: 'shop/class' }),
  gateway(),
  envoyProxy('shop/class', merging()),
  config,
  classRunning,
];

test('a wanted HPA is kept, and goes once the EnvoyProxy asks no more', () => {
  const cluster = (spec: EnvoyProxySpec) =>
    judged(
      envoyHpa(),
      gatewayClass(),
      gateway('shop/web', { proxy: 'proxy' }),
      envoyProxy('shop/proxy', spec),
      config,
      running,
    );
  expect(inShort(cluster(autoscaling()))).toBe(WANTED);
  expect(inShort(cluster(NO_AUTOSCALING))).toBe(REMOVED);
});

test('judges every HPA of the snapshot, in its order', () => {
  const verdicts = judge(
    snapshotOf([
      envoyHpa('shop/web'),
      envoyHpa('shop/gone', { at: 'envoy-gateway-system/b' }),
      gatewayClass(),
      gateway(),
      config,
    ]),
  );
  expect(verdicts.map(({ hpa, reason }) => [hpa.metadata.name, reason])).toEqual([
    [hashedNameOf('shop/web'), 'AutoscalingRemoved'],
    ['b', 'GatewayDeleted'],
  ]);
  expect(judge(snapshotOf(bare))).toEqual([]);
});

describe('marks of ownership', () => {
  const labels = labelsOf('shop/web');
  const apply = appliedFields(labels);
  test.each<[string, Partial<ReturnType<typeof envoyHpa>['metadata']>, string]>([
    ['both marks', {}, REMOVED],
    ['no label', { labels: {} }, 'keep NotManagedByEnvoyGateway'],
    ['labels null', { labels: null }, 'keep NotManagedByEnvoyGateway'],
    [
      'half a label: no namespace',
      { labels: { 'gateway.envoyproxy.io/owning-gateway-name': 'web' } },
      'keep NotManagedByEnvoyGateway',
    ],
    [
      'half a label: no name',
      { labels: { 'gateway.envoyproxy.io/owning-gateway-namespace': 'shop' } },
      'keep NotManagedByEnvoyGateway',
    ],
    [
      'an empty label',
      { labels: { ...labels, 'gateway.envoyproxy.io/owning-gateway-name': '' } },
      'keep NotManagedByEnvoyGateway',
    ],
    [
      "only v1.5's general labels",
      { labels: { 'app.kubernetes.io/managed-by': 'envoy-gateway' } },
      'keep NotManagedByEnvoyGateway',
    ],
    ['no managedFields', { managedFields: [] }, 'keep NotManagedByEnvoyGateway'],
    ['managedFields null', { managedFields: null }, 'keep NotManagedByEnvoyGateway'],
    [
      'applied by somebody else',
      { managedFields: [{ ...apply, manager: 'kubectl' }] },
      'keep NotManagedByEnvoyGateway',
    ],
    ['updated, not applied', { managedFields: [{ ...apply, operation: 'Update' }] }, 'keep NotManagedByEnvoyGateway'],
    [
      'only its status applied',
      { managedFields: [{ ...apply, subresource: 'status' }] },
      'keep NotManagedByEnvoyGateway',
    ],
    ['labeled by Gateway and class', { labels: { ...labels, ...labelsOf('eg') } }, 'keep AmbiguousOwner'],
    [
      'labeled by class and half a Gateway',
      { labels: { ...labelsOf('eg'), 'gateway.envoyproxy.io/owning-gateway-name': 'web' } },
      'keep AmbiguousOwner',
    ],
    [
      'labeled by class and the other half',
      { labels: { ...labelsOf('eg'), 'gateway.envoyproxy.io/owning-gateway-namespace': 'shop' } },
      'keep AmbiguousOwner',
    ],
    [
      'labeled twice and not applied',
      { labels: { ...labels, ...labelsOf('eg') }, managedFields: [] },
      'keep NotManagedByEnvoyGateway',
    ],
  ])('%s', (_, metadata, expected) => {
    expect(inShort(judged(envoyHpa('shop/web', { metadata }), ...bare))).toBe(expected);
  });
});

describe('protection', () => {
  const proxies = [envoyProxy('shop/own', NO_AUTOSCALING), envoyProxy('shop/class', NO_AUTOSCALING)];
  const rest = [config, running];
  const cluster = (over: {
    hpa?: object;
    gateway?: object;
    class?: object;
    own?: object;
    classProxy?: object;
    other?: object;
  }) =>
    judged(
      envoyHpa('shop/web', over.hpa),
      gatewayClass('eg', { proxy: 'shop/class', ...over.class }),
      gateway('shop/web', { proxy: 'own', ...over.gateway }),
      over.own ? envoyProxy('shop/own', NO_AUTOSCALING, over.own) : (proxies[0] as ClusterObject),
      over.classProxy ? envoyProxy('shop/class', NO_AUTOSCALING, over.classProxy) : (proxies[1] as ClusterObject),
      envoyProxy('shop/other', NO_AUTOSCALING, over.other),
      ...rest,
    );

  test.each([
    ['the HPA', { hpa: keepAnnotation('true') }, 'It is'],
    ['its Gateway', { gateway: keepAnnotation('true') }, 'shop/web is'],
    ['its class', { class: keepAnnotation('true') }, 'eg is'],
    ["the Gateway's EnvoyProxy", { own: keepAnnotation('true') }, 'shop/own is'],
    ["the class's EnvoyProxy", { classProxy: keepAnnotation('true') }, 'shop/class is'],
  ])('an annotation on %s keeps it', (_, over, start) => {
    const verdict = cluster(over);
    expect(inShort(verdict)).toBe('keep Protected');
    expect(verdict.explanation).toBe(`${start} annotated envoy-hpa-reaper/keep: "true".`);
  });

  test.each([
    ['another value', { hpa: keepAnnotation('false'), gateway: keepAnnotation('True') }],
    ['an EnvoyProxy that it does not use', { other: keepAnnotation('true') }],
  ])('%s does not', (_, over) => {
    expect(inShort(cluster(over))).toBe(REMOVED);
  });

  test('any Gateway of a merging class protects the HPA of the class', () => {
    const other = gateway('shop/api', keepAnnotation('true'));
    expect(inShort(judged(envoyHpa('eg'), ...bareMerging))).toBe(REMOVED);
    expect(inShort(judged(envoyHpa('eg'), ...bareMerging, other))).toBe('keep Protected');
  });
});

describe('what is going already', () => {
  test.each([
    ['the HPA is being deleted', [envoyHpa('shop/web', deleting), gatewayClass(), gateway()]],
    [
      'the HPA has a finalizer',
      [envoyHpa('shop/web', { metadata: { finalizers: ['a/b'] } }), gatewayClass(), gateway()],
    ],
    ['the Gateway is being deleted', [envoyHpa(), gatewayClass(), gateway('shop/web', deleting)]],
    ['the class is being deleted', [envoyHpa(), gatewayClass('eg', deleting), gateway()]],
  ])('%s', (_, objects) => {
    expect(inShort(judged(...objects, config, running))).toBe('keep Terminating');
  });

  test('empty finalizers hold nothing', () => {
    expect(inShort(judged(envoyHpa('shop/web', { metadata: { finalizers: [] } }), ...bare))).toBe(REMOVED);
  });

  test.each([
    ['one of its two Gateways is being deleted', gateway('shop/api'), REMOVED],
    ['both its Gateways are being deleted', gateway('shop/api', deleting), 'keep Terminating'],
  ])('the HPA of a merging class: %s', (_, second, expected) => {
    const [ofClass, , proxy, ...rest] = bareMerging as [
      ClusterObject,
      ClusterObject,
      ClusterObject,
      ...ClusterObject[],
    ];
    const cluster = [ofClass, gateway('shop/web', deleting), second, proxy, ...rest];
    expect(inShort(judged(envoyHpa('eg'), ...cluster))).toBe(expected);
  });
});

describe('adoption', () => {
  const owner = (kind: string, apiVersion: string, controller: boolean | null | undefined) => ({
    metadata: {
      ownerReferences: [{ apiVersion, kind, name: 'x', uid: 'x', controller }],
    },
  });
  const lastApplied = { 'kubectl.kubernetes.io/last-applied-configuration': '{}' };
  const trackingId = { 'argocd.argoproj.io/tracking-id': 'edge:autoscaling/HorizontalPodAutoscaler:shop/web' };
  const kapp = { 'kapp.k14s.io/app': '1700000000' };
  const copied = (annotations: Record<string, string>) => ({
    metadata: {
      annotations,
      managedFields: [
        {
          ...appliedFields(labelsOf('shop/web')),
          fieldsV1: {
            'f:metadata': {
              'f:annotations': Object.fromEntries(Object.keys(annotations).map((name) => [`f:${name}`, {}])),
            },
          },
        },
      ],
    },
  });
  const managedBy = (manager: string, spec: object, operation = 'Update') => ({
    metadata: {
      managedFields: [appliedFields(labelsOf('shop/web')), { manager, operation, fieldsV1: { 'f:spec': spec } }],
    },
  });
  test.each<[string, Parameters<typeof envoyHpa>[1], string]>([
    ['a ScaledObject controls it', owner('ScaledObject', 'keda.sh/v1alpha1', true), 'keep Adopted'],
    ['a Gateway of another group controls it', owner('Gateway', 'networking.istio.io/v1', true), 'keep Adopted'],
    [
      'another kind of the Gateway API controls it',
      owner('HTTPRoute', 'gateway.networking.k8s.io/v1', true),
      'keep Adopted',
    ],
    ['a Gateway controls it', owner('Gateway', 'gateway.networking.k8s.io/v1', true), REMOVED],
    ['a GatewayClass controls it', owner('GatewayClass', 'gateway.networking.k8s.io/v1', true), REMOVED],
    ['a ScaledObject owns it and does not control it', owner('ScaledObject', 'keda.sh/v1alpha1', false), REMOVED],
    ['an ownerReference says nothing of controlling', owner('ScaledObject', 'keda.sh/v1alpha1', undefined), REMOVED],
    [
      'another manager owns scaleTargetRef',
      managedBy('argocd', { 'f:scaleTargetRef': { 'f:name': {} } }, 'Apply'),
      'keep Adopted',
    ],
    ['kubectl edit moved scaleTargetRef', managedBy('kubectl-edit', { 'f:scaleTargetRef': {} }), 'keep Adopted'],
    [
      'kubectl apply or Argo CD applies it, and owns its bounds only',
      { metadata: { ...managedBy('argocd-controller', { 'f:maxReplicas': {} }).metadata, annotations: lastApplied } },
      'keep Adopted',
    ],
    ['Helm has it', { metadata: { annotations: { 'meta.helm.sh/release-name': 'proxy' } } }, 'keep Adopted'],
    ['Argo CD replaced it', { metadata: { annotations: trackingId } }, 'keep Adopted'],
    ['kapp has it', { metadata: { labels: { ...labelsOf('shop/web'), ...kapp } } }, 'keep Adopted'],
    ['Envoy Gateway copied the annotation from its Gateway', copied(trackingId), REMOVED],
    ['Envoy Gateway copied two', copied({ ...lastApplied, ...trackingId }), REMOVED],
    [
      'Envoy Gateway copied one, and another is not its own',
      { metadata: { ...copied(trackingId).metadata, annotations: { ...trackingId, ...lastApplied } } },
      'keep Adopted',
    ],
    [
      'Envoy Gateway copied the label from its Gateway',
      {
        metadata: {
          labels: { ...labelsOf('shop/web'), ...kapp },
          managedFields: [appliedFields({ ...labelsOf('shop/web'), ...kapp })],
        },
      },
      REMOVED,
    ],
    ['it has another annotation', { metadata: { annotations: { 'example.com/release-name': 'proxy' } } }, REMOVED],
    ['another manager owns other fields', managedBy('kubectl-edit', { 'f:maxReplicas': {} }), REMOVED],
    ['Envoy Gateway updated scaleTargetRef as well', managedBy('envoy-gateway', { 'f:scaleTargetRef': {} }), REMOVED],
  ])('%s', (_, over, expected) => {
    expect(inShort(judged(envoyHpa('shop/web', over), ...bare))).toBe(expected);
  });
});

describe('a place that another owner expects', () => {
  const named = autoscaling({ name: 'shared', maxReplicas: 5 });
  const shared = envoyHpa('shop/web', { at: 'envoy-gateway-system/shared' });
  const other = (spec: EnvoyProxySpec) => [gateway('shop/api', { proxy: 'api' }), envoyProxy('shop/api', spec)];

  test('keeps the HPA, and says who asks', () => {
    const verdict = judged(shared, ...bare, ...other(named));
    expect(inShort(verdict)).toBe(WANTED);
    expect(verdict.explanation).toBe('Gateway shop/api asks for an HPA of this name.');
  });

  test.each<[string, ClusterObject[]]>([
    ['asks for no autoscaling', other(NO_AUTOSCALING)],
    ['asks for another name', other(autoscaling())],
    [
      'asks for the name in another namespace',
      other(autoscaling({ name: 'shared', patch: { value: { metadata: { namespace: 'x' } } } })),
    ],
    [
      'is of a class that does not exist',
      [gateway('shop/api', { className: 'none', proxy: 'api' }), envoyProxy('shop/api', named)],
    ],
    [
      'is merged',
      [
        gatewayClass('m', { proxy: 'shop/m' }),
        envoyProxy('shop/m', merging()),
        gateway('shop/api', { className: 'm', proxy: 'api' }),
        envoyProxy('shop/api', named),
      ],
    ],
    [
      'is a class that merges no Gateway',
      [gatewayClass('m', { proxy: 'shop/m' }), envoyProxy('shop/m', merging(named))],
    ],
    [
      'is of another vendor',
      [
        gatewayClass('v', { controllerName: 'vendor', proxy: 'shop/v' }),
        envoyProxy('shop/v', named),
        gateway('shop/api', { className: 'v' }),
      ],
    ],
  ])('does not where that owner %s', (_, objects) => {
    expect(inShort(judged(shared, ...bare, ...objects))).toBe(REMOVED);
  });

  test.each<[string, ClusterObject[], string]>([
    [
      'a merging class with a Gateway',
      [
        gatewayClass('m', { proxy: 'shop/m' }),
        envoyProxy('shop/m', merging(named)),
        gateway('shop/api', { className: 'm' }),
      ],
      'GatewayClass m',
    ],
    [
      'a Gateway whose default asks',
      [
        gatewayClass('d', { controllerName: 'c' }),
        gateway('shop/api', { className: 'd' }),
        envoyGatewayConfig({ controllerName: 'c', envoyProxy: named }),
      ],
      'Gateway shop/api',
    ],
  ])('keeps it for %s', (_, objects, who) => {
    const verdict = judged(shared, ...bare, ...objects);
    expect(inShort(verdict)).toBe(WANTED);
    expect(verdict.explanation).toContain(who);
  });

  test('in GatewayNamespace mode a merging class is rejected, and its Gateways want their own', () => {
    const plain = envoyHpa('old/gone', { at: 'shop/api' });
    const objects = [
      gatewayClass('m', { proxy: 'shop/m' }),
      envoyProxy('shop/m', merging(autoscaling())),
      gateway('shop/api', { className: 'm' }),
    ];
    expect(inShort(judged(plain, ...objects, namespaceMode))).toBe(WANTED);
    expect(inShort(judged(plain, ...objects, config))).toBe('delete GatewayDeleted');
  });

  test('the own owner does not count as another', () => {
    const verdict = judged(envoyHpa(), gatewayClass(), gateway(), withDefault(autoscaling()), running);
    expect(inShort(verdict)).toBe(WANTED);
    expect(verdict.explanation).toBe(
      'Gateway shop/web asks for autoscaling in the default in ConfigMap envoy-gateway-system/envoy-gateway-config.',
    );
  });
});

describe('rows that want the Deployment to be gone', () => {
  const inNamespaceMode = { gatewayNamespaceMode: true };
  const classProxy = (spec: EnvoyProxySpec) => [
    gatewayClass('eg', { proxy: 'shop/class' }),
    envoyProxy('shop/class', spec),
  ];
  const asks = envoyProxy('shop/own', autoscaling());

  type Row = [
    title: string,
    owner: string,
    ifGone: string,
    ifRunning: string,
    objects: ClusterObject[],
    explanation: string,
  ];
  const rows: Row[] = [
    [
      'no Gateway',
      'shop/web',
      'GatewayDeleted',
      'ScaleTargetStillRuns',
      [gatewayClass(), config],
      'Gateway shop/web does not exist',
    ],
    [
      'a Gateway of the name elsewhere',
      'shop/web',
      'GatewayDeleted',
      'ScaleTargetStillRuns',
      [gatewayClass(), gateway('other/web'), config],
      'Gateway shop/web does not exist',
    ],
    [
      'no class',
      'shop/web',
      'GatewayClassDeleted',
      'ScaleTargetStillRuns',
      [gateway(), config],
      'GatewayClass eg does not exist',
    ],
    [
      'no merging class',
      'eg',
      'GatewayClassDeleted',
      'ScaleTargetStillRuns',
      [config],
      'GatewayClass eg does not exist',
    ],
    [
      'no ConfigMap',
      'shop/web',
      'GatewayNotManaged',
      'DefaultsUnreadable',
      [gatewayClass(), gateway()],
      'No ConfigMap of an Envoy Gateway names controller gateway.envoyproxy.io/gatewayclass-controller',
    ],
    [
      "another vendor's class",
      'shop/web',
      'GatewayNotManaged',
      'DefaultsUnreadable',
      [gatewayClass('eg', { controllerName: 'istio.io/c' }), gateway(), config],
      'No ConfigMap of an Envoy Gateway names controller istio.io/c',
    ],
    [
      'an unreadable ConfigMap',
      'shop/web',
      'GatewayNotManaged',
      'DefaultsUnreadable',
      [gatewayClass(), gateway(), envoyGatewayConfig({ text: '{' })],
      'ConfigMap envoy-gateway-system/envoy-gateway-config cannot be read (envoy-gateway.yaml is not valid YAML',
    ],
    [
      'the class is rejected',
      'shop/web',
      'ScaleTargetGone',
      'ParametersUnresolved',
      [gatewayClass('eg', { accepted: false }), gateway(), config],
      'GatewayClass eg is not accepted',
    ],
    [
      'the Gateway is rejected',
      'shop/web',
      'ScaleTargetGone',
      'ParametersUnresolved',
      [gatewayClass(), gateway('shop/web', { accepted: false }), config],
      'Gateway shop/web is not accepted',
    ],
    [
      'the class points nowhere',
      'shop/web',
      'ScaleTargetGone',
      'ParametersUnresolved',
      [gatewayClass('eg', { proxy: 'shop/none' }), gateway(), config],
      'The parametersRef of GatewayClass eg does not resolve to an EnvoyProxy',
    ],
    [
      'the class points to another kind',
      'shop/web',
      'ScaleTargetGone',
      'ParametersUnresolved',
      [gatewayClass('eg', { proxy: { kind: 'ConfigMap', name: 'own', namespace: 'shop' } }), gateway(), asks, config],
      'The parametersRef of GatewayClass eg does not resolve to an EnvoyProxy',
    ],
    [
      'the class points to another group',
      'shop/web',
      'ScaleTargetGone',
      'ParametersUnresolved',
      [gatewayClass('eg', { proxy: { group: 'x', name: 'own', namespace: 'shop' } }), gateway(), asks, config],
      'The parametersRef of GatewayClass eg does not resolve to an EnvoyProxy',
    ],
    [
      'the class names no namespace',
      'shop/web',
      'ScaleTargetGone',
      'ParametersUnresolved',
      [gatewayClass('eg', { proxy: 'own' }), gateway(), asks, config],
      'The parametersRef of GatewayClass eg does not resolve to an EnvoyProxy',
    ],
    [
      'the Gateway points nowhere',
      'shop/web',
      'ScaleTargetGone',
      'ParametersUnresolved',
      [gatewayClass(), gateway('shop/web', { proxy: 'none' }), config],
      'The parametersRef of Gateway shop/web does not resolve to an EnvoyProxy',
    ],
    [
      'the Gateway points to another kind',
      'shop/web',
      'ScaleTargetGone',
      'ParametersUnresolved',
      [gatewayClass(), gateway('shop/web', { proxy: { kind: 'Secret', name: 'own' } }), asks, config],
      'The parametersRef of Gateway shop/web does not resolve to an EnvoyProxy',
    ],
    [
      'the Gateway points to another group',
      'shop/web',
      'ScaleTargetGone',
      'ParametersUnresolved',
      [gatewayClass(), gateway('shop/web', { proxy: { group: 'x', name: 'own' } }), asks, config],
      'The parametersRef of Gateway shop/web does not resolve to an EnvoyProxy',
    ],
    [
      'the Gateway points to another namespace',
      'shop/web',
      'ScaleTargetGone',
      'ParametersUnresolved',
      [gatewayClass(), gateway('shop/web', { proxy: 'own' }), envoyProxy('other/own', {}), config],
      'The parametersRef of Gateway shop/web does not resolve to an EnvoyProxy',
    ],
    [
      'a merging class in GatewayNamespace mode',
      'shop/web',
      'ScaleTargetGone',
      'ParametersUnresolved',
      [...classProxy(merging()), gateway(), namespaceMode],
      'GatewayClass eg merges its Gateways by its own EnvoyProxy, which GatewayNamespace mode rejects',
    ],
    [
      'the default merges in GatewayNamespace mode',
      'shop/web',
      'MergedIntoGatewayClass',
      'ScaleTargetStillRuns',
      [gatewayClass(), gateway(), envoyGatewayConfig({ ...inNamespaceMode, envoyProxy: merging() })],
      'GatewayClass eg merges its Gateways',
    ],
    [
      "a merging class in GatewayNamespace mode, the HPA is the class's",
      'eg',
      'ScaleTargetGone',
      'ParametersUnresolved',
      [...classProxy(merging()), gateway(), namespaceMode],
      'GatewayClass eg merges its Gateways by its own EnvoyProxy, which GatewayNamespace mode rejects',
    ],
    [
      'a parametersRef beneath a merging class',
      'shop/web',
      'ScaleTargetGone',
      'ParametersUnresolved',
      [...classProxy(merging()), gateway('shop/web', { proxy: 'own' }), asks, config],
      'Gateway shop/web has a parametersRef although its class merges Gateways',
    ],
    [
      'every Gateway of the merging class is rejected',
      'eg',
      'ScaleTargetGone',
      'ParametersUnresolved',
      [
        ...classProxy(merging()),
        gateway('shop/web', { proxy: 'own' }),
        gateway('shop/api', { accepted: false }),
        asks,
        config,
      ],
      'Every Gateway of GatewayClass eg is rejected (Gateway shop/web has a parametersRef although its class merges Gateways)',
    ],
    [
      'its class merges',
      'shop/web',
      'MergedIntoGatewayClass',
      'ScaleTargetStillRuns',
      [...classProxy(merging(autoscaling())), gateway(), config],
      'GatewayClass eg merges its Gateways',
    ],
    [
      'the default merges',
      'shop/web',
      'MergedIntoGatewayClass',
      'ScaleTargetStillRuns',
      [...classProxy(autoscaling()), gateway(), withDefault(merging())],
      'GatewayClass eg merges its Gateways',
    ],
    [
      "the default merges, and the Gateway's parametersRef is ignored",
      'shop/web',
      'MergedIntoGatewayClass',
      'ScaleTargetStillRuns',
      [gatewayClass(), gateway('shop/web', { proxy: 'own' }), asks, withDefault(merging())],
      'GatewayClass eg merges its Gateways',
    ],
    [
      'the class merges no more',
      'eg',
      'NoLongerMerged',
      'ScaleTargetStillRuns',
      [...classProxy(autoscaling()), gateway(), config],
      'GatewayClass eg no longer merges its Gateways',
    ],
    [
      'the class says it does not merge, against the default',
      'eg',
      'NoLongerMerged',
      'ScaleTargetStillRuns',
      [...classProxy({ mergeGateways: false }), gateway(), withDefault(merging())],
      'GatewayClass eg no longer merges its Gateways',
    ],
    [
      'the merging class has no Gateway',
      'eg',
      'NoGateways',
      'ScaleTargetStillRuns',
      [...classProxy(merging(autoscaling())), gateway('shop/web', { className: 'other' }), config],
      'GatewayClass eg has no Gateway',
    ],
    [
      'another provider',
      'shop/web',
      'ScaleTargetGone',
      'ParametersUnresolved',
      [...classProxy({ provider: { type: 'Host' } }), gateway(), config],
      'The effective EnvoyProxy has provider Host',
    ],
  ];

  const withDeployment = (hpa: ClusterObject & { kind: 'HorizontalPodAutoscaler' }) =>
    deployment(`${hpa.metadata.namespace}/${hpa.spec.scaleTargetRef.name}`);

  describe.each(rows)('%s', (_, owner, ifGone, ifRunning, objects, explanation) => {
    const hpa = envoyHpa(owner);
    const place = `${hpa.metadata.namespace}/${hpa.spec.scaleTargetRef.name}`;

    test('the Deployment is gone: delete, resting on its absence', () => {
      const verdict = judged(hpa, ...objects);
      expect(inShort(verdict)).toBe(`delete ${ifGone}`);
      expect(verdict.explanation).toContain(explanation);
      expect(verdict.explanation).toContain(`, and Deployment ${place} is gone.`);
      expect(verdict.restsOn.at(-1)).toEqual({
        kind: 'Deployment',
        namespace: hpa.metadata.namespace,
        name: hpa.spec.scaleTargetRef.name,
      });
      expect(verdict.needsDeployments).toEqual([]);
      expect(verdict.restsOnDefaultAlone).toBe(false);
      expect(verdict.appliedReplicas).toBeUndefined();
    });

    test('the Deployment runs: keep', () => {
      const verdict = judged(hpa, ...objects, withDeployment(hpa));
      expect(inShort(verdict)).toBe(`keep ${ifRunning}`);
      expect(verdict.explanation).toContain(explanation);
      expect(verdict.explanation).toContain(`, but Deployment ${place} still runs.`);
      expect(verdict.needsDeployments).toEqual([]);
    });

    test('the Deployment was not asked for: keep, and ask', () => {
      const [verdict] = judge({ ...snapshotOf([hpa, ...objects]), deployments: new Map() });
      expect(verdict).toMatchObject({ action: 'keep', reason: ifRunning, needsDeployments: [place] });
    });

    test.each([
      { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'x' },
      { apiVersion: 'apps/v2', kind: 'Deployment', name: 'x' },
      { kind: 'Deployment', name: 'x' },
    ])('it scales something else: keep, and do not ask (%j)', (target) => {
      const verdict = judged(envoyHpa(owner, { target }), ...objects);
      expect(inShort(verdict)).toBe(`keep ${ifRunning}`);
      expect(verdict.explanation).toContain(
        `, but it scales ${target.apiVersion ?? ''} ${target.kind} x.`.replace('  ', ' '),
      );
      expect(verdict.needsDeployments).toEqual([]);
    });
  });

  test('what the Deployment of another namespace does is of no account', () => {
    const verdict = judged(envoyHpa(), config, deployment(`shop/${hashedNameOf('shop/web')}`));
    expect(inShort(verdict)).toBe('delete GatewayDeleted');
  });
});

describe('what is not rejected', () => {
  test.each<[string, ClusterObject[], string]>([
    [
      'a class and a Gateway that nobody has answered yet',
      [gatewayClass('eg', { accepted: undefined }), gateway('shop/web', { accepted: undefined }), config],
      'keep NotObserved',
    ],
    [
      'a class whose parametersRef without namespace means `default`',
      [gatewayClass('eg', { proxy: 'own' }), gateway(), envoyProxy('default/own', NO_AUTOSCALING), config],
      REMOVED,
    ],
    [
      'an EnvoyProxy without a spec',
      [gatewayClass('eg', { proxy: 'shop/class' }), gateway(), envoyProxy('shop/class', undefined), config],
      REMOVED,
    ],
    [
      'a provider without a type',
      [
        gatewayClass('eg', { proxy: 'shop/class' }),
        gateway(),
        envoyProxy('shop/class', { provider: { kubernetes: {} } }),
        config,
      ],
      REMOVED,
    ],
    ['GatewayNamespace mode without merging', [gatewayClass(), gateway(), namespaceMode], REMOVED],
    [
      'a Gateway beside it that is rejected',
      [gatewayClass(), gateway(), gateway('shop/api', { accepted: false }), config],
      REMOVED,
    ],
  ])('%s', (_, objects, expected) => {
    expect(inShort(judged(envoyHpa(), ...objects, running))).toBe(expected);
  });

  test('a merging class of which one Gateway is accepted', () => {
    const rejected = gateway('shop/api', { accepted: false });
    expect(inShort(judged(envoyHpa('eg'), ...bareMerging, rejected))).toBe(REMOVED);
  });

  test('where the default merges, a parametersRef of a Gateway is ignored even if it leads nowhere', () => {
    const cluster = [gatewayClass(), gateway('shop/web', { proxy: 'none' }), withDefault(merging()), classRunning];
    expect(inShort(judged(envoyHpa('eg'), ...cluster))).toBe(REMOVED);
  });
});

describe('the effective envoyHpa', () => {
  const ask = autoscaling();
  const no = NO_AUTOSCALING;
  type Levels = { own?: EnvoyProxySpec; ofClass?: EnvoyProxySpec; fallback?: EnvoyProxySpec };
  const owner = (levels: Levels): ClusterObject[] => [
    gatewayClass('eg', { proxy: levels.ofClass && 'shop/class' }),
    gateway('shop/web', { proxy: levels.own && 'own' }),
    ...(levels.own ? [envoyProxy('shop/own', levels.own)] : []),
    ...(levels.ofClass ? [envoyProxy('shop/class', levels.ofClass)] : []),
    envoyGatewayConfig({ envoyProxy: levels.fallback }),
    running,
  ];
  const OWN = 'EnvoyProxy shop/own';
  const CLASS = 'EnvoyProxy shop/class';
  const DEFAULT = 'the default in ConfigMap envoy-gateway-system/envoy-gateway-config';
  const merge = 'StrategicMerge' as const;

  test.each<[string, Levels, string, string, boolean]>([
    ['nothing anywhere', {}, REMOVED, DEFAULT, true],
    ['the default asks', { fallback: ask }, WANTED, DEFAULT, true],
    ['the class asks', { ofClass: ask }, WANTED, CLASS, false],
    ['the class replaces the default', { ofClass: no, fallback: ask }, REMOVED, CLASS, false],
    ['the Gateway asks', { own: ask, ofClass: no, fallback: no }, WANTED, OWN, false],
    ['the Gateway replaces its class', { own: no, ofClass: ask, fallback: ask }, REMOVED, OWN, false],
    [
      'Replace is no mergeType',
      { own: { ...no, mergeType: 'Replace' }, ofClass: ask, fallback: ask },
      REMOVED,
      OWN,
      false,
    ],
    [
      'the Gateway merges over its class',
      { own: { ...no, mergeType: merge }, ofClass: ask },
      WANTED,
      `${OWN} over ${CLASS}`,
      false,
    ],
    ['JSONMerge does so too', { own: { mergeType: 'JSONMerge' }, ofClass: ask }, WANTED, `${OWN} over ${CLASS}`, false],
    [
      "the class's mergeType is not the Gateway's",
      { own: no, ofClass: { ...ask, mergeType: merge } },
      REMOVED,
      OWN,
      false,
    ],
    [
      "on the default step the class's mergeType counts",
      { own: { ...no, mergeType: 'Replace' }, ofClass: { ...no, mergeType: merge }, fallback: ask },
      WANTED,
      `${OWN} over ${DEFAULT}`,
      false,
    ],
    [
      "on the default step the class's Replace counts",
      { own: { ...no, mergeType: merge }, ofClass: { ...no, mergeType: 'Replace' }, fallback: ask },
      REMOVED,
      `${OWN} over ${CLASS}`,
      false,
    ],
    [
      "on the default step the Gateway's counts where the class says nothing",
      { own: { ...no, mergeType: merge }, ofClass: no, fallback: ask },
      WANTED,
      `${OWN} over ${CLASS} over ${DEFAULT}`,
      false,
    ],
    [
      "on the default step the Gateway's counts where the class has no EnvoyProxy",
      { own: { ...no, mergeType: 'JSONMerge' }, fallback: ask },
      WANTED,
      `${OWN} over ${DEFAULT}`,
      false,
    ],
    [
      "the default's mergeType has no effect",
      { ofClass: no, fallback: { ...ask, mergeType: merge } },
      REMOVED,
      CLASS,
      false,
    ],
    [
      'merging finds none',
      { own: { mergeType: merge }, ofClass: no, fallback: no },
      REMOVED,
      `${OWN} over ${CLASS} over ${DEFAULT}`,
      false,
    ],
    ['an empty envoyHpa asks', { own: autoscaling({}) }, WANTED, OWN, false],
    ['envoyHpa null asks for nothing', { own: { provider: { kubernetes: { envoyHpa: null } } } }, REMOVED, OWN, false],
    ['provider null asks for nothing', { own: { provider: null }, ofClass: ask }, REMOVED, OWN, false],
  ])('%s', (_, levels, expected, source, restsOnDefaultAlone) => {
    const verdict = judged(envoyHpa(), ...owner(levels));
    expect(inShort(verdict)).toBe(expected);
    expect(verdict.explanation).toBe(
      expected === WANTED
        ? `Gateway shop/web asks for autoscaling in ${source}.`
        : `Gateway shop/web asks for no autoscaling: no envoyHpa in ${source}.`,
    );
    expect(verdict.restsOnDefaultAlone).toBe(restsOnDefaultAlone);
  });

  test.each<[string, EnvoyProxySpec, EnvoyProxySpec | undefined, string]>([
    ["the class's EnvoyProxy asks", merging(ask), undefined, WANTED],
    ["the class's EnvoyProxy does not", merging(no), ask, REMOVED],
    ['merging by the default, asking by the class', ask, merging(no), WANTED],
    ['merging by the default, the class asks no more', no, merging(ask), REMOVED],
    ['merging by the default, inheriting from it', { ...no, mergeType: merge }, merging(ask), WANTED],
  ])('of a merging class: %s', (_, ofClass, fallback, expected) => {
    const cluster = owner({ ofClass, fallback });
    expect(inShort(judged(envoyHpa('eg'), ...cluster, classRunning))).toBe(expected);
  });

  test("a merging class is not ruled by its Gateways' EnvoyProxies", () => {
    const cluster = owner({ own: ask, fallback: merging(no) });
    expect(inShort(judged(envoyHpa('eg'), ...cluster, classRunning))).toBe(REMOVED);
  });

  test.each<[string, EnvoyProxySpec, number | undefined]>([
    ['says how many', { provider: { kubernetes: { envoyDeployment: { replicas: 4 } } } }, 4],
    ['says zero', { provider: { kubernetes: { envoyDeployment: { replicas: 0 } } } }, 0],
    ['says nothing', {}, undefined],
  ])('the verdict tells the replicas that Envoy Gateway sets: the EnvoyProxy %s', (_, own, replicas) => {
    const verdict = judged(envoyHpa(), ...owner({ own }));
    expect([verdict.action, verdict.appliedReplicas]).toEqual(['delete', replicas]);
  });
});

describe('another name or namespace', () => {
  const hpaAt = (at: string, owner = 'shop/web', metadata = {}) => envoyHpa(owner, { at, metadata });
  const asking = (hpa: Parameters<typeof autoscaling>[0]) => [
    gatewayClass(),
    gateway('shop/web', { proxy: 'own' }),
    envoyProxy('shop/own', autoscaling(hpa)),
    config,
    running,
    controller({ version: 'v1.9.1' }),
  ];
  const patch = (metadata: object) => ({ patch: { type: 'StrategicMerge', value: { metadata } } });

  test.each<[string, Parameters<typeof autoscaling>[0], string]>([
    ['envoyHpa.name', { name: 'new' }, 'envoy-gateway-system/new'],
    ["a patch's name", patch({ name: 'new' }), 'envoy-gateway-system/new'],
    ["a patch's name over envoyHpa.name", { name: 'x', ...patch({ name: 'new' }) }, 'envoy-gateway-system/new'],
    ["a patch's namespace", patch({ namespace: 'elsewhere' }), `elsewhere/${hashedNameOf('shop/web')}`],
    [
      "a patch's namespace beside envoyHpa.name",
      { name: 'new', ...patch({ namespace: 'elsewhere' }) },
      'elsewhere/new',
    ],
  ])('%s: the old HPA goes once the new one is there', (_, hpa, place) => {
    const old = envoyHpa();
    const verdict = judged(old, hpaAt(place), ...asking(hpa));
    expect(inShort(judged(old, ...asking(hpa)))).toBe(WANTED);
    expect(inShort(verdict)).toBe('delete Renamed');
    expect(verdict.explanation).toBe(`Gateway shop/web asks for HPA ${place} instead, which exists.`);
    const [namespace, name] = place.split('/');
    // Its status is written all the time, so what is rested on is that it is this HPA, in whatever version.
    expect(verdict.restsOn.slice(-2)).toEqual([
      { kind: 'HorizontalPodAutoscaler', namespace, name, uid: `HorizontalPodAutoscaler:${place}` },
      CONTROLLER_READ,
    ]);
    expect(inShort(judged(hpaAt(place), old, ...asking(hpa)))).toBe(WANTED);
  });

  const target = { apiVersion: 'apps/v1', kind: 'Deployment', name: hashedNameOf('shop/web') };
  const onTheSame = envoyHpa('shop/web', { at: 'envoy-gateway-system/new', target });
  test.each<[string, ClusterObject[], string, string]>([
    ['v1.4.2 ignores it', [controller({ version: 'v1.4.2' })], WANTED, 'delete Renamed'],
    ['v1.5.0', [controller({ version: 'v1.5.0' })], 'delete Renamed', WANTED],
    ['an unknown version', [controller()], WANTED, WANTED],
    ['no Deployment of that name', [], WANTED, WANTED],
  ])('envoyHpa.name: %s', (_, installed, ofOld, ofNew) => {
    const objects = asking({ name: 'new' }).filter(({ metadata }) => metadata.name !== 'envoy-gateway');
    const verdicts = judge(snapshotOf([envoyHpa(), onTheSame, ...objects, ...installed]));
    expect(verdicts.map(inShort)).toEqual([ofOld, ofNew]);
  });

  test('envoyHpa.name of a release that is not known: it says why neither goes, and asks what is known', () => {
    const objects = [envoyHpa(), onTheSame, ...asking({ name: 'new' })].filter(
      ({ metadata }) => metadata.name !== 'envoy-gateway',
    );
    expect(judged(...objects).explanation).toBe(
      'Gateway shop/web asks for this HPA or for envoy-gateway-system/new: v1.4 and v1.5 use different names, and ' +
        `Deployment envoy-gateway-system/envoy-gateway does not exist to say which version runs, but Deployment ${OWN_PLACE} still runs.`,
    );
    const [unread] = judge({ ...snapshotOf(objects), deployments: new Map([[OWN_PLACE, running]]) });
    expect(unread?.needsDeployments).toEqual(['envoy-gateway-system/envoy-gateway']);
  });

  test.each<[string, ClusterObject]>([
    ['is not applied by Envoy Gateway', hpaAt('envoy-gateway-system/new', 'shop/web', { managedFields: [] })],
    ["is another Gateway's", hpaAt('envoy-gateway-system/new', 'shop/api')],
    ["is the class's", hpaAt('envoy-gateway-system/new', 'eg')],
    [
      'is labeled twice',
      hpaAt('envoy-gateway-system/new', 'shop/web', { labels: { ...labelsOf('shop/web'), ...labelsOf('eg') } }),
    ],
    ['is not labeled', hpaAt('envoy-gateway-system/new', 'shop/web', { labels: {} })],
    ['is being deleted', hpaAt('envoy-gateway-system/new', 'shop/web', deleting.metadata)],
    ['is in another namespace', hpaAt('shop/new')],
  ])('the old HPA stays while the new one %s', (_, successor) => {
    expect(inShort(judged(envoyHpa(), successor, ...asking({ name: 'new' })))).toBe(WANTED);
  });

  test.each<[string, Record<string, unknown>]>([
    ['of which no metadata can be read', { metadata: null }],
    ['with metadata of another shape', { metadata: 'x' }],
    ['with a name of another shape', { metadata: { name: 1 } }],
    ['with a namespace of another shape', { metadata: { namespace: {} } }],
    ['without a name', { metadata: { name: null } }],
  ])('a patch %s makes nothing stale', (_, value) => {
    const both = [envoyHpa(), hpaAt('envoy-gateway-system/new')] as const;
    expect(inShort(judged(...both, ...asking({ patch: { value } })))).toBe(WANTED);
    expect(inShort(judged(both[1], both[0], ...asking({ patch: { value } })))).toBe(WANTED);
  });

  test.each<[string, Record<string, unknown>]>([
    ['of something else', { spec: { maxReplicas: 9 }, metadata: { labels: {} } }],
    ['of nothing', {}],
  ])('a patch %s leaves the name as it is', (_, value) => {
    const both = [envoyHpa(), hpaAt('envoy-gateway-system/new')] as const;
    expect(inShort(judged(...both, ...asking({ patch: { value } })))).toBe(WANTED);
    expect(inShort(judged(both[1], both[0], ...asking({ patch: { value } })))).toBe('delete Renamed');
  });

  test('a merging class expects its HPA by its own name', () => {
    const [, gatewayOfClass, , ...rest] = bareMerging as [
      ClusterObject,
      ClusterObject,
      ClusterObject,
      ...ClusterObject[],
    ];
    const cluster = [
      gatewayClass('eg', { proxy: 'shop/class' }),
      gatewayOfClass,
      envoyProxy('shop/class', merging(autoscaling())),
      ...rest,
    ];
    expect(inShort(judged(envoyHpa('eg'), ...cluster))).toBe(WANTED);
    expect(inShort(judged(hpaAt('envoy-gateway-system/old', 'eg'), envoyHpa('eg'), ...cluster))).toBe('delete Renamed');
  });
});

describe('GatewayNamespace mode', () => {
  const objects = [
    gatewayClass(),
    gateway('shop/web', { proxy: 'own' }),
    envoyProxy('shop/own', autoscaling()),
    namespaceMode,
  ];
  const plain = envoyHpa('shop/web', { at: 'shop/web' });
  const hashed = envoyHpa('shop/web', { at: `shop/${hashedNameOf('shop/web')}` });
  const old = envoyHpa();
  const plainRuns = deployment('shop/web');
  const hashedRuns = deployment(`shop/${hashedNameOf('shop/web')}`);

  test.each<[string, ClusterObject[], string]>([
    ['the plain name of v1.5 and later', [plain], WANTED],
    ['the hashed name of v1.4', [hashed], WANTED],
    ["an HPA left in the controller's namespace, alone", [old], WANTED],
    ["an HPA left in the controller's namespace beside the plain one", [old, plain], 'delete Renamed'],
    ["an HPA left in the controller's namespace beside the hashed one", [old, hashed], 'delete Renamed'],
    ['both names, and this Deployment is gone: upgraded from v1.4', [hashed, plain, plainRuns], 'delete Renamed'],
    ['both names, and this Deployment is gone: back to v1.4', [plain, hashed, hashedRuns], 'delete Renamed'],
    ['both names, and this Deployment runs', [hashed, plain, hashedRuns], WANTED],
    ['both names, and both Deployments run', [hashed, plain, hashedRuns, plainRuns], WANTED],
  ])('%s', (_, hpas, expected) => {
    expect(inShort(judged(...hpas, ...objects))).toBe(expected);
  });

  test('while both Deployments are gone, each HPA may be the wanted one', () => {
    const verdicts = judge(snapshotOf([hashed, plain, ...objects]));
    expect(verdicts.map(inShort)).toEqual([WANTED, WANTED]);
  });

  test('between two names it rests on both Deployments and on the other HPA', () => {
    expect(judged(hashed, plain, plainRuns, ...objects).restsOn.slice(-4)).toEqual([
      { kind: 'HorizontalPodAutoscaler', namespace: 'shop', name: 'web', uid: 'HorizontalPodAutoscaler:shop/web' },
      CONTROLLER_ABSENT,
      { kind: 'Deployment', namespace: 'shop', name: hashedNameOf('shop/web') },
      { kind: 'Deployment', namespace: 'shop', name: 'web', uid: 'Deployment:shop/web' },
    ]);
  });

  test("between two names it asks for Envoy Gateway's Deployment and its own, and for the other's once its own is gone", () => {
    const snapshot = snapshotOf([hashed, plain, ...objects]);
    const own = `shop/${hashedNameOf('shop/web')}`;
    const needs = (...known: string[]) =>
      judge({ ...snapshot, deployments: new Map(known.map((key) => [key, null])) }).map((verdict) =>
        verdict.needsDeployments.toSorted(),
      );
    const controller = 'envoy-gateway-system/envoy-gateway';
    expect(needs()).toEqual([
      [controller, own],
      [controller, 'shop/web'],
    ]);
    expect(needs(controller, own)).toEqual([['shop/web'], ['shop/web']]);
    expect(needs(controller, own, 'shop/web')).toEqual([[], []]);
  });

  test('between two names it says which Deployment runs', () => {
    const asked =
      'Gateway shop/web asks for this HPA or for shop/web: v1.4 and v1.5 use different names, and ' +
      'Deployment envoy-gateway-system/envoy-gateway does not exist to say which version runs';
    const hashedName = hashedNameOf('shop/web');
    const says = (...deployments: ClusterObject[]) => judged(hashed, plain, ...deployments, ...objects).explanation;
    expect(says(plainRuns)).toBe(`${asked}, and Deployment shop/${hashedName} is gone.`);
    expect(says(hashedRuns)).toBe(`${asked}, but Deployment shop/${hashedName} still runs.`);
    expect(says()).toBe(`${asked}, but the Deployment of neither exists.`);
  });

  test('envoyHpa.name is the only name', () => {
    const named = [
      gatewayClass(),
      gateway('shop/web', { proxy: 'own' }),
      envoyProxy('shop/own', autoscaling({ name: 'n' })),
      namespaceMode,
      controller({ version: 'v1.9.1' }),
    ];
    expect(inShort(judged(plain, envoyHpa('shop/web', { at: 'shop/n' }), plainRuns, ...named))).toBe('delete Renamed');
  });
});

describe('several ConfigMaps for one controllerName', () => {
  const second = (options: Parameters<typeof envoyGatewayConfig>[0]) =>
    envoyGatewayConfig({ namespace: 'second', ...options });
  const owner = [gatewayClass(), gateway()];
  test.each<[string, ClusterObject[], string, string]>([
    ['both ask for none', [config, second({}), running], REMOVED, REMOVED],
    ['the second asks', [config, second({ envoyProxy: autoscaling() }), running], WANTED, WANTED],
    ['the second cannot be read', [config, second({ text: 'a: [' }), running], 'keep DefaultsUnreadable', 'delete'],
    ['the second merges', [config, second({ envoyProxy: merging() }), running], 'keep ScaleTargetStillRuns', 'delete'],
    [
      "the second is another controller's",
      [config, second({ controllerName: 'other', envoyProxy: autoscaling() }), running],
      REMOVED,
      REMOVED,
    ],
  ])('%s', (_, objects, expected, ifGone) => {
    const reversed = objects.toReversed();
    expect(inShort(judged(envoyHpa(), ...owner, ...objects))).toBe(expected);
    expect(inShort(judged(envoyHpa(), ...owner, ...reversed))).toBe(expected);
    const gone = objects.filter(({ kind }) => kind !== 'Deployment');
    expect(inShort(judged(envoyHpa(), ...owner, ...gone))).toContain(ifGone);
    expect(judged(envoyHpa(), ...owner, ...gone).action).toBe(
      judged(envoyHpa(), ...owner, ...gone.toReversed()).action,
    );
  });

  describe('none of them where the HPA is: what a missing one said by default is not known', () => {
    const proxy = (spec: EnvoyProxySpec) => [
      gatewayClass(),
      gateway('shop/web', { proxy: 'p' }),
      envoyProxy('shop/p', spec),
    ];
    const beside = 'shop/web';
    test.each<[string, ClusterObject[], string]>([
      ['no EnvoyProxy', owner, 'keep DefaultsUnreadable'],
      ['an EnvoyProxy that replaces the default', proxy(NO_AUTOSCALING), REMOVED],
      ['an EnvoyProxy that merges into it', proxy({ mergeType: 'StrategicMerge' }), 'keep DefaultsUnreadable'],
    ])('%s', (_, objects, expected) => {
      const deployed = [deployment(OWN_PLACE), deployment(beside)];
      expect(inShort(judged(envoyHpa(), ...objects, ...deployed, second({})))).toBe(expected);
      expect(inShort(judged(envoyHpa(), ...objects, ...deployed, second({}), config))).toBe(REMOVED);
      const another = envoyGatewayConfig({ controllerName: 'other' });
      expect(inShort(judged(envoyHpa(), ...objects, ...deployed, second({}), another))).toBe(expected);
      expect(inShort(judged(envoyHpa(), ...objects, second({})))).toBe(REMOVED);
      // In GatewayNamespace mode the place does not tell whose it is.
      expect(inShort(judged(envoyHpa('shop/web', { at: beside }), ...objects, ...deployed, second({})))).toBe(REMOVED);
    });

    test('says so', () => {
      expect(judged(envoyHpa(), ...owner, running, second({})).explanation).toBe(
        'Gateway shop/web asks for no autoscaling: no envoyHpa in the default in ConfigMap second/envoy-gateway-config, ' +
          'and the default of an Envoy Gateway in envoy-gateway-system is not known, ' +
          `but Deployment ${OWN_PLACE} still runs.`,
      );
    });
  });

  test('a deletion rests on all that any of them rests on', () => {
    const objects = [envoyHpa(), ...owner, config, second({ text: 'a: [' })];
    expect(judged(...objects).restsOn).toEqual([
      { kind: 'Gateway', namespace: 'shop', name: 'web', uid: 'Gateway:shop/web', resourceVersion: '1' },
      { kind: 'GatewayClass', namespace: undefined, name: 'eg', uid: 'GatewayClass:eg', resourceVersion: '1' },
      configMapRead('envoy-gateway-system'),
      configMapRead('second'),
      CONTROLLER_ABSENT,
      { kind: 'Deployment', namespace: 'envoy-gateway-system', name: hashedNameOf('shop/web') },
    ]);
  });

  test('the HPA of a shard is left alone though the other shard expects it elsewhere', () => {
    const ask = [gatewayClass('eg', { proxy: 'shop/class' }), envoyProxy('shop/class', autoscaling()), gateway()];
    const both = [
      envoyHpa(),
      envoyHpa('shop/web', { at: `second/${hashedNameOf('shop/web')}` }),
      ...ask,
      config,
      second({}),
    ];
    expect(judge(snapshotOf(both)).map(inShort)).toEqual([WANTED, WANTED]);
    const left = envoyHpa('shop/web', { at: `third/${hashedNameOf('shop/web')}` });
    expect(inShort(judged(left, ...both))).toBe('delete Renamed');
    expect(inShort(judged(left, envoyHpa(), ...ask, config, second({})))).toBe(WANTED);
  });
});

describe('a ConfigMap in the namespace of somebody who may create ConfigMaps', () => {
  const tenant = (options: Parameters<typeof envoyGatewayConfig>[0] = {}) =>
    envoyGatewayConfig({ namespace: 'tenant', ...options });
  const controller = ['envoy-gateway-system'];
  /** The verdict on the first HPA with a ConfigMap of the tenant that counts as any other, and with the list. */
  const both = (objects: ClusterObject[], controllerNamespaces = controller) => {
    const snapshot = snapshotOf(objects);
    return [snapshot, { ...snapshot, controllerNamespaces }].map((one) => inShort(judge(one)[0] as Verdict));
  };
  const owner = [gatewayClass(), gateway()];

  test('keeps what is stale', () => {
    for (const options of [{ text: 'a: [' }, { envoyProxy: autoscaling() }, { envoyProxy: merging() }]) {
      const [today, listed] = both([envoyHpa(), ...owner, config, running, tenant(options)]);
      expect(today).toMatch(/^keep /);
      expect(listed).toBe(REMOVED);
    }
  });

  test('deletes what is wanted by a configuration that is in no ConfigMap', () => {
    const beside = envoyHpa('shop/web', { at: 'shop/web' });
    expect(both([beside, ...owner, deployment('shop/web'), tenant()])).toEqual([REMOVED, 'keep DefaultsUnreadable']);
    expect(inShort(judged(envoyHpa(), ...owner, running, tenant()))).toBe('keep DefaultsUnreadable');
    // Whoever may create an HPA too can pretend that it is the newer one.
    const forged = envoyHpa('shop/web', { at: `tenant/${hashedNameOf('shop/web')}` });
    const renaming = tenant({ envoyProxy: autoscaling() });
    expect(both([envoyHpa(), forged, ...owner, running, renaming])).toEqual([
      'delete Renamed',
      'keep DefaultsUnreadable',
    ]);
  });

  test('keeps an HPA by asking for one of its name', () => {
    const patch = { value: { metadata: { namespace: 'envoy-gateway-system', name: hashedNameOf('shop/web') } } };
    const asking = tenant({ controllerName: 'tenant', envoyProxy: autoscaling({ patch }) });
    const another = [
      gatewayClass('tenant', { controllerName: 'tenant' }),
      gateway('tenant/x', { className: 'tenant' }),
    ];
    expect(both([envoyHpa(), ...owner, ...another, config, running, asking])).toEqual([WANTED, REMOVED]);
  });

  test('a verdict by the list says so, and rests on no ConfigMap elsewhere', () => {
    const snapshot = snapshotOf([envoyHpa(), ...owner, config, running, tenant({ text: 'a: [' })]);
    const [verdict] = judge({ ...snapshot, controllerNamespaces: controller });
    const rests = verdict?.restsOn.filter(({ kind }) => kind === 'ConfigMap').map(({ namespace }) => namespace);
    expect(rests).toEqual(controller);
    const [none] = judge({ ...snapshot, controllerNamespaces: ['a', 'b'] });
    expect(none?.explanation).toMatch(/^No ConfigMap of an Envoy Gateway in a, b names controller /);
  });

  test('an empty list is every namespace', () => {
    const merges = tenant({ envoyProxy: merging() });
    const kept = 'keep ScaleTargetStillRuns';
    expect(both([envoyHpa(), ...owner, running, config, merges], [])).toEqual([kept, kept]);
  });

  describe('where the list leaves out a namespace in which Envoy Gateway does run', () => {
    const second = (options: Parameters<typeof envoyGatewayConfig>[0] = {}) =>
      envoyGatewayConfig({ namespace: 'second', envoyProxy: autoscaling(), ...options });
    const at = `second/${hashedNameOf('shop/web')}`;

    test('its HPAs stay, whatever the one in the list says', () => {
      const left = [envoyHpa('shop/web', { at }), ...owner, config, deployment(at)];
      const unknown = 'keep DefaultsUnreadable';
      expect(both([...left, second()])).toEqual([WANTED, unknown]);
      expect(both([...left, second({ text: 'a: [' })])).toEqual([unknown, unknown]);
      // And beside its Gateway, where it is not told by the place who made it.
      const beside = 'shop/web';
      const inNamespaceMode = [envoyHpa('shop/web', { at: beside }), ...owner, config, deployment(beside)];
      expect(both([...inNamespaceMode, second({ gatewayNamespaceMode: true })])).toEqual([WANTED, WANTED]);
      expect(
        both([...inNamespaceMode, second({ gatewayNamespaceMode: true })], ['envoy-gateway-system', 'shop']),
      ).toEqual([WANTED, WANTED]);
    });

    test('they go when an EnvoyProxy says so, and by a default only with their Deployment', () => {
      const left = [envoyHpa('shop/web', { at }), config, second({ envoyProxy: {} })];
      const proxy = [gatewayClass('eg', { proxy: 'shop/class' }), envoyProxy('shop/class', NO_AUTOSCALING), gateway()];
      expect(both([...left, ...proxy, deployment(at)])).toEqual([REMOVED, REMOVED]);
      expect(both([...left, ...owner, deployment(at)])).toEqual([REMOVED, 'keep DefaultsUnreadable']);
      expect(both([...left, ...owner])).toEqual([REMOVED, REMOVED]);
    });
  });
});

const configMapRead = (namespace: string) => ({
  kind: 'ConfigMap',
  namespace,
  name: 'envoy-gateway-config',
  uid: `ConfigMap:${namespace}/envoy-gateway-config`,
  resourceVersion: '1',
});

test('a verdict names all that was read, and in which version', () => {
  const verdict = judged(
    envoyHpa(),
    gatewayClass('eg', { proxy: 'shop/class', metadata: { resourceVersion: '7' } }),
    gateway('shop/web', { proxy: 'own', metadata: { resourceVersion: '8' } }),
    envoyProxy('shop/own', NO_AUTOSCALING, { metadata: { resourceVersion: '9' } }),
    envoyProxy('shop/class', autoscaling()),
    envoyProxy('shop/other', autoscaling()),
    config,
    running,
  );
  expect(verdict.owner).toEqual({ kind: 'Gateway', namespace: 'shop', name: 'web' });
  expect(verdict.restsOn).toEqual([
    { kind: 'Gateway', namespace: 'shop', name: 'web', uid: 'Gateway:shop/web', resourceVersion: '8' },
    { kind: 'GatewayClass', namespace: undefined, name: 'eg', uid: 'GatewayClass:eg', resourceVersion: '7' },
    { kind: 'EnvoyProxy', namespace: 'shop', name: 'own', uid: 'EnvoyProxy:shop/own', resourceVersion: '9' },
    { kind: 'EnvoyProxy', namespace: 'shop', name: 'class', uid: 'EnvoyProxy:shop/class', resourceVersion: '1' },
    configMapRead('envoy-gateway-system'),
    CONTROLLER_ABSENT,
  ]);
});

test('what was read as absent is named without uid and version', () => {
  const verdict = judged(
    envoyHpa(),
    gatewayClass('eg', { proxy: 'shop/none' }),
    gateway('shop/web', { className: 'eg' }),
    config,
  );
  expect(verdict.restsOn).toContainEqual({ kind: 'EnvoyProxy', namespace: 'shop', name: 'none' });
  expect(judged(envoyHpa()).restsOn).toEqual([
    { kind: 'Gateway', namespace: 'shop', name: 'web' },
    { kind: 'Deployment', namespace: 'envoy-gateway-system', name: hashedNameOf('shop/web') },
  ]);
  expect(judged(envoyHpa(), gateway()).restsOn).toContainEqual({ kind: 'GatewayClass', name: 'eg' });
});

describe('the first row that fits wins', () => {
  /** One HPA that every row fits; each step takes away the topmost reason to keep it, so that the next row shows. */
  const labels = labelsOf('shop/web');
  const scaleTarget = { manager: 'argocd', operation: 'Apply', fieldsV1: { 'f:spec': { 'f:scaleTargetRef': {} } } };
  const everything = {
    labels: { ...labels, ...labelsOf('eg') } as Record<string, string>,
    applied: false,
    annotated: true,
    deletionTimestamp: '2026-01-02T00:00:00Z' as string | undefined,
    adopted: true,
    otherOwner: true,
    gateway: false,
    class: false,
    config: false,
    rejected: true,
    merges: true,
    asks: true,
    successor: true,
  };
  const clusterOf = (state: typeof everything): ClusterObject[] => [
    envoyHpa('shop/web', {
      metadata: {
        labels: state.labels,
        managedFields: [...(state.applied ? [appliedFields(labels)] : []), ...(state.adopted ? [scaleTarget] : [])],
        ...(state.annotated && keepAnnotation('true').metadata),
        ...(state.deletionTimestamp && { deletionTimestamp: state.deletionTimestamp }),
      },
    }),
    ...(state.otherOwner
      ? [
          gatewayClass('o', { controllerName: 'o' }),
          gateway('shop/o', { className: 'o', proxy: 'o' }),
          envoyProxy(
            'shop/o',
            autoscaling({
              name: hashedNameOf('shop/web'),
              patch: { value: { metadata: { namespace: 'envoy-gateway-system' } } },
            }),
          ),
          envoyGatewayConfig({ namespace: 'o', controllerName: 'o' }),
        ]
      : []),
    ...(state.gateway ? [gateway('shop/web', { accepted: !state.rejected })] : []),
    ...(state.class ? [gatewayClass('eg', { proxy: 'shop/class' })] : []),
    envoyProxy('shop/class', { ...(state.asks && autoscaling({ name: 'new' })), mergeGateways: state.merges }),
    ...(state.config ? [config] : []),
    ...(state.successor ? [envoyHpa('shop/web', { at: 'envoy-gateway-system/new' })] : []),
    running,
    controller({ version: 'v1.9.1' }),
  ];

  const steps: [change: Partial<typeof everything>, expected: string][] = [
    [{}, 'keep NotManagedByEnvoyGateway'],
    [{ applied: true }, 'keep AmbiguousOwner'],
    [{ labels }, 'keep Protected'],
    [{ annotated: false }, 'keep Terminating'],
    [{ deletionTimestamp: undefined }, 'keep Adopted'],
    [{ adopted: false }, WANTED],
    [{ otherOwner: false }, 'keep ScaleTargetStillRuns'], // The Gateway does not exist.
    [{ gateway: true }, 'keep ScaleTargetStillRuns'], // The class does not exist.
    [{ class: true }, 'keep DefaultsUnreadable'],
    [{ config: true }, 'keep ParametersUnresolved'],
    [{ rejected: false }, 'keep ScaleTargetStillRuns'], // Its class merges.
    [{ merges: false }, 'delete Renamed'],
    [{ successor: false }, WANTED],
    [{ asks: false }, REMOVED],
  ];
  test.each(steps.map(([, expected], index) => [index, expected] as const))('step %i: %s', (index, expected) => {
    const state = Object.assign({}, everything, ...steps.slice(0, index + 1).map(([change]) => change));
    expect(inShort(judged(...clusterOf(state)))).toBe(expected);
  });
});

test('the builder makes what is read of a saved List of the same cluster', () => {
  const objects = [
    envoyHpa(),
    envoyHpa('eg'),
    ...bareMerging,
    gateway('shop/api', { proxy: 'own' }),
    envoyProxy('shop/own', undefined),
    running,
  ];
  const fromList: Snapshot = snapshotOfList(JSON.parse(JSON.stringify(listOf(objects))));
  expect(snapshotOf(objects)).toMatchObject(fromList);
});
