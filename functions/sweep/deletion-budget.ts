import type { DeletionBudget } from './sweep-cluster.ts';

/** At most so many deletions in one run, whatever the number of clusters. */
export function deletionBudget(limit: number): DeletionBudget {
  const reserved = new Set<string>();
  return {
    reserve(keys) {
      const more = keys.filter((key) => !reserved.has(key));
      const left = limit - reserved.size;
      if (more.length > left) {
        return `${more.length} deletions, and of the ${limit} that this run may make over all clusters ${left} are left`;
      }
      for (const key of more) reserved.add(key);
      return undefined;
    },
  };
}
