import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';
import type { TestProject } from 'vitest/node';
import { CONFIGURATION } from '../../builders/packaged-stack.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The folder with template.json and the zip files. */
    packaged: string;
  }
}

/**
 * Packages once for all tests: without credentials, Region, or home folder, and in a working directory of its own, since packaging
 * writes dist/ and .serverless/.
 */
export default function setup(project: TestProject): () => void {
  const directory = mkdtempSync(join(tmpdir(), 'package-'));
  for (const read of ['functions', 'infra', 'node_modules']) symlinkSync(resolve(read), join(directory, read));
  copyFileSync('serverless.yml', join(directory, 'serverless.yml')); // osls follows no link here.
  const file = join(directory, 'configuration.yml');
  writeFileSync(file, JSON.stringify(CONFIGURATION)); // JSON is YAML.
  const folder = join(directory, 'packaged');
  const env = { PATH: process.env.PATH, HOME: directory, ENVOY_HPA_REAPER_CONFIGURATION: file };
  const options = { cwd: directory, env, encoding: 'utf8' } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['infra/package.ts', '--package', folder], options);
  // osls prints a stage and a Region, which mean nothing here.
  if (status !== 0 || stderr !== '' || stdout.split('\n').length > 2) throw new Error(`${status}: ${stdout}${stderr}`);
  project.provide('packaged', folder);
  return () => rmSync(directory, { recursive: true });
}
