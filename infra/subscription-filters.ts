import { STATIC_FILTER_NAME } from '../functions/enrollment/enrollment.ts';
import { SUBSCRIPTION_PATTERN } from '../functions/events/audit-event.ts';
import { logGroupOf } from '../functions/platform/eks-names.ts';

/**
 * One `AWS::Logs::SubscriptionFilter` for each cluster, by logical id. CloudFormation has no loop, hence code.
 * They come after the permission: CloudWatch Logs sends a test event before it takes a filter.
 */
export const subscriptionFilters = (clusters: readonly string[]) =>
  Object.fromEntries(
    clusters.map((cluster) => [
      `SubscriptionFilter${logicalId(cluster)}`,
      {
        Type: 'AWS::Logs::SubscriptionFilter',
        DependsOn: 'LogsMayInvokeForward',
        Properties: {
          FilterName: STATIC_FILTER_NAME,
          LogGroupName: logGroupOf(cluster),
          FilterPattern: SUBSCRIPTION_PATTERN,
          DestinationArn: { 'Fn::GetAtt': ['ForwardLambdaFunction', 'Arn'] },
        },
      },
    ]),
  );

/** Logical ids are letters and digits, cluster names have `-` and `_` too; with `Z` as the escape no two become one. */
const logicalId = (cluster: string) =>
  cluster.replace(/[Z_-]/g, (sign) => ({ Z: 'ZZ', _: 'ZU', '-': 'ZD' })[sign] ?? '');
