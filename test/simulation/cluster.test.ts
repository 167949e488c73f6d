import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { changesOf } from '../../functions/events/audit-event.ts';
import {
  type Gateway,
  type GatewayClass,
  type HorizontalPodAutoscaler,
  KEEP_ANNOTATION,
} from '../../functions/judgement/kubernetes-objects.ts';
import { isMarked } from '../../functions/judgement/ownership.ts';
import { type ClusterApi, clusterApi } from '../../functions/kubernetes/cluster-api.ts';
import { envoyHpa, labelsOf } from '../builders/cluster.ts';
import { type Connection, connect } from '../contract/connection.ts';
import { adminToken } from '../contract/server.ts';
import { connectionTo, type Intervention, startEmbeddedCluster } from '../embedded-cluster/embedded-cluster.ts';
import { Clock } from './clock.ts';
import {
  Cluster,
  type Configured,
  hpaNameOf,
  isForeign,
  LAST_APPLIED,
  NAMESPACE,
  NEW_LABELS,
  SYSTEM,
} from './cluster.ts';
import { FAULTS, type FaultName } from './process.ts';

/* The model of a cluster does what the API server of the other tests does, through the adapter of the product. */

const HPAS = `/apis/autoscaling/v2/namespaces/${SYSTEM}/horizontalpodautoscalers`;
const NAME = hpaNameOf('web');
const PATH = `${HPAS}/${NAME}`;
const OWNER = `${NAMESPACE}/web`;

