/**
 * `npm run bench` measures ratios, with all variants in turn, so that other load on the machine affects them alike.
 *
 * Cold start: from the start of a process until it has handled the first event, against local servers that respond as EKS,
 * EventBridge and a cluster with one healthy HPA. Each function as packaged, bundled with the defaults of esbuild, from its sources,
 * and one that does nothing. Warm sweep: the packaged reap over that cluster, and the same requests bare. Scan: see scan.ts.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { build } from 'esbuild';
import { bundle } from '../../infra/bundle.ts';
import { EksDouble } from '../doubles/eks.ts';
import { EventBridgeDouble } from '../doubles/eventbridge.ts';
import { waves } from '../doubles/kube-apiserver.ts';
import { selfSignedCertificate } from '../embedded-cluster/certificate.ts';
import { startEmbeddedCluster } from '../embedded-cluster/embedded-cluster.ts';
import { ACCOUNT, changeBatch, lambdaContext, REGION, subscriptionEvent } from '../embedded-cluster/event-path.ts';
import { measureScan, medianOf, type ScanResult } from './scan.ts';

const COLD_STARTS = Number(process.env.BENCH_COLD_STARTS ?? 21);
const WARM_SWEEPS = Number(process.env.BENCH_WARM_SWEEPS ?? 300);
const FUNCTIONS = ['forward', 'reap'] as const;
const BUNDLES = ['packaged', 'plain', 'unbundled', 'empty'] as const;
const CLUSTER = 'bench';
type FunctionName = (typeof FUNCTIONS)[number];
type Bundle = (typeof BUNDLES)[number];

const folder = mkdtempSync(join(tmpdir(), 'bench-'));
// TLS, as for the real services: for an http endpoint the SDK loads more than it does in Lambda.
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

/** esbuild's default for Node is CommonJS. */
const fileOf = (kind: Bundle, name: FunctionName) =>
  kind === 'unbundled'
    ? resolve('functions', name, 'handler.ts')
    : join(folder, kind, name, kind === 'plain' ? 'handler.cjs' : 'handler.mjs');
const eventFileOf = (name: FunctionName) => join(folder, `${name}.json`);

async function writeBundlesAndEvents(): Promise<void> {
  await bundle(join(folder, 'packaged'));
  const line = readFileSync('test/fixtures/audit-events/envoyproxy-patch.json', 'utf8');
  const events = { forward: subscriptionEvent(CLUSTER, [JSON.parse(line)]), reap: changeBatch(CLUSTER, line) };
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
    const invocation = { event: events[name], context: lambdaContext(name), remaining: 60_000 };
    writeFileSync(eventFileOf(name), JSON.stringify(invocation));
  }
}

interface ColdStart {
  milliseconds: number;
  /** Peak RSS. */
  mebibytes: number;
}
type ColdStarts = Record<FunctionName, Record<Bundle, ColdStart>>;

async function measureColdStarts(): Promise<ColdStarts> {
  const measured = FUNCTIONS.flatMap((name) => BUNDLES.map((kind) => ({ name, kind, starts: [] as ColdStart[] })));
  // The first round fills the cache of the file system.
  for (let round = 0; round <= COLD_STARTS; round += 1) {
    for (const { name, kind, starts } of measured) {
      const start = await coldStart(kind, name);
      if (round > 0) starts.push(start);
    }
  }
  const medians: Partial<Record<FunctionName, Partial<Record<Bundle, ColdStart>>>> = {};
  for (const { name, kind, starts } of measured) {
    const median = (field: keyof ColdStart) => medianOf(starts.map((start) => start[field]));
    const start = { milliseconds: median('milliseconds'), mebibytes: median('mebibytes') };
    medians[name] = { ...medians[name], [kind]: start };
  }
  return medians as ColdStarts;
}

async function coldStart(kind: Bundle, name: FunctionName): Promise<ColdStart> {
  const { written, milliseconds } = await runNode('../e2e/one-invocation.mjs', [fileOf(kind, name), eventFileOf(name)]);
  const { peak, answer } = written as { peak: number; answer?: { batchItemFailures?: object[] } };
  if (answer?.batchItemFailures?.length) throw new Error(`${kind} ${name} failed its event`);
  return { milliseconds, mebibytes: peak };
}

/** Medians in milliseconds. */
interface WarmSweep {
  sweep: number;
  bare: number;
  requests: number;
}

