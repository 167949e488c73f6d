import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { controllerVersion } from '../../functions/judgement/controller.ts';
import {
  type ClusterInspection,
  clusterInspection,
  PERMISSIONS,
  REAPER_GROUP,
} from '../../functions/kubernetes/cluster-inspection.ts';
import { ClusterSkippedError } from '../../functions/platform/errors.ts';
import { connectionTo } from '../embedded-cluster/embedded-cluster.ts';
import { deployment } from './objects.ts';
import { adminToken, reaperToken, type Server, useServer } from './server.ts';

/** What doctor reads from an API server, as an administrator and as the functions. */
export function describeInspection(start: () => Promise<Server>): void {
  describe('doctor', () => {
    const used = useServer(start);
    let admin: ClusterInspection;
    let reaper: ClusterInspection;
    const inspectionBy = (token: string): ClusterInspection => {
      const connection = connectionTo(used.server, token);
      used.closeAtEnd({ close: () => connection.agent.destroy() });
      return clusterInspection(connection);
    };
    beforeAll(() => {
      admin = inspectionBy(adminToken);
      reaper = inspectionBy(reaperToken);
    });

    const all = Object.values(PERMISSIONS).flat();
    const notAllowed = [
      { group: '', resource: 'secrets', verb: 'list' },
      { group: '', resource: 'configmaps', verb: 'list', name: 'another' },
      { group: '', resource: 'configmaps', verb: 'list' },
      { group: 'autoscaling', resource: 'horizontalpodautoscalers', verb: 'create' },
    ];

    test('reads the version as any authenticated user', async () => {
      expect(await reaper.version()).toMatch(/^v1\.34\.\d+$/);
      const stranger = inspectionBy('unknown').version();
      await expect(stranger).rejects.toThrow(ClusterSkippedError);
      await expect(stranger).rejects.toMatchObject({ reason: 'ClusterUnauthorized' });
    });

    test('reads the permissions that a user does not have, as that user', async () => {
      expect(await admin.deniedToMe([...all, ...notAllowed])).toEqual([]);
      expect(await reaper.deniedToMe([...all, ...notAllowed])).toEqual(notAllowed);
    });

    test('reads the permissions that a group does not have, only as a user who may create reviews', async () => {
      expect(await admin.deniedToGroup(REAPER_GROUP, [...all, ...notAllowed])).toEqual(notAllowed);
      expect(await admin.deniedToGroup('nobody-at-all', all)).toEqual(all);
      await expect(reaper.deniedToGroup(REAPER_GROUP, all)).rejects.toMatchObject({ reason: 'ClusterForbidden' });
    });

    test('reads the versions of an API group, none for an unknown one', async () => {
      expect((await reaper.servedVersions('gateway.networking.k8s.io'))[0]).toBe('v1');
      expect(await reaper.servedVersions('gateway.envoyproxy.io')).toEqual(['v1alpha1']);
      expect(await reaper.servedVersions('nope.example.com')).toEqual([]);
    });

    test('lists the Deployments of Envoy Gateway by their label', async () => {
      const namespace = `inspection-${randomUUID().slice(0, 8)}`;
      await used.admin.post('/api/v1/namespaces', { metadata: { name: namespace } });
      const post = (...of: Parameters<typeof deployment>) =>
        used.admin.post(`/apis/apps/v1/namespaces/${namespace}/deployments`, deployment(...of));
      const labels = { 'control-plane': 'envoy-gateway' };
      const images = { first: 'example.com/first:v1', 'envoy-gateway': 'example.com/gateway:v1.9.1' };
      await post('whole', images, { labels });
      await post('renamed', { controller: 'example.com/gateway:v1.3.0' }, { labels });
      await post('another', { 'envoy-gateway': 'example.com/gateway:v1.2.0' });
      const here = (await admin.controllers()).filter(({ metadata }) => metadata.namespace === namespace);
      expect(here.map((one) => [one.metadata.name, controllerVersion(one)?.text])).toEqual([
        ['renamed', 'v1.3.0'],
        ['whole', 'v1.9.1'],
      ]);
      await expect(reaper.controllers()).rejects.toMatchObject({ reason: 'ClusterForbidden' });
    });
  });
}
