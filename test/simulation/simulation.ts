import * as backfill from '../../functions/backfill/backfill.ts';
import * as forward from '../../functions/forward/forward.ts';
import type { ClusterApi } from '../../functions/kubernetes/cluster-api.ts';
import { describeError } from '../../functions/platform/errors.ts';
import type { Handler } from '../../functions/platform/lambda.ts';
import { SILENT } from '../../functions/platform/logger.ts';
import * as reap from '../../functions/reap/reap.ts';
import type { Choices } from '../choices.ts';
import { eventOf, type Message } from '../doubles/queue.ts';
import { ACCOUNT, type BusEvent, invocation, REGION, subscriptionPayload } from '../embedded-cluster/event-path.ts';
import { Clock, settled } from './clock.ts';
import { Cluster, type Release } from './cluster.ts';
import { EnvoyGateway, NOWHERE } from './envoy-gateway.ts';
import { ATTEMPTS, EventPath, type Payload } from './event-path.ts';
import { type Finding, type Installation, Invariants } from './invariants.ts';
import { act, CLASS, giveUp, PROXIES, SECOND_CLASS, takeBack } from './people.ts';
import { type Call, faultsOf, Process } from './process.ts';

/** A product that is broken on purpose, to show that the invariants notice. */
export interface Sabotage {
  readonly api?: (api: ClusterApi, cluster: Cluster) => ClusterApi;
  readonly settings?: Partial<typeof config>;
  readonly reap?: (handler: Handler<unknown>) => Handler<unknown>;
}

export interface Result {
  readonly finding: Finding | undefined;
  readonly counts: Readonly<Record<string, number>>;
  readonly choices: readonly number[];
  readonly trace: readonly string[];
}

const place = { ACCOUNT_ID: ACCOUNT, AWS_REGION: REGION };
const settings = { MAX_DELETIONS: 25, SETTLE_HPA_SECONDS: 120, SETTLE_CONFIG_SECONDS: 180 };
const config = {
  ...{ ...place, MODE: 'delete' as const, ...settings, EVENT_BUS_NAME: 'envoy-hpa-reaper', MAX_DELETIONS_PER_RUN: 100 },
  CONTROLLER_NAMESPACES: undefined,
};
const metrics = { add: () => {} };
/** Seconds; as in serverless.yml. */
const TIMEOUTS = { forward: 30, reap: 60, backfill: 900 };
type FunctionName = keyof typeof TIMEOUTS;

/** Messages. */
const BATCH_SIZE = 10;

const MINUTE = 60_000;
const MAX_CALM_STEPS = 5_000;

/** Something that can happen next: the first is the calm one. */
type Option = readonly [weight: number, run: () => Promise<void> | void];

/** One schedule. */
export class Simulation {
  readonly #choices: Choices;
  readonly #sabotage: Sabotage;
  readonly #trace: string[] | undefined;
  readonly #clock = new Clock();
  readonly #installations = new Map<string, Installation>();
  readonly #clusters = new Map<string, Cluster>();
  readonly #invariants = new Invariants(this.#installations);
  readonly #path = new EventPath(this.#clock, (event) => this.#outcome(event));
  #processes: Process[] = [];
  /** Writes that reach the API server after nobody waits for them. */
  #late: (() => void)[] = [];
  #isCalm = false;
  #invocations = 0;
  /** How much people do, and how many backfills run, until everything rests. */
  #people = 0;
  #backfills = 0;
  #interferences = 0;
  #missing = new Map<string, Set<string>>();
  #heldBack = new Map<string, Set<string>>();

