import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { formatReport } from '../../../functions/cli/output/output.ts';
import { clustersNamed, replicasOfAll } from '../../../functions/cli/output/words.ts';
import {
  type ClusterReport,
  type RunReport,
  runReportSchema,
  type SweptHpa,
} from '../../../functions/events/report.ts';
import { missingHpa, sweptHpa } from '../../builders/outcomes.ts';

const NAME = 'envoy-shop-web-0a1b2c3d';
const hpa = sweptHpa('shop/web', 'Reported', {
  replicas: { current: 6, min: 2, max: 10, after: { kind: 'Becomes', replicas: 2 } },
  dropsCapacity: true,
});
const SETS_TWO = 'Afterwards Envoy Gateway sets its Deployment to 2 replicas when it next applies it.';
const missing = missingHpa('shop/api');
const scanOf = (...hpas: SweptHpa[]): RunReport => ({
  schemaVersion: 1,
  runId: 'run-1',
  mode: 'report',
  startedAt: '2026-01-01T00:00:00Z',
  finishedAt: '2026-01-01T00:00:01Z',
  totals: { clusters: 1, swept: 1, skipped: 0, failed: 0, hpas: hpas.length, stale: 1, missing: 0, outcomes: {} },
  clusters: [{ cluster: 'production', result: 'swept', warnings: [], hpas, missing: [] }],
  regions: [],
  remaining: [],
});
const withMissing = (report: RunReport, ...found: ClusterReport['missing']): RunReport => ({
  ...report,
  totals: { ...report.totals, missing: found.length },
  clusters: report.clusters.map((one) => (one.result === 'swept' ? { ...one, missing: found } : one)),
});
const plain = { color: false };

const table = (report: RunReport, width?: number) => formatReport(report, 'table', { ...plain, width }).split('\n');
const markdown = (report: RunReport) => formatReport(report, 'markdown', plain).split('\n\n');
const html = (report: RunReport) => formatReport(report, 'html', plain);
const RED = '\u001b[31m';

/** Two clusters, one of which was not swept, with everything that a run can report besides its HPAs. */
const account = (mode: RunReport['mode'], ...hpas: SweptHpa[]): RunReport => {
  const lost: ClusterReport = {
    ...{ cluster: 'lost', region: 'eu-west-1', result: 'failed', warnings: [], hpas: [], missing: [] },
    problem: { reason: 'ClusterUnreachable', message: 'no whole answer from lost', remedy: 'Check its endpoint.' },
  };
  const shop: ClusterReport = {
    ...{ cluster: 'shop', region: 'eu-west-1', result: 'swept', hpas, missing: [] },
    warnings: [{ reason: 'AuditLogOff', message: 'the audit log is off', remedy: 'Switch it on.' }],
  };
  return {
    ...scanOf(...hpas),
    mode,
    totals: { ...scanOf(...hpas).totals, clusters: 3, failed: 1, outcomes: { Deleted: 1 } },
    clusters: [lost, shop],
    regions: [{ region: 'eu-south-1', reason: 'AwsAccessRefused', message: 'not allowed.', remedy: 'Allow it.' }],
    remaining: [{ cluster: 'late', region: 'eu-west-1' }],
    shortened: ['the HPAs that are kept'],
  };
};
const deleted: SweptHpa = { ...hpa, outcome: 'Deleted' };
const refused: SweptHpa = { ...hpa, name: 'other', outcome: 'DeleteRefused', message: 'policy says no' };
const kept: SweptHpa = {
  ...{ ...hpa, name: 'kept', action: 'keep', reason: 'Protected', outcome: 'Kept' },
  replicas: { current: 6, min: 2, max: 10 },
};

