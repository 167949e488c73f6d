import process from 'node:process';
import { type Command, InvalidArgumentError, Option } from 'commander';
import pMap from 'p-map';
import { apiClient } from '../../kubernetes/api-client.ts';
import { clusterApi } from '../../kubernetes/cluster-api.ts';
import type { LiveDirectory } from '../../kubernetes/directory.ts';
import { hpaRestorer } from '../../kubernetes/hpa-restorer.ts';
import { clusterNameSchema } from '../../platform/eks-names.ts';
import {
  AwsAccessError,
  ClusterSkippedError,
  describeError,
  MalformedInputError,
  RetryableError,
} from '../../platform/errors.ts';
import type { ClusterRef } from '../../sweep/for-each-cluster.ts';
import type { RestoreOutcome } from '../../sweep/restoration.ts';
import { type RestoredHpa, restoreHpas } from '../../sweep/restore-hpas.ts';
import { nameOfFile, readText } from '../input/read-text.ts';
import { newestOfEach, ofLine, type SavedHpa, savedHpas } from '../input/saved-hpas.ts';
import { addSelectionOptions, type SelectionOptions, selectionOf } from '../input/selection.ts';
import { addTargetOptions, type TargetOptions, targetsOf } from '../input/targets.ts';
import { harmless, serialized, table } from '../output/output.ts';
import { EXIT, progressLine, REQUEST_TIMEOUT, say } from '../output/terminal.ts';

const FORMATS = ['table', 'json', 'yaml'] as const;

interface RestoreOptions extends TargetOptions, SelectionOptions {
  readonly cluster?: string;
  readonly since?: Date;
  readonly force?: boolean;
  readonly dryRun?: boolean;
  readonly output: (typeof FORMATS)[number];
  readonly quiet?: boolean;
}

/** Clusters that are worked on side by side. */
const CONCURRENCY = 5;

export function addRestoreCommand(program: Command): void {
  addSelectionOptions(
    addTargetOptions(
      program
        .command('restore')
        .description('Puts deleted HPAs back as they were, each into its cluster. Never overwrites one that is there.')
        .argument('[files...]', 'backups, reports, saved logs, events or manifests; - for standard input'),
      ['--all-contexts', '--tag'],
    ),
  )
    .option(
      '--cluster <name>',
      'only what was deleted in this cluster; with --context: into that context, whatever it is called',
    )
    .option(
      '--since <time>',
      'with --eks NAMES, in place of files: what the functions logged since then (90m, 24h, 7d, or RFC 3339)',
      since,
    )
    .option('--force', 'put back also what is stale and would be deleted again')
    .option('--dry-run', 'say what would be done and change nothing')
    .addOption(new Option('-o, --output <format>', 'how to print it').choices(FORMATS).default('table'))
    .option('-q, --quiet', 'show no progress')
    .addHelpText(
      'after',
      `
Exit codes:
  0  all are restored, or were there
  1  not all
  2  wrong usage

Examples:
  Each into the context that it was deleted in, or into its EKS cluster:
    reaper restore reaper-backup-….jsonl
    reaper restore report.json --eks
  From the log of the functions:
    reaper restore --eks shop --since 24h --dry-run
  Of a cluster that the kubeconfig knows by another name, one Gateway's:
    reaper restore backup.jsonl.gz --context prod --cluster shop --gateway shop/web`,
    )
    .action(async (files: string[], options: RestoreOptions, command: Command) => {
      const fault = wrongUsage(files, options);
      if (fault !== undefined) command.error(`error: ${fault}`);
      await restore(files, options);
    });
}

function since(text: string): Date {
  const [, count, unit] = /^(\d+)([mhd])$/.exec(text) ?? [];
  const minutes = { m: 1, h: 60, d: 24 * 60 }[unit ?? ''];
  if (minutes !== undefined) return new Date(Date.now() - Number(count) * minutes * 60_000);
  const time = new Date(/^\d{4}-\d\d-\d\dT/.test(text) ? text : Number.NaN);
  if (!Number.isNaN(time.getTime())) return time;
  throw new InvalidArgumentError('Expected a duration such as 90m, 24h or 7d, or a time such as 2026-01-31T12:00:00Z.');
}

