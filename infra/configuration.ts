import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import * as z from 'zod';
import { NAMESPACE_PATTERN } from '../functions/judgement/kubernetes-objects.ts';

const wholeNumber = (least: number, most: number) => {
  const expected = `expected a whole number from ${least} to ${most}`;
  return z.int(expected).min(least, expected).max(most, expected);
};

/** The retentions that CloudWatch Logs knows, in days. */
export const RETENTION_DAYS = [
  1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
];

/** Minutes, hours, days of the month, months, days of the week and years, each with the signs that EventBridge takes there. */
const CRON = '[0-9,*/-]+ [0-9,*/-]+ [0-9,*?/LW-]+ [0-9A-Z,*/-]+ [0-9A-Z,*?#-]+ [0-9,*/-]+';
export const SCHEDULE_PATTERN = new RegExp(`^(off|rate\\([1-9][0-9]* (minute|hour|day)s?\\)|cron\\(${CRON}\\))$`);

/** Lambda takes 4 KB of environment variables, and each of these lists is one of them. */
const LIST_FITS = 3_000;

const listOf = (pattern: RegExp, fault: string, twice: string, tooLong: string) =>
  z
    .array(z.string().regex(pattern, fault))
    .refine((names) => new Set(names).size === names.length, twice)
    .refine((names) => names.join().length <= LIST_FITS, tooLong);

const SCHEDULE_EXPECTED = 'expected off, or as EventBridge Scheduler takes it: rate(1 hour), cron(0 6 * * ? *)';

/** CloudWatch's limit for an alarm is seven days. */
export const MOST_ALARM_HOURS = 168;

export const EMAIL_PATTERN = /^(off|[^\s@]+@[^\s@]+\.[^\s@]+)$/;
export const EMAIL_EXPECTED = 'expected an e-mail address, or off';

export const KMS_KEY_PATTERN = /^(off|arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key[/][0-9A-Za-z-]+)$/;
export const KMS_KEY_EXPECTED = 'expected the ARN of a KMS key (not of an alias), or off';

export const POLICY_PATTERN = /^(off|arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy[/][!-~]+)$/;
export const POLICY_EXPECTED = 'expected the ARN of an IAM policy, or off';

/** Lambda takes no more. */
export const MOST_SUBNETS = 16;
export const MOST_SECURITY_GROUPS = 5;

/** A list of EC2's ids, such as `subnet-0a1b2c3d`. */
const ids = (prefix: string, most: number) =>
  z
    .array(z.string().regex(new RegExp(`^${prefix}-[0-9a-f]{8,17}$`), `expected an id such as ${prefix}-0a1b2c3d4e5f`))
    .max(most, `expected ${most} at most`);

/** What IAM, SQS and the others all take. */
const TAG_CHARACTERS = /^[\p{L}\p{N} _.:/=+@-]*$/u;
const TAG_EXPECTED = 'expected letters, digits, spaces and _ . : / = + - @';

/** CloudFormation takes no more for a stack. */
const MOST_TAGS = 50;

const tagKey = z
  .string()
  .regex(/^.{1,128}$/s, 'expected 1 to 128 characters')
  .regex(TAG_CHARACTERS, TAG_EXPECTED)
  .regex(/^(?!aws:)/i, 'expected a key that does not begin with aws:, which is reserved');

const MINUTES = { minute: 1, hour: 60, day: 1_440 };

const EVERY_HOUR = /^(\*|0-23)(\/1)?$|^0\/1$/;

