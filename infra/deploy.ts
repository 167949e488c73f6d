/**
 * `npm run deploy -- --bucket B`: puts what `npm run package` has left in dist/ into an S3 bucket, shows what changes, and
 * creates or updates the stack. The same as uploading by hand and `aws cloudformation deploy`.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Change } from '@aws-sdk/client-cloudformation';
import { Command, InvalidArgumentError } from 'commander';
import { sweepFault } from './configuration.ts';
import { addStackOptions, bucketOf, orExplain, type StackOptions, stackOf } from './stack-command.ts';
import { DEFAULT_PREFIX, PREFIX_PATTERN, type Template, zipsOf } from './template.ts';

interface DeployOptions extends StackOptions {
  readonly bucket: string;
  readonly prefix: string;
  readonly from: string;
  readonly parameter?: Readonly<Record<string, string>>;
  readonly plan?: true;
}

const program = addStackOptions(new Command('npm run deploy --'))
  .description('Uploads what was packaged, and creates or updates the stack.')
  .requiredOption('--bucket <name>', "an S3 bucket of the stack's Region, for the code and the template")
  .option('--prefix <prefix>', 'what the keys in the bucket begin with', prefixOf, DEFAULT_PREFIX)
  .option('--from <folder>', 'where the template and the zip files are', 'dist')
  .option('--parameter <key=value>', 'a parameter of the template; may be given more than once', parameterOf)
  .option('--plan', 'show what would change, and change nothing but the bucket')
  .action((options: DeployOptions) => orExplain(options, deploy));
await program.parseAsync();

function parameterOf(text: string, others: Record<string, string> = {}): Record<string, string> {
  const [key, ...value] = text.split('=');
  if (!key || value.length === 0) throw new InvalidArgumentError('Expected key=value.');
  return { ...others, [key]: value.join('=') };
}

function prefixOf(text: string): string {
  if (new RegExp(PREFIX_PATTERN).test(text)) return text;
  throw new InvalidArgumentError('Expected nothing, or folders, each with a slash behind it.');
}

async function deploy({ bucket, prefix, from, parameter, plan: onlyPlan, ...options }: DeployOptions): Promise<void> {
  const text = await readFile(join(from, 'template.json'));
  const template = JSON.parse(text.toString()) as Template;
  const artifacts = bucketOf(options, bucket);
  for (const zip of zipsOf(template)) {
    await artifacts.put(`${prefix}${zip}`, await readFile(join(from, zip)));
  }
  const hash = createHash('sha256').update(text).digest('hex');
  const templateUrl = await artifacts.put(`${prefix}template-${hash}.json`, text);

  const stack = stackOf(options);
  const parameters: Record<string, string> = { ...parameter, ArtifactBucket: bucket, ArtifactPrefix: prefix };
  const next = (key: string) => parameters[key] ?? String(template.Parameters?.[key]?.Default);
  for (const { key, value, isGiven } of await stack.parameters()) {
    if (template.Parameters?.[key] === undefined) continue;
    if (isGiven && !(key in parameters)) {
      // A deployment that once was told to report must not delete because a later one was not told again.
      parameters[key] = value;
      console.log(`keeps ${key}=${value}, given before; --parameter ${key}=... changes it`);
    }
    if (next(key) !== value) console.log(`${key}: ${value} -> ${next(key)}`);
  }
  checkSweeps(next);
  const plan = await stack.plan(templateUrl, parameters, template.Metadata?.Tags);
  console.log(plan.changes.length === 0 ? 'nothing changes' : plan.changes.map(changeLine).join('\n'));
  if (onlyPlan || plan.changes.length === 0) {
    await stack.abandon(plan);
    return;
  }
  const { StackStatus, Outputs = [] } = await stack.execute(plan);
  console.log(`stack ${options.stackName}: ${StackStatus}`);
  for (const { OutputKey, OutputValue } of Outputs) console.log(`${OutputKey} ${OutputValue}`);
}

/** @throws {Error} when the two parameters do not fit each other, which CloudFormation cannot tell */
function checkSweeps(next: (parameter: string) => string): void {
  const names = { sweepSchedule: 'SweepScheduleExpression', sweepAlarmHours: 'SweepAlarmHours' };
  const fault = sweepFault(next(names.sweepSchedule), Number(next(names.sweepAlarmHours)));
  if (fault) throw new Error(`--parameter ${names[fault.of]}=...: ${fault.message}`);
}

function changeLine({ ResourceChange: change }: Change): string {
  const replacement = { True: ' (replaced)', Conditional: ' (perhaps replaced)', False: '' }[
    change?.Replacement ?? 'False'
  ];
  return `${(change?.Action ?? '').padEnd(6)} ${change?.LogicalResourceId} ${change?.ResourceType}${replacement}`;
}
