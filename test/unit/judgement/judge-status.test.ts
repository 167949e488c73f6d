import { describe, expect, test } from 'vitest';
import type { Condition, EnvoyProxySpec } from '../../../functions/judgement/kubernetes-objects.ts';
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
  NOT_OBSERVED,
  namespaceMode,
  ownProxy,
  REMOVED,
  RENAMED,
  STILL_RUNS,
  shortVerdict,
  UNREADABLE,
  UNRESOLVED,
  WANTED,
  WEB,
  webRuns,
} from '../../builders/verdicts.ts';

/*
 * Envoy Gateway has not acted on what it has not seen: nothing is deleted beside a running Deployment because of a configuration
 * that it may not have seen.
 */

const v130 = controller({ version: 'v1.3.0' });
const v142 = controller({ version: 'v1.4.2' });
const v191 = controller({ version: 'v1.9.1' });
const unseen = { generation: 2, observed: 1 };
const ofGateway = (options: Parameters<typeof gateway>[1] = {}) => [gatewayClass(), gateway('shop/web', options)];
const ofClass = (options: Parameters<typeof gatewayClass>[1]) => [gatewayClass('eg', options), gateway()];

describe('a deletion because autoscaling was removed', () => {
  const condition = (type: string, status: string, observedGeneration?: number): Condition => {
    return { type, status, observedGeneration };
  };
  const seen = condition('Accepted', 'True', 3);
  const of3 = (...conditions: Condition[]) => ofGateway({ generation: 3, conditions });
  const olderThan3 = (name: string, seenGeneration = 2) =>
    `${name} is at generation 3, but its status is of generation ${seenGeneration}`;
  const silent = (name: string) => `no controller has written a status of ${name} yet`;
  const WEB_SILENT = silent('Gateway shop/web');
  const CLASS_SILENT = silent('GatewayClass eg');
  const WEB_OLDER = olderThan3('Gateway shop/web');
  const gatewayPending = ofGateway({ conditions: DEFAULT_CONDITIONS });
  const classPending = ofClass({ conditions: DEFAULT_CONDITIONS });

  test.each<[string, ClusterObject[], string | undefined]>([
    ['happens if every condition is of this generation', ofGateway({ generation: 3 }), undefined],
    ['waits for the Gateway', ofGateway({ generation: 3, observed: 2 }), WEB_OLDER],
    ['waits for the class', ofClass({ generation: 3, observed: 2 }), olderThan3('GatewayClass eg')],
    ['waits for a Gateway without status', ofGateway({ accepted: undefined }), WEB_SILENT],
    ['waits for a class without status', ofClass({ accepted: undefined }), CLASS_SILENT],
    ['waits for a Gateway with an empty status', [gatewayClass(), { ...gateway(), status: {} }], WEB_SILENT],
    ["waits for a Gateway with the CRD's default condition", gatewayPending, WEB_SILENT],
    ["waits for a class with the CRD's default condition", classPending, CLASS_SILENT],
    ['waits for a Gateway that is only Programmed', of3(condition('Programmed', 'True', 3)), WEB_SILENT],
    ['happens if a controller says Unknown', of3(condition('Accepted', 'Unknown', 3)), undefined],
    ['waits for a generation', of3(condition('Accepted', 'True')), olderThan3('Gateway shop/web', 0)],
    ['waits for the other condition', of3(seen, condition('Programmed', 'False', 2)), WEB_OLDER],
    ["ignores the CRD's default of the other condition", of3(seen, condition('Programmed', 'Unknown')), undefined],
    ["ignores somebody else's condition", of3(seen, condition('example.com/Audited', 'True', 1)), undefined],
    ['waits for the listeners', ofGateway({ generation: 3, listenersObserved: 2 }), WEB_OLDER],
  ])('%s', (_, owner, because) => {
    const verdict = judged(envoyHpa(), ...owner, config, v142, webRuns);
    expect(inShort(verdict)).toBe(because === undefined ? REMOVED : NOT_OBSERVED);
    const clause = because && `, but Envoy Gateway may not have seen that: ${because}`;
    expect(verdict.explanation).toBe(
      `Gateway shop/web asks for no autoscaling: no envoyHpa in the default in ConfigMap envoy-gateway-system/envoy-gateway-config${clause ?? ''}.`,
    );
  });

  test('waits for each Gateway of a merging class', () => {
    const cluster = [...classProxy(merging()), gateway(), gateway('shop/api', unseen), config, v142, egRuns];
    expect(shortVerdict(envoyHpa('eg'), ...cluster)).toBe(NOT_OBSERVED);
  });
});

