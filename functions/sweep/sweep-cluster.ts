import { isDeepStrictEqual } from 'node:util';
import pMap from 'p-map';
import type { Change } from '../events/change-event.ts';
import { countOutcomes, type Outcome, type SweepReport, type SweptHpa } from '../events/report.ts';
import { type GuardedVerdict, type GuardSettings, guard } from '../judgement/guards.ts';
import { judge, type Verdict } from '../judgement/judge.ts';
import type { HorizontalPodAutoscaler } from '../judgement/kubernetes-objects.ts';
import type { MissingHpa } from '../judgement/missing.ts';
import { isMarked, markedManagedFields, type Owner } from '../judgement/ownership.ts';
import type { ObjectRead } from '../judgement/snapshot.ts';
import type { WriteResult } from '../kubernetes/api-client.ts';
import type { ClusterApi } from '../kubernetes/cluster-api.ts';
import { describeError, OverloadedError, RetryableError } from '../platform/errors.ts';
import type { Log } from '../platform/logger.ts';
import { assess, readDeployments, reportHpa, reportMissing } from './assess.ts';
import { recordOwnerEvents } from './owner-events.ts';

export interface SweepOptions {
  readonly cluster: string;
  /** Where the cluster is, for what is logged and saved before a deletion. */
  readonly region?: string;
  readonly api: ClusterApi;
  /** `report` writes nothing to the cluster, not even the mark. */
  readonly mode: 'report' | 'delete';
  readonly guards: GuardSettings;
  /** The namespaces whose ConfigMaps alone may lead to a deletion; absent or empty: every namespace. */
  readonly controllerNamespaces?: readonly string[];
  readonly now: () => Date;
  readonly sweepId: string;
  readonly log: Log;
  /** Asked before what conflicted starts again, and before a lost answer is made up for; without it there is always time. */
  readonly hasTimeLeft?: () => boolean;
  /** What led to this pass, for the report only: nothing is decided by it. */
  readonly changes?: readonly Change[];
  /** Which HPAs the pass is about; the others are neither reported nor touched. Without it all. */
  readonly selects?: Selects;
  /**
   * Reserves deletions in the limit of a run over many clusters.
   *
   * @param keys of HPAs, unique in the run; to reserve the same again costs nothing
   * @returns why they do not fit, or `undefined`: then they are reserved. What does not fit is held back as a whole
   */
  readonly budget?: (keys: readonly string[]) => string | undefined;
  /**
   * Awaited before each deletion, with the manifest of what will be gone. What it throws keeps that HPA.
   */
  readonly beforeDeletion?: (deletion: Deletion) => Promise<void>;
  /** Once aborted, nothing more is written: what is stale and still there ends as `Stopped`. */
  readonly drainSignal?: AbortSignal;
  /** Puts the manifest of every HPA into the report, and not only of what was deleted. */
  readonly withManifests?: boolean;
  /** One log line for every HPA, also for those that are plainly wanted. */
  readonly logEveryHpa?: boolean;
}

/** Which HPAs are meant, by where they are (or would be) and whose they are; of a stale one also the uid is told. */
export type Selects = (hpa: {
  readonly namespace: string;
  readonly owner: Owner | undefined;
  readonly staleUid?: string;
}) => boolean;

/** What is known of an HPA right before it is deleted; the same is in the log line `deleting HPA`. */
export interface Deletion {
  readonly cluster: string;
  /** Absent for a cluster of a kubeconfig, and where it is that of the log. */
  readonly region?: string;
  readonly sweepId: string;
  readonly reason: string;
  readonly manifest: HorizontalPodAutoscaler;
}

/** A stale HPA that goes on changing while the pass works on it starts again so often; then it is left to the next pass. */
const ATTEMPTS = 3;
/** The HPA controller may write the status of an HPA between our reading and our deletion; so often we follow it. */
const DELETE_ATTEMPTS = 5;
/** So many HPAs are marked, or deleted, side by side. */
const WRITES_AT_ONCE = 20;

/**
 * One pass over one cluster: read, judge, mark, read again, delete, tell the owners, report.
 *
 * Deletes an HPA only if two equal readings of everything its verdict rests on stand around the mark, and the deletion
 * carries the resourceVersion of the mark. Envoy Gateway's next apply undoes the mark and so moves the resourceVersion; so
 * whichever process stops at whatever moment, an HPA that is wanted at the end is there or is made again.
 *
 * @throws whatever a read throws ({@link ClusterApi}); nothing has been deleted on the strength of an incomplete reading
 */
