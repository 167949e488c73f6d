import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { checkConfiguration, readConfiguration, SETTINGS, stackParameters } from '../../../infra/settings.ts';

const folder = mkdtempSync(join(tmpdir(), 'configuration-'));
afterAll(() => rmSync(folder, { recursive: true }));

function problemsOf(values: unknown): string[] {
  try {
    checkConfiguration(values, 'mine.yml');
    return [];
  } catch (error) {
    return (error as Error).message.split('\n').slice(1);
  }
}

it('reports every problem at once, with the file and the key', () => {
  const wrong = {
    clusters: ['shop', 'a/b'],
    mode: 'dry-run',
    maxDeletions: 2.5,
    maxDeletion: 3,
    logRetentionDays: 100,
  };
  expect(() => checkConfiguration(wrong, 'mine.yml')).toThrow(/^mine\.yml is not valid:\n/);
  expect(problemsOf(wrong)).toEqual([
    '  clusters.1: expected cluster names',
    expect.stringMatching(/^ {2}mode: .*"report"\|"delete"/),
    '  maxDeletions: expected a whole number from 0 to 10000',
    expect.stringMatching(/^ {2}logRetentionDays: .*90/),
    expect.stringMatching(/^ {2}\(the file\): .*"maxDeletion"/),
  ]);
});

const KEY = 'arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab';
const POLICY = 'arn:aws:iam::123456789012:policy/boundaries/functions';
const SUBNET = 'subnet-0a1b2c3d4e5f67890';
const GROUP = 'sg-0a1b2c3d';
const names = (count: number) => Array.from({ length: count }, (_, number) => `${number}`.padStart(99, 'c'));

it.each<Record<string, unknown>>([
  {},
  { clusters: names(30) },
  { controllerNamespaces: ['a'.repeat(63), 'a-b'] },
  { sweepSchedule: 'off', sweepAlarmHours: 1 },
  ...[
    'rate(30 minutes)',
    'cron(0 6 ? * MON-FRI *)',
    'cron(0/15 8-17,20 L * ? 2026-2030)',
    'cron(*/5 * 3W JAN,JUL ? *)',
    'cron(15 10 ? * 6#3 *)',
  ].map((sweepSchedule) => ({ sweepSchedule, sweepAlarmHours: 168 })),
  { delaySeconds: 0, batchSize: 1, batchWindowSeconds: 0, concurrency: 2 },
  { delaySeconds: 60, batchSize: 10, batchWindowSeconds: 10, concurrency: 1_000 },
  { notifyEmail: 'sre@example.com', kmsKeyArn: KEY, permissionsBoundary: POLICY },
  { permissionsBoundary: 'arn:aws-us-gov:iam::aws:policy/PowerUserAccess' },
  { subnetIds: Array(16).fill(SUBNET), securityGroupIds: Array(5).fill(GROUP) },
  { tags: { team: 'platform', 'cost center': '4 2', owner: 'sre@example.com', note: '', größe: 'XL' } },
])('accepts %j', (values) => {
  expect(problemsOf(values)).toEqual([]);
});

const whole = (least: number, most: number) => `expected a whole number from ${least} to ${most}`;
const CHARACTERS = 'expected letters, digits, spaces, and _ . : / = + - @';

type Rejection = [key: keyof typeof SETTINGS, value: unknown, problem: string | RegExp];

it.each<Rejection>([
  ['clusters', ['a', 'a'], 'contains a name twice'],
  ['clusters', names(31), 'the list is too long: leave it empty'],
  ...['-a', 'a-', 'a.b', '', 'a'.repeat(64), 'A'].map(
    (name): Rejection => ['controllerNamespaces', [name], /controllerNamespaces\.0: expected namespaces$/],
  ),
  ...[
    ...[false, 'on', 'rate(0 hours)', 'rate(1 week)', 'at(2026-01-01T00:00:00)'],
    // Too few fields, too many, and for each of the six fields one value that EventBridge does not allow there.
    ...['cron(0 6 * * *)', 'cron(0 6 * * ? * *)'],
    ...['cron(a 6 * * ? *)', 'cron(0 b * * ? *)', 'cron(0 6 C * ? *)', 'cron(0 6 * jan ? *)', 'cron(0 6 ? * mon *)'],
    'cron(0 6 * * ? ?)',
  ].map((schedule): Rejection => ['sweepSchedule', schedule, /: expected off, or an expression of EventBridge/]),
  ['delaySeconds', 61, whole(0, 60)],
  ['delaySeconds', -1, whole(0, 60)],
  ['delaySeconds', '15', whole(0, 60)],
  ['concurrency', 1_001, whole(2, 1_000)],
  ['notifyEmail', 'sre', 'expected an e-mail address, or off'],
  ['kmsKeyArn', KEY.replace(':key/', ':alias/'), 'expected the ARN of a KMS key (not of an alias), or off'],
  ['permissionsBoundary', POLICY.replace(':policy/', ':role/'), 'expected the ARN of an IAM policy, or off'],
  ['subnetIds', ['vpc-0a1b2c3d'], /subnetIds\.0: expected at most 16 IDs such as subnet-0a1b2c3d4e5f67890$/],
  ['subnetIds', Array(17).fill(SUBNET), 'expected at most 16 IDs such as subnet-0a1b2c3d4e5f67890'],
  ['securityGroupIds', [GROUP], 'expected both subnetIds and securityGroupIds, or neither'],
  ['tags', { team: 7 }, /tags\.team: expected a string$/],
  ['tags', { team: 'a;b' }, new RegExp(`tags\\.team: ${CHARACTERS.replaceAll(/[.+/]/g, '\\$&')}$`)],
  ['tags', { 'AWS:x': '' }, /tags\.AWS:x: expected a key that does not begin with aws:$/],
  ['tags', { '': 'x' }, /tags\.: expected 1 to 128 characters$/],
  ['tags', { team: 'x'.repeat(257) }, /tags\.team: expected 0 to 256 characters$/],
  ['tags', Object.fromEntries(Array.from({ length: 51 }, (_, n) => [`k${n}`, ''])), 'expected at most 50 tags'],
])('rejects %s %j', (key, value, problem) => {
  const expected = typeof problem === 'string' ? `  ${key}: ${problem}` : expect.stringMatching(problem);
  const others = key === 'subnetIds' ? { securityGroupIds: [GROUP] } : {};
  expect(problemsOf({ ...others, [key]: value })).toContainEqual(expected);
});

