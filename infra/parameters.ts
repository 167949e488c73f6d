import {
  type Configuration,
  EMAIL_EXPECTED,
  EMAIL_PATTERN,
  MOST_ALARM_HOURS,
  RETENTION_DAYS,
  SCHEDULE_PATTERN,
} from './configuration.ts';

/**
 * The template's parameters: what often differs between accounts, so that one packaging serves them all. The configuration
 * gives the defaults.
 */
export const stackParameters = (configuration: Configuration) => ({
  Mode: {
    Type: 'String',
    Description: 'report writes nothing to a cluster, delete deletes what is stale',
    AllowedValues: ['report', 'delete'],
    Default: configuration.mode,
  },
  MaxDeletions: {
    Type: 'Number',
    Description: 'More deletions than this in one cluster are held back as a whole',
    ...LIMIT,
    Default: configuration.maxDeletions,
  },
  MaxDeletionsPerRun: {
    Type: 'Number',
    Description: 'The same for a whole run of backfill over several clusters',
    ...LIMIT,
    Default: configuration.maxDeletionsPerRun,
  },
  Enrolment: {
    Type: 'String',
    Description: 'auto sees to subscription filters and access entries of the clusters by itself, off may not',
    AllowedValues: ['auto', 'off'],
    Default: configuration.enrolment,
  },
  SweepScheduleExpression: {
    Type: 'String',
    Description: 'When every cluster is swept: rate(...) or cron(...) in UTC, or off',
    AllowedPattern: SCHEDULE_PATTERN.source,
    ConstraintDescription: 'off, or as EventBridge Scheduler takes it: rate(1 hour), cron(0 6 * * ? *)',
    Default: configuration.sweepSchedule,
  },
  SweepAlarmHours: {
    Type: 'Number',
    Description: 'So many hours without a completed sweep of all clusters are an alarm: two periods of the schedule',
    MinValue: 1,
    MaxValue: MOST_ALARM_HOURS,
    Default: configuration.sweepAlarmHours,
  },
  NotifyEmail: {
    Type: 'String',
    Description: 'The e-mail address that alarms and the digest of each day go to, or off',
    AllowedPattern: EMAIL_PATTERN.source,
    ConstraintDescription: EMAIL_EXPECTED,
    Default: configuration.notifyEmail,
  },
  Tracing: {
    Type: 'String',
    Description: 'active has X-Ray record every invocation',
    AllowedValues: ['active', 'off'],
    Default: configuration.tracing,
  },
  OutcomeRetentionDays: {
    Type: 'Number',
    Description: 'How many days the outcomes are kept: what was deleted, reported and held back, and why',
    AllowedValues: RETENTION_DAYS,
    Default: configuration.outcomeRetentionDays,
  },
});

const LIMIT = { MinValue: 0, MaxValue: 10_000 };
