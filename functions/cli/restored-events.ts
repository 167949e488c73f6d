import { type OutcomeEvent, RESTORED_DETAIL_TYPE } from '../events/outcome-event.ts';
import { objectKey } from '../judgement/kubernetes-objects.ts';
import { AwsAccessError, describeError, RetryableError } from '../platform/errors.ts';
import { outcomeBusEvent } from '../sweep/publish-outcomes.ts';
import type { RestoredHpa } from '../sweep/restore-hpas.ts';
import type { SavedHpa } from './input/saved-hpas.ts';
import { say } from './output/terminal.ts';

interface Origin {
  /** Of the cluster. */
  readonly arn: string;
  readonly cluster: string;
  readonly region: string;
  readonly manifestFrom: 'log' | 'file';
}

/** An HPA that is back in its EKS cluster. */
export interface Restoration extends Origin {
  readonly hpa: Extract<RestoredHpa, { outcome: 'Restored' }>;
  readonly saved: SavedHpa;
}

/** @param saved what each was restored from */
export function restorationsOf(
  hpas: readonly RestoredHpa[],
  saved: readonly SavedHpa[],
  origin: Origin,
): Restoration[] {
  const byKey = new Map(saved.map((one) => [objectKey(one.manifest.metadata), one]));
  return hpas.flatMap((hpa) => {
    const from = byKey.get(objectKey(hpa));
    return hpa.outcome === 'Restored' && from !== undefined ? [{ ...origin, hpa, saved: from }] : [];
  });
}

/**
 * Tells the deployment of each Region of the HPAs that were restored there. What keeps it from being told is said, and is no
 * failure: the HPAs are back.
 */
export async function tellOfRestorations(restorations: readonly Restoration[], profile?: string): Promise<void> {
  if (restorations.length === 0) return;
  const { DeployedBus } = await import('../aws/deployed-bus.ts');
  const time = new Date();
  const regions = new Set(restorations.map(({ region }) => region));
  await Promise.all(
    [...regions].map(async (region) => {
      try {
        const events = restorations
          .filter((restoration) => restoration.region === region)
          .map((restoration) => outcomeBusEvent(outcomeOf(restoration), restoration.arn, time));
        await new DeployedBus({ region, profile }).put(events);
      } catch (error) {
        if (!(error instanceof RetryableError)) throw error;
        const remedy = error instanceof AwsAccessError ? `\n${error.remedy}` : '';
        say(`the HPAs are restored, and there is no event of it: ${describeError(error)}${remedy}`);
      }
    }),
  );
}

function outcomeOf({
  cluster,
  region,
  hpa: { namespace, name, uid, stale, why },
  saved: { manifest, sweepId },
  manifestFrom,
}: Restoration): OutcomeEvent<typeof RESTORED_DETAIL_TYPE> {
  // Absent in what was saved by hand, where reading fills it with nothing.
  const deletedUid = manifest.metadata.uid;
  return {
    detailType: RESTORED_DETAIL_TYPE,
    detail: {
      ...{ version: '1', cluster, region, manifestFrom, stale, explanation: why },
      hpa: { namespace, name, uid, ...(deletedUid !== '' && { deletedUid }) },
      deletedBySweep: sweepId,
    },
  };
}
