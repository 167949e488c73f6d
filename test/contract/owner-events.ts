import { randomUUID } from 'node:crypto';
import { Agent } from 'node:https';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ClusterApi, clusterApi } from '../../functions/kubernetes/cluster-api.ts';
import type { EventRecorder, ObjectEvent } from '../../functions/kubernetes/event-recorder.ts';
import { ClusterSkippedError } from '../../functions/platform/errors.ts';
import { type Connection, connect } from './connection.ts';
import type { Server } from './server.ts';

/** The Events that reap writes, with what infra/kubernetes/rbac.yaml allows: the same on whatever `start` gives. */
export function describeOwnerEvents(start: () => Promise<Server>): void {
  describe('an Event on an owner', () => {
    let server: Server;
    let admin: Connection;
    const apis: ClusterApi[] = [];
    const recorder = (token: string, beforeRequest = async () => {}): EventRecorder => {
      const agent = new Agent({ ca: server.caCertificate, keepAlive: true });
      const headers = async () => {
        await beforeRequest();
        return { authorization: `Bearer ${token}` };
      };
      const api = clusterApi({ server: server.url, agent, headers });
      apis.push(api);
      return api.events as EventRecorder;
    };

    beforeAll(async () => {
      server = await start();
      admin = connect({ ...server, token: server.adminToken });
    });
    afterAll(async () => {
      for (const api of apis) api.close();
      admin.close();
      await server?.close();
    });

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
      const { status, body } = await admin.get(`/api/v1/namespaces/${namespace}/events`);
      expect(status).toBe(200);
      return body.items.filter((event: { involvedObject: { uid: string } }) => event.involvedObject.uid === uid);
    };

    test('one is written as kubectl describe finds it', async () => {
      const event = eventOn();
      expect(await recorder(server.reaperToken).record(event)).toBe('done');
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

    test('the next of its reason is counted in it, and tells what happened last', async () => {
      const event = eventOn();
      const events = recorder(server.reaperToken);
      await events.record(event);
      const time = new Date('2026-11-25T02:00:00Z');
      expect(await events.record({ ...event, message: 'the second', time })).toBe('done');
      expect(await events.record({ ...event, message: 'the third', time })).toBe('done');
      expect(await eventsOf(event.object)).toMatchObject([
        {
          ...{ count: 3, message: 'the third', involvedObject: event.object },
          ...{ firstTimestamp: '2026-11-25T01:00:00Z', lastTimestamp: '2026-11-25T02:00:00Z' },
        },
      ]);
      await events.record({ ...event, reason: 'Another' });
      expect(await eventsOf(event.object)).toHaveLength(2);
    });

    test('a warning is one beside what else is told of the object, and is counted by itself', async () => {
      const event = eventOn();
      const warning: ObjectEvent = { ...event, type: 'Warning', reason: 'WantedHPAMissing', message: 'it is missing' };
      const events = recorder(server.reaperToken);
      for (const told of [event, warning, warning]) expect(await events.record(told)).toBe('done');
      const written: { type: string }[] = await eventsOf(event.object);
      expect(written.toSorted((a, b) => a.type.localeCompare(b.type))).toMatchObject([
        { type: 'Normal', reason: 'StaleHPADeleted', message: 'the first', count: 1 },
        { type: 'Warning', reason: 'WantedHPAMissing', message: 'it is missing', count: 2 },
      ]);
    });

    test('what was counted by another in between stays as it is, and is a conflict', async () => {
      const event = eventOn();
      const other = recorder(server.reaperToken);
      await other.record(event);
      let requests = 0;
      const late = recorder(server.reaperToken, async () => {
        requests += 1;
        // The first would create it and the second reads it.
        if (requests === 3) await other.record({ ...event, message: 'of the other' });
      });
      expect(await late.record({ ...event, message: 'too late' })).toBe('conflict');
      expect(await eventsOf(event.object)).toMatchObject([{ count: 2, message: 'of the other' }]);
    });

    test('what expires in between is gone, and not told as written', async () => {
      const event = eventOn();
      await recorder(server.reaperToken).record(event);
      const [{ metadata }] = await eventsOf(event.object);
      let requests = 0;
      const late = recorder(server.reaperToken, async () => {
        requests += 1;
        // The first would create it.
        if (requests === 2) await admin.delete(`/api/v1/namespaces/default/events/${metadata.name}`);
      });
      expect(await late.record(event)).toBe('gone');
      expect(await eventsOf(event.object)).toEqual([]);
    });

    test('one on a GatewayClass lies in the namespace default', async () => {
      const event = eventOn({ kind: 'GatewayClass', namespace: undefined, name: 'eg' });
      expect(await recorder(server.reaperToken).record(event)).toBe('done');
      const { namespace: _, ...object } = event.object;
      expect(await eventsOf(event.object)).toMatchObject([
        { involvedObject: object, metadata: { namespace: 'default' } },
      ]);
    });

    test('one in a namespace that is not there is not written', async () => {
      const event = eventOn({ namespace: `gone-${randomUUID()}` });
      expect(await recorder(server.reaperToken).record(event)).toBe('gone');
    });

    test('the role may write them and not read them', async () => {
      const reaper = connect({ ...server, token: server.reaperToken });
      const statuses = ['', `/${randomUUID()}`].map((path) => reaper.get(`/api/v1/namespaces/default/events${path}`));
      expect((await Promise.all(statuses)).map(({ status }) => status)).toEqual([403, 403]);
      reaper.close();
      await expect(recorder('unknown').record(eventOn())).rejects.toThrow(ClusterSkippedError);
    });
  });
}
