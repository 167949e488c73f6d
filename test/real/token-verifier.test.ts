import { execFile, execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { EKSClient } from '@aws-sdk/client-eks';
import { SignatureV4 } from '@smithy/signature-v4';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { eksToken } from '../../functions/aws/eks-token.ts';
import { StsDouble } from '../doubles/sts.ts';

/*
 * How an EKS cluster verifies the tokens of this project: the authenticator's own verification, with an STS that calculates
 * the signature itself. STS decides whether a token is for this cluster: the cluster's name is not in the token but in the
 * header that was signed.
 */

const credentials = { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'secret', sessionToken: 'session/+=' };
const CLUSTER = 'shop';

let verifier: string;
beforeAll(() => {
  const script = join(import.meta.dirname, 'token-verifier', 'build.sh');
  verifier = execFileSync('bash', [script], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();
}, 300_000);

const target = (change: Partial<Target> = {}) => ({
  cluster: CLUSTER,
  partition: 'aws',
  region: 'eu-central-1',
  ...change,
});
type Target = Record<'cluster' | 'partition' | 'region', string>;
interface Signing {
  now?: () => Date;
  secretAccessKey?: string;
}

/** The answer of a cluster's API server to a token, and the requests to STS. */
async function verify(token: string, { cluster, partition, region }: Target) {
  const sts = new StsDouble(credentials.secretAccessKey, {
    Account: '111122223333',
    Arn: `arn:${partition}:sts::111122223333:assumed-role/envoy-hpa-reaper/reap`,
    UserId: 'AROAEXAMPLE:reap',
  });
  onTestFinished(() => sts.stop());
  const { host } = new URL(await sts.start());
  const running = promisify(execFile)(verifier, [cluster, partition, region, host]);
  running.child.stdin?.end(token);
  const { stdout } = await running;
  return { answer: JSON.parse(stdout), asked: sts.asked };
}

async function tokenFor(
  { cluster, region }: Target,
  { now = () => new Date(), ...key }: Signing = {},
): Promise<string> {
  const eks = new EKSClient({ region, credentials: { ...credentials, ...key } });
  onTestFinished(() => eks.destroy());
  return await eksToken(eks, cluster, region, now)();
}

const minutesAgo = (minutes: number) => () => new Date(Date.now() - minutes * 60_000);

test.each([
  ['eu-central-1', 'aws', 'sts.eu-central-1.amazonaws.com'],
  ['us-east-1', 'aws', 'sts.us-east-1.amazonaws.com'],
  // Opened after the last version of the authenticator: it admits its own cluster's Region beside those that it knows.
  ['mx-central-1', 'aws', 'sts.mx-central-1.amazonaws.com'],
  ['cn-north-1', 'aws-cn', 'sts.cn-north-1.amazonaws.com.cn'],
  ['us-gov-west-1', 'aws-us-gov', 'sts.us-gov-west-1.amazonaws.com'],
  ['us-iso-east-1', 'aws-iso', 'sts.us-iso-east-1.c2s.ic.gov'],
])('authenticates a token for a cluster in %s (%s) with the STS of the Region', async (region, partition, host) => {
  const inRegion = target({ region, partition });
  const { answer, asked } = await verify(await tokenFor(inRegion), inRegion);
  expect(answer).toEqual({
    ARN: `arn:${partition}:sts::111122223333:assumed-role/envoy-hpa-reaper/reap`,
    CanonicalARN: `arn:${partition}:iam::111122223333:role/envoy-hpa-reaper`,
    AccountID: '111122223333',
    UserID: 'AROAEXAMPLE',
    SessionName: 'reap',
    AccessKeyID: credentials.accessKeyId,
  });
  expect(asked).toEqual([`GET https://${host}/`]);
});

test('authenticates a token in the last minute in which this project uses it', async () => {
  const { answer } = await verify(await tokenFor(target(), { now: minutesAgo(13.9) }), target());
  expect(answer).toMatchObject({ UserID: 'AROAEXAMPLE' });
});

/** A token with the signature of another STS request. */
async function tokenOfAnotherAction(): Promise<string> {
  const hostname = 'sts.eu-central-1.amazonaws.com';
  const { config } = new EKSClient({ region: 'eu-central-1', credentials });
  const signer = new SignatureV4({ credentials, region: 'eu-central-1', service: 'sts', sha256: config.sha256 });
  const query = { Action: 'GetSessionToken', Version: '2011-06-15' };
  const headers = { host: hostname, 'x-k8s-aws-id': CLUSTER };
  const request = { method: 'GET', protocol: 'https:', hostname, path: '/', query, headers };
  const presigned = await signer.presign(request, { expiresIn: 60 });
  const url = `https://${hostname}/?${new URLSearchParams(presigned.query as Record<string, string>)}`;
  return `k8s-aws-v1.${Buffer.from(url).toString('base64url')}`;
}

const signatureMismatch = 'expected 200, got 403). Body: {"Error":{"Code":"SignatureDoesNotMatch"';
test.each<[name: string, token: () => Promise<string>, message: string]>([
  // The signed header names the other cluster.
  ['for another cluster', () => tokenFor(target({ cluster: 'other' })), signatureMismatch],
  ['of another key', () => tokenFor(target(), { secretAccessKey: 'guessed' }), signatureMismatch],
])('STS refuses a token %s', async (_name, token, message) => {
  const { answer, asked } = await verify(await token(), target());
  expect(answer).toEqual({ kind: 'refused by STS', message: expect.stringContaining(message) });
  expect(asked).toHaveLength(1);
});

test.each<[name: string, token: () => Promise<string>, message: string]>([
  [
    'that is older than 15 minutes',
    () => tokenFor(target(), { now: minutesAgo(15.1) }),
    'is expired (15 minute expiration)',
  ],
  [
    'for a cluster of another partition',
    () => tokenFor(target({ region: 'cn-north-1' })),
    'unexpected hostname "sts.cn-north-1.amazonaws.com.cn" in pre-signed URL',
  ],
  ['for another action', tokenOfAnotherAction, 'unexpected action parameter'],
])('the authenticator refuses a token %s without a request to STS', async (_name, token, message) => {
  const { answer, asked } = await verify(await token(), target());
  expect(answer).toEqual({ kind: 'malformed', message: expect.stringContaining(message) });
  expect(asked).toEqual([]);
});
