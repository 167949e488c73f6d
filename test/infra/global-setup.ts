import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import type { TestProject } from 'vitest/node';
import { parse } from 'yaml';

/** Where the tools are that install.sh has installed. */
export interface Tools {
  /** Of cfn-lint, checkov and moto_server. */
  bin: string;
  jars: string;
}

/** What was packaged with one configuration: its folder holds template.json and the zip files. */
export interface Packaging {
  configuration: string;
  folder: string;
}

declare module 'vitest' {
  interface ProvidedContext {
    tools: Tools;
    packagings: Packaging[];
  }
}

const run = promisify(execFile);

/**
 * Packages with the configuration that is delivered, with one that has what a deployment has, clusters and an address, and
 * with one that has all that is off by default.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'infra-'));
  const stop = () => rm(folder, { recursive: true });
  try {
    const delivered = parse(await readFile('infra/configuration.yml', 'utf8')) as object;
    const configurations = {
      delivered,
      representative: {
        ...delivered,
        ...{ clusters: ['shop', 'shop_2', 'shop-3'], mode: 'report', notifyEmail: 'sre@example.com' },
      },
      everything: {
        ...delivered,
        clusters: ['shop', 'shop_2', 'shop-3'],
        mode: 'report',
        notifyEmail: 'sre@example.com',
        tracing: 'active',
        kmsKeyArn: 'arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab',
        subnetIds: ['subnet-0a1b2c3d', 'subnet-4e5f6071'],
        securityGroupIds: ['sg-0a1b2c3d'],
        permissionsBoundary: 'arn:aws:iam::123456789012:policy/boundary',
        tags: { team: 'platform', 'cost center': '42' },
      },
    };
    const packagings: Packaging[] = [];
    // One after the other: each packaging begins with the bundles in dist/.
    for (const [configuration, values] of Object.entries(configurations)) {
      const packaging = { configuration, folder: join(folder, configuration) };
      const file = join(folder, `${configuration}.yml`);
      await writeFile(file, JSON.stringify(values)); // JSON is YAML.
      const env = { ...process.env, ENVOY_HPA_REAPER_CONFIGURATION: file };
      await run(process.execPath, ['infra/package.ts', '--package', packaging.folder], { env });
      packagings.push(packaging);
    }
    project.provide('packagings', packagings);
    project.provide('tools', await installTools());
    return stop;
  } catch (error) {
    await stop();
    throw error;
  }
}

async function installTools(): Promise<Tools> {
  const installing = run('bash', [join(import.meta.dirname, 'install.sh')]);
  // What it says while it takes long.
  installing.child.stderr?.pipe(process.stderr);
  const [bin = '', jars = ''] = (await installing).stdout.trim().split('\n');
  return { bin, jars };
}