  constructor(choices: Choices, useClock: (clock: Clock) => void, sabotage: Sabotage = {}, isTraced = false) {
    this.#choices = choices;
    this.#sabotage = sabotage;
    this.#trace = isTraced ? [] : undefined;
    useClock(this.#clock);
  }

  async run(): Promise<Result> {
    try {
      this.#build();
      const steps = 30 + this.#choices.pick(120);
      for (let step = 0; step < steps && !this.#finding; step += 1) await this.#chaos();
      if (!this.#finding) await this.#rest();
    } catch (error) {
      this.#invariants.found('Crash', error instanceof Error ? (error.stack ?? error.message) : String(error));
    }
    const { counts } = this.#invariants;
    return { finding: this.#finding, counts, choices: this.#choices.made, trace: this.#trace ?? [] };
  }

  get #finding(): Finding | undefined {
    return this.#invariants.finding;
  }

  #say(what: string): void {
    if (this.#trace === undefined) return;
    this.#trace.push(`${new Date(this.#clock.now).toISOString().slice(11, 23)} ${what}`);
  }

  // The beginning: everything is old and observed, and in half of all schedules an HPA is left over.

  #build(): void {
    const choices = this.#choices;
    for (const name of choices.chance(15) ? ['one', 'two'] : ['one']) this.#install(name);
    this.#clock.advance(24 * 60 * MINUTE);
    for (const installation of this.#installations.values()) {
      const { cluster, envoyGateway } = installation;
      if (choices.chance(90)) {
        for (let tries = 0; tries < 3 && this.#invariants.wantsEveryHpa(cluster.name); tries += 1) {
          this.#say(`${cluster.name}: somebody does this: ${giveUp(installation, choices)}`);
        }
        if (choices.chance(40)) {
          for (let steps = choices.pick(3); steps > 0 && envoyGateway.canStep(); steps -= 1) {
            this.#say(`${cluster.name}: Envoy Gateway ${envoyGateway.step(choices, true)}`);
          }
          envoyGateway.state = choices.of(['paused', 'paused', 'running']);
        } else this.#runEnvoyGateway(envoyGateway, choices);
        this.#clock.advance(choices.of([400, 400, 150, 1]) * 1_000);
      }
      if (envoyGateway.release === 'v1.3.0' && envoyGateway.state === 'running' && choices.chance(40)) {
        this.#say(`${cluster.name}: somebody upgrades Envoy Gateway to v1.9.1`);
        envoyGateway.upgrade();
        this.#runEnvoyGateway(envoyGateway, choices);
      }
      this.#path.put([this.#request(cluster.name)]);
    }
    for (const event of [...this.#path.onBus]) this.#path.deliver(event, false);
    this.#clock.advance(20_000);
    this.#people = 1 + choices.pick(7);
    this.#backfills = choices.of([0, 0, 1, 2]);
    this.#interferences = choices.of([1, 0, 1, 2]);
  }

  #install(name: string): void {
    const choices = this.#choices;
    const release = choices.of<Release>(['v1.3.0', 'v1.3.0', 'v1.4.2', 'v1.9.1', 'v1.9.1']);
    const isVersionKnown = !choices.chance(15);
    const cluster = new Cluster(name, this.#clock, release, isVersionKnown);
    const gateways = ['web', 'api', 'ads'].slice(0, choices.of([1, 1, 1, 2, 3]));
    for (const proxy of PROXIES) cluster.createProxy(proxy, !choices.chance(20));
    cluster.createClass(CLASS, choices.chance(60) ? 'shared' : undefined);
    if (release === 'v1.9.1' && choices.chance(25)) cluster.setDefault(true);
    for (const gateway of gateways) cluster.createGateway(gateway, CLASS, choices.chance(40) ? 'own' : undefined);
    const envoyGateway = new EnvoyGateway(cluster, release);
    this.#installations.set(name, { cluster, envoyGateway, gateways });
    this.#clusters.set(name, cluster);
    this.#runEnvoyGateway(envoyGateway, choices);
    if (choices.chance(40)) {
      cluster.createClass(SECOND_CLASS, choices.chance(60) ? NOWHERE : undefined);
      this.#runEnvoyGateway(envoyGateway, choices);
    }
    for (const [hpa] of cluster.hpas) cluster.writeHpaStatus(hpa, 3);
    cluster.audit = [];
    const known = isVersionKnown ? '' : ', which nobody knows';
    this.#say(`${name}: Envoy Gateway ${release}${known}, with ${gateways.join(', ')}`);
    for (const [key, { spec }] of cluster.classes) this.#say(`  class ${key} refers to ${spec.parametersRef?.name}`);
    for (const [key, { spec }] of cluster.gateways)
      this.#say(`  Gateway ${key} refers to ${spec.infrastructure?.parametersRef?.name}`);
    for (const [key, { spec }] of cluster.proxies)
      this.#say(`  EnvoyProxy ${key} is ${spec?.provider?.kubernetes?.envoyHpa ? 'on' : 'off'}`);
    if (cluster.defaultIsOn) this.#say('  the default is on');
    this.#say(`  HPAs: ${[...cluster.hpas.keys()].join(', ')}`);
  }

  #runEnvoyGateway(envoyGateway: EnvoyGateway, choices: Choices): void {
    while (envoyGateway.canStep()) this.#say(`Envoy Gateway ${envoyGateway.step(choices, false)}`);
  }

  #request(cluster: string): BusEvent {
    const detail = { version: '1', cluster, mode: 'delete', runId: 'run', requestedAt: this.#clock.timestamp() };
    const time = new Date(this.#clock.now);
    return { source: 'envoy-hpa-reaper', detailType: 'Cluster Sweep Requested', detail, resources: [], time };
  }

  #outcome({ detailType, detail }: BusEvent): void {
    if (detailType !== 'HPA Missing' && detailType !== 'HPA Held Back') return;
    const { cluster, hpa } = detail as { cluster: string; hpa: { name: string } };
    const into = detailType === 'HPA Missing' ? this.#missing : this.#heldBack;
    into.set(cluster, new Set([...(into.get(cluster) ?? []), hpa.name]));
  }

  // The middle: anything can happen next.

  async #chaos(): Promise<void> {
    const choices = this.#choices;
    const path = this.#path;
    const calls = this.#processes.flatMap((process) => process.calls);
    const options: Option[] = [];
    if (calls.length > 0) options.push([120, () => this.#answer(choices.of(calls), true)]);
    for (const { cluster, envoyGateway } of this.#installations.values()) {
      if (envoyGateway.canStep()) {
        options.push([24, () => this.#say(`${cluster.name}: Envoy Gateway ${envoyGateway.step(choices, true)}`)]);
      }
      if (cluster.audit.length > 0) options.push([5, () => this.#subscribe(cluster)]);
    }
    const visible = path.queue.visible(this.#clock.now);
    if (visible.length > 0 && this.#processes.length < 4)
      options.push([this.#processes.length === 0 ? 60 : 8, () => this.#startReap(visible)]);
    if (path.onBus.length > 0) options.push([8, () => this.#deliver(choices.of(path.onBus))]);
    if (path.payloads.length > 0) options.push([8, () => this.#startForward(choices.of(path.payloads))]);
    options.push([calls.length > 0 ? 4 : 20, () => this.#wait()]);
    if (this.#people > 0) options.push([12, () => this.#act()]);
    if (this.#late.length > 0) options.push([6, () => this.#actLate(choices.pick(this.#late.length))]);
    if (this.#processes.length > 0) options.push([1, () => this.#kill(choices.of(this.#processes))]);
    if (this.#backfills > 0 && this.#processes.length < 4) {
      options.push([2, () => this.#startBackfill(choices.of(['bus', 'inline']))]);
    }
    await choices.weighted(options)?.[1]();
  }

  /**
   * The worst moment: right before a mark or a deletion reaches the API server, or right after a deletion, somebody changes their mind,
   * and Envoy Gateway acts on that.
   */
  #interfere(name: string): void {
    if (this.#interferences === 0 || !this.#choices.chance(40)) return;
    this.#interferences -= 1;
    const installation = this.#installations.get(name) as Installation;
    for (let tries = 0; tries < 2 && !this.#invariants.wantsEveryHpa(name); tries += 1) {
      this.#say(`${name}: somebody does this: ${takeBack(installation, this.#choices)}`);
    }
    const { envoyGateway } = installation;
    for (let steps = this.#choices.pick(9); steps > 0 && envoyGateway.canStep(); steps -= 1) {
      this.#say(`${name}: Envoy Gateway ${envoyGateway.step(this.#choices, true)}`);
    }
  }

  #act(): void {
    this.#people -= 1;
    const installation = this.#choices.of([...this.#installations.values()]);
    this.#say(`${installation.cluster.name}: somebody does this: ${act(installation, this.#choices)}`);
    this.#clock.advance(10);
  }

  async #wait(): Promise<void> {
    const isBusy = this.#processes.length > 0;
    const seconds = this.#choices.of(isBusy ? [1, 5, 20] : [20, 5, 70, 130, 200, 400]);
    this.#say(`${seconds} s pass`);
    this.#clock.advance(seconds * 1_000);
    if (isBusy) await this.#settle();
  }

  async #answer(call: Call, mayFail: boolean): Promise<void> {
    if (mayFail && ['mark', 'delete'].includes(call.name)) this.#interfere(call.cluster);
    const fault = mayFail && this.#choices.chance(5) ? this.#choices.of(faultsOf(call)) : undefined;
    if (fault) this.#invariants.count('faults of API calls');
    this.#clock.advance(30);
    call.process.answer(call, fault, (late) => this.#late.push(late));
    this.#say(`${call.process.name}: ${call.cluster} ${call.name}${fault ? `: ${fault}` : ''}`);
    await this.#settle();
    if (mayFail && call.name === 'delete') this.#interfere(call.cluster);
  }

  /** Lets the processes run until they wait. */
  async #settle(): Promise<void> {
    await settled();
    this.#processes = this.#processes.filter(({ state }) => state === 'running');
  }

  #actLate(index: number): void {
    this.#say('a write reaches the API server after all');
    for (const late of this.#late.splice(index, 1)) late();
  }

  #kill(process: Process): void {
    this.#say(`${process.name} is killed`);
    this.#invariants.count('processes that died');
    for (const call of process.calls) if (call.kind === 'write') this.#late.push(() => void call.act());
    process.calls = [];
    process.kill();
    this.#processes = this.#processes.filter((one) => one !== process);
  }

  // The event path and the functions.

  /** CloudWatch Logs: lines get lost, come late, in another order, or twice. */
  #subscribe(cluster: Cluster): void {
    const choices = this.#choices;
    const lines = cluster.audit.splice(0, 1 + choices.pick(cluster.audit.length));
    if (choices.chance(5)) {
      this.#say(`${lines.length} lines are lost`);
      return;
    }
    if (choices.chance(10)) lines.reverse();
    if (choices.chance(10)) cluster.audit.push(...lines);
    this.#path.payloads.push({ cluster: cluster.name, lines, failures: 0 });
  }

  #deliver(event: BusEvent): void {
    this.#say(`the rule delivers ${event.detailType}`);
    this.#path.deliver(event, !this.#isCalm && this.#choices.chance(10));
  }

  async #start<T>(
    name: FunctionName,
    create: (process: Process) => Handler<T>,
    event: unknown,
    over: (process: Process, result: { value: T } | { error: unknown }) => void,
  ): Promise<void> {
    this.#invocations += 1;
    const id = `${name}-${this.#invocations}`;
    const timeout = TIMEOUTS[name] * 1_000;
    const process = new Process(id, this.#clusters, this.#clock, this.#invariants, timeout);
    const invokedFunctionArn = `arn:aws:lambda:${REGION}:${ACCOUNT}:function:${name}`;
    const context = { awsRequestId: id, invokedFunctionArn, getRemainingTimeInMillis: () => process.remaining() };
    this.#processes.push(process);
    this.#say(`${id} starts`);
    this.#invariants.count(`invocations of ${name}`);
    const end = (result: { value: T } | { error: unknown }) => {
      if (process.state !== 'running') return;
      process.state = 'over';
      this.#say('error' in result ? `${id} fails: ${describeError(result.error)}` : `${id} is done`);
      if ('error' in result && !(result.error instanceof Error)) throw result.error;
      over(process, result);
    };
    this.#clock.after(timeout, () => {
      if (process.state !== 'running') return;
      this.#kill(process);
    });
    create(process)(event, context as never).then(
      (value) => end({ value }),
      (error) => end({ error }),
    );
    await this.#settle();
  }

  #dependencies(process: Process) {
    const eventBus = process.eventBus((events) => this.#path.put(events));
    return {
      config: { ...config, ...this.#sabotage.settings },
      eventBus,
      log: SILENT,
      metrics,
      now: () => new Date(this.#clock.now),
    };
  }

  async #startReap(visible: readonly Message[]): Promise<void> {
    const chosen = this.#isCalm || visible.length === 1 ? visible : visible.slice(this.#choices.pick(visible.length));
    const { queue } = this.#path;
    const messages = chosen.slice(0, BATCH_SIZE);
    queue.receive(messages, this.#clock.now);
    const create = (process: Process) => {
      const directory = process.directory(this.#sabotage.api);
      const handler: Handler<unknown> = reap.createHandler({ ...this.#dependencies(process), directory });
      return this.#sabotage.reap?.(handler) ?? handler;
    };
    await this.#start('reap', create, eventOf(messages), (process, result) => {
      if ('error' in result) return;
      const { batchItemFailures } = result.value as { batchItemFailures: { itemIdentifier: string }[] };
      const retried = new Set(batchItemFailures.map(({ itemIdentifier }) => itemIdentifier));
      for (const message of messages) if (!retried.has(message.id)) queue.delete(message);
      this.#invariants.batchWasHandled(process, messages, retried);
    });
  }

  async #startForward(payload: Payload): Promise<void> {
    this.#path.payloads = this.#path.payloads.filter((one) => one !== payload);
    const create = (process: Process) => forward.createHandler(this.#dependencies(process));
    await this.#start(
      'forward',
      create,
      invocation(subscriptionPayload(payload.cluster, payload.lines)),
      (_, result) => {
        if ('value' in result) return;
        payload.failures += 1;
        const { payloads, unforwarded } = this.#path;
        (payload.failures < ATTEMPTS ? payloads : unforwarded).push(payload);
      },
    );
  }

  async #startBackfill(dispatch: 'bus' | 'inline'): Promise<void> {
    this.#backfills -= 1;
    const create = (process: Process) => {
      const directoryOf = () => process.directory(this.#sabotage.api);
      return backfill.createHandler({ ...this.#dependencies(process), directoryOf });
    };
    await this.#start('backfill', create, { dispatch, mode: 'delete' }, () => {});
  }

  // The end: people and faults stop, and Envoy Gateway runs.

  async #rest(): Promise<void> {
    this.#isCalm = true;
    this.#say('everybody rests');
    for (const { cluster, envoyGateway } of this.#installations.values()) {
      if (envoyGateway.state === 'down') envoyGateway.restart();
      envoyGateway.state = 'running';
      if (cluster.classes.get(SECOND_CLASS)?.spec.parametersRef) cluster.setClassRef(SECOND_CLASS, undefined);
    }
    await this.#calm();
    for (const minutes of [12, 60]) {
      this.#clock.advance(minutes * MINUTE);
      this.#missing = new Map();
      this.#heldBack = new Map();
      this.#say('a scheduled sweep');
      await this.#startBackfill('bus');
      await this.#calm();
    }
    if (this.#finding) return;
    for (const { id } of this.#path.queue.messages)
      this.#invariants.found('EventLost', `${id} is in the queue for good`);
    for (const _ of this.#path.queue.deadLetters) this.#invariants.count('dead letters');
    for (const _ of this.#path.unforwarded) this.#invariants.count('payloads that ended in the queue of forward');
    this.#invariants.check(this.#missing, this.#heldBack);
  }

  /** Until nothing happens any more by itself. */
  async #calm(): Promise<void> {
    for (let step = 0; step < MAX_CALM_STEPS; step += 1) {
      if (this.#finding || !(await this.#calmStep())) return;
    }
    this.#invariants.found('NoRest', 'something goes on and on');
  }

  async #calmStep(): Promise<boolean> {
    const path = this.#path;
    for (const { cluster, envoyGateway } of this.#installations.values()) {
      if (envoyGateway.canStep()) this.#runEnvoyGateway(envoyGateway, this.#choices);
      if (cluster.audit.length > 0)
        path.payloads.push({ cluster: cluster.name, lines: cluster.audit.splice(0), failures: 0 });
    }
    const [call] = this.#processes.flatMap((process) => process.calls);
    const [event] = path.onBus;
    const [payload] = path.payloads;
    const visible = path.queue.visible(this.#clock.now);
    const waiting = path.queue.messages;
    if (this.#late.length > 0) this.#actLate(0);
    else if (call) await this.#answer(call, false);
    else if (this.#processes.length > 0) {
      this.#clock.advance(Math.max(0, this.#clock.next() - this.#clock.now));
      await this.#settle();
    } else if (payload) await this.#startForward(payload);
    else if (event) this.#deliver(event);
    else if (visible.length > 0) await this.#startReap(visible);
    else if (waiting.length > 0) {
      this.#clock.advance(Math.max(...waiting.map(({ visibleAt }) => visibleAt)) - this.#clock.now);
    } else return false;
    return true;
  }
}
