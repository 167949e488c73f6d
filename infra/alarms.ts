import { FILTER_NAME, STATIC_FILTER_NAME } from '../functions/enrollment/enrollment.ts';
import { METRICS_NAMESPACE, type MetricName } from '../functions/platform/metrics.ts';

/** The alarms of the stack, by logical id: `changes-dead` is `ChangesDead`, and called `envoy-hpa-reaper-changes-dead`. */
export const alarmResources = () =>
  Object.fromEntries(
    Object.entries(ALARMS).map(([name, { description, condition, rule }]) => {
      const actions =
        condition === 'HasNotifications' ? [TOPIC] : [{ 'Fn::If': ['HasNotifications', TOPIC, NO_VALUE] }];
      const alarm = {
        Type: 'AWS::CloudWatch::Alarm',
        Condition: condition,
        Properties: {
          ...{ AlarmName: `envoy-hpa-reaper-${name}`, AlarmDescription: description, ...rule },
          ...{ AlarmActions: actions, OKActions: actions },
        },
      };
      return [name.replaceAll(/(?:^|-)(.)/g, (_, first: string) => first.toUpperCase()), alarm];
    }),
  );

const TOPIC = { Ref: 'NotificationTopic' };
const NO_VALUE = { Ref: 'AWS::NoValue' };

type Condition = 'EnrollsByItself' | 'HasNotifications' | 'SweepsBySchedule';

interface Alarm {
  /** What to do, and its heading in docs/runbook.md. */
  readonly description: string;
  /** Of the template; without one it is always there. */
  readonly condition?: Condition;
  /** Properties of the alarm: what it looks at, and how much of that is wrong. */
  readonly rule: object;
}

const limit = (ComparisonOperator: string, Threshold: number, TreatMissingData = 'notBreaching') => ({
  ...{ ComparisonOperator, Threshold, TreatMissingData },
});
const moreThan = (threshold: number) => limit('GreaterThanThreshold', threshold);
const atLeast = (threshold: number) => limit('GreaterThanOrEqualToThreshold', threshold);
/** Where nothing is measured nothing is wrong, but for what should come. */
const NONE_COMES = limit('LessThanThreshold', 1, 'breaching');

/** @param id of the queue in the template */
const ofQueue = (MetricName: string, id: string) => ({
  ...{ Namespace: 'AWS/SQS', MetricName },
  Dimensions: [{ Name: 'QueueName', Value: { 'Fn::GetAtt': [id, 'QueueName'] } }],
  ...{ Statistic: 'Maximum', Period: 300, EvaluationPeriods: 1 },
});

/** Of one of our own metrics, the sum of each hour. */
const own = (MetricName: MetricName, dimensions: Readonly<Record<string, string>>) => ({
  ...{ Namespace: METRICS_NAMESPACE, MetricName },
  Dimensions: Object.entries(dimensions).map(([Name, Value]) => ({ Name, Value })),
  ...{ Statistic: 'Sum', Period: 3_600 },
});

/** On a queue that is not empty. */
const queueAlarm = (id: string, description: string, condition?: Condition): Alarm => ({
  ...{ description, condition },
  rule: { ...ofQueue('ApproximateNumberOfMessagesVisible', id), ...moreThan(0) },
});

/** On three within 15 minutes: one that fails is tried again, and most often that is all. */
const failingAlarm = (id: string, description: string, condition?: Condition): Alarm => {
  const counted = (Id: string, MetricName: string) => {
    const Metric = { Namespace: 'AWS/Lambda', MetricName, Dimensions: [{ Name: 'FunctionName', Value: { Ref: id } }] };
    return { Id, ReturnData: false, MetricStat: { Metric, Period: 900, Stat: 'Sum' } };
  };
  const sum = { Id: 'failing', Expression: 'FILL(errors, 0) + FILL(throttles, 0)', Label: 'Errors and throttles' };
  const Metrics = [sum, counted('errors', 'Errors'), counted('throttles', 'Throttles')];
  return { description, condition, rule: { Metrics, EvaluationPeriods: 1, ...atLeast(3) } };
};

/**
 * CloudWatch Logs measures each filter by itself, and an alarm takes no SEARCH; a query finds those of every cluster. It knows
 * no OR, and an alarm takes one query: hence an alarm for each name. A cluster may have either filter, whatever the parameter
 * Enrollment says.
 */
const deliveryAlarm = (filterName: string): Alarm => {
  const Expression =
    'SELECT SUM(DeliveryErrors) FROM SCHEMA("AWS/Logs", DestinationType, FilterName, LogGroupName) ' +
    `WHERE FilterName = '${filterName}'`;
  return {
    description:
      `CloudWatch Logs cannot hand audit log lines to forward by filters named ${filterName}. See whether the function and ` +
      'its permission for CloudWatch Logs are there and it is not throttled ' +
      '(docs/runbook.md, "Log lines do not reach forward").',
    rule: {
      Metrics: [{ Id: 'errors', Expression, Period: 300 }],
      ...{ EvaluationPeriods: 3, DatapointsToAlarm: 2, ...moreThan(0) },
    },
  };
};

