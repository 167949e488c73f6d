import { chmodSync, readFileSync } from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { enrollmentReportSchema } from '../../functions/enrollment/enroll-clusters.ts';
import { ACCOUNT } from '../embedded-cluster/event-path.ts';
import { type CliAccount, startAccount } from './cli-account.ts';
import { failure, kubeconfigFor, patience, type RunOptions, run, runInTerminal, save } from './cli-harness.ts';
import { BACKFILL, logGroup, ourEntries, ourEntry, ourFilter, REAP } from './enroll-harness.ts';

const manifest = readFileSync('infra/kubernetes/rbac.yaml', 'utf8');

let { eks, logs, iam, cluster, env } = {} as CliAccount;

beforeEach(async () => {
  ({ eks, logs, iam, cluster, env } = await startAccount({ kind: 'List', items: [] }));
  logs.add(logGroup('shop'));
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
const planned = (from: string, to: string) => PLANNED.map(({ source }) => new RegExp(source.replace(from, to)));

describe('enroll', patience, () => {
  test('shows the changes and the RBAC, and makes them with --yes; the second time there are none', async () => {
    const { code, stdout, stderr } = await enroll(['--eks', 'shop', '--yes']);
    expect(code, stderr).toBe(0);
    const plan = stderr.slice(0, stderr.indexOf(manifest));
    expectLines(plan, PLANNED);
    expect(stderr).toBe(`${plan}${manifest}\n`);
    expectLines(stdout, planned('planned', 'done'));
    isEnrolled();

    const before = writes().length;
    const again = await enroll(['--eks', 'shop', '--yes']);
    expect(again).toMatchObject({ code: 0, stderr: 'reaper: nothing to change\n' });
    expectLines(again.stdout, planned('absent +create +planned', 'right +none'));
    expect(writes()).toHaveLength(before);
  });

  test('prints in a dry run the documented JSON, and the same as YAML, and changes nothing', async () => {
    const { code, stdout, stderr } = await enroll(['--eks', 'shop', '--dry-run', '-o', 'json']);
    expect(code).toBe(0);
    expect(stderr).toBe(`${manifest}reaper: would make 5 changes; nothing was changed\n`);
    const { enrollments } = JSON.parse(stdout);
    expect(enrollments.map((report: unknown) => enrollmentReportSchema.parse(report))).toEqual(enrollments);
    expect(enrollments).toMatchObject([{ dryRun: true, region: 'eu-central-1', totals: { changes: 5, problems: 0 } }]);
    expect(writes()).toEqual([]);
    const yaml = await enroll(['--eks', 'shop', '--dry-run', '-o', 'yaml']);
    expect(parse(yaml.stdout).enrollments[0].clusters).toEqual(enrollments[0].clusters);
  });

  test('shows what differs before it changes it', async () => {
    const entries = eks.clusters.get('shop')?.entries;
    entries?.set(REAP.arn, { ...ourEntry(REAP), kubernetesGroups: ['viewers'] });
    const metadata = { name: 'envoy-hpa-reaper', uid: 'role', creationTimestamp: '2026-01-01T00:00:00Z' };
    cluster.load({ items: [{ ...parseAllDocuments(manifest)[0]?.toJS(), metadata, rules: [] }] });
    const { code, stdout } = await enroll(['--eks', 'shop', '--dry-run']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^shop +accessEntry +\S+ +the access entry has .* groups viewers, .* +update +planned$/m);
    expect(stdout).toMatch(/^shop +ClusterRole +\S+ +the ClusterRole \S+ differs from this version +update +planned$/m);
  });

  test('--remove deletes filter, entries and RBAC, also without the stack and its roles, and nothing else', async () => {
    await enroll(['--eks', 'shop', '--yes']);
    iam.roles.clear();
    const theirs = { filterName: 'theirs', filterPattern: '', destinationArn: 'theirs' };
    logs.groups.get(logGroup('shop'))?.filters.push(theirs);
    const [role] = cluster.objects('clusterroles');
    const view = { name: 'view', uid: 'view', creationTimestamp: '2026-01-01T00:00:00Z' };
    cluster.load({ items: [{ ...role, metadata: view }] });
    const { code, stdout, stderr } = await enroll(['--eks', 'shop', '--remove', '--yes']);
    expect(code, stderr).toBe(0);
    const lines = planned('absent +create +planned', 'unwanted +delete +done');
    const [clusterRole, binding] = lines.splice(-2) as [RegExp, RegExp];
    expectLines(stdout, [...lines, binding, clusterRole]);
    expect(stderr).not.toContain('kind: ClusterRole');
    expect(logs.groups.get(logGroup('shop'))?.filters).toEqual([theirs]);
    expect(eks.clusters.get('shop')?.entries).toEqual(new Map());
    expect(rbacOf().map(({ metadata }) => metadata.name)).toEqual(['view']);
  });

  test.each([
    ['by its name, in a Region without clusters', ['--eks', 'gone']],
    ['with all others of the Region', ['--eks']],
  ])('--remove deletes the filter of a deleted cluster %s', async (_, target) => {
    logs.add(logGroup('gone'), [ourFilter()]);
    eks.clusters.clear();
    const { code, stdout, stderr } = await enroll([...target, '--remove', '--yes']);
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(/^gone +subscriptionFilter +envoy-hpa-reaper +unwanted +delete +done$/m);
    expect(logs.groups.get(logGroup('gone'))?.filters).toEqual([]);
  });

  test('--remove tries the RBAC of every cluster that is not being deleted', async () => {
    for (const status of ['DELETING', 'CREATING']) {
      eks.add(status, { status, entries: ourEntries() });
      logs.add(logGroup(status), [ourFilter()]);
    }
    const { code, stdout, stderr } = await enroll(['--eks', 'CREATING,DELETING', '--remove', '--yes', '-o', 'json']);
    expect(code).toBe(1);
    expect([...logs.groups.values()].flatMap(({ filters }) => filters)).toEqual([]);
    const entry = { part: 'accessEntry', outcome: 'done' };
    const filter = { part: 'subscriptionFilter', outcome: 'done' };
    const rbac = [{ part: 'ClusterRoleBinding', state: 'unknown' }, { part: 'ClusterRole' }];
    expect(JSON.parse(stdout).enrollments[0].clusters).toMatchObject([
      { cluster: 'CREATING', because: 'Asked', findings: [filter, entry, entry, ...rbac] },
      { cluster: 'DELETING', because: 'Deleting', findings: [filter] },
    ]);
    expect(stderr).toContain('reaper: CREATING: cluster CREATING is CREATING\nRun this again once it is ACTIVE');
  });

  test.each(['shpo', 'gone'])('enrolls nothing by the name of a cluster that does not exist (%s)', async (name) => {
    logs.add(logGroup('gone'), [ourFilter()]);
    const { code, stderr } = await enroll(['--eks', name, '--yes']);
    expect(code).toBe(1);
    expect(stderr).toContain(`reaper: ${name}: there is no cluster ${name} in eu-central-1\nCheck the name, `);
    expect(logs.groups.get(logGroup('gone'))?.filters).toEqual([ourFilter()]);
    expect(writes()).toEqual([]);
  });

  type Exec = [args?: string[], profile?: string];
  const kubeconfigOf = (name: string, [args, profile]: Exec = []) => {
    const config = kubeconfigFor({ [name]: cluster });
    const env = profile === undefined ? [] : [{ name: 'AWS_PROFILE', value: profile }];
    const exec = { apiVersion: 'client.authentication.k8s.io/v1beta1', command: tokenCommand(), args, env };
    return save(args ? { ...config, users: [{ name: 'jane', user: { exec } }] } : config);
  };
  const SHOP = `arn:aws:eks:eu-central-1:${ACCOUNT}:cluster/shop`;
  const GET_TOKEN = ['eks', 'get-token', '--cluster-name', 'shop'];
  const withProfiles = () => {
    eks.accounts.set('AKIDEXAMPLE', '111122223333').set('AKIDPROD', ACCOUNT);
    const keys = (name: string, id: string) => `[${name}]\naws_access_key_id=${id}\naws_secret_access_key=secret\n`;
    return { AWS_SHARED_CREDENTIALS_FILE: save(keys('prod', 'AKIDPROD') + keys('dev', 'AKIDEXAMPLE')) };
  };

  test.each<[string, string[], string, Exec]>([
    ['the cluster that its ARN names, in the default account', [], SHOP, []],
    ['the cluster of the command that gets its token', [], 'mine', [[...GET_TOKEN, '--region=eu-central-1']]],
    ['its cluster in the account of the profile of that command', [], SHOP, [GET_TOKEN, 'prod']],
    ['its cluster in the account of --profile', ['--profile', 'prod'], SHOP, [GET_TOKEN, 'dev']],
  ])('enrolls of a context %s', async (_, args, name, exec) => {
    const KUBECONFIG = kubeconfigOf(name, exec);
    const profiles = exec[1] === undefined ? {} : withProfiles();
    const { code, stderr } = await enroll(['--yes', ...args], { env: { ...profiles, KUBECONFIG, AWS_REGION: '' } });
    expect(code, stderr).toBe(0);
    isEnrolled();
    const key = exec[1] === undefined ? 'AKIDEXAMPLE' : 'AKIDPROD';
    expect([eks, logs, iam].flatMap(({ accessKeys }) => [...accessKeys])).toEqual(Array(3).fill(key));
  });

  test.each<[string, string[], string, Exec, RegExp]>([
    ['of another account', [], SHOP, [], /; the account of the default AWS credentials is 111122223333: give /],
    [
      'of another account than --profile',
      ['--profile', 'dev'],
      SHOP,
      [GET_TOKEN, 'prod'],
      /; the account of profile dev /,
    ],
    ['of another Region', ['--region', 'eu-west-1'], SHOP, [], /eu-central-1 .* and eu-west-1 \(--region\)/],
    ['that does not name its cluster', [], 'shop', [], /context shop .*; give it with --eks NAME --region REGION\n$/],
  ])('refuses a context %s, and writes nothing', async (_, args, name, exec, message) => {
    const KUBECONFIG = kubeconfigOf(name, exec);
    const env = { ...withProfiles(), KUBECONFIG };
    logs.groups.get(logGroup('shop'))?.filters.push(ourFilter());
    for (const more of [[], ['--remove']]) {
      expect(await enroll(['--yes', ...args, ...more], { env })).toEqual(failure(2, message));
    }
    expect(writes()).toEqual([]);
  });

  test('asks on a terminal, and changes something only after a yes', async () => {
    const answer = (keys: string) =>
      runInTerminal(['enroll', '--eks', 'shop'], { env, columns: 200, answer: ['Make these 5 changes? [y/N]', keys] });
    const refused = await answer('\r');
    expect(refused.written).toContain('kind: ClusterRoleBinding');
    expect(refused.code).toBe(0);
    expect(refused.screen).toContain('reaper: nothing was changed');
    expect((await answer('\u0003')).code).toBe(130);
    expect(writes()).toEqual([]);
    expect((await answer('y\r')).code).toBe(0);
    isEnrolled();
  });

  test('does nothing without a terminal and without --yes', async () => {
    expect(await enroll(['--eks', 'shop'])).toMatchObject({ code: 2, stdout: '' });
    expect([...eks.calls, ...logs.calls, ...cluster.requests]).toEqual([]);
  });

  test('writes filter and entries if the person may not write RBAC, and says what to do', async () => {
    const message = 'clusterroles "envoy-hpa-reaper" is forbidden: User "jane" cannot get resource "clusterroles"';
    const body = { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'Forbidden', code: 403, message };
    cluster.onRequest = ({ path }) =>
      path.includes('clusterrole') ? { kind: 'respond', status: 403, body } : undefined;
    const { code, stdout, stderr } = await enroll(['--eks', 'shop', '--yes']);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^shop +accessEntry +\S+ +absent +create +done$/m);
    expect(stdout).toMatch(/^shop +ClusterRole +envoy-hpa-reaper +unknown +none$/m);
    expect(stderr).toMatch(/reaper: shop: .* is forbidden: .*\nRun this as a person whom the cluster allows to write /);
  });

  test('enrolls every cluster of the account, and explains what it did not do', async () => {
    eks.add('opted-out', { tags: { 'envoy-hpa-reaper': 'off' }, entries: ourEntries() });
    logs.add(logGroup('opted-out'), [ourFilter()]);
    eks.add('old', { authenticationMode: 'CONFIG_MAP', auditLog: false });
    eks.add('new', { status: 'CREATING' });
    const { code, stdout, stderr } = await enroll(['--eks', '--yes', '-o', 'json']);
    expect(code).toBe(1);
    const { clusters } = enrollmentReportSchema.parse(JSON.parse(stdout).enrollments[0]);
    const rbacOf = clusters.map(({ cluster, because, findings }) => [
      ...[cluster, because, findings.some(({ part }) => part === 'ClusterRole')],
    ]);
    expect(rbacOf).toEqual([
      ['new', 'NotActive', false],
      ['old', 'Active', true],
      ['opted-out', 'OptedOut', false],
      ['shop', 'Active', true],
    ]);
    const update = 'aws eks update-cluster-config --region eu-central-1 --name old';
    expect(stderr).toMatch(new RegExp(`reaper: old: the authentication mode .*\n.*\n${update} --access-config `));
    expect(stderr).toContain('reaper: opted-out: cluster opted-out is tagged envoy-hpa-reaper=off\n');
    expect(stderr).toContain('reaper: new: cluster new is CREATING\n');
    isEnrolled();
  });

  const BACKFILL_ROLE = BACKFILL.arn.split('/')[1] ?? '';
  test.each<[string, number, () => unknown, RegExp]>([
    ['without a role of the stack', 2, () => iam.roles.delete(BACKFILL_ROLE), /no role \S+: deploy the stack in eu-/],
    ['without the right to read it', 1, () => iam.deny(), /\nThe credentials do not allow iam:GetRole: /s],
    ['in a Region without clusters', 2, () => eks.clusters.clear(), /there is no EKS cluster in eu-central-1\n/],
  ])('fails %s before it changes anything', async (_, exitCode, change, message) => {
    change();
    expect(await enroll(['--eks', 'shop', '--yes'])).toEqual(failure(exitCode, message));
    expect(writes()).toEqual([]);
  });
});

/** A command that prints the token as `aws eks get-token` does. */
function tokenCommand(): string {
  const kind = { kind: 'ExecCredential', apiVersion: 'client.authentication.k8s.io/v1beta1' };
  const credential = { ...kind, spec: {}, status: { token: 'admin-token' } };
  const file = save(`#!/bin/sh\necho '${JSON.stringify(credential)}'\n`);
  chmodSync(file, 0o755);
  return file;
}
