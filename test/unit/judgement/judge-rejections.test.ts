import { describe, expect, test } from 'vitest';
import type { EnvoyProxySpec } from '../../../functions/judgement/kubernetes-objects.ts';
import {
  autoscaling,
  type ClusterObject,
  controller,
  envoyGatewayConfig,
  envoyHpa,
  envoyProxy,
  gateway,
  gatewayClass,
} from '../../builders/cluster.ts';
import {
  byDefault,
  classProxy,
  config,
  egRuns,
  inShort,
  judged,
  judgedWith,
  merging,
  NO_AUTOSCALING,
  REMOVED,
  STILL_RUNS,
  shortVerdict,
  UNRESOLVED,
  WANTED,
  WEB,
  webRuns,
} from '../../builders/verdicts.ts';

const v191 = controller({ version: 'v1.9.1' });

describe('a Gateway that is not accepted', () => {
  test.each<[string, string | undefined, string, string]>([
    ['because of its listeners has its EnvoyProxy', 'ListenersNotValid', REMOVED, WANTED],
    ['because of its address has its EnvoyProxy', 'UnsupportedAddress', REMOVED, WANTED],
    ['because of its parameters has none', 'InvalidParameters', UNRESOLVED, UNRESOLVED],
    ['for an unknown reason may have none', 'SomethingNew', UNRESOLVED, UNRESOLVED],
    ['for no reason may have none', undefined, UNRESOLVED, UNRESOLVED],
  ])('%s', (_, reason, withoutHpa, withHpa) => {
    const accepted = { type: 'Accepted', status: 'False', observedGeneration: 1, reason };
    const cluster = [gatewayClass(), gateway('shop/web', { conditions: [accepted] }), v191, webRuns];
    expect(shortVerdict(envoyHpa(), ...cluster, config)).toBe(withoutHpa);
    expect(shortVerdict(envoyHpa(), ...cluster, byDefault(autoscaling()))).toBe(withHpa);
  });

  test('because of its listeners is enough for its merging class', () => {
    const rejected = gateway('shop/web', { accepted: false });
    const cluster = [...classProxy(merging()), rejected, config, v191, egRuns];
    const other = (reason: string) => gateway('shop/api', { accepted: false, reason });
    expect(shortVerdict(envoyHpa('eg'), ...cluster, other('ListenersNotValid'))).toBe(REMOVED);
    expect(shortVerdict(envoyHpa('eg'), ...cluster, other('InvalidParameters'))).toBe(UNRESOLVED);
  });
});

