import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runReportSchema } from '../../functions/events/report.ts';
import { type DescribedCluster, EksDouble, readEksToken } from '../doubles/eks.ts';
import type { EmbeddedCluster } from '../embedded-cluster/embedded-cluster.ts';
import { awsEnvironment, patience, run, runInTerminal, save, serveUntilEnd } from './cli-harness.ts';
import { listOf, STALE, staleList, wantedList, writesTo } from './harness.ts';

// What Region is asked stands in the signature: one double answers for all.
const eks = new EksDouble();
eks.pageSize = 2;
let env: Record<string, string>;
const servers = new Map<string, EmbeddedCluster>();
afterAll(() => eks.stop());

beforeAll(async () => {
  env = awsEnvironment({ EKS: await eks.start() });
  const secret = env.AWS_SECRET_ACCESS_KEY as string;
  const known = (name: string, groups = ['system:masters']) => ({
    // So that nothing settles.
    now: () => new Date('2026-01-01T00:00:00Z'),
    users: (token: string) =>
      readEksToken(token)?.isGoodFor(name, secret) ? { username: 'reaper', groups } : undefined,
  });
  const hpaAlone = {
    ...staleList(),
    items: staleList().items.filter(({ kind }) => kind === 'HorizontalPodAutoscaler'),
  };
  servers.set('shop', await serveUntilEnd(staleList(), known('shop')));
  servers.set('calm', await serveUntilEnd(wantedList(), known('calm')));
  servers.set('empty', await serveUntilEnd({ kind: 'List', items: [] }, known('empty')));
  servers.set('closed', await serveUntilEnd(staleList(), known('closed', [])));
  servers.set('strange', await serveUntilEnd(staleList(), { users: {} }));
  servers.set('bare', await serveUntilEnd(hpaAlone, { ...known('bare'), customResources: false }));
  const add = (name: string, described: DescribedCluster) =>
    eks.clusters.set(name, { region: 'eu-central-1', ...described });
  for (const [name, { url, caCertificate }] of servers) {
    add(name, { status: 'ACTIVE', endpoint: url, ca: caCertificate, tags: { team: `of-${name}` } });
  }
  const nowhere = { endpoint: 'https://127.0.0.1:1', ca: servers.get('shop')?.caCertificate ?? '' };
  add('lost', { status: 'ACTIVE', ...nowhere });
  add('off', { status: 'ACTIVE', ...nowhere, tags: { 'envoy-hpa-reaper': 'off' } });
  add('young', { status: 'CREATING' });
  add('gone', { status: 'ACTIVE', gone: true });
  eks.deniedRegions.add('eu-south-1');
});

const scan = (...args: string[]) => run(['scan', ...args], { env });
const oneByOne = (stdout: string): Record<string, string> =>
  Object.fromEntries(
    runReportSchema
      .parse(JSON.parse(stdout))
      .clusters.map(({ cluster, result, problem, hpas }) => [
        cluster,
        problem ? `${result}: ${problem.reason}` : hpas.map(({ reason }) => reason).join(),
      ]),
  );

describe.concurrent('reap --eks', patience, () => {
  test('tells of a Region that cannot be listed, also where the one cluster cannot be looked at', async () => {
    const regions = ['--region', 'eu-central-1', '--region', 'eu-south-1'];
    const { code, stdout } = await run(['reap', '--eks', 'lost', ...regions, '--dry-run'], { env });
    expect(code).toBe(1);
    expect(stdout).toMatch(
      /^lost \(eu-central-1\): not swept\n.*\neu-south-1: could not be listed, AwsAccessRefused\n/s,
    );
  });

  test.each(['scan', 'reap --dry-run', 'reap --dry-run -o json'])(
    '%s: a cluster that is asked for by name and cannot be looked at makes 1',
    async (command) => {
      const { code } = await run([...command.split(' '), '--eks', 'calm,off'], { env });
      expect(code).toBe(1);
    },
  );
});

