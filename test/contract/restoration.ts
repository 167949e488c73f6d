import { beforeAll, describe, expect, test } from 'vitest';
import { findObjects } from '../../functions/cli/input/find-objects.ts';
import { savedHpaReader } from '../../functions/cli/input/saved-hpas.ts';
import { DEFAULT_GUARDS } from '../../functions/judgement/guards.ts';
import type { HorizontalPodAutoscaler } from '../../functions/judgement/kubernetes-objects.ts';
import { type ApiClient, apiClient } from '../../functions/kubernetes/api-client.ts';
import { type ClusterApi, clusterApi } from '../../functions/kubernetes/cluster-api.ts';
import { SILENT } from '../../functions/platform/logger.ts';
import { restoreHpas } from '../../functions/sweep/restore-hpas.ts';
import { sweepCluster } from '../../functions/sweep/sweep-cluster.ts';
import { connectionTo } from '../embedded-cluster/embedded-cluster.ts';
import type { Connection } from './connection.ts';
import { Installation, SYSTEM } from './envoy-gateway.ts';
import { adminToken, type Server, useServer } from './server.ts';

/** Deletes by a sweep and restores from its backup, on a server that records the owners of each field. */
export function describeRestoration(start: () => Promise<Server>): void {
  describe('a restoration', () => {
    const used = useServer(start);
    let admin: Connection;
    let api: ClusterApi;
    let client: ApiClient;
    let namespaces = 0;

    beforeAll(() => {
      admin = used.admin;
      const connection = connectionTo(used.server, adminToken);
      api = used.closeAtEnd(clusterApi(connection));
      client = apiClient(connection, 10_000);
    });

    /** An HPA that Envoy Gateway left behind, with fields of people and of the HPA controller. */
    async function leaking(): Promise<Installation> {
      namespaces += 1;
      const installation = await Installation.withHpa(admin, `round-trip-${namespaces}`);
      await installation.writeStatus();
      const owner = await admin.get(installation.deployment);
      const { uid, name: deployment } = owner.body.metadata;
      const person = {
        metadata: {
          annotations: { 'example.com/note': 'ask Jane' },
          labels: { team: 'shop' },
          ownerReferences: [{ apiVersion: 'apps/v1', kind: 'Deployment', name: deployment, uid }],
        },
        spec: { behavior: { scaleDown: { stabilizationWindowSeconds: 600 } } },
      };
      expect((await admin.merge(`${installation.hpa}?fieldManager=kubectl-patch`, person)).status).toBe(200);
      await installation.setAutoscaling('off');
      return installation;
    }

    const hpaOf = async (installation: Installation) => (await admin.get(installation.hpa)).body;

    async function sweep(mode: 'report' | 'delete', installation: Installation, keep?: object[]) {
      const { hpas } = await sweepCluster({
        cluster: 'real',
        api,
        mode,
        guards: DEFAULT_GUARDS,
        // Past the time in which new HPAs settle.
        now: () => new Date(Date.now() + 3_600_000),
        sweepId: 'sweep-1',
        log: SILENT,
        selects: ({ owner }) => owner?.kind === 'Gateway' && owner.namespace === installation.namespace,
        beforeDeletion: async (deletion) => void keep?.push({ message: 'deleting HPA', ...deletion }),
      });
      return hpas.map(({ outcome, action, reason, explanation }) => ({ outcome, action, reason, explanation }));
    }

    /** Deletes the HPA of an installation; its manifest comes from the backup. */
    async function deleteLeftover(leftover = leaking()) {
      const installation = await leftover;
      const before = await hpaOf(installation);
      const backup: object[] = [];
      expect(await sweep('delete', installation, backup)).toMatchObject([{ outcome: 'Deleted' }]);
      expect(await installation.hpaExists()).toBe(false);
      const { found } = findObjects(backup.map((line) => JSON.stringify(line)).join('\n'), savedHpaReader);
      expect(found).toHaveLength(1);
      return { installation, before, manifest: found[0]?.manifest as HorizontalPodAutoscaler };
    }

    const restore = (manifest: HorizontalPodAutoscaler, options: Partial<Parameters<typeof restoreHpas>[1]> = {}) =>
      restoreHpas([manifest], { api, client, force: true, dryRun: false, ...options });

    /** A client that waits for something else before its first creation of an HPA (POST) or the second write (PATCH). */
    function clientAfter(method: 'POST' | 'PATCH', act: () => Promise<unknown>): ApiClient {
      let acted: Promise<unknown> | undefined;
      return {
        ...client,
        async writeHpa(request) {
          if (request.method === method) {
            acted ??= act();
            await acted;
          }
          return await client.writeHpa(request);
        },
      };
    }

    /** The HPA without the fields that the API server sets. */
    function setByPeople({ apiVersion, kind, metadata, spec }: HorizontalPodAutoscaler) {
      const { name: hpa, namespace, labels, annotations, ownerReferences, managedFields = [] } = metadata;
      return {
        ...{ apiVersion, kind, spec, name: hpa, namespace, labels, annotations, ownerReferences },
        managedFields: managedFields?.filter(({ subresource }) => subresource !== 'status'),
      };
    }

    test('restores an HPA as it was, with the same judgement', async () => {
      const installation = await leaking();
      const before = await hpaOf(installation);
      const judged = await sweep('report', installation);
      expect(judged).toMatchObject([{ outcome: 'Reported', reason: 'AutoscalingRemoved' }]);
      const managers = setByPeople(before).managedFields?.map(({ manager }) => manager);
      expect(managers?.toSorted()).toEqual(['envoy-gateway', 'kubectl-patch']);

      const { manifest } = await deleteLeftover(Promise.resolve(installation));
      expect(await restore(manifest)).toMatchObject([
        { outcome: 'Restored', why: expect.stringMatching(/^It is stale, so the next sweep deletes it again: .*\.$/) },
      ]);

      const after = await hpaOf(installation);
      expect(setByPeople(after)).toEqual(setByPeople(before));
      expect(after.metadata.managedFields).toHaveLength(2);
      expect(after.metadata.uid).not.toBe(before.metadata.uid);
      expect(await sweep('report', installation)).toEqual(judged);
      expect(await sweep('delete', installation)).toMatchObject([{ outcome: 'Deleted' }]);
    });

    test('keeps what a person set over the next apply of Envoy Gateway, which can still drop its own fields', async () => {
      const { installation, manifest } = await deleteLeftover();
      await restore(manifest);
      await installation.applyHpa();
      const { metadata, spec } = await hpaOf(installation);
      expect(metadata.annotations).toEqual({ 'example.com/note': 'ask Jane' });
      expect(metadata.labels).toMatchObject({ team: 'shop' });
      expect(spec.behavior.scaleDown.stabilizationWindowSeconds).toBe(600);

      const { body } = await admin.apply(`${installation.hpa}?fieldManager=envoy-gateway&force=true`, {
        apiVersion: 'autoscaling/v2',
        kind: 'HorizontalPodAutoscaler',
        metadata: { name: installation.hpaName, namespace: SYSTEM, labels: manifest.metadata.labels ?? {} },
        spec: { scaleTargetRef: manifest.spec.scaleTargetRef, maxReplicas: 5 },
      });
      expect(body.spec.minReplicas).toBe(1);
      expect(body.spec.behavior.scaleDown.stabilizationWindowSeconds).toBe(600);
    });

    test('finishes a restoration that was interrupted between the two writes', async () => {
      const { installation, before, manifest } = await deleteLeftover();
      const dying = clientAfter('PATCH', () => Promise.reject(new Error('killed')));
      await expect(restore(manifest, { client: dying })).rejects.toThrow('killed');
      const unfinished = await hpaOf(installation);
      expect(unfinished.metadata.managedFields).toMatchObject([{ manager: 'envoy-hpa-reaper' }]);
      expect(await restore(manifest, { dryRun: true })).toMatchObject([{ outcome: 'Restorable' }]);
      expect(await hpaOf(installation)).toEqual(unfinished);

      expect(await restore(manifest)).toMatchObject([
        { outcome: 'Restored', why: 'An earlier restore created it but did not finish.' },
      ]);
      expect(setByPeople(await hpaOf(installation))).toEqual(setByPeople(before));
    });

    test('retries when Envoy Gateway and the HPA controller write between the two writes', async () => {
      const { installation, before, manifest } = await deleteLeftover();
      const racing = clientAfter('PATCH', async () => {
        await installation.applyHpa();
        await installation.writeStatus();
      });
      expect(await restore(manifest, { client: racing })).toMatchObject([{ outcome: 'Restored' }]);
      const after = await hpaOf(installation);
      const withoutTimes = (hpa: HorizontalPodAutoscaler) => ({
        ...setByPeople(hpa),
        managedFields: setByPeople(hpa).managedFields?.map(({ time: _, ...entry }) => entry),
      });
      expect(withoutTimes(after)).toEqual(withoutTimes(before));
      expect(after.status.currentReplicas).toBeGreaterThan(0);
    });

    test('does not change an HPA that Envoy Gateway creates at the same time', async () => {
      const { installation, manifest } = await deleteLeftover();
      const racing = clientAfter('POST', () => installation.applyHpa());
      expect(await restore(manifest, { client: racing })).toMatchObject([{ outcome: 'AlreadyThere' }]);
      expect(setByPeople(await hpaOf(installation)).managedFields).toMatchObject([{ manager: 'envoy-gateway' }]);
    });

    test('does not change an HPA that is deleted and created again between the two writes', async () => {
      const { installation, manifest } = await deleteLeftover();
      const racing = clientAfter('PATCH', async () => {
        await installation.deleteHpa();
        await installation.applyHpa();
      });
      expect(await restore(manifest, { client: racing })).toMatchObject([
        { outcome: 'Failed', why: 'It was created, and somebody deleted it at once.' },
      ]);
      expect(setByPeople(await hpaOf(installation)).managedFields).toMatchObject([{ manager: 'envoy-gateway' }]);
    });

    test('keeps the owners that exist, whatever the plural of their kind, and omits the others', async () => {
      const { installation, manifest } = await deleteLeftover();
      const proxy = '/apis/gateway.envoyproxy.io/v1alpha1/namespaces/envoy-gateway-system/envoyproxies/owner';
      await admin.apply(`${proxy}?fieldManager=test&force=true`, {
        ...{ apiVersion: 'gateway.envoyproxy.io/v1alpha1', kind: 'EnvoyProxy' },
        ...{ metadata: { name: 'owner', namespace: 'envoy-gateway-system' }, spec: {} },
      });
      const owners = [];
      for (const path of [installation.gatewayClass, proxy]) {
        const { apiVersion, kind, metadata } = (await admin.get(path)).body;
        owners.push({ apiVersion, kind, name: metadata.name, uid: metadata.uid });
      }
      const gone = { apiVersion: 'v1', kind: 'ConfigMap', name: 'gone', uid: 'c1b2a3d4-0000-0000-0000-000000000000' };
      // A ConfigMap of this name exists with another uid.
      const another = { ...gone, name: 'envoy-gateway-config', uid: 'c1b2a3d4-0000-0000-0000-000000000001' };
      manifest.metadata.ownerReferences?.push(gone, ...owners, another);
      const [restored] = await restore(manifest);
      expect(restored?.outcome).toBe('Restored');
      expect(restored?.why).toContain('Its owner ConfigMap gone no longer exists and was omitted.');
      expect(restored?.why).toContain('Its owner ConfigMap envoy-gateway-config no longer exists and was omitted.');
      const { metadata } = await hpaOf(installation);
      expect(metadata.ownerReferences).toMatchObject([{ kind: 'Deployment' }, ...owners]);
    });

    test('restores a marked manifest with its mark', async () => {
      const installation = await leaking();
      const [found] = (await api.hpas.list()).filter(({ metadata }) => metadata.name === installation.hpaName);
      if (found === undefined) throw new Error('the HPA is not in the list');
      await api.hpas.mark(found);
      const marked = await hpaOf(installation);
      const { manifest } = await deleteLeftover(Promise.resolve(installation));
      await restore(manifest);
      expect(setByPeople(await hpaOf(installation))).toEqual(setByPeople(marked));
    });

    test('protects an HPA with --keep from sweeps and from the next apply, and changes nobody’s fields', async () => {
      const { installation, before, manifest } = await deleteLeftover();
      expect(await restore(manifest, { force: false, keep: true })).toMatchObject([{ outcome: 'Restored' }]);
      const { annotations, ...others } = setByPeople(await hpaOf(installation));
      const { annotations: saved, ...same } = setByPeople(before);
      expect(annotations).toEqual({ ...saved, 'envoy-hpa-reaper/keep': 'true' });
      expect(others).toEqual(same);
      await installation.applyHpa();
      expect((await hpaOf(installation)).metadata.annotations).toEqual(annotations);
      expect(await sweep('delete', installation)).toMatchObject([{ outcome: 'Kept', reason: 'Protected' }]);
    });

    test('restores an HPA that is wanted again without --force, and overwrites none', async () => {
      const { installation, manifest } = await deleteLeftover();
      await installation.setAutoscaling('on');
      expect(await restore(manifest, { force: false })).toMatchObject([{ outcome: 'Restored', why: '' }]);
      const there = await hpaOf(installation);
      manifest.spec.maxReplicas = 99;
      expect(await restore(manifest)).toMatchObject([{ outcome: 'AlreadyThere' }]);
      expect(await hpaOf(installation)).toEqual(there);
    });

    test('refuses an HPA without its namespace', async () => {
      const { manifest } = await deleteLeftover();
      manifest.metadata.namespace = 'nowhere';
      for (const dryRun of [true, false]) {
        expect(await restore(manifest, { dryRun })).toMatchObject([
          { outcome: 'Refused', why: 'Namespace nowhere does not exist: create it first.' },
        ]);
      }
    });
  });
}
