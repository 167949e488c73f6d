import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { scan } from '../../functions/cli/commands/scan.ts';
import { objectNameOf, readManifests } from '../../functions/cli/input/manifests.ts';
import { runReportSchema } from '../../functions/events/report.ts';
import type { KubernetesObject } from '../embedded-cluster/objects.ts';
import { patience, run, save, serveLive } from './cli-harness.ts';
import {
  caseNames,
  type List,
  listOf,
  MISSING,
  missingList,
  staleList,
  the,
  wantedList,
  without,
  writesTo,
} from './harness.ts';

type Json = Record<string, unknown>;

/** The object as a person has it in a file: without what the API server gives. */
function manifest(
  { apiVersion, kind, metadata, spec, data }: KubernetesObject,
  change: (object: Json) => void,
): string {
  const { name, namespace, labels, annotations } = metadata;
  const object = structuredClone({ apiVersion, kind, metadata: { name, namespace, labels, annotations }, spec, data });
  change(object);
  return stringify(object);
}

const find = (list: List, kind: string, name: string) => {
  const found = list.items.find((item) => item.kind === kind && item.metadata.name === name);
  if (found === undefined) throw new Error(`no ${kind} ${name}`);
  return found;
};
const kubernetesOf = (proxy: Json) => (proxy.spec as { provider: { kubernetes: Json } }).provider.kubernetes;
const withoutHpa = (proxy: Json) => void delete kubernetesOf(proxy).envoyHpa;
const withHpa = (proxy: Json) => void Object.assign(kubernetesOf(proxy), { envoyHpa: { maxReplicas: 5 } });
const named = (name: string) => (object: Json) => void Object.assign(object.metadata as Json, { name });
const all =
  (...changes: ((object: Json) => void)[]) =>
  (object: Json) => {
    for (const change of changes) change(object);
  };
const merging = (mergeGateways: boolean) => (proxy: Json) => void Object.assign(proxy.spec as Json, { mergeGateways });
const annotated = ({ metadata }: Json) =>
  void Object.assign(metadata as Json, { annotations: { 'envoy-hpa-reaper/keep': 'true' } });
const configured = (more: Json) => (configMap: Json) => {
  const controllerName = 'gateway.envoyproxy.io/gatewayclass-controller';
  const config = { apiVersion: 'gateway.envoyproxy.io/v1alpha1', kind: 'EnvoyGateway', gateway: { controllerName } };
  configMap.data = { 'envoy-gateway.yaml': stringify({ ...config, ...more }) };
};
const aGateway = (namespace: string, name: string) =>
  stringify({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name, namespace },
    spec: {
      gatewayClassName: 'eg',
      infrastructure: { parametersRef: { group: 'gateway.envoyproxy.io', kind: 'EnvoyProxy', name: 'proxy' } },
    },
  });

interface WhatIfOptions {
  files?: string[];
  without?: string[];
  controllerNamespace?: string[];
}

async function scanIf(list: List, { files = [], without = [], ...options }: WhatIfOptions) {
  const read = await Promise.all(files.map((text) => readManifests(save(text))));
  const changes = { applied: read.flatMap(({ manifests }) => manifests), deleted: without.map(objectNameOf) };
  const report = await scan(
    { file: save(list), incomplete: true, changes, ...options },
    { now: () => new Date('2027-01-01T00:00:00Z') },
  );
  expect(runReportSchema.parse(report)).toEqual(report);
  return report;
}

/** Of each HPA what changes, from which reason to which, in the order of their names. */
async function changesOf(list: List, options: WhatIfOptions) {
  const { clusters } = await scanIf(list, options);
  return clusters.flatMap(({ hpas }) =>
    hpas.map(({ reason, whatIf }) => `${whatIf?.change}: ${whatIf?.now.reason}, ${reason}`),
  );
}

const lay = (name: string, kind: string, object: string, change: (object: Json) => void) => ({
  files: [manifest(find(listOf(name), kind, object), change)],
});

