import process from 'node:process';
import { type Command, InvalidArgumentError } from 'commander';
import { apiClient } from '../../kubernetes/api-client.ts';
import { clusterApi } from '../../kubernetes/cluster-api.ts';
import { ClusterSkippedError, UsageError } from '../../platform/errors.ts';
import { printable } from '../../platform/printable.ts';
import { type ClusterRef, forEachCluster } from '../../sweep/for-each-cluster.ts';
import { restoreHpas } from '../../sweep/restore-hpas.ts';
import { nameOfFile, readText } from '../input/files.ts';
import { findAndReport } from '../input/find-objects.ts';
import { type ClusterKey, newestOfEach, parseArn, type SavedHpa, savedHpaReader } from '../input/saved-hpas.ts';
import { addSelectionOptions, type SelectionOptions, selectionOf } from '../input/selection.ts';
import { addClusterOptions, type TargetOptions, type Targets, targetsOf } from '../input/targets.ts';
import { serialized, tableLines } from '../output/output.ts';
import {
  addOutputOptions,
  EXIT,
  type OutputOptions,
  REQUEST_TIMEOUT,
  say,
  screenOf,
  withProgress,
} from '../output/terminal.ts';

const FORMATS = ['table', 'json', 'yaml'] as const;

interface RestoreOptions extends TargetOptions, SelectionOptions, OutputOptions<typeof FORMATS> {
  readonly cluster?: string;
  readonly since?: Date;
  readonly force?: boolean;
  readonly keep?: boolean;
  readonly dryRun?: boolean;
}

type RestoredHpa = ClusterRef & Awaited<ReturnType<typeof restoreHpas>>[number];

/** Maximum concurrent clusters. */
const CONCURRENCY = 5;

export function addRestoreCommand(program: Command): void {
  addOutputOptions(addSelectionOptions(addClusterOptions(program.command('restore'))), FORMATS)
    .description('Restores deleted HPAs as they were, each in its cluster. Never overwrites an HPA that exists.')
    .argument('[files...]', 'backups, reports, saved logs, events or manifests; - for standard input')
    .option('--cluster <name>', 'only HPAs deleted in this cluster; with --context: that context leads to this cluster')
    .option(
      '--since <time>',
      'with --eks NAMES, instead of files: the log of the functions since then (90m, 24h, 7d, or RFC 3339)',
      timeSince,
    )
    .option('--keep', 'annotate each restored HPA, so that no sweep deletes it again')
    .option('--force', 'without --keep: also restore HPAs that are stale, which the next sweep deletes again')
    .option('--dry-run', 'show what would be done and change nothing')
    .addHelpText(
      'after',
      `
Exit codes:
  0  all HPAs are restored, or exist
  1  some are not, none is selected, or a file is unreadable
  2  wrong usage

Examples:
  Each in the context that it was deleted in, or in its EKS cluster:
    reaper restore reaper-backup-….jsonl --keep
    reaper restore report.json --keep --eks
  From the log of the functions:
    reaper restore --eks shop --since 24h --keep --dry-run
  One Gateway of a cluster that has another name in the kubeconfig:
    reaper restore backup.jsonl --context prod --cluster shop --gateway shop/web`,
    )
    .action(restore);
}

function timeSince(text: string): Date {
  const [, count, unit] = /^(\d+)([mhd])$/.exec(text) ?? [];
  const minutes = { m: 1, h: 60, d: 24 * 60 }[unit ?? ''];
  if (minutes !== undefined) return new Date(Date.now() - Number(count) * minutes * 60_000);
  const time = new Date(/^\d{4}-\d\d-\d\dT/.test(text) ? text : Number.NaN);
  if (!Number.isNaN(time.getTime())) return time;
  throw new InvalidArgumentError('Expected a duration such as 90m, 24h or 7d, or a time such as 2026-01-31T12:00:00Z.');
}

