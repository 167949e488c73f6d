import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { objectNameOf, readManifests } from '../../../functions/cli/input/manifests.ts';
import { assessWhatIf } from '../../../functions/cli/overlay.ts';
import { objectKey } from '../../../functions/judgement/kubernetes-objects.ts';
import { snapshotOfList } from '../../../functions/kubernetes/cluster-list.ts';
import { assessSnapshot } from '../../../functions/sweep/assess.ts';
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
} from '../../e2e/harness.ts';
import type { KubernetesObject } from '../../embedded-cluster/objects.ts';
import { save } from '../../temporary-files.ts';

type Json = Record<string, unknown>;
type Change = (object: Json) => void;

const read = (text: string) => readManifests(save(text));
const metadataOf = (object: Json) => object.metadata as Json;

/** The object in a file, with what the API server has set on it, as `kubectl get -o yaml` prints it. */
function manifest(object: KubernetesObject, ...changes: Change[]): string {
  const copy = structuredClone(object) as unknown as Json;
  for (const change of changes) change(copy);
  return stringify(copy);
}
const find = (list: List, kind: string, name: string) => {
  const found = list.items.find((item) => item.kind === kind && item.metadata.name === name);
  if (found === undefined) throw new Error(`no ${kind} ${name}`);
  return found;
};
const kubernetesOf = (proxy: Json) => (proxy.spec as { provider: { kubernetes: Json } }).provider.kubernetes;
const withoutHpa: Change = (proxy) => void delete kubernetesOf(proxy).envoyHpa;
const withHpa: Change = (proxy) => void Object.assign(kubernetesOf(proxy), { envoyHpa: { maxReplicas: 5 } });
const named =
  (name: string): Change =>
  (object) =>
    void Object.assign(metadataOf(object), { name });
const merging =
  (mergeGateways: boolean): Change =>
  (proxy) =>
    void Object.assign(proxy.spec as Json, { mergeGateways });
const annotated: Change = (object) =>
  void Object.assign(metadataOf(object), { annotations: { 'envoy-hpa-reaper/keep': 'true' } });
const configured =
  (more: Json): Change =>
  (configMap) => {
    const controllerName = 'gateway.envoyproxy.io/gatewayclass-controller';
    const config = { apiVersion: 'gateway.envoyproxy.io/v1alpha1', kind: 'EnvoyGateway', gateway: { controllerName } };
    configMap.data = { 'envoy-gateway.yaml': stringify({ ...config, ...more }) };
  };
const defaulting = configured({
  envoyProxy: { provider: { type: 'Kubernetes', kubernetes: { envoyHpa: { maxReplicas: 3 } } } },
});
const PARAMETERS = { group: 'gateway.envoyproxy.io', kind: 'EnvoyProxy', name: 'proxy' };
const gateway = (metadata: { name?: string; namespace?: string }, more: object = {}) => ({
  ...{ apiVersion: 'gateway.networking.k8s.io/v1', kind: 'Gateway', metadata },
  spec: { gatewayClassName: 'eg', infrastructure: { parametersRef: PARAMETERS }, ...more },
});
const aGateway = (namespace: string, name: string) => stringify(gateway({ name, namespace }));

interface WhatIf {
  files?: string[];
  without?: string[];
}
const applying = (name: string, kind: string, object: string, ...changes: Change[]): WhatIf => ({
  files: [manifest(find(listOf(name), kind, object), ...changes)],
});
/** The same with an object of the cluster that the tests use most. */
const kept = (kind: string, object: string, ...changes: Change[]) => applying(KEPT, kind, object, ...changes);

async function assess(list: List, { files = [], without = [] }: WhatIf, controllerNamespaces?: string[]) {
  const now = new Date('2027-01-01T00:00:00Z');
  const applied = (await Promise.all(files.map(read))).flatMap(({ manifests }) => manifests);
  const before = await assessSnapshot({ ...snapshotOfList(list, true), controllerNamespaces }, now);
  return await assessWhatIf(before, { applied, deleted: without.map(objectNameOf) }, now);
}