export async function sweepCluster(options: SweepOptions): Promise<SweepReport> {
  const { api, mode, guards, now, log, cluster, sweepId, budget, drainSignal, hasTimeLeft = () => true } = options;
  const { selects = () => true, controllerNamespaces } = options;
  const changes = options.changes ?? [];
  const startedAt = now().toISOString();
  const ended = new Map<string, SweptHpa>();
  const end: End = (verdict, outcome, extra) => {
    ended.set(verdict.hpa.metadata.uid, {
      ...reportHpa(verdict),
      outcome,
      changes: changes.filter((change) => verdict.restsOn.some((object) => isAbout(change, object))),
      ...(options.withManifests && { manifest: verdict.hpa }),
      ...extra,
    });
  };
  const deletions = () => [...ended.values()].filter(({ outcome }) => outcome === 'Deleted').length;
  let unsettled: GuardedVerdict[] = [];
  let missing: readonly MissingHpa[] = [];

  /** Gives back what is to be deleted; of everything else that was read nothing is held on to. */
  const findStale = async (): Promise<GuardedVerdict[]> => {
    const { snapshot, verdicts: judged, missing: notThere } = await assess(api, { now: now(), controllerNamespaces });
    missing = notThere.filter((one) => selects({ namespace: one.namespace, owner: one.owner }));
    const selected = judged.filter(({ hpa: { metadata }, owner, action }) =>
      selects({ namespace: metadata.namespace, owner, staleUid: action === 'delete' ? metadata.uid : undefined }),
    );
    const guarded = guard(selected, snapshot, guards, now(), deletions());
    const verdicts = withinBudget(
      guarded.filter(({ hpa }) => !ended.has(hpa.metadata.uid)),
      sweepId,
      budget,
    );
    const seen = new Set(verdicts.map(({ hpa }) => hpa.metadata.uid));
    for (const verdict of unsettled) if (!seen.has(verdict.hpa.metadata.uid)) end(verdict, 'AlreadyGone');
    const stale: GuardedVerdict[] = [];
    for (const verdict of verdicts) {
      if (verdict.action === 'keep') end(verdict, 'Kept');
      else if (verdict.guard) end(verdict, 'HeldBack');
      else if (mode === 'report') end(verdict, 'Reported');
      else stale.push(verdict);
    }
    return stale;
  };
  const sweepOnce = async (): Promise<void> => {
    unsettled = await findStale();
    unsettled = await remove(unsettled, options, end);
  };
  const goesOn = () => unsettled.length > 0 && !drainSignal?.aborted && hasTimeLeft();

  try {
    for (let attempt = 1; attempt === 1 || (attempt <= ATTEMPTS && goesOn()); attempt += 1) await sweepOnce();
    for (const verdict of unsettled) end(verdict, drainSignal?.aborted ? 'Stopped' : 'Conflict');
  } catch (error) {
    // What was deleted before the API server stopped answering must reach the report.
    if (deletions() === 0) throw error;
    for (const verdict of unsettled) {
      if (ended.has(verdict.hpa.metadata.uid)) continue;
      end(verdict, drainSignal?.aborted ? 'Stopped' : 'Failed', { message: describeError(error) });
    }
  }

  const hpas = [...ended.values()];
  if (api.events && mode === 'delete' && deletions() + missing.length > 0 && !drainSignal?.aborted && hasTimeLeft()) {
    await recordOwnerEvents(hpas, missing, { events: api.events, cluster, sweepId, log, now });
  }
  const report: SweepReport = {
    schemaVersion: 1,
    cluster,
    sweepId,
    mode,
    startedAt,
    finishedAt: now().toISOString(),
    hpas,
    missing: missing.map(reportMissing),
    changes: [...changes],
    lookAgain: hpas.some(
      ({ outcome, reason, guard: heldBy }) =>
        outcome === 'Conflict' ||
        outcome === 'Failed' ||
        outcome === 'Stopped' ||
        heldBy?.name === 'Settling' ||
        reason === 'NotObserved' ||
        // Its Deployment is going. Where parameters or defaults are at fault, it may well run on for good.
        (reason === 'ScaleTargetStillRuns' && outcome === 'Kept'),
    ),
  };
  logReport(report, log, options.logEveryHpa ?? false);
  return report;
}

/**
 * What no other guard holds back counts towards what the whole run may delete. By pass, since two clusters may have the same
 * name in two Regions, and the same uids where one is a copy of the other.
 */
function withinBudget(
  verdicts: readonly GuardedVerdict[],
  sweepId: string,
  budget: SweepOptions['budget'],
): readonly GuardedVerdict[] {
  const isNext = ({ action, guard: heldBy }: GuardedVerdict) => action === 'delete' && heldBy === undefined;
  const keys = verdicts.filter(isNext).map(({ hpa }) => `${sweepId}/${hpa.metadata.uid}`);
  const explanation = keys.length === 0 ? undefined : budget?.(keys);
  if (explanation === undefined) return verdicts;
  return verdicts.map((verdict) =>
    isNext(verdict) ? { ...verdict, guard: { name: 'BlastRadiusExceeded', explanation } } : verdict,
  );
}

