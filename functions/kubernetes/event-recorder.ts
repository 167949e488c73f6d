import { createHash } from 'node:crypto';
import { OWN_MANAGER } from '../judgement/ownership.ts';
import type { ApiClient, WriteResult } from './api-client.ts';

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
  /** In CamelCase. One Event of each reason is kept for an object. */
  readonly reason: string;
  readonly message: string;
  readonly time: Date;
}

export interface EventRecorder {
  /**
   * Writes an Event, or counts it where there is one of that reason for that object; it tells the latest message.
   *
   * @returns what came of it; `conflict`: somebody else counted at the same time
   * @throws as the calls of {@link ApiClient} do
   */
  record(event: ObjectEvent): Promise<WriteResult['result']>;
}

/**
 * Events of the core group. Those of `events.k8s.io/v1` are the same objects, but of one that is counted it lets nothing else
 * change, and so could not name what happened last.
 */
export function eventRecorder({ write }: ApiClient): EventRecorder {
  const query = { fieldManager: OWN_MANAGER };
  return {
    async record({ object, type, reason, message, time }) {
      const events = `/api/v1/namespaces/${encodeURIComponent(object.namespace ?? 'default')}/events`;
      const name = `${OWN_MANAGER}.${createHash('sha256').update(`${object.uid}/${reason}`).digest('hex').slice(0, 16)}`;
      // Events keep whole seconds.
      const timestamp = `${time.toISOString().slice(0, 19)}Z`;
      const latest = { message, lastTimestamp: timestamp };
      const body = {
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
      const created = await write({ method: 'POST', path: events, query, body });
      if (created.result !== 'conflict') return created.result;
      // A patch of nothing answers with what is there; the right to get would be one to read everybody's Events.
      const contentType = 'application/merge-patch+json';
      const patch = (change: object) =>
        write({ method: 'PATCH', path: `${events}/${name}`, query, contentType, body: change });
      const found = await patch({});
      if (found.result !== 'done') return found.result;
      const { count = 1, metadata } = found.body as { count?: number; metadata: { resourceVersion: string } };
      const { resourceVersion } = metadata;
      return (await patch({ ...latest, metadata: { resourceVersion }, count: count + 1 })).result;
    },
  };
}
