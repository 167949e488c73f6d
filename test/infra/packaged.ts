import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { parse } from 'yaml';

/** A packaging with one configuration: a folder with template.json and the zip files. */
export interface Packaging {
  configuration: string;
  folder: string;
}

// biome-ignore lint/suspicious/noExplicitAny: CloudFormation
type Free = any;
export type Resource = {
  Type: string;
  Condition?: string;
  Properties: Free;
  Metadata?: Free;
  DependsOn?: string | string[];
};

export interface Template {
  Metadata?: object;
  Parameters: Record<string, object>;
  Resources: Record<string, Resource>;
  Outputs: Record<string, object>;
}

export const templateFile = ({ folder }: Packaging) => join(folder, 'template.json');

export const readTemplate = (packaging: Packaging): Template =>
  JSON.parse(readFileSync(templateFile(packaging), 'utf8'));

export const resourcesOf = ({ Resources }: Template, type: string) =>
  Object.entries(Resources).filter(([, { Type }]) => Type === type);

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
