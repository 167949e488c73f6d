import { execFileSync, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { connect as connectTcp, createServer } from 'node:net';
import { join } from 'node:path';
import process from 'node:process';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import pMap from 'p-map';
import { OWNING_SELECTORS } from '../../functions/judgement/ownership.ts';
import { largeCluster } from '../builders/large-cluster.ts';
import { type Connection, connect } from '../contract/connection.ts';
import { type ControlPlane, startControlPlane } from '../real/control-plane/start.ts';

/** How many HPAs, Gateways and EnvoyProxies there are, each. */
const OBJECTS = Number(process.env.BENCH_SCAN_OBJECTS ?? 5_000);
const RUNS = Number(process.env.BENCH_SCANS ?? 5);
const CONTESTANTS = ['scan', 'kubectl', 'bare'] as const;
type Contestant = (typeof CONTESTANTS)[number];

const PATHS = [
  ...OWNING_SELECTORS.map(
    (selector) =>
      `/apis/autoscaling/v2/horizontalpodautoscalers?limit=500&labelSelector=${encodeURIComponent(selector)}`,
  ),
  '/apis/gateway.networking.k8s.io/v1/gatewayclasses?limit=500',
  '/apis/gateway.networking.k8s.io/v1/gateways?limit=500',
  '/apis/gateway.envoyproxy.io/v1alpha1/envoyproxies?limit=500',
  '/api/v1/configmaps?limit=500&fieldSelector=metadata.name%3Denvoy-gateway-config',
];

export interface Run {
  /** Of the whole process; of `bare` only of its work. */
  milliseconds: number;
  /** Peak. */
  mebibytes: number;
}
export interface ScanResult {
  objects: number;
  runs: number;
  /** Medians. */
  medians: Record<Contestant, Run>;
  /** Of the bare lists' time. */
  parsing: number;
  /** Counted in a run that is not timed; bytes as they come over the wire. */
  traffic: Record<Contestant, { requests: number; bytes: number }>;
}

/**
 * `scan` of a large cluster on a real kube-apiserver, beside `kubectl get` of the same and the same lists bare.
 *
 * @param reaper the bundled command
 * @throws when there is neither Go to build the control plane and kubectl with, nor KUBEBUILDER_ASSETS
 */
export async function measureScan(reaper: string, folder: string): Promise<ScanResult> {
  const build = join(import.meta.dirname, '../real/control-plane/build.sh');
  const assets = execFileSync('bash', [build, 'kubectl', 'kube-apiserver', 'etcd'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  }).trim();
  const users = Object.fromEntries(
    [...CONTESTANTS, 'loader'].map((username) => [username, { username, groups: ['system:masters'] }]),
  );
  const { controlPlane, stop } = await startControlPlane({ users });
  const proxy = await countingProxy(controlPlane.url);
  try {
    await load(controlPlane);
    const commandOf = (contestant: Contestant, server: string): string[] => {
      const config = join(folder, `${contestant}.json`);
      const ca = controlPlane.caCertificate;
      if (contestant === 'bare') {
        writeFileSync(config, JSON.stringify({ server, ca, token: contestant, paths: PATHS }));
        return [process.execPath, join(import.meta.dirname, 'bare-lists.mjs'), config];
      }
      writeFileSync(config, JSON.stringify(kubeconfig(server, ca, contestant)));
      if (contestant === 'scan') return [process.execPath, reaper, 'scan', '--kubeconfig', config, '-o', 'json'];
      const kinds = 'hpa,gateways,envoyproxies,gatewayclasses';
      return [join(assets, 'kubectl'), '--kubeconfig', config, 'get', kinds, '-A', '-o', 'json'];
    };
    const outputOf = (contestant: Contestant) => join(folder, `${contestant}.out`);

    const traffic = {} as ScanResult['traffic'];
    for (const contestant of CONTESTANTS) {
      const before = await requestsOf(contestant, controlPlane);
      proxy.bytes = 0;
      await run(commandOf(contestant, proxy.url), outputOf(contestant), folder);
      const requests = (await requestsOf(contestant, controlPlane)) - before;
      traffic[contestant] = { requests, bytes: proxy.bytes };
    }
    const { totals } = JSON.parse(readFileSync(outputOf('scan'), 'utf8'));
    if (totals.hpas !== OBJECTS || totals.stale !== 0) throw new Error(`scan found ${JSON.stringify(totals)}`);

    const runs = { scan: [], kubectl: [], bare: [] } as Record<Contestant, Run[]>;
    const bareRuns: { lists: number; parsing: number }[] = [];
    for (let round = 0; round < RUNS; round += 1) {
      for (const contestant of CONTESTANTS) {
        const { told, ...one } = await run(commandOf(contestant, controlPlane.url), outputOf(contestant), folder);
        const bare = told === '' ? undefined : JSON.parse(told);
        if (bare) bareRuns.push(bare);
        runs[contestant].push(bare ? { ...one, milliseconds: bare.lists + bare.parsing } : one);
      }
    }
    const median = (contestant: Contestant): Run => ({
      milliseconds: medianOf(runs[contestant], 'milliseconds'),
      mebibytes: medianOf(runs[contestant], 'mebibytes'),
    });
    const medians = { scan: median('scan'), kubectl: median('kubectl'), bare: median('bare') };
    return { objects: OBJECTS, runs: RUNS, medians, parsing: medianOf(bareRuns, 'parsing'), traffic };
  } finally {
    proxy.close();
    await stop();
  }
}

const kubeconfig = (server: string, ca: string, token: string) => ({
  apiVersion: 'v1',
  kind: 'Config',
  'current-context': 'bench',
  contexts: [{ name: 'bench', context: { cluster: 'bench', user: 'bench' } }],
  clusters: [{ name: 'bench', cluster: { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') } }],
  users: [{ name: 'bench', user: { token } }],
});

const COLLECTIONS = {
  ConfigMap: '/api/v1/%/configmaps',
  GatewayClass: '/apis/gateway.networking.k8s.io/v1/gatewayclasses',
  Gateway: '/apis/gateway.networking.k8s.io/v1/%/gateways',
  EnvoyProxy: '/apis/gateway.envoyproxy.io/v1alpha1/%/envoyproxies',
  HorizontalPodAutoscaler: '/apis/autoscaling/v2/%/horizontalpodautoscalers',
  Deployment: '/apis/apps/v1/%/deployments',
};

/** HPAs are applied as Envoy Gateway does, the rest is created. */
async function load({ url, caCertificate }: ControlPlane): Promise<void> {
  const loader = connect({ url, caCertificate, token: 'loader' });
  const objects = largeCluster({ gateways: OBJECTS, leftBehind: 0 });
  const namespaces = new Set(objects.flatMap(({ metadata }) => metadata.namespace ?? []));
  console.error(`loading ${objects.length} objects into a kube-apiserver`);
  await pMap(namespaces, (name) => done(loader.post('/api/v1/namespaces', { metadata: { name } })), {
    concurrency: 16,
  });
  await pMap(objects, (object) => done(write(object, loader)), { concurrency: 32 });
  loader.close();
}

function write(object: ReturnType<typeof largeCluster>[number], loader: Connection): ReturnType<Connection['post']> {
  const {
    uid: _uid,
    resourceVersion: _version,
    managedFields: _fields,
    ...metadata
  } = object.metadata as Record<string, unknown>;
  const { status: _status, ...manifest } = { status: undefined, ...object, metadata };
  const collection = COLLECTIONS[object.kind].replace('%', `namespaces/${metadata.namespace}`);
  if (object.kind !== 'HorizontalPodAutoscaler') return loader.post(collection, manifest);
  return loader.apply(`${collection}/${metadata.name}?fieldManager=envoy-gateway&force=true`, manifest);
}

async function done(reply: ReturnType<Connection['post']>): Promise<void> {
  const { status, text: answer } = await reply;
  if (status >= 300) throw new Error(`kube-apiserver refused an object: ${answer}`);
}

/** So many requests of a user the audit log has, once it has grown no more for a while. */
async function requestsOf(username: string, { auditLog }: ControlPlane): Promise<number> {
  let count = -1;
  for (;;) {
    const lines = (await readFile(auditLog, 'utf8')).split('\n').slice(0, -1);
    const now = lines.filter((line) => line.includes(`"username":"${username}"`)).length;
    if (now === count) return now;
    count = now;
    await delay(500);
  }
}

/** Runs a command in a process of its own, its output into a file. */
async function run(
  [command = '', ...args]: readonly string[],
  output: string,
  home: string,
): Promise<Run & { told: string }> {
  const file = await open(output, 'w');
  const started = performance.now();
  // Nothing of the person's own: no other kubeconfig, and a discovery cache that lasts as long as the bench.
  const child = spawn(command, args, { env: { HOME: home }, stdio: ['ignore', file.fd, 'inherit', 'pipe'] });
  let mebibytes = 0;
  const look = setInterval(() => {
    mebibytes = Math.max(mebibytes, peakOf(child.pid));
  }, 10);
  const told = text(child.stdio[3] as Readable);
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  const milliseconds = performance.now() - started;
  clearInterval(look);
  await file.close();
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}`);
  return { milliseconds, mebibytes, told: await told };
}

/** What Linux says of a process that runs; no other system tells it of any process alike. */
function peakOf(pid: number | undefined): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
  } catch {
    return 0; // It has just ended.
  }
}

/** Forwards to the server, and counts what comes back. */
async function countingProxy(server: string) {
  const { port, hostname } = new URL(server);
  const proxy = createServer((client) => {
    const upstream = connectTcp(Number(port), hostname);
    upstream.on('data', (chunk: Buffer) => {
      self.bytes += chunk.length;
    });
    client.pipe(upstream).pipe(client);
    for (const socket of [client, upstream]) {
      socket.on('error', () => {
        client.destroy();
        upstream.destroy();
      });
    }
  });
  await new Promise<void>((listening) => proxy.listen(0, '127.0.0.1', listening));
  const self = {
    url: `https://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    bytes: 0,
    close: () => proxy.close(),
  };
  return self;
}

/** The median of a field. */
export function medianOf<Field extends string>(measured: readonly Record<Field, number>[], field: Field): number {
  const sorted = measured.map((one) => one[field]).toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
