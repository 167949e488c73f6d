import { randomUUID } from 'node:crypto';
import process from 'node:process';
import { type Command, Option } from 'commander';
import type { ClusterReport, RunReport, SweptHpa } from '../../events/report.ts';
import { DEFAULT_GUARDS, guard } from '../../judgement/guards.ts';
import type { NamespacedName } from '../../judgement/kubernetes-objects.ts';
import type { ClusterApi } from '../../kubernetes/cluster-api.ts';
import { LIST_COMMAND } from '../../kubernetes/cluster-list.ts';
import { UsageError } from '../../platform/errors.ts';
import { SILENT } from '../../platform/logger.ts';
import { type Assessment, assess, assessSnapshot, reportHpa, reportMissing } from '../../sweep/assess.ts';
import { runOverClusters, totalsOf } from '../../sweep/sweep-account.ts';
import { nameOfFile, readSavedList } from '../input/files.ts';
import { type ObjectName, objectNameOf, readManifests } from '../input/manifests.ts';
import { addSelectionOptions, type SelectionOptions, selectionOf } from '../input/selection.ts';
import { addTargetOptions, collected, type TargetOptions, targetsOf } from '../input/targets.ts';
import { addReportOptions, EXIT, printReport, type ReportOptions, say, withProgress } from '../output/terminal.ts';
import { tally } from '../output/words.ts';
import { assessWhatIf, type Changes } from '../overlay.ts';

interface ScanOptions extends TargetOptions, SelectionOptions, ReportOptions {
  /** A saved List, or `-` for standard input, in place of live clusters. */
  readonly file?: string;
  /** A kind that the List does not contain is not in the cluster either. */
  readonly incomplete?: boolean;
  /** Files to apply in a what-if. */
  readonly with?: readonly string[];
  /** Objects to delete in a what-if. */
  readonly without?: readonly ObjectName[];
  readonly exitCode?: boolean;
}

const now = () => new Date();

/**
 * Judges clusters and changes nothing.
 *
 * @throws {MalformedInputError} for a file that is no List, or an unusable kubeconfig
 * @throws {AwsAccessError} when AWS refuses access everywhere
 */
async function scan(options: ScanOptions): Promise<RunReport> {
  const { file, incomplete, namespace, gateway, controllerNamespace: controllerNamespaces } = options;
  const changes = await changesOf(options);
  const run = { runId: randomUUID(), mode: 'report' } as const;
  let report: RunReport;
  if (file === undefined) {
    const targets = await targetsOf(options);
    report = await withProgress(options, (onProgress) =>
      runOverClusters(
        { ...targets, ...run, now, log: SILENT, onProgress },
        async ({ cluster, directory }, { namespace }) => {
          const api = await directory.connect(cluster);
          const assessment = await assess(api, { now: now(), controllerNamespaces });
          return await findingsOf(assessment, options, changes, { api, namespace });
        },
      ),
    );
  } else {
    const startedAt = now().toISOString();
    const snapshot = { ...(await readSavedList(file, incomplete)), controllerNamespaces };
    const findings = await findingsOf(await assessSnapshot(snapshot, now()), options, changes);
    const clusters = [{ cluster: nameOfFile(file), ...findings }];
    const totals = totalsOf(clusters, 0);
    const finishedAt = now().toISOString();
    report = { schemaVersion: 1, ...run, startedAt, finishedAt, totals, clusters, regions: [], remaining: [] };
  }
  return {
    ...report,
    selection: selectionOf(options) && { namespace, gateway },
    whatIf: changes && { applied: changes.applied.map(nameOf), deleted: changes.deleted.map(nameOf) },
  };
}

/** @param live the cluster, and the default namespace of manifests there; absent for a saved cluster */
async function findingsOf(
  assessment: Assessment,
  options: ScanOptions,
  changes: Changes | undefined,
  live: { api?: ClusterApi; namespace?: string } = {},
): Promise<Pick<ClusterReport, 'result' | 'warnings' | 'hpas' | 'missing'>> {
  const selects = selectionOf(options) ?? (() => true);
  const whatIf = changes && (await assessWhatIf(assessment, changes, now(), live));
  const { verdicts, snapshot, missing } = whatIf?.after ?? assessment;
  const selected = verdicts.filter(({ hpa, owner }) => selects({ namespace: hpa.metadata.namespace, owner }));
  // A what-if is about the configuration, not about today's deletions.
  const guarded = whatIf ? selected : guard(selected, snapshot, DEFAULT_GUARDS, now());
  const hpas = guarded.map(
    (verdict): SweptHpa => ({
      ...reportHpa(verdict),
      outcome: verdict.action === 'keep' ? 'Kept' : verdict.guard ? 'HeldBack' : 'Reported',
      changes: [],
      // A page shows them.
      manifest: options.output === 'html' ? verdict.hpa : undefined,
      whatIf: whatIf?.comparison.get(verdict.hpa.metadata.uid),
    }),
  );
  return {
    result: 'swept',
    warnings: whatIf?.warnings ?? [],
    hpas,
    missing: missing.filter(selects).map(reportMissing).sort(byNamespacedName),
  };
}

const nameOf = ({ kind, namespace, name }: ObjectName) => ({ kind, namespace, name });

const byNamespacedName = (a: NamespacedName, b: NamespacedName) =>
  a.namespace.localeCompare(b.namespace) || a.name.localeCompare(b.name);

