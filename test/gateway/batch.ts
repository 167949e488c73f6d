import { readFile, stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { changesOf } from '../../functions/events/audit-event.ts';
import { changeOf } from '../../functions/events/outcomes.ts';
import type { Change } from '../../functions/events/report.ts';
import { DEFAULT_GUARDS } from '../../functions/judgement/guards.ts';
import { objectKey } from '../../functions/judgement/kubernetes-objects.ts';
import { describeOwner, type Owner } from '../../functions/judgement/ownership.ts';
import type { ClusterApi } from '../../functions/kubernetes/cluster-api.ts';
import { RetryableError } from '../../functions/platform/errors.ts';
import { SILENT } from '../../functions/platform/logger.ts';
import { assess } from '../../functions/sweep/assess.ts';
import { sweepCluster } from '../../functions/sweep/sweep-cluster.ts';
import { CONTROLLER } from '../builders/cluster.ts';
import type { Connection } from '../contract/connection.ts';
import { waitFor } from '../contract/server.ts';
import { type Configuration, type EnvoyGatewayProcess, SYSTEM } from './envoy-gateway-process.ts';
import { CHANGES, GIVEN_NAME, type Hpa, type Sequence, World, weighted } from './world.ts';

const GATEWAYS = '/apis/gateway.networking.k8s.io/v1/gateways';
const CLASSES = '/apis/gateway.networking.k8s.io/v1/gatewayclasses';
const HPAS = '/apis/autoscaling/v2/horizontalpodautoscalers';
/** The objects that others belong to. */
const OWNERS = [GATEWAYS, CLASSES, '/apis/apps/v1/deployments'];

/** What a batch runs on. */
export interface Bench {
  readonly admin: Connection;
  /** The product's own requests, as the user that infra/kubernetes/rbac.yaml authorizes. */
  readonly api: ClusterApi;
  readonly envoyGateway: EnvoyGatewayProcess;
  /** One audit event as JSON a line. */
  readonly auditLog: string;
}

/** Several sequences that run at the same time in one cluster, and what happens to their Envoy Gateway. */
export interface Batch {
  /** The name of the first is `s` and this number. */
  readonly first: number;
  readonly sequences: readonly Sequence[];
  /** By tick: one change of each sequence is made in a tick. */
  readonly shared: readonly (readonly [event: string, milliseconds: number])[];
  readonly from: string;
  /** The version that it is upgraded to in the middle, if it is. */
  readonly to?: string;
  readonly gatewayNamespaceMode: boolean;
  /** Whether the product deletes while the sequences run, or only judges at the end. */
  readonly deletes: boolean;
}

/** A disagreement between the product and Envoy Gateway. */
export interface Finding {
  readonly kind: 'wrongly deleted' | 'missed' | 'missing unreported' | 'reported and not missing' | 'foreign';
  readonly hpa: string;
  readonly explanation: string;
}

export interface BatchResult {
  /** HPAs that were judged at rest. */
  readonly judged: number;
  readonly findings: readonly Finding[];
  /** HPAs at rest that Envoy Gateway would not create again and that are kept, by the reason of the row that keeps them. */
  readonly keptByRow: Readonly<Record<string, number>>;
  /** Verdicts at rest that an HPA is stale, all of which Envoy Gateway confirms unless there is a finding. */
  readonly stale: number;
  /** HPAs that the product deleted, with the seconds since the last change that led to it, if one did. */
  readonly deletions: readonly { readonly hpa: string; readonly reason: string; readonly seconds?: number }[];
  /** HPAs that Envoy Gateway wants, had not created, and that the product reported. */
  readonly missingReported: number;
  readonly trace: readonly string[];
  /** Everything that the judgement reads, as a List. */
  readonly cluster: object;
  /** What Envoy Gateway created again. */
  readonly wanted: readonly string[];
}

/** The settle times are compressed: seconds instead of minutes. Everything looks an hour old, so that missing HPAs are reported. */
const AGE_SECONDS = 3_600;
const GUARDS = {
  ...DEFAULT_GUARDS,
  settleHpaSeconds: AGE_SECONDS + 2,
  settleConfigSeconds: AGE_SECONDS + 8,
  raisedLimit: 1_000,
};
const now = () => new Date(Date.now() + AGE_SECONDS * 1_000);

const RATE_LIMIT = { backend: { type: 'Redis', redis: { url: 'redis.default.svc:6379' } } };
const HPA = { minReplicas: 1, maxReplicas: 4 };

/** What happens to an Envoy Gateway as a whole. */
const SHARED: Readonly<
  Record<string, { weight: number; since?: number; configure?: (configuration: Configuration) => void }>
> = {
  nothing: { weight: 24 },
  pause: { weight: 2 },
  resume: { weight: 4 },
  stop: { weight: 1 },
  start: { weight: 3 },
  restart: { weight: 1 },
  'rate limits': { weight: 2, configure: (configuration) => Object.assign(configuration, { rateLimit: RATE_LIMIT }) },
  'no rate limits': { weight: 1, configure: (configuration) => void delete configuration.rateLimit },
  rateLimitHpa: { weight: 2, configure: ({ provider }) => Object.assign(provider.kubernetes, { rateLimitHpa: HPA }) },
  'no rateLimitHpa': { weight: 2, configure: ({ provider }) => void delete provider.kubernetes.rateLimitHpa },
  'default autoscaling': {
    ...{ weight: 2, since: 7 },
    configure: (configuration) =>
      Object.assign(configuration, { envoyProxy: { provider: { type: 'Kubernetes', kubernetes: { envoyHpa: HPA } } } }),
  },
  'default merges': {
    ...{ weight: 1, since: 7 },
    configure: (configuration) =>
      Object.assign(configuration, {
        envoyProxy: { mergeGateways: true, provider: { type: 'Kubernetes', kubernetes: { envoyHpa: HPA } } },
      }),
  },
  'no default': { weight: 3, since: 7, configure: (configuration) => void delete configuration.envoyProxy },
};

/**
 * @param minor of the oldest Envoy Gateway in the run: an older one would ignore a newer setting
 * @param gatewayNamespaceMode in which a class that begins or ceases to merge by the default gets nothing at all: Envoy Gateway finds
 *   its ServiceAccount owned by another Gateway, and gives up (measured on v1.9.1)
 */
export function sharedEvents(minor: number, gatewayNamespaceMode: boolean): fc.Arbitrary<[string, number]> {
  const known = Object.entries(SHARED).filter(
    ([name, { since = 0 }]) => since <= minor && !(gatewayNamespaceMode && name === 'default merges'),
  );
  const weights = known.map(([name, { weight }]) => [name, weight]);
  return fc.tuple(weighted(Object.fromEntries(weights)), fc.integer({ min: 50, max: 900 }));
}

/** Runs a batch to its end, and compares it with what Envoy Gateway creates after all HPAs are deleted and it is started again. */
export async function runBatch(bench: Bench, batch: Batch): Promise<BatchResult> {
  const { admin, api, envoyGateway } = bench;
  const trace: string[] = [];
  const started = Date.now();
  const say = (text: string) => void trace.push(`${((Date.now() - started) / 1000).toFixed(1)} ${text}`);

  const configuration: Configuration = {
    logging: { level: { default: 'info' } },
    provider: {
      type: 'Kubernetes',
      kubernetes: {
        leaderElection: { disable: true },
        ...(batch.gatewayNamespaceMode && { deploy: { type: 'GatewayNamespace' } }),
      },
    },
  };
  await envoyGateway.install(batch.from, configuration);
  const worlds = batch.sequences.map((_, index) => new World(admin, `s${batch.first + index}`));
  await Promise.all(worlds.map((world, index) => world.setUp((batch.sequences[index] as Sequence).start)));
  await envoyGateway.start();
  await settled(bench, 20);

  const sweeper = batch.deletes ? new Sweeper(bench, say) : undefined;
  const ticks = Math.max(...batch.sequences.map(({ steps }) => steps.length));
  const upgradeAt = batch.to === undefined ? undefined : Math.floor(ticks / 2);
  for (let tick = 0; tick < ticks; tick += 1) {
    await Promise.all(
      worlds.map(async (world, index) => {
        const [change, choice] = batch.sequences[index]?.steps[tick] ?? [];
        if (change === undefined || choice === undefined) return;
        const reply = (await CHANGES[change]?.run(world, choice)) as { status?: number } | undefined;
        say(`${world.name} ${change} ${choice}${(reply?.status ?? 0) >= 300 ? `: ${reply?.status}` : ''}`);
      }),
    );
    const [event = 'nothing', milliseconds = 100] = batch.shared[tick % batch.shared.length] ?? [];
    await share(event);
    if (tick === upgradeAt && batch.to !== undefined) {
      await envoyGateway.stop();
      await envoyGateway.install(batch.to, configuration);
      await envoyGateway.start();
      say(`upgraded to ${batch.to}`);
    }
    await collectGarbage(admin);
    await delay(milliseconds);
  }

  async function share(event: string): Promise<void> {
    if (event !== 'nothing') say(event);
    SHARED[event]?.configure?.(configuration);
    if (SHARED[event]?.configure) await envoyGateway.configure(configuration);
    if (event === 'pause') envoyGateway.pause();
    if (event === 'resume') envoyGateway.resume();
    if (event === 'stop' || event === 'restart') await envoyGateway.stop();
    if ((event === 'start' || event === 'restart') && !envoyGateway.isRunning) await envoyGateway.start();
  }

  say('rest');
  envoyGateway.resume();
  if (!envoyGateway.isRunning) await envoyGateway.start();
  await rest(bench, say);
  const deletions = (await sweeper?.finish()) ?? [];
  if (batch.deletes) await settled(bench, 10);
  const isWanted = ({ reason }: { reason: string }) => reason === 'AutoscalingConfigured';
  // Envoy Gateway does not notice, so every third HPA that it wants is missing, and must be reported.
  const { verdicts: atRest } = await assess(api, { now: now() });
  for (const { hpa } of atRest.filter(isWanted).filter((_, index) => index % 3 === 0)) {
    say(`deletes ${objectKey(hpa.metadata)}`);
    await admin.delete(hpaPath(hpa));
  }
  const { verdicts, missing } = await assess(api, { now: now() });
  const before = await hpasOf(admin);
  const cluster = await listOf(admin);
  say('asks Envoy Gateway');
  const expected = verdicts.filter(isWanted).map(({ hpa }) => objectKey(hpa.metadata));
  const wanted = await createdAgain(bench, [...expected, ...missing.map((one) => objectKey(one))]);

  const exceptionOf = await exceptions(admin);
  const findings: Finding[] = [];
  const keptByRow: Record<string, number> = {};
  for (const { hpa, owner, action, reason, explanation } of verdicts) {
    const key = objectKey(hpa.metadata);
    const isCreated = wanted.has(key);
    if (action === 'delete' && isCreated)
      findings.push({ kind: 'wrongly deleted', hpa: key, explanation: `${reason}: ${explanation}` });
    if (action === 'keep' && !isCreated) {
      // An HPA of an older name stays as long as the one of the new name is missing.
      const isRenamed = owner && missing.some((one) => describeOwner(one.owner) === describeOwner(owner));
      const exception = exceptionOf(owner) ?? (isRenamed ? 'the HPA of the new name is missing' : undefined);
      const row = reason === 'AutoscalingConfigured' ? exception : reason;
      if (row === undefined) findings.push({ kind: 'missed', hpa: key, explanation });
      else keptByRow[row] = (keptByRow[row] ?? 0) + 1;
    }
  }
  const existing = new Set(before.map(({ metadata }) => objectKey(metadata)));
  const reported = new Map(missing.map((one) => [objectKey(one), one.explanation]));
  for (const key of wanted) {
    if (!existing.has(key) && !reported.has(key))
      findings.push({ kind: 'missing unreported', hpa: key, explanation: '' });
  }
  for (const [key, explanation] of reported) {
    if (!wanted.has(key)) findings.push({ kind: 'reported and not missing', hpa: key, explanation });
  }
  const foreign = new Set(worlds.flatMap((world) => [...world.foreign.values()]));
  for (const { uid, hpa, reason } of deletions)
    if (foreign.has(uid)) findings.push({ kind: 'foreign', hpa, explanation: reason });
  const stale = verdicts.filter(({ action }) => action === 'delete').length;
  await envoyGateway.stop();
  await cleanUp(admin, worlds);
  return {
    judged: verdicts.length,
    findings,
    keptByRow,
    stale,
    deletions,
    missingReported: [...reported.keys()].filter((key) => wanted.has(key)).length,
    trace,
    cluster,
    wanted: [...wanted].sort(),
  };
}

export const minorOf = (version: string): number => Number(version.split('.')[1]);

/** Sweeps and deletes as long as the sequences run: after each change in the audit log, and again while something settles. */
class Sweeper {
  readonly #bench: Bench;
  readonly #say: (text: string) => void;
  readonly #deletions: { hpa: string; uid: string; reason: string; seconds?: number }[] = [];
  #offset = 0;
  #isOver = false;
  readonly #running: Promise<void>;

  constructor(bench: Bench, say: (text: string) => void) {
    this.#bench = bench;
    this.#say = say;
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    this.#offset = (await stat(this.#bench.auditLog)).size;
    let changes: Change[] = [];
    let lookAgain = false;
    while (!this.#isOver) {
      const more = await this.#newChanges();
      changes.push(...more);
      if (more.length > 0 || lookAgain) lookAgain = await this.#sweep(changes);
      if (!lookAgain) changes = [];
      await delay(lookAgain ? 2_000 : 300);
    }
  }

  /** Sweeps until nothing settles any more. */
  async finish() {
    this.#isOver = true;
    await this.#running;
    for (let sweeps = 1; sweeps < 6; sweeps += 1) {
      if (!(await this.#sweep([])) && sweeps > 1) break;
      await delay(3_000);
    }
    return this.#deletions;
  }

  async #newChanges(): Promise<Change[]> {
    const log = await readFile(this.#bench.auditLog);
    const end = log.lastIndexOf('\n') + 1;
    const lines = log.subarray(this.#offset, end).toString().split('\n').slice(0, -1);
    this.#offset = Math.max(this.#offset, end);
    return changesOf(lines).changes.map(changeOf);
  }

  async #sweep(changes: readonly Change[]): Promise<boolean> {
    const { api } = this.#bench;
    const swept = await sweepCluster({
      ...{ cluster: 'real', api, mode: 'delete', guards: GUARDS, now, sweepId: 'sweep', log: SILENT, changes },
    }).catch((error) => {
      if (error instanceof RetryableError) return undefined;
      throw error;
    });
    // The queue delivers its message again. While an upgrade replaces CRDs, the API server refuses lists of their objects (429).
    if (swept === undefined) return true;
    const { hpas, lookAgain } = swept;
    for (const { namespace, name, uid, reason, outcome, changes: causes } of hpas) {
      if (outcome !== 'Deleted') continue;
      const hpa = `${namespace}/${name}`;
      const last = Math.max(...causes.map(({ time }) => Date.parse(time)));
      const seconds = causes.length > 0 ? Math.max(0, (Date.now() - last) / 1_000) : undefined;
      this.#deletions.push({ hpa, uid, reason, seconds });
      this.#say(`deleted ${hpa}: ${reason}`);
    }
    return lookAgain;
  }
}

/** Waits until nothing has changed for four seconds. */
async function settled({ admin }: Bench, seconds: number): Promise<void> {
  const deadline = Date.now() + seconds * 1_000;
  let [last, since] = ['', Date.now()];
  while (Date.now() < deadline && Date.now() - since < 4_000) {
    await collectGarbage(admin);
    const paths = [...OWNERS, '/apis/apps/v1/daemonsets', HPAS];
    const lists = await Promise.all(paths.map((path) => list(admin, path)));
    const state = JSON.stringify(
      lists.map((items) => items.map(({ metadata }) => [metadata.uid, metadata.resourceVersion])),
    );
    if (state !== last) [last, since] = [state, Date.now()];
    await delay(250);
  }
}

/**
 * Waits until Envoy Gateway has worked off every change. A class that is rejected stops versions before v1.4 completely, and is
 * repaired; and after several changes of its configuration within seconds Envoy Gateway may never reconcile again until it is
 * restarted (measured on v1.9.1).
 */
async function rest(bench: Bench, say: (text: string) => void): Promise<void> {
  const { admin, envoyGateway } = bench;
  const isRepaired = async () => {
    const rejected = minorOf(envoyGateway.version) < 4 ? await rejectedClasses(admin) : [];
    for (const name of rejected) {
      await admin.merge(`${CLASSES}/${name}?fieldManager=kubectl-edit`, { spec: { parametersRef: null } });
      say(`${name} class repaired`);
    }
    return rejected.length > 0;
  };
  for (let restarts = 0; ; ) {
    await settled(bench, 30);
    // Behind one rejected class there may be another.
    if (await isRepaired()) continue;
    if (await isReconciling(admin)) {
      await settled(bench, 30);
      if (!(await isRepaired())) return;
    } else {
      restarts += 1;
      if (restarts === 3) throw new Error('Envoy Gateway does not reconcile');
      say('restarted, since it does not reconcile');
      await envoyGateway.stop();
      await envoyGateway.start();
    }
  }
}

/** Whether Envoy Gateway accepts a new class, the last in the order of names, within 20 seconds. */
async function isReconciling(admin: Connection): Promise<boolean> {
  const name = `zz-probe-${Date.now()}`;
  await admin.post(CLASSES, {
    ...{ apiVersion: 'gateway.networking.k8s.io/v1', kind: 'GatewayClass', metadata: { name } },
    spec: { controllerName: CONTROLLER },
  });
  const isAccepted = async () => {
    const { body } = await admin.get(`${CLASSES}/${name}`);
    return body.status?.conditions?.some(({ status }: { status: string }) => status === 'True') ?? false;
  };
  await waitFor(isAccepted, 20).catch(() => {});
  const isSeen = await isAccepted();
  await admin.delete(`${CLASSES}/${name}`);
  return isSeen;
}

/**
 * Why Envoy Gateway does not create an HPA that is configured, and rightly kept: no listener of its Gateways is valid, so that it serves
 * nothing now; or an EnvoyProxy of two Gateways gives both their HPAs one name, and the other Gateway has it.
 */
async function exceptions(admin: Connection): Promise<(owner: Owner | undefined) => string | undefined> {
  const gateways = await list(admin, GATEWAYS);
  const served = gateways.filter(({ status }) =>
    status?.listeners?.some(({ conditions }) =>
      conditions.some((condition) => condition.type === 'Programmed' && condition.status === 'True'),
    ),
  );
  const owners = served.flatMap(({ metadata, spec }) => [objectKey(metadata), spec.gatewayClassName]);
  const named = new Set((await hpasOf(admin)).map(({ metadata }) => GIVEN_NAME.exec(metadata.name)?.[1]));
  return (owner) => {
    if (owner === undefined || owner.kind === 'ConfigMap') return undefined;
    if (!owners.includes(objectKey(owner))) return 'no valid listener';
    return owner.kind === 'Gateway' && named.has(owner.namespace) ? 'one name for two Gateways' : undefined;
  };
}

async function rejectedClasses(admin: Connection): Promise<string[]> {
  return (await list(admin, CLASSES))
    .filter(({ status }) =>
      status?.conditions?.some((condition) => condition.type === 'Accepted' && condition.status === 'False'),
    )
    .map(({ metadata }) => metadata.name);
}

/** The objects at a path. While the CRDs of a new version are installed, their objects are not served. */
async function list(admin: Connection, path: string): Promise<Hpa[]> {
  for (;;) {
    const { status, body } = await admin.get(path);
    if (status === 200) return body.items;
    await delay(100);
  }
}

const hpaPath = ({ metadata: { namespace, name } }: { metadata: { namespace: string; name: string } }) =>
  `/apis/autoscaling/v2/namespaces/${namespace}/horizontalpodautoscalers/${name}`;

const hpasOf = (admin: Connection) => list(admin, HPAS);

/** Stops Envoy Gateway, deletes every HPA, and starts it again. What it creates is wanted. */
async function createdAgain({ admin, envoyGateway }: Bench, expected: readonly string[]): Promise<Set<string>> {
  await envoyGateway.stop();
  for (const hpa of await hpasOf(admin)) await admin.delete(hpaPath(hpa));
  await envoyGateway.start();
  const start = Date.now();
  let [known, since] = [new Set<string>(), Date.now()];
  for (;;) {
    const found = new Set((await hpasOf(admin)).map(({ metadata }) => objectKey(metadata)));
    if (found.size !== known.size) [known, since] = [found, Date.now()];
    const [elapsed, quiet] = [Date.now() - start, Date.now() - since];
    const isComplete = expected.every((key) => found.has(key));
    if (quiet > 4_000 && elapsed > (isComplete ? 7_000 : 30_000)) return known;
    await delay(250);
  }
}

const CONFIGURATION = [
  ['gateway.networking.k8s.io/v1', 'GatewayClass', 'gatewayclasses'],
  ['gateway.networking.k8s.io/v1', 'Gateway', 'gateways'],
  ['gateway.envoyproxy.io/v1alpha1', 'EnvoyProxy', 'envoyproxies'],
  ['autoscaling/v2', 'HorizontalPodAutoscaler', 'horizontalpodautoscalers'],
  ['apps/v1', 'Deployment', 'deployments'],
  ['v1', 'ConfigMap', 'configmaps?fieldSelector=metadata.name=envoy-gateway-config'],
] as const;

/** Everything that the judgement can read. */
async function listOf(admin: Connection): Promise<object> {
  const items = await Promise.all(
    CONFIGURATION.map(async ([apiVersion, kind, plural]) => {
      const items = await list(admin, `/${apiVersion === 'v1' ? 'api' : 'apis'}/${apiVersion}/${plural}`);
      return items.map((item) => ({ ...item, apiVersion, kind }));
    }),
  );
  return { apiVersion: 'v1', kind: 'List', items: items.flat() };
}

/** What Envoy Gateway creates. */
const CREATED = [
  'apis/autoscaling/v2 horizontalpodautoscalers',
  'apis/apps/v1 deployments',
  'apis/apps/v1 daemonsets',
  'api/v1 services',
  'api/v1 serviceaccounts',
  'api/v1 configmaps',
].map((entry) => entry.split(' ') as [string, string]);

/** Deletes what belongs to an owner that is gone, as kube-controller-manager does. */
async function collectGarbage(admin: Connection): Promise<void> {
  const lists = await Promise.all([
    ...CREATED.map(([version, plural]) => list(admin, `/${version}/${plural}`)),
    ...OWNERS.map((path) => list(admin, path)),
  ]);
  const living = new Set(lists.slice(CREATED.length).flatMap((items) => items.map(({ metadata }) => metadata.uid)));
  for (const [index, [version, plural]] of CREATED.entries()) {
    for (const { metadata } of lists[index] ?? []) {
      const references = metadata.ownerReferences ?? [];
      if (references.length === 0 || references.some(({ uid }) => living.has(uid))) continue;
      await admin.delete(`/${version}/namespaces/${metadata.namespace}/${plural}/${metadata.name}`);
    }
  }
}

/** Deletes what the worlds and their Envoy Gateway have created. Envoy Gateway must not run. */
async function cleanUp(admin: Connection, worlds: readonly World[]): Promise<void> {
  const namespaces = [SYSTEM, ...worlds.map(({ name }) => name)];
  for (const { name } of worlds) {
    await admin.delete(`/apis/gateway.networking.k8s.io/v1/namespaces/${name}/gateways`);
    await admin.delete(`/apis/gateway.envoyproxy.io/v1alpha1/namespaces/${name}/envoyproxies`);
    const path = `/apis/gateway.networking.k8s.io/v1/gatewayclasses/${name}`;
    await admin.merge(path, { metadata: { finalizers: null } });
    await admin.delete(path);
  }
  const others = encodeURIComponent('metadata.name!=envoy-gateway,metadata.name!=envoy-gateway-config');
  for (const namespace of namespaces) {
    for (const [version, plural] of CREATED) {
      const path = `/${version}/namespaces/${namespace}/${plural}`;
      if (plural !== 'services') await admin.delete(`${path}?fieldSelector=${others}`);
      else {
        for (const { metadata } of await list(admin, `${path}?fieldSelector=${others}`))
          await admin.delete(`${path}/${metadata.name}`);
      }
    }
  }
}
