import type { ClusterReport, RunReport } from '../../events/report.ts';
import {
  type Column,
  clusterWordsOf,
  columnsOf,
  MISSING_COLUMNS,
  MISSING_TITLE,
  type Notice,
  type View,
  wordsOf,
} from './words.ts';

/** For a ticket: a heading and a table for each cluster. */
export function markdownReport(report: RunReport): string {
  const { introduction, totals, regions, gaps, isOfOneCluster } = wordsOf(report);
  const paragraphs = [
    ...introduction.map(escaped),
    ...(isOfOneCluster ? [] : [`${escaped(totals)}.`]),
    ...report.clusters.flatMap((cluster) => clusterParagraphs(cluster, report)),
    ...regions.map(noticeParagraph),
    ...gaps.map(escaped),
  ];
  return `${paragraphs.join('\n\n')}\n`;
}

function clusterParagraphs(cluster: ClusterReport, view: View): string[] {
  const { title, summary, notices } = clusterWordsOf(cluster, view);
  return [
    `### ${escaped(title)}`,
    ...(cluster.result === 'swept' ? [`${summary}.`] : []),
    ...notices.map(noticeParagraph),
    ...(cluster.hpas.length === 0 ? [] : [table(columnsOf(view), cluster.hpas)]),
    ...(cluster.missing.length === 0 ? [] : [`#### ${MISSING_TITLE}`, table(MISSING_COLUMNS, cluster.missing)]),
  ];
}

const noticeParagraph = ({ title, message, remedy }: Notice): string =>
  `**${escaped(title)}**: ${escaped(message)}. ${escaped(remedy)}`;

function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [
    line(columns.map(({ heading }) => heading)),
    line(columns.map(() => '---')),
    ...rows.map((row) => line(columns.map(({ cell }) => escaped(cell(row))))),
  ].join('\n');
}

/** What others have written makes no markup, no further column and no further line. */
const escaped = (text: string): string => text.replaceAll(/\p{Cc}+/gu, ' ').replaceAll(/[\\|<>*`[\]~]/g, '\\$&');
