import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { type EksCluster, type EksFacts, eksChecks } from '../../../functions/doctor/eks-health.ts';
import {
  CHECKS,
  type Check,
  type CheckId,
  countStates,
  needsMending,
  type State,
} from '../../../functions/doctor/health.ts';
import { type ClusterFacts, type ClusterRef, inClusterChecks } from '../../../functions/doctor/in-cluster-health.ts';
import { ROLES, stackOf } from '../../../functions/enrollment/enrollment.ts';
import { SUBSCRIPTION_PATTERN } from '../../../functions/events/audit-event.ts';
import { leaksHpas, versionOfImage } from '../../../functions/judgement/controller.ts';
import { readEnvoyGatewayConfig } from '../../../functions/judgement/envoy-gateway-config.ts';
import type { HorizontalPodAutoscaler } from '../../../functions/judgement/kubernetes-objects.ts';
import type { MissingHpa } from '../../../functions/judgement/missing.ts';
import {
  EVENT_PERMISSIONS,
  nameOfPermission,
  REAPER_GROUP,
  TO_REAP,
  TO_SCAN,
} from '../../../functions/kubernetes/permissions.ts';
import { subscriptionFilters } from '../../../infra/subscription-filters.ts';
import { controller } from '../../builders/cluster.ts';
import { listOf } from '../../e2e/harness.ts';

/** As Envoy Gateway v1.9 made it. */
const newHpa = listOf('autoscaling-kept-v1.9.1').items.find(
  ({ kind }) => kind === 'HorizontalPodAutoscaler',
) as unknown as HorizontalPodAutoscaler;

const hpasOf = (...all: HorizontalPodAutoscaler[]) => ({ value: { all, stale: 0, missing: [] } });

const sound = (): ClusterFacts => ({
  access: { value: { result: 'admitted', server: 'https://127.0.0.1:6443', version: 'v1.34.2' } },
  denied: { scan: { value: [] }, reap: { value: [] }, functions: { value: [] } },
  gatewayApi: { value: ['v1', 'v1beta1'] },
  envoyGatewayApi: { value: ['v1alpha1'] },
  gatewayApiBundle: { value: undefined },
  controllers: { value: [controller({ namespace: 'eg-0', version: 'v1.9.1' })] },
  configs: {
    value: [
      readEnvoyGatewayConfig({
        metadata: { name: 'envoy-gateway-config', namespace: 'eg-0' },
        data: { 'envoy-gateway.yaml': 'kind: EnvoyGateway' },
      }),
    ],
  },
  envoyProxies: { value: [] },
  hpas: hpasOf(newHpa),
});

const checkOf = (checks: readonly Check[], id: CheckId) => checks.find((check) => check.id === id) as Check;

const shop = { name: 'shop', region: 'eu-central-1', flags: '--eks shop --region eu-central-1' };

describe('what doctor asks about is what is deployed', () => {
  const [role, binding] = parseAllDocuments(readFileSync('infra/kubernetes/rbac.yaml', 'utf8')).map((one) =>
    one.toJS(),
  );

  test('the permissions are those of infra/kubernetes/rbac.yaml, each once', () => {
    type Rule = { apiGroups: string[]; resources: string[]; verbs: string[]; resourceNames?: string[] };
    const allowed = (role.rules as Rule[]).flatMap(({ apiGroups, resources, verbs, resourceNames = [undefined] }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) =>
          verbs.flatMap((verb) => resourceNames.map((name) => nameOfPermission({ group, resource, verb, name }))),
        ),
      ),
    );
    expect([...TO_SCAN, ...TO_REAP, ...EVENT_PERMISSIONS].map(nameOfPermission).sort()).toEqual(allowed.sort());
  });

  test('the group is the one that the role is bound to', () => {
    expect(binding.subjects).toEqual([expect.objectContaining({ kind: 'Group', name: REAPER_GROUP })]);
  });

  test('the filter, its destination and the roles have the names that the stack gives them', () => {
    const [filter] = Object.values(subscriptionFilters(['shop']));
    const { functions } = parse(readFileSync('serverless.yml', 'utf8'), { logLevel: 'silent' });
    const destinationArn = `arn:aws:lambda:eu-central-1:123456789012:function:${functions.forward.name}`;
    const filters = [{ name: filter?.Properties.FilterName ?? '', destinationArn, pattern: SUBSCRIPTION_PATTERN }];
    const checks = eksChecks(shop, { ...eks(), filters: { value: filters } });
    expect(checkOf(checks, 'eks-subscription-filter').state).toBe('ok');
    const roles = readFileSync('infra/roles.yml', 'utf8');
    for (const role of ROLES) {
      const name = stackOf(cluster().arn)
        .roleArns[role].split('/')[1]
        ?.replace('eu-central-1', '$' + '{AWS::Region}');
      expect(roles).toContain(`RoleName: !Sub ${name}\n`);
    }
  });
});

