import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { FORMATS, formatReport } from '../../../functions/cli/output/report.ts';
import {
  type ClusterReport,
  type MissingHpaReport,
  type RunReport,
  runReportSchema,
  type SweptHpa,
} from '../../../functions/events/report.ts';

const hpa: SweptHpa = {
  namespace: 'envoy-gateway-system',
  name: 'envoy-shop-web-97375646',
  uid: 'uid',
  action: 'delete',
  reason: 'AutoscalingRemoved',
  explanation: 'Gateway shop/web asks for no autoscaling: no envoyHpa in EnvoyProxy shop/web.',
  restsOn: [],
  replicas: { current: 6, min: 2, max: 10, after: { kind: 'Becomes', replicas: 2 } },
  dropsCapacity: true,
  outcome: 'Reported',
  changes: [],
};
const SETS_TWO = 'Afterwards Envoy Gateway sets its Deployment to 2 replicas when it next applies it.';
const missing: MissingHpaReport = {
  namespace: 'envoy-gateway-system',
  name: 'envoy-shop-api-737a40b9',
  owner: { kind: 'Gateway', namespace: 'shop', name: 'api' },
  reason: 'WantedButMissing',
  explanation: 'Gateway shop/api asks for autoscaling in EnvoyProxy shop/api, and there is no HPA of that name.',
  remedy: 'Restart Envoy Gateway, or change the spec of its EnvoyProxy.',
};
const scanOf = (...hpas: SweptHpa[]): RunReport => ({
  schemaVersion: 1,
  runId: 'run-1',
  mode: 'report',
  startedAt: '2026-01-01T00:00:00Z',
  finishedAt: '2026-01-01T00:00:01Z',
  totals: {
    ...{
      clusters: 1,
      swept: 1,
      skipped: 0,
      failed: 0,
      hpas: hpas.length,
      stale: hpas.length,
      missing: 0,
      outcomes: {},
    },
  },
  clusters: [{ cluster: 'production', result: 'swept', warnings: [], hpas, missing: [] }],
  regions: [],
  remaining: [],
});
const withMissing = (report: RunReport, ...found: MissingHpaReport[]): RunReport => ({
  ...report,
  totals: { ...report.totals, missing: found.length },
  clusters: report.clusters.map((one) => (one.result === 'swept' ? { ...one, missing: found } : one)),
});
const plain = { color: false };

test('a table, as wide as it must be', () => {
  expect(formatReport(scanOf(hpa), 'table', plain).split('\n')).toEqual([
    'production: 1 stale of 1 HPA with a label of Envoy Gateway',
    'ACTION  NAMESPACE             NAME                     REASON              REPLICAS              WHY',
    'delete  envoy-gateway-system  envoy-shop-web-97375646  AutoscalingRemoved  6 (2-10) → 2 (drops)  Gateway shop/web asks for no autoscaling: no envoyHpa in EnvoyProxy shop/web. ' +
      SETS_TWO,
    '',
  ]);
});

test('a block for each HPA where the terminal is too narrow for the table', () => {
  const lines = formatReport(scanOf(hpa), 'table', { ...plain, width: 60 }).split('\n');
  expect(lines).toEqual([
    'production: 1 stale of 1 HPA with a label of Envoy Gateway',
    '',
    'delete  envoy-gateway-system/envoy-shop-web-97375646',
    '  AutoscalingRemoved, replicas 6 (2-10) → 2 (drops)',
    '  Gateway shop/web asks for no autoscaling: no envoyHpa in',
    '  EnvoyProxy shop/web. Afterwards Envoy Gateway sets its',
    '  Deployment to 2 replicas when it next applies it.',
    '',
  ]);
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(60);
});

test('the stale ones in red, and nothing else', () => {
  const kept: SweptHpa = { ...hpa, action: 'keep', reason: 'AutoscalingConfigured' };
  const red = `${String.fromCharCode(27)}[31m`;
  for (const [width, lines] of [
    [60, 5],
    [400, 1],
  ] as const) {
    const painted = formatReport(scanOf(kept, hpa), 'table', { color: true, width })
      .split('\n')
      .filter((line) => line.includes(red));
    expect(painted).toHaveLength(lines);
    expect(painted[0]?.startsWith(`${red}delete  `)).toBe(true);
  }
});

