import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { readTemplate, resourcesOf, type Template } from '../builders/packaged-stack.ts';
import { BUCKET } from './emulator.ts';
import { MOTO } from './limits.ts';
import { Moto, templateForMoto } from './moto.ts';
import { zipsOf } from './packaged.ts';

/* `npm run deploy` and `npm run remove` against the moto server. limits.ts names what moto does not have. */

const packagings = inject('packagings');
const everything = packagings.find(({ configuration }) => configuration === 'everything');
if (everything === undefined) throw new Error('the configuration with everything was not packaged');

const folder = mkdtempSync(join(tmpdir(), 'deployment-'));
afterAll(() => rmSync(folder, { recursive: true }));

let moto: Moto;
beforeAll(async () => {
  cpSync(everything.folder, folder, { recursive: true });
  moto = await Moto.start(inject('tools').bin);
});
afterAll(() => moto?.stop());

beforeEach(async () => {
  await moto.reset();
  writeTemplate(template());
  await moto.createBucket();
});

/** What is deployed here, in a form that moto understands. */
function template(): Template {
  const adapted = templateForMoto(everything as (typeof packagings)[number]);
  for (const [, { Properties }] of resourcesOf(adapted, 'AWS::IAM::Role')) {
    Properties.Policies = Properties.Policies.filter((policy: object) => !('Fn::If' in policy));
  }
  for (const [, { Properties }] of resourcesOf(adapted, 'AWS::Logs::LogGroup')) {
    for (const name of ['RetentionInDays', 'KmsKeyId']) delete Properties[name];
  }
  return adapted;
}

const writeTemplate = (changed: Template) => writeFileSync(join(folder, 'template.json'), JSON.stringify(changed));

function withMoreMemory(changed: Template): Template {
  Object.assign(changed.Resources.ReapLambdaFunction?.Properties, { MemorySize: 1024 });
  return changed;
}

const run = async (...args: string[]) => {
  const env = moto.environment();
  try {
    return { code: 0, ...(await promisify(execFile)(process.execPath, ['infra/stack.ts', ...args], { env })) };
  } catch (error) {
    return error as { code: number; stdout: string; stderr: string };
  }
};
const deploy = (...args: string[]) => run('deploy', '--s3-bucket', BUCKET, '--from', folder, ...args);

const memorySizes = async () => (await moto.functions()).map(({ MemorySize }) => MemorySize);
const parameters = async () => {
  const [stack] = await moto.stacks();
  return Object.fromEntries((stack?.Parameters ?? []).map((each) => [each.ParameterKey, each.ParameterValue]));
};

test('the same source makes the same zip files', () => {
  const [first, ...others] = packagings.map((packaging) => zipsOf(readTemplate(packaging.folder)));
  expect(first?.length).toBeGreaterThan(1);
  for (const zips of others) expect(zips).toEqual(first);
});

