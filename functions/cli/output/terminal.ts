import process from 'node:process';
import { clearLine, createInterface, cursorTo } from 'node:readline';
import type { RunProgress } from '../../sweep/for-each-cluster.ts';
import type { Screen } from './output.ts';

/** Exit codes of the process. */
export const EXIT = { done: 0, failed: 1, usage: 2, stale: 3, interrupted: 130 } as const;

/** Milliseconds per request to a cluster, which may be far away. */
export const REQUEST_TIMEOUT = 30_000;

/** Prints a message for a person on stderr. */
export const say = (text: string): void => void process.stderr.write(`reaper: ${text}\n`);

/** As wide as a terminal and in its colors, or plain in a file. */
export const screenOf = (stream: NodeJS.WriteStream): Screen => ({
  width: stream.isTTY ? stream.columns : undefined,
  color: stream.isTTY === true && stream.hasColors(),
});

/** A word for a shell. */
export const quoted = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

/**
 * The progress of a run in one line on stderr; nothing without a terminal, or with `--quiet`. `end` clears the line, so that what
 * comes next begins at its start.
 */
export function progressLine(quiet = false) {
  const { stderr } = process;
  const isShown = stderr.isTTY && !quiet;
  const clear = () => {
    if (!isShown) return;
    cursorTo(stderr, 0);
    clearLine(stderr, 0);
  };
  return {
    show({ clusters, done, problems }: RunProgress): void {
      if (!isShown) return;
      clear();
      const text = `${done} of ${clusters} clusters, ${problems} with a problem`;
      stderr.write(text.slice(0, (stderr.columns || 80) - 1));
    },
    end: clear,
  };
}

/** Whether there is a person to ask. Stdout may go into a file. */
export const canAsk = (): boolean => process.stdin.isTTY === true && process.stderr.isTTY === true;

/** @returns what the person decided; `interrupted` for Ctrl-C */
export async function ask(question: string): Promise<'yes' | 'no' | 'interrupted'> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await new Promise<string>((resolve) => {
    terminal.once('SIGINT', () => resolve('interrupted'));
    terminal.once('close', () => resolve('closed'));
    terminal.question(`${question} [y/N] `, resolve);
  });
  terminal.close();
  if (answer === 'interrupted' || answer === 'closed') process.stderr.write('\n');
  if (answer === 'interrupted') return 'interrupted';
  return /^y(es)?$/i.test(answer.trim()) ? 'yes' : 'no';
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