describe('a Gateway of a rejected class whose own EnvoyProxy replaces that of the class', () => {
  interface Options {
    own?: EnvoyProxySpec;
    ofClass?: EnvoyProxySpec;
    defaultProxy?: EnvoyProxySpec;
    version?: string;
    reference?: string;
    classReference?: string;
    accepted?: boolean;
  }
  const cluster = (options: Options) => {
    const { own = NO_AUTOSCALING, ofClass = {}, defaultProxy, version, accepted = true }: Options = options;
    const { reference, classReference } = { reference: 'own', classReference: 'shop/class', ...options };
    return [
      envoyHpa(),
      gatewayClass('eg', { accepted: false, proxy: classReference }),
      gateway('shop/web', { proxy: reference, accepted }),
      envoyProxy('shop/own', own),
      envoyProxy('shop/class', ofClass),
      envoyGatewayConfig({ envoyProxy: defaultProxy }),
      controller({ version: 'version' in options ? version : 'v1.9.1' }),
      webRuns,
    ];
  };
  const merge = (mergeType: EnvoyProxySpec['mergeType']) => ({ own: { ...NO_AUTOSCALING, mergeType } });

  test.each<[string, Options, string]>([
    ['is served in full by v1.9.1', {}, REMOVED],
    ['is served in full by v1.9.1, and asks', { own: autoscaling() }, WANTED],
    ['is served in full by v1.7.0', { version: 'v1.7.0' }, REMOVED],
    ['is served in full by v2.0.0', { version: 'v2.0.0' }, REMOVED],
    ['may have the EnvoyProxy of the class in v1.6.3', { version: 'v1.6.3' }, UNRESOLVED],
    ['may have the EnvoyProxy of the class in v1.4.2', { version: 'v1.4.2' }, UNRESOLVED],
    ['may have the EnvoyProxy of the class in an unknown version', { version: undefined }, UNRESOLVED],
    ['is served with mergeType Replace', merge('Replace'), REMOVED],
    ['is served with mergeType null', merge(null), REMOVED],
    ['is not served with mergeType StrategicMerge', merge('StrategicMerge'), UNRESOLVED],
    ['is not served with mergeType JSONMerge', merge('JSONMerge'), UNRESOLVED],
    ['is not served without an EnvoyProxy of its own', { reference: undefined }, UNRESOLVED],
    ['is not served if its own parametersRef leads nowhere', { reference: 'none' }, UNRESOLVED],
    ["is served if the class's parametersRef leads nowhere", { classReference: 'shop/none' }, REMOVED],
    ['is not served by v1.6.3 then', { classReference: 'shop/none', version: 'v1.6.3' }, UNRESOLVED],
    ['is not served if the class is rejected for something else', { classReference: undefined }, UNRESOLVED],
    ['is not served if the class merges', { ofClass: merging() }, UNRESOLVED],
    ['is not served if the default merges', { defaultProxy: merging() }, UNRESOLVED],
    ['is not served if it is itself rejected', { accepted: false }, UNRESOLVED],
  ])('%s', (_, options, expected) => {
    expect(shortVerdict(...cluster(options))).toBe(expected);
  });

  test('depends on the version: the verdict asks for the Deployment that names it, and rests on it', () => {
    const onlyWeb = new Map([[WEB, webRuns]]);
    const unread = judgedWith(onlyWeb, ...cluster({}));
    expect([inShort(unread), unread.needsDeployments]).toEqual([UNRESOLVED, ['envoy-gateway-system/envoy-gateway']]);
    const controllerRead = { kind: 'Deployment', name: 'envoy-gateway', generation: 1 };
    expect(judged(...cluster({})).restsOn.at(-1)).toMatchObject(controllerRead);
    expect(judgedWith(onlyWeb, ...cluster({ reference: undefined })).needsDeployments).toEqual([]);
  });
});

describe('a merge that Envoy Gateway cannot do leaves the Gateway without an EnvoyProxy:', () => {
  const patched = (mergeType?: EnvoyProxySpec['mergeType']): EnvoyProxySpec => ({
    mergeType,
    provider: { kubernetes: { envoyDeployment: { patch: { value: { metadata: { labels: {} } } } } } },
  });
  test.each<[string, EnvoyProxySpec['mergeType'], ClusterObject[], string]>([
    ['StrategicMerge of two patches fails', 'StrategicMerge', [webRuns], UNRESOLVED],
    ['once its Deployment is gone, the HPA goes', 'StrategicMerge', [], 'delete ScaleTargetGone'],
    ['JSONMerge succeeds', 'JSONMerge', [webRuns], REMOVED],
    ['Replace needs no merge', 'Replace', [webRuns], REMOVED],
  ])('%s', (_, mergeType, deployments, expected) => {
    const proxies = [envoyProxy('shop/own', patched(mergeType)), ...classProxy(patched())];
    const verdict = judged(envoyHpa(), gateway('shop/web', { proxy: 'own' }), ...proxies, config, v191, ...deployments);
    expect(inShort(verdict)).toBe(expected);
    const says = 'cannot merge the EnvoyProxies of Gateway shop/web (both have envoyDeployment.patch.value.metadata)';
    expect(verdict.explanation.includes(says)).toBe(mergeType === 'StrategicMerge');
  });

  test('that of a merging class with the default fails too', () => {
    const cluster = [...classProxy(merging(patched('StrategicMerge'))), gateway(), byDefault(patched()), v191, egRuns];
    expect(judged(envoyHpa('eg'), ...cluster).explanation).toContain('EnvoyProxies of GatewayClass eg');
  });
});

