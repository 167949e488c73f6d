/**
 * `npm run bench`: ratios, measured side by side in one run.
 *
 * Cold start: from the start of the process until the first event is done, against local servers that answer as EKS,
 * EventBridge and a cluster with one healthy HPA do. For each function three bundles take turns, so that whatever else the
 * machine does hits them alike: as packaged, by esbuild's defaults, and one that does
 * nothing. Warm pass: the packaged reap over that cluster, and after each pass the same requests bare. Scan: the bundled
 * command over a large cluster on a real kube-apiserver, kubectl and the bare lists in turns (scan.ts).
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { build } from 'esbuild';
import { CHANGE_DETAIL_TYPE, EVENT_SOURCE } from '../../functions/events/change-event.ts';
import { bundle } from '../../infra/bundle.ts';
import { EksDouble } from '../doubles/eks.ts';
import { EventBridgeDouble } from '../doubles/eventbridge.ts';
import { waves } from '../doubles/kube-apiserver.ts';
import { selfSignedCertificate } from '../embedded-cluster/certificate.ts';
import { startEmbeddedCluster } from '../embedded-cluster/embedded-cluster.ts';
import {
  ACCOUNT,
  busEvent,
  lambdaContext,
  queueBatch,
  REGION,
  subscriptionEvent,
} from '../embedded-cluster/event-path.ts';
import { measureScan, medianOf, type Run, type ScanResult } from './scan.ts';

const COLD_STARTS = Number(process.env.BENCH_COLD_STARTS ?? 21);
const WARM_PASSES = Number(process.env.BENCH_WARM_PASSES ?? 300);
const FUNCTIONS = ['forward', 'reap'] as const;
const CLUSTER = 'bench';

const folder = mkdtempSync(join(tmpdir(), 'bench-'));
// Over TLS as the real services: for a plain http endpoint the SDK loads more than it ever does in Lambda.
const { key, certificate: cert } = selfSignedCertificate(new Date());
writeFileSync(join(folder, 'ca.pem'), cert);
const eventBridge = new EventBridgeDouble({ key, cert });
const eks = new EksDouble({ key, cert });
let authorization: string | string[] | undefined;
const cluster = await startEmbeddedCluster({
  // A real cluster checks the token with STS.
  onRequest: ({ headers }) => {
    authorization = headers.authorization;
    headers.authorization = 'Bearer admin-token';
    return undefined;
  },
});
cluster.load(JSON.parse(readFileSync('test/cases/autoscaling-kept-v1.9.1/cluster.json', 'utf8')));
eks.clusters.set(CLUSTER, { status: 'ACTIVE', endpoint: cluster.url, ca: cluster.caCertificate });
const environment = {
  PATH: process.env.PATH,
  AWS_REGION: REGION,
  AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE',
  AWS_SECRET_ACCESS_KEY: 'secret',
  AWS_SESSION_TOKEN: 'token',
  AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x',
  NODE_EXTRA_CA_CERTS: join(folder, 'ca.pem'),
  AWS_ENDPOINT_URL_EKS: await eks.start(),
  AWS_ENDPOINT_URL_EVENTBRIDGE: await eventBridge.start(),
  ACCOUNT_ID: ACCOUNT,
  EVENT_BUS_NAME: 'envoy-hpa-reaper',
  MODE: 'delete',
  POWERTOOLS_SERVICE_NAME: 'bench',
  POWERTOOLS_METRICS_NAMESPACE: 'EnvoyHpaReaper',
};

async function makeBundles(): Promise<void> {
  await bundle(join(folder, 'packaged'));
  for (const name of FUNCTIONS) {
    await build({
      entryPoints: [`functions/${name}/handler.ts`],
      outfile: fileOf('plain', name),
      bundle: true,
      minify: true,
      platform: 'node',
      target: 'node24',
      logLevel: 'error',
    });
    mkdirSync(join(folder, 'empty', name), { recursive: true });
    writeFileSync(fileOf('empty', name), 'export const handler = async () => {};\n');
  }
}

type Kind = 'packaged' | 'plain' | 'empty';
type Name = (typeof FUNCTIONS)[number];

/** esbuild's default for Node is CommonJS. */
const fileOf = (kind: Kind, name: Name) => join(folder, kind, name, kind === 'plain' ? 'handler.cjs' : 'handler.mjs');
const eventFileOf = (name: Name) => join(folder, `${name}.json`);