test('a guard is named beside the judgement', () => {
  const held = { ...hpa, guard: { name: 'Settling', explanation: 'the HPA was created less than 120 s ago' } };
  expect(formatReport(scanOf(held), 'markdown', plain)).toBe(
    [
      '### production',
      '',
      '1 stale of 1 HPA with a label of Envoy Gateway.',
      '',
      '| ACTION | NAMESPACE | NAME | REASON | REPLICAS | WHY |',
      '| --- | --- | --- | --- | --- | --- |',
      '| delete | envoy-gateway-system | envoy-shop-web-97375646 | AutoscalingRemoved (held back: Settling) | 6 (2-10) → 2 (drops) | Gateway shop/web asks for no autoscaling: no envoyHpa in EnvoyProxy shop/web. Afterwards Envoy Gateway sets its Deployment to 2 replicas when it next applies it. Held back: the HPA was created less than 120 s ago. |',
      '',
    ].join('\n'),
  );
});

test('a cluster without such HPAs', () => {
  expect(formatReport(scanOf(), 'table', plain)).toBe('production: no HPA with a label of Envoy Gateway\n');
  expect(formatReport(scanOf(), 'json', plain)).toBe(`${JSON.stringify(scanOf(), null, 2)}\n`);
});

/** Two clusters, one of which was not swept, with everything that a run can have to say beside its HPAs. */
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
    ...scanOf(),
    mode,
    totals: {
      ...{ clusters: 3, swept: 1, skipped: 0, failed: 1, hpas: hpas.length, stale: 1, missing: 0 },
      outcomes: { Deleted: 1 },
    },
    clusters: [lost, shop],
    regions: [{ region: 'eu-south-1', reason: 'AwsAccessRefused', message: 'not allowed', remedy: 'Allow it.' }],
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

test('a run that deletes: outcomes in place of actions, what went wrong, what is missing, and the sum', () => {
  const lines = formatReport(account('delete', deleted, refused, kept), 'table', plain).split('\n');
  expect(lines).toEqual([
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
    expect.stringMatching(/^Deleted {8}envoy-gateway-system {2}envoy-shop-web-97375646 /),
    expect.stringMatching(/^DeleteRefused {2}envoy-gateway-system .* The API server: policy says no$/),
    expect.stringMatching(/^Kept /),
    '',
    'eu-south-1: could not be listed, AwsAccessRefused',
    '  not allowed',
    '  Allow it.',
    '',
    'Not finished before the run had to end: late (eu-west-1).',
    'Left out: the HPAs that are kept',
    '',
    'Total: 3 clusters, 1 swept, 1 failed, 1 not started; 1 Deleted, 1 DeleteRefused, 1 Kept of 3 HPAs with a label of Envoy Gateway',
    '',
  ]);
});

test('the same as markdown', () => {
  const paragraphs = formatReport(account('delete', deleted), 'markdown', plain).split('\n\n');
  expect(paragraphs).toEqual([
    '3 clusters, 1 swept, 1 failed, 1 not started; 1 Deleted of 1 HPA with a label of Envoy Gateway.',
    '### lost (eu-west-1)',
    '**failed, ClusterUnreachable**: no whole answer from lost. Check its endpoint.',
    '### shop (eu-west-1)',
    '1 Deleted of 1 HPA with a label of Envoy Gateway.',
    '**warning, AuditLogOff**: the audit log is off. Switch it on.',
    expect.stringMatching(/^\| OUTCOME \| NAMESPACE .*\n.*\n\| Deleted \| envoy-gateway-system /),
    '**eu-south-1: could not be listed, AwsAccessRefused**: not allowed. Allow it.',
    'Not finished before the run had to end: late (eu-west-1).',
    'Left out: the HPAs that are kept\n',
  ]);
});

