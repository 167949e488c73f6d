import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { CHECKS, type Check, type DoctorReport, doctorReportSchema } from '../../functions/doctor/report.ts';
import { controller } from '../builders/cluster.ts';
import { reaperRbac } from '../contract/server.ts';
import type { RecordedCall } from '../doubles/iam-policy.ts';
import { admin, type EmbeddedClusterOptions } from '../embedded-cluster/embedded-cluster.ts';
import type { KubernetesObject } from '../embedded-cluster/objects.ts';
import { startAccount } from './cli-account.ts';
import { failure, kubeconfigOf, LOST, patience, run, runInTerminal, serveUntilEnd } from './cli-harness.ts';
import { BACKFILL, logGroup, ourEntries, ourFilter, REAP } from './enroll-harness.ts';
import { type List, listOf, staleList, without } from './harness.ts';

const rbac = await reaperRbac();

/** Envoy Gateway with one wanted HPA: nothing is wrong with it. */
function soundList(version = 'v1.9.1'): List {
  const list = listOf('autoscaling-kept-v1.9.1');
  const { metadata, ...whole } = controller({ namespace: 'envoy-gateway-system', version });
  const labels = { ...metadata.labels, 'control-plane': 'envoy-gateway' };
  list.items.push({ ...whole, metadata: { ...metadata, labels } } as unknown as KubernetesObject);
  return list;
}

type World = Awaited<ReturnType<typeof build>>;

/** An account with the one cluster `shop`, where all is well. */
async function build(list = soundList(), options: EmbeddedClusterOptions = {}) {
  const account = await startAccount(list, { rbac, ...options });
  const { logs, shop, cluster } = account;
  // A log group of another cluster whose name begins with the same letters.
  logs.add(`${logGroup('shop')}-old`, [], 'DELIVERY');
  const theirs = { filterName: 'theirs', filterPattern: '', destinationArn: 'theirs' };
  logs.add(logGroup('shop'), [theirs, ourFilter()]);
  Object.assign(shop, { entries: ourEntries(), tags: { team: 'shop' }, authenticationMode: 'API_AND_CONFIG_MAP' });
  return { ...account, kubeconfig: kubeconfigOf({ production: cluster, lost: LOST }) };
}

const doctor = (args: readonly string[], env: World['env'] = {}) => run(['doctor', ...args], { env });

async function diagnose({ env, cluster }: World, args: readonly string[] = ['--eks', 'shop']) {
  const { code, stdout, stderr } = await doctor([...args, '-o', 'json'], env);
  expect(stderr).toBe('');
  const report = doctorReportSchema.parse(JSON.parse(stdout));
  // Reviews are answered and stored nowhere.
  const writes = cluster.requests.filter(({ method, path }) => method !== 'GET' && !path.endsWith('accessreviews'));
  expect(writes).toEqual([]);
  return { code, report, health: report.clusters[0] as DoctorReport['clusters'][number] };
}

const IN_CLUSTER = CHECKS.filter((id) => !id.startsWith('eks-'));
const changedOf = ({ checks }: DoctorReport['clusters'][number]) =>
  Object.fromEntries(checks.filter(({ state }) => state !== 'ok').map(({ id, state }) => [id, state]));
const checkOf = ({ checks }: DoctorReport['clusters'][number], id: string) =>
  checks.find((check) => check.id === id) as Check;

