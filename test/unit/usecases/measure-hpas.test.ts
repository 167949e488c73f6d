import { expect, test } from 'vitest';
import { measureHpas } from '../../../functions/usecases/measure-hpas.ts';
import { sweptHpa } from '../../builders/outcomes.ts';

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
  const counts: unknown[][] = [];
  measureHpas(hpas, { add: (...count) => void counts.push(count) });
  expect(counts).toEqual([
    ['HpasFound', 6],
    ['HpasKept', 2, 'Protected'],
    ['HpasKept', 1, 'AutoscalingConfigured'],
    ['HpasHeldBack', 1, 'Settling'],
    ['HpasDeleted', 2, undefined],
  ]);
});
