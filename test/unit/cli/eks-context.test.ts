import { expect, test } from 'vitest';
import { eksArnOf, eksContextOf } from '../../../functions/cli/input/eks-context.ts';
import type { AccountDirectory } from '../../../functions/kubernetes/directory.ts';
import { ClusterSkippedError } from '../../../functions/platform/errors.ts';
import { problem } from '../../../functions/platform/problems.ts';

const ARN = 'arn:aws:eks:eu-west-1:222233334444:cluster/shop';
const SERVER = 'https://ABCDEF.gr7.eu-west-1.eks.amazonaws.com';

type Parts = Partial<Parameters<typeof eksContextOf>[0]>;
const contextOf = (parts: Parts, regions?: readonly string[]) =>
  eksContextOf({ context: 'x', clusterName: 'c', ...parts }, regions);
const command = (...args: string[]): Parts => ({ server: SERVER, exec: { args } });

const shop = { cluster: 'shop', region: 'eu-west-1' };
const ofArn = { ...shop, account: '222233334444' };
const GET_TOKEN = ['eks', 'get-token', '--cluster-name'];
const ROLE = 'arn:aws:iam::1:role/a';
test.each<[string, Parts, object | undefined]>([
  ['the ARN that is the name of its cluster', { clusterName: ARN }, ofArn],
  ['the ARN that is its own name', { context: ARN }, ofArn],
  ['arguments that follow their flags', command(...GET_TOKEN, 'shop'), shop],
  ['arguments in one with their flags', command('--region=eu-west-1', 'eks', 'get-token', '--cluster-name=shop'), shop],
  ['aws-iam-authenticator in one', command('token', '--cluster-id=shop'), shop],
  ['aws-iam-authenticator by short flags', command('token', '-i', 'shop', '-r', ROLE), { ...shop, roleArn: ROLE }],
  ['a wrapper', command('exec', 'prod', '--', 'aws', ...GET_TOKEN, 'shop'), shop],
  ['its command alone', { exec: { args: ['-i', 'shop', '--region=cn-north-1'] } }, { ...shop, region: 'cn-north-1' }],
  ['a command without a value', command(...GET_TOKEN), undefined],
  ['no command', { server: SERVER }, undefined],
  ['a command of another shape', { server: SERVER, exec: { args: 'shop', env: [null, 'AWS_PROFILE'] } }, undefined],
  ['arguments beside other values', { server: SERVER, exec: { args: [null, {}, '--cluster-name=shop'] } }, shop],
  ['a command without a Region', { exec: { args: ['--cluster-name', 'shop'] } }, undefined],
])('reads the EKS cluster of a context from %s', (_, parts, expected) => {
  const found = contextOf(parts);
  if (expected) expect(found).toMatchObject(expected);
  else expect(found).toBeUndefined();
});

test.each<[string[], string | undefined, string | undefined]>([
  [[], undefined, undefined],
  [[], 'prod', 'prod'],
  [['--profile', 'dev'], 'prod', 'dev'],
  [['--profile=dev'], undefined, 'dev'],
])('reads the profile of a command from %j, then from AWS_PROFILE (%s)', (args, variable, expected) => {
  const env = variable ? [{ name: 'AWS_PROFILE', value: variable }] : null;
  expect(contextOf({ clusterName: ARN, exec: { args, env } })?.profile).toBe(expected);
});

test('takes the Region of the person where the context has none', () => {
  expect(contextOf({ exec: { args: ['-i', 'shop'] } }, ['eu-north-1'])).toMatchObject({ region: 'eu-north-1' });
});

const TWO_ACCOUNTS =
  /^context \S+ names more than one account: 222233334444 \(the name of its cluster\) and 111133334444 \(its own name\); /;
test.each<[string, Parts, string[], RegExp]>([
  ['accounts', { clusterName: ARN, context: ARN.replace('2222', '1111') }, [], TWO_ACCOUNTS],
  ['clusters', { clusterName: ARN, ...command('-i', 'other') }, [], /cluster: shop .* and other \(the command /],
  ['Regions', command('-i', 'shop', '--region', 'eu-west-2'), [], /region: eu-west-2 .* and eu-west-1 \(its server\)/],
  ['Regions with --region', { clusterName: ARN }, ['us-east-1'], /1 .* and us-east-1 \(--region\); .*--eks NAME/],
])('refuses a context that names two %s', (_, parts, regions, message) => {
  expect(() => contextOf(parts, regions)).toThrow(message);
});

/** An account in which EKS describes these clusters. */
const account = (id: string, clusters: Record<string, string | undefined>) =>
  ({
    list: async () => Object.keys(clusters),
    async describe(name) {
      if (!(name in clusters)) throw new ClusterSkippedError(problem('ClusterNotFound', name, 'eu-west-1'));
      return { tags: {}, arn: `arn:aws:eks:eu-west-1:${id}:cluster/${name}`, server: clusters[name] };
    },
  }) as AccountDirectory;
const own = account('222233334444', { shop: SERVER });
const other = (clusters: Record<string, string>) => account('111122223333', clusters);

type Target = Parameters<typeof eksArnOf>[0];
const target: Target = { context: 'x', ...shop, server: SERVER };
const meant: Target = { ...target, account: '222233334444' };
const roleOf = (id: string): Target => ({ ...meant, roleArn: `arn:aws:iam::${id}:role/admin` });
const arnIn = (context: Target, directory: AccountDirectory) => eksArnOf(context, directory, 'profile prod');

test.each([
  ['the server of the context', meant],
  ['its server, written in another way', { ...target, server: `${SERVER.toLowerCase()}:443/` }],
  ['its server, with a role of the account', roleOf('222233334444')],
])('finds the cluster whose endpoint is %s', async (_, context) => {
  expect(await arnIn(context, own)).toBe(ARN);
});

const OTHER = 'the account of profile prod is 111122223333';
const ELSEWHERE = 'https://B.gr7.eu-west-1.eks.amazonaws.com';
const FOREIGN_ROLE =
  'its token is that of arn:aws:iam::999988887777:role/admin, and the account of profile prod is 222233334444';
test.each<[string, Target, AccountDirectory, string]>([
  ['another account', meant, other({ shop: SERVER }), OTHER],
  ['another account without it', meant, other({ a: '' }), OTHER],
  ['an account without it', target, other({ a: '' }), `${OTHER}, which has no such cluster`],
  ['an account without clusters', target, other({}), 'the account of profile prod has no cluster there'],
  ['another endpoint', target, other({ shop: ELSEWHERE }), `${OTHER}, where that cluster is at ${ELSEWHERE}`],
  ['no endpoint', meant, account('222233334444', { shop: undefined }), 'where that cluster is at no endpoint'],
  ['a role of another account', roleOf('999988887777'), own, FOREIGN_ROLE],
])('refuses a context whose cluster is in %s, and names both sides', async (_, context, directory, found) => {
  const ofAccount = context.account ? ' of account 222233334444' : '';
  const refusal = arnIn(context, directory);
  await expect(refusal).rejects.toMatchObject({ name: 'UsageError' });
  await expect(refusal).rejects.toThrow(`context x leads to cluster shop in eu-west-1${ofAccount}, at ${SERVER}; `);
  await expect(refusal).rejects.toThrow(`${found}: give --profile with a profile of the account of that cluster, or `);
});

test('reports a refused call as such', async () => {
  const denied = new Error('denied');
  const directory = { ...own, describe: () => Promise.reject(denied) };
  await expect(arnIn(target, directory)).rejects.toBe(denied);
});
