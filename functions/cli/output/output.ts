import { styleText } from 'node:util';
import { stringify } from 'yaml';
import { type Check, type DoctorReport, STATES } from '../../doctor/report.ts';
import type { RunReport } from '../../events/report.ts';
import { printable } from '../../platform/printable.ts';
import { htmlReport } from './html.ts';
import { type Block, blocksOf, type Shown, staleFirst, tally, titleOf } from './words.ts';

/** What a table is written for. */
interface Screen {
  /** Columns of the terminal; absent where the output is not a terminal. */
  readonly width?: number;
  readonly color: boolean;
  /** False for the rows of HPAs alone, each in one line. */
  readonly headers?: boolean;
}

export const FORMATS = ['table', 'name', 'json', 'yaml', 'markdown', 'html'] as const;
type Format = (typeof FORMATS)[number];

/**
 * The report of a run as a command prints it, with what is to go first. Only a table depends on the screen.
 *
 * @param shown the HPAs in a table and in Markdown; the other formats contain all
 */
export function formatReport(run: RunReport, format: Format, screen: Screen, shown: Shown = 'findings'): string {
  const report = staleFirst(run);
  if (format === 'json' || format === 'yaml') return serialized(report, format);
  if (format === 'html') return htmlReport(report);
  if (format === 'name') return namesOf(report, shown);
  const { introduction, clusters, regions, gaps, totals } = blocksOf(report, shown);
  const total = (text: string): Block[] => (totals === undefined ? [] : [{ kind: 'paragraph', text }]);
  if (format === 'markdown') {
    const blocks = [...introduction, ...total(`${totals}.`), ...clusters.flat(), ...regions, ...gaps];
    return `${blocks.flatMap(markdownOf).join('\n\n')}\n`;
  }
  if (screen.headers === false) {
    const tables = clusters.flat().filter((block) => block.kind === 'table' && block.title === undefined);
    const rows = tables.flatMap((block) => linesOf(block, { color: screen.color }).slice(1));
    return rows.map((line) => `${line}\n`).join('');
  }
  return [introduction, ...clusters, regions, gaps, total(`Total: ${totals}`)]
    .filter((blocks) => blocks.length > 0)
    .map((blocks) => {
      const indent = blocks[0]?.kind === 'heading' ? '  ' : '';
      // What a paragraph says of a cluster stands apart from its table.
      const linesBefore = ({ kind }: Block) => (indent !== '' && kind === 'paragraph' ? [''] : []);
      return `${blocks.flatMap((block) => [...linesBefore(block), ...linesOf(block, screen, indent)]).join('\n')}\n`;
    })
    .join('\n');
}

/** A line for each HPA, for `xargs -L1 kubectl get`. */
const namesOf = ({ clusters }: RunReport, shown: Shown): string =>
  clusters
    .flatMap(({ hpas }) => hpas.filter(({ outcome }) => shown === 'all' || outcome !== 'Kept'))
    .map(({ namespace, name }) => `horizontalpodautoscaler.autoscaling/${name} --namespace=${namespace}\n`)
    .join('');

/** @param indent of notices */
function linesOf(block: Block, screen: Screen, indent = ''): string[] {
  const wrapped = (text: string, before = '') => wrap(text, screen.width, before);
  switch (block.kind) {
    case 'heading':
      return wrapped(`${block.title}: ${block.summary ?? 'not swept'}`);
    case 'paragraph':
      return wrapped(block.text);
    case 'notice':
      return [
        ...wrapped(block.title, indent),
        ...[block.message, block.remedy].flatMap((text) => wrapped(text, `${indent}  `)),
      ];
    case 'table': {
      const { title, headings, rows } = block;
      const tones = rows.map(({ tone }) => tone);
      const lines = tableLines([headings, ...rows.map(({ cells }) => cells)], screen, tones);
      return title === undefined ? lines : ['', title, ...lines];
    }
  }
}

/** The paragraphs of a block, for a ticket. */
function markdownOf(block: Block): string[] {
  switch (block.kind) {
    case 'heading':
      return [`### ${markdownText(block.title)}`, ...(block.summary === undefined ? [] : [`${block.summary}.`])];
    case 'paragraph':
      return [markdownText(block.text)];
    case 'notice': {
      const [title, message = '', remedy] = [block.title, block.message, block.remedy].map(markdownText);
      return [`**${title}**: ${message.replace(/\.$/, '')}. ${remedy}`];
    }
    case 'table': {
      const { title, headings, rows } = block;
      const escaped = rows.map(({ cells }) => cells.map(markdownText));
      const lines = [headings, headings.map(() => '---'), ...escaped].map((cells) => `| ${cells.join(' | ')} |`);
      return [...(title === undefined ? [] : [`#### ${title}`]), lines.join('\n')];
    }
  }
}

