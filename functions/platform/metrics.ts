import { Metrics } from '@aws-lambda-powertools/metrics';

export const METRICS_NAMESPACE = 'EnvoyHpaReaper';

/**
 * Every metric and its unit; the runbook, the alarms and the dashboard go by these names. Each carries the dimension
 * `service` (the function), and where it says so `reason`: every further value costs.
 */
export const METRICS = {
  // forward
  Payloads: 'Count',
  ControlMessages: 'Count',
  LinesReceived: 'Count',
  LinesKept: 'Count', // Lines that can have changed what an HPA depends on.
  LinesUnreadable: 'Count', // Lines that are no audit event.
  EntriesPut: 'Count', // Events put on the bus.
  // reap and backfill: HPAs with an owning label, by outcome
  HpasFound: 'Count',
  HpasKept: 'Count', // By reason of the judgement.
  HpasDeleted: 'Count',
  HpasAlreadyGone: 'Count',
  HpasReported: 'Count',
  HpasHeldBack: 'Count', // By reason: the guard.
  HpasMarkRefused: 'Count',
  HpasDeleteRefused: 'Count',
  HpasConflict: 'Count',
  HpasStopped: 'Count',
  HpasFailed: 'Count',
  HpasMissing: 'Count', // Wanted, and not there.
  ClustersSkipped: 'Count', // By reason.
  ClustersUnreachable: 'Count', // No whole answer came from the API server.
  OutcomesNotPut: 'Count', // Events that did not reach the bus; the log has the outcomes.
  // reap
  MessagesMalformed: 'Count',
  Sweeps: 'Count', // Of one cluster each, whatever came of them.
  SweepsFailed: 'Count', // Their messages come again.
  RequestsPerSweep: 'Count', // To the API server, one value for each finished sweep.
  SecondsToDeletion: 'Seconds', // From the earliest change that a verdict rests on to the end of the sweep.
  Heartbeats: 'Count',
  // backfill
  ClustersSwept: 'Count',
  ClustersDispatched: 'Count', // reap was asked to sweep them.
  ClustersFailed: 'Count', // Not swept, and not skipped: also those that are unreachable.
  ClustersRemaining: 'Count', // The run's time did not suffice.
  SweepsCompleted: 'Count', // No cluster of the Region remains or failed, but the unreachable; over the bus: requested.
  // enroll
  ClustersEnrolled: 'Count',
  EnrollmentChanges: 'Count',
  EnrollmentProblems: 'Count',
  EnrollmentClustersLeft: 'Count', // The run's time did not suffice.
} as const;
export type MetricName = keyof typeof METRICS;

export interface MetricsRecorder {
  /** @param reason for a metric with the dimension `reason` */
  add(name: MetricName, value: number, reason?: string): void;
}

/**
 * The metrics of a function: lines of its log in the embedded metric format, of which CloudWatch makes metrics.
 *
 * @param service the function
 * @returns the recorder, and Powertools' own object for its middleware, which writes the lines
 */
export function emfMetrics(service: string): { metrics: MetricsRecorder; powertools: Metrics } {
  const powertools = new Metrics({ namespace: METRICS_NAMESPACE, serviceName: service });
  const add: MetricsRecorder['add'] = (name, value, reason) => {
    if (reason === undefined) powertools.addMetric(name, METRICS[name], value);
    else powertools.singleMetric().addDimension('reason', reason).addMetric(name, METRICS[name], value);
  };
  return { metrics: { add }, powertools };
}
