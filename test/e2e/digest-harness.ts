import { afterEach, beforeEach, expect, vi } from 'vitest';
import type { DigestReport } from '../../functions/events/digest.ts';
import { FilterLogEventsDouble } from '../doubles/filter-log-events.ts';
import { SnsDouble } from '../doubles/sns.ts';
import { lambdaContext, PLACE } from '../embedded-cluster/event-path.ts';
import { captureOutput, type Output } from './harness.ts';

export const TOPIC_ARN = `arn:aws:sns:${PLACE.region}:${PLACE.account}:envoy-hpa-reaper`;
export const LOG_GROUP = '/aws/events/envoy-hpa-reaper-outcomes';

/** The function's. */
export const environment = {
  ACCOUNT_ID: PLACE.account,
  AWS_REGION: PLACE.region,
  OUTCOME_LOG_GROUP: LOG_GROUP,
  TOPIC_ARN,
  AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
  AWS_SECRET_ACCESS_KEY: 'secret-access-key',
  AWS_SESSION_TOKEN: 'secret-session-token',
  AWS_MAX_ATTEMPTS: '1',
  POWERTOOLS_LOGGER_LOG_EVENT: 'true',
};

export interface DigestSurroundings {
  logs: FilterLogEventsDouble;
  sns: SnsDouble;
  output: Output;
}

/** Each test has a log group of outcomes, a topic and the function's environment of its own. */
export function digestSurroundings(): DigestSurroundings {
  const self = {} as DigestSurroundings;
  beforeEach(async () => {
    self.logs = new FilterLogEventsDouble();
    self.sns = new SnsDouble();
    self.output = captureOutput();
    for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
    vi.stubEnv('AWS_ENDPOINT_URL_CLOUDWATCH_LOGS', await self.logs.start());
    vi.stubEnv('AWS_ENDPOINT_URL_SNS', await self.sns.start());
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    vi.useRealTimers();
    vi.unstubAllEnvs();
    await Promise.all([self.logs.stop(), self.sns.stop()]);
    expect(self.output.text).not.toMatch(/AKIDEXAMPLE|secret-access-key|secret-session-token/);
    expect(self.output.text).not.toContain('reserved key');
  });
  return self;
}

/** What EventBridge has written, each event when it happened. */
export function writeOutcomes({ groups }: FilterLogEventsDouble, lines: readonly string[]): void {
  const events = lines.map((message) => ({ message, timestamp: Date.parse(JSON.parse(message).time) }));
  groups.set(LOG_GROUP, events);
}

/** One invocation of a new process. */
export async function digest(event: unknown, remaining = 900_000): Promise<DigestReport> {
  vi.resetModules();
  const { handler } = await import('../../functions/digest/handler.ts');
  return await (handler as unknown as (event: unknown, context: object) => Promise<DigestReport>)(
    event,
    lambdaContext('envoy-hpa-reaper-digest', remaining),
  );
}
