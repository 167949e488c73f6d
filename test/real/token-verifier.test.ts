import { execFile, execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { EKSClient } from '@aws-sdk/client-eks';
import { SignatureV4 } from '@smithy/signature-v4';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { eksToken } from '../../functions/aws/eks-token.ts';
import { StsDouble } from '../doubles/sts.ts';

/*
 * What an EKS cluster makes of the tokens of this project: the authenticator's own verification, with an STS that reckons
 * the signature itself. STS is the one to say whether a token is for this cluster, since the cluster's name is not in the
 * token but in the header that was signed.
 */

const credentials = { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'secret', sessionToken: 'session/+=' };
const CLUSTER = 'shop';

let verifier: string;
beforeAll(() => {
  const script = join(import.meta.dirname, 'token-verifier', 'build.sh');
  verifier = execFileSync('bash', [script], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();
}, 300_000);

interface Place {
  cluster: string;
  partition: string;
  region: string;
}

const place = (over: Partial<Place> = {}): Place => ({
  cluster: CLUSTER,
  partition: 'aws',
  region: 'eu-central-1',
  ...over,
});

/** What the API server of a cluster answers to a token, and what it asked STS meanwhile. */
async function verify(token: string, { cluster, partition, region }: Place) {
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

async function tokenFor({ cluster, region }: Place, now: () => Date = () => new Date()): Promise<string> {
  const eks = new EKSClient({ region, credentials });
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
])('a token for a cluster in %s (%s) is let in, by its own STS', async (region, partition, host) => {
  const there = place({ region, partition });
  const { answer, asked } = await verify(await tokenFor(there), there);
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

test('a token is as good in the last minute in which this project uses it', async () => {
  const { answer } = await verify(await tokenFor(place(), minutesAgo(13.9)), place());
  expect(answer).toMatchObject({ UserID: 'AROAEXAMPLE' });
});

test('a token for another cluster is refused by STS: the signed header names the other', async () => {
  const { answer, asked } = await verify(await tokenFor(place({ cluster: 'other' })), place());
  expect(answer).toEqual({
    kind: 'refused by STS',
    message: expect.stringContaining('expected 200, got 403). Body: {"Error":{"Code":"SignatureDoesNotMatch"'),
  });
  expect(asked).toHaveLength(1);
});

test('a token of another key is refused by STS', async () => {
  const eks = new EKSClient({ region: 'eu-central-1', credentials: { ...credentials, secretAccessKey: 'guessed' } });
  onTestFinished(() => eks.destroy());
  const { answer } = await verify(await eksToken(eks, CLUSTER, 'eu-central-1', () => new Date())(), place());
  expect(answer).toMatchObject({ kind: 'refused by STS' });
});

test('a token that is older than 15 minutes is refused, and STS is not asked', async () => {
  const { answer, asked } = await verify(await tokenFor(place(), minutesAgo(15.1)), place());
  expect(answer).toEqual({ kind: 'malformed', message: expect.stringContaining('is expired (15 minute expiration)') });
  expect(asked).toEqual([]);
});

test('a token for a cluster of another partition is refused, and STS is not asked', async () => {
  const { answer, asked } = await verify(await tokenFor(place({ region: 'cn-north-1' })), place());
  const message = 'unexpected hostname "sts.cn-north-1.amazonaws.com.cn" in pre-signed URL';
  expect(answer).toEqual({ kind: 'malformed', message: expect.stringContaining(message) });
  expect(asked).toEqual([]);
});

test('a token that asks for something else is refused, and STS is not asked', async () => {
  const hostname = 'sts.eu-central-1.amazonaws.com';
  const { config } = new EKSClient({ region: 'eu-central-1', credentials });
  const signer = new SignatureV4({ credentials, region: 'eu-central-1', service: 'sts', sha256: config.sha256 });
  const { query } = await signer.presign(
    {
      method: 'GET',
      protocol: 'https:',
      hostname,
      path: '/',
      query: { Action: 'GetSessionToken', Version: '2011-06-15' },
      headers: { host: hostname, 'x-k8s-aws-id': CLUSTER },
    },
    { expiresIn: 60 },
  );
  const url = `https://${hostname}/?${new URLSearchParams(query as Record<string, string>)}`;
  const { answer, asked } = await verify(`k8s-aws-v1.${Buffer.from(url).toString('base64url')}`, place());
  expect(answer).toEqual({ kind: 'malformed', message: expect.stringContaining('unexpected action parameter') });
  expect(asked).toEqual([]);
});
