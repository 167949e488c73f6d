import * as logs from '@aws-sdk/client-cloudwatch-logs';
import type { SubscriptionFilter } from '../enrollment/enrollment.ts';
import { clusterOfLogGroup, logGroupOf } from '../platform/eks-names.ts';
import { type AwsClientOptions, allPages, awsClient, callAws, findInAws } from './client.ts';

/**
 * The subscription filters on the control plane logs of the clusters of one Region. Every call throws {@link RetryableError} if
 * CloudWatch Logs does not respond.
 */
export function cloudWatchLogsFilters(options: AwsClientOptions) {
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
      const filters = (pages ?? []).flatMap(({ subscriptionFilters = [] }) => subscriptionFilters);
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
