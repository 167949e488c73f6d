import { ACCOUNT } from '../embedded-cluster/event-path.ts';
import type { RecordedCall } from './iam-policy.ts';
import type { AwsRequest } from './service-double.ts';

/** The signer of a request, and the Region and service that it is for, from the signature. */
export function signatureOf({ headers }: AwsRequest): { accessKeyId: string; region: string; service: string } {
  const [, accessKeyId, region, service] =
    /Credential=([^/]+)\/\d+\/([^/]+)\/([^/]+)\//.exec(headers.authorization ?? '') ?? [];
  if (!accessKeyId || !region || !service) throw new Error('a request without a signature of AWS');
  return { accessKeyId, region, service };
}

/**
 * The calls that IAM authorizes before a request is carried out, with the resources and condition keys of the Service
 * Authorization Reference.
 *
 * @throws {Error} for a request that nobody has looked up there
 */
export function callsOf(request: AwsRequest, body: string): RecordedCall[] {
  const { region, service } = signatureOf(request);
  const prefix = `arn:aws:${service}:${region}:${ACCOUNT}`;
  const [, operation] = /\.(\w+)$/.exec(String(request.headers['x-amz-target'])) ?? [];
  if (service === 'eks') return eksCalls(request, body, prefix);
  if (service === 'logs' && operation) return logsCalls(operation, body, prefix);
  if (service === 'events' && operation === 'PutEvents') return eventsCalls(body, prefix);
  throw new Error(`look up what IAM authorizes before ${service} ${request.method} ${request.url}: aws-calls.ts`);
}

/** The cluster, whether it is about access entries, and the principal of one, from the path of a request to EKS. */
export function eksPathOf({ url = '' }: AwsRequest): { cluster?: string; isOfEntries: boolean; principalArn?: string } {
  const { pathname } = new URL(url, 'http://eks');
  const match = /^\/clusters(?:\/([^/]+)(?:(\/access-entries)(?:\/(.+))?)?)?$/.exec(pathname);
  if (!match) throw new Error(`no path of EKS: ${pathname}`);
  const [, cluster, entries, principal] = match;
  return { cluster, isOfEntries: entries !== undefined, principalArn: principal && decodeURIComponent(principal) };
}

function eksCalls(request: AwsRequest, body: string, prefix: string): RecordedCall[] {
  const { cluster: name, isOfEntries, principalArn: named } = eksPathOf(request);
  if (name === undefined) return [{ action: 'eks:ListClusters', resource: '*', context: {} }];
  const cluster = `${prefix}:cluster/${name}`;
  if (!isOfEntries) return [{ action: 'eks:DescribeCluster', resource: cluster, context: {} }];
  const input = body === '' ? {} : JSON.parse(body);
  const { principalArn = named, kubernetesGroups, username, type, tags = {} } = input;
  const context = {
    'eks:principalArn': [principalArn],
    ...(kubernetesGroups && { 'eks:kubernetesGroups': kubernetesGroups }),
    ...(username && { 'eks:username': [username] }),
    ...(type && { 'eks:accessEntryType': [type] }),
  };
  const resource = accessEntryArn(prefix, name, principalArn);
  if (named !== undefined) {
    const verb = { GET: 'Describe', DELETE: 'Delete' }[request.method ?? ''] ?? 'Update';
    return [{ action: `eks:${verb}AccessEntry`, resource, context }];
  }
  const create = { action: 'eks:CreateAccessEntry', resource: cluster, context };
  const keys = Object.keys(tags);
  const tag = { action: 'eks:TagResource', resource, context: { 'aws:TagKeys': keys } };
  return keys.length > 0 ? [create, tag] : [create];
}

/** @param prefix `arn:aws:eks:<Region>:<account>` */
export function accessEntryArn(prefix: string, cluster: string, principalArn: string): string {
  const [account, role] = [principalArn.split(':')[4], principalArn.split('/').slice(1).join('/')];
  return `${prefix}:access-entry/${cluster}/role/${account}/${role}/${crypto.randomUUID()}`;
}

function eventsCalls(body: string, prefix: string): RecordedCall[] {
  const { Entries } = JSON.parse(body) as { Entries: Record<'EventBusName' | 'Source' | 'DetailType', string>[] };
  const values = (key: 'EventBusName' | 'Source' | 'DetailType') => [...new Set(Entries.map((entry) => entry[key]))];
  const context = { 'events:source': values('Source'), 'events:detail-type': values('DetailType') };
  return values('EventBusName').map((bus) => ({
    action: 'events:PutEvents',
    resource: bus.startsWith('arn:') ? bus : `${prefix}:event-bus/${bus}`,
    context,
  }));
}

function logsCalls(operation: string, body: string, prefix: string): RecordedCall[] {
  const { logGroupName = '', destinationArn } = JSON.parse(body);
  const context: RecordedCall['context'] = destinationArn ? { 'logs:DestinationArn': [destinationArn] } : {};
  // IAM supports no resource for DescribeLogGroups.
  const resource = operation === 'DescribeLogGroups' ? '*' : `${prefix}:log-group:${logGroupName}:log-stream:`;
  return [{ action: `logs:${operation}`, resource, context }];
}