describe('up to v1.3 Envoy Gateway does nothing while one of its classes is rejected for its parameters', () => {
  const rejected = gatewayClass('dangling', { accepted: false, proxy: 'shop/none' });
  const objects = [envoyHpa(), ...ofGateway(), config, webRuns] as const;
  test.each<[string, ClusterObject[], boolean]>([
    ['v1.3.0 may be stuck', [v130], true],
    ['an unknown version may be stuck', [controller()], true],
    ['v1.4.2 is not stuck', [v142], false],
    ['v2.0.0 is not stuck', [controller({ version: 'v2.0.0' })], false],
    ['v0.9.0 may be stuck', [controller({ version: 'v0.9.0' })], true],
  ])('%s', (_, installed, isStuck) => {
    expect(shortVerdict(...objects, ...installed)).toBe(REMOVED);
    expect(shortVerdict(...objects, ...installed, rejected)).toBe(isStuck ? NOT_OBSERVED : REMOVED);
  });

  const deleted = { metadata: { deletionTimestamp: CREATED } };
  const rejectedWithoutReason = { conditions: [{ type: 'Accepted', status: 'False', observedGeneration: 1 }] };
  test.each<[string, Parameters<typeof gatewayClass>[1], boolean]>([
    ['rejected without a reason stops it', rejectedWithoutReason, true],
    ['whose parametersRef leads nowhere stops it before its status says so', { proxy: 'shop/none' }, true],
    ['whose parametersRef leads to another kind stops it', { proxy: { kind: 'ConfigMap', name: 'p' } }, true],
    ['rejected for another reason does not stop it', { accepted: false, reason: 'UnsupportedVersion' }, false],
    ['of another controller does not stop it', { accepted: false, controllerName: 'other' }, false],
    ['without a status does not stop it', { accepted: undefined }, false],
    ['that it sees being deleted does not stop it', { proxy: 'shop/none', ...deleted }, false],
    ['that is being deleted, which it has not seen, may stop it', { proxy: 'shop/none', ...deleted, ...unseen }, true],
    ['that is being deleted, and rejected before, stops it', { accepted: false, ...deleted }, true],
  ])('a class %s', (_, options, isStuck) => {
    expect(shortVerdict(...objects, v130, gatewayClass('r', options))).toBe(isStuck ? NOT_OBSERVED : REMOVED);
  });

  test('the verdict names the class and the version, and what to do', () => {
    const which =
      'GatewayClass dangling is rejected for its parameters, which stops versions before v1.4 completely, and';
    const verdict = judged(...objects, v130, rejected);
    expect(verdict.explanation).toContain(`may not have seen that: ${which} v1.3.0 runs.`);
    expect(verdict.remedy).toBe('Fix the parametersRef of GatewayClass dangling, or delete that class.');
    expect(judged(...objects, rejected).explanation).toContain(`${which} the running version is not known.`);
    expect(judged(envoyHpa(), ...ofGateway(unseen), config, webRuns, v130).remedy).toBe(
      'If this lasts, check whether Envoy Gateway runs and watches that namespace, and read its log.',
    );
  });
});

describe('only the two deletions beside a running Deployment wait:', () => {
  const unseenClass = gatewayClass('eg', unseen);
  const named = [
    ...[...classProxy(autoscaling({ name: 'new' }), unseen), gateway(), config, v191, webRuns],
    envoyHpa('shop/web', { at: 'envoy-gateway-system/new' }),
  ];
  const rejected = [gatewayClass(), gateway('shop/web', { accepted: false, ...unseen }), config];
  const hashed = envoyHpa('shop/web', { at: `shop/${hashedNameOf('shop/web')}` });
  const plain = envoyHpa('shop/web', { at: 'shop/web' });
  const ofTwo = [plain, deployment('shop/web'), ...ownProxy(autoscaling()).slice(1), unseenClass, namespaceMode];
  test.each<[string, ClusterObject[], string]>([
    ['Renamed waits', [envoyHpa(), ...named], NOT_OBSERVED],
    ['GatewayDeleted', [envoyHpa(), unseenClass, config, v142], 'delete GatewayDeleted'],
    ['ScaleTargetGone', [envoyHpa(), ...rejected, v142], 'delete ScaleTargetGone'],
    ['Renamed of two names, with its Deployment gone', [hashed, ...ofTwo], RENAMED],
  ])('%s', (_, objects, expected) => {
    expect(shortVerdict(...objects)).toBe(expected);
  });
});

