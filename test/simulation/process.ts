import type { EventBus } from '../../functions/aws/event-bus.ts';
import type { HorizontalPodAutoscaler } from '../../functions/judgement/kubernetes-objects.ts';
import { ApiStatusError } from '../../functions/kubernetes/api-client.ts';
import type { ClusterApi } from '../../functions/kubernetes/cluster-api.ts';
import type { AccountDirectory } from '../../functions/kubernetes/directory.ts';
import {
  AwsAccessError,
  ClusterSkippedError,
  NoAnswerError,
  OverloadedError,
  RetryableError,
} from '../../functions/platform/errors.ts';
import { problem } from '../../functions/platform/problems.ts';
import type { BusEvent } from '../embedded-cluster/event-path.ts';
import type { Clock } from './clock.ts';
import { type Cluster, NAMESPACE, SYSTEM } from './cluster.ts';

type CallKind = 'list' | 'read' | 'write' | 'event' | 'AWS' | 'bus';

/** A call that waits for its answer. */
export interface Call {
  readonly process: Process;
  readonly cluster: string;
  readonly name: string;
  readonly kind: CallKind;
  /** What the server does; a bus may take only some of the events. */
  readonly act: (isPartial?: boolean) => unknown;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Error) => void;
}

/**
 * What can happen to a call: whether the server acts (`late`: when nobody waits any more), and what the product's adapter makes of the
 * answer. `seconds` until then. test/simulation/process.test.ts holds them to the adapter.
 */
interface Fault {
  readonly of: readonly CallKind[];
  readonly acts: boolean | 'late' | 'in part';
  readonly answer: () => Error | { result: string; message?: string };
  readonly seconds?: number;
  /** Only of a refusal by an admission policy: these are reported, and not retried. */
  readonly isRefusal?: boolean;
}

const noAnswer = () => new NoAnswerError('no answer');
const SERVER_CALLS = ['list', 'read', 'write', 'event'] as const;
export const FAULTS = {
  timeout: { of: SERVER_CALLS, acts: false, answer: noAnswer, seconds: 10 },
  'timeout after the server acted': { of: ['write', 'event'], acts: true, answer: noAnswer, seconds: 10 },
  'timeout before the server acts': { of: ['write', 'event'], acts: 'late', answer: noAnswer, seconds: 10 },
  reset: { of: SERVER_CALLS, acts: false, answer: noAnswer },
  'reset after the server acted': { of: ['write', 'event'], acts: true, answer: noAnswer },
  401: { of: SERVER_CALLS, acts: false, answer: () => skipped('ClusterUnauthorized') },
  403: { of: SERVER_CALLS, acts: false, answer: () => skipped('ClusterForbidden') },
  409: { of: ['write', 'event'], acts: false, answer: () => ({ result: 'conflict' }) },
  410: { of: ['list'], acts: false, answer: () => new ApiStatusError(410, 'expired') },
  429: { of: SERVER_CALLS, acts: false, answer: () => new OverloadedError('429') },
  500: { of: SERVER_CALLS, acts: false, answer: () => new RetryableError('500') },
  '500 after the server acted': { of: ['write', 'event'], acts: true, answer: () => new RetryableError('500') },
  refused: { of: ['write'], acts: false, answer: () => ({ result: 'refused', message: 'no' }), isRefusal: true },
  'EKS throttles': { of: ['AWS'], acts: false, answer: () => new RetryableError('throttled') },
  'nothing reaches the bus': { of: ['bus'], acts: false, answer: () => new RetryableError('refused') },
  'some reach the bus': { of: ['bus'], acts: 'in part', answer: () => new RetryableError('refused') },
  'the bus does not answer': { of: ['bus'], acts: true, answer: noAnswer, seconds: 100 },
  'EKS refuses': { of: ['AWS'], acts: false, answer: () => new AwsAccessError('AccessDenied', 'allow it') },
} satisfies Record<string, Fault>;
export type FaultName = keyof typeof FAULTS;
export const faultsOf = ({ kind }: Call): FaultName[] =>
  (Object.keys(FAULTS) as FaultName[]).filter((name) => (FAULTS[name].of as readonly CallKind[]).includes(kind));

const skipped = (reason: 'ClusterUnauthorized' | 'ClusterForbidden') =>
  new ClusterSkippedError(problem(reason, 'no access'));