const KEPT = 'autoscaling-kept-v1.3.0';
const rows: [string, string, { files?: string[]; without?: string[] }, string[]][] = [
  ...[KEPT, 'autoscaling-kept-v1.9.1', 'removed-then-restored-v1.3.0'].map((name): (typeof rows)[number] => [
    name,
    'envoyHpa goes',
    lay(name, 'EnvoyProxy', 'proxy', withoutHpa),
    ['BecomesStale: AutoscalingConfigured, AutoscalingRemoved'],
  ]),
  ...[
    'autoscaling-removed-v1.3.0',
    'autoscaling-removed-v1.4.2',
    'class-proxy-removed-v1.3.0',
    'merged-removed-v1.3.0',
  ].map((name): (typeof rows)[number] => [
    name,
    'envoyHpa comes back',
    lay(name, 'EnvoyProxy', 'proxy', withHpa),
    ['NoLongerStale: AutoscalingRemoved, AutoscalingConfigured'],
  ]),
  [
    'autoscaling-removed-v1.3.0',
    'nothing that decides',
    lay('autoscaling-removed-v1.3.0', 'EnvoyProxy', 'proxy', () => {}),
    ['Unchanged: AutoscalingRemoved, AutoscalingRemoved'],
  ],
  [
    'autoscaling-removed-v1.3.0',
    'it is protected',
    lay('autoscaling-removed-v1.3.0', 'EnvoyProxy', 'proxy', annotated),
    ['NoLongerStale: AutoscalingRemoved, Protected'],
  ],
  [
    'autoscaling-removed-v1.3.0',
    'its EnvoyProxy goes, which is stale now and no new one',
    { without: ['envoyproxy/autoscaling-removed/proxy'] },
    ['BecomesStaleWithoutDeployment: AutoscalingRemoved, ParametersUnresolved'],
  ],
  [
    'parameters-ref-removed-v1.3.0',
    'its Gateway refers to the EnvoyProxy again',
    { files: [aGateway('parameters-ref-removed', 'web')] },
    ['NoLongerStale: AutoscalingRemoved, AutoscalingConfigured'],
  ],
  [
    'parameters-ref-removed-v1.3.0',
    'a default asks for autoscaling',
    lay(
      'parameters-ref-removed-v1.3.0',
      'ConfigMap',
      'envoy-gateway-config',
      configured({ envoyProxy: { provider: { type: 'Kubernetes', kubernetes: { envoyHpa: { maxReplicas: 3 } } } } }),
    ),
    ['NoLongerStale: AutoscalingRemoved, AutoscalingConfigured'],
  ],
  [
    KEPT,
    'Envoy Gateway serves another controller name',
    lay(KEPT, 'ConfigMap', 'envoy-gateway-config', configured({ gateway: { controllerName: 'example.com/other' } })),
    ['BecomesStaleWithoutDeployment: AutoscalingConfigured, DefaultsUnreadable'],
  ],
  [
    KEPT,
    'Envoy Gateway goes',
    { without: ['cm/envoy-gateway-system/envoy-gateway-config'] },
    ['BecomesStaleWithoutDeployment: AutoscalingConfigured, DefaultsUnreadable'],
  ],
  [
    'gateway-deleted-v1.3.0',
    'the Gateway is made again',
    { files: [aGateway('gateway-deleted', 'web')] },
    ['NoLongerStale: GatewayDeleted, AutoscalingConfigured'],
  ],
  ...[
    ['gateway/autoscaling-kept/web', 'ScaleTargetStillRuns'],
    ['GatewayClass/eg', 'ScaleTargetStillRuns'],
    ['EnvoyProxies.gateway.envoyproxy.io/autoscaling-kept/proxy', 'ParametersUnresolved'],
  ].map(([without = '', reason]): (typeof rows)[number] => [
    KEPT,
    `without ${without}`,
    { without: [without] },
    [`BecomesStaleWithoutDeployment: AutoscalingConfigured, ${reason}`],
  ]),
  [
    'merge-inherits-class-hpa-v1.9.1',
    'envoyHpa goes from the class',
    lay('merge-inherits-class-hpa-v1.9.1', 'EnvoyProxy', 'classproxy', withoutHpa),
    ['BecomesStale: AutoscalingConfigured, AutoscalingRemoved'],
  ],
  [
    'merged-switched-off-v1.3.0',
    'the class merges its Gateways again',
    lay('merged-switched-off-v1.3.0', 'EnvoyProxy', 'proxy', merging(true)),
    [
      'NoLongerStale: NoLongerMerged, AutoscalingConfigured',
      'BecomesStaleWithoutDeployment: AutoscalingConfigured, ScaleTargetStillRuns',
    ],
  ],
  // What Envoy Gateway said of the Gateway, it said of parameters that were not there.
  [
    'invalid-parameters-v1.3.0',
    'the EnvoyProxy that was not there is made',
    lay('invalid-parameters-v1.3.0', 'EnvoyProxy', 'proxy', named('absent')),
    ['NoLongerStale: ScaleTargetGone, AutoscalingConfigured'],
  ],
  [
    'invalid-parameters-v1.9.1',
    'the EnvoyProxy that was not there is made, and asks for nothing',
    lay('invalid-parameters-v1.9.1', 'EnvoyProxy', 'proxy', all(named('absent'), withoutHpa)),
    ['BecomesStale: ParametersUnresolved, AutoscalingRemoved'],
  ],
  [
    'class-rejected-in-namespace-mode-v1.4.2',
    'the class no longer merges',
    lay('class-rejected-in-namespace-mode-v1.4.2', 'EnvoyProxy', 'cls', merging(false)),
    ['NoLongerStale: ParametersUnresolved, AutoscalingConfigured'],
  ],
  [
    'users-own-hpa-v1.3.0',
    'the Gateway goes, and the HPA is not ours',
    { without: ['gtw/users-own-hpa/web'] },
    ['Unchanged: NotManagedByEnvoyGateway, NotManagedByEnvoyGateway'],
  ],
];

