import type { EnvoyProxy, GatewayClass } from '../../functions/judgement/kubernetes-objects.ts';
import type { Choices } from '../choices.ts';
import { type Cluster, carriesNewLabels, hpaNameOf, type Release } from './cluster.ts';

/** The result of a translation for one Gateway. */
export interface Representation {
  readonly wantsHpa: boolean;
  /** What decided. */
  readonly source: 'Gateway' | 'GatewayClass' | 'default' | 'nothing';
  /** Of the effective EnvoyProxy, which is a part of the representation, whatever changed in it. */
  readonly resourceVersion: string | undefined;
}

/** Everything that was read at one moment, by the name of the Gateway. */
type Reading = ReadonlyMap<
  string,
  { readonly uid: string; readonly generation: number; readonly result: Representation }
>;

/** A Gateway whose infrastructure is applied (or deleted, without a result), in two stages: its Deployment, and its HPA. */
interface Work {
  readonly gateway: string;
  readonly result: Representation | undefined;
  isHalfDone?: boolean;
}

/** What the configuration asks for, by the name of the Gateway: those that have a class. */
export function configuredIn(cluster: Cluster, defaultIsOn: boolean): Map<string, Representation> {
  const results = new Map<string, Representation>();
  for (const [name, gateway] of cluster.gateways) {
    const gatewayClass = cluster.classes.get(gateway.spec.gatewayClassName);
    if (gatewayClass === undefined) continue;
    const own = gateway.spec.infrastructure?.parametersRef?.name;
    const ofClass = gatewayClass.spec.parametersRef?.name;
    const proxy = cluster.proxies.get(own ?? ofClass ?? '');
    if (proxy === undefined) {
      results.set(name, {
        wantsHpa: defaultIsOn,
        source: defaultIsOn ? 'default' : 'nothing',
        resourceVersion: undefined,
      });
    } else {
      const source = own === undefined ? 'GatewayClass' : 'Gateway';
      results.set(name, { wantsHpa: asksForHpa(proxy), source, resourceVersion: proxy.metadata.resourceVersion });
    }
  }
  return results;
}

const asksForHpa = ({ spec }: EnvoyProxy) => Boolean(spec?.provider?.kubernetes?.envoyHpa);

const isEqual = (a: Representation | undefined, b: Representation | undefined) =>
  a?.wantsHpa === b?.wantsHpa && a?.resourceVersion === b?.resourceVersion;

/** A class whose parametersRef leads nowhere. */
export const NOWHERE = 'nowhere';
const dangles = ({ spec }: GatewayClass) => spec.parametersRef?.name === NOWHERE;

/**
 * A model of Envoy Gateway, as in test/contract/envoy-gateway.ts, for several Gateways, releases, and processes. It acts on changes only,
 * in stages with any delay between them:
 *
 * 1. It *reads* everything, and writes the status of its classes. A release up to v1.3 then stops while a class dangles; every
 *    release stops when a request to the API server fails, and reads again later.
 * 2. It *translates* what it has read, each reading in order, or since v1.5.5 only the latest. The status of a Gateway follows: its own
 *    conditions with the present generation, those of its listeners with the generation that was read.
 * 3. It *applies* what differs from the last translation. A release up to v1.4 never deletes an HPA; a later one only those with its
 *    own labels.
 *
 * It does not watch HPAs. A process that starts knows nothing, and applies everything; what it no longer finds a Gateway for, it leaves.
 */
export class EnvoyGateway {
  readonly #cluster: Cluster;
  release: Release;
  state: 'running' | 'paused' | 'down' = 'running';
  /** Of the process that runs: the revision that it has read, what is not translated, the last translation, what is not applied. */
  #readAt = -1;
  #readings: Reading[] = [];
  #translated = new Map<string, Representation>();
  #work: Work[] = [];
  /** The statuses of Gateways that are not written yet. */
  #statuses = new Map<string, { uid: string; generation: number }>();
  /** The default that it runs with; the ConfigMap reaches its volume later. */
  #defaultIsOn: boolean;

  constructor(cluster: Cluster, release: Release) {
    this.#cluster = cluster;
    this.release = release;
    this.#defaultIsOn = cluster.defaultIsOn;
  }

