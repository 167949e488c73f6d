import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bundle } from '../../../infra/bundle.ts';
import { regionsByPartition } from '../../builders/regions.ts';
import { startEmbeddedCluster } from '../../embedded-cluster/embedded-cluster.ts';

const folder = mkdtempSync(join(tmpdir(), 'bundle-'));
afterAll(() => rmSync(folder, { recursive: true }));

let bundles: Awaited<ReturnType<typeof bundle>>;
beforeAll(async () => {
  bundles = await bundle(folder);
}, 60_000);

it('contains nothing that no function needs', () => {
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
      // Only the command line restores HPAs.
      /functions\/(sweep\/restore-hpas|aws\/deletion-log)/,
    ]) {
      expect(
        there.filter((input) => unneeded.test(input)),
        `${unneeded} in ${name}`,
      ).toEqual([]);
    }
  }
});

it('has the license of every package beside the code', () => {
  for (const [name, { outputs }] of bundles) {
    const inputs = Object.values(outputs).flatMap((output) => Object.entries(output.inputs));
    const packages = inputs.flatMap(([input, { bytesInOutput }]) =>
      bytesInOutput > 0 ? (/.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(input)?.[1] ?? []) : [],
    );
    const sections = readFileSync(join(folder, name, 'THIRD-PARTY-LICENSES'), 'utf8').split(/^-{80}$/m);
    const listed = sections.flatMap((section) => section.trim().split('\n\n', 1)[0]?.split('\n') ?? []);
    const names = listed.map((line) => line.replace(/ \d+\.\d+\.\d+$/, ''));
    expect(new Set(names)).toEqual(new Set(packages));
  }
  expect(readFileSync(join(folder, 'reaper/THIRD-PARTY-LICENSES'), 'utf8')).toMatch(
    /^commander [\d.]+\n\n\(The MIT License\)\n\nCopyright \(c\) 2011 TJ Holowaychuk/m,
  );
});

it('imports no built-in module into a function, which would evaluate all its exports', () => {
  for (const { outputs } of bundles.values()) {
    const imports = Object.values(outputs).flatMap((output) => output.imports);
    expect(imports.filter(({ external }) => external)).toEqual([]);
  }
});

it('includes the RBAC manifest in the command line tool', () => {
  const manifest = readFileSync('infra/kubernetes/rbac.yaml', 'utf8');
  const text = readFileSync(join(folder, 'reaper.mjs'), 'utf8').replaceAll('\\n', '\n');
  // Characters that are escaped in some literals.
  const lines = manifest.split('\n').filter((line) => !/["'`\\]/.test(line));
  expect(lines.filter((line) => !text.includes(line))).toEqual([]);
});

it('starts every function in every Region of every partition', () => {
  const regions = regionsByPartition();
  // 48 Regions: a new version of the SDK may know more.
  expect(Object.fromEntries(regions.map(([partition, { length }]) => [partition, length]))).toEqual({
    ...{ aws: 36, 'aws-cn': 2, 'aws-eusc': 1, 'aws-us-gov': 2 },
    ...{ 'aws-iso': 2, 'aws-iso-b': 2, 'aws-iso-e': 1, 'aws-iso-f': 2 },
  });
  const environments = regions.flatMap(([partition, names]) =>
    names.map((AWS_REGION) => ({
      AWS_REGION,
      FORWARD_FUNCTION_ARN: `arn:${partition}:lambda:${AWS_REGION}:123456789012:function:forward`,
      REAP_ROLE_ARN: `arn:${partition}:iam::123456789012:role/reap`,
      BACKFILL_ROLE_ARN: `arn:${partition}:iam::123456789012:role/backfill`,
    })),
  );
  const handlers = [...bundles.keys()].filter((name) => name !== 'reaper');
  const script = `
    let started = 0;
    for (const environment of ${JSON.stringify(environments)}) {
      Object.assign(process.env, environment);
      for (const name of ${JSON.stringify(handlers)}) {
        try {
          // The query makes the process load it again.
          await import(\`${pathToFileURL(folder)}/\${name}/handler.mjs?\${environment.AWS_REGION}\`);
          started += 1;
        } catch ({ message }) {
          console.log(\`\${name} in \${environment.AWS_REGION}: \${message}\`);
        }
      }
    }
    console.log(started);`;
  const env = {
    ...{ ACCOUNT_ID: '123456789012', EVENT_BUS_NAME: 'bus', MODE: 'report', CLUSTERS: '' },
    ...{ REAP_ROLE_ID: 'AROAREAP', BACKFILL_ROLE_ID: 'AROABACKFILL' },
  };
  const args = ['--input-type=module', '--eval', script];
  const { stdout } = spawnSync(process.execPath, args, { env, encoding: 'utf8' });
  expect(stdout).toBe(`${environments.length * handlers.length}\n`);
});

/** The next AWS SDK warns about Node 20, which itself warns about eleven listeners of a signal. */
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

it('prints no warning of the bundled AWS SDK on Node 20', () => {
  const args = [...asNode20, join(folder, 'reaper.mjs'), 'doctor', '--eks'];
  const env = { PATH: process.env.PATH, HOME: folder, AWS_REGION: 'eu-central-1', AWS_EC2_METADATA_DISABLED: 'true' };
  const { status, stderr } = spawnSync(process.execPath, args, { env, encoding: 'utf8' });
  expect(status).toBe(1);
  expect(stderr).toMatch(/^reaper: EKS could not list the clusters of eu-central-1: Could not load credentials/);
});

it('prints no warning of many parallel requests on Node 20', async () => {
  const { url, caCertificate, close } = await startEmbeddedCluster();
  try {
    const kubeconfig = join(folder, 'kubeconfig');
    const certificate = Buffer.from(caCertificate).toString('base64');
    const config = {
      'current-context': 'shop',
      contexts: [{ name: 'shop', context: { cluster: 'shop', user: 'shop' } }],
      clusters: [{ name: 'shop', cluster: { server: url, 'certificate-authority-data': certificate } }],
      users: [{ name: 'shop', user: { token: 'admin-token' } }],
    };
    writeFileSync(kubeconfig, JSON.stringify(config));
    const args = [...asNode20, join(folder, 'reaper.mjs'), 'doctor', '--kubeconfig', kubeconfig];
    const { stdout, stderr } = await promisify(execFile)(process.execPath, args);
    expect([stdout, stderr]).toEqual([expect.stringContaining('shop'), '']);
  } finally {
    await close();
  }
});

/** The files that are loaded with the handler of a function. */
function loadedAtStart(outputs: Record<string, { imports: { path: string; kind: string }[] }>): Set<string> {
  const loaded = new Set(Object.keys(outputs).filter((file) => file.endsWith('/handler.mjs')));
  for (const file of loaded) {
    for (const { path, kind } of outputs[file]?.imports ?? []) if (kind === 'import-statement') loaded.add(path);
  }
  return loaded;
}
