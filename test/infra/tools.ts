import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import type { Packaging } from './packaged.ts';

const run = promisify(execFile);

/** @returns the folders of what install.sh has installed by then, in the order of the question */
export async function install(...what: readonly ('python' | 'jars')[]): Promise<string[]> {
  const installing = run('bash', [join(import.meta.dirname, 'install.sh'), ...what]);
  // What it says while it takes long.
  installing.child.stderr?.pipe(process.stderr);
  return (await installing).stdout.trim().split('\n');
}

/**
 * Packages with the configuration that is delivered, changed. One after the other: each packaging begins with the bundles in
 * dist/.
 *
 * @param folder that the packaging gets a folder in, by the name of its configuration
 */
export async function packageWith(folder: string, configuration: string, change: object): Promise<Packaging> {
  const delivered = parse(await readFile('infra/configuration.yml', 'utf8')) as object;
  const packaging = { configuration, folder: join(folder, configuration) };
  const file = join(folder, `${configuration}.yml`);
  await writeFile(file, JSON.stringify({ ...delivered, ...change })); // JSON is YAML.
  const env = { ...process.env, ENVOY_HPA_REAPER_CONFIGURATION: file };
  await run(process.execPath, ['infra/package.ts', '--package', packaging.folder], { env });
  return packaging;
}
