import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runReportSchema } from '../../functions/events/report.ts';
import { type DescribedCluster, EksDouble, readEksToken } from '../doubles/eks.ts';
import type { EmbeddedCluster } from '../embedded-cluster/embedded-cluster.ts';
import { awsEnvironment, failure, patience, run, runInTerminal, save, serveUntilEnd } from './cli-harness.ts';
import { type List, STALE, staleList, the, wantedList, writesTo } from './harness.ts';

// The signature of a request contains its Region, so one double answers for all of them.
const eks = new EksDouble();
eks.pageSize = 2;
let env: Record<string, string>;
const servers = new Map<string, EmbeddedCluster>();
afterAll(() => eks.stop());

beforeAll(async () => {
  env = awsEnvironment({ EKS: await eks.start() });
  const secret = env.AWS_SECRET_ACCESS_KEY as string;
  const known = (name: string, groups = ['system:masters']) => ({
    // Long ago, so that nothing settles.
    now: () => new Date('2026-01-01T00:00:00Z'),
    users: (token: string) =>
      readEksToken(token)?.isGoodFor(name, secret) ? { username: 'reaper', groups } : undefined,
  });
  const hpaAlone: List = { kind: 'List', items: [the('HorizontalPodAutoscaler', staleList())] };
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

describe.concurrent('scan --eks', patience, () => {
  test('reports every cluster of the account, or why it was not swept, and writes nothing', async () => {
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
    expect(report.totals).toMatchObject({ clusters: 10, swept: 3, skipped: 6, failed: 1, hpas: 2, stale: 1 });
    expect(report.clusters.map(({ region }: { region: string }) => region)).toEqual(Array(10).fill('eu-central-1'));
    for (const { problem } of report.clusters) if (problem) expect(problem.remedy).toMatch(/^[A-Z].*\.$/s);
    expect([...servers.values()].flatMap(writesTo)).toEqual([]);
  });

  test('has exit code 3 only where every named cluster was swept', async () => {
    expect((await scan('--eks', '--exit-code')).code).toBe(1);
    expect((await scan('--eks', 'calm,off')).code).toBe(1);
    expect((await scan('--eks', '--tag', 'team=of-closed')).code).toBe(1);
    const { code, stdout } = await scan('--eks', 'calm,shop,empty', '--exit-code', '-o', 'json');
    expect(code).toBe(3);
    expect(Object.keys(oneByOne(stdout))).toEqual(['calm', 'shop', 'empty']);
    const named = await scan('--eks', 'calm,nope', '-o', 'json');
    expect(named.code).toBe(1);
    expect(oneByOne(named.stdout)).toEqual({ calm: 'AutoscalingConfigured', nope: 'skipped: ClusterNotFound' });
  });

  test('scans only clusters with a tag, and a cluster that opted out is no failure', async () => {
    const found = await scan('--eks', '--tag', 'team=of-calm', '--exit-code', '-o', 'json');
    expect(found).toMatchObject({ code: 0, stderr: '' });
    // The tags of a cluster that EKS does not describe are unknown.
    expect(oneByOne(found.stdout)).toEqual({ calm: 'AutoscalingConfigured', gone: 'skipped: ClusterNotFound' });
    const off = await scan('--eks', '--tag', 'envoy-hpa-reaper=off', '-o', 'json');
    expect(off.code).toBe(0);
    expect(oneByOne(off.stdout)).toEqual({ off: 'skipped: ClusterOptedOut', gone: 'skipped: ClusterNotFound' });
  });

  test.each([
    ['nope', /^reaper: there is no cluster nope in \S+\nCheck the name, .*\n$/],
    ['off', /^reaper: cluster off is tagged envoy-hpa-reaper=off\nRemove the tag envoy-hpa-reaper /],
    ['lost', /^reaper: no whole answer from 127\.0\.0\.1:1: .*\nCheck that the API server runs /],
  ])('prints only the problem and its remedy for the single cluster %s', async (name, message) => {
    expect(await scan('--eks', name, '-o', 'json')).toEqual(failure(1, message));
  });

  test('reports a Region that cannot be listed beside the others', async () => {
    const args = ['--region', 'eu-west-1', '--region', 'eu-south-1', '--eks'];
    const { code, stdout } = await scan(...args, '-o', 'json');
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      clusters: [],
      regions: [{ region: 'eu-south-1', reason: 'AwsAccessRefused', remedy: expect.stringContaining('permissions') }],
    });
    const { stdout: table } = await scan(...args);
    expect(table).toMatch(/^eu-south-1: could not be listed, AwsAccessRefused\n/);
    expect(eks.listed).toContain('eu-west-1');
  });

  test('reports an account without clusters', async () => {
    const stdout = 'Total: 0 clusters, 0 swept; no HPA with a label of Envoy Gateway\n';
    expect(await scan('--eks', '--region', 'eu-west-1', '--exit-code')).toEqual({ code: 0, stdout, stderr: '' });
  });

  test('uses the credentials and the Region of a profile', async () => {
    const profiles = {
      AWS_ENDPOINT_URL_EKS: env.AWS_ENDPOINT_URL_EKS ?? '',
      AWS_CONFIG_FILE: save('[profile other]\nregion = eu-west-1\n'),
      AWS_SHARED_CREDENTIALS_FILE: save('[other]\naws_access_key_id = AKIDOTHER\naws_secret_access_key = secret\n'),
    };
    const result = await run(['scan', '--eks', '--profile', 'other', '-o', 'json'], { env: profiles });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(eks.accessKeys).toContain('AKIDOTHER');
    expect(JSON.parse(result.stdout)).toMatchObject({ clusters: [], regions: [] });
    const args = ['scan', '--eks', '--profile', 'nobody', '--region', 'eu-west-1'];
    expect(await run(args, { env: profiles })).toEqual(failure(1, /^reaper: EKS .*\nGive AWS credentials: /));
  });

  test('needs a Region', async () => {
    const { AWS_REGION: _, ...others } = env;
    const message = /^reaper: no AWS Region: give --region, set AWS_REGION, or put it into the profile/;
    expect(await run(['scan', '--eks'], { env: others })).toEqual(failure(2, message));
  });
});

