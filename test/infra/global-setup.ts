import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { install, type Packaging, packageWith } from './packaged.ts';

/** The folders of the tools that install.sh installs. */
interface Tools {
  /** The folder of cfn-lint, checkov, the AWS CLI, and moto_server. */
  bin: string;
  jars: string;
  /** The folder of the Python with LocalStack. */
  localStack: string;
}

declare module 'vitest' {
  interface ProvidedContext {
    tools: Tools;
    packagings: Packaging[];
  }
}

/** Packages with the default configuration, and with one that enables everything. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'infra-'));
  const stop = () => rm(folder, { recursive: true });
  try {
    const everything = {
      clusters: ['shop', 'shop_2', 'shop-3'],
      mode: 'report',
      notifyEmail: 'sre@example.com',
      tracing: 'active',
      kmsKeyArn: 'arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab',
      subnetIds: ['subnet-0a1b2c3d', 'subnet-4e5f6071'],
      securityGroupIds: ['sg-0a1b2c3d'],
      permissionsBoundary: 'arn:aws:iam::123456789012:policy/boundary',
      tags: { team: 'platform', 'cost center': '42' },
    };
    project.provide('packagings', [
      await packageWith(folder, 'default', {}),
      await packageWith(folder, 'everything', everything),
    ]);
    const [bin = '', jars = '', localStack = ''] = await install('python', 'jars', 'localstack');
    project.provide('tools', { bin, jars, localStack });
    return stop;
  } catch (error) {
    await stop();
    throw error;
  }
}
