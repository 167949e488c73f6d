import { stripVTControlCharacters, styleText } from 'node:util';
import { stringify } from 'yaml';
import type { HpaReport } from '../domain/report.ts';
import type { Scan } from './scan.ts';

export const FORMATS = ['table', 'json', 'yaml', 'markdown'] as const;
export type Format = (typeof FORMATS)[number];

/** @param width columns of the terminal; the last column of a table is cut to fit, `undefined` cuts nothing */
export function formatScan(
  scan: Scan,
  format: Format,
  { width, color }: { width?: number | undefined; color: boolean },
): string {
  switch (format) {
    case 'json':
      return `${JSON.stringify(scan, null, 2)}\n`;
    case 'yaml':
      return stringify(scan, { lineWidth: 0 });
    case 'markdown':
      return scan.clusters.map(({ cluster, hpas }) => `${markdown(cluster, hpas)}\n`).join('\n');
    case 'table':
      return scan.clusters
        .map(({ cluster, hpas }) => `${cluster}: ${summary(hpas)}\n${hpaTable(hpas, { width, color })}`)
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

export function hpaTable(
  hpas: readonly HpaReport[],
  { width, color }: { width?: number | undefined; color: boolean },
): string {
  if (hpas.length === 0) return '';
  return table([HEADINGS, ...hpas.map(cells)], { width, paint: (line, row) => paintRow(line, row, color) });
}

const paintRow = (line: string, row: readonly string[], color: boolean): string =>
  color && row[0] === 'delete' ? styleText('red', line, { validateStream: false }) : line;

/** Columns as wide as their widest cell, two spaces apart, without trailing space. */
export function table(
  rows: readonly (readonly string[])[],
  {
    width,
    paint = (line) => line,
  }: { width?: number | undefined; paint?: (line: string, row: readonly string[]) => string },
): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => length(row[column] ?? ''))));
  return rows
    .map((row) => {
      const line = row
        .map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - length(cell)))
        .join('  ')
        .trimEnd();
      return `${paint(cut(line, width), row)}\n`;
    })
    .join('');
}

const length = (cell: string) => stripVTControlCharacters(cell).length;

const cut = (line: string, width: number | undefined) =>
  width !== undefined && line.length > width ? `${line.slice(0, width - 1)}…` : line;

function markdown(cluster: string, hpas: readonly HpaReport[]): string {
  const row = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const rows =
    hpas.length === 0 ? [] : [row(HEADINGS), row(HEADINGS.map(() => '---')), ...hpas.map((hpa) => row(cells(hpa)))];
  return [`### ${cluster}`, '', `${summary(hpas)}.`, ...(rows.length > 0 ? ['', ...rows] : [])].join('\n');
}
