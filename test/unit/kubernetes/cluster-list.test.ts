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
const PROXY = `envoy-gateway-system/${hashedNameOf('shop/web')}`;
const whole: ClusterObject[] = [
  envoyHpa(),
  gatewayClass(),
  gateway('shop/web', { proxy: 'own' }),
  envoyProxy('shop/own', NO_AUTOSCALING),
  envoyGatewayConfig(),
  deployment(PROXY),
];
const listWithout = (...kinds: string[]) => listOf(whole.filter(({ kind }) => !kinds.includes(kind)));
const verdictsOf = (list: unknown, incomplete?: boolean) => judge(snapshotOfList(list, incomplete)).map(inShort);

describe('a List without a kind', () => {
  test.each<[string, string[]]>([
    ['GatewayClass', ['delete GatewayClassDeleted']],
    ['Gateway', ['delete GatewayDeleted']],
    ['EnvoyProxy', ['delete ScaleTargetGone']],
    ['HorizontalPodAutoscaler', []],
    ['ConfigMap', ['delete GatewayNotManaged']],
    ['Deployment', [REMOVED]],
  ])('is rejected without a %s, unless it is said to be incomplete', (missing, verdicts) => {
    const message = `it has no ${missing}, and what is not in it counts as gone. List them too (\`${LIST_COMMAND}\`), or give --incomplete if the cluster has none`;
    expect(() => snapshotOfList(listWithout(missing))).toThrow(new MalformedInputError(message));
    // Without the Deployment too: while it runs, no other kind that is missing leads to a deletion.
    expect(verdictsOf(listWithout(missing, 'Deployment'), true)).toEqual(verdicts);
  });

  test('names every kind that is missing', () => {
    expect(() => snapshotOfList(listWithout('Gateway', 'ConfigMap'))).toThrow('it has no Gateway, no ConfigMap, and');
  });
});

describe('the kind of an object', () => {
  test.each([
    ['gateway.networking.k8s.io/v1', 1],
    ['gateway.networking.k8s.io/v1beta1', 1],
    ['gateway.networking.k8s.io.example.com/v1', 0],
    ['networking.istio.io/v1', 0],
    ['v1', 0],
    ['', 0],
  ])('includes the group of apiVersion %j', (apiVersion, count) => {
    const list = { kind: 'List', items: [{ ...gateway(), apiVersion }] };
    expect(snapshotOfList(list, true).gateways).toHaveLength(count);
  });

  test('may be missing, or unknown', () => {
    const list = { kind: 'List', items: [...whole, null, {}, 7, { kind: 'Secret', apiVersion: 'v1', metadata: {} }] };
    expect(verdictsOf(list)).toEqual([REMOVED]);
  });

  test('does not make a ConfigMap of another name a configuration', () => {
    const { metadata, ...rest } = envoyGatewayConfig();
    const other = { ...rest, metadata: { ...metadata, name: 'custom' } };
    const list = { kind: 'List', items: [...listWithout('ConfigMap').items, other] };
    expect(snapshotOfList(list).envoyGatewayConfigs).toEqual([]);
  });
});

describe('managedFields', () => {
  test.each([false, true])('are required of a List, also of an incomplete one (%j)', (incomplete) => {
    expect(() => snapshotOfList(fixture('without-managed-fields'), incomplete)).toThrow(
      'its HPAs have no managedFields, so nothing shows which of them Envoy Gateway created: save it with --show-managed-fields',
    );
  });

  test('are required of one HPA: the others lost theirs', () => {
    const { managedFields: _, ...metadata } = envoyHpa('shop/api').metadata;
    const lost = { ...envoyHpa('shop/api'), metadata };
    expect(verdictsOf(listOf([...whole, lost]))).toEqual([REMOVED, 'keep NotManagedByEnvoyGateway']);
  });

  test('are not required of HPAs without a label of Envoy Gateway', () => {
    const { managedFields: _, labels: _labels, ...metadata } = envoyHpa('shop/api').metadata;
    const others = { ...envoyHpa('shop/api'), metadata };
    const items = [...listWithout('HorizontalPodAutoscaler').items, others];
    expect(snapshotOfList({ kind: 'List', items }).hpas).toEqual([]);
  });

  test('are what LIST_COMMAND asks for, with full resource names', () => {
    expect(LIST_COMMAND).toBe(
      'kubectl get -A -o json --show-managed-fields ' +
        'gatewayclasses.gateway.networking.k8s.io,gateways.gateway.networking.k8s.io,envoyproxies.gateway.envoyproxy.io,' +
        'horizontalpodautoscalers.autoscaling,deployments.apps,configmaps',
    );
  });
});

describe('an object that is not in a List does not exist', () => {
  test('such as a Deployment, or Envoy Gateway itself', () => {
    const snapshot = snapshotOfList(listOf([...whole, controller({ version: 'v1.9.1' })]));
    expect([...snapshot.deployments].map(([key, found]) => [key, found?.metadata.uid])).toEqual([
      [PROXY, `Deployment:${PROXY}`],
      ['envoy-gateway-system/envoy-gateway', 'Deployment:envoy-gateway-system/envoy-gateway'],
    ]);
    expect([...snapshotOfList(listWithout('Deployment'), true).deployments.values()]).toEqual([null, null]);
  });

  test('while the scalers are all HPAs of a namespace', () => {
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

  test.each(['orphaned-deployment', 'orphaned-deployment-of-another-name'])('so that %s keeps its HPA', (name) => {
    const [verdict] = judge(snapshotOfList(fixture(name)));
    expect(verdict).toMatchObject({ action: 'keep', reason: 'ScaleTargetStillRuns' });
    const deployment = `envoy-gateway-system/${verdict?.hpa.spec.scaleTargetRef.name}`;
    expect(verdict?.remedy).toContain(`removes Deployment ${deployment} too`);
  });
});

test.each([null, 'x', [], {}, { kind: 'List' }, { kind: 'List', items: {} }, { kind: 'Pod', items: [] }])(
  'rejects %j, which is no List',
  (value) => {
    expect(() => snapshotOfList(value, true)).toThrow(/^expected a List, /);
  },
);
