import { setTimeout } from 'node:timers/promises';
import pMap from 'p-map';
import type { SweptHpa } from '../events/report.ts';
import { objectKey } from '../judgement/kubernetes-objects.ts';
import type { MissingHpa } from '../judgement/missing.ts';
import type { ClusterApi, ObjectEvent } from '../kubernetes/cluster-api.ts';
import { describeError } from '../platform/errors.ts';
import type { Log } from '../platform/logger.ts';

interface OwnerEventOptions {
  readonly api: Pick<ClusterApi, 'recordEvent'>;
  readonly cluster: string;
  readonly sweepId: string;
  readonly log: Log;
  readonly now: () => Date;
}

/** Milliseconds; the deletions are done, and the report must not wait for long. */
const TIMEOUT_MS = 5_000;
/** Maximum concurrent Events. */
const CONCURRENCY = 20;
/** The limit of `events.k8s.io/v1` for the message of an Event. */
const MAX_CHARACTERS = 1_024;

/**
 * Records Kubernetes Events, which `kubectl describe` shows: one for each Gateway, GatewayClass or ConfigMap that an HPA was
 * deleted for, and a Warning for each that asks for a missing one. Never throws and never waits for long: when an Event is not
 * allowed, or not possible, there is a log line.
 */
export async function recordOwnerEvents(
  hpas: readonly SweptHpa[],
  missing: readonly MissingHpa[],
  { api, cluster, sweepId, log, now }: OwnerEventOptions,
): Promise<void> {
  const pending = new Set(ownerEvents(hpas, missing, now()));
  // Otherwise the timer below would keep what it refers to of each sweep that changes nothing; `npm run load` sees it.
  if (pending.size === 0) return;
  const giveUp = (event: ObjectEvent, why: string) => {
    if (!pending.delete(event)) return;
    log.info('no Event written', { cluster, sweepId, object: `${event.object.kind} ${objectKey(event.object)}`, why });
  };
  const record = async (event: ObjectEvent) => {
    // After the timeout, whatever is still pending is not written any more.
    if (!pending.has(event)) return;
    try {
      const result = await api.recordEvent(event);
      if (result === 'done') pending.delete(event);
      else giveUp(event, result);
    } catch (error) {
      giveUp(event, describeError(error));
    }
  };
  await Promise.race([
    pMap([...pending], record, { concurrency: CONCURRENCY }),
    setTimeout(TIMEOUT_MS, undefined, { ref: false }),
  ]);
  for (const event of pending) giveUp(event, `no answer within ${TIMEOUT_MS / 1000} s`);
}

/** One for each owner that exists and each reason. */
function ownerEvents(hpas: readonly SweptHpa[], missing: readonly MissingHpa[], time: Date): ObjectEvent[] {
  const deleted = hpas.flatMap(({ outcome, owner, restsOn, namespace, name, reason, explanation }) => {
    if (outcome !== 'Deleted' || owner === undefined) return [];
    const uid = restsOn.find((one) => one.kind === owner.kind && objectKey(one) === objectKey(owner))?.uid;
    const sentence = `Deleted HPA ${namespace}/${name}, which Envoy Gateway left behind (${reason}): ${explanation}`;
    return [{ owner, uid, type: 'Normal' as const, reason: 'StaleHPADeleted', sentence }];
  });
  const wanted = missing.map(({ owner, ownerUid: uid, explanation, remedy }) => {
    return { owner, uid, type: 'Warning' as const, reason: 'WantedHPAMissing', sentence: `${explanation} ${remedy}` };
  });
  const events = new Map<string, ObjectEvent>();
  for (const { owner, uid, type, reason, sentence } of [...deleted, ...wanted]) {
    if (uid === undefined) continue;
    const apiVersion = owner.kind === 'ConfigMap' ? 'v1' : 'gateway.networking.k8s.io/v1';
    const before = events.get(`${uid} ${reason}`);
    const message = before ? `${before.message} ${sentence}` : sentence;
    events.set(`${uid} ${reason}`, { object: { apiVersion, ...owner, uid }, type, reason, message, time });
  }
  return [...events.values()].map((event) => ({ ...event, message: cut(event.message) }));
}

const cut = (message: string) =>
  message.length <= MAX_CHARACTERS ? message : `${message.slice(0, MAX_CHARACTERS - 1)}…`;