async function restore(files: readonly string[], options: RestoreOptions): Promise<void> {
  const { eks, since } = options;
  if (files.length > 0 && since) throw new UsageError('give files or --since, not both');
  if (files.length === 0 && !since) {
    const taken = typeof eks === 'string' ? ` (${eks} counts as the name of a cluster; put a file before --eks)` : '';
    throw new UsageError(`give files, or --eks CLUSTER --since TIME for the log of the functions${taken}`);
  }
  if (since && typeof eks !== 'string') throw new UsageError('--since needs the names of the clusters: --eks CLUSTER');
  const read = async (file: string) => ({ name: nameOfFile(file), text: await readText(file), region: undefined });
  const sources = files.length > 0 ? await Promise.all(files.map(read)) : await readLogs(options);
  const hpas: SavedHpa[] = [];
  for (const { name, text, region } of sources) {
    const { found, faults } = findAndReport(name, text, 'deleted HPA (apiVersion autoscaling/v2)', savedHpaReader);
    // A sweep by hand may have deleted in another Region than it logged in; then the line says so.
    hpas.push(...found.map((hpa) => ({ ...hpa, region: hpa.region ?? region })));
    if (faults.length > 0) process.exitCode = EXIT.failed;
  }
  const destinations = await destinationsOf(hpas, options);
  const restored: RestoredHpa[] = [];
  for (const scope of new Set(destinations.map((one) => one.scope))) {
    const own = destinations.filter((one) => one.scope === scope);
    const savedIn = (name: string) => newestOfEach(own.flatMap(({ cluster, hpa }) => (cluster === name ? hpa : [])));
    const { clusters } = await withProgress(options, (onProgress) =>
      forEachCluster(
        { scopes: [scope], clusters: own.map(({ cluster }) => cluster), concurrency: CONCURRENCY, onProgress },
        ({ cluster }, description) => restoreIn(scope, cluster, description?.arn, savedIn(cluster), options),
      ),
    );
    for (const { cluster, region, ...outcome } of clusters) {
      if ('value' in outcome) {
        restored.push(...outcome.value.map((hpa) => ({ cluster, region, ...hpa })));
        continue;
      }
      const { message: why, remedy } = outcome.problem;
      say(`${cluster}: ${why}\n${remedy}`);
      for (const { manifest } of savedIn(cluster)) {
        const { namespace, name } = manifest.metadata;
        restored.push({ cluster, region, namespace, name, outcome: 'Failed', why });
      }
    }
  }
  if (restored.length === 0) {
    const found = `those found were deleted in cluster ${originsOf(hpas).join(', ')}`;
    say(hpas.length === 0 ? 'there is no deleted HPA' : `the options select no HPA; ${found}`);
  }
  process.stdout.write(format(restored, options.output));
  const isDone = ({ outcome }: RestoredHpa) => ['Restored', 'Restorable', 'AlreadyThere'].includes(outcome);
  if (restored.length === 0 || !restored.every(isDone)) process.exitCode = EXIT.failed;
}

async function readLogs(options: RestoreOptions) {
  const { loggedDeletions } = await import('../../aws/deletion-log.ts');
  const { scopes, clusters = [] } = await targetsOf(options);
  const reads = scopes.flatMap(({ region = '' }) =>
    clusters.map(async (cluster) => {
      const lines = await loggedDeletions({ region, profile: options.profile }, cluster, options.since ?? new Date(0));
      return { name: `the log of ${cluster} in ${region}`, text: lines.join('\n'), region };
    }),
  );
  return (await Promise.all(reads)).filter(({ text }) => text !== '');
}

type Scope = Targets['scopes'][number];

/**
 * The cluster to restore each selected HPA in. With --eks: the one of its name and Region, if --eks and --region select it;
 * otherwise the context of --context, or the one that has the name of the cluster.
 *
 * @throws {UsageError} when the cluster is not known, or the context is another cluster
 */