/**
 * The second verdicts on what was marked, by uid. Everything is read in one wave: which Deployments are needed is known from
 * the first reading.
 */
async function judgeAgain(
  marked: readonly Verdict[],
  { api, controllerNamespaces }: SweepOptions,
): Promise<Map<string, Verdict>> {
  const [hpas, config, deployments] = await Promise.all([
    api.hpas.list(),
    api.config.read(),
    readDeployments(marked.flatMap(deploymentsOf), api),
  ]);
  const uids = new Set(marked.map(({ hpa }) => hpa.metadata.uid));
  const verdicts = judge({ hpas, ...config, controllerNamespaces, deployments }).filter(({ hpa }) =>
    uids.has(hpa.metadata.uid),
  );
  return new Map(verdicts.map((verdict) => [verdict.hpa.metadata.uid, verdict]));
}

type End = (verdict: GuardedVerdict, outcome: Outcome, extra?: Pick<SweptHpa, 'message' | 'manifest'>) => void;

/** Mark, read again, delete: one wave each. Gives back what has to start again, since it is no longer what was judged. */
async function remove(stale: readonly GuardedVerdict[], options: SweepOptions, end: End): Promise<GuardedVerdict[]> {
  const { api, log, cluster, region, sweepId, drainSignal, beforeDeletion } = options;
  if (stale.length === 0) return [];
  const startAgain: GuardedVerdict[] = [];

  const marked: GuardedVerdict[] = [];
  await forEachOf(stale, async (verdict) => {
    if (drainSignal?.aborted) return end(verdict, 'Stopped');
    const result = await attempted(() => mark(verdict.hpa, api));
    if (result.result === 'done') marked.push(verdict);
    else if (result.result === 'gone') end(verdict, 'AlreadyGone');
    else if (result.result === 'conflict') startAgain.push(verdict);
    else end(verdict, result.result === 'refused' ? 'MarkRefused' : 'Failed', { message: result.message });
  });
  if (marked.length === 0) return startAgain;

  const verdictsNow = await judgeAgain(marked, options);
  await forEachOf(marked, async (verdict) => {
    const now = verdictsNow.get(verdict.hpa.metadata.uid);
    if (now === undefined || !isSameVerdict(verdict, now) || !isStillMarked(now.hpa, verdict.hpa)) {
      startAgain.push(verdict);
      return;
    }
    if (drainSignal?.aborted) return end(verdict, 'Stopped');
    // Before the deletion, so that nothing is lost if this process dies right after it.
    const place = { cluster, region };
    const deletion = { ...place, sweepId, reason: verdict.reason, manifest: verdict.hpa };
    try {
      await beforeDeletion?.(deletion);
    } catch (error) {
      return end(verdict, 'Failed', { message: `not deleted: ${describeError(error)}` });
    }
    // Manifests are saved one after the other: the last of them may have waited for long.
    if (drainSignal?.aborted) return end(verdict, 'Stopped');
    log.info('deleting HPA', deletion);
    const result = await attempted(() => deleteMarked(now.hpa, options));
    if (result.result === 'done') end(verdict, 'Deleted', { manifest: verdict.hpa });
    else if (result.result === 'gone') end(verdict, 'AlreadyGone');
    else if (result.result === 'conflict') startAgain.push(verdict);
    else end(verdict, result.result === 'refused' ? 'DeleteRefused' : 'Failed', { message: result.message });
  });
  return startAgain;
}

/** A bounded number at a time; when one fails, none is still under way when this throws. */
async function forEachOf(
  verdicts: readonly GuardedVerdict[],
  write: (verdict: GuardedVerdict) => Promise<void>,
): Promise<void> {
  const failures: unknown[] = [];
  const attempt = (verdict: GuardedVerdict) => write(verdict).catch((error) => void failures.push(error));
  await pMap(verdicts, attempt, { concurrency: WRITES_AT_ONCE });
  if (failures.length > 0) throw failures[0];
}

/** A write without an answer fails that HPA alone. */
async function attempted(
  write: () => Promise<WriteResult>,
): Promise<WriteResult | { result: 'failed'; message: string }> {
  try {
    return await write();
  } catch (error) {
    if (error instanceof RetryableError) return { result: 'failed', message: describeError(error) };
    throw error;
  }
}

/** The mark of a pass that died before its deletion serves as well: it is intact, so nothing was applied since. */
async function mark(hpa: HorizontalPodAutoscaler, api: ClusterApi): Promise<WriteResult> {
  if (isMarked(hpa)) return { result: 'done' };
  const answer = await api.hpas.mark(hpa);
  if (answer.result !== 'done' || (answer.hpa && isMarked(answer.hpa))) return answer;
  return { result: 'refused', message: 'the API server accepted the mark and did not keep it' };
}