describe('the alarm for missing sweeps', () => {
  const atLeast = (hours: number, schedule: string) => [
    `  sweepAlarmHours: expected at least ${hours} for ${schedule} (docs/configuration.md, "When sweeps are missed")`,
  ];
  const TOO_RARE = ['  sweepSchedule: expected a rate of at most 7 days: no alarm can look back further'];

  it.each([
    ['rate(30 minutes)', 1, []],
    ['rate(1 hour)', 1, atLeast(2, 'rate(1 hour)')],
    ['rate(31 minutes)', 1, atLeast(2, 'rate(31 minutes)')],
    ['rate(1 day)', 47, atLeast(48, 'rate(1 day)')],
    ['rate(1 day)', 48, []],
    ['rate(84 hours)', 167, atLeast(168, 'rate(84 hours)')],
    ['rate(7 days)', 168, []],
    ['rate(8 days)', 168, TOO_RARE],
    ['rate(169 hours)', 168, TOO_RARE],
    ['cron(0 * * * ? *)', 1, atLeast(2, 'cron(0 * * * ? *)')],
    ['cron(0 0/1 * * ? *)', 2, []],
    ['cron(0 */1 * * ? *)', 2, []],
    ['cron(0 0-23 * * ? *)', 2, []],
    ['cron(0 0/2 * * ? *)', 2, atLeast(3, 'cron(0 0/2 * * ? *)')],
    ['cron(0 8-17 * * ? *)', 3, []],
    ['cron(0 6 * * ? *)', 47, atLeast(48, 'cron(0 6 * * ? *)')],
  ])('looks back two periods of %s, with %i hours', (sweepSchedule, sweepAlarmHours, problems) => {
    expect(problemsOf({ sweepSchedule, sweepAlarmHours })).toEqual(problems);
  });
});

it.each([
  ['bad.yml', 'clusters: [shop\nmode: report\n', /bad\.yml is not YAML: Flow sequence in block collection must be /],
  ['empty.yml', '# nothing', /empty\.yml is not valid:\n {2}\(the file\): /],
  ['scalar.yml', 'report', /scalar\.yml is not valid:\n {2}\(the file\): /],
  ['list.yml', '- mode: report', /list\.yml is not valid:\n {2}\(the file\): /],
])('names the file where %s contains no keys', (name, content, message) => {
  const file = join(folder, name);
  writeFileSync(file, content);
  expect(() => readConfiguration(file)).toThrow(message);
});

describe('the parameters of the template', () => {
  it('have lists comma-separated, and the default off where a list is empty', () => {
    const configuration = checkConfiguration({ subnetIds: [SUBNET, SUBNET], securityGroupIds: [GROUP] }, 'mine.yml');
    expect(stackParameters(configuration).SubnetIds?.Default).toBe(`${SUBNET},${SUBNET}`);
    expect(stackParameters(readConfiguration()).SubnetIds?.Default).toBe('off');
  });

  it('report by default: deleting needs a decision', () => {
    expect([readConfiguration().mode, SETTINGS.mode.default]).toEqual(['report', 'report']);
    expect(stackParameters(checkConfiguration({}, 'mine.yml')).Mode?.Default).toBe('report');
  });

  it('accept as many IDs as the configuration, of the lengths that EC2 has', () => {
    const { AllowedPattern } = SETTINGS.subnetIds.limits;
    const list = (count: number) => Array(count).fill('subnet-0a1b2c3d').join(',');
    const long = 'subnet-0a1b2c3d4e5f67890';
    const wrong = ['', `${list(1)},`, `${list(1)}, ${list(1)}`, 'vpc-0a1b2c3d', long.slice(0, -1), `${long}1`];
    const tried = ['off', list(1), list(16), long, list(17), ...wrong];
    expect(tried.filter((value) => new RegExp(AllowedPattern).test(value))).toEqual(['off', list(1), list(16), long]);
  });

  it.each(['subnetIds', 'securityGroupIds'] as const)('name an example of %s that they accept', (key) => {
    const { AllowedPattern, ConstraintDescription } = SETTINGS[key].limits;
    const [example = ''] = /(subnet|sg)-\w+/.exec(ConstraintDescription) ?? [];
    // The pattern of CloudFormation.
    expect(example).toMatch(/^(subnet|sg)-([0-9a-f]{8}|[0-9a-f]{17})$/);
    expect(example).toMatch(new RegExp(AllowedPattern));
  });
});
