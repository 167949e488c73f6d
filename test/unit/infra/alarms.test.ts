import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { FILTER_NAME, STATIC_FILTER_NAME } from '../../../functions/enrollment/findings.ts';
import { METRICS } from '../../../functions/platform/metrics.ts';
import { packagedStack } from '../../builders/packaged-stack.ts';

const runbook = readFileSync('docs/runbook.md', 'utf8');
const { of, properties, Resources } = packagedStack();
const alarms = of('AWS::CloudWatch::Alarm');
const headingOf = (description: string) =>
  /^[^.]+\. What to do: docs\/runbook\.md, "([^"]+)"\.$/.exec(description)?.[1];

describe('every alarm', () => {
  it('is named in the section of the runbook that it names, and every section but the first two names its alarms', () => {
    const [, , , ...sections] = runbook.split(/^## /m);
    const documented = sections.map((section) => {
      const [heading, , text = ''] = section.split('\n');
      const [, names = ''] = /^\*([a-z, -]+)\.\*/.exec(text) ?? [];
      return [heading, names.split(', ').toSorted()];
    });
    const named = Map.groupBy(alarms, ([, { Properties }]) => headingOf(Properties.AlarmDescription));
    const expected = [...named].map(([heading, those]) => [
      heading,
      those.map(([, { Properties }]) => Properties.AlarmName.replace('envoy-hpa-reaper-', '')).toSorted(),
    ]);
    expect(Object.fromEntries(documented)).toEqual(Object.fromEntries(expected));
  });

  it('notifies when it goes on and off, where there is an address', () => {
    const notify = [{ 'Fn::If': ['HasNotifications', { Ref: 'NotificationTopic' }, { Ref: 'AWS::NoValue' }] }];
    for (const [id, { Properties }] of alarms) {
      expect([id, Properties.AlarmActions, Properties.OKActions]).toEqual([id, notify, notify]);
    }
  });

  it('looks back no further than CloudWatch allows', () => {
    for (const [id, { Properties }] of alarms) {
      const { Period = 300, EvaluationPeriods } = Properties;
      if (typeof EvaluationPeriods !== 'number') continue;
      expect(Period * EvaluationPeriods, id).toBeLessThanOrEqual((Period < 3_600 ? 1 : 7) * 86_400);
    }
  });

  it('exists where the function or queue exists that it monitors', () => {
    for (const [id, { Condition, Properties }] of alarms) {
      const [, monitored] = /"(?:Ref|Fn::GetAtt)":\[?"(\w+(?:Queue|Function))"/.exec(JSON.stringify(Properties)) ?? [];
      if (monitored !== undefined) expect([id, Condition]).toEqual([id, Resources[monitored]?.Condition]);
    }
    expect(Resources.NoSweep?.Condition).toBe(Resources.SweepSchedule?.Condition);
  });
});

it('monitors as many metrics as docs/cost.md counts', () => {
  const metrics = JSON.stringify(alarms).match(/"MetricName":/g) ?? [];
  expect(readFileSync('docs/cost.md', 'utf8')).toContain(`| Alarms | ${metrics.length} × 0.10: `);
});

describe('there is an alarm', () => {
  it('on the delivery of log lines through each of the two filters', () => {
    for (const [id, name] of [
      ['LogDeliveryFailing', FILTER_NAME],
      ['StaticLogDeliveryFailing', STATIC_FILTER_NAME],
    ] as const) {
      expect(properties(id).Metrics[0].Expression).toMatch(new RegExp(`WHERE FilterName = '${name}'$`));
    }
  });

  it('on every queue of failed events, each with its own section of the runbook', () => {
    const monitored = alarms.filter(
      ([, { Properties }]) => Properties.MetricName === 'ApproximateNumberOfMessagesVisible',
    );
    const queues = of('AWS::SQS::Queue').flatMap(([id]) => (id === 'ChangeQueue' ? [] : [id]));
    expect(monitored.map(([, { Properties }]) => Properties.Dimensions[0].Value['Fn::GetAtt'][0]).toSorted()).toEqual(
      queues.toSorted(),
    );
    const headings = monitored.map(([, { Properties }]) => headingOf(Properties.AlarmDescription));
    expect(new Set(headings).size).toBe(queues.length);
  });

  it('on a change that waits longer than all of its retries take', () => {
    const { VisibilityTimeout, RedrivePolicy } = properties('ChangeQueue');
    expect(properties('ChangesWait').Threshold).toBe(VisibilityTimeout * RedrivePolicy.maxReceiveCount);
  });

  it('on errors and throttles of every function', () => {
    const monitored = alarms.flatMap(([, { Properties }]) =>
      (Properties.Metrics ?? []).flatMap(({ MetricStat }: { MetricStat?: { Metric: Record<string, never> } }) =>
        MetricStat ? [`${MetricStat.Metric.MetricName} ${JSON.stringify(MetricStat.Metric.Dimensions)}`] : [],
      ),
    );
    const expected = of('AWS::Lambda::Function').flatMap(([id]) =>
      ['Errors', 'Throttles'].map((name) => `${name} [{"Name":"FunctionName","Value":{"Ref":"${id}"}}]`),
    );
    expect(monitored.toSorted()).toEqual(expected.toSorted());
  });

  it('on failed events that did not reach the queue of their function', () => {
    const lost = alarms.filter(([, { Properties }]) => Properties.MetricName === 'DestinationDeliveryFailures');
    const withQueue = of('AWS::Lambda::EventInvokeConfig').map(([, { Properties }]) => [
      { Name: 'FunctionName', Value: Properties.FunctionName },
    ]);
    expect(withQueue).toHaveLength(3);
    expect(lost.map(([, { Properties }]) => Properties.Dimensions)).toEqual(expect.arrayContaining(withQueue));
    expect(lost).toHaveLength(withQueue.length);
  });

  it.each(['ClustersUnauthorized', 'ClustersForbidden', 'SweepsFailing'])(
    'on three hourly sweeps in a row that can do nothing, or on one of rarer sweeps: %s',
    (id) => {
      const { Period, EvaluationPeriods, DatapointsToAlarm, TreatMissingData } = properties(id);
      expect([Period, EvaluationPeriods, DatapointsToAlarm, TreatMissingData]).toEqual([
        ...[3_600, { 'Fn::If': ['SweepsHourly', 4, { Ref: 'SweepAlarmHours' }] }],
        ...[{ 'Fn::If': ['SweepsHourly', 3, 1] }, 'notBreaching'],
      ]);
    },
  );

  it('that treats missing data as good, except where a metric counts successes', () => {
    // The functions record nothing instead of 0.
    const breaching = alarms.filter(([, { Properties }]) => Properties.TreatMissingData !== 'notBreaching');
    expect(breaching.map(([id, { Properties }]) => [id, Properties.ComparisonOperator])).toEqual([
      ['NoSweep', 'LessThanThreshold'],
      ['HeartbeatMissing', 'LessThanThreshold'],
    ]);
    const others = alarms.filter(([, { Properties }]) => Properties.ComparisonOperator === 'LessThanThreshold');
    expect(others).toHaveLength(breaching.length);
  });

  it('on three failed receives of a sweep, for as long as every hourly sweep fails', () => {
    // With a period of an hour it would go off between two hourly sweeps.
    const { VisibilityTimeout } = properties('ChangeQueue');
    expect(properties('ClustersUnreachable').Period).toBeGreaterThan(3_600 + 2 * VisibilityTimeout);
  });
});

describe('the dashboard', () => {
  const body = properties('Dashboard').DashboardBody['Fn::Sub'] as string;
  interface Widget extends Record<'x' | 'y' | 'width' | 'height', number> {
    properties: { metrics?: unknown[][] };
  }
  const { widgets } = JSON.parse(body) as { widgets: Widget[] };

  it('has no variable but the Region, and widgets that do not overlap', () => {
    expect(new Set(body.match(/\$\{[^}]*\}/g))).toEqual(new Set([`${'$'}{AWS::Region}`]));
    const cells = widgets.flatMap(({ x, y, width, height }) =>
      Array.from({ length: width * height }, (_, cell) => `${x + (cell % width)},${y + Math.floor(cell / width)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(Math.max(...widgets.map(({ x, width }) => x + width))).toBeLessThanOrEqual(24);
  });

  it('shows every queue and every function', () => {
    const shown = widgets
      .flatMap(({ properties: { metrics = [] } }) => metrics)
      .map(([namespace, name, , value]) => `${namespace} ${name} ${value}`);
    const expected = [
      ...of('AWS::SQS::Queue').map(
        ([, { Properties }]) => `AWS/SQS ApproximateNumberOfMessagesVisible ${Properties.QueueName}`,
      ),
      ...of('AWS::Lambda::Function').flatMap(([, { Properties }]) =>
        ['Errors', 'Throttles', 'DestinationDeliveryFailures'].map(
          (name) => `AWS/Lambda ${name} ${Properties.FunctionName}`,
        ),
      ),
      `AWS/SQS ApproximateAgeOfOldestMessage ${properties('ChangeQueue').QueueName}`,
    ];
    expect(shown.filter((metric) => metric.startsWith('AWS/')).toSorted()).toEqual(expected.toSorted());
  });

  it('shows every metric except those that only split others', () => {
    const shown = new Set(
      [...body.matchAll(/\["EnvoyHpaReaper","(\w+)"|EnvoyHpaReaper,reason,service} MetricName=\\"(\w+)\\"/g)].map(
        ([, name, searched]) => name ?? searched,
      ),
    );
    expect(Object.keys(METRICS).filter((name) => !shown.has(name))).toEqual([
      ...['Payloads', 'ControlMessages', 'EntriesPut', 'HpasAlreadyGone', 'HpasStopped'],
      ...['ClustersSwept', 'ClustersDispatched'],
    ]);
  });
});
