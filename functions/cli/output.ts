import { styleText } from 'node:util';
import { stringify } from 'yaml';
import type { HpaReport, RunReport } from '../domain/report.ts';

export const FORMATS = ['table', 'json', 'yaml', 'markdown'] as const;
export type Format = (typeof FORMATS)[number];

export interface Screen {
  /** Columns of the terminal; absent where the output goes somewhere else. */
  readonly width?: number | undefined;
  readonly color: boolean;
}

export function formatReport(report: RunReport, format: Format, screen: Screen): string {
  switch (format) {
    case 'json':
      return `${JSON.stringify(report, null, 2)}\n`;
    case 'yaml':
      return stringify(report, { lineWidth: 0 });
    case 'markdown':
      return report.clusters.map(({ cluster, hpas }) => `${markdown(cluster, hpas)}\n`).join('\n');
    case 'table':
      return report.clusters
        .map(({ cluster, hpas }) => `${cluster}: ${summary(hpas)}\n${hpaTable(hpas, screen)}`)
        .join('\n');
  }
}

export function summary(hpas: readonly HpaReport[]): string {
  const stale = hpas.filter(({ action }) => action === 'delete').length;
  if (hpas.length === 0) return 'no HPA that carries a label of Envoy Gateway';
  return `${stale} stale of ${hpas.length} HPA${hpas.length === 1 ? '' : 's'} with a label of Envoy Gateway`;
}

const HEADINGS = ['ACTION', 'NAMESPACE', 'NAME', 'REASON', 'REPLICAS', 'WHY'];

/** REPLICAS is `current (min-max)`, and for a stale HPA what its Deployment falls back to. */
function cells({ action, namespace, name, reason, replicas, explanation, guard, dropsCapacity }: HpaReport): string[] {
  const { current, min, max, fallback } = replicas;
  const falls = action === 'delete' && fallback !== undefined ? ` → ${fallback}${dropsCapacity ? ' (drops)' : ''}` : '';
  return [
    action,
    namespace,
    name,
    guard ? `${reason} (held back: ${guard.name})` : reason,
    `${current ?? '?'} (${min}-${max})${falls}`,
    guard ? `${explanation} Held back: ${guard.explanation}.` : explanation,
  ];
}

/** A table where it fits the terminal, else a block for each HPA. */
function hpaTable(hpas: readonly HpaReport[], { width = Number.POSITIVE_INFINITY, color }: Screen): string {
  if (hpas.length === 0) return '';
  const lines = table([HEADINGS, ...hpas.map(cells)])
    .trimEnd()
    .split('\n');
  const fits = lines.every((line) => line.length <= width);
  const text = fits ? lines : ['', ...hpas.map((hpa) => `${block(cells(hpa), width)}\n`)];
  // The first line is the headings'.
  return `${text.map((line, index) => paint(line, hpas[index - 1], color)).join('\n')}\n`;
}

const paint = (text: string, hpa: HpaReport | undefined, color: boolean): string =>
  color && hpa?.action === 'delete' ? styleText('red', text, { validateStream: false }) : text;

function block([action = '', namespace, name, reason, replicas, why = '']: readonly string[], width: number): string {
  const indent = '  ';
  return [
    `${action}  ${namespace}/${name}`,
    `${indent}${reason}, replicas ${replicas}`,
    ...wrapped(why, width - indent.length).map((line) => indent + line),
  ].join('\n');
}

function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** Columns as wide as their widest cell, two spaces apart, without trailing space. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[]) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ');
  return rows.map((row) => `${line(row).trimEnd()}\n`).join('');
}

function markdown(cluster: string, hpas: readonly HpaReport[]): string {
  const row = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const rows =
    hpas.length === 0 ? [] : [row(HEADINGS), row(HEADINGS.map(() => '---')), ...hpas.map((hpa) => row(cells(hpa)))];
  return [`### ${cluster}`, '', `${summary(hpas)}.`, ...(rows.length > 0 ? ['', ...rows] : [])].join('\n');
}
