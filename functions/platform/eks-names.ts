import * as z from 'zod/mini';

/** An account in one Region. */
interface AwsAccount {
  readonly partition: string;
  readonly region: string;
  readonly account: string;
}

/** The ARN of an EKS cluster. */
export const clusterArn = ({ partition, region, account }: AwsAccount, cluster: string) =>
  `arn:${partition}:eks:${region}:${account}:cluster/${cluster}`;

/** The partition of any ARN, such as that of a function. A Region shows it only with a table that grows. */
export const partitionOf = (arn: string): string => arn.split(':')[1] ?? 'aws';

/** The name of an EKS cluster, as CreateCluster allows it. */
export const clusterNameSchema = z
  .string('expected the name of an EKS cluster')
  .check(z.regex(/^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$/, 'expected the name of an EKS cluster'));

/** The log group of a cluster's control plane logs. */
export const logGroupOf = (cluster: string) => `/aws/eks/${cluster}/cluster`;

/** @returns the cluster whose control plane logs to this group; `undefined` for any other group */
export const clusterOfLogGroup = (name: string): string | undefined => /^\/aws\/eks\/([^/]+)\/cluster$/.exec(name)?.[1];
