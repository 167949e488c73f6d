import { crc32 } from 'node:zlib';
import {
  autoscaling,
  CONTROLLER_NAMESPACE,
  controller,
  deployment,
  envoyGatewayConfig,
  envoyHpa,
  envoyProxy,
  gateway,
  gatewayClass,
  hashedNameOf,
  listOf,
} from '../builders/cluster.ts';
import { Choices } from '../choices.ts';
import { type Connection, connect } from '../contract/connection.ts';
import { reaperRbac } from '../contract/server.ts';
import { readEksToken } from '../doubles/eks.ts';
import type { AuditEvent } from '../embedded-cluster/audit.ts';
import {
  admin,
  type EmbeddedCluster,
  type Intervention,
  type ReceivedRequest,
  startEmbeddedCluster,
} from '../embedded-cluster/embedded-cluster.ts';
import { SECRET_ACCESS_KEY } from './environment.ts';

/** Half of ten HPAs or more at once would be held back: never so many are unwanted. */
const GATEWAYS = 12;
const MAX_UNWANTED = 4;

const TOKENS = { people: 'admin-token', envoyGateway: 'envoy-gateway-token', controllers: 'controllers-token' };
const masters = (username: string) => ({ ...admin, username });
const USERS = new Map([
  [TOKENS.people, masters('jane@example.com')],
  [TOKENS.envoyGateway, masters('system:serviceaccount:envoy-gateway-system:envoy-gateway')],
  [TOKENS.controllers, masters('system:kube-controller-manager')],
]);
const REAPER = 'arn:aws:sts::123456789012:assumed-role/envoy-hpa-reaper-reap-eu-central-1/session';

/** Why a cluster cannot be swept: it answers nothing, or does not authenticate or authorize. */
export type Trouble = 'hangs' | 'unauthorized' | 'forbidden';

/** Throttling, in milliseconds: shorter than the time in which a message is retried. */
const THROTTLING = { every: 40 * 60_000, lasts: 8 * 60_000 };

interface LoadedGateway {
  readonly place: string;
  readonly hpa: string;
  /** What people will have asked for once all their changes are made. */
  planned: boolean;
  /** Whether the HPA is not wanted any more and is still there. */
  isLeft: boolean;
  /** Whether a sweep has marked the HPA. */
  isMarked: boolean;
}

/** The requests of one batch to one cluster. */
export class Traffic {
  requests = 0;
  writes = 0;
  /** How often the most frequent list was answered: before the first write, and in all. */
  readings = 0;
  allReadings = 0;
  /** Whether an HPA was marked already: such a sweep reads again before it writes. */
  metMark = false;
  readonly #lists = new Map<string, number>();

  count({ method, path, query }: ReceivedRequest, isHandled: boolean): void {
    this.requests += 1;
    if (method !== 'GET') this.writes += 1;
    else if (isHandled && isList(path)) {
      const key = `${path}?${query.get('labelSelector')}&${query.get('fieldSelector')}`;
      const times = (this.#lists.get(key) ?? 0) + 1;
      this.#lists.set(key, times);
      this.allReadings = Math.max(this.allReadings, times);
      if (this.writes === 0) this.readings = this.allReadings;
    }
  }
}

const isList = (path: string) => /\/(?:v1|v2|v1alpha1)\/(?:namespaces\/[^/]+\/)?[^/]+$/.test(path);

/** What a cluster asks of the run that it is part of. */
interface Surroundings {
  readonly seed: number;
  now(): number;
  /** The batch that an environment works on, or did last. */
  batchOf(accessKeyId: string): { readonly number: number; trafficOf(cluster: string): Traffic };
  onFinding(finding: string): void;
}

/**
 * An API server with several Gateways and an Envoy Gateway v1.3, which leaves HPAs behind, and the people who turn autoscaling off
 * and on there.
 */
export class LoadedCluster {
  readonly name: string;
  readonly server: EmbeddedCluster;
  /** The lines of the audit log that are not yet in CloudWatch Logs: those of others, and those of the product. */
  readonly lines: { others: string[]; own: string[] } = { others: [], own: [] };
  readonly counts = { removals: 0, undone: 0, deleted: 0, throttled: 0 };
  readonly gateways: LoadedGateway[];
  trouble: Trouble | undefined;
  /** Whether it is throttled at times. */
  throttles = true;
  /** Whether it is throttled whenever it is asked. */
  alwaysThrottles = false;
  readonly #around: Surroundings;
  readonly #connections: Record<keyof typeof TOKENS, Connection>;
  readonly #tokens = new Map<string, { accessKeyId: string; isGood: boolean }>();
  /** Changes of this moment that are not yet made: they are made between the requests of a sweep, or after it. */
  readonly #changes: (() => Promise<void>)[] = [];
  #lastChange = Promise.resolve();
  readonly #asked = new Map<string, number>();

