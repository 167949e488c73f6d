import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { EksDouble, readEksToken } from '../doubles/eks.ts';
import { FilterLogEventsDouble } from '../doubles/filter-log-events.ts';
import type { EmbeddedCluster } from '../embedded-cluster/embedded-cluster.ts';
import { awsEnvironment, failure, kubeconfigOf, LOST, patience, run, save, serveSettled } from './cli-harness.ts';
import { hpasOf, MISSING, missingList, staleList, the, wantedList, without, writesTo } from './harness.ts';

// Exit codes, streams, and the cluster that an HPA is restored in. restore-hpas.test.ts shows what is restored.

const [NAMESPACE, NAME] = MISSING.split('/');
const ARN = 'arn:aws:eks:eu-central-1:123456789012:cluster/shop';
const OTHER = ARN.replace('123456789012', '999999999999');
const hpa = (list = wantedList()) => the('HorizontalPodAutoscaler', list);

const deletion = (more: object = {}) => ({
  ...{ message: 'deleting HPA', timestamp: '2026-11-24T12:00:00.000Z', cluster: 'production', manifest: hpa() },
  ...more,
});
const backup = (...deletions: object[]) =>
  save(deletions.map((more) => `${JSON.stringify(deletion(more))}\n`).join(''));

/** A cluster in which one HPA is missing, as the context of this name, and `restore` there. */
async function setUp(context = 'production') {
  const cluster = await serveSettled(missingList());
  const flags = ['--kubeconfig', kubeconfigOf({ [context]: cluster })];
  return { cluster, restore: (...args: string[]) => run(['restore', ...flags, ...args]) };
}

describe.concurrent('restore', patience, () => {
  test('restores a backup, and changes nothing when it runs again', async () => {
    const { cluster, restore } = await setUp();
    const file = save(gzipSync(JSON.stringify(deletion())));
    const dry = await restore(file, '--dry-run');
    expect(dry).toEqual({ code: 0, stdout: expect.stringMatching(/\nRestorable +production /), stderr: '' });
    expect(writesTo(cluster)).toEqual([]);
    const first = await restore(file, '-o', 'json');
    expect(first).toMatchObject({ code: 0, stderr: '' });
    const hpas = [{ cluster: 'production', namespace: NAMESPACE, name: NAME, outcome: 'Restored', why: '' }];
    expect(JSON.parse(first.stdout)).toEqual({ schemaVersion: 1, hpas });
    const stdout = expect.stringMatching(/\nAlreadyThere +production /);
    expect(await restore(file)).toMatchObject({ code: 0, stdout });
    expect(writesTo(cluster)).toHaveLength(2);
  });

  test('fails when an HPA is not restored, and prints no control characters', async () => {
    const stale = await serveSettled(without(staleList(), 'HorizontalPodAutoscaler'));
    const refusing = await serveSettled(missingList());
    refusing.admission = () => ({ webhook: 'policy.example.com', code: 403, message: 'not\n\u001b[2Jhere' });
    const file = backup({ cluster: 'stale', manifest: hpa(staleList()) }, { cluster: 'refusing' });
    const { code, stdout } = await run(['restore', file, '--kubeconfig', kubeconfigOf({ stale, refusing })]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/\nStillStale +stale .*\nRefused +refusing .*not \[2Jhere\n$/);
  });

  test('fails, and sends no write, when -n selects no HPA of the file', async () => {
    const { cluster, restore } = await setUp();
    const message = /^reaper: the options select no HPA; those found were deleted in cluster production\n$/;
    expect(await restore(backup({}), '-n', 'elsewhere')).toEqual(failure(1, message));
    expect(writesTo(cluster)).toEqual([]);
  });

  test('reports what is unreadable, restores the rest, and fails', async () => {
    const { restore } = await setUp();
    const [whole, bad] = [deletion(), deletion({ manifest: { ...hpa(), spec: {} } })].map((one) => JSON.stringify(one));
    const file = save(`${bad}\n${whole}\n${whole?.slice(0, 100)}`);
    const { code, stdout, stderr } = await restore(file);
    expect({ code, stdout }).toEqual({ code: 1, stdout: expect.stringMatching(/\nRestored /) });
    expect(stderr.split('\n')).toEqual([
      expect.stringContaining(`reaper: ${file}: line 1, manifest: not an HPA: spec.scaleTargetRef: `),
      `reaper: ${file}: line 3: not JSON (cut off?)`,
      '',
    ]);
  });

  test('fails with a file that contains no deleted HPA, and quotes nothing of it', async () => {
    const file = save({ apiVersion: 'v1', kind: 'Secret', data: { token: 'c2VjcmV0' } });
    const message = /^reaper: \S+: no deleted HPA \(apiVersion \S+\) found\nreaper: there is no deleted HPA\n$/;
    expect(await run(['restore', file, '--kubeconfig', save({})])).toEqual(failure(1, message));
    expect(await run(['restore', '/nowhere'])).toEqual(failure(1, /^reaper: \/nowhere cannot be read: ENOENT/));
  });

  test('restores each HPA in the context that it was deleted in, and a cluster without an answer stops no other', async () => {
    const [current, one] = [await serveSettled(missingList()), await serveSettled(missingList())];
    const file = backup({ cluster: 'one' }, { cluster: 'two' });
    const { code, stdout, stderr } = await run([
      'restore',
      file,
      '--kubeconfig',
      kubeconfigOf({ current, one, two: LOST }),
    ]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/^reaper: two: no whole answer from /) });
    expect(stdout).toMatch(/\nRestored +one .*\nFailed +two .* no whole answer from /);
    expect([one, current].map((cluster) => hpasOf(cluster).length)).toEqual([1, 0]);
  });

  test.each<[string, object[], string, string[]]>([
    ['the context is the ARN of the cluster', [{ cluster: 'shop' }], ARN, ['--context', ARN]],
    ['--cluster says where the context leads', [{ cluster: 'b' }], 'a', ['--context', 'a', '--cluster', 'b']],
    ['--cluster chooses one of several', [{}, { cluster: 'b' }], 'a', ['--context', 'a', '--cluster', 'b']],
    ['no cluster is known, in the current context', [{ cluster: undefined }], 'production', []],
  ])('restores when %s', async (_, deletions, context, args) => {
    const { cluster, restore } = await setUp(context);
    expect(await restore(backup(...deletions), ...args)).toMatchObject({ code: 0, stderr: '' });
    expect(hpasOf(cluster)).toHaveLength(1);
  });

  const [PRODUCTION, IN_ARN] = ['--context production', `--context ${ARN}`];
  test.each<[string, object[], string, RegExp]>([
    ['a missing context', [{ cluster: 'gone' }], '', /the kubeconfig has no context gone; it has production, arn:/],
    ['another context', [{ cluster: 'b' }], PRODUCTION, /cluster b, and context production is .* add --cluster b\n$/],
    ['a part of a name', [{ cluster: 'hop' }], IN_ARN, /deleted in cluster hop, and context arn:/],
    ['another Region', [{ cluster: 'shop', region: 'us-east-1' }], IN_ARN, /shop in us-east-1, and context arn:/],
    ['another account', [{ cluster: OTHER }], IN_ARN, /shop in eu-central-1 of account 999999999999, and context arn:/],
    [
      'one of two accounts',
      [{ cluster: ARN }, { cluster: OTHER }],
      `${PRODUCTION} --cluster shop`,
      /several clusters \(shop in eu-central-1 of account 123456789012, shop in eu-central-1 of account 999999999999\)/,
    ],
  ])('refuses to restore in %s, and sends no request', async (_, deletions, args, message) => {
    const cluster = await serveSettled(missingList());
    const kubeconfig = kubeconfigOf({ production: cluster, [ARN]: cluster });
    const result = await run([
      'restore',
      backup(...deletions),
      '--kubeconfig',
      kubeconfig,
      ...args.split(' ').filter(Boolean),
    ]);
    expect(result).toEqual(failure(2, message));
    expect(cluster.requests).toEqual([]);
  });
});

