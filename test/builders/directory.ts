import { vi } from 'vitest';
import type { ClusterApi } from '../../functions/kubernetes/cluster-api.ts';
import type { AccountDirectory, ClusterDescription } from '../../functions/kubernetes/directory.ts';
import { ClusterSkippedError } from '../../functions/platform/errors.ts';

/** A cluster, or the fault with which describing it fails. */
interface Known extends Partial<ClusterDescription> {
  readonly api?: ClusterApi;
  readonly fault?: Error;
}

export const skipped = (reason: ClusterSkippedError['reason'], message = '') =>
  new ClusterSkippedError({ reason, message, remedy: 'Nothing to do.' });

/** The clusters of one Region, or of a kubeconfig. */
export function directoryOf(clusters: Readonly<Record<string, Known>>) {
  return {
    // In the order in which EKS might give them, which is none.
    list: vi.fn(async () => Object.keys(clusters).toReversed()),
    describe: vi.fn(async (name: string): Promise<ClusterDescription> => {
      const absent = { fault: skipped('ClusterNotFound', `there is no cluster ${name}`) };
      const { api: _, fault, tags = {}, ...description }: Known = clusters[name] ?? absent;
      if (fault) throw fault;
      return { tags, ...description };
    }),
    connect: vi.fn(async (name: string) => clusters[name]?.api as ClusterApi),
    connection: vi.fn(),
    forget: vi.fn(),
  } satisfies AccountDirectory;
}
export type Directory = ReturnType<typeof directoryOf>;

export const scopesOf = (regions: Readonly<Record<string, Directory>>) =>
  Object.entries(regions).map(([region, directory]) => ({ region, directory }));
