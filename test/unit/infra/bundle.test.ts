import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bundle } from '../../../infra/bundle.ts';
import { startEmbeddedCluster } from '../../embedded-cluster/embedded-cluster.ts';

const folder = mkdtempSync(join(tmpdir(), 'bundle-'));
afterAll(() => rmSync(folder, { recursive: true }));

let bundles: Awaited<ReturnType<typeof bundle>>;
beforeAll(async () => {
  bundles = await bundle(folder);
}, 60_000);

it('leaves out what no function needs', () => {
  expect([...bundles.keys()]).toEqual(expect.arrayContaining(['backfill', 'enroll', 'forward', 'reap']));
  for (const [name, { outputs }] of bundles) {
    const loaded = [...loadedAtStart(outputs)].flatMap((file) => Object.entries(outputs[file]?.inputs ?? {}));
    const there = loaded.filter(([, { bytesInOutput }]) => bytesInOutput > 0).map(([input]) => input);
    for (const unneeded of [
      /@kubernetes\//,
      /\/undici\//,
      /\/zod\/v4\/locales\/(?!en\.js)/,
      /credential-provider-(sso|ini|process|web-identity|login)/,
      /bowser/,
      /dist-cjs/,
      // Only a person puts HPAs back.
      /functions\/(kubernetes\/hpa-restorer|aws\/deletion-log)/,
    ]) {
      expect(
        there.filter((input) => unneeded.test(input)),
        `${unneeded} in ${name}`,
      ).toEqual([]);
    }
  }
});

it('makes a command of the tool that judges a saved cluster', () => {
  const args = ['scan', '--exit-code', '--file', 'test/cases/autoscaling-removed-v1.3.0/cluster.json'];
  const { status, stdout, stderr } = spawnSync(join(folder, 'reaper.mjs'), args, { encoding: 'utf8' });
  expect(status, stderr).toBe(3);
  expect(stdout).toContain('AutoscalingRemoved');
});

it('puts the RBAC into the tool, which is one file', () => {
  const manifest = readFileSync('infra/kubernetes/rbac.yaml', 'utf8');
  const text = readFileSync(join(folder, 'reaper.mjs'), 'utf8').replaceAll('\\n', '\n');
  // Signs that are escaped in one kind of literal or another.
  const lines = manifest.split('\n').filter((line) => !/["'`\\]/.test(line));
  expect(lines.filter((line) => !text.includes(line))).toEqual([]);
});

/** Node 20 wants to be replaced by the next AWS SDK, and finds eleven listeners of a signal too many. */
const asNode20 = [
  '--import',
  `data:text/javascript,${encodeURIComponent(`
    import { setMaxListeners } from 'node:events';
    Object.defineProperty(process, 'version', { value: 'v20.19.0' });
    globalThis.AbortController = class extends AbortController {
      constructor() {
        super();
        setMaxListeners(10, this.signal);
      }
    };`)}`,
];

it('does not have Node 20 warn of an AWS SDK that is packed in', () => {
  const args = [...asNode20, join(folder, 'reaper.mjs'), 'doctor', '--eks'];
  const env = { PATH: process.env.PATH, HOME: folder, AWS_REGION: 'eu-central-1', AWS_EC2_METADATA_DISABLED: 'true' };
  const { status, stderr } = spawnSync(process.execPath, args, { env, encoding: 'utf8' });
  expect(status).toBe(1);
  expect(stderr).toMatch(/^reaper: EKS could not list the clusters of eu-central-1: Could not load credentials/);
});

it('makes a command of the tool that reads a kubeconfig', async () => {
  const cluster = await startEmbeddedCluster();
  try {
    cluster.load(JSON.parse(readFileSync('test/cases/autoscaling-removed-v1.3.0/cluster.json', 'utf8')));
    const kubeconfig = join(folder, 'kubeconfig');
    const certificate = Buffer.from(cluster.caCertificate).toString('base64');
    const of = (kind: string, content: object) => [{ name: 'shop', [kind]: content }];
    const config = {
      'current-context': 'shop',
      contexts: of('context', { cluster: 'shop', user: 'shop' }),
      clusters: of('cluster', { server: cluster.url, 'certificate-authority-data': certificate }),
      users: of('user', { token: 'admin-token' }),
    };
    writeFileSync(kubeconfig, JSON.stringify(config));
    const scanned = await promisify(execFile)(join(folder, 'reaper.mjs'), ['scan', '--kubeconfig', kubeconfig]);
    expect(scanned.stdout).toContain('AutoscalingRemoved');
    // More requests side by side than Node 20 takes for sound.
    const args = [...asNode20, join(folder, 'reaper.mjs'), 'doctor', '--kubeconfig', kubeconfig];
    const examined = await promisify(execFile)(process.execPath, args);
    expect([scanned.stderr, examined.stderr]).toEqual(['', '']);
  } finally {
    await cluster.close();
  }
});

/** The files that importing a function's handler reads. */
function loadedAtStart(outputs: Record<string, { imports: { path: string; kind: string }[] }>): Set<string> {
  const loaded = new Set(Object.keys(outputs).filter((file) => file.endsWith('/handler.mjs')));
  for (const file of loaded) {
    for (const { path, kind } of outputs[file]?.imports ?? []) if (kind === 'import-statement') loaded.add(path);
  }
  return loaded;
}