function writeEvents(): void {
  const line = JSON.parse(readFileSync('test/fixtures/audit-events/envoyproxy-patch.json', 'utf8'));
  const { auditID, verb, objectRef, sourceIPs, requestReceivedTimestamp, stageTimestamp, user } = line;
  const times = { requestReceivedTimestamp, stageTimestamp };
  const detail = { version: '1', cluster: CLUSTER, auditID, verb, objectRef, user, sourceIPs, ...times, lines: 1 };
  const change = { source: EVENT_SOURCE, detailType: CHANGE_DETAIL_TYPE, detail, resources: [], time: new Date() };
  const events = {
    forward: subscriptionEvent(CLUSTER, [line]),
    reap: queueBatch([JSON.stringify(busEvent(change))]),
  };
  for (const name of FUNCTIONS) {
    writeFileSync(eventFileOf(name), JSON.stringify({ event: events[name], context: lambdaContext(name) }));
  }
}

interface ColdStart {
  milliseconds: number;
  megabytes: number;
}

async function measureColdStarts(): Promise<Record<Name, Record<Kind, ColdStart>>> {
  const kinds = ['packaged', 'plain', 'empty'] as const;
  const measured = FUNCTIONS.flatMap((name) => kinds.map((kind) => ({ name, kind, starts: [] as ColdStart[] })));
  // The first round fills the file system's cache.
  for (let round = 0; round <= COLD_STARTS; round += 1) {
    for (const { name, kind, starts } of measured) {
      const start = await coldStart(kind, name);
      if (round > 0) starts.push(start);
    }
  }
  const median = (name: Name, kind: Kind): ColdStart => {
    const starts = measured.find((one) => one.name === name && one.kind === kind)?.starts ?? [];
    return { milliseconds: medianOf(starts, 'milliseconds'), megabytes: medianOf(starts, 'megabytes') };
  };
  const [forward, reap] = FUNCTIONS.map((name) => ({
    packaged: median(name, 'packaged'),
    plain: median(name, 'plain'),
    empty: median(name, 'empty'),
  })) as [Record<Kind, ColdStart>, Record<Kind, ColdStart>];
  return { forward, reap };
}

async function coldStart(kind: Kind, name: Name): Promise<ColdStart> {
  const { told, milliseconds } = await runNode('cold-start.mjs', [fileOf(kind, name), eventFileOf(name)]);
  const { rss, failures } = told as { rss: number; failures: number };
  if (failures > 0) throw new Error(`${kind} ${name} failed its event`);
  return { milliseconds, megabytes: rss / 1024 / 1024 };
}

interface WarmPass {
  /** Milliseconds. */
  pass: number;
  /** Milliseconds. */
  bare: number;
  requests: number;
}

async function measureWarmPasses(): Promise<WarmPass> {
  // The latency lets the requests of a wave all arrive before the first is answered.
  cluster.latency = 50;
  cluster.requests.length = 0;
  await coldStart('packaged', 'reap');
  cluster.latency = 0;
  const { url: server, caCertificate: ca } = cluster;
  const pathsInWaves = waves(cluster.requests).map((wave) => wave.map(({ path, query }) => `${path}?${query}`));
  const wavesFile = join(folder, 'waves.json');
  const headers = { authorization, accept: cluster.requests[0]?.headers.accept };
  writeFileSync(wavesFile, JSON.stringify({ server, ca, headers, waves: pathsInWaves }));
  const { told } = await runNode('warm-pass.mjs', [
    fileOf('packaged', 'reap'),
    eventFileOf('reap'),
    wavesFile,
    String(WARM_PASSES),
  ]);
  const { passes, bare } = told as { passes: number[]; bare: number[] };
  const median = (times: number[]) =>
    medianOf(
      times.map((time) => ({ time })),
      'time',
    );
  return { pass: median(passes), bare: median(bare), requests: pathsInWaves.flat().length };
}

