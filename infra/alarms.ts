import { FILTER_NAME, STATIC_FILTER_NAME } from '../functions/enrollment/enrollment.ts';
import { METRICS_NAMESPACE, type MetricName } from '../functions/platform/metrics.ts';

type Condition = 'EnrollsByItself' | 'SweepsBySchedule';

interface Alarm {
  /** A sentence about what is wrong. */
  readonly problem: string;
  /** The heading in docs/runbook.md. */
  readonly runbook: string;
  /** The condition of the template under which the alarm exists. */
  readonly condition?: Condition;
  readonly properties: Readonly<Record<string, unknown>>;
}

const limit = (ComparisonOperator: string, Threshold: number, TreatMissingData: string) => ({
  ComparisonOperator,
  Threshold,
  TreatMissingData,
});
const moreThan = (threshold: number) => limit('GreaterThanThreshold', threshold, 'notBreaching');
const atLeast = (threshold: number) => limit('GreaterThanOrEqualToThreshold', threshold, 'notBreaching');
const NONE = limit('LessThanThreshold', 1, 'breaching');

/** The maximum of a metric of a queue within five minutes. */
const ofQueue = (MetricName: string, id: string) => ({
  Namespace: 'AWS/SQS',
  MetricName,
  Dimensions: [{ Name: 'QueueName', Value: { 'Fn::GetAtt': [id, 'QueueName'] } }],
  Statistic: 'Maximum',
  Period: 300,
  EvaluationPeriods: 1,
});

/** The hourly sum of one of our own metrics. */
export const ownMetric = (MetricName: MetricName, dimensions: Readonly<Record<string, string>>) => ({
  Namespace: METRICS_NAMESPACE,
  MetricName,
  Dimensions: Object.entries(dimensions).map(([Name, Value]) => ({ Name, Value })),
  Statistic: 'Sum',
  Period: 3_600,
});

/** Goes off while a queue of failed events is not empty. */
const queueAlarm = (id: string, runbook: string, problem: string, condition?: Condition): Alarm => ({
  problem,
  runbook,
  condition,
  properties: { ...ofQueue('ApproximateNumberOfMessagesVisible', id), ...moreThan(0) },
});

/** Goes off at three failed or throttled invocations within 15 minutes; a single one is retried. */
function failingAlarm(name: string, effect: string, condition?: Condition): Alarm {
  const counted = (Id: string, MetricName: string) => {
    const Dimensions = [{ Name: 'FunctionName', Value: { Ref: `${name}LambdaFunction` } }];
    const Metric = { Namespace: 'AWS/Lambda', MetricName, Dimensions };
    return { Id, ReturnData: false, MetricStat: { Metric, Period: 900, Stat: 'Sum' } };
  };
  const sum = { Id: 'failing', Expression: 'FILL(errors, 0) + FILL(throttles, 0)', Label: 'Errors and throttles' };
  const Metrics = [sum, counted('errors', 'Errors'), counted('throttles', 'Throttles')];
  return {
    problem: `Invocations of ${name.toLowerCase()} fail or are throttled, so ${effect}`,
    runbook: 'A function fails',
    condition,
    properties: { Metrics, EvaluationPeriods: 1, ...atLeast(3) },
  };
}

/**
 * CloudWatch Logs publishes a metric for each filter, and an alarm allows no SEARCH. A query covers the filters of all clusters, but
 * has no OR: hence an alarm for each name. A cluster can have either filter, whatever the parameter Enrollment is.
 */
const deliveryAlarm = (filterName: string): Alarm => ({
  problem: `CloudWatch Logs cannot deliver audit log lines to forward through filters named ${filterName}`,
  runbook: 'Log lines do not reach forward',
  properties: {
    Metrics: [
      {
        Id: 'errors',
        Expression:
          'SELECT SUM(DeliveryErrors) FROM SCHEMA("AWS/Logs", DestinationType, FilterName, LogGroupName) ' +
          `WHERE FilterName = '${filterName}'`,
        Period: 300,
      },
    ],
    EvaluationPeriods: 3,
    DatapointsToAlarm: 2,
    ...moreThan(0),
  },
});

/** Over two hours, so that it stays on while every hourly sweep finds the same. */
const TWO_HOURS = { EvaluationPeriods: 2, DatapointsToAlarm: 1, ...moreThan(0) };