/** The change of each HPA, from which reason to which. */
async function changesOf(...options: Parameters<typeof assess>): Promise<string[]> {
  const { after, comparison } = await assess(...options);
  return after.verdicts.map(({ hpa, reason }) => {
    const compared = comparison.get(hpa.metadata.uid);
    return `${compared?.change}: ${compared?.now.reason}, ${reason}`;
  });
}

const KEPT = 'autoscaling-kept-v1.3.0';
const REMOVED = 'autoscaling-removed-v1.3.0';
const DELETED = 'gateway-deleted-v1.3.0';
const REF_REMOVED = 'parameters-ref-removed-v1.3.0';
const REJECTED = 'class-rejected-in-namespace-mode-v1.4.2';
const RATE_LIMIT = 'rate-limit-hpa-leaked-v1.3.0';
const CONFIG = ['ConfigMap', 'envoy-gateway-config'] as const;

describe('a recorded cluster', () => {
  const isStale = 'NoLongerStale: AutoscalingRemoved';
  const becomesStale = 'BecomesStale: AutoscalingConfigured, AutoscalingRemoved';
  const waits = 'BecomesStaleWithoutDeployment: AutoscalingConfigured';
  /** Changes an object of the cluster, of these kinds and names. */
  const proxy = (name: string, ...changes: Change[]) => ['EnvoyProxy', name, ...changes] as const;
  const config = (...changes: Change[]) => [...CONFIG, ...changes] as const;
  const otherController = configured({ gateway: { controllerName: 'example.com/other' } });
  const absent = named('absent');
  const mergedAgain = `NoLongerStale: NoLongerMerged, AutoscalingConfigured; ${waits}, ScaleTargetStillRuns`;

  test.each<[string, string, readonly [string, string, ...Change[]]]>([
    [KEPT, becomesStale, proxy('proxy', withoutHpa)],
    [KEPT, `${waits}, DefaultsUnreadable`, config(otherController)],
    ['merge-inherits-class-hpa-v1.9.1', becomesStale, proxy('classproxy', withoutHpa)],
    [REMOVED, `${isStale}, AutoscalingConfigured`, proxy('proxy', withHpa)],
    [REMOVED, `${isStale}, Protected`, proxy('proxy', annotated)],
    ['class-proxy-removed-v1.3.0', `${isStale}, AutoscalingConfigured`, proxy('proxy', withHpa)],
    ['merged-removed-v1.3.0', `${isStale}, AutoscalingConfigured`, proxy('proxy', withHpa)],
    [REF_REMOVED, `${isStale}, AutoscalingConfigured`, config(defaulting)],
    ['merged-switched-off-v1.3.0', mergedAgain, proxy('proxy', merging(true))],
    ['invalid-parameters-v1.3.0', 'NoLongerStale: ScaleTargetGone, AutoscalingConfigured', proxy('proxy', absent)],
    [
      'invalid-parameters-v1.9.1',
      'BecomesStale: ParametersUnresolved, AutoscalingRemoved',
      proxy('proxy', absent, withoutHpa),
    ],
  ])('%s with a changed object: %s', async (name, expected, [kind, object, ...changes]) => {
    expect((await changesOf(listOf(name), applying(name, kind, object, ...changes))).join('; ')).toBe(expected);
  });

  const FOREIGN = 'NotManagedByEnvoyGateway';
  test.each([
    [REMOVED, 'envoyproxy/autoscaling-removed/proxy', waits.replace('Configured', 'Removed'), 'ParametersUnresolved'],
    [KEPT, 'gateway/autoscaling-kept/web', waits, 'ScaleTargetStillRuns'],
    [KEPT, 'GatewayClass/eg', waits, 'ScaleTargetStillRuns'],
    [KEPT, 'EnvoyProxies.gateway.envoyproxy.io/autoscaling-kept/proxy', waits, 'ParametersUnresolved'],
    [KEPT, 'cm/envoy-gateway-system/envoy-gateway-config', waits, 'DefaultsUnreadable'],
    ['users-own-hpa-v1.3.0', 'gtw/users-own-hpa/web', `Unchanged: ${FOREIGN}`, FOREIGN],
  ])('%s without %s: %s, %s', async (name, object, change, reason) => {
    expect(await changesOf(listOf(name), { without: [object] })).toEqual([`${change}, ${reason}`]);
  });

  test.each([
    [DELETED, 'gateway-deleted', [], 'NoLongerStale: GatewayDeleted, AutoscalingConfigured'],
    [DELETED, 'gateway-deleted', [withoutHpa], 'Unchanged: GatewayDeleted, AutoscalingRemoved'],
    [REF_REMOVED, 'parameters-ref-removed', [], `${isStale}, AutoscalingConfigured`],
  ])(
    '%s with a new Gateway %s/web whose EnvoyProxy is changed by %j: %s',
    async (name, namespace, changes, expected) => {
      const { files = [] } = applying(name, 'EnvoyProxy', 'proxy', ...changes);
      const whatIf = { files: [aGateway(namespace, 'web'), ...(changes.length > 0 ? files : [])] };
      expect(await changesOf(listOf(name), whatIf)).toEqual([expected]);
    },
  );

  test.each(caseNames)('%s does not change when what it has is applied', async (name) => {
    const list = listOf(name);
    const kinds = ['GatewayClass', 'Gateway', 'EnvoyProxy', 'ConfigMap'];
    const files = list.items.filter(({ kind }) => kinds.includes(kind)).map((item) => manifest(item));
    // The reason may change: the files do not contain the status.
    for (const change of await changesOf(list, { files })) expect(change).toMatch(/^Unchanged: /);
  });

  test('a ConfigMap in another namespace than the controller changes nothing', async () => {
    const unreadable: Change = (object) => {
      Object.assign(metadataOf(object), { namespace: 'tenant' });
      object.data = { 'envoy-gateway.yaml': 'a: [' };
    };
    const whatIf = { files: [manifest(the('ConfigMap', staleList()), unreadable)] };
    expect(await changesOf(staleList(), whatIf)).toEqual([
      'BecomesStaleWithoutDeployment: AutoscalingRemoved, DefaultsUnreadable',
    ]);
    expect(await changesOf(staleList(), whatIf, ['envoy-gateway-system'])).toEqual([
      'Unchanged: AutoscalingRemoved, AutoscalingRemoved',
    ]);
  });
});