describe('a table', () => {
  test('is as wide as its cells where nothing limits it', () => {
    expect(table(scanOf(hpa))).toEqual([
      'production: 1 stale of 1 HPA with a label of Envoy Gateway',
      'ACTION  NAMESPACE             NAME                     REASON              REPLICAS              WHY',
      `delete  envoy-gateway-system  ${NAME}  AutoscalingRemoved  6 (2-10) → 2 (drops)  ${hpa.explanation} ${SETS_TWO}`,
      '',
    ]);
  });

  test('becomes a block for each HPA where the terminal is too narrow', () => {
    expect(table(scanOf(hpa), 60)).toEqual([
      'production: 1 stale of 1 HPA with a label of Envoy Gateway',
      '',
      `delete  envoy-gateway-system  ${NAME}`,
      'AutoscalingRemoved  6 (2-10) → 2 (drops)',
      '  Gateway shop/web asks for no autoscaling: no envoyHpa in',
      '  EnvoyProxy shop/web. Afterwards Envoy Gateway sets its',
      '  Deployment to 2 replicas when it next applies it.',
      '',
    ]);
    // No line starts with a space where a break falls between two cells.
    expect(table(scanOf(hpa), 53).filter((line) => /^ \S/.test(line))).toEqual([]);
  });

  test('wraps its last column where that leaves it half of the terminal', () => {
    const lines = table(scanOf(hpa), 200);
    expect(lines.slice(1).map((line) => line.slice(0, 8).trim())).toEqual(['ACTION', 'delete', '', '']);
    expect(lines[3]?.trim()).toBe('sets its Deployment to 2 replicas when it next applies it.');
    expect(lines.every((line) => line.length <= 200)).toBe(true);
  });

  test.each([
    [60, 5],
    [400, 1],
  ])('has only stale HPAs in red (%i columns)', (width, lines) => {
    const wanted: SweptHpa = { ...hpa, action: 'keep', reason: 'AutoscalingConfigured' };
    const text = formatReport(scanOf(wanted, hpa), 'table', { color: true, width });
    const red = text.split('\n').filter((line) => line.includes(RED));
    expect(red).toHaveLength(lines);
    expect(red[0]?.startsWith(`${RED}delete  `)).toBe(true);
  });

  test('shows the outcomes of a run that deletes, what went wrong, what is missing from it, and the totals', () => {
    expect(table(account('delete', deleted, refused, kept))).toEqual([
      'lost (eu-west-1): not swept',
      '  failed, ClusterUnreachable',
      '    no whole answer from lost',
      '    Check its endpoint.',
      '',
      'shop (eu-west-1): 1 Deleted, 1 DeleteRefused, 1 Kept of 3 HPAs with a label of Envoy Gateway',
      '  warning, AuditLogOff',
      '    the audit log is off',
      '    Switch it on.',
      expect.stringMatching(/^OUTCOME {8}NAMESPACE /),
      expect.stringMatching(/^Deleted {8}envoy-gateway-system {2}envoy-shop-web-0a1b2c3d /),
      expect.stringMatching(/^DeleteRefused {2}envoy-gateway-system .* The API server: policy says no$/),
      '',
      '1 HPA kept; --all shows it.',
      '',
      'eu-south-1: could not be listed, AwsAccessRefused',
      '  not allowed.',
      '  Allow it.',
      '',
      'Not finished before the run had to end: late (eu-west-1).',
      'Left out: the HPAs that are kept',
      '',
      'Total: 3 clusters, 1 swept, 1 failed, 1 not started; 1 Deleted, 1 DeleteRefused, 1 Kept of 3 HPAs with a label of Envoy Gateway',
      '',
    ]);
  });
});

test('Markdown has a heading and a table for each cluster, and one full stop after each sentence', () => {
  expect(markdown(withMissing(account('delete', deleted), missing))).toEqual([
    '3 clusters, 1 swept, 1 failed, 1 not started; 1 Deleted of 1 HPA with a label of Envoy Gateway, 1 missing.',
    '### lost (eu-west-1)',
    '**failed, ClusterUnreachable**: no whole answer from lost. Check its endpoint.',
    '### shop (eu-west-1)',
    '1 Deleted of 1 HPA with a label of Envoy Gateway, 1 missing.',
    '**warning, AuditLogOff**: the audit log is off. Switch it on.',
    [
      '| OUTCOME | NAMESPACE | NAME | REASON | REPLICAS | WHY |',
      '| --- | --- | --- | --- | --- | --- |',
      `| Deleted | envoy-gateway-system | ${NAME} | AutoscalingRemoved | 6 (2-10) → 2 (drops) | ${hpa.explanation} ${SETS_TWO} |`,
    ].join('\n'),
    '#### Missing: wanted, but not found',
    [
      '| NAMESPACE | NAME | OWNER | WHY |',
      '| --- | --- | --- | --- |',
      `| envoy-gateway-system | ${missing.name} | Gateway shop/api | ${missing.explanation} ${missing.remedy} |`,
    ].join('\n'),
    '**eu-south-1: could not be listed, AwsAccessRefused**: not allowed. Allow it.',
    'Not finished before the run had to end: late (eu-west-1).',
    'Left out: the HPAs that are kept\n',
  ]);
});