function wrongUsage(files: readonly string[], options: RestoreOptions): string | undefined {
  if (options.allContexts || options.tag) {
    return '--all-contexts and --tag are of no use here: each HPA goes into the cluster that it was deleted in';
  }
  if (files.length > 0 && options.since) return 'give files or --since, not both';
  if (files.length > 0) return undefined;
  if (options.since === undefined) return 'give files, or --eks CLUSTER --since TIME for the log of the functions';
  const names = namesOf(options) ?? [];
  if (names.length === 0) return '--since needs to know the clusters: --eks CLUSTER';
  const wrong = names.find((name) => !clusterNameSchema.safeParse(name).success);
  return wrong === undefined ? undefined : `--eks ${wrong}: not the name of an EKS cluster`;
}

const namesOf = ({ eks }: TargetOptions): string[] | undefined =>
  typeof eks === 'string' ? eks.split(',').map((name) => name.trim()) : undefined;

async function restore(files: readonly string[], options: RestoreOptions): Promise<void> {
  const { hpas, faults } = files.length > 0 ? await fromFiles(files) : await fromLogs(options);
  for (const fault of faults) say(fault);
  if (faults.length > 0) process.exitCode = EXIT.failed;
  const meant = newestOfEach(hpas).filter(({ cluster }) => [undefined, cluster].includes(options.cluster));
  if (meant.length === 0) {
    const which = options.cluster === undefined ? '' : `of cluster ${options.cluster} `;
    say(`${which}there is no deleted HPA in ${files.map(nameOfFile).join(', ') || 'the log'}`);
    return;
  }
  const destinations = options.eks === undefined ? await inKubeconfig(meant, options) : await inEks(meant, options);

  const progress = progressLine(options.quiet);
  const done: (ClusterRef & RestoredHpa)[] = [];
  let clustersDone = 0;
  let failures = 0;
  const tell = () => progress.show({ clusters: destinations.length, done: clustersDone, problems: failures });
  tell();
  await pMap(
    destinations,
    async (destination) => {
      const { cluster, region } = destination;
      const place = { cluster, region };
      const restored = await restoreIn(destination, options);
      done.push(...restored.map((hpa) => ({ ...place, ...hpa })));
      clustersDone += 1;
      if (restored.some(({ outcome }) => outcome === 'Failed')) failures += 1;
      tell();
    },
    { concurrency: CONCURRENCY },
  ).finally(progress.end);
  if (done.length === 0) say('none of the HPAs is meant by -n and --gateway');
  done.sort((a, b) => sortKey(a).localeCompare(sortKey(b)));
  process.stdout.write(format(done, options.output));
  if (done.some(({ outcome }) => !GOOD.includes(outcome))) process.exitCode = EXIT.failed;
}

const GOOD: readonly RestoreOutcome[] = ['Restored', 'Restorable', 'AlreadyThere'];

const sortKey = ({ region = '', cluster, namespace, name }: ClusterRef & RestoredHpa) =>
  [region, cluster, namespace, name].join('/');

async function fromFiles(files: readonly string[]): Promise<{ hpas: SavedHpa[]; faults: string[] }> {
  const hpas: SavedHpa[] = [];
  const faults: string[] = [];
  for (const file of files) {
    const saved = savedHpas(await readText(file));
    hpas.push(...saved.hpas);
    faults.push(...saved.faults.map((fault) => `${nameOfFile(file)}: ${fault}`));
  }
  return { hpas, faults };
}

async function fromLogs(options: RestoreOptions): Promise<{ hpas: SavedHpa[]; faults: string[] }> {
  const { CloudWatchDeletionLog } = await import('../../aws/deletion-log.ts');
  const { scopes } = await targetsOf(options);
  const hpas: SavedHpa[] = [];
  const faults: string[] = [];
  for (const { region = '' } of scopes) {
    const log = new CloudWatchDeletionLog({ region, profile: options.profile });
    for (const cluster of namesOf(options) ?? []) {
      for (const { message, timestamp } of await log.deletions(cluster, options.since ?? new Date(0))) {
        const where = `the log of ${region} at ${new Date(timestamp).toISOString()}`;
        const saved = ofLine({ where, text: message, time: timestamp });
        // A sweep by hand may have deleted in another Region than the one that it logged in; then the line says so.
        hpas.push(...saved.hpas.map((hpa) => ({ ...hpa, region: hpa.region ?? region })));
        faults.push(...saved.faults);
      }
    }
  }
  return { hpas, faults };
}