describe('an effective envoyDaemonSet', () => {
  const daemonSet = (others = {}): EnvoyProxySpec => ({ provider: { kubernetes: { envoyDaemonSet: {}, ...others } } });
  const hpa = { envoyHpa: { minReplicas: 2, maxReplicas: 5 } };
  const merge = { mergeType: 'StrategicMerge' } as const;
  const GONE = 'delete ScaleTargetGone';
  const none: EnvoyProxySpec = { provider: { kubernetes: { envoyDaemonSet: null } } };
  const cluster = (own: EnvoyProxySpec, ofClass: EnvoyProxySpec = {}, ...deployments: ClusterObject[]) => {
    const proxies = [envoyProxy('shop/own', own), ...classProxy(ofClass)];
    return judged(envoyHpa(), gateway('shop/web', { proxy: 'own' }), ...proxies, config, v191, ...deployments);
  };

  test.each<[string, EnvoyProxySpec, EnvoyProxySpec | undefined, string, string]>([
    ['without envoyDeployment wants no HPA', daemonSet(), undefined, GONE, STILL_RUNS],
    ['wants none beside envoyHpa', daemonSet(hpa), undefined, GONE, STILL_RUNS],
    ['wants none over a class that asks', { ...daemonSet(), ...merge }, autoscaling(), GONE, STILL_RUNS],
    ['of the class wants none', merge, daemonSet(hpa), GONE, STILL_RUNS],
    ['does not count beside envoyDeployment', daemonSet({ envoyDeployment: {} }), undefined, REMOVED, REMOVED],
    ['lets envoyDeployment have an HPA', daemonSet({ envoyDeployment: {}, ...hpa }), undefined, WANTED, WANTED],
    ['that is null is none', none, undefined, REMOVED, REMOVED],
  ])('%s', (_, own, ofClass, ifGone, ifRunning) => {
    expect(inShort(cluster(own, ofClass))).toBe(ifGone);
    expect(inShort(cluster(own, ofClass, webRuns))).toBe(ifRunning);
  });

  test('is named with its source', () => {
    expect(cluster({ ...daemonSet(), ...merge }, autoscaling(), webRuns).explanation).toContain(
      'Gateway shop/web runs as a DaemonSet according to EnvoyProxy shop/own over EnvoyProxy shop/class, but Deployment',
    );
  });
});

describe('a Deployment that still runs although its owner is gone comes with a remedy', () => {
  const merges = [gatewayClass('eg', { proxy: 'shop/m' }), envoyProxy('shop/m', merging()), gateway()];
  const target = { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'x' };
  test.each<[string, ClusterObject[], string, boolean]>([
    ['if the Gateway is gone', [envoyHpa(), gatewayClass(), webRuns], STILL_RUNS, true],
    ['if the class is gone', [envoyHpa(), gateway(), webRuns], STILL_RUNS, true],
    ['but not if the Deployment is gone as well', [envoyHpa(), gatewayClass()], 'delete GatewayDeleted', false],
    ['but not if the class merges: Envoy Gateway will remove it', [envoyHpa(), ...merges, webRuns], STILL_RUNS, false],
    ['but not if it is no Deployment', [envoyHpa('shop/web', { target }), gatewayClass()], STILL_RUNS, false],
  ])('%s', (_, objects, expected, hasRemedy) => {
    const verdict = judged(...objects, config);
    const remedy =
      `Envoy Gateway removes Deployment ${WEB} too, unless it was down when the owner was deleted. ` +
      'If nothing uses the Deployment anymore, delete it, and the next sweep deletes the HPA.';
    expect([inShort(verdict), verdict.remedy]).toEqual([expected, hasRemedy ? remedy : undefined]);
  });
});
