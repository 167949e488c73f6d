import { textLike } from './schema.ts';

/**
 * The ARN of an EKS cluster in the account of a Lambda function.
 *
 * @param region by default that of the function
 */
export function clusterArn(functionArn: string, cluster: string, region?: string): string {
  const [, partition, , own, account] = functionArn.split(':');
  return `arn:${partition}:eks:${region ?? own}:${account}:cluster/${cluster}`;
}

/** The name of an EKS cluster, as CreateCluster allows it. */
export const clusterNameSchema = textLike(/^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$/, 'expected the name of an EKS cluster');

/** The log group of a cluster's control plane logs. */
export const logGroupOf = (cluster: string) => `/aws/eks/${cluster}/cluster`;

/** @returns the cluster whose control plane logs to this group; `undefined` for any other group */
export const clusterOfLogGroup = (name: string): string | undefined => /^\/aws\/eks\/([^/]+)\/cluster$/.exec(name)?.[1];
