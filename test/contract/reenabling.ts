import { setImmediate as settled } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectionTo } from '../../functions/cli/embedded-cluster/connection.ts';
import { DEFAULT_GUARDS } from '../../functions/domain/guards.ts';
import { type ClusterApi, clusterApi } from '../../functions/kubernetes/cluster-api.ts';
import { sweepCluster } from '../../functions/usecases/sweep-cluster.ts';
import { type Connection, connect } from './connection.ts';
import { Installation } from './envoy-gateway.ts';
import { type Choose, inEveryOrder } from './interleavings.ts';
import type { Server } from './server.ts';

/** What people do to autoscaling while a pass is under way, and whether the HPA is wanted (or left over) before. */
const SCRIPTS: Script[] = [
  { name: 'a left-over HPA is asked for again', before: 'off', toggles: ['on'], statusWrites: 1, version: 'v1.3' },
  { name: 'and no longer', before: 'off', toggles: ['on', 'off'], statusWrites: 0, version: 'v1.3' },
  { name: 'and once more', before: 'off', toggles: ['on', 'off', 'on'], statusWrites: 0, version: 'v1.3' },
  { name: 'a wanted HPA is given up', before: 'on', toggles: ['off'], statusWrites: 1, version: 'v1.3' },
  { name: 'and asked for again', before: 'on', toggles: ['off', 'on'], statusWrites: 1, version: 'v1.3' },
  { name: 'Envoy Gateway itself deletes it', before: 'on', toggles: ['off', 'on'], statusWrites: 0, version: 'v1.9' },
];

interface Script {
  readonly name: string;
  readonly before: 'on' | 'off';
  readonly toggles: readonly ('on' | 'off')[];
  /** How often the HPA controller writes the HPA's status meanwhile. */
  readonly statusWrites: number;
  readonly version: 'v1.3' | 'v1.9';
}

/**
 * Re-enabling at the worst moment: the pass is driven one API request at a time, and between every two of them a person
 * who toggles autoscaling and a model of Envoy Gateway do each of their possible steps, or the process dies. Requests that
 * read what nobody writes here (Gateways, classes, the ConfigMap) go along with the one that reads the EnvoyProxies: they
 * commute with every step.
 */
export function describeReenabling(server: string, start: () => Promise<Server>): void {
  describe(`re-enabling at the worst moment, on ${server}`, () => {
    let running: Server;
    let admin: Connection;
    let api: ClusterApi;
    let installation: Installation;

    beforeAll(async () => {
      running = await start();
      admin = connect({ ...running, token: running.adminToken });
      api = clusterApi(connectionTo(running, running.reaperToken));
      installation = new Installation(admin, 'reenabling');
      await installation.setUp();
    });
    afterAll(async () => {
      api?.close();
      admin?.close();
      await running?.close();
    });

    test.each(SCRIPTS)(
      '$name ($version): in no order is a wanted HPA missing at the end, or a stale one left',
      { timeout: 900_000 },
      async (script) => {
        const ends = { deleted: 0, kept: 0, died: 0 };
        await inEveryOrder(async (choose) => {
          await Promise.all([installation.setAutoscaling(script.before), installation.deleteHpa()]);
          await installation.applyHpa();
          const world = new World(installation, script);
          const trace = await drive(api, world, choose);
          if (trace === 'as another order') return;
          const wanted = world.autoscaling === 'on';
          const after = `${trace.join(', ')}: autoscaling is ${world.autoscaling}`;
          if (wanted) expect(await installation.hpaExists(), `${after}, and the HPA is there`).toBe(true);
          await sweep(api);
          expect(await installation.hpaExists(), `${after}, then one more pass`).toBe(wanted);
          ends[trace.includes(DIED) ? 'died' : trace.includes('delete: done') ? 'deleted' : 'kept'] += 1;
        });
        // The orders were many, and the pass was not merely idle in them.
        expect(Math.min(...Object.values(ends)), JSON.stringify(ends)).toBeGreaterThan(0);
        console.info(`${Object.values(ends).reduce((sum, count) => sum + count)} orders: ${JSON.stringify(ends)}`);
      },
    );
  });
}

const DIED = 'the process dies';

const sweep = (api: ClusterApi) =>
  sweepCluster({
    cluster: 'reenabling',
    api,
    mode: 'delete',
    guards: DEFAULT_GUARDS,
    // Nothing settles any more.
    now: () => new Date(Date.now() + 3_600_000),
    passId: 'pass',
    log: { info: () => {}, warn: () => {}, error: () => {} },
  });

interface Step {
  readonly name: 'toggle' | 'act' | 'status';
  run(): Promise<void>;
}

/**
 * The person, the HPA controller and Envoy Gateway, which acts only on a change. It reads the configuration and acts on it in two steps; since
 * the pass writes no configuration, its reading is told apart only where a toggle comes between the two.
 */
