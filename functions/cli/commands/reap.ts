import { randomUUID } from 'node:crypto';
import process from 'node:process';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Change, ClusterReport, Outcome, RunReport, SweptHpa } from '../../events/report.ts';
import { DEFAULT_GUARDS } from '../../judgement/guards.ts';
import { describeError } from '../../platform/errors.ts';
import { SILENT } from '../../platform/logger.ts';
import type { ClusterRef } from '../../sweep/for-each-cluster.ts';
import { sweepAccount } from '../../sweep/sweep-account.ts';
import { beginBackup } from '../deletion-backup.ts';
import { EXIT } from '../exit-code.ts';
import { isIncomplete, onlyProblem } from '../incomplete.ts';
import { addSelectionOptions, type SelectionOptions, selectionOf } from '../input/selection.ts';
import { addTargetOptions, type TargetOptions, type Targets, targetsOf } from '../input/targets.ts';
import { interruptible } from '../interruption.ts';
import { FORMATS, type Format, formatReport } from '../output/output.ts';
import { progressLine } from '../output/progress.ts';
import { ask, canAsk } from '../output/question.ts';
import { quoted, say, screenOf } from '../output/terminal.ts';

export interface DeletionOptions extends SelectionOptions {
  readonly yes?: boolean;
  readonly dryRun?: boolean;
  /** A person's word for this run, in place of the limits for each cluster and for the run. */
  readonly maxDeletions?: number;
  readonly backupDir: string;
  readonly output: Format;
  readonly quiet?: boolean;
}

/** So many clusters are worked on side by side. */
const CONCURRENCY = 10;
/** So many HPAs are deleted in one run, unless a person says otherwise. */
const DELETIONS_OF_A_RUN = 100;

/** For the help of whatever deletes. */
export const DELETION_EXIT_CODES = `Exit codes:
  0    done; what a guard held back, and a person's no, are no failure
  1    failed, or a cluster was not looked at that was asked for by name, did not
       let us in, or did not answer
  2    wrong usage
  130  interrupted: Ctrl-C stops before the next deletion; what was done is
       printed, and the backup has it`;

/** The flags of whatever deletes, the same in every command. */
export function addDeletionOptions(command: Command): Command {
  return addSelectionOptions(command)
    .option('--dry-run', 'show the plan and change nothing')
    .option('-y, --yes', 'do not ask; for scripts')
    .option(
      '--max-deletions <number>',
      `how many deletions are all right in this run (default: ${DEFAULT_GUARDS.maxDeletions} in a cluster and ${DELETIONS_OF_A_RUN} in all, and never most of a cluster's)`,
      wholeNumber,
    )
    .option('--backup-dir <directory>', 'where the manifests of what is deleted, and the report, are written', '.')
    .addOption(new Option('-o, --output <format>', 'how to print it').choices(FORMATS).default('table'))
    .option('-q, --quiet', 'show no progress');
}

function wholeNumber(text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Expected a whole number.');
}

