import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { clusterApi } from '../../functions/kubernetes/cluster-api.ts';
import { record } from '../assurance/record.ts';
import { connect } from '../contract/connection.ts';
import { adminToken, contractUsers, reaperRbac, reaperToken } from '../contract/server.ts';
import { connectionTo } from '../embedded-cluster/embedded-cluster.ts';
import { prepareControlPlane, startControlPlane } from '../real/control-plane/start.ts';
import { type Batch, type BatchResult, type Bench, type Finding, minorOf, runBatch, sharedEvents } from './batch.ts';
import { built, EnvoyGatewayProcess } from './envoy-gateway-process.ts';
import { sequences } from './world.ts';

const VERSIONS = ['v1.3.0', 'v1.4.2', 'v1.5.0', 'v1.7.0', 'v1.8.0', 'v1.9.1', 'v1.3.0-v1.9.1', 'v1.4.2-v1.9.1'];

const { values } = parseArgs({
  options: {
    version: { type: 'string', multiple: true, default: VERSIONS },
    sequences: { type: 'string', default: '8' },
    first: { type: 'string', default: '0' },
    parallel: { type: 'string', default: '16' },
    seed: { type: 'string', default: '1' },
    record: { type: 'boolean', default: false },
    findings: { type: 'string', default: join(tmpdir(), 'envoy-gateway-findings') },
  },
});

// Envoy Gateway listens on fixed ports and reads its certificates from /certs.
if (process.env.IN_OWN_NAMESPACES === undefined) {
  for (const version of new Set(values.version.flatMap((one) => one.split('-')))) await built(version);
  await prepareControlPlane();
  const prepare =
    'ip link set lo up && mkdir -p /certs /var/run/secrets && mount -t tmpfs tmpfs /certs && mount -t tmpfs tmpfs /var/run/secrets';
  const { status, error } = spawnSync(
    'unshare',
    [
      ...['--net', '--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', `${prepare} && exec "$@"`, 'sh'],
      ...[process.execPath, ...process.argv.slice(1)],
    ],
    { stdio: 'inherit', env: { ...process.env, IN_OWN_NAMESPACES: 'true' } },
  );
  if (error) console.error(`test:gateway needs unshare and ip of Linux, as root: ${error.message}`);
  process.exit(status ?? 1);
}

// As the first process of its namespace it ends all others with itself, and has to ask for these signals.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

type Figure = (results: readonly BatchResult[]) => string | number;
const sum =
  (count: (result: BatchResult) => number): Figure =>
  (results) =>
    results.reduce((total, result) => total + count(result), 0);
const ofKind = (...kinds: Finding['kind'][]): Figure =>
  sum((result) => result.findings.filter(({ kind }) => kinds.includes(kind)).length);
const FIGURES: Readonly<Record<string, Figure>> = {
  sequences: () => Number(values.sequences),
  'HPAs judged at rest': sum(({ judged }) => judged),
  'stale, as Envoy Gateway confirms': sum(({ stale }) => stale),
  'deleted during the sequences': sum(({ deletions }) => deletions.length),
  'wrongly deleted': ofKind('wrongly deleted'),
  'foreign HPAs touched': ofKind('foreign'),
  missed: ofKind('missed', 'reported and not missing'),
  'kept by a row': sum(({ keptByRow }) => Object.values(keptByRow).reduce((total, count) => total + count, 0)),
  'missing and reported': sum(({ missingReported }) => missingReported),
  'missing, not reported': ofKind('missing unreported'),
  'seconds from change to deletion: median, maximum': (results) => {
    const seconds = results
      .flatMap(({ deletions }) => deletions.flatMap((deletion) => deletion.seconds ?? []))
      .sort((one, other) => one - other);
    return seconds.length === 0 ? '–' : `${seconds[seconds.length >> 1]?.toFixed(0)}, ${seconds.at(-1)?.toFixed(0)}`;
  },
};

