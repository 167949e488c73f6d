import { describe, expect, test } from 'vitest';
import { judge } from '../../../functions/judgement/judge.ts';
import type { Condition, EnvoyProxySpec } from '../../../functions/judgement/kubernetes-objects.ts';
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
import { inShort, judged, merging, NO_AUTOSCALING, REMOVED, WANTED } from '../../builders/verdicts.ts';

const UNRESOLVED = 'keep ParametersUnresolved';
const CONTROLLER = 'envoy-gateway-system/envoy-gateway';
const running = deployment(`envoy-gateway-system/${hashedNameOf('shop/web')}`);
const classRunning = deployment(`envoy-gateway-system/${hashedNameOf('eg')}`);
const config = envoyGatewayConfig();
const installed = (version?: string) => controller({ version });

describe('a Gateway that is not accepted', () => {
  const notAccepted = (reason: string | undefined): Condition => ({
    ...{ type: 'Accepted', status: 'False', observedGeneration: 1 },
    reason,
  });
  test.each<[string, string | undefined, string, string]>([
    ['ListenersNotValid says nothing about its EnvoyProxy', 'ListenersNotValid', REMOVED, WANTED],
    ['UnsupportedAddress says nothing about its EnvoyProxy', 'UnsupportedAddress', REMOVED, WANTED],
    ['InvalidParameters', 'InvalidParameters', UNRESOLVED, UNRESOLVED],
    ['a reason that is not known', 'SomethingNew', UNRESOLVED, UNRESOLVED],
    ['no reason', undefined, UNRESOLVED, UNRESOLVED],
  ])('%s', (_, reason, withoutHpa, withHpa) => {
    const rejected = gateway('shop/web', { conditions: [notAccepted(reason)] });
    const cluster = [envoyHpa(), gatewayClass(), rejected, installed('v1.9.1'), running];
    expect(inShort(judged(...cluster, config))).toBe(withoutHpa);
    expect(inShort(judged(...cluster, envoyGatewayConfig({ envoyProxy: autoscaling() })))).toBe(withHpa);
  });

  test('of a merging class one is enough that is rejected for its listeners only', () => {
    const cluster = (reason: string) => [
      envoyHpa('eg'),
      gatewayClass('eg', { proxy: 'shop/class' }),
      envoyProxy('shop/class', merging()),
      gateway('shop/web', { accepted: false }),
      gateway('shop/api', { accepted: false, reason }),
      ...[config, installed('v1.9.1'), classRunning],
    ];
    expect(inShort(judged(...cluster('ListenersNotValid')))).toBe(REMOVED);
    expect(inShort(judged(...cluster('InvalidParameters')))).toBe(UNRESOLVED);
  });
});

