import { randomUUID } from 'node:crypto';
import { Agent } from 'node:https';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type RbacObject, type RbacStore, rbacStore } from '../../functions/kubernetes/rbac-store.ts';
import { ClusterSkippedError } from '../../functions/platform/errors.ts';
import { type Connection, connect } from './connection.ts';
import { reaperRbac, type Server } from './server.ts';

/** What enrollment from the command line relies on: the same assertions on whatever `start` gives. */
export function describeRbac(name: string, start: () => Promise<Server>): void {
  describe(`RBAC on ${name}`, () => {
    let server: Server;
    let admin: Connection;
    let store: RbacStore;
    let role: RbacObject;
    let binding: RbacObject;
    const stores: RbacStore[] = [];
    const storeOf = (token: string) => {
      const { url, caCertificate } = server;
      const agent = new Agent({ ca: caCertificate, keepAlive: true });
      const made = rbacStore(
        { server: url, agent, headers: async () => ({ authorization: `Bearer ${token}` }) },
        30_000,
      );
      stores.push(made);
      return made;
    };
    const pathOf = ({ apiVersion, kind, metadata }: RbacObject) =>
      `/apis/${apiVersion}/${kind.toLowerCase()}s/${metadata.name}`;
    const versionOf = async (object: RbacObject) => (await admin.get(pathOf(object))).body.metadata?.resourceVersion;

    beforeAll(async () => {
      server = await start();
      admin = connect({ url: server.url, caCertificate: server.caCertificate, token: server.adminToken });
      store = storeOf(server.adminToken);
    });
    afterAll(async () => {
      for (const made of stores) made.close();
      admin?.close();
      await server?.close();
    });
    // The server may have those of the reaper itself.
    beforeEach(async () => {
      const metadata = { name: `contract-${randomUUID().slice(0, 8)}` };
      [role, binding] = (await reaperRbac()).map((object) => ({ ...object, metadata })) as unknown as [
        RbacObject,
        RbacObject,
      ];
    });

    test('a manifest is created, is then as it is to be, and applying it again writes nothing', async () => {
      for (const object of [role, binding]) {
        expect(await store.exists(object)).toBe(false);
        expect(await store.plan(object)).toBe('create');
        expect(await store.exists(object)).toBe(false);
        await store.apply(object);
        expect(await store.plan(object)).toBe('none');
        const { body } = await admin.get(pathOf(object));
        expect(body).toMatchObject(object);
        expect(body.metadata.managedFields).toMatchObject([{ manager: 'envoy-hpa-reaper', operation: 'Apply' }]);
        await store.apply(object);
        expect(await versionOf(object)).toBe(body.metadata.resourceVersion);
      }
    });

    test('what somebody changed is planned without a write and put right; what they added beside it stays', async () => {
      await store.apply(role);
      const change = { rules: [], metadata: { labels: { team: 'edge' } } };
      expect((await admin.merge(pathOf(role), change)).status).toBe(200);
      const changed = await versionOf(role);
      expect(await store.plan(role)).toBe('update');
      expect(await versionOf(role)).toBe(changed);
      await store.apply(role);
      const { body } = await admin.get(pathOf(role));
      expect(body).toMatchObject({ ...role, metadata: { labels: { team: 'edge' } } });
      expect(await store.plan(role)).toBe('none');
    });

    test('is deleted, and what is not there is deleted too', async () => {
      await store.apply(role);
      await store.delete(role);
      expect(await store.exists(role)).toBe(false);
      await store.delete(role);
    });

    test('is refused to whom the cluster does not let write it', async () => {
      const reaper = storeOf(server.reaperToken);
      for (const call of ['plan', 'apply', 'exists', 'delete'] as const) {
        const error = await reaper[call](role).catch((thrown) => thrown);
        expect(error).toBeInstanceOf(ClusterSkippedError);
        expect(error).toMatchObject({ reason: 'ClusterForbidden' });
      }
    });
  });
}
