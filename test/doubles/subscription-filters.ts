import { ACCOUNT, REGION } from '../embedded-cluster/event-path.ts';
import { type AwsRequest, callsOf } from './aws-calls.ts';
import type { RecordedCall } from './iam-policy.ts';
import { refusal, type ServiceAnswer, ServiceDouble } from './service-double.ts';

export interface StoredFilter {
  filterName: string;
  filterPattern: string;
  destinationArn: string;
}

export interface StoredLogGroup {
  logGroupClass: string;
  filters: StoredFilter[];
}

const PAGE = 1;
/** A log group takes so many subscription filters. */
const SLOTS = 2;

/**
 * Amazon CloudWatch Logs with log groups and their subscription filters (AWS JSON 1.1): DescribeLogGroups and
 * DescribeSubscriptionFilters in pages, Put- and DeleteSubscriptionFilter, with a limit of filters and the refusal to put one
 * on a log group of another class than STANDARD.
 */
export class SubscriptionFiltersDouble extends ServiceDouble {
  readonly groups = new Map<string, StoredLogGroup>();
  readonly calls: RecordedCall[] = [];
  readonly #refusals: { matches: RegExp; answer: ServiceAnswer }[] = [];

  add(name: string, filters: StoredFilter[] = [], logGroupClass = 'STANDARD'): StoredLogGroup {
    const group = { logGroupClass, filters };
    this.groups.set(name, group);
    return group;
  }

  /** Every request whose `Operation logGroup` (or the beginning of its name) matches is refused. */
  refuse(matches: RegExp, type: string): void {
    this.#refusals.push({ matches, answer: refusal(400, type) });
  }

  get writes(): string[] {
    return this.calls.map(({ action }) => action).filter((action) => !action.includes(':Describe'));
  }

  protected override answer(request: AwsRequest, body: string, failure: ServiceAnswer | undefined): ServiceAnswer {
    const [, operation = ''] = /^Logs_20140328\.(\w+)$/.exec(String(request.headers['x-amz-target'])) ?? [];
    const input = JSON.parse(body);
    const { logGroupName = '' } = input;
    this.calls.push(...callsOf(request, body));
    const refused = this.#refusals.find(({ matches }) =>
      matches.test(`${operation} ${logGroupName || input.logGroupNamePrefix}`),
    );
    if (failure ?? refused) return failure ?? (refused as { answer: ServiceAnswer }).answer;
    if (operation === 'DescribeLogGroups') return this.#list(input);
    const group = this.groups.get(logGroupName);
    if (group === undefined) return refusal(400, 'ResourceNotFoundException');
    if (group.logGroupClass !== 'STANDARD' && operation.startsWith('Put')) {
      return refusal(400, 'InvalidOperationException');
    }
    switch (operation) {
      case 'DescribeSubscriptionFilters':
        return page(
          'subscriptionFilters',
          group.filters.map((filter) => ({ logGroupName, ...filter })),
          input.nextToken,
        );
      case 'PutSubscriptionFilter':
        return put(group, input);
      case 'DeleteSubscriptionFilter':
        return remove(group, input.filterName);
      default:
        return refusal(400, 'UnknownOperationException');
    }
  }

  #list({ logGroupNamePrefix = '', nextToken }: { logGroupNamePrefix?: string; nextToken?: string }): ServiceAnswer {
    const names = [...this.groups.keys()].filter((name) => name.startsWith(logGroupNamePrefix));
    const logGroups = names.map((logGroupName) => ({
      logGroupName,
      logGroupClass: this.groups.get(logGroupName)?.logGroupClass,
      arn: `arn:aws:logs:${REGION}:${ACCOUNT}:log-group:${logGroupName}:*`,
    }));
    return page('logGroups', logGroups, nextToken);
  }
}

function page(field: string, items: readonly object[], nextToken: string | undefined): ServiceAnswer {
  const from = Number(nextToken ?? 0);
  const more = from + PAGE < items.length && { nextToken: String(from + PAGE) };
  return { status: 200, body: { [field]: items.slice(from, from + PAGE), ...more } };
}

function put({ filters }: StoredLogGroup, { filterName, filterPattern, destinationArn }: StoredFilter): ServiceAnswer {
  const known = filters.find((filter) => filter.filterName === filterName);
  if (known) Object.assign(known, { filterPattern, destinationArn });
  else if (filters.length >= SLOTS) return refusal(400, 'LimitExceededException');
  else filters.push({ filterName, filterPattern, destinationArn });
  return { status: 200, body: {} };
}

function remove({ filters }: StoredLogGroup, filterName: string): ServiceAnswer {
  const index = filters.findIndex((filter) => filter.filterName === filterName);
  if (index < 0) return refusal(400, 'ResourceNotFoundException');
  filters.splice(index, 1);
  return { status: 200, body: {} };
}
