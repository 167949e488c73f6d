import fc from 'fast-check';
import { KEEP_ANNOTATION } from '../../functions/judgement/kubernetes-objects.ts';
import { CONTROLLER, labelsOf } from '../builders/cluster.ts';
import type { Connection, Reply } from '../contract/connection.ts';
import { autoscaler } from '../contract/objects.ts';
import { SYSTEM } from './envoy-gateway-process.ts';

const GATEWAY_API = '/apis/gateway.networking.k8s.io/v1';
const ENVOY_API = '/apis/gateway.envoyproxy.io/v1alpha1';
const HPA_DEFAULTS = { minReplicas: 1, maxReplicas: 5 };

/** What an EnvoyProxy starts with; `none` is referred to by nothing. */
const CONTENTS = {
  none: {},
  plain: {},
  autoscaling: { envoyHpa: HPA_DEFAULTS },
  patched: { envoyHpa: { ...HPA_DEFAULTS, patch: { type: 'StrategicMerge', value: { spec: { minReplicas: 2 } } } } },
  DaemonSet: { envoyDaemonSet: {} },
};

/** One change by a person or a tool: what, and a number that decides the details. */
export type Step = readonly [change: string, choice: number];

/** What a sequence starts from, and its changes. */
export interface Sequence {
  readonly start: {
    readonly classProxy: keyof typeof CONTENTS;
    readonly ownProxy: keyof typeof CONTENTS;
    /** Of both EnvoyProxies. */
    readonly mergeType: 'StrategicMerge' | 'JSONMerge' | undefined;
    readonly merges: boolean;
    readonly secondGateway: boolean;
  };
  readonly steps: readonly Step[];
}

/**
 * A GatewayClass with its Gateways `web` and `api` and its EnvoyProxies `class` and `own` in a namespace, all named after the
 * sequence. Nothing in it depends on another world, except what rules a whole Envoy Gateway.
 */
export class World {
  readonly admin: Connection;
  readonly name: string;
  /** The foreign HPAs that this world has created, which nobody may touch. */
  readonly foreign = new Map<string, string>();

  constructor(admin: Connection, name: string) {
    this.admin = admin;
    this.name = name;
  }

  async setUp({ classProxy, ownProxy, mergeType, merges, secondGateway }: Sequence['start']): Promise<void> {
    await this.admin.apply(`/api/v1/namespaces/${this.name}?fieldManager=test&force=true`, {
      ...{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: this.name } },
    });
    const spec = (content: keyof typeof CONTENTS) => ({
      mergeType,
      provider: { type: 'Kubernetes', kubernetes: CONTENTS[content] },
    });
    await this.createProxy('class', { ...spec(classProxy), mergeGateways: merges || undefined });
    await this.createProxy('own', spec(ownProxy));
    await this.createClass(classProxy === 'none' && !merges ? undefined : 'class');
    await this.createGateway('web', ownProxy === 'none' ? undefined : 'own');
    if (secondGateway) await this.createGateway('api', undefined);
  }

  #path = (plural: string, name: string) =>
    plural === 'gatewayclasses'
      ? `${GATEWAY_API}/${plural}/${name}`
      : `${plural === 'gateways' ? GATEWAY_API : ENVOY_API}/namespaces/${this.name}/${plural}/${name}`;

  /** @returns the answer; one that refuses is fine: a person would see it */
  merge(plural: string, name: string, patch: object): Promise<Reply> {
    return this.admin.merge(`${this.#path(plural, name)}?fieldManager=kubectl-edit`, patch);
  }

  delete(plural: string, name: string): Promise<Reply> {
    return this.admin.delete(this.#path(plural, name));
  }

  async createProxy(name: string, spec: object): Promise<void> {
    await this.#create('envoyproxies', name, {
      apiVersion: 'gateway.envoyproxy.io/v1alpha1',
      kind: 'EnvoyProxy',
      spec,
    });
  }

  async createClass(proxy: string | undefined): Promise<void> {
    await this.#create('gatewayclasses', this.name, {
      ...{ apiVersion: 'gateway.networking.k8s.io/v1', kind: 'GatewayClass' },
      spec: { controllerName: CONTROLLER, parametersRef: proxy && this.classReference(proxy) },
    });
  }

  async createGateway(name: string, proxy: string | undefined): Promise<void> {
    await this.#create('gateways', name, {
      ...{ apiVersion: 'gateway.networking.k8s.io/v1', kind: 'Gateway' },
      spec: {
        gatewayClassName: this.name,
        infrastructure: proxy && { parametersRef: reference(proxy) },
        listeners: [HTTP(name)],
      },
    });
  }

  classReference = (proxy: string) => ({ ...reference(proxy), namespace: this.name });

  async #create(plural: string, name: string, manifest: object): Promise<void> {
    const path = this.#path(plural, name);
    await this.admin.post(path.slice(0, path.lastIndexOf('/')), { metadata: { name }, ...manifest });
  }

  /** The HPAs that belong to this world, also those of people. */
  async hpas(): Promise<Hpa[]> {
    const { body } = await this.admin.get('/apis/autoscaling/v2/horizontalpodautoscalers');
    return (body.items as Hpa[]).filter(({ metadata }) => this.owns(metadata));
  }

  owns({ namespace, labels = {} }: Hpa['metadata']): boolean {
    return [
      namespace,
      labels['gateway.envoyproxy.io/owning-gateway-namespace'],
      labels['gateway.envoyproxy.io/owning-gatewayclass'],
    ].includes(this.name);
  }

  /** Changes one of the HPAs of Envoy Gateway in this world, if there is one. */
  async changeHpa(choice: number, change: (path: string, hpa: Hpa) => Promise<Reply>): Promise<Reply | undefined> {
    const hpas = (await this.hpas()).filter(
      ({ metadata: { namespace, name } }) => !this.foreign.has(`${namespace}/${name}`),
    );
    const hpa = hpas[choice % hpas.length];
    if (hpa === undefined) return undefined;
    const { namespace, name } = hpa.metadata;
    return await change(`/apis/autoscaling/v2/namespaces/${namespace}/horizontalpodautoscalers/${name}`, hpa);
  }

  async createForeignHpa(name: string, labels: object): Promise<void> {
    const path = `/apis/autoscaling/v2/namespaces/${SYSTEM}/horizontalpodautoscalers`;
    const { status, body } = await this.admin.post(path, { ...autoscaler(name), metadata: { name, labels } });
    if (status === 201) this.foreign.set(`${SYSTEM}/${name}`, body.metadata.uid);
  }
}

