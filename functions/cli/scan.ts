import { createReadStream } from 'node:fs';
import process from 'node:process';
import { text } from 'node:stream/consumers';
import { DEFAULT_GUARDS, guard } from '../domain/guards.ts';
import { judge, type Verdict } from '../domain/judge.ts';
import { type HpaReport, reportHpa } from '../domain/report.ts';
import type { Snapshot } from '../domain/snapshot.ts';
import { snapshotOfList } from '../kubernetes/cluster-list.ts';
import { MalformedInputError } from '../platform/errors.ts';
import { readAndJudge } from '../usecases/sweep-cluster.ts';
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
  const { cluster, snapshot, verdicts } =
    options.file === undefined ? await fromCluster(options) : await fromFile(options.file);
  const hpas = guard(verdicts, snapshot, DEFAULT_GUARDS, now).map(reportHpa);
  hpas.sort((a, b) => a.namespace.localeCompare(b.namespace) || a.name.localeCompare(b.name));
  return { schemaVersion: 1, clusters: [{ cluster, hpas }] };
}

interface Judged {
  cluster: string;
  snapshot: Snapshot;
  verdicts: Verdict[];
}

async function fromCluster(options: KubeconfigOptions): Promise<Judged> {
  // The library that reads kubeconfigs takes half a second to load; a saved List needs none of it.
  const { connectByKubeconfig } = await import('./kubeconfig.ts');
  const { cluster, api } = await connectByKubeconfig(options);
  try {
    return { cluster, ...(await readAndJudge(api)) };
  } finally {
    api.close();
  }
}

async function fromFile(file: string): Promise<Judged> {
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
    if (snapshot.hpas.length > 0) warnOfMissingKinds(name, list as { items: { kind?: unknown }[] });
    return { cluster: name, snapshot, verdicts: judge(snapshot) };
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
