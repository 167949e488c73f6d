import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { judge } from '../../../functions/judgement/judge.ts';
import { LIST_COMMAND, snapshotOfList } from '../../../functions/kubernetes/cluster-list.ts';
import { MalformedInputError } from '../../../functions/platform/errors.ts';
import {
  type ClusterObject,
  controller,
  deployment,
  envoyGatewayConfig,
  envoyHpa,
  envoyProxy,
  gateway,
  gatewayClass,
  hashedNameOf,
  listOf,
} from '../../builders/cluster.ts';
import { inShort, NO_AUTOSCALING, REMOVED } from '../../builders/verdicts.ts';

const fixture = (name: string) => JSON.parse(readFileSync(`test/fixtures/lists/${name}.json`, 'utf8'));
const whole: ClusterObject[] = [
  envoyHpa(),
  gatewayClass(),
  gateway('shop/web', { proxy: 'own' }),
  envoyProxy('shop/own', NO_AUTOSCALING),
  envoyGatewayConfig(),
  deployment(`envoy-gateway-system/${hashedNameOf('shop/web')}`),
];
const verdictsOf = (list: unknown, incomplete?: boolean) => judge(snapshotOfList(list, incomplete)).map(inShort);

describe('a kind that is missing altogether', () => {
  test('a List that has them all is judged', () => {
    expect(verdictsOf(listOf(whole))).toEqual([REMOVED]);
  });

  test.each<[string, string[]]>([
    ['GatewayClass', ['delete GatewayClassDeleted']],
    ['Gateway', ['delete GatewayDeleted']],
    ['EnvoyProxy', ['delete ScaleTargetGone']],
    ['HorizontalPodAutoscaler', []],
    ['ConfigMap', ['delete GatewayNotManaged']],
    ['Deployment', [REMOVED]],
  ])('%s: refused, unless it is said that the List is incomplete', (missing, verdicts) => {
    const list = listOf(whole.filter(({ kind }) => kind !== missing));
    const refused = `it has no ${missing}, and what is not in it counts as gone. List them too (\`${LIST_COMMAND}\`), or say with --incomplete that the cluster has none`;
    expect(() => snapshotOfList(list)).toThrow(new MalformedInputError(refused));
    // With the Deployment left out as well, for without it nothing else goes.
    const gone = listOf(whole.filter(({ kind }) => kind !== missing && kind !== 'Deployment'));
    expect(verdictsOf(gone, true)).toEqual(verdicts);
  });

  test('several are all named', () => {
    const list = listOf(whole.filter(({ kind }) => kind !== 'Gateway' && kind !== 'ConfigMap'));
    expect(() => snapshotOfList(list)).toThrow('it has no Gateway, no ConfigMap, and what');
  });

  test('an object of the same kind in another group does not count', () => {
    const istio = {
      apiVersion: 'networking.istio.io/v1',
      kind: 'Gateway',
      metadata: { namespace: 'mesh', name: 'in' },
    };
    const list = { kind: 'List', items: [...whole.filter(({ kind }) => kind !== 'Gateway'), istio] };
    expect(() => snapshotOfList(list)).toThrow('it has no Gateway, and what');
    expect(snapshotOfList(list, true).gateways).toEqual([]);
  });
});

describe('objects are told apart by group and kind', () => {
  test("a List with Istio's Gateways", () => {
    const snapshot = snapshotOfList(fixture('istio-gateway'));
    expect(snapshot.gateways.map(({ metadata }) => metadata.name)).toEqual(['web']);
    expect(judge(snapshot).map(inShort)).toEqual([REMOVED]);
  });

  test.each([
    ['gateway.networking.k8s.io/v1', 1],
    ['gateway.networking.k8s.io/v1beta1', 1],
    ['gateway.networking.k8s.io.example.com/v1', 0],
    ['v1', 0],
    ['', 0],
  ])('a Gateway of apiVersion %j', (apiVersion, count) => {
    const list = { kind: 'List', items: [{ ...gateway(), apiVersion }] };
    expect(snapshotOfList(list, true).gateways).toHaveLength(count);
  });

  test('what is of no kind at all is passed over', () => {
    const list = { kind: 'List', items: [...whole, null, {}, 7, { kind: 'Secret', apiVersion: 'v1', metadata: {} }] };
    expect(verdictsOf(list)).toEqual([REMOVED]);
  });

  test('a ConfigMap of another name is no configuration', () => {
    const { metadata, ...rest } = envoyGatewayConfig();
    const other = { ...rest, metadata: { ...metadata, name: 'custom' } };
    const list = { kind: 'List', items: [...whole.filter(({ kind }) => kind !== 'ConfigMap'), other] };
    expect(snapshotOfList(list).envoyGatewayConfigs).toEqual([]);
  });
});