describe.concurrent('--eks', patience, () => {
  test('all clusters of the account: each is looked at, or told with its reason; 1, and nothing is written', async () => {
    const { code, stdout, stderr } = await scan('--eks', '-o', 'json');
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    const report = JSON.parse(stdout);
    expect(runReportSchema.parse(report)).toEqual(report);
    expect(oneByOne(stdout)).toEqual({
      bare: 'skipped: CustomResourcesNotInstalled',
      calm: 'AutoscalingConfigured',
      closed: 'skipped: ClusterForbidden',
      empty: '',
      gone: 'skipped: ClusterNotFound',
      lost: 'failed: ClusterUnreachable',
      off: 'skipped: ClusterOptedOut',
      shop: 'AutoscalingRemoved',
      strange: 'skipped: ClusterUnauthorized',
      young: 'skipped: ClusterNotActive',
    });
    expect(report.totals).toEqual({
      ...{ clusters: 10, swept: 3, skipped: 6, failed: 1, hpas: 2, stale: 1, missing: 0 },
      outcomes: { Kept: 1, Reported: 1 },
    });
    expect(report.clusters.map(({ region }: { region: string }) => region)).toEqual(Array(10).fill('eu-central-1'));
    for (const { problem } of report.clusters) if (problem) expect(problem.remedy).toMatch(/^[A-Z].*\.$/s);
    expect([...servers.values()].flatMap(writesTo)).toEqual([]);
  });

  test('as a table and as markdown: a line on each, what to do, and a sum', async () => {
    const [table, markdown] = await Promise.all([scan('--eks'), scan('--eks', '-o', 'markdown')]);
    expect(table).toMatchObject({ code: 1, stderr: '' });
    const lines = table.stdout.split('\n');
    expect(lines).toContain('shop (eu-central-1): 1 stale of 1 HPA with a label of Envoy Gateway');
    expect(lines).toContain('empty (eu-central-1): no HPA with a label of Envoy Gateway');
    const closed = lines.indexOf('closed (eu-central-1): not swept');
    expect(lines.slice(closed + 1, closed + 4)).toEqual([
      '  skipped, ClusterForbidden',
      expect.stringMatching(/^ {4}.* 403: .* cannot list resource "horizontalpodautoscalers" /),
      '    Enroll the cluster: `reaper enroll --eks CLUSTER` applies the RBAC and gives the access entries their group; with a kubeconfig, your own rights must allow this.',
    ]);
    expect(lines.slice(-2)).toEqual([
      'Total: 10 clusters, 3 swept, 6 skipped, 1 failed; 1 stale of 2 HPAs with a label of Envoy Gateway',
      '',
    ]);
    expect(markdown.code).toBe(1);
    expect(markdown.stdout.split('\n\n').slice(0, 3)).toEqual([
      '10 clusters, 3 swept, 6 skipped, 1 failed; 1 stale of 2 HPAs with a label of Envoy Gateway.',
      '### bare (eu-central-1)',
      expect.stringMatching(/^\*\*skipped, CustomResourcesNotInstalled\*\*: /),
    ]);
  });

  test('--exit-code cannot hide that something was not looked at; where all was, it is 3', async () => {
    expect((await scan('--eks', '--exit-code', '-o', 'json')).code).toBe(1);
    const { code, stdout } = await scan('--eks', 'calm,shop,empty', '--exit-code', '-o', 'json');
    expect(code).toBe(3);
    expect(Object.keys(oneByOne(stdout))).toEqual(['calm', 'shop', 'empty']);
  });

  test('--tag: only what carries it', async () => {
    const found = await scan('--eks', '--tag', 'team=of-calm', '--exit-code', '-o', 'json');
    expect(found).toMatchObject({ code: 0, stderr: '' });
    // What EKS does not describe carries no tag that could be told; it is told itself.
    expect(oneByOne(found.stdout)).toEqual({ calm: 'AutoscalingConfigured', gone: 'skipped: ClusterNotFound' });
  });

  test('what is left out on purpose is no failure among all, and one that was named is', async () => {
    const all = await scan('--eks', '--tag', 'envoy-hpa-reaper=off', '-o', 'json');
    expect(oneByOne(all.stdout)).toEqual({ off: 'skipped: ClusterOptedOut', gone: 'skipped: ClusterNotFound' });
    expect(all.code).toBe(0);
    expect((await scan('--eks', 'calm,off', '-o', 'json')).code).toBe(1);
    const named = await scan('--eks', 'calm,nope', '-o', 'json');
    expect(named.code).toBe(1);
    expect(oneByOne(named.stdout)).toEqual({ calm: 'AutoscalingConfigured', nope: 'skipped: ClusterNotFound' });
  });

  test.each([
    [
      'nope',
      /^reaper: there is no cluster nope in \S+\nCheck the name, the Region and the account; nothing to do if it was deleted\.\n$/,
    ],
    ['off', /^reaper: cluster off is tagged envoy-hpa-reaper=off\nRemove the tag envoy-hpa-reaper /],
    ['lost', /^reaper: no whole answer from 127\.0\.0\.1:1: .*\nCheck that the API server runs /],
  ])('the one cluster %s that was named: its message and remedy alone, 1', async (name, message) => {
    const { code, stdout, stderr } = await scan('--eks', name, '-o', 'json');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(message);
  });

  test('--region, more than once: one that cannot be listed is told beside the others, and 1', async () => {
    const args = ['--region', 'eu-west-1', '--region', 'eu-south-1', '--eks'];
    const { code, stdout } = await scan(...args, '-o', 'json');
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      clusters: [],
      regions: [{ region: 'eu-south-1', reason: 'AwsAccessRefused', remedy: expect.stringContaining('permissions') }],
    });
    const table = (await scan(...args)).stdout.split('\n');
    expect(table[0]).toBe('eu-south-1: could not be listed, AwsAccessRefused');
    expect(eks.listed).toContain('eu-west-1');
  });

  test('an account without clusters', async () => {
    const { code, stdout } = await scan('--eks', '--region', 'eu-west-1', '--exit-code');
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: 'Total: 0 clusters, 0 swept; no HPA with a label of Envoy Gateway\n',
    });
  });

  test('--profile: its credentials, and its Region', async () => {
    const { AWS_ENDPOINT_URL_EKS = '' } = env;
    const profiles = {
      AWS_ENDPOINT_URL_EKS,
      AWS_CONFIG_FILE: save('[profile other]\nregion = eu-west-1\n'),
      AWS_SHARED_CREDENTIALS_FILE: save('[other]\naws_access_key_id = AKIDOTHER\naws_secret_access_key = secret\n'),
    };
    const { code, stdout, stderr } = await run(['scan', '--eks', '--profile', 'other', '-o', 'json'], {
      env: profiles,
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(eks.accessKeys).toContain('AKIDOTHER');
    expect(JSON.parse(stdout)).toMatchObject({ clusters: [], regions: [] });
    const nobody = await run(['scan', '--eks', '--profile', 'nobody', '--region', 'eu-west-1'], { env: profiles });
    expect(nobody).toMatchObject({ code: 1, stdout: '' });
    expect(nobody.stderr).toMatch(/^reaper: EKS could not list the clusters of eu-west-1: .*\nGive AWS credentials: /);
  });

  test('no credentials', async () => {
    const { AWS_ENDPOINT_URL_EKS = '' } = env;
    const { code, stdout, stderr } = await run(['scan', '--eks', '--region', 'eu-central-1'], {
      env: { AWS_ENDPOINT_URL_EKS },
    });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(
      /^reaper: EKS could not list the clusters of eu-central-1: Could not load credentials from any providers\nGive AWS credentials: a profile .*\n$/,
    );
  });

  test('no Region', async () => {
    const { AWS_REGION: _, ...rest } = env;
    const { code, stdout, stderr } = await run(['scan', '--eks'], { env: rest });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^reaper: no AWS Region: give --region, set AWS_REGION, or put it into the profile.*\n$/);
  });
});

