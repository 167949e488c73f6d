import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import type { Template } from '../builders/packaged-stack.ts';

/** A packaging with one configuration: a folder with template.json and the zip files. */
export interface Packaging {
  configuration: string;
  folder: string;
}

/** The names of the zip files that a template refers to. */
export const zipsOf = (template: Template): string[] => JSON.stringify(template).match(/\w+-[0-9a-f]{64}\.zip/g) ?? [];

const run = promisify(execFile);

/** @returns the folders of the installed tools, in the order of the arguments */
export async function install(...what: readonly ('python' | 'jars' | 'localstack')[]): Promise<string[]> {
  const installing = run('bash', [join(import.meta.dirname, 'install.sh'), ...what]);
  installing.child.stderr?.pipe(process.stderr);
  return (await installing).stdout.trim().split('\n');
}

/**
 * Packages with changes to the default configuration. Not in parallel, since each packaging writes the bundles to dist/.
 *
 * @param folder the parent of the folder of the packaging, which is named after the configuration
 */
export async function packageWith(folder: string, configuration: string, change: object): Promise<Packaging> {
  const defaults = parse(await readFile('infra/configuration.yml', 'utf8')) as object;
  const packaging = { configuration, folder: join(folder, configuration) };
  const file = join(folder, `${configuration}.yml`);
  await writeFile(file, JSON.stringify({ ...defaults, ...change })); // JSON is YAML.
  const env = { ...process.env, ENVOY_HPA_REAPER_CONFIGURATION: file };
  await run(process.execPath, ['infra/package.ts', '--package', packaging.folder], { env });
  return packaging;
}