async function start() {
  const server = await startEmbeddedCluster();
  const admin = connect({ ...server, token: adminToken });
  const api = clusterApi(connectionTo(server), 300);
  onTestFinished(async () => {
    admin.close();
    api.close();
    await server.close();
  });
  await admin.post('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: SYSTEM } });
  return { server, admin, api };
}

const manifest = (labels: Record<string, string>) => {
  const { apiVersion, kind, spec } = envoyHpa(OWNER);
  return { apiVersion, kind, metadata: { name: NAME, namespace: SYSTEM, labels }, spec };
};

/** One side: the model, or the server. Of a write of the reaper it returns the result. */
interface Side {
  readonly apply: (release: 'v1.3.0' | 'v1.9.1') => Promise<unknown>;
  readonly scale: (replicas: number) => Promise<unknown>;
  readonly replace: (maxReplicas: number) => Promise<unknown>;
  readonly create: () => Promise<unknown>;
  readonly annotate: () => Promise<unknown>;
  readonly remove: () => Promise<unknown>;
  readonly mark: (hpa: HorizontalPodAutoscaler) => Promise<unknown>;
  readonly delete: (hpa: HorizontalPodAutoscaler) => Promise<unknown>;
  readonly read: () => Promise<HorizontalPodAutoscaler | undefined>;
}

function modelSide(): Side {
  const cluster = new Cluster('one', new Clock(), 'v1.3.0', true);
  const exists = () => cluster.hpas.has(NAME);
  return {
    apply: async (release) => cluster.applyHpa('web', release),
    scale: async (replicas) => cluster.writeHpaStatus(NAME, replicas),
    replace: async (maxReplicas) => cluster.replaceHpa(NAME, maxReplicas),
    create: async () => void (exists() || cluster.createOwnHpa(NAME, 'web')),
    annotate: async () => void (exists() && cluster.annotateHpa(NAME, { [LAST_APPLIED]: '{}' })),
    remove: async () => cluster.removeHpa(NAME),
    mark: async (hpa) => cluster.mark(hpa).result,
    delete: async (hpa) => cluster.delete(hpa).result,
    read: async () => cluster.hpas.get(NAME),
  };
}

function serverSide(admin: Connection, api: ClusterApi): Side {
  const merge = (subresource: string, manager: string, patch: object) =>
    admin.merge(`${PATH}${subresource}?fieldManager=${manager}`, patch);
  return {
    apply: (release) => {
      const labels = { ...labelsOf(OWNER), ...(release === 'v1.9.1' && NEW_LABELS) };
      return admin.apply(`${PATH}?fieldManager=envoy-gateway&force=true`, manifest(labels));
    },
    scale: (replicas) => {
      const status = { currentReplicas: replicas, desiredReplicas: replicas, currentMetrics: null };
      return merge('/status', 'kube-controller-manager', { status });
    },
    replace: (maxReplicas) => merge('', 'kubectl-replace', { spec: { maxReplicas } }),
    create: () => admin.post(`${HPAS}?fieldManager=kubectl-create`, manifest(labelsOf(OWNER))),
    annotate: () => merge('', 'kubectl-client-side-apply', { metadata: { annotations: { [LAST_APPLIED]: '{}' } } }),
    remove: () => admin.delete(PATH),
    mark: async (hpa) => (await api.hpas.mark(hpa)).result,
    delete: async (hpa) => (await api.hpas.delete(hpa)).result,
    read: async () => (await api.hpas.list()).find(({ metadata }) => metadata.name === NAME),
  };
}

/** Everything about an HPA that the reaper or the invariants look at, without what a server names as it likes. */
function factsOf(hpa: HorizontalPodAutoscaler | undefined) {
  if (hpa === undefined) return undefined;
  const { labels, annotations, managedFields } = hpa.metadata;
  const ofSpec = (managedFields ?? []).flatMap(({ manager, operation, subresource, fieldsV1 }) => {
    const fields = Object.keys((fieldsV1?.['f:spec'] as object | undefined) ?? {}).toSorted();
    return fields.length > 0 || subresource ? [[manager, operation, subresource, fields].join()] : [];
  });
  return {
    ...{ labels, annotations, managers: ofSpec.toSorted(), isMarked: isMarked(hpa), isForeign: isForeign(hpa) },
    ...{ maxReplicas: hpa.spec.maxReplicas, replicas: hpa.status?.currentReplicas ?? undefined },
  };
}

/** The reaper works with the HPA that it has read last: `read` makes the others stale. */
const step = fc.oneof(
  fc.constantFrom<[keyof Side, ...unknown[]]>(
    ...([['read'], ['mark'], ['delete'], ['apply', 'v1.3.0'], ['apply', 'v1.9.1']] as [keyof Side, ...unknown[]][]),
    ...([['create'], ['annotate'], ['remove'], ['replace', 5]] as [keyof Side, ...unknown[]][]),
  ),
  fc.tuple(fc.constantFrom<keyof Side>('replace', 'scale'), fc.integer({ min: 4, max: 7 })),
);

test('keeps HPAs as the API server does: each write has the same result and the same effect', async () => {
  const { admin, api } = await start();
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 16, size: 'max' }), async (steps) => {
      const sides = [modelSide(), serverSide(admin, api)] as const;
      await sides[1].remove();
      const follow = async (side: Side) => {
        const seen: unknown[] = [];
        await side.apply('v1.3.0');
        let known = await side.read();
        let before = known;
        let isUpgraded = false;
        for (const [name, ...options] of steps) {
          isUpgraded ||= options[0] === 'v1.9.1';
          // Nobody goes back to an old release.
          const args = name === 'apply' && isUpgraded ? ['v1.9.1'] : options;
          let result: unknown;
          if (name === 'read') known = before;
          else if (name !== 'mark' && name !== 'delete') await (side[name] as (...args: unknown[]) => unknown)(...args);
          // It marks only what is not marked.
          else if (known && !(name === 'mark' && isMarked(known))) result = await side[name](known);
          const after = await side.read();
          const isWritten = before?.metadata.resourceVersion !== after?.metadata.resourceVersion;
          const isSame = before?.metadata.uid === after?.metadata.uid;
          seen.push([name, ...args, result, { isWritten, isSame, ...factsOf(after) }]);
          before = after;
        }
        return seen;
      };
      expect(await follow(sides[0])).toEqual(await follow(sides[1]));
    }),
    { seed: 20260101, numRuns: 40 },
  );
});

const GATEWAY_API = '/apis/gateway.networking.k8s.io/v1';
const CLASS_PATH = `${GATEWAY_API}/gatewayclasses/eg`;
const GATEWAY_PATH = `${GATEWAY_API}/namespaces/${NAMESPACE}/gateways/web`;
const PROXY_PATH = `/apis/gateway.envoyproxy.io/v1alpha1/namespaces/${NAMESPACE}/envoyproxies/own`;
const CONFIG_MAP_PATH = `/api/v1/namespaces/${SYSTEM}/configmaps/envoy-gateway-config`;

