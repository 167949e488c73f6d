import { expect, test } from 'vitest';
import { formatScan } from '../../functions/cli/output.ts';
import type { HpaReport } from '../../functions/domain/report.ts';

const hpa: HpaReport = {
  namespace: 'envoy-gateway-system',
  name: 'envoy-shop-web-97375646',
  uid: 'uid',
  action: 'delete',
  reason: 'AutoscalingRemoved',
  explanation: 'Gateway shop/web asks for no autoscaling: no envoyHpa in EnvoyProxy shop/web.',
  restsOn: [],
  replicas: { current: 6, min: 2, max: 10, fallback: 2 },
  dropsCapacity: true,
};
const scanOf = (...hpas: HpaReport[]) => ({ schemaVersion: 1 as const, clusters: [{ cluster: 'production', hpas }] });
const plain = { color: false };

test('a table, as wide as it must be', () => {
  expect(formatScan(scanOf(hpa), 'table', plain).split('\n')).toEqual([
    'production: 1 stale of 1 HPA with a label of Envoy Gateway',
    'ACTION  NAMESPACE             NAME                     REASON              REPLICAS              WHY',
    'delete  envoy-gateway-system  envoy-shop-web-97375646  AutoscalingRemoved  6 (2-10) → 2 (drops)  Gateway shop/web asks for no autoscaling: no envoyHpa in EnvoyProxy shop/web.',
    '',
  ]);
});

test('a block for each HPA where the terminal is too narrow for the table', () => {
  const lines = formatScan(scanOf(hpa), 'table', { ...plain, width: 60 }).split('\n');
  expect(lines).toEqual([
    'production: 1 stale of 1 HPA with a label of Envoy Gateway',
    '',
    'delete  envoy-gateway-system/envoy-shop-web-97375646',
    '  AutoscalingRemoved, replicas 6 (2-10) → 2 (drops)',
    '  Gateway shop/web asks for no autoscaling: no envoyHpa in',
    '  EnvoyProxy shop/web.',
    '',
    '',
  ]);
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(60);
});

test('the stale ones in red, and nothing else', () => {
  const kept: HpaReport = { ...hpa, action: 'keep', reason: 'AutoscalingConfigured' };
  const red = `${String.fromCharCode(27)}[31m`;
  for (const width of [60, 400]) {
    const text = formatScan(scanOf(kept, hpa), 'table', { color: true, width });
    expect(text.split(red)).toHaveLength(2);
    expect(text.split(red)[1]).toMatch(/^delete/);
  }
});

test('a guard is named beside the judgement', () => {
  const held = { ...hpa, guard: { name: 'Settling', explanation: 'the HPA was created less than 120 s ago' } };
  expect(formatScan(scanOf(held), 'markdown', plain)).toBe(
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
  expect(formatScan(scanOf(), 'table', plain)).toBe('production: no HPA that carries a label of Envoy Gateway\n');
  expect(formatScan(scanOf(), 'json', plain)).toBe(`${JSON.stringify(scanOf(), null, 2)}\n`);
});
