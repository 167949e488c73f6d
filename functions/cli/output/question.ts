import process from 'node:process';
import { createInterface } from 'node:readline/promises';

/** Whether there is a person who can be asked. Stdout may well go into a file. */
export const canAsk = (): boolean => process.stdin.isTTY === true && process.stderr.isTTY === true;

/** @returns what the person decided; `interrupted` for Ctrl-C */
export async function ask(question: string): Promise<'yes' | 'no' | 'interrupted'> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const end = new AbortController();
  let ended: 'no' | 'interrupted' = 'no';
  terminal.once('SIGINT', () => {
    ended = 'interrupted';
    end.abort();
  });
  terminal.once('close', () => end.abort());
  try {
    const answer = await terminal.question(`${question} [y/N] `, { signal: end.signal });
    return /^y(es)?$/i.test(answer.trim()) ? 'yes' : 'no';
  } catch (error) {
    if (!end.signal.aborted) throw error;
    process.stderr.write('\n');
    return ended;
  } finally {
    terminal.close();
  }
}
