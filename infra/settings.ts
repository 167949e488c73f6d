import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { NAMESPACE_PATTERN } from '../functions/judgement/kubernetes-objects.ts';
import { parseYaml } from '../functions/platform/yaml.ts';

/** The values that a setting accepts: in the file, as a parameter of the template, and as docs/configuration.md lists them. */
interface Values {
  readonly schema: z.ZodType;
  readonly limits?: { readonly Type: string };
  readonly values: string;
}

interface Setting extends Values {
  readonly default: unknown;
  /** A Markdown phrase, which also describes the parameter. */
  readonly description: string;
  /** The parameter of the template; the configuration file gives its default. */
  readonly parameter?: string;
  /** The environment variable of the functions. */
  readonly variable?: string;
}

function wholeNumber(least: number, most: number) {
  const expected = `expected a whole number from ${least} to ${most}`;
  return {
    schema: z.int(expected).min(least, expected).max(most, expected),
    limits: { Type: 'Number', MinValue: least, MaxValue: most },
    values: `${least} to ${most}`,
  };
}

const oneOf = <Value extends string>(...values: Value[]) => ({
  schema: z.enum(values),
  limits: { Type: 'String', AllowedValues: values },
  values: values.map((value) => `\`${value}\``).join(', '),
});

const matching = (pattern: RegExp, expected: string, values: string) => ({
  schema: z.string(expected).regex(pattern, expected),
  limits: { Type: 'String', AllowedPattern: pattern.source, ConstraintDescription: expected },
  values,
});

/** IDs of EC2, which have 8 or 17 hexadecimal digits; as a parameter comma-separated. */
function ids(prefix: string, most: number) {
  const id = `${prefix}-([0-9a-f]{8}|[0-9a-f]{17})`;
  const expected = `expected at most ${most} IDs such as ${prefix}-0a1b2c3d4e5f67890`;
  return {
    schema: z.array(z.string().regex(new RegExp(`^${id}$`), expected)).max(most, expected),
    limits: {
      Type: 'String',
      AllowedPattern: `^(off|${id}(,${id}){0,${most - 1}})$`,
      ConstraintDescription: `${expected}, comma-separated, or off`,
    },
    values: `at most ${most}`,
  };
}

/** Lambda allows 4 KB of environment variables, and each of these lists is one of them. */
const MOST_LIST_CHARACTERS = 3_000;

const names = (pattern: RegExp, values: string) => ({
  schema: z
    .array(z.string().regex(pattern, `expected ${values}`))
    .refine((list) => new Set(list).size === list.length, 'contains a name twice')
    .refine((list) => list.join().length <= MOST_LIST_CHARACTERS, 'the list is too long: leave it empty'),
  values,
});

/** The retention periods that CloudWatch Logs supports. */
const DAYS = [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];
const days = { schema: z.literal(DAYS), limits: { Type: 'Number', AllowedValues: DAYS }, values: 'days' };

/** Minutes, hours, days of the month, months, days of the week, and years, each with the characters that EventBridge allows. */
const CRON = '[0-9,*/-]+ [0-9,*/-]+ [0-9,*?/LW-]+ [0-9A-Z,*/-]+ [0-9A-Z,*?#-]+ [0-9,*/-]+';
const SCHEDULE = new RegExp(`^(off|rate\\([1-9][0-9]* (minute|hour|day)s?\\)|cron\\(${CRON}\\))$`);

/** The characters that the tags of all AWS services allow. */
const tagText = (least: number, most: number) =>
  z
    .string('expected a string')
    .regex(new RegExp(`^.{${least},${most}}$`, 's'), `expected ${least} to ${most} characters`)
    .regex(/^[\p{L}\p{N} _.:/=+@-]*$/u, 'expected letters, digits, spaces, and _ . : / = + - @');
const tags = z
  .record(tagText(1, 128).regex(/^(?!aws:)/i, 'expected a key that does not begin with aws:'), tagText(0, 256))
  .refine((all) => Object.keys(all).length <= 50, 'expected at most 50 tags');

/** The longest time that a CloudWatch alarm can look back. */
const MOST_ALARM_HOURS = 168;

