import { CONTROLLER, hashedNameOf, labelsOf } from '../builders/cluster.ts';
import type { Connection, Reply } from './connection.ts';
import { autoscaler, controllerDeployment, deployment } from './objects.ts';

export const SYSTEM = 'envoy-gateway-system';
const GATEWAY_API = 'gateway.networking.k8s.io/v1';
const ENVOY_API = 'gateway.envoyproxy.io/v1alpha1';

/** The object whose parametersRef leads to the EnvoyProxy. */
export type Referrer = 'Gateway' | 'GatewayClass';

/** A manifest without what the path of the object says. */
interface Content {
  kind: string;
  metadata?: object;
  [field: string]: unknown;
}

// biome-ignore lint/suspicious/noExplicitAny: objects of every kind
type ApiObject = any;

/**
 * A Gateway `web` in a namespace with its own class and EnvoyProxy, and the writes of people and of Envoy Gateway. Every write is a
 * request to the API server, as kubectl and Envoy Gateway send it.
 */
export class Installation {
  readonly #admin: Connection;
  readonly namespace: string;
  readonly hpaName: string;
  readonly hpa: string;
  readonly gateway: string;
  readonly gatewayClass: string;
  /** Another class of the same controller. */
  readonly secondClass: string;
  readonly proxy: string;
  readonly deployment: string;
  readonly controller = `/apis/apps/v1/namespaces/${SYSTEM}/deployments/envoy-gateway`;
  /** The object after the last write, by path. */
  readonly #written = new Map<string, ApiObject>();
  /** What {@link reset} created, by path. */
  readonly #created = new Map<string, { manifest: string; resourceVersion: string }>();
  #replicas = 2;

  constructor(admin: Connection, namespace: string) {
    this.#admin = admin;
    this.namespace = namespace;
    this.hpaName = hashedNameOf(`${namespace}/web`);
    this.hpa = `/apis/autoscaling/v2/namespaces/${SYSTEM}/horizontalpodautoscalers/${this.hpaName}`;
    this.gateway = `/apis/${GATEWAY_API}/namespaces/${namespace}/gateways/web`;
    this.gatewayClass = `/apis/${GATEWAY_API}/gatewayclasses/${namespace}`;
    this.secondClass = `/apis/${GATEWAY_API}/gatewayclasses/${namespace}-second`;
    this.proxy = `/apis/${ENVOY_API}/namespaces/${namespace}/envoyproxies/web`;
    this.deployment = `/apis/apps/v1/namespaces/${SYSTEM}/deployments/${this.hpaName}`;
  }

  /** An installation whose autoscaling is on, with its HPA. */
  static async withHpa(admin: Connection, namespace: string): Promise<Installation> {
    const installation = new Installation(admin, namespace);
    await installation.setUp();
    await installation.setAutoscaling('on');
    await installation.applyHpa();
    return installation;
  }

