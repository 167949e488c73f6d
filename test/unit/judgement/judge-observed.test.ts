import { describe, expect, test } from 'vitest';
import { judge } from '../../../functions/judgement/judge.ts';
import type { Condition, Deployment } from '../../../functions/judgement/kubernetes-objects.ts';
import {
  autoscaling,
  type ClusterObject,
  controller,
  DEFAULT_CONDITIONS,
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

/*
 * What Envoy Gateway has not seen it has not acted on: nothing is deleted beside a running Deployment for a configuration that
 * it may not have looked at.
 */

const NOT_OBSERVED = 'keep NotObserved';
const running = deployment(`envoy-gateway-system/${hashedNameOf('shop/web')}`);
const classRunning = deployment(`envoy-gateway-system/${hashedNameOf('eg')}`);
const config = envoyGatewayConfig();
const v142 = controller({ version: 'v1.4.2' });

type GatewayOptions = Parameters<typeof gateway>[1];
type ClassOptions = Parameters<typeof gatewayClass>[1];
const ofGateway = (options: GatewayOptions) => [gatewayClass(), gateway('shop/web', options)];
const ofClass = (options: ClassOptions) => [gatewayClass('eg', options), gateway()];

describe('a deletion because autoscaling was removed waits for Envoy Gateway to see', () => {
  const condition = (type: string, status: string, observedGeneration?: number): Condition => ({
    ...{ type, status },
    observedGeneration,
  });
  const seen = condition('Accepted', 'True', 3);
  const of3 = (...conditions: Condition[]) => ({ generation: 3, conditions });

  test.each<[string, ClusterObject[], string | undefined]>([
    ['all of this generation', ofGateway({ generation: 3 }), undefined],
    [
      'the Gateway',
      ofGateway({ generation: 3, observed: 2 }),
      'Gateway shop/web is at generation 3, but its status is of generation 2',
    ],
    [
      'the class',
      ofClass({ generation: 3, observed: 2 }),
      'GatewayClass eg is at generation 3, but its status is of generation 2',
    ],
    ['a Gateway that no longer is what was seen', ofGateway({ generation: 2, observed: 3 }), undefined],
    [
      'a Gateway without conditions',
      ofGateway({ accepted: undefined }),
      'no controller has written a status of Gateway shop/web yet',
    ],
    [
      'a class without conditions',
      ofClass({ accepted: undefined }),
      'no controller has written a status of GatewayClass eg yet',
    ],
    [
      'a Gateway with no condition at all',
      ofGateway({ conditions: [] }),
      'no controller has written a status of Gateway shop/web yet',
    ],
    [
      "a Gateway with the CRD's default condition",
      ofGateway({ conditions: DEFAULT_CONDITIONS }),
      'no controller has written a status of Gateway shop/web yet',
    ],
    [
      "a class with the CRD's default condition",
      ofClass({ conditions: DEFAULT_CONDITIONS }),
      'no controller has written a status of GatewayClass eg yet',
    ],
    [
      'a Gateway that is only Programmed',
      ofGateway(of3(condition('Programmed', 'True', 3))),
      'no controller has written a status of Gateway shop/web yet',
    ],
    ['Unknown in the words of a controller', ofGateway(of3(condition('Accepted', 'Unknown', 3))), undefined],
    [
      'a condition of a controller without a generation',
      ofGateway(of3(condition('Accepted', 'True'))),
      'Gateway shop/web is at generation 3, but its status is of generation 0',
    ],
    [
      'the other condition is older',
      ofGateway(of3(seen, condition('Programmed', 'False', 2))),
      'Gateway shop/web is at generation 3, but its status is of generation 2',
    ],
    [
      "the other condition is still the CRD's default",
      ofGateway(of3(seen, condition('Programmed', 'Unknown'))),
      undefined,
    ],
    [
      'a condition of somebody else is older',
      ofGateway(of3(seen, condition('example.com/Audited', 'True', 1))),
      undefined,
    ],
    ['the listeners are of this generation', ofGateway({ generation: 3, listenersObserved: 3 }), undefined],
    [
      'the listeners are older: only a translation writes their conditions',
      ofGateway({ generation: 3, listenersObserved: 2 }),
      'Gateway shop/web is at generation 3, but its status is of generation 2',
    ],
  ])('%s', (_, owner, because) => {
    const verdict = judged(envoyHpa(), ...owner, config, v142, running);
    expect(inShort(verdict)).toBe(because === undefined ? REMOVED : NOT_OBSERVED);
    const removed =
      'Gateway shop/web asks for no autoscaling: no envoyHpa in the default in ConfigMap envoy-gateway-system/envoy-gateway-config';
    expect(verdict.explanation).toBe(
      because === undefined ? `${removed}.` : `${removed}, but Envoy Gateway may not have seen that: ${because}.`,
    );
  });

  test('a saved object without a generation counts as seen', () => {
    const { generation: _, ...metadata } = gateway('shop/web').metadata;
    const old = { ...gateway('shop/web', { observed: 0 }), metadata };
    expect(inShort(judged(envoyHpa(), gatewayClass(), old, config, v142, running))).toBe(REMOVED);
  });

  test.each<[string, ClusterObject, string]>([
    ['another Gateway of the class', gateway('shop/api', { generation: 2, observed: 1 }), REMOVED],
    ['another class', gatewayClass('other', { generation: 2, observed: 1 }), REMOVED],
  ])('%s does not matter', (_, other, expected) => {
    expect(inShort(judged(envoyHpa(), ...ofGateway({}), other, config, v142, running))).toBe(expected);
  });
});

describe('a merging class waits for each of its Gateways', () => {
  const cluster = (...gateways: ClusterObject[]) =>
    judged(
      envoyHpa('eg'),
      gatewayClass('eg', { proxy: 'shop/class' }),
      envoyProxy('shop/class', merging()),
      ...gateways,
      config,
      v142,
      classRunning,
    );
  test('until all are seen', () => {
    expect(inShort(cluster(gateway('shop/web'), gateway('shop/api')))).toBe(REMOVED);
    const verdict = cluster(gateway('shop/web'), gateway('shop/api', { generation: 2, observed: 1 }));
    expect(inShort(verdict)).toBe(NOT_OBSERVED);
    expect(verdict.explanation).toContain('Gateway shop/api is at generation 2, but its status is of generation 1');
    expect(inShort(cluster(gateway('shop/web', { accepted: undefined }), gateway('shop/api')))).toBe(NOT_OBSERVED);
  });
});

describe('Envoy Gateway may be stuck: up to v1.3 it does nothing while one of its classes is rejected for its parameters', () => {
  const rejected = gatewayClass('dangling', { accepted: false, proxy: 'shop/none' });
  const versions: [string, ClusterObject[], boolean][] = [
    ['v1.3.0', [controller({ version: 'v1.3.0' })], true],
    ['v1.1.4', [controller({ version: 'v1.1.4' })], true],
    ['an unknown version', [controller()], true],
    ['two versions at once', [controller({ version: 'v1.9.1', image: 'envoyproxy/gateway:v1.3.0' })], true],
    ['no Deployment of that name', [], true],
    ['a Deployment elsewhere', [controller({ namespace: 'other', version: 'v1.9.1' })], true],
    ['v1.4.2', [v142], false],
    ['v1.9.1', [controller({ version: 'v1.9.1' })], false],
    ['v2.0.0', [controller({ version: 'v2.0.0' })], false],
  ];
  test.each(versions)('%s', (_, installed, isStuck) => {
    const objects = [envoyHpa(), ...ofGateway({}), config, ...installed, running];
    expect(inShort(judged(...objects))).toBe(REMOVED);
    expect(inShort(judged(...objects, rejected))).toBe(isStuck ? NOT_OBSERVED : REMOVED);
  });

  test.each<[string, ClusterObject, boolean]>([
    ['for its parameters', rejected, true],
    [
      'without a reason',
      gatewayClass('r', { conditions: [{ type: 'Accepted', status: 'False', observedGeneration: 1 }] }),
      true,
    ],
    ['for another reason', gatewayClass('r', { accepted: false, reason: 'UnsupportedVersion' }), false],
    ["by another controller's", gatewayClass('r', { accepted: false, controllerName: 'other' }), false],
    ['not at all, and not seen either', gatewayClass('r', { accepted: undefined }), false],
    ['not yet, but its parametersRef leads nowhere', gatewayClass('r', { proxy: 'shop/none' }), true],
    [
      'not yet, but its parametersRef leads to another kind',
      gatewayClass('r', { proxy: { kind: 'ConfigMap', name: 'p' } }),
      true,
    ],
  ])('a class is rejected %s', (_, other, isStuck) => {
    const objects = [envoyHpa(), ...ofGateway({}), config, controller({ version: 'v1.3.0' }), running, other];
    expect(inShort(judged(...objects))).toBe(isStuck ? NOT_OBSERVED : REMOVED);
  });

  test('says which class, and which release runs', () => {
    const says = (...installed: ClusterObject[]) =>
      judged(envoyHpa(), ...ofGateway({}), config, ...installed, running, rejected).explanation;
    const which =
      'GatewayClass dangling is rejected for its parameters, which stops versions before v1.4 completely, and';
    expect(says(controller({ version: 'v1.3.0' }))).toContain(`may not have seen that: ${which} v1.3.0 runs.`);
    expect(says()).toContain(`may not have seen that: ${which} the running version is not known.`);
  });

  test('each reason comes with what ends it', () => {
    const remedyOf = (...objects: ClusterObject[]) => judged(envoyHpa(), ...objects, config, running).remedy;
    const v130 = controller({ version: 'v1.3.0' });
    expect(remedyOf(...ofGateway({}), v130, rejected)).toBe(
      'Fix the parametersRef of GatewayClass dangling, or delete that class.',
    );
    expect(remedyOf(...ofGateway({ generation: 2, observed: 1 }), v130)).toBe(
      'If this lasts, check whether Envoy Gateway runs and watches that namespace, and read its log.',
    );
  });
});

describe('it guards the two deletions beside a running Deployment, and no other', () => {
  const unseen = { generation: 2, observed: 1 };
  const named = (options: ClassOptions = {}) => [
    gatewayClass('eg', { proxy: 'shop/class', ...options }),
    envoyProxy('shop/class', autoscaling({ name: 'new' })),
    envoyHpa('shop/web', { at: 'envoy-gateway-system/new' }),
  ];

  test.each<[string, ClusterObject[], string, string]>([
    ['AutoscalingRemoved', [gatewayClass('eg', unseen)], REMOVED, NOT_OBSERVED],
    ['Renamed', named(unseen), 'delete Renamed', NOT_OBSERVED],
  ])('%s', (_, objects, ifSeen, otherwise) => {
    const seen = objects.map((object) =>
      object.kind === 'GatewayClass' ? { ...object, status: gatewayClass('eg', { generation: 2 }).status } : object,
    );
    const rest = [gateway(), config, controller({ version: 'v1.9.1' }), running] as ClusterObject[];
    expect(inShort(judged(envoyHpa(), ...(seen as ClusterObject[]), ...rest))).toBe(ifSeen);
    expect(inShort(judged(envoyHpa(), ...objects, ...rest))).toBe(otherwise);
  });

  test.each<[string, ClusterObject[], string]>([
    [
      'a wanted HPA',
      [gatewayClass('eg', unseen), gateway(), envoyGatewayConfig({ envoyProxy: autoscaling() }), running],
      WANTED,
    ],
    ['the Gateway is gone', [gatewayClass('eg', unseen), config], 'delete GatewayDeleted'],
    ['the class is gone', [gateway('shop/web', unseen), config], 'delete GatewayClassDeleted'],
    ['nobody manages it', [gatewayClass('eg', unseen), gateway()], 'delete GatewayNotManaged'],
    [
      'its class merges',
      [gatewayClass('eg', { proxy: 'shop/m', ...unseen }), envoyProxy('shop/m', merging()), gateway(), config],
      'delete MergedIntoGatewayClass',
    ],
    [
      'it is rejected',
      [gatewayClass(), gateway('shop/web', { accepted: false, ...unseen }), config],
      'delete ScaleTargetGone',
    ],
  ])('%s', (_, objects, expected) => {
    expect(inShort(judged(envoyHpa(), ...objects, v142))).toBe(expected);
  });

  test('one of two names whose Deployment is gone', () => {
    const objects = [
      gatewayClass('eg', unseen),
      gateway('shop/web', { proxy: 'own' }),
      envoyProxy('shop/own', autoscaling()),
      envoyGatewayConfig({ gatewayNamespaceMode: true }),
      envoyHpa('shop/web', { at: `shop/${hashedNameOf('shop/web')}` }),
      envoyHpa('shop/web', { at: 'shop/web' }),
      deployment('shop/web'),
    ];
    expect(inShort(judged(...objects))).toBe('delete Renamed');
  });

  test('the default of an Envoy Gateway that is not known: it is gone or it stays, seen or not', () => {
    const elsewhere = [envoyHpa(), gatewayClass('eg', unseen), gateway(), envoyGatewayConfig({ namespace: 'second' })];
    expect(inShort(judged(...elsewhere, running))).toBe('keep DefaultsUnreadable');
    expect(inShort(judged(...elsewhere))).toBe(REMOVED);
  });
});

describe("Envoy Gateway's own Deployment", () => {
  const CONTROLLER = 'envoy-gateway-system/envoy-gateway';
  const objects = [envoyHpa(), ...ofGateway({}), config, running];
  const withDeployments = (...known: [string, Deployment | null][]) =>
    judge({ ...snapshotOf(objects), deployments: new Map(known) });

  test('is asked for before a deletion: until then the HPA stays', () => {
    const [verdict] = withDeployments();
    expect(verdict).toMatchObject({ action: 'keep', reason: 'NotObserved', needsDeployments: [CONTROLLER] });
    expect(verdict?.explanation).toContain(`may not have seen that: Deployment ${CONTROLLER} was not read.`);
    expect(withDeployments([CONTROLLER, null])).toMatchObject([{ action: 'delete', needsDeployments: [] }]);
  });

  test('is not asked for by an HPA that stays anyway', () => {
    const wanted = [envoyHpa(), ...ofGateway({}), envoyGatewayConfig({ envoyProxy: autoscaling() })];
    const [verdict] = judge({ ...snapshotOf(wanted), deployments: new Map() });
    expect(verdict).toMatchObject({ reason: 'AutoscalingConfigured', needsDeployments: [] });
  });

  test('is rested on, with its generation, whether or not it is there', () => {
    const uid = `Deployment:${CONTROLLER}`;
    const place = { kind: 'Deployment', namespace: 'envoy-gateway-system', name: 'envoy-gateway' };
    expect(judged(...objects, v142).restsOn.at(-1)).toStrictEqual({ ...place, uid, generation: 1 });
    expect(judged(...objects).restsOn.at(-1)).toStrictEqual(place);
  });

  test('of each Envoy Gateway that may serve the class', () => {
    const second = envoyGatewayConfig({ namespace: 'second' });
    const rejected = gatewayClass('dangling', { accepted: false });
    const both = [...objects, second, rejected];
    const v130 = controller({ namespace: 'second', version: 'v1.3.0' });
    const v191 = controller({ namespace: 'second', version: 'v1.9.1' });
    expect(inShort(judged(...both, v142, v130))).toBe(NOT_OBSERVED);
    const verdict = judged(...both, v142, v191);
    expect(inShort(verdict)).toBe(REMOVED);
    expect(verdict.restsOn.filter(({ kind }) => kind === 'Deployment').map(({ namespace }) => namespace)).toEqual([
      'envoy-gateway-system',
      'second',
    ]);
    const [unread] = judge({ ...snapshotOf([...both, v142]), deployments: new Map([[CONTROLLER, v142]]) });
    expect(unread).toMatchObject({ reason: 'NotObserved', needsDeployments: ['second/envoy-gateway'] });
  });

  describe('that mounts another ConfigMap: what stands in envoy-gateway-config decides nothing', () => {
    const custom = controller({ version: 'v1.9.1', configMap: 'custom' });
    const says = 'Envoy Gateway in envoy-gateway-system reads ConfigMap custom and not envoy-gateway-config';
    test.each<[string, ClusterObject[], string]>([
      ['the Deployment runs', [running], 'keep DefaultsUnreadable'],
      ['the Deployment is gone', [], 'delete GatewayNotManaged'],
    ])('%s', (_, deployments, expected) => {
      const cluster = [envoyHpa(), ...ofGateway({ proxy: 'own' }), envoyProxy('shop/own', NO_AUTOSCALING), config];
      const verdict = judged(...cluster, ...deployments, custom);
      expect(inShort(verdict)).toBe(expected);
      expect(verdict.explanation.startsWith(says)).toBe(true);
      // In the words of the ConfigMap that it does not read.
      expect(inShort(judged(...cluster, ...deployments, v142))).toBe(REMOVED);
    });

    test('a deletion rests on that Deployment', () => {
      const verdict = judged(envoyHpa(), ...ofGateway({}), config, custom);
      expect(verdict.restsOn).toContainEqual({
        ...{ kind: 'Deployment', namespace: 'envoy-gateway-system', name: 'envoy-gateway' },
        ...{ uid: 'Deployment:envoy-gateway-system/envoy-gateway', generation: 1 },
      });
    });

    test('also where that one asks for autoscaling', () => {
      const asking = [envoyHpa(), ...ofGateway({}), envoyGatewayConfig({ envoyProxy: autoscaling() })];
      expect(inShort(judged(...asking, running, custom))).toBe('keep DefaultsUnreadable');
    });
  });
});
