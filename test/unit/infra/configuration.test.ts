import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { afterAll, expect, it } from 'vitest';
import { parse } from 'yaml';
import { checkConfiguration, configurationSchema, readConfiguration } from '../../../infra/configuration.ts';
import { subscriptionFilters } from '../../../infra/subscription-filters.ts';

const folder = mkdtempSync(join(tmpdir(), 'configuration-'));
afterAll(() => rmSync(folder, { recursive: true }));

const delivered = parse(readFileSync('infra/configuration.yml', 'utf8'));

it('is delivered without faults, set to delete, and with no cluster', () => {
  expect(readConfiguration()).toEqual({ ...delivered, mode: 'delete', clusters: [], maxDeletions: 25 });
});

it('names every fault at once', () => {
  const { logLevel: _, ...rest } = delivered;
  const wrong = {
    ...rest,
    enrollment: 'on',
    clusters: ['shop', 'shop/prod'],
    controllerNamespaces: ['Envoy'],
    mode: 'dry-run',
    maxDeletions: 2.5,
    settleHpaSeconds: '120',
    settleConfigSeconds: -1,
    logRetentionDays: 100,
    maxDeletion: 3,
    maxDeletionsPerRun: -1,
    sweepSchedule: 'hourly',
    sweepAlarmHours: 0,
    notifyEmail: 'sre',
    tracing: true,
  };
  expect(() => checkConfiguration(wrong, 'mine.yml')).toThrow(/^mine\.yml does not fit:\n/);
  const faults = faultsOf(wrong);
  for (const name of [
    ...[
      'enrollment',
      'clusters.1',
      'controllerNamespaces.0',
      'mode',
      'maxDeletions',
      'maxDeletionsPerRun',
      'sweepSchedule',
      'sweepAlarmHours',
    ],
    ...['settleHpaSeconds', 'settleConfigSeconds', 'notifyEmail', 'tracing', 'logLevel'],
  ]) {
    expect(faults).toContainEqual(expect.stringContaining(`  ${name}: `));
  }
  expect(faults).toContainEqual(expect.stringMatching(/^ {2}logRetentionDays: .*90/));
  expect(faults).toContainEqual(expect.stringMatching(/^ {2}\(the file\): .*"maxDeletion"/));
});

it('refuses a cluster or a namespace that is named twice, and a file that holds nothing', () => {
  const controllerNamespaces = ['a', 'b', 'b'];
  expect(faultsOf({ ...delivered, controllerNamespaces })).toEqual(['  controllerNamespaces: names a namespace twice']);
  expect(faultsOf({ ...delivered, clusters: ['a', 'b', 'a'] })).toEqual(['  clusters: names a cluster twice']);
  expect(faultsOf(null)).toHaveLength(1);
});

it.each(['-a', 'a-', 'a.b', '', 'a'.repeat(64), 'A', 1])('takes no namespace to be called %s', (name) => {
  expect(faultsOf({ ...delivered, controllerNamespaces: ['a'.repeat(63), name] })).toHaveLength(1);
});

it('refuses a list of clusters that does not fit an environment variable', () => {
  const names = (count: number) => Array.from({ length: count }, (_, number) => `${number}`.padStart(99, 'c'));
  expect(faultsOf({ ...delivered, clusters: names(30) })).toEqual([]);
  expect(faultsOf({ ...delivered, clusters: names(31) })).toEqual([
    '  clusters: too long a list: leave it empty, and opt clusters out by tag',
  ]);
  const controllerNamespaces = names(50).map((name) => name.slice(-63));
  expect(faultsOf({ ...delivered, controllerNamespaces })).toEqual([
    '  controllerNamespaces: too long a list: leave it empty',
  ]);
});

it.each([
  'off',
  'rate(1 hour)',
  'rate(30 minutes)',
  'cron(0 6 ? * MON-FRI *)',
  'cron(0/15 8-17,20 L * ? 2026-2030)',
  'cron(*/5 * 3W JAN,JUL ? *)',
  'cron(15 10 ? * 6#3 *)',
])('takes the schedule %s', (sweepSchedule) => {
  expect(faultsOf({ ...delivered, sweepSchedule, sweepAlarmHours: 168 })).toEqual([]);
});

it.each([
  ...[false, 'on', 'rate(0 hours)', 'rate(1 week)', 'at(2026-01-01T00:00:00)'],
  // Too few fields, too many, and in each of the six one that EventBridge does not take there.
  ...['cron(0 6 * * *)', 'cron(0 6 * * ? * *)'],
  ...['cron(a 6 * * ? *)', 'cron(0 b * * ? *)', 'cron(0 6 C * ? *)', 'cron(0 6 * jan ? *)', 'cron(0 6 ? * mon *)'],
  'cron(0 6 * * ? ?)',
])('refuses the schedule %s', (sweepSchedule) => {
  expect(faultsOf({ ...delivered, sweepSchedule, sweepAlarmHours: 168 })).toEqual([
    '  sweepSchedule: expected off, or as EventBridge Scheduler takes it: rate(1 hour), cron(0 6 * * ? *)',
  ]);
});

