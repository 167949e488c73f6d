import { expect, test } from 'vitest';
import { measureHpas } from '../../../functions/sweep/measure-hpas.ts';
import { missingHpa, sweptHpa } from '../../builders/outcomes.ts';

function countsOf(found: Parameters<typeof measureHpas>[0]): unknown[][] {
  const counts: unknown[][] = [];
  measureHpas(found, { add: (...count) => void counts.push(count) });
  return counts;
}

test('HPAs are counted by outcome, and kept and held back ones by reason', () => {
  const guard = { name: 'Settling', explanation: 'It was created 20 s ago' };
  const hpas = [
    sweptHpa('shop/a', 'Kept', { reason: 'Protected' }),
    sweptHpa('shop/b', 'Kept', { reason: 'AutoscalingConfigured' }),
    sweptHpa('shop/c', 'Kept', { reason: 'Protected' }),
    sweptHpa('shop/d', 'HeldBack', { guard }),
    sweptHpa('shop/e', 'Deleted', { reason: 'Renamed' }),
    sweptHpa('shop/f', 'Deleted', { reason: 'AutoscalingRemoved' }),
  ];
  expect(countsOf({ hpas, missing: [] })).toEqual([
    ['HpasFound', 6],
    ['HpasKept', 2, 'Protected'],
    ['HpasKept', 1, 'AutoscalingConfigured'],
    ['HpasHeldBack', 1, 'Settling'],
    ['HpasDeleted', 2, undefined],
  ]);
});

test('those that are missing are counted where there are any, and are not among those that were found', () => {
  expect(countsOf({ hpas: [], missing: [missingHpa('shop/a'), missingHpa('shop/b')] })).toEqual([
    ['HpasFound', 0],
    ['HpasMissing', 2],
  ]);
  expect(countsOf({ hpas: [], missing: [] })).toEqual([['HpasFound', 0]]);
});
