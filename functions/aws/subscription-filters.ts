import {
  CloudWatchLogsClient,
  DeleteSubscriptionFilterCommand,
  PutSubscriptionFilterCommand,
  paginateDescribeLogGroups,
  paginateDescribeSubscriptionFilters,
} from '@aws-sdk/client-cloudwatch-logs';
import type { SubscriptionFilter } from '../enrollment/enrollment.ts';
import { clusterOfLogGroup, logGroupOf } from '../platform/eks-names.ts';
import { callAws } from './access-error.ts';
import { type AwsClientOptions, awsClient } from './client-options.ts';

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
    logGroups(only) {
      const logGroupNamePrefix = only === undefined ? '/aws/eks/' : logGroupOf(only);
      return callAws(`CloudWatch Logs could not list the log groups ${logGroupNamePrefix}*`, async () => {
        const classes = new Map<string, string>();
        for await (const { logGroups = [] } of paginateDescribeLogGroups({ client }, { logGroupNamePrefix })) {
          for (const { logGroupName = '', logGroupClass = 'STANDARD' } of logGroups) {
            const cluster = clusterOfLogGroup(logGroupName);
            if (cluster !== undefined) classes.set(cluster, logGroupClass);
          }
        }
        return classes;
      });
    },
    list(cluster) {
      const logGroupName = logGroupOf(cluster);
      const read = async () => {
        const filters: SubscriptionFilter[] = [];
        for await (const page of paginateDescribeSubscriptionFilters({ client }, { logGroupName })) {
          for (const { filterName = '', filterPattern = '', destinationArn = '' } of page.subscriptionFilters ?? []) {
            filters.push({ name: filterName, pattern: filterPattern, destinationArn });
          }
        }
        return filters;
      };
      const what = `CloudWatch Logs could not list the subscription filters of ${logGroupName}`;
      return callAws(what, read, { ResourceNotFoundException: [] });
    },
    put(cluster, { name: filterName, pattern: filterPattern, destinationArn }) {
      const logGroupName = logGroupOf(cluster);
      return callAws(
        `CloudWatch Logs could not put the subscription filter ${filterName} on ${logGroupName}`,
        async () => {
          const filter = { logGroupName, filterName, filterPattern, destinationArn };
          await client.send(new PutSubscriptionFilterCommand(filter));
        },
      );
    },
    delete(cluster, filterName) {
      const logGroupName = logGroupOf(cluster);
      const remove = async () =>
        void (await client.send(new DeleteSubscriptionFilterCommand({ logGroupName, filterName })));
      const what = `CloudWatch Logs could not delete the subscription filter ${filterName} of ${logGroupName}`;
      return callAws(what, remove, { ResourceNotFoundException: undefined });
    },
  };
}
