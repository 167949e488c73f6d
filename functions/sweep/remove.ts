import { isDeepStrictEqual } from 'node:util';
import { pMapSettled } from 'p-map';
import type { SweptHpa } from '../events/report.ts';
import type { GuardedVerdict } from '../judgement/guards.ts';
import { judge, type Verdict } from '../judgement/judge.ts';
import { type HorizontalPodAutoscaler, objectKey } from '../judgement/kubernetes-objects.ts';
import { isMarked, markedManagedFields } from '../judgement/ownership.ts';
import type { WriteResult } from '../kubernetes/api-client.ts';
import type { ClusterApi } from '../kubernetes/cluster-api.ts';
import { describeError, OverloadedError, RetryableError } from '../platform/errors.ts';
import type { Log } from '../platform/logger.ts';
import { readDeployments } from './assess.ts';

export interface RemoveOptions {
  readonly cluster: string;
  /** The AWS Region; for logs and backups. */
  readonly region?: string;
  readonly api: ClusterApi;
  /** The namespaces whose ConfigMaps alone may lead to a deletion; absent or empty: every namespace. */
  readonly controllerNamespaces?: readonly string[];
  readonly sweepId: string;
  readonly log: Log;
  /** Called before a conflict or a lost answer is followed up; absent: there is always time. */
  readonly hasTimeLeft?: () => boolean;
  /** Called before each deletion. When it throws, that HPA is kept. */
  readonly beforeDeletion?: (deletion: Deletion) => Promise<void>;
  /** Once aborted, nothing more is written: stale HPAs that still exist end as `Stopped`. */
  readonly drainSignal?: AbortSignal;
}

/** An HPA right before it is deleted. The log line `deleting HPA` has the same fields. */
export interface Deletion {
  readonly cluster: string;
  /** Absent for a cluster of a kubeconfig, and where it is the Region of the log. */
  readonly region?: string;
  readonly sweepId: string;
  readonly reason: string;
  readonly manifest: HorizontalPodAutoscaler;
}

type Outcome = SweptHpa['outcome'];
type End = (verdict: GuardedVerdict, outcome: Outcome, extra?: Pick<SweptHpa, 'message' | 'manifest'>) => void;

/** Maximum deletions attempted while the HPA controller writes the status of the HPA. */
const DELETE_ATTEMPTS = 5;
/** Maximum concurrent mark and delete requests. */
const CONCURRENT_WRITES = 20;

/**
 * Deletes stale HPAs: marks them, assesses them again, and deletes those with the same verdict. Each step is one wave of
 * requests.
 *
 * @param end records the outcome of an HPA
 * @returns the HPAs that have changed since they were judged, and have to start again
 * @throws whatever a read throws ({@link ClusterApi}); no write is under way then
 */
export async function remove(
  stale: readonly GuardedVerdict[],
  options: RemoveOptions,
  end: End,
): Promise<GuardedVerdict[]> {
  const { api, log, cluster, region, sweepId, drainSignal, beforeDeletion } = options;
  const startAgain: GuardedVerdict[] = [];
  const settle = (verdict: GuardedVerdict, answer: Exclude<Attempt, { result: 'done' }>, refused: Outcome): void => {
    if (answer.result === 'gone') end(verdict, 'AlreadyGone');
    else if (answer.result === 'conflict') startAgain.push(verdict);
    else end(verdict, answer.result === 'refused' ? refused : 'Failed', { message: answer.message });
  };

  const marked: GuardedVerdict[] = [];
  await writeEach(stale, async (verdict) => {
    if (drainSignal?.aborted) return end(verdict, 'Stopped');
    const answer = await orFailed(mark(verdict.hpa, api));
    if (answer.result === 'done') marked.push(verdict);
    else settle(verdict, answer, 'MarkRefused');
  });
  if (marked.length === 0) return startAgain;

  const verdictsNow = await judgeAgain(marked, options);
  await writeEach(marked, async (verdict) => {
    const now = verdictsNow.get(verdict.hpa.metadata.uid);
    if (now === undefined || !isSameVerdict(verdict, now) || !isStillMarked(now.hpa, verdict.hpa)) {
      startAgain.push(verdict);
      return;
    }
    if (drainSignal?.aborted) return end(verdict, 'Stopped');
    // Before the deletion, so that nothing is lost if this process dies right after it.
    const deletion = { cluster, region, sweepId, reason: verdict.reason, manifest: verdict.hpa };
    try {
      await beforeDeletion?.(deletion);
    } catch (error) {
      return end(verdict, 'Failed', { message: `not deleted: ${describeError(error)}` });
    }
    // Manifests are saved one after the other: the last one may have waited for long.
    if (drainSignal?.aborted) return end(verdict, 'Stopped');
    log.info('deleting HPA', deletion);
    const answer = await orFailed(deleteMarked(now.hpa, options));
    if (answer.result === 'done') end(verdict, 'Deleted', { manifest: verdict.hpa });
    else settle(verdict, answer, 'DeleteRefused');
  });
  return startAgain;
}