  private constructor(name: string, server: EmbeddedCluster, around: Surroundings) {
    this.name = name;
    this.server = server;
    this.#around = around;
    this.gateways = Array.from({ length: GATEWAYS }, (_, number) => {
      const place = `team-${number % 3}/web-${number}`;
      return { place, hpa: hashedNameOf(place), planned: true, isLeft: false, isMarked: false };
    });
    const connection = (token: string) => connect({ ...server, token });
    this.#connections = {
      people: connection(TOKENS.people),
      envoyGateway: connection(TOKENS.envoyGateway),
      controllers: connection(TOKENS.controllers),
    };
  }

  static async start(name: string, around: Surroundings): Promise<LoadedCluster> {
    const server = await startEmbeddedCluster({
      now: () => new Date(around.now()),
      rbac: await reaperRbac(),
      users: (token) => USERS.get(token) ?? cluster.#userOf(token),
      onRequest: (request) => cluster.#onRequest(request),
    });
    const cluster: LoadedCluster = new LoadedCluster(name, server, around);
    server.load(listOf(cluster.#objects()));
    // The log is read as it is written, in the order of the server.
    server.audit.push = (...events) => {
      for (const event of events) cluster.#onAudit(event);
      return 0;
    };
    server.requests.push = () => 0;
    return cluster;
  }

  #objects() {
    const byKubectl = [{ manager: 'kubectl-create', operation: 'Update', apiVersion: 'autoscaling/v2' }];
    return [
      gatewayClass(),
      envoyGatewayConfig(),
      controller({ version: 'v1.3.0' }),
      ...this.gateways.flatMap(({ place, hpa }) => [
        gateway(place, { proxy: place.split('/')[1] as string }),
        envoyProxy(place, autoscaling()),
        deployment(`${CONTROLLER_NAMESPACE}/${hpa}`),
        envoyHpa(place),
      ]),
      // Two of people, one of them a copy with the labels of Envoy Gateway.
      envoyHpa('shop/checkout', { at: 'shop/checkout', metadata: { labels: {}, managedFields: byKubectl } }),
      envoyHpa('team-0/web-0', { at: `${CONTROLLER_NAMESPACE}/copied`, metadata: { managedFields: byKubectl } }),
    ];
  }

  get description() {
    return { status: 'ACTIVE', endpoint: this.server.url, ca: this.server.caCertificate };
  }

  /** The HPAs that are there and not wanted, those that are wanted and not there, and whether those of people are there. */
  get state() {
    const names = new Set(this.server.objects('horizontalpodautoscalers').map(({ metadata }) => metadata.name));
    const wanted = new Map(this.gateways.map(({ place, hpa }) => [hpa, this.#isWanted(place)]));
    return {
      left: [...wanted].filter(([hpa, isWanted]) => !isWanted && names.has(hpa)).map(([hpa]) => hpa),
      missing: [...wanted].filter(([hpa, isWanted]) => isWanted && !names.has(hpa)).map(([hpa]) => hpa),
      hasOthers: names.has('checkout') && names.has('copied'),
    };
  }

  /** Turns autoscaling of a Gateway off or on: at the next request of a sweep, or with {@link settle}. */
  toggle(choices: Choices): void {
    const unwanted = this.gateways.filter(({ planned }) => !planned);
    const others = this.gateways.filter(({ planned }) => planned);
    const turnsOff = unwanted.length === 0 || (unwanted.length < MAX_UNWANTED && choices.chance(55));
    this.#turn(turnsOff ? others : unwanted, turnsOff, choices);
  }

  /** People change their minds: autoscaling is turned on again where the HPA is still there, at the moment of the sweep. */
  undo(choices: Choices): void {
    const left = this.gateways.filter(({ planned, isLeft }) => !planned && isLeft);
    if (left.length > 0) this.#turn(left, false, choices);
  }

  #turn(candidates: readonly LoadedGateway[], turnsOff: boolean, choices: Choices): void {
    const one = choices.of(candidates);
    one.planned = !turnsOff;
    const [namespace, name] = one.place.split('/');
    const path = `/apis/gateway.envoyproxy.io/v1alpha1/namespaces/${namespace}/envoyproxies/${name}`;
    const kubernetes = { envoyHpa: turnsOff ? null : { minReplicas: 2, maxReplicas: 5 } };
    this.#change('people', 'merge', `${path}?fieldManager=kubectl-patch`, { spec: { provider: { kubernetes } } });
    if (turnsOff) {
      const status = { currentReplicas: 2 + choices.pick(4), desiredReplicas: 2 };
      this.#change('controllers', 'merge', `${hpaPath(one)}/status?fieldManager=kube-controller-manager`, { status });
    } else {
      const { metadata, spec, apiVersion, kind } = envoyHpa(one.place);
      const { namespace, name, labels } = metadata;
      const applied = { apiVersion, kind, metadata: { namespace, name, labels }, spec };
      this.#change('envoyGateway', 'apply', `${hpaPath(one)}?fieldManager=envoy-gateway&force=true`, applied);
    }
  }

  #change(who: keyof typeof TOKENS, how: 'merge' | 'apply', path: string, body: object): void {
    this.#changes.push(async () => {
      const { status, text } = await this.#connections[who][how](path, body);
      // The HPA controller is late at times.
      if (status > 299 && !(status === 404 && who === 'controllers')) throw new Error(`${path}: ${status} ${text}`);
    });
  }

