import { randomUUID } from 'node:crypto';
import { EVENT_SOURCE } from '../../functions/events/event-source.ts';
import { Choices } from '../choices.ts';
import { EksDouble } from '../doubles/eks.ts';
import { EventBridgeDouble, type PutEventsEntry } from '../doubles/eventbridge.ts';
import { parseFilterPattern } from '../doubles/filter-pattern.ts';
import { eventOf, type Message, QueueDouble } from '../doubles/queue.ts';
import { busEvent, invocation, subscriptionPayload } from '../embedded-cluster/event-path.ts';
import { AuditLines } from './audit-lines.ts';
import { Environment } from './environment.ts';
import type { Measured } from './environment-process.ts';
import { LoadedCluster, Traffic, type Trouble } from './loaded-cluster.ts';
import { packagedStack, type Stack } from './stack.ts';

interface LoadOptions {
  readonly events: number;
  readonly clusters: number;
  readonly seed: number;
  /** For the packaged stack. */
  readonly folder: string;
}

/** Audit events of one cluster in a second. */
const RATE = 0.5;
/** Milliseconds in which all changes of a storm are made. */
const STORM = 60_000;
/** Lines of one payload of CloudWatch Logs. */
const LINES_PER_PAYLOAD = 100;
const FORWARD_ENVIRONMENTS = 2;
/** Messages that are no event of this project. */
const MALFORMED = 3;
/** Assessments of one sweep: two of each attempt, of which there are three. */
const MOST_READINGS = 6;
/** Requests of one sweep without a stale HPA: seven lists, each sent again at most once after a reset. */
const MOST_REQUESTS = 14;
/** Requests beside the lists for each HPA that a sweep writes to: Deployment, mark, deletion, and Event, in three attempts. */
const MOST_REQUESTS_PER_WRITE = 4;
/** Of one environment to one cluster: the largest wave of requests of a sweep. */
const MOST_CONNECTIONS = 12;
const MIB = 1024 * 1024;
/** Bytes between a quarter of the events and all of them, for more clusters and their connections. */
const MOST_GROWTH = 4 * MIB;
const MOST_OBJECTS_PER_CONNECTION = 150;
const SOAK = { warm: 20, measured: 60 };
/** The moments that the queue of a cluster takes to be empty. */
const BEFORE_HANGING = 10;

class Batch {
  readonly number: number;
  readonly traffic = new Map<string, Traffic>();
  constructor(number: number) {
    this.number = number;
  }
  trafficOf(cluster: string): Traffic {
    const traffic = this.traffic.get(cluster) ?? new Traffic();
    this.traffic.set(cluster, traffic);
    return traffic;
  }
}