interface Destination extends ClusterRef {
  readonly directory: LiveDirectory;
  readonly hpas: readonly SavedHpa[];
}

/**
 * Where each HPA goes: into the context of its cluster's name, or all into the one that is named.
 *
 * @throws {MalformedInputError} when that would be another cluster than the one it was deleted in
 */
async function inKubeconfig(hpas: readonly SavedHpa[], options: RestoreOptions): Promise<Destination[]> {
  const { kubeconfig, context } = options;
  const clusters = [...new Set(hpas.flatMap(({ cluster }) => cluster ?? []))];
  const regions = [...new Set(hpas.map(({ region }) => region))];
  if (context !== undefined && (clusters.length > 1 || regions.length > 1)) {
    throw new MalformedInputError(
      `the HPAs are of several clusters (${hpas.map(describePlace).filter(isFirst).join(', ')}), and --context takes those of one: ` +
        'name it with --cluster, or use --eks',
    );
  }
  const [cluster] = clusters;
  const [region] = regions;
  const arn = context === undefined ? undefined : eksArn(context);
  const isOfArn = arn?.cluster === cluster && (region === undefined || arn?.region === region);
  if (context !== undefined && cluster !== undefined && ![context, options.cluster].includes(cluster) && !isOfArn) {
    throw new MalformedInputError(
      `the HPAs are of cluster ${describePlace({ cluster, region })}, and not of context ${context}; ` +
        `if that context leads to that cluster, say so with --cluster ${cluster}`,
    );
  }
  const { KubeconfigDirectory } = await import('../input/kubeconfig.ts');
  const groups = new Map<string | undefined, SavedHpa[]>();
  for (const hpa of hpas) {
    const name = context ?? hpa.cluster;
    groups.set(name, [...(groups.get(name) ?? []), hpa]);
  }
  return await Promise.all(
    [...groups].map(async ([name, group]): Promise<Destination> => {
      const regionsOfName = [...new Set(group.map((hpa) => hpa.region ?? '(not known)'))];
      if (regionsOfName.length > 1) {
        throw new MalformedInputError(
          `the HPAs are of several clusters that are named ${name} (${regionsOfName.join(', ')}), and a context is one of them: use --eks`,
        );
      }
      try {
        const directory = new KubeconfigDirectory({ kubeconfig, context: name });
        const [found = ''] = await directory.list();
        return { cluster: found, directory, hpas: group };
      } catch (error) {
        if (context !== undefined || name === undefined) throw error;
        throw new MalformedInputError(
          `HPAs of cluster ${name} go into the context of that name: ${describeError(error)}; ` +
            'else give --context (with --cluster), or --eks',
        );
      }
    }),
  );
}

const isFirst = (value: string, index: number, all: readonly string[]) => all.indexOf(value) === index;

const describePlace = ({ cluster = '(not known)', region }: Omit<SavedHpa, 'manifest'>) =>
  region === undefined ? cluster : `${cluster} in ${region}`;

/**
 * Where each HPA goes: into the EKS cluster that it was deleted in.
 *
 * @throws {MalformedInputError} when that is none of those that are named, or cannot be told
 */
async function inEks(hpas: readonly SavedHpa[], options: RestoreOptions): Promise<Destination[]> {
  const names = namesOf(options);
  const located = hpas.map((hpa) => {
    const arn = eksArn(hpa.cluster ?? '');
    const cluster = arn?.cluster ?? hpa.cluster ?? (names?.length === 1 ? names[0] : undefined);
    return { hpa, cluster, region: hpa.region ?? arn?.region };
  });
  const known = [...new Set(located.flatMap(({ region }) => region ?? []))];
  const { scopes } = await targetsOf({
    eks: true,
    profile: options.profile,
    region: options.region ?? (known.length > 0 ? known : undefined),
  });
  const destinations = new Map<string, Destination & { hpas: SavedHpa[] }>();
  for (const { hpa, cluster, region } of located) {
    if (cluster === undefined) {
      throw new MalformedInputError('HPAs that do not say of which cluster they are: name the one with --eks CLUSTER');
    }
    if (names !== undefined && !names.includes(cluster)) {
      throw new MalformedInputError(
        `there are HPAs of cluster ${cluster}, and --eks names ${names.join(', ')}; choose those of one cluster with --cluster`,
      );
    }
    const place = scopes.find((one) => (region === undefined ? scopes.length === 1 : one.region === region));
    if (place?.region === undefined) {
      throw new MalformedInputError(
        `HPAs of cluster ${cluster} are of ${region ?? 'a Region that they do not say'}, and the Regions are ` +
          `${scopes.map((one) => one.region).join(', ')}; give the one with --region`,
      );
    }
    const key = `${place.region}/${cluster}`;
    const destination = destinations.get(key) ?? {
      cluster,
      region: place.region,
      directory: place.directory,
      hpas: [],
    };
    destination.hpas.push(hpa);
    destinations.set(key, destination);
  }
  return [...destinations.values()];
}

