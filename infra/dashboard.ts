import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { FILTER_NAME, STATIC_FILTER_NAME } from '../functions/enrollment/findings.ts';
import { type METRICS, METRICS_NAMESPACE } from '../functions/platform/metrics.ts';

type MetricName = keyof typeof METRICS;

const FUNCTIONS = ['forward', 'reap', 'backfill', 'enroll'];
const SIDE_QUEUES = ['changes-dead', 'undelivered', 'unforwarded', 'unswept', 'unenrolled'];

const FIRST = `## What to check first
1. **Heartbeats**: one per hour means that events pass through the bus, the rule, the queue, and reap.
2. **Waiting changes** and **failed events**: all but the change queue should be empty, and its oldest message minutes old.
3. **Held back**, **missing HPAs**, and **clusters that could not be swept** wait for a person.

docs/runbook.md explains each alarm, and how to stop everything at once.`;

type Metric = (string | { stat?: string; label?: string })[];
type Search = [{ expression: string }];
type Graph = [title: string, metrics: (Metric | Search)[], period?: number];

/** Metrics of one function. */
const own = (service: string, ...names: MetricName[]): Metric[] =>
  names.map((name) => [METRICS_NAMESPACE, name, 'service', service, { stat: 'Sum', label: `${name}, ${service}` }]);

/** Statistics of one metric of `reap`. */
const statistics = (name: MetricName, ...stats: string[]): Metric[] =>
  stats.map((stat) => [METRICS_NAMESPACE, name, 'service', 'reap', { stat, label: stat }]);

const search = (dimensions: string, filter: string): Search => [
  { expression: `SEARCH('{${dimensions}} ${filter}', 'Sum', 3600)` },
];

/** A metric of all functions that is split by reason. */
const byReason = (name: MetricName) => search(`${METRICS_NAMESPACE},reason,service`, `MetricName="${name}"`);

const ofFunctions = (name: string): Metric[] =>
  FUNCTIONS.map((one) => ['AWS/Lambda', name, 'FunctionName', `envoy-hpa-reaper-${one}`, { stat: 'Sum' }]);

const ofQueues = (name: string, ...queues: string[]): Metric[] =>
  queues.map((queue) => ['AWS/SQS', name, 'QueueName', `envoy-hpa-reaper-${queue}`, { stat: 'Maximum' }]);

const logDelivery = (name: string) =>
  search(
    'AWS/Logs,DestinationType,FilterName,LogGroupName',
    `MetricName="${name}" FilterName=("${FILTER_NAME}" OR "${STATIC_FILTER_NAME}")`,
  );

const GRAPHS: Graph[] = [
  ['Heartbeats', own('reap', 'Heartbeats')],
  ['Sweeps of all clusters', own('backfill', 'SweepsCompleted', 'ClustersFailed', 'ClustersRemaining')],
  ['Held back, by guard', [byReason('HpasHeldBack')]],
  [
    'HPAs found, deleted, reported',
    ['reap', 'backfill'].flatMap((name) => own(name, 'HpasFound', 'HpasDeleted', 'HpasReported')),
  ],
  ['HPAs kept, by reason', [byReason('HpasKept')]],
  ['Missing HPAs', [...own('reap', 'HpasMissing'), ...own('backfill', 'HpasMissing')]],
  ['Seconds from the change to the deletion', statistics('SecondsToDeletion', 'p50', 'p90', 'Maximum')],
  [
    'Clusters that could not be swept',
    [...own('reap', 'ClustersUnreachable', 'SweepsFailed'), byReason('ClustersSkipped')],
  ],
  [
    'Stale HPAs that were not deleted',
    own('reap', 'HpasConflict', 'HpasFailed', 'HpasMarkRefused', 'HpasDeleteRefused'),
  ],
  ['API requests of a sweep', statistics('RequestsPerSweep', 'Average', 'Maximum')],
  ['Waiting changes', ofQueues('ApproximateNumberOfMessagesVisible', 'changes'), 300],
  ['Age of the oldest change, in seconds', ofQueues('ApproximateAgeOfOldestMessage', 'changes'), 300],
  ['Failed events', ofQueues('ApproximateNumberOfMessagesVisible', ...SIDE_QUEUES), 300],
  ['Errors', ofFunctions('Errors'), 300],
  ['Throttles', ofFunctions('Throttles'), 300],
  ['Audit log lines', own('forward', 'LinesReceived', 'LinesKept', 'LinesUnreadable')],
  ['Sweeps, and malformed messages', own('reap', 'Sweeps', 'MessagesMalformed')],
  ['Delivery of log lines to forward', ['DeliveryErrors', 'DeliveryThrottling'].map(logDelivery)],
  [
    'Enrollment',
    own('enroll', 'ClustersEnrolled', 'EnrollmentChanges', 'EnrollmentProblems', 'EnrollmentClustersLeft'),
  ],
  [
    'Lost outcomes and failed events',
    [
      ...own('reap', 'OutcomesNotPut'),
      ...own('backfill', 'OutcomesNotPut'),
      ...ofFunctions('DestinationDeliveryFailures'),
    ],
  ],
];

// biome-ignore lint/suspicious/noTemplateCurlyInString: Fn::Sub of CloudFormation replaces it
const region = '${AWS::Region}';

/** The body of the dashboard, as JSON for `Fn::Sub` of CloudFormation. */
export function dashboardBody(): string {
  const first = { type: 'text', x: 0, y: 0, width: 24, height: 4, properties: { markdown: FIRST } };
  const { Resources } = parse(readFileSync('infra/queries.yml', 'utf8'), { logLevel: 'silent' });
  const tables = [Resources.DeletedHpasQuery, Resources.HeldBackHpasQuery].map(({ Properties }, index) => ({
    ...{ type: 'log', x: 12 * index, y: 4, width: 12, height: 6 },
    properties: {
      title: Properties.Name.split('/')[1],
      view: 'table',
      region,
      query: `SOURCE '/aws/events/envoy-hpa-reaper-outcomes' | ${Properties.QueryString}`,
    },
  }));
  const graphs = GRAPHS.map(([title, metrics, period = 3_600], index) => ({
    ...{ type: 'metric', x: 8 * (index % 3), y: 10 + 6 * Math.floor(index / 3), width: 8, height: 6 },
    properties: { title, metrics, period, view: 'timeSeries', region },
  }));
  return JSON.stringify({ widgets: [first, ...tables, ...graphs] });
}