/** Every setting, in the order of the documentation. */
export const SETTINGS = {
  enrollment: {
    ...oneOf('auto', 'off'),
    default: 'auto',
    parameter: 'Enrollment',
    description: '`off`: [no function writes filters and access entries](enrollment.md#from-auto-to-off-and-back)',
  },
  clusters: {
    ...names(/^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$/, 'cluster names'),
    default: [],
    variable: 'CLUSTERS',
    description: '`auto`: the only clusters to enroll, all if empty; `off`: those with a filter',
  },
  controllerNamespaces: {
    ...names(NAMESPACE_PATTERN, 'namespaces'),
    default: [],
    variable: 'CONTROLLER_NAMESPACES',
    description: '[where Envoy Gateway runs](#controller-namespaces); any if empty',
  },
  mode: {
    ...oneOf('report', 'delete'),
    default: 'report',
    parameter: 'Mode',
    variable: 'MODE',
    description:
      '`report` writes nothing to a cluster; [delete](installing.md#from-report-to-delete) deletes stale HPAs',
  },
  maxDeletions: {
    ...wholeNumber(0, 10_000),
    default: 25,
    parameter: 'MaxDeletions',
    variable: 'MAX_DELETIONS',
    description: 'if more HPAs of one cluster are stale, all are held back',
  },
  maxDeletionsPerRun: {
    ...wholeNumber(0, 10_000),
    default: 100,
    parameter: 'MaxDeletionsPerRun',
    variable: 'MAX_DELETIONS_PER_RUN',
    description: 'maximum deletions of a sweep by hand; clusters that exceed it are held back',
  },
  sweepSchedule: {
    ...matching(
      SCHEDULE,
      'expected off, or an expression of EventBridge Scheduler: rate(1 hour), cron(0 6 * * ? *)',
      '`rate(…)`, `cron(…)`, `off`',
    ),
    default: 'rate(1 hour)',
    parameter: 'SweepScheduleExpression',
    description: 'when to sweep every cluster',
  },
  sweepAlarmHours: {
    ...wholeNumber(1, MOST_ALARM_HOURS),
    default: 2,
    parameter: 'SweepAlarmHours',
    description: '[hours without a completed sweep](#when-sweeps-are-missed) that raise an alarm',
  },
  // What settles is retried for 37 minutes (infra/queue.yml).
  settleHpaSeconds: {
    ...wholeNumber(0, 1_800),
    default: 120,
    variable: 'SETTLE_HPA_SECONDS',
    description: 'younger HPAs are [retried](reasons.md#guards)',
  },
  settleConfigSeconds: {
    ...wholeNumber(0, 1_800),
    default: 180,
    variable: 'SETTLE_CONFIG_SECONDS',
    description: 'HPAs are retried after a younger write to the EnvoyGateway ConfigMap or the GatewayClass',
  },
  // The maximums keep true what the runbook says about retries (infra/queue.yml, functions/reap/reap.ts).
  delaySeconds: {
    ...wholeNumber(0, 60),
    default: 15,
    description: 'how long a change waits, so that one sweep covers all objects of one `kubectl apply`',
  },
  batchSize: { ...wholeNumber(1, 10), default: 10, description: 'maximum messages per invocation of `reap`' },
  batchWindowSeconds: { ...wholeNumber(0, 10), default: 5, description: 'how long Lambda waits to fill a batch' },
  concurrency: {
    ...wholeNumber(2, 1_000),
    default: 5,
    description: 'maximum concurrent invocations of `reap` by the queue',
  },
  logRetentionDays: {
    ...days,
    default: 90,
    parameter: 'LogRetentionDays',
    description: "retention of the functions' logs, with the manifests that `restore` needs",
  },
  outcomeRetentionDays: {
    ...days,
    default: 400,
    parameter: 'OutcomeRetentionDays',
    description: 'retention of the outcomes',
  },
  notifyEmail: {
    ...matching(/^(off|[^\s@]+@[^\s@]+\.[^\s@]+)$/, 'expected an e-mail address, or off', 'an address, `off`'),
    default: 'off',
    parameter: 'NotifyEmail',
    description:
      'where to send alarms, and [one message per sweep](reasons.md#on-the-bus) with something to report; confirm it once',
  },
  tracing: {
    ...oneOf('active', 'off'),
    default: 'off',
    parameter: 'Tracing',
    description: '`active`: AWS X-Ray traces every invocation',
  },
  // The manifest of each deleted HPA is logged at INFO.
  logLevel: {
    ...oneOf('INFO', 'DEBUG'),
    default: 'INFO',
    variable: 'POWERTOOLS_LOG_LEVEL',
    description: 'log level of the functions',
  },
  kmsKeyArn: {
    ...matching(
      /^(off|arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key[/][0-9A-Za-z-]+)$/,
      'expected the ARN of a KMS key (not of an alias), or off',
      'key ARN, `off`',
    ),
    default: 'off',
    parameter: 'KmsKeyArn',
    description: '[customer managed key](kms-key.md)',
  },
  subnetIds: {
    ...ids('subnet', 16),
    default: [],
    parameter: 'SubnetIds',
    description: 'subnets of `reap` and `backfill`, for [private endpoints](private-endpoints.md)',
  },
  securityGroupIds: {
    ...ids('sg', 5),
    default: [],
    parameter: 'SecurityGroupIds',
    description: 'security groups of `reap` and `backfill`',
  },
  permissionsBoundary: {
    ...matching(
      /^(off|arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy[/][!-~]+)$/,
      'expected the ARN of an IAM policy, or off',
      'policy ARN, `off`',
    ),
    default: 'off',
    parameter: 'PermissionsBoundary',
    description: '[boundary](permissions.md#a-permissions-boundary) of every role',
  },
  tags: { schema: tags, values: 'at most 50', default: {}, description: '[tags](#tags) of every resource' },
} satisfies Record<string, Setting>;

