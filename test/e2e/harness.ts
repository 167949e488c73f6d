import { readdirSync, readFileSync } from 'node:fs';
import process from 'node:process';
import { onTestFinished, vi } from 'vitest';
import type { SweepReport } from '../../functions/events/report.ts';
import { DEFAULT_GUARDS } from '../../functions/judgement/guards.ts';
import { clusterApi } from '../../functions/kubernetes/cluster-api.ts';
import { SILENT } from '../../functions/platform/logger.ts';
import { type SweepOptions, sweepCluster } from '../../functions/sweep/sweep-cluster.ts';
import { connect } from '../contract/connection.ts';
import {
  connectionTo,
  type EmbeddedCluster,
  type EmbeddedClusterOptions,
  type Intervention,
  type ReceivedRequest,
  startEmbeddedCluster,
} from '../embedded-cluster/embedded-cluster.ts';
import type { KubernetesObject } from '../embedded-cluster/objects.ts';

// The clusters: those of test/cases, fresh, to be changed at will.

const folder = new URL('../cases/', import.meta.url);

export const caseNames = readdirSync(folder);

export interface List {
  kind: 'List';
  items: KubernetesObject[];
}

export const listOf = (name: string): List => readJson(`${name}/cluster.json`);
export const expectedOf = (name: string): { delete: string[]; keep: string[] } => readJson(`${name}/expected.json`);

const readJson = (path: string) => JSON.parse(readFileSync(new URL(path, folder), 'utf8'));

/** One Gateway with one HPA that Envoy Gateway v1.3 left behind; its Deployment runs. */
export const staleList = () => listOf('autoscaling-removed-v1.3.0');
export const STALE = 'envoy-gateway-system/envoy-autoscaling-removed-web-f9b1d10d';
/** One Gateway with one HPA that is wanted. */
export const wantedList = () => listOf('autoscaling-kept-v1.3.0');

/** The same cluster with no object of these kinds. */
export const without = ({ items, ...list }: List, ...kinds: string[]): List => ({
  ...list,
  items: items.filter(({ kind }) => !kinds.includes(kind)),
});

/** One Gateway that asks for an HPA, and none is there. */
export const missingList = () => without(wantedList(), 'HorizontalPodAutoscaler');
export const MISSING = 'envoy-gateway-system/envoy-autoscaling-kept-web-e4f5ee29';

/** The one object of a kind, to be changed. */
export function the(kind: string, { items }: List): KubernetesObject {
  const [object, ...others] = items.filter((item) => item.kind === kind);
  if (object === undefined || others.length > 0) throw new Error(`${others.length + 1} objects of kind ${kind}`);
  return object;
}

/** With a ConfigMap that somebody wrote a moment ago in a namespace of theirs, and that cannot be read. */
export function withTenantConfig(list: List): List {
  const copy = structuredClone(the('ConfigMap', list));
  Object.assign(copy.metadata, { namespace: 'tenant', uid: 'tenant', creationTimestamp: new Date().toISOString() });
  copy.data = { 'envoy-gateway.yaml': 'a: [' };
  return { ...list, items: [...list.items, copy] };
}

/** The same cluster with `count` copies of its one Gateway and its one HPA (or of the HPA alone, without a Gateway). */
export function times(count: number, list: List, kinds = ['Gateway', 'HorizontalPodAutoscaler']): List {
  const copies = (kind: string) =>
    Array.from({ length: count }, (_, number) => {
      const copy = structuredClone(the(kind, list));
      copy.metadata.uid += `-${number}`;
      copy.metadata.name += `-${number}`;
      if (kind === 'HorizontalPodAutoscaler') {
        const labels = copy.metadata.labels as Record<string, string>;
        labels['gateway.envoyproxy.io/owning-gateway-name'] += `-${number}`;
      }
      return copy;
    });
  const others = list.items.filter(({ kind }) => !kinds.includes(kind));
  return { ...list, items: [...others, ...kinds.flatMap(copies)] };
}

// The server.

/** Objects without a date are created long before the test runs, so that nothing settles. */
const LONG_AGO = new Date('2026-01-01T00:00:00Z');

/** An API server on the loopback interface that ends with the test. */
export async function serve(list: List, options: EmbeddedClusterOptions = {}): Promise<EmbeddedCluster> {
  const cluster = await startEmbeddedCluster({ now: () => LONG_AGO, ...options });
  onTestFinished(() => cluster.close());
  cluster.load(list);
  return cluster;
}

