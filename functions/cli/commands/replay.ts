import process from 'node:process';
import { type Command, Option } from 'commander';
import { changesOf } from '../../events/audit-event.ts';
import { changeOf } from '../../events/outcomes.ts';
import type { Change } from '../../events/report.ts';
import { UsageError } from '../../platform/errors.ts';
import { nameOfFile, readText } from '../input/files.ts';
import { findAndReport, type ObjectReader } from '../input/find-objects.ts';
import { addClusterOptions, type TargetOptions, targetsOf } from '../input/targets.ts';
import { EXIT, requireAnswer, say } from '../output/terminal.ts';
import { counted } from '../output/words.ts';
import { addDeletionOptions, DELETION_EXIT_CODES, type DeletionOptions, planAndDelete } from './reap.ts';

interface ReplayOptions extends TargetOptions, DeletionOptions {
  readonly mode: 'report' | 'delete';
}

export function addReplayCommand(program: Command): void {
  addDeletionOptions(addClusterOptions(program.command('replay')))
    .description('Sweeps a cluster as if it had just written a saved audit log, and shows who changed what.')
    .argument('[file]', 'a saved audit log, - for standard input')
    .addOption(
      new Option('--mode <mode>', 'report changes nothing; delete asks and deletes, as reap does')
        .choices(['report', 'delete'])
        .default('report'),
    )
    .addHelpText(
      'after',
      `
The file contains audit events (audit.k8s.io/v1) anywhere in JSON: one on each
line, an EventList, an export to S3, the output of \`aws logs\`, or what a
subscription receives. It may be gzip. Without an audit event the command fails.

${DELETION_EXIT_CODES}

Examples:
  What did these changes leave behind?
    reaper replay audit.jsonl --context prod
    aws logs filter-log-events --log-group-name /aws/eks/shop/cluster \\
      --log-stream-name-prefix kube-apiserver-audit --output json |
      reaper replay - --eks shop -o json
  Delete it:
    cat export/*.gz | reaper replay - --eks shop --mode delete --yes`,
    )
    .action(async (file: string | undefined, options: ReplayOptions) => {
      if (file === undefined) {
        const taken = typeof options.eks === 'string' ? ` (${options.eks} counts as the name of a cluster)` : '';
        throw new UsageError(`give the file with the audit log, before --eks${taken}`);
      }
      if (options.eks === true || options.eks?.includes(',')) {
        throw new UsageError('an audit log belongs to one cluster: give --context or --eks with one name');
      }
      const isReport = options.mode === 'report';
      if (!isReport) requireAnswer(options);
      const changes = await changesIn(file);
      if (changes === undefined) process.exitCode = EXIT.failed;
      else if (changes.length === 0) say('no object that an HPA depends on was changed: nothing to sweep');
      else await planAndDelete(await targetsOf(options), { ...options, dryRun: isReport || options.dryRun }, changes);
    });
}

const auditEventReader: ObjectReader<{ line: string; where: string }> = (object, _, where) =>
  object.kind === 'Event' && typeof object.apiVersion === 'string' && object.apiVersion.startsWith('audit.k8s.io/')
    ? { value: { line: JSON.stringify(object), where } }
    : undefined;

/** The changes in an audit log in the order of time; `undefined` for a file without an audit event that can be read. */
async function changesIn(file: string): Promise<Change[] | undefined> {
  const name = nameOfFile(file);
  const wanted = 'audit event (kind Event, apiVersion audit.k8s.io/v1)';
  const { found } = findAndReport(name, await readText(file), wanted, auditEventReader);
  const { changes, kept, faults } = changesOf(found.map(({ line }) => line));
  for (const { index, fault } of faults.slice(0, 10)) say(`${name}: ${found[index]?.where}: ${fault}`);
  if (faults.length === found.length) return undefined;
  const counts = `${counted(found.length, 'audit event')}, ${kept} of which may affect an HPA, ${faults.length} unreadable`;
  say(`${name}: ${counts}; ${counted(changes.length, 'changed object')}`);
  return changes.map(changeOf).sort((a, b) => a.time.localeCompare(b.time));
}