/** What people and Envoy Gateway write to the configuration: in the model, and as the requests that they send. */
function configurationSteps(
  cluster: Cluster,
  admin: Connection,
): Record<string, readonly [() => void, () => Promise<unknown>]> {
  const reference = (name: string) => ({ group: 'gateway.envoyproxy.io', kind: 'EnvoyProxy', name });
  const patch = (path: string, body: object) => admin.merge(`${path}?fieldManager=kubectl-patch`, body);
  const envoyHpa = { minReplicas: 2, maxReplicas: 5 };
  const conditions = (types: string[], generation: number | undefined) =>
    types.map((type) => ({
      ...{ type, status: 'True', reason: type, message: '', observedGeneration: generation },
      lastTransitionTime: '2026-11-25T01:00:00Z',
    }));
  const generationAt = async (path: string) => (await admin.get(path)).body.metadata.generation as number;
  const [protect, unprotect] = ['true', null].map((value) => ({
    metadata: { annotations: { [KEEP_ANNOTATION]: value } },
  }));
  const text = () => cluster.config.configMap.data;
  return {
    'reference of the class': [
      () => cluster.setClassRef('eg', 'shared'),
      () => patch(CLASS_PATH, { spec: { parametersRef: { ...reference('shared'), namespace: NAMESPACE } } }),
    ],
    'no reference of the class': [
      () => cluster.setClassRef('eg', undefined),
      () => patch(CLASS_PATH, { spec: { parametersRef: null } }),
    ],
    'reference of the Gateway': [
      () => cluster.setGatewayRef('web', 'own'),
      () => patch(GATEWAY_PATH, { spec: { infrastructure: { parametersRef: reference('own') } } }),
    ],
    'no reference of the Gateway': [
      () => cluster.setGatewayRef('web', undefined),
      () => patch(GATEWAY_PATH, { spec: { infrastructure: null } }),
    ],
    on: [
      () => cluster.setAutoscaling('own', true),
      () => patch(PROXY_PATH, { spec: { provider: { kubernetes: { envoyHpa } } } }),
    ],
    off: [
      () => cluster.setAutoscaling('own', false),
      () => patch(PROXY_PATH, { spec: { provider: { kubernetes: { envoyHpa: null } } } }),
    ],
    'default on': [() => cluster.setDefault(true), () => patch(CONFIG_MAP_PATH, { data: text() })],
    'default off': [() => cluster.setDefault(false), () => patch(CONFIG_MAP_PATH, { data: text() })],
    protected: [
      () => cluster.protect(cluster.gateways.get('web') as Configured, true),
      () => patch(GATEWAY_PATH, protect as object),
    ],
    unprotected: [
      () => {
        const gateway = cluster.gateways.get('web') as Configured;
        if (gateway.metadata.annotations) cluster.protect(gateway, false);
      },
      // Somebody who finds no annotation removes none.
      async () =>
        (await admin.get(GATEWAY_PATH)).body.metadata.annotations && (await patch(GATEWAY_PATH, unprotect as object)),
    ],
    'class accepted': [
      () => cluster.acceptClass('eg', true),
      async () => {
        const status = { conditions: conditions(['Accepted'], await generationAt(CLASS_PATH)) };
        return await admin.merge(`${CLASS_PATH}/status?fieldManager=envoy-gateway`, { status });
      },
    ],
    'Gateway translated': [
      () => cluster.writeGatewayStatus('web', cluster.gateways.get('web')?.metadata.generation),
      async () => {
        const generation = await generationAt(GATEWAY_PATH);
        const listener = { name: 'http', supportedKinds: [], attachedRoutes: 0 };
        const listeners = [{ ...listener, conditions: conditions(['Programmed'], generation) }];
        const status = { conditions: conditions(['Accepted', 'Programmed'], generation), listeners };
        return await admin.merge(`${GATEWAY_PATH}/status?fieldManager=envoy-gateway`, { status });
      },
    ],
  };
}

/** What the judgement reads of the configuration, and the versions of it. */
function configFacts({
  gatewayClasses,
  gateways,
  envoyProxies,
  envoyGatewayConfigs,
}: Awaited<ReturnType<ClusterApi['config']['read']>>) {
  const observed = (conditions: readonly { observedGeneration?: number }[] | null | undefined) =>
    conditions?.map(({ observedGeneration }) => observedGeneration);
  const proxies = envoyProxies.filter(({ metadata }) => metadata.name === 'own');
  return {
    spec: [gatewayClasses, gateways].map(([object]) => {
      const { parametersRef } = { parametersRef: undefined, ...object?.spec } as Partial<GatewayClass['spec']>;
      const { infrastructure } = { infrastructure: undefined, ...object?.spec } as Partial<Gateway['spec']>;
      return parametersRef?.name ?? infrastructure?.parametersRef?.name;
    }),
    isOn: proxies.map(({ spec }) => spec?.provider?.kubernetes?.envoyHpa !== undefined),
    hasDefault: envoyGatewayConfigs.map(({ settings }) => settings.defaultProxy !== undefined),
    observed: [gatewayClasses, gateways].map(([object]) => observed(object?.status?.conditions)),
    translated: gateways.map(({ status }) => observed(status?.listeners?.[0]?.conditions)),
    isProtected: gateways.map(({ metadata }) => metadata.annotations?.[KEEP_ANNOTATION] === 'true'),
    generations: [...gatewayClasses, ...gateways, ...proxies].map(({ metadata }) => metadata.generation),
    versions: [...gatewayClasses, ...gateways, ...proxies].map(({ metadata }) => metadata.resourceVersion),
  };
}