/** Runs a bounded number of writes at a time. When one throws, this throws once none is under way. */
async function writeEach(
  verdicts: readonly GuardedVerdict[],
  write: (verdict: GuardedVerdict) => Promise<void>,
): Promise<void> {
  const results = await pMapSettled(verdicts, write, { concurrency: CONCURRENT_WRITES });
  const failure = results.find((result) => result.status === 'rejected');
  if (failure) throw failure.reason;
}

type Attempt = WriteResult | { result: 'failed'; message: string };

/** A write without an answer fails that HPA alone. */
async function orFailed(write: Promise<WriteResult>): Promise<Attempt> {
  try {
    return await write;
  } catch (error) {
    if (error instanceof RetryableError) return { result: 'failed', message: describeError(error) };
    throw error;
  }
}

/** The mark of an earlier sweep that stopped before its deletion is as good: it is intact, so nothing was applied since. */
async function mark(hpa: HorizontalPodAutoscaler, api: ClusterApi): Promise<WriteResult> {
  if (isMarked(hpa)) return { result: 'done' };
  const answer = await api.hpas.mark(hpa);
  if (answer.result !== 'done' || (answer.hpa && isMarked(answer.hpa))) return answer;
  return { result: 'refused', message: 'the API server accepted the mark and did not keep it' };
}

/**
 * The second verdicts, by uid. Everything is read in one wave: the first verdicts show which Deployments
 * are needed.
 */
async function judgeAgain(
  marked: readonly Verdict[],
  { api, controllerNamespaces }: RemoveOptions,
): Promise<Map<string, Verdict>> {
  const neededDeployments = marked.flatMap(({ restsOn }) =>
    restsOn.filter(({ kind }) => kind === 'Deployment').map(objectKey),
  );
  const [hpas, config, deployments] = await Promise.all([
    api.hpas.list(),
    api.config.read(),
    readDeployments(neededDeployments, api),
  ]);
  const verdicts = judge({ hpas, ...config, controllerNamespaces, deployments });
  return new Map(verdicts.map((verdict) => [verdict.hpa.metadata.uid, verdict]));
}

/** Two assessments that decided the same on the same versions of the same objects: nothing has changed in between. */
function isSameVerdict(before: Verdict, now: Verdict): boolean {
  // Stryker disable next-line ConditionalExpression,LogicalOperator: the same objects lead to the same verdict; both are required
  return now.action === 'delete' && now.reason === before.reason && isDeepStrictEqual(now.restsOn, before.restsOn);
}

/** The mark is intact, and nothing but the status has changed: what was judged is what exists. */
const isStillMarked = (now: HorizontalPodAutoscaler, judged: HorizontalPodAutoscaler): boolean =>
  isMarked(now) && isDeepStrictEqual(asMarked(now), asMarked(judged));

/** The HPA without what the mark and the HPA controller write. */
function asMarked(hpa: HorizontalPodAutoscaler): unknown {
  const { status: _status, ...whole } = hpa;
  const { resourceVersion: _version, ...metadata } = hpa.metadata;
  const managers = markedManagedFields(hpa).filter(({ subresource }) => subresource !== 'status');
  return { ...whole, metadata: { ...metadata, managedFields: managers.map(({ time: _time, ...entry }) => entry) } };
}

/** Deletes the HPA in the version that was judged, or in a later one that differs from it in its status only. */
async function deleteMarked(judged: HorizontalPodAutoscaler, options: RemoveOptions): Promise<WriteResult> {
  let current = judged;
  for (let attempt = 1; attempt <= DELETE_ATTEMPTS; attempt += 1) {
    const answer = await deleteOnce(current, options);
    if (answer.result !== 'conflict') return answer;
    const found = await options.api.hpas.get(current);
    if (found === undefined) return { result: 'gone' };
    if (!isStillMarked(found, judged)) return answer;
    current = found;
  }
  return { result: 'conflict' };
}

/** A deletion may be done although its answer is lost: then reading the HPA shows it, if there is time. */
async function deleteOnce(
  hpa: HorizontalPodAutoscaler,
  { api, hasTimeLeft = () => true }: RemoveOptions,
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
