import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { CLUSTER_CHECKS } from '../../../functions/doctor/cluster-checks.ts';
import { EKS_CHECKS } from '../../../functions/doctor/eks-checks.ts';
import { CHECKS, type Check } from '../../../functions/doctor/report.ts';
import { runChecks } from '../../../functions/doctor/run-checks.ts';
import { FILTER_NAME, STATIC_FILTER_NAME } from '../../../functions/enrollment/findings.ts';
import { SUBSCRIPTION_PATTERN } from '../../../functions/events/audit-event.ts';
import { readEnvoyGatewayConfig } from '../../../functions/judgement/envoy-gateway-config.ts';
import type {
  Deployment,
  EnvoyProxy,
  HorizontalPodAutoscaler,
} from '../../../functions/judgement/kubernetes-objects.ts';
import type { MissingHpa } from '../../../functions/judgement/missing.ts';
import { ApiStatusError } from '../../../functions/kubernetes/api-client.ts';
import {
  type ClusterInspection,
  PERMISSIONS,
  type Permission,
  REAPER_GROUP,
} from '../../../functions/kubernetes/cluster-inspection.ts';
import { ClusterSkippedError, NoAnswerError, RetryableError } from '../../../functions/platform/errors.ts';
import { problem } from '../../../functions/platform/problems.ts';
import { subscriptionFilters } from '../../../infra/subscription-filters.ts';
import { autoscaling, controller, envoyGatewayConfig, envoyProxy } from '../../builders/cluster.ts';
import { listOf } from '../../e2e/harness.ts';

const account = '123456789012';
const FORWARD = `arn:aws:lambda:eu-central-1:${account}:function:envoy-hpa-reaper-forward`;
const ourFilter = { name: FILTER_NAME, pattern: SUBSCRIPTION_PATTERN, destinationArn: FORWARD };
const entryOf = (name: string) => ({
  groups: ['envoy-hpa-reaper'],
  username: `arn:aws:sts::${account}:assumed-role/envoy-hpa-reaper-${name}-eu-central-1/{{SessionName}}`,
  type: 'STANDARD',
  tags: { 'envoy-hpa-reaper/role-id': `AROA${name}` },
});
const nameOf = (arn: string) => /reaper-(\w+)-eu/.exec(arn)?.[1] ?? '';

/** The HPA of Envoy Gateway v1.9. */
const newHpa = listOf('autoscaling-kept-v1.9.1').items.find(
  ({ kind }) => kind === 'HorizontalPodAutoscaler',
) as unknown as HorizontalPodAutoscaler;

const configIn = (namespace: string, text?: string) => readEnvoyGatewayConfig(envoyGatewayConfig({ namespace, text }));

type EksContext = Parameters<(typeof EKS_CHECKS)[number]['run']>[0];
type World = typeof SOUND;

/** A cluster in which every check is ok. An error is thrown where it is read. */
const SOUND = {
  description: {
    ...{ arn: `arn:aws:eks:eu-central-1:${account}:cluster/shop`, tags: {}, status: 'ACTIVE', auditLog: true },
    ...{ publicEndpoint: true, publicAccessCidrs: ['0.0.0.0/0'], authenticationMode: 'API' },
  } as EksContext['description'],
  flags: '--eks shop --region eu-central-1',
  region: 'eu-central-1' as string | undefined,
  controllerNamespaces: undefined as string[] | undefined,
  inspection: {
    server: 'https://127.0.0.1:6443',
    version: async () => 'v1.34.2',
    deniedToMe: async () => [],
    deniedToGroup: async () => [],
    servedVersions: async (group) => (group === 'gateway.envoyproxy.io' ? ['v1alpha1'] : ['v1', 'v1beta1']),
    controllers: async () => [],
  } as ClusterInspection,
  controllers: [controller({ namespace: 'eg-0', version: 'v1.9.1' })] as Deployment[] | Error,
  configs: [configIn('eg-0')],
  envoyProxies: [] as EnvoyProxy[],
  hpas: [newHpa] as HorizontalPodAutoscaler[] | Error,
  stale: 0,
  missing: [] as Pick<MissingHpa, 'namespace' | 'name' | 'owner' | 'remedy'>[],
  logGroupClass: 'STANDARD' as string | undefined,
  filters: [ourFilter],
  entries: { reap: entryOf('reap'), backfill: entryOf('backfill') } as Record<string, ReturnType<typeof entryOf>>,
  roleIds: { reap: 'AROAreap', backfill: 'AROAbackfill' } as Record<string, string>,
};
const inKubeconfig = { region: undefined, flags: '--context prod' };

