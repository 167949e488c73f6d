import { createReadStream } from 'node:fs';
import process from 'node:process';
import { text } from 'node:stream/consumers';
import { DEFAULT_GUARDS, guard } from '../domain/guards.ts';
import { judge } from '../domain/judge.ts';
import { type HpaReport, reportHpa } from '../domain/report.ts';
import type { Snapshot } from '../domain/snapshot.ts';
import { snapshotOfList } from '../kubernetes/cluster-list.ts';
import { MalformedInputError } from '../platform/errors.ts';
import { read } from '../usecases/sweep-cluster.ts';
import type { KubeconfigOptions } from './kubeconfig.ts';

/** What `scan` prints, in every format. The version rises when a reader would have to change. */
export interface Scan {
  schemaVersion: 1;
  clusters: { cluster: string; hpas: HpaReport[] }[];
}

export interface ScanOptions extends KubeconfigOptions {
  /** A saved List, or `-` for standard input; without it the cluster of the kubeconfig is read. */
  readonly file?: string | undefined;
}

/**
 * Judges one cluster and changes nothing.
 *
 * @throws {MalformedInputError} for a file that is no List or a kubeconfig that leads nowhere; what a reading throws
 */
export async function scan(options: ScanOptions, now: Date): Promise<Scan> {
  const { cluster, snapshot } = options.file === undefined ? await fromCluster(options) : await fromFile(options.file);
  const hpas = guard(judge(snapshot), snapshot, DEFAULT_GUARDS, now).map(reportHpa);
  hpas.sort((a, b) => a.namespace.localeCompare(b.namespace) || a.name.localeCompare(b.name));
  return { schemaVersion: 1, clusters: [{ cluster, hpas }] };
}

async function fromCluster(options: KubeconfigOptions): Promise<{ cluster: string; snapshot: Snapshot }> {
  // The library that reads kubeconfigs takes half a second to load; a saved List needs none of it.
  const { connectByKubeconfig } = await import('./kubeconfig.ts');
  const { cluster, api } = await connectByKubeconfig(options);
  try {
    return { cluster, snapshot: await read(api) };
  } finally {
    api.close();
  }
}

async function fromFile(file: string): Promise<{ cluster: string; snapshot: Snapshot }> {
  const name = file === '-' ? 'standard input' : file;
  const content = await text(file === '-' ? process.stdin : createReadStream(file)).catch((error: Error) => {
    throw new MalformedInputError(`${name} cannot be read: ${error.message}`, { cause: error });
  });
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
    const absent = ['GatewayClass', 'Gateway', 'EnvoyProxy', 'Deployment', 'ConfigMap'].filter(
      (wanted) => !(list as { items: { kind?: unknown }[] }).items.some(({ kind }) => kind === wanted),
    );
    if (snapshot.hpas.length > 0 && absent.length > 0) {
      process.stderr.write(
        `reaper: ${name} has no ${absent.join(', no ')}. If the cluster has, list them too: what is not in it counts as gone.\n`,
      );
    }
    return { cluster: name, snapshot };
  } catch (error) {
    throw new MalformedInputError(`${name}: ${(error as Error).message}`, { cause: error });
  }
}
