import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { FILTER_NAME, STATIC_FILTER_NAME } from '../../../functions/enrollment/enrollment.ts';
import { METRICS, METRICS_NAMESPACE } from '../../../functions/platform/metrics.ts';
import { type PackagedResource, packagedStack } from '../../builders/packaged-stack.ts';

const runbook = readFileSync('docs/runbook.md', 'utf8');

const stack = packagedStack({ clusters: ['shop'] });
const { of, properties } = stack;

interface Looked {
  Stat?: string;
  Statistic?: string;
  Period?: number;
}

/** Statistic, period, periods, how many of them, operator, threshold, and what nothing measured means. */
function limitsOf(alarm: PackagedResource['Properties']) {
  const { EvaluationPeriods, DatapointsToAlarm, ComparisonOperator, Threshold, TreatMissingData } = alarm;
  const looked: Looked[] = (alarm.Metrics ?? []).map((metric: { MetricStat?: Looked }) => metric.MetricStat ?? metric);
  const only = <Value>(values: (Value | undefined)[]) => {
    const [one, ...others] = new Set(values.filter((value) => value !== undefined));
    expect(others).toEqual([]);
    return one;
  };
  const statistic = only([alarm.Statistic, ...looked.map(({ Stat }) => Stat)]);
  const period = only([alarm.Period, ...looked.map(({ Period }) => Period)]);
  return [
    ...[statistic, period, EvaluationPeriods, DatapointsToAlarm],
    ...[ComparisonOperator, Threshold, TreatMissingData],
  ];
}

const alarms = () => of('AWS::CloudWatch::Alarm').map(([id, { Properties }]) => [id, Properties] as const);

describe('every alarm', () => {
  it('says what to do in two sentences, and names a heading of the runbook', () => {
    for (const [id, { AlarmDescription }] of alarms()) {
      const [, heading] = /^[^.]+\. [^.]+ \(docs\/runbook\.md, "([^"]+)"\)\.$/.exec(AlarmDescription) ?? [];
      expect(heading, `${id}: ${AlarmDescription}`).toBeDefined();
      expect(runbook).toContain(`\n## ${heading}\n`);
      expect(AlarmDescription.length).toBeLessThanOrEqual(1024);
    }
  });

  it('is in the section that it names, and every section but the first two has one', () => {
    const [, , , ...sections] = runbook.split(/^## /m);
    const told = sections.map((section) => {
      const [heading, , text = ''] = section.split('\n');
      const [, names = ''] = /^\*([a-z, -]+)\.\*/.exec(text) ?? [];
      return [heading, names.split(', ').toSorted()];
    });
    const named = Map.groupBy(alarms(), ([, { AlarmDescription }]) => /"([^"]+)"/.exec(AlarmDescription)?.[1] ?? '');
    expect(Object.fromEntries(told)).toEqual(
      Object.fromEntries(
        [...named].map(([heading, those]) => [
          heading,
          those.map(([, { AlarmName }]) => AlarmName.replace('envoy-hpa-reaper-', '')).toSorted(),
        ]),
      ),
    );
  });

  it('tells when it begins and when it ends, if there is somebody to tell', () => {
    const notify = [{ 'Fn::If': ['HasNotifications', { Ref: 'NotificationTopic' }, { Ref: 'AWS::NoValue' }] }];
    for (const [id, { AlarmActions, OKActions }] of alarms()) {
      const isThereWithThem = stack.Resources[id]?.Condition === 'HasNotifications';
      const actions = isThereWithThem ? [{ Ref: 'NotificationTopic' }] : notify;
      expect([id, AlarmActions, OKActions]).toEqual([id, actions, actions]);
    }
  });

  it('goes off at this, and at nothing else', () => {
    const more = (than: number) => ['GreaterThanThreshold', than, 'notBreaching'];
    const three = ['GreaterThanOrEqualToThreshold', 3, 'notBreaching'];
    // Where something should come.
    const none = ['LessThanThreshold', 1, 'breaching'];
    const notEmpty = ['Maximum', 300, 1, undefined, ...more(0)];
    const failing = ['Sum', 900, 1, undefined, ...three];
    const notDelivered = [undefined, 300, 3, 2, ...more(0)];
    expect(Object.fromEntries(alarms().map(([, alarm]) => [alarm.AlarmName, limitsOf(alarm)]))).toEqual({
      'envoy-hpa-reaper-changes-dead': notEmpty,
      'envoy-hpa-reaper-undelivered': notEmpty,
      'envoy-hpa-reaper-unforwarded': notEmpty,
      'envoy-hpa-reaper-unswept': notEmpty,
      'envoy-hpa-reaper-unenrolled': notEmpty,
      'envoy-hpa-reaper-changes-wait': ['Maximum', 300, 1, undefined, ...more(2_960)],
      'envoy-hpa-reaper-forward-failing': failing,
      'envoy-hpa-reaper-reap-failing': failing,
      'envoy-hpa-reaper-backfill-failing': failing,
      'envoy-hpa-reaper-enroll-failing': failing,
      'envoy-hpa-reaper-log-delivery-failing': notDelivered,
      'envoy-hpa-reaper-static-log-delivery-failing': notDelivered,
      'envoy-hpa-reaper-held-back': ['Sum', 3_600, 2, 1, ...more(0)],
      'envoy-hpa-reaper-hpas-missing': ['Sum', 3_600, 2, 1, ...more(0)],
      'envoy-hpa-reaper-clusters-unreachable': ['Sum', 5_400, 1, undefined, ...three],
      'envoy-hpa-reaper-no-sweep': ['Sum', 3_600, { Ref: 'SweepAlarmHours' }, undefined, ...none],
      'envoy-hpa-reaper-heartbeat-missing': ['Sum', 3_600, 2, undefined, ...none],
    });
  });

  it('looks back no further than CloudWatch allows', () => {
    for (const [id, { Period, EvaluationPeriods }] of alarms()) {
      if (Period !== undefined && typeof EvaluationPeriods === 'number') {
        expect(Period * EvaluationPeriods, id).toBeLessThanOrEqual((Period < 3_600 ? 1 : 7) * 86_400);
      }
    }
  });
});

