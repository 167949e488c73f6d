import { type Command, Option } from 'commander';
import { changesOf } from '../../events/audit-event.ts';
import { type Change, changeOf } from '../../events/change-event.ts';
import { MalformedInputError } from '../../platform/errors.ts';
import { type LogLine, linesOfAnswer, linesOfText, parsedObject } from '../input/log-file.ts';
import { nameOfFile, readText } from '../input/read-text.ts';
import { addTargetOptions, type TargetOptions, targetsOf } from '../input/targets.ts';
import { say } from '../output/terminal.ts';
import { counted } from '../output/words.ts';
import { addDeletionOptions, DELETION_EXIT_CODES, type DeletionOptions, planAndDelete, requireAnswer } from './reap.ts';

interface ReplayOptions extends TargetOptions, DeletionOptions {
  readonly mode: 'report' | 'delete';
}

/** So many unreadable lines are told one by one. */
const FAULTS_TOLD = 10;

export function addReplayCommand(program: Command): void {
  addDeletionOptions(
    addTargetOptions(
      program
        .command('replay')
        .description(
          'Looks at a cluster as if it had just written these lines of its audit log, and tells who changed what.',
        )
        .argument('<file>', 'a saved audit log, - for standard input'),
      ['--all-contexts', '--tag'],
    ),
  )
    .addOption(
      new Option('--mode <mode>', 'report changes nothing; delete asks and deletes, as reap does')
        .choices(['report', 'delete'])
        .default('report'),
    )
    .addHelpText(
      'after',
      `
The file:
  One audit event a line, what CloudWatch Logs exports to S3, the output of
  \`aws logs filter-log-events\`, or the event of a subscription; each may be gzip.

${DELETION_EXIT_CODES}
A file with lines of which none is an audit event is a failure (1).

Examples:
  What did these changes leave behind?
    reaper replay audit.jsonl --context prod
    aws logs filter-log-events --log-group-name /aws/eks/shop/cluster \\
      --log-stream-name-prefix kube-apiserver-audit --output json |
      reaper replay - --eks shop -o json
  Delete it:
    cat export/*.gz | reaper replay - --eks shop --mode delete --yes`,
    )
    .action(async (file: string, options: ReplayOptions, command: Command) => {
      if (options.allContexts || options.eks === true || options.eks?.includes(',')) {
        command.error('error: an audit log is of one cluster: give --context or --eks with one name');
      }
      const isReport = options.mode === 'report';
      if (!isReport) requireAnswer(options, command);
      const changes = await changesIn(file);
      if (changes.length === 0) {
        say('no object that an HPA depends on was changed: nothing to look at');
        return;
      }
      await planAndDelete(await targetsOf(options), { ...options, dryRun: isReport || options.dryRun }, changes);
    });
}

/**
 * What `forward` makes of the lines; tells of it on stderr.
 *
 * @throws {MalformedInputError} where none of them can be read
 */
async function changesIn(file: string): Promise<Change[]> {
  const lines = await auditLines(file);
  const { changes: written, kept, faults: unreadable } = changesOf(lines.map(({ text }) => text));
  const faults = unreadable.map(({ index, fault }) => `${lines[index]?.where}: ${fault}`);
  const changes = written.map(changeOf);
  say(
    `${nameOfFile(file)}: ${counted(lines.length, 'line')}, ${kept} of them may affect an HPA, ${faults.length} unreadable; ${counted(changes.length, 'changed object')}`,
  );
  for (const fault of faults.slice(0, FAULTS_TOLD)) say(fault);
  if (faults.length > FAULTS_TOLD) say(`and ${faults.length - FAULTS_TOLD} more lines like that`);
  if (lines.length > 0 && faults.length === lines.length) {
    throw new MalformedInputError(`${nameOfFile(file)} is no audit log: none of its lines is an audit event`);
  }
  for (const change of changes) say(describeChange(change));
  return changes;
}

function describeChange({ time, username, impersonatedUsername, verb, resource, namespace, name }: Change): string {
  const who = impersonatedUsername === undefined ? username : `${username} as ${impersonatedUsername}`;
  const what = [namespace, name].filter((part) => part !== undefined).join('/');
  return `${time} ${who}: ${verb} ${resource}${what && ` ${what}`}`;
}

async function auditLines(file: string): Promise<LogLine[]> {
  const text = await readText(file);
  const document = parsedObject(text);
  if (document !== undefined && 'awslogs' in document) {
    const { decodePayload } = await import('../../forward/forward.ts');
    const { messageType, logEvents } = decodePayload(document);
    if (messageType === 'CONTROL_MESSAGE') return [];
    return logEvents.map(({ message }, index) => ({
      where: `event ${index + 1}`,
      text: message,
    }));
  }
  return linesOfAnswer(document) ?? linesOfText(text);
}
