import { readFileSync } from 'node:fs';
import { stringify } from 'yaml';
import type { RunReport } from '../../events/report.ts';
import { type Block, blocksOf, counted, LEGEND } from './words.ts';

type Table = Extract<Block, { kind: 'table' }>;
type Row = Table['rows'][number];

const STYLE = readFileSync(new URL('./page.css', import.meta.url), 'utf8');

/**
 * One page that needs nothing else: no script, no font, no request. Names, annotations and messages from elsewhere are text in
 * it, and its policy keeps a browser from loading or running anything, should that ever fail.
 */
export function htmlReport(report: RunReport): string {
  const { mode, finishedAt } = report;
  const title = report.whatIf ? 'What if: HPAs of Envoy Gateway' : 'HPAs of Envoy Gateway';
  const { introduction, clusters, regions, gaps, totals } = blocksOf(report, 'all');
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${title}</title>
<style>
${new Markup(STYLE)}</style>
</head>
<body>
<header>
<h1>${title}</h1>
<p>${mode === 'delete' ? 'Stale HPAs were deleted' : 'Nothing was changed'}. As of <time datetime="${finishedAt}">${finishedAt.replace('T', ' ').replace(/\.\d+Z$/, ' UTC')}</time>.</p>
${introduction.map((block) => blockHtml(block))}
</header>
<main>
${regions.map((block) => blockHtml(block))}
${gaps.map((block) => blockHtml(block, 'notice'))}
${totals === undefined ? [] : [overviewHtml(clusters, totals)]}
${clusters.map((cluster, index) => clusterHtml(cluster, index))}
</main>
<footer><p>${LEGEND}</p></footer>
</body>
</html>
`;
  return page.text;
}

/** All clusters at a glance, each with a link to its section. */
function overviewHtml(clusters: readonly Block[][], totals: string): Markup {
  const items = clusters.map(([heading], index) => {
    if (heading?.kind !== 'heading') return html``;
    const { title, summary, problem = '' } = heading;
    return html`<li class="${summary === undefined ? 'open' : ''}"><a href="#cluster-${String(index)}">${title}</a>: ${summary ?? problem}</li>
`;
  });
  return html`<section>
<h2>All clusters</h2>
<p>${totals}.</p>
<ul>
${items}</ul>
</section>
`;
}

/** The rows of HPAs that are kept are folded at the end. */
function clusterHtml(blocks: readonly Block[], index: number): Markup {
  const kept = blocks
    .filter((block) => block.kind === 'table')
    .map((table) => ({ ...table, rows: table.rows.filter(({ isKept }) => isKept) }))
    .filter(({ rows }) => rows.length > 0);
  return html`<section id="cluster-${String(index)}">
${blocks.map((block) => blockHtml(block))}
${kept.map((table) => html`<details><summary>${counted(table.rows.length, 'HPA')} kept</summary>${tableHtml(table)}</details>`)}
</section>
`;
}

/** @param className of a paragraph */
function blockHtml(block: Block, className = ''): Markup {
  switch (block.kind) {
    case 'heading':
      return html`<h2>${block.title}</h2>
<p>${block.summary === undefined ? 'Not swept.' : `${block.summary}.`}</p>
`;
    case 'paragraph':
      return html`<p class="${className}">${block.text}</p>`;
    case 'notice':
      return html`<div class="notice"><strong>${block.title}</strong><p>${block.message}</p><p>${block.remedy}</p></div>`;
    case 'table': {
      const rows = block.rows.filter(({ isKept }) => !isKept);
      const title = block.title === undefined ? [] : html`<h3>${block.title}</h3>\n`;
      return rows.length === 0 ? html`` : html`${title}${tableHtml({ ...block, rows })}`;
    }
  }
}

function tableHtml({ headings, rows }: Table): Markup {
  const columns = headings.map((heading) => ({
    heading: heading.charAt(0) + heading.slice(1).toLowerCase(),
    className: heading.toLowerCase().replace(' ', '-'),
  }));
  const cellHtml = ({ cells, manifest }: Row, column: number) => {
    const { heading = '', className = '' } = columns[column] ?? {};
    return html`<td class="${className}" data-heading="${heading}">${cells[column] ?? ''}${manifest && className === 'why' ? manifestHtml(manifest) : []}</td>`;
  };
  return html`<table>
<thead><tr>${columns.map(({ heading, className }) => html`<th class="${className}">${heading}</th>`)}</tr></thead>
<tbody>${rows.map((row) => html`<tr class="${row.tone ?? ''}">${columns.map((_, column) => cellHtml(row, column))}</tr>\n`)}</tbody>
</table>
`;
}

function manifestHtml(manifest: NonNullable<Row['manifest']>): Markup {
  const { managedFields: _, ...metadata } = (manifest.metadata ?? {}) as Record<string, unknown>;
  const text = stringify({ ...manifest, metadata }, { lineWidth: 0, aliasDuplicateObjects: false });
  return html`<details><summary>Manifest</summary><pre># without managedFields
${text}</pre></details>`;
}

/** Text that is HTML already. Only {@link html} creates it, from literals and from what it has escaped. */
class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** A template whose literal parts are HTML, and whose values are text unless they are markup. */
function html(literals: TemplateStringsArray, ...parts: readonly (string | Markup | readonly Markup[])[]): Markup {
  const texts = parts.map((part) =>
    typeof part === 'string' ? escaped(part) : [part].flat().reduce((all, { text }) => all + text, ''),
  );
  return new Markup(literals.map((literal, index) => literal + (texts[index] ?? '')).join(''));
}

/** For text and for quoted attributes. Control characters are not allowed in HTML. */
const escaped = (text: string): string =>
  text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`).replaceAll(/[^\P{Cc}\n\t]/gu, '\u{FFFD}');
