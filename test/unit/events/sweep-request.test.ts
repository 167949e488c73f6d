import { describe, expect, test } from 'vitest';
import { clampToDeployment, mostPermissive, type SweepPolicy } from '../../../functions/events/sweep-request.ts';

const deletes = (maxDeletions: number): SweepPolicy => ({ mode: 'delete', maxDeletions });
const reports = (maxDeletions: number): SweepPolicy => ({ mode: 'report', maxDeletions });

describe('a request', () => {
  test.each<[SweepPolicy, Partial<SweepPolicy> & Pick<SweepPolicy, 'mode'>, SweepPolicy]>([
    [deletes(25), { mode: 'delete' }, deletes(25)],
    [deletes(25), { mode: 'delete', maxDeletions: 3 }, deletes(3)],
    [deletes(25), { mode: 'delete', maxDeletions: 0 }, deletes(0)],
    [deletes(25), { mode: 'delete', maxDeletions: 26 }, deletes(25)],
    [deletes(25), { mode: 'report' }, reports(25)],
    [reports(25), { mode: 'delete' }, reports(25)],
    [reports(25), { mode: 'report', maxDeletions: 26 }, reports(25)],
  ])('where the deployment has %j: %j means %j', (own, request, terms) => {
    expect(clampToDeployment(request, own)).toEqual(terms);
  });
});

describe('one pass in place of several', () => {
  test.each<[string, SweepPolicy[], SweepPolicy]>([
    ['one alone', [reports(7)], reports(7)],
    ['reports never delete', [reports(7), reports(9)], reports(9)],
    ['a report does not keep another from deleting, nor lowers its limit', [reports(0), deletes(25)], deletes(25)],
    ['a report does not raise a limit', [reports(25), deletes(3)], deletes(3)],
    ['the higher limit of two', [deletes(3), deletes(5), deletes(4)], deletes(5)],
  ])('%s', (_, several, together) => {
    expect(mostPermissive(several)).toEqual(together);
    expect(mostPermissive(several.toReversed())).toEqual(together);
  });
});