describe('managedFields', () => {
  const refused =
    'its HPAs have no managedFields, so nothing shows which of them Envoy Gateway made: save it with --show-managed-fields';
  test.each([false, true])(
    'a List saved without them is refused, whether or not it is incomplete (%j)',
    (incomplete) => {
      expect(() => snapshotOfList(fixture('without-managed-fields'), incomplete)).toThrow(
        new MalformedInputError(refused),
      );
    },
  );

  test('one HPA that has them is enough: the others lost theirs', () => {
    const { managedFields: _, ...metadata } = envoyHpa('shop/api').metadata;
    const lost = { ...envoyHpa('shop/api'), metadata };
    expect(verdictsOf(listOf([...whole, lost]))).toEqual([REMOVED, 'keep NotManagedByEnvoyGateway']);
  });

  test('those of others do not need them', () => {
    const { managedFields: _, labels: _labels, ...metadata } = envoyHpa('shop/api').metadata;
    const others = { ...envoyHpa('shop/api'), metadata };
    const list = listOf([...whole.filter(({ kind }) => kind !== 'HorizontalPodAutoscaler'), others]);
    expect(snapshotOfList(list).hpas).toEqual([]);
  });

  test('LIST_COMMAND asks for them, and for full resource names', () => {
    expect(LIST_COMMAND).toBe(
      'kubectl get -A -o json --show-managed-fields ' +
        'gatewayclasses.gateway.networking.k8s.io,gateways.gateway.networking.k8s.io,envoyproxies.gateway.envoyproxy.io,' +
        'horizontalpodautoscalers.autoscaling,deployments.apps,configmaps',
    );
  });
});

describe('what is not in it does not exist', () => {
  test('neither Deployments nor Envoy Gateway itself, but what is in it is known', () => {
    const snapshot = snapshotOfList(listOf([...whole, controller({ version: 'v1.9.1' })]));
    expect([...snapshot.deployments].map(([key, found]) => [key, found?.metadata.uid])).toEqual([
      [
        `envoy-gateway-system/${hashedNameOf('shop/web')}`,
        `Deployment:envoy-gateway-system/${hashedNameOf('shop/web')}`,
      ],
      ['envoy-gateway-system/envoy-gateway', 'Deployment:envoy-gateway-system/envoy-gateway'],
    ]);
    const without = snapshotOfList(listOf(whole.filter(({ kind }) => kind !== 'Deployment')), true);
    expect([...without.deployments.values()]).toEqual([null, null]);
  });

  test('scalers are all HPAs, whoever made them', () => {
    const keda = envoyHpa('shop/web', { at: 'shop/keda', metadata: { labels: {}, managedFields: [] } });
    const { scalers, hpas } = snapshotOfList(listOf([...whole, keda]));
    expect(hpas.map(({ metadata }) => metadata.namespace)).toEqual(['envoy-gateway-system']);
    expect(scalers?.get('shop')).toEqual([
      {
        metadata: { namespace: 'shop', name: 'keda' },
        spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'keda' } },
      },
    ]);
    expect(scalers?.get('envoy-gateway-system')).toHaveLength(1);
  });

  test('a Deployment that outlived its Gateway keeps its HPA, with what to do', () => {
    for (const name of ['orphaned-deployment', 'orphaned-deployment-of-another-name']) {
      const [verdict] = judge(snapshotOfList(fixture(name)));
      expect(verdict).toMatchObject({ action: 'keep', reason: 'ScaleTargetStillRuns' });
      const { scaleTargetRef } = verdict?.hpa.spec ?? {};
      expect(verdict?.remedy).toContain(`removes Deployment envoy-gateway-system/${scaleTargetRef?.name} too`);
    }
  });
});

test.each([null, 'x', [], {}, { kind: 'List' }, { kind: 'List', items: {} }, { kind: 'Pod', items: [] }])(
  '%j is no List',
  (value) => {
    expect(() => snapshotOfList(value, true)).toThrow(/^expected a List, /);
  },
);