  get #isOld(): boolean {
    return this.release !== 'v1.9.1';
  }

  /** A process that stops forgets everything; the next one translates everything anew. */
  restart(): void {
    this.state = 'running';
    this.#readAt = -1;
    this.#readings = [];
    this.#translated = new Map();
    this.#work = [];
    this.#statuses = new Map();
    this.#defaultIsOn = this.#cluster.defaultIsOn;
  }

  upgrade(): void {
    this.release = 'v1.9.1';
    this.#cluster.setRelease(this.release);
    this.restart();
  }

  /** Whether the ConfigMap has changed, and it does not know. */
  get #mustReload(): boolean {
    return !this.#isOld && this.#cluster.defaultIsOn !== this.#defaultIsOn;
  }

  canStep(): boolean {
    if (this.state !== 'running') return false;
    return this.#mustRead || this.#readings.length + this.#work.length + this.#statuses.size > 0 || this.#mustReload;
  }

  get #mustRead(): boolean {
    return this.#readAt !== this.#cluster.configuredAt;
  }

  /** @returns what it did */
  step(choices: Choices, mayFail: boolean): string {
    const steps: (() => string)[] = [];
    const [reading] = this.#readings;
    const [work] = this.#work;
    const [status] = this.#statuses;
    if (work) steps.push(() => this.#apply(work));
    if (reading) steps.push(() => this.#translate(reading));
    if (status) steps.push(() => this.#writeStatus(status));
    if (this.#mustRead) steps.push(() => this.#read(mayFail && choices.chance(10)));
    if (this.#mustReload) steps.push(() => this.#reload());
    return choices.of(steps)();
  }

  #reload(): string {
    this.restart();
    return 'reads its new configuration and starts anew';
  }

  /** A release up to v1.3 does nothing more while a class dangles. */
  isStuck(): boolean {
    return this.release === 'v1.3.0' && [...this.#cluster.classes.values()].some(dangles);
  }

  #read(fails: boolean): string {
    this.#readAt = this.#cluster.configuredAt;
    for (const [name, gatewayClass] of this.#cluster.classes) {
      this.#cluster.acceptClass(name, !dangles(gatewayClass));
    }
    if (fails) {
      this.#readAt = -1;
      return 'writes the status of its classes, and fails to read';
    }
    if (this.isStuck()) return 'is stuck at a class';
    const reading = new Map<string, { uid: string; generation: number; result: Representation }>();
    for (const [name, result] of configuredIn(this.#cluster, this.#defaultIsOn)) {
      const gateway = this.#cluster.gateways.get(name);
      const gatewayClass = this.#cluster.classes.get(gateway?.spec.gatewayClassName ?? '');
      if (!gateway || !gatewayClass || dangles(gatewayClass)) continue;
      const { uid, generation = 1 } = gateway.metadata;
      reading.set(name, { uid, generation, result });
    }
    this.#readings = this.#isOld ? [...this.#readings, reading] : [reading];
    return 'reads';
  }

  #translate(reading: Reading): string {
    this.#readings.shift();
    for (const [name, { uid, generation, result }] of reading) {
      this.#statuses.set(name, { uid, generation });
      if (isEqual(result, this.#translated.get(name))) continue;
      this.#plan({ gateway: name, result });
      this.#translated.set(name, result);
    }
    for (const name of this.#translated.keys()) {
      if (reading.has(name)) continue;
      this.#plan({ gateway: name, result: undefined });
      this.#translated.delete(name);
    }
    return `translates ${[...reading].map(([name, { result }]) => `${name} ${result.wantsHpa ? 'on' : 'off'}`).join(', ')}`;
  }

  #plan(work: Work): void {
    if (!this.#isOld) this.#work = this.#work.filter(({ gateway }) => gateway !== work.gateway);
    this.#work.push(work);
  }

  #apply(work: Work): string {
    const { gateway, result } = work;
    const name = hpaNameOf(gateway);
    if (!work.isHalfDone) {
      work.isHalfDone = true;
      if (result) this.#cluster.applyDeployment(name);
      else this.#cluster.deleteDeployment(name);
      return `${result ? 'applies' : 'deletes'} the Deployment of ${gateway}`;
    }
    this.#work.shift();
    if (result?.wantsHpa) {
      this.#cluster.applyHpa(gateway, this.release);
      return `applies the HPA of ${gateway}`;
    }
    const hpa = this.#cluster.hpas.get(name);
    if (this.#isOld || hpa === undefined || !carriesNewLabels(hpa)) return `leaves the HPA of ${gateway} alone`;
    this.#cluster.removeHpa(name);
    return `deletes the HPA of ${gateway}`;
  }

  #writeStatus([name, { uid, generation }]: [string, { uid: string; generation: number }]): string {
    this.#statuses.delete(name);
    if (this.#cluster.gateways.get(name)?.metadata.uid !== uid) return `has no ${name} to write a status of`;
    this.#cluster.writeGatewayStatus(name, generation);
    return `writes the status of ${name}`;
  }

  /** It does that when the Deployment or the Service changes, whatever it has read. */
  refreshStatus(name: string): void {
    if (this.state === 'running' && this.#cluster.gateways.get(name)?.status) this.#cluster.writeGatewayStatus(name);
  }

  /** Whether it would not do anything more for this Gateway by itself: what it has translated and applied is what is configured. */
  isDoneWith(gateway: string): boolean {
    if (this.state === 'down' || this.#mustReload || this.#work.some((work) => work.gateway === gateway)) return false;
    const configured = configuredIn(this.#cluster, this.#defaultIsOn).get(gateway);
    const readings = this.#readings.map((reading) => reading.get(gateway)?.result);
    return [...readings, configured].every((result) => isEqual(result, this.#translated.get(gateway)));
  }

  /** The last translation of a Gateway by the process that runs. */
  translationOf(gateway: string): Representation | undefined {
    return this.state === 'down' ? undefined : this.#translated.get(gateway);
  }
}
