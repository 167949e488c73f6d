import { FILTER_NAME, STATIC_FILTER_NAME } from '../functions/enrollment/enrollment.ts';
import { METRICS_NAMESPACE, type MetricName } from '../functions/platform/metrics.ts';

/** The functions and the queues of the stack, by the ends of their names. */
const FUNCTIONS = ['forward', 'reap', 'backfill', 'enroll'];
const SIDE_QUEUES = ['changes-dead', 'undelivered', 'unforwarded', 'unswept', 'unenrolled'];

const FIRST = `## What to look at first
1. **Heartbeats**: one an hour means that events come through bus, rule, queue and reap.
2. **What waits and what failed**: all but the change queue should be empty, and its oldest message minutes old.
3. **Held back**, **wanted and missing** and **clusters that could not be looked at**: these wait for a person.

What each alarm means and what to do: docs/runbook.md. To stop everything at once: its first page.`;

type Metric = (string | { stat?: string; label?: string; period?: number })[];

/** One of our own metrics, of one function. */
const own = (service: string, name: MetricName, options: { stat?: string; label?: string } = {}): Metric => [
  ...[METRICS_NAMESPACE, name, 'service', service],
  { stat: 'Sum', ...options },
];

/** One of our own metrics that no function measures. */

/** One of our own metrics that tells reasons apart, of all functions. */
const byReason = (name: MetricName) => [
  { expression: `SEARCH('{${METRICS_NAMESPACE},reason,service} MetricName="${name}"', 'Sum', 3600)` },
];

const ofFunctions = (name: string): Metric[] =>
  FUNCTIONS.map((one) => ['AWS/Lambda', name, 'FunctionName', `envoy-hpa-reaper-${one}`, { stat: 'Sum' }]);

const ofQueue = (name: string, queue: string): Metric => [
  ...['AWS/SQS', name, 'QueueName', `envoy-hpa-reaper-${queue}`],
  { stat: 'Maximum' },
];

const LOG_DELIVERY = ['DeliveryErrors', 'DeliveryThrottling'].map((name) => [
  {
    expression: `SEARCH('{AWS/Logs,DestinationType,FilterName,LogGroupName} MetricName="${name}" FilterName=("${FILTER_NAME}" OR "${STATIC_FILTER_NAME}")', 'Sum', 3600)`,
  },
]);

const HOUR = 3_600;

/**
 * The dashboard, as JSON for CloudFormation's `Fn::Sub`: three widgets a row, of the Region of the stack.
 */
export function dashboardBody(): string {
  const graphs: [title: string, metrics: unknown[], period?: number][] = [
    ['Heartbeats that came through', [own('reap', 'Heartbeats')]],
    [
      'Sweeps of all clusters',
      (['SweepsCompleted', 'ClustersFailed', 'ClustersRemaining'] as const).map((name) => own('backfill', name)),
    ],
    ['Held back, by guard', [byReason('HpasHeldBack')]],
    [
      'HPAs found, deleted, reported',
      [
        ...(['HpasFound', 'HpasDeleted', 'HpasReported'] as const).flatMap((name) => [
          own('reap', name, { label: `${name}, reap` }),
          own('backfill', name, { label: `${name}, backfill` }),
        ]),
      ],
    ],
    ['HPAs kept, by reason', [byReason('HpasKept')]],
    ['Wanted and missing', ['reap', 'backfill'].map((service) => own(service, 'HpasMissing', { label: service }))],
    [
      'From the change to the deletion, in seconds',
      ['p50', 'p90', 'Maximum'].map((stat) => own('reap', 'SecondsToDeletion', { stat, label: stat })),
    ],
    [
      'Clusters that could not be looked at',
      [
        own('reap', 'ClustersUnreachable', { label: 'unreachable' }),
        own('reap', 'SweepsFailed', { label: 'passes failed' }),
        ...[byReason('ClustersSkipped')],
      ],
    ],
    [
      'Stale, and not deleted',
      (['HpasConflict', 'HpasFailed', 'HpasMarkRefused', 'HpasDeleteRefused'] as const).map((name) =>
        own('reap', name, { label: name }),
      ),
    ],
    [
      'Requests of a pass to its API server',
      [own('reap', 'RequestsPerPass', { stat: 'Average' }), own('reap', 'RequestsPerPass', { stat: 'Maximum' })],
    ],
    ['What waits for reap', [ofQueue('ApproximateNumberOfMessagesVisible', 'changes')], 300],
    ['The oldest of it, in seconds', [ofQueue('ApproximateAgeOfOldestMessage', 'changes')], 300],
    ['What failed', SIDE_QUEUES.map((queue) => ofQueue('ApproximateNumberOfMessagesVisible', queue)), 300],
    ['Errors', ofFunctions('Errors'), 300],
    ['Throttles', ofFunctions('Throttles'), 300],
    [
      'Lines that came, counted, and could not be read',
      [own('forward', 'LinesReceived'), own('forward', 'LinesKept'), own('forward', 'LinesUnreadable')],
    ],
    ['Sweeps, and malformed messages', [own('reap', 'Sweeps'), own('reap', 'MessagesMalformed')]],
    ['Delivery of log lines to forward', LOG_DELIVERY],
    [
      'Enrollment',
      (['ClustersEnrolled', 'EnrollmentChanges', 'EnrollmentProblems', 'EnrollmentClustersLeft'] as const).map((name) =>
        own('enroll', name, { label: name }),
      ),
    ],
    ['Outcomes that did not get to the bus', [own('reap', 'OutcomesNotPut'), own('backfill', 'OutcomesNotPut')]],
  ];
  const widgets = graphs.map(([title, metrics, period = HOUR], index) => ({
    ...{ type: 'metric', x: 8 * (index % 3), y: 4 + 6 * Math.floor(index / 3), width: 8, height: 6 },
    // biome-ignore lint/suspicious/noTemplateCurlyInString: CloudFormation's Fn::Sub fills it in
    properties: { title, metrics, period, view: 'timeSeries', region: '${AWS::Region}' },
  }));
  const first = { type: 'text', x: 0, y: 0, width: 24, height: 4, properties: { markdown: FIRST } };
  return JSON.stringify({ widgets: [first, ...widgets] });
}