describe('the version of an image', () => {
  test.each([
    ['docker.io/envoyproxy/gateway:v1.3.0', 'v1.3.0'],
    ['docker.io/envoyproxy/gateway:v1.3.0@sha256:0123456789abcdef', 'v1.3.0'],
    ['registry.example.com:5000/envoyproxy/gateway:1.9.1', 'v1.9.1'],
    ['envoyproxy/gateway:v1.5.0-rc.1', 'v1.5.0-rc.1'],
    ['docker.io/envoyproxy/gateway@sha256:0123456789abcdef', undefined],
    ['registry.example.com:5000/envoyproxy/gateway', undefined],
    ['envoyproxy/gateway', undefined],
    ['envoyproxy/gateway:latest', undefined],
    ['bitnami/envoy-gateway:1.3.0-debian-12-r1', undefined],
    ['example.com/gateway:20260101', undefined],
    ['example.com/gateway:v1.3', undefined],
    ['', undefined],
  ])('%s', (image, text) => {
    expect(versionOfImage(image)?.text).toBe(text);
  });

  test.each([
    ['v1.1.2', undefined],
    ['v1.1.3', true],
    ['v0.6.0', undefined],
    ['v1.2.0', true],
    ['v1.4.6', true],
    ['v1.5.0', false],
    ['v1.10.0', false],
    ['v2.0.0', false],
  ])('%s leaks: %s', (tag, leaks) => {
    const version = versionOfImage(`envoyproxy/gateway:${tag}`);
    expect(version && leaksHpas(version)).toBe(leaks);
  });
});

const cluster = (change: Partial<EksCluster> = {}): EksCluster => ({
  arn: 'arn:aws:eks:eu-central-1:123456789012:cluster/shop',
  status: 'ACTIVE',
  optedOut: false,
  auditLog: true,
  publicEndpoint: true,
  publicAccessCidrs: ['0.0.0.0/0'],
  authenticationMode: 'API',
  ...change,
});

const entryOf = (groups: string[]) => ({ groups, username: '', type: 'STANDARD', tags: {} });

const eks = (change: Partial<EksCluster> = {}): EksFacts => {
  const entry = { value: entryOf([REAPER_GROUP]) };
  return {
    cluster: { value: cluster(change) },
    logGroup: { value: 'STANDARD' },
    filters: { value: [] },
    accessEntries: { reap: entry, backfill: entry },
  };
};

