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
}

/** Answers DescribeCluster as Amazon EKS does (REST, JSON). */
export class EksDouble extends ServiceDouble {
  readonly clusters = new Map<string, DescribedCluster>();
  /** The names that were asked for, in the order of arrival, whatever the answer was. */
  readonly described: string[] = [];

  protected override answer(
    { url = '' }: Pick<IncomingMessage, 'url'>,
    _body: string,
    failure: ServiceAnswer | undefined,
  ): ServiceAnswer {
    const name = /^\/clusters\/([^/?]+)$/.exec(url)?.[1] ?? '';
    this.described.push(name);
    const cluster = this.clusters.get(name);
    if (failure !== undefined) return failure;
    if (cluster === undefined) return refusal(404, 'ResourceNotFoundException');
    return { status: 200, body: { cluster: description(name, cluster) } };
  }
}

function description(name: string, { status, endpoint, ca, tags = {} }: DescribedCluster) {
  const certificateAuthority = ca === undefined ? {} : { data: Buffer.from(ca).toString('base64') };
  return { name, status, endpoint, certificateAuthority, tags };
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
