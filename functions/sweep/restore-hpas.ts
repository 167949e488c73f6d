import pMap from 'p-map';
import type { Verdict } from '../judgement/judge.ts';
import { type HorizontalPodAutoscaler, objectKey } from '../judgement/kubernetes-objects.ts';
import type { Snapshot } from '../judgement/snapshot.ts';
import type { WriteResult } from '../kubernetes/api-client.ts';
import type { ClusterApi } from '../kubernetes/cluster-api.ts';
import type { HpaRestorer, OwnerReference } from '../kubernetes/hpa-restorer.ts';
import { ClusterSkippedError, describeError, RetryableError } from '../platform/errors.ts';
import { assess } from './assess.ts';
import {
  asLiveObject,
  creatable,
  isUnfinished,
  managersOf,
  type RestoreOutcome,
  restoredManagedFields,
} from './restoration.ts';
import type { Selects } from './sweep-cluster.ts';

export interface RestoreOptions {
  readonly api: ClusterApi;
  readonly restorer: HpaRestorer;
  /** Which of the manifests are meant; without it all. */
  readonly selects?: Selects;
  /** As in a pass over a cluster. */
  readonly controllerNamespaces?: readonly string[];
  /** Puts back also what would be deleted again. */
  readonly force: boolean;
  /** Writes nothing. */
  readonly dryRun: boolean;
}

export type RestoredHpa = { readonly namespace: string; readonly name: string } & Result;

type Result = {
  /** Sentences for a person; empty where there is nothing to say. */
  readonly why: string;
} & (
  | { readonly outcome: Exclude<RestoreOutcome, 'Restored'> }
  | {
      readonly outcome: 'Restored';
      /** Of the HPA that is there now. */
      readonly uid: string;
      /** It would be deleted again. */
      readonly stale: boolean;
    }
);

/** So many HPAs are asked for, or written, side by side. */
const CONCURRENCY = 20;
/** Envoy Gateway and the HPA controller may write between our reading and our write; so often we follow them. */
const ATTEMPTS = 5;

/**
 * Puts HPAs back into one cluster, each as it was: what their manifests say, owned by whom it was owned by. Two writes make
 * one: the creation, which makes all fields ours, and the one that gives them back. Whoever dies in between leaves an HPA
 * that the next restoration of the same manifest finishes.
 *
 * @param manifests at most one for each namespace and name
 * @throws whatever a read throws ({@link ClusterApi}); nothing was written then
 */
export async function restoreHpas(
  manifests: readonly HorizontalPodAutoscaler[],
  options: RestoreOptions,
): Promise<RestoredHpa[]> {
  const { restorer, selects = () => true } = options;
  const judged = await judgeAsIfThere(manifests, options);
  const meant = manifests.filter((manifest) => {
    const { hpa, owner } = verdictOn(manifest, judged);
    return selects({ namespace: hpa.metadata.namespace, owner });
  });
  return await pMap(
    meant,
    async (manifest) => {
      const { namespace, name } = manifest.metadata;
      const verdict = verdictOn(manifest, judged);
      const result = await attempted(async () => {
        const live = await restorer.find(manifest.metadata);
        return live === undefined
          ? await restore(manifest, verdict, options)
          : await finishOrLeave(live, manifest, verdict, options);
      });
      return { namespace, name, ...result };
    },
    { concurrency: CONCURRENCY },
  );
}

/** The judgement on each manifest, with all of them laid over what is there. */
async function judgeAsIfThere(
  manifests: readonly HorizontalPodAutoscaler[],
  { api, controllerNamespaces }: RestoreOptions,
): Promise<Map<string, Verdict>> {
  const restored = manifests.map((hpa) => asLiveObject(hpa, `restored ${objectKey(hpa.metadata)}`));
  const overlay = (lists: Snapshot) => ({ ...lists, hpas: [...lists.hpas, ...restored] });
  const { verdicts } = await assess(api, { now: new Date(), controllerNamespaces, overlay });
  return new Map(verdicts.map((verdict) => [objectKey(verdict.hpa.metadata), verdict]));
}

function verdictOn({ metadata }: HorizontalPodAutoscaler, judged: ReadonlyMap<string, Verdict>): Verdict {
  const verdict = judged.get(objectKey(metadata));
  if (verdict === undefined) throw new TypeError(`no verdict on ${objectKey(metadata)}`);
  return verdict;
}

