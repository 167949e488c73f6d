import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, expect } from 'vitest';
import { parse } from 'yaml';
import type { Configuration } from '../../infra/configuration.ts';

export interface PackagedResource {
  Type: string;
  // biome-ignore lint/suspicious/noExplicitAny: CloudFormation
  Properties: any;
  DependsOn?: string[];
  Condition?: string;
}

interface Template {
  Resources: Record<string, PackagedResource>;
  Conditions: Record<string, unknown>;
  Outputs: Record<string, { Value: unknown }>;
  Parameters: Record<string, { Default: string | number; AllowedValues?: string[] }>;
}

/** What `npm run package` made, from `beforeAll` to the end of the file. */
export interface PackagedStack extends Template {
  /** With the zip files and template.json. */
  readonly folder: string;
  /** The template as osls wrote it. */
  text: string;
  /** The resources of a type, with their logical ids. */
  of(type: string): [string, PackagedResource][];
  /** Of a resource, by its logical id. */
  // biome-ignore lint/suspicious/noExplicitAny: CloudFormation
  properties(id: string): any;
}

/**
 * Packages once for the whole file, with these values in place of those that are delivered: no credentials, no Region, no
 * home. In a working directory of its own, since packaging leaves dist/ and .serverless/ there and test files run side by side.
 */
export function packagedStack(values: Partial<Configuration>): PackagedStack {
  const directory = mkdtempSync(join(tmpdir(), 'package-'));
  const folder = join(directory, 'packaged');
  const self = {
    folder,
    of: (type) => Object.entries(self.Resources).filter(([, { Type }]) => Type === type),
    properties: (id) => self.Resources[id]?.Properties,
  } as PackagedStack;
  beforeAll(() => {
    for (const read of ['functions', 'infra', 'node_modules']) symlinkSync(resolve(read), join(directory, read));
    copyFileSync('serverless.yml', join(directory, 'serverless.yml')); // osls takes no link for it.
    const file = join(directory, 'configuration.yml');
    const delivered = parse(readFileSync('infra/configuration.yml', 'utf8'));
    writeFileSync(file, JSON.stringify({ ...delivered, ...values })); // JSON is YAML.
    const env = { PATH: process.env.PATH, HOME: directory, ENVOY_HPA_REAPER_CONFIGURATION: file };
    const packaged = spawnSync(process.execPath, ['infra/package.ts', '--package', folder], {
      ...{ cwd: directory, env, encoding: 'utf8' },
    });
    // Nothing of the stage and the Region that osls tells of, which are nobody's.
    expect(packaged).toMatchObject({
      ...{ status: 0, stderr: '' },
      stdout: `${folder}/template.json and the zip files beside it can be deployed\n`,
    });
    self.text = readFileSync(join(folder, 'cloudformation-template-update-stack.json'), 'utf8');
    Object.assign(self, JSON.parse(self.text));
  }, 60_000);
  afterAll(() => rmSync(directory, { recursive: true }));
  return self;
}

/**
 * A part of a template as CloudFormation takes it when every condition is true, or false: each `Fn::If` decided, and
 * without what is `AWS::NoValue` then.
 */
export function decided<Part>(part: Part, conditions: boolean): Part {
  if (Array.isArray(part)) {
    return part.map((one) => decided(one, conditions)).filter((one) => one !== undefined) as Part;
  }
  if (typeof part !== 'object' || part === null) return part;
  if ('Fn::If' in part) return decided((part['Fn::If'] as Part[])[conditions ? 1 : 2] as Part, conditions);
  if ('Ref' in part && part.Ref === 'AWS::NoValue') return undefined as Part;
  const entries = Object.entries(part).map(([key, value]) => [key, decided(value, conditions)]);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined)) as Part;
}
