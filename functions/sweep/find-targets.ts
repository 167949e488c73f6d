import pMap from 'p-map';
import type { AccountDirectory, ClusterDescription } from '../kubernetes/directory.ts';
import { AwsAccessError, ClusterSkippedError } from '../platform/errors.ts';

/** Whether a cluster with these tags carries all that are wanted. */
export const carriesTags = (tags: Readonly<Record<string, string>>, wanted: Readonly<Record<string, string>>) =>
  Object.entries(wanted).every(([key, value]) => tags[key] === value);

/** @returns `undefined` where there is no such cluster, as for one that was deleted after they were listed */
export async function describeIfThere(
  directory: Pick<AccountDirectory, 'describe'>,
  cluster: string,
): Promise<ClusterDescription | undefined> {
  try {
    return await directory.describe(cluster);
  } catch (error) {
    if (error instanceof ClusterSkippedError && error.reason === 'ClusterNotFound') return undefined;
    throw error;
  }
}

export interface Found<P> {
  /** In the order of the places, and of the names in each. */
  readonly targets: (P & { readonly cluster: string })[];
  /** The places that could not be listed, and why. */
  readonly faults: ReadonlyMap<P, unknown>;
  /** The names that are in none of the others. */
  readonly nowhere: string[];
}

/**
 * The clusters of some places, or of these only those that are named.
 *
 * @throws what listing throws where no place could be listed ({@link AwsAccessError} before any other)
 */
export async function findTargets<P extends { readonly directory: Pick<AccountDirectory, 'list'> }>(
  places: readonly P[],
  names: readonly string[] | undefined,
  concurrency: number,
): Promise<Found<P>> {
  const [place, ...others] = places;
  // A name that is not there is then found out by asking for it, and to list takes a permission of its own.
  if (names !== undefined && place !== undefined && others.length === 0) {
    return { targets: [...new Set(names)].map((cluster) => ({ ...place, cluster })), faults: new Map(), nowhere: [] };
  }
  const faults = new Map<P, unknown>();
  const listed = await pMap(
    places,
    async (one) => {
      try {
        return (await one.directory.list()).toSorted().map((cluster) => ({ ...one, cluster }));
      } catch (error) {
        faults.set(one, error);
        return [];
      }
    },
    { concurrency },
  );
  if (faults.size > 0 && faults.size === places.length) {
    const thrown = [...faults.values()];
    throw thrown.find((fault) => fault instanceof AwsAccessError) ?? thrown[0];
  }
  const all = listed.flat();
  if (names === undefined) return { targets: all, faults, nowhere: [] };
  const known = new Set(all.map(({ cluster }) => cluster));
  return {
    targets: all.filter(({ cluster }) => names.includes(cluster)),
    faults,
    nowhere: [...new Set(names)].filter((name) => !known.has(name)),
  };
}
