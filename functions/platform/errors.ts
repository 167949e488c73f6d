import { messageLine } from './printable.ts';

/*
 * One class for each thing that a caller handles differently:
 *
 * - {@link MalformedInputError}: this record, payload or file is unreadable; it fails alone.
 * - {@link UsageError}: the user asked for something that is not possible that way; the message says what is.
 * - {@link ClusterSkippedError}: a retry would not help; the cluster is reported with its remedy, and the record is consumed.
 * - {@link RetryableError}: a retry may succeed; the record returns to the queue, except for {@link AwsAccessError}.
 *
 * Any other error is a fault of this program and is retried like a {@link RetryableError}.
 */
class ExpectedError extends Error {
  /** @param message may quote anything; it becomes one line of bounded length */
  constructor(message: string, options?: ErrorOptions) {
    super(messageLine(message), options);
  }
}

export class MalformedInputError extends ExpectedError {
  override name = 'MalformedInputError';
}

export class UsageError extends ExpectedError {
  override name = 'UsageError';
}

/** Why nothing can be done in a cluster now. */
type SkipReason =
  | 'ClusterNotFound'
  | 'ClusterNotActive'
  | 'ClusterOptedOut'
  | 'ClusterUnauthorized'
  | 'ClusterForbidden'
  | 'CustomResourcesNotInstalled';

export class ClusterSkippedError extends ExpectedError {
  override name = 'ClusterSkippedError';
  readonly reason: SkipReason;
  /** What a person can do about it. */
  readonly remedy: string;
  constructor(problem: { reason: SkipReason; message: string; remedy: string }, options?: ErrorOptions) {
    super(problem.message, options);
    this.reason = problem.reason;
    this.remedy = problem.remedy;
  }
}

export class RetryableError extends ExpectedError {
  override name = 'RetryableError';
}

/** The API server is overloaded and did not process the request. */
export class OverloadedError extends RetryableError {
  override name = 'OverloadedError';
}

/** There is no whole response from an API server: no connection, or a broken one. */
export class NoAnswerError extends RetryableError {
  override name = 'NoAnswerError';
}

/** Something other than an API server answered: a proxy, a login page, another service. Whether a write was done is not known. */
export class ForeignAnswerError extends NoAnswerError {
  override name = 'ForeignAnswerError';
}

/** AWS refuses the call: no credentials, expired ones, or missing permissions. */
export class AwsAccessError extends RetryableError {
  override name = 'AwsAccessError';
  /** What a person can do about it. */
  readonly remedy: string;
  constructor(message: string, remedy: string, options?: ErrorOptions) {
    super(message, options);
    this.remedy = remedy;
  }
}

/** The message of an error with those of its causes, unless it includes them, as one line of bounded length. */
export const describeError = (error: unknown): string => messageLine(messageOf(error));

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Node's own error for a host with several addresses of which none responds. It has no message.
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join('; ');
  if (error.cause === undefined) return error.message;
  const cause = messageOf(error.cause);
  return error.message.includes(cause) ? error.message : `${error.message}: ${cause}`;
}