const resultsOf: BatchResult[][] = [];
for (const version of values.version) {
  const results = await runVersion(version);
  const figures = Object.entries(FIGURES).map(([name, figure]) => `${figure(results)} ${name}`);
  console.log(`${version}: ${figures.join('; ')}`);
  resultsOf.push(results);
}
const findings = resultsOf.flat().flatMap((result) => result.findings).length;
const columns = ['', ...values.version.map((version) => version.replace('-', ', upgraded to '))];
const rows = Object.entries(FIGURES).map(([name, figure]) => [name, ...resultsOf.map(figure)]);
if (values.record && findings === 0) {
  const command = `npm run test:gateway -- --sequences ${values.sequences} --parallel ${values.parallel} --seed ${values.seed}`;
  await record('gateway', { command, columns, rows });
}
process.exit(findings > 0 ? 1 : 0);

async function runVersion(name: string): Promise<BatchResult[]> {
  const [from = '', to] = name.split('-');
  const [total, parallel, seed] = [Number(values.sequences), Number(values.parallel), Number(values.seed)];
  const batches: Batch[] = [];
  for (let first = Number(values.first); first < total; first += parallel) {
    const number = first / parallel;
    const batchSeed = seed * 1_000_003 + number;
    const oldest = minorOf(from);
    const gatewayNamespaceMode = oldest >= 4 && number % 3 === 2;
    batches.push({
      first,
      sequences: fc.sample(sequences(minorOf(to ?? from)), {
        seed: batchSeed,
        numRuns: Math.min(parallel, total - first),
      }),
      shared: fc.sample(sharedEvents(oldest, gatewayNamespaceMode), { seed: batchSeed, numRuns: 18 }),
      ...{ from, to },
      gatewayNamespaceMode,
      deletes: number % 2 === 1,
    });
  }
  // Nobody installs older CRDs over newer ones: each upgrade gets an API server of its own.
  const groups = to === undefined ? [batches] : batches.map((batch) => [batch]);
  const results: BatchResult[] = [];
  for (const group of groups) {
    await withBench(async (bench) => {
      for (const batch of group) {
        const started = Date.now();
        const result = await runBatch(bench, batch);
        await print(name, seed, batch, result, Math.round((Date.now() - started) / 1000));
        results.push(result);
      }
    });
  }
  return results;
}

async function withBench(run: (bench: Bench) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'envoy-gateway-'));
  const { controlPlane, stop } = await startControlPlane({ users: contractUsers, rbac: await reaperRbac() });
  const admin = connect({ ...controlPlane, token: adminToken });
  const api = clusterApi(connectionTo(controlPlane, reaperToken));
  const envoyGateway = new EnvoyGatewayProcess(admin, { ...controlPlane, adminToken }, folder);
  try {
    await run({ admin, api, envoyGateway, auditLog: controlPlane.auditLog });
  } finally {
    await envoyGateway.stop();
    await api.close();
    admin.close();
    await stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function print(version: string, seed: number, batch: Batch, result: BatchResult, seconds: number): Promise<void> {
  const { judged, stale, deletions, keptByRow, missingReported, findings: found } = result;
  const { first, sequences: some } = batch;
  const kept = Object.entries(keptByRow).map(([reason, count]) => `${count} ${reason}`);
  console.log(
    `${version} s${first}-s${first + some.length - 1}: ${judged} judged, ${stale} stale, ${deletions.length} deleted; ` +
      `not wanted and kept: ${kept.join(', ') || 'none'}; ${missingReported} missing and reported; ` +
      `${found.length} findings (${seconds} s)`,
  );
  for (const { kind, hpa, explanation } of found) console.log(`  ${kind}: ${hpa} ${explanation}`);
  if (found.length === 0) return;
  const last = first + some.length;
  console.log(
    `  again: npm run test:gateway -- --version ${version} --seed ${seed} --first ${first} --sequences ${last} --parallel ${values.parallel}`,
  );
  console.log(`  the cluster and what happened: ${await save(version, seed, batch, result)}`);
}

/**
 * Saves a batch with findings as test/cases has its cases, with what happened.
 *
 * @returns the folder
 */
async function save(
  version: string,
  seed: number,
  batch: Batch,
  { cluster, wanted, trace, findings: found }: BatchResult,
): Promise<string> {
  const folder = join(values.findings, `${version}-seed${seed}-s${batch.first}`);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'cluster.json'), JSON.stringify(cluster, null, 1));
  await writeFile(join(folder, 'wanted.json'), JSON.stringify({ envoyGateway: version, wanted, found }, null, 1));
  await writeFile(join(folder, 'trace.txt'), `${trace.join('\n')}\n`);
  return folder;
}
