import type { Agent } from 'node:http';
import type { AgentOptions, Agent as HttpsAgent } from 'node:https';
import { AwsAccessError, RetryableError } from '../platform/errors.ts';

export interface AwsClientOptions {
  readonly region: string;
  /** A profile of the AWS configuration files, in place of the SDK's default. */
  readonly profile?: string;
  /** Milliseconds for a response, by default 5,000. */
  readonly requestTimeout?: number;
}

/** Creates the connections of clients and clusters in place of Node's agent. The CLI sets it, for a proxy. */
export const network: { createAgent?: (options?: AgentOptions) => Agent } = {};

/** The configuration of a client of the SDK. */
export function awsClient({ region, profile, requestTimeout = 5_000 }: AwsClientOptions) {
  const agent = network.createAgent?.();
  // Without these, a connection that gets no packets back holds the function until its timeout.
  const timeouts = {
    connectionTimeout: 2_000,
    requestTimeout,
    socketTimeout: requestTimeout,
    throwOnRequestTimeout: true,
  };
  return {
    region,
    profile,
    requestHandler: { ...timeouts, ...(agent && { httpAgent: agent, httpsAgent: agent as HttpsAgent }) },
  };
}

const EXPIRED = 'The credentials have expired: get new ones (`aws sso login`, or assume the role again).';
const UNKNOWN = 'AWS does not know these credentials: check the access key and the session token.';
/** By the names of the errors of the SDK and the services. */
const REMEDIES: Readonly<Record<string, string>> = {
  TokenProviderError: 'Log in again: `aws sso login`, with --profile if it is that of a profile.',
  CredentialsProviderError:
    'Give AWS credentials: a profile that `aws configure list-profiles` names (--profile, AWS_PROFILE), `aws sso login`, or AWS_ACCESS_KEY_ID and its companions.',
  ExpiredTokenException: EXPIRED,
  ExpiredToken: EXPIRED,
  RequestExpired: EXPIRED,
  UnrecognizedClientException: UNKNOWN,
  InvalidClientTokenId: UNKNOWN,
  InvalidSignatureException: 'The secret access key does not fit, or the clock of this machine is wrong.',
};

const DENIALS = ['AccessDeniedException', 'AccessDenied', 'UnauthorizedOperation'];
/** Whether the caller is authenticated, but not authorized for this one call. */
export const isRefusal = ({ cause }: AwsAccessError): boolean => DENIALS.includes((cause as Error)?.name);

function remedyOf({ name, message }: Error): string | undefined {
  if (!DENIALS.includes(name)) return REMEDIES[name];
  // Services name the action in one form: "User: … is not authorized to perform: eks:DescribeCluster on resource: …".
  const [, action] = /not authorized to perform: ([\w-]+:\w+)/.exec(message) ?? [];
  return `The credentials do not allow ${action ?? 'this call'}: see docs/permissions.md.`;
}

/**
 * @param what the call, as a clause: "EKS could not describe cluster shop"
 * @throws {AwsAccessError} if access is refused
 * @throws {RetryableError} if the call fails otherwise
 */
export async function callAws<T>(what: string, call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    const remedy = remedyOf(error as Error);
    if (remedy === undefined) throw new RetryableError(what, { cause: error });
    throw new AwsAccessError(what, remedy, { cause: error });
  }
}

/**
 * @returns `undefined` if the resource does not exist
 * @throws what {@link callAws} throws for every other error
 */
export const findInAws = <T>(what: string, call: Promise<T>): Promise<T | undefined> =>
  callAws(
    what,
    call.catch((error: Error) => {
      if (['ResourceNotFoundException', 'NoSuchEntityException'].includes(error.name)) return undefined;
      throw error;
    }),
  );

/** All pages of a paginator of the SDK. */
export async function allPages<Page>(paginator: AsyncIterable<Page>): Promise<Page[]> {
  const pages: Page[] = [];
  for await (const page of paginator) pages.push(page);
  return pages;
}
