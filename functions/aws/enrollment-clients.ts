import * as logs from '@aws-sdk/client-cloudwatch-logs';
import * as eks from '@aws-sdk/client-eks';
import { clusterOfLogGroup, logGroupOf } from '../platform/eks-names.ts';
import { type AwsClientOptions, allPages, awsClient, callAws, findInAws } from './client.ts';

export interface SubscriptionFilter {
  readonly name: string;
  readonly pattern: string;
  readonly destinationArn: string;
}

export interface AccessEntry {
  readonly groups: readonly string[];
  readonly username: string;
  readonly type: string;
  readonly tags: Readonly<Record<string, string>>;
}

export type EnrollmentClients = ReturnType<typeof enrollmentClients>;

/**
 * The clients that read and write the enrollment of the clusters of one Region. Every call throws {@link RetryableError} if
 * AWS does not respond, or refuses the call because of the status of the cluster.
 */
export const enrollmentClients = (options: AwsClientOptions) => ({
  entries: accessEntries(options),
  filters: subscriptionFilters(options),
  roles: iamRoles(options),
});

/** The access entries of roles. Access policies are never associated. */
function accessEntries(options: AwsClientOptions) {
  const client = new eks.EKSClient(awsClient(options));
  const what = (verb: string, cluster: string, roleArn: string) =>
    `EKS could not ${verb} the access entry of ${roleArn} in ${cluster}`;
  return {
    /** @returns `undefined` without an entry */
    async describe(clusterName: string, principalArn: string): Promise<AccessEntry | undefined> {
      const command = new eks.DescribeAccessEntryCommand({ clusterName, principalArn });
      const found = await findInAws(what('describe', clusterName, principalArn), client.send(command));
      if (found === undefined) return undefined;
      const { kubernetesGroups = [], username = '', type = '', tags = {} } = found.accessEntry ?? {};
      return { groups: kubernetesGroups, username, type, tags };
    },
    /** Creates an entry with the username that EKS gives it. */
    async create(clusterName: string, principalArn: string, { groups, type, tags }: AccessEntry): Promise<void> {
      const entry = { clusterName, principalArn, type, kubernetesGroups: [...groups], tags };
      await callAws(what('create', clusterName, principalArn), client.send(new eks.CreateAccessEntryCommand(entry)));
    },
    /** Sets groups and username. */
    async update(clusterName: string, principalArn: string, { groups, username }: AccessEntry): Promise<void> {
      const entry = { clusterName, principalArn, kubernetesGroups: [...groups], username };
      await callAws(what('update', clusterName, principalArn), client.send(new eks.UpdateAccessEntryCommand(entry)));
    },
    /** Also succeeds without an entry. */
    async delete(clusterName: string, principalArn: string): Promise<void> {
      const command = new eks.DeleteAccessEntryCommand({ clusterName, principalArn });
      await findInAws(what('delete', clusterName, principalArn), client.send(command));
    },
  };
}

/** The subscription filters on the control plane logs of clusters. */
function subscriptionFilters(options: AwsClientOptions) {
  const client = new logs.CloudWatchLogsClient(awsClient(options));
  return {
    /**
     * The class (`STANDARD`, `INFREQUENT_ACCESS`, …) of every cluster's log group, by the cluster's name, also of deleted
     * clusters.
     *
     * @param only the only cluster to read
     */
    async logGroups(only?: string): Promise<Map<string, string>> {
      const logGroupNamePrefix = only === undefined ? '/aws/eks/' : logGroupOf(only);
      const pages = await callAws(
        `CloudWatch Logs could not list the log groups ${logGroupNamePrefix}*`,
        allPages(logs.paginateDescribeLogGroups({ client }, { logGroupNamePrefix })),
      );
      const classes = new Map<string, string>();
      for (const { logGroupName = '', logGroupClass = 'STANDARD' } of pages.flatMap((page) => page.logGroups ?? [])) {
        const cluster = clusterOfLogGroup(logGroupName);
        if (cluster !== undefined) classes.set(cluster, logGroupClass);
      }
      return classes;
    },
    /** @returns none for a log group that does not exist anymore */
    async list(cluster: string): Promise<SubscriptionFilter[]> {
      const logGroupName = logGroupOf(cluster);
      const pages = await findInAws(
        `CloudWatch Logs could not list the subscription filters of ${logGroupName}`,
        allPages(logs.paginateDescribeSubscriptionFilters({ client }, { logGroupName })),
      );
      const filters = (pages ?? []).flatMap(({ subscriptionFilters: some = [] }) => some);
      return filters.map(({ filterName: name = '', filterPattern: pattern = '', destinationArn = '' }) => ({
        name,
        pattern,
        destinationArn,
      }));
    },
    /** Creates or updates the filter of that name. The cause is a `LimitExceededException` if there is no room. */
    async put(cluster: string, { name: filterName, pattern, destinationArn }: SubscriptionFilter): Promise<void> {
      const logGroupName = logGroupOf(cluster);
      const filter = { logGroupName, filterName, filterPattern: pattern, destinationArn };
      const what = `CloudWatch Logs could not put the subscription filter ${filterName} on ${logGroupName}`;
      await callAws(what, client.send(new logs.PutSubscriptionFilterCommand(filter)));
    },
    /** Also succeeds without such a filter. */
    async delete(cluster: string, filterName: string): Promise<void> {
      const logGroupName = logGroupOf(cluster);
      const what = `CloudWatch Logs could not delete the subscription filter ${filterName} of ${logGroupName}`;
      await findInAws(what, client.send(new logs.DeleteSubscriptionFilterCommand({ logGroupName, filterName })));
    },
  };
}

function iamRoles(options: AwsClientOptions) {
  const ids = new Map<string, Promise<string | undefined>>();
  const read = async (RoleName: string) => {
    // Only the command line reads roles.
    const { GetRoleCommand, IAMClient } = await import('@aws-sdk/client-iam');
    const call = new IAMClient(awsClient(options)).send(new GetRoleCommand({ RoleName }));
    return (await findInAws(`IAM could not read role ${RoleName}`, call))?.Role?.RoleId;
  };
  return {
    /**
     * The unique id (`AROA…`) of a role, read once.
     *
     * @returns `undefined` without such a role
     */
    idOf(arn: string): Promise<string | undefined> {
      const id = ids.get(arn) ?? read(arn.split('/').at(-1) ?? '');
      ids.set(arn, id);
      return id;
    },
  };
}