describe('the Deployment of Envoy Gateway', () => {
  const CONTROLLER = 'envoy-gateway-system/envoy-gateway';
  const controllerRead = { kind: 'Deployment', namespace: 'envoy-gateway-system', name: 'envoy-gateway' };
  const controllerFound = { ...controllerRead, uid: `Deployment:${CONTROLLER}`, generation: 1 };
  const objects = [envoyHpa(), ...ofGateway(), config, webRuns] as const;

  test('is read before a deletion: until then the HPA stays', () => {
    const verdict = judgedWith(new Map(), ...objects);
    expect([inShort(verdict), verdict.needsDeployments]).toEqual([NOT_OBSERVED, [CONTROLLER]]);
    expect(verdict.explanation).toContain(`may not have seen that: Deployment ${CONTROLLER} was not read.`);
    expect(verdict.remedy).toBe('Run the sweep again.');
    const none = judgedWith(new Map([[CONTROLLER, null]]), ...objects);
    expect([inShort(none), none.needsDeployments]).toEqual([REMOVED, []]);
  });

  test('is not read for an HPA that stays anyway', () => {
    const verdict = judgedWith(new Map(), envoyHpa(), ...ofGateway(), byDefault(autoscaling()));
    expect([inShort(verdict), verdict.needsDeployments]).toEqual([WANTED, []]);
  });

  test('is read for each installation that may serve the class, and the verdict rests on what each of them rests on', () => {
    const configs = [envoyGatewayConfig({ namespace: 'second' }), gatewayClass('r', { accepted: false })];
    const both = [...objects, ...configs] as const;
    const inSecond = (version: string) => controller({ namespace: 'second', version });
    expect(shortVerdict(...both, v142, inSecond('v1.3.0'))).toBe(NOT_OBSERVED);
    const verdict = judged(...both, v142, inSecond('v1.9.1'));
    const ofInstallations = ['ConfigMap', 'Deployment'].flatMap((kind) => [
      [kind, 'envoy-gateway-system'],
      [kind, 'second'],
    ]);
    expect(verdict.restsOn.map(({ kind, namespace }) => [kind, namespace])).toEqual([
      ...[['Gateway', 'shop'], ['GatewayClass', undefined], ...ofInstallations],
    ]);
    expect(inShort(verdict)).toBe(REMOVED);
    const unread = judgedWith(new Map([[CONTROLLER, v142]]), ...both, v142);
    expect([inShort(unread), unread.needsDeployments]).toEqual([NOT_OBSERVED, ['second/envoy-gateway']]);
  });

  const custom = controller({ version: 'v1.9.1', configMap: 'custom' });
  const proxy = [gateway('shop/web', { proxy: 'own' }), envoyProxy('shop/own', NO_AUTOSCALING), gatewayClass()];
  test.each<[string, ClusterObject[], string]>([
    ['deletes once its Deployment is gone', [...proxy, config], 'delete GatewayNotManaged'],
    ['keeps although the unused ConfigMap asks', [...ofGateway(), byDefault(autoscaling()), webRuns], UNREADABLE],
  ])('that mounts another ConfigMap %s', (_, cluster, expected) => {
    const verdict = judged(envoyHpa(), ...cluster, custom);
    expect(inShort(verdict)).toBe(expected);
    const says = 'Envoy Gateway in envoy-gateway-system reads ConfigMap custom and not envoy-gateway-config';
    expect(verdict.explanation.startsWith(says)).toBe(true);
    if (verdict.action === 'delete') expect(verdict.restsOn).toContainEqual(controllerFound);
  });
});