describe('the status of a Gateway or a class', () => {
  const STATUS = { conditions: [{ type: 'Accepted', status: 'False', reason: 'Invalid' }] };
  function rejected(name: string, kind = 'Gateway'): List {
    const list = listOf(name);
    Object.assign(find(list, kind, kind === 'Gateway' ? 'web' : 'eg'), { status: STATUS });
    return list;
  }
  /** Its Gateway asks for no autoscaling since a moment ago, and Envoy Gateway has not seen that yet. */
  function unseen(): List {
    const list = listOf(KEPT);
    withoutHpa(the('EnvoyProxy', list) as unknown as Json);
    Object.assign(the('Gateway', list).metadata, { generation: 2 });
    return list;
  }
  const ofUnseen = (kind: string, ...changes: Change[]) => ({ files: [manifest(the(kind, unseen()), ...changes)] });
  const toAnother: Change = (gateway) => void Object.assign(gateway.spec as Json, { infrastructure: {} });
  const ACCEPTED = 'NoLongerStale: ParametersUnresolved, AutoscalingConfigured';
  const STILL_REJECTED = 'Unchanged: ParametersUnresolved, ParametersUnresolved';
  const SEEN = 'BecomesStale: NotObserved, AutoscalingRemoved';
  const NOT_SEEN = 'Unchanged: NotObserved, NotObserved';
  const NO_CLASS = 'BecomesStale: ScaleTargetStillRuns, AutoscalingRemoved';

  const ofRejected = applying(REJECTED, 'EnvoyProxy', 'cls', merging(false));
  test.each<[string, List, WhatIf, string]>([
    ['ends with its class', rejected(KEPT), kept('GatewayClass', 'eg'), ACCEPTED],
    ['ends with the Gateway', rejected(KEPT), kept('Gateway', 'web'), ACCEPTED],
    ['ends with its EnvoyProxy', rejected(KEPT), kept('EnvoyProxy', 'proxy'), ACCEPTED],
    ["ends with its class's EnvoyProxy", rejected(REJECTED), ofRejected, ACCEPTED],
    ['of a class ends with the configuration', rejected(KEPT, 'GatewayClass'), kept(...CONFIG), ACCEPTED],
    ['is new with the Gateway', unseen(), ofUnseen('Gateway'), SEEN],
    ['is new with a changed Gateway', unseen(), ofUnseen('Gateway', toAnother), SEEN],
    ['is new with a new class', without(unseen(), 'GatewayClass'), ofUnseen('GatewayClass'), NO_CLASS],
    ['stays old with another Gateway', unseen(), { files: [aGateway('shop', 'other')] }, NOT_SEEN],
    ['stays old with another class', unseen(), ofUnseen('GatewayClass', named('other')), NOT_SEEN],
    ['stays old with another EnvoyProxy', unseen(), ofUnseen('EnvoyProxy', named('other')), NOT_SEEN],
    ['stays old when another Gateway is deleted', unseen(), { without: ['gateway/shop/other'] }, NOT_SEEN],
  ])('%s', async (_, list, whatIf, change) => {
    expect(await changesOf(list, whatIf)).toEqual([change]);
  });

  const refer = (gatewayClass: KubernetesObject, kind: string, name: string) =>
    Object.assign(gatewayClass.spec as Json, {
      parametersRef: { ...PARAMETERS, kind, name, namespace: 'autoscaling-kept' },
    });

  test('stays old for a class whose parametersRef of that name is of another kind', async () => {
    const list = rejected(KEPT, 'GatewayClass');
    refer(the('GatewayClass', list), 'EnvoyProxy', 'proxy');
    expect(await changesOf(list, kept('EnvoyProxy', 'proxy'))).toEqual([ACCEPTED]);
    refer(the('GatewayClass', list), 'Other', 'proxy');
    expect(await changesOf(list, kept('EnvoyProxy', 'proxy'))).toEqual([STILL_REJECTED]);
  });

  test('of a class without its EnvoyProxy is a rejection, which may stop an Envoy Gateway of unknown version', async () => {
    const list = listOf(KEPT);
    const [other, proxy] = [structuredClone(the('GatewayClass', list)), structuredClone(the('EnvoyProxy', list))];
    Object.assign(other.metadata, { name: 'other', uid: 'other' });
    Object.assign(proxy.metadata, { name: 'other', uid: 'proxy of other' });
    refer(other, 'EnvoyProxy', 'other');
    list.items.push(other, proxy);
    const { files } = kept('EnvoyProxy', 'proxy', withoutHpa);
    expect(await changesOf(list, { files, without: ['envoyproxy/autoscaling-kept/other'] })).toEqual([
      'Unchanged: AutoscalingConfigured, NotObserved',
    ]);
  });
});