describe('a recorded cluster', () => {
  test.each(rows)('%s: %s', async (name, _, changes, expected) => {
    expect(await changesOf(listOf(name), changes)).toEqual(expected);
  });

  test.each(caseNames)('%s: laying what is there changes nothing', async (name) => {
    const kinds = ['GatewayClass', 'Gateway', 'EnvoyProxy', 'ConfigMap'];
    const list = listOf(name);
    const { items } = list;
    const files = items.filter(({ kind }) => kinds.includes(kind)).map((item) => manifest(item, () => {}));
    const expected = items.filter(({ kind }) => kind === 'HorizontalPodAutoscaler').map(() => 'Unchanged');
    const changes = await changesOf(list, { files });
    // A rejection is not in the files; what it rests on is, and is found again.
    expect(changes.map((change) => change.split(':')[0])).toEqual(expected);
  });
});

/** The same kubeconfig with a namespace in its current context. */
function withNamespace(kubeconfig: string, namespace: string): string {
  const config = JSON.parse(readFileSync(kubeconfig, 'utf8'));
  for (const { context } of config.contexts) context.namespace = namespace;
  return save(config);
}

test('a ConfigMap that would come where no controller is changes nothing', async () => {
  const list = staleList();
  const laid = manifest(the('ConfigMap', list), (object) => {
    Object.assign(object.metadata as Json, { namespace: 'tenant' });
    object.data = { 'envoy-gateway.yaml': 'a: [' };
  });
  expect(await changesOf(list, { files: [laid] })).toEqual([
    'BecomesStaleWithoutDeployment: AutoscalingRemoved, DefaultsUnreadable',
  ]);
  const controllerNamespace = ['envoy-gateway-system'];
  expect(await changesOf(list, { files: [laid], controllerNamespace })).toEqual([
    'Unchanged: AutoscalingRemoved, AutoscalingRemoved',
  ]);
});

describe('what Envoy Gateway has said of a Gateway or a class does not outlast what it said it of', () => {
  const REJECTED = { conditions: [{ type: 'Accepted', status: 'False', reason: 'Invalid' }] };
  function rejected(name: string, kind = 'Gateway'): List {
    const list = listOf(name);
    Object.assign(find(list, kind, kind === 'Gateway' ? 'web' : 'eg'), { status: REJECTED });
    return list;
  }
  const CLASS = 'class-rejected-in-namespace-mode-v1.4.2';

  test('a rejection of something else stays', async () => {
    const files = [aGateway('shop', 'other')];
    expect(await changesOf(rejected(KEPT), { files })).toEqual([
      'Unchanged: ParametersUnresolved, ParametersUnresolved',
    ]);
  });

  test.each<[string, List, { files: string[] }]>([
    ['its class', rejected(KEPT), lay(KEPT, 'GatewayClass', 'eg', () => {})],
    ['itself', rejected(KEPT), lay(KEPT, 'Gateway', 'web', () => {})],
    ['its EnvoyProxy', rejected(KEPT), lay(KEPT, 'EnvoyProxy', 'proxy', () => {})],
    ["its class's EnvoyProxy", rejected(CLASS), lay(CLASS, 'EnvoyProxy', 'cls', merging(false))],
    ['the configuration', rejected(KEPT, 'GatewayClass'), lay(KEPT, 'ConfigMap', 'envoy-gateway-config', () => {})],
  ])('%s is laid', async (_, list, changes) => {
    expect(await changesOf(list, changes)).toEqual(['NoLongerStale: ParametersUnresolved, AutoscalingConfigured']);
  });
});