describe('HPAs that will be deleted', () => {
  const guard = { name: 'Settling' as const, explanation: 'the HPA was created less than 120 s ago' };
  const heldBack: SweptHpa = { ...hpa, name: 'held-back', outcome: 'HeldBack', guard };
  const scan = scanOf({ ...kept, name: 'a' }, heldBack, { ...hpa, name: 'z' }, { ...kept, name: 'b' });
  const report = withMissing(scan, missing);
  const tableText = (shown: 'all' | 'findings' | 'planned') =>
    formatReport(report, 'table', { ...plain, width: 80 }, shown);

  test('come first in every format, and the number of kept HPAs last', () => {
    expect(formatReport(report, 'json', plain)).toMatch(/"z".*"held-back".*"a".*"b"/s);
    expect(html(report)).toMatch(/>z<.*>held-back<.*>a<.*>b</s);
    for (const text of [tableText('findings'), markdown(report).join('\n')]) {
      expect(text.trimEnd()).toMatch(/\n2 HPAs kept; --all shows them\.$/);
    }
    const namesIn = (text: string) => text.match(/(?<=^(delete|keep) {2}\S+ {2})\S+/gm);
    expect(namesIn(tableText('findings'))).toEqual(['z', 'held-back']);
    expect(namesIn(tableText('all'))).toEqual(['z', 'held-back', 'a', 'b']);
  });

  test('are all that a question shows, with the number of the others', () => {
    const lines = tableText('planned').split('\n');
    expect(lines[2]).toBe('delete  envoy-gateway-system  z  AutoscalingRemoved  6 (2-10) → 2 (drops)');
    expect(lines.filter((line) => /^(delete|keep|Missing)/.test(line))).toHaveLength(1);
    expect(lines.slice(-3)).toEqual(['', 'Not deleted: 1 HeldBack, 2 Kept.', '']);
  });

  test('are named in a question with their clusters, and with what happens to the replicas', () => {
    const [one] = report.clusters as [ClusterReport];
    expect(clustersNamed([{ ...one, region: 'eu-west-1' }])).toBe('cluster production (eu-west-1)');
    const many = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((cluster) => ({ ...one, cluster }));
    expect(clustersNamed(many)).toBe('7 clusters (a, b, c, d, e and 2 more)');
    const unknown = { ...hpa, dropsCapacity: false, replicas: kept.replicas };
    const stays = { ...unknown, replicas: { ...hpa.replicas, after: { kind: 'Stays' as const } } };
    const fates = '2 fewer (6 → 2, 6 → 2), 2 unchanged, 1 unknown';
    expect(replicasOfAll([hpa, stays, hpa, stays, unknown])).toBe(fates);
  });
});

test('names are arguments for kubectl, and a table without headers has only rows', () => {
  const report = withMissing(scanOf(kept, hpa), missing);
  const name = `horizontalpodautoscaler.autoscaling/${NAME} --namespace=envoy-gateway-system\n`;
  expect(formatReport(report, 'name', plain)).toBe(name);
  expect(formatReport(report, 'name', plain, 'all').split('\n')).toHaveLength(3);
  const rows = formatReport(report, 'table', { ...plain, width: 80, headers: false });
  expect(rows).toMatch(/^delete {2}envoy-gateway-system {2}envoy-shop-web-0a1b2c3d {2}.*\n$/);
});

