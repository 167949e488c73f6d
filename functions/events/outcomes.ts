import type { ChangeDetail } from './queued-event.ts';

/** The results of a sweep for one HPA, in the order of a report. */
export const OUTCOMES = [
  'Deleted',
  'AlreadyGone', // Somebody else was faster: a success.
  'Reported', // Stale, and the sweep only reports.
  'Failed', // Stale, and the API server did not answer a write, and the write is not known to be done: retried later.
  'Conflict', // Stale, and it or its configuration kept changing during the sweep: retried later.
  'MarkRefused', // Stale, and an admission policy refuses the mark: kept.
  'DeleteRefused', // Stale, and an admission policy refuses the deletion: kept.
  'Stopped', // Stale, and the sweep was stopped before it was deleted.
  'HeldBack', // Stale, and a guard holds it back.
  'Kept', // The judgement keeps it.
] as const;

/**
 * What can hold a deletion back. `retried`: it ends by itself, so the HPA is swept again soon and no event is published. For the
 * others a person decides; `advice` tells that person what to do on the command line, from the number of stale HPAs in the run.
 */
export const GUARDS = {
  Settling: { retried: true, advice: () => 'Run this again in a few minutes.' },
  BlastRadiusExceeded: { retried: false, advice: (stale: number) => `To delete all: --max-deletions ${stale}` },
  MarkRefused: { retried: false, advice: () => '' },
  DeleteRefused: { retried: false, advice: () => '' },
} as const;

/** The number of HPAs by outcome, without outcomes that no HPA has. */
export function countOutcomes(hpas: readonly { outcome: (typeof OUTCOMES)[number] }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { outcome } of hpas) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
}

/** Who wrote what, for a report. */
export function changeOf(detail: Omit<ChangeDetail, 'version' | 'cluster'>) {
  const { user, auditID, verb, objectRef, stageTimestamp: time } = detail;
  const { resource, namespace, name } = objectRef;
  return { ...user, auditID, verb, resource, namespace, name, time };
}