test.each(FORMATS)('%s says all of it', (format) => {
  const report = withMissing(account('delete', deleted, refused, { ...kept, remedy: 'Look.' }), missing);
  const text = formatReport(report, format, { ...plain, width: 80 });
  for (const what of [
    ...['ClusterUnreachable', 'no whole answer from lost', 'Check its endpoint.', 'AuditLogOff', 'Switch it on.'],
    ...['eu-south-1', 'AwsAccessRefused', 'Allow it.', 'late', 'the HPAs that are kept'],
    ...['Deleted', 'DeleteRefused', 'policy says no', 'Protected', 'AutoscalingRemoved', 'Look.'],
    ...[missing.name, 'Gateway', 'shop/api asks for autoscaling', 'Restart Envoy Gateway'],
  ]) {
    expect(text).toContain(what);
  }
});

test('JSON and YAML are the report', () => {
  const report = account('delete', deleted, refused, kept);
  expect(runReportSchema.parse(report)).toEqual(report);
  expect(JSON.parse(formatReport(report, 'json', plain))).toEqual(report);
  expect(parse(formatReport(report, 'yaml', plain))).toEqual(report);
});

describe('what becomes of the replicas', () => {
  const cellsOf = (replicas: SweptHpa['replicas'], dropsCapacity = false) => {
    const row = formatReport(scanOf({ ...hpa, replicas, dropsCapacity }), 'markdown', plain)
      .trimEnd()
      .split('\n')
      .at(-1);
    const [cell, why] = row?.split(' | ').slice(4) ?? [];
    return [cell, why?.replace(/^.*EnvoyProxy shop\/web\. ?/, '').replace(/ ?\|$/, '')];
  };
  const range = { current: 5, min: 2, max: 10 };
  test.each<[SweptHpa['replicas'], boolean, string, string]>([
    [range, false, '5 (2-10)', ''],
    [
      { ...range, after: { kind: 'Stays', replicas: 5 } },
      false,
      '5 (2-10) → stays at 5',
      'Afterwards its Deployment stays at 5 replicas until somebody scales it.',
    ],
    [
      { ...range, current: 1, after: { kind: 'Stays', replicas: 1 } },
      false,
      '1 (2-10) → stays at 1',
      'Afterwards its Deployment stays at 1 replica until somebody scales it.',
    ],
    [
      { min: 2, max: 10, after: { kind: 'Stays' } },
      false,
      '? (2-10) → stays',
      'Afterwards its Deployment stays at the replicas it has until somebody scales it.',
    ],
    [
      { ...range, after: { kind: 'Becomes', replicas: 3 } },
      true,
      '5 (2-10) → 3 (drops)',
      'Afterwards Envoy Gateway sets its Deployment to 3 replicas when it next applies it.',
    ],
    [
      { ...range, after: { kind: 'Becomes', replicas: 1 } },
      false,
      '5 (2-10) → 1',
      'Afterwards Envoy Gateway sets its Deployment to 1 replica when it next applies it.',
    ],
    [
      { ...range, after: { kind: 'Governed', hpa: 'shop/keda' } },
      false,
      '5 (2-10) → HPA shop/keda',
      'Afterwards HPA shop/keda sets the replicas.',
    ],
    [{ ...range, after: { kind: 'NoDeployment' } }, false, '5 (2-10) → no Deployment', ''],
    [
      { ...range, after: { kind: 'Unknown' } },
      false,
      '5 (2-10) → unknown',
      'Afterwards a patch decides how many replicas its Deployment has.',
    ],
  ])('%o', (replicas, drops, cell, why) => {
    expect(cellsOf(replicas, drops)).toEqual([cell, why]);
  });
});

test('a remedy stands behind the reason', () => {
  const orphan = { ...kept, explanation: 'Its Deployment still runs.', remedy: 'Delete that Deployment.' };
  expect(formatReport(scanOf(orphan), 'markdown', plain)).toContain(
    '| Its Deployment still runs. Delete that Deployment. |',
  );
});