const tooFew = (least: number, schedule: string) =>
  `  sweepAlarmHours: expected ${least} at least for ${schedule} (docs/configuration.md, "When sweeps are missed")`;
const TOO_RARE =
  '  sweepSchedule: expected a rate of 7 days at most: CloudWatch lets the alarm that a sweep is missing look back no further';

it.each([
  ['rate(30 minutes)', 1, []],
  ['rate(1 hour)', 2, []],
  ['rate(1 hour)', 1, [tooFew(2, 'rate(1 hour)')]],
  ['rate(31 minutes)', 1, [tooFew(2, 'rate(31 minutes)')]],
  ['rate(1 day)', 47, [tooFew(48, 'rate(1 day)')]],
  ['rate(1 day)', 48, []],
  ['rate(84 hours)', 168, []],
  ['rate(84 hours)', 167, [tooFew(168, 'rate(84 hours)')]],
  ['rate(7 days)', 168, []],
  ['rate(7 days)', 167, [tooFew(168, 'rate(7 days)')]],
  ['rate(8 days)', 168, [TOO_RARE]],
  ['rate(169 hours)', 168, [TOO_RARE]],
  ['cron(0 * * * ? *)', 2, []],
  ['cron(0 * * * ? *)', 1, [tooFew(2, 'cron(0 * * * ? *)')]],
  ['cron(0 0/1 * * ? *)', 2, []],
  ['cron(0 */1 * * ? *)', 2, []],
  ['cron(0 0-23 * * ? *)', 2, []],
  ['cron(0 0/2 * * ? *)', 2, [tooFew(3, 'cron(0 0/2 * * ? *)')]],
  // As delivered, it is hourly sweeps that are watched.
  ['cron(0 8-17 * * ? *)', 2, [tooFew(3, 'cron(0 8-17 * * ? *)')]],
  ['cron(0 8-17 * * ? *)', 3, []],
  ['cron(0 6 * * ? *)', 47, [tooFew(48, 'cron(0 6 * * ? *)')]],
  ['cron(0,30 18 ? * MON-FRI *)', 48, []],
  ['off', 1, []],
])('holds the alarm to two periods of the schedule: %s, %i', (sweepSchedule, sweepAlarmHours, faults) => {
  expect(faultsOf({ ...delivered, sweepSchedule, sweepAlarmHours })).toEqual(faults);
});

it('takes an address for notifications', () => {
  expect(faultsOf({ ...delivered, notifyEmail: 'sre@example.com' })).toEqual([]);
});

const KEY = 'arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab';
const POLICY = 'arn:aws:iam::123456789012:policy/boundaries/functions';
const SUBNET = 'subnet-0a1b2c3d4e5f67890';
const GROUP = 'sg-0a1b2c3d';

it.each<Record<string, unknown>>([
  { delaySeconds: 0 },
  { delaySeconds: 60 },
  { batchSize: 1 },
  { batchWindowSeconds: 0 },
  { batchWindowSeconds: 10 },
  { concurrency: 2 },
  { concurrency: 1_000 },
  { kmsKeyArn: KEY },
  { permissionsBoundary: POLICY },
  { permissionsBoundary: 'arn:aws-us-gov:iam::aws:policy/PowerUserAccess' },
  { subnetIds: Array(16).fill(SUBNET), securityGroupIds: Array(5).fill(GROUP) },
  { tags: { team: 'platform', 'cost center': '4 2', owner: 'sre@example.com', note: '', größe: 'XL' } },
])('takes %j', (values) => {
  expect(faultsOf({ ...delivered, ...values })).toEqual([]);
});

const WHOLE = (least: number, most: number) => `expected a whole number from ${least} to ${most}`;
const KEY_EXPECTED = 'expected the ARN of a KMS key (not of an alias), or off';
const POLICY_EXPECTED = 'expected the ARN of an IAM policy, or off';
const BOTH = '  securityGroupIds: expected both subnetIds and securityGroupIds, or neither';

