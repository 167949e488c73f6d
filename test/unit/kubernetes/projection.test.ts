import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DEFAULT_GUARDS, guard } from '../../../functions/judgement/guards.ts';
import { judge } from '../../../functions/judgement/judge.ts';
import {
  type Deployment,
  deploymentSchema,
  type EnvoyProxy,
  type EnvoyProxySpec,
  envoyProxySchema,
  type Gateway,
  type GatewayClass,
  gatewayClassSchema,
  gatewaySchema,
  objectKey,
} from '../../../functions/judgement/kubernetes-objects.ts';
import { missingHpas } from '../../../functions/judgement/missing.ts';
import type { Snapshot } from '../../../functions/judgement/snapshot.ts';
import { snapshotOfList } from '../../../functions/kubernetes/cluster-list.ts';
import { projectObjects } from '../../../functions/kubernetes/parse-objects.ts';
import { clusterPlan, NOW, snapshotOfPlan } from '../../builders/arbitrary-cluster.ts';
import { CREATED, controller, envoyProxy, gateway } from '../../builders/cluster.ts';

/*
 * Of the configuration only what the schemas name is kept. The types refuse to read anything else; where a cast hides a
 * reading from them, the verdicts on the whole objects and on what is kept of them must still be the same.
 */

const projected = (snapshot: Snapshot): Snapshot => ({
  ...snapshot,
  gatewayClasses: projectObjects('GatewayClass', gatewayClassSchema, snapshot.gatewayClasses),
  gateways: projectObjects('Gateway', gatewaySchema, snapshot.gateways),
  envoyProxies: projectObjects('EnvoyProxy', envoyProxySchema, snapshot.envoyProxies),
  deployments: new Map(
    [...snapshot.deployments].map(([key, deployment]) => [
      key,
      deployment && (projectObjects('Deployment', deploymentSchema, [deployment])[0] as Deployment),
    ]),
  ),
});

/** The verdicts, and what is missing. */
const judgementOf = (snapshot: Snapshot, now = NOW) => [
  guard(judge(snapshot), snapshot, DEFAULT_GUARDS, now),
  missingHpas(snapshot, now),
];

test('the same judgement of the whole objects and of what is kept of them, whatever the cluster', () => {
  fc.assert(
    fc.property(clusterPlan, (plan) => {
      const whole = snapshotOfPlan(plan);
      expect(judgementOf(projected(whole))).toEqual(judgementOf(whole));
    }),
    { seed: Number(process.env.FAST_CHECK_SEED ?? 20260101), numRuns: 3_000 },
  );
}, 60_000);

describe.each(readdirSync('test/cases'))('%s', (name) => {
  test('the same judgement of the whole objects and of what is kept of them', () => {
    const list = JSON.parse(readFileSync(`test/cases/${name}/cluster.json`, 'utf8'));
    const ofKind = <T>(wanted: string): T[] => list.items.filter(({ kind }: { kind: string }) => kind === wanted);
    const kept = snapshotOfList(list, true);
    const deployments = ofKind<Deployment>('Deployment');
    const whole: Snapshot = {
      ...kept,
      gatewayClasses: ofKind<GatewayClass>('GatewayClass'),
      gateways: ofKind<Gateway>('Gateway'),
      envoyProxies: ofKind<EnvoyProxy>('EnvoyProxy'),
      deployments: new Map([...kept.deployments, ...deployments.map((one) => [objectKey(one.metadata), one] as const)]),
    };
    // These states are of seconds after a change: nothing is missing yet, and a year later everything is that lacks.
    for (const now of [NOW, new Date('2028-01-01T00:00:00Z')]) {
      expect(judgementOf(kept, now)).toEqual(judgementOf(whole, now));
    }
  });
});

test('what nobody reads is not kept: annotations but for one, who wrote what, listeners, a bootstrap', () => {
  const metadata = {
    annotations: { 'envoy-hpa-reaper/keep': 'true', other: 'x' },
    labels: { a: 'b' },
    managedFields: [
      { manager: 'kubectl', operation: 'Update', time: CREATED, fieldsV1: { 'f:spec': { 'f:listeners': {} } } },
      { manager: 'envoy-gateway', subresource: 'status', time: CREATED, fieldsV1: { 'f:status': {} } },
      { manager: 'kubectl' },
    ],
    deletionTimestamp: '2026-01-02T00:00:00Z',
  };
  const stored = {
    ...{ uid: expect.any(String), resourceVersion: '1', namespace: 'shop', name: 'web' },
    ...{ generation: 1, creationTimestamp: CREATED },
    managedFields: [{ time: CREATED, fieldsV1: { 'f:spec': true } }, { time: CREATED, fieldsV1: {} }, {}],
  };
  const kept = {
    ...stored,
    annotations: { 'envoy-hpa-reaper/keep': 'true' },
    deletionTimestamp: '2026-01-02T00:00:00Z',
  };
  const web = gateway('shop/web', { proxy: 'web', listenersObserved: 1, metadata });
  expect(projectObjects('Gateway', gatewaySchema, [web])).toStrictEqual([
    {
      metadata: kept,
      spec: {
        gatewayClassName: 'eg',
        infrastructure: { parametersRef: { group: 'gateway.envoyproxy.io', kind: 'EnvoyProxy', name: 'web' } },
      },
      status: {
        conditions: [
          { type: 'Accepted', status: 'True', reason: 'Accepted', observedGeneration: 1 },
          { type: 'Programmed', status: 'False', reason: 'AddressNotAssigned', observedGeneration: 1 },
        ],
        listeners: [{ conditions: [{ type: 'Programmed', status: 'True', observedGeneration: 1 }] }],
      },
    },
  ]);
  const spec = {
    bootstrap: { type: 'Merge', value: 'admin: {}' },
    provider: {
      type: 'Kubernetes',
      kubernetes: {
        envoyService: { type: 'NodePort' },
        envoyHpa: { maxReplicas: 5, patch: { type: 'JSONMerge', value: { spec: {} } } },
      },
    },
  };
  expect(
    projectObjects('EnvoyProxy', envoyProxySchema, [envoyProxy('shop/web', spec as EnvoyProxySpec, { metadata })]),
  ).toStrictEqual([
    {
      metadata: kept,
      spec: {
        provider: {
          type: 'Kubernetes',
          kubernetes: { envoyService: {}, envoyHpa: { patch: { value: { spec: {} } } } },
        },
      },
    },
  ]);
});

test('of a Deployment nothing is kept but which release of Envoy Gateway it runs, on which configuration', () => {
  const whole = controller({ version: 'v1.9.1' });
  const read = projectObjects('Deployment', deploymentSchema, [
    { ...whole, metadata: { ...whole.metadata, labels: { ...whole.metadata.labels, team: 'edge' } } },
  ]);
  expect(read).toStrictEqual([
    {
      metadata: {
        ...{ name: 'envoy-gateway', namespace: 'envoy-gateway-system', generation: 1 },
        ...{ uid: 'Deployment:envoy-gateway-system/envoy-gateway', labels: { 'app.kubernetes.io/version': 'v1.9.1' } },
      },
      spec: { template: whole.spec.template },
    },
  ]);
});