test('every format for a person says who changed what, in the given order', () => {
  const proxy = { resource: 'envoyproxies', namespace: 'shop', name: 'web' };
  const jane = { ...proxy, verb: 'patch', time: '2026-01-01T00:00:00Z', username: 'jane', auditID: 'a1' };
  const changes = [jane, { ...jane, impersonatedUsername: 'ci', auditID: 'a2' }];
  const patched = 'patch envoyproxies shop/web at 2026-01-01T00:00:00Z';
  const sentences = `Changed by jane: ${patched}, auditID a1. Changed by jane as ci: ${patched}, auditID a2.`;
  for (const format of ['table', 'markdown', 'html'] as const) {
    expect(formatReport(scanOf({ ...hpa, changes }), format, plain)).toContain(sentences);
  }
});

test('JSON and YAML are the report, without anchors for what occurs twice', () => {
  const restsOn = [{ kind: 'Gateway', namespace: 'shop', name: 'web' }];
  const report = account('delete', { ...deleted, restsOn }, { ...refused, restsOn }, kept);
  expect(runReportSchema.parse(report)).toEqual(report);
  expect(JSON.parse(formatReport(report, 'json', plain))).toEqual(report);
  const yaml = formatReport(report, 'yaml', plain);
  expect(parse(yaml)).toEqual(report);
  expect(yaml).not.toMatch(/[&*]a\d/);
});

describe('the row of an HPA', () => {
  const cellsOf = (more: Partial<SweptHpa>) => {
    const rows = formatReport(scanOf({ ...hpa, dropsCapacity: false, ...more }), 'markdown', plain);
    const [reason, replicas, why] = rows.trimEnd().split('\n').at(-1)?.split(' | ').slice(3) ?? [];
    return [reason, replicas, why?.replace(hpa.explanation, '').replace(/ ?\|$/, '').trim()];
  };
  const range = { current: 5, min: 2, max: 10 };
  const becoming = (after: SweptHpa['replicas']['after']) => ({ ...range, after });
  const stays = (count: string) => `Afterwards its Deployment stays at ${count} until somebody scales it.`;
  const PATCHED = 'Afterwards a patch decides how many replicas its Deployment has.';
  test.each<[SweptHpa['replicas'], string, string]>([
    [range, '5 (2-10)', ''],
    [becoming({ kind: 'Stays', replicas: 5 }), '5 (2-10) → stays at 5', stays('5 replicas')],
    [becoming({ kind: 'Stays', replicas: 1 }), '5 (2-10) → stays at 1', stays('1 replica')],
    [{ min: 2, max: 10, after: { kind: 'Stays' } }, '? (2-10) → stays', stays('the replicas it has')],
    [becoming({ kind: 'Becomes', replicas: 2 }), '5 (2-10) → 2', SETS_TWO],
    [becoming({ kind: 'Governed', hpa: 'a/b' }), '5 (2-10) → HPA a/b', 'Afterwards HPA a/b sets the replicas.'],
    [becoming({ kind: 'NoDeployment' }), '5 (2-10) → no Deployment', ''],
    [becoming({ kind: 'Unknown' }), '5 (2-10) → unknown', PATCHED],
  ])('describes the replicas %o', (replicas, cell, why) => {
    expect(cellsOf({ replicas })).toEqual(['AutoscalingRemoved', cell, why]);
  });

  test('names the guard that holds the HPA back', () => {
    const cells = ['AutoscalingRemoved (held back: Settling)', '5 (2-10)', 'Held back: too new.'];
    expect(cellsOf({ guard: { name: 'Settling', explanation: 'too new' }, replicas: range })).toEqual(cells);
  });
});

test('missing HPAs have a section below the table, in red', () => {
  const [heading] = table(withMissing(scanOf(), missing, missing));
  expect(heading).toBe('production: no HPA with a label of Envoy Gateway, 2 missing');
  const lines = formatReport(withMissing(scanOf(hpa), missing), 'table', { color: true, width: 80 }).split('\n');
  const section = lines.slice(lines.indexOf('Missing: wanted, but not found') + 2, -1);
  expect(section.every((line) => line.startsWith(RED))).toBe(true);
  expect(section.map(stripVTControlCharacters)).toEqual([
    `envoy-gateway-system  ${missing.name}  Gateway shop/api`,
    '  Gateway shop/api asks for autoscaling in EnvoyProxy shop/api, and there is no',
    `  HPA envoy-gateway-system/${missing.name}. ${missing.remedy}`,
  ]);
});

