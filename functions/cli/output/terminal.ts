import process from 'node:process';
import type { Screen } from './output.ts';

/** What a person is told besides the output, on stderr. */
export const say = (text: string): void => void process.stderr.write(`reaper: ${text}\n`);

/** How a table is to look there: as wide as a terminal and in its colors, or plain in a file. */
export const screenOf = (stream: NodeJS.WriteStream): Screen => ({
  width: stream.isTTY ? stream.columns : undefined,
  color: stream.isTTY === true && stream.hasColors(),
});

/** A word for a shell. */
export const quoted = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
