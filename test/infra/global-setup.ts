import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import type { Packaging } from './packaged.ts';
import { install, packageWith } from './tools.ts';

/** Where the tools are that install.sh has installed. */
export interface Tools {
  /** Of cfn-lint, checkov and moto_server. */
  bin: string;
  jars: string;
}

declare module 'vitest' {
  interface ProvidedContext {
    tools: Tools;
    packagings: Packaging[];
  }
}

/** Packages with the configuration that is delivered, and with one that has what a deployment has: clusters, an address. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'infra-'));
  const stop = () => rm(folder, { recursive: true });
  try {
    const deployed = { clusters: ['shop', 'shop_2', 'shop-3'], notifyEmail: 'sre@example.com' };
    project.provide('packagings', [
      await packageWith(folder, 'delivered', {}),
      await packageWith(folder, 'representative', { ...deployed, mode: 'report' }),
    ]);
    const [bin = '', jars = ''] = await install('python', 'jars');
    project.provide('tools', { bin, jars });
    return stop;
  } catch (error) {
    await stop();
    throw error;
  }
}
