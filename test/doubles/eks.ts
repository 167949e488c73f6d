import { createHash, createHmac } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { refusal, type ServiceAnswer, ServiceDouble } from './service-double.ts';

/** What DescribeCluster says of a cluster, as far as this project reads it. */
export interface DescribedCluster {
  status: string;
  endpoint?: string;
  /** PEM. */
  ca?: string;
  tags?: Record<string, string>;
  /** Off, no audit line leaves the cluster. On, where a test does not say. */
  auditLog?: boolean;
  /** False: only a private endpoint. */
  publicAccess?: boolean;
  /** Who may reach the public endpoint; everybody, where a test does not say. */
  publicAccessCidrs?: string[];
  authenticationMode?: 'CONFIG_MAP' | 'API_AND_CONFIG_MAP' | 'API';
  /** Where it is; in every Region, where a test does not say. */
  region?: string;
  /** Still listed, and gone when it is described. */
  gone?: boolean;
  /** Listed, and not to be described. */
  denied?: boolean;
}

/** Whose clusters they are. */
const ACCOUNT = '123456789012';

/** Answers DescribeCluster and ListClusters as Amazon EKS does (REST, JSON). */
export class EksDouble extends ServiceDouble {
  readonly clusters = new Map<string, DescribedCluster>();
  /** The names that were asked for, in the order of arrival, whatever the answer was. */
  readonly described: string[] = [];
  /** The Regions whose clusters were listed, one for each page, whatever the answer was. */
  readonly listed: string[] = [];
  /** The access keys that anything was asked with. */
  readonly accessKeys = new Set<string>();
  /** Regions that a caller is not let into. */
  readonly deniedRegions = new Set<string>();
  /** ListClusters gives at most so many names a page. */
  pageSize = 100;
  /** What happens right before a cluster is described. */
  onDescribe: ((name: string) => void) | undefined;

  protected override answer(
    { url = '', headers }: Pick<IncomingMessage, 'url' | 'headers'>,
    _body: string,
    failure: ServiceAnswer | undefined,
  ): ServiceAnswer {
    const [, accessKey = '', region = ''] =
      /Credential=([^/]+)\/\d+\/([^/]+)\/eks\//.exec(headers.authorization ?? '') ?? [];
    this.accessKeys.add(accessKey);
    const isThere = (cluster: DescribedCluster | undefined) => cluster && (cluster.region ?? region) === region;
    const { pathname, searchParams } = new URL(url, 'http://eks');
    if (pathname === '/clusters') {
      this.listed.push(region);
      if (this.deniedRegions.has(region)) return refusal(403, 'AccessDeniedException');
      const names = [...this.clusters].filter(([, cluster]) => isThere(cluster)).map(([name]) => name);
      return failure ?? { status: 200, body: page(names, searchParams, this.pageSize) };
    }
    const name = /^\/clusters\/([^/]+)$/.exec(pathname)?.[1] ?? '';
    this.described.push(name);
    this.onDescribe?.(name);
    const cluster = this.clusters.get(name);
    if (failure !== undefined) return failure;
    if (cluster === undefined || cluster.gone || !isThere(cluster)) return refusal(404, 'ResourceNotFoundException');
    if (cluster.denied) return refusal(403, 'AccessDeniedException');
    const arn = `arn:aws:eks:${cluster.region ?? region}:${ACCOUNT}:cluster/${name}`;
    return { status: 200, body: { cluster: { arn, ...description(name, cluster) } } };
  }
}

function page(names: readonly string[], query: URLSearchParams, pageSize: number) {
  const start = Number(query.get('nextToken') ?? 0);
  const end = start + Math.min(Number(query.get('maxResults') ?? pageSize), pageSize);
  return { clusters: names.slice(start, end), nextToken: end < names.length ? String(end) : null };
}

const LOG_TYPES = ['api', 'audit', 'authenticator', 'controllerManager', 'scheduler'];

function description(
  name: string,
  { status, endpoint, ca, tags = {}, auditLog = true, publicAccess = true, ...access }: DescribedCluster,
) {
  const { authenticationMode, publicAccessCidrs = ['0.0.0.0/0'] } = access;
  const certificateAuthority = ca === undefined ? {} : { data: Buffer.from(ca).toString('base64') };
  const enabled = auditLog ? ['audit'] : [];
  const clusterLogging = [
    ...(enabled.length > 0 ? [{ enabled: true, types: enabled }] : []),
    { enabled: false, types: LOG_TYPES.filter((type) => !enabled.includes(type)) },
  ];
  const endpoints = { endpointPublicAccess: publicAccess, endpointPrivateAccess: !publicAccess };
  const resourcesVpcConfig = { ...endpoints, publicAccessCidrs };
  const accessConfig = authenticationMode === undefined ? {} : { accessConfig: { authenticationMode } };
  const logging = { clusterLogging };
  return { name, status, endpoint, certificateAuthority, tags, logging, resourcesVpcConfig, ...accessConfig };
}

/** What a token says, and whether its signature is that of the key: reckoned by hand, not with the library that signed it. */
export interface EksToken {
  /** The presigned URL of STS. */
  url: URL;
  /** The cluster that the token would be good for, if it is. */
  isGoodFor(cluster: string, secretAccessKey: string): boolean;
}

const PREFIX = 'k8s-aws-v1.';

/**
 * Reads a bearer token as aws-iam-authenticator does, and checks it as STS does (Signature Version 4, query string).
 *
 * @returns `undefined` for what is none
 */
export function readEksToken(token: string): EksToken | undefined {
  const encoded = token.slice(PREFIX.length);
  if (!token.startsWith(PREFIX) || !/^[A-Za-z0-9_-]+$/.test(encoded)) return undefined;
  const url = new URL(Buffer.from(encoded, 'base64url').toString());
  return {
    url,
    isGoodFor(cluster, secretAccessKey) {
      const signed = new Map([...url.searchParams].filter(([name]) => name !== 'X-Amz-Signature'));
      const [, date = '', region = '', service = ''] = (signed.get('X-Amz-Credential') ?? '').split('/');
      const canonical = [
        'GET',
        '/',
        [...signed]
          .map((pair) => pair.map(percentEncode).join('='))
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
