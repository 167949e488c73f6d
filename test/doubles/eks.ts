import { createHash, createHmac } from 'node:crypto';
import type { AccessEntry } from '@aws-sdk/client-eks';
import { ACCOUNT, REGION } from '../embedded-cluster/event-path.ts';
import { accessEntryArn, callsOf, eksPathOf, signatureOf } from './aws-calls.ts';
import type { RecordedCall } from './iam-policy.ts';
import { type AwsRequest, refusal, type ServiceAnswer, ServiceDouble } from './service-double.ts';

/** The part of DescribeCluster that this project reads. */
export interface DescribedCluster {
  status: string;
  endpoint?: string;
  /** PEM. */
  ca?: string;
  tags?: Record<string, string>;
  /** By default true. */
  auditLog?: boolean;
  /** False: only a private endpoint. */
  publicAccess?: boolean;
  /** The addresses that may reach the public endpoint, by default all. */
  publicAccessCidrs?: string[];
  authenticationMode?: 'CONFIG_MAP' | 'API_AND_CONFIG_MAP' | 'API';
  /** By default, the cluster is in every Region. */
  region?: string;
  /** Still listed, but gone when it is described. */
  gone?: boolean;
  /** Listed, but DescribeCluster is denied. */
  denied?: boolean;
}

/** Answers DescribeCluster and ListClusters as Amazon EKS does (REST, JSON). */
export class EksDouble extends ServiceDouble {
  readonly clusters = new Map<string, DescribedCluster>();
  /** The names in the requests, in the order of arrival, whatever the answer was. */
  readonly described: string[] = [];
  /** The Region of each page of a list, whatever the answer was. */
  readonly listed: string[] = [];
  /** The Regions in which ListClusters is denied. */
  readonly deniedRegions = new Set<string>();
  /** The accounts of access keys, by default all the same. */
  readonly accounts = new Map<string, string>();
  /** The maximum number of names in a page of ListClusters. */
  pageSize = 100;
  /** Called before a cluster is described. */
  onDescribe: ((name: string) => void) | undefined;

  protected override answer(request: AwsRequest, _body: string, refused: ServiceAnswer | undefined): ServiceAnswer {
    const { accessKeyId, region } = signatureOf(request);
    const account = this.accounts.get(accessKeyId) ?? ACCOUNT;
    const isInRegion = (cluster: DescribedCluster) => (cluster.region ?? region) === region;
    const { cluster: name } = eksPathOf(request);
    if (name === undefined) {
      this.listed.push(region);
      if (this.deniedRegions.has(region)) return refusal(403, 'AccessDeniedException');
      const names = [...this.clusters].filter(([, cluster]) => isInRegion(cluster)).map(([named]) => named);
      const { searchParams } = new URL(request.url ?? '', 'http://eks');
      return refused ?? { status: 200, body: page(names, searchParams, this.pageSize) };
    }
    this.described.push(name);
    this.onDescribe?.(name);
    const cluster = this.clusters.get(name);
    if (refused) return refused;
    if (cluster === undefined || cluster.gone || !isInRegion(cluster)) return refusal(404, 'ResourceNotFoundException');
    if (cluster.denied) return refusal(403, 'AccessDeniedException');
    const arn = `arn:aws:eks:${region}:${account}:cluster/${name}`;
    return { status: 200, body: { cluster: { arn, name, ...description(cluster) } } };
  }
}

function page(names: readonly string[], query: URLSearchParams, pageSize: number) {
  const start = Number(query.get('nextToken') ?? 0);
  const end = start + Math.min(Number(query.get('maxResults') ?? pageSize), pageSize);
  return { clusters: names.slice(start, end), nextToken: end < names.length ? String(end) : null };
}

function description({ status, endpoint, ca, tags = {}, auditLog = true, ...access }: DescribedCluster) {
  const { authenticationMode, publicAccess = true, publicAccessCidrs = ['0.0.0.0/0'] } = access;
  const others = { enabled: false, types: ['api', 'authenticator', 'controllerManager', 'scheduler'] };
  const endpoints = { endpointPublicAccess: publicAccess, endpointPrivateAccess: !publicAccess };
  return {
    ...{ status, endpoint, tags },
    certificateAuthority: { data: ca && Buffer.from(ca).toString('base64') },
    logging: { clusterLogging: [{ enabled: auditLog, types: ['audit'] }, others] },
    resourcesVpcConfig: { ...endpoints, publicAccessCidrs },
    accessConfig: authenticationMode && { authenticationMode },
  };
}

export type StoredEntry = Required<Pick<AccessEntry, 'kubernetesGroups' | 'username' | 'type' | 'tags'>>;

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

const PREFIX = 'k8s-aws-v1.';

/**
 * Reads a bearer token as aws-iam-authenticator does.
 *
 * @returns the presigned URL of STS, and a check of its signature that is independent of the library that signed it: as STS does it
 *   (Signature Version 4, query string)
 */
export function readEksToken(token: string) {
  const encoded = token.slice(PREFIX.length);
  if (!token.startsWith(PREFIX) || !/^[A-Za-z0-9_-]+$/.test(encoded)) return undefined;
  const url = new URL(Buffer.from(encoded, 'base64url').toString());
  return {
    url,
    isGoodFor(cluster: string, secretAccessKey: string): boolean {
      const signed = new Map([...url.searchParams].filter(([name]) => name !== 'X-Amz-Signature'));
      const [, date = '', region = '', service = ''] = (signed.get('X-Amz-Credential') ?? '').split('/');
      const canonical = [
        'GET',
        '/',
        Array.from(signed, (pair) => pair.map(percentEncode).join('='))
          .toSorted()
          .join('&'),
        `host:${url.host}`,
        `x-k8s-aws-id:${cluster}`,
        '',
        'host;x-k8s-aws-id',
        sha256(''),
      ].join('\n');
      const toSign = [
        'AWS4-HMAC-SHA256',
        signed.get('X-Amz-Date'),
        `${date}/${region}/${service}/aws4_request`,
        sha256(canonical),
      ].join('\n');
      const key = [date, region, service, 'aws4_request'].reduce<string | Buffer>(hmac, `AWS4${secretAccessKey}`);
      return hmac(key, toSign).toString('hex') === url.searchParams.get('X-Amz-Signature');
    },
  };
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();
const percentEncode = (text: string) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