async function checksOf(change: Partial<World>): Promise<Check[]> {
  const { inspection, configs, envoyProxies, stale, missing, entries, roleIds, ...world } = { ...SOUND, ...change };
  const orThrow = <T>(value: T | Error): T => {
    if (value instanceof Error) throw value;
    return value;
  };
  const config = { gatewayClasses: [], gateways: [], envoyProxies, envoyGatewayConfigs: configs };
  const verdicts = Array.from({ length: stale }, () => ({ action: 'delete' }));
  const context = {
    ...{ ...world, cluster: 'shop', kubectl: 'kubectl' },
    connect: async () => inspection,
    controllers: async () => orThrow(world.controllers),
    config: async () => config,
    assessment: async () => ({ snapshot: { ...config, hpas: orThrow(world.hpas) }, verdicts, missing }),
    logGroupClass: async () => world.logGroupClass,
    filters: async () => world.filters,
    entries: { describe: async (_: string, arn: string) => entries[nameOf(arn)] },
    roles: { idOf: async (arn: string) => roleIds[nameOf(arn)] },
  } as unknown as EksContext;
  return await runChecks([...(world.region === undefined ? [] : EKS_CHECKS), ...CLUSTER_CHECKS], context);
}

describe('the checks ask about what is deployed:', () => {
  const [role, binding] = parseAllDocuments(readFileSync('infra/kubernetes/rbac.yaml', 'utf8')).map((one) =>
    one.toJS(),
  );

  test('the permissions of infra/kubernetes/rbac.yaml, each once, of the group that it is bound to', () => {
    type Rule = { apiGroups: string[]; resources: string[]; verbs: string[]; resourceNames?: string[] };
    const allowed = (role.rules as Rule[]).flatMap(({ apiGroups, resources, verbs, resourceNames = [undefined] }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) =>
          verbs.flatMap((verb) => resourceNames.map((name): Permission => ({ group, resource, verb, name }))),
        ),
      ),
    );
    const sorted = (permissions: Permission[]) => permissions.map((one) => JSON.stringify(one)).sort();
    expect(sorted(Object.values(PERMISSIONS).flat())).toEqual(sorted(allowed));
    expect(binding.subjects).toEqual([expect.objectContaining({ kind: 'Group', name: REAPER_GROUP })]);
  });

  test('the names of the filter, its destination and the roles of the stack', async () => {
    const [filter] = Object.values(subscriptionFilters({ enrollment: 'off', clusters: ['shop'] }));
    const { functions } = parse(readFileSync('serverless.yml', 'utf8'), { logLevel: 'silent' });
    expect(FORWARD.split(':').at(-1)).toBe(functions.forward.name);
    const filterOfStack = { ...ourFilter, name: filter?.Properties.FilterName ?? '' };
    const checks = await checksOf({ filters: [filterOfStack] });
    expect(checks.find(({ id }) => id === 'eks-subscription-filter')?.state).toBe('ok');
    for (const name of ['reap', 'backfill']) {
      const roleName = entryOf(name)
        .username.split('/')[1]
        ?.replace('eu-central-1', '$' + '{AWS::Region}');
      expect(readFileSync('infra/roles.yml', 'utf8')).toContain(`RoleName: !Sub ${roleName}\n`);
    }
  });
});