const HELP = `
Exit codes:
  0  done; with --exit-code: no HPA is stale or missing
  1  failed, or a cluster that you named was skipped, or a cluster denied access
     or did not answer
  2  wrong usage
  3  with --exit-code: an HPA is stale or missing; with --with or --without: an
     HPA becomes stale that is not stale now

With --with and --without the report shows what changes. A file replaces the
whole object, unlike with \`kubectl apply\`; a manifest without a namespace
belongs to that of the context, or to default.

Examples:
  The current context of your kubeconfig; another one, as JSON:
    reaper scan
    reaper scan --context prod -n shop -o json
  Every EKS cluster of the account in two Regions, as a page:
    reaper scan --eks --region eu-central-1 --region eu-west-1 -o html >a.html
  EKS clusters with a tag, as a check:
    reaper scan --eks --tag team=shop --exit-code
  The stale HPAs as arguments of kubectl, one command for each:
    reaper scan -o name | xargs -L1 kubectl get -o yaml
  Would this change leave an HPA behind?
    reaper scan --with envoyproxy.yaml --exit-code
    kustomize build . | reaper scan --with - --without gateway/shop/old
  A saved cluster:
    ${LIST_COMMAND.replaceAll(/(?<= )(?=gatewayclasses)|(?<=,)(?=envoyproxies|deployments)/g, '\\\n')} |
      reaper scan --file -`;

const collectedNames = (value: string, previous: readonly ObjectName[] = []) => [...previous, objectNameOf(value)];

export function addScanCommand(program: Command): void {
  addReportOptions(addSelectionOptions(addTargetOptions(program.command('scan'))))
    .description('Shows which HPAs of Envoy Gateway are stale and why, and which are missing. Changes nothing.')
    .addOption(
      new Option(
        '-f, --file <file>',
        'a saved List in place of a live cluster, may be gzip; - for standard input',
      ).conflicts(['context', 'allContexts', 'kubeconfig', 'eks']),
    )
    .option('--incomplete', 'with --file: a kind that the List does not contain is not in the cluster either')
    .option(
      '--with <file>',
      'judge as if this were applied: YAML or JSON, - for standard input; may be given more than once',
      collected,
    )
    .option(
      '--without <kind/namespace/name>',
      'judge as if this were deleted (a GatewayClass: kind/name); may be given more than once',
      collectedNames,
    )
    .option('--exit-code', 'exit with 3 when an HPA is or becomes stale, or is missing')
    .addHelpText('after', HELP)
    .action(async (options: ScanOptions) => {
      const { file, incomplete, with: files = [] } = options;
      if (incomplete && file === undefined) {
        throw new UsageError("option '--incomplete' can only be used together with '--file'");
      }
      if ([file, ...files].filter((name) => name === '-').length > 1) {
        throw new UsageError('standard input (-) can be read only once');
      }
      const report = await scan(options);
      if (reportOnlyProblem(report, options)) return;
      printReport(report, options);
      process.exitCode = exitCodeOf(report, options);
    });
}

/** @returns `undefined` for a scan of the clusters as they are */
async function changesOf({ with: files = [], without: deleted = [] }: ScanOptions): Promise<Changes | undefined> {
  if (files.length + deleted.length === 0) return undefined;
  const read = [];
  // One after the other: one of them may be standard input.
  for (const file of files) read.push(await readManifests(file));
  const ignored = read.flatMap((one) => one.ignored);
  if (ignored.length > 0) say(`ignored, because they do not affect HPAs: ${tally(ignored, [...new Set(ignored)])}`);
  return { applied: read.flatMap(({ manifests }) => manifests), deleted };
}

function exitCodeOf(report: RunReport, options: ScanOptions): number {
  if (isIncomplete(report, options)) return EXIT.failed;
  const becomesStale = ({ whatIf }: SweptHpa) =>
    whatIf?.change.startsWith('BecomesStale') && whatIf.now.action === 'keep';
  const isFound = report.whatIf
    ? report.clusters.some(({ hpas }) => hpas.some(becomesStale))
    : report.totals.stale + report.totals.missing > 0;
  return options.exitCode && isFound ? EXIT.stale : EXIT.done;
}

/**
 * Whether a cluster was not swept that should have been: the rule of every command for exit code 1. A run over all clusters
 * leaves some out on purpose: those that opted out, are not running, or never had the custom resources.
 */
export function isIncomplete({ clusters, regions, remaining }: RunReport, { eks }: TargetOptions): boolean {
  const isMissed = ({ result, problem }: ClusterReport) =>
    result === 'failed' ||
    (result === 'skipped' &&
      (typeof eks === 'string' || ['ClusterUnauthorized', 'ClusterForbidden'].includes(problem?.reason ?? '')));
  return regions.length > 0 || remaining.length > 0 || clusters.some(isMissed);
}

/** Where the only cluster was not swept, prints why instead of a report, and sets the exit code. */
export function reportOnlyProblem({ clusters, regions }: RunReport, { eks, allContexts }: TargetOptions): boolean {
  const isOneOfMany = eks === true || allContexts === true || clusters.length > 1 || regions.length > 0;
  const problem = isOneOfMany ? undefined : clusters[0]?.problem;
  if (problem === undefined) return false;
  say(`${problem.message}\n${problem.remedy}`);
  process.exitCode = EXIT.failed;
  return true;
}
