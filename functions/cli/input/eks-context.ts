import { parseArgs } from 'node:util';
import type { AccountDirectory, ClusterDescription } from '../../kubernetes/directory.ts';
import { ClusterSkippedError, UsageError } from '../../platform/errors.ts';
import { parsedUrl, withoutUser } from '../../platform/url.ts';
import { type ClusterKey, parseArn } from './saved-hpas.ts';

/** The parts of a context of a kubeconfig that may say which EKS cluster it leads to. */
interface ContextParts {
  readonly context: string;
  /** The name of its cluster in the kubeconfig. */
  readonly clusterName: string;
  readonly server?: string;
  /** The command that gets the token. */
  readonly exec?: { readonly args?: unknown; readonly env?: unknown } | null;
}

/** The EKS cluster that a context leads to, as far as the kubeconfig says it. */
interface EksContext {
  readonly context: string;
  readonly cluster: string;
  readonly region: string;
  /** From an ARN that is the name of the cluster or of the context. */
  readonly account?: string;
  /** The role that the command assumes to get the token. */
  readonly roleArn?: string;
  /** The profile that the command gets the token with. */
  readonly profile?: string;
  readonly server?: string;
}

const WITHOUT_CONTEXT = 'give the cluster with --eks NAME --region REGION --profile PROFILE';

const OPTIONS = {
  'cluster-name': { type: 'string' },
  'cluster-id': { type: 'string', short: 'i' },
  region: { type: 'string' },
  profile: { type: 'string' },
  'role-arn': { type: 'string' },
  role: { type: 'string', short: 'r' },
} as const;

/**
 * Reads the EKS cluster of a context as `aws eks update-kubeconfig` writes it: from the ARN that is the name of the cluster or of
 * the context, from the command that gets the token (`aws eks get-token`, `aws-iam-authenticator token`), and from the server.
 *
 * @param regions given by the person
 * @returns `undefined` for a context that does not say it
 * @throws {UsageError} for a context that names two clusters, Regions or accounts
 */
export function eksContextOf(
  { context, clusterName, server = '', exec }: ContextParts,
  regions: readonly string[] = [],
): EksContext | undefined {
  // A wrapper such as `aws-vault exec prod -- aws eks get-token` is followed by the command.
  const args = listOf(exec?.args).filter((arg): arg is string => typeof arg === 'string' && arg !== '--');
  const { values } = parseArgs({ args, options: OPTIONS, strict: false });
  // Without strict, an option without a value is true.
  const argument = (...names: (keyof typeof OPTIONS)[]) =>
    names.map((name) => values[name]).find((value) => typeof value === 'string');
  const [, ofServer] = /\.([a-z]{2,}(?:-[a-z]+)+-\d+)\.(?:eks|api)\./.exec(server) ?? [];
  const command = { cluster: argument('cluster-name', 'cluster-id'), region: argument('region') };
  const sources: [source: string, named?: ClusterKey][] = [
    ['the name of its cluster', parseArn(clusterName)],
    ['its own name', parseArn(context)],
    ['the command that gets its token', command],
    ['its server', { region: ofServer }],
    ...regions.map((region): [string, ClusterKey] => ['--region', { region }]),
  ];
  const only = (field: keyof ClusterKey): string | undefined => {
    const all = sources.flatMap(([source, named]) => (named?.[field] ? { source, value: named[field] } : []));
    const [first, other] = [all[0], all.find(({ value }) => value !== all[0]?.value)];
    if (first === undefined || other === undefined) return first?.value;
    const both = `${first.value} (${first.source}) and ${other.value} (${other.source})`;
    throw new UsageError(`context ${context} names more than one ${field}: ${both}; correct it, or ${WITHOUT_CONTEXT}`);
  };
  const [cluster, region, account] = [only('cluster'), only('region'), only('account')];
  if (!cluster || !region) return undefined;
  const profile = argument('profile') ?? profileIn(exec?.env);
  return { context, cluster, region, account, roleArn: argument('role-arn', 'role'), profile, server };
}

/**
 * Finds the cluster of a context in the account of some AWS credentials.
 *
 * EKS describes only clusters of the account that calls it, so that the ARN names the account of the credentials.
 *
 * @param directory of the Region of the context, with the credentials
 * @param credentials what they are, for the message: "profile prod"
 * @returns the ARN
 * @throws {UsageError} for a cluster of another account, or with another endpoint than the server of the context
 */
export async function eksArnOf(target: EksContext, directory: AccountDirectory, credentials: string): Promise<string> {
  const { context, cluster, region, account, roleArn, server = '' } = target;
  const refuse = (found: string) => {
    const ofAccount = account ? ` of account ${account}` : '';
    const side = `context ${context} leads to cluster ${cluster} in ${region}${ofAccount}, at ${withoutUser(server) || 'no server'}`;
    const remedy = `give --profile with a profile of the account of that cluster, or ${WITHOUT_CONTEXT}`;
    return new UsageError(`${side}; ${found}: ${remedy}. Nothing was changed`);
  };
  const described = await describeIn(directory, cluster);
  const example = described ?? (await describeIn(directory, (await directory.list())[0]));
  const { arn, server: endpoint = '' } = example ?? {};
  const found = parseArn(arn);
  const ofCredentials = `the account of ${credentials} ${found ? `is ${found.account}` : 'has no cluster there'}`;
  if (arn === undefined || found === undefined || (account ?? found.account) !== found.account)
    throw refuse(ofCredentials);
  if (described === undefined) throw refuse(`${ofCredentials}, which has no such cluster`);
  const [, , , , ofRole = found.account] = roleArn?.split(':') ?? [];
  if (ofRole !== found.account) throw refuse(`its token is that of ${roleArn}, and ${ofCredentials}`);
  if (originOf(endpoint) === originOf(server)) return arn;
  throw refuse(`${ofCredentials}, where that cluster is at ${endpoint || 'no endpoint'}`);
}

/** @returns `undefined` for a cluster that does not exist */
async function describeIn(directory: AccountDirectory, name?: string): Promise<ClusterDescription | undefined> {
  if (name === undefined) return undefined;
  return await directory.describe(name).catch((error) => {
    if (error instanceof ClusterSkippedError) return undefined;
    throw error;
  });
}

/** The shape of a kubeconfig was not checked. */
const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

function profileIn(env: unknown): string | undefined {
  const variables = listOf(env) as ({ readonly name?: unknown; readonly value?: unknown } | null)[];
  const value = variables.find((one) => one?.name === 'AWS_PROFILE')?.value;
  return typeof value === 'string' ? value : undefined;
}

const originOf = (url: string) => parsedUrl(url)?.origin ?? url;