const REAP_LOG = '/aws/lambda/envoy-hpa-reaper-reap';
const BACKFILL_LOG = '/aws/lambda/envoy-hpa-reaper-backfill';

describe.concurrent('restore in EKS', patience, () => {
  const doubles: { stop(): Promise<void> }[] = [];
  afterAll(async () => void (await Promise.all(doubles.map((double) => double.stop()))));

  /** An account with clusters in which one HPA is missing; those with a Region exist in that one only. */
  async function serveAccount(clusters: Readonly<Record<string, string | undefined>>) {
    const [eks, logs] = [new EksDouble(), new FilterLogEventsDouble()];
    doubles.push(eks, logs);
    const env = awsEnvironment({ EKS: await eks.start(), CLOUDWATCH_LOGS: await logs.start() });
    const served: Record<string, EmbeddedCluster> = {};
    for (const [name, region] of Object.entries(clusters)) {
      const isGood = (token: string) => readEksToken(token)?.isGoodFor(name, env.AWS_SECRET_ACCESS_KEY ?? '');
      const users = (token: string) => (isGood(token) ? { username: 'jane', groups: ['system:masters'] } : undefined);
      const cluster = await serveSettled(missingList(), { users });
      served[name] = cluster;
      eks.clusters.set(name, { status: 'ACTIVE', endpoint: cluster.url, ca: cluster.caCertificate, region });
    }
    const restored = () => Object.keys(served).filter((name) => hpasOf(served[name] as EmbeddedCluster).length > 0);
    const sent = () => Object.values(served).flatMap(({ requests }) => requests).length;
    const reaper = (...args: string[]) => run(['restore', ...args], { env });
    return { eks, logs, reaper, restored, sent };
  }
  const line = (more: object = {}, age = 3_600_000) => ({
    timestamp: Date.now() - age,
    message: JSON.stringify(deletion({ cluster: 'shop', ...more })),
  });

  test('restores what the functions logged of a cluster since a time', async () => {
    const { logs, reaper, restored } = await serveAccount({ shop: undefined });
    const named = (name: string) => ({ manifest: { ...hpa(), metadata: { ...hpa().metadata, name } } });
    logs.groups.set(REAP_LOG, [
      line(named('too-old'), 25 * 3_600_000),
      line({ ...named('of-another'), cluster: 'other' }),
      line({ ...named('not-deleted'), message: 'sweep finished' }),
      line(),
    ]);
    const { code, stdout, stderr } = await reaper('--eks', 'shop', '--since', '24h', '-o', 'json');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout).hpas).toEqual([
      { cluster: 'shop', region: 'eu-central-1', namespace: NAMESPACE, name: NAME, outcome: 'Restored', why: '' },
    ]);
    expect(restored()).toEqual(['shop']);
    expect(logs.requests[0]?.filterPattern).toBe('{ $.message = "deleting HPA" && $.cluster = "shop" }');
  });

  test('restores what backfill logged, in the Region of the cluster', async () => {
    const { logs, reaper, restored, sent } = await serveAccount({ shop: 'us-east-1' });
    logs.groups.set(BACKFILL_LOG, [line({ region: 'us-east-1' })]);
    const args = ['--eks', 'shop', '--since', new Date(Date.now() - 7_200_000).toISOString()];
    expect(await reaper(...args, '--region', 'eu-central-1')).toMatchObject({ code: 1, stdout: '' });
    expect(sent()).toBe(0);
    expect(await reaper(...args)).toMatchObject({ code: 0, stdout: expect.stringMatching(/\nRestored +shop /) });
    expect(restored()).toEqual(['shop']);
  });

  test('searches each Region that is given', async () => {
    const { logs, reaper } = await serveAccount({ shop: undefined });
    logs.groups.set(REAP_LOG, [line()]);
    const regions = ['--region', 'us-east-1', '--region', 'eu-central-1'];
    const { stdout } = await reaper('--eks', 'shop', '--since', '2h', ...regions, '--dry-run', '-o', 'json');
    expect(JSON.parse(stdout).hpas).toMatchObject([
      { cluster: 'shop', region: 'us-east-1', outcome: 'Restorable' },
      { cluster: 'shop', region: 'eu-central-1', outcome: 'Restorable' },
    ]);
  });

  test.each<[string, (logs: FilterLogEventsDouble) => void, number, RegExp]>([
    ['nothing was logged', (logs) => logs.groups.set(REAP_LOG, []), 1, /^reaper: there is no deleted HPA\n$/],
    ['there is no log group', () => {}, 2, /^reaper: eu-central-1 has neither log group .*-reap nor .*; give the Reg/],
    [
      'the log is closed',
      (logs) => logs.failRequests(2, 400, 'AccessDeniedException'),
      1,
      /\nThe credentials do not allow /,
    ],
  ])('asks no cluster when %s', async (_, prepare, code, message) => {
    const { logs, eks, reaper } = await serveAccount({});
    prepare(logs);
    const result = await reaper('--eks', 'shop', '--since', '7d');
    expect(result).toEqual(failure(code, message));
    expect(eks.described).toEqual([]);
  });

  test('restores a backup of several clusters, the newest of one that has two names', async () => {
    const { reaper, restored } = await serveAccount({ shop: undefined, bank: 'us-east-1' });
    const file = backup(
      { cluster: ARN, timestamp: '2026-11-24T11:00:00Z', manifest: { ...hpa(), spec: {} } },
      { cluster: 'bank', region: 'us-east-1' },
      { cluster: ARN },
      { cluster: 'shop', region: 'eu-central-1', timestamp: '2026-11-24T11:00:00Z' },
    );
    const { code, stdout } = await reaper(file, '--eks', '-o', 'json');
    expect(code).toBe(1); // The first manifest is unreadable.
    expect(JSON.parse(stdout).hpas).toMatchObject([{ cluster: 'bank' }, { cluster: 'shop', outcome: 'Restored' }]);
    expect(restored()).toEqual(['shop', 'bank']);
  });

  const CENTRAL = ['--eks', '--region', 'eu-central-1'];
  test.each<[string, object, string[], RegExp]>([
    ['another name', { cluster: 'other' }, ['--eks', 'shop'], /those found were deleted in cluster other\n$/],
    ['another Region', { cluster: 'a', region: 'us-east-1' }, CENTRAL, /those found were .* cluster a in us-east-1\n$/],
    ['a Region that cannot be printed', { cluster: 'a', region: '\ud800' }, CENTRAL, /in cluster a in {2}\n$/],
    ['an unknown cluster', { cluster: undefined }, ['--eks'], /cluster \(not known\): give the one with --eks CLUSTER/],
    [
      'another account',
      { cluster: OTHER },
      ['--eks'],
      /^reaper: shop: .* account 999999999999, .*\nGive the credentials/,
    ],
    ['a cluster that was deleted', { cluster: 'gone' }, ['--eks'], /^reaper: gone: there is no cluster gone in /],
  ])('sends no request to a cluster for an HPA of %s', async (_, more, args, message) => {
    const { reaper, sent } = await serveAccount({ shop: undefined });
    const { stderr } = await reaper(backup(more), ...args);
    expect(stderr).toMatch(message);
    expect(sent()).toBe(0);
  });
});
