import { createHash } from 'node:crypto';
import { setImmediate as settled } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DEFAULT_GUARDS } from '../../functions/judgement/guards.ts';
import { type ClusterApi, clusterApi } from '../../functions/kubernetes/cluster-api.ts';
import { SILENT } from '../../functions/platform/logger.ts';
import { sweepCluster } from '../../functions/sweep/sweep-cluster.ts';
import { connectionTo } from '../embedded-cluster/embedded-cluster.ts';
import {
  EnvoyGateway,
  Installation,
  READS,
  READS_AND_FAILS,
  type Referrer,
  type Step,
  TRANSLATES_OFF,
} from './envoy-gateway.ts';
import { type Choose, inEveryOrder } from './interleavings.ts';
import { reaperToken, type Server, useServer } from './server.ts';

/** What a person does to autoscaling: in the EnvoyProxy, or to the parametersRef that leads to it. */
type Change = 'on' | 'off' | 'reference removed' | 'reference put back';

interface Script {
  readonly name: string;
  /** What people do during a sweep, in this order. */
  readonly changes: readonly Change[];
  /** Autoscaling in the EnvoyProxy at the start. There is an HPA in any case. */
  readonly before: 'on' | 'off';
  /** Whose parametersRef leads to the EnvoyProxy. */
  readonly referrer: Referrer;
  readonly version: 'v1.3' | 'v1.9';
  /** Whether the Deployment of Envoy Gateway exists, which shows its version. */
  readonly isVersionKnown: boolean;
  /** Whether a second class of the same controller dangles, until somebody repairs it at any moment. */
  readonly dangling: boolean;
  /** How often the HPA controller writes the HPA's status meanwhile. */
  readonly statusWrites: number;
  /** How often Envoy Gateway refreshes the conditions of the Gateway without a translation. */
  readonly refreshes: number;
  /** How often a reading of Envoy Gateway fails once it has written the status of the class. */
  readonly failures: number;
}

const script = (name: string, changes: readonly Change[], others: Partial<Script> = {}): Script => ({
  ...{ name, changes, before: 'on', referrer: 'Gateway', version: 'v1.3', isVersionKnown: true, dangling: false },
  ...{ statusWrites: 0, refreshes: 0, failures: 0, ...others },
});

const LOST = ['reference removed'] as const;
const BACK = ['reference removed', 'reference put back'] as const;

const SCRIPTS: readonly Script[] = [
  script('a left-over HPA is asked for again', ['on'], { before: 'off', statusWrites: 1 }),
  script('and no longer', ['on', 'off'], { before: 'off' }),
  script('and once more', ['on', 'off', 'on'], { before: 'off' }),
  script('a wanted HPA is given up', ['off'], { statusWrites: 1 }),
  script('and asked for again', ['off', 'on'], { statusWrites: 1 }),
  script('Envoy Gateway itself deletes it', ['off', 'on'], { version: 'v1.9' }),
  script('a Gateway loses its reference', LOST, { refreshes: 1, statusWrites: 1 }),
  script('a Gateway gets its reference back', BACK, { refreshes: 1 }),
  script('a Gateway gets its reference back', BACK, { version: 'v1.9', refreshes: 1 }),
  script('a class loses its reference', LOST, { referrer: 'GatewayClass', statusWrites: 1 }),
  script('a class gets its reference back', BACK, { referrer: 'GatewayClass' }),
  script('a class gets its reference back', BACK, { referrer: 'GatewayClass', version: 'v1.9' }),
  script('and a reading fails', BACK, { referrer: 'GatewayClass', failures: 1 }),
  script('a class, while another one dangles', BACK, { referrer: 'GatewayClass', dangling: true }),
  script('and the version is not known', BACK, { referrer: 'GatewayClass', dangling: true, isVersionKnown: false }),
  script('a Gateway, while a class dangles', BACK, { dangling: true, refreshes: 1 }),
];

const NAMESPACE = 'reenabling';

/**
 * Re-enabling at the worst moment: the sweep is driven one API request at a time, and between every two of them a person, the HPA
 * controller and a model of Envoy Gateway do each of their possible steps, or the process dies.
 *
 * The lists of one reading count as one request. A deletion rests on two readings that found the same versions of the same objects,
 * so that at the mark between them all of these held at once; and what is read of a rejected second class stands in the same
 * list as the first. Deployments are written by nobody here, and the other HPAs of a namespace decide nothing that is written.
 */
