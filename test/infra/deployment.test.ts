import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { DescribeStacksCommand, ListStackResourcesCommand, ListStacksCommand } from '@aws-sdk/client-cloudformation';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { CHANGE_DETAIL_TYPE, EVENT_SOURCE } from '../../functions/events/change-event.ts';
import { BUCKET, Moto, REGION, templateForMoto } from './moto.ts';
import { readTemplate, resourcesOf, type Template, zipsOf } from './packaged.ts';

/*
 * `npm run deploy` and `npm run remove` over the wire, against moto's server. What moto lacks:
 * - It makes no resources of these types, so nothing is said of them here; test/unit/infra/template.test.ts and its neighbours say it.
 */
const NOT_IN_MOTO = [
  'AWS::CloudFormation::CustomResource',
  'AWS::Lambda::EventInvokeConfig',
  'AWS::Logs::MetricFilter',
  'AWS::Logs::SubscriptionFilter',
  'AWS::Scheduler::Schedule',
  'AWS::CloudWatch::Alarm',
  'AWS::SQS::QueuePolicy',
  'AWS::Events::EventBusPolicy',
  'AWS::SNS::Subscription',
  'AWS::SNS::TopicPolicy',
];
/*
 * - A rule cannot refer to its bus by `Ref`; what is deployed here refers to it by `GetAtt Name`, which is the same (moto.ts).
 * - It takes AWS::NoValue in a list for an element; what is deployed here has not the roles' policies that may be none.
 * - It finds a template by its URL only where that has "localhost" in it; hence the bucket's name (moto.ts).
 * - It knows no outputs of a stack that came from a change set, and never rolls back. test/unit/infra/stack.test.ts has
 *   what CloudFormation answers then.
 * - It checks no permission and no AllowedPattern.
 */

const packagings = inject('packagings');
const representative = packagings.find(({ configuration }) => configuration === 'representative');
if (representative === undefined) throw new Error('the representative configuration was not packaged');

const folder = mkdtempSync(join(tmpdir(), 'deployment-'));
afterAll(() => rmSync(folder, { recursive: true }));

