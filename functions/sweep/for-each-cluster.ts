import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import pMap from 'p-map';
import type { AccountDirectory, ClusterDescription } from '../kubernetes/directory.ts';
import { AwsAccessError, ClusterSkippedError } from '../platform/errors.ts';
import { type Problem, problem, problemOf } from '../platform/problems.ts';

/** Where clusters are found: one Region of the account, or (without a Region) a kubeconfig. */
export interface Scope {
  readonly region?: string;
  readonly directory: AccountDirectory;
}

/** A cluster's name with its Region: two Regions may have clusters of the same name. */
export interface ClusterRef {
  readonly cluster: string;
  readonly region?: string;
}

/** A cluster with the scope that it was found in. */
export type Target<S extends Scope = Scope> = S & { readonly cluster: string };

export interface LoopOptions<S extends Scope = Scope> {
  readonly scopes: readonly S[];
  /** Names; absent for all clusters of all scopes. */
  readonly clusters?: readonly string[];
  /** Only clusters with all of these tags. */
  readonly tags?: Readonly<Record<string, string>>;
  /** Maximum concurrent clusters. */
  readonly concurrency: number;
  /** Called before each cluster. Once it returns false, no further cluster is begun. */
  readonly hasTimeLeft?: () => boolean;
  /** Once aborted, the connections to the clusters under way are closed, and the loop returns. */
  readonly deadlineSignal?: AbortSignal;
  /** @param progress the numbers of clusters; `problems` are those of the done ones that have a problem */
  readonly onProgress?: (progress: Readonly<Record<'clusters' | 'done' | 'problems', number>>) => void;
  /** Works also on names that do not exist, with no description. */
  readonly includesMissing?: boolean;
  /** Keeps the connections of clusters without a problem, for the next run in this process. */
  readonly keepsConnections?: boolean;
}

export interface ClusterProblem {
  readonly problem: ReturnType<typeof problemOf>;
  /** `skipped`: nothing can be done there now; `failed`: a retry may succeed. */
  readonly result: 'skipped' | 'failed';
  readonly error: unknown;
}

/** What the work returned for a cluster, or why it did not. */
export type ClusterOutcome<R> = ClusterRef & ({ readonly value: R } | ClusterProblem);

interface LoopReport<R> {
  /** In the order of the scopes and names; names that are in no scope come last. */
  readonly clusters: ClusterOutcome<R>[];
  /** Regions whose clusters could not be listed. */
  readonly regions: (Problem & { readonly region?: string })[];
  /** Clusters that were not begun, or did not finish before the deadline. */
  readonly remaining: ClusterRef[];
}

/** Milliseconds that clusters under way have to finish after their connections are closed. */
const GRACE_MS = 1_000;

/**
 * Does the same work on every cluster of some scopes, in parallel. A cluster with a problem is reported and stops no other.
 *
 * @throws what listing throws when no scope could be listed ({@link AwsAccessError} before any other)
 */