export function describeReenabling(start: () => Promise<Server>): void {
  describe('autoscaling that is enabled again at the worst moment', () => {
    const used = useServer(start);
    let api: ClusterApi;
    let installation: Installation;

    beforeAll(async () => {
      api = used.closeAtEnd(clusterApi(connectionTo(used.server, reaperToken)));
      installation = new Installation(used.admin, NAMESPACE);
      await installation.setUp();
    });
    afterAll(async () => {
      await installation?.reset();
      await installation?.runController(undefined);
    });

    test.each(SCRIPTS)(
      '$name ($version): in every order a wanted HPA exists at the end or is reported as missing, and no stale HPA is left',
      { timeout: 900_000 },
      async (script) => {
        await installation.runController(script.isVersionKnown ? RELEASES[script.version] : undefined);
        const { ends, runs } = await inEveryOrder(async (choose) => {
          await installation.reset(script.referrer, script.before, script.dangling);
          await installation.applyHpa();
          const world = worldOf(installation, script);
          const trace = await drive(api, world, script, choose);
          if (trace === undefined) return undefined;
          return await endOf(script, trace, world.wantsHpa());
        });
        const orders = Object.values(ends).reduce((sum, count) => sum + count);
        console.info(`${script.name} (${script.version}): ${orders} orders by ${runs} runs: ${JSON.stringify(ends)}`);
        // The sweep was not merely idle, nor always too early.
        expect(ends).toMatchObject({ deleted: expect.any(Number), kept: expect.any(Number) });
        expect('missing' in ends).toBe(mayLose(script));
      },
    );

    /** The result when nothing happens any more, and after one more sweep. */
    async function endOf(script: Script, trace: readonly string[], wanted: boolean): Promise<string> {
      const lost = wanted && isLost(script, trace);
      const after = `${trace.join(', ')}: the HPA is ${wanted ? 'wanted' : 'stale'}`;
      if (wanted) expect(await installation.hpaExists(), after).toBe(!lost);
      const { missing } = await sweep(api);
      expect(
        missing.map(({ name, reason }) => [name, reason]),
        `${after}, then one more sweep`,
      ).toEqual(lost ? [[installation.hpaName, 'WantedButMissing']] : []);
      expect(await installation.hpaExists(), `${after}, then one more sweep`).toBe(wanted && !lost);
      if (lost) return 'missing';
      return factsOf(script, trace).isDeleted ? 'deleted' : 'kept';
    }
  });
}

const RELEASES = { 'v1.3': 'v1.3.0', 'v1.9': 'v1.9.1' };
const DELETED = 'delete: done';

/**
 * The one case in which a wanted HPA is missing at rest. A *class* loses its reference; Envoy Gateway reads that and writes the status of
 * the class, but does not translate it yet; both readings of the sweep find a removal that was observed, and the sweep deletes; the
 * reference is put back, and Envoy Gateway reads that before it has translated the removal. Then it never does: what comes out is equal
 * to what came out before the removal, and nothing is applied. Two things come between the status and the translation: a release that
 * skips to the latest reading (v1.5.5 and later) may be busy with the one before; and in every release the rest of the reading may fail.
 *
 * Nothing in Kubernetes shows that a removal is read and not yet translated: the status of a class is written by the reading, the Gateway
 * has not changed, and an EnvoyProxy that nothing refers to any more keeps its status for good. A Gateway's own reference is safe,
 * since only a translation writes the conditions of its listeners. What stops a release before v1.4 for long, a class that
 * dangles, shows.
 */
function isLost(script: Script, trace: readonly string[]): boolean {
  const { isDeleted, removalIsSeen, removalIsTranslated } = factsOf(script, trace);
  return mayLose(script) && isDeleted && removalIsSeen && !removalIsTranslated;
}

/** The facts in a trace that decide its end. */
function factsOf({ version }: Script, trace: readonly string[]) {
  const precedes = (one: string, other: string) =>
    trace.includes(one) && (!trace.includes(other) || trace.indexOf(one) < trace.indexOf(other));
  return {
    isDeleted: trace.includes(DELETED),
    /** The status of the class shows the removal in time for the sweep. */
    removalIsSeen: [READS, READS_AND_FAILS].some(
      (step) => precedes(step, DELETED) && precedes(step, 'reference put back'),
    ),
    removalIsTranslated: version === 'v1.3' ? precedes(READS, 'reference put back') : trace.includes(TRANSLATES_OFF),
  };
}

const mayLose = ({ referrer, version, failures, dangling, changes }: Script): boolean =>
  referrer === 'GatewayClass' &&
  !dangling &&
  changes.includes('reference put back') &&
  (version === 'v1.9' || failures > 0);