export function addReapCommand(program: Command): void {
  addDeletionOptions(
    addTargetOptions(
      program
        .command('reap')
        .description('Shows what is stale, asks, and deletes it. What is deleted is written to a file first.'),
    ),
  )
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
  Put everything back:
    reaper restore reaper-backup-….jsonl`,
    )
    .action(async (options: TargetOptions & DeletionOptions) => {
      if (!hasTimeLeft(options)) return;
      await planAndDelete(await targetsOf(options), options);
    });
}

/** Without a terminal nobody can be asked: says so, and sets the exit code. */
export function hasTimeLeft({ yes, dryRun }: DeletionOptions): boolean {
  if (yes || dryRun || canAsk()) return true;
  say('there is no terminal to ask on: give --yes to delete without a question, or --dry-run to see the plan');
  process.exitCode = EXIT.usage;
  return false;
}

/**
 * Shows what would be deleted, asks, deletes exactly that if it is still stale then, and tells what came of it. Sets the
 * exit code.
 *
 * @param changes what led to it, for the report only
 */
export async function planAndDelete(
  targets: Targets,
  options: TargetOptions & DeletionOptions,
  changes: readonly Change[] = [],
): Promise<void> {
  const { maxDeletions, output } = options;
  const selects = selectionOf(options);
  const progress = progressLine(options.quiet);
  const common = {
    ...targets,
    changes,
    concurrency: CONCURRENCY,
    guards: { ...DEFAULT_GUARDS, raisedLimit: maxDeletions },
    controllerNamespaces: options.controllerNamespace,
    maxDeletionsOfRun: maxDeletions ?? DELETIONS_OF_A_RUN,
    now: () => new Date(),
    log: SILENT,
    onProgress: progress.show,
  };
  const plan = await sweepAccount({ ...common, mode: 'report', runId: randomUUID(), selects }).finally(progress.end);
  const alone = onlyProblem(plan, options);
  if (alone) {
    say(`${alone.message}\n${alone.remedy}`);
    process.exitCode = EXIT.failed;
    return;
  }
  const wanted = plan.clusters.filter((cluster) => cluster.hpas.some(isPlanned));
  const count = wanted.flatMap(({ hpas }) => hpas.filter(isPlanned)).length;
  if (count === 0 || options.dryRun) {
    print(plan, output);
    explain(plan, output, options);
    say(count === 0 ? 'nothing to delete' : `would ${deletionOf(count, wanted)}; nothing was changed`);
    return;
  }

  process.stderr.write(formatReport(plan, 'table', screenOf(process.stderr)));
  explain(plan, 'table', options);
  const decision = options.yes ? 'yes' : await ask(`${sentence(deletionOf(count, wanted))}?`);
  if (decision !== 'yes') {
    say('nothing was deleted');
    if (decision === 'interrupted') process.exitCode = EXIT.interrupted;
    return;
  }
  const backup = await beginBackup(options.backupDir, common.now);
  const planned = new Set(
    wanted.flatMap((cluster) => cluster.hpas.filter(isPlanned).map(({ uid }) => key(cluster, uid))),
  );
  let kept = false;
  const [report, interrupted] = await interruptible(
    'stopping: what is under way ends, and nothing more is begun.',
    async (stop): Promise<[RunReport, boolean]> => [
      await sweepAccount({
        ...common,
        clusters: wanted.map(({ cluster }) => cluster),
        mode: 'delete',
        runId: randomUUID(),
        // What is kept counts where a guard asks for the share of a cluster that goes.
        selects: (hpa, place) =>
          (selects?.(hpa) ?? true) && (hpa.staleUid === undefined || planned.has(key(place, hpa.staleUid))),
        beforeDeletion: backup.append,
        drainSignal: stop,
      }),
      stop.aborted,
    ],
  ).finally(async () => {
    progress.end();
    kept = await backup.end();
  });
  print(report, output);
  explain(report, output, options);
  try {
    say(`the report is in ${await backup.saveReport(report)}`);
  } catch (error) {
    say(`the report could not be written: ${describeError(error)}`);
    process.exitCode = EXIT.failed;
  }
  if (kept) say(`what was deleted is in ${backup.file}; to undo it: ${undoing(backup.file, options)}`);
  if (interrupted) process.exitCode = EXIT.interrupted;
}

const isPlanned = ({ outcome }: SweptHpa) => outcome === 'Reported';

const key = ({ region = '', cluster }: ClusterRef | ClusterReport, uid: string) => `${region}/${cluster}/${uid}`;

const deletionOf = (hpas: number, clusters: readonly unknown[]) =>
  `delete ${hpas} HPA${hpas === 1 ? '' : 's'} in ${clusters.length} cluster${clusters.length === 1 ? '' : 's'}`;

const sentence = (clause: string) => clause.charAt(0).toUpperCase() + clause.slice(1);

function print(report: RunReport, format: Format): void {
  process.stdout.write(formatReport(report, format, screenOf(process.stdout)));
}

/** What came of a planned deletion, where it did not go as it should. */
const FAILURES: readonly Outcome[] = ['Failed', 'MarkRefused', 'DeleteRefused', 'Conflict'];

/** On stderr: what was not done, and what a person can do about it. A table says itself what was not swept. Sets the exit code. */
function explain(report: RunReport, shownAs: Format, options: TargetOptions): void {
  const { clusters, regions } = report;
  if (shownAs !== 'table') {
    for (const { region, message, remedy } of regions) say(`${region}: ${message}\n${remedy}`);
    for (const { cluster, problem } of clusters) if (problem) say(`${cluster}: ${problem.message}\n${problem.remedy}`);
  }
  let failures = 0;
  for (const { cluster, hpas } of clusters) {
    for (const { namespace, name, outcome, message } of hpas) {
      if (!FAILURES.includes(outcome)) continue;
      failures += 1;
      say(`${cluster}: ${namespace}/${name}: ${outcome}${message === undefined ? '' : `, ${message}`}`);
    }
    const held = hpas.filter(({ outcome }) => outcome === 'HeldBack');
    for (const explanation of new Set(held.map(({ guard }) => guard?.explanation))) {
      const these = held.filter(({ guard }) => guard?.explanation === explanation);
      const remedy =
        these[0]?.guard?.name === 'BlastRadiusExceeded'
          ? 'If they are all to go, give the number with --max-deletions.'
          : 'Run this again in a few minutes.';
      say(`${cluster}: ${these.length} held back: ${explanation}. ${remedy}`);
    }
  }
  if (isIncomplete(report, options) || failures > 0) process.exitCode = EXIT.failed;
}

/** The command that finds the same clusters again. */
function undoing(file: string, { eks, profile, kubeconfig }: TargetOptions): string {
  const flags = [
    ...(kubeconfig === undefined ? [] : [`--kubeconfig ${quoted(kubeconfig)}`]),
    ...(eks === undefined ? [] : ['--eks']),
    ...(profile === undefined ? [] : [`--profile ${quoted(profile)}`]),
  ];
  return ['reaper restore', quoted(file), ...flags].join(' ');
}
