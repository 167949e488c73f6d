/** What the use cases need of a log: a message and an object. Powertools' Logger is one, so is a test's array. */
export interface Log {
  info(message: string, attributes?: Record<string, unknown>): void;
  warn(message: string, attributes?: Record<string, unknown>): void;
  error(message: string, attributes?: Record<string, unknown>): void;
}

/** What is used of Powertools' Metrics. */
export interface Counts {
  addMetric(name: string, unit: 'Count', value: number): unknown;
}
