/**
 * `npm run deploy` and `npm run remove`: the stack of this account and Region, by the AWS CLI. Deploys what `npm run package` left
 * in dist/. docs/installing.md lists the same commands for those who run them by hand.
 */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { type Template, zipsOf } from './template.ts';

process.on('uncaughtException', ({ message }) => fail(message)); // An unknown option, or a template that was not packaged.

const [command, ...args] = process.argv.slice(2);
const { values: options, positionals: moreOverrides } = parseArgs({
  args,
  allowPositionals: true, // --parameter-overrides accepts several values, as in `aws cloudformation deploy`.
  options: {
    's3-bucket': { type: 'string' },
    's3-prefix': { type: 'string', default: 'envoy-hpa-reaper' },
    'stack-name': { type: 'string', default: 'envoy-hpa-reaper' },
    'parameter-overrides': { type: 'string', multiple: true, default: [] },
    'no-execute-changeset': { type: 'boolean' },
    artifacts: { type: 'boolean' },
    from: { type: 'string', default: 'dist' },
    region: { type: 'string' },
    profile: { type: 'string' },
  },
});
const overrides = [...options['parameter-overrides'], ...moreOverrides];
const stack = ['--stack-name', options['stack-name']];

if (command === 'deploy') deploy();
else remove();

function deploy(): void {
  const { 's3-bucket': bucket, 's3-prefix': prefix, from } = options;
  if (bucket === undefined) fail('--s3-bucket: name an S3 bucket in the Region of the stack');
  const file = join(from, 'template.json');
  const template = JSON.parse(readFileSync(file, 'utf8')) as Template;
  for (const zip of zipsOf(template))
    aws('s3', 'cp', '--only-show-errors', join(from, zip), `s3://${bucket}/${prefix}/${zip}`);
  const tags = Object.entries(template.Metadata?.Tags ?? {}).map(([key, value]) => `${key}=${value}`);
  aws(
    ...['cloudformation', 'deploy', ...stack, '--template-file', file, '--s3-bucket', bucket, '--s3-prefix', prefix],
    ...['--capabilities', 'CAPABILITY_NAMED_IAM', '--no-fail-on-empty-changeset'],
    ...(tags.length > 0 ? ['--tags', ...tags] : []),
    ...(options['no-execute-changeset'] ? ['--no-execute-changeset'] : []),
    ...['--parameter-overrides', `ArtifactBucket=${bucket}`, `ArtifactPrefix=${prefix}/`],
    ...changedDefaults(template),
    ...overrides, // The last value of a parameter is used.
  );
}

/**
 * `aws cloudformation deploy` keeps the value of each parameter that it is not given. A value that is the default of the deployed
 * template was never given to the stack: it follows the default, so that a new configuration takes effect.
 */
function changedDefaults(template: Template): string[] {
  const described = describeStack();
  if (described === undefined) return [];
  const summary = succeeded(run('pipe', 'cloudformation', 'get-template-summary', ...stack, '--output', 'json'));
  const { Parameters: declared } = JSON.parse(summary.stdout) as { Parameters: StackParameter[] };
  const defaults = new Map(declared.map(({ ParameterKey, DefaultValue }) => [ParameterKey, DefaultValue]));
  return described.flatMap(({ ParameterKey: key, ParameterValue: value }) => {
    const next = template.Parameters?.[key]?.Default;
    if (next === undefined || String(next) === value || overrides.some((one) => one.startsWith(`${key}=`))) return [];
    if (defaults.get(key) === value) return [`${key}=${next}`];
    console.log(`${key}=${value} was given to the stack and stays, unless --parameter-overrides changes it`);
    return [];
  });
}

function remove(): void {
  const parameters = describeStack();
  if (parameters === undefined) fail(`there is no stack ${options['stack-name']}`);
  aws('cloudformation', 'delete-stack', ...stack);
  aws('cloudformation', 'wait', 'stack-delete-complete', ...stack);
  const parameter = (name: string) => parameters.find(({ ParameterKey }) => ParameterKey === name)?.ParameterValue;
  const url = `s3://${parameter('ArtifactBucket')}/${parameter('ArtifactPrefix')}`;
  if (options.artifacts)
    aws('s3', 'rm', url, '--recursive', '--exclude', '*', '--include', '*.zip', '--include', '*.template');
  else console.log(`The files in ${url} stay; --artifacts deletes them too`);
}

interface StackParameter {
  readonly ParameterKey: string;
  readonly ParameterValue: string;
  readonly DefaultValue?: string;
}

/** The parameters of the stack; `undefined` where there is none, or only a change set that was never executed. */
function describeStack(): StackParameter[] | undefined {
  const result = run('pipe', 'cloudformation', 'describe-stacks', ...stack, '--output', 'json');
  if (result.status !== 0 && /does not exist/.test(result.stderr)) return undefined;
  const [{ StackStatus, Parameters = [] }] = JSON.parse(succeeded(result).stdout).Stacks;
  return StackStatus === 'REVIEW_IN_PROGRESS' ? undefined : Parameters;
}

function aws(...args: string[]): void {
  succeeded(run('inherit', ...args));
}

function run(stdout: 'inherit' | 'pipe', ...args: string[]): SpawnSyncReturns<string> {
  const place = (['region', 'profile'] as const).flatMap((name) => (options[name] ? [`--${name}`, options[name]] : []));
  return spawnSync('aws', [...args, ...place], {
    encoding: 'utf8',
    stdio: ['ignore', stdout, stdout === 'pipe' ? 'pipe' : 'inherit'],
  });
}

function succeeded(result: SpawnSyncReturns<string>): SpawnSyncReturns<string> {
  if (result.error) fail(`the AWS CLI could not be started: ${result.error.message}`);
  if (result.status !== 0) fail(result.stderr ?? '');
  return result;
}

function fail(message: string): never {
  console.error(message.trim());
  process.exit(1);
}