describe('a what-if', () => {
  const now = { action: 'keep', reason: 'AutoscalingConfigured', explanation: 'It asks.' } as const;
  const stale = { ...now, action: 'delete', reason: 'Renamed' } as const;
  const whatIf: RunReport = {
    ...scanOf(
      { ...hpa, name: 'a', whatIf: { change: 'BecomesStale', now } },
      { ...kept, name: 'b', whatIf: { change: 'BecomesStaleWithoutDeployment', now } },
      { ...kept, name: 'c', whatIf: { change: 'NoLongerStale', now: stale } },
      { ...kept, name: 'd', whatIf: { change: 'Unchanged', now } },
    ),
    whatIf: {
      applied: ['1', '2', '3', '4', '5', '6'].map((name) => ({ kind: 'EnvoyProxy', namespace: 'shop', name })),
      deleted: [{ kind: 'GatewayClass', name: 'eg' }],
    },
  };

  test('shows what changes, and the judgement of today', () => {
    expect(table(whatIf)).toEqual([
      'What if: EnvoyProxy shop/1, EnvoyProxy shop/2, EnvoyProxy shop/3, EnvoyProxy shop/4, EnvoyProxy shop/5 and 1 more applied; GatewayClass eg deleted.',
      '',
      'production: 1 newly stale, 1 stale without Deployment, 1 no longer stale; then 1 stale of 4 HPAs with a label of Envoy Gateway',
      expect.stringMatching(/^WHAT IF +ACTION {2}NAMESPACE /),
      expect.stringMatching(/^newly stale +delete .* Then: Gateway .* Now AutoscalingConfigured: It asks\.$/),
      expect.stringMatching(/^stale without Deployment +keep .* Stale once Envoy Gateway has removed that /),
      expect.stringMatching(/^no longer stale +keep .* Now Renamed: It asks\.$/),
      '',
      '1 HPA kept; --all shows it.',
      '',
    ]);
  });

  test.each([
    [31, 'newly stale  delete  envoy-gateway-system  a'],
    [33, 'stale without Deployment  keep  envoy-gateway-system  b'],
    [32, 'no longer stale  keep  envoy-gateway-system  c'],
  ])('uses color %i for "%s"', (code, block) => {
    expect(formatReport(whatIf, 'table', { color: true, width: 80 })).toContain(`\n\u001b[${code}m${block}`);
  });
});