it('is there where what it watches is there', () => {
  for (const [id, { Condition, Properties }] of of('AWS::CloudWatch::Alarm')) {
    const watched = [...JSON.stringify(Properties).matchAll(/"(?:Ref|Fn::GetAtt)":\[?"(\w+)"/g)]
      .map(([, name]) => stack.Resources[name as string])
      .filter((resource) => resource !== undefined && resource.Type !== 'AWS::SNS::Topic');
    if (watched.length > 0) expect([id, Condition]).toEqual([id, watched[0]?.Condition]);
  }
});

describe('there is an alarm', () => {
  it('on every queue of what failed that is not empty, each with a runbook of its own', () => {
    const queues = of('AWS::SQS::Queue').flatMap(([id]) => (id === 'ChangeQueue' ? [] : [id]));
    const watched = alarms().filter(([, { MetricName }]) => MetricName === 'ApproximateNumberOfMessagesVisible');
    expect(watched.map(([, { Dimensions }]) => Dimensions[0].Value['Fn::GetAtt'][0]).toSorted()).toEqual(
      queues.toSorted(),
    );
    for (const [id, alarm] of watched) {
      expect([id, alarm.Namespace, alarm.Dimensions]).toEqual([
        ...[id, 'AWS/SQS'],
        [{ Name: 'QueueName', Value: { 'Fn::GetAtt': [expect.any(String), 'QueueName'] } }],
      ]);
    }
    const headings = watched.map(([, { AlarmDescription }]) => /"([^"]+)"/.exec(AlarmDescription)?.[1]);
    expect(new Set(headings).size).toBe(queues.length);
  });

  it('on what waits longer than all of its tries take', () => {
    const { VisibilityTimeout, RedrivePolicy } = properties('ChangeQueue');
    expect(properties('ChangesWait')).toMatchObject({
      ...{ Namespace: 'AWS/SQS', MetricName: 'ApproximateAgeOfOldestMessage' },
      Dimensions: [{ Name: 'QueueName', Value: { 'Fn::GetAtt': ['ChangeQueue', 'QueueName'] } }],
      Threshold: VisibilityTimeout * RedrivePolicy.maxReceiveCount,
    });
  });

  it('on errors and throttles of every function', () => {
    const expressions = alarms().filter(([, { Metrics }]) => Metrics?.length === 3);
    const watched = expressions.map(([, { Metrics }]) => {
      const [sum, ...those] = Metrics;
      expect(sum.Expression).toBe('FILL(errors, 0) + FILL(throttles, 0)');
      const [errors, throttles] = those.map(({ MetricStat: { Metric } }: { MetricStat: { Metric: object } }) => Metric);
      expect(those.map(({ Id, ReturnData }: { Id: string; ReturnData: boolean }) => [Id, ReturnData])).toEqual([
        ['errors', false],
        ['throttles', false],
      ]);
      expect(errors).toMatchObject({ Namespace: 'AWS/Lambda', MetricName: 'Errors' });
      expect(throttles).toEqual({ ...errors, MetricName: 'Throttles' });
      expect(errors.Dimensions).toEqual([{ Name: 'FunctionName', Value: { Ref: expect.any(String) } }]);
      return errors.Dimensions[0].Value.Ref;
    });
    expect(watched.toSorted()).toEqual(
      of('AWS::Lambda::Function')
        .map(([id]) => id)
        .toSorted(),
    );
  });

  it.each([
    ['that enrollment puts', 'LogDeliveryFailing', FILTER_NAME],
    ['of the stack', 'StaticLogDeliveryFailing', STATIC_FILTER_NAME],
  ])('on the delivery of log lines through the filters %s, whatever Enrollment is', (_, id, filterName) => {
    expect(stack.Resources[id]).not.toHaveProperty('Condition');
    expect(properties(id).Metrics).toEqual([
      {
        Id: 'errors',
        Expression:
          'SELECT SUM(DeliveryErrors) FROM SCHEMA("AWS/Logs", DestinationType, FilterName, LogGroupName) ' +
          `WHERE FilterName = '${filterName}'`,
        Period: 300,
      },
    ]);
  });

  it('on three tries of a sweep, whenever they come, and for as long as each hourly sweep ends so', () => {
    const { VisibilityTimeout } = properties('ChangeQueue');
    // The period slides: were it no longer than an hour, it would end between two hourly sweeps that find the same.
    expect(properties('ClustersUnreachable').Period).toBeGreaterThan(3_600 + 2 * VisibilityTimeout);
  });

  it('on these metrics of ours', () => {
    const ours = alarms().filter(([, { Namespace }]) => Namespace === METRICS_NAMESPACE);
    expect(Object.fromEntries(ours.map(([id, { MetricName, Dimensions }]) => [id, [MetricName, Dimensions]]))).toEqual({
      HeldBack: [
        'HpasHeldBack',
        [
          { Name: 'service', Value: 'reap' },
          { Name: 'reason', Value: 'BlastRadiusExceeded' },
        ],
      ],
      HpasMissing: ['HpasMissing', [{ Name: 'service', Value: 'reap' }]],
      ClustersUnreachable: ['ClustersUnreachable', [{ Name: 'service', Value: 'reap' }]],
      NoSweep: ['SweepsCompleted', [{ Name: 'service', Value: 'backfill' }]],
      HeartbeatMissing: ['Heartbeats', [{ Name: 'service', Value: 'reap' }]],
    });
  });

  it('on sweeps that do not come, where there is a schedule', () => {
    expect(stack.Resources.NoSweep?.Condition).toBe(stack.Resources.SweepSchedule?.Condition);
  });
});

