import type { ClusterReport, RunReport } from '../../domain/report.ts';
import {
  columnsOf,
  gapsOf,
  introductionOf,
  type Notice,
  noticesOf,
  regionNoticesOf,
  summaryOf,
  titleOf,
  totalsOf,
  type View,
} from './words.ts';

/** For a ticket: a heading and a table for each cluster. */
export function markdownReport(report: RunReport): string {
  const isAlone = report.clusters.length === 1 && report.totals.clusters === 1;
  const paragraphs = [
    ...introductionOf(report).map(escaped),
    ...(isAlone ? [] : [`${escaped(totalsOf(report))}.`]),
    ...report.clusters.flatMap((cluster) => clusterParagraphs(cluster, report)),
    ...regionNoticesOf(report).map(noticeParagraph),
    ...gapsOf(report).map(escaped),
  ];
  return `${paragraphs.join('\n\n')}\n`;
}

function clusterParagraphs(cluster: ClusterReport, view: View): string[] {
  const { hpas, result } = cluster;
  return [
    `### ${escaped(titleOf(cluster))}`,
    ...(result === 'swept' ? [`${summaryOf(hpas, view)}.`] : []),
    ...noticesOf(cluster).map(noticeParagraph),
    ...(hpas.length === 0 ? [] : [hpaTable(cluster, view)]),
  ];
}

const noticeParagraph = ({ title, message, remedy }: Notice): string =>
  `**${escaped(title)}**: ${escaped(message)}. ${escaped(remedy)}`;

function hpaTable({ hpas }: ClusterReport, view: View): string {
  const columns = columnsOf(view);
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [
    row(columns.map(({ heading }) => heading)),
    row(columns.map(() => '---')),
    ...hpas.map((hpa) => row(columns.map(({ cell }) => escaped(cell(hpa))))),
  ].join('\n');
}

/** What others have written makes no markup, no further column and no further line. */
const escaped = (text: string): string => text.replaceAll(/\p{Cc}+/gu, ' ').replaceAll(/[\\|<>*`[\]~]/g, '\\$&');
