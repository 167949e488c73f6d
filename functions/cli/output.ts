import { stringify } from 'yaml';
import type { RunReport } from '../domain/report.ts';
import { htmlReport } from './output/html.ts';
import { markdownReport } from './output/markdown.ts';
import { type Screen, textReport } from './output/text.ts';

export { filled, harmless, type Screen, table } from './output/text.ts';

export const FORMATS = ['table', 'json', 'yaml', 'markdown', 'html'] as const;
export type Format = (typeof FORMATS)[number];

/** The report of a run as a command prints it; only a table goes by the screen. */
export function formatReport(report: RunReport, format: Format, screen: Screen): string {
  switch (format) {
    case 'json':
      return `${JSON.stringify(report, null, 2)}\n`;
    case 'yaml':
      return stringify(report, { lineWidth: 0 });
    case 'markdown':
      return markdownReport(report);
    case 'html':
      return htmlReport(report);
    case 'table':
      return textReport(report, screen);
  }
}