const ALARMS: Readonly<Record<string, Alarm>> = {
  'changes-dead': queueAlarm(
    'ChangeDeadLetterQueue',
    'Changes in the dead-letter queue',
    'Changes failed 8 times within about 50 minutes',
  ),
  undelivered: queueAlarm(
    'UndeliveredQueue',
    'Events that EventBridge could not deliver',
    'EventBridge could not deliver changes to their queue, or outcomes to their log group, for 24 hours',
  ),
  unforwarded: queueAlarm(
    'UnforwardedQueue',
    'Log lines that could not be forwarded',
    'Audit log lines failed in forward three times',
  ),
  unswept: queueAlarm(
    'UnsweptQueue',
    'Runs that failed',
    'A run of backfill failed three times, or its schedule could not start it',
  ),
  unenrolled: queueAlarm(
    'UnenrolledQueue',
    'Enrollments that failed',
    'A run of enroll failed three times, or its schedule could not start it',
    'EnrollsByItself',
  ),
  'changes-wait': {
    problem: 'A change waits longer than all of its retries take, so nothing reads the queue',
    runbook: 'Changes that wait too long',
    // VisibilityTimeout times maxReceiveCount of the queue, in seconds.
    properties: { ...ofQueue('ApproximateAgeOfOldestMessage', 'ChangeQueue'), ...moreThan(2_960) },
  },
  'forward-failing': failingAlarm('Forward', 'changes do not reach the bus'),
  'reap-failing': failingAlarm('Reap', 'messages are received again and end in the dead-letter queue'),
  'backfill-failing': failingAlarm('Backfill', 'clusters are not swept'),
  'enroll-failing': failingAlarm('Enroll', 'new clusters are not enrolled and drift stays', 'EnrollsByItself'),
  'log-delivery-failing': deliveryAlarm(FILTER_NAME),
  'static-log-delivery-failing': deliveryAlarm(STATIC_FILTER_NAME),
  'held-back': {
    problem: 'More HPAs are stale in a cluster than may be deleted at once, so none is deleted',
    runbook: 'Deletions are held back',
    properties: { ...ownMetric('HpasHeldBack', { service: 'reap', reason: 'BlastRadiusExceeded' }), ...TWO_HOURS },
  },
  'hpas-missing': {
    problem: 'Wanted HPAs are missing, so their proxies do not scale, and Envoy Gateway does not notice',
    runbook: 'A wanted HPA is missing',
    properties: { ...ownMetric('HpasMissing', { service: 'reap' }), ...TWO_HOURS },
  },
  // A requested sweep is received three times within 13 minutes (infra/queue.yml). The period slides; with half an hour more than
  // the hour between two sweeps it always contains three receives while every hourly sweep fails.
  'clusters-unreachable': {
    problem: 'API servers did not answer sweeps three times within 90 minutes, in one cluster or in several together',
    runbook: 'A cluster is unreachable',
    properties: {
      ...ownMetric('ClustersUnreachable', { service: 'reap' }),
      Period: 5_400,
      EvaluationPeriods: 1,
      ...atLeast(3),
    },
  },
  'no-sweep': {
    problem: 'No sweep of all clusters was completed within two periods of the schedule',
    runbook: 'No sweep',
    condition: 'SweepsBySchedule',
    properties: {
      ...ownMetric('SweepsCompleted', { service: 'backfill' }),
      EvaluationPeriods: { Ref: 'SweepAlarmHours' },
      ...NONE,
    },
  },
  // Twice, since a heartbeat comes a moment sooner or later than an hour after the last.
  'heartbeat-missing': {
    problem: 'Two hourly heartbeats did not pass through bus, rule, queue, and reap, so no event does',
    runbook: 'The heartbeat is missing',
    properties: { ...ownMetric('Heartbeats', { service: 'reap' }), EvaluationPeriods: 2, ...NONE },
  },
};

const ACTIONS = [{ 'Fn::If': ['HasNotifications', { Ref: 'NotificationTopic' }, { Ref: 'AWS::NoValue' }] }];
const logicalId = (name: string) => name.replaceAll(/(?:^|-)(.)/g, (_, first: string) => first.toUpperCase());

/** The alarms of the stack, by logical ID: `ChangesDead` has the name `envoy-hpa-reaper-changes-dead`. */
export const alarmResources = () =>
  Object.fromEntries(
    Object.entries(ALARMS).map(([name, { problem, runbook, condition, properties }]) => [
      logicalId(name),
      {
        Type: 'AWS::CloudWatch::Alarm',
        Condition: condition,
        Properties: {
          AlarmName: `envoy-hpa-reaper-${name}`,
          AlarmDescription: `${problem}. What to do: docs/runbook.md, "${runbook}".`,
          ...properties,
          AlarmActions: ACTIONS,
          OKActions: ACTIONS,
        },
      },
    ]),
  );