/** One sweep of the installation, without Events. */
const sweep = (api: ClusterApi) =>
  sweepCluster({
    cluster: 'reenabling',
    api: { ...api, recordEvent: async () => 'done' },
    mode: 'delete',
    guards: DEFAULT_GUARDS,
    // Nothing settles any more.
    now: () => new Date(Date.now() + 3_600_000),
    sweepId: 'sweep',
    log: SILENT,
    selects: ({ owner }) => owner?.kind === 'Gateway' && owner.namespace === NAMESPACE,
  });

type World = ReturnType<typeof worldOf>;

/** Everybody except the sweep: people, the HPA controller and Envoy Gateway. */
function worldOf(installation: Installation, script: Script) {
  const envoyGateway = new EnvoyGateway(installation, script);
  const changes = [...script.changes];
  let { dangling, statusWrites } = script;

  const stored = () => {
    const { hpa, gateway, gatewayClass, secondClass, proxy } = installation;
    return [hpa, gateway, gatewayClass, secondClass, proxy].map((path) => installation.stored(path));
  };
  async function change(): Promise<void> {
    const next = changes.shift();
    if (next === 'on' || next === 'off') await installation.setAutoscaling(next);
    else await installation.setReference(script.referrer, next === 'reference put back');
  }
  async function repairSecondClass(): Promise<void> {
    dangling = false;
    await installation.repairSecondClass();
  }
  async function writeStatus(): Promise<void> {
    statusWrites -= 1;
    await installation.writeStatus();
  }

  return {
    wantsHpa: () => envoyGateway.wantsHpa,
    /** What can happen next. */
    steps(): Step[] {
      const steps = envoyGateway.steps();
      if (changes[0]) steps.push({ name: changes[0], about: 'configuration', run: change });
      if (dangling) steps.push({ name: 'second class repaired', about: 'configuration', run: repairSecondClass });
      if (statusWrites > 0) steps.push({ name: 'status', about: 'HPA', run: writeStatus });
      return steps;
    },
    /** Records a write of the sweep. */
    wasWritten: (hpa: object | undefined): void => installation.wasWritten(installation.hpa, hpa),
    /** Everything that decides what can happen next, and its result. */
    state: (): unknown => [changes, dangling, statusWrites, envoyGateway.state(), stored()],
    /** A text that differs after every change of the configuration. */
    configuration(): string {
      const [_hpa, ...configuration] = stored().map((object) => object?.metadata.resourceVersion);
      return configuration.join();
    },
  };
}

/** @returns what happened, in its order; `undefined` where this comes to the same as another order */
async function drive(api: ClusterApi, world: World, script: Script, choose: Choose): Promise<string[] | undefined> {
  const trace: string[] = [];
  const gated = new GatedSweep(api, world, trace);
  let skipped: readonly string[] = [];
  let waited: readonly Option[] = [];
  for (;;) {
    await gated.waits();
    const requests = gated.requests().filter((request) => !waited.includes(request) || !skipped.includes(request.name));
    const options: Option[] = [...world.steps(), ...requests];
    // The result of dying after a read is the same as before it.
    if (!gated.isOver && (trace.length === 0 || /^(mark|delete)/.test(trace.at(-1) ?? ''))) {
      options.push({ name: 'the process dies', run: async () => gated.die() });
    }
    if (options.length === 0 && !gated.isOver) return undefined;
    const state = [world.state(), gated.state(), factsOf(script, trace), options.map(({ name }) => name)];
    // Where nothing can happen any more that is the one choice.
    const choice = choose(Math.max(options.length, 1), () => fingerprint(state));
    if (choice === undefined) return undefined;
    const option = options[choice];
    if (option === undefined) return trace;
    trace.push(option.name);
    waited = gated.requests();
    const before = world.configuration();
    await option.run();
    skipped = commuting(option, before !== world.configuration());
  }
}

/**
 * The requests that could as well have come before this step, if they waited then: they find the same, and leave the step what it found.
 * So only the orders are tried in which they did come before it.
 */
function commuting({ name, about }: Option, changesConfiguration: boolean): string[] {
  if (name === READS_CONFIGURATION) return [LISTS_HPAS];
  if (about === 'HPA') return [READS_CONFIGURATION];
  if (about !== 'configuration') return [];
  return [LISTS_HPAS, 'get', 'mark', 'delete', ...(changesConfiguration ? [] : [READS_CONFIGURATION])];
}

/** A step of somebody, or a request of the sweep. */
type Option = Omit<Step, 'about'> & Partial<Step>;

