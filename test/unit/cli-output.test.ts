import { expect, test } from 'vitest';
import { formatReport } from '../../functions/cli/output.ts';
import type { RunReport, SweptHpa } from '../../functions/domain/report.ts';

const hpa: SweptHpa = {
  namespace: 'envoy-gateway-system',
  name: 'envoy-shop-web-97375646',
  uid: 'uid',
  action: 'delete',
  reason: 'AutoscalingRemoved',
  explanation: 'Gateway shop/web asks for no autoscaling: no envoyHpa in EnvoyProxy shop/web.',
  restsOn: [],
  replicas: { current: 6, min: 2, max: 10, fallback: 2 },
  dropsCapacity: true,
  outcome: 'Reported',
  changes: [],
};
const scanOf = (...hpas: SweptHpa[]): RunReport => ({
  schemaVersion: 1,
  runId: 'run-1',
  mode: 'report',
  startedAt: '2026-01-01T00:00:00Z',
  finishedAt: '2026-01-01T00:00:01Z',
  totals: { clusters: 1, swept: 1, skipped: 0, failed: 0, hpas: hpas.length, stale: hpas.length, outcomes: {} },
  clusters: [{ cluster: 'production', result: 'swept', warnings: [], hpas }],
  regions: [],
  remaining: [],
});
const plain = { color: false };

test('a table, as wide as it must be', () => {
  expect(formatReport(scanOf(hpa), 'table', plain).split('\n')).toEqual([
    'production: 1 stale of 1 HPA with a label of Envoy Gateway',
    'ACTION  NAMESPACE             NAME                     REASON              REPLICAS              WHY',
    'delete  envoy-gateway-system  envoy-shop-web-97375646  AutoscalingRemoved  6 (2-10) → 2 (drops)  Gateway shop/web asks for no autoscaling: no envoyHpa in EnvoyProxy shop/web.',
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
    '  EnvoyProxy shop/web.',
    '',
  ]);
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(60);
});

test('the stale ones in red, and nothing else', () => {
  const kept: SweptHpa = { ...hpa, action: 'keep', reason: 'AutoscalingConfigured' };
  const red = `${String.fromCharCode(27)}[31m`;
  for (const [width, lines] of [
    [60, 4],
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
      '| delete | envoy-gateway-system | envoy-shop-web-97375646 | AutoscalingRemoved (held back: Settling) | 6 (2-10) → 2 (drops) | Gateway shop/web asks for no autoscaling: no envoyHpa in EnvoyProxy shop/web. Held back: the HPA was created less than 120 s ago. |',
      '',
    ].join('\n'),
  );
});

test('a cluster without such HPAs', () => {
  expect(formatReport(scanOf(), 'table', plain)).toBe('production: no HPA that carries a label of Envoy Gateway\n');
  expect(formatReport(scanOf(), 'json', plain)).toBe(`${JSON.stringify(scanOf(), null, 2)}\n`);
});