/** The report as `doctor` prints it; only a table fits the screen. */
export function formatDoctorReport(
  report: DoctorReport,
  format: Exclude<Format, 'html' | 'name'>,
  screen: Screen,
): string {
  if (format === 'json' || format === 'yaml') return serialized(report, format);
  return report.clusters
    .map(({ checks, ...cluster }) => {
      const states = checks.map(({ state }) => state);
      const heading: Block = { kind: 'heading', title: titleOf(cluster), summary: tally(states, STATES) };
      return format === 'markdown' ? doctorMarkdown(heading, checks) : doctorTable(heading, checks, screen);
    })
    .join('\n');
}

const CHECK_HEADINGS = ['STATE', 'CHECK', 'FOUND'];

function doctorMarkdown(heading: Block, checks: readonly Check[]): string {
  const rows = checks.map(({ state, id, found, remedy = '', command = '' }) => ({
    cells: [state, id, found, `${remedy} ${command}`.trim()],
  }));
  const table: Block = { kind: 'table', headings: [...CHECK_HEADINGS, 'HOW TO FIX'], rows };
  return `${[heading, table].flatMap(markdownOf).join('\n\n')}\n`;
}

function doctorTable(heading: Block, checks: readonly Check[], screen: Screen): string {
  const rows = checks.map(({ state, id, found }) => ({ cells: [state, id, found], tone: CHECK_TONES[state] }));
  const table: Block = { kind: 'table', headings: CHECK_HEADINGS, rows };
  const lines = [heading, table].flatMap((block) => linesOf(block, screen));
  const fixes = checks.flatMap(({ id, remedy, command = '' }) =>
    remedy === undefined
      ? []
      : [...wrap(`${id}: ${remedy}`, screen.width, '  '), ...shellLines(command, screen.width, '    ')],
  );
  return `${[...lines, ...(fixes.length > 0 ? ['', 'How to fix:', ...fixes] : [])].join('\n')}\n`;
}

const CHECK_TONES = { broken: 'bad', warning: 'open', unknown: undefined, ok: 'good' } as const;

/** An answer of a command for a program. */
export const serialized = (answer: object, format: 'json' | 'yaml'): string =>
  format === 'json'
    ? `${JSON.stringify(answer, null, 2)}\n`
    : stringify(answer, { lineWidth: 0, aliasDuplicateObjects: false });

const COLORS = { bad: 'red', open: 'yellow', good: 'green' } as const;

/**
 * A table with columns as wide as their widest cell, two spaces apart. On a narrower screen the last column is wrapped where
 * that leaves it half of the screen; otherwise each row becomes a block, with the last cell below the others.
 *
 * @param rows the headings first
 * @param tones of the rows without the headings
 */
export function tableLines(
  rows: readonly (readonly string[])[],
  { width = Number.POSITIVE_INFINITY, color }: Screen = { color: false },
  tones: readonly (keyof typeof COLORS | undefined)[] = [],
): string[] {
  const cells = rows.map((row) => row.map(printable));
  const widths = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((row) => (row[column] ?? '').length)));
  const room = width - widths.slice(0, -1).reduce((sum, other) => sum + other + 2, 0);
  const isBlocks = room < Math.min(widths.at(-1) ?? 0, width / 2);
  const columnLines = (others: readonly string[], last: string) =>
    wrap(brokenWords(last, room), room).map((line, index) =>
      [...others.map((cell, column) => (index === 0 ? cell : '').padEnd(widths[column] ?? 0)), line].join('  '),
    );
  const blockLines = (others: readonly string[], last: string) => [
    '',
    ...wrap(others.filter((cell) => cell !== '').join('  '), width),
    ...wrap(last, width, '  '),
  ];
  return cells.flatMap((row, index) => {
    if (isBlocks && index === 0) return [];
    const lines = (isBlocks ? blockLines : columnLines)(row.slice(0, -1), row.at(-1) ?? '');
    const tone = color ? tones[index - 1] : undefined;
    return lines.map((line) => {
      const text = line.trimEnd();
      return tone && text !== '' ? styleText(COLORS[tone], text, { validateStream: false }) : text;
    });
  });
}

/** Names and messages from elsewhere create no markup, no column and no line in Markdown. */
const markdownText = (text: string): string => printable(text).replaceAll(/[\\|<>*`[\]~]/g, '\\$&');

/** Breaks a text between words. Two spaces between cells stay together, and none starts a line. */
export const wrap = (text: string, width?: number, indent = ''): string[] =>
  filledLines(printable(text).split(/ (?! )/), width, indent);

/** A text whose words are not longer than a width, so that a column keeps to it. */
const brokenWords = (text: string, width: number): string =>
  Number.isFinite(width) ? text.replaceAll(new RegExp(`\\S{${width}}(?=\\S)`, 'g'), '$& ') : text;

/** Breaks a command into lines that a shell takes as one command. */
const shellLines = (command: string, width = Number.POSITIVE_INFINITY, indent = ''): string[] =>
  filledLines(printable(command).match(/(?:'[^']*'|[^\s'])+/g) ?? [], width - 2, indent).map(
    (line, index, { length }) => (index < length - 1 ? `${line} \\` : line),
  );

/** Lines of a width. A longer word stays whole, so that it can be copied. */
function filledLines(words: readonly string[], width = Number.POSITIVE_INFINITY, indent: string): string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(indent + word);
  }
  return lines;
}