async function restore(
  manifest: HorizontalPodAutoscaler,
  verdict: Verdict,
  { api, restorer, force, dryRun }: RestoreOptions,
): Promise<Result> {
  const { namespace } = manifest.metadata;
  if (verdict.action === 'delete' && !force) {
    return {
      outcome: 'StillStale',
      why: `It would be deleted again: ${verdict.explanation} --force puts it back all the same.`,
    };
  }
  const { owners, missing } = await existingOwners(manifest, restorer);
  const why = [
    ...(verdict.action === 'delete' ? [`It is stale: ${verdict.explanation}`] : []),
    ...(await missingTarget(manifest, api)),
    ...missing.map(({ kind, name }) => `Its owner ${kind} ${name} is not there any more and was left out.`),
    ...(managersOf(manifest).length === 0
      ? ['Its manifest has no managedFields: from now on it counts as made by hand.']
      : []),
  ].join(' ');
  const noNamespace: Result = { outcome: 'Refused', why: `There is no namespace ${namespace}: create it first.` };
  if (dryRun) return (await restorer.namespaceExists(namespace)) ? { outcome: 'Restorable', why } : noNamespace;

  const { ownerReferences: _, ...metadata } = creatable(manifest).metadata;
  const created = await restorer.create(
    {
      ...creatable(manifest),
      metadata: { ...metadata, ...(owners.length > 0 && { ownerReferences: owners }) },
    },
    manifest.metadata,
  );
  if (created.result === 'conflict') return alreadyThere;
  if (created.result === 'gone') return noNamespace;
  if (created.result === 'refused') return { outcome: 'Refused', why: created.message };
  return await restoreManagedFields(created.hpa, manifest, verdict, restorer, why);
}

const alreadyThere: Result = { outcome: 'AlreadyThere', why: 'There is an HPA of this name; it stays as it is.' };

async function finishOrLeave(
  live: HorizontalPodAutoscaler,
  manifest: HorizontalPodAutoscaler,
  verdict: Verdict,
  { restorer, dryRun }: RestoreOptions,
): Promise<Result> {
  if (!isUnfinished(live) || managersOf(manifest).length === 0) return alreadyThere;
  const why = 'An earlier restoration had created it and not finished.';
  return dryRun ? { outcome: 'Restorable', why } : await restoreManagedFields(live, manifest, verdict, restorer, why);
}

/** The second write, again for as long as somebody else writes in between. */
async function restoreManagedFields(
  hpa: HorizontalPodAutoscaler,
  manifest: HorizontalPodAutoscaler,
  verdict: Verdict,
  restorer: HpaRestorer,
  why: string,
): Promise<Result> {
  const stale = verdict.action === 'delete';
  const restored: Result = { outcome: 'Restored', why, uid: hpa.metadata.uid, stale };
  if (managersOf(manifest).length === 0) return restored;
  let current = hpa;
  let answer: WriteResult = { result: 'conflict' };
  for (let attempt = 1; attempt <= ATTEMPTS && answer.result === 'conflict'; attempt += 1) {
    if (attempt > 1) {
      const found = await restorer.find(current.metadata);
      if (found?.metadata.uid !== hpa.metadata.uid) answer = { result: 'gone' };
      else current = found;
    }
    if (answer.result === 'conflict') {
      answer = await restorer.setManagedFields(current, restoredManagedFields(current, manifest));
    }
  }
  switch (answer.result) {
    case 'done':
      return restored;
    case 'gone':
      return { outcome: 'Failed', why: 'It was created, and somebody deleted it at once.' };
    case 'conflict':
      return { outcome: 'Failed', why: 'It is there, but goes on changing; restore again to give its fields back.' };
    case 'refused':
      return { outcome: 'Failed', why: `It is there, but its managedFields are not as before: ${answer.message}` };
  }
}

/** The garbage collector deletes what has owners and none that exists, by their uids. */
async function existingOwners(
  { metadata: { namespace, ownerReferences } }: HorizontalPodAutoscaler,
  restorer: HpaRestorer,
): Promise<{ owners: OwnerReference[]; missing: OwnerReference[] }> {
  const owners: OwnerReference[] = [];
  const missing: OwnerReference[] = [];
  for (const owner of ownerReferences ?? []) {
    ((await restorer.ownerExists(owner, namespace)) ? owners : missing).push(owner);
  }
  return { owners, missing };
}

async function missingTarget({ metadata, spec }: HorizontalPodAutoscaler, api: ClusterApi): Promise<string[]> {
  const { kind, name } = spec.scaleTargetRef;
  if (kind !== 'Deployment') return [];
  const place = { namespace: metadata.namespace, name };
  return (await api.config.deployment(place)) ? [] : [`Its Deployment ${objectKey(place)} is not there.`];
}

/** One HPA that cannot be put back stops no other. */
async function attempted(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof RetryableError) return { outcome: 'Failed', why: describeError(error) };
    if (error instanceof ClusterSkippedError) return { outcome: 'Refused', why: error.message };
    throw error;
  }
}