test('every check is ok and has no remedy in a sound cluster, in the documented order', async () => {
  const checks = await checksOf({});
  expect(checks.map(({ id }) => id)).toEqual(CHECKS);
  expect(checks.filter(({ state, remedy, command }) => state !== 'ok' || remedy || command)).toEqual([]);
  const ofKubeconfig = await checksOf(inKubeconfig);
  expect(ofKubeconfig.map(({ id, state }) => [id, state])).toEqual(
    CHECKS.filter((id) => !id.startsWith('eks-')).map((id) => [id, 'ok']),
  );
});

const described = (change: Partial<World['description']>) => ({
  description: { ...SOUND.description, ...change },
});
const inspected = (change: Partial<ClusterInspection>): Partial<World> => ({
  inspection: { ...SOUND.inspection, ...change },
});
const refusing = (error: Error) => inspected({ version: () => Promise.reject(error) });
const denied = (isDenied: (permission: Permission) => boolean, who: 'Me' | 'Group' = 'Group') =>
  inspected(
    who === 'Me'
      ? { deniedToMe: async (asked) => asked.filter(isDenied) }
      : { deniedToGroup: async (_, asked) => asked.filter(isDenied) },
  );
const runs = (...tags: string[]) => ({
  controllers: tags.map((tag, n) => controller({ namespace: `eg-${n}`, image: `envoyproxy/gateway:${tag}` })),
});
const reads = (configMap: string, name = 'envoy-gateway') => {
  const one = controller({ namespace: 'eg-0', version: 'v1.9.1', configMap });
  return { controllers: [{ ...one, metadata: { ...one.metadata, name } }] };
};
/** ConfigMaps in these namespaces; that of a tenant cannot be read. */
const configs = (namespaces: string[], controllerNamespaces?: string[]): Partial<World> => ({
  configs: namespaces.map((namespace) => configIn(namespace, namespace === 'tenant' ? '[' : undefined)),
  controllerNamespaces,
});
const reapEntry = (change: Partial<ReturnType<typeof entryOf>>) => ({
  entries: { ...SOUND.entries, reap: { ...entryOf('reap'), ...change } },
});
const filtersOfOthers = (count: number) => Array.from({ length: count }, (_, n) => ({ ...ourFilter, name: `f${n}` }));
const ofStack = { ...ourFilter, name: STATIC_FILTER_NAME };
const owner = { kind: 'Gateway', namespace: 'shop', name: 'web' } as const;
const missingHpas = (...remedies: string[]) => ({
  missing: remedies.map((remedy, n) => ({ namespace: 'eg-0', name: `hpa-${n}`, owner, remedy })),
});
const { 'app.kubernetes.io/managed-by': _, ...oldLabels } = newHpa.metadata.labels ?? {};
const oldHpa = { ...newHpa, metadata: { ...newHpa.metadata, labels: oldLabels } };
const kubectl = { manager: 'kubectl', operation: 'Apply' } as const;
const copiedHpa: HorizontalPodAutoscaler = { ...oldHpa, metadata: { ...oldHpa.metadata, managedFields: [kubectl] } };
const proxy = envoyProxy('shop/proxy', autoscaling({ name: 'mine' }));
const naming = { envoyProxies: [proxy] };
const namingByDefault = {
  configs: [configIn('eg-0', `kind: EnvoyGateway\nenvoyProxy: ${JSON.stringify(proxy.spec)}`)],
};
const unauthorized = (isKubeconfig = false) =>
  new ClusterSkippedError(problem('ClusterUnauthorized', 'was answered 401', isKubeconfig), {
    cause: new ApiStatusError(401, 'was answered 401'),
  });
const optedOut = new ClusterSkippedError(problem('ClusterOptedOut', 'shop', 'envoy-hpa-reaper'));
const noAnswer = new NoAnswerError('no whole answer from 127.0.0.1:1');
const forbidden = new ApiStatusError(403, 'was answered 403');
const badGateway = new RetryableError('was answered 502');
const isPatch = ({ verb }: Permission) => verb === 'patch';