interface Condition {
  readonly type: string;
  readonly status: string;
}

/** An HPA, or another object of which the same is read. */
export interface Hpa {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace: string;
    uid: string;
    resourceVersion: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    managedFields?: { manager: string; operation: string }[];
    ownerReferences?: { uid: string }[];
  };
  status?: { conditions?: Condition[]; listeners?: { conditions: Condition[] }[] };
  // biome-ignore lint/suspicious/noExplicitAny: objects of every kind
  spec: any;
}

const reference = (name: string) => ({ group: 'gateway.envoyproxy.io', kind: 'EnvoyProxy', name });

// Merged Gateways share one address: their ports must differ.
const HTTP = (gateway: string) => ({ name: 'http', protocol: 'HTTP', port: gateway === 'web' ? 80 : 8080 });

const one = <T>(choice: number, ...of: readonly T[]): T => of[choice % of.length] as T;
const proxyOf = (choice: number) => one(choice, 'own', 'class');
const gatewayOf = (choice: number) => one(choice, 'web', 'web', 'api');

const PATCHES = [
  { type: 'StrategicMerge', value: { spec: { minReplicas: 2 } } },
  { type: 'JSONMerge', value: { spec: { maxReplicas: 7 } } },
  { type: 'StrategicMerge', value: { metadata: { labels: { team: 'edge' } } } },
];

/** The names that changes give to HPAs, after the name of the world. */
export const GIVEN_NAME = /^(s\d+)-(?:one|two|patched)$/;

type Run = (world: World, choice: number) => Promise<unknown>;

interface Change {
  /** How often it is drawn. */
  readonly weight: number;
  /** The minor version of Envoy Gateway that knows it. */
  readonly since?: number;
  readonly run: Run;
}

/** A change of the spec of one of the EnvoyProxies. */
const ofProxy =
  (spec: (n: number, world: World) => object): Run =>
  (world, n) =>
    world.merge('envoyproxies', proxyOf(n), { spec: spec(n >> 1, world) });
const ofKubernetes = (kubernetes: (n: number, world: World) => object): Run =>
  ofProxy((n, world) => ({ provider: { type: 'Kubernetes', kubernetes: kubernetes(n, world) } }));
const ofGateway =
  (spec: (n: number, name: string) => object): Run =>
  (world, n) =>
    world.merge('gateways', gatewayOf(n), { spec: spec(n >> 2, gatewayOf(n)) });
const ofClass =
  (parametersRef: (world: World) => object | null): Run =>
  (world) =>
    world.merge('gatewayclasses', world.name, { spec: { parametersRef: parametersRef(world) } });

