import { ACCOUNT, REGION } from '../embedded-cluster/event-path.ts';
import { accessEntryArn, callsOf, eksPathOf } from './aws-calls.ts';
import { type DescribedCluster, EksDouble } from './eks.ts';
import type { RecordedCall } from './iam-policy.ts';
import { type AwsRequest, refusal, type ServiceAnswer } from './service-double.ts';

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

/** EKS with access entries (Create-, Describe-, Update- and DeleteAccessEntry). Records what IAM authorizes. */
export class EksAccountDouble extends EksDouble {
  override readonly clusters = new Map<string, AccountCluster>();
  override pageSize = 2;
  readonly calls: RecordedCall[] = [];

  add(name: string, change: Partial<AccountCluster> = {}): AccountCluster {
    const cluster: AccountCluster = {
      ...{ status: 'ACTIVE', tags: {}, authenticationMode: 'API', entries: new Map() },
      ...change,
    };
    this.clusters.set(name, cluster);
    return cluster;
  }

  get writes(): string[] {
    return this.calls.map(({ action }) => action).filter((action) => !/:(Describe|List)/.test(action));
  }

  protected override answer(request: AwsRequest, body: string, refused: ServiceAnswer | undefined): ServiceAnswer {
    this.calls.push(...callsOf(request, body));
    if (refused) return refused;
    const { cluster: name = '', isOfEntries, principalArn: named } = eksPathOf(request);
    if (!isOfEntries) return super.answer(request, body, undefined);
    const { entries, authenticationMode, status } = this.clusters.get(name) ?? {};
    if (!entries) return refusal(404, 'ResourceNotFoundException');
    if (authenticationMode === 'CONFIG_MAP') return refusal(400, 'InvalidRequestException');
    const { principalArn = named, ...input } = body === '' ? {} : JSON.parse(body);
    const known = entries.get(principalArn);
    if (named === undefined) {
      if (status !== 'ACTIVE') return refusal(400, 'InvalidRequestException');
      if (known) return refusal(409, 'ResourceInUseException');
      const [, account, role] = /^arn:aws:iam::(\d+):role\/(?:.*\/)?([^/]+)$/.exec(principalArn) ?? [];
      const username = `arn:aws:sts::${account}:assumed-role/${role}/{{SessionName}}`;
      const { kubernetesGroups = [], type = 'STANDARD', tags = {} } = input;
      entries.set(principalArn, { kubernetesGroups, username: input.username ?? username, type, tags });
    } else if (known === undefined) {
      return refusal(404, 'ResourceNotFoundException');
    } else if (request.method === 'DELETE') {
      entries.delete(principalArn);
      return { status: 200, body: {} };
    } else if (request.method === 'POST') {
      const { kubernetesGroups, username } = input;
      Object.assign(known, { kubernetesGroups, username });
    }
    const entryArn = accessEntryArn(`arn:aws:eks:${REGION}:${ACCOUNT}`, name, principalArn);
    const dates = { createdAt: 1_795_444_000, modifiedAt: 1_795_444_000 };
    const accessEntry = { clusterName: name, principalArn, accessEntryArn: entryArn, ...dates };
    return { status: 200, body: { accessEntry: { ...accessEntry, ...entries.get(principalArn) } } };
  }
}
