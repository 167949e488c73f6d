import { randomUUID } from 'node:crypto';
import type { Agent } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { controllerVersion } from '../../functions/judgement/controller.ts';
import { type ClusterInspection, clusterInspection } from '../../functions/kubernetes/cluster-inspection.ts';
import { PERMISSIONS, REAPER_GROUP } from '../../functions/kubernetes/permissions.ts';
import { ClusterSkippedError } from '../../functions/platform/errors.ts';
import { connectionTo } from '../embedded-cluster/embedded-cluster.ts';
import { connect } from './connection.ts';
import type { Server } from './server.ts';

/** What doctor reads of an API server, as an administrator and as the functions: the same on whatever server `start` returns. */
export function describeInspection(start: () => Promise<Server>): void {
  describe('the inspection of doctor', () => {
    let server: Server;
    let admin: ClusterInspection;
    let reaper: ClusterInspection;
    const agents: Agent[] = [];
    const inspectionBy = (token: string): ClusterInspection => {
      const connection = connectionTo(server, token);
      agents.push(connection.agent);
      return clusterInspection(connection);
    };

    beforeAll(async () => {
      server = await start();
      admin = inspectionBy(server.adminToken);
      reaper = inspectionBy(server.reaperToken);
    });
    afterAll(async () => {
      for (const agent of agents) agent.destroy();
      await server?.close();
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

    test('reads what a user may not do, as that user', async () => {
      expect(await admin.deniedToMe([...all, ...notAllowed])).toEqual([]);
      expect(await reaper.deniedToMe([...all, ...notAllowed])).toEqual(notAllowed);
    });

    test('reads what a group may not do, only as a user who may create reviews', async () => {
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
      const writer = connect({ url: server.url, caCertificate: server.caCertificate, token: server.adminToken });
      const namespace = `inspection-${randomUUID().slice(0, 8)}`;
      await writer.post('/api/v1/namespaces', { metadata: { name: namespace } });
      const post = (name: string, labels: Record<string, string>, containers: { name: string; image: string }[]) =>
        writer.post(`/apis/apps/v1/namespaces/${namespace}/deployments`, {
          metadata: { name, labels },
          spec: {
            selector: { matchLabels: { name } },
            template: { metadata: { labels: { name } }, spec: { containers } },
          },
        });
      const label = { 'control-plane': 'envoy-gateway' };
      await post('whole', label, [
        { name: 'first', image: 'example.com/first:v1' },
        { name: 'envoy-gateway', image: 'example.com/gateway:v1.9.1' },
      ]);
      await post('renamed', label, [{ name: 'controller', image: 'example.com/gateway:v1.3.0' }]);
      await post('another', {}, [{ name: 'envoy-gateway', image: 'example.com/gateway:v1.2.0' }]);
      writer.close();
      const here = (await admin.controllers()).filter(({ metadata }) => metadata.namespace === namespace);
      expect(here.map((one) => [one.metadata.name, controllerVersion(one)?.text])).toEqual([
        ['renamed', 'v1.3.0'],
        ['whole', 'v1.9.1'],
      ]);
      await expect(reaper.controllers()).rejects.toMatchObject({ reason: 'ClusterForbidden' });
    });
  });
}
