import { expect, test } from 'vitest';
import { deletionBudget } from '../../../functions/sweep/sweep-account.ts';

const refused = (more: number, limit: number, left: number) =>
  `${more} deletions, and of the ${limit} that this run may make over all clusters ${left} are left`;

test('gives what fits, up to the limit', () => {
  const budget = deletionBudget(3);
  expect(budget(['a', 'b'])).toBeUndefined();
  expect(budget(['c'])).toBeUndefined();
  expect(budget(['d'])).toBe(refused(1, 3, 0));
});

test('refuses as a whole what does not fit, and keeps nothing of it', () => {
  const budget = deletionBudget(3);
  expect(budget(['a', 'b'])).toBeUndefined();
  expect(budget(['c', 'd'])).toBe(refused(2, 3, 1));
  expect(budget(['d'])).toBeUndefined();
});

test('grants the same deletions again at no cost, also together with others', () => {
  const budget = deletionBudget(3);
  expect(budget(['a', 'b'])).toBeUndefined();
  expect(budget(['b', 'a'])).toBeUndefined();
  expect(budget(['a', 'b', 'c'])).toBeUndefined();
  expect(budget(['c', 'd'])).toBe(refused(1, 3, 0));
});

test('gives nothing with a limit of 0, and anything without one', () => {
  expect(deletionBudget(0)(['a'])).toBe(refused(1, 0, 0));
  expect(deletionBudget(0)([])).toBeUndefined();
  expect(deletionBudget(Number.POSITIVE_INFINITY)(['a'])).toBeUndefined();
});