describe('an HPA that is missing', () => {
  const report = () => withMissing(scanOf(hpa), missing);
  const SUMMARY = '1 stale of 1 HPA with a label of Envoy Gateway, 1 missing';

  test('has a section of its own beneath the table', () => {
    expect(formatReport(report(), 'table', plain).split('\n')).toEqual([
      `production: ${SUMMARY}`,
      expect.stringMatching(/^ACTION /),
      expect.stringMatching(/^delete /),
      '',
      'Missing: asked for, but not there',
      `missing  envoy-gateway-system/${missing.name} of Gateway shop/api`,
      `  ${missing.explanation}`,
      `  ${missing.remedy}`,
      '',
    ]);
    expect(formatReport(withMissing(scanOf(), missing), 'table', plain)).toMatch(
      /^production: no HPA with a label of Envoy Gateway, 1 missing\n\nMissing: /,
    );
  });

  test('fits the terminal, in red', () => {
    const red = `${String.fromCharCode(27)}[31m`;
    const lines = formatReport(withMissing(scanOf(), missing), 'table', { color: true, width: 60 }).split('\n');
    expect(lines.filter((line) => line.startsWith(red))).toEqual([
      expect.stringContaining(`missing  envoy-gateway-system/${missing.name}`),
      expect.stringContaining('Gateway shop/api'),
    ]);
    for (const line of lines) expect(stripVTControlCharacters(line).length).toBeLessThanOrEqual(60);
  });

  test('in a ticket', () => {
    expect(formatReport(report(), 'markdown', plain).split('\n\n')).toEqual([
      '### production',
      `${SUMMARY}.`,
      expect.stringMatching(/^\| ACTION /),
      '#### Missing: asked for, but not there',
      [
        '| NAMESPACE | NAME | OWNER | WHY | REMEDY |',
        '| --- | --- | --- | --- | --- |',
        `| envoy-gateway-system | ${missing.name} | Gateway shop/api | ${missing.explanation} | ${missing.remedy} |\n`,
      ].join('\n'),
    ]);
  });

  test('on the page: a tile, a column of the clusters, and a table', () => {
    const text = formatReport(withMissing(account('report', hpa), missing), 'html', plain);
    expect(text).toContain('<div class="bad"><dt>missing</dt><dd>1</dd></div>');
    expect(text).toContain('<th class="number">Stale</th><th class="number">Missing</th></tr>');
    expect(text).toContain(
      '<td>swept</td>\n<td class="number">1</td>\n<td class="number bad">1</td>\n<td class="number bad">1</td>\n</tr>',
    );
    expect(text).toContain('<td>failed: ClusterUnreachable</td>\n<td class="number"></td>\n');
    expect(text).toContain('<h3>Missing: asked for, but not there</h3>');
    expect(text).toContain('<td class="owner" data-heading="Owner">Gateway shop/api</td>');
    expect(text).toContain(`<td class="remedy" data-heading="Remedy">${missing.remedy}</td>`);
    const none = formatReport(account('report', hpa), 'html', plain);
    expect(none).toContain('<div class=""><dt>missing</dt><dd>0</dd></div>');
    expect(none).not.toContain('<h3>');
  });

  test('counts in the sum of several clusters, also in a run that deletes', () => {
    expect(formatReport(withMissing(account('delete', deleted), missing, missing), 'table', plain)).toContain(
      '1 not started; 1 Deleted of 1 HPA with a label of Envoy Gateway, 2 missing\n',
    );
  });
});

const now = { action: 'keep', reason: 'AutoscalingConfigured', explanation: 'It asks for autoscaling.' } as const;
const whatIf = (): RunReport => ({
  ...scanOf(
    { ...hpa, name: 'a', whatIf: { change: 'BecomesStale', now } },
    { ...kept, name: 'b', whatIf: { change: 'BecomesStaleWithoutDeployment', now } },
    { ...kept, name: 'c', whatIf: { change: 'NoLongerStale', now: { ...now, action: 'delete', reason: 'Renamed' } } },
    { ...kept, name: 'd', whatIf: { change: 'Unchanged', now } },
  ),
  whatIf: {
    applied: ['1', '2', '3', '4', '5', '6'].map((name) => ({ kind: 'EnvoyProxy', namespace: 'shop', name })),
    deleted: [{ kind: 'GatewayClass', name: 'eg' }],
  },
});