/** Changes to a sound cluster. The snapshot has the checks that are not ok then, with their texts. */
test.each<[string, Partial<World>]>([
  ['an opted-out cluster', described({ tags: { 'envoy-hpa-reaper': 'off' } })],
  ['a cluster that is being created', described({ status: 'CREATING' })],
  ['a private endpoint', described({ publicEndpoint: false })],
  ['an endpoint for an office', described({ publicAccessCidrs: ['203.0.113.0/24'] })],
  ['no audit log', described({ auditLog: false })],
  ['no log group', { logGroupClass: undefined }],
  ['a log group of another class', { logGroupClass: 'DELIVERY' }],
  ['no filter of ours', { filters: filtersOfOthers(1) }],
  ['two filters of others', { filters: filtersOfOthers(2) }],
  ['a filter to elsewhere', { filters: [{ ...ourFilter, destinationArn: 'x' }] }],
  ['a filter of another pattern', { filters: [{ ...ourFilter, pattern: '' }] }],
  ['a stack filter of another pattern', { filters: [{ ...ofStack, pattern: '' }] }],
  ['no access entries', described({ authenticationMode: 'CONFIG_MAP' })],
  ['an unknown authentication mode', described({ authenticationMode: undefined })],
  ['no access entry for reap', { entries: { backfill: entryOf('backfill') } }],
  ['a dead access entry', reapEntry({ tags: { 'envoy-hpa-reaper/role-id': 'A' } })],
  ['an untagged access entry', reapEntry({ tags: {} as never })],
  ['an access entry of the wrong username', reapEntry({ username: 'admin' })],
  ['an access entry of the wrong type', reapEntry({ type: 'EC2_LINUX' })],
  ['an access entry of another group', reapEntry({ groups: ['viewers'] })],
  ['an access entry without a group', reapEntry({ groups: [] })],
  ['no role of reap', { roleIds: { backfill: 'AROAbackfill' } }],
  ['an API server that refuses opted-out clusters', refusing(optedOut)],
  ['an API server that does not authenticate', refusing(unauthorized())],
  ['the same of a kubeconfig', { ...inKubeconfig, ...refusing(unauthorized(true)) }],
  ['an API server that authorizes nothing', refusing(forbidden)],
  ['an API server that is a proxy', refusing(new ApiStatusError(404, 'was answered 404'))],
  ['an API server that fails', refusing(badGateway)],
  ['an API server that does not answer', refusing(noAnswer)],
  ['a private API server that does not answer', { ...refusing(noAnswer), ...described({ publicEndpoint: false }) }],
  ['functions that may do nothing', denied(() => true)],
  ['functions that may do a part', denied(isPatch)],
  ['functions that may do a part, in a kubeconfig', { ...inKubeconfig, ...denied(isPatch) }],
  ['functions without rights, in a kubeconfig', { ...inKubeconfig, ...denied(() => true) }],
  ['a person who may only read', denied(isPatch, 'Me')],
  ['a person who may not list', denied(({ verb }) => verb === 'list', 'Me')],
  ['no CRDs', inspected({ servedVersions: async () => [] })],
  ['CRDs of a beta', inspected({ servedVersions: async () => ['v1beta1', 'v1alpha1'] })],
  ['no Deployment of Envoy Gateway', { controllers: [] }],
  ['Deployments that cannot be listed', { controllers: forbidden }],
  [
    'an image without a release',
    { controllers: [controller({ image: 'example.com/gateway:production' })], ...configs(['envoy-gateway-system']) },
  ],
  [
    'a label and a tag of two releases',
    {
      controllers: [controller({ version: 'v1.9.1', image: 'example.com/gateway:v1.3.0' })],
      ...configs(['envoy-gateway-system']),
    },
  ],
  ['Envoy Gateway with another ConfigMap', reads('my-config')],
  ['Envoy Gateway of another name with another ConfigMap', reads('my-config', 'mine')],
  ['another ConfigMap, and none of the usual name', { ...reads('my-config'), ...configs([]) }],
  ['an unreadable ConfigMap', { configs: [configIn('eg-0', 'kind: Envoy')] }],
  ['one ConfigMap of two', { ...configs(['eg-0']), ...runs('v1.9.1', 'v1.9.1') }],
  ['neither ConfigMap nor Envoy Gateway', { ...configs([]), ...runs() }],
  ['a ConfigMap elsewhere', configs(['eg-1'])],
  ['a ConfigMap that is left over', configs(['eg-0', 'old'])],
  ['no ConfigMap, and Deployments that cannot be listed', { ...configs([]), controllers: forbidden }],
  ['none in two listed namespaces', { ...configs(['eg-0'], ['a', 'b']), controllers: forbidden }],
  ['a listed ConfigMap without Envoy Gateway', configs(['eg-0', 'eg-1'], ['eg-0', 'eg-1'])],
  [
    'an Envoy Gateway in an unlisted namespace',
    { ...configs(['eg-0', 'eg-1'], ['eg-0']), ...runs('v1.9.1', 'v1.9.1') },
  ],
  ['no ConfigMap in the listed namespace', configs(['tenant'], ['eg-0'])],
  ['one version that leaks', { ...runs('v1.9.1', 'v1.3.0'), ...configs(['eg-0', 'eg-1']) }],
  ['an unknown version and one that leaks', { ...runs('latest', 'v1.2.9'), ...configs(['eg-0', 'eg-1']) }],
  ['an unknown version', runs('latest')],
  ['a version before all known ones', runs('v1.1.0')],
  ['HPAs of an old version', { hpas: [newHpa, oldHpa, oldHpa] }],
  ['HPAs of the old version that runs', { hpas: [oldHpa], ...runs('v1.3.0') }],
  ['an HPA name under v1.1', { ...naming, ...runs('v1.1.0') }],
  ['an HPA name under v1.4', { ...naming, ...runs('v1.4.0') }],
  ['a default HPA name under v1.4', { ...namingByDefault, ...runs('v1.4.0') }],
  ['an HPA name under an unknown version', { ...naming, ...runs('latest') }],
  ['HPAs that cannot be listed', { hpas: badGateway }],
  ['a stale HPA', { stale: 1, controllerNamespaces: ['eg-0'] }],
  ['a missing HPA', missingHpas('Restart it.')],
  ['three missing HPAs', missingHpas('Restart it.', 'Repair it.', 'Restart it.')],
])('reports %s', async (_, change) => {
  const lines = (await checksOf(change))
    .filter(({ state }) => state !== 'ok')
    .flatMap(({ id, state, found, remedy, command }) =>
      [`${state} ${id}: ${found}`, remedy ?? [], command ?? []].flat(),
    );
  expect(lines.join('\n')).toMatchSnapshot();
});

test.each<[string, Partial<World>]>([
  ['a cluster that is being updated', described({ status: 'UPDATING' })],
  ['an endpoint for an office and all', described({ publicAccessCidrs: ['10.0.0.0/8', '0.0.0.0/0'] })],
  ['five filters of others and ours', { filters: [...filtersOfOthers(5), ourFilter] }],
  ['two ConfigMaps of two', { ...configs(['eg-0', 'eg-1']), ...runs('v1.9.1', 'v1.9.1') }],
  ['an unreadable ConfigMap in an unlisted namespace', configs(['eg-0', 'tenant'], ['eg-0'])],
  ['a copy of an HPA of an old version', { hpas: [copiedHpa] }],
  ['an HPA name under v1.9', naming],
])('finds nothing wrong with %s', async (_, change) => {
  expect((await checksOf(change)).filter(({ state }) => state !== 'ok')).toEqual([]);
});
