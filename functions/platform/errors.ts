/**
 * What went wrong, one class for each thing that a caller handles differently:
 *
 * - {@link ConfigurationError}: the function cannot start; every fault is named at once.
 * - {@link MalformedInputError}: this record, payload or file can never be read; it fails alone.
 * - {@link UsageError}: what was asked for is not possible as it was asked for.
 * - {@link ClusterSkippedError}: nothing can be done in this cluster now and a retry would not help; reported with its
 *   remedy, the record is consumed.
 * - {@link RetryableError}: the same again later may well succeed; the record goes back to the queue.
 *   {@link NoAnswerError} and {@link AwsAccessError} are such, and say more to a person.
 *
 * Anything else that is thrown is a fault of this program and is retried like a {@link RetryableError}.
 */
export class ConfigurationError extends Error {
  override name = 'ConfigurationError';
  readonly faults: readonly string[];
  constructor(faults: readonly string[]) {
    super(`the environment does not fit: ${faults.join('; ')}`);
    this.faults = faults;
  }
}

export class MalformedInputError extends Error {
  override name = 'MalformedInputError';
}

/** A person asked for something that is not possible that way; the message says what is. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/** Why nothing can be done in a cluster now. */
export const SKIP_REASONS = [
  'ClusterNotFound',
  'ClusterNotActive',
  'ClusterOptedOut',
  'ClusterUnauthorized',
  'ClusterForbidden',
  'CustomResourcesNotInstalled',
] as const;
export type SkipReason = (typeof SKIP_REASONS)[number];

export class ClusterSkippedError extends Error {
  override name = 'ClusterSkippedError';
  readonly reason: SkipReason;
  /** What a person can do about it, one sentence. */
  readonly remedy: string;
  constructor(problem: { reason: SkipReason; message: string; remedy: string }, options?: ErrorOptions) {
    super(problem.message, options);
    this.reason = problem.reason;
    this.remedy = problem.remedy;
  }
}

export class RetryableError extends Error {
  override name = 'RetryableError';
}

/** An API server has too much to do: it did not take the request up. */
export class OverloadedError extends RetryableError {
  override name = 'OverloadedError';
}

/** No whole answer came from an API server: nothing listens there, it cannot be reached from here, or it broke off. */
export class NoAnswerError extends RetryableError {
  override name = 'NoAnswerError';
}

/** AWS does not let this process in: no credentials, expired ones, or ones that may not do this. */
export class AwsAccessError extends RetryableError {
  override name = 'AwsAccessError';
  /** What a person can do about it, one sentence. */
  readonly remedy: string;
  constructor(message: string, remedy: string, options?: ErrorOptions) {
    super(message, options);
    this.remedy = remedy;
  }
}

/** The message of anything that was thrown, with those of its causes that it does not contain. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Node's own where a host has several addresses and none of them answers; it has no message.
  if (error instanceof AggregateError && error.message === '') return error.errors.map(describeError).join('; ');
  if (error.cause === undefined) return error.message;
  const cause = describeError(error.cause);
  return error.message.includes(cause) ? error.message : `${error.message}: ${cause}`;
}