/** Runs a script of this folder in a process of its own, until it tells what it has to tell. */
function runNode(script: string, args: string[]): Promise<{ told: unknown; milliseconds: number }> {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const child = spawn(process.execPath, [join(import.meta.dirname, script), ...args], {
      env: environment,
      stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
    });
    let text = '';
    let milliseconds = 0;
    child.stdio[3]?.on('data', (chunk: Buffer) => {
      milliseconds = performance.now() - started;
      text += chunk;
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve({ told: JSON.parse(text), milliseconds });
      else reject(new Error(`${script} ${args[0]} ended with ${code}`));
    });
  });
}

const ratio = (what: string, measured: number, goal: number) =>
  console.log(`| ${what} | ${measured.toFixed(2)} | ${goal} ${measured <= goal ? '' : '(missed) '}|`);

function report(cold: Record<Name, Record<Kind, ColdStart>>, warm: WarmPass): void {
  console.log(`Medians of ${COLD_STARTS} fresh processes, Node ${process.version}\n`);
  console.log('| cold start | packaged | plain | empty |\n| --- | --- | --- | --- |');
  for (const name of FUNCTIONS) {
    const { packaged, plain, empty } = cold[name];
    const cells = [packaged, plain, empty].map(
      ({ milliseconds, megabytes }) => `${milliseconds.toFixed(0)} ms, ${megabytes.toFixed(0)} MB`,
    );
    console.log(`| ${name} | ${cells.join(' | ')} |`);
  }
  const above = (name: Name, kind: Kind) => cold[name][kind].milliseconds - cold[name].empty.milliseconds;
  console.log('\n| ratio | measured | goal |\n| --- | --- | --- |');
  ratio('reap: time above empty, packaged : plain', above('reap', 'packaged') / above('reap', 'plain'), 0.5);
  ratio('reap: RSS, packaged : plain', cold.reap.packaged.megabytes / cold.reap.plain.megabytes, 0.75);
  ratio('time above empty, forward : reap', above('forward', 'packaged') / above('reap', 'packaged'), 0.6);
  ratio(
    `warm pass (${warm.pass.toFixed(1)} ms) : its ${warm.requests} requests, bare (${warm.bare.toFixed(1)} ms)`,
    warm.pass / warm.bare,
    1.3,
  );
}

function reportScan({ objects, runs, medians, parsing, traffic }: ScanResult): void {
  const { scan, kubectl, bare } = medians;
  console.log(`\nMedians of ${runs} scans of ${objects} HPAs, Gateways and EnvoyProxies each\n`);
  console.log('| | time | peak RSS | requests | over the wire |\n| --- | --- | --- | --- | --- |');
  const row = (what: string, { milliseconds, mebibytes }: Run, { requests, bytes }: ScanResult['traffic']['scan']) =>
    console.log(
      `| ${what} | ${(milliseconds / 1000).toFixed(2)} s | ${mebibytes.toFixed(0)} MiB | ${requests} | ${(bytes / 1e6).toFixed(1)} MB |`,
    );
  row('reaper scan -o json', scan, traffic.scan);
  row('kubectl get -A -o json', kubectl, traffic.kubectl);
  row(`bare lists, of it ${parsing.toFixed(0)} ms JSON.parse`, bare, traffic.bare);
  console.log('\n| ratio | measured | goal |\n| --- | --- | --- |');
  ratio('scan : kubectl, time', scan.milliseconds / kubectl.milliseconds, 0.4);
  ratio('scan : bare lists and JSON.parse, time', scan.milliseconds / bare.milliseconds, 2);
  ratio('scan, peak RSS in MiB', scan.mebibytes, 200);
}

try {
  await makeBundles();
  writeEvents();
  const coldStarts = await measureColdStarts();
  report(coldStarts, await measureWarmPasses());
  reportScan(await measureScan(join(folder, 'packaged', 'reaper.mjs'), folder));
} finally {
  await Promise.all([cluster.close(), eventBridge.stop(), eks.stop()]);
  rmSync(folder, { recursive: true });
}
