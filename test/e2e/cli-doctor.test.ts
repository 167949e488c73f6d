import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { CHECKS, type Check, type ClusterHealth, doctorReportSchema } from '../../functions/doctor/health.ts';
import { reaperRbac } from '../contract/server.ts';
import { readEksToken } from '../doubles/eks.ts';
import { type AccountCluster, EksAccountDouble } from '../doubles/eks-account.ts';
import type { RecordedCall } from '../doubles/iam-policy.ts';
import { type StoredFilter, type StoredLogGroup, SubscriptionFiltersDouble } from '../doubles/subscription-filters.ts';
import { admin, type EmbeddedCluster, type EmbeddedClusterOptions } from '../embedded-cluster/embedded-cluster.ts';
import { PLACE } from '../embedded-cluster/event-path.ts';
import type { KubernetesObject } from '../embedded-cluster/objects.ts';
import { awsEnvironment, kubeconfigFor, run, runInTerminal, save, serveUntilEnd } from './cli-harness.ts';
import { BACKFILL, FORWARD_ARN, logGroup, ourEntries, ourFilter, REAP } from './enroll-harness.ts';
import { type List, listOf, staleList, the } from './harness.ts';

const rbac = await reaperRbac();

const doubles: (EksAccountDouble | SubscriptionFiltersDouble)[] = [];
afterAll(async () => void (await Promise.all(doubles.map((double) => double.stop()))));

/** Everything that a cluster hangs on; a test breaks one thing of it. */
interface World {
  name: string;
  list: List;
  options: EmbeddedClusterOptions;
  eks: EksAccountDouble;
  logs: SubscriptionFiltersDouble;
  group: StoredLogGroup;
  described: AccountCluster;
}

type Break = (world: World) => void;

const controller = (image: string, namespace = 'envoy-gateway-system') =>
  ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'envoy-gateway', namespace, labels: { 'control-plane': 'envoy-gateway' } },
    spec: {
      template: {
        spec: {
          containers: [
            { name: 'sidecar', image: 'docker.io/library/sidecar:v9.9.9' },
            { name: 'envoy-gateway', image },
          ],
        },
      },
    },
  }) as unknown as KubernetesObject;

/** Envoy Gateway v1.9 with one wanted HPA: nothing is wrong with it. */
function soundList(): List {
  const list = listOf('autoscaling-kept-v1.9.1');
  list.items.push(controller('docker.io/envoyproxy/gateway:v1.9.1@sha256:0123456789abcdef'));
  return list;
}

interface Account {
  env: Record<string, string>;
  eks: EksAccountDouble;
  logs: SubscriptionFiltersDouble;
}

async function openAccount(): Promise<Account> {
  const [eks, logs] = [new EksAccountDouble(PLACE), new SubscriptionFiltersDouble(PLACE)];
  doubles.push(eks, logs);
  const [EKS, CLOUDWATCH_LOGS] = await Promise.all([eks.start(), logs.start()]);
  return { env: awsEnvironment({ EKS, CLOUDWATCH_LOGS }), eks, logs };
}

const another = (name: string) => ({ filterName: name, filterPattern: '', destinationArn: 'another' });

/** A cluster of the account, where all is well but for what the test breaks. */
async function enroll({ env, eks, logs }: Account, name: string, breaks: Break = () => {}): Promise<EmbeddedCluster> {
  const isGood = (token: string) => readEksToken(token)?.isGoodFor(name, env.AWS_SECRET_ACCESS_KEY ?? '') ?? false;
  // What begins with the same name comes first.
  for (const end of ['-old', '-older']) logs.add(`${logGroup(name)}${end}`, [], 'DELIVERY');
  const group = logs.add(logGroup(name), [another('another'), another('a third'), ourFilter()]);
  const described = eks.add(name, {
    tags: { team: 'shop' },
    authenticationMode: 'API_AND_CONFIG_MAP',
    entries: ourEntries(),
  });
  for (const entry of described.entries.values()) entry.kubernetesGroups.unshift('viewers');
  const world: World = {
    name,
    list: soundList(),
    options: { rbac, users: (token) => (token === 'admin-token' || isGood(token) ? admin : undefined) },
    ...{ eks, logs, group, described },
  };
  breaks(world);
  const cluster = await serveUntilEnd(world.list, world.options);
  Object.assign(described, { endpoint: cluster.url, ca: cluster.caCertificate, ...described });
  return cluster;
}

interface Built extends Account {
  kubeconfig: string;
  cluster: EmbeddedCluster;
}

/** An account with the one cluster `shop`. */
async function build(breaks?: Break): Promise<Built> {
  const account = await openAccount();
  const cluster = await enroll(account, 'shop', breaks);
  return { ...account, kubeconfig: save(kubeconfigFor(cluster, 'admin-token')), cluster };
}

/** Anything that changes something, there or here: reviews are answered and kept nowhere. */
const writesTo = ({ requests }: EmbeddedCluster) =>
  requests.filter(({ method, path }) => method !== 'GET' && !path.endsWith('accessreviews'));