  async setUp(): Promise<void> {
    for (const name of [this.namespace, SYSTEM]) {
      await this.#apply(`/api/v1/namespaces/${name}`, { kind: 'Namespace' });
    }
    await this.#apply(`/api/v1/namespaces/${SYSTEM}/configmaps/envoy-gateway-config`, {
      kind: 'ConfigMap',
      data: { 'envoy-gateway.yaml': `apiVersion: ${ENVOY_API}\nkind: EnvoyGateway\n` },
    });
    await this.#apply(this.deployment, deployment(this.hpaName, { envoy: 'envoy' }));
    await this.reset();
  }

  /** Rolls out the Deployment of Envoy Gateway itself, as of its Helm chart; without a release, deletes it. */
  async runController(release: string | undefined): Promise<void> {
    if (release === undefined) return await this.#delete(this.controller);
    await this.#apply(this.controller, controllerDeployment(release));
    const { generation } = this.stored(this.controller).metadata;
    const rolledOut = { observedGeneration: generation, replicas: 1, updatedReplicas: 1, readyReplicas: 1 };
    await this.#merge(`${this.controller}/status`, 'kube-controller-manager', { status: rolledOut });
  }

  /** New, accepted and observed configuration without an HPA. A dangling second class is rejected. */
  async reset(referrer: Referrer = 'Gateway', autoscaling: 'on' | 'off' = 'off', dangling = false): Promise<void> {
    const kubernetes = autoscaling === 'on' ? { envoyHpa: { minReplicas: 2, maxReplicas: 5 } } : {};
    const gatewayClass = (parametersRef: object | undefined) => ({
      kind: 'GatewayClass',
      spec: { controllerName: CONTROLLER, parametersRef },
    });
    const ofGateway = referrer === 'Gateway' ? this.#reference(referrer) : undefined;
    const ofClass = referrer === 'GatewayClass' ? this.#reference(referrer) : undefined;
    await Promise.all([
      this.deleteHpa(),
      this.#create(this.proxy, { kind: 'EnvoyProxy', spec: { provider: { type: 'Kubernetes', kubernetes } } }),
      this.#create(this.gatewayClass, gatewayClass(ofClass), { conditions: [accepted(1)] }),
      dangling
        ? this.#create(this.secondClass, gatewayClass({ ...this.#reference('GatewayClass'), name: 'nowhere' }), {
            conditions: [{ ...accepted(1), status: 'False', reason: 'InvalidParameters' }],
          })
        : this.#delete(this.secondClass),
      this.#create(
        this.gateway,
        {
          kind: 'Gateway',
          spec: {
            gatewayClassName: this.namespace,
            infrastructure: ofGateway && { parametersRef: ofGateway },
            listeners: [{ name: 'http', port: 80, protocol: 'HTTP' }],
          },
        },
        gatewayStatus(1, 1),
      ),
    ]);
  }

  /** As kubectl patch does. */
  async setAutoscaling(autoscaling: 'on' | 'off'): Promise<void> {
    const envoyHpa = autoscaling === 'on' ? { minReplicas: 2, maxReplicas: 5 } : null;
    await this.#merge(this.proxy, 'kubectl-patch', { spec: { provider: { kubernetes: { envoyHpa } } } });
  }

  /** Adds or removes the parametersRef of the Gateway or of its class, as kubectl patch does. */
  async setReference(referrer: Referrer, isThere: boolean): Promise<void> {
    const parametersRef = isThere ? this.#reference(referrer) : null;
    const [path, spec] =
      referrer === 'GatewayClass'
        ? [this.gatewayClass, { parametersRef }]
        : [this.gateway, { infrastructure: parametersRef && { parametersRef } }];
    await this.#merge(path, 'kubectl-patch', { spec });
  }

  /** Removes the parametersRef that leads nowhere. */
  async repairSecondClass(): Promise<void> {
    await this.#merge(this.secondClass, 'kubectl-patch', { spec: { parametersRef: null } });
  }

  /** As Envoy Gateway accepts a class, at the generation that it has read. */
  async acceptClass(path: string, generation: number): Promise<void> {
    await this.#merge(`${path}/status`, 'envoy-gateway', { status: { conditions: [accepted(generation)] } });
  }

  /** As Envoy Gateway writes the status of the Gateway, and of its listeners at the generation that it has translated. */
  async writeGatewayStatus(generation: number, translated?: number): Promise<void> {
    await this.#merge(`${this.gateway}/status`, 'envoy-gateway', { status: gatewayStatus(generation, translated) });
  }

  /** As Envoy Gateway applies its HPA, always with the same fields. */
  async applyHpa(): Promise<void> {
    const manifest = autoscaler(this.hpaName, { namespace: SYSTEM, labels: labelsOf(`${this.namespace}/web`) });
    this.#wrote(this.hpa, await this.#admin.apply(`${this.hpa}?fieldManager=envoy-gateway&force=true`, manifest));
  }

  /** As the HPA controller writes every 15 seconds, if the HPA exists. */
  async writeStatus(): Promise<void> {
    this.#replicas += 1;
    const patch = { status: { currentReplicas: this.#replicas, desiredReplicas: 2 } };
    const reply = await this.#admin.merge(`${this.hpa}/status?fieldManager=kube-controller-manager`, patch);
    if (reply.status !== 404) this.#wrote(this.hpa, reply);
  }

  async deleteHpa(): Promise<void> {
    await this.#delete(this.hpa);
  }

  async hpaExists(): Promise<boolean> {
    const { status, text } = await this.#admin.get(this.hpa);
    if (status !== 200 && status !== 404) throw new Error(text);
    return status === 200;
  }

  /** The object at a path, as it was last written. */
  stored(path: string): ApiObject {
    return this.#written.get(path);
  }

  /** Records a write of somebody else. */
  wasWritten(path: string, object: ApiObject): void {
    if (object === undefined) this.#written.delete(path);
    else this.#written.set(path, object);
  }

  readonly #reference = (referrer: Referrer) => ({
    group: 'gateway.envoyproxy.io',
    kind: 'EnvoyProxy',
    name: 'web',
    ...(referrer === 'GatewayClass' && { namespace: this.namespace }),
  });

  /** Replaces an object, unless it is still the one that was created before. */
  async #create(path: string, manifest: Content, status?: object): Promise<void> {
    const created = this.#created.get(path);
    const wanted = JSON.stringify([manifest, status]);
    if (created?.manifest === wanted && created.resourceVersion === this.stored(path)?.metadata.resourceVersion) return;
    await this.#delete(path);
    await this.#apply(path, manifest);
    if (status) await this.#merge(`${path}/status`, 'envoy-gateway', { status });
    this.#created.set(path, { manifest: wanted, resourceVersion: this.stored(path).metadata.resourceVersion });
  }

  async #apply(path: string, content: Content): Promise<void> {
    const [, apiVersion, namespace, name] =
      /^\/apis?\/(.+?)\/(?:namespaces\/([^/]+)\/)?[a-z]+\/([^/]+)$/.exec(path) ?? [];
    const manifest = { apiVersion, ...content, metadata: { ...content.metadata, name, namespace } };
    this.#wrote(path, await this.#admin.apply(`${path}?fieldManager=setup&force=true`, manifest));
  }

  async #merge(path: string, manager: string, patch: object): Promise<void> {
    this.#wrote(path.replace(/\/status$/, ''), await this.#admin.merge(`${path}?fieldManager=${manager}`, patch));
  }

  async #delete(path: string): Promise<void> {
    const reply = await this.#admin.delete(path);
    if (reply.status !== 404) mustSucceed(reply);
    this.#written.delete(path);
  }

  #wrote(path: string, reply: Reply): void {
    mustSucceed(reply);
    this.#written.set(path, reply.body);
  }
}

