import {
  CloudWatchLogsClient,
  paginateDescribeLogGroups,
  paginateDescribeSubscriptionFilters,
} from '@aws-sdk/client-cloudwatch-logs';
import {
  DescribeAccessEntryCommand,
  DescribeClusterCommand,
  EKSClient,
  ResourceNotFoundException,
} from '@aws-sdk/client-eks';
import {
  type AccessEntry,
  auditLogGroup,
  type EksCluster,
  type LogGroup,
  type SubscriptionFilter,
} from '../domain/eks-health.ts';
import type { Reading } from '../domain/health.ts';
import { AwsAccessError, describeError } from '../platform/errors.ts';
import { awsError } from './access-error.ts';
import { OPT_OUT_TAG } from './cluster-directory.ts';

/**
 * What EKS and CloudWatch Logs say of the clusters of one Region, each as far as the caller may see it. Nothing is changed.
 *
 * @throws {AwsAccessError} from every call, when the credentials are missing, expired or not known
 */
export interface EksInspection {
  cluster(name: string): Promise<Reading<(EksCluster & { tags: Readonly<Record<string, string>> }) | undefined>>;
  logGroup(cluster: string): Promise<Reading<LogGroup | undefined>>;
  subscriptionFilters(cluster: string): Promise<Reading<SubscriptionFilter[]>>;
  accessEntry(cluster: string, principalArn: string): Promise<Reading<AccessEntry | undefined>>;
  close(): void;
}

/** @param profile of the AWS configuration files, in place of what the SDK finds by itself */
export function eksInspection(region: string, profile?: string): EksInspection {
  const settings = { region, ...(profile !== undefined && { profile }) };
  const eks = new EKSClient(settings);
  const logs = new CloudWatchLogsClient(settings);
  return {
    cluster: (name) =>
      reading('eks:DescribeCluster', async () => {
        const answer = await orUndefinedIfNone(eks.send(new DescribeClusterCommand({ name })));
        if (answer === undefined) return undefined;
        const { cluster = {} } = answer;
        const { arn = '', status = 'without a status', tags = {}, logging, resourcesVpcConfig, accessConfig } = cluster;
        return {
          arn,
          status,
          tags,
          optedOut: tags[OPT_OUT_TAG] === 'off',
          auditLog: logging?.clusterLogging?.some(({ enabled, types }) => enabled && types?.includes('audit')) ?? false,
          publicEndpoint: resourcesVpcConfig?.endpointPublicAccess ?? true,
          publicAccessCidrs: resourcesVpcConfig?.publicAccessCidrs ?? [],
          // EKS knew no other before there were access entries.
          authenticationMode: accessConfig?.authenticationMode ?? 'CONFIG_MAP',
        };
      }),
    logGroup: (cluster) =>
      reading('logs:DescribeLogGroups', async () => {
        const wanted = auditLogGroup(cluster);
        for await (const { logGroups = [] } of paginateDescribeLogGroups(
          { client: logs },
          { logGroupNamePrefix: wanted },
        )) {
          // Another cluster's name may begin like this one's.
          const found = logGroups.find(({ logGroupName }) => logGroupName === wanted);
          if (found) return { logGroupClass: found.logGroupClass ?? 'STANDARD' };
        }
        return undefined;
      }),
    subscriptionFilters: (cluster) =>
      reading('logs:DescribeSubscriptionFilters', async () => {
        const filters: SubscriptionFilter[] = [];
        const pages = paginateDescribeSubscriptionFilters({ client: logs }, { logGroupName: auditLogGroup(cluster) });
        for await (const { subscriptionFilters = [] } of pages) {
          for (const {
            filterName: name = '',
            destinationArn = '',
            filterPattern: pattern = '',
          } of subscriptionFilters) {
            filters.push({ name, destinationArn, pattern });
          }
        }
        return filters;
      }),
    accessEntry: (clusterName, principalArn) =>
      reading('eks:DescribeAccessEntry', async () => {
        const command = new DescribeAccessEntryCommand({ clusterName, principalArn });
        const answer = await orUndefinedIfNone(eks.send(command));
        return answer && { kubernetesGroups: answer.accessEntry?.kubernetesGroups ?? [] };
      }),
    close() {
      eks.destroy();
      logs.destroy();
    },
  };
}

/**
 * @param permission what the call takes, by its name in IAM
 * @throws {AwsAccessError} where no other call would be answered either
 */
async function reading<Value>(permission: string, read: () => Promise<Value>): Promise<Reading<Value>> {
  try {
    return { value: await read() };
  } catch (error) {
    if ((error as Error).name === 'AccessDeniedException') {
      return {
        unread: `the credentials do not allow ${permission}`,
        remedy: `Allow ${permission} to whoever runs this.`,
      };
    }
    const fault = awsError(`${permission} was not answered`, error);
    if (fault instanceof AwsAccessError) throw fault;
    return { unread: describeError(fault), remedy: 'Run this again later.' };
  }
}

async function orUndefinedIfNone<Answer>(answer: Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof ResourceNotFoundException) return undefined;
    throw error;
  }
}
