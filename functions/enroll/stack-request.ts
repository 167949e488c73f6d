import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod/mini';
import type { EnrollmentReport } from '../enrollment/enroll-clusters.ts';
import { describeError } from '../platform/errors.ts';
import type { Log } from '../platform/logger.ts';

/** The payload with which CloudFormation invokes a function for a custom resource, as far as it is read here. */
const stackRequestSchema = z.object({
  RequestType: z.enum(['Create', 'Update', 'Delete']),
  /** Presigned: everybody who knows it can answer. */
  ResponseURL: z.url(),
  StackId: z.string(),
  RequestId: z.string(),
  LogicalResourceId: z.string(),
  PhysicalResourceId: z.optional(z.string()),
});
type StackRequest = z.infer<typeof stackRequestSchema>;

export const isStackRequest = (event: unknown): event is StackRequest => stackRequestSchema.safeParse(event).success;

/** Milliseconds that are reserved for the answer, whatever is still under way. */
const ANSWER_TIME_MS = 20_000;
const ATTEMPTS = 3;
const ANSWER_TIMEOUT_MS = 4_000;
/** CloudFormation accepts no answer above 4 KB. */
const MAX_REASON_LENGTH = 1_000;
/** Always the same: an update that changes it is followed by a deletion. */
const PHYSICAL_ID = 'envoy-hpa-reaper-enrollment';

/**
 * When the stack is deleted, deletes what enrollment has created. Then answers CloudFormation, in any case and in time: it
 * would wait for an hour. A failure keeps the stack, so that its deletion can be retried.
 *
 * @param removeAll deletes everything that enrollment has created
 * @param time milliseconds until Lambda ends this process
 * @throws {Error} when CloudFormation did not accept the answer
 */
export async function answerStack(
  request: StackRequest,
  { removeAll, time, log }: { removeAll: () => Promise<EnrollmentReport>; time: number; log: Log },
): Promise<void> {
  let reason: string | undefined;
  if (request.RequestType === 'Delete') {
    const limit = Math.max(0, time - ANSWER_TIME_MS);
    const late = delay(limit, 'it took too long: delete the stack again', { ref: false });
    reason = await Promise.race([removal(removeAll), late]);
  }
  if (reason !== undefined) log.error('removal not complete', { reason });
  const { StackId, RequestId, LogicalResourceId, PhysicalResourceId = PHYSICAL_ID } = request;
  const status = reason === undefined ? 'SUCCESS' : 'FAILED';
  const answer = { Status: status, Reason: reason?.slice(0, MAX_REASON_LENGTH), PhysicalResourceId };
  await send({ ...answer, StackId, RequestId, LogicalResourceId }, request.ResponseURL);
  log.info('stack answered', { requestType: request.RequestType, status });
}

/** @returns why something is left, or `undefined` */
async function removal(removeAll: () => Promise<EnrollmentReport>): Promise<string | undefined> {
  try {
    const { clusters, remaining } = await removeAll();
    const problems = clusters.flatMap(({ cluster, findings }) =>
      findings.filter(({ reason }) => reason).map(({ found, remedy }) => `${cluster}: ${found}. ${remedy}`),
    );
    if (remaining.length > 0)
      problems.unshift(`no time was left for ${remaining.length} clusters: delete the stack again`);
    return problems.length > 0 ? problems.join(' ') : undefined;
  } catch (error) {
    return describeError(error);
  }
}

async function send(answer: object, url: string): Promise<void> {
  // The signature is for a request without a content type; fetch adds none to bytes.
  const body = new TextEncoder().encode(JSON.stringify(answer));
  for (let attempt = 1; ; attempt += 1) {
    try {
      const response = await fetch(url, { method: 'PUT', body, signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
      if (response.ok) return;
      throw new Error(`it answered ${response.status}`);
    } catch (error) {
      if (attempt === ATTEMPTS)
        throw new Error(`CloudFormation did not accept the answer: ${(error as Error).message}`);
      await delay(500 * attempt);
    }
  }
}
