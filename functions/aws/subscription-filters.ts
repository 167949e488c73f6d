import {
  CloudWatchLogsClient,
  DeleteSubscriptionFilterCommand,
  PutSubscriptionFilterCommand,
  paginateDescribeLogGroups,
  paginateDescribeSubscriptionFilters,
} from '@aws-sdk/client-cloudwatch-logs';
import type { SubscriptionFilter } from '../enrollment/enrollment.ts';
import { clusterOfLogGroup, logGroupOf } from '../platform/eks-names.ts';
import { type AwsClientOptions, allPages, awsClient, callAws, findInAws } from './client.ts';

/** The subscription filters on the control plane logs of the clusters of one Region. */
export interface SubscriptionFilters {
  /**
   * The class (`STANDARD`, `INFREQUENT_ACCESS`, …) of every cluster's log group, by the cluster's name, also of deleted
   * clusters.
   *
   * @param cluster the only one to read
   * @throws {RetryableError} when CloudWatch Logs cannot be asked, as the other calls
   */
  logGroups(cluster?: string): Promise<Map<string, string>>;
  /** @returns none for a log group that does not exist anymore */
  list(cluster: string): Promise<SubscriptionFilter[]>;
  /** Creates the filter, or updates the filter of that name. The cause is a `LimitExceededException` if there is no room. */
  put(cluster: string, filter: SubscriptionFilter): Promise<void>;
  /** Succeeds also without such a filter. */
  delete(cluster: string, name: string): Promise<void>;
}

export function cloudWatchLogsFilters(options: AwsClientOptions): SubscriptionFilters {
  const client = new CloudWatchLogsClient(awsClient(options));
  return {
    async logGroups(only) {
      const logGroupNamePrefix = only === undefined ? '/aws/eks/' : logGroupOf(only);
      const pages = await callAws(
        `CloudWatch Logs could not list the log groups ${logGroupNamePrefix}*`,
        allPages(paginateDescribeLogGroups({ client }, { logGroupNamePrefix })),
      );
      const classes = new Map<string, string>();
      for (const { logGroupName = '', logGroupClass = 'STANDARD' } of pages.flatMap(
        ({ logGroups = [] }) => logGroups,
      )) {
        const cluster = clusterOfLogGroup(logGroupName);
        if (cluster !== undefined) classes.set(cluster, logGroupClass);
      }
      return classes;
    },
    async list(cluster) {
      const logGroupName = logGroupOf(cluster);
      const pages = await findInAws(
        `CloudWatch Logs could not list the subscription filters of ${logGroupName}`,
        allPages(paginateDescribeSubscriptionFilters({ client }, { logGroupName })),
      );
      const filters = (pages ?? []).flatMap(({ subscriptionFilters = [] }) => subscriptionFilters);
      return filters.map(({ filterName: name = '', filterPattern: pattern = '', destinationArn = '' }) => ({
        name,
        pattern,
        destinationArn,
      }));
    },
    async put(cluster, { name: filterName, pattern: filterPattern, destinationArn }) {
      const logGroupName = logGroupOf(cluster);
      const filter = { logGroupName, filterName, filterPattern, destinationArn };
      const what = `CloudWatch Logs could not put the subscription filter ${filterName} on ${logGroupName}`;
      await callAws(what, client.send(new PutSubscriptionFilterCommand(filter)));
    },
    async delete(cluster, filterName) {
      const logGroupName = logGroupOf(cluster);
      const what = `CloudWatch Logs could not delete the subscription filter ${filterName} of ${logGroupName}`;
      await findInAws(what, client.send(new DeleteSubscriptionFilterCommand({ logGroupName, filterName })));
    },
  };
}