describe('what is laid counts as seen by Envoy Gateway', () => {
  /** Its Gateway asks for no autoscaling since a moment ago, and its status is of before. */
  function unseen(): List {
    const list = listOf(KEPT);
    withoutHpa(the('EnvoyProxy', list) as unknown as Json);
    Object.assign(the('Gateway', list).metadata, { generation: 2 });
    return list;
  }
  const laid = (kind: string, change: (object: Json) => void = () => {}) => ({
    files: [manifest(the(kind, unseen()), change)],
  });
  const toAnother = (gateway: Json) => void Object.assign(gateway.spec as Json, { infrastructure: {} });

  test.each<[string, WhatIfOptions]>([
    ['the Gateway', laid('Gateway')],
    ['a changed Gateway', laid('Gateway', toAnother)],
    ['its class', laid('GatewayClass')],
    ['its EnvoyProxy', laid('EnvoyProxy')],
    ['the configuration', laid('ConfigMap')],
  ])('%s', async (_, changes) => {
    expect(await changesOf(unseen(), changes)).toEqual(['BecomesStale: NotObserved, AutoscalingRemoved']);
  });

  test.each<[string, WhatIfOptions]>([
    ['another Gateway', { files: [aGateway('shop', 'other')] }],
    ['another class', laid('GatewayClass', named('other'))],
    ['another EnvoyProxy', laid('EnvoyProxy', named('other'))],
    ['a Gateway that goes', { without: ['gateway/shop/other'] }],
  ])('and not what is not touched by it: %s', async (_, changes) => {
    expect(await changesOf(unseen(), changes)).toEqual(['Unchanged: NotObserved, NotObserved']);
  });

  test('a new Gateway', async () => {
    const changes = lay('gateway-deleted-v1.3.0', 'EnvoyProxy', 'proxy', withoutHpa);
    const files = [...changes.files, aGateway('gateway-deleted', 'web')];
    expect(await changesOf(listOf('gateway-deleted-v1.3.0'), { files })).toEqual([
      'Unchanged: GatewayDeleted, AutoscalingRemoved',
    ]);
  });

  test('a new class', async () => {
    expect(await changesOf(without(unseen(), 'GatewayClass'), laid('GatewayClass'))).toEqual([
      'BecomesStale: ScaleTargetStillRuns, AutoscalingRemoved',
    ]);
  });

  test('a class that loses its EnvoyProxy is rejected, and may stop an Envoy Gateway of unknown version', async () => {
    const list = listOf(KEPT);
    const [other, proxy] = [structuredClone(the('GatewayClass', list)), structuredClone(the('EnvoyProxy', list))];
    Object.assign(other.metadata, { name: 'other', uid: 'other' });
    Object.assign(proxy.metadata, { name: 'other', uid: 'proxy of other' });
    const { namespace } = proxy.metadata;
    const parametersRef = { group: 'gateway.envoyproxy.io', kind: 'EnvoyProxy', name: 'other', namespace };
    Object.assign(other.spec as Json, { parametersRef });
    list.items.push(other, proxy);
    const changes = { ...lay(KEPT, 'EnvoyProxy', 'proxy', withoutHpa), without: [`envoyproxy/${namespace}/other`] };
    expect(await changesOf(list, changes)).toEqual(['Unchanged: AutoscalingConfigured, NotObserved']);
  });
});