  /** Makes all changes of this moment. */
  async settle(): Promise<void> {
    while (this.#changes.length > 0) await this.#makeNextChange();
    await this.#lastChange;
    this.#asked.clear();
  }

  /** One after the other, also for requests at the same time: Envoy Gateway applies what people have changed before. */
  #makeNextChange(): Promise<void> {
    this.#lastChange = this.#lastChange.then(() => this.#changes.shift()?.());
    return this.#lastChange;
  }

  async close(): Promise<void> {
    for (const connection of Object.values(this.#connections)) connection.close();
    await this.server.close();
  }

  #isWanted(place: string): boolean {
    const proxies = this.server.objects('envoyproxies');
    const proxy = proxies.find(({ metadata }) => `${metadata.namespace}/${metadata.name}` === place);
    return proxy?.spec.provider.kubernetes.envoyHpa !== undefined;
  }

  #known(token: string) {
    let known = this.#tokens.get(token);
    if (known === undefined) {
      const read = readEksToken(token);
      const [accessKeyId = ''] = (read?.url.searchParams.get('X-Amz-Credential') ?? '').split('/');
      known = { accessKeyId, isGood: read?.isGoodFor(this.name, SECRET_ACCESS_KEY) ?? false };
      this.#tokens.set(token, known);
    }
    return known;
  }

  #userOf(token: string) {
    if (!this.#known(token).isGood || this.trouble === 'unauthorized') return undefined;
    return { username: REAPER, groups: this.trouble === 'forbidden' ? [] : ['envoy-hpa-reaper'] };
  }