describe('a rejected class, and a Gateway whose own EnvoyProxy replaces that of the class', () => {
  const cluster = ({
    own = NO_AUTOSCALING,
    ofClass = {},
    defaultProxy,
    version = 'v1.9.1',
    reference = 'own',
    classReference = 'shop/class',
  }: {
    own?: EnvoyProxySpec;
    ofClass?: EnvoyProxySpec;
    defaultProxy?: EnvoyProxySpec;
    version?: string;
    reference?: string | null;
    classReference?: string | null;
  }) => [
    envoyHpa(),
    gatewayClass('eg', { accepted: false, proxy: classReference ?? undefined }),
    gateway('shop/web', { proxy: reference ?? undefined }),
    envoyProxy('shop/own', own),
    envoyProxy('shop/class', ofClass),
    envoyGatewayConfig({ envoyProxy: defaultProxy }),
    controller(version === 'unknown' ? {} : { version }),
    running,
  ];

  test.each<[string, Parameters<typeof cluster>[0], string]>([
    ['v1.9.1 serves it in full', {}, REMOVED],
    ['v1.9.1 serves it in full: and it asks', { own: autoscaling() }, WANTED],
    ['v1.7.0', { version: 'v1.7.0' }, REMOVED],
    ['v2.0.0', { version: 'v2.0.0' }, REMOVED],
    ['v1.6.3: the class can be rejected while its EnvoyProxy is in force', { version: 'v1.6.3' }, UNRESOLVED],
    ['v1.4.2', { version: 'v1.4.2' }, UNRESOLVED],
    ['an unknown version', { version: 'unknown' }, UNRESOLVED],
    ['mergeType Replace', { own: { ...NO_AUTOSCALING, mergeType: 'Replace' } }, REMOVED],
    ['mergeType null', { own: { ...NO_AUTOSCALING, mergeType: null } }, REMOVED],
    ['mergeType StrategicMerge', { own: { ...NO_AUTOSCALING, mergeType: 'StrategicMerge' } }, UNRESOLVED],
    ['mergeType JSONMerge', { own: { ...NO_AUTOSCALING, mergeType: 'JSONMerge' } }, UNRESOLVED],
    ['it has no EnvoyProxy of its own', { reference: null }, UNRESOLVED],
    ['its own parametersRef leads nowhere', { reference: 'none' }, UNRESOLVED],
    ["the class's parametersRef leads nowhere", { classReference: 'shop/none' }, REMOVED],
    [
      "the class's parametersRef leads nowhere, under v1.6.3",
      { classReference: 'shop/none', version: 'v1.6.3' },
      UNRESOLVED,
    ],
    ['the class has no parametersRef: it is rejected for something else', { classReference: null }, UNRESOLVED],
    ['the class merges', { ofClass: merging() }, UNRESOLVED],
    ['the default merges', { defaultProxy: merging() }, UNRESOLVED],
  ])('%s', (_, options, expected) => {
    expect(inShort(judged(...cluster(options)))).toBe(expected);
  });

  test("asks for Envoy Gateway's Deployment, and rests on it", () => {
    const snapshot = snapshotOf(cluster({}));
    const [unread] = judge({
      ...snapshot,
      deployments: new Map([[`envoy-gateway-system/${hashedNameOf('shop/web')}`, running]]),
    });
    expect(unread).toMatchObject({ reason: 'ParametersUnresolved', needsDeployments: [CONTROLLER] });
    expect(judge(snapshot)[0]?.restsOn.at(-1)).toMatchObject({
      kind: 'Deployment',
      name: 'envoy-gateway',
      generation: 1,
    });
  });

  test('where the version does not matter, it is not asked for', () => {
    const snapshot = snapshotOf(cluster({ reference: null }));
    const [unread] = judge({
      ...snapshot,
      deployments: new Map([[`envoy-gateway-system/${hashedNameOf('shop/web')}`, running]]),
    });
    expect(unread).toMatchObject({ reason: 'ParametersUnresolved', needsDeployments: [] });
  });

  test('it is still rejected if its own condition says so', () => {
    const objects = cluster({}).map((object) =>
      object.kind === 'Gateway' ? gateway('shop/web', { proxy: 'own', accepted: false }) : object,
    );
    expect(judged(...objects).explanation).toContain('Gateway shop/web is not accepted');
  });
});

describe('a merge that Envoy Gateway cannot do gives the Gateway no EnvoyProxy at all', () => {
  const patched = (mergeType?: EnvoyProxySpec['mergeType']): EnvoyProxySpec => ({
    mergeType,
    provider: { kubernetes: { envoyDeployment: { patch: { value: { metadata: { labels: {} } } } } } },
  });
  const says =
    'Envoy Gateway cannot merge the EnvoyProxies of Gateway shop/web (both have envoyDeployment.patch.value.metadata)';
  const cluster = (mergeType: EnvoyProxySpec['mergeType'], ...deployments: ClusterObject[]) =>
    judged(
      envoyHpa(),
      gatewayClass('eg', { proxy: 'shop/class' }),
      gateway('shop/web', { proxy: 'own' }),
      envoyProxy('shop/own', patched(mergeType)),
      envoyProxy('shop/class', patched()),
      ...[config, installed('v1.9.1'), ...deployments],
    );
  test.each<[string, EnvoyProxySpec['mergeType'], ClusterObject[], string]>([
    ['StrategicMerge', 'StrategicMerge', [running], UNRESOLVED],
    ['StrategicMerge, and the Deployment is gone', 'StrategicMerge', [], 'delete ScaleTargetGone'],
    ['JSONMerge can', 'JSONMerge', [running], REMOVED],
    ['Replace needs none', 'Replace', [running], REMOVED],
  ])('%s', (_, mergeType, deployments, expected) => {
    const verdict = cluster(mergeType, ...deployments);
    expect(inShort(verdict)).toBe(expected);
    expect(verdict.explanation.startsWith(says)).toBe(mergeType === 'StrategicMerge');
  });

  test('of a merging class, with the default', () => {
    const verdict = judged(
      envoyHpa('eg'),
      gatewayClass('eg', { proxy: 'shop/class' }),
      gateway(),
      envoyProxy('shop/class', merging(patched('StrategicMerge'))),
      envoyGatewayConfig({ envoyProxy: patched() }),
      ...[installed('v1.9.1'), classRunning],
    );
    expect(inShort(verdict)).toBe(UNRESOLVED);
    expect(verdict.explanation).toContain('cannot merge the EnvoyProxies of GatewayClass eg');
  });
});

