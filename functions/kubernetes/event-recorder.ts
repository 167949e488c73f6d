import { createHash } from 'node:crypto';
import { OWN_MANAGER } from '../judgement/ownership.ts';
import { type ApiClient, apiPath, type WriteResult } from './api-client.ts';

/** Something that happened to an object, for `kubectl describe`. */
export interface ObjectEvent {
  readonly object: {
    readonly apiVersion: string;
    readonly kind: string;
    readonly namespace?: string;
    readonly name: string;
    readonly uid: string;
  };
  readonly type: 'Normal' | 'Warning';
  /** In CamelCase. An object has one Event of each reason. */
  readonly reason: string;
  readonly message: string;
  readonly time: Date;
}

export type EventRecorder = ReturnType<typeof eventRecorder>;

/**
 * Events of the core group. Those of `events.k8s.io/v1` are the same objects, but that API allows no other change to an Event
 * than its count, so the message could not be the latest.
 */
export function eventRecorder({ write }: ApiClient) {
  return {
    /**
     * Writes an Event, or increments the count of the one with that reason for that object and sets its message.
     *
     * @returns `conflict` if somebody else incremented it at the same time
     * @throws what the methods of {@link ApiClient} throw
     */
    async record({ object, type, reason, message, time }: ObjectEvent): Promise<WriteResult['result']> {
      const { namespace = 'default' } = object;
      const name = `${OWN_MANAGER}.${createHash('sha256').update(`${object.uid}/${reason}`).digest('hex').slice(0, 16)}`;
      // Events have whole seconds.
      const timestamp = `${time.toISOString().slice(0, 19)}Z`;
      const latest = { message, lastTimestamp: timestamp };
      const event = {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { name },
        involvedObject: object,
        type,
        reason,
        source: { component: OWN_MANAGER },
        ...latest,
        firstTimestamp: timestamp,
        count: 1,
      };
      const created = await write({ method: 'POST', path: apiPath('v1', 'events', { namespace }), body: event });
      if (created.result !== 'conflict') return created.result;
      const path = apiPath('v1', 'events', { namespace, name });
      const patch = (body: object) =>
        write({ method: 'PATCH', path, body, contentType: 'application/merge-patch+json' });
      // An empty patch returns the Event. Permission to get it would be permission to read all Events.
      const found = await patch({});
      if (found.result !== 'done') return found.result;
      const { count = 1, metadata } = found.body as { count?: number; metadata: { resourceVersion: string } };
      const { resourceVersion } = metadata;
      return (await patch({ ...latest, metadata: { resourceVersion }, count: count + 1 })).result;
    },
  };
}