const ALARMS: Readonly<Record<string, Alarm>> = {
  'changes-dead': queueAlarm(
    'ChangeDeadLetterQueue',
    'Changes were given up after 8 tries in about 50 minutes. Mend what the log of reap says, then redrive the queue ' +
      '(docs/runbook.md, "Changes in the dead-letter queue").',
  ),
  undelivered: queueAlarm(
    'UndeliveredQueue',
    'EventBridge could not deliver changes to the change queue, or outcomes to their log group, for 24 hours. Mend what ' +
      'the messages say, sweep every cluster by hand or save the outcomes, and purge this queue ' +
      '(docs/runbook.md, "Events that EventBridge could not deliver").',
  ),
  unforwarded: queueAlarm(
    'UnforwardedQueue',
    'Audit log lines failed in forward three times. Mend what its log says, sweep the cluster that the messages name, ' +
      'and purge this queue (docs/runbook.md, "Log lines that could not be forwarded").',
  ),
  unswept: queueAlarm(
    'UnsweptQueue',
    'A run of backfill failed three times, or its schedule could not start it. Mend what its log says, have the next ' +
      'run succeed, and purge this queue (docs/runbook.md, "Runs that failed").',
  ),
  unenrolled: queueAlarm(
    'UnenrolledQueue',
    'A run of enroll failed three times, or its schedule could not start it. Mend what its log says, have the next run ' +
      'succeed, and purge this queue (docs/runbook.md, "Enrollments that failed").',
    'EnrollsByItself',
  ),
  'changes-wait': {
    description:
      'A change waits longer than all of its tries take, so nobody takes from the queue. See whether the event source ' +
      'mapping of reap is enabled and reap is not throttled (docs/runbook.md, "Changes that wait too long").',
    rule: {
      ...ofQueue('ApproximateAgeOfOldestMessage', 'ChangeQueue'),
      ...moreThan(2_960), // VisibilityTimeout times maxReceiveCount of the queue, in seconds
    },
  },
  'forward-failing': failingAlarm(
    'ForwardLambdaFunction',
    'Invocations of forward fail or are throttled, so changes do not reach the bus. Its log says why; the payloads are ' +
      'kept in the unforwarded queue (docs/runbook.md, "A function fails").',
  ),
  'reap-failing': failingAlarm(
    'ReapLambdaFunction',
    'Invocations of reap fail or are throttled as a whole. Its log says why; the messages come again and end in the ' +
      'dead-letter queue (docs/runbook.md, "A function fails").',
  ),
  'backfill-failing': failingAlarm(
    'BackfillLambdaFunction',
    'Invocations of backfill fail or are throttled, so clusters are not swept. Its log says why; what failed three ' +
      'times is kept in the unswept queue (docs/runbook.md, "A function fails").',
  ),
  'enroll-failing': failingAlarm(
    'EnrollLambdaFunction',
    'Invocations of enroll fail or are throttled, so new clusters are not enrolled and drift stays. Its log says why; ' +
      'what failed three times is kept in the unenrolled queue (docs/runbook.md, "A function fails").',
    'EnrollsByItself',
  ),
  'log-delivery-failing': deliveryAlarm(FILTER_NAME),
  'static-log-delivery-failing': deliveryAlarm(STATIC_FILTER_NAME),
  // Two hours, so that it stays while each hourly sweep finds the same.
  'held-back': {
    description:
      'More HPAs are stale in one cluster than may go at once, so none goes. Look whether they should, then sweep the ' +
      'cluster by hand with maxDeletions, or put the configuration right (docs/runbook.md, "Deletions are held back").',
    rule: {
      ...own('HpasHeldBack', { service: 'reap', reason: 'BlastRadiusExceeded' }),
      ...{ EvaluationPeriods: 2, DatapointsToAlarm: 1, ...moreThan(0) },
    },
  },
  // Two hours too, for the same reason.
  'hpas-missing': {
    description:
      'HPAs are wanted and not there, so their proxies do not scale, and Envoy Gateway does not notice. Restart Envoy Gateway ' +
      'in the clusters that the log of reap names (docs/runbook.md, "A wanted HPA is missing").',
    rule: {
      ...own('HpasMissing', { service: 'reap' }),
      ...{ EvaluationPeriods: 2, DatapointsToAlarm: 1, ...moreThan(0) },
    },
  },
  // A sweep's message is tried three times within 13 minutes (infra/queue.yml). The period slides, so that it holds all three
  // at some time; half an hour longer than an hour, it always holds three while each hourly sweep finds the same.
  'clusters-unreachable': {
    description:
      'Sweeps had no answer from an API server three times within 90 minutes, in one cluster or in several together. Let ' +
      'reap reach the endpoints that its log tells of, or tag those clusters envoy-hpa-reaper=off ' +
      '(docs/runbook.md, "A cluster is unreachable").',
    rule: {
      ...own('ClustersUnreachable', { service: 'reap' }),
      ...{ Period: 5_400, EvaluationPeriods: 1, ...atLeast(3) },
    },
  },
  'no-sweep': {
    description:
      'No sweep has got through to all clusters for two periods of the schedule. See whether the schedule is enabled, and ' +
      'what the log of backfill says of clusters that failed or remained, which ClustersFailed and ClustersRemaining ' +
      'count (docs/runbook.md, "No sweep").',
    condition: 'SweepsBySchedule',
    rule: {
      ...own('SweepsCompleted', { service: 'backfill' }),
      ...{ EvaluationPeriods: { Ref: 'SweepAlarmHours' }, ...NONE_COMES },
    },
  },
  // Two of them, since one comes a moment sooner or later than an hour after the other.
  'heartbeat-missing': {
    description:
      'The hourly heartbeat has not come through bus, rule, queue and reap twice, so no event does. Find the link that ' +
      'holds it up, in this order (docs/runbook.md, "The heartbeat is missing").',
    rule: { ...own('Heartbeats', { service: 'reap' }), EvaluationPeriods: 2, ...NONE_COMES },
  },
};