export async function forEachCluster<S extends Scope, R>(
  options: LoopOptions<S>,
  work: (target: Target<S>, description: ClusterDescription | undefined) => Promise<R>,
): Promise<LoopReport<R>> {
  const { tags = {}, concurrency, deadlineSignal, hasTimeLeft = () => true } = options;
  const { targets, regions, absent } = await findTargets(options);
  const outcomes = new Map<Target<S>, ClusterOutcome<R>>();
  const notSelected = new Set<Target<S>>();
  /** Begun and not finished, or only after the deadline. */
  const unfinished = new Set<Target<S>>();

  const showProgress = () =>
    options.onProgress?.({
      clusters: targets.length - notSelected.size,
      done: outcomes.size,
      problems: [...outcomes.values()].filter((outcome) => 'problem' in outcome).length,
    });
  const workOn = async (target: Target<S>): Promise<void> => {
    if (deadlineSignal?.aborted || !hasTimeLeft()) return;
    unfinished.add(target);
    const { cluster, region, directory } = target;
    let description: ClusterDescription | undefined;
    try {
      description = await directory.describe(cluster).catch((error) => {
        const isMissing = error instanceof ClusterSkippedError && error.reason === 'ClusterNotFound';
        if (isMissing && options.includesMissing) return undefined;
        throw error;
      });
      const carriesTags = Object.entries(tags).every(([key, value]) => description?.tags[key] === value);
      if (!carriesTags) notSelected.add(target);
      else if (!deadlineSignal?.aborted) {
        outcomes.set(target, { cluster, region, value: await work(target, description) });
      }
      if (!options.keepsConnections) directory.forget(cluster);
    } catch (error) {
      // The cached endpoint, CA or token may no longer be valid.
      directory.forget(cluster);
      // At the deadline its connection was closed: the cluster has no problem.
      if (deadlineSignal?.aborted) return;
      const result = error instanceof ClusterSkippedError ? 'skipped' : 'failed';
      outcomes.set(target, { cluster, region, problem: problemOf(error, description), result, error });
    }
    if (deadlineSignal?.aborted) return;
    unfinished.delete(target);
    showProgress();
  };

  showProgress();
  const all = pMap(targets, workOn, { concurrency });
  const ended = new AbortController();
  const deadline = async (signal: AbortSignal) => {
    await once(signal, 'abort', { signal: ended.signal });
    // Nothing may continue after this returns: the process may live longer, and begin the next run.
    for (const { cluster, directory } of unfinished) directory.forget(cluster);
    await setTimeout(GRACE_MS, undefined, { ref: false });
  };
  await (deadlineSignal === undefined ? all : Promise.race([all, deadline(deadlineSignal)])).finally(() => {
    // The timer of a deadline lives on in a warm function, and would keep every outcome until then.
    ended.abort();
  });
  const isRemaining = (target: Target<S>) =>
    !notSelected.has(target) && (!outcomes.has(target) || unfinished.has(target));
  return {
    clusters: [...targets.flatMap((target) => outcomes.get(target) ?? []), ...absent],
    regions,
    remaining: targets.filter(isRemaining).map(({ cluster, region }) => ({ cluster, region })),
  };
}

/** The clusters of the scopes, the Regions that could not be listed, and the names that are in no scope. */
async function findTargets<S extends Scope>({ scopes, clusters: names, concurrency }: LoopOptions<S>) {
  const [scope, ...others] = scopes;
  // Describing a name shows whether it exists; listing needs another permission.
  if (names !== undefined && scope !== undefined && others.length === 0) {
    return { targets: [...new Set(names)].map((cluster) => ({ ...scope, cluster })), regions: [], absent: [] };
  }
  const faults = new Map<S, unknown>();
  const list = async (one: S): Promise<Target<S>[]> => {
    const found = await one.directory.list().catch((fault) => void faults.set(one, fault));
    return (found ?? []).toSorted().map((cluster) => ({ ...one, cluster }));
  };
  const listed = (await pMap(scopes, list, { concurrency })).flat();
  if (faults.size > 0 && faults.size === scopes.length) {
    const thrown = [...faults.values()];
    throw thrown.find((fault) => fault instanceof AwsAccessError) ?? thrown[0];
  }
  const known = new Set(listed.map(({ cluster }) => cluster));
  const nameAll = (some: Iterable<Scope>) => [...some].map(({ region }) => region ?? 'the kubeconfig').join(', ');
  const searched = nameAll(scopes.filter((one) => !faults.has(one)));
  const notSearched = faults.size > 0 ? `; ${nameAll(faults.keys())} could not be listed` : '';
  return {
    targets: listed.filter(({ cluster }) => names === undefined || names.includes(cluster)),
    regions: [...faults].map(([{ region }, fault]) => ({ region, ...problemOf(fault) })),
    absent: [...new Set(names)]
      .filter((name) => !known.has(name))
      .map((cluster): ClusterRef & ClusterProblem => {
        const missing = problem('ClusterNotFound', cluster, `${searched}${notSearched}`);
        // It may exist in a Region that could not be listed.
        const result = faults.size > 0 ? 'failed' : 'skipped';
        return { cluster, problem: missing, result, error: new ClusterSkippedError(missing) };
      }),
  };
}
