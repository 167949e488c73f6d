import { styleText } from 'node:util';
import { stringify } from 'yaml';

/** What a table is written for. */
export interface Screen {
  /** Columns of the terminal; absent where the output is not a terminal. */
  readonly width?: number;
  readonly color: boolean;
}

/** An answer of a command for a program. */
export const serialized = (answer: object, format: 'json' | 'yaml'): string =>
  format === 'json' ? `${JSON.stringify(answer, null, 2)}\n` : stringify(answer, { lineWidth: 0 });

/** Columns as wide as their widest cell, two spaces apart, without trailing spaces. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[]) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ');
  return rows.map((row) => `${line(row).trimEnd()}\n`).join('');
}

/**
 * A table where it fits the screen, otherwise a block for each row, with the last cell below the others.
 *
 * @param rows the headings first
 * @param toneOf the tone of a row, by its index without the headings
 */
export function tableLines(
  rows: readonly (readonly string[])[],
  screen: Screen,
  toneOf: (row: number) => Tone | undefined = () => undefined,
): string[] {
  const { width = Number.POSITIVE_INFINITY } = screen;
  const cells = rows.map((row) => row.map(harmless));
  const lines = table(cells).trimEnd().split('\n');
  const paint = (line: string, row: number) => colored(line, row < 0 ? undefined : toneOf(row), screen);
  if (lines.every((line) => line.length <= width)) return lines.map((line, index) => paint(line, index - 1));
  return cells.slice(1).flatMap((row, index) => {
    const others = row.slice(0, -1).filter((cell) => cell !== '');
    const block = [...wrap(others.join('  '), width), ...wrap(row.at(-1) ?? '', width, '  ')];
    return ['', ...block.map((line) => paint(line.trimEnd(), index))];
  });
}

/** A table in Markdown, without a newline at its end. The first row is the headings. */
export function markdownTable([headings = [], ...rows]: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(headings), line(headings.map(() => '---')), ...rows.map((row) => line(row.map(markdownText)))].join(
    '\n',
  );
}

/** Names and messages from elsewhere create no markup, no column and no line in Markdown. */
export const markdownText = (text: string): string => harmless(text).replaceAll(/[\\|<>*`[\]~]/g, '\\$&');

/** Names and messages from elsewhere (a server, a kubeconfig) can neither move the cursor nor start a line. */
export const harmless = (text: string): string => text.replaceAll(/\p{Cc}+/gu, ' ');

/** Breaks a text between words into lines of a width. A longer word stays whole, so that it can be copied. */
export function wrap(text: string, width = Number.POSITIVE_INFINITY, indent = ''): string[] {
  const lines: string[] = [];
  // Two spaces between cells stay together, and none starts a line.
  for (const word of text.split(/ (?! )/)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(indent + word);
  }
  return lines;
}

/** By tone of an HPA, and by state of a check. */
const COLORS = {
  bad: 'red',
  broken: 'red',
  open: 'yellow',
  warning: 'yellow',
  good: 'green',
  ok: 'green',
  unknown: 'dim',
} as const;
type Tone = keyof typeof COLORS;

/** The text in the color of a tone or a state, where the screen has colors. */
export const colored = (text: string, tone: Tone | undefined, { color }: Screen): string =>
  color && tone ? styleText(COLORS[tone], text, { validateStream: false }) : text;
