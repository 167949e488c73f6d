import { stringify } from 'yaml';
import type { RunReport } from '../../events/report.ts';
import { htmlReport } from './html.ts';
import { markdownReport } from './markdown.ts';
import { type Screen, textReport } from './text.ts';

export { filled, harmless, type Screen, table } from './text.ts';

export const FORMATS = ['table', 'json', 'yaml', 'markdown', 'html'] as const;
export type Format = (typeof FORMATS)[number];

/** What a command answers, for a machine. */
export const serialized = (answer: object, format: 'json' | 'yaml'): string =>
  format === 'json' ? `${JSON.stringify(answer, null, 2)}\n` : stringify(answer, { lineWidth: 0 });

/** The report of a run as a command prints it; only a table goes by the screen. */
export function formatReport(report: RunReport, format: Format, screen: Screen): string {
  if (format === 'markdown') return markdownReport(report);
  if (format === 'html') return htmlReport(report);
  return format === 'table' ? textReport(report, screen) : serialized(report, format);
}
