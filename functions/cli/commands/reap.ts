import { randomUUID } from 'node:crypto';
import process from 'node:process';
import { type Command, InvalidArgumentError } from 'commander';
import { GUARDS } from '../../events/outcomes.ts';
import type { Change, ClusterReport, RunReport, SweptHpa } from '../../events/report.ts';
import { DEFAULT_GUARDS } from '../../judgement/guards.ts';
import { objectKey } from '../../judgement/kubernetes-objects.ts';
import { describeError } from '../../platform/errors.ts';
import { SILENT } from '../../platform/logger.ts';
import type { ClusterRef } from '../../sweep/for-each-cluster.ts';
import { sweepAccount, totalsOf } from '../../sweep/sweep-account.ts';
import { beginBackup } from '../deletion-backup.ts';
import { addSelectionOptions, type SelectionOptions, selectionOf } from '../input/selection.ts';
import { addTargetOptions, type TargetOptions, type Targets, targetsOf } from '../input/targets.ts';
import {
  addReportOptions,
  type ConfirmOptions,
  confirmed,
  EXIT,
  interruptible,
  printReport,
  quoted,
  type ReportOptions,
  requireAnswer,
  say,
  shellFlags,
  withProgress,
} from '../output/terminal.ts';
import { clustersNamed, counted, replicasOfAll } from '../output/words.ts';
import { isIncomplete, reportOnlyProblem } from './scan.ts';

export interface DeletionOptions extends SelectionOptions, ConfirmOptions, ReportOptions {
  /** The limit for this run, in place of those for each cluster and for the run. */
  readonly maxDeletions?: number;
  readonly backupDir: string;
}

/** Maximum deletions in one run, unless a person gives another number. */
const MAX_DELETIONS_OF_RUN = 100;

/** For the help of commands that delete. */
export const DELETION_EXIT_CODES = `Exit codes:
  0    done, also if you answer no or a guard holds HPAs back
  1    failed, or a cluster that you named was skipped, or a cluster denied
       access or did not answer
  2    wrong usage
  130  interrupted: Ctrl-C stops before the next deletion`;

/** The flags of commands that delete. */
export function addDeletionOptions(command: Command): Command {
  return addReportOptions(addSelectionOptions(command))
    .option('--dry-run', 'show the plan and change nothing')
    .option('-y, --yes', 'do not ask; for scripts')
    .option(
      '--max-deletions <number>',
      `maximum deletions in this run (default: ${DEFAULT_GUARDS.maxDeletions} in a cluster, ${MAX_DELETIONS_OF_RUN} in all, and never most of a cluster's)`,
      wholeNumber,
    )
    .option('--backup-dir <directory>', 'where to write the manifests of deleted HPAs, and the report', '.');
}

function wholeNumber(text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Expected a whole number.');
}

export function addReapCommand(program: Command): void {
  addDeletionOptions(addTargetOptions(program.command('reap')))
    .description('Shows the stale HPAs, asks, and deletes them. Writes their manifests to a file first.')
    .addHelpText(
      'after',
      `
${DELETION_EXIT_CODES}

Examples:
  The plan for the current context of your kubeconfig:
    reaper reap --dry-run
  What one Gateway left behind in another context:
    reaper reap --context prod --gateway shop/web
  Everywhere, without a question:
    reaper reap --all-contexts --yes --backup-dir /var/backups
    reaper reap --eks --region eu-central-1 --max-deletions 200 --yes
  Restore everything, and protect it from later sweeps:
    reaper restore reaper-backup-….jsonl --keep`,
    )
    .action(async (options: TargetOptions & DeletionOptions) => {
      requireAnswer(options);
      await planAndDelete(await targetsOf(options), options);
    });
}

/**
 * Shows what would be deleted, asks, deletes exactly that if it is still stale then, and prints the result. Sets the exit
 * code.
 *
 * @param changes the trigger, for the report only
 */
