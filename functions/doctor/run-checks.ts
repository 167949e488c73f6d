import { isRefusal } from '../aws/client.ts';
import { ApiStatusError } from '../kubernetes/api-client.ts';
import { AwsAccessError, ClusterSkippedError, describeError, RetryableError } from '../platform/errors.ts';
import type { Check } from './report.ts';

export type Verdict = Omit<Check, 'id'>;

const withRemedy =
  (state: Check['state']) =>
  (found: string, remedy?: string, command?: string): Verdict => ({ state, found, remedy, command });
export const ok = (found: string): Verdict => ({ state: 'ok', found });
export const warning = withRemedy('warning');
export const broken = withRemedy('broken');
export const unknown = withRemedy('unknown');

export interface CheckDefinition<Context> {
  readonly id: Check['id'];
  /** The check is skipped if one of these is broken, failed or was skipped. */
  readonly after?: readonly Check['id'][];
  /** An error makes the check unknown. */
  readonly run: (context: Context) => Verdict | Promise<Verdict>;
}

/**
 * Runs the checks in parallel, each after those that it depends on.
 *
 * @throws {AwsAccessError} when no other call to AWS would succeed either: without credentials, or with expired ones
 */
export async function runChecks<Context>(
  definitions: readonly CheckDefinition<Context>[],
  context: Context,
): Promise<Check[]> {
  const results = new Map<Check['id'], Promise<{ check: Check; failed: boolean }>>();
  const resultOf = (definition: CheckDefinition<Context>) => {
    const result = results.get(definition.id) ?? runCheck(definition);
    results.set(definition.id, result);
    return result;
  };
  async function runCheck({ id, after = [], run }: CheckDefinition<Context>) {
    for (const needed of definitions.filter((one) => after.includes(one.id))) {
      if ((await resultOf(needed)).failed) {
        return { check: { id, ...unknown(`skipped: see ${needed.id}`) }, failed: true };
      }
    }
    try {
      const verdict = await run(context);
      return { check: { id, ...verdict }, failed: verdict.state === 'broken' };
    } catch (error) {
      return { check: { id, ...unreadable(error) }, failed: true };
    }
  }
  return await Promise.all(definitions.map(async (definition) => (await resultOf(definition)).check));
}

/**
 * The verdict where an error kept a check from reading what it needs.
 *
 * @throws the error itself if it is a fault of this program, or concerns every call to AWS
 */
export function unreadable(error: unknown): Verdict {
  const isExpected = error instanceof ClusterSkippedError || error instanceof RetryableError;
  if (!isExpected || (error instanceof AwsAccessError && !isRefusal(error))) throw error;
  const isForbidden =
    error instanceof AwsAccessError ||
    (error instanceof ClusterSkippedError && error.reason === 'ClusterForbidden') ||
    (error instanceof ApiStatusError && error.code === 403);
  if (isForbidden) {
    return unknown(describeError(error), 'Ask for the permission of this check, which docs/doctor.md lists.');
  }
  return unknown(describeError(error), error instanceof ClusterSkippedError ? error.remedy : 'Run this again later.');
}
