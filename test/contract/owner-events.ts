import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { type ClusterApi, clusterApi, type ObjectEvent } from '../../functions/kubernetes/cluster-api.ts';
import { ClusterSkippedError } from '../../functions/platform/errors.ts';
import { connectionTo } from '../embedded-cluster/embedded-cluster.ts';
import { reaperToken, type Server, useServer } from './server.ts';

/** The Events that reap writes, with the permissions of infra/kubernetes/rbac.yaml. */
export function describeOwnerEvents(start: () => Promise<Server>): void {
  describe('an Event', () => {
    const used = useServer(start);
    const recorder = (token = reaperToken, beforeRequest = async () => {}): ClusterApi => {
      const connection = connectionTo(used.server, token);
      const headers = async () => {
        await beforeRequest();
        return await connection.headers();
      };
      return used.closeAtEnd(clusterApi({ ...connection, headers }));
    };

    const eventOn = (change: Partial<ObjectEvent['object']> = {}, reason = 'StaleHPADeleted'): ObjectEvent => ({
      object: {
        ...{ apiVersion: 'gateway.networking.k8s.io/v1', kind: 'Gateway', namespace: 'default', name: 'web' },
        ...{ uid: randomUUID(), ...change },
      },
      type: 'Normal',
      reason,
      message: 'the first',
      time: new Date('2026-11-25T01:00:00.700Z'),
    });
    const eventsOf = async ({ uid }: ObjectEvent['object'], namespace = 'default') => {
      const { status, body } = await used.admin.get(`/api/v1/namespaces/${namespace}/events`);
      expect(status).toBe(200);
      return body.items.filter((event: { involvedObject: { uid: string } }) => event.involvedObject.uid === uid);
    };

    test('is written so that kubectl describe finds it', async () => {
      const event = eventOn();
      expect(await recorder().recordEvent(event)).toBe('done');
      const [{ metadata, ...written }, ...others] = await eventsOf(event.object);
      expect(others).toEqual([]);
      expect(metadata.name).toMatch(/^envoy-hpa-reaper\.[0-9a-f]{16}$/);
      expect(written).toEqual({
        involvedObject: event.object,
        ...{ reason: 'StaleHPADeleted', message: 'the first', type: 'Normal', count: 1 },
        source: { component: 'envoy-hpa-reaper' },
        ...{ firstTimestamp: '2026-11-25T01:00:00Z', lastTimestamp: '2026-11-25T01:00:00Z', eventTime: null },
        reportingComponent: '',
        reportingInstance: '',
      });
    });

    test('counts the next ones of its reason, and has the message of the last one', async () => {
      const event = eventOn();
      const warning: ObjectEvent = { ...event, type: 'Warning', reason: 'WantedHPAMissing', message: 'it is missing' };
      const later = { ...event, time: new Date('2026-11-25T02:00:00Z') };
      const events = recorder();
      for (const one of [event, warning, { ...later, message: 'the second' }, { ...later, message: 'the third' }]) {
        expect(await events.recordEvent(one)).toBe('done');
      }
      const written: { type: string }[] = await eventsOf(event.object);
      expect(written.toSorted((a, b) => a.type.localeCompare(b.type))).toMatchObject([
        {
          ...{
            type: 'Normal',
            reason: 'StaleHPADeleted',
            count: 3,
            message: 'the third',
            involvedObject: event.object,
          },
          ...{ firstTimestamp: '2026-11-25T01:00:00Z', lastTimestamp: '2026-11-25T02:00:00Z' },
        },
        { type: 'Warning', reason: 'WantedHPAMissing', message: 'it is missing', count: 1 },
      ]);
    });

    test('that somebody else counts at the same time is a conflict and stays as it is', async () => {
      const event = eventOn();
      const other = recorder();
      await other.recordEvent(event);
      let requests = 0;
      const late = recorder(reaperToken, async () => {
        requests += 1;
        // The first would create it and the second reads it.
        if (requests === 3) await other.recordEvent({ ...event, message: 'of the other' });
      });
      expect(await late.recordEvent({ ...event, message: 'too late' })).toBe('conflict');
      expect(await eventsOf(event.object)).toMatchObject([{ count: 2, message: 'of the other' }]);
    });

    test('that expires before it is counted is reported as gone', async () => {
      const event = eventOn();
      await recorder().recordEvent(event);
      const [{ metadata }] = await eventsOf(event.object);
      let requests = 0;
      const late = recorder(reaperToken, async () => {
        requests += 1;
        // The first would create it.
        if (requests === 2) await used.admin.delete(`/api/v1/namespaces/default/events/${metadata.name}`);
      });
      expect(await late.recordEvent(event)).toBe('gone');
      expect(await eventsOf(event.object)).toEqual([]);
    });

    test('on a GatewayClass is written to the namespace default', async () => {
      const event = eventOn({ kind: 'GatewayClass', namespace: undefined, name: 'eg' });
      expect(await recorder().recordEvent(event)).toBe('done');
      const { namespace: _, ...object } = event.object;
      expect(await eventsOf(event.object)).toMatchObject([
        { involvedObject: object, metadata: { namespace: 'default' } },
      ]);
    });

    test('in a namespace that does not exist is not written', async () => {
      const event = eventOn({ namespace: `gone-${randomUUID()}` });
      expect(await recorder().recordEvent(event)).toBe('gone');
    });

    test('may be written by the role, but not read', async () => {
      const reaper = used.connect(reaperToken);
      const statuses = ['', `/${randomUUID()}`].map((path) => reaper.get(`/api/v1/namespaces/default/events${path}`));
      expect((await Promise.all(statuses)).map(({ status }) => status)).toEqual([403, 403]);
      await expect(recorder('unknown').recordEvent(eventOn())).rejects.toThrow(ClusterSkippedError);
    });
  });
}