async function measureWarmSweeps(): Promise<WarmSweep> {
  // The latency lets all requests of a wave arrive before the first response.
  cluster.latency = 50;
  cluster.requests.length = 0;
  await coldStart('packaged', 'reap');
  cluster.latency = 0;
  const { url: server, caCertificate: ca, requests } = cluster;
  const pathsInWaves = waves(requests).map((wave) => wave.map(({ path, query }) => `${path}?${query}`));
  const wavesFile = join(folder, 'waves.json');
  const headers = { authorization, accept: requests[0]?.headers.accept };
  writeFileSync(wavesFile, JSON.stringify({ server, ca, headers, waves: pathsInWaves }));
  const files = [fileOf('packaged', 'reap'), eventFileOf('reap'), wavesFile];
  const { written } = await runNode('warm-sweep.mjs', [...files, String(WARM_SWEEPS)]);
  const { sweeps, bare } = written as { sweeps: number[]; bare: number[] };
  return { sweep: medianOf(sweeps), bare: medianOf(bare), requests: pathsInWaves.flat().length };
}

/** Runs a script in a process of its own, until it has written JSON to the file descriptor 3. */
function runNode(script: string, args: string[]): Promise<{ written: unknown; milliseconds: number }> {
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
      if (code === 0) resolve({ written: JSON.parse(text), milliseconds });
      else reject(new Error(`${script} ${args[0]} ended with ${code}`));
    });
  });
}

const row = (...cells: (string | number)[]) => console.log(`| ${cells.join(' | ')} |`);
function header(...cells: string[]): void {
  row(...cells);
  row(...cells.map(() => '---'));
}
const ratio = (what: string, measured: number, goal: number) =>
  row(what, measured.toFixed(2), `${goal}${measured <= goal ? '' : ', missed'}`);

function report(cold: ColdStarts, warm: WarmSweep): void {
  console.log(`Medians of ${COLD_STARTS} fresh processes, Node ${process.version}\n`);
  header('cold start', ...BUNDLES);
  for (const name of FUNCTIONS) {
    const starts = BUNDLES.map((kind) => cold[name][kind]);
    row(name, ...starts.map((start) => `${start.milliseconds.toFixed(0)} ms, ${start.mebibytes.toFixed(0)} MiB`));
  }
  const above = (name: FunctionName, kind: Bundle) => cold[name][kind].milliseconds - cold[name].empty.milliseconds;
  console.log();
  header('ratio', 'measured', 'goal');
  ratio('reap: time above empty, packaged : plain', above('reap', 'packaged') / above('reap', 'plain'), 0.4);
  ratio('reap: RSS, packaged : plain', cold.reap.packaged.mebibytes / cold.reap.plain.mebibytes, 0.62);
  ratio('time above empty, forward : reap', above('forward', 'packaged') / above('reap', 'packaged'), 0.45);
  const milliseconds = `${warm.sweep.toFixed(1)} ms : ${warm.bare.toFixed(1)} ms`;
  ratio(`warm sweep : its ${warm.requests} requests, bare (${milliseconds})`, warm.sweep / warm.bare, 1.2);
}

function reportScan({ objects, runs, results }: ScanResult): void {
  console.log(`\nMedians of ${runs} scans of ${objects} HPAs, Gateways and EnvoyProxies each\n`);
  header('', 'time', 'peak RSS', 'requests', 'over the wire');
  for (const { command, milliseconds, mebibytes, requests, bytes } of Object.values(results)) {
    const seconds = `${(milliseconds / 1000).toFixed(2)} s`;
    row(command, seconds, `${mebibytes.toFixed(0)} MiB`, requests, `${(bytes / 1e6).toFixed(1)} MB`);
  }
  console.log();
  const { scan, kubectl, bare } = results;
  header('ratio', 'measured', 'goal');
  ratio('scan : kubectl, time', scan.milliseconds / kubectl.milliseconds, 0.25);
  ratio('scan : bare lists and JSON.parse, time', scan.milliseconds / bare.milliseconds, 2);
  ratio('scan, peak RSS in MiB', scan.mebibytes, 160);
}

try {
  await writeBundlesAndEvents();
  report(await measureColdStarts(), await measureWarmSweeps());
  reportScan(await measureScan(join(folder, 'packaged', 'reaper.mjs'), folder));
} finally {
  await Promise.all([cluster.close(), eventBridge.stop(), eks.stop()]);
  rmSync(folder, { recursive: true });
}