describe('an HPA that is missing', () => {
  const missingOf = async (list: List, options: WhatIfOptions) => {
    const { clusters, totals } = await scanIf(list, options);
    const keys = clusters.flatMap(({ missing }) => missing.map(({ namespace, name }) => `${namespace}/${name}`));
    expect(totals.missing).toBe(keys.length);
    return keys;
  };
  const asking = configured({ envoyProxy: { provider: { kubernetes: { envoyHpa: { maxReplicas: 3 } } } } });

  test('is told where nothing is laid over what asks for it', async () => {
    expect(await missingOf(missingList(), { files: [aGateway('shop', 'other')] })).toEqual([MISSING]);
  });

  test.each<[string, List, WhatIfOptions]>([
    ['a new Gateway asks for it', wantedList(), { files: [aGateway('autoscaling-kept', 'new')] }],
    [
      'a new default asks for it',
      without(listOf('parameters-ref-removed-v1.3.0'), 'HorizontalPodAutoscaler'),
      lay(KEPT, 'ConfigMap', 'envoy-gateway-config', asking),
    ],
    ['its EnvoyProxy is laid', missingList(), lay(KEPT, 'EnvoyProxy', 'proxy', merging(false))],
    ['its EnvoyProxy asks for none', missingList(), lay(KEPT, 'EnvoyProxy', 'proxy', withoutHpa)],
    ['its Gateway goes', missingList(), { without: ['gateway/autoscaling-kept/web'] }],
  ])('is not told where %s', async (_, list, changes) => {
    expect(await missingOf(list, changes)).toEqual([]);
  });
});

describe('a file', () => {
  const read = async (text: string) => (await readManifests(save(text))).manifests;

  test('is YAML 1.1, in which yes is true, and a time stays text', async () => {
    const text = [
      'apiVersion: gateway.envoyproxy.io/v1alpha1',
      'kind: EnvoyProxy',
      'metadata: { name: proxy, namespace: shop, annotations: { since: 2026-01-01 } }',
      'spec: { mergeGateways: yes }',
    ].join('\n');
    expect(await read(text)).toEqual([
      {
        ...{ kind: 'EnvoyProxy', namespace: 'shop', name: 'proxy', annotations: { since: '2026-01-01' } },
        content: expect.objectContaining({ spec: { mergeGateways: true } }),
      },
    ]);
  });

  test('is any number of documents, Lists in Lists, or JSON', async () => {
    const gateway = (name: string) => ({
      ...{ apiVersion: 'gateway.networking.k8s.io/v1', kind: 'Gateway', metadata: { name } },
      spec: { gatewayClassName: 'eg' },
    });
    const list = {
      apiVersion: 'v1',
      kind: 'List',
      items: [gateway('b'), { apiVersion: 'v1', kind: 'GatewayList', items: [gateway('c')] }],
    };
    const names = async (text: string) => (await read(text)).map(({ name, namespace }) => `${namespace}/${name}`);
    expect(await names(`---\n${stringify(gateway('a'))}---\n---\n${stringify(list)}`)).toEqual([
      ...['undefined/a', 'undefined/b', 'undefined/c'],
    ]);
    expect(await names(JSON.stringify(list))).toEqual(['undefined/b', 'undefined/c']);
  });

  test('takes a name like e5 for a name, and not for a number', async () => {
    const text =
      'apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: e5, namespace: e10}\nspec: {gatewayClassName: eg, listeners: [{port: 8e1}]}\n';
    expect(await read(text)).toMatchObject([
      { name: 'e5', namespace: 'e10', content: { spec: { listeners: [{ port: 80 }] } } },
    ]);
  });

  test('names a GatewayClass without a namespace, whatever it says', async () => {
    const text =
      'apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: eg, namespace: shop}\nspec: {controllerName: a/b}\n';
    expect(await read(text)).toMatchObject([{ kind: 'GatewayClass', name: 'eg' }]);
    expect(await read(text)).not.toMatchObject([{ namespace: expect.anything() }]);
  });
});

const noHpa = manifest(the('EnvoyProxy', wantedList()), withoutHpa);
const hpa = manifest(the('EnvoyProxy', staleList()), withHpa);