  async #onRequest(request: ReceivedRequest): Promise<Intervention | undefined> {
    const token = String(request.headers.authorization).replace('Bearer ', '');
    if (USERS.has(token)) return undefined;
    const batch = this.#around.batchOf(this.#known(token).accessKeyId);
    const traffic = batch.trafficOf(this.name);
    const key = `${batch.number} ${request.method} ${request.path}?${request.query}`;
    const times = (this.#asked.get(key) ?? 0) + 1;
    this.#asked.set(key, times);
    // By the request alone, so that what happens to it does not depend on the order of those at the same time.
    const choices = Choices.ofSeed(this.#around.seed, crc32(`${this.name} ${key} ${times}`));
    const intervention = this.#intervention(choices);
    if (traffic.writes === 0 && this.gateways.some(({ isMarked }) => isMarked)) traffic.metMark = true;
    traffic.count(request, intervention === undefined && this.trouble === undefined);
    if (choices.chance(30) && intervention === undefined) await this.#makeNextChange();
    return intervention;
  }

  #intervention(choices: Choices): Intervention | undefined {
    if (this.trouble === 'hangs') return { kind: 'hang' };
    const isThrottled = this.throttles && (this.#around.now() + crc32(this.name)) % THROTTLING.every < THROTTLING.lasts;
    if (!isThrottled && !this.alwaysThrottles) return undefined;
    if (this.alwaysThrottles || choices.chance(30)) {
      this.counts.throttled += 1;
      const body = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', code: 429 };
      const message = 'the server has received too many requests and has asked us to try again later';
      return { kind: 'respond', status: 429, headers: { 'Retry-After': '1' }, body: { ...body, message } };
    }
    if (choices.chance(10)) {
      const message = 'etcdserver: request timed out';
      const body = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, code: 500 };
      return { kind: 'respond', status: 500, body };
    }
    if (choices.chance(5)) return { kind: 'cut', after: 40 };
    return choices.chance(5) ? { kind: 'reset' } : undefined;
  }

  #onAudit(event: AuditEvent): void {
    const isOwn = event.user.username === undefined || event.user.username === REAPER;
    this.lines[isOwn ? 'own' : 'others'].push(JSON.stringify(event));
    const { resource, namespace, name, subresource } = event.objectRef ?? {};
    const code = Number(event.responseStatus.code);
    if (code > 299 || subresource !== undefined || ['get', 'list'].includes(event.verb)) return;
    const one = this.gateways.find(({ place, hpa }) =>
      resource === 'horizontalpodautoscalers' ? hpa === name : place === `${namespace}/${name}`,
    );
    if (resource === 'envoyproxies' && one !== undefined && !this.#isWanted(one.place)) {
      const isThere = this.server.objects('horizontalpodautoscalers').some(({ metadata }) => metadata.name === one.hpa);
      if (!isThere || one.isLeft) return;
      one.isLeft = true;
      this.counts.removals += 1;
    } else if (resource === 'horizontalpodautoscalers' && event.verb === 'delete') {
      // While Envoy Gateway has not yet applied what people have just turned on, its apply creates the HPA anew.
      if (one?.isLeft) this.counts.deleted += 1;
      else this.#around.onFinding(`${this.name}: ${name} was deleted, and is ${one ? 'wanted' : "somebody else's"}`);
      if (one) Object.assign(one, { isLeft: false, isMarked: false });
    } else if (resource === 'horizontalpodautoscalers' && one !== undefined) {
      one.isMarked = isOwn;
      if (isOwn || !one.isLeft || !this.#isWanted(one.place)) return;
      one.isLeft = false;
      this.counts.undone += 1;
    }
  }
}

const hpaPath = ({ hpa }: LoadedGateway) =>
  `/apis/autoscaling/v2/namespaces/${CONTROLLER_NAMESPACE}/horizontalpodautoscalers/${hpa}`;