class World {
  readonly #installation: Installation;
  readonly #toggles: ('on' | 'off')[];
  readonly #version: 'v1.3' | 'v1.9';
  autoscaling: 'on' | 'off';
  /** What Envoy Gateway has read and not acted on yet. */
  #read: 'on' | 'off' | undefined;
  #upToDate = true;
  #statusWrites: number;

  constructor(installation: Installation, { before, toggles, statusWrites, version }: Script) {
    this.#installation = installation;
    this.autoscaling = before;
    this.#toggles = [...toggles];
    this.#statusWrites = statusWrites;
    this.#version = version;
  }

  /** What can happen next. */
  steps(): Step[] {
    const steps: Step[] = [];
    const toggle = () => this.#toggle();
    if (this.#toggles.length > 0) {
      steps.push({ name: 'toggle', run: toggle });
      if (this.#read === undefined && !this.#upToDate) {
        const read = this.autoscaling;
        steps.push({
          name: 'toggle',
          run: () => {
            this.#read = read;
            return toggle();
          },
        });
      }
    }
    if (this.#read !== undefined || !this.#upToDate) steps.push({ name: 'act', run: () => this.#act() });
    if (this.#statusWrites > 0) {
      steps.push({
        name: 'status',
        run: () => {
          this.#statusWrites -= 1;
          return this.#installation.writeStatus();
        },
      });
    }
    return steps;
  }

  async #toggle(): Promise<void> {
    this.autoscaling = this.#toggles.shift() as 'on' | 'off';
    await this.#installation.setAutoscaling(this.autoscaling);
    this.#upToDate = !this.#actsOn(this.autoscaling);
  }

  async #act(): Promise<void> {
    const wanted = this.#read ?? this.autoscaling;
    this.#upToDate = this.#read === undefined || !this.#actsOn(this.autoscaling);
    this.#read = undefined;
    if (wanted === 'on') await this.#installation.applyHpa();
    else if (this.#actsOn('off')) await this.#installation.deleteHpa();
  }

  /** v1.2 to v1.4 return early where no HPA is asked for: that is the leak. */
  #actsOn(wanted: 'on' | 'off'): boolean {
    return wanted === 'on' || this.#version === 'v1.9';
  }
}

/** Two neighbours that commute lead to the same state in either order, so only one order is tried. */
function commute(step: string, request: string): boolean {
  if (step === 'toggle') return request !== 'read';
  if (step === 'act' || step === 'status') return request === 'read';
  return step === 'read' && request === 'list';
}

/** @returns what happened, in its order; or that this order comes to the same as another one that is tried as well */
async function drive(api: ClusterApi, world: World, choose: Choose): Promise<string[] | 'as another order'> {
  const trace: string[] = [];
  const waiting: { name: string; run(): Promise<void> }[] = [];
  const gate =
    <Args extends unknown[], Result>(name: string, call: (...args: Args) => Promise<Result>) =>
    (...args: Args): Promise<Result> =>
      new Promise((resolve, reject) => {
        const request = {
          name,
          run: async () => {
            waiting.splice(waiting.indexOf(request), 1);
            const answered = call(...args);
            answered.then(resolve, reject);
            const answer = (await answered.catch(() => undefined)) as { result?: string } | undefined;
            if (answer?.result) trace[trace.length - 1] = `${name}: ${answer.result}`;
          },
        };
        waiting.push(request);
      });
  const { hpas, config } = api;
  let ended = false;
  // A pass whose process died stays at its gate for good.
  const pass = sweep({
    hpas: {
      list: gate('list', hpas.list),
      get: gate('get', hpas.get),
      mark: gate('mark', hpas.mark),
      delete: gate('delete', hpas.delete),
    },
    config: { read: gate('read', config.read), deploymentExists: gate('get', config.deploymentExists) },
    requestsSent: api.requestsSent,
    close: () => {},
  }).finally(() => {
    ended = true;
  });
  pass.catch(() => {});

  let before: readonly unknown[] = [];
  for (;;) {
    await settled();
    if (ended) {
      await pass;
      await finish(world, trace);
      return trace;
    }
    const last = trace.at(-1);
    const requests = waiting.filter(
      (request) => last === undefined || !before.includes(request) || !commute(last, request.name),
    );
    const options = [...world.steps(), ...requests];
    // Dying after a mere reading leaves what dying before it left.
    const mayDie = last === undefined || /^(mark|delete)/.test(last);
    if (options.length === 0) return 'as another order';
    const option = options[choose(options.length + (mayDie ? 1 : 0))];
    if (option === undefined) {
      trace.push(DIED);
      await finish(world, trace);
      return trace;
    }
    before = [...waiting];
    trace.push(option.name);
    await option.run();
  }
}

/** Without a pass beside it the order no longer matters. */
async function finish(world: World, trace: string[]): Promise<void> {
  for (let [step] = world.steps(); step; [step] = world.steps()) {
    trace.push(step.name);
    await step.run();
  }
}
