import { setTimeout } from 'node:timers/promises';
import pMap from 'p-map';
import type { SweptHpa } from '../events/report.ts';
import { objectKey } from '../judgement/kubernetes-objects.ts';
import type { MissingHpa } from '../judgement/missing.ts';
import type { EventRecorder, ObjectEvent } from '../kubernetes/event-recorder.ts';
import { describeError } from '../platform/errors.ts';
import type { Log } from '../platform/logger.ts';

export interface OwnerEventOptions {
  readonly events: EventRecorder;
  readonly cluster: string;
  readonly sweepId: string;
  readonly log: Log;
  readonly now: () => Date;
}

/** The reasons of the Events. */
export const HPA_DELETED = 'StaleHPADeleted';
export const HPA_MISSING = 'WantedHPAMissing';

/** Milliseconds; the deletions are done, and the pass has more to say than this. */
const REQUEST_TIMEOUT_MS = 5_000;
const OWNERS_AT_ONCE = 20;
/** What an Event's message may have in `events.k8s.io/v1`, and what a terminal bears. */
const MOST_CHARACTERS = 1_024;

/**
 * Writes Kubernetes Events, so that `kubectl describe` tells: one for each Gateway, GatewayClass or ConfigMap that an HPA was
 * deleted for, and a Warning for each that asks for one that is missing. Never throws and never waits for long: where it is not
 * allowed, or not possible, a log line says so.
 */
export async function recordOwnerEvents(
  hpas: readonly SweptHpa[],
  missing: readonly MissingHpa[],
  options: OwnerEventOptions,
): Promise<void> {
  const { events, cluster, sweepId, log, now } = options;
  const time = now();
  const told = [...eventsOfDeletions(hpas, time), ...eventsOfMissing(missing, time)];
  if (told.length === 0) return;
  const missed = (event: ObjectEvent, why: string) =>
    log.info('no Event written', { cluster, sweepId, object: `${event.object.kind} ${objectKey(event.object)}`, why });
  const waiting = new Set(told);
  const record = async (event: ObjectEvent) => {
    // Its turn can come once the log has said already that it was not written.
    if (!waiting.has(event)) return;
    try {
      const result = await events.record(event);
      if (result !== 'done' && waiting.has(event)) missed(event, result);
    } catch (error) {
      if (waiting.has(event)) missed(event, describeError(error));
    } finally {
      waiting.delete(event);
    }
  };
  await Promise.race([
    pMap(told, record, { concurrency: OWNERS_AT_ONCE }),
    setTimeout(REQUEST_TIMEOUT_MS, undefined, { ref: false }),
  ]);
  for (const event of waiting) missed(event, `no answer within ${REQUEST_TIMEOUT_MS / 1000} s`);
  waiting.clear();
}

const apiVersionOf = (kind: string) => (kind === 'ConfigMap' ? 'v1' : 'gateway.networking.k8s.io/v1');

/** One for each owner that is there: where that is gone too there is nobody to tell. */
function eventsOfDeletions(hpas: readonly SweptHpa[], time: Date): ObjectEvent[] {
  const messages = new Map<string, { object: ObjectEvent['object']; sentences: string[] }>();
  for (const { outcome, owner, restsOn, namespace, name, reason, explanation } of hpas) {
    if (outcome !== 'Deleted' || owner === undefined) continue;
    const uid = restsOn.find((one) => one.kind === owner.kind && objectKey(one) === objectKey(owner))?.uid;
    if (uid === undefined) continue;
    const object = { apiVersion: apiVersionOf(owner.kind), ...owner, uid };
    const sentences = messages.get(uid)?.sentences ?? [];
    sentences.push(`Deleted HPA ${namespace}/${name}, which Envoy Gateway left behind (${reason}): ${explanation}`);
    messages.set(uid, { object, sentences });
  }
  return [...messages.values()].map(({ object, sentences }) => ({
    ...{ object, type: 'Normal', reason: HPA_DELETED, message: cut(sentences.join(' ')), time },
  }));
}

const eventsOfMissing = (missing: readonly MissingHpa[], time: Date): ObjectEvent[] =>
  missing.flatMap(({ owner, ownerUid: uid, explanation, remedy }) => {
    if (uid === undefined) return [];
    const object = { apiVersion: apiVersionOf(owner.kind), ...owner, uid };
    return [{ object, type: 'Warning', reason: HPA_MISSING, message: cut(`${explanation} ${remedy}`), time }];
  });

const cut = (message: string) =>
  message.length <= MOST_CHARACTERS ? message : `${message.slice(0, MOST_CHARACTERS - 1)}…`;
