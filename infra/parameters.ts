import {
  type Configuration,
  EMAIL_EXPECTED,
  EMAIL_PATTERN,
  KMS_KEY_EXPECTED,
  KMS_KEY_PATTERN,
  MOST_ALARM_HOURS,
  MOST_SECURITY_GROUPS,
  MOST_SUBNETS,
  POLICY_EXPECTED,
  POLICY_PATTERN,
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
  Enrollment: {
    Type: 'String',
    Description: 'auto sees to subscription filters and access entries of the clusters by itself, off may not',
    AllowedValues: ['auto', 'off'],
    Default: configuration.enrollment,
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
    Description: 'The e-mail address that alarms go to, or off',
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
  LogRetentionDays: {
    Type: 'Number',
    Description: 'How many days the logs of the functions are kept',
    AllowedValues: RETENTION_DAYS,
    Default: configuration.logRetentionDays,
  },
  OutcomeRetentionDays: {
    Type: 'Number',
    Description: 'How many days the outcomes are kept: what was deleted, reported and held back, and why',
    AllowedValues: RETENTION_DAYS,
    Default: configuration.outcomeRetentionDays,
  },
  KmsKeyArn: {
    Type: 'String',
    Description:
      'The KMS key of queues, log groups, environment variables and topic, or off; see docs/kms-key.md first',
    AllowedPattern: KMS_KEY_PATTERN.source,
    ConstraintDescription: KMS_KEY_EXPECTED,
    Default: configuration.kmsKeyArn,
  },
  SubnetIds: {
    Type: 'String',
    Description: 'The subnets of reap and backfill, by id, with commas between them, or off',
    ...idsOf('subnet', MOST_SUBNETS),
    Default: listOrOff(configuration.subnetIds),
  },
  SecurityGroupIds: {
    Type: 'String',
    Description: 'Their security groups, likewise; both or neither',
    ...idsOf('sg', MOST_SECURITY_GROUPS),
    Default: listOrOff(configuration.securityGroupIds),
  },
  PermissionsBoundary: {
    Type: 'String',
    Description: 'The policy that is the permissions boundary of every role, by its ARN, or off',
    AllowedPattern: POLICY_PATTERN.source,
    ConstraintDescription: POLICY_EXPECTED,
    Default: configuration.permissionsBoundary,
  },
});

const idsOf = (prefix: string, most: number) => ({
  AllowedPattern: `^(off|${prefix}-[0-9a-f]{8,17}(,${prefix}-[0-9a-f]{8,17}){0,${most - 1}})$`,
  ConstraintDescription: `expected ${most} ids at most, such as ${prefix}-0a1b2c3d4e5f, with commas between them, or off`,
});

const listOrOff = (ids: readonly string[]) => ids.join(',') || 'off';

const LIMIT = { MinValue: 0, MaxValue: 10_000 };