/** What `aws eks update-kubeconfig` calls a context. */
function eksArn(context: string): { cluster: string; region: string } | undefined {
  const [, region, cluster] = /^arn:[^:]+:eks:([^:]+):\d+:cluster\/(.+)$/.exec(context) ?? [];
  return region === undefined || cluster === undefined ? undefined : { cluster, region };
}

/** Into one cluster. One that cannot be worked on stops no other. */
async function restoreIn({ cluster, directory, hpas }: Destination, options: RestoreOptions): Promise<RestoredHpa[]> {
  const manifests = newestOfEach(hpas.map(({ manifest, time }) => ({ manifest, time }))).map(
    ({ manifest }) => manifest,
  );
  try {
    const { arn } = await directory.describe(cluster);
    refuseOtherAccount(arn, hpas);
    const connection = await directory.connection(cluster);
    const api = clusterApi(connection, REQUEST_TIMEOUT);
    try {
      return await restoreHpas(manifests, {
        api,
        restorer: hpaRestorer(apiClient(connection, REQUEST_TIMEOUT)),
        selects: selectionOf(options),
        controllerNamespaces: options.controllerNamespace,
        force: options.force ?? false,
        dryRun: options.dryRun ?? false,
      });
    } finally {
      api.close();
    }
  } catch (error) {
    if (!(error instanceof ClusterSkippedError || error instanceof RetryableError)) throw error;
    const why = describeError(error);
    say(`${cluster}: ${why}\n${remedyOf(error)}`);
    return manifests.map(({ metadata: { namespace, name } }) => ({ namespace, name, outcome: 'Failed', why }) as const);
  }
}

/** Another account may have a cluster of the same name in the same Region; a context's ARN tells it apart. */
function refuseOtherAccount(arn: string | undefined, hpas: readonly SavedHpa[]): void {
  const other = hpas.find((hpa) => arn !== undefined && eksArn(hpa.cluster ?? '') && hpa.cluster !== arn);
  if (other === undefined) return;
  throw new ClusterSkippedError({
    reason: 'ClusterNotFound',
    message: `the HPAs were deleted in ${other.cluster}, and these credentials lead to ${arn}`,
    remedy: 'Give the credentials of that account (--profile).',
  });
}

function remedyOf(error: ClusterSkippedError | RetryableError): string {
  if (error instanceof AwsAccessError) return error.remedy;
  if (!(error instanceof ClusterSkippedError)) return 'Run this again later; what is there already stays as it is.';
  if (error.reason !== 'ClusterForbidden') return error.remedy;
  return 'This is done with your own rights: they must allow it.';
}

function format(hpas: readonly (ClusterRef & RestoredHpa)[], output: RestoreOptions['output']): string {
  if (output !== 'table') return serialized({ schemaVersion: 1, hpas }, output);
  if (hpas.length === 0) return '';
  const rows = hpas.map(({ outcome, cluster, namespace, name, why }) => [
    outcome,
    cluster,
    namespace,
    name,
    harmless(why),
  ]);
  const text = table([['OUTCOME', 'CLUSTER', 'NAMESPACE', 'NAME', 'WHY'], ...rows]);
  const width = process.stdout.isTTY ? process.stdout.columns : Number.POSITIVE_INFINITY;
  if (text.split('\n').every((line) => line.length <= width)) return text;
  return rows
    .map(
      ([outcome, cluster, namespace, name, why]) =>
        `${outcome}  ${namespace}/${name}\n  ${cluster}\n${why ? `  ${why}\n` : ''}`,
    )
    .join('\n');
}