describe('npm run deploy', () => {
  test('creates every resource of the template, with the packaged code', async () => {
    expect(await deploy()).toMatchObject({ code: 0 });
    const { StackResourceSummaries: created } = await moto.aws<{
      StackResourceSummaries: { LogicalResourceId: string }[];
    }>('cloudformation', 'list-stack-resources', '--stack-name', 'envoy-hpa-reaper');
    expect(created.flatMap(({ LogicalResourceId }) => LogicalResourceId || []).sort()).toEqual(
      Object.entries(template().Resources)
        .flatMap(([id, { Type }]) => (MOTO.types.includes(Type) ? [] : [id]))
        .sort(),
    );

    const zips = zipsOf(template());
    const keys = await moto.keys();
    expect(keys.filter((key) => key.endsWith('.zip'))).toEqual(zips.map((zip) => `envoy-hpa-reaper/${zip}`).sort());
    expect(keys.filter((key) => !key.endsWith('.zip'))).toEqual([
      expect.stringMatching(/^envoy-hpa-reaper\/[0-9a-f]{32}\.template$/),
    ]);
    const sha256 = (zip: string) =>
      createHash('sha256')
        .update(readFileSync(join(folder, zip)))
        .digest('base64');
    expect((await moto.functions()).map(({ CodeSha256 }) => CodeSha256).sort()).toEqual(zips.map(sha256).sort());
  });

  test('with --no-execute-changeset changes nothing', async () => {
    await deploy();
    writeTemplate(withMoreMemory(template()));
    const planned = await deploy('--no-execute-changeset');
    expect(planned).toMatchObject({ code: 0, stdout: expect.stringContaining('describe-change-set') });
    expect(await memorySizes()).not.toContain(1024);
    expect(await deploy()).toMatchObject({ code: 0 });
    expect(await memorySizes()).toContain(1024);
  });

  test('accepts another prefix, another name, and parameters, and tags the stack', async () => {
    const overrides = ['--parameter-overrides', 'Mode=report', 'MaxDeletions=3'];
    expect(await deploy('--s3-prefix', 'a/b', '--stack-name', 'mine', ...overrides)).toMatchObject({ code: 0 });
    for (const key of await moto.keys()) expect(key).toMatch(/^a\/b\/[\w-]+\.(zip|template)$/);
    expect(await parameters()).toMatchObject({
      ...{ ArtifactBucket: BUCKET, ArtifactPrefix: 'a/b/', Mode: 'report', MaxDeletions: '3' },
    });
    expect((await moto.stacks()).map(({ Tags }) => Tags)).toEqual([
      [
        { Key: 'team', Value: 'platform' },
        { Key: 'cost center', Value: '42' },
      ],
    ]);
  });

  test('keeps parameters that were given before, and follows the configuration for the others', async () => {
    await deploy('--parameter-overrides', 'Mode=delete', 'MaxDeletions=3');
    const changed = template();
    changed.Parameters.MaxDeletionsPerRun = { ...changed.Parameters.MaxDeletionsPerRun, Default: 7 };
    writeTemplate(withMoreMemory(changed));
    expect(await deploy('--parameter-overrides', 'MaxDeletions=4')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^Mode=delete was given to the stack and stays, unless --parameter-overrides/),
    });
    expect(await parameters()).toMatchObject({ Mode: 'delete', MaxDeletions: '4', MaxDeletionsPerRun: '7' });
  });

  test('fails with a message, also of the AWS CLI', async () => {
    for (const [args, message] of [
      [['--s3-bucket', BUCKET, '--bucket', 'x'], /^Unknown option/],
      [[], /--s3-bucket/],
      [['--s3-bucket', 'absent'], /specified bucket does not exist/],
    ] as const) {
      const stderr = expect.stringMatching(message);
      expect(await run('deploy', '--from', folder, ...args)).toMatchObject({ code: 1, stderr });
    }
    expect(await moto.stacks()).toEqual([]);
  });
});

test('npm run remove deletes the stack, and the uploaded files only if asked, and nothing else, and fails where there is no stack', async () => {
  expect(await run('remove')).toMatchObject({ code: 1, stderr: 'there is no stack envoy-hpa-reaper\n' });
  const inventory = async () => [await moto.inventory(), await moto.queues(), await moto.stacks()];
  const before = await inventory();
  await deploy();
  await moto.aws('s3api', 'put-object', '--bucket', BUCKET, '--key', 'envoy-hpa-reaper/notes.txt');
  const keys = await moto.keys();
  const note = `The files in s3://${BUCKET}/envoy-hpa-reaper/ stay; --artifacts deletes them too\n`;
  expect(await run('remove')).toMatchObject({ code: 0, stdout: note });
  expect([await inventory(), await moto.keys()]).toEqual([before, keys]);

  await deploy();
  expect(await run('remove', '--artifacts')).toMatchObject({ code: 0 });
  expect(await moto.keys()).toEqual(['envoy-hpa-reaper/notes.txt']);
});
