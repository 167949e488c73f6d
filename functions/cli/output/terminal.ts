import process from 'node:process';
import { clearLine, createInterface, cursorTo } from 'node:readline';
import { type Command, Option } from 'commander';
import type { RunReport } from '../../events/report.ts';
import { UsageError } from '../../platform/errors.ts';
import { messageLine } from '../../platform/printable.ts';
import type { LoopOptions } from '../../sweep/for-each-cluster.ts';
import { FORMATS, formatReport, wrap } from './output.ts';
import { LEGEND, type Shown } from './words.ts';

/** Exit codes of the process. */
export const EXIT = { done: 0, failed: 1, usage: 2, stale: 3, interrupted: 130 } as const;

/** Milliseconds per request to a cluster, which may be far away. */
export const REQUEST_TIMEOUT = 30_000;

/** Prints a message for a person on stderr. A line that starts with a space is a command to copy, and stays whole. */
export function say(text: string): void {
  const { width } = screenOf(process.stderr);
  const lines = `reaper: ${text}`.split('\n');
  process.stderr.write(
    `${lines.flatMap((line) => (line.startsWith(' ') ? [line] : wrap(messageLine(line), width))).join('\n')}\n`,
  );
}

/** As wide as a terminal and in its colors, or plain in a file unless FORCE_COLOR is set. */
export const screenOf = (stream: NodeJS.WriteStream) => ({
  width: stream.isTTY ? stream.columns : undefined,
  color: process.env.FORCE_COLOR ? process.env.FORCE_COLOR !== '0' : stream.isTTY === true && stream.hasColors(),
});

/** A word for a shell. */
export const quoted = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

/** Flags for a shell; those without a value are left out. */
export const shellFlags = (flags: Readonly<Record<string, string | true | undefined>>): string =>
  Object.entries(flags)
    .flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, ...(value === true ? [] : [quoted(value)])]))
    .join(' ');

/** The flags of a command that prints an answer. */
export interface OutputOptions<Formats extends readonly string[]> {
  readonly output: Formats[number];
  readonly quiet?: boolean;
}

export const addOutputOptions = (command: Command, formats: readonly string[]): Command =>
  command
    .addOption(new Option('-o, --output <format>', 'output format').choices(formats).default('table'))
    .option('-q, --quiet', 'show no progress');

/** The flags of a command that prints the report of a run. */
export interface ReportOptions extends OutputOptions<typeof FORMATS> {
  /** Also shows the HPAs that are kept. */
  readonly all?: boolean;
  /** False for a table without headings. */
  readonly headers: boolean;
}

export const addReportOptions = (command: Command): Command =>
  addOutputOptions(command, FORMATS)
    .option('--all', 'also show the HPAs that are kept; json, yaml and html always do')
    .option('--no-headers', 'print only the rows of the table, each in one line')
    .addHelpText('after', `\n${wrap(LEGEND, 80).join('\n')}`);

/** Prints a report; `shown` unless all HPAs are asked for. */
export function printReport(
  report: RunReport,
  { output, all, headers }: ReportOptions,
  stream: NodeJS.WriteStream = process.stdout,
  shown: Shown = 'findings',
): void {
  stream.write(formatReport(report, output, { ...screenOf(stream), headers }, all ? 'all' : shown));
}

/** Shows the progress of a run in one line on stderr while it lasts; nothing without a terminal, or with `--quiet`. */
export async function withProgress<T>(
  { quiet }: { readonly quiet?: boolean },
  run: (onProgress: LoopOptions['onProgress']) => Promise<T>,
): Promise<T> {
  const { stderr } = process;
  if (!stderr.isTTY || quiet) return await run(() => {});
  const clear = () => cursorTo(stderr, 0) && clearLine(stderr, 0);
  return await run(({ clusters, done, problems }) => {
    clear();
    const text = `${done} of ${clusters} clusters, ${problems} with a problem`;
    stderr.write(text.slice(0, (stderr.columns || 80) - 1));
  }).finally(clear);
}

/** The flags of a command that asks before it writes. */
export interface ConfirmOptions {
  readonly yes?: boolean;
  readonly dryRun?: boolean;
}

/** @throws {UsageError} where the command would have to ask, and there is no person to answer. Stdout may go into a file */
export function requireAnswer({ yes, dryRun }: ConfirmOptions): void {
  if (yes || dryRun || (process.stdin.isTTY && process.stderr.isTTY)) return;
  throw new UsageError(
    'there is no terminal to ask on: give --yes to continue without a question, or --dry-run to see the plan',
  );
}

/** Asks unless `--yes` is given. After a no it prints `refused`, and sets the exit code for Ctrl-C. */
export async function confirmed(question: string, { yes }: ConfirmOptions, refused: string): Promise<boolean> {
  if (yes) return true;
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await new Promise<string | undefined>((resolve) => {
    terminal.once('SIGINT', () => {
      process.exitCode = EXIT.interrupted;
      resolve(undefined);
    });
    terminal.once('close', () => resolve(undefined));
    terminal.question(`${question} [y/N] `, resolve);
  });
  terminal.close();
  if (answer === undefined) process.stderr.write('\n');
  else if (/^y(es)?$/i.test(answer.trim())) return true;
  say(refused);
  return false;
}

/**
 * Runs `work`. The first Ctrl-C aborts its signal, so that it ends in good order; a second one ends the process at once.
 *
 * @returns the result, and whether Ctrl-C was pressed
 */
export async function interruptible<T>(work: (stop: AbortSignal) => Promise<T>): Promise<[T, boolean]> {
  const stop = new AbortController();
  const interrupt = () => {
    if (stop.signal.aborted) process.exit(EXIT.interrupted);
    stop.abort();
    process.stderr.write('\n');
    say('stopping: requests in progress finish, and nothing else is deleted. Ctrl-C again ends at once.');
  };
  process.on('SIGINT', interrupt);
  try {
    return [await work(stop.signal), stop.signal.aborted];
  } finally {
    process.off('SIGINT', interrupt);
  }
}