const condition = (type: string, observedGeneration: number) => ({
  ...{ type, status: 'True', reason: type, message: '', observedGeneration },
  lastTransitionTime: '2026-11-25T01:00:00Z',
});
const accepted = (generation: number) => condition('Accepted', generation);

const LISTENER_STATUS = { name: 'http', supportedKinds: [], attachedRoutes: 0 };
const conditions = (generation: number) => [accepted(generation), condition('Programmed', generation)];
const gatewayStatus = (generation: number, translated?: number) => ({
  conditions: conditions(generation),
  listeners: translated && [{ ...LISTENER_STATUS, conditions: conditions(translated) }],
});

function mustSucceed({ status, text }: { status: number; text: string }): void {
  if (status > 299) throw new Error(`${status}: ${text}`);
}

/** A step that can happen next. */
export interface Step {
  readonly name: string;
  /** The objects that it reads and may change. */
  readonly about: 'configuration' | 'HPA';
  run(): Promise<void>;
}

/** The state that Envoy Gateway has read at one moment. */
interface Reading {
  readonly gatewayGeneration: number;
  readonly representation: Representation;
}

/** The result of a translation for the Gateway. It is applied if it differs from the last one. */
interface Representation {
  readonly wantsHpa: boolean;
  /** Of the effective EnvoyProxy, which is part of the representation, whatever changed in it. */
  readonly resourceVersion: string | undefined;
}

/**
 * A model of Envoy Gateway. It acts on changes only, in stages with any delay between them:
 *
 * 1. It *reads* everything, and writes the status of its classes. A release up to v1.3 then stops while a class dangles; every
 *    release stops when a request to the API server fails, and reads again later.
 * 2. It *translates* what it has read, and writes the status of the Gateway: its own conditions with the present generation, and those
 *    of its listeners with the generation that was read. Before v1.5.5 it translates each reading in order; since then only the latest.
 * 3. It *applies* the result, if it differs from the last one. A release up to v1.4 keeps an HPA that is no longer wanted.
 *
 * It also refreshes the conditions of the Gateway itself, whatever it has read, when the Deployment or the Service changes.
 *
 * Source: `internal/provider/kubernetes/controller.go` and `status.go`, `internal/gatewayapi/runner/runner.go`,
 * `internal/infrastructure/runner/runner.go` and `internal/message/watchutil.go` of v1.3.0 and v1.9.1.
 */
export class EnvoyGateway {
  readonly #installation: Installation;
  readonly #isOld: boolean;
  #refreshes: number;
  #failures: number;
  #lastRead: string;
  #readings: Reading[] = [];
  #representation: Representation;
  #pending: boolean[] = [];

  /** An Envoy Gateway that has read everything. */
  constructor(
    installation: Installation,
    { version, refreshes, failures }: { version: 'v1.3' | 'v1.9'; refreshes: number; failures: number },
  ) {
    this.#installation = installation;
    this.#isOld = version === 'v1.3';
    this.#refreshes = refreshes;
    this.#failures = failures;
    this.#lastRead = this.#configuration();
    this.#representation = this.#translated();
  }

  /** Whether the configuration asks for an HPA. */
  get wantsHpa(): boolean {
    return this.#translated().wantsHpa;
  }

