/** Where clusters are. */
export interface AwsAccount {
  readonly partition: string;
  readonly region: string;
  readonly account: string;
}

/** Of an EKS cluster. */
export const clusterArn = ({ partition, region, account }: AwsAccount, cluster: string) =>
  `arn:${partition}:eks:${region}:${account}:cluster/${cluster}`;

/** Of any ARN, such as a function's own. A Region tells it only with a table that grows. */
export const partitionOf = (arn: string): string => arn.split(':')[1] ?? 'aws';