describe('hostile names and messages', () => {
  const HOSTILE = `<script>alert(1)</script>"'&|\n\u001b[2J](x) *b* \`c\` <img src=x onerror=y>`;
  const problem = { reason: HOSTILE as 'SweepFailed', message: HOSTILE, remedy: HOSTILE };
  const owner = { kind: HOSTILE, name: HOSTILE };
  const report = account('report', {
    ...hpa,
    ...{ name: HOSTILE, namespace: HOSTILE, explanation: HOSTILE, createdAt: HOSTILE, message: HOSTILE },
    reason: HOSTILE as SweptHpa['reason'],
    guard: { name: 'Settling', explanation: HOSTILE },
    whatIf: { change: 'BecomesStale', now: { action: 'keep', reason: HOSTILE as 'Protected', explanation: HOSTILE } },
    manifest: { metadata: { name: HOSTILE, annotations: { [HOSTILE]: `</pre>${HOSTILE}` } } },
  });
  const hostile: RunReport = {
    ...report,
    finishedAt: HOSTILE,
    selection: { namespace: HOSTILE, gateway: HOSTILE },
    whatIf: { applied: [owner], deleted: [] },
    clusters: report.clusters.map((cluster) => ({
      ...cluster,
      ...{ cluster: HOSTILE, region: HOSTILE, problem: cluster.problem && problem, warnings: [problem] },
      missing: [{ ...missing, ...problem, namespace: HOSTILE, name: HOSTILE, owner, reason: missing.reason }],
    })),
    regions: [{ ...problem, region: HOSTILE }],
    remaining: [{ cluster: HOSTILE }],
    shortened: [HOSTILE],
  };

  test('are text in a page, which may load nothing', () => {
    const text = html(hostile);
    expect(text).not.toMatch(/<(script|img)/i);
    expect(text).not.toContain('\u001b');
    expect(text).toContain('&#60;script&#62;alert(1)&#60;/script&#62;&#34;&#39;&#38;|');
    // Every tag is one of the page itself, and the attributes are whole.
    const own = html(withMissing({ ...account('report', { ...hpa, manifest: {} }), selection: {} }, missing));
    const tagsOf = (page: string) => new Set([...page.matchAll(/<\/?([a-z0-9!]+)/gi)].map(([, tag]) => tag));
    expect(tagsOf(text)).toEqual(tagsOf(own));
    for (const [, attributes = ''] of text.matchAll(/<[a-z0-9]+((?:"[^"]*"|[^>"])*)>/gi)) {
      expect(attributes).toMatch(/^( [a-z-]+="[^"]*")*$/);
    }
    expect(text).toContain(`"Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">`);
    expect(text).not.toMatch(/https?:|url\(|@import|src=(?!x)|<link/);
  });

  test.each([80, 10_000])('cannot move the cursor in a table of %i columns', (width) => {
    expect(formatReport(hostile, 'table', { ...plain, width })).not.toMatch(/\p{Cc}(?<!\n)|\|\n/u);
  });

  test('create no markup in Markdown', () => {
    const text = formatReport(hostile, 'markdown', plain);
    expect(text).not.toMatch(/(^|[^\\])<|\p{Cc}(?<!\n)|(^|[^\\])`|[^\\]\]\(/u);
    const rows = text.split('\n').filter((line) => line.startsWith('| '));
    // Of the HPA, and of what is missing in two clusters.
    for (const row of rows) expect([8, 5]).toContain(row.match(/(?<!\\)\|/g)?.length);
  });
});

describe('a page', () => {
  test('contains every fact', () => {
    const text = html(withMissing(account('delete', deleted, refused, { ...kept, remedy: 'Look.' }), missing));
    const facts = [
      ...['failed, ClusterUnreachable', 'no whole answer from lost', 'Check its endpoint.', 'warning, AuditLogOff'],
      ...['Switch it on.', 'eu-south-1: could not be listed, AwsAccessRefused', 'Allow it.', 'late (eu-west-1)'],
      ...['the HPAs that are kept', 'Deleted', 'DeleteRefused', 'policy says no', 'Protected', 'Look.'],
      ...[missing.name, missing.explanation, missing.remedy],
    ];
    expect(facts.filter((fact) => !text.includes(fact))).toEqual([]);
  });

  test('shows stale HPAs with their manifest, and folds what is kept', () => {
    const metadata = { name: 'x', managedFields: [{ manager: 'secret' }] };
    const manifest = { kind: 'HorizontalPodAutoscaler', metadata };
    const text = html(withMissing(scanOf({ ...hpa, manifest }, kept), missing));
    const [before = '', folded = ''] = text.split('<details><summary>1 HPA kept</summary>');
    expect(before).toContain('<p>1 stale of 2 HPAs with a label of Envoy Gateway, 1 missing.</p>');
    expect(before).toContain(`<td class="name" data-heading="Name">${NAME}</td>`);
    expect(before).toContain('<summary>Manifest</summary><pre># without managedFields\nkind: HorizontalPodAut');
    expect(before).toContain('<h3>Missing: wanted, but not found</h3>');
    expect(before).toContain('<td class="owner" data-heading="Owner">Gateway shop/api</td>');
    expect(text).not.toContain('secret');
    expect(folded).toContain('<td class="name" data-heading="Name">kept</td>');
    expect(folded).not.toContain('Manifest');
  });

  test('begins with a list that links to each of several clusters', () => {
    const text = html(withMissing(account('report', hpa), missing));
    expect(text).toContain(
      '<li class="open"><a href="#cluster-0">lost (eu-west-1)</a>: failed, ClusterUnreachable</li>\n<li class=""><a href="#cluster-1">shop (eu-west-1)</a>: 1 stale of 1 HPA with a label of Envoy Gateway, 1 missing</li>\n',
    );
    expect(text).toContain('<section id="cluster-1">\n<h2>shop (eu-west-1)</h2>');
  });
});
