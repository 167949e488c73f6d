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
import { apiPath } from '../../functions/kubernetes/api-client.ts';
import { KINDS } from '../../functions/kubernetes/kinds.ts';
import { largeCluster } from '../builders/large-cluster.ts';
import { connect } from '../contract/connection.ts';
import { type ControlPlane, startControlPlane } from '../real/control-plane/start.ts';

/** The number of HPAs, of Gateways and of EnvoyProxies. */
const OBJECTS = Number(process.env.BENCH_SCAN_OBJECTS ?? 5_000);
const RUNS = Number(process.env.BENCH_SCANS ?? 5);
const CONTESTANTS = {
  scan: 'reaper scan -o json',
  kubectl: 'kubectl get -A -o json',
  bare: 'bare lists and JSON.parse',
};
type Contestant = keyof typeof CONTESTANTS;
const NAMES = Object.keys(CONTESTANTS) as Contestant[];

const PATHS = [
  ...OWNING_SELECTORS.map(
    (selector) => `/apis/autoscaling/v2/horizontalpodautoscalers?labelSelector=${encodeURIComponent(selector)}`,
  ),
  '/apis/gateway.networking.k8s.io/v1/gatewayclasses',
  '/apis/gateway.networking.k8s.io/v1/gateways',
  '/apis/gateway.envoyproxy.io/v1alpha1/envoyproxies',
  '/api/v1/configmaps?fieldSelector=metadata.name%3Denvoy-gateway-config',
];

interface Run {
  /** Of the whole process; for `bare`, of its requests and parsing only. */
  milliseconds: number;
  /** Peak RSS. */
  mebibytes: number;
}
export interface ScanResult {
  objects: number;
  runs: number;
  /** Medians, and the traffic of one run that is not timed: the requests, and the bytes over the wire. */
  results: Record<Contestant, Run & { command: string; requests: number; bytes: number }>;
}

/**
 * Measures `scan` over a large cluster on a real kube-apiserver, `kubectl get` of the same kinds, and the same list requests bare.
 *
 * @param reaper the bundled command
 * @throws without Go to build the control plane and kubectl, and without KUBEBUILDER_ASSETS
 */
export async function measureScan(reaper: string, folder: string): Promise<ScanResult> {
  const build = join(import.meta.dirname, '../real/control-plane/build.sh');
  const assets = execFileSync('bash', [build, 'kubectl', 'kube-apiserver', 'etcd'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  }).trim();
  const users = Object.fromEntries(
    [...NAMES, 'loader'].map((username) => [username, { username, groups: ['system:masters'] }]),
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

    const results = {} as ScanResult['results'];
    for (const contestant of NAMES) {
      const before = await requestsOf(contestant, controlPlane);
      proxy.bytes = 0;
      const first = await run(commandOf(contestant, proxy.url), outputOf(contestant), folder);
      const requests = (await requestsOf(contestant, controlPlane)) - before;
      results[contestant] = { ...first, command: CONTESTANTS[contestant], requests, bytes: proxy.bytes };
    }
    const { totals } = JSON.parse(readFileSync(outputOf('scan'), 'utf8'));
    if (totals.hpas !== OBJECTS || totals.stale !== 0) throw new Error(`scan found ${JSON.stringify(totals)}`);

    const runs: Record<Contestant, Run[]> = { scan: [], kubectl: [], bare: [] };
    for (let round = 0; round < RUNS; round += 1) {
      for (const contestant of NAMES) {
        runs[contestant].push(await run(commandOf(contestant, controlPlane.url), outputOf(contestant), folder));
      }
    }
    for (const contestant of NAMES) {
      const median = (field: keyof Run) => medianOf(runs[contestant].map((one) => one[field]));
      Object.assign(results[contestant], { milliseconds: median('milliseconds'), mebibytes: median('mebibytes') });
    }
    return { objects: OBJECTS, runs: RUNS, results };
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

/** Applies the objects of a large cluster; the HPAs as Envoy Gateway does. */
async function load({ url, caCertificate }: ControlPlane): Promise<void> {
  const loader = connect({ url, caCertificate, token: 'loader' });
  const objects = largeCluster({ gateways: OBJECTS, leftBehind: 0 });
  const apply = async (path: string, manifest: object) => {
    const reply = await loader.apply(`${path}?fieldManager=envoy-gateway&force=true`, manifest);
    if (reply.status >= 300) throw new Error(`kube-apiserver refused ${path}: ${reply.text}`);
  };
  const namespaces = new Set(objects.flatMap(({ metadata }) => metadata.namespace ?? []));
  console.error(`loading ${objects.length} objects into a kube-apiserver`);
  for (const name of namespaces) {
    await apply(apiPath('v1', 'namespaces', { name }), { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  }
  const applyObject = async (object: (typeof objects)[number]) => {
    const { uid: _, resourceVersion: __, managedFields: ___, ...metadata } = object.metadata as Record<string, unknown>;
    const path = apiPath(object.apiVersion, KINDS[object.kind].plural, object.metadata);
    await apply(path, { ...object, metadata, status: undefined });
  };
  await pMap(objects, applyObject, { concurrency: 32 });
  loader.close();
}

/** The number of requests of a user in the audit log, once it no longer grows. */
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

/** Runs a command with its output into a file. A command may write its own times to the file descriptor 3. */
async function run([command = '', ...args]: readonly string[], output: string, home: string): Promise<Run> {
  const file = await open(output, 'w');
  const started = performance.now();
  // Without the home folder of the person: no other kubeconfig, and an own discovery cache.
  const child = spawn(command, args, { env: { HOME: home }, stdio: ['ignore', file.fd, 'inherit', 'pipe'] });
  let mebibytes = 0;
  const look = setInterval(() => {
    mebibytes = Math.max(mebibytes, peakOf(child.pid));
  }, 10);
  const written = text(child.stdio[3] as Readable);
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  const milliseconds = performance.now() - started;
  clearInterval(look);
  await file.close();
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}`);
  const own = JSON.parse((await written) || 'null') as { lists: number; parsing: number } | null;
  return { milliseconds: own ? own.lists + own.parsing : milliseconds, mebibytes };
}

/** The peak RSS of a running process, on Linux only. */
function peakOf(pid: number | undefined): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
  } catch {
    return 0; // The process has ended.
  }
}

/** Forwards to the server, and counts the bytes of its responses. */
async function countingProxy(server: string) {
  const { port, hostname } = new URL(server);
  const proxy = createServer((client) => {
    const upstream = connectTcp(Number(port), hostname);
    upstream.on('data', (chunk: Buffer) => {
      self.bytes += chunk.length;
    });
    client.pipe(upstream).pipe(client);
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ])
      socket?.on('error', () => other?.destroy());
  });
  await new Promise<void>((listening) => proxy.listen(0, '127.0.0.1', listening));
  const self = {
    url: `https://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    bytes: 0,
    close: () => proxy.close(),
  };
  return self;
}

export function medianOf(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}