describe('doctor', patience, () => {
  test('finds nothing wrong in a sound EKS cluster, reads everything once, and writes nothing', async () => {
    const built = await build();
    const { code, report, health } = await diagnose(built);
    expect(code).toBe(0);
    expect(health).toMatchObject({ cluster: 'shop', region: 'eu-central-1' });
    expect(health.checks.map(({ id, state }) => [id, state])).toEqual(CHECKS.map((id) => [id, 'ok']));
    expect(report).toMatchObject({ totals: { ok: CHECKS.length, warning: 0, broken: 0, unknown: 0 }, regions: [] });
    const actions = (calls: readonly RecordedCall[]) => [...new Set(calls.map(({ action }) => action))].toSorted();
    expect(actions(built.eks.calls)).toEqual(['eks:DescribeAccessEntry', 'eks:DescribeCluster']);
    const principals = built.eks.calls.flatMap(({ context }) => context['eks:principalArn'] ?? []);
    expect(principals.toSorted()).toEqual([BACKFILL.arn, REAP.arn]);
    expect(actions(built.logs.calls)).toEqual(['logs:DescribeLogGroups', 'logs:DescribeSubscriptionFilters']);
    expect(built.cluster.requests.filter(({ path }) => path.endsWith('/envoyproxies'))).toHaveLength(1);
  });

  test('checks a cluster of a kubeconfig without AWS', async () => {
    const built = await build();
    const { code, health } = await diagnose(built, ['--kubeconfig', built.kubeconfig]);
    expect(code).toBe(0);
    expect(health.cluster).toBe('production');
    expect(health.region).toBeUndefined();
    expect(health.checks.map(({ id, state }) => [id, state])).toEqual(IN_CLUSTER.map((id) => [id, 'ok']));
    expect([built.eks.calls, built.logs.calls]).toEqual([[], []]);
  });

  const DENIED = 'AccessDeniedException';
  const LOG_CHECKS = ['eks-log-group', 'eks-subscription-filter', 'eks-filter-slots'];
  test.each<[string, number, (world: World) => void, string[]]>([
    ['GetRole', 0, ({ iam }) => iam.deny(), ['eks-access-entry-reap', 'eks-access-entry-backfill']],
    ['DescribeLogGroups', 0, ({ logs }) => logs.refuse(/^DescribeLogGroups/, 400, DENIED), LOG_CHECKS],
    ['DescribeCluster', 1, ({ eks }) => eks.refuse(/^GET \/clusters\/shop$/, 403, DENIED), ['eks-cluster']],
  ])('makes checks unknown without the permission %s, and exits with %i', async (_, expected, refuse, checks) => {
    const built = await build();
    refuse(built);
    const { code, health } = await diagnose(built, ['--eks', 'shop', '--tag', 'team=shop']);
    expect([code, changedOf(health)]).toEqual([expected, Object.fromEntries(checks.map((id) => [id, 'unknown']))]);
    expect(checkOf(health, checks[0] ?? '')).toMatchObject({
      found: expect.stringMatching(/ could not .*(refused by the test|not authorized)/),
      remedy: 'Ask for the permission of this check, which docs/doctor.md lists.',
    });
  });

  test('checks the configuration also where there is neither an HPA nor a custom resource', async () => {
    const list = without(soundList(), 'HorizontalPodAutoscaler', 'GatewayClass', 'Gateway', 'EnvoyProxy');
    const { code, health } = await diagnose(await build(list, { customResources: false }));
    const broken = { 'crds-gateway-api': 'broken', 'crds-envoy-gateway': 'broken' };
    const unknown = { 'envoy-gateway-config': 'unknown', 'envoy-gateway-downgrade': 'unknown' };
    expect([code, changedOf(health)]).toEqual([1, { ...broken, ...unknown }]);
  });

  test('checks all clusters of the account, or those with a tag', async () => {
    const built = await build();
    const other = await serveUntilEnd(staleList(), { users: () => admin, rbac });
    built.eks.add('depot', { endpoint: other.url, ca: other.caCertificate });
    const all = await diagnose(built, ['--eks']);
    expect(all.code).toBe(1);
    expect(all.report.clusters.map(({ cluster }) => cluster)).toEqual(['depot', 'shop']);
    expect(checkOf(all.health, 'stale-hpas')).toMatchObject({ state: 'warning' });
    const { code, report } = await diagnose(built, ['--eks', '--tag', 'team=shop']);
    expect([code, report.clusters.map(({ cluster }) => cluster)]).toEqual([0, ['shop']]);
  });

  test('reports a Region that cannot be listed beside a sound cluster', async () => {
    const { eks, env } = await build();
    eks.deniedRegions.add('eu-south-1');
    const regions = ['--region', 'eu-central-1', '--region', 'eu-south-1'];
    const { code, stdout, stderr } = await doctor(['--eks', ...regions], env);
    expect([code, stdout]).toEqual([1, expect.stringMatching(/^shop \(eu-central-1\): 23 ok\n/)]);
    expect(stderr).toMatch(/^reaper: EKS could not list the clusters of eu-south-1: .*\nThe credentials do not allow /);
  });

  test('reports a cluster that does not exist', async () => {
    const { code, health } = await diagnose(await build(), ['--eks', 'shpo']);
    const found = 'there is no cluster shpo in eu-central-1';
    const remedy = expect.stringMatching(/^Check the name/);
    expect([code, health.checks]).toEqual([1, [{ id: 'eks-cluster', state: 'broken', found, remedy }]]);
  });

  test('checks all contexts, also if one leads nowhere', async () => {
    const { kubeconfig } = await build();
    const { code, stdout } = await doctor(['--kubeconfig', kubeconfig, '--all-contexts', '-o', 'json']);
    const [lost, production] = JSON.parse(stdout).clusters;
    expect([code, lost.cluster, production.cluster, changedOf(production)]).toEqual([1, 'lost', 'production', {}]);
    const skipped = Object.fromEntries(IN_CLUSTER.slice(1).map((id) => [id, 'unknown']));
    expect(changedOf(lost)).toEqual({ 'cluster-access': 'broken', ...skipped });
    expect(checkOf(lost, 'cluster-access').found).toMatch(/^no whole answer from 127\.0\.0\.1:1: /);
  });
});

