import type { IncomingMessage } from 'node:http';
import { ACCOUNT } from '../embedded-cluster/event-path.ts';
import type { RecordedCall } from './iam-policy.ts';

export type AwsRequest = Pick<IncomingMessage, 'method' | 'url' | 'headers'>;

/** What a signature says of a request: who signed it, for which Region and service. */
export function signatureOf({ headers }: AwsRequest): { accessKeyId: string; region: string; service: string } {
  const [, accessKeyId, region, service] =
    /Credential=([^/]+)\/\d+\/([^/]+)\/([^/]+)\//.exec(headers.authorization ?? '') ?? [];
  if (!accessKeyId || !region || !service) throw new Error('a request without a signature of AWS');
  return { accessKeyId, region, service };
}

/**
 * What IAM is asked before a request is carried out: actions, resources and condition keys as the Service Authorization
 * Reference has them.
 *
 * @throws {Error} for a request of which nobody has looked that up
 */
export function callsOf(request: AwsRequest, body: string): RecordedCall[] {
  const { region, service } = signatureOf(request);
  const place = `arn:aws:${service}:${region}:${ACCOUNT}`;
  const calls = SERVICES.get(service)?.(request, body, place);
  if (calls) return calls;
  throw new Error(`what does IAM ask before ${service} ${request.method} ${request.url}? test/doubles/aws-calls.ts`);
}

type CallsOfService = (request: AwsRequest, body: string, place: string) => RecordedCall[] | undefined;
const SERVICES = new Map<string, CallsOfService>([
  ['eks', eksCalls],
  ['events', eventsCalls],
  ['logs', logsCalls],
  ['sns', snsCalls],
]);

function eksCalls({ method = 'GET', url = '' }: AwsRequest, body: string, place: string): RecordedCall[] | undefined {
  const { pathname } = new URL(url, 'http://eks');
  const [matched, name, ofEntries, encoded] =
    /^\/clusters(?:\/([^/]+)(?:(\/access-entries)(?:\/(.+))?)?)?$/.exec(pathname) ?? [];
  if (matched === undefined) return undefined;
  if (name === undefined) return [{ action: 'eks:ListClusters', resource: '*', context: {} }];
  const cluster = `${place}:cluster/${name}`;
  if (!ofEntries) return [{ action: 'eks:DescribeCluster', resource: cluster, context: {} }];
  const input = body === '' ? {} : JSON.parse(body);
  const { principalArn = decodeURIComponent(encoded ?? ''), kubernetesGroups, username, type, tags = {} } = input;
  const context = {
    'eks:principalArn': [principalArn],
    ...(kubernetesGroups && { 'eks:kubernetesGroups': kubernetesGroups }),
    ...(username && { 'eks:username': [username] }),
    ...(type && { 'eks:accessEntryType': [type] }),
  };
  const resource = accessEntryArn(place, name, principalArn);
  if (encoded !== undefined) {
    const verb = { GET: 'Describe', DELETE: 'Delete' }[method] ?? 'Update';
    return [{ action: `eks:${verb}AccessEntry`, resource, context }];
  }
  const create = { action: 'eks:CreateAccessEntry', resource: cluster, context };
  const keys = Object.keys(tags);
  const tag = { action: 'eks:TagResource', resource, context: { 'aws:TagKeys': keys } };
  return keys.length > 0 ? [create, tag] : [create];
}

/** @param place `arn:aws:eks:<Region>:<account>`; EKS ends the ARN with a UUID */
export function accessEntryArn(place: string, cluster: string, principalArn: string): string {
  const [account, role] = [principalArn.split(':')[4], principalArn.split('/').slice(1).join('/')];
  return `${place}:access-entry/${cluster}/role/${account}/${role}/${crypto.randomUUID()}`;
}

function eventsCalls({ headers }: AwsRequest, body: string, place: string): RecordedCall[] | undefined {
  if (headers['x-amz-target'] !== 'AWSEvents.PutEvents') return undefined;
  const { Entries } = JSON.parse(body) as { Entries: Record<'EventBusName' | 'Source' | 'DetailType', string>[] };
  const values = (key: 'EventBusName' | 'Source' | 'DetailType') => [...new Set(Entries.map((entry) => entry[key]))];
  const context = { 'events:source': values('Source'), 'events:detail-type': values('DetailType') };
  return values('EventBusName').map((bus) => ({
    action: 'events:PutEvents',
    resource: bus.startsWith('arn:') ? bus : `${place}:event-bus/${bus}`,
    context,
  }));
}

function logsCalls({ headers }: AwsRequest, body: string, place: string): RecordedCall[] | undefined {
  const [, operation] = /^Logs_20140328\.(\w+)$/.exec(String(headers['x-amz-target'])) ?? [];
  if (operation === undefined) return undefined;
  const { logGroupName = '', destinationArn } = JSON.parse(body);
  return [
    {
      action: `logs:${operation}`,
      resource: `${place}:log-group:${logGroupName}:log-stream:`,
      context: destinationArn === undefined ? {} : { 'logs:DestinationArn': [destinationArn] },
    },
  ];
}

function snsCalls(_request: AwsRequest, body: string): RecordedCall[] | undefined {
  const form = new URLSearchParams(body);
  if (form.get('Action') !== 'Publish') return undefined;
  return [{ action: 'sns:Publish', resource: form.get('TopicArn') ?? '', context: {} }];
}
