import type { HorizontalPodAutoscaler, ManagedFieldsEntry } from '../judgement/kubernetes-objects.ts';
import { OWN_MANAGER } from '../judgement/ownership.ts';

/** What became of one HPA that was to be put back. */
export const RESTORE_OUTCOMES = [
  'Restored',
  'Restorable', // With --dry-run: it would be restored.
  'AlreadyThere', // There is one of that name; it is never overwritten.
  'StillStale', // It would be deleted again.
  'Refused', // The API server does not take it.
  'Failed', // No answer, or it went on changing; the same again later may well succeed.
] as const;
export type RestoreOutcome = (typeof RESTORE_OUTCOMES)[number];

/** The manifest as it can be created: without what the server gives, and what only a running HPA has. */
export function creatable(manifest: HorizontalPodAutoscaler): HorizontalPodAutoscaler {
  const { status: _status, ...whole } = manifest;
  const {
    uid: _uid,
    resourceVersion: _version,
    creationTimestamp: _created,
    generation: _generation,
    managedFields: _managers,
    selfLink: _link,
    deletionTimestamp: _deleted,
    deletionGracePeriodSeconds: _grace,
    ...metadata
  } = manifest.metadata;
  return { ...whole, metadata } as unknown as HorizontalPodAutoscaler;
}

/** The manifest as it will be once it is there, for the judgement. */
export const asLiveObject = (manifest: HorizontalPodAutoscaler, uid: string): HorizontalPodAutoscaler => ({
  ...manifest,
  metadata: {
    ...creatable(manifest).metadata,
    uid,
    resourceVersion: '0',
    ...(manifest.metadata.managedFields && { managedFields: manifest.metadata.managedFields }),
  },
});

/** Who owned which fields of the manifest. The status has owners of its own, who will write it again. */
export const managersOf = (manifest: HorizontalPodAutoscaler): ManagedFieldsEntry[] =>
  (manifest.metadata.managedFields ?? []).filter((entry) => entry.subresource !== 'status' && !isOwn(entry));

const isOwn = ({ manager }: ManagedFieldsEntry) => manager === OWN_MANAGER;

/**
 * Whether an HPA that is there was created by a restoration that has not given its fields back to their owners yet: nobody
 * else writes under our name.
 */
export const isUnfinished = (hpa: HorizontalPodAutoscaler): boolean => (hpa.metadata.managedFields ?? []).some(isOwn);

/**
 * The managedFields of a restored HPA: those of its manifest, and nothing of ours. Who has written since it is there (Envoy
 * Gateway may have applied) owns what they wrote, and not what they owned before.
 */
export function restoredManagedFields(
  hpa: HorizontalPodAutoscaler,
  manifest: HorizontalPodAutoscaler,
): ManagedFieldsEntry[] {
  const others = (hpa.metadata.managedFields ?? []).filter((entry) => !isOwn(entry));
  const back = managersOf(manifest).filter((entry) => !others.some((other) => isSameManager(entry, other)));
  return [...back, ...others];
}

/** As the API server tells them apart: it keeps one entry of each. */
const isSameManager = (a: ManagedFieldsEntry, b: ManagedFieldsEntry): boolean =>
  a.manager === b.manager &&
  a.operation === b.operation &&
  a.subresource === b.subresource &&
  (a.operation === 'Apply' || a.apiVersion === b.apiVersion);
