import type { MissingHpaReport, RunReport, SweptHpa } from '../../events/report.ts';
import { objectKey } from '../../judgement/kubernetes-objects.ts';
import { htmlReport } from './html.ts';
import { colored, harmless, markdownTable, markdownText, type Screen, serialized, table, wrap } from './output.ts';
import {
  type ClusterView,
  type Column,
  changeOf,
  columnsOf,
  MISSING_COLUMNS,
  MISSING_TITLE,
  type Notice,
  type Run,
  reasonOf,
  replicasOf,
  toneOf,
  verdictOf,
  viewOf,
  whyOf,
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
    ...hpaLines(hpas, run, screen),
    ...(missing.length > 0 ? ['', MISSING_TITLE] : []),
    ...missing.flatMap((one) => missingLines(one, screen)),
  ];
}

const noticeLines = ({ title, message, remedy }: Notice, screen: Screen, indent = ''): string[] => [
  ...wrapped(title, screen, indent),
  ...wrapped(message, screen, `${indent}  `),
  ...wrapped(remedy, screen, `${indent}  `),
];

/** A table where it fits the terminal, otherwise a block for each HPA. */
function hpaLines(hpas: readonly SweptHpa[], run: Run, screen: Screen): string[] {
  if (hpas.length === 0) return [];
  const rows = rowsOf(columnsOf(run), hpas).map((row) => row.map(harmless));
  const [headings = '', ...lines] = table(rows).trimEnd().split('\n');
  const { width = Number.POSITIVE_INFINITY } = screen;
  if ([headings, ...lines].every((line) => line.length <= width)) {
    return [headings, ...hpas.map((hpa, index) => colored(lines[index] ?? '', toneOf(hpa), screen))];
  }
  return hpas.flatMap((hpa) => {
    const change = changeOf(hpa) && ` (${changeOf(hpa)})`;
    const block = [
      ...wrapped(`${verdictOf(hpa, run)}${change}  ${objectKey(hpa)}`, screen),
      ...wrapped(`${reasonOf(hpa)}, replicas ${replicasOf(hpa)}`, screen, '  '),
      ...wrapped(whyOf(hpa), screen, '  '),
    ];
    return ['', ...block.map((line) => colored(line, toneOf(hpa), screen))];
  });
}

function missingLines({ owner, explanation, remedy, ...hpa }: MissingHpaReport, screen: Screen): string[] {
  const title = `missing  ${objectKey(hpa)} of ${owner.kind} ${objectKey(owner)}`;
  return [
    ...wrapped(title, screen).map((line) => colored(line, 'bad', screen)),
    ...wrapped(explanation, screen, '  '),
    ...wrapped(remedy, screen, '  '),
  ];
}

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