/** Deletes the HPA in the version that was judged, or in a later one that differs from it in its status only. */
async function deleteMarked(judged: HorizontalPodAutoscaler, options: SweepOptions): Promise<WriteResult> {
  const { api } = options;
  let current = judged;
  for (let attempt = 1; attempt <= DELETE_ATTEMPTS; attempt += 1) {
    const answer = await deleteOnce(current, options);
    if (answer.result !== 'conflict') return answer;
    const found = await api.hpas.get(current);
    if (found === undefined) return { result: 'gone' };
    if (!isStillMarked(found, judged)) return answer;
    current = found;
  }
  return { result: 'conflict' };
}

/** A deletion may be done although its answer is lost: then the HPA itself says so, if there is time to look. */
async function deleteOnce(
  hpa: HorizontalPodAutoscaler,
  { api, hasTimeLeft = () => true }: SweepOptions,
): Promise<WriteResult> {
  try {
    return await api.hpas.delete(hpa);
  } catch (error) {
    const mayBeDone = error instanceof RetryableError && !(error instanceof OverloadedError);
    if (!mayBeDone || !hasTimeLeft()) throw error;
    const found = await api.hpas.get(hpa).catch(() => hpa);
    if (found?.metadata.uid === hpa.metadata.uid) throw error;
    return { result: 'done' };
  }
}

/** The mark is intact, and nobody has changed anything else but the status: what was judged is what is there. */
const isStillMarked = (now: HorizontalPodAutoscaler, judged: HorizontalPodAutoscaler): boolean =>
  isMarked(now) && isDeepStrictEqual(asMarked(now), asMarked(judged));

/** What the mark and the HPA controller leave alone. */
function asMarked(hpa: HorizontalPodAutoscaler): unknown {
  const { status: _status, ...whole } = hpa;
  const { resourceVersion: _version, ...metadata } = hpa.metadata;
  const managers = markedManagedFields(hpa).filter(({ subresource }) => subresource !== 'status');
  return { ...whole, metadata: { ...metadata, managedFields: managers.map(({ time: _time, ...entry }) => entry) } };
}

/** Two readings that decided the same on the same versions of the same objects: nothing has changed in between. */
function isSameVerdict(before: Verdict, now: Verdict): boolean {
  return now.action === 'delete' && now.reason === before.reason && isDeepStrictEqual(now.restsOn, before.restsOn);
}

const deploymentsOf = ({ restsOn }: Verdict): string[] =>
  restsOn.filter(({ kind }) => kind === 'Deployment').map(({ namespace, name }) => `${namespace}/${name}`);

const KIND_OF_RESOURCE: Record<string, string> = {
  envoyproxies: 'EnvoyProxy',
  gateways: 'Gateway',
  gatewayclasses: 'GatewayClass',
  configmaps: 'ConfigMap',
  horizontalpodautoscalers: 'HorizontalPodAutoscaler',
};

/** A change without a name is a deletion of a whole collection (or a generated name): it may be about any of them. */
const isAbout = (change: Change, object: ObjectRead): boolean =>
  KIND_OF_RESOURCE[change.resource] === object.kind &&
  (change.namespace === undefined || change.namespace === object.namespace) &&
  (change.name === undefined || change.name === object.name);

/** One line for each HPA that is not plainly wanted (or for each at all), and one for the pass. */
function logReport(report: SweepReport, log: Log, everyHpa: boolean): void {
  const { hpas, missing, changes, cluster, sweepId, mode, lookAgain } = report;
  // A log line has its own message: what the API server said goes under another name.
  for (const { manifest: _manifest, restsOn: _restsOn, message: answer, ...hpa } of hpas) {
    if (hpa.reason === 'AutoscalingConfigured' && hpa.remedy === undefined && !everyHpa) continue;
    const level = ['Failed', 'MarkRefused', 'DeleteRefused', 'HeldBack', 'Conflict', 'Stopped'].includes(hpa.outcome)
      ? 'warn'
      : 'info';
    log[level](`HPA ${hpa.namespace}/${hpa.name}: ${hpa.outcome}, ${hpa.reason}`, {
      cluster,
      sweepId,
      ...hpa,
      answer,
    });
  }
  for (const hpa of missing) {
    log.warn(`HPA ${hpa.namespace}/${hpa.name} is missing, ${hpa.reason}`, { cluster, sweepId, ...hpa });
  }
  const auditIDs = changes.map(({ auditID }) => auditID);
  log.info('pass finished', {
    cluster,
    sweepId,
    mode,
    outcomes: countOutcomes(hpas),
    missing: missing.length,
    lookAgain,
    ...(changes.length > 0 && { auditIDs }),
  });
}