test('a what-if: what was laid, what changes, and what it was before', () => {
  const [introduction, , summary, headings, ...rows] = formatReport(whatIf(), 'table', plain).split('\n');
  expect(introduction).toBe(
    'What if: EnvoyProxy shop/1, EnvoyProxy shop/2, EnvoyProxy shop/3, EnvoyProxy shop/4, EnvoyProxy shop/5 and 1 more applied; GatewayClass eg deleted.',
  );
  expect(summary).toBe(
    'production: 1 newly stale, 1 stale without Deployment, 1 no longer stale; then 1 stale of 4 HPAs with a label of Envoy Gateway',
  );
  expect(headings).toMatch(/^WHAT IF +ACTION {2}NAMESPACE /);
  expect(rows).toEqual([
    expect.stringMatching(/^newly stale +delete .* Now AutoscalingConfigured: It asks for autoscaling\.$/),
    expect.stringMatching(/^stale without Deployment +keep .* Stale once Envoy Gateway has removed that Deployment, /),
    expect.stringMatching(/^no longer stale +keep .* Now Renamed: It asks for autoscaling\.$/),
    expect.stringMatching(/^ {26}keep .*EnvoyProxy shop\/web\.$/),
    '',
  ]);
});

test('a what-if in colours and blocks', () => {
  const text = formatReport(whatIf(), 'table', { color: true, width: 80 });
  const colored = (code: number) =>
    text.split('\n').find((line) => line.startsWith(`${String.fromCharCode(27)}[${code}m`));
  expect(colored(31)).toContain('delete (newly stale)  envoy-gateway-system/a');
  expect(colored(33)).toContain('keep (stale without Deployment)  envoy-gateway-system/b');
  expect(colored(32)).toContain('keep (no longer stale)  envoy-gateway-system/c');
});

const HOSTILE = `<script>alert(1)</script>"'&|\n\u001b[2J](x) *b* \`c\` <img src=x onerror=y>`;
const hostile = (): RunReport => {
  const report = account('report', {
    ...hpa,
    name: HOSTILE,
    namespace: HOSTILE,
    reason: HOSTILE,
    explanation: HOSTILE,
    createdAt: HOSTILE,
    message: HOSTILE,
    guard: { name: HOSTILE, explanation: HOSTILE },
    whatIf: { change: 'BecomesStale', now: { action: 'keep', reason: HOSTILE, explanation: HOSTILE } },
    manifest: { metadata: { name: HOSTILE, annotations: { [HOSTILE]: `</pre>${HOSTILE}` } } },
  });
  const problem = { reason: HOSTILE, message: HOSTILE, remedy: HOSTILE };
  return {
    ...report,
    finishedAt: HOSTILE,
    selection: { namespace: HOSTILE, gateway: HOSTILE },
    whatIf: { applied: [{ kind: HOSTILE, name: HOSTILE }], deleted: [] },
    clusters: report.clusters.map((cluster) => ({
      ...cluster,
      cluster: HOSTILE,
      region: HOSTILE,
      ...(cluster.problem && { problem }),
      warnings: [problem],
      missing: [
        {
          ...{ namespace: HOSTILE, name: HOSTILE, owner: { kind: HOSTILE, name: HOSTILE }, reason: 'WantedButMissing' },
          ...{ explanation: HOSTILE, remedy: HOSTILE },
        },
      ],
    })),
    regions: [{ ...problem, region: HOSTILE }],
    remaining: [{ cluster: HOSTILE }],
    shortened: [HOSTILE],
  };
};