test.each([
  ['ExpiredTokenException', 403],
  ['ExpiredTokenException', 400],
])('expired credentials (%s, %i)', patience, async (type, status) => {
  const account = new EksDouble();
  const url = await account.start();
  account.failRequests(10, status, type);
  const { code, stdout, stderr } = await run(['scan', '--eks'], { env: awsEnvironment({ EKS: url }) });
  await account.stop();
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toBe(
    'reaper: EKS could not list the clusters of eu-central-1: refused by the test\n' +
      'The credentials have expired: get new ones (`aws sso login`, or assume the role again).\n',
  );
});

test('an account of one cluster that is left out on purpose has a report like any other', patience, async () => {
  const account = new EksDouble();
  account.clusters.set('off', { status: 'ACTIVE', tags: { 'envoy-hpa-reaper': 'off' } });
  const one = awsEnvironment({ EKS: await account.start() });
  const { code, stdout, stderr } = await run(['scan', '--eks', '-o', 'json'], { env: one });
  await account.stop();
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(oneByOne(stdout)).toEqual({ off: 'skipped: ClusterOptedOut' });
});

describe.concurrent('--all-contexts', patience, () => {
  test('every context: one that does not answer is told, the others are swept, and 1', async () => {
    const kubeconfig = await threeContexts();
    const { code, stdout, stderr } = await run(['scan', '--all-contexts', '--kubeconfig', kubeconfig, '-o', 'json']);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(oneByOne(stdout)).toEqual({
      one: 'AutoscalingRemoved',
      three: 'failed: ClusterUnreachable',
      two: 'AutoscalingConfigured',
    });
  });
});

