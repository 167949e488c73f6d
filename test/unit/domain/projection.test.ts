import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DEFAULT_GUARDS, guard } from '../../../functions/domain/guards.ts';
import { judge } from '../../../functions/domain/judge.ts';
import {
  type EnvoyProxy,
  envoyProxySchema,
  type Gateway,
  type GatewayClass,
  gatewayClassSchema,
  gatewaySchema,
} from '../../../functions/domain/kubernetes-objects.ts';
import type { Snapshot } from '../../../functions/domain/snapshot.ts';
import { snapshotOfList } from '../../../functions/kubernetes/cluster-list.ts';
import { projectObjects } from '../../../functions/kubernetes/parse-objects.ts';
import { clusterPlan, snapshotOfPlan } from '../../builders/arbitrary-cluster.ts';
import { envoyProxy, gateway } from '../../builders/cluster.ts';

/*
 * Of the configuration only what the schemas name is kept. The types refuse to read anything else; where a cast hides a
 * reading from them, the verdicts on the whole objects and on what is kept of them must still be the same.
 */

const projected = (snapshot: Snapshot): Snapshot => ({
  ...snapshot,
  gatewayClasses: projectObjects('GatewayClass', gatewayClassSchema, snapshot.gatewayClasses),
  gateways: projectObjects('Gateway', gatewaySchema, snapshot.gateways),
  envoyProxies: projectObjects('EnvoyProxy', envoyProxySchema, snapshot.envoyProxies),
});

const verdictsOn = (snapshot: Snapshot) =>
  guard(judge(snapshot), snapshot, DEFAULT_GUARDS, new Date('2027-01-01T00:00:00Z'));

test('the same verdicts on the whole objects and on what is kept of them, whatever the cluster', () => {
  fc.assert(
    fc.property(clusterPlan, (plan) => {
      const whole = snapshotOfPlan(plan);
      expect(verdictsOn(projected(whole))).toEqual(verdictsOn(whole));
    }),
    { seed: Number(process.env.FAST_CHECK_SEED ?? 20260101), numRuns: 3_000 },
  );
}, 60_000);

describe.each(readdirSync('test/cases'))('%s', (name) => {
  test('the same verdicts on the whole objects and on what is kept of them', () => {
    const list = JSON.parse(readFileSync(`test/cases/${name}/cluster.json`, 'utf8'));
    const ofKind = <T>(wanted: string): T[] => list.items.filter(({ kind }: { kind: string }) => kind === wanted);
    const kept = snapshotOfList(list);
    const whole: Snapshot = {
      ...kept,
      gatewayClasses: ofKind<GatewayClass>('GatewayClass'),
      gateways: ofKind<Gateway>('Gateway'),
      envoyProxies: ofKind<EnvoyProxy>('EnvoyProxy'),
    };
    expect(verdictsOn(kept)).toEqual(verdictsOn(whole));
  });
});

test('what nobody reads is not kept: annotations but for one, managedFields, listeners, a bootstrap', () => {
  const metadata = {
    annotations: { 'envoy-hpa-reaper/keep': 'true', other: 'x' },
    labels: { a: 'b' },
    managedFields: [{ manager: 'kubectl', fieldsV1: { 'f:spec': {} } }],
    deletionTimestamp: '2026-01-02T00:00:00Z',
  };
  const stored = { uid: expect.any(String), resourceVersion: '1', namespace: 'shop', name: 'web' };
  const kept = {
    ...stored,
    annotations: { 'envoy-hpa-reaper/keep': 'true' },
    deletionTimestamp: '2026-01-02T00:00:00Z',
  };
  expect(projectObjects('Gateway', gatewaySchema, [gateway('shop/web', { proxy: 'web', metadata })])).toStrictEqual([
    {
      metadata: kept,
      spec: {
        gatewayClassName: 'eg',
        infrastructure: { parametersRef: { group: 'gateway.envoyproxy.io', kind: 'EnvoyProxy', name: 'web' } },
      },
      status: {
        conditions: [
          { type: 'Accepted', status: 'True', reason: 'Accepted' },
          { type: 'Programmed', status: 'False', reason: 'AddressNotAssigned' },
        ],
      },
    },
  ]);
  const spec = {
    bootstrap: { type: 'Merge', value: 'admin: {}' },
    provider: {
      type: 'Kubernetes',
      kubernetes: { envoyService: {}, envoyHpa: { maxReplicas: 5, patch: { type: 'JSONMerge', value: { spec: {} } } } },
    },
  };
  expect(projectObjects('EnvoyProxy', envoyProxySchema, [envoyProxy('shop/web', spec, { metadata })])).toStrictEqual([
    {
      metadata: kept,
      spec: { provider: { type: 'Kubernetes', kubernetes: { envoyHpa: { patch: { value: { spec: {} } } } } } },
    },
  ]);
});
