import { STATIC_FILTER_NAME } from '../functions/enrollment/findings.ts';
import { SUBSCRIPTION_PATTERN } from '../functions/events/audit-event.ts';
import { logGroupOf } from '../functions/platform/eks-names.ts';
import type { Configuration } from './settings.ts';

/**
 * An `AWS::Logs::SubscriptionFilter` for each cluster, by logical ID; none where the function `enroll` creates them. They depend on
 * the permission because CloudWatch Logs sends a test event first.
 */
export const subscriptionFilters = ({ enrollment, clusters }: Pick<Configuration, 'enrollment' | 'clusters'>) =>
  Object.fromEntries(
    (enrollment === 'off' ? clusters : []).map((cluster) => [
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

/** Escapes `-` and `_`, which logical IDs cannot contain, with `Z`. */
const logicalId = (cluster: string) =>
  cluster.replace(/[Z_-]/g, (character) => ({ Z: 'ZZ', _: 'ZU', '-': 'ZD' })[character] ?? '');