async function threeContexts(): Promise<string> {
  const [one, two] = await Promise.all([serveUntilEnd(staleList()), serveUntilEnd(wantedList())]);
  const cluster = ({ url, caCertificate }: EmbeddedCluster) => ({
    server: url,
    'certificate-authority-data': Buffer.from(caCertificate).toString('base64'),
  });
  return save({
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'one' },
    clusters: [
      { name: 'one', cluster: cluster(one) },
      { name: 'two', cluster: cluster(two) },
      { name: 'three', cluster: { server: 'https://127.0.0.1:1' } },
    ],
    users: [{ name: 'jane', user: { token: 'admin-token' } }],
    contexts: ['one', 'two', 'three'].map((name) => ({ name, context: { cluster: name, user: 'jane' } })),
  });
}

describe.concurrent('on a terminal of 80 columns', patience, () => {
  const ESCAPE = String.fromCharCode(27);

  test('an account fits, with colours, and the progress line is gone at the end', async () => {
    const { code, written, screen } = await runInTerminal(['scan', '--eks'], { env });
    expect(code).toBe(1);
    expect(screen.filter((line) => line.length > 80)).toEqual([]);
    expect(written).toMatch(/\d+ of 10 clusters, \d+ with a problem/);
    expect(screen.join('\n')).not.toMatch(/ of 10 clusters/);
    // Each line of the one that is stale.
    expect(written.split(`${ESCAPE}[31m`)).toHaveLength(6);
    expect(screen).toContain('shop (eu-central-1): 1 stale of 1 HPA with a label of Envoy Gateway');
    expect(screen).toContain(`delete  ${STALE}`);
    expect(screen.slice(-3)).toEqual([
      'Total: 10 clusters, 3 swept, 6 skipped, 1 failed; 1 stale of 2 HPAs with a label',
      'of Envoy Gateway',
      '',
    ]);
  });

  test('--quiet shows no progress', async () => {
    const { written } = await runInTerminal(['scan', '--eks', '--quiet'], { env });
    expect(written).toContain('Total: ');
    expect(written).not.toContain(' of 10 clusters,');
  });

  test('the help fits too', async () => {
    const { code, screen } = await runInTerminal(['scan', '--help']);
    expect(code).toBe(0);
    expect(screen.filter((line) => line.length > 80)).toEqual([]);
  });

  test('a failure leaves no progress line behind', async () => {
    const { screen } = await runInTerminal(['scan', '--eks', 'lost'], { env });
    expect(screen[0]).toMatch(/^reaper: no whole answer from 127\.0\.0\.1:1: /);
  });
});

describe.concurrent('-n and --gateway', patience, () => {
  const names = async (...args: string[]) => {
    const file = save(listOf('merged-switched-off-v1.3.0'));
    const { code, stdout } = await run(['scan', '-f', file, '-o', 'json', ...args]);
    expect(code).toBe(0);
    const { clusters, selection } = JSON.parse(stdout);
    return { hpas: clusters[0].hpas.map(({ name }: { name: string }) => name), selection };
  };
  const OF_CLASS = 'envoy-merged-switched-off-b3b69a8b';
  const OF_GATEWAY = 'envoy-merged-switched-off-web-ffa9965f';

  test.each<[string[], string[]]>([
    [
      ['-n', 'envoy-gateway-system'],
      [OF_CLASS, OF_GATEWAY],
    ],
    [['--namespace', 'merged-switched-off'], [OF_GATEWAY]],
    [['--gateway', 'web'], [OF_GATEWAY]],
    [['--gateway', 'merged-switched-off/web'], [OF_GATEWAY]],
    [['--gateway', 'other/web'], []],
    [['-n', 'other'], []],
    [['-n', 'other', '--gateway', 'web'], []],
  ])('%j', async (args, expected) => {
    expect((await names(...args)).hpas).toEqual(expected);
  });

  test('the report says what it is about, and so does the table', async () => {
    expect((await names('-n', 'shop', '--gateway', 'shop/web')).selection).toEqual({
      namespace: 'shop',
      gateway: 'shop/web',
    });
    const { stdout } = await run(['scan', '-f', save(staleList()), '-n', 'shop', '--gateway', 'shop/web']);
    expect(stdout).toMatch(/^Only HPAs in namespace shop and of Gateway shop\/web\.\n\n/);
  });
});
