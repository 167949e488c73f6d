import { chmodSync, readFileSync } from 'node:fs';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { enrollmentReportSchema } from '../../functions/enrollment/enrollment.ts';
import { readEksToken } from '../doubles/eks.ts';
import { EksAccountDouble } from '../doubles/eks-account.ts';
import { IamDouble } from '../doubles/iam.ts';
import { SubscriptionFiltersDouble } from '../doubles/subscription-filters.ts';
import type { EmbeddedCluster } from '../embedded-cluster/embedded-cluster.ts';
import { admin } from '../embedded-cluster/embedded-cluster.ts';
import { PLACE } from '../embedded-cluster/event-path.ts';
import {
  awsEnvironment,
  kubeconfigFor,
  patience,
  type RunOptions,
  run,
  runInTerminal,
  save,
  serveUntilEnd,
} from './cli-harness.ts';
import { BACKFILL, logGroup, ourEntries, ourFilter, REAP } from './enroll-harness.ts';

const manifest = readFileSync('infra/kubernetes/rbac.yaml', 'utf8');
const SECRET = awsEnvironment({}).AWS_SECRET_ACCESS_KEY ?? '';
const nameOf = ({ arn }: typeof REAP) => arn.split('/')[1] as string;

let eks: EksAccountDouble;
let logs: SubscriptionFiltersDouble;
let iam: IamDouble;
let cluster: EmbeddedCluster;
let env: Record<string, string>;

const stops: (() => Promise<void>)[] = [];
afterAll(async () => void (await Promise.all(stops.map((stop) => stop()))));

/** An account with the stack, and one cluster, `shop`, that nobody has enrolled and whose API lets the person in. */
beforeEach(async () => {
  eks = new EksAccountDouble(PLACE);
  logs = new SubscriptionFiltersDouble(PLACE);
  iam = new IamDouble();
  for (const double of [eks, logs, iam]) stops.push(() => double.stop());
  for (const role of [REAP, BACKFILL]) iam.roles.set(nameOf(role), role.id);
  const isGood = (token: string) => token === 'admin-token' || readEksToken(token)?.isGoodFor('shop', SECRET);
  cluster = await serveUntilEnd({ kind: 'List', items: [] }, { users: (token) => (isGood(token) ? admin : undefined) });
  eks.add('shop', { endpoint: cluster.url, ca: cluster.caCertificate });
  logs.add(logGroup('shop'));
  env = awsEnvironment({ EKS: await eks.start(), CLOUDWATCH_LOGS: await logs.start(), IAM: await iam.start() });
});

const enroll = (args: readonly string[], options: RunOptions = {}) =>
  run(['enroll', ...args], { ...options, env: { ...env, ...options.env } });

const rbacOf = () => [...cluster.objects('clusterroles'), ...cluster.objects('clusterrolebindings')];
const writes = () => [
  ...eks.writes,
  ...logs.writes,
  ...cluster.requests
    .filter(({ method, query }) => method !== 'GET' && !query.has('dryRun'))
    .map(({ method }) => method),
];
const isEnrolled = () => {
  expect(logs.groups.get(logGroup('shop'))?.filters).toEqual([ourFilter()]);
  expect(eks.clusters.get('shop')?.entries).toEqual(ourEntries());
  const wanted = parseAllDocuments(manifest).map((document) => document.toJS());
  expect(rbacOf()).toMatchObject(wanted);
  for (const { metadata } of rbacOf()) {
    expect(metadata.managedFields).toMatchObject([{ manager: 'envoy-hpa-reaper', operation: 'Apply' }]);
  }
};

const PLANNED = [
  /^CLUSTER +PART +NAME +FOUND +ACTION +OUTCOME$/,
  /^shop +subscriptionFilter +envoy-hpa-reaper +absent +create +planned$/,
  /^shop +accessEntry +envoy-hpa-reaper-reap-eu-central-1 +absent +create +planned$/,
  /^shop +accessEntry +envoy-hpa-reaper-backfill-eu-central-1 +absent +create +planned$/,
  /^shop +ClusterRole +envoy-hpa-reaper +absent +create +planned$/,
  /^shop +ClusterRoleBinding +envoy-hpa-reaper +absent +create +planned$/,
];
const expectLines = (text: string, patterns: readonly RegExp[]) => {
  const lines = text.trimEnd().split('\n');
  expect(lines).toEqual(patterns.map((pattern) => expect.stringMatching(pattern)));
};
const with_ = (from: string, to: string) => PLANNED.map(({ source }) => new RegExp(source.replace(from, to)));