it.each<[Record<string, unknown>, string]>([
  [{ delaySeconds: 61 }, `  delaySeconds: ${WHOLE(0, 60)}`],
  [{ delaySeconds: -1 }, `  delaySeconds: ${WHOLE(0, 60)}`],
  [{ delaySeconds: '15' }, `  delaySeconds: ${WHOLE(0, 60)}`],
  [{ batchSize: 0 }, `  batchSize: ${WHOLE(1, 10)}`],
  [{ batchSize: 11 }, `  batchSize: ${WHOLE(1, 10)}`],
  [{ batchWindowSeconds: 11 }, `  batchWindowSeconds: ${WHOLE(0, 10)}`],
  [{ concurrency: 1 }, `  concurrency: ${WHOLE(2, 1000)}`],
  [{ concurrency: 1_001 }, `  concurrency: ${WHOLE(2, 1000)}`],
  [{ kmsKeyArn: false }, `  kmsKeyArn: ${KEY_EXPECTED}`],
  [{ kmsKeyArn: 'alias/mine' }, `  kmsKeyArn: ${KEY_EXPECTED}`],
  [{ kmsKeyArn: KEY.replace(':key/', ':alias/') }, `  kmsKeyArn: ${KEY_EXPECTED}`],
  [{ permissionsBoundary: 'boundary' }, `  permissionsBoundary: ${POLICY_EXPECTED}`],
  [{ permissionsBoundary: POLICY.replace(':policy/', ':role/') }, `  permissionsBoundary: ${POLICY_EXPECTED}`],
  [
    { subnetIds: ['vpc-0a1b2c3d'], securityGroupIds: [GROUP] },
    '  subnetIds.0: expected an id such as subnet-0a1b2c3d4e5f',
  ],
  [
    { subnetIds: [SUBNET], securityGroupIds: [GROUP, 'default'] },
    '  securityGroupIds.1: expected an id such as sg-0a1b2c3d4e5f',
  ],
  [{ subnetIds: Array(17).fill(SUBNET), securityGroupIds: [GROUP] }, '  subnetIds: expected 16 at most'],
  [{ subnetIds: [SUBNET], securityGroupIds: Array(6).fill(GROUP) }, '  securityGroupIds: expected 5 at most'],
  [{ subnetIds: [SUBNET] }, BOTH],
  [{ securityGroupIds: [GROUP] }, BOTH],
  [{ tags: { team: 7 } }, '  tags.team: expected a text'],
  [{ tags: { team: 'a;b' } }, '  tags.team: expected letters, digits, spaces and _ . : / = + - @'],
  [{ tags: { 'a*': '' } }, '  tags.a*: expected letters, digits, spaces and _ . : / = + - @'],
  [{ tags: { 'AWS:x': '' } }, '  tags.AWS:x: expected a key that does not begin with aws:, which is reserved'],
  [{ tags: { '': 'x' } }, '  tags.: expected 1 to 128 characters'],
  [{ tags: { ['k'.repeat(129)]: 'x' } }, `  tags.${'k'.repeat(129)}: expected 1 to 128 characters`],
  [{ tags: { team: 'x'.repeat(257) } }, '  tags.team: expected 256 characters at most'],
  [{ tags: Object.fromEntries(Array.from({ length: 51 }, (_, n) => [`k${n}`, ''])) }, '  tags: expected 50 at most'],
  [{ tags: ['team'] }, '  tags: expected keys with a text each'],
])('refuses %j', (values, fault) => {
  expect(faultsOf({ ...delivered, ...values })).toEqual([fault]);
});

it.each([
  ['bad.yml', 'clusters: [shop\nmode: report\n', /^bad\.yml is no YAML: Flow sequence in block collection must be /],
  [
    'empty.yml',
    '# nothing\n',
    /^empty\.yml: expected keys with a value each, as infra\/configuration\.yml is delivered$/,
  ],
  ['scalar.yml', 'report', /^scalar\.yml: expected keys with a value each, /],
  ['list.yml', '- mode: report', /^list\.yml does not fit:\n {2}\(the file\): /],
])('names the file where %s holds no keys', (name, content, message) => {
  const file = join(folder, name);
  writeFileSync(file, content);
  let told = '';
  try {
    readConfiguration(file);
  } catch (error) {
    told = (error as Error).message;
  }
  expect(told.replace(`${folder}/`, '')).toMatch(message);
});

it("tells all of osls' words where that fails", () => {
  // Without serverless.yml.
  for (const read of ['functions', 'infra', 'node_modules']) symlinkSync(resolve(read), join(folder, read));
  const env = { PATH: process.env.PATH, HOME: folder };
  const options = { cwd: folder, env, encoding: 'utf8' } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['infra/package.ts'], options);
  expect(status).toBe(1);
  expect(stdout).toMatch(/^Error:\nThis command can only be run in a service directory\. /);
  expect(stderr).toMatch(/^Environment: linux, node .*, osls /m);
});

it('stops npm run package, with that message and nothing else', () => {
  const file = join(folder, 'wrong.yml');
  writeFileSync(file, 'clusters: shop\nmode: off\n');
  const env = { ...process.env, ENVOY_HPA_REAPER_CONFIGURATION: file };
  const { status, stdout, stderr } = spawnSync(process.execPath, ['infra/package.ts'], { env, encoding: 'utf8' });
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  expect(stderr.split('\n')[0]).toBe(`${file} does not fit:`);
  // One fault a line: the two values that are wrong, and all the others, which are missing.
  const named = stderr.trimEnd().split('\n').slice(1);
  expect(named.map((line) => line.trim().split(':')[0])).toEqual(Object.keys(configurationSchema.shape));
});

it('gives clusters whose names differ only in their signs a filter each', () => {
  const names = ['prod-1', 'prod_1', 'prod1', 'prodZD1', 'PROD1'];
  const ids = Object.keys(subscriptionFilters(names));
  expect(new Set(ids).size).toBe(names.length);
  for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9]+$/);
});

function faultsOf(values: unknown): string[] {
  try {
    checkConfiguration(values, 'mine.yml');
    return [];
  } catch (error) {
    return (error as Error).message.split('\n').slice(1);
  }
}