describe('the links outside of a cluster', () => {
  const place = { ...shop, region: 'cn-north-1' };
  const inChina = { arn: 'arn:aws-cn:eks:cn-north-1:123456789012:cluster/shop' };

  test('are reckoned in the partition, account and Region of the cluster', () => {
    expect(Object.values(stackOf(inChina.arn).roleArns)).toEqual([
      'arn:aws-cn:iam::123456789012:role/envoy-hpa-reaper-reap-cn-north-1',
      'arn:aws-cn:iam::123456789012:role/envoy-hpa-reaper-backfill-cn-north-1',
    ]);
    const destinationArn = 'arn:aws-cn:lambda:cn-north-1:123456789012:function:envoy-hpa-reaper-forward';
    const filter = { name: 'envoy-hpa-reaper', destinationArn, pattern: SUBSCRIPTION_PATTERN };
    const checks = eksChecks(place, { ...eks(inChina), filters: { value: [filter] } });
    expect(new Set(checks.map(({ state }) => state))).toEqual(new Set(['ok']));
  });

  test.each<[Partial<EksCluster>, CheckId, State]>([
    [{ status: 'UPDATING' }, 'eks-cluster', 'ok'],
    [{ status: 'DELETING' }, 'eks-cluster', 'broken'],
    [{ publicAccessCidrs: [] }, 'eks-endpoint', 'ok'],
    [{ publicAccessCidrs: ['10.0.0.0/8', '0.0.0.0/0'] }, 'eks-endpoint', 'ok'],
    [{ authenticationMode: 'API_AND_CONFIG_MAP' }, 'eks-authentication-mode', 'ok'],
  ])('%o: %s is %s', (change, id, state) => {
    expect(checkOf(eksChecks(place, eks(change)), id).state).toBe(state);
  });

  test.each([
    [0, 'ok'],
    [1, 'ok'],
    [2, 'warning'],
    [5, 'warning'],
  ])('%i filters of others leave room for ours: %s', (count, state) => {
    const filters = Array.from({ length: count }, (_, n) => ({ name: `f${n}`, destinationArn: '', pattern: '' }));
    const checks = eksChecks(place, { ...eks(), filters: { value: filters } });
    expect(checkOf(checks, 'eks-filter-slots').state).toBe(state);
  });

  test('an access entry without any group is told apart', () => {
    const accessEntries = { reap: { value: entryOf([]) }, backfill: { value: undefined } };
    const bare = checkOf(eksChecks(place, { ...eks(), accessEntries }), 'eks-access-entry-reap');
    expect(bare.found).toBe('the access entry gives no Kubernetes group, and not envoy-hpa-reaper');
  });

  test('what was not read is unknown once, with its remedy, and what rests on it refers to it', () => {
    const denied = { unread: 'the credentials do not allow eks:DescribeCluster', remedy: 'Allow it.' };
    const checks = eksChecks(place, { ...eks(), cluster: denied });
    expect(checkOf(checks, 'eks-cluster')).toEqual({
      id: 'eks-cluster',
      state: 'unknown',
      found: denied.unread,
      remedy: 'Allow it.',
    });
    expect(checkOf(checks, 'eks-access-entry-reap')).toEqual({
      id: 'eks-access-entry-reap',
      state: 'unknown',
      found: 'not looked at: see eks-cluster',
    });
  });
});

