import { styleText } from 'node:util';
import type { ClusterReport, MissingHpaReport, RunReport, SweptHpa } from '../../events/report.ts';
import {
  clusterWordsOf,
  columnsOf,
  MISSING_COLUMNS,
  MISSING_TITLE,
  type Notice,
  toneOf,
  type View,
  wordsOf,
} from './words.ts';

export interface Screen {
  /** Columns of the terminal; absent where the output goes somewhere else. */
  readonly width?: number;
  readonly color: boolean;
}

/** For a person at a terminal: a section for each cluster, what else is to be known, and the sum of several clusters. */
export function textReport(report: RunReport, screen: Screen): string {
  const { introduction, totals, regions, gaps, isOfOneCluster } = wordsOf(report);
  const sections = [
    introduction.flatMap((sentence) => wrapped(sentence, screen)),
    ...report.clusters.map((cluster) => clusterSection(cluster, report, screen)),
    regions.flatMap((notice) => noticeLines(notice, screen)),
    gaps.flatMap((sentence) => wrapped(sentence, screen)),
    isOfOneCluster ? [] : wrapped(`In all: ${totals}`, screen),
  ];
  return sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.map((line) => `${line}\n`).join(''))
    .join('\n');
}

function clusterSection(cluster: ClusterReport, view: View, screen: Screen): string[] {
  const { title, summary, notices } = clusterWordsOf(cluster, view);
  const told = notices.flatMap((notice) => noticeLines(notice, screen, '  '));
  if (cluster.result !== 'swept') return [...wrapped(`${title}: not swept`, screen), ...told];
  return [
    ...wrapped(`${title}: ${summary}`, screen),
    ...told,
    ...hpaLines(cluster.hpas, view, screen),
    ...missingLines(cluster.missing, screen),
  ];
}

const noticeLines = ({ title, message, remedy }: Notice, screen: Screen, indent = ''): string[] => [
  ...wrapped(title, screen, indent),
  ...wrapped(message, screen, `${indent}  `),
  ...wrapped(remedy, screen, `${indent}  `),
];

/** A table where it fits the terminal, else a block for each HPA. */
function hpaLines(hpas: readonly SweptHpa[], view: View, screen: Screen): string[] {
  if (hpas.length === 0) return [];
  const columns = columnsOf(view);
  const rows = hpas.map((hpa) => columns.map(({ cell }) => harmless(cell(hpa))));
  const [headings = '', ...lines] = table([columns.map(({ heading }) => heading), ...rows])
    .trimEnd()
    .split('\n');
  const { width = Number.POSITIVE_INFINITY, color } = screen;
  if ([headings, ...lines].every((line) => line.length <= width)) {
    return [headings, ...lines.map((line, index) => paint(line, hpas[index], color))];
  }
  return hpas.flatMap((hpa) => ['', ...block(hpa, view, screen).map((line) => paint(line, hpa, color))]);
}

/** A block for each: why, and what to do about it, are sentences of their own. */
function missingLines(missing: readonly MissingHpaReport[], screen: Screen): string[] {
  if (missing.length === 0) return [];
  const blocks = missing.map((one) => {
    const cells = new Map(MISSING_COLUMNS.map(({ heading, cell }) => [heading, cell(one)]));
    const title = `missing  ${cells.get('NAMESPACE')}/${cells.get('NAME')} of ${cells.get('OWNER')}`;
    return [
      ...wrapped(title, screen).map((line) => colored(line, 'bad', screen.color)),
      ...wrapped(cells.get('WHY') ?? '', screen, '  '),
      ...wrapped(cells.get('REMEDY') ?? '', screen, '  '),
    ];
  });
  return ['', MISSING_TITLE, ...blocks.flat()];
}

const COLORS = { bad: 'red', open: 'yellow', good: 'green' } as const;

function paint(text: string, hpa: SweptHpa | undefined, color: boolean): string {
  const tone = hpa && toneOf(hpa);
  return tone ? colored(text, tone, color) : text;
}

const colored = (text: string, tone: keyof typeof COLORS, color: boolean): string =>
  color ? styleText(COLORS[tone], text, { validateStream: false }) : text;

function block(hpa: SweptHpa, view: View, screen: Screen): string[] {
  const cells = new Map(columnsOf(view).map(({ heading, cell }) => [heading, cell(hpa)]));
  const change = cells.get('WHAT IF');
  const verdict = cells.get('OUTCOME') ?? cells.get('ACTION');
  return [
    ...wrapped(`${verdict}${change ? ` (${change})` : ''}  ${hpa.namespace}/${hpa.name}`, screen),
    ...wrapped(`${cells.get('REASON')}, replicas ${cells.get('REPLICAS')}`, screen, '  '),
    ...wrapped(cells.get('WHY') ?? '', screen, '  '),
  ];
}

const wrapped = (text: string, { width }: Screen, indent = ''): string[] =>
  filled(harmless(text).split(' '), width, indent);

/** Words in lines that are no wider, if they need not be: a longer word stays whole, so that it can be copied. */
export function filled(words: readonly string[], width = Number.POSITIVE_INFINITY, indent = ''): string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(indent + word);
  }
  return lines;
}

/** What others have written (a server, a kubeconfig) cannot move the cursor or begin a line. */
export const harmless = (text: string): string => text.replaceAll(/\p{Cc}+/gu, ' ');

/** Columns as wide as their widest cell, two spaces apart, without trailing space. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[]) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ');
  return rows.map((row) => `${line(row).trimEnd()}\n`).join('');
}
