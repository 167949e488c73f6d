import type { IncomingMessage } from 'node:http';
import { refusal, type ServiceAnswer, ServiceDouble } from './service-double.ts';

export interface LogGroupOfDouble {
  logGroupName: string;
  logGroupClass: string;
  filters: { filterName: string; filterPattern: string; destinationArn: string }[];
}

/** Answers DescribeLogGroups and DescribeSubscriptionFilters as CloudWatch Logs does (JSON 1.1), one item a page. */
export class LogGroupsDouble extends ServiceDouble {
  readonly groups: LogGroupOfDouble[] = [];
  /** Calls that the credentials do not allow: `DescribeLogGroups <name of the group>`. */
  readonly denied = new Set<string>();
  /** The names of the calls, in the order of their arrival. */
  readonly calls: string[] = [];

  protected override answer(
    { headers }: Pick<IncomingMessage, 'headers'>,
    body: string,
    failure: ServiceAnswer | undefined,
  ): ServiceAnswer {
    const call = String(headers['x-amz-target']).split('.')[1] ?? '';
    this.calls.push(call);
    if (failure !== undefined) return failure;
    const { logGroupNamePrefix = '', logGroupName, nextToken } = JSON.parse(body);
    if (this.denied.has(`${call} ${logGroupName ?? logGroupNamePrefix}`)) return refusal(400, 'AccessDeniedException');
    if (call === 'DescribeLogGroups') {
      const named = this.groups.filter((group) => group.logGroupName.startsWith(logGroupNamePrefix));
      const logGroups = named.map(({ filters: _, ...group }) => group);
      return page('logGroups', logGroups, nextToken);
    }
    const group = this.groups.find((one) => one.logGroupName === logGroupName);
    if (call !== 'DescribeSubscriptionFilters' || group === undefined) return refusal(400, 'ResourceNotFoundException');
    return page('subscriptionFilters', group.filters, nextToken);
  }
}

function page(field: string, items: readonly object[], nextToken: string | undefined): ServiceAnswer {
  const at = Number(nextToken ?? 0);
  const isLast = at + 1 >= items.length;
  return { status: 200, body: { [field]: items.slice(at, at + 1), ...(!isLast && { nextToken: String(at + 1) }) } };
}