test('keeps the configuration as the API server does, with the same lines in the audit log', async () => {
  const { server, admin, api } = await start();
  await admin.post('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom(...Object.keys(configurationSteps({} as Cluster, admin))), {
        minLength: 6,
        maxLength: 14,
        size: 'max',
      }),
      async (steps) => {
        const cluster = new Cluster('one', new Clock(), 'v1.3.0', true);
        cluster.createClass('eg', undefined);
        cluster.createProxy('own', true);
        cluster.createGateway('web', 'eg', undefined);
        const objects = [
          [CLASS_PATH, cluster.classes.get('eg')],
          [PROXY_PATH, cluster.proxies.get('own')],
          [GATEWAY_PATH, cluster.gateways.get('web')],
          [CONFIG_MAP_PATH, cluster.config.configMap],
        ] as const;
        for (const [path, object] of objects) {
          const { metadata, ...rest } = object as object & { metadata: { name: string; namespace?: string } };
          await admin.delete(path);
          const { name, namespace } = metadata;
          await admin.post(path.replace(/\/[^/]+$/, ''), { ...rest, metadata: { name, namespace } });
        }
        cluster.audit = [];
        const operations = configurationSteps(cluster, admin);
        const read = async () => {
          const inModel = {
            gatewayClasses: [...cluster.classes.values()],
            gateways: [...cluster.gateways.values()],
            envoyProxies: [...cluster.proxies.values()],
            envoyGatewayConfigs: [cluster.config],
          };
          return [configFacts(inModel), configFacts(await api.config.read())] as const;
        };
        let before = await read();
        server.audit.length = 0;
        for (const step of steps) {
          const [inModel, onServer] = operations[step] as (typeof operations)[string];
          inModel();
          await onServer();
          const after = await read();
          const [model, real] = after.map(({ versions, ...facts }, side) => ({
            ...facts,
            isWritten: versions.map((version, index) => version !== before[side]?.versions[index]),
          }));
          expect(model).toEqual(real);
          before = after;
        }
        const changed = (lines: readonly string[]) =>
          changesOf(lines).changes.map(({ verb, objectRef, lines: count }) => ({ verb, objectRef, count }));
        expect(changed(cluster.audit)).toEqual(changed(server.audit.map((line) => JSON.stringify(line))));
      },
    ),
    { seed: 20260101, numRuns: 20 },
  );
});

const status = (code: number, message: string): Intervention => ({
  kind: 'respond',
  status: code,
  body: { kind: 'Status', apiVersion: 'v1', status: 'Failure', message, code },
});
const INTERVENTIONS: Partial<Record<FaultName, Intervention>> = {
  timeout: { kind: 'hang' },
  reset: { kind: 'reset' },
  'reset after the server acted': { kind: 'cut', after: 10 },
  401: status(401, 'Unauthorized'),
  403: status(403, 'x is forbidden: User "x" cannot list resource "x"'),
  409: status(409, 'the object has been modified'),
  410: status(410, 'too old resource version'),
  429: status(429, 'too many requests'),
  500: status(500, 'etcdserver: leader changed'),
  refused: status(403, 'admission webhook "x" denied the request'),
};

test.each(Object.keys(INTERVENTIONS) as FaultName[])(
  'makes of the fault %s what the adapter makes of it',
  async (name) => {
    const { server, admin, api } = await start();
    await admin.apply(`${PATH}?fieldManager=envoy-gateway&force=true`, manifest(labelsOf(OWNER)));
    const [hpa] = (await api.hpas.list()) as [HorizontalPodAutoscaler];
    const calls = {
      list: [() => api.hpas.list(), () => api.config.read()],
      read: [() => api.hpas.get(hpa)],
      write: [() => api.hpas.mark(hpa), () => api.hpas.delete(hpa)],
      event: [],
    };
    const { of, answer, acts } = FAULTS[name];
    server.onRequest = () => INTERVENTIONS[name];
    for (const kind of of as readonly (keyof typeof calls)[]) {
      for (const call of calls[kind]) {
        const answered = await call().catch((error: Error) => error);
        const expected = answer();
        if (expected instanceof Error)
          expect([name, kind, (answered as Error).name]).toEqual([name, kind, expected.name]);
        else expect(answered).toMatchObject({ result: expected.result });
      }
    }
    server.onRequest = undefined;
    // The deletion was of the version before the mark.
    if (of.includes('write' as never)) expect((await api.hpas.list()).map(isMarked)).toEqual([acts === true]);
  },
);