describe.concurrent('reap --eks', patience, () => {
  test('prints a Region that cannot be listed beside a cluster that was not swept', async () => {
    const regions = ['--region', 'eu-central-1', '--region', 'eu-south-1'];
    const table = /^lost \(eu-central-1\): not swept\n.*\neu-south-1: could not be listed, AwsAccessRefused\n/s;
    const stdout = expect.stringMatching(table);
    expect(await run(['reap', '--eks', 'lost', ...regions, '--dry-run'], { env })).toMatchObject({ code: 1, stdout });
  });

  test.each(['table', 'json'])('has exit code 1 when a named cluster was not swept (-o %s)', async (format) => {
    const { code } = await run(['reap', '--dry-run', '-o', format, '--eks', 'calm,off'], { env });
    expect(code).toBe(1);
  });
});

describe.concurrent('on a terminal of 80 columns', patience, () => {
  test('an account fits, with colors, and the progress line is gone at the end', async () => {
    const { code, written, screen } = await runInTerminal(['scan', '--eks'], { env });
    expect(code).toBe(1);
    expect(screen.filter((line) => line.length > 80)).toEqual([]);
    expect(written).toMatch(/\d+ of 10 clusters, \d+ with a problem/);
    expect(screen.join('\n')).not.toMatch(/ of 10 clusters/);
    // Each line of the stale HPA.
    expect(written.split('\u001b[31m')).toHaveLength(6);
    expect(screen).toContain('shop (eu-central-1): 1 stale of 1 HPA with a label of Envoy Gateway');
    expect(screen).toContain(`delete  ${STALE.replace('/', '  ')}`);
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

  test('a failure leaves no progress line behind', async () => {
    const { screen } = await runInTerminal(['scan', '--eks', 'lost'], { env });
    expect(screen[0]).toMatch(/^reaper: no whole answer from 127\.0\.0\.1:1: /);
  });
});
