import { randomUUID } from 'node:crypto';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type RbacObject, rbacStore } from '../../functions/kubernetes/rbac-store.ts';
import { ClusterSkippedError } from '../../functions/platform/errors.ts';
import { connectionTo } from '../embedded-cluster/embedded-cluster.ts';
import { adminToken, reaperRbac, reaperToken, type Server, useServer } from './server.ts';

/** What enrollment from the command line relies on. */
export function describeRbac(start: () => Promise<Server>): void {
  describe('the RBAC store', () => {
    const used = useServer(start);
    let store: ReturnType<typeof rbacStore>;
    let role: RbacObject;
    let binding: RbacObject;
    const storeOf = (token: string) => used.closeAtEnd(rbacStore(connectionTo(used.server, token), 30_000));
    const pathOf = ({ apiVersion, kind, metadata }: RbacObject) =>
      `/apis/${apiVersion}/${kind.toLowerCase()}s/${metadata.name}`;
    const get = async (object: RbacObject) => (await used.admin.get(pathOf(object))).body;

    beforeAll(() => {
      store = storeOf(adminToken);
    });
    // The server may have the objects of the reaper itself.
    beforeEach(async () => {
      const metadata = { name: `contract-${randomUUID().slice(0, 8)}` };
      [role, binding] = (await reaperRbac()).map((object) => ({ ...object, metadata })) as unknown as [
        RbacObject,
        RbacObject,
      ];
    });

    test('plans to create what does not exist, writes nothing for that, and then applies it once', async () => {
      for (const object of [role, binding]) {
        expect(await store.plan(object, true)).toBe('create');
        expect(await store.plan(object, false)).toBe('none');
        await store.apply(object);
        expect(await store.plan(object, true)).toBe('none');
        const body = await get(object);
        expect(body).toMatchObject(object);
        expect(body.metadata.managedFields).toMatchObject([{ manager: 'envoy-hpa-reaper', operation: 'Apply' }]);
        await store.apply(object);
        expect((await get(object)).metadata.resourceVersion).toBe(body.metadata.resourceVersion);
      }
    });

    test('plans to update what somebody changed without a write, fixes it, and keeps what they added', async () => {
      await store.apply(role);
      const change = { rules: [], metadata: { labels: { team: 'edge' } } };
      expect((await used.admin.merge(pathOf(role), change)).status).toBe(200);
      const changed = await get(role);
      expect(await store.plan(role, true)).toBe('update');
      expect(await get(role)).toEqual(changed);
      await store.apply(role);
      expect(await get(role)).toMatchObject({ ...role, metadata: { labels: { team: 'edge' } } });
      expect(await store.plan(role, true)).toBe('none');
    });

    test('deletes what exists, and succeeds for what does not', async () => {
      await store.apply(role);
      expect(await store.plan(role, false)).toBe('delete');
      await store.delete(role);
      expect(await store.plan(role, false)).toBe('none');
      await store.delete(role);
    });

    test('fails for a user who may not write RBAC', async () => {
      const reaper = storeOf(reaperToken);
      for (const call of ['plan', 'apply', 'delete'] as const) {
        const error = await reaper[call](role, true).catch((thrown) => thrown);
        expect(error).toBeInstanceOf(ClusterSkippedError);
        expect(error).toMatchObject({ reason: 'ClusterForbidden' });
      }
    });
  });
}
