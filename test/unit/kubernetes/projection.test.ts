import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Snapshot } from '../../../functions/judgement/cluster-index.ts';
import { DEFAULT_GUARDS, guard } from '../../../functions/judgement/guards.ts';
import { judge } from '../../../functions/judgement/judge.ts';
import {
  type Deployment,
  type EnvoyProxy,
  type EnvoyProxySpec,
  type Gateway,
  type GatewayClass,
  objectKey,
} from '../../../functions/judgement/kubernetes-objects.ts';
import { missingHpas } from '../../../functions/judgement/missing.ts';
import { snapshotOfList } from '../../../functions/kubernetes/cluster-list.ts';
import { projectedObject } from '../../../functions/kubernetes/kinds.ts';
import { clusterPlan, NOW, snapshotOfPlan } from '../../builders/arbitrary-cluster.ts';
import { CREATED, controller, envoyProxy, gateway } from '../../builders/cluster.ts';

/*
 * Of the configuration only the fields of the schemas are kept. The types allow no other field to be read. Where a cast hides that
 * from them, the verdicts on whole objects and on projected ones must still be the same.
 */

const projected = (snapshot: Snapshot): Snapshot => ({
  ...snapshot,
  gatewayClasses: snapshot.gatewayClasses.map((one) => projectedObject('GatewayClass', one)),
  gateways: snapshot.gateways.map((one) => projectedObject('Gateway', one)),
  envoyProxies: snapshot.envoyProxies.map((one) => projectedObject('EnvoyProxy', one)),
  deployments: new Map(
    [...snapshot.deployments].map(([key, deployment]) => [
      key,
      deployment && projectedObject('Deployment', deployment),
    ]),
  ),
});

/** The verdicts, and what is missing. */
const judgementOf = (snapshot: Snapshot, now = NOW) => [
  guard(judge(snapshot), snapshot, DEFAULT_GUARDS, now),
  missingHpas(snapshot, now),
];

test('judges whole and projected objects alike in any cluster', () => {
  fc.assert(
    fc.property(clusterPlan, (plan) => {
      const whole = snapshotOfPlan(plan);
      expect(judgementOf(projected(whole))).toEqual(judgementOf(whole));
    }),
    { seed: Number(process.env.FAST_CHECK_SEED ?? 20260101), numRuns: 3_000 },
  );
}, 60_000);

describe.each(readdirSync('test/cases'))('%s', (name) => {
  test('is judged alike, whole and projected', () => {
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
    // These states were recorded seconds after a change, so an HPA is missing only a year later.
    for (const now of [NOW, new Date('2028-01-01T00:00:00Z')]) {
      expect(judgementOf(kept, now)).toEqual(judgementOf(whole, now));
    }
  });
});

test('keeps no field that nobody reads', () => {
  const metadata = {
    annotations: { 'envoy-hpa-reaper/keep': 'true', other: 'UNREAD' },
    labels: { UNREAD: 'b' },
    managedFields: [
      { manager: 'UNREAD', operation: 'UNREAD', time: CREATED, fieldsV1: { 'f:spec': { UNREAD: {} } } },
      { subresource: 'UNREAD', time: CREATED, fieldsV1: { 'f:status': { UNREAD: {} } } },
    ],
  };
  const spec = {
    bootstrap: 'UNREAD',
    provider: {
      kubernetes: {
        envoyService: { type: 'UNREAD' },
        envoyHpa: { maxReplicas: 5, patch: { type: 'UNREAD', value: 'read' } },
      },
    },
  };
  const whole = controller({ version: 'v1.9.1' });
  const proxy = projectedObject('EnvoyProxy', envoyProxy('shop/web', spec as EnvoyProxySpec, { metadata }));
  const web = projectedObject('Gateway', {
    ...gateway('shop/web', { proxy: 'web', metadata }),
    spec: { gatewayClassName: 'eg', listeners: ['UNREAD'] },
  });
  const deployment = projectedObject('Deployment', {
    ...whole,
    metadata: { ...whole.metadata, labels: { ...whole.metadata.labels, team: 'UNREAD' } },
    spec: { ...whole.spec, replicas: 'UNREAD' },
  });
  expect(JSON.stringify([proxy, web, deployment])).not.toContain('UNREAD');
  expect(web.metadata).toMatchObject({
    annotations: { 'envoy-hpa-reaper/keep': 'true' },
    generation: 1,
    creationTimestamp: CREATED,
  });
  expect(web.metadata.managedFields).toStrictEqual([
    { time: CREATED, fieldsV1: { 'f:spec': true } },
    { time: CREATED, fieldsV1: {} },
  ]);
  expect(proxy.spec).toStrictEqual({
    provider: { kubernetes: { envoyService: {}, envoyHpa: { patch: { value: 'read' } } } },
  });
  expect(deployment.spec).toStrictEqual({ template: whole.spec.template });
});

test.each<[string, unknown, string]>([
  ['its name', { metadata: { namespace: 'shop', name: 'web' } }, 'Gateway shop/web has'],
  ['no namespace that is no text', { metadata: { namespace: { toString: 1 }, name: 'web' } }, 'Gateway web has'],
  ['no name that is no text', { metadata: { name: 1 } }, 'Gateway (without a name) has'],
])('a fault of an object has %s', (_, object, start) => {
  expect(() => projectedObject('Gateway', object)).toThrow(start);
});