/** What a process has seen of a cluster, for the invariants. */
export interface Sight {
  /** The revision at its first list of HPAs. */
  firstAt: number | undefined;
  /** The revision at its last list of each kind. */
  readonly readAt: Record<'GatewayClass' | 'Gateway' | 'EnvoyProxy', number>;
  /** The Gateways whose removal, at its last reading, Envoy Gateway had not translated, and nothing in Kubernetes shows that. */
  untranslated: ReadonlySet<string>;
  /** The first error that it was answered for a read, or for a mark. */
  firstError: Error | undefined;
  /** It was answered that nothing can be done there: this is reported, and not retried. */
  wasSkipped: boolean;
  wasRefused: boolean;
  wasHeldBack: boolean;
}

export interface Watcher {
  /** After a list of the configuration. */
  configurationWasRead(process: Process, cluster: Cluster): void;
  /**
   * Before the API server handles a write of the reaper.
   *
   * @param readAt when it was sent
   */
  willWrite(
    process: Process,
    cluster: Cluster,
    verb: 'mark' | 'delete',
    hpa: HorizontalPodAutoscaler,
    readAt: Sight['readAt'],
  ): void;
}

/** A process of the reaper: what it asks of API servers and of EKS waits until it is answered. After it is killed, nothing is. */
export class Process {
  readonly name: string;
  readonly clock: Clock;
  readonly startedAt: number;
  state: 'running' | 'over' | 'killed' = 'running';
  calls: Call[] = [];
  readonly #sights = new Map<string, Sight>();
  readonly #clusters: ReadonlyMap<string, Cluster>;
  readonly #watcher: Watcher;
  readonly #timeout: number;

  constructor(name: string, clusters: ReadonlyMap<string, Cluster>, clock: Clock, watcher: Watcher, timeout: number) {
    this.name = name;
    this.clock = clock;
    this.startedAt = clock.now;
    this.#clusters = clusters;
    this.#watcher = watcher;
    this.#timeout = timeout;
  }

  remaining(): number {
    return this.startedAt + this.#timeout - this.clock.now;
  }

  kill(): void {
    if (this.state === 'running') this.state = 'killed';
  }

  sightOf(cluster: string): Sight {
    let sight = this.#sights.get(cluster);
    if (sight === undefined) {
      sight = {
        firstAt: undefined,
        readAt: { GatewayClass: 0, Gateway: 0, EnvoyProxy: 0 },
        untranslated: new Set(),
        firstError: undefined,
        wasSkipped: false,
        wasRefused: false,
        wasHeldBack: false,
      };
      this.#sights.set(cluster, sight);
    }
    return sight;
  }

  get sights(): Iterable<[string, Sight]> {
    return this.#sights;
  }