export async function planAndDelete(
  targets: Targets,
  options: TargetOptions & DeletionOptions,
  changes: readonly Change[] = [],
): Promise<void> {
  const { maxDeletions, kubeconfig, eks, profile } = options;
  const selects = selectionOf(options);
  const common = {
    ...targets,
    changes,
    guards: { ...DEFAULT_GUARDS, raisedLimit: maxDeletions },
    controllerNamespaces: options.controllerNamespace,
    maxDeletionsOfRun: maxDeletions ?? MAX_DELETIONS_OF_RUN,
    now: () => new Date(),
    log: SILENT,
  };
  const plan = await withProgress(options, (onProgress) =>
    sweepAccount({ ...common, mode: 'report', runId: randomUUID(), selects, onProgress }),
  );
  if (reportOnlyProblem(plan, options)) return;
  const wanted = plan.clusters.filter((cluster) => cluster.hpas.some(isPlanned));
  const planned = wanted.flatMap(({ hpas }) => hpas.filter(isPlanned));
  const deletion = `delete ${counted(planned.length, 'HPA')} in ${clustersNamed(wanted)}`;
  if (planned.length === 0 || options.dryRun) {
    print(plan, options);
    say(planned.length === 0 ? 'nothing to delete' : `would ${deletion}; nothing was changed`);
    return;
  }

  if (!options.yes) {
    printReport(plan, { ...options, output: 'table' }, process.stderr, 'planned');
    reportFailures(plan, options);
    process.stderr.write(`\nReplicas afterwards: ${replicasOfAll(planned)}.\n`);
  }
  if (!(await confirmed(`D${deletion.slice(1)}?`, options, 'nothing was deleted'))) return;
  const backup = await beginBackup(options.backupDir, common.now);
  const keys = new Set(wanted.flatMap((cluster) => cluster.hpas.filter(isPlanned).map(({ uid }) => key(cluster, uid))));
  let hasBackup = false;
  const [deletions, interrupted] = await interruptible((drainSignal) =>
    withProgress(options, (onProgress) =>
      sweepAccount({
        ...common,
        clusters: wanted.map(({ cluster }) => cluster),
        mode: 'delete',
        runId: randomUUID(),
        // HPAs that are kept count too: a guard limits the share of a cluster that may be deleted.
        selects: (hpa, cluster) =>
          (selects?.(hpa) ?? true) && (hpa.staleUid === undefined || keys.has(key(cluster, hpa.staleUid))),
        beforeDeletion: backup.append,
        drainSignal,
        onProgress,
      }),
    ),
  ).finally(async () => {
    hasBackup = await backup.end();
  });
  const clusters = [...deletions.clusters, ...plan.clusters.filter((cluster) => !wanted.includes(cluster))];
  const totals = totalsOf(clusters, deletions.remaining.length);
  const report = { ...deletions, clusters, totals, regions: plan.regions };
  print(report, options);
  try {
    say(`the report is in ${await backup.saveReport(report)}`);
  } catch (error) {
    say(`the report could not be written: ${describeError(error)}`);
    process.exitCode = EXIT.failed;
  }
  if (hasBackup) {
    // The undo command finds the same clusters.
    const flags = shellFlags({ keep: true, kubeconfig, eks: eks && true, profile });
    say(`the deleted HPAs are in ${backup.file}; to undo it:\n  reaper restore ${quoted(backup.file)} ${flags}`);
    say('--keep annotates them; without it, the next sweep deletes them again');
  }
  if (interrupted) process.exitCode = EXIT.interrupted;
}

const isPlanned = ({ outcome }: SweptHpa) => outcome === 'Reported';

const key = ({ region = '', cluster }: ClusterRef | ClusterReport, uid: string) => `${region}/${cluster}/${uid}`;

/** The outcomes of a planned deletion that are failures. */
const FAILURES: readonly SweptHpa['outcome'][] = ['Failed', 'MarkRefused', 'DeleteRefused', 'Conflict'];

/** Prints the report, and what was not done. A table contains the clusters that were not swept. */
function print(report: RunReport, options: TargetOptions & ReportOptions): void {
  printReport(report, options);
  if (options.output !== 'table') {
    for (const { region, message, remedy } of report.regions) say(`${region}: ${message}\n${remedy}`);
    for (const { cluster, problem } of report.clusters) {
      if (problem) say(`${cluster}: ${problem.message}\n${problem.remedy}`);
    }
  }
  reportFailures(report, options);
}

/** Prints on stderr what was not done, and the remedy. Sets the exit code. */
function reportFailures(report: RunReport, options: TargetOptions): void {
  let failures = 0;
  for (const { cluster, hpas } of report.clusters) {
    for (const { outcome, message, ...hpa } of hpas) {
      if (!FAILURES.includes(outcome)) continue;
      failures += 1;
      say(`${cluster}: ${objectKey(hpa)}: ${outcome}${message === undefined ? '' : `, ${message}`}`);
    }
    const guards = hpas.flatMap(({ outcome, guard }) => (outcome === 'HeldBack' && guard) || []);
    for (const { name, explanation } of new Map(guards.map((guard) => [guard.explanation, guard])).values()) {
      const same = guards.filter((guard) => guard.explanation === explanation);
      const advice = GUARDS[name].advice(report.totals.stale) ?? '';
      say(`${cluster}: ${same.length} held back: ${explanation}. ${advice}`.trim());
    }
  }
  if (isIncomplete(report, options) || failures > 0) process.exitCode = EXIT.failed;
}
