import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
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
  readonly #place: string;
  readonly #account: string;
  readonly #refusals: { matches: RegExp; answer: ServiceAnswer }[] = [];

  constructor(place: { region: string; account: string }) {
    super();
    this.#account = place.account;
    this.#place = `arn:aws:eks:${place.region}:${place.account}`;
  }

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

  protected override answer(
    request: Pick<IncomingMessage, 'method' | 'url' | 'headers'>,
    body: string,
    failure: ServiceAnswer | undefined,
  ): ServiceAnswer {
    const { method = 'GET', url = '' } = request;
    const { pathname } = new URL(url, 'http://eks');
    const [, name = '', ofEntries, principal = ''] =
      /^\/clusters(?:\/([^/]+)(?:(\/access-entries)(?:\/(.+))?)?)?$/.exec(pathname) ?? [];
    this.#record(method, name, ofEntries, decodeURIComponent(principal), body);
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
      Object.assign(known, { ...(kubernetesGroups && { kubernetesGroups }), ...(username && { username }) });
    }
    const accessEntryArn = this.#entryArn(clusterName, principalArn);
    const dates = { createdAt: 1_795_444_000, modifiedAt: 1_795_444_000 };
    const accessEntry = { clusterName, principalArn, accessEntryArn, ...dates, ...entries.get(principalArn) };
    return { status: 200, body: { accessEntry } };
  }

  #entryArn(cluster: string, principal: string): string {
    const name = principal.split('/').slice(1).join('/');
    return `${this.#place}:access-entry/${cluster}/role/${this.#account}/${name}/${randomUUID()}`;
  }

  /** What IAM is asked before such a call (Service Authorization Reference, Amazon EKS). */
  #record(method: string, name: string, ofEntries: string | undefined, principal: string, body: string): void {
    const clusterArn = `${this.#place}:cluster/${name}`;
    if (name === '') this.calls.push({ action: 'eks:ListClusters', resource: '*', context: {} });
    else if (!ofEntries) this.calls.push({ action: 'eks:DescribeCluster', resource: clusterArn, context: {} });
    else {
      const { principalArn = principal, kubernetesGroups, username, type, tags } = body === '' ? {} : JSON.parse(body);
      const context = {
        'eks:principalArn': [principalArn],
        ...(kubernetesGroups && { 'eks:kubernetesGroups': kubernetesGroups }),
        ...(username && { 'eks:username': [username] }),
        ...(type && { 'eks:accessEntryType': [type] }),
      };
      const entry = this.#entryArn(name, principalArn);
      if (principal !== '') {
        const verb = { GET: 'Describe', DELETE: 'Delete' }[method] ?? 'Update';
        this.calls.push({ action: `eks:${verb}AccessEntry`, resource: entry, context });
        return;
      }
      this.calls.push({ action: 'eks:CreateAccessEntry', resource: clusterArn, context });
      const keys = Object.keys(tags ?? {});
      if (keys.length > 0)
        this.calls.push({ action: 'eks:TagResource', resource: entry, context: { 'aws:TagKeys': keys } });
    }
  }
}
