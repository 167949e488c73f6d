import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import * as z from 'zod';
import { NAMESPACE_PATTERN } from '../functions/domain/kubernetes-objects.ts';

const wholeNumber = (least: number, most: number) =>
  z.int(`expected a whole number from ${least} to ${most}`).min(least).max(most);

/** The retentions that CloudWatch Logs knows, in days. */
export const RETENTION_DAYS = [
  1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
];

export const SCHEDULE_PATTERN = /^(off|rate\([1-9]\d* (minute|hour|day)s?\)|cron\(\S+( \S+){5}\))$/;

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

/** Of a `cron(…)` that is not known. */
function hoursBetween(sweepSchedule: string): number {
  const [, count, unit] = /^rate\((\d+) (minute|hour|day)/.exec(sweepSchedule) ?? [];
  return unit === undefined
    ? 0
    : Number(count) * { minute: 1 / 60, hour: 1, day: 24 }[unit as 'minute' | 'hour' | 'day'];
}

/** What `infra/configuration.yml` may say; what each value means stands there. */
export const configurationSchema = z
  .strictObject({
    enrolment: z.enum(['auto', 'off']),
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
    logRetentionDays: z.literal(RETENTION_DAYS),
    outcomeRetentionDays: z.literal(RETENTION_DAYS),
    notifyEmail: z.string(EMAIL_EXPECTED).regex(EMAIL_PATTERN, EMAIL_EXPECTED),
    tracing: z.enum(['active', 'off']),
    // The manifest of what is deleted is logged at INFO: without it nothing can be undone.
    logLevel: z.enum(['DEBUG', 'INFO']),
  })
  .refine(
    ({ sweepSchedule, sweepAlarmHours }) =>
      sweepAlarmHours >= Math.min(2 * hoursBetween(sweepSchedule), MOST_ALARM_HOURS),
    { path: ['sweepAlarmHours'], message: 'less than two periods of sweepSchedule' },
  );
export type Configuration = z.infer<typeof configurationSchema>;

/** @throws {Error} whose message names every fault, one a line */
export function checkConfiguration(values: unknown, file: string): Configuration {
  const checked = configurationSchema.safeParse(values);
  if (checked.success) return checked.data;
  const faults = checked.error.issues.map(({ path, message }) => `  ${path.join('.') || '(the file)'}: ${message}`);
  throw new Error(`${file} does not fit:\n${faults.join('\n')}`);
}

/** @param file from the working directory; what ENVOY_HPA_REAPER_CONFIGURATION names, or else infra/configuration.yml */
export function readConfiguration(
  file = process.env.ENVOY_HPA_REAPER_CONFIGURATION || 'infra/configuration.yml',
): Configuration {
  return checkConfiguration(parse(readFileSync(file, 'utf8')), file);
}