async function destinationsOf(hpas: readonly SavedHpa[], options: RestoreOptions) {
  const { eks, profile, kubeconfig, context, cluster: wanted } = options;
  const selected = hpas.filter((hpa) => wanted === undefined || [hpa.cluster, hpa.savedAs].includes(wanted));
  const destinations: { readonly scope: Scope; readonly cluster: string; readonly hpa: SavedHpa }[] = [];
  if (eks === undefined) {
    const { KubeconfigDirectory } = await import('../input/kubeconfig.ts');
    for (const name of new Set(selected.map(({ savedAs }) => context ?? savedAs))) {
      const group = selected.filter(({ savedAs }) => (context ?? savedAs) === name);
      const directory = new KubeconfigDirectory({ kubeconfig, context: name });
      const [cluster = ''] = await directory.list();
      refuseOthers(group, cluster, directory.eksContext(cluster), wanted);
      // The directory of one context leads to every context of the kubeconfig.
      const scope = destinations[0]?.scope ?? { directory };
      destinations.push(...group.map((hpa) => ({ scope, cluster, hpa })));
    }
    return destinations;
  }
  const saved = hpas.flatMap(({ region }) => region ?? []);
  const region = options.region ?? (saved.length > 0 ? saved : undefined);
  const { scopes, clusters } = await targetsOf({ eks, profile, region });
  const only = { cluster: clusters?.length === 1 ? clusters[0] : undefined, scope: scopes.length === 1 && scopes[0] };
  for (const hpa of selected) {
    const { cluster = only.cluster } = hpa;
    const scope = hpa.region === undefined ? only.scope : scopes.find((one) => one.region === hpa.region);
    if (cluster === undefined || scope === false) {
      throw new UsageError(
        `the HPAs were deleted in cluster ${describeKey(hpa)}: give the one with --eks CLUSTER --region REGION`,
      );
    }
    if (scope && (clusters?.includes(cluster) ?? true)) destinations.push({ scope, cluster, hpa });
  }
  return destinations;
}

/** @throws {UsageError} for HPAs of several clusters, or of another one than a context leads to */
function refuseOthers(hpas: readonly SavedHpa[], context: string, target?: ClusterKey, confirmed?: string): void {
  const origins = originsOf(hpas);
  if (origins.length > 1) {
    throw new UsageError(
      `the HPAs were deleted in several clusters (${origins.join(', ')}), and context ${context} is one of them: choose one with --cluster, or use --eks`,
    );
  }
  const names = [undefined, context, target?.cluster, confirmed];
  for (const hpa of hpas) {
    const other = `the HPAs were deleted in cluster ${describeKey(hpa)}, and context ${context} is another one`;
    if (isElsewhere(hpa, target)) throw new UsageError(other);
    if (!names.includes(hpa.savedAs) && !names.includes(hpa.cluster)) {
      throw new UsageError(`${other}; if it leads to that cluster, add --cluster ${hpa.cluster}`);
    }
  }
}

const describeKey = ({ cluster = '(not known)', region, account }: ClusterKey) =>
  printable([cluster, region && ` in ${region}`, account && ` of account ${account}`].join(''));

const originsOf = (hpas: readonly SavedHpa[]) => [...new Set(hpas.map(describeKey))];

/** Whether two clusters are known to be in different Regions or accounts. */
const isElsewhere = (a: ClusterKey, b: ClusterKey = {}) =>
  (['region', 'account'] as const).some((field) => a[field] && b[field] && a[field] !== b[field]);

async function restoreIn(
  { directory }: Scope,
  cluster: string,
  arn: string | undefined,
  hpas: readonly SavedHpa[],
  options: RestoreOptions,
) {
  const other = hpas.find((hpa) => isElsewhere(hpa, parseArn(arn)));
  if (other !== undefined) {
    throw new ClusterSkippedError({
      reason: 'ClusterNotFound',
      message: `the HPAs were deleted in account ${other.account}, and these credentials lead to ${arn}`,
      remedy: 'Give the credentials of that account (--profile).',
    });
  }
  const connection = await directory.connection(cluster);
  const api = clusterApi(connection, REQUEST_TIMEOUT);
  const client = apiClient(connection, REQUEST_TIMEOUT);
  const { controllerNamespace: controllerNamespaces, force, keep, dryRun } = options;
  const manifests = hpas.map(({ manifest }) => manifest);
  const selects = selectionOf(options);
  try {
    return await restoreHpas(manifests, { api, client, selects, controllerNamespaces, force, keep, dryRun });
  } finally {
    api.close();
  }
}

function format(hpas: readonly RestoredHpa[], output: RestoreOptions['output']): string {
  if (output !== 'table') return serialized({ schemaVersion: 1, hpas }, output);
  if (hpas.length === 0) return '';
  const rows = hpas.map(({ outcome, cluster, namespace, name, why }) => [outcome, cluster, namespace, name, why]);
  const lines = tableLines([['OUTCOME', 'CLUSTER', 'NAMESPACE', 'NAME', 'WHY'], ...rows], screenOf(process.stdout));
  return `${lines.join('\n').trimStart()}\n`;
}
