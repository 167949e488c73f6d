import { logGroupOf } from './eks-names.ts';
import {
  AwsAccessError,
  ClusterSkippedError,
  describeError,
  ForeignAnswerError,
  NoAnswerError,
  RetryableError,
} from './errors.ts';

const UPDATE_CLUSTER = 'aws eks update-cluster-config';

type Describe = (...facts: never[]) => [message: string, remedy: string, command?: string];

/** The problems that keep a cluster from being swept, and last a warning: from the facts the message, the remedy and its command. */
const SWEEP = {
  ClusterNotFound: (cluster: string, where: string) => [
    `there is no cluster ${cluster} in ${where}`,
    'Check the name, the Region and the account; nothing to do if it was deleted.',
  ],
  ClusterNotActive: (cluster: string, status = 'without a status') => [
    `cluster ${cluster} is ${status}`,
    'Once it is ACTIVE, the next scheduled sweep or any write to an EnvoyProxy or Gateway sweeps it.',
  ],
  ClusterOptedOut: (cluster: string, tag: string) => [
    `cluster ${cluster} is tagged ${tag}=off`,
    `Remove the tag ${tag} from the cluster to have it swept.`,
  ],
  ClusterUnauthorized: (message: string, isKubeconfig = false) => [
    message,
    isKubeconfig
      ? 'Log in again, or check the user of this context: `kubectl auth whoami`.'
      : 'Enroll the cluster: `reaper enroll --eks CLUSTER` creates the access entries, also those of a role that was created again.',
  ],
  ClusterForbidden: (message: string, isKubeconfig = false) => [
    message,
    isKubeconfig
      ? 'Use a user who may do this, or have the rights given: `kubectl auth can-i --list`; docs/permissions.md lists what is needed.'
      : 'Enroll the cluster: `reaper enroll --eks CLUSTER` applies the RBAC and gives the access entries their group.',
  ],
  CustomResourcesNotInstalled: (message: string) => [
    message,
    'Nothing to do if Envoy Gateway was never installed; otherwise install the CRDs of Gateway API v1 and Envoy Gateway again: the next scheduled sweep includes the cluster.',
  ],
  AwsAccessRefused: (message: string, remedy: string) => [message, remedy],
  ClusterEndpointPrivate: (message: string) => [
    `${message}; the cluster has a private endpoint only`,
    'Run this from within the VPC of the cluster (the functions: set subnetIds and securityGroupIds, see docs/private-endpoints.md), or switch its public endpoint on.',
  ],
  ClusterUnreachable: (message: string, isForeign = false) => [
    message,
    isForeign
      ? 'This is not the answer of a Kubernetes API server. Check the URL of the server, the VPN, the proxy (proxy-url in the kubeconfig, HTTPS_PROXY, NO_PROXY), and whether you are logged in there.'
      : 'Check that the API server runs and that its endpoint admits the network of this program (VPN, proxy, firewalls, publicAccessCidrs of EKS); then run this again.',
  ],
  SameCluster: (others: string) => [
    `context ${others} leads to this cluster too`,
    'Nothing to do: it was swept once more, and counts once.',
  ],
  NothingToDelete: (object: string) => [
    `there is no ${object} to delete`,
    'Check --without; nothing to do if it is meant for another cluster.',
  ],
  SweepFailed: (message: string) => [message, 'Run this again later; if it persists, the message says why.'],
  InternalError: (message: string) => [message, 'This is a bug in this program: please report it.'],
  AuditLogOff: (cluster: string, region?: string) => [
    `the audit log of cluster ${cluster} is off: changes there produce no events, and only a sweep finds what they leave behind`,
    'Turn it on, if you need that; CloudWatch Logs charges for every line that it stores.',
    `${UPDATE_CLUSTER}${region ? ` --region ${region}` : ''} --name ${cluster} --logging '{"clusterLogging":[{"types":["audit"],"enabled":true}]}'`,
  ],
} satisfies Record<string, Describe>;

/** The further problems of an enrollment. */
const ENROLLMENT = {
  LogGroupMissing: (cluster: string, region: string) => [
    `the audit log of cluster ${cluster} is on, but there is no log group ${logGroupOf(cluster)}`,
    'EKS creates it within minutes; if it was deleted, create it again.',
    `aws logs create-log-group --region ${region} --log-group-name ${logGroupOf(cluster)}`,
  ],
  LogGroupNotStandard: (cluster: string, logGroupClass: string) => [
    `the log group ${logGroupOf(cluster)} is of class ${logGroupClass}, which takes no subscription filter`,
    'A log group keeps its class: delete it and let EKS create it again, or leave this cluster to the sweeps.',
  ],
  NoFreeFilterSlot: (cluster: string, region: string) => [
    `the log group ${logGroupOf(cluster)} has as many subscription filters as it can have`,
    'Remove one that is no longer needed, or leave this cluster to the sweeps.',
    `aws logs describe-subscription-filters --region ${region} --log-group-name ${logGroupOf(cluster)}`,
  ],
  NoAccessEntries: (cluster: string, region: string) => [
    `the authentication mode of cluster ${cluster} is CONFIG_MAP, which has no access entries`,
    'Allow access entries as well; this cannot be undone.',
    `${UPDATE_CLUSTER} --region ${region} --name ${cluster} --access-config authenticationMode=API_AND_CONFIG_MAP`,
  ],
  EnrollmentFailed: (message: string) => [
    message,
    'The next run, or the next deletion of the stack, retries; if it persists, the message says why.',
  ],
} satisfies Record<string, Describe>;

const CATALOGUE = { ...SWEEP, ...ENROLLMENT };
/** The reasons in the order of docs/reasons.md. */
export const SWEEP_PROBLEMS = Object.keys(SWEEP) as (keyof typeof SWEEP)[];
type ProblemReason = keyof typeof CATALOGUE;

export interface Problem<Reason extends string = keyof typeof SWEEP> {
  readonly reason: Reason;
  readonly message: string;
  /** What a person can do about it. */
  readonly remedy: string;
  /** A shell command that does it, or that shows more. */
  readonly command?: string;
}

export function problem<Reason extends ProblemReason>(
  reason: Reason,
  ...facts: Parameters<(typeof CATALOGUE)[Reason]>
): Problem<Reason> {
  const describe = CATALOGUE[reason] as (...facts: unknown[]) => ReturnType<Describe>;
  const [message, remedy, command] = describe(...facts);
  return { reason, message, remedy, command };
}

/**
 * The problem of a cluster from an error.
 *
 * @param cluster what is known of the cluster
 */
export function problemOf(error: unknown, cluster?: { readonly publicEndpoint?: boolean }): Problem {
  const message = describeError(error);
  if (error instanceof ClusterSkippedError) {
    return { reason: error.reason, message: error.message, remedy: error.remedy };
  }
  if (error instanceof AwsAccessError) return problem('AwsAccessRefused', message, error.remedy);
  if (error instanceof ForeignAnswerError) return problem('ClusterUnreachable', message, true);
  if (error instanceof NoAnswerError) {
    return problem(cluster?.publicEndpoint === false ? 'ClusterEndpointPrivate' : 'ClusterUnreachable', message);
  }
  return problem(error instanceof RetryableError ? 'SweepFailed' : 'InternalError', message);
}