let moto: Moto;
beforeAll(async () => {
  cpSync(representative.folder, folder, { recursive: true });
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
  const adapted = templateForMoto(representative as (typeof packagings)[number]);
  for (const [, { Properties }] of resourcesOf(adapted, 'AWS::IAM::Role')) {
    Properties.Policies = Properties.Policies.filter((policy: object) => !('Fn::If' in policy));
  }
  return adapted;
}

const writeTemplate = (changed: Template) => writeFileSync(join(folder, 'template.json'), JSON.stringify(changed));

/** moto sees no change where only a parameter has another value. */
function withMoreMemory(changed: Template): Template {
  const reap = changed.Resources.ReapLambdaFunction;
  if (reap === undefined) throw new Error('no function reap');
  reap.Properties.MemorySize = 1024;
  return changed;
}

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

const run = (script: string, args: readonly string[], env = moto.environment()) =>
  new Promise<Ended>((ended) => {
    execFile(process.execPath, [script, ...args], { env }, (error, stdout, stderr) =>
      ended({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    );
  });
const deploy = (...args: string[]) => run('infra/deploy.ts', ['--bucket', BUCKET, '--from', folder, ...args]);
const remove = (...args: string[]) => run('infra/remove.ts', args);

test('the same source makes the same zip files', () => {
  const [first, ...others] = packagings.map((packaging) => zipsOf(readTemplate(packaging)));
  expect(first?.length).toBeGreaterThan(1);
  for (const zips of others) expect(zips).toEqual(first);
});

describe('npm run deploy', () => {
  test('makes every resource of the template, with the code that was packaged', async () => {
    const { code, stdout, stderr } = await deploy();
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const wanted = Object.entries(template().Resources);
    const lines = wanted.map(([id, { Type }]) => `Add    ${id} ${Type}`).sort();
    expect(stdout.trimEnd().split('\n').sort()).toEqual([...lines, 'stack envoy-hpa-reaper: CREATE_COMPLETE'].sort());

    const { StackResourceSummaries = [] } = await moto.cloudFormation.send(
      new ListStackResourcesCommand({ StackName: 'envoy-hpa-reaper' }),
    );
    expect(
      StackResourceSummaries.map(({ LogicalResourceId }) => LogicalResourceId)
        .filter(Boolean)
        .sort(),
    ).toEqual(
      wanted
        .filter(([, { Type }]) => !NOT_IN_MOTO.includes(Type))
        .map(([id]) => id)
        .sort(),
    );

    const zips = zipsOf(template());
    const keys = await moto.keys(BUCKET);
    const isZip = (key: string) => key.endsWith('.zip');
    expect(keys.filter(isZip)).toEqual(zips.map((zip) => `envoy-hpa-reaper/${zip}`).sort());
    expect(keys.filter((key) => !isZip(key))).toEqual([
      expect.stringMatching(/^envoy-hpa-reaper\/template-[0-9a-f]{64}\.json$/),
    ]);
    const sha256 = (zip: string) =>
      createHash('sha256')
        .update(readFileSync(join(folder, zip)))
        .digest('base64');
    expect((await moto.functions()).map(({ CodeSha256 }) => CodeSha256).sort()).toEqual(zips.map(sha256).sort());

    const { rules, topics } = await moto.inventory();
    expect(topics).toEqual([`arn:aws:sns:${REGION}:123456789012:envoy-hpa-reaper`]);
    const [rule = '', ...others] = rules.filter((each) => each.includes(CHANGE_DETAIL_TYPE));
    expect(others).toEqual([]);
    expect(JSON.parse(rule.slice(rule.indexOf('{')))).toMatchObject({ source: [EVENT_SOURCE] });
  });

  test('changes nothing where nothing changed, and only what changed', async () => {
    expect(await deploy()).toMatchObject({ code: 0 });
    expect(await deploy()).toEqual({ code: 0, stdout: 'nothing changes\n', stderr: '' });

    writeTemplate(withMoreMemory(template()));
    const line = 'Modify ReapLambdaFunction AWS::Lambda::Function\n';
    expect(await deploy('--plan')).toEqual({ code: 0, stdout: line, stderr: '' });
    expect((await moto.functions()).map(({ MemorySize }) => MemorySize)).not.toContain(1024);
    const done = `${line}stack envoy-hpa-reaper: UPDATE_COMPLETE\n`;
    expect(await deploy()).toEqual({ code: 0, stdout: done, stderr: '' });
    expect((await moto.functions()).map(({ MemorySize }) => MemorySize)).toContain(1024);
  });

  test('takes another prefix, another name, and parameters', async () => {
    const parameters = ['--parameter', 'Mode=report', '--parameter', 'MaxDeletions=3'];
    expect(await deploy('--prefix', 'a/b/', '--stack-name', 'mine', ...parameters)).toMatchObject({ code: 0 });
    for (const key of await moto.keys(BUCKET)) expect(key).toMatch(/^a\/b\/[\w-]+\.(zip|json)$/);
    const { Stacks = [] } = await moto.cloudFormation.send(new DescribeStacksCommand({ StackName: 'mine' }));
    const given = Stacks[0]?.Parameters?.map(({ ParameterKey, ParameterValue }) => [ParameterKey, ParameterValue]);
    expect(Object.fromEntries(given ?? [])).toMatchObject({
      ArtifactBucket: BUCKET,
      ArtifactPrefix: 'a/b/',
      Mode: 'report',
      MaxDeletions: '3',
    });
  });

  test('gives the stack the tags that were packaged', async () => {
    writeTemplate({ ...template(), Metadata: { Tags: { team: 'platform', 'cost center': '42' } } });
    expect(await deploy()).toMatchObject({ code: 0 });
    const { Stacks = [] } = await moto.cloudFormation.send(new DescribeStacksCommand({}));
    expect(Stacks.map(({ Tags }) => Tags)).toEqual([
      [
        { Key: 'team', Value: 'platform' },
        { Key: 'cost center', Value: '42' },
      ],
    ]);
  });

  test('keeps what it was given before, until it is given something else', async () => {
    const given = async () => {
      const { Stacks: [stack] = [] } = await moto.cloudFormation.send(
        new DescribeStacksCommand({ StackName: 'envoy-hpa-reaper' }),
      );
      return Object.fromEntries((stack?.Parameters ?? []).map((each) => [each.ParameterKey, each.ParameterValue]));
    };
    await deploy('--parameter', 'Mode=delete', '--parameter', 'MaxDeletions=3');
    const changed = template();
    changed.Parameters.MaxDeletionsPerRun = { ...changed.Parameters.MaxDeletionsPerRun, Default: 7 };
    writeTemplate(withMoreMemory(changed));
    const { code, stdout } = await deploy('--parameter', 'MaxDeletions=4');
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^keeps Mode=delete, given before; --parameter Mode=\.\.\. changes it\nMaxDeletions: 3 -> 4\nMaxDeletionsPerRun: 100 -> 7\nModify /,
    );
    expect(await given()).toMatchObject({ Mode: 'delete', MaxDeletions: '4', MaxDeletionsPerRun: '7' });

    // A parameter that the template no longer has cannot be kept.
    const without = JSON.parse(JSON.stringify(changed).replaceAll('{"Ref":"Mode"}', '"report"')) as Template;
    delete without.Parameters.Mode;
    writeTemplate(without);
    expect(await deploy()).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^keeps MaxDeletions=4, .*\nModify /),
    });
  });

  test('refuses a schedule and hours of its alarm that do not fit, given now or before', async () => {
    const refusal = (message: string) => ({
      code: 1,
      stdout: expect.not.stringContaining('Modify'),
      stderr: `stack envoy-hpa-reaper: --parameter ${message}\n`,
    });
    expect(await deploy('--parameter', 'SweepScheduleExpression=rate(1 day)')).toEqual(
      refusal(
        'SweepAlarmHours=...: expected 48 at least for rate(1 day) (docs/configuration.md, "When sweeps are missed")',
      ),
    );
    expect(await stacks()).toEqual([]);
    const daily = ['--parameter', 'SweepScheduleExpression=rate(1 day)', '--parameter', 'SweepAlarmHours=48'];
    expect(await deploy(...daily)).toMatchObject({ code: 0 });
    writeTemplate(withMoreMemory(template()));
    expect(await deploy('--parameter', 'SweepAlarmHours=3')).toEqual(
      refusal(
        'SweepAlarmHours=...: expected 48 at least for rate(1 day) (docs/configuration.md, "When sweeps are missed")',
      ),
    );
    expect(await deploy('--parameter', 'SweepScheduleExpression=rate(8 days)')).toEqual(
      refusal(
        'SweepScheduleExpression=...: expected a rate of 7 days at most: CloudWatch lets the alarm that a sweep is ' +
          'missing look back no further',
      ),
    );
    expect(await deploy()).toMatchObject({ code: 0 });
  });

  test('leaves no stack behind where nothing but a plan was asked for', async () => {
    const before = await moto.inventory();
    expect(await deploy('--plan')).toMatchObject({ code: 0, stderr: '' });
    expect(await moto.inventory()).toEqual(before);
    expect(await stacks()).toEqual([]);
  });

  test('says what is wrong, and what to do', async () => {
    expect(await run('infra/deploy.ts', ['--bucket', 'absent', '--from', folder])).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^stack envoy-hpa-reaper: S3 did not take s3:\/\/absent\/.*bucket does not exist/),
    });
    expect(await run('infra/deploy.ts', [])).toMatchObject({ code: 1, stderr: expect.stringContaining('--bucket') });
    expect(await deploy('--prefix', 'a')).toMatchObject({ code: 1, stderr: expect.stringContaining('slash') });
    const { AWS_ACCESS_KEY_ID: _id, AWS_SECRET_ACCESS_KEY: _key, ...nobody } = moto.environment();
    expect(await run('infra/deploy.ts', ['--bucket', BUCKET, '--from', folder], { ...nobody, HOME: folder })).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/\nGive AWS credentials: .*\n$/),
    });
  });
});