describe('a missing HPA', () => {
  const withoutHpas = (name: string) => without(listOf(name), 'HorizontalPodAutoscaler');
  const limiting = configured({
    rateLimit: { backend: { type: 'Redis', redis: { url: 'redis:6379' } } },
    provider: { type: 'Kubernetes', kubernetes: { rateLimitHpa: { maxReplicas: 3 } } },
  });
  const touched = kept('EnvoyProxy', 'proxy', merging(false));
  const withoutAutoscaling = kept('EnvoyProxy', 'proxy', withoutHpa);
  test.each<[string, List, WhatIf, string[]]>([
    ['is reported where nothing changes for it', missingList(), { files: [aGateway('shop', 'other')] }, [MISSING]],
    ['is not reported for a new Gateway', wantedList(), { files: [aGateway('autoscaling-kept', 'new')] }, []],
    ['is not reported for a new default', withoutHpas(REF_REMOVED), kept(...CONFIG, defaulting), []],
    ['is not reported where its EnvoyProxy is applied', missingList(), touched, []],
    ['is not reported where its EnvoyProxy asks for none', missingList(), withoutAutoscaling, []],
    [
      'is not reported for the rate limit service',
      withoutHpas(RATE_LIMIT),
      applying(RATE_LIMIT, ...CONFIG, limiting),
      [],
    ],
    ['is not reported without its Gateway', missingList(), { without: ['gateway/autoscaling-kept/web'] }, []],
  ])('%s', async (_, list, whatIf, expected) => {
    expect((await assess(list, whatIf)).after.missing.map(objectKey)).toEqual(expected);
  });
});