test('what others have written is text in the page, and the page may load nothing', () => {
  const text = formatReport(hostile(), 'html', plain);
  expect(text).not.toMatch(/<(script|img)/i);
  expect(text).not.toContain('\u001b');
  expect(text).toContain('&#60;script&#62;alert(1)&#60;/script&#62;&#34;&#39;&#38;|');
  // Every tag is one that the page has of its own, and the attributes are whole.
  const own = formatReport(withMissing(whatIf(), missing), 'html', plain);
  const tagsOf = (page: string) => new Set([...page.matchAll(/<\/?([a-z0-9!]+)/gi)].map(([, tag]) => tag));
  expect(
    [...tagsOf(text)].filter(
      (tag) => !tagsOf(own).has(tag) && !['a', 'strong', 'details', 'summary', 'pre'].includes(tag ?? ''),
    ),
  ).toEqual([]);
  for (const [, attributes = ''] of text.matchAll(/<[a-z0-9]+((?:"[^"]*"|[^>"])*)>/gi)) {
    expect(attributes).toMatch(/^( [a-z-]+="[^"]*")*$/);
  }
  expect(text).toContain(
    `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">`,
  );
  expect(text).not.toMatch(/https?:|url\(|@import|src=(?!x)|<link/);
});

test('what others have written neither moves the cursor nor makes markup in a ticket', () => {
  for (const width of [80, 10_000]) {
    expect(formatReport(hostile(), 'table', { ...plain, width })).not.toMatch(/\p{Cc}(?<!\n)|\|\n/u);
  }
  const markdown = formatReport(hostile(), 'markdown', plain);
  expect(markdown).not.toMatch(/(^|[^\\])<|\p{Cc}(?<!\n)|(^|[^\\])`|[^\\]\]\(/u);
  const rows = markdown.split('\n').filter((line) => line.startsWith('| '));
  // Of the one HPA, and of what is missing in two clusters.
  for (const row of rows) expect([8, 6]).toContain(row.match(/(?<!\\)\|/g)?.length);
});

test('the page: a table for what is stale, what is kept folded away, the manifest on click, the age', () => {
  const manifest = { kind: 'HorizontalPodAutoscaler', metadata: { name: 'x', managedFields: [{ manager: 'secret' }] } };
  const createdAt = '2025-12-29T00:00:00Z';
  const text = formatReport(scanOf({ ...hpa, manifest, createdAt }, kept), 'html', plain);
  const [before = '', folded = ''] = text.split('<details><summary>1 HPA kept</summary>');
  expect(before).toContain('<p>1 stale of 2 HPAs with a label of Envoy Gateway.</p>');
  expect(before).toContain('<td class="name" data-heading="Name">envoy-shop-web-97375646</td>');
  expect(before).toContain('<td class="age" data-heading="Age">3d</td>');
  expect(before).toContain(
    '<details><summary>Manifest</summary><pre># without managedFields\nkind: HorizontalPodAutoscaler\n',
  );
  expect(text).not.toContain('secret');
  expect(folded).toContain('<td class="name" data-heading="Name">kept</td>');
  expect(folded).not.toContain('Manifest');
});

test.each([
  ['2026-01-01T00:00:00Z', '1s'],
  ['2025-12-31T23:58:59Z', '1m'],
  ['2025-12-31T20:00:00Z', '4h'],
  ['2025-12-30T20:00:00Z', '1d'],
  ['2026-01-01T00:01:00Z', '0s'],
  ['yesterday', '?'],
])('made at %s is %s old', (createdAt, age) => {
  expect(formatReport(scanOf({ ...hpa, createdAt }), 'html', plain)).toContain(`data-heading="Age">${age}</td>`);
});

test('the page of several clusters begins with a table of them that leads to each', () => {
  const text = formatReport(account('delete', deleted), 'html', plain);
  expect(text).toContain('<td><a href="#cluster-0">lost (eu-west-1)</a></td>\n<td>failed: ClusterUnreachable</td>');
  expect(text).toContain('<section id="cluster-1">\n<h2>shop (eu-west-1)</h2>');
  expect(text).toContain('<dt>not swept</dt><dd>2</dd>');
  expect(text).toContain('<dt>Deleted</dt><dd>1</dd>');
});