describe('a Gateway that is not accepted', () => {
  const ofBackend = (what: string) =>
    `Invalid ${what} backendRefs in the referenced EnvoyProxy: Service shop/collector not found.`;
  test.each<[string, reason: string, message: string, hasProxy: boolean]>([
    ['because of its listeners has its EnvoyProxy', 'ListenersNotValid', '', true],
    ['because of its address has its EnvoyProxy', 'UnsupportedAddress', '', true],
    ['because of its parameters has none', 'InvalidParameters', '', false],
    ['for an unknown reason may have none', 'SomethingNew', '', false],
    ['because of the backend of its access log has it', 'InvalidParameters', ofBackend('access log'), true],
    ['because of the backend of its tracing has it', 'InvalidParameters', ofBackend('tracing'), true],
    ['because of the backend of its metrics has it', 'InvalidParameters', ofBackend('metrics'), true],
  ])('%s', (_, reason, message, hasProxy) => {
    const accepted = { type: 'Accepted', status: 'False', observedGeneration: 1, reason, message };
    const cluster = [gatewayClass(), gateway('shop/web', { conditions: [accepted] }), v191, webRuns];
    expect(shortVerdict(envoyHpa(), ...cluster, config)).toBe(hasProxy ? REMOVED : UNRESOLVED);
    expect(shortVerdict(envoyHpa(), ...cluster, byDefault(autoscaling()))).toBe(hasProxy ? WANTED : UNRESOLVED);
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
    version?: string;
    reference?: string;
    classReference?: string;
  }
  const cluster = (options: Options) => {
    const defaults = {
      own: NO_AUTOSCALING,
      ofClass: {},
      version: 'v1.9.1',
      reference: 'own',
      classReference: 'shop/class',
    };
    const { own, ofClass, version, reference, classReference }: Options = { ...defaults, ...options };
    return [
      envoyHpa(),
      gatewayClass('eg', { accepted: false, proxy: classReference }),
      gateway('shop/web', { proxy: reference }),
      ...[envoyProxy('shop/own', own), envoyProxy('shop/class', ofClass), config],
      ...[controller({ version }), webRuns],
    ];
  };

  test.each<[string, Options, string]>([
    ['is served in full by v1.9.1', {}, REMOVED],
    ['is served in full by v1.7.0', { version: 'v1.7.0' }, REMOVED],
    ['may have the EnvoyProxy of the class in v1.6.3', { version: 'v1.6.3' }, UNRESOLVED],
    ['may have the EnvoyProxy of the class in an unknown version', { version: undefined }, UNRESOLVED],
    ['is served with mergeType Replace', { own: { ...NO_AUTOSCALING, mergeType: 'Replace' } }, REMOVED],
    ['is not served with another mergeType', { own: { ...NO_AUTOSCALING, mergeType: 'JSONMerge' } }, UNRESOLVED],
    ['is not served without an EnvoyProxy of its own', { reference: undefined }, UNRESOLVED],
    ['is not served if its own parametersRef leads nowhere', { reference: 'none' }, UNRESOLVED],
    ["is served if the class's parametersRef leads nowhere", { classReference: 'shop/none' }, REMOVED],
    ['is not served if the class is rejected for something else', { classReference: undefined }, UNRESOLVED],
    ['is not served if the class merges', { ofClass: merging() }, UNRESOLVED],
  ])('%s', (_, options, expected) => {
    expect(shortVerdict(...cluster(options))).toBe(expected);
  });

  test('has an empty EnvoyProxy if none of them has a spec', () => {
    const objects = cluster({}).map((object) => (object.kind === 'EnvoyProxy' ? { ...object, spec: null } : object));
    expect(shortVerdict(...(objects as ReturnType<typeof cluster>))).toBe(REMOVED);
  });

  test('depends on the version: the verdict asks for the Deployment that names it', () => {
    const onlyWeb = new Map([[WEB, webRuns]]);
    const unread = judgedWith(onlyWeb, ...cluster({}));
    expect([inShort(unread), unread.needsDeployments]).toEqual([UNRESOLVED, ['envoy-gateway-system/envoy-gateway']]);
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
  ])('%s', (_, mergeType, deployments, expected) => {
    const proxies = [envoyProxy('shop/own', patched(mergeType)), ...classProxy(patched())];
    const verdict = judged(envoyHpa(), gateway('shop/web', { proxy: 'own' }), ...proxies, config, v191, ...deployments);
    expect(inShort(verdict)).toBe(expected);
    const says = 'cannot merge the EnvoyProxies of Gateway shop/web (both have envoyDeployment.patch.value.metadata)';
    expect(verdict.explanation.includes(says)).toBe(mergeType === 'StrategicMerge');
  });
});

describe('an effective envoyDaemonSet', () => {
  const daemonSet = (others = {}): EnvoyProxySpec => ({ provider: { kubernetes: { envoyDaemonSet: {}, ...others } } });
  const hpa = { envoyHpa: {} };
  const merge = { mergeType: 'StrategicMerge' } as const;
  const GONE = 'delete ScaleTargetGone';
  const cluster = (own: EnvoyProxySpec, ofClass: EnvoyProxySpec = {}, ...deployments: ClusterObject[]) => {
    const proxies = [envoyProxy('shop/own', own), ...classProxy(ofClass)];
    return judged(envoyHpa(), gateway('shop/web', { proxy: 'own' }), ...proxies, config, v191, ...deployments);
  };

  test.each<[string, EnvoyProxySpec, EnvoyProxySpec | undefined, string, string]>([
    ['without envoyDeployment wants no HPA', daemonSet(), undefined, GONE, STILL_RUNS],
    ['of the class wants none', merge, daemonSet(hpa), GONE, STILL_RUNS],
    ['lets envoyDeployment have an HPA', daemonSet({ envoyDeployment: {}, ...hpa }), undefined, WANTED, WANTED],
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
