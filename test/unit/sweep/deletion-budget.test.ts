import { expect, test } from 'vitest';
import { deletionBudget } from '../../../functions/sweep/deletion-budget.ts';

const refused = (more: number, limit: number, left: number) =>
  `${more} deletions, and of the ${limit} that this run may make over all clusters ${left} are left`;

test('gives what fits, up to the limit', () => {
  const budget = deletionBudget(3);
  expect(budget.reserve(['a', 'b'])).toBeUndefined();
  expect(budget.reserve(['c'])).toBeUndefined();
  expect(budget.reserve(['d'])).toBe(refused(1, 3, 0));
});

test('refuses as a whole what does not fit, and keeps nothing of it', () => {
  const budget = deletionBudget(3);
  expect(budget.reserve(['a', 'b'])).toBeUndefined();
  expect(budget.reserve(['c', 'd'])).toBe(refused(2, 3, 1));
  expect(budget.reserve(['d'])).toBeUndefined();
});

test('asking again for the same costs nothing, also beside more', () => {
  const budget = deletionBudget(3);
  expect(budget.reserve(['a', 'b'])).toBeUndefined();
  expect(budget.reserve(['b', 'a'])).toBeUndefined();
  expect(budget.reserve(['a', 'b', 'c'])).toBeUndefined();
  expect(budget.reserve(['c', 'd'])).toBe(refused(1, 3, 0));
});

test('gives nothing with a limit of 0, and anything without one', () => {
  expect(deletionBudget(0).reserve(['a'])).toBe(refused(1, 0, 0));
  expect(deletionBudget(0).reserve([])).toBeUndefined();
  expect(deletionBudget(Number.POSITIVE_INFINITY).reserve(['a'])).toBeUndefined();
});