const PLURALS = ['gatewayclasses', 'gateways', 'envoyproxies', 'deployments', 'configmaps', 'horizontalpodautoscalers'];

/** Everything that the server has, by kind and key, byte for byte. */
export function contents(cluster: EmbeddedCluster): Record<string, string> {
  const objects = PLURALS.flatMap((plural) => cluster.objects(plural));
  return Object.fromEntries(objects.map((object) => [`${object.kind} ${keyOf(object)}`, JSON.stringify(object)]));
}

export const keyOf = ({ metadata: { namespace, name } }: KubernetesObject) =>
  namespace === undefined ? name : `${namespace}/${name}`;

export const hpasOf = (cluster: EmbeddedCluster) => cluster.objects('horizontalpodautoscalers').map(keyOf);

export const requestsOf = (cluster: EmbeddedCluster, method: string) =>
  cluster.requests.filter((request) => request.method === method);

export const writesTo = (cluster: EmbeddedCluster) => cluster.requests.filter(({ method }) => method !== 'GET');

/** Somebody else writes: the object changes, and with it its resourceVersion. */
export function rewrite(cluster: EmbeddedCluster, plural: string, change: (object: KubernetesObject) => void): void {
  for (const object of cluster.objects(plural)) {
    const { resourceVersion: _, ...metadata } = structuredClone(object.metadata);
    const next = { ...structuredClone(object), metadata } as KubernetesObject;
    change(next);
    cluster.load({ items: [next] });
  }
}

/** Somebody else deletes. */
export async function deleteAsAdmin(cluster: EmbeddedCluster, path: string): Promise<void> {
  const admin = connect({ url: cluster.url, caCertificate: cluster.caCertificate, token: 'admin-token' });
  await admin.delete(path);
  admin.close();
}

/** Something happens when the first request of this method has arrived, before it is handled or answered otherwise. */
export function beforeFirst(
  method: string,
  cluster: EmbeddedCluster,
  // biome-ignore lint/suspicious/noConfusingVoidType: most have nothing to answer
  act: (request: ReceivedRequest) => Intervention | void | Promise<Intervention | void>,
): void {
  let happened = false;
  cluster.onRequest = async (request) => {
    if (happened || request.method !== method) return undefined;
    happened = true;
    return (await act(request)) ?? undefined;
  };
}

// The sweep.

/** One sweep of the cluster, at a time when nothing settles. */
export async function sweep(cluster: EmbeddedCluster, options: Partial<SweepOptions> = {}): Promise<SweepReport> {
  const api = clusterApi(connectionTo(cluster));
  try {
    return await sweepCluster({
      cluster: 'shop',
      api,
      mode: 'delete',
      guards: DEFAULT_GUARDS,
      now: () => new Date('2027-01-01T00:00:00Z'),
      sweepId: 'sweep-1',
      log: SILENT,
      ...options,
    });
  } finally {
    api.close();
  }
}

/** `namespace/name: outcome, reason` of each HPA. */
export const outcomesOf = ({ hpas }: SweepReport) =>
  hpas.map(({ namespace, name, outcome, reason }) => `${namespace}/${name}: ${outcome}, ${reason}`);

// What a function prints.

export interface Output {
  text: string;
  /** Every line that is a JSON object. */
  written(): Record<string, unknown>[];
  logged(): Record<string, unknown>[];
  /** What the metrics, of all invocations together, say of a count. */
  counted(name: string): number;
}

/** What this process prints until the mocks are restored. */
export function captureOutput(): Output {
  const written = () =>
    output.text
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line));
  const output: Output = {
    text: '',
    written,
    logged: () => written().filter(({ level }) => level !== undefined),
    counted: (name) =>
      written()
        .filter(({ _aws }) => _aws !== undefined)
        .flatMap((metrics) => metrics[name] ?? [])
        .reduce((sum, count) => sum + count, 0),
  };
  const capture = (text: string | Uint8Array) => {
    output.text += text;
    return true;
  };
  vi.spyOn(process.stdout, 'write').mockImplementation(capture);
  vi.spyOn(process.stderr, 'write').mockImplementation(capture);
  return output;
}
