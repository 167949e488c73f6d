import type { RunReport } from '../../events/report.ts';
import { htmlReport } from './html.ts';
import { harmless, markdownTable, markdownText, type Screen, serialized, tableLines, wrap } from './output.ts';
import { type Block, blocksOf, paragraph } from './words.ts';

export const FORMATS = ['table', 'json', 'yaml', 'markdown', 'html'] as const;
export type Format = (typeof FORMATS)[number];

/** The report of a run as a command prints it. Only a table depends on the screen. */
export function formatReport(report: RunReport, format: Format, screen: Screen): string {
  if (format === 'json' || format === 'yaml') return serialized(report, format);
  if (format === 'html') return htmlReport(report);
  const { introduction, clusters, regions, gaps, totals } = blocksOf(report);
  if (format === 'markdown') {
    const total = totals === undefined ? [] : [paragraph(`${totals}.`)];
    const blocks = [...introduction, ...total, ...clusters.flat(), ...regions, ...gaps];
    return `${blocks.flatMap(markdownOf).join('\n\n')}\n`;
  }
  const total = totals === undefined ? [] : [paragraph(`Total: ${totals}`)];
  return [introduction, ...clusters, regions, gaps, total]
    .filter((blocks) => blocks.length > 0)
    .map((blocks) => {
      const indent = blocks[0]?.kind === 'heading' ? '  ' : '';
      return `${blocks.flatMap((block) => linesOf(block, screen, indent)).join('\n')}\n`;
    })
    .join('\n');
}

/** @param indent of notices */
function linesOf(block: Block, screen: Screen, indent: string): string[] {
  const wrapped = (text: string, before = '') => wrap(harmless(text), screen.width, before);
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
      const { title, headings, rows, tone } = block;
      const cells = [headings, ...rows.map((row) => row.cells)];
      const lines = tableLines(cells, screen, (row) => rows[row]?.tone ?? tone);
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
      const [title, message, remedy] = [block.title, block.message, block.remedy].map(markdownText);
      return [`**${title}**: ${message}. ${remedy}`];
    }
    case 'table': {
      const { title, headings, rows } = block;
      const table = markdownTable([headings, ...rows.map(({ cells }) => cells)]);
      return title === undefined ? [table] : [`#### ${title}`, table];
    }
  }
}