describe('npm run remove', () => {
  test('leaves nothing behind, and nothing of others away', async () => {
    const before = await moto.inventory();
    await deploy();
    expect(await moto.inventory()).not.toEqual(before);
    await moto.s3.send(new PutObjectCommand({ Bucket: BUCKET, Key: 'envoy-hpa-reaper/notes.txt', Body: 'mine' }));
    const { code, stdout, stderr } = await remove('--artifacts');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^stack envoy-hpa-reaper: deleted\n(deleted s3:.*\n){3,}$/);
    expect(await moto.inventory()).toEqual(before);
    expect(await stacks()).toEqual([]);
    expect(await moto.keys(BUCKET)).toEqual(['envoy-hpa-reaper/notes.txt']);
  });

  test('leaves the code where it is, unless told otherwise', async () => {
    await deploy();
    const keys = await moto.keys(BUCKET);
    expect(await remove()).toEqual({
      code: 0,
      stdout: `stack envoy-hpa-reaper: deleted\nits code stays in s3://${BUCKET}/envoy-hpa-reaper/, since other stacks may use it\n`,
      stderr: '',
    });
    expect(await moto.keys(BUCKET)).toEqual(keys);
  });

  test('is done where there is no stack', async () => {
    expect(await remove()).toEqual({ code: 0, stdout: 'there is no stack envoy-hpa-reaper\n', stderr: '' });
  });
});

test('the template is enough, once the zip files are in the bucket', async () => {
  const { Outputs } = await moto.createStack('by-hand', representative, template());
  expect(Outputs?.map(({ OutputKey }) => OutputKey).sort()).toEqual(Object.keys(template().Outputs).sort());
  expect(Outputs?.find(({ OutputKey }) => OutputKey === 'ReapRoleArn')?.OutputValue).toBe(
    `arn:aws:iam::123456789012:role/envoy-hpa-reaper-reap-${REGION}`,
  );
});

async function stacks(): Promise<(string | undefined)[]> {
  const { StackSummaries = [] } = await moto.cloudFormation.send(new ListStacksCommand());
  return StackSummaries.filter(({ StackStatus }) => StackStatus !== 'DELETE_COMPLETE').map(
    ({ StackName }) => StackName,
  );
}