  steps(): Step[] {
    const steps: Step[] = [];
    const can = (name: string, about: Step['about'], run: () => Promise<void>) => steps.push({ name, about, run });
    const [reading] = this.#readings;
    if (this.#lastRead !== this.#configuration()) {
      can(READS, 'configuration', () => this.#read());
      if (this.#failures > 0) can(READS_AND_FAILS, 'configuration', () => this.#fail());
    }
    if (reading) {
      const name = reading.representation.wantsHpa ? TRANSLATES_ON : TRANSLATES_OFF;
      can(name, 'configuration', () => this.#translate(reading));
    }
    if (this.#pending.length > 0) can('Envoy Gateway applies', 'HPA', () => this.#apply());
    const { metadata, status } = this.#gateway;
    if (this.#refreshes > 0 && status.conditions[0].observedGeneration < metadata.generation) {
      can('Envoy Gateway refreshes the status', 'configuration', () => this.#refresh());
    }
    return steps;
  }

  /** Everything that its next steps depend on. */
  state(): unknown {
    return [this.#refreshes, this.#failures, this.#lastRead, this.#readings, this.#representation, this.#pending];
  }

  async #read(): Promise<void> {
    this.#lastRead = this.#configuration();
    await this.#acceptClasses();
    if (this.#isOld && isDangling(this.#installation.stored(this.#installation.secondClass))) return;
    const reading = { gatewayGeneration: this.#gateway.metadata.generation, representation: this.#translated() };
    this.#readings = this.#isOld ? [...this.#readings, reading] : [reading];
    // The moment of a translation does not matter if each reading is translated and no status is written.
    if (this.#isOld && this.#readings.length === 1 && !this.#hasStatusToWrite(reading)) await this.#translate(reading);
  }

  /** It reads again later. */
  async #fail(): Promise<void> {
    this.#failures -= 1;
    await this.#acceptClasses();
  }

  async #acceptClasses(): Promise<void> {
    for (const path of [this.#installation.gatewayClass, this.#installation.secondClass]) {
      const object = this.#installation.stored(path);
      if (object === undefined || isDangling(object)) continue;
      const { generation } = object.metadata;
      if (object.status.conditions[0].observedGeneration < generation) {
        await this.#installation.acceptClass(path, generation);
      }
    }
  }

  async #translate({ gatewayGeneration, representation }: Reading): Promise<void> {
    this.#readings.shift();
    if (this.#hasStatusToWrite({ gatewayGeneration })) {
      await this.#installation.writeGatewayStatus(this.#gateway.metadata.generation, gatewayGeneration);
    }
    if (JSON.stringify(representation) === JSON.stringify(this.#representation)) return;
    this.#representation = representation;
    const { wantsHpa } = representation;
    if (!this.#isOld) this.#pending = [wantsHpa];
    else if (wantsHpa) this.#pending.push(wantsHpa);
  }

  #hasStatusToWrite({ gatewayGeneration }: Pick<Reading, 'gatewayGeneration'>): boolean {
    const { metadata, status } = this.#gateway;
    const ofListeners = status.listeners[0].conditions[0].observedGeneration;
    return ofListeners < gatewayGeneration || status.conditions[0].observedGeneration < metadata.generation;
  }

  async #apply(): Promise<void> {
    if (this.#pending.shift()) await this.#installation.applyHpa();
    else await this.#installation.deleteHpa();
  }

  async #refresh(): Promise<void> {
    this.#refreshes -= 1;
    await this.#installation.writeGatewayStatus(this.#gateway.metadata.generation);
  }

  /** The generations of everything that it watches. */
  #configuration(): string {
    const { gateway, gatewayClass, secondClass, proxy } = this.#installation;
    const watched = [gateway, gatewayClass, secondClass, proxy];
    return watched.map((path) => this.#installation.stored(path)?.metadata.generation).join();
  }

  get #gateway(): ApiObject {
    return this.#installation.stored(this.#installation.gateway);
  }

  #translated(): Representation {
    const { gatewayClass, proxy } = this.#installation;
    const isReferredTo =
      this.#gateway.spec.infrastructure?.parametersRef ?? this.#installation.stored(gatewayClass).spec.parametersRef;
    if (!isReferredTo) return { wantsHpa: false, resourceVersion: undefined };
    const { metadata, spec } = this.#installation.stored(proxy);
    return { wantsHpa: Boolean(spec.provider.kubernetes.envoyHpa), resourceVersion: metadata.resourceVersion };
  }
}

export const READS = 'Envoy Gateway reads';
export const READS_AND_FAILS = 'Envoy Gateway reads and fails';
const TRANSLATES_ON = 'Envoy Gateway translates: on';
export const TRANSLATES_OFF = 'Envoy Gateway translates: off';

const isDangling = (gatewayClass: ApiObject): boolean => gatewayClass?.spec.parametersRef?.name === 'nowhere';
