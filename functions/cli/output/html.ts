import { stringify } from 'yaml';
import type { ClusterReport, MissingHpaReport, RunReport, SweptHpa } from '../../events/report.ts';
import {
  CHANGES,
  type Column,
  clusterWordsOf,
  columnsOf,
  counted,
  MISSING_COLUMNS,
  MISSING_TITLE,
  type Notice,
  titleOf,
  toneOf,
  wordsOf,
} from './words.ts';

/**
 * One page that needs nothing but itself: no script, no font, no request. Whatever others have written (names, annotations,
 * messages of a server) is text in it, and its policy lets a browser load and run nothing, should that ever fail.
 */
export function htmlReport(report: RunReport): string {
  const { clusters, mode, finishedAt } = report;
  const title = report.whatIf ? 'What if: HPAs of Envoy Gateway' : 'HPAs of Envoy Gateway';
  const { introduction, totals, regions, gaps, isOfOneCluster } = wordsOf(report);
  const notices = [...regions.map(noticeHtml), ...gaps.map((sentence) => html`<p class="notice">${sentence}</p>`)];
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${title}</title>
<style>${new Markup(STYLE)}</style>
</head>
<body>
<header>
<h1>${title}</h1>
<p>${mode === 'delete' ? 'Stale HPAs were deleted' : 'Nothing was changed'}. As of <time datetime="${finishedAt}">${finishedAt.replace('T', ' ').replace(/\.\d+Z$/, ' UTC')}</time>.</p>
${introduction.map((sentence) => html`<p>${sentence}</p>`)}
${counts(report)}
</header>
<main>
${notices}
${isOfOneCluster ? [] : [overview(clusters, totals)]}
${clusters.map((cluster, index) => clusterSection(cluster, index, report))}
</main>
</body>
</html>
`;
  return page.text;
}

function counts(report: RunReport): Markup {
  const hpas = report.clusters.flatMap((cluster) => cluster.hpas);
  const { clusters, swept } = report.totals;
  const changes = (wanted: string) => hpas.filter(({ whatIf }) => whatIf?.change === wanted).length;
  const outcomes = Object.entries(report.totals.outcomes).filter(([outcome]) => outcome !== 'Kept');
  const tiles: [string, number, string?][] = [
    ['clusters', clusters],
    ...(clusters > swept ? [['not swept', clusters - swept, 'open'] as [string, number, string]] : []),
    ['HPAs', hpas.length],
    ['stale', hpas.filter(({ action }) => action === 'delete').length, 'bad'],
    ['missing', report.clusters.flatMap(({ missing }) => missing).length, 'bad'],
    ...(report.whatIf
      ? ([
          [CHANGES.BecomesStale, changes('BecomesStale'), 'bad'],
          [CHANGES.BecomesStaleWithoutDeployment, changes('BecomesStaleWithoutDeployment'), 'open'],
          [CHANGES.NoLongerStale, changes('NoLongerStale'), 'good'],
        ] as [string, number, string][])
      : []),
    ...(report.mode === 'delete' ? outcomes : []),
  ];
  return html`<dl class="counts">${tiles.map(
    ([name, count, tone = '']) =>
      html`<div class="${count > 0 ? tone : ''}"><dt>${name}</dt><dd>${String(count)}</dd></div>`,
  )}</dl>`;
}

/** All clusters at a glance, each row a link to its section. */
function overview(clusters: readonly ClusterReport[], totals: string): Markup {
  const rows = clusters.map((cluster, index) => {
    const stale = cluster.hpas.filter(({ action }) => action === 'delete').length;
    const isSwept = cluster.result === 'swept';
    const missing = cluster.missing.length;
    const count = (number: number, tone = 'number') =>
      html`<td class="${number > 0 ? tone : 'number'}">${isSwept ? String(number) : ''}</td>`;
    return html`<tr class="${isSwept ? '' : 'open'}">
<td><a href="#cluster-${String(index)}">${titleOf(cluster)}</a></td>
<td>${isSwept ? cluster.result : `${cluster.result}: ${cluster.problem?.reason ?? ''}`}</td>
${count(cluster.hpas.length)}
${count(stale, 'number bad')}
${count(missing, 'number bad')}
</tr>`;
  });
  return html`<section>
<h2>All clusters</h2>
<p>${totals}.</p>
<table class="overview">
<thead><tr><th>Cluster</th><th>Result</th><th class="number">HPAs</th><th class="number">Stale</th><th class="number">Missing</th></tr></thead>
<tbody>${rows}</tbody>
</table>
</section>
`;
}

function clusterSection(cluster: ClusterReport, index: number, report: RunReport): Markup {
  const { hpas, missing, result } = cluster;
  const { title, summary, notices } = clusterWordsOf(cluster, report);
  const isShown = (hpa: SweptHpa) => toneOf(hpa) !== undefined || hpa.outcome !== 'Kept';
  const [shown, kept] = [hpas.filter(isShown), hpas.filter((hpa) => !isShown(hpa))];
  return html`<section id="cluster-${String(index)}">
<h2>${title}</h2>
<p>${result === 'swept' ? `${summary}.` : 'Not swept.'}</p>
${notices.map(noticeHtml)}
${shown.length > 0 ? [hpaTable(shown, report)] : []}
${missing.length > 0 ? [missingTable(missing)] : []}
${kept.length > 0 ? [html`<details><summary>${counted(kept.length, 'HPA')} kept</summary>${hpaTable(kept, report)}</details>`] : []}
</section>
`;
}

const noticeHtml = ({ title, message, remedy }: Notice): Markup =>
  html`<div class="notice"><strong>${title}</strong><p>${message}</p><p>${remedy}</p></div>`;

function hpaTable(hpas: readonly SweptHpa[], report: RunReport): Markup {
  const age = { heading: 'AGE', cell: ({ createdAt }: SweptHpa) => ageOf(createdAt, report.finishedAt) };
  const columns = columnsOf(report).flatMap((column) => (column.heading === 'REPLICAS' ? [age, column] : [column]));
  return table(hpas, columns, (hpa) => toneOf(hpa) ?? '', manifestOf);
}

const missingTable = (missing: readonly MissingHpaReport[]): Markup =>
  html`<h3>${MISSING_TITLE}</h3>
${table(missing, MISSING_COLUMNS, () => '')}`;

/** @param more what a cell under WHY holds besides */
function table<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  toneOfRow: (row: Row) => string,
  more: (row: Row) => Markup[] = () => [],
): Markup {
  const classOf = (heading: string) => heading.toLowerCase().replace(' ', '-');
  const capitalized = (heading: string) => heading.charAt(0) + heading.slice(1).toLowerCase();
  const lines = rows.map(
    (row) => html`<tr class="${toneOfRow(row)}">${columns.map(
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

function manifestOf({ manifest }: SweptHpa): Markup[] {
  if (manifest === undefined) return [];
  const { managedFields: _, ...metadata } = (manifest.metadata ?? {}) as Record<string, unknown>;
  const text = stringify({ ...manifest, metadata }, { lineWidth: 0 });
  return [html`<details><summary>Manifest</summary><pre>${`# without managedFields\n${text}`}</pre></details>`];
}

/** As kubectl writes it, in the largest unit: `5d`, `3h`. */
function ageOf(createdAt: string | undefined, at: string): string {
  const seconds = createdAt === undefined ? Number.NaN : (Date.parse(at) - Date.parse(createdAt)) / 1000;
  if (Number.isNaN(seconds)) return '?';
  const [unit, size] = UNITS.find(([, size]) => seconds >= size) ?? ['s', 1];
  return `${Math.max(0, Math.floor(seconds / size))}${unit}`;
}

const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
] as const;

/** Text that is HTML already. Only {@link html} makes it, of literals and of what it has escaped. */
class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

type Part = string | Markup | readonly Markup[];

/** A template whose literal parts are HTML, and whose values are text unless they were made by it. */
function html(literals: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  const texts = parts.map((part) =>
    typeof part === 'string'
      ? escaped(part)
      : [part]
          .flat()
          .map(({ text }) => text)
          .join(''),
  );
  return new Markup(literals.map((literal, index) => literal + (texts[index] ?? '')).join(''));
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Good for text and for quoted attributes. Control characters have no place in HTML. */
const escaped = (text: string): string =>
  text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character] as string).replaceAll(/[^\P{Cc}\n\t]/gu, '\u{FFFD}');

const STYLE = `
:root { --page: #fff; --text: #1c2330; --faint: #5b6472; --line: #d9dee6; --panel: #f5f7fa; --link: #0b5cad;
  --bad: #b3261e; --bad-panel: #fdf0ef; --open: #8a5a00; --open-panel: #fdf6e7; --good: #1b6e3c; }
@media (prefers-color-scheme: dark) {
  :root { --page: #14181f; --text: #e3e7ee; --faint: #9aa4b2; --line: #323a46; --panel: #1d232c; --link: #7db4f0;
    --bad: #ff8a80; --bad-panel: #33201f; --open: #f0c060; --open-panel: #2e2818; --good: #7fd49b; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 90rem; padding: 1rem 1.5rem 4rem; background: var(--page); color: var(--text);
  font: 0.9375rem/1.5 system-ui, sans-serif; }
h1 { margin: 0.5rem 0; font-size: 1.5rem; }
h2 { margin: 2.5rem 0 0.25rem; font-size: 1.15rem; overflow-wrap: anywhere; }
h3 { margin: 1.25rem 0 0.25rem; font-size: 1rem; }
p { margin: 0.25rem 0; overflow-wrap: anywhere; }
header p { color: var(--faint); }
a { color: var(--link); }
.counts { display: flex; flex-wrap: wrap; gap: 0.75rem; margin: 1rem 0; }
.counts div { min-width: 6.5rem; padding: 0.5rem 0.9rem; border: 1px solid var(--line); border-radius: 0.5rem;
  background: var(--panel); }
.counts dt { color: var(--faint); font-size: 0.8125rem; }
.counts dd { margin: 0; font-size: 1.5rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.counts .bad dd { color: var(--bad); }
.counts .open dd { color: var(--open); }
.counts .good dd { color: var(--good); }
.notice { margin: 0.75rem 0; padding: 0.5rem 0.9rem; border-left: 0.25rem solid var(--open);
  background: var(--open-panel); }
table { width: 100%; margin: 0.75rem 0; border-collapse: collapse; }
th, td { padding: 0.45rem 0.6rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top;
  overflow-wrap: anywhere; }
th { color: var(--faint); font-size: 0.8125rem; font-weight: 600; white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.overview { width: auto; min-width: min(100%, 40rem); }
.overview .bad { color: var(--bad); font-weight: 600; }
.overview td:nth-child(2) { overflow-wrap: normal; }
.overview .open td:nth-child(2) { color: var(--open); }
.hpas { table-layout: fixed; }
.hpas th.action { width: 5rem; }
.hpas th.outcome { width: 8rem; }
.hpas th.what-if { width: 8rem; }
.hpas th.namespace { width: 12%; }
.hpas th.name { width: 17%; }
.hpas th.reason { width: 13rem; }
.hpas th.age { width: 4rem; }
.hpas th.replicas { width: 7.5rem; }
.hpas th.owner { width: 12rem; }
tr.bad td.action, tr.bad td.outcome, tr.bad td.what-if { color: var(--bad); font-weight: 600; }
tr.open td.what-if { color: var(--open); font-weight: 600; }
tr.good td.what-if { color: var(--good); font-weight: 600; }
tr:target, section:target > h2 { background: var(--panel); }
details { margin: 0.25rem 0; }
summary { color: var(--link); cursor: pointer; }
pre { max-height: 30rem; margin: 0.5rem 0; padding: 0.75rem; overflow: auto; border: 1px solid var(--line);
  border-radius: 0.375rem; background: var(--panel); font: 0.8125rem/1.45 ui-monospace, monospace; }
@media (max-width: 60rem) {
  body { padding: 0.5rem 0.9rem 3rem; }
  .overview th, .overview td { padding: 0.4rem 0.3rem; }
  .overview td:first-child { width: 45%; }
  .overview td:nth-child(2) { font-size: 0.8125rem; overflow-wrap: anywhere; }
  .hpas, .hpas tbody, .hpas tr { display: block; }
  .hpas thead { display: none; }
  .hpas tr { margin: 0.75rem 0; padding: 0.4rem 0.75rem; border: 1px solid var(--line); border-radius: 0.5rem; }
  .hpas tr.bad { background: var(--bad-panel); }
  .hpas tr.open { background: var(--open-panel); }
  .hpas td { display: flex; gap: 0.75rem; padding: 0.15rem 0; border: 0; }
  .hpas td::before { flex: 0 0 6rem; color: var(--faint); font-weight: normal; content: attr(data-heading); }
  .hpas td:empty { display: none; }
  .hpas td.why, .hpas td.remedy { display: block; }
  .hpas td.why::before, .hpas td.remedy::before { content: none; }
}
@media print { details:not([open]) { display: none; } }
`;