describe.concurrent('as a process', patience, () => {
  test('what becomes stale is told, with 3, and what it was before', async () => {
    const files = ['--file', save(wantedList()), '--with', save(noHpa)];
    const { code, stdout, stderr } = await run(['scan', ...files, '--exit-code', '-o', 'json']);
    expect({ code, stderr }).toEqual({ code: 3, stderr: '' });
    const report = JSON.parse(stdout);
    expect(runReportSchema.parse(report)).toEqual(report);
    expect(report).toMatchObject({
      whatIf: { applied: [{ kind: 'EnvoyProxy', namespace: 'autoscaling-kept', name: 'proxy' }], deleted: [] },
      totals: { hpas: 1, stale: 1 },
    });
    const live = the('EnvoyProxy', wantedList()).metadata;
    expect(report.clusters[0].hpas).toMatchObject([
      {
        name: 'envoy-autoscaling-kept-web-e4f5ee29',
        action: 'delete',
        reason: 'AutoscalingRemoved',
        restsOn: expect.arrayContaining([
          expect.objectContaining({ kind: 'EnvoyProxy', uid: live.uid, resourceVersion: live.resourceVersion }),
        ]),
        whatIf: { change: 'BecomesStale', now: { action: 'keep', reason: 'AutoscalingConfigured' } },
      },
    ]);
  });

  test('what is stale already, or comes back, does not count', async () => {
    const file = save(staleList());
    const proxy = save(hpa);
    const [same, back] = await Promise.all([
      run(['scan', '-f', file, '--with', save(manifest(the('EnvoyProxy', staleList()), () => {})), '--exit-code']),
      run(['scan', '-f', file, '--with', proxy, '--exit-code']),
    ]);
    expect(same).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(`${file}: nothing changes; 1 stale of 1 HPA `),
    });
    // It waits for its Deployment to go where its EnvoyProxy is not there, and was stale before.
    const orphan = await run(['scan', '-f', file, '--without', 'envoyproxy/autoscaling-removed/proxy', '--exit-code']);
    expect(orphan).toMatchObject({ code: 0, stdout: expect.stringContaining(`${file}: 1 stale without Deployment;`) });
    expect(back).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(`${file}: 1 no longer stale; then 0 stale of`),
    });
    const [introduction, , , headings, row] = back.stdout.split('\n');
    expect(introduction).toBe('What if: EnvoyProxy autoscaling-removed/proxy applied.');
    expect(headings).toMatch(/^WHAT IF +ACTION {2}NAMESPACE /);
    expect(row).toMatch(/^no longer stale {2}keep .* Now AutoscalingRemoved: Gateway .* asks for no autoscaling/);
  });

  test('a Gateway that goes: told as stale once its Deployment is gone, with 3', async () => {
    const args = ['scan', '-f', save(wantedList()), '--without', 'gateway/autoscaling-kept/web', '--exit-code'];
    const { code, stdout } = await run(args);
    expect(code).toBe(3);
    expect(stdout).toContain(': 1 stale without Deployment; then 0 stale of 1 HPA ');
    expect(stdout).toContain(
      'still runs. Stale once Envoy Gateway has removed that Deployment, unless it removes the HPA too.',
    );
  });

  test('what is missing, and still would be, is told and does not count', async () => {
    const args = ['-f', save(missingList()), '--with', save(aGateway('shop', 'other')), '--exit-code'];
    const { code, stdout, stderr } = await run(['scan', '--incomplete', ...args]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain(': no HPA with a label of Envoy Gateway, 1 missing\n');
    expect(stdout).toContain(`missing  ${MISSING} of Gateway autoscaling-kept/web\n`);
  });

  test('a live cluster is read and not written, and the namespace is that of the context', async () => {
    const { cluster, kubeconfig } = await serveLive(wantedList());
    const proxy = noHpa.replace('  namespace: autoscaling-kept\n', '');
    const { code, stdout, stderr } = await run(
      [
        'scan',
        '--kubeconfig',
        withNamespace(kubeconfig, 'autoscaling-kept'),
        '--with',
        '-',
        '--exit-code',
        '-o',
        'json',
      ],
      { stdin: proxy },
    );
    expect({ code, stderr }).toEqual({ code: 3, stderr: '' });
    expect(JSON.parse(stdout).clusters[0].hpas).toMatchObject([{ whatIf: { change: 'BecomesStale' } }]);
    expect(writesTo(cluster)).toEqual([]);
    // Nothing is read twice.
    const paths = cluster.requests.map(({ path, query }) => `${path}?${query.get('labelSelector') ?? ''}`);
    expect(new Set(paths).size).toBe(paths.length);
    // Three lists of HPAs and four of what decides; then Envoy Gateway's Deployment, and what else scales there.
    expect(paths).toHaveLength(9);

    const elsewhere = await run(['scan', '--kubeconfig', kubeconfig, '--with', '-', '--exit-code'], { stdin: proxy });
    expect(elsewhere).toMatchObject({ code: 0, stdout: expect.stringContaining('production: nothing changes;') });
  });

  test('a Deployment that is asked for now and then is read once', async () => {
    const { cluster, kubeconfig } = await serveLive(listOf('invalid-parameters-v1.9.1'));
    const { code } = await run(['scan', '--kubeconfig', kubeconfig, '--with', '-'], { stdin: hpa });
    expect(code).toBe(0);
    expect(cluster.requests.filter(({ path }) => path.includes('/deployments/'))).toHaveLength(1);
  });

  test('what decides nothing is ignored with one line, and what is not there is warned of', async () => {
    const others = [
      { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web' } },
      { apiVersion: 'networking.istio.io/v1', kind: 'Gateway', metadata: { name: 'web' } },
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'other' } },
      { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'api' } },
    ];
    const file = save({ apiVersion: 'v1', kind: 'List', items: others });
    const { code, stdout, stderr } = await run([
      ...['scan', '-f', save(wantedList()), '--with', file, '--with', save(hpa)],
      ...['--without', 'gateway/shop/nope', '--exit-code', '-o', 'json'],
    ]);
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: 'reaper: ignored, because they do not affect HPAs: 2 Deployment, 1 Gateway, 1 ConfigMap\n',
    });
    const { whatIf, clusters } = JSON.parse(stdout);
    expect(whatIf.deleted).toEqual([{ kind: 'Gateway', namespace: 'shop', name: 'nope' }]);
    expect(clusters[0].warnings).toMatchObject([
      { reason: 'NothingToDelete', message: 'there is no Gateway shop/nope to delete' },
    ]);
  });

  const faults: [string, string, RegExp][] = [
    ['nothing', '', /^reaper: .* has no Kubernetes object in it\n$/],
    ['only an empty document', '---\n# nothing\n---\n', /^reaper: .* has no Kubernetes object in it\n$/],
    ['no YAML', 'a: [b\nc: d', /^reaper: .* is no YAML: .*\n$/],
    [
      'no object',
      '- a\n- b\n',
      /^reaper: .* has something in it that is no Kubernetes object: it has no apiVersion and kind\n$/,
    ],
    [
      'an unknown shape',
      'apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyProxy\nmetadata: {name: proxy}\nspec: {provider: Kubernetes}\n',
      /^reaper: .*: EnvoyProxy proxy has a shape that is not understood: spec\.provider: .*\n$/,
    ],
    [
      'no name',
      'apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nspec: {gatewayClassName: eg}\n',
      /^reaper: .*: Gateway \(without a name\) has a shape that is not understood: metadata\.name: .*\n$/,
    ],
  ];
  test.each(faults)('%s in a file fails it with one sentence and 1', async (_, content, message) => {
    const { code, stdout, stderr } = await run(['scan', '-f', save(wantedList()), '--with', save(content)]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(message);
  });

  test.each<[string[], RegExp]>([
    [['--without', 'gateway/web'], /argument 'gateway\/web' is invalid\. Expected gateway\/namespace\/name\./],
    [['--without', 'gatewayclass/shop/eg'], /is invalid\. Expected gatewayclass\/name\./],
    [['--without', 'deployment/shop/web'], /is invalid\. Expected a GatewayClass, Gateway, EnvoyProxy, ConfigMap: /],
    [['--without', 'configmap/shop/other'], /is invalid\. Of ConfigMaps only those named envoy-gateway-config /],
    [['--file', '-', '--with', '-'], /^error: standard input \(-\) can be read only once/],
  ])('%j is wrong usage', async (args, message) => {
    const { code, stdout, stderr } = await run(['scan', ...args]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(message);
  });
});