describe('the dashboard', () => {
  const body = () => properties('Dashboard').DashboardBody['Fn::Sub'] as string;
  // biome-ignore lint/suspicious/noExplicitAny: CloudWatch
  const widgets = (): any[] => JSON.parse(body()).widgets;

  it('leaves nothing to CloudFormation but the Region', () => {
    expect(new Set(body().match(/\$\{[^}]*\}/g))).toEqual(new Set([`${'$'}{AWS::Region}`]));
  });

  it('begins with what to look at first', () => {
    expect(widgets()[0]).toMatchObject({ type: 'text', x: 0, y: 0, width: 24 });
  });

  it('has widgets that do not overlap', () => {
    const cells = widgets().flatMap(({ x, y, width, height }) =>
      Array.from({ length: width * height }, (_, cell) => `${x + (cell % width)},${y + Math.floor(cell / width)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    for (const { x, width } of widgets()) expect(x + width).toBeLessThanOrEqual(24);
  });

  it('shows every queue and every function', () => {
    const shown = widgets()
      .flatMap(({ properties: { metrics = [] } }) => metrics)
      .map(([namespace, name, , value]) => `${namespace} ${name} ${value}`);
    const expected = [
      ...of('AWS::SQS::Queue').map(
        ([, { Properties }]) => `AWS/SQS ApproximateNumberOfMessagesVisible ${Properties.QueueName}`,
      ),
      ...of('AWS::Lambda::Function').flatMap(([, { Properties }]) =>
        ['Errors', 'Throttles'].map((name) => `AWS/Lambda ${name} ${Properties.FunctionName}`),
      ),
      `AWS/SQS ApproximateAgeOfOldestMessage ${properties('ChangeQueue').QueueName}`,
    ];
    expect(shown.filter((metric) => metric.startsWith('AWS/')).toSorted()).toEqual(expected.toSorted());
  });

  it('shows every metric of ours but those that only tell the others in more detail', () => {
    const shown = new Set(
      [...body().matchAll(/\["EnvoyHpaReaper","(\w+)"|MetricName=\\"(Hpas|Clusters)(\w+)\\"/g)].map(
        ([, name, kind, rest]) => name ?? `${kind}${rest}`,
      ),
    );
    expect(Object.keys(METRICS).filter((name) => !shown.has(name))).toEqual([
      ...['Payloads', 'ControlMessages', 'EntriesPut', 'HpasAlreadyGone', 'HpasStopped'],
      ...['ClustersSwept', 'ClustersDispatched'],
    ]);
  });

  it('shows sums, and of what is no count the worst', () => {
    const metrics: unknown[][] = widgets().flatMap(({ properties: { metrics = [] } }) => metrics);
    const shown = metrics.map((metric) => {
      const { stat, expression } = metric.at(-1) as { stat?: string; expression?: string };
      const [, name, searched] = /MetricName="(\w+)".*, '(\w+)', 3600\)$/.exec(expression ?? '') ?? [];
      return `${name ?? metric[1]} ${searched ?? stat}`;
    });
    expect(new Set(shown.filter((one) => !one.endsWith(' Sum')))).toEqual(
      new Set([
        'ApproximateNumberOfMessagesVisible Maximum',
        'ApproximateAgeOfOldestMessage Maximum',
        'RequestsPerSweep Average',
        'RequestsPerSweep Maximum',
        'SecondsToDeletion p50',
        'SecondsToDeletion p90',
        'SecondsToDeletion Maximum',
      ]),
    );
  });
});