describe('enroll', patience, () => {
  test('shows the plan and the RBAC, and with --yes does it', async () => {
    const { code, stdout, stderr } = await enroll(['--eks', 'shop', '--yes']);
    expect(code, stderr).toBe(0);
    const plan = stderr.slice(0, stderr.indexOf(manifest));
    expectLines(plan, PLANNED);
    expect(stderr).toBe(`${plan}${manifest}\n`);
    expectLines(stdout, with_('planned', 'done'));
    isEnrolled();
  });

  test('writes nothing the second time', async () => {
    await enroll(['--eks', 'shop', '--yes']);
    const before = writes().length;
    const { code, stdout, stderr } = await enroll(['--eks', 'shop', '--yes']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: 'reaper: nothing to change\n' });
    expectLines(stdout, with_('absent +create +planned', 'right +none'));
    expect(writes()).toHaveLength(before);
  });

  test('mends the RBAC that somebody changed, and keeps what they added beside it', async () => {
    await enroll(['--eks', 'shop', '--yes']);
    const [role] = cluster.objects('clusterroles');
    const { resourceVersion: _, ...metadata } = structuredClone(role?.metadata ?? ({} as never));
    cluster.load({ items: [{ ...role, rules: [], metadata: { ...metadata, labels: { team: 'edge' } } }] });
    const { code, stdout } = await enroll(['--eks', 'shop', '--yes']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^shop +ClusterRole +envoy-hpa-reaper +different +update +done$/m);
    expect(stdout).toMatch(/^shop +ClusterRoleBinding +envoy-hpa-reaper +right +none$/m);
    isEnrolled();
    expect(rbacOf()[0]?.metadata.labels).toEqual({ team: 'edge' });
  });

  test('--dry-run does nothing; JSON is what is documented', async () => {
    const { code, stdout, stderr } = await enroll(['--eks', 'shop', '--dry-run', '-o', 'json']);
    expect(code).toBe(0);
    expect(stderr).toBe(`${manifest}reaper: would make 5 changes; nothing was changed\n`);
    const { enrollments, rbac } = JSON.parse(stdout);
    expect(enrollments.map((report: unknown) => enrollmentReportSchema.parse(report))).toEqual(enrollments);
    expect(enrollments).toMatchObject([{ dryRun: true, region: 'eu-central-1', totals: { changes: 3, problems: 0 } }]);
    expect(rbac).toEqual(
      ['ClusterRole', 'ClusterRoleBinding'].map((kind) => ({
        ...{ cluster: 'shop', kind, name: 'envoy-hpa-reaper', action: 'create', outcome: 'planned' },
      })),
    );
    expect(writes()).toEqual([]);
    const yaml = await enroll(['--eks', 'shop', '--dry-run', '-o', 'yaml']);
    expect(parse(yaml.stdout).rbac).toEqual(rbac);
  });

  test('--remove takes filter, entries and RBAC away, though the stack and its roles are gone, and nothing else', async () => {
    await enroll(['--eks', 'shop', '--yes']);
    iam.roles.clear();
    const theirs = { filterName: 'theirs', filterPattern: '', destinationArn: 'theirs' };
    logs.groups.get(logGroup('shop'))?.filters.push(theirs);
    const [role] = cluster.objects('clusterroles');
    const view = { name: 'view', uid: 'view', creationTimestamp: '2026-01-01T00:00:00Z' };
    cluster.load({ items: [{ ...role, metadata: view }] });
    const { code, stdout, stderr } = await enroll(['--eks', 'shop', '--remove', '--yes']);
    expect(code, stderr).toBe(0);
    const [head, filter, reap, backfill, clusterRole, binding] = with_(
      'absent +create +planned',
      'unwanted +delete +done',
    );
    expectLines(stdout, [head, filter, reap, backfill, binding, clusterRole] as RegExp[]);
    expect(stderr).not.toContain('kind: ClusterRole');
    expect(logs.groups.get(logGroup('shop'))?.filters).toEqual([theirs]);
    expect(eks.clusters.get('shop')?.entries).toEqual(new Map());
    expect(rbacOf().map(({ metadata }) => metadata.name)).toEqual(['view']);
  });

  test.each([
    ['by its name, in a Region where no cluster is left', ['--eks', 'gone'], () => eks.clusters.clear()],
    ['by its name beside one that is there', ['--eks', 'gone,shop'], () => {}],
    ['with all others of the Region', ['--eks'], () => eks.clusters.clear()],
  ])('--remove takes the filter that a deleted cluster left, %s', async (_, target, before) => {
    logs.add(logGroup('gone'), [ourFilter()]);
    before();
    const { code, stdout, stderr } = await enroll([...target, '--remove', '--yes']);
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(/^gone +subscriptionFilter +envoy-hpa-reaper +unwanted +delete +done$/m);
    expect(logs.groups.get(logGroup('gone'))?.filters).toEqual([]);
  });

  test('--remove goes by the status: a cluster that is being deleted takes its RBAC with it, another one is tried', async () => {
    for (const status of ['DELETING', 'CREATING']) {
      eks.add(status, { status, entries: ourEntries() });
      logs.add(logGroup(status), [ourFilter()]);
    }
    const { code, stdout, stderr } = await enroll(['--eks', 'CREATING,DELETING', '--remove', '--yes', '-o', 'json']);
    expect(code).toBe(1);
    expect([...logs.groups.values()].flatMap(({ filters }) => filters)).toEqual([]);
    const { enrollments, rbac } = JSON.parse(stdout);
    expect(enrollments[0].clusters).toMatchObject([
      { cluster: 'CREATING', because: 'Asked', parts: [{}, {}, {}], problems: [] },
      { cluster: 'DELETING', because: 'Deleting', parts: [{}], problems: [] },
    ]);
    expect(new Set(rbac.map((part: { cluster: string }) => part.cluster))).toEqual(new Set(['CREATING']));
    expect(stderr).toContain('reaper: CREATING: cluster CREATING is CREATING\nRun this again once it is ACTIVE');
  });

  test('says of a name that no cluster has that there is none', async () => {
    const { code, stderr } = await enroll(['--eks', 'shpo', '--yes']);
    expect(code).toBe(1);
    expect(stderr).toContain('reaper: shpo: there is no cluster shpo in eu-central-1\nCheck the name and the Region');
    expect(writes()).toEqual([]);
  });

  test('enrolls none that is gone, and leaves what is left of it to --remove', async () => {
    logs.add(logGroup('gone'), [ourFilter()]);
    const { code, stderr } = await enroll(['--eks', 'gone', '--yes']);
    expect(code).toBe(1);
    expect(stderr).toContain('reaper: gone: there is no cluster gone in eu-central-1\nCheck the name and the Region');
    expect(logs.groups.get(logGroup('gone'))?.filters).toEqual([ourFilter()]);
  });

  test.each([
    ['its ARN', { name: `arn:aws:eks:eu-central-1:${PLACE.account}:cluster/shop`, exec: undefined }],
    [
      'the command that gets the token',
      { name: 'mine', exec: ['--region', 'eu-central-1', 'eks', 'get-token', '--cluster-name', 'shop'] },
    ],
  ])('finds the EKS cluster of a context by %s', async (_, { name, exec }) => {
    const config = kubeconfigFor(cluster, 'admin-token');
    const user = exec
      ? { exec: { apiVersion: 'client.authentication.k8s.io/v1beta1', command: tokenCommand(), args: exec } }
      : { token: 'admin-token' };
    const kubeconfig = save({
      ...config,
      clusters: [{ name, cluster: config.clusters[0]?.cluster }],
      users: [{ name: 'jane', user }],
      contexts: [{ name: 'production', context: { cluster: name, user: 'jane' } }],
    });
    const { code, stderr } = await enroll(['--yes'], { env: { KUBECONFIG: kubeconfig, AWS_REGION: '' } });
    expect(code, stderr).toBe(0);
    isEnrolled();
  });

  test('refuses a context that does not say which EKS cluster it is', async () => {
    const kubeconfig = save(kubeconfigFor(cluster, 'admin-token'));
    const { code, stdout, stderr } = await enroll(['--yes'], { env: { KUBECONFIG: kubeconfig } });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toBe(
      'reaper: context production does not say which EKS cluster it leads to; give the cluster with --eks NAME --region REGION\n',
    );
    expect(writes()).toEqual([]);
  });

  test('asks on a terminal, and takes no for an answer', async () => {
    const answer = async (keys: string) => {
      let asked = false;
      return await runInTerminal(['enroll', '--eks', 'shop'], {
        env,
        columns: 200,
        onOutput: (written, type) => {
          if (asked || !written.includes('Make these 5 changes? [y/N]')) return;
          asked = true;
          expect(written).toContain('kind: ClusterRoleBinding');
          type(keys);
        },
      });
    };
    const refused = await answer('\r');
    expect(refused.code).toBe(0);
    expect(refused.screen).toContain('reaper: nothing was changed');
    expect((await answer('\u0003')).code).toBe(130);
    expect(writes()).toEqual([]);
    expect((await answer('y\r')).code).toBe(0);
    isEnrolled();
  });

  test('without a terminal and without --yes does nothing', async () => {
    const { code, stdout, stderr } = await enroll(['--eks', 'shop']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^reaper: there is no terminal to ask on: give --yes/);
    expect([...eks.calls, ...logs.calls, ...cluster.requests]).toEqual([]);
  });

  test('does what it can where the cluster does not let the person write RBAC, and says what to do', async () => {
    cluster.onRequest = ({ method, path }) =>
      method === 'PATCH' || path.includes('clusterrole')
        ? {
            kind: 'respond',
            status: 403,
            body: {
              ...{ kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'Forbidden', code: 403 },
              message:
                'clusterroles.rbac.authorization.k8s.io "envoy-hpa-reaper" is forbidden: User "jane" cannot get resource "clusterroles"',
            },
          }
        : undefined;
    const { code, stdout, stderr } = await enroll(['--eks', 'shop', '--yes']);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^shop +accessEntry +\S+ +absent +create +done$/m);
    expect(stdout).toMatch(/^shop +ClusterRole +envoy-hpa-reaper +\? +none +failed$/m);
    expect(stderr).toMatch(
      /reaper: shop: .* is forbidden: .*\nRun this as somebody whom the cluster lets write ClusterRoles/,
    );
  });

  test('goes over every cluster of the account, and tells what stands in the way of each', async () => {
    eks.add('opted-out', { tags: { 'envoy-hpa-reaper': 'off' }, entries: ourEntries() });
    logs.add(logGroup('opted-out'), [ourFilter()]);
    eks.add('old', { authenticationMode: 'CONFIG_MAP', auditLog: false });
    eks.add('new', { status: 'CREATING' });
    const { code, stdout, stderr } = await enroll(['--eks', '--yes', '-o', 'json']);
    expect(code).toBe(1);
    const { enrollments, rbac } = JSON.parse(stdout);
    expect(
      enrollments[0].clusters.map(({ cluster, because }: Record<string, string>) => `${cluster} ${because}`),
    ).toEqual([...['new NotActive', 'old Active', 'opted-out OptedOut', 'shop Active']]);
    expect(new Set(rbac.map((part: { cluster: string }) => part.cluster))).toEqual(new Set(['old', 'shop']));
    expect(stderr).toContain('reaper: old: the authentication mode of cluster old is CONFIG_MAP');
    expect(stderr).toContain('reaper: opted-out: it is tagged envoy-hpa-reaper=off, and so not enrolled\n');
    expect(stderr).toContain('reaper: new: it is not ACTIVE now, and left as it is\n');
    isEnrolled();
  });

  test.each([
    [
      'a role that is not there',
      () => iam.roles.delete(nameOf(BACKFILL)),
      /no role envoy-hpa-reaper-backfill-eu-central-1 in this account: deploy the stack in eu-central-1 first/,
    ],
    [
      'no right to ask for it',
      () => iam.deny(),
      /IAM could not tell the id of role .*\nThe credentials do not allow this call/s,
    ],
    ['a Region without a cluster', () => eks.clusters.clear(), /there is no EKS cluster in eu-central-1\n/],
  ])('%s ends it before anything is done', async (_, break_, message) => {
    break_();
    const { code, stdout, stderr } = await enroll(['--eks', 'shop', '--yes']);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(message);
    expect(writes()).toEqual([]);
  });
});

/** A command that prints the token as `aws eks get-token` does. */
function tokenCommand(): string {
  const credential = {
    ...{ kind: 'ExecCredential', apiVersion: 'client.authentication.k8s.io/v1beta1', spec: {} },
    status: { token: 'admin-token' },
  };
  const file = save(`#!/bin/sh\necho '${JSON.stringify(credential)}'\n`);
  chmodSync(file, 0o755);
  return file;
}
