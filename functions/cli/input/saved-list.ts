import { objectKey } from '../../judgement/kubernetes-objects.ts';
import type { Snapshot } from '../../judgement/snapshot.ts';
import type { ClusterApi } from '../../kubernetes/cluster-api.ts';
import { snapshotOfList } from '../../kubernetes/cluster-list.ts';
import type { AccountDirectory } from '../../kubernetes/directory.ts';
import { MalformedInputError } from '../../platform/errors.ts';
import { nameOfFile, readText } from './read-text.ts';

/**
 * A saved List as a directory with one cluster in it, which can be read and not written.
 *
 * @param file a path, or `-` for standard input
 * @param incomplete whether a kind that is missing altogether is meant to be
 * @throws {MalformedInputError} for a file that cannot be read, is no List, or lacks what a judgement needs
 */
export async function savedListDirectory(file: string, incomplete: boolean): Promise<AccountDirectory> {
  const name = nameOfFile(file);
  const api = snapshotApi(await readSnapshot(file, incomplete));
  return {
    list: async () => [name],
    describe: async () => ({ tags: {} }),
    connect: async () => api,
    forget: () => {},
  };
}

/** The API of a cluster that is only known from a snapshot. */
export function snapshotApi(snapshot: Snapshot): ClusterApi {
  const { hpas, deployments, scalers, ...config } = snapshot;
  const readOnly = async (): Promise<never> => {
    throw new TypeError('a snapshot cannot be written');
  };
  return {
    hpas: {
      list: async () => [...hpas],
      scalers: async (namespace) => [...(scalers?.get(namespace) ?? [])],
      get: async ({ metadata }) => hpas.find((hpa) => hpa.metadata.uid === metadata.uid),
      mark: readOnly,
      delete: readOnly,
    },
    config: {
      read: async () => config,
      readIfUsed: async () => config,
      deployment: async (place) => deployments.get(objectKey(place)) ?? null,
    },
    requestsSent: () => 0,
    close: () => {},
  };
}

async function readSnapshot(file: string, incomplete: boolean): Promise<Snapshot> {
  const name = nameOfFile(file);
  const content = await readText(file);
  let list: unknown;
  try {
    list = JSON.parse(content);
  } catch (error) {
    throw new MalformedInputError(
      `${name} is no JSON (${(error as Error).message}); save it with \`kubectl get … -o json\``,
      { cause: error },
    );
  }
  try {
    return snapshotOfList(list, incomplete);
  } catch (error) {
    throw new MalformedInputError(`${name}: ${(error as Error).message}`, { cause: error });
  }
}