/** How far apart the sweeps of a schedule are. Of a cron(…) at least so far: which days it leaves out is not looked at. */
function hoursBetween(sweepSchedule: string): number {
  const [, count, unit] = /^rate\((\d+) (minute|hour|day)/.exec(sweepSchedule) ?? [];
  if (unit !== undefined) return (Number(count) * MINUTES[unit as keyof typeof MINUTES]) / 60;
  const [, hours] = /^cron\(\S+ (\S+)/.exec(sweepSchedule) ?? [];
  if (hours === undefined) return 0;
  if (EVERY_HOUR.test(hours)) return 1;
  return /^\d+$/.test(hours) ? 24 : 1.5;
}

/** What is wrong with when sweeps come and when one is missed, and with which of the two. */
export function sweepFault(
  sweepSchedule: string,
  sweepAlarmHours: number,
): { of: 'sweepSchedule' | 'sweepAlarmHours'; message: string } | undefined {
  const period = hoursBetween(sweepSchedule);
  if (period > MOST_ALARM_HOURS) {
    return {
      of: 'sweepSchedule',
      message:
        'expected a rate of 7 days at most: CloudWatch lets the alarm that a sweep is missing look back no further',
    };
  }
  const least = Math.min(Math.ceil(2 * period), MOST_ALARM_HOURS);
  if (sweepAlarmHours >= least) return undefined;
  return {
    of: 'sweepAlarmHours',
    message: `expected ${least} at least for ${sweepSchedule} (docs/configuration.md, "When sweeps are missed")`,
  };
}

/** What `infra/configuration.yml` may say; what each value means stands there. */
export const configurationSchema = z
  .strictObject({
    enrollment: z.enum(['auto', 'off']),
    clusters: listOf(
      /^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$/,
      'not the name of an EKS cluster',
      'names a cluster twice',
      'too long a list: leave it empty, and opt clusters out by tag',
    ),
    controllerNamespaces: listOf(
      NAMESPACE_PATTERN,
      'not the name of a namespace',
      'names a namespace twice',
      'too long a list: leave it empty',
    ),
    mode: z.enum(['report', 'delete']),
    maxDeletions: wholeNumber(0, 10_000),
    maxDeletionsPerRun: wholeNumber(0, 10_000),
    sweepSchedule: z.string(SCHEDULE_EXPECTED).regex(SCHEDULE_PATTERN, SCHEDULE_EXPECTED),
    sweepAlarmHours: wholeNumber(1, MOST_ALARM_HOURS),
    // What settles is looked at again for 37 minutes (infra/queue.yml).
    settleHpaSeconds: wholeNumber(0, 1_800),
    settleConfigSeconds: wholeNumber(0, 1_800),
    // The most are such that what the runbook says of retries stays true: infra/queue.yml, functions/reap/reap.ts.
    delaySeconds: wholeNumber(0, 60),
    batchSize: wholeNumber(1, 10),
    batchWindowSeconds: wholeNumber(0, 10),
    concurrency: wholeNumber(2, 1_000),
    logRetentionDays: z.literal(RETENTION_DAYS),
    outcomeRetentionDays: z.literal(RETENTION_DAYS),
    notifyEmail: z.string(EMAIL_EXPECTED).regex(EMAIL_PATTERN, EMAIL_EXPECTED),
    tracing: z.enum(['active', 'off']),
    // The manifest of what is deleted is logged at INFO: without it nothing can be undone.
    logLevel: z.enum(['DEBUG', 'INFO']),
    kmsKeyArn: z.string(KMS_KEY_EXPECTED).regex(KMS_KEY_PATTERN, KMS_KEY_EXPECTED),
    subnetIds: ids('subnet', MOST_SUBNETS),
    securityGroupIds: ids('sg', MOST_SECURITY_GROUPS),
    permissionsBoundary: z.string(POLICY_EXPECTED).regex(POLICY_PATTERN, POLICY_EXPECTED),
    tags: z
      .record(
        tagKey,
        z.string('expected a text').max(256, 'expected 256 characters at most').regex(TAG_CHARACTERS, TAG_EXPECTED),
        'expected keys with a text each',
      )
      .refine((tags) => Object.keys(tags).length <= MOST_TAGS, `expected ${MOST_TAGS} at most`),
  })
  .refine(({ subnetIds, securityGroupIds }) => (subnetIds.length === 0) === (securityGroupIds.length === 0), {
    path: ['securityGroupIds'],
    message: 'expected both subnetIds and securityGroupIds, or neither',
  })
  .superRefine(({ sweepSchedule, sweepAlarmHours }, context) => {
    const fault = sweepFault(sweepSchedule, sweepAlarmHours);
    if (fault) context.addIssue({ code: 'custom', path: [fault.of], message: fault.message });
  });
export type Configuration = z.infer<typeof configurationSchema>;

/** @throws {Error} whose message names every fault, one a line */
export function checkConfiguration(values: unknown, file: string): Configuration {
  const checked = configurationSchema.safeParse(values);
  if (checked.success) return checked.data;
  const faults = checked.error.issues.map((issue) => {
    // What is wrong with a key stands within.
    const message = issue.code === 'invalid_key' ? issue.issues[0]?.message : issue.message;
    return `  ${issue.path.join('.') || '(the file)'}: ${message}`;
  });
  throw new Error(`${file} does not fit:\n${faults.join('\n')}`);
}

/** @param file from the working directory; what ENVOY_HPA_REAPER_CONFIGURATION names, or else infra/configuration.yml */
export function readConfiguration(
  file = process.env.ENVOY_HPA_REAPER_CONFIGURATION || 'infra/configuration.yml',
): Configuration {
  const text = readFileSync(file, 'utf8');
  let values: unknown;
  try {
    values = parse(text);
  } catch (error) {
    throw new Error(`${file} is no YAML: ${(error as Error).message}`);
  }
  if (typeof values !== 'object' || values === null) {
    throw new Error(`${file}: expected keys with a value each, as infra/configuration.yml is delivered`);
  }
  return checkConfiguration(values, file);
}