export type Configuration = { [Key in keyof typeof SETTINGS]: z.infer<(typeof SETTINGS)[Key]['schema']> };
const settings = Object.entries(SETTINGS) as [keyof Configuration, Setting][];

const EVERY_HOUR = /^(\*|0-23)(\/1)?$|^0\/1$/;
const HOURS = { minute: 1 / 60, hour: 1, day: 24 };

/** Hours between two sweeps; for a cron(…) at least, since the days that it leaves out are not considered. */
function hoursBetween(schedule: string): number {
  const [, count, unit] = /^rate\((\d+) (minute|hour|day)/.exec(schedule) ?? [];
  if (unit !== undefined) return Number(count) * HOURS[unit as keyof typeof HOURS];
  const [, hours] = /^cron\(\S+ (\S+)/.exec(schedule) ?? [];
  if (hours === undefined) return 0;
  if (EVERY_HOUR.test(hours)) return 1;
  return /^\d+$/.test(hours) ? 24 : 1.5;
}

const schema = z
  .strictObject(Object.fromEntries(settings.map(([key, setting]) => [key, setting.schema.default(setting.default)])))
  .superRefine((values, context) => {
    const { subnetIds, securityGroupIds, sweepSchedule, sweepAlarmHours } = values as Configuration;
    const reject = (key: keyof Configuration, message: string) =>
      context.addIssue({ code: 'custom', path: [key], message });
    if ((subnetIds.length === 0) !== (securityGroupIds.length === 0)) {
      reject('securityGroupIds', 'expected both subnetIds and securityGroupIds, or neither');
    }
    const period = hoursBetween(sweepSchedule);
    const least = Math.min(Math.ceil(2 * period), MOST_ALARM_HOURS);
    if (period > MOST_ALARM_HOURS) {
      reject('sweepSchedule', 'expected a rate of at most 7 days: no alarm can look back further');
    } else if (sweepAlarmHours < least) {
      const where = '(docs/configuration.md, "When sweeps are missed")';
      reject('sweepAlarmHours', `expected at least ${least} for ${sweepSchedule} ${where}`);
    }
  });

/**
 * @param file what the messages name
 * @throws {Error} whose message lists every problem, one per line
 */
export function checkConfiguration(values: unknown, file: string): Configuration {
  const checked = schema.safeParse(values);
  if (checked.success) return checked.data as Configuration;
  const problems = checked.error.issues.map((issue) => {
    // The problem of a key is an issue within the issue.
    const message = issue.code === 'invalid_key' ? issue.issues[0]?.message : issue.message;
    return `  ${issue.path.join('.') || '(the file)'}: ${message}`;
  });
  throw new Error(`${file} is not valid:\n${problems.join('\n')}`);
}

/** Reads the file that ENVOY_HPA_REAPER_CONFIGURATION names, or else infra/configuration.yml. */
export function readConfiguration(
  file = process.env.ENVOY_HPA_REAPER_CONFIGURATION || 'infra/configuration.yml',
): Configuration {
  const text = readFileSync(file, 'utf8');
  let values: unknown;
  try {
    values = parseYaml(text);
  } catch (error) {
    throw new Error(`${file} is not YAML: ${(error as Error).message}`);
  }
  return checkConfiguration(values, file);
}

const asText = (value: unknown) => (Array.isArray(value) ? value.join(',') || 'off' : value);
const withoutMarkdown = (text: string) => text.replaceAll(/\[([^\]]+)\]\([^)]+\)|`/g, '$1');

/** The parameters of the template, whose defaults the configuration gives. */
export const stackParameters = (
  configuration: Configuration,
): Record<string, { Type?: string; Default: unknown; Description: string }> =>
  Object.fromEntries(
    settings.flatMap(([key, { parameter, limits, description }]) =>
      parameter === undefined
        ? []
        : [[parameter, { ...limits, Description: withoutMarkdown(description), Default: asText(configuration[key]) }]],
    ),
  );

/** The table of docs/configuration.md. */
export function settingsTable(): string {
  const code = (text?: unknown) => (text === undefined ? '' : `\`${text}\``);
  const rows = settings.map(([key, { default: value, parameter, variable, values, description }]) => {
    const initial = typeof value === 'string' ? code(value) : typeof value === 'number' ? value : 'none';
    return [code(key), initial, code(parameter), code(variable), values, description];
  });
  const header = ['key', 'default', 'parameter', 'environment variable', 'values', 'description'];
  return [header, header.map(() => '---'), ...rows]
    .map((cells) => `| ${cells.join(' | ')} |`.replaceAll('|  |', '| |').replaceAll('|  |', '| |'))
    .join('\n');
}