const HOST_NETWORK = { type: 'StrategicMerge', value: { spec: { template: { spec: { hostNetwork: false } } } } };
const NOWHERE = { type: 'OpenTelemetry', openTelemetry: { backendRefs: [{ name: 'nowhere', port: 4317 }] } };
const ACCESS_LOG = { settings: [{ format: { type: 'Text', text: 'x' }, sinks: [NOWHERE] }] };
const TLS = { mode: 'Terminate', certificateRefs: [{ name: 'nowhere' }] };
const HTTPS = { name: 'https', protocol: 'HTTPS', port: 443, tls: TLS };

/** Everything that people and tools do to one Gateway, its class, their EnvoyProxies, and their HPAs. */
export const CHANGES: Readonly<Record<string, Change>> = {
  'autoscaling on': {
    weight: 3,
    run: ofKubernetes((n) => ({ envoyHpa: { minReplicas: 1, maxReplicas: 3 + (n % 5) } })),
  },
  'autoscaling off': { weight: 3, run: ofKubernetes(() => ({ envoyHpa: null })) },
  'HPA named': {
    ...{ weight: 2, since: 5 },
    run: ofKubernetes((n, world) => ({ envoyHpa: { name: `${world.name}-${one(n, 'one', 'two')}` } })),
  },
  'HPA unnamed': { weight: 2, since: 5, run: ofKubernetes(() => ({ envoyHpa: { name: null } })) },
  'HPA renamed by a patch': {
    weight: 2,
    run: ofKubernetes((_, { name }) => ({
      envoyHpa: { patch: { type: 'StrategicMerge', value: { metadata: { name: `${name}-patched` } } } },
    })),
  },
  'HPA patched': { weight: 2, run: ofKubernetes((n) => ({ envoyHpa: { patch: one(n, ...PATCHES) } })) },
  'HPA not patched': { weight: 2, run: ofKubernetes(() => ({ envoyHpa: { patch: null } })) },
  'Deployment patched': { weight: 2, run: ofKubernetes(() => ({ envoyDeployment: { patch: HOST_NETWORK } })) },
  replicas: { weight: 1, run: ofKubernetes((n) => ({ envoyDeployment: { replicas: one(n, 3, null) } })) },
  DaemonSet: {
    weight: 2,
    run: ofKubernetes(() => ({ envoyDaemonSet: {}, envoyDeployment: null, envoyHpa: null })),
  },
  'no DaemonSet': { weight: 2, run: ofKubernetes(() => ({ envoyDaemonSet: null })) },
  mergeType: {
    ...{ weight: 3, since: 8 },
    run: ofProxy((n) => ({ mergeType: one(n, 'StrategicMerge', 'JSONMerge', 'Replace', null) })),
  },
  mergeGateways: {
    weight: 2,
    run: (world, n) => world.merge('envoyproxies', 'class', { spec: { mergeGateways: one(n, true, false, null) } }),
  },
  'EnvoyProxy invalid': {
    weight: 1,
    run: ofProxy(() => ({ bootstrap: { type: 'Replace', value: 'admin: nonsense' } })),
  },
  'EnvoyProxy valid': { weight: 2, run: ofProxy(() => ({ bootstrap: null })) },
  'access log to nowhere': { weight: 1, run: ofProxy((n) => ({ telemetry: one(n, { accessLog: ACCESS_LOG }, null) })) },
  'EnvoyProxy deleted': { weight: 1, run: (world, n) => world.delete('envoyproxies', proxyOf(n)) },
  'EnvoyProxy created': {
    weight: 2,
    run: (world, n) => {
      const kubernetes = one(n >> 1, {}, { envoyHpa: HPA_DEFAULTS });
      return world.createProxy(proxyOf(n), { provider: { type: 'Kubernetes', kubernetes } });
    },
  },
  'Gateway refers': { weight: 2, run: ofGateway(() => ({ infrastructure: { parametersRef: reference('own') } })) },
  'Gateway refers to nothing': { weight: 2, run: ofGateway(() => ({ infrastructure: null })) },
  'Gateway dangles': {
    weight: 1,
    run: ofGateway((n) => {
      const parametersRef = one(n, reference('nowhere'), { group: '', kind: 'ConfigMap', name: 'own' });
      return { infrastructure: { parametersRef } };
    }),
  },
  'class refers': { weight: 2, run: ofClass((world) => world.classReference('class')) },
  'class refers to nothing': { weight: 2, run: ofClass(() => null) },
  'class dangles': { weight: 1, run: ofClass((world) => world.classReference('nowhere')) },
  'Gateway deleted': { weight: 2, run: (world, n) => world.delete('gateways', gatewayOf(n)) },
  'Gateway created': { weight: 2, run: (world, n) => world.createGateway(gatewayOf(n), one(n >> 2, 'own', undefined)) },
  'class deleted': { weight: 1, run: (world) => world.delete('gatewayclasses', world.name) },
  'class created': { weight: 2, run: (world, n) => world.createClass(one(n, 'class', undefined)) },
  'listeners not valid': { weight: 1, run: ofGateway(() => ({ listeners: [HTTPS] })) },
  'listeners valid': { weight: 2, run: ofGateway((_, name) => ({ listeners: [HTTP(name)] })) },
  protected: {
    weight: 1,
    run: (world, n) => {
      const objects = { web: 'gateways', [world.name]: 'gatewayclasses', own: 'envoyproxies', class: 'envoyproxies' };
      const [name, plural] = one(n, ...Object.entries(objects));
      return world.merge(plural, name, { metadata: { annotations: { [KEEP_ANNOTATION]: one(n >> 2, 'true', null) } } });
    },
  },
  "a person's HPA with copied labels": {
    weight: 1,
    run: (world, n) => {
      const labels = one(n, labelsOf(`${world.name}/web`), labelsOf(world.name));
      return world.createForeignHpa(`${world.name}-by-hand`, labels);
    },
  },
  "KEDA's HPA": {
    weight: 1,
    run: (world) =>
      world.createForeignHpa(`keda-hpa-${world.name}`, {
        'app.kubernetes.io/managed-by': 'keda-operator',
        'scaledobject.keda.sh/name': world.name,
        ...labelsOf(`${world.name}/web`),
      }),
  },
  'kubectl replace': {
    weight: 1,
    run: (world, n) =>
      world.changeHpa(n, async (path, hpa) => {
        const { managedFields: _, ...metadata } = hpa.metadata;
        const annotations = { ...metadata.annotations, 'argocd.argoproj.io/tracking-id': `edge:${world.name}` };
        const request = { ...hpa, metadata: { ...metadata, annotations } };
        const reply = await world.admin.put(`${path}?fieldManager=argocd-controller`, request);
        if (reply.status === 200) world.foreign.set(`${metadata.namespace}/${metadata.name}`, metadata.uid);
        return reply;
      }),
  },
  'kubectl edit': {
    weight: 2,
    run: (world, n) =>
      world.changeHpa(n, (path) =>
        world.admin.merge(`${path}?fieldManager=kubectl-edit`, { spec: { maxReplicas: 8 + (n % 3) } }),
      ),
  },
  'kubectl delete hpa': { weight: 2, run: (world, n) => world.changeHpa(n, (path) => world.admin.delete(path)) },
  'HPA status': {
    weight: 2,
    run: (world, n) => {
      const status = { currentReplicas: 1 + (n % 4), desiredReplicas: 2, observedGeneration: 1 };
      return world.changeHpa(n, (path) =>
        world.admin.merge(`${path}/status?fieldManager=kube-controller-manager`, { status }),
      );
    },
  },
};

