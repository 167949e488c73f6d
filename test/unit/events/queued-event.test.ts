import { expect, test } from 'vitest';
import { sweepPolicy } from '../../../functions/events/queued-event.ts';

type Policy = Parameters<typeof sweepPolicy>[1];
const deletes = (maxDeletions: number): Policy => ({ mode: 'delete', maxDeletions });
const reports = (maxDeletions: number): Policy => ({ mode: 'report', maxDeletions });
const change = { mode: 'delete' } as const;

test.each<[string, Parameters<typeof sweepPolicy>[0], Policy, Policy]>([
  ['a change deletes up to the limit of the deployment', [change], deletes(25), deletes(25)],
  ['a request lowers the limit', [deletes(3)], deletes(25), deletes(3)],
  ['a request lowers the limit to 0', [deletes(0)], deletes(25), deletes(0)],
  ['a request does not raise the limit', [deletes(26)], deletes(25), deletes(25)],
  ['a report request deletes nothing', [{ mode: 'report' }], deletes(25), reports(25)],
  ['a change only reports where the deployment only reports', [change], reports(25), reports(25)],
  ['a report request does not raise the limit', [reports(26)], reports(25), reports(25)],
  ['several report requests delete nothing', [reports(7), reports(9)], deletes(25), reports(9)],
  ['a report request does not prevent a deletion, or lower its limit', [reports(0), change], deletes(25), deletes(25)],
  ['a report request does not raise the limit of a deletion', [reports(25), deletes(3)], deletes(25), deletes(3)],
  ['the highest of several limits is effective', [deletes(3), deletes(5), deletes(4)], deletes(25), deletes(5)],
])('%s', (_, triggers, own, policy) => {
  expect(sweepPolicy(triggers, own)).toEqual(policy);
  expect(sweepPolicy(triggers.toReversed(), own)).toEqual(policy);
});
