import process from 'node:process';
import type { AccountDirectory } from '../aws/cluster-directory.ts';
import { objectKey } from '../domain/kubernetes-objects.ts';
import type { Snapshot } from '../domain/snapshot.ts';
import type { ClusterApi } from '../kubernetes/cluster-api.ts';
import { snapshotOfList } from '../kubernetes/cluster-list.ts';
import { MalformedInputError } from '../platform/errors.ts';
import { nameOfFile, readText } from './read-text.ts';

/**
 * A saved List as a directory with one cluster in it, which can be read and not written.
 *
 * @param file a path, or `-` for standard input
 * @throws {MalformedInputError} for a file that cannot be read or is no List
 */
export async function savedListDirectory(file: string): Promise<AccountDirectory> {
  const name = nameOfFile(file);
  const api = snapshotApi(await readSnapshot(file));
  return {
    list: async () => [name],
    describe: async () => ({ tags: {} }),
    connect: async () => api,
    forget: () => {},
  };
}

/** The API of a cluster that is only known from a snapshot. */
export function snapshotApi(snapshot: Snapshot): ClusterApi {
  const { hpas, deployments, ...config } = snapshot;
  const readOnly = async (): Promise<never> => {
    throw new TypeError('a snapshot cannot be written');
  };
  return {
    hpas: {
      list: async () => [...hpas],
      get: async ({ metadata }) => hpas.find((hpa) => hpa.metadata.uid === metadata.uid),
      mark: readOnly,
      delete: readOnly,
    },
    config: {
      read: async () => config,
      deploymentExists: async (place) => deployments.get(objectKey(place)) ?? false,
    },
    requestsSent: () => 0,
    close: () => {},
  };
}

async function readSnapshot(file: string): Promise<Snapshot> {
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
    const snapshot = snapshotOfList(list);
    if (snapshot.hpas.length > 0) warnOfMissingKinds(name, list as { items: { kind?: unknown }[] });
    return snapshot;
  } catch (error) {
    throw new MalformedInputError(`${name}: ${(error as Error).message}`, { cause: error });
  }
}

/** kubectl prints what it may read when it may not read all of it. */
function warnOfMissingKinds(name: string, { items }: { items: { kind?: unknown }[] }): void {
  const missing = ['GatewayClass', 'Gateway', 'EnvoyProxy', 'Deployment', 'ConfigMap'].filter(
    (wanted) => !items.some(({ kind }) => kind === wanted),
  );
  if (missing.length === 0) return;
  process.stderr.write(
    `reaper: ${name} has no ${missing.join(', no ')}. If the cluster has, list them too: what is not in it counts as gone.\n`,
  );
}