export class Load {
  readonly findings: string[] = [];
  readonly #options: LoadOptions;
  readonly #stack: Stack;
  readonly #choices: Choices;
  readonly #bus = new EventBridgeDouble();
  readonly #eks = new EksDouble();
  readonly #queue: QueueDouble;
  readonly #matches: (line: string) => boolean;
  readonly #lines: AuditLines;
  readonly #clusters: LoadedCluster[] = [];
  #forwards: Environment[] = [];
  #reaps: Environment[] = [];
  readonly #batchOf = new Map<string, Batch>();
  #unreachable = 0;
  readonly #measured = new Map<Environment, Measured>();
  #now = Date.now();
  readonly #counts = {
    ...{ lines: 0, ownLines: 0, selected: 0, payloads: 0, entries: 0, batches: 0, pairs: 0, requests: 0 },
    ...{ readings: 0, retried: 0, deadLetters: 0, growth: 0, connections: 0 },
  };

  private constructor(options: LoadOptions, stack: Stack) {
    this.#options = options;
    this.#stack = stack;
    this.#choices = Choices.ofSeed(options.seed);
    this.#queue = new QueueDouble(stack.queue);
    this.#matches = parseFilterPattern(stack.filterPattern);
    this.#lines = new AuditLines(this.#matches);
  }

  static async start(options: LoadOptions): Promise<Load> {
    const names = Array.from({ length: options.clusters }, (_, number) => `load-${number}`);
    const load = new Load(options, await packagedStack(options.folder, names));
    await load.#start(names);
    return load;
  }

  async #start(names: readonly string[]): Promise<void> {
    const endpoints = {
      AWS_ENDPOINT_URL_EKS: await this.#eks.start(),
      AWS_ENDPOINT_URL_EVENTBRIDGE: await this.#bus.start(),
    };
    const around = {
      seed: this.#options.seed,
      now: () => this.#now,
      batchOf: (accessKeyId: string) => this.#batchOf.get(accessKeyId) ?? new Batch(-1),
      onFinding: (finding: string) => void this.findings.push(finding),
    };
    for (const name of names) {
      const cluster = await LoadedCluster.start(name, around);
      this.#clusters.push(cluster);
      this.#eks.clusters.set(name, cluster.description);
    }
    const environments = (packaged: Stack['forward'], count: number) =>
      Array.from({ length: count }, (_, number) => new Environment(packaged, number, endpoints));
    this.#forwards = environments(this.#stack.forward, FORWARD_ENVIRONMENTS);
    this.#reaps = environments(this.#stack.reap, this.#stack.batches.concurrency);
  }

  async run(): Promise<void> {
    this.#check(this.#forwards.length + this.#reaps.length > 2, 'there are several environments');
    await this.#load();
    await this.#drain();
    this.#checkRest('under load');
    await this.#repair();
    await this.#soak();
    for (const environment of [...this.#forwards, ...this.#reaps]) this.findings.push(...environment.warnings);
  }

  /** So many changes to one cluster in a minute, to so many objects in turn; autoscaling is turned off for some of them. */
  async storm(objects: number): Promise<void> {
    const [cluster] = this.#clusters as [LoadedCluster];
    cluster.throttles = false;
    const moments = STORM / this.#stack.batches.window;
    for (let moment = 0; moment < moments; moment += 1) {
      cluster.toggle(this.#choices);
      const due = Math.floor((this.#options.events * (moment + 1)) / moments);
      const lines: string[] = [];
      for (let number = this.#counts.lines; number < due; number += 1) {
        lines.push(this.#lines.ofProxy(new Date(this.#now), `web-${number % objects}`));
      }
      await this.#step(new Map([[cluster.name, lines]]));
      this.#now += this.#stack.batches.window;
    }
    await this.#drain();
    this.#checkClusters('after the storm');
  }

  async end(): Promise<void> {
    await Promise.all([...this.#forwards, ...this.#reaps].map((environment) => environment.end()));
    await Promise.all([...this.#clusters.map((cluster) => cluster.close()), this.#bus.stop(), this.#eks.stop()]);
  }

  #check(holds: boolean, what: string): void {
    if (!holds) this.findings.push(what);
  }

  /** The cluster with a trouble from the beginning; the one that hangs begins later. */
  #inTrouble(trouble: Trouble): LoadedCluster {
    return this.#clusters[['hangs', 'unauthorized', 'forbidden'].indexOf(trouble)] as LoadedCluster;
  }

  /** All events, in the moments of the batch window. */
  async #load(): Promise<void> {
    const { events, clusters } = this.#options;
    const moments = Math.ceil(events / clusters / RATE / (this.#stack.batches.window / 1000));
    this.#inTrouble('unauthorized').trouble = 'unauthorized';
    this.#inTrouble('forbidden').trouble = 'forbidden';
    for (let number = 0; number < MALFORMED; number += 1) this.#queue.send(`{"number":${number}}`, this.#now);
    const hanging = this.#inTrouble('hangs');
    const hangsAt = Math.floor(moments / 2);
    const { delay } = this.#stack.queue;
    const untilSweep = Math.ceil(delay / this.#stack.batches.window);
    const undoneAt = new Map<LoadedCluster, number>();
    const measuredAt = [Math.floor(moments / 4), moments - 1];
    for (let moment = 0; moment < moments; moment += 1) {
      if (moment % 100 === 99) console.error(`${this.#counts.lines} events, ${this.#counts.batches} batches`);
      const lines = new Map(this.#clusters.map(({ name }) => [name, [] as string[]]));
      // A pipeline rolls out to every cluster at a time, and people work on single ones.
      const isRollout = moment % 100 === 10;
      if (moment === hangsAt) {
        hanging.trouble = 'hangs';
        for (let number = 0; number < 3; number += 1) this.#apply(hanging, lines);
      }
      for (const cluster of this.#clusters) {
        // Messages of before would come back at other moments, and each of them takes a while.
        if (cluster === hanging && moment > hangsAt - BEFORE_HANGING) continue;
        if (undoneAt.get(cluster) === moment) cluster.undo(this.#choices);
        if (!isRollout && !this.#choices.chance(3)) continue;
        this.#apply(cluster, lines);
        if (this.#choices.chance(50)) undoneAt.set(cluster, moment + untilSweep);
      }
      // What is missing in the share of this moment is noise.
      const due = Math.floor((events * (moment + 1)) / moments);
      await this.#step(lines, due);
      if (moment % 20 === 0) this.#bus.refuseEntries(3, 'ThrottlingException');
      if (moment % 50 === 0) this.#eks.failRequests(1, 429, 'ThrottlingException');
      if (measuredAt.includes(moment)) await this.#measure(measuredAt.indexOf(moment) === 0);
      this.#now += this.#stack.batches.window;
    }
  }

  /** One `kubectl apply` of several objects: some of them turn autoscaling off or on, most change nothing. */
  #apply(cluster: LoadedCluster, lines: Map<string, string[]>): void {
    const toggles = this.#choices.pick(3);
    for (let number = 0; number < toggles; number += 1) cluster.toggle(this.#choices);
    const unchanged = 3 + this.#choices.pick(6);
    for (let number = 0; number < unchanged; number += 1) {
      const name = `web-${this.#choices.pick(8)}`;
      lines.get(cluster.name)?.push(this.#lines.selected(this.#choices, new Date(this.#now), name));
    }
  }

  /** One moment: the events of it reach CloudWatch Logs, and what is visible in the queue is swept. */
  async #step(lines: Map<string, string[]>, due = 0): Promise<void> {
    await Promise.all(this.#receive().map((batch, index) => this.#reap(batch, index)));
    for (const cluster of this.#clusters) {
      await cluster.settle();
      lines.get(cluster.name)?.push(...cluster.lines.others.splice(0));
      const own = cluster.lines.own.splice(0);
      this.#counts.ownLines += own.length;
      this.#check(!own.some(this.#matches), `${cluster.name}: the filter selects what the product itself does`);
    }
    this.#counts.lines += [...lines.values()].reduce((sum, some) => sum + some.length, 0);
    for (; this.#counts.lines < due; this.#counts.lines += 1) {
      const { name } = this.#choices.of(this.#clusters);
      lines.get(name)?.push(this.#lines.other(this.#choices, new Date(this.#now), `noise-${this.#counts.lines}`));
    }
    await this.#deliver(lines);
    this.#takeFromBus();
    this.#eks.described.length = 0;
  }

  /** What the subscription filters select goes to `forward`: in no certain order, and at least once. */
  async #deliver(lines: Map<string, string[]>): Promise<void> {
    const payloads: unknown[] = [];
    for (const [cluster, some] of lines) {
      const selected = some.filter(this.#matches);
      this.#counts.selected += selected.length;
      selected.sort(() => this.#choices.pick(3) - 1);
      for (let start = 0; start < selected.length; start += LINES_PER_PAYLOAD) {
        const event = invocation(subscriptionPayload(cluster, selected.slice(start, start + LINES_PER_PAYLOAD)));
        payloads.push(event, ...(this.#choices.chance(3) ? [event] : []));
      }
    }
    this.#counts.payloads += payloads.length;
    const forward = async (environment: Environment) => {
      for (let event = payloads.shift(); event !== undefined; event = payloads.shift()) {
        await this.#forward(environment, event);
      }
    };
    await Promise.all(this.#forwards.map(forward));
  }

  async #forward(environment: Environment, event: unknown): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        await environment.invoke(event, this.#now);
        return;
      } catch (error) {
        if (attempt < this.#stack.forwardRetries) continue;
        this.findings.push(`a payload is left in the queue of forward: ${(error as Error).message}`);
        return;
      }
    }
  }

  /** The rule sends to the queue, at least once. */
  #takeFromBus(): void {
    this.#bus.requests.length = 0;
    for (const entry of this.#bus.taken.splice(0)) {
      const { source, 'detail-type': types } = this.#stack.rule;
      if (!source.includes(entry.Source) || !types.includes(entry.DetailType)) {
        if (entry.DetailType === 'Cluster Unreachable') this.#unreachable += 1;
        continue;
      }
      this.#counts.entries += 1;
      const copies = this.#choices.chance(1) ? 2 : 1;
      for (let copy = 0; copy < copies; copy += 1) this.#queue.send(bodyOf(entry), this.#now);
    }
  }

  /** The batches of one batch window, at most as many as may run concurrently. */
  #receive(): Message[][] {
    const { size, concurrency, window } = this.#stack.batches;
    // The oldest first, and those of about the same time in any order.
    const received = this.#queue
      .visible(this.#now)
      .map((message) => ({ message, at: message.visibleAt + this.#choices.pick(window) }))
      .toSorted((one, other) => one.at - other.at)
      .slice(0, size * concurrency)
      .map(({ message }) => message);
    this.#queue.receive(received, this.#now);
    return Array.from({ length: Math.ceil(received.length / size) }, (_, index) =>
      received.slice(index * size, (index + 1) * size),
    );
  }

  async #reap(messages: readonly Message[], index: number): Promise<void> {
    // Each of them is used again and again, as warm ones are.
    const environment = this.#reaps[(this.#counts.batches + index) % this.#reaps.length] as Environment;
    const batch = new Batch(this.#counts.batches + index + 1);
    await this.#invokeReap(environment, batch, messages);
  }

  async #invokeReap(environment: Environment, batch: Batch, messages: readonly Message[]): Promise<void> {
    this.#batchOf.set(environment.accessKeyId, batch);
    let failed = new Set(messages.map(({ id }) => id));
    const { name, trouble } = this.#inTrouble('hangs');
    const isHanging = trouble === 'hangs' && messages.some(({ body }) => body.includes(`"cluster":"${name}"`));
    try {
      const answer = (await environment.invoke(eventOf(messages), this.#now, isHanging)) as {
        batchItemFailures: { itemIdentifier: string }[];
      };
      failed = new Set(answer.batchItemFailures.map(({ itemIdentifier }) => itemIdentifier));
    } catch (error) {
      this.findings.push(`batch ${batch.number} failed as a whole: ${(error as Error).message}`);
    }
    for (const message of messages) if (!failed.has(message.id)) this.#queue.delete(message);
    this.#counts.batches += 1;
    this.#counts.retried += failed.size;
    this.#checkTraffic(batch);
  }

  /** No cluster is read more often than once in a batch, except for what it writes to. */
  #checkTraffic({ number, traffic }: Batch): void {
    for (const [cluster, { requests, writes, readings, allReadings, metMark }] of traffic) {
      this.#counts.pairs += 1;
      this.#counts.requests += requests;
      if (!metMark) this.#counts.readings = Math.max(this.#counts.readings, readings);
      const where = `batch ${number}, ${cluster}`;
      this.#check(readings <= 1 || metMark, `${where}: read ${readings} times before anything was written`);
      this.#check(allReadings <= MOST_READINGS, `${where}: read ${allReadings} times`);
      const most = MOST_REQUESTS * Math.max(1, allReadings) + MOST_REQUESTS_PER_WRITE * writes;
      this.#check(requests <= most, `${where}: ${requests} requests, with ${writes} writes`);
    }
  }

  /** Until the queue is empty, and no longer than messages may be retried. */
  async #drain(): Promise<void> {
    const { maxReceiveCount, visibilityTimeout, delay } = this.#stack.queue;
    const latest = this.#now + delay + (maxReceiveCount + 1) * visibilityTimeout;
    for (;;) {
      await this.#step(new Map(this.#clusters.map(({ name }) => [name, []])));
      const left = this.#queue.messages.map(({ visibleAt }) => visibleAt);
      if (left.length === 0) return;
      this.#now = Math.max(this.#now + this.#stack.batches.window, Math.min(...left));
      if (this.#now <= latest) continue;
      this.findings.push(`${left.length} messages are retried for longer than the queue allows`);
      return;
    }
  }

  /** At rest, every removal has ended in a deletion, except for those in clusters in trouble, whose messages tell of it. */
  #checkClusters(when: string): void {
    for (const { name, state, counts, trouble } of this.#clusters) {
      const { left, missing, hasOthers } = state;
      const { removals, undone, deleted } = counts;
      this.#check(hasOthers, `${when}, ${name}: an HPA of a person is gone`);
      this.#check(missing.length === 0, `${when}, ${name}: wanted and missing: ${missing.join(', ')}`);
      this.#check(trouble !== undefined || left.length === 0, `${when}, ${name}: left behind: ${left.join(', ')}`);
      this.#check(
        removals === undone + deleted + left.length,
        `${when}, ${name}: ${removals} removals, ${undone} undone, ${deleted} deleted, ${left.length} left`,
      );
    }
  }

  #checkRest(when: string): void {
    this.#checkClusters(when);
    const dead = this.#queue.deadLetters.map(({ body }) => JSON.parse(body).detail?.cluster);
    const hanging = this.#inTrouble('hangs');
    for (const cluster of new Set(dead)) {
      const isExpected = cluster === undefined || (cluster === hanging.name && hanging.trouble === 'hangs');
      this.#check(isExpected, `${when}: dead letters of ${cluster}, which answers`);
    }
    const malformed = dead.filter((cluster) => cluster === undefined).length;
    this.#check(malformed === MALFORMED, `${when}: ${malformed} of ${MALFORMED} malformed messages are dead letters`);
    if (hanging.trouble !== 'hangs') return;
    this.#counts.deadLetters = this.#queue.deadLetters.length - MALFORMED;
    this.#check(dead.includes(hanging.name), `${when}: no dead letter is of the cluster that hangs`);
    this.#check(this.#unreachable > 0, `${when}: no outcome reports the unreachable clusters`);
  }

  /** People fix the clusters, send the dead letters again, and the scheduled sweep covers the rest: nothing is left. */
  async #repair(): Promise<void> {
    for (const cluster of this.#clusters) {
      cluster.trouble = undefined;
      cluster.throttles = false;
    }
    this.#now += 3_600_000;
    this.#queue.redrive(this.#now);
    for (const { name } of this.#clusters) this.#request(name);
    await this.#drain();
    this.#checkRest('after the repair');
  }

  /** As `backfill` requests the sweep of a cluster. */
  #request(cluster: string): void {
    const requestedAt = new Date(this.#now).toISOString();
    const detail = { version: '1', cluster, mode: 'delete', runId: randomUUID(), requestedAt };
    const time = new Date(this.#now);
    const event = { source: EVENT_SOURCE, detailType: 'Cluster Sweep Requested', detail, resources: [], time };
    this.#queue.send(JSON.stringify(busEvent(event)), this.#now);
  }

  /** What the environments hold; the second time compared with the first. */
  async #measure(isFirst: boolean): Promise<void> {
    const measure = async (environment: Environment) => {
      const before = this.#measured.get(environment);
      const measured = await environment.measure();
      this.#measured.set(environment, measured);
      if (isFirst || before === undefined) return;
      const { accessKeyId, memory } = environment;
      const { heap, connections, rss } = measured;
      this.#counts.growth = Math.max(this.#counts.growth, heap - before.heap);
      this.#counts.connections = Math.max(this.#counts.connections, connections);
      this.#check(heap - before.heap <= MOST_GROWTH, `${accessKeyId}: the heap grew from ${before.heap} to ${heap}`);
      this.#check(rss <= memory, `${accessKeyId}: ${rss} MiB, and the function has ${memory}`);
      const most = MOST_CONNECTIONS * this.#clusters.length;
      this.#check(connections <= most, `${accessKeyId}: keeps ${connections} connections`);
    };
    await Promise.all([...this.#forwards, ...this.#reaps].map(measure));
  }

  /** The same again and again: what an environment holds does not grow, not even by a listener each time. */
  async #soak(): Promise<void> {
    const [throttled, forbidden, ...healthy] = this.#clusters as [LoadedCluster, LoadedCluster, ...LoadedCluster[]];
    throttled.alwaysThrottles = true;
    forbidden.trouble = 'forbidden';
    const [reap, forward] = [this.#reaps[0] as Environment, this.#forwards[0] as Environment];
    const sweep = async (clusters: readonly LoadedCluster[]) => {
      for (const { name } of clusters) this.#request(name);
      this.#now += this.#stack.queue.delay + this.#stack.batches.window;
      const messages = this.#receive().flat();
      await this.#invokeReap(reap, new Batch(this.#counts.batches + 1), messages);
      for (const { lines } of clusters) lines.own.length = 0;
    };
    const line = this.#lines.selected(this.#choices, new Date(this.#now), 'web');
    const payload = invocation(subscriptionPayload('load-0', [line]));
    const forwarded = this.#soakIn(forward, 'a payload', () => this.#forward(forward, payload));
    await this.#soakIn(reap, 'a sweep', () => sweep(healthy.slice(0, 3)));
    await this.#soakIn(reap, 'a sweep that fails', () => sweep([throttled, forbidden]));
    await forwarded;
  }

  async #soakIn(environment: Environment, what: string, act: () => Promise<void>): Promise<void> {
    for (let time = 0; time < SOAK.warm; time += 1) await act();
    const before = await environment.measure();
    for (let time = 0; time < SOAK.measured; time += 1) await act();
    const after = await environment.measure();
    this.#bus.taken.length = 0;
    this.#bus.requests.length = 0;
    const opened = Math.max(0, after.connections - before.connections);
    this.#check(opened <= MOST_CONNECTIONS, `${SOAK.measured} times ${what}: ${opened} more connections`);
    for (const kind of ['objects', 'functions'] as const) {
      const growth = after[kind] - before[kind] - opened * MOST_OBJECTS_PER_CONNECTION;
      const finding = `${SOAK.measured} times ${what}: ${growth} more ${kind} in memory`;
      // The timer of its end outlives each invocation; a leak grows by each of the clusters.
      this.#check(growth < 2 * SOAK.measured, finding);
    }
  }

  rows(): [string, string | number][] {
    const sum = (key: 'removals' | 'undone' | 'deleted' | 'throttled') =>
      this.#clusters.reduce((total, { counts }) => total + counts[key], 0);
    const counts = this.#counts;
    return [
      ['audit events', counts.lines],
      ["audit events of the product's own requests", counts.ownLines],
      ['selected lines', counts.selected],
      ['payloads', counts.payloads],
      ['entries on the bus', counts.entries],
      ['messages', this.#queue.sent],
      ['queue batches', counts.batches],
      ['sweeps', counts.pairs],
      ['requests to API servers', counts.requests],
      ['of them throttled', sum('throttled')],
      ['most readings of a cluster in a batch before a write', counts.readings],
      ['removals', sum('removals')],
      ['undone by people before', sum('undone')],
      ['deletions', sum('deleted')],
      ['retried messages', counts.retried],
      ['dead letters of the cluster that hangs', counts.deadLetters],
      ['most connections that an environment keeps', counts.connections],
      ['heap growth', counts.growth < 2 * MIB ? 'flat' : `${Math.floor(counts.growth / MIB)} MiB`],
    ];
  }
}

function bodyOf({ Source, DetailType, Detail, Resources, Time }: PutEventsEntry): string {
  const entry = { source: Source, detailType: DetailType, detail: JSON.parse(Detail), resources: Resources };
  return JSON.stringify(busEvent({ ...entry, time: new Date(Time * 1000) }));
}