async function examine(built: Built, args: readonly string[] = ['--eks', 'shop']) {
  const { code, stdout, stderr } = await run(['doctor', ...args, '-o', 'json'], { env: built.env });
  expect(stderr).toBe('');
  const report = doctorReportSchema.parse(JSON.parse(stdout));
  expect(writesTo(built.cluster)).toEqual([]);
  return { code, report, health: report.clusters[0] as ClusterHealth };
}

const statesOf = ({ checks }: ClusterHealth) => Object.fromEntries(checks.map(({ id, state }) => [id, state]));
const checkOf = ({ checks }: ClusterHealth, id: string) => checks.find((check) => check.id === id) as Check;

const ofClusterOnly = CHECKS.filter((id) => !id.startsWith('eks-'));
const allOk = Object.fromEntries(CHECKS.map((id) => [id, 'ok']));
/** What is not looked at where the API server is out of reach. */
const beyondAccess = Object.fromEntries(ofClusterOnly.slice(1).map((id) => [id, 'unknown']));
const ofEks = (state: string, from = 1) =>
  Object.fromEntries(
    CHECKS.filter((id) => id.startsWith('eks-'))
      .slice(from)
      .map((id) => [id, state]),
  );

describe('doctor', { timeout: 60_000 }, () => {
  test('finds nothing wrong where nothing is, and writes nothing', async () => {
    const built = await build();
    const { code, report, health } = await examine(built);
    expect(code).toBe(0);
    expect(health).toMatchObject({ cluster: 'shop', region: 'eu-central-1' });
    expect(health.checks.map(({ id }) => id)).toEqual(CHECKS);
    expect(statesOf(health)).toEqual(allOk);
    expect(report).toMatchObject({ totals: { ok: CHECKS.length, warning: 0, broken: 0, unknown: 0 }, regions: [] });
    expect(health.checks.filter(({ remedy, command }) => remedy || command)).toEqual([]);
    expect(Object.fromEntries(health.checks.map(({ id, found }) => [id, found]))).toMatchObject({
      'eks-cluster': 'ACTIVE',
      'eks-log-group': '/aws/eks/shop/cluster, of class STANDARD',
      'eks-filter-slots': '3 filters, ours among them',
      'eks-authentication-mode': 'API_AND_CONFIG_MAP',
      'cluster-access': `${built.cluster.url} answers and lets us in`,
      'cluster-version': 'v1.34.2',
      'crds-gateway-api': 'v1 (bundle v1.6.1)',
      'crds-envoy-gateway': 'v1alpha1',
      'envoy-gateway': 'v1.9.1 in envoy-gateway-system',
      'envoy-gateway-config': 'readable, in envoy-gateway-system',
      'envoy-gateway-leaks': 'v1.9.1 in envoy-gateway-system does not leak, and nothing is left of one that did',
      'stale-hpas': '0 of 1 HPA with a label of Envoy Gateway are stale',
      'missing-hpas': 'no HPA is missing that is asked for',
    });
    const asked = (calls: readonly RecordedCall[]) => [...new Set(calls.map(({ action }) => action))].toSorted();
    expect(asked(built.eks.calls)).toEqual(['eks:DescribeAccessEntry', 'eks:DescribeCluster']);
    const principals = built.eks.calls.flatMap(({ context }) => context['eks:principalArn'] ?? []);
    expect(principals.toSorted()).toEqual([BACKFILL.arn, REAP.arn]);
    expect(asked(built.logs.calls)).toEqual(['logs:DescribeLogGroups', 'logs:DescribeSubscriptionFilters']);
  });

  test('of a kubeconfig looks at the cluster alone', async () => {
    const built = await build();
    const { code, health } = await examine(built, ['--kubeconfig', built.kubeconfig]);
    expect(code).toBe(0);
    expect(health).toMatchObject({ cluster: 'production' });
    expect(health).not.toHaveProperty('region');
    expect(statesOf(health)).toEqual(Object.fromEntries(ofClusterOnly.map((id) => [id, 'ok'])));
    expect([built.eks.calls, built.logs.calls]).toEqual([[], []]);
  });

  const ours = ({ group }: World) => group.filters.at(-1) as StoredFilter;
  const filters =
    (count: number): Break =>
    ({ group }) => {
      group.filters = Array.from({ length: count }, (_, n) => another(`f${n}`));
    };
  const denied = ({ eks, logs }: World, call: RegExp) => {
    eks.refuse(call, 403, 'AccessDeniedException');
    logs.refuse(call, 'AccessDeniedException');
  };
  const image =
    (reference: string): Break =>
    ({ list }) => {
      list.items = list.items.filter(({ metadata }) => metadata.name !== 'envoy-gateway');
      list.items.push(controller(reference));
    };
  const rights =
    (change: (rules: { resources?: string[]; verbs: string[] }[]) => void): Break =>
    ({ options }) => {
      const manifests = structuredClone(rbac);
      change(manifests[0]?.rules ?? []);
      options.rbac = manifests;
    };
  /** Somebody who may do what these rules allow. */
  const person =
    (...rules: { apiGroups: string[]; resources: string[]; verbs: string[] }[]): Break =>
    ({ options }) => {
      options.users = () => ({ username: 'jane', groups: ['people'] });
      const role = { metadata: { name: 'people' }, rules };
      const subjects = [{ kind: 'Group', name: 'people' }];
      const binding = { metadata: { name: 'people' }, roleRef: { kind: 'ClusterRole', name: 'people' }, subjects };
      options.rbac = [...rbac, { kind: 'ClusterRole', ...role }, { kind: 'ClusterRoleBinding', ...binding }];
    };
  const answering =
    (path: string, status: number, body: string | { [key: string]: never[] | object[] }): Break =>
    ({ options }) => {
      options.onRequest = (request) =>
        request.path === path ? { kind: 'respond', status, body: body as never } : undefined;
    };
  const EVERYTHING = ['*'];
  const ALL = { apiGroups: EVERYTHING, resources: EVERYTHING, verbs: EVERYTHING };
  const enrolling = /^reaper enroll --eks shop --region eu-central-1$/;
  const update = /^aws eks update-cluster-config --region eu-central-1 --name shop /;

  /** What is broken, what changes with it, what is said of the first of these, and what to do. */
  const cases: [string, Break, Record<string, string>, RegExp, RegExp, RegExp?][] = [
    [
      'an opt-out',
      ({ described }) => void Object.assign(described, { tags: { 'envoy-hpa-reaper': 'off' } }),
      { 'eks-opt-out': 'warning', 'cluster-access': 'unknown', ...beyondAccess },
      /envoy-hpa-reaper=off/,
      /^Take the tag off/,
      /^aws eks untag-resource --region eu-central-1 --resource-arn arn:aws:eks:eu-central-1:123456789012:cluster\/shop --tag-keys envoy-hpa-reaper$/,
    ],
    [
      'a cluster that is being created',
      ({ described }) => void Object.assign(described, { status: 'CREATING' }),
      { 'eks-cluster': 'broken', 'cluster-access': 'unknown', ...beyondAccess },
      /^it is CREATING$/,
      /^Look again once/,
      /^aws eks describe-cluster /,
    ],
    [
      'a private endpoint',
      ({ described }) => void Object.assign(described, { publicAccess: false }),
      { 'eks-endpoint': 'warning' },
      /private endpoint only/,
      /^Set subnetIds and securityGroupIds/,
      update,
    ],
    [
      'a public endpoint for an office alone',
      ({ described }) => void Object.assign(described, { publicAccessCidrs: ['203.0.113.0/24'] }),
      { 'eks-endpoint': 'warning' },
      /admits 203\.0\.113\.0\/24 alone/,
      /run `reaper` from there/,
    ],
    [
      'no audit log',
      ({ described }) => void Object.assign(described, { auditLog: false }),
      { 'eks-audit-log': 'broken' },
      /^the audit log is off: /,
      /CloudWatch Logs charges for /,
      /^aws eks update-cluster-config --region eu-central-1 --name shop --logging '\{"clusterLogging":\[\{"types":\["audit"\],"enabled":true\}\]\}'$/,
    ],
    [
      'no log group',
      ({ logs, name }) => void logs.groups.delete(logGroup(name)),
      { 'eks-log-group': 'broken', 'eks-subscription-filter': 'unknown', 'eks-filter-slots': 'unknown' },
      /^there is no log group \/aws\/eks\/shop\/cluster$/,
      /^EKS makes it once the audit log is on/,
      enrolling,
    ],
    [
      'a log group of another class',
      ({ group }) => void Object.assign(group, { logGroupClass: 'INFREQUENT_ACCESS' }),
      { 'eks-log-group': 'broken' },
      /of class INFREQUENT_ACCESS/,
      /^A class cannot be changed\. /,
    ],
    [
      'no filter of ours',
      filters(1),
      { 'eks-subscription-filter': 'broken' },
      /^there is no subscription filter envoy-hpa-reaper$/,
      /^Have the cluster enrolled\.$/,
      enrolling,
    ],
    [
      'a filter that delivers elsewhere',
      (world) =>
        void Object.assign(ours(world), { destinationArn: FORWARD_ARN.replace('123456789012', '210987654321') }),
      { 'eks-subscription-filter': 'broken' },
      /delivers to arn:aws:lambda:eu-central-1:210987654321:function:envoy-hpa-reaper-forward, and not to arn:aws:lambda:eu-central-1:123456789012:/,
      /^Find out whose it is; then have the cluster enrolled/,
      enrolling,
    ],
    [
      'a filter with another pattern',
      (world) => void Object.assign(ours(world), { filterPattern: '{ $.verb = "delete" }' }),
      { 'eks-subscription-filter': 'broken' },
      /pattern .* is not the one of this version$/,
      /^Deploy this version, /,
      enrolling,
    ],
    [
      'a filter of the stack with another pattern',
      (world) => void Object.assign(ours(world), { filterName: 'envoy-hpa-reaper-static', filterPattern: '' }),
      { 'eks-subscription-filter': 'broken' },
      /^the pattern of the subscription filter envoy-hpa-reaper-static is not /,
      /^Deploy this version\. /,
      /^npm run deploy -- --s3-bucket BUCKET --region eu-central-1$/,
    ],
    [
      'a filter of the stack that delivers elsewhere',
      (world) =>
        void Object.assign(ours(world), { filterName: 'envoy-hpa-reaper-static', destinationArn: 'elsewhere' }),
      { 'eks-subscription-filter': 'broken' },
      /^the subscription filter envoy-hpa-reaper-static delivers to elsewhere, /,
      /; then delete it, and deploy\.$/,
      /^npm run deploy -- --s3-bucket BUCKET --region eu-central-1$/,
    ],
    [
      'two filters of others',
      filters(2),
      { 'eks-filter-slots': 'warning', 'eks-subscription-filter': 'broken' },
      /^2 filters, none of them ours: f0, f1; whether there is room for one more, only CloudWatch Logs can tell$/,
      /NoFreeFilterSlot/,
      enrolling,
    ],
    [
      'an authentication mode without access entries',
      ({ described }) => void Object.assign(described, { authenticationMode: 'CONFIG_MAP' }),
      {
        'eks-authentication-mode': 'broken',
        'eks-access-entry-reap': 'unknown',
        'eks-access-entry-backfill': 'unknown',
      },
      /^CONFIG_MAP: /,
      /there is no way back/,
      /--access-config authenticationMode=API_AND_CONFIG_MAP$/,
    ],
    [
      'no access entry for reap',
      ({ described }) => void described.entries.delete(REAP.arn),
      { 'eks-access-entry-reap': 'broken' },
      /^there is no access entry for arn:aws:iam::123456789012:role\/envoy-hpa-reaper-reap-eu-central-1$/,
      /^Have the cluster enrolled, once the stack is deployed\.$/,
      enrolling,
    ],
    [
      'an access entry for backfill without the group',
      ({ described }) =>
        void Object.assign(described.entries.get(BACKFILL.arn) ?? {}, { kubernetesGroups: ['viewers'] }),
      { 'eks-access-entry-backfill': 'broken' },
      /gives viewers, and not envoy-hpa-reaper$/,
      /^Have the cluster enrolled: then it gives envoy-hpa-reaper, and no other group\.$/,
      enrolling,
    ],
    [
      'an API server that does not know us',
      ({ options }) => void Object.assign(options, { users: {} }),
      { 'cluster-access': 'broken', ...beyondAccess },
      /^it does not know who we are: .* was answered 401: Unauthorized$/,
      /an access entry/,
      /^aws sts get-caller-identity --region eu-central-1$/,
    ],
    [
      'an API server that allows nothing',
      answering('/version', 403, 'forbidden: User "jane" cannot get path "/version"'),
      { 'cluster-access': 'broken', ...beyondAccess },
      /^it knows us, and allows us nothing: .* was answered 403: /,
      /system:discovery/,
    ],
    [
      'an API server that is a proxy',
      answering('/version', 502, '<html>'),
      { 'cluster-access': 'broken', ...beyondAccess },
      /was answered 502/,
      /./,
    ],
    [
      'an endpoint that does not answer',
      ({ described }) => void Object.assign(described, { endpoint: 'https://127.0.0.1:1' }),
      { 'cluster-access': 'broken', ...beyondAccess },
      /^no whole answer from 127\.0\.0\.1:1: /,
      /^Check that the API server runs/,
    ],
    [
      'no role for the functions',
      ({ options }) => void Object.assign(options, { rbac: [] }),
      { 'rbac-functions': 'broken' },
      /^the group envoy-hpa-reaper may not do anything that it has to$/,
      /^Have the cluster enrolled: that applies the role of this version\.$/,
      enrolling,
    ],
    [
      'a role of an older version',
      rights((rules) => void rules[0]?.verbs.pop()),
      { 'rbac-functions': 'broken' },
      /^the group envoy-hpa-reaper may not delete horizontalpodautoscalers\.autoscaling$/,
      /^Have the cluster enrolled: /,
      enrolling,
    ],
    [
      'a person who may look only',
      person({ ...ALL, verbs: ['get', 'list'] }, { ...ALL, apiGroups: ['authorization.k8s.io'] }),
      { 'rbac-reap': 'warning' },
      /^you may not patch horizontalpodautoscalers\.autoscaling, delete horizontalpodautoscalers\.autoscaling, so `reap` /,
      /^Nothing to do if you only look/,
    ],
    [
      'a person who may do no more than the functions',
      person(
        { ...ALL, apiGroups: ['autoscaling', 'gateway.networking.k8s.io', 'gateway.envoyproxy.io', ''] },
        { ...ALL, apiGroups: ['apps'], verbs: ['get'] },
      ),
      {
        'rbac-functions': 'unknown',
        'envoy-gateway': 'unknown',
        'envoy-gateway-leaks': 'unknown',
        'envoy-gateway-downgrade': 'unknown',
      },
      /was answered 403: subjectaccessreviews\.authorization\.k8s\.io is forbidden: User "jane" cannot create /,
      /^Let somebody look who may create subjectaccessreviews/,
    ],
    [
      'a person who may not list EnvoyProxies',
      person({
        ...ALL,
        apiGroups: [
          'autoscaling',
          'apps',
          '',
          'gateway.networking.k8s.io',
          'authorization.k8s.io',
          'apiextensions.k8s.io',
        ],
      }),
      {
        'rbac-scan': 'broken',
        'envoy-gateway-config': 'unknown',
        'envoy-gateway-leaks': 'unknown',
        'envoy-gateway-downgrade': 'unknown',
        'stale-hpas': 'unknown',
        'missing-hpas': 'unknown',
      },
      /^you may not list envoyproxies\.gateway\.envoyproxy\.io, so `scan` /,
      /^Ask for a role/,
    ],
    [
      'no custom resources, where there is no HPA either',
      ({ list, options }) => {
        options.customResources = false;
        list.items = list.items.filter(({ kind }) => ['Deployment', 'ConfigMap'].includes(kind));
      },
      {
        'crds-gateway-api': 'broken',
        'crds-envoy-gateway': 'broken',
        'envoy-gateway-config': 'unknown',
        'envoy-gateway-downgrade': 'unknown',
      },
      /^gateway\.networking\.k8s\.io is not known/,
      /^Nothing to do if Envoy Gateway was never here/,
    ],
    [
      'the Gateway API of a beta',
      answering('/apis/gateway.networking.k8s.io', 200, { versions: [{ version: 'v1beta1' }] }),
      { 'crds-gateway-api': 'broken' },
      /is served as v1beta1 \(bundle v1\.6\.1\), and not as v1$/,
      /^Install CRDs that serve v1:/,
    ],
    [
      'another Envoy Gateway API',
      answering('/apis/gateway.envoyproxy.io', 200, { versions: [{ version: 'v2' }] }),
      { 'crds-envoy-gateway': 'broken' },
      /is served as v2, and not as v1alpha1$/,
      /^Install CRDs that serve v1alpha1:/,
    ],
    [
      'no Deployment of Envoy Gateway',
      ({ list }) => void list.items.pop(),
      { 'envoy-gateway': 'unknown', 'envoy-gateway-leaks': 'unknown' },
      /control-plane=envoy-gateway/,
      /installed in another way/,
    ],
    [
      'an image of a mirror with its own tags',
      image('registry.example.com:5000/envoy/gateway:production'),
      { 'envoy-gateway': 'unknown', 'envoy-gateway-leaks': 'unknown' },
      /^envoy-gateway-system\/envoy-gateway runs registry\.example\.com:5000\/envoy\/gateway:production, /,
      /^Look up which release/,
    ],
    [
      'Envoy Gateway v1.4',
      image('docker.io/envoyproxy/gateway:v1.4.6'),
      { 'envoy-gateway-leaks': 'broken' },
      /^v1\.4\.6 in envoy-gateway-system forgets to delete HPAs/,
      /^Upgrade to v1\.5 or later/,
      /^reaper scan --eks shop --region eu-central-1$/,
    ],
    [
      'an HPA of before v1.5',
      ({ list }) => {
        const { labels = {} } = the('HorizontalPodAutoscaler', list).metadata;
        delete labels['app.kubernetes.io/managed-by'];
      },
      { 'envoy-gateway-leaks': 'warning' },
      /does not leak, but 1 HPA has the labels of before v1\.5, such as envoy-gateway-system\/envoy-/,
      /`reaper reap` removes them/,
      /^reaper scan --eks shop --region eu-central-1$/,
    ],
    [
      'no ConfigMap beside Envoy Gateway',
      ({ list }) => void Object.assign(the('ConfigMap', list).metadata, { namespace: 'elsewhere' }),
      { 'envoy-gateway-config': 'broken' },
      /^there is no ConfigMap envoy-gateway-config in envoy-gateway-system, /,
      /^The Helm chart makes it/,
    ],
    [
      'an Envoy Gateway that mounts another ConfigMap',
      ({ list }) => {
        const pod = the('Deployment', { ...list, items: list.items.slice(-1) }).spec.template.spec;
        pod.volumes = [{ name: 'config', configMap: { name: 'my-config' } }];
      },
      { 'envoy-gateway-config': 'broken' },
      /^envoy-gateway-system\/envoy-gateway reads ConfigMap my-config and not envoy-gateway-config: .* \(DefaultsUnreadable\)$/,
      /^Move its configuration into a ConfigMap envoy-gateway-config/,
    ],
    [
      'a ConfigMap that cannot be read',
      ({ list }) => void Object.assign(the('ConfigMap', list).data, { 'envoy-gateway.yaml': 'kind: Envoy' }),
      { 'envoy-gateway-config': 'broken' },
      /^that in envoy-gateway-system cannot be read: /,
      /^Mend its key envoy-gateway\.yaml/,
      /kubectl --context shop get configmap -A /,
    ],
    [
      'a ConfigMap that is left of another installation',
      ({ list }) => {
        const copy = structuredClone(the('ConfigMap', list));
        list.items.push({ ...copy, metadata: { ...copy.metadata, namespace: 'old', uid: 'old' } });
      },
      { 'envoy-gateway-config': 'warning' },
      /^there is one in old, where no Envoy Gateway runs/,
      /^Delete it/,
    ],
    [
      'envoyHpa.name under an older Envoy Gateway',
      (world) => {
        image('envoyproxy/gateway:v1.3.0')(world);
        const { metadata } = the('HorizontalPodAutoscaler', world.list);
        the('EnvoyProxy', world.list).spec.provider.kubernetes.envoyHpa.name = metadata.name;
      },
      { 'envoy-gateway-downgrade': 'warning', 'envoy-gateway-leaks': 'broken' },
      /^v1\.3\.0 ignores envoyHpa\.name, which EnvoyProxy autoscaling-kept\/proxy sets: /,
      /^Take the field out/,
    ],
    [
      'a stale HPA',
      ({ list }) => void delete the('EnvoyProxy', list).spec.provider.kubernetes.envoyHpa,
      { 'stale-hpas': 'warning' },
      /^1 of 1 HPA with a label of Envoy Gateway is stale$/,
      /^See which, and why/,
      /^reaper scan --eks shop --region eu-central-1$/,
    ],
    [
      'an HPA that is missing',
      ({ list, options }) => {
        list.items = list.items.filter(({ kind }) => kind !== 'HorizontalPodAutoscaler');
        // What asks for it has been there for long.
        options.now = () => new Date('2026-01-01T00:00:00Z');
      },
      { 'missing-hpas': 'warning' },
      /^1 HPA is asked for and not there: envoy-gateway-system\/envoy-autoscaling-kept-web-e4f5ee29 of Gateway autoscaling-kept\/web$/,
      /^Envoy Gateway does not notice that it is gone: restart Envoy Gateway \(kubectl -n envoy-gateway-system rollout restart /,
      /^reaper scan --eks shop --region eu-central-1$/,
    ],
    [
      'no permission for DescribeAccessEntry',
      (world) => denied(world, new RegExp(`^GET /clusters/${world.name}/access-entries/`)),
      { 'eks-access-entry-reap': 'unknown', 'eks-access-entry-backfill': 'unknown' },
      /^the credentials do not allow eks:DescribeAccessEntry$/,
      /^Allow eks:DescribeAccessEntry to whoever runs this\.$/,
    ],
    [
      'no permission for DescribeLogGroups',
      (world) => denied(world, new RegExp(`^DescribeLogGroups ${logGroup(world.name)}$`)),
      { 'eks-log-group': 'unknown', 'eks-subscription-filter': 'unknown', 'eks-filter-slots': 'unknown' },
      /^the credentials do not allow logs:DescribeLogGroups$/,
      /^Allow logs:DescribeLogGroups /,
    ],
    [
      'no permission for DescribeSubscriptionFilters',
      (world) => denied(world, new RegExp(`^DescribeSubscriptionFilters ${logGroup(world.name)}$`)),
      { 'eks-subscription-filter': 'unknown', 'eks-filter-slots': 'unknown' },
      /^the credentials do not allow logs:DescribeSubscriptionFilters$/,
      /^Allow logs:DescribeSubscriptionFilters /,
    ],
    [
      'no permission for DescribeCluster',
      (world) => denied(world, new RegExp(`^GET /clusters/${world.name}$`)),
      {
        'eks-cluster': 'unknown',
        ...ofEks('unknown'),
        'eks-log-group': 'ok',
        'cluster-access': 'unknown',
        ...beyondAccess,
      },
      /^the credentials do not allow eks:DescribeCluster$/,
      /^Allow eks:DescribeCluster /,
    ],
  ];
  describe('of clusters that each have one broken link', () => {
    const healths = new Map<string, ClusterHealth>();
    beforeAll(async () => {
      const account = await openAccount();
      const clusters = [];
      // `shop-0` and so on, in the order of the cases.
      for (const [index, [, breaks]] of cases.entries()) clusters.push(await enroll(account, `shop-${index}`, breaks));
      const { code, stdout, stderr } = await run(['doctor', '--eks', '-o', 'json'], { env: account.env });
      expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
      const report = doctorReportSchema.parse(JSON.parse(stdout));
      for (const [index, [name]] of cases.entries()) {
        const health = report.clusters.find(({ cluster }) => cluster === `shop-${index}`);
        healths.set(name, JSON.parse(JSON.stringify(health).replaceAll(`shop-${index}`, 'shop')));
      }
      expect(clusters.flatMap(writesTo)).toEqual([]);
    }, 120_000);

    test.each(cases)('%s: exactly that changes, with what to do', async (name, _, changed, found, remedy, command) => {
      const health = healths.get(name) as ClusterHealth;
      expect(statesOf(health)).toEqual({ ...allOk, ...changed });
      const check = checkOf(health, Object.keys(changed)[0] ?? '');
      expect(check.found).toMatch(found);
      expect(check.remedy).toMatch(remedy);
      if (command === undefined) expect(check.command).toBeUndefined();
      else expect(check.command).toMatch(command);
      for (const one of health.checks) if (one.state === 'ok') expect(one).not.toHaveProperty('remedy');
    });
  });

  test.each<[string, number, Break]>([
    ['something unknown', 0, (world) => denied(world, new RegExp(`^GET /clusters/${world.name}/access-entries/`))],
    ['a cluster that EKS does not describe', 1, (world) => denied(world, new RegExp(`^GET /clusters/${world.name}$`))],
  ])('%s ends it with %i', async (_, expected, breaks) => {
    const { code } = await examine(await build(breaks));
    expect(code).toBe(expected);
  });

  test('a cluster that is not there', async () => {
    const { env } = await build();
    const { code, stdout } = await run(['doctor', '--eks', 'shpo', '-o', 'json'], { env });
    expect(code).toBe(1);
    const [health] = JSON.parse(stdout).clusters;
    expect(health.checks[0]).toMatchObject({
      id: 'eks-cluster',
      state: 'broken',
      found: 'there is no cluster shpo in eu-central-1',
      command: 'aws eks list-clusters --region eu-central-1',
    });
    expect(health.checks.slice(1).filter(({ state }: Check) => state !== 'unknown')).toEqual([
      expect.objectContaining({ id: 'eks-log-group', state: 'broken' }),
    ]);
  });

  test('all clusters of the account, and those with a tag', async () => {
    const built = await build();
    const { eks, env } = built;
    const other = await serveUntilEnd(staleList(), { users: () => admin, rbac });
    eks.add('depot', { endpoint: other.url, ca: other.caCertificate });
    const all = await run(['doctor', '--eks', '-o', 'json'], { env });
    expect(all).toMatchObject({ code: 1, stderr: '' });
    expect(JSON.parse(all.stdout).clusters.map(({ cluster }: ClusterHealth) => cluster)).toEqual(['depot', 'shop']);
    const { code, report } = await examine(built, ['--eks', '--tag', 'team=shop']);
    expect(code).toBe(0);
    expect(report.clusters.map(({ cluster }) => cluster)).toEqual(['shop']);
  });

  test.each<[string, string, string[], Break?]>([
    ['not described', 'unknown', ['--eks'], (world) => denied(world, new RegExp(`^GET /clusters/${world.name}$`))],
    ['not there', 'broken', ['--eks', 'shpo']],
  ])('a cluster that is %s may carry the tag', async (_, state, args, breaks) => {
    const { code, health } = await examine(await build(breaks), [...args, '--tag', 'team=shop']);
    expect([code, checkOf(health, 'eks-cluster').state]).toEqual([1, state]);
  });

  test('all contexts, of which one leads nowhere', async () => {
    const { kubeconfig } = await build();
    const { code, stdout } = await run(['doctor', '--kubeconfig', kubeconfig, '--all-contexts', '-o', 'json']);
    expect(code).toBe(1);
    const [lost, production] = JSON.parse(stdout).clusters;
    expect([lost.cluster, production.cluster]).toEqual(['lost', 'production']);
    expect(statesOf(production)).toEqual(Object.fromEntries(ofClusterOnly.map((id) => [id, 'ok'])));
    expect(statesOf(lost)).toEqual({ 'cluster-access': 'broken', ...beyondAccess });
    expect(checkOf(lost, 'stale-hpas').found).toBe('not looked at: see cluster-access');
  });

  test('a cluster of a kubeconfig that the functions need not look after', async () => {
    const { kubeconfig } = await build(({ options }) => void Object.assign(options, { rbac: [] }));
    const { code, stdout } = await run(['doctor', '--kubeconfig', kubeconfig, '-o', 'json']);
    expect(code).toBe(0);
    expect(checkOf(JSON.parse(stdout).clusters[0], 'rbac-functions')).toMatchObject({
      state: 'warning',
      command: `kubectl --context production --kubeconfig ${kubeconfig} apply -f infra/kubernetes/rbac.yaml`,
    });
  });
});

describe('doctor for a person', { timeout: 60_000 }, () => {
  const broken: Break = (world) => {
    Object.assign(world.described, { auditLog: false });
    world.described.entries.clear();
    world.list.items.pop();
    world.list.items.push(controller('docker.io/envoyproxy/gateway:v1.3.0'));
  };

  test('a table, and beneath it what to do', async () => {
    const { env } = await build(broken);
    const { code, stdout, stderr } = await run(['doctor', '--eks', 'shop'], { env });
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    const lines = stdout.split('\n');
    expect(lines.slice(0, 6)).toEqual([
      'shop (eu-central-1): 4 broken, 19 ok',
      'STATE   CHECK                      FOUND',
      'ok      eks-cluster                ACTIVE',
      'ok      eks-opt-out                it is not tagged as one to be left alone',
      'ok      eks-endpoint               its endpoint is public',
      'broken  eks-audit-log              the audit log is off: no change makes an event, only a sweep finds what is left behind',
    ]);
    expect(lines.slice(lines.indexOf('To mend:'), lines.indexOf('To mend:') + 3)).toEqual([
      'To mend:',
      '  eks-audit-log: Switch it on, if you want that; CloudWatch Logs charges for every line that it takes in.',
      `    aws eks update-cluster-config --region eu-central-1 --name shop --logging '{"clusterLogging":[{"types":["audit"],"enabled":true}]}'`,
    ]);
    expect(stdout).not.toContain('\u001b');
  });

  test('fits a terminal of 80 columns, in colours, and its commands can be copied', async () => {
    const { env } = await build(broken);
    const { code, written, screen } = await runInTerminal(['doctor', '--eks', 'shop'], { env, columns: 80 });
    expect(code).toBe(1);
    expect(screen.filter((line) => line.length > 80)).toEqual([]);
    expect(written).toContain('\u001b[31mbroken\u001b[39m');
    expect(written).toContain('\u001b[32mok\u001b[39m');
    const at = screen.findIndex((line) => line.includes('aws eks update-cluster-config'));
    expect(screen.slice(at, at + 3).map((line) => line.trim())).toEqual([
      'aws eks update-cluster-config --region eu-central-1 --name shop --logging \\',
      `'{"clusterLogging":[{"types":["audit"],"enabled":true}]}'`,
      expect.stringMatching(/^\S+: /),
    ]);
  });

  test('YAML and markdown say the same', async () => {
    const { kubeconfig } = await build(broken);
    const args = ['doctor', '--kubeconfig', kubeconfig, '-o'];
    const [yaml, markdown] = await Promise.all([run([...args, 'yaml']), run([...args, 'markdown'])]);
    expect([yaml.code, yaml.stderr, markdown.code, markdown.stderr]).toEqual([1, '', 1, '']);
    const health = doctorReportSchema.parse(parse(yaml.stdout)).clusters[0] as ClusterHealth;
    const { found, remedy } = checkOf(health, 'envoy-gateway-leaks');
    expect(markdown.stdout.split('\n').slice(0, 5)).toEqual([
      '### production',
      '',
      '1 broken, 12 ok.',
      '',
      '| STATE | CHECK | FOUND | TO MEND |',
    ]);
    expect(markdown.stdout).toContain(
      `| broken | envoy-gateway-leaks | ${found} | ${remedy} \`reaper scan --context production --kubeconfig ${kubeconfig}\` |`,
    );
  });

  test('a reader that has enough ends it without a word', async () => {
    const { kubeconfig } = await build();
    const { code, stderr } = await run(['doctor', '--kubeconfig', kubeconfig], {
      reader: async (stdout) => {
        for await (const chunk of stdout) return String(chunk); // Leaving the loop closes the pipe.
        return '';
      },
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });
});

describe('doctor that cannot look', { timeout: 60_000 }, () => {
  test('no kubeconfig', async () => {
    const { code, stdout, stderr } = await run(['doctor']);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^reaper: no kubeconfig with a context was found; /);
  });

  test('an unreachable server', async () => {
    const { kubeconfig } = await build();
    const { code, stdout, stderr } = await run(['doctor', '--kubeconfig', kubeconfig, '--context', 'lost']);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(stdout).toMatch(/^lost: 1 broken, 12 unknown\n/);
    expect(stdout).toMatch(/\nbroken +cluster-access +no whole answer from 127\.0\.0\.1:1: /);
  });

  test.each([['shop'], []])('no credentials, --eks %s', async (...names) => {
    const { env } = await build();
    const { AWS_ACCESS_KEY_ID: _, AWS_SECRET_ACCESS_KEY: __, ...nobody } = env;
    const { code, stdout, stderr } = await run(['doctor', '--eks', ...names], { env: nobody });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^reaper: .*credentials.*\nGive AWS credentials: /i);
  });

  test.each([['shop'], []])('expired credentials, --eks %s', async (...names) => {
    const { env, eks } = await build();
    eks.failRequests(1, 403, 'ExpiredTokenException');
    const { code, stdout, stderr } = await run(['doctor', '--eks', ...names], { env });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^reaper: .*\nThe credentials have expired: get new ones /);
  });

  test('credentials that expire between two services', async () => {
    const { env, logs } = await build();
    logs.failRequests(1, 400, 'ExpiredTokenException');
    const { code, stdout, stderr } = await run(['doctor', '--eks', 'shop'], { env });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(
      /^reaper: CloudWatch Logs could not list the log groups \/aws\/eks\/shop\/cluster\*: .*\nThe credentials have expired: /,
    );
  });

  test('no permission to list the clusters', async () => {
    const { env, eks } = await build();
    eks.refuse(/^GET \/clusters$/, 403, 'AccessDeniedException');
    const { code, stdout, stderr } = await run(['doctor', '--eks'], { env });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(
      /^reaper: EKS could not list the clusters of eu-central-1: .*\nThe credentials do not allow /,
    );
  });

  test('wrong usage', async () => {
    const { code, stdout, stderr } = await run(['doctor', '--contxt', 'production']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^error: unknown option '--contxt'/);
  });

  test('help says what it takes', async () => {
    const { code, stdout, stderr } = await run(['doctor', '--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('reaper doctor --eks shop');
    expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
  });
});
