import type { RunReport } from '../../events/report.ts';
import { htmlReport } from './html.ts';
import { harmless, markdownTable, markdownText, type Screen, serialized, tableLines, wrap } from './output.ts';
import {
  type ClusterView,
  type Column,
  columnsOf,
  MISSING_COLUMNS,
  MISSING_TITLE,
  type Notice,
  type Run,
  toneOf,
  viewOf,
} from './words.ts';

export const FORMATS = ['table', 'json', 'yaml', 'markdown', 'html'] as const;
export type Format = (typeof FORMATS)[number];

/** The report of a run as a command prints it. Only a table depends on the screen. */
export function formatReport(report: RunReport, format: Format, screen: Screen): string {
  switch (format) {
    case 'table':
      return textReport(report, screen);
    case 'markdown':
      return markdownReport(report);
    case 'html':
      return htmlReport(report);
    default:
      return serialized(report, format);
  }
}

/** A section for each cluster, what else is to be known, and the totals of several clusters. */
function textReport(report: RunReport, screen: Screen): string {
  const { introduction, clusters, regions, gaps, totals } = viewOf(report);
  const sections = [
    introduction.flatMap((sentence) => wrapped(sentence, screen)),
    ...clusters.map((cluster) => clusterLines(cluster, report, screen)),
    regions.flatMap((notice) => noticeLines(notice, screen)),
    gaps.flatMap((sentence) => wrapped(sentence, screen)),
    totals === undefined ? [] : wrapped(`Total: ${totals}`, screen),
  ];
  return sections
    .filter((lines) => lines.length > 0)
    .map((lines) => `${lines.join('\n')}\n`)
    .join('\n');
}

function clusterLines(cluster: ClusterView, run: Run, screen: Screen): string[] {
  const { title, summary, notices, result, hpas, missing } = cluster;
  return [
    ...wrapped(`${title}: ${result === 'swept' ? summary : 'not swept'}`, screen),
    ...notices.flatMap((notice) => noticeLines(notice, screen, '  ')),
    ...(hpas.length > 0
      ? tableLines(rowsOf(columnsOf(run), hpas), screen, (row) => hpas[row] && toneOf(hpas[row]))
      : []),
    ...(missing.length > 0
      ? ['', MISSING_TITLE, ...tableLines(rowsOf(MISSING_COLUMNS, missing), screen, () => 'bad')]
      : []),
  ];
}

const noticeLines = ({ title, message, remedy }: Notice, screen: Screen, indent = ''): string[] => [
  ...wrapped(title, screen, indent),
  ...wrapped(message, screen, `${indent}  `),
  ...wrapped(remedy, screen, `${indent}  `),
];

const wrapped = (text: string, { width }: Screen, indent = ''): string[] => wrap(harmless(text), width, indent);

/** For a ticket: a heading and a table for each cluster. */
function markdownReport(report: RunReport): string {
  const { introduction, clusters, regions, gaps, totals } = viewOf(report);
  const notice = ({ title, message, remedy }: Notice) =>
    `**${markdownText(title)}**: ${markdownText(message)}. ${markdownText(remedy)}`;
  const paragraphs = [
    ...introduction.map(markdownText),
    ...(totals === undefined ? [] : [`${markdownText(totals)}.`]),
    ...clusters.flatMap(({ title, result, summary, notices, hpas, missing }) => [
      `### ${markdownText(title)}`,
      ...(result === 'swept' ? [`${summary}.`] : []),
      ...notices.map(notice),
      ...(hpas.length === 0 ? [] : [markdownTable(rowsOf(columnsOf(report), hpas))]),
      ...(missing.length === 0 ? [] : [`#### ${MISSING_TITLE}`, markdownTable(rowsOf(MISSING_COLUMNS, missing))]),
    ]),
    ...regions.map(notice),
    ...gaps.map(markdownText),
  ];
  return `${paragraphs.join('\n\n')}\n`;
}

/** The headings, and a row of cells for each. */
const rowsOf = <Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string[][] => [
  columns.map(({ heading }) => heading),
  ...rows.map((row) => columns.map(({ cell }) => cell(row))),
];