describe('an effective envoyDaemonSet', () => {
  const daemonSet = (others = {}, spec: EnvoyProxySpec = {}): EnvoyProxySpec => ({
    ...spec,
    provider: { type: 'Kubernetes', kubernetes: { envoyDaemonSet: {}, ...others } },
  });
  const hpa = { envoyHpa: { minReplicas: 2, maxReplicas: 5 } };
  const cluster = (own: EnvoyProxySpec, ofClass: EnvoyProxySpec | undefined, ...deployments: ClusterObject[]) =>
    judged(
      envoyHpa(),
      gatewayClass('eg', { proxy: ofClass && 'shop/class' }),
      gateway('shop/web', { proxy: 'own' }),
      envoyProxy('shop/own', own),
      ...(ofClass ? [envoyProxy('shop/class', ofClass)] : []),
      ...[config, installed('v1.9.1'), ...deployments],
    );
  const merge = { mergeType: 'StrategicMerge' } as const;

  test.each<[string, EnvoyProxySpec, EnvoyProxySpec | undefined, string, string]>([
    [
      'without envoyDeployment wants no HPA',
      daemonSet(),
      undefined,
      'delete ScaleTargetGone',
      'keep ScaleTargetStillRuns',
    ],
    ['beside envoyHpa', daemonSet(hpa), undefined, 'delete ScaleTargetGone', 'keep ScaleTargetStillRuns'],
    [
      'over a class that asks',
      daemonSet({}, merge),
      autoscaling(),
      'delete ScaleTargetGone',
      'keep ScaleTargetStillRuns',
    ],
    ['of the class', merge, daemonSet(hpa), 'delete ScaleTargetGone', 'keep ScaleTargetStillRuns'],
    ['beside envoyDeployment', daemonSet({ envoyDeployment: {} }), undefined, REMOVED, REMOVED],
    ['beside envoyDeployment and envoyHpa', daemonSet({ envoyDeployment: {}, ...hpa }), undefined, WANTED, WANTED],
    ['null is none', { provider: { kubernetes: { envoyDaemonSet: null } } }, undefined, REMOVED, REMOVED],
  ])('%s', (_, own, ofClass, ifGone, ifRunning) => {
    expect(inShort(cluster(own, ofClass))).toBe(ifGone);
    expect(inShort(cluster(own, ofClass, running))).toBe(ifRunning);
  });

  test('says so', () => {
    expect(cluster(daemonSet({}, merge), autoscaling(), running).explanation).toContain(
      'Gateway shop/web runs as a DaemonSet according to EnvoyProxy shop/own over EnvoyProxy shop/class, but Deployment',
    );
  });
});

describe('what lasts although its owner is gone comes with what to do', () => {
  const remedy = (place: string) =>
    `Envoy Gateway removes Deployment ${place} too, unless it was down when the owner was deleted. ` +
    'If nothing uses the Deployment anymore, delete it, and the next sweep deletes the HPA.';
  const place = `envoy-gateway-system/${hashedNameOf('shop/web')}`;

  test.each<[string, ClusterObject[], string, string | undefined]>([
    ['the Gateway is gone', [gatewayClass(), config, running], 'keep ScaleTargetStillRuns', remedy(place)],
    ['the class is gone', [gateway(), config, running], 'keep ScaleTargetStillRuns', remedy(place)],
    ['the Deployment is gone as well', [gatewayClass(), config], 'delete GatewayDeleted', undefined],
    [
      'the class merges: Envoy Gateway removes the Deployment when it looks',
      [gatewayClass('eg', { proxy: 'shop/m' }), envoyProxy('shop/m', merging()), gateway(), config, running],
      'keep ScaleTargetStillRuns',
      undefined,
    ],
  ])('%s', (_, objects, expected, told) => {
    const verdict = judged(envoyHpa(), ...objects);
    expect([inShort(verdict), verdict.remedy]).toEqual([expected, told]);
  });

  test('not for an HPA that scales something else', () => {
    const target = { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'x' };
    const verdict = judged(envoyHpa('shop/web', { target }), gatewayClass(), config);
    expect([inShort(verdict), verdict.remedy]).toEqual(['keep ScaleTargetStillRuns', undefined]);
  });
});