/**
 * A sequence keeps to a few of all changes, so that each kind of change meets itself and its neighbors often.
 *
 * @param minor of the newest Envoy Gateway in the run, e.g. 9 for v1.9.1
 */
export function sequences(minor: number): fc.Arbitrary<Sequence> {
  const known = Object.keys(CHANGES).filter((name) => (CHANGES[name]?.since ?? 0) <= minor);
  const always = ['autoscaling on', 'autoscaling off'];
  const proxy = weighted({ none: 3, plain: 3, autoscaling: 7, patched: 1, DaemonSet: 1 });
  const mergeTypes = minor < 8 ? [undefined] : [undefined, undefined, 'StrategicMerge' as const, 'JSONMerge' as const];
  return fc.record({
    start: fc.record({
      classProxy: proxy,
      ownProxy: proxy,
      mergeType: fc.constantFrom(...mergeTypes),
      merges: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
      secondGateway: fc.boolean(),
    }),
    steps: fc.subarray(known, { minLength: 3, maxLength: 8 }).chain((some) => {
      const weights = [...always, ...some].map((name) => [name, CHANGES[name]?.weight ?? 1]);
      const change = weighted(Object.fromEntries(weights));
      return fc.array(fc.tuple(change, fc.nat(999)), { minLength: 6, maxLength: 18, size: 'max' });
    }),
  });
}

/** One of the names, each as often as its weight says. */
export const weighted = <Name extends string>(weights: Readonly<Record<Name, number>>): fc.Arbitrary<Name> =>
  fc.oneof(
    ...Object.entries<number>(weights).map(([name, weight]) => ({ weight, arbitrary: fc.constant(name as Name) })),
  );
