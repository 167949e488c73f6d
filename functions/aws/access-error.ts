import { AwsAccessError, RetryableError } from '../platform/errors.ts';

/** What the SDK and the services call it when credentials are missing, expired or not known. */
const REMEDIES: Readonly<Record<string, string>> = {
  CredentialsProviderError:
    'Give AWS credentials: a profile that `aws configure list-profiles` names (--profile, AWS_PROFILE), `aws sso login`, or AWS_ACCESS_KEY_ID and its companions.',
  ExpiredTokenException: 'The credentials have expired: get new ones (`aws sso login`, or assume the role again).',
  ExpiredToken: 'The credentials have expired: get new ones (`aws sso login`, or assume the role again).',
  UnrecognizedClientException: 'AWS does not know these credentials: check the access key and the session token.',
  InvalidClientTokenId: 'AWS does not know these credentials: check the access key and the session token.',
  InvalidSignatureException: 'The secret access key does not fit, or the clock of this machine is wrong.',
  AccessDeniedException: 'The credentials do not allow this call: see docs/permissions.md.',
  AccessDenied: 'The credentials do not allow this call: see docs/permissions.md.',
};

/** Whether the credentials are valid, and only this call is not allowed. */
export const isRefusal = ({ cause }: AwsAccessError): boolean =>
  cause instanceof Error && ['AccessDeniedException', 'AccessDenied'].includes(cause.name);

/**
 * What was thrown by a call to AWS, as an error that a caller here handles.
 *
 * @param what the call, as a clause: "EKS could not describe cluster shop"
 */
export function awsError(what: string, error: unknown): RetryableError {
  const remedy = REMEDIES[(error as Error).name];
  if (remedy === undefined) return new RetryableError(what, { cause: error });
  return new AwsAccessError(what, remedy, { cause: error });
}

/**
 * Calls AWS.
 *
 * @param what the call, as a clause
 * @param answers the results for errors that are answers, by the names of the errors
 * @throws {AwsAccessError} if access is refused, and {@link RetryableError} for every other error
 */
export async function callAws<T>(
  what: string,
  call: () => Promise<T>,
  answers: Readonly<Record<string, T>> = {},
): Promise<T> {
  try {
    return await call();
  } catch (error) {
    const { name } = error as Error;
    if (name in answers) return answers[name] as T;
    throw awsError(what, error);
  }
}
