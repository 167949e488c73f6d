import { ACCOUNT, REGION } from '../embedded-cluster/event-path.ts';
import { type AwsRequest, accessEntryArn, callsOf } from './aws-calls.ts';
import { type DescribedCluster, EksDouble } from './eks.ts';
import type { RecordedCall } from './iam-policy.ts';
import { refusal, type ServiceAnswer } from './service-double.ts';

export interface StoredEntry {
  kubernetesGroups: string[];
  username: string;
  type: string;
  tags: Record<string, string>;
}

export interface AccountCluster extends DescribedCluster {
  /** By the ARN of the principal. */
  entries: Map<string, StoredEntry>;
}

/** Answers, besides, Create-, Describe-, Update- and DeleteAccessEntry, and records what IAM is asked for each request. */
export class EksAccountDouble extends EksDouble {
  override readonly clusters = new Map<string, AccountCluster>();
  override pageSize = 2;
  readonly calls: RecordedCall[] = [];
  readonly #refusals: { matches: RegExp; answer: ServiceAnswer }[] = [];

  add(name: string, change: Partial<AccountCluster> = {}): AccountCluster {
    const cluster: AccountCluster = {
      ...{ status: 'ACTIVE', tags: {}, authenticationMode: 'API', entries: new Map() },
      ...change,
    };
    this.clusters.set(name, cluster);
    return cluster;
  }

  /** Every request whose `METHOD /path` matches is refused. */
  refuse(matches: RegExp, status: number, type: string): void {
    this.#refusals.push({ matches, answer: refusal(status, type) });
  }

  get writes(): string[] {
    return this.calls.map(({ action }) => action).filter((action) => !/:(Describe|List)/.test(action));
  }

  protected override answer(request: AwsRequest, body: string, failure: ServiceAnswer | undefined): ServiceAnswer {
    const { method = 'GET', url = '' } = request;
    const { pathname } = new URL(url, 'http://eks');
    const [, name = '', ofEntries, principal = ''] =
      /^\/clusters(?:\/([^/]+)(?:(\/access-entries)(?:\/(.+))?)?)?$/.exec(pathname) ?? [];
    this.calls.push(...callsOf(request, body));
    const refused = this.#refusals.find(({ matches }) => matches.test(`${method} ${decodeURIComponent(pathname)}`));
    if (failure ?? refused) return failure ?? (refused as { answer: ServiceAnswer }).answer;
    if (!ofEntries) return super.answer(request, body, undefined);
    const cluster = this.clusters.get(name);
    if (cluster === undefined) return refusal(404, 'ResourceNotFoundException');
    return this.#entry(method, name, cluster, decodeURIComponent(principal), body);
  }

  #entry(
    method: string,
    clusterName: string,
    { entries, authenticationMode, status }: AccountCluster,
    principal: string,
    body: string,
  ): ServiceAnswer {
    if (authenticationMode === 'CONFIG_MAP') return refusal(400, 'InvalidRequestException');
    const { principalArn = principal, ...given } = body === '' ? {} : JSON.parse(body);
    const known = entries.get(principalArn);
    if (principal === '') {
      if (status !== 'ACTIVE') return refusal(400, 'InvalidRequestException');
      if (known) return refusal(409, 'ResourceInUseException');
      const [, account, role] = /^arn:aws:iam::(\d+):role\/(?:.*\/)?([^/]+)$/.exec(principalArn) ?? [];
      const username = `arn:aws:sts::${account}:assumed-role/${role}/{{SessionName}}`;
      const { kubernetesGroups = [], type = 'STANDARD', tags = {} } = given;
      entries.set(principalArn, { kubernetesGroups, username: given.username ?? username, type, tags });
    } else if (known === undefined) {
      return refusal(404, 'ResourceNotFoundException');
    } else if (method === 'DELETE') {
      entries.delete(principalArn);
      return { status: 200, body: {} };
    } else if (method === 'POST') {
      const { kubernetesGroups, username } = given;
      Object.assign(known, { kubernetesGroups, username });
    }
    const entryArn = accessEntryArn(`arn:aws:eks:${REGION}:${ACCOUNT}`, clusterName, principalArn);
    const dates = { createdAt: 1_795_444_000, modifiedAt: 1_795_444_000 };
    const accessEntry = { clusterName, principalArn, accessEntryArn: entryArn, ...dates, ...entries.get(principalArn) };
    return { status: 200, body: { accessEntry } };
  }
}
