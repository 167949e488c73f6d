export const METRICS_NAMESPACE = 'EnvoyHpaReaper';

/**
 * All metrics and their units. Each has the dimension `service` (the function), and some `reason`: every further value costs.
 * CloudWatch charges for each hour in which a metric has a value, so none is recorded that is 0.
 */
export const METRICS = {
  // forward
  Payloads: 'Count',
  ControlMessages: 'Count',
  LinesReceived: 'Count',
  LinesKept: 'Count', // Lines of changes that an HPA may depend on.
  LinesUnreadable: 'Count', // Lines that are not audit events.
  EntriesPut: 'Count', // Events put on the bus.
  // reap and backfill: HPAs with an owning label, and their results
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
  HpasMissing: 'Count', // Wanted, but missing.
  ClustersSkipped: 'Count', // By reason.
  ClustersUnreachable: 'Count', // No whole response from the API server.
  OutcomesNotPut: 'Count', // Events that did not reach the bus; the log has their contents.
  // reap
  MessagesMalformed: 'Count',
  Sweeps: 'Count', // Of one cluster each, whatever the result.
  SweepsFailed: 'Count', // Their messages are retried.
  RequestsPerSweep: 'Count', // To the API server, one value for each completed sweep.
  SecondsToDeletion: 'Seconds', // From the earliest change that a verdict depends on to the end of the sweep.
  Heartbeats: 'Count',
  // backfill
  ClustersSwept: 'Count',
  ClustersDispatched: 'Count', // Sweeps of them were requested from reap.
  ClustersFailed: 'Count', // Neither swept nor skipped, also the unreachable ones.
  ClustersRemaining: 'Count', // The run had no time left.
  SweepsCompleted: 'Count', // Regions in which no cluster remains or failed, except for unreachable ones.
  // enroll
  ClustersEnrolled: 'Count',
  EnrollmentChanges: 'Count',
  EnrollmentProblems: 'Count', // Without `AuditLogOff`, which may be a choice.
  EnrollmentClustersLeft: 'Count', // The run had no time left.
} as const;
type MetricName = keyof typeof METRICS;

export interface MetricsRecorder {
  /**
   * @param value 0 records nothing
   * @param reason of a metric with that dimension
   */
  add(name: MetricName, value: number, reason?: string): void;
}