const LISTS_HPAS = 'list HPAs';
const READS_CONFIGURATION = 'read configuration';

/** A sweep whose requests wait until they are chosen. After the process dies they wait forever. */
class GatedSweep {
  readonly #trace: string[];
  #waiting: readonly Option[] = [];
  #known: readonly Option[] = [];
  #ungated = 0;
  #attempts = 0;
  /** The responses of this attempt, which uses none of an earlier one. */
  #answers = new Map<string, unknown>();
  #failure: { error: unknown } | undefined;
  isOver = false;

  constructor({ hpas, config, ...api }: ClusterApi, world: World, trace: string[]) {
    this.#trace = trace;
    const mark = async (hpa: Parameters<typeof hpas.mark>[0]) => {
      const answer = await hpas.mark(hpa);
      if (answer.result === 'done') world.wasWritten(answer.hpa);
      return answer;
    };
    const remove = async (hpa: Parameters<typeof hpas.delete>[0]) => {
      const answer = await hpas.delete(hpa);
      if (answer.result === 'done') world.wasWritten(undefined);
      return answer;
    };
    const running = sweep({
      hpas: {
        list: this.#gated(LISTS_HPAS, hpas.list),
        scalers: this.#free(hpas.scalers),
        get: this.#gated('get', hpas.get),
        mark: this.#gated('mark', mark),
        delete: this.#gated('delete', remove),
      },
      config: {
        read: this.#gated(READS_CONFIGURATION, config.read),
        readIfUsed: this.#gated(READS_CONFIGURATION, config.readIfUsed),
        deployment: this.#free(config.deployment),
      },
      ...api,
    });
    running.then(
      () => {
        this.isOver = true;
      },
      (error) => {
        this.#failure = { error };
      },
    );
  }

  /** Waits until the sweep itself only waits. */
  async waits(): Promise<void> {
    const before = this.#known;
    do await settled();
    while (this.#ungated > 0);
    if (this.#failure) throw this.#failure.error;
    // The first reading of an attempt begins with the HPAs alone.
    this.#known = this.#waiting;
    const [first, second] = this.#waiting;
    if (first?.name !== LISTS_HPAS || second || before.includes(first)) return;
    this.#attempts += 1;
    this.#answers.clear();
  }

  requests(): readonly Option[] {
    return this.isOver ? [] : this.#waiting;
  }

  die(): void {
    this.isOver = true;
  }

  /** Everything that decides what it does next. */
  state(): unknown {
    return this.isOver ? 'over' : [this.#attempts, [...this.#answers].sort(([a], [b]) => (a < b ? -1 : 1))];
  }

  readonly #gated =
    <Args extends unknown[], Result>(name: string, call: (...args: Args) => Promise<Result>) =>
    (...args: Args): Promise<Result> =>
      new Promise((resolve, reject) => {
        const request = {
          name,
          run: async () => {
            this.#waiting = this.#waiting.filter((one) => one !== request);
            const answered = call(...args);
            answered.then(resolve, reject);
            const answer = await answered;
            const time = [...this.#answers.keys()].filter((key) => key.startsWith(name)).length;
            this.#answers.set(`${name} ${time}`, answer);
            const { result } = (answer ?? {}) as { result?: string };
            if (result) this.#trace[this.#trace.length - 1] = `${name}: ${result}`;
          },
        };
        this.#waiting = [...this.#waiting, request];
      });

  readonly #free =
    <Args extends unknown[], Result>(call: (...args: Args) => Promise<Result>) =>
    async (...args: Args): Promise<Result> => {
      this.#ungated += 1;
      try {
        return await call(...args);
      } finally {
        this.#ungated -= 1;
      }
    };
}

/** The same for states that differ only in what the API server calls the versions of the objects, and in times. */
function fingerprint(state: unknown): string {
  const names = new Map<string, number>();
  // The order of two managers depends on their times.
  const withoutTimes = (key: string, value: unknown) =>
    key === 'managedFields'
      ? (value as { time: string }[]).map(({ time: _, ...entry }) => JSON.stringify(entry)).sort()
      : value;
  const text = JSON.stringify(state, withoutTimes)
    .replaceAll(/"creationTimestamp":"[^"]*"|"currentReplicas":\d+/g, '')
    .replaceAll(/"(resourceVersion|uid)":"([^"]*)"/g, (_, field, name) => {
      names.set(name, names.get(name) ?? names.size);
      return `"${field}":${names.get(name)}`;
    });
  return createHash('sha256').update(text).digest('base64');
}
