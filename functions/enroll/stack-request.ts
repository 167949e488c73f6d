import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod/mini';
import type { EnrollmentReport } from '../enrollment/enrollment.ts';
import { describeError } from '../platform/errors.ts';
import type { Log } from '../platform/logger.ts';

/** What CloudFormation invokes a function with for a custom resource, as far as it is needed. */
const stackRequestSchema = z.object({
  RequestType: z.enum(['Create', 'Update', 'Delete']),
  /** Presigned: who has it may answer. */
  ResponseURL: z.url(),
  StackId: z.string(),
  RequestId: z.string(),
  LogicalResourceId: z.string(),
  PhysicalResourceId: z.optional(z.string()),
});
type StackRequest = z.infer<typeof stackRequestSchema>;

export const isStackRequest = (event: unknown): event is StackRequest => stackRequestSchema.safeParse(event).success;

export interface StackRequestOptions {
  /** Takes everything away that enrollment has put. */
  removeAll: () => Promise<EnrollmentReport>;
  /** Milliseconds until Lambda ends this process. */
  time: () => number;
  log: Log;
}

/** CloudFormation is answered when no more than this is left, in milliseconds, whatever is still under way. */
const TIME_FOR_THE_ANSWER = 20_000;
const ATTEMPTS = 3;
/** Milliseconds that one attempt at an answer may take. */
const TIMEOUT = 4_000;
/** CloudFormation takes no answer above 4 KB. */
const LONGEST_REASON = 1_000;
/** Always the same: with another one an update would be followed by a deletion. */
const PHYSICAL_ID = 'envoy-hpa-reaper-enrollment';

/**
 * When the stack is deleted, takes away what enrollment has put; then tells CloudFormation, in any case and in time: it would
 * wait for an hour. A failure keeps the stack, so that the deletion can be tried again.
 *
 * @throws {Error} when CloudFormation could not be told
 */
export async function answerStack(request: StackRequest, { removeAll, time, log }: StackRequestOptions): Promise<void> {
  const reason = request.RequestType === 'Delete' ? await inTime(removal(removeAll), time()) : undefined;
  if (reason !== undefined) log.error('removal not complete', { reason });
  await answer(request, reason);
  log.info('stack answered', { requestType: request.RequestType, status: statusOf(reason) });
}

/** @returns why something is left, or `undefined` */
async function removal(removeAll: () => Promise<EnrollmentReport>): Promise<string | undefined> {
  try {
    const { clusters, remaining } = await removeAll();
    const problems = clusters.flatMap(({ cluster, problems }) =>
      problems.map(({ message, remedy }) => `${cluster}: ${message}. ${remedy}`),
    );
    if (remaining.length > 0)
      problems.unshift(`no time was left for ${remaining.length} clusters: delete the stack again`);
    return problems.length > 0 ? problems.join(' ') : undefined;
  } catch (error) {
    return describeError(error);
  }
}

async function inTime(work: Promise<string | undefined>, left: number): Promise<string | undefined> {
  const timer = new AbortController();
  const late = delay(Math.max(0, left - TIME_FOR_THE_ANSWER), 'it took too long: delete the stack again', {
    signal: timer.signal,
  });
  // What is not awaited any more is not to end the process.
  late.catch(() => {});
  try {
    return await Promise.race([work, late]);
  } finally {
    timer.abort();
  }
}

const statusOf = (reason: string | undefined) => (reason === undefined ? 'SUCCESS' : 'FAILED');

async function answer(request: StackRequest, reason: string | undefined): Promise<void> {
  const { ResponseURL, StackId, RequestId, LogicalResourceId } = request;
  const body = JSON.stringify({
    Status: statusOf(reason),
    ...(reason !== undefined && { Reason: reason.slice(0, LONGEST_REASON) }),
    PhysicalResourceId: request.PhysicalResourceId ?? PHYSICAL_ID,
    ...{ StackId, RequestId, LogicalResourceId },
  });
  for (let attempt = 1; ; attempt += 1) {
    try {
      const response = await fetch(ResponseURL, {
        method: 'PUT',
        // The signature is for a request without a type; fetch gives bytes none.
        body: new TextEncoder().encode(body),
        signal: AbortSignal.timeout(TIMEOUT),
      });
      if (response.ok) return;
      throw new Error(`it was answered ${response.status}`);
    } catch (error) {
      if (attempt === ATTEMPTS) throw new Error(`CloudFormation could not be told: ${(error as Error).message}`);
      await delay(500 * attempt);
    }
  }
}
