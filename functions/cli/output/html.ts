import { readFileSync } from 'node:fs';
import { stringify } from 'yaml';
import type { ClusterReport, RunReport, SweptHpa } from '../../events/report.ts';
import {
  type ClusterView,
  type Column,
  columnsOf,
  counted,
  MISSING_COLUMNS,
  MISSING_TITLE,
  type Notice,
  toneOf,
  viewOf,
} from './words.ts';

const STYLE = readFileSync(new URL('./page.css', import.meta.url), 'utf8');

/**
 * One page that needs nothing else: no script, no font, no request. Names, annotations and messages from elsewhere are text in
 * it, and its policy keeps a browser from loading or running anything, should that ever fail.
 */
export function htmlReport(report: RunReport): string {
  const { mode, finishedAt } = report;
  const title = report.whatIf ? 'What if: HPAs of Envoy Gateway' : 'HPAs of Envoy Gateway';
  const { introduction, clusters, regions, gaps, totals } = viewOf(report);
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
${introduction.map((sentence) => html`<p>${sentence}</p>`)}
</header>
<main>
${regions.map(noticeHtml)}
${gaps.map((sentence) => html`<p class="notice">${sentence}</p>`)}
${totals === undefined ? [] : [overviewHtml(clusters, totals)]}
${clusters.map((cluster, index) => clusterHtml(cluster, index, report))}
</main>
</body>
</html>
`;
  return page.text;
}

/** All clusters at a glance, each with a link to its section. */
function overviewHtml(clusters: readonly ClusterView[], totals: string): Markup {
  const items = clusters.map(({ title, result, problem, summary }, index) => {
    const isSwept = result === 'swept';
    const text = isSwept ? summary : `${result}, ${problem?.reason ?? ''}`;
    return html`<li class="${isSwept ? '' : 'open'}"><a href="#cluster-${String(index)}">${title}</a>: ${text}</li>
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

function clusterHtml(cluster: ClusterView, index: number, report: RunReport): Markup {
  const { title, summary, notices, hpas, missing, result } = cluster;
  const isShown = (hpa: SweptHpa) => toneOf(hpa) !== undefined || hpa.outcome !== 'Kept';
  const [shown, kept] = [hpas.filter(isShown), hpas.filter((hpa) => !isShown(hpa))];
  return html`<section id="cluster-${String(index)}">
<h2>${title}</h2>
<p>${result === 'swept' ? `${summary}.` : 'Not swept.'}</p>
${notices.map(noticeHtml)}
${shown.length > 0 ? [hpaTable(shown, report)] : []}
${missing.length > 0 ? [missingHtml(missing)] : []}
${kept.length > 0 ? [html`<details><summary>${counted(kept.length, 'HPA')} kept</summary>${hpaTable(kept, report)}</details>`] : []}
</section>
`;
}

const noticeHtml = ({ title, message, remedy }: Notice): Markup =>
  html`<div class="notice"><strong>${title}</strong><p>${message}</p><p>${remedy}</p></div>`;

const hpaTable = (hpas: readonly SweptHpa[], report: RunReport): Markup =>
  tableHtml(hpas, columnsOf(report), (hpa) => toneOf(hpa) ?? '', manifestHtml);

const missingHtml = (missing: ClusterReport['missing']): Markup =>
  html`<h3>${MISSING_TITLE}</h3>
${tableHtml(missing, MISSING_COLUMNS)}`;

/** @param more what a cell under WHY contains in addition */
function tableHtml<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  tone: (row: Row) => string = () => '',
  more: (row: Row) => Markup[] = () => [],
): Markup {
  const classOf = (heading: string) => heading.toLowerCase().replace(' ', '-');
  const capitalized = (heading: string) => heading.charAt(0) + heading.slice(1).toLowerCase();
  const lines = rows.map(
    (row) => html`<tr class="${tone(row)}">${columns.map(
      ({ heading, cell }) =>
        html`<td class="${classOf(heading)}" data-heading="${capitalized(heading)}">${cell(row)}${heading === 'WHY' ? more(row) : []}</td>`,
    )}</tr>
`,
  );
  return html`<table class="hpas">
<thead><tr>${columns.map(({ heading }) => html`<th class="${classOf(heading)}">${capitalized(heading)}</th>`)}</tr></thead>
<tbody>${lines}</tbody>
</table>
`;
}

function manifestHtml({ manifest }: SweptHpa): Markup[] {
  if (manifest === undefined) return [];
  const { managedFields: _, ...metadata } = (manifest.metadata ?? {}) as Record<string, unknown>;
  const text = stringify({ ...manifest, metadata }, { lineWidth: 0 });
  return [html`<details><summary>Manifest</summary><pre>${`# without managedFields\n${text}`}</pre></details>`];
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
