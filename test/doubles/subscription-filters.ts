import { callsOf } from './aws-calls.ts';
import type { RecordedCall } from './iam-policy.ts';
import { type AwsRequest, refusal, type ServiceAnswer, ServiceDouble } from './service-double.ts';

export type StoredFilter = Record<'filterName' | 'filterPattern' | 'destinationArn', string>;

interface StoredLogGroup {
  logGroupClass: string;
  filters: StoredFilter[];
}

/** The size of a page. */
const PAGE = 1;
/** The maximum number of subscription filters of a log group. */
const SLOTS = 2;

/** The log groups of Amazon CloudWatch Logs and their subscription filters (AWS JSON 1.1). Records what IAM authorizes. */
export class SubscriptionFiltersDouble extends ServiceDouble {
  readonly groups = new Map<string, StoredLogGroup>();
  readonly calls: RecordedCall[] = [];

  add(name: string, filters: StoredFilter[] = [], logGroupClass = 'STANDARD'): StoredLogGroup {
    const group = { logGroupClass, filters };
    this.groups.set(name, group);
    return group;
  }

  get writes(): string[] {
    return this.calls.map(({ action }) => action).filter((action) => !action.includes(':Describe'));
  }

  /** `Operation logGroup`, with the prefix in the place of the log group in a search. */
  protected override nameOf({ headers }: AwsRequest, body: string): string {
    const { logGroupName, logGroupNamePrefix } = JSON.parse(body);
    return `${String(headers['x-amz-target']).replace('Logs_20140328.', '')} ${logGroupName ?? logGroupNamePrefix}`;
  }

  protected override answer(request: AwsRequest, body: string, refused: ServiceAnswer | undefined): ServiceAnswer {
    this.calls.push(...callsOf(request, body));
    if (refused) return refused;
    const [operation = ''] = this.nameOf(request, body).split(' ');
    const { logGroupName = '', logGroupNamePrefix = '', nextToken, ...input } = JSON.parse(body);
    if (operation === 'DescribeLogGroups') {
      const found = [...this.groups].filter(([name]) => name.startsWith(logGroupNamePrefix));
      const logGroups = found.map(([name, { logGroupClass }]) => ({ logGroupName: name, logGroupClass }));
      return page('logGroups', logGroups, nextToken);
    }
    const group = this.groups.get(logGroupName);
    if (group === undefined) return refusal(400, 'ResourceNotFoundException');
    const { filters, logGroupClass } = group;
    const index = filters.findIndex(({ filterName }) => filterName === input.filterName);
    switch (operation) {
      case 'DescribeSubscriptionFilters':
        return page('subscriptionFilters', filters, nextToken);
      case 'PutSubscriptionFilter': {
        if (logGroupClass !== 'STANDARD') return refusal(400, 'InvalidOperationException');
        if (index < 0 && filters.length >= SLOTS) return refusal(400, 'LimitExceededException');
        const { filterName, filterPattern, destinationArn } = input;
        filters[index < 0 ? filters.length : index] = { filterName, filterPattern, destinationArn };
        return { status: 200, body: {} };
      }
      case 'DeleteSubscriptionFilter':
        if (index < 0) return refusal(400, 'ResourceNotFoundException');
        filters.splice(index, 1);
        return { status: 200, body: {} };
      default:
        return refusal(400, 'UnknownOperationException');
    }
  }
}

function page(field: string, items: readonly object[], nextToken = '0'): ServiceAnswer {
  const end = Number(nextToken) + PAGE;
  const more = end < items.length && { nextToken: String(end) };
  return { status: 200, body: { [field]: items.slice(Number(nextToken), end), ...more } };
}