describe('the links within a cluster', () => {
  const prod: ClusterRef = { flags: '--context prod', kubectl: 'kubectl --context prod' };
  const verdict = (id: CheckId, change: Partial<ClusterFacts>, place = prod) =>
    checkOf(inClusterChecks(place, { ...sound(), ...change }), id);
  const runs = (...images: string[]): ClusterFacts['controllers'] => ({
    value: images.map((tag, n) => controller({ namespace: `eg-${n}`, image: `envoyproxy/gateway:${tag}` })),
  });
  const config = (namespace: string, text = 'kind: EnvoyGateway') =>
    readEnvoyGatewayConfig({
      metadata: { name: 'envoy-gateway-config', namespace },
      data: { 'envoy-gateway.yaml': text },
    });

  test('are all well where all is well', () => {
    const checks = inClusterChecks(prod, sound());
    expect(checks.map(({ id }) => id)).toEqual(CHECKS.filter((id) => !id.startsWith('eks-')));
    expect(new Set(checks.map(({ state }) => state))).toEqual(new Set(['ok']));
  });

  test('no answer of a private endpoint is told from another', () => {
    const access: ClusterFacts['access'] = { value: { result: 'no-answer', message: 'no whole answer' } };
    const shop = { name: 'shop', region: 'eu-central-1' };
    const within = { ...prod, eks: { ...shop, publicEndpoint: false } };
    expect(verdict('cluster-access', { access }, within).remedy).toBe(
      'It has a private endpoint only: run this from within its VPC.',
    );
    const outside = { ...prod, eks: { ...shop, publicEndpoint: true } };
    expect(verdict('cluster-access', { access }, outside).remedy).toMatch(/^Check that the API server runs/);
  });

  test('credentials of a kubeconfig that are no longer good', () => {
    const access: ClusterFacts['access'] = { value: { result: 'unauthorized', message: '401' } };
    expect(verdict('cluster-access', { access })).toMatchObject({
      state: 'broken',
      command: 'kubectl --context prod auth whoami',
    });
  });

  test('what the functions may not do in part is broken, whoever looks', () => {
    const denied = { ...sound().denied, functions: { value: TO_REAP } };
    expect(verdict('rbac-functions', { denied })).toMatchObject({
      state: 'broken',
      found:
        'the group envoy-hpa-reaper may not get horizontalpodautoscalers.autoscaling, patch horizontalpodautoscalers.autoscaling, delete horizontalpodautoscalers.autoscaling',
      command: 'kubectl --context prod apply -f infra/kubernetes/rbac.yaml',
    });
  });

  test.each<[string[], State, RegExp]>([
    [['v1.9.1', 'v1.5.0'], 'ok', /^v1\.9\.1 in eg-0, v1\.5\.0 in eg-1 do not leak/],
    [['v1.9.1', 'v1.3.0'], 'broken', /^v1\.3\.0 in eg-1 forgets/],
    [['latest', 'v1.2.9'], 'broken', /^v1\.2\.9 in eg-1 forgets/],
    [['v1.9.1', 'latest'], 'unknown', /^whether an unknown version in eg-1 leaks is not known$/],
    [['v1.1.0'], 'unknown', /^whether v1\.1\.0 in eg-0 leaks is not known$/],
    [[], 'unknown', /^whether the Envoy Gateway here, if there is one, leaks is not known$/],
  ])('%j: leaks is %s', (images, state, found) => {
    const check = verdict('envoy-gateway-leaks', { controllers: runs(...images) });
    expect(check.state).toBe(state);
    expect(check.found).toMatch(found);
  });

  test('an HPA of old labels counts only if Envoy Gateway applied it', () => {
    const hpa = newHpa;
    const { 'app.kubernetes.io/managed-by': _, ...labels } = hpa.metadata.labels ?? {};
    const old = { ...hpa, metadata: { ...hpa.metadata, labels } };
    const copied = {
      ...old,
      metadata: { ...old.metadata, managedFields: [{ manager: 'kubectl', operation: 'Apply' }] },
    };
    expect(verdict('envoy-gateway-leaks', { hpas: hpasOf(hpa) }).state).toBe('ok');
    expect(verdict('envoy-gateway-leaks', { hpas: hpasOf(hpa, old, old) }).found).toMatch(/ but 2 HPAs have /);
    expect(verdict('envoy-gateway-leaks', { hpas: hpasOf(copied) }).state).toBe('ok');
    // While what leaks still runs, its HPAs have no other labels.
    const leaking = verdict('envoy-gateway-leaks', {
      hpas: hpasOf(old),
      controllers: runs('v1.3.0'),
    });
    expect(leaking.found).not.toContain('labels');
  });

  test.each<[string[], string[], State, RegExp]>([
    [['eg-0', 'eg-1'], ['v1.9.1', 'v1.9.1'], 'ok', /^readable, in eg-0, eg-1$/],
    [['eg-0'], ['v1.9.1', 'v1.9.1'], 'broken', /^there is no ConfigMap envoy-gateway-config in eg-1, /],
    [[], [], 'unknown', /^there is no ConfigMap envoy-gateway-config, and no Envoy Gateway was found either$/],
    [['eg-1'], ['v1.9.1'], 'broken', /^there is no ConfigMap envoy-gateway-config in eg-0, /],
    [['eg-0', 'old'], ['v1.9.1'], 'warning', /^there is one in old, /],
    [['eg-0'], [], 'ok', /^readable, in eg-0$/],
  ])('ConfigMaps in %j of Envoy Gateways %j: %s', (namespaces, images, state, found) => {
    const configs = { value: namespaces.map((namespace) => config(namespace)) };
    const check = verdict('envoy-gateway-config', { configs, controllers: runs(...images) });
    expect(check.state).toBe(state);
    expect(check.found).toMatch(found);
  });

  test.each<[string[], string[], string[], State, RegExp]>([
    [['eg-0'], ['eg-0', 'tenant'], ['v1.9.1'], 'ok', /^readable, in eg-0$/],
    [['eg-0', 'eg-1'], ['eg-0', 'eg-1'], ['v1.9.1'], 'warning', /^there is one in eg-1, /],
    [['eg-0'], ['eg-0', 'eg-1'], ['v1.9.1', 'v1.9.1'], 'broken', /^an Envoy Gateway runs in eg-1, which is no contr/],
    [['eg-0'], ['tenant'], ['v1.9.1'], 'broken', /^there is no ConfigMap envoy-gateway-config in eg-0, /],
    [['a', 'b'], ['eg-0'], [], 'unknown', /^there is no ConfigMap envoy-gateway-config in a or b, and no Envoy Gat/],
  ])(
    'in controller namespaces %j, of ConfigMaps in %j: %s',
    (controllerNamespaces, namespaces, images, state, found) => {
      const configs = {
        value: namespaces.map((namespace) => config(namespace, namespace === 'tenant' ? '[' : undefined)),
      };
      const place = { ...prod, controllerNamespaces };
      const check = verdict('envoy-gateway-config', { configs, controllers: runs(...images) }, place);
      expect(check.state).toBe(state);
      expect(check.found).toMatch(found);
      const hpas = { value: { all: [newHpa], stale: 1, missing: [] } };
      expect(verdict('stale-hpas', { hpas }, place).command).toBe(
        ['reaper scan --context prod', ...controllerNamespaces].join(' --controller-namespace '),
      );
    },
  );

  test('a ConfigMap is judged also where nobody may list Deployments', () => {
    const unread = { unread: '403' };
    const readable = { value: [config('eg-0')] };
    expect(verdict('envoy-gateway-config', { configs: readable, controllers: unread }).state).toBe('ok');
    expect(verdict('envoy-gateway-config', { configs: { value: [] }, controllers: unread })).toMatchObject({
      state: 'broken',
      found: expect.stringMatching(/^there is no ConfigMap envoy-gateway-config in any namespace, /),
    });
    const place = { ...prod, controllerNamespaces: ['a', 'b'] };
    expect(verdict('envoy-gateway-config', { configs: readable, controllers: unread }, place).found).toMatch(
      /^there is no ConfigMap envoy-gateway-config in a or b, /,
    );
    const unreadable = { value: [config('eg-0', 'kind: Envoy')] };
    expect(verdict('envoy-gateway-config', { configs: unreadable, controllers: unread }).state).toBe('broken');
  });

  test.each<[string, { version?: string; image?: string }, State, string]>([
    ['the label alone', { version: 'v1.9.1', image: 'example.com/gateway@sha256:0123' }, 'ok', 'v1.9.1 in eg-0'],
    ['the tag alone', { image: 'example.com/gateway:v1.3.0' }, 'ok', 'v1.3.0 in eg-0'],
    [
      'a tag that names none',
      { image: 'example.com/gateway:production' },
      'unknown',
      'eg-0/envoy-gateway runs example.com/gateway:production, whose tag names no release',
    ],
    [
      'a label and a tag that name two',
      { version: 'v1.9.1', image: 'example.com/gateway:v1.3.0' },
      'unknown',
      'eg-0/envoy-gateway runs example.com/gateway:v1.3.0 and has the label app.kubernetes.io/version=v1.9.1, which do not name one release',
    ],
  ])('the release by %s', (_, options, state, found) => {
    const controllers = { value: [controller({ namespace: 'eg-0', ...options })] };
    expect(verdict('envoy-gateway', { controllers })).toMatchObject({ state, found });
  });

  test('an Envoy Gateway that reads another ConfigMap is named, with what follows', () => {
    const other = controller({ namespace: 'eg-0', version: 'v1.9.1', configMap: 'my-config' });
    expect(verdict('envoy-gateway-config', { controllers: { value: [other] } })).toEqual({
      id: 'envoy-gateway-config',
      state: 'broken',
      found:
        'eg-0/envoy-gateway reads ConfigMap my-config and not envoy-gateway-config: its defaults are not known, and what its classes leave behind is kept (DefaultsUnreadable)',
      remedy: 'Move its configuration into a ConfigMap envoy-gateway-config and mount that, as the Helm chart does.',
    });
    // Also where there is no ConfigMap of the usual name at all.
    const without = { controllers: { value: [other] }, configs: { value: [] } };
    expect(verdict('envoy-gateway-config', without).found).toMatch(/^eg-0\/envoy-gateway reads ConfigMap my-config /);
    const renamed = { ...other, metadata: { ...other.metadata, name: 'mine' } };
    expect(verdict('envoy-gateway-config', { controllers: { value: [renamed] } })).toMatchObject({
      state: 'broken',
      found:
        'eg-0/mine reads ConfigMap my-config and not envoy-gateway-config: this program, which looks at a Deployment envoy-gateway alone, goes by envoy-gateway-config',
    });
  });

  const missing = (name: string, remedy: string): MissingHpa => ({
    ...{ namespace: 'eg-0', name, owner: { kind: 'Gateway', namespace: 'shop', name }, ownerUid: name },
    ...{ reason: 'WantedButMissing', explanation: `Gateway shop/${name} asks for it.`, remedy },
  });
  test.each<[MissingHpa[], Omit<Check, 'id'>]>([
    [[], { state: 'ok', found: 'no HPA is missing that is asked for' }],
    [
      [missing('web', 'Restart it.')],
      {
        state: 'warning',
        found: '1 HPA is asked for and not there: eg-0/web of Gateway shop/web',
        remedy: 'Restart it.',
        command: 'reaper scan --context prod',
      },
    ],
    [
      [missing('web', 'Restart it.'), missing('api', 'Repair it.'), missing('pay', 'Restart it.')],
      {
        state: 'warning',
        found:
          '3 HPAs are asked for and not there: eg-0/web of Gateway shop/web, eg-0/api of Gateway shop/api, eg-0/pay of Gateway shop/pay',
        remedy: 'Restart it. Repair it.',
        command: 'reaper scan --context prod',
      },
    ],
  ])('HPAs that are missing: %#', (some, expected) => {
    const hpas = { value: { all: [newHpa], stale: 0, missing: some } };
    expect(verdict('missing-hpas', { hpas })).toEqual({ id: 'missing-hpas', ...expected });
  });

  test('what is missing is not known where the HPAs could not be judged', () => {
    expect(verdict('missing-hpas', { hpas: { unread: '403' } })).toEqual({
      ...{ id: 'missing-hpas', state: 'unknown', found: 'not looked at: see stale-hpas' },
    });
  });

  const naming = {
    metadata: { name: 'proxy', namespace: 'shop', uid: 'u', resourceVersion: '1' },
    spec: { provider: { kubernetes: { envoyHpa: { name: 'mine' } } } },
  };
  const byDefault = config(
    'eg-0',
    'kind: EnvoyGateway\nenvoyProxy:\n  provider:\n    kubernetes:\n      envoyHpa:\n        name: mine\n',
  );
  test.each<[string, Partial<ClusterFacts>, string[], State, RegExp]>([
    ['no name', {}, ['v1.3.0'], 'ok', /^no envoyHpa\.name is set$/],
    ['a name', { envoyProxies: { value: [naming] } }, ['v1.9.1'], 'ok', /known to what runs$/],
    [
      'a name',
      { envoyProxies: { value: [naming] } },
      ['v1.9.1', 'v1.4.0'],
      'warning',
      /^v1\.4\.0 .* EnvoyProxy shop\/proxy sets: /,
    ],
    ['a name', { envoyProxies: { value: [naming] } }, ['v1.1.0'], 'warning', /^v1\.1\.0 ignores/],
    ['a name', { envoyProxies: { value: [naming] } }, ['latest'], 'unknown', /depends on its version$/],
    ['a name', { envoyProxies: { value: [naming] } }, [], 'unknown', /depends on its version$/],
    ['a name by default', { configs: { value: [byDefault] } }, ['v1.3.0'], 'warning', /the default in eg-0 sets: /],
  ])('%s %o under %j: %s', (_, facts, images, state, found) => {
    const check = verdict('envoy-gateway-downgrade', { ...facts, controllers: runs(...images) });
    expect(check.state).toBe(state);
    expect(check.found).toMatch(found);
  });
});

describe('a report', () => {
  const check = (id: CheckId, state: State): Check => ({ id, state, found: '' });

  test.each<[Check[], boolean]>([
    [[check('eks-cluster', 'ok'), check('stale-hpas', 'warning')], false],
    [[check('rbac-functions', 'unknown')], false],
    [[check('rbac-functions', 'broken')], true],
    [[check('eks-cluster', 'unknown')], true],
  ])('%j calls for mending: %s', (checks, expected) => {
    expect(needsMending({ cluster: 'shop', checks })).toBe(expected);
  });

  test('counts the checks of all clusters', () => {
    const checks = [check('eks-cluster', 'ok'), check('stale-hpas', 'warning')];
    expect(
      countStates([
        { cluster: 'a', checks },
        { cluster: 'b', checks },
      ]),
    ).toEqual({
      ...{ ok: 2, warning: 2, broken: 0, unknown: 0 },
    });
  });
});
