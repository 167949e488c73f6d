import type { Snapshot } from './cluster-index.ts';
import type { Verdict } from './judge.ts';
import { objectKey } from './kubernetes-objects.ts';
import type { replicasAfter } from './replicas-after.ts';
import { secondsSinceWrite } from './status.ts';

/** The limits that hold back a stale HPA. All times are in seconds. */
export interface GuardSettings {
  /** The minimum age of an HPA: a younger one may be newer than the configuration that was read. */
  readonly settleHpaSeconds: number;
  /**
   * The minimum time since a ConfigMap or GatewayClass was written. A ConfigMap reaches Envoy Gateway a minute or so later, and
   * the status of a GatewayClass is written before Envoy Gateway acts on it.
   */
  readonly settleConfigSeconds: number;
  /** The maximum deletions in one cluster; if there are more, all of them are held back. */
  readonly maxDeletions: number;
  /** The maximum deletions that a person allows for one run, instead of every blast-radius rule. */
  readonly raisedLimit?: number;
}

export const DEFAULT_GUARDS: GuardSettings = { settleHpaSeconds: 120, settleConfigSeconds: 180, maxDeletions: 25 };

export type GuardedVerdict = Verdict & {
  readonly replicasAfter?: ReturnType<typeof replicasAfter>;
  /** Why a stale HPA is not deleted in this sweep; absent if nothing holds it back. */
  readonly guard?: { readonly name: 'Settling' | 'BlastRadiusExceeded'; readonly explanation: string };
};

/** The time in seconds that Envoy Gateway has to remove a Deployment that it no longer serves. */
const REMEDY_AFTER_SECONDS = 3_600;

/** @param alreadyDeleted the deletions of this sweep before these verdicts; they count towards the blast radius */
export function guard(
  verdicts: readonly GuardedVerdict[],
  snapshot: Snapshot,
  settings: GuardSettings,
  now: Date,
  alreadyDeleted = 0,
): GuardedVerdict[] {
  const exceeded = blastRadiusExceeded(verdicts, settings, alreadyDeleted);
  return verdicts.map((verdict) => {
    if (verdict.action === 'keep') {
      // Envoy Gateway may still do it by itself.
      return ageOf(verdict.hpa, now) < REMEDY_AFTER_SECONDS ? { ...verdict, remedy: undefined } : verdict;
    }
    if (exceeded) return { ...verdict, guard: { name: 'BlastRadiusExceeded', explanation: exceeded } };
    const explanation = settling(verdict, snapshot, settings, now);
    return explanation ? { ...verdict, guard: { name: 'Settling', explanation } } : verdict;
  });
}

/** Why so many deletions at once look like a mistake; `undefined` if they do not. */
function blastRadiusExceeded(
  verdicts: readonly Verdict[],
  { maxDeletions, raisedLimit }: GuardSettings,
  alreadyDeleted: number,
): string | undefined {
  const stale = verdicts.filter(({ action }) => action === 'delete');
  const count = stale.length + alreadyDeleted;
  const total =
    alreadyDeleted +
    verdicts.filter(({ reason }) => reason !== 'NotManagedByEnvoyGateway' && reason !== 'AmbiguousOwner').length;
  if (raisedLimit !== undefined) {
    return count > raisedLimit ? `${count} deletions, and the limit for this run is ${raisedLimit}` : undefined;
  }
  if (count > maxDeletions) return `${count} deletions at once, and the limit is ${maxDeletions}`;
  if (total >= 10 && count > total / 2) return `${count} of ${total} HPAs at once are more than half`;
  if (total >= 3 && count === total && stale.every(({ restsOnDefaultAlone }) => restsOnDefaultAlone)) {
    return `all ${total} HPAs at once, because of the default in the EnvoyGateway ConfigMap alone`;
  }
  return undefined;
}

function settling(
  { hpa, restsOn }: Verdict,
  { envoyGatewayConfigs, gatewayClasses }: Snapshot,
  { settleHpaSeconds, settleConfigSeconds }: GuardSettings,
  now: Date,
): string | undefined {
  if (ageOf(hpa, now) < settleHpaSeconds) return `the HPA was created less than ${settleHpaSeconds} s ago`;
  const configs = [
    ...envoyGatewayConfigs.map(({ configMap: { metadata } }) => ({ kind: 'ConfigMap', metadata })),
    // Whoever only removes the parametersRef owns nothing, and leaves no time. Envoy Gateway then writes the status, and acts later.
    ...gatewayClasses.map(({ metadata }) => ({ kind: 'GatewayClass', metadata })),
  ];
  const fresh = configs.find(
    ({ kind, metadata }) =>
      (secondsSinceWrite(metadata, now) ?? Number.POSITIVE_INFINITY) < settleConfigSeconds &&
      restsOn.some((object) => object.kind === kind && objectKey(object) === objectKey(metadata)),
  );
  return fresh && `${fresh.kind} ${objectKey(fresh.metadata)} was written less than ${settleConfigSeconds} s ago`;
}

/** In seconds. An HPA without a creation time counts as settled: a saved List may have lost it. */
const ageOf = ({ metadata: { creationTimestamp } }: Verdict['hpa'], now: Date): number =>
  secondsSinceWrite({ creationTimestamp }, now) ?? Number.POSITIVE_INFINITY;