test('has no remedy for what an HPA becomes: a remedy applies only to a state that lasts', async () => {
  const { after } = await assess(listOf(KEPT), { without: ['gateway/autoscaling-kept/web'] });
  expect(after.verdicts[0]).toMatchObject({ reason: 'ScaleTargetStillRuns', remedy: undefined });
});

test('warns about an object to delete that does not exist', async () => {
  expect((await assess(wantedList(), { without: ['gateway/shop/nope'] })).warnings).toMatchObject([
    { reason: 'NothingToDelete', message: 'there is no Gateway shop/nope to delete' },
  ]);
});

describe('a file', () => {
  test('is YAML 1.1: yes is true, a time stays text, and e5 is a name', async () => {
    const proxy =
      'apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyProxy\nmetadata: { name: e5, namespace: e10, annotations: { since: 2026-01-01 } }\nspec: { mergeGateways: yes, port: 8e1 }\n';
    const content = expect.objectContaining({ spec: { mergeGateways: true, port: 80 } });
    expect((await read(proxy)).manifests).toEqual([
      { kind: 'EnvoyProxy', namespace: 'e10', name: 'e5', annotations: { since: '2026-01-01' }, content },
    ]);
  });

  test('contains any number of documents and Lists, or JSON', async () => {
    const [a, b, c] = ['a', 'b', 'c'].map((name) => gateway({ name }));
    const inner = { apiVersion: 'v1', kind: 'GatewayList', items: [c] };
    const list = { apiVersion: 'v1', kind: 'List', items: [b, inner] };
    const names = async (text: string) => (await read(text)).manifests.map(({ name }) => name);
    expect(await names(`---\n${stringify(a)}---\n---\n${stringify(list)}`)).toEqual(['a', 'b', 'c']);
    expect(await names(JSON.stringify(list))).toEqual(['b', 'c']);
  });

  test('cannot give a GatewayClass a namespace', async () => {
    const metadata = { name: 'eg', namespace: 'shop' };
    const gatewayClass = { ...gateway(metadata), kind: 'GatewayClass', spec: { controllerName: 'a/b' } };
    const { manifests } = await read(stringify(gatewayClass));
    expect(manifests).toMatchObject([{ kind: 'GatewayClass', name: 'eg', namespace: undefined }]);
  });

  test('may contain objects that decide nothing', async () => {
    const others = [
      ['apps/v1', 'Deployment'],
      ['networking.istio.io/v1', 'Gateway'],
      ['v1', 'ConfigMap'],
    ].map(([apiVersion, kind]) => stringify({ apiVersion, kind, metadata: { name: 'other' } }));
    const ignored = ['Deployment', 'Gateway', 'ConfigMap'];
    expect(await read(others.join('---\n'))).toEqual({ manifests: [], ignored });
  });

  test.each([
    ['', /contains no Kubernetes object$/],
    ['---\n# nothing\n---\n', /contains no Kubernetes object$/],
    ['a: [b\nc: d', /is not YAML: /],
    ['- a\n- b\n', /contains something without apiVersion and kind/],
    [JSON.stringify(gateway({ name: 'web' }, { gatewayClassName: 7 })), /: Gateway web .*: spec\.gatewayClassName: /],
    [JSON.stringify(gateway({})), /: Gateway \(without a name\) has an unknown shape: metadata\.name: /],
  ])('%j is rejected', async (text, message) => {
    await expect(read(text)).rejects.toThrow(message);
  });
});