describe('doctor prints', patience, () => {
  async function brokenWorld(): Promise<World> {
    const built = await build(soundList('v1.3.0'));
    built.shop.auditLog = false;
    built.shop.entries.clear();
    return built;
  }

  test('a table, and below it the remedies, without escape sequences in a file', async () => {
    const { env } = await brokenWorld();
    const { code, stdout, stderr } = await doctor(['--eks', 'shop'], env);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    const lines = stdout.split('\n');
    expect(lines.slice(0, 6)).toEqual([
      'shop (eu-central-1): 4 broken, 3 unknown, 16 ok',
      'STATE    CHECK                      FOUND',
      'ok       eks-cluster                ACTIVE',
      'ok       eks-opt-out                the cluster has not opted out',
      'ok       eks-endpoint               the endpoint is public',
      expect.stringMatching(/^broken {3}eks-audit-log {14}the audit log of cluster shop is off: /),
    ]);
    const at = lines.indexOf('How to fix:');
    expect(lines.slice(at + 1, at + 3)).toEqual([
      '  eks-audit-log: Turn it on, if you need that; CloudWatch Logs charges for every line that it stores.',
      `    aws eks update-cluster-config --region eu-central-1 --name shop --logging '{"clusterLogging":[{"types":["audit"],"enabled":true}]}'`,
    ]);
    expect(lines).toContain('    reaper enroll --eks shop --region eu-central-1');
    expect(stdout).not.toContain('\u001b');
  });

  test('at most 80 columns on such a terminal, in colors, with commands that can be copied', async () => {
    const { env } = await brokenWorld();
    const { code, written, screen } = await runInTerminal(['doctor', '--eks', 'shop'], { env, columns: 80 });
    expect(code).toBe(1);
    expect(screen.filter((line) => line.length > 80)).toEqual([]);
    expect(written).toContain('\u001b[31mbroken ');
    expect(written).toContain('\u001b[32mok ');
    const at = screen.findIndex((line) => line.includes('aws eks update-cluster-config'));
    expect(screen.slice(at, at + 3).map((line) => line.trim())).toEqual([
      'aws eks update-cluster-config --region eu-central-1 --name shop --logging \\',
      `'{"clusterLogging":[{"types":["audit"],"enabled":true}]}'`,
      expect.stringMatching(/^\S+: /),
    ]);
  });

  test('the same as YAML and as Markdown', async () => {
    const { kubeconfig } = await brokenWorld();
    const args = ['--kubeconfig', kubeconfig, '-o'];
    const [yaml, markdown] = await Promise.all([doctor([...args, 'yaml']), doctor([...args, 'markdown'])]);
    expect([yaml.code, yaml.stderr, markdown.code, markdown.stderr]).toEqual([1, '', 1, '']);
    const health = doctorReportSchema.parse(parse(yaml.stdout)).clusters[0] as DoctorReport['clusters'][number];
    expect(markdown.stdout.split('\n').slice(0, 5)).toEqual([
      ...['### production', '', '1 broken, 12 ok.', '', '| STATE | CHECK | FOUND | HOW TO FIX |'],
    ]);
    const { found, remedy = '' } = checkOf(health, 'envoy-gateway-leaks');
    expect(markdown.stdout).toContain(`| broken | envoy-gateway-leaks | ${found} | ${remedy} reaper scan --context `);
  });
});

describe('doctor fails', patience, () => {
  const expire = ({ logs }: World) => logs.failRequests(1, 400, 'ExpiredTokenException');
  const refuse = ({ eks }: World) => eks.refuse(/^GET \/clusters$/, 403, 'AccessDeniedException');
  test.each<[string, (world: World) => void, string[], RegExp]>([
    ['with credentials that expire', expire, ['--eks', 'shop'], /^reaper: Cloud.*\nThe credentials have /],
    [
      'without the permission to list clusters',
      refuse,
      ['--eks'],
      /^reaper: EKS could .*\nThe credentials do not allow /,
    ],
  ])('%s', async (_, break_, args, message) => {
    const built = await build();
    break_(built);
    expect(await doctor(args, built.env)).toEqual(failure(1, message));
  });
});
