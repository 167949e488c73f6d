import {
  CloudWatchLogsClient,
  DeleteSubscriptionFilterCommand,
  LimitExceededException,
  PutSubscriptionFilterCommand,
  paginateDescribeLogGroups,
  paginateDescribeSubscriptionFilters,
  ResourceNotFoundException,
} from '@aws-sdk/client-cloudwatch-logs';
import type { SubscriptionFilter } from '../enrollment/enrollment.ts';
import { clusterOfLogGroup, logGroupOf } from '../platform/eks-names.ts';
import { awsError } from './access-error.ts';
import { type AwsClientOptions, awsClient } from './client-options.ts';

/** The subscription filters on the control plane logs of the clusters of one Region. */
export interface SubscriptionFilters {
  /**
   * The class (`STANDARD`, `INFREQUENT_ACCESS`, …) of every cluster's log group, by the cluster's name; those of clusters
   * that are gone are among them.
   *
   * @param cluster the only one that is asked for
   * @throws {RetryableError} when CloudWatch Logs cannot be asked, as the others do
   */
  logGroups(cluster?: string): Promise<Map<string, string>>;
  /** @returns none for a log group that is not there any more */
  list(cluster: string): Promise<SubscriptionFilter[]>;
  /** Makes the filter, or changes the one of that name. */
  put(cluster: string, filter: SubscriptionFilter): Promise<'put' | 'noFreeSlot'>;
  /** One that is not there is deleted. */
  delete(cluster: string, name: string): Promise<void>;
}

const EKS_LOG_GROUPS = '/aws/eks/';

/**
 * By the CloudWatch Logs API, all pages of it. A log group that is gone (`ResourceNotFoundException`) and one that is full
 * (`LimitExceededException`) are answers; all else is a `RetryableError`, where access is refused an `AwsAccessError`.
 */
export class CloudWatchLogsSubscriptionFilters implements SubscriptionFilters {
  readonly #client: CloudWatchLogsClient;

  constructor(options: AwsClientOptions) {
    this.#client = new CloudWatchLogsClient(awsClient(options));
  }

  async logGroups(only?: string): Promise<Map<string, string>> {
    const logGroupNamePrefix = only === undefined ? EKS_LOG_GROUPS : logGroupOf(only);
    const classes = new Map<string, string>();
    try {
      const pages = paginateDescribeLogGroups({ client: this.#client }, { logGroupNamePrefix });
      for await (const { logGroups = [] } of pages) {
        for (const { logGroupName = '', logGroupClass = 'STANDARD' } of logGroups) {
          const cluster = clusterOfLogGroup(logGroupName);
          if (cluster !== undefined) classes.set(cluster, logGroupClass);
        }
      }
      return classes;
    } catch (error) {
      throw awsError(`CloudWatch Logs could not list the log groups ${logGroupNamePrefix}*`, error);
    }
  }

  async list(cluster: string): Promise<SubscriptionFilter[]> {
    const logGroupName = logGroupOf(cluster);
    const filters: SubscriptionFilter[] = [];
    try {
      for await (const page of paginateDescribeSubscriptionFilters({ client: this.#client }, { logGroupName })) {
        for (const { filterName = '', filterPattern = '', destinationArn = '' } of page.subscriptionFilters ?? []) {
          filters.push({ name: filterName, pattern: filterPattern, destinationArn });
        }
      }
      return filters;
    } catch (error) {
      if (error instanceof ResourceNotFoundException) return [];
      throw awsError(`CloudWatch Logs could not list the subscription filters of ${logGroupName}`, error);
    }
  }

  async put(cluster: string, { name, pattern, destinationArn }: SubscriptionFilter): Promise<'put' | 'noFreeSlot'> {
    const logGroupName = logGroupOf(cluster);
    try {
      await this.#client.send(
        new PutSubscriptionFilterCommand({ logGroupName, filterName: name, filterPattern: pattern, destinationArn }),
      );
      return 'put';
    } catch (error) {
      if (error instanceof LimitExceededException) return 'noFreeSlot';
      throw awsError(`CloudWatch Logs could not put the subscription filter ${name} on ${logGroupName}`, error);
    }
  }

  async delete(cluster: string, name: string): Promise<void> {
    const logGroupName = logGroupOf(cluster);
    try {
      await this.#client.send(new DeleteSubscriptionFilterCommand({ logGroupName, filterName: name }));
    } catch (error) {
      if (error instanceof ResourceNotFoundException) return;
      throw awsError(`CloudWatch Logs could not delete the subscription filter ${name} of ${logGroupName}`, error);
    }
  }
}
