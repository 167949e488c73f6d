import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { FILTER_NAME, STATIC_FILTER_NAME } from '../../../functions/domain/enrolment.ts';
import { METRICS } from '../../../functions/platform/metrics.ts';
import { packagedStack } from '../../builders/packaged-stack.ts';

const runbook = readFileSync('docs/runbook.md', 'utf8');

const stack = packagedStack({ clusters: ['shop'] });
const { of, properties } = stack;

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

  it('takes nothing measured for nothing wrong, but where something should come', () => {
    const breaching = alarms().filter(([, { TreatMissingData }]) => TreatMissingData === 'breaching');
    expect(breaching.map(([id]) => id).toSorted()).toEqual(['HeartbeatMissing', 'NoSweep']);
    expect(alarms().filter(([, { TreatMissingData }]) => TreatMissingData === undefined)).toEqual([]);
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
      expect([alarm.Statistic, alarm.ComparisonOperator, alarm.Threshold]).toEqual([
        ...['Maximum', 'GreaterThanThreshold', 0],
      ]);
    }
    const headings = watched.map(([, { AlarmDescription }]) => /"([^"]+)"/.exec(AlarmDescription)?.[1]);
    expect(new Set(headings).size).toBe(queues.length);
  });

  it('on what waits longer than all of its tries take', () => {
    const { VisibilityTimeout, RedrivePolicy } = properties('ChangeQueue');
    expect(properties('ChangesWait')).toMatchObject({
      ...{ Namespace: 'AWS/SQS', MetricName: 'ApproximateAgeOfOldestMessage', Statistic: 'Maximum' },
      Dimensions: [{ Name: 'QueueName', Value: { 'Fn::GetAtt': ['ChangeQueue', 'QueueName'] } }],
      ComparisonOperator: 'GreaterThanThreshold',
      Threshold: VisibilityTimeout * RedrivePolicy.maxReceiveCount,
    });
  });

  it('on errors and throttles of every function', () => {
    const expressions = alarms().filter(([, { Metrics }]) => Metrics?.length === 3);
    const watched = expressions.map(([, { Metrics, Threshold }]) => {
      const [sum, ...those] = Metrics;
      expect([sum.Expression, Threshold]).toEqual(['FILL(errors, 0) + FILL(throttles, 0)', 3]);
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

  it('on the delivery of log lines through the filters that enrolment or the stack puts', () => {
    expect(properties('LogDeliveryFailing').Metrics).toEqual([
      {
        Id: 'errors',
        Expression: {
          'Fn::Sub': [
            'SELECT SUM(DeliveryErrors) FROM SCHEMA("AWS/Logs", DestinationType, FilterName, LogGroupName) ' +
              `WHERE FilterName = '${'$'}{Filter}'`,
            { Filter: { 'Fn::If': ['EnrolsByItself', FILTER_NAME, STATIC_FILTER_NAME] } },
          ],
        },
        Period: 300,
      },
    ]);
  });

  it('on two periods without a sweep, where there is a schedule', () => {
    expect(stack.Resources.NoSweep?.Condition).toBe(stack.Resources.SweepSchedule?.Condition);
    expect(properties('NoSweep')).toMatchObject({
      Period: 3_600,
      EvaluationPeriods: { Ref: 'SweepAlarmHours' },
      Threshold: 1,
      Statistic: 'Sum',
    });
    expect(properties('NoSweep')).not.toHaveProperty('DatapointsToAlarm');
  });

  it('on two heartbeats that do not come', () => {
    expect(properties('HeartbeatSchedule').ScheduleExpression).toBe('rate(1 hour)');
    expect(properties('HeartbeatMissing')).toMatchObject({
      ...{ Period: 3_600, EvaluationPeriods: 2, Statistic: 'Sum' },
      ...{ ComparisonOperator: 'LessThanThreshold', Threshold: 1 },
    });
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
      ...['ClustersSwept', 'ClustersDispatched', 'ClustersFailed'],
    ]);
  });
});
