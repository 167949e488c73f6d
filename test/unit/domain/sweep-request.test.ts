import { describe, expect, test } from 'vitest';
import { type Terms, termsOf, termsTogether } from '../../../functions/domain/sweep-request.ts';

const deletes = (maxDeletions: number): Terms => ({ mode: 'delete', maxDeletions });
const reports = (maxDeletions: number): Terms => ({ mode: 'report', maxDeletions });

describe('a request', () => {
  test.each<[Terms, Partial<Terms> & Pick<Terms, 'mode'>, Terms]>([
    [deletes(25), { mode: 'delete' }, deletes(25)],
    [deletes(25), { mode: 'delete', maxDeletions: 3 }, deletes(3)],
    [deletes(25), { mode: 'delete', maxDeletions: 0 }, deletes(0)],
    [deletes(25), { mode: 'delete', maxDeletions: 26 }, deletes(25)],
    [deletes(25), { mode: 'report' }, reports(25)],
    [reports(25), { mode: 'delete' }, reports(25)],
    [reports(25), { mode: 'report', maxDeletions: 26 }, reports(25)],
  ])('where the deployment has %j: %j means %j', (own, request, terms) => {
    expect(termsOf(request, own)).toEqual(terms);
  });
});

describe('one pass in place of several', () => {
  test.each<[string, Terms[], Terms]>([
    ['one alone', [reports(7)], reports(7)],
    ['reports never delete', [reports(7), reports(9)], reports(9)],
    ['a report does not keep another from deleting, nor lowers its limit', [reports(0), deletes(25)], deletes(25)],
    ['a report does not raise a limit', [reports(25), deletes(3)], deletes(3)],
    ['the higher limit of two', [deletes(3), deletes(5), deletes(4)], deletes(5)],
  ])('%s', (_, several, together) => {
    expect(termsTogether(several)).toEqual(together);
    expect(termsTogether(several.toReversed())).toEqual(together);
  });
});