  eventBus(put: (events: readonly BusEvent[]) => void): EventBus {
    return {
      put: (events) => {
        for (const { detailType, detail } of events) {
          if (detailType === 'HPA Held Back') this.sightOf((detail as { cluster: string }).cluster).wasHeldBack = true;
        }
        return this.#call('', 'put events', 'bus', (isPartial = false) =>
          put(isPartial ? events.slice(0, Math.floor(events.length / 2)) : events),
        );
      },
    };
  }

  #call<T>(
    cluster: string,
    name: string,
    kind: CallKind,
    act: (isPartial?: boolean) => T,
    isClosed?: () => boolean,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      if (isClosed?.()) reject(noAnswer());
      else this.calls.push({ process: this, cluster, name, kind, act, resolve: resolve as never, reject });
    });
  }

  /** @param late has the server act at some later moment */
  answer(call: Call, faultName: FaultName | undefined, late: (act: () => void) => void): void {
    this.calls = this.calls.filter((one) => one !== call);
    if (faultName === undefined) {
      call.resolve(call.act());
      return;
    }
    const { acts, answer, seconds = 0, isRefusal }: Fault = FAULTS[faultName];
    if (acts === true || acts === 'in part') call.act(acts === 'in part');
    if (acts === 'late') late(() => void call.act());
    const fault = answer();
    const sight = this.sightOf(call.cluster);
    if (isRefusal) sight.wasRefused = true;
    const respond = () => {
      if (!(fault instanceof Error)) return call.resolve(fault);
      if (fault instanceof ClusterSkippedError || fault instanceof AwsAccessError) sight.wasSkipped = true;
      // Events and outcomes are not worth a retry, and a deletion whose answer is lost may be found done.
      else if (call.kind !== 'event' && call.kind !== 'bus' && call.name !== 'delete') sight.firstError ??= fault;
      call.reject(fault);
    };
    if (seconds === 0) respond();
    else this.clock.after(seconds * 1_000, respond);
  }

  directory(sabotage: (api: ClusterApi, cluster: Cluster) => ClusterApi = (api) => api): AccountDirectory {
    const connected = new Map<string, ClusterApi>();
    const clusterOf = (name: string) => this.#clusters.get(name) as Cluster;
    return {
      connect: async (name) => {
        const known = connected.get(name);
        if (known) return known;
        const api = sabotage(
          await this.#call(name, 'connect', 'AWS', () => this.#api(clusterOf(name))),
          clusterOf(name),
        );
        connected.set(name, api);
        return api;
      },
      connection: () => Promise.reject(new Error('not simulated')),
      forget: (name) => {
        connected.get(name)?.close();
        connected.delete(name);
      },
      list: () => this.#call('', 'list clusters', 'AWS', () => [...this.#clusters.keys()]),
      describe: (name) => this.#call(name, 'describe', 'AWS', () => ({ tags: {}, status: 'ACTIVE', auditLog: true })),
    };
  }

  #api(cluster: Cluster): ClusterApi {
    const { name } = cluster;
    const sight = this.sightOf(name);
    let sent = 0;
    let isClosed = false;
    const call = <T>(what: string, kind: CallKind, act: () => T) => {
      sent += 1;
      return this.#call(name, what, kind, act, () => isClosed);
    };
    const write = <T>(verb: 'mark' | 'delete', hpa: HorizontalPodAutoscaler, act: () => T) => {
      const readAt = { ...sight.readAt };
      return call(verb, 'write', () => {
        this.#watcher.willWrite(this, cluster, verb, hpa, readAt);
        return act();
      });
    };
    const list = <T>(kind: keyof Sight['readAt'], objects: ReadonlyMap<string, T>) =>
      call(`list ${kind}`, 'list', () => {
        sight.readAt[kind] = cluster.revision;
        this.#watcher.configurationWasRead(this, cluster);
        return [...objects.values()];
      });
    const readConfig = async (known?: Awaited<ReturnType<typeof listClasses>>) => {
      const [gatewayClasses, gateways, envoyProxies, envoyGatewayConfigs] = await Promise.all([
        known ?? listClasses(),
        list('Gateway', cluster.gateways),
        list('EnvoyProxy', cluster.proxies),
        call('list ConfigMap', 'list', () => [cluster.config]),
      ]);
      return { gatewayClasses, gateways, envoyProxies, envoyGatewayConfigs };
    };
    const listClasses = () => list('GatewayClass', cluster.classes);
    const listHpas = () => [...cluster.hpas.values()].filter(({ metadata }) => metadata.namespace === SYSTEM);
    return {
      hpas: {
        list: () =>
          call('list HPAs', 'list', () => {
            sight.firstAt ??= cluster.revision;
            return listHpas();
          }),
        scalers: (namespace) => call('list scalers', 'list', () => (namespace === SYSTEM ? listHpas() : [])),
        get: ({ metadata }) => call('get', 'read', () => cluster.hpas.get(metadata.name)),
        mark: (hpa) => write('mark', hpa, () => cluster.mark(hpa)),
        delete: (hpa) => write('delete', hpa, () => cluster.delete(hpa)),
      },
      config: {
        read: () => readConfig(),
        readIfUsed: async () => {
          const gatewayClasses = await listClasses();
          if (gatewayClasses.length > 0) return await readConfig(gatewayClasses);
          return { gatewayClasses, gateways: [], envoyProxies: [], envoyGatewayConfigs: [] };
        },
        deployment: ({ namespace, name: deployment }) =>
          call('get Deployment', 'read', () =>
            namespace === NAMESPACE ? null : (cluster.deployments.get(deployment) ?? null),
          ),
      },
      recordEvent: () => call('record Event', 'event', () => 'done' as const),
      requestsSent: () => sent,
      close: () => {
        isClosed = true;
        const waiting = this.calls.filter((one) => one.cluster === name && one.kind !== 'AWS');
        this.calls = this.calls.filter((one) => !waiting.includes(one));
        for (const { reject } of waiting) reject(noAnswer());
      },
    };
  }
}
