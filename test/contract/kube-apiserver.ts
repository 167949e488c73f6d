import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { AuditEvent } from '../embedded-cluster/audit.ts';
import { type Connection, connect, type Reply } from './connection.ts';
import { adminToken, autoscaler, envoyProxy, readerToken } from './fixture.ts';

export interface ServerUnderTest {
  url: string;
  caCertificate: string;
  /** The whole audit log so far. */
  audit(): Promise<readonly AuditEvent[]>;
  /** Lets all continue tokens expire. */
  compact(): Promise<void>;
  stop(): Promise<void>;
}

type Named = { metadata: { name: string; [field: string]: unknown }; spec: object };

const failure = (code: number, reason: string, message: unknown, details?: object, metadata = {}) => ({
  kind: 'Status',
  apiVersion: 'v1',
  metadata,
  status: 'Failure',
  message,
  reason,
  details,
  code,
});

/** What this project relies on in a kube-apiserver: the same assertions on whatever `start` gives. */
export function describeKubeApiserver(name: string, start: () => Promise<ServerUnderTest>): void {
  describe(name, () => {
    let server: ServerUnderTest;
    let admin: Connection;
    let namespace: string;
    let hpas: string;
    let proxies: string;
    const connections: Connection[] = [];
    const as = (token: string | undefined): Connection => {
      const connection = connect({ url: server.url, caCertificate: server.caCertificate, token });
      connections.push(connection);
      return connection;
    };

    beforeAll(async () => {
      server = await start();
      admin = as(adminToken);
    });
    afterAll(async () => {
      for (const connection of connections) connection.close();
      await server?.stop();
    });
    beforeEach(async () => {
      namespace = `contract-${randomUUID().slice(0, 8)}`;
      hpas = `/apis/autoscaling/v2/namespaces/${namespace}/horizontalpodautoscalers`;
      proxies = `/apis/gateway.envoyproxy.io/v1alpha1/namespaces/${namespace}/envoyproxies`;
      expect((await admin.post('/api/v1/namespaces', { metadata: { name: namespace } })).status).toBe(201);
    });

    const applyAs = (manager: string, manifest: Named, force = true): Promise<Reply> =>
      admin.apply(`${hpas}/${manifest.metadata.name}?fieldManager=${manager}&force=${force}`, manifest);
    const versionOf = (reply: Reply): string => reply.body.metadata.resourceVersion;
    const entryOf = (reply: Reply, manager: string) =>
      reply.body.metadata.managedFields?.find((entry: { manager: string }) => entry.manager === manager);
    const names = (reply: Reply): string[] =>
      reply.body.items.map((item: { metadata: { name: string } }) => item.metadata.name);

    const envoyGatewayOwns = {
      'f:metadata': { 'f:labels': { 'f:gateway.envoyproxy.io/owning-gateway-name': {} } },
      'f:spec': {
        'f:maxReplicas': {},
        'f:metrics': {},
        'f:minReplicas': {},
        'f:scaleTargetRef': { 'f:apiVersion': {}, 'f:kind': {}, 'f:name': {} },
      },
    };

    describe('server-side apply', () => {
      test('creates with an Apply entry that owns exactly what was sent', async () => {
        const created = await applyAs('envoy-gateway', autoscaler('web'));
        expect(created.status).toBe(201);
        expect(created.body.metadata.managedFields).toEqual([
          {
            manager: 'envoy-gateway',
            operation: 'Apply',
            apiVersion: 'autoscaling/v2',
            time: created.body.metadata.creationTimestamp,
            fieldsType: 'FieldsV1',
            fieldsV1: envoyGatewayOwns,
          },
        ]);
        expect(created.body.metadata.generation).toBeUndefined();
        expect(created.body.status).toEqual({ desiredReplicas: 0, currentMetrics: null });
      });

      test('of unchanged fields leaves the object as it was, whatever status comes along', async () => {
        const created = await applyAs('envoy-gateway', autoscaler('web'));
        const again = await applyAs('envoy-gateway', {
          ...autoscaler('web'),
          ...{ status: { desiredReplicas: 9, currentMetrics: null } },
        });
        expect(again.status).toBe(200);
        expect(again.body).toEqual(created.body);
      });

      test('takes a field over from who changed it, with force', async () => {
        const created = await applyAs('envoy-gateway', autoscaler('web'));
        const patched = await admin.merge(`${hpas}/web?fieldManager=person`, {
          metadata: { annotations: { note: 'x' } },
          spec: { maxReplicas: 7 },
        });
        expect(versionOf(patched)).not.toBe(versionOf(created));
        const { 'f:maxReplicas': _, ...rest } = envoyGatewayOwns['f:spec'];
        expect(entryOf(patched, 'envoy-gateway').fieldsV1).toEqual({ ...envoyGatewayOwns, 'f:spec': rest });
        expect(entryOf(patched, 'person')).toMatchObject({
          operation: 'Update',
          fieldsV1: {
            'f:metadata': { 'f:annotations': { '.': {}, 'f:note': {} } },
            'f:spec': { 'f:maxReplicas': {} },
          },
        });

        const forced = await applyAs('envoy-gateway', autoscaler('web'));
        expect(forced.body.spec.maxReplicas).toBe(5);
        expect(entryOf(forced, 'envoy-gateway').fieldsV1).toEqual(envoyGatewayOwns);
        expect(entryOf(forced, 'person').fieldsV1).toEqual({
          'f:metadata': { 'f:annotations': { '.': {}, 'f:note': {} } },
        });
        expect(forced.body.metadata.annotations).toEqual({ note: 'x' });
      });

      test('conflicts without force, and says with whom', async () => {
        await applyAs('envoy-gateway', autoscaler('web'));
        await admin.merge(`${hpas}/web?fieldManager=person`, { spec: { maxReplicas: 7 } });
        const refused = await applyAs('envoy-gateway', autoscaler('web'), false);
        expect(refused.status).toBe(409);
        expect(refused.body).toEqual(
          failure(
            409,
            'Conflict',
            'Apply failed with 1 conflict: conflict with "person" using autoscaling/v2: .spec.maxReplicas',
            {
              causes: [
                {
                  reason: 'FieldManagerConflict',
                  message: 'conflict with "person" using autoscaling/v2',
                  field: '.spec.maxReplicas',
                },
              ],
            },
          ),
        );
      });

      test('removes what the manager owned alone and no longer sends, and no more', async () => {
        await applyAs('envoy-gateway', { ...autoscaler('web'), metadata: { name: 'web', labels: { a: '1', b: '2' } } });
        await applyAs('other', {
          ...autoscaler('web'),
          metadata: { name: 'web', labels: { b: '2' } },
          spec: { maxReplicas: 5 },
        });
        const reduced = await applyAs('envoy-gateway', {
          ...autoscaler('web'),
          metadata: { name: 'web', labels: {} },
        });
        expect(reduced.status).toBe(200);
        expect(reduced.body.metadata.labels).toEqual({ b: '2' });
        expect(entryOf(reduced, 'envoy-gateway').fieldsV1['f:metadata']).toEqual({ 'f:labels': {} });
      });

      test('of an object whose managedFields were reset leaves what was there to before-first-apply', async () => {
        await applyAs('envoy-gateway', autoscaler('web'));
        const reset = await admin.merge(`${hpas}/web`, { metadata: { managedFields: [{}] } });
        expect(reset.body.metadata.managedFields).toBeUndefined();
        // The only evidence without waiting for the next second that an apply which changes no value sets no time.
        const adopted = await applyAs('envoy-gateway', autoscaler('web'));
        expect(entryOf(adopted, 'envoy-gateway')).not.toHaveProperty('time');
        expect(versionOf(adopted)).not.toBe(versionOf(reset));
        await admin.merge(`${hpas}/web`, { metadata: { managedFields: [{}] } });
        const untracked = await admin.merge(`${hpas}/web`, { spec: { maxReplicas: 6 } });
        expect(untracked.body.metadata.managedFields).toBeUndefined();
        const applied = await applyAs('envoy-gateway', autoscaler('web'));
        expect(entryOf(applied, 'envoy-gateway').fieldsV1).toEqual(envoyGatewayOwns);
        const before = entryOf(applied, 'before-first-apply');
        expect(before).toMatchObject({ operation: 'Update' });
        expect(before.fieldsV1['f:spec']).not.toHaveProperty('f:maxReplicas');
        expect(before.fieldsV1['f:spec']).toHaveProperty('f:minReplicas');
      });

      test('owns list items by key, finalizers by value, and other lists as a whole', async () => {
        const reference = { apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: 'owner-uid' };
        const applied = await applyAs('envoy-gateway', {
          ...autoscaler('web'),
          ...{ metadata: { name: 'web', ownerReferences: [reference], finalizers: ['example.com/a'] } },
        });
        expect(entryOf(applied, 'envoy-gateway').fieldsV1['f:metadata']).toEqual({
          'f:finalizers': { 'v:"example.com/a"': {} },
          'f:ownerReferences': { 'k:{"uid":"owner-uid"}': {} },
        });
        const gateways = `/apis/gateway.networking.k8s.io/v1/namespaces/${namespace}/gateways`;
        const gateway = await admin.apply(`${gateways}/web?fieldManager=person`, {
          apiVersion: 'gateway.networking.k8s.io/v1',
          kind: 'Gateway',
          metadata: { name: 'web' },
          spec: { gatewayClassName: 'eg', listeners: [{ name: 'http', port: 80, protocol: 'HTTP' }] },
        });
        expect(entryOf(gateway, 'person').fieldsV1['f:spec']).toEqual({
          'f:gatewayClassName': {},
          'f:listeners': { 'k:{"name":"http"}': { '.': {}, 'f:name': {}, 'f:port': {}, 'f:protocol': {} } },
        });
        await admin.merge(`${hpas}/web`, { metadata: { finalizers: null } });
      });

      test('wants a field manager', async () => {
        const refused = await admin.apply(`${hpas}/web`, autoscaler('web'));
        expect(refused.status).toBe(422);
        expect(refused.body.message).toBe(
          'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
        );
      });
    });

    describe('the mark', () => {
      const marked = (reply: Reply) => {
        const managedFields = structuredClone(reply.body.metadata.managedFields);
        delete managedFields[0].fieldsV1['f:spec']['f:maxReplicas'];
        return { metadata: { resourceVersion: versionOf(reply), managedFields } };
      };

      test('takes one field out of the Apply entry, and a later unchanged apply has to write', async () => {
        const created = await applyAs('envoy-gateway', autoscaler('web'));
        const mark = await admin.merge(`${hpas}/web?fieldManager=envoy-hpa-reaper`, marked(created));
        expect(mark.status).toBe(200);
        expect(versionOf(mark)).not.toBe(versionOf(created));
        const [entry] = created.body.metadata.managedFields;
        const { 'f:maxReplicas': _, ...rest } = envoyGatewayOwns['f:spec'];
        expect(mark.body).toEqual({
          ...created.body,
          metadata: {
            ...created.body.metadata,
            resourceVersion: versionOf(mark),
            managedFields: [{ ...entry, fieldsV1: { ...entry.fieldsV1, 'f:spec': rest } }],
          },
        });

        const again = await applyAs('envoy-gateway', autoscaler('web'));
        expect(versionOf(again)).not.toBe(versionOf(mark));
        expect(again.body.metadata.managedFields).toEqual(created.body.metadata.managedFields);
        const third = await applyAs('envoy-gateway', autoscaler('web'));
        expect(versionOf(third)).toBe(versionOf(again));
      });

      test('stays through a write of the status', async () => {
        const created = await applyAs('envoy-gateway', autoscaler('web'));
        const mark = await admin.merge(`${hpas}/web`, marked(created));
        const status = { status: { desiredReplicas: 3, currentReplicas: 3 } };
        const written = await admin.merge(`${hpas}/web/status?fieldManager=kube-controller-manager`, status);
        expect(versionOf(written)).not.toBe(versionOf(mark));
        expect(entryOf(written, 'envoy-gateway')).toEqual(entryOf(mark, 'envoy-gateway'));
      });

      test('can be set by a JSON patch', async () => {
        const created = await applyAs('envoy-gateway', autoscaler('web'));
        const [entry] = marked(created).metadata.managedFields;
        const mark = await admin.jsonPatch(`${hpas}/web`, [
          { op: 'replace', path: '/metadata/resourceVersion', value: versionOf(created) },
          { op: 'replace', path: '/metadata/managedFields', value: [entry] },
        ]);
        expect(mark.status).toBe(200);
        expect(versionOf(mark)).not.toBe(versionOf(created));
        expect(entryOf(mark, 'envoy-gateway').fieldsV1['f:spec']).not.toHaveProperty('f:maxReplicas');
      });

      test('conflicts with any write since it was read', async () => {
        const created = await applyAs('envoy-gateway', autoscaler('web'));
        await admin.merge(`${hpas}/web`, { spec: { maxReplicas: 6 } });
        const refused = await admin.merge(`${hpas}/web`, marked(created));
        expect(refused.status).toBe(409);
        expect(refused.body).toEqual(
          failure(
            409,
            'Conflict',
            'Operation cannot be fulfilled on horizontalpodautoscalers.autoscaling "web": the object has been modified; please apply your changes to the latest version and try again',
            { name: 'web', group: 'autoscaling', kind: 'horizontalpodautoscalers' },
          ),
        );
      });
    });

    describe('patch and update', () => {
      test('that change nothing leave the resourceVersion alone', async () => {
        const created = await applyAs('envoy-gateway', autoscaler('web'));
        for (const same of [
          await admin.merge(`${hpas}/web?fieldManager=person`, { spec: { maxReplicas: 5 } }),
          await admin.jsonPatch(`${hpas}/web`, [{ op: 'replace', path: '/spec/maxReplicas', value: 5 }]),
          await admin.merge(`${hpas}/web`, { status: { desiredReplicas: 4 } }),
          await admin.merge(`${hpas}/web/status`, { spec: { maxReplicas: 4 } }),
        ]) {
          expect(same.status).toBe(200);
          expect(same.body).toEqual(created.body);
        }
      });

      test('take effect once, and not at all with dryRun', async () => {
        const created = await admin.post(proxies, envoyProxy('web'));
        expect(created.body.metadata.generation).toBe(1);
        const removal = { spec: { provider: { kubernetes: { envoyHpa: null } } } };
        const tried = await admin.merge(`${proxies}/web?dryRun=All`, removal);
        expect(tried.body.spec.provider.kubernetes).toEqual({});
        expect((await admin.get(`${proxies}/web`)).body).toEqual(created.body);

        const removed = await admin.merge(`${proxies}/web?fieldManager=kubectl-patch`, removal);
        expect(removed.body.spec.provider).toEqual({ type: 'Kubernetes', kubernetes: {} });
        expect(removed.body.metadata.generation).toBe(2);
        // Who only removes comes to own nothing: no entry, and no newer time.
        const [entry, ...others] = removed.body.metadata.managedFields;
        expect(others).toEqual([]);
        expect(entry).toMatchObject({
          manager: 'contract',
          operation: 'Update',
          time: created.body.metadata.creationTimestamp,
        });
        expect(entry.fieldsV1['f:spec']['f:provider']).toEqual({ '.': {}, 'f:kubernetes': {}, 'f:type': {} });
      });

      test('apply no operation of a JSON patch when one of them fails', async () => {
        const configMaps = `/api/v1/namespaces/${namespace}/configmaps`;
        const created = await admin.post(configMaps, { metadata: { name: 'one' }, data: { a: '1' } });
        const refused = await admin.jsonPatch(`${configMaps}/one`, [
          { op: 'replace', path: '/data/a', value: '2' },
          { op: 'replace', path: '/spec/nope/a', value: '2' },
        ]);
        expect(refused.status).toBe(422);
        expect(refused.body).toMatchObject({
          reason: 'Invalid',
          message: 'the server rejected our request due to an error in our request',
          details: {},
        });
        expect((await admin.get(`${configMaps}/one`)).body).toEqual(created.body);
      });

      test('refuse another resourceVersion or uid', async () => {
        await applyAs('envoy-gateway', autoscaler('web'));
        const stale = await admin.merge(`${hpas}/web`, { metadata: { resourceVersion: '1' } });
        expect([stale.status, stale.body.reason]).toEqual([409, 'Conflict']);
        const uid = await admin.merge(`${hpas}/web`, { metadata: { uid: 'other' } });
        expect([uid.status, uid.body.reason]).toEqual([422, 'Invalid']);
        expect(uid.body.message).toBe(
          'HorizontalPodAutoscaler.autoscaling "web" is invalid: metadata.uid: Invalid value: "other": field is immutable',
        );
      });

      test('keep the status and the rest apart', async () => {
        const created = await admin.post(proxies, { ...envoyProxy('web'), ...{ status: { ancestors: [] } } });
        expect(created.body).not.toHaveProperty('status');
        const written = await admin.merge(`${proxies}/web/status?fieldManager=envoy-gateway`, {
          metadata: { labels: { ignored: 'yes' } },
          spec: { provider: null },
          status: { ancestors: [] },
        });
        expect(written.body.spec).toEqual(created.body.spec);
        expect(written.body.status).toEqual({ ancestors: [] });
        expect(written.body.metadata.labels).toBeUndefined();
        expect(written.body.metadata.generation).toBe(1);
        expect(entryOf(written, 'envoy-gateway')).toMatchObject({ operation: 'Update', subresource: 'status' });
      });
    });

    describe('lists', () => {
      const create = async (...labels: Record<string, string>[]) => {
        for (const [index, set] of labels.entries()) {
          const manifest = autoscaler(`hpa-${index}`);
          await admin.post(hpas, { ...manifest, metadata: { ...manifest.metadata, labels: set } });
        }
      };

      test('select by label', async () => {
        await create({ a: '1' }, { a: '2' }, { b: '1' });
        const expected = {
          a: ['hpa-0', 'hpa-1'],
          'a=1': ['hpa-0'],
          'a,a=2': ['hpa-1'],
          '': ['hpa-0', 'hpa-1', 'hpa-2'],
        };
        for (const [selector, found] of Object.entries(expected)) {
          const reply = await admin.get(`${hpas}?labelSelector=${encodeURIComponent(selector)}`);
          expect({ selector, found: names(reply) }).toEqual({ selector, found });
        }
        const refused = await admin.get(`${hpas}?labelSelector=${encodeURIComponent('a in 1')}`);
        expect([refused.status, refused.body.reason]).toEqual([400, 'BadRequest']);
      });

      test('select Deployments by label, over the whole cluster', async () => {
        const deployment = (name: string, role: string) => ({
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          metadata: { name, labels: { 'control-plane': role } },
          spec: {
            selector: { matchLabels: { name } },
            template: {
              metadata: { labels: { name } },
              spec: { containers: [{ name, image: 'docker.io/envoyproxy/gateway:v1.3.0' }] },
            },
          },
        });
        const deployments = `/apis/apps/v1/namespaces/${namespace}/deployments`;
        for (const [name, role] of [
          ['one', namespace],
          ['two', 'other'],
        ] as const) {
          expect((await admin.post(deployments, deployment(name, role))).status).toBe(201);
        }
        const found = await admin.get(`/apis/apps/v1/deployments?labelSelector=control-plane%3D${namespace}`);
        expect(names(found)).toEqual(['one']);
        expect(found.body.items[0].spec.template.spec.containers[0].image).toBe('docker.io/envoyproxy/gateway:v1.3.0');
      });

      test('select by name, over the whole cluster', async () => {
        await create({}, {});
        const all = '/apis/autoscaling/v2/horizontalpodautoscalers';
        const reply = await admin.get(`${hpas}?fieldSelector=metadata.name%3Dhpa-1`);
        expect(names(reply)).toEqual(['hpa-1']);
        expect(reply.body).toMatchObject({ kind: 'HorizontalPodAutoscalerList', apiVersion: 'autoscaling/v2' });
        expect(Object.keys(reply.body.items[0])).not.toContain('kind');
        const refused = await admin.get(`${all}?fieldSelector=spec.maxReplicas%3D1`);
        expect(refused.status).toBe(400);
        await admin.post(proxies, envoyProxy('web'));
        const custom = await admin.get(proxies);
        expect(custom.body.items[0]).toMatchObject({ kind: 'EnvoyProxy' });
      });

      test('come in pages that all show one moment', async () => {
        await create({ a: '1' }, { a: '1' }, {}, {}, {});
        const first = await admin.get(`${hpas}?limit=2`);
        expect(names(first)).toEqual(['hpa-0', 'hpa-1']);
        expect(first.body.metadata.remainingItemCount).toBe(3);
        await admin.delete(`${hpas}/hpa-2`);
        await admin.post(hpas, autoscaler('hpa-3a'));
        const next = (reply: Reply) =>
          admin.get(`${hpas}?limit=2&continue=${encodeURIComponent(reply.body.metadata.continue)}`);
        const second = await next(first);
        expect(names(second)).toEqual(['hpa-2', 'hpa-3']);
        expect(versionOf(second)).toBe(versionOf(first));
        expect(second.body.metadata.remainingItemCount).toBe(1);
        const third = await next(second);
        expect(names(third)).toEqual(['hpa-4']);
        expect(third.body.metadata).toEqual({ resourceVersion: versionOf(first) });
        const selected = await admin.get(`${hpas}?limit=1&labelSelector=a`);
        expect(Object.keys(selected.body.metadata).sort()).toEqual(['continue', 'resourceVersion']);
      });

      test('answer 410 to a continue token that has expired', async () => {
        await create({}, {}, {});
        const first = await admin.get(`${hpas}?limit=1`);
        const token = encodeURIComponent(first.body.metadata.continue);
        await admin.post(hpas, autoscaler('hpa-0a'));
        await server.compact();
        const gone = await admin.get(`${hpas}?limit=1&continue=${token}`);
        expect(gone.status).toBe(410);
        expect(gone.body).toEqual(
          failure(
            410,
            'Expired',
            expect.stringMatching(/^The provided continue parameter is too old to display a consistent list/),
            undefined,
            { continue: expect.any(String) },
          ),
        );
        const inconsistent = encodeURIComponent(gone.body.metadata.continue);
        const rest = await admin.get(`${hpas}?limit=5&continue=${inconsistent}`);
        expect(names(rest)).toEqual(['hpa-0a', 'hpa-1', 'hpa-2']);
      });

      test('refuse a continue token and a limit that are none', async () => {
        for (const query of ['continue=nonsense', 'limit=x']) {
          const refused = await admin.get(`${hpas}?${query}`);
          expect([refused.status, refused.body.reason]).toEqual([400, 'BadRequest']);
        }
      });
    });

    describe('delete', () => {
      test('with the right preconditions answers Success with the uid', async () => {
        const created = await applyAs('envoy-gateway', autoscaler('web'));
        const { uid, resourceVersion } = created.body.metadata;
        const deleted = await admin.delete(`${hpas}/web`, {
          apiVersion: 'v1',
          kind: 'DeleteOptions',
          preconditions: { uid, resourceVersion },
          propagationPolicy: 'Background',
        });
        expect(deleted.status).toBe(200);
        expect(deleted.body).toEqual({
          kind: 'Status',
          apiVersion: 'v1',
          metadata: {},
          status: 'Success',
          details: { name: 'web', group: 'autoscaling', kind: 'horizontalpodautoscalers', uid },
        });
        for (const gone of [await admin.get(`${hpas}/web`), await admin.delete(`${hpas}/web`)]) {
          expect(gone.status).toBe(404);
          expect(gone.body).toEqual(
            failure(404, 'NotFound', 'horizontalpodautoscalers.autoscaling "web" not found', {
              name: 'web',
              group: 'autoscaling',
              kind: 'horizontalpodautoscalers',
            }),
          );
        }
      });

      test('conflicts with preconditions that do not hold', async () => {
        const created = await applyAs('envoy-gateway', autoscaler('web'));
        const { uid, resourceVersion } = created.body.metadata;
        const expected = {
          [`the UID in the precondition (other) does not match the UID in record (${uid}). The object might have been deleted and then recreated`]:
            { uid: 'other', resourceVersion: '1' },
          [`the ResourceVersion in the precondition (1) does not match the ResourceVersion in record (${resourceVersion}). The object might have been modified`]:
            { uid, resourceVersion: '1' },
        };
        for (const [why, preconditions] of Object.entries(expected)) {
          const refused = await admin.delete(`${hpas}/web`, { preconditions });
          expect(refused.status).toBe(409);
          expect(refused.body).toEqual(
            failure(
              409,
              'Conflict',
              `Operation cannot be fulfilled on HorizontalPodAutoscaler.autoscaling "web": ${why}`,
              { name: 'web', group: 'autoscaling', kind: 'HorizontalPodAutoscaler' },
            ),
          );
        }
        expect((await admin.delete(`${hpas}/web?dryRun=All`)).status).toBe(200);
        expect((await admin.get(`${hpas}/web`)).body).toEqual(created.body);
      });

      test('waits for the finalizers', async () => {
        const proxy = envoyProxy('web');
        await admin.post(proxies, {
          ...proxy,
          metadata: { name: 'web', finalizers: ['example.com/a', 'example.com/b'] },
        });
        const marked = await admin.delete(`${proxies}/web`);
        expect(marked.status).toBe(200);
        expect(marked.body).toMatchObject({
          kind: 'EnvoyProxy',
          metadata: { deletionGracePeriodSeconds: 0, deletionTimestamp: expect.any(String), generation: 2 },
        });
        expect((await admin.delete(`${proxies}/web`)).body).toEqual(marked.body);
        const added = await admin.merge(`${proxies}/web`, {
          metadata: { finalizers: ['example.com/a', 'example.com/c'] },
        });
        expect([added.status, added.body.reason]).toEqual([422, 'Invalid']);
        const one = await admin.merge(`${proxies}/web`, { metadata: { finalizers: ['example.com/b'] } });
        expect(one.body.metadata.finalizers).toEqual(['example.com/b']);
        const none = await admin.merge(`${proxies}/web`, { metadata: { finalizers: null } });
        expect([none.status, none.body.metadata.resourceVersion]).toEqual([200, versionOf(one)]);
        expect((await admin.get(`${proxies}/web`)).status).toBe(404);
      });
    });

    describe('what it says of itself', () => {
      test('its version, to whom it knows', async () => {
        for (const token of [adminToken, readerToken]) {
          const { status, body } = await as(token).get('/version');
          expect([status, body]).toEqual([
            200,
            expect.objectContaining({ major: '1', minor: '34', gitVersion: expect.stringMatching(/^v1\.34\.\d+$/) }),
          ]);
        }
        expect((await as('unknown').get('/version')).status).toBe(401);
        expect((await admin.post('/version', {})).status).toBe(405);
      });

      test('which versions of a group it serves', async () => {
        const reader = as(readerToken);
        for (const [name, version] of [
          ['gateway.networking.k8s.io', 'v1'],
          ['gateway.envoyproxy.io', 'v1alpha1'],
          ['apps', 'v1'],
        ] as const) {
          const { status, body } = await reader.get(`/apis/${name}`);
          const preferredVersion = { groupVersion: `${name}/${version}`, version };
          expect([status, body]).toEqual([
            200,
            { kind: 'APIGroup', apiVersion: 'v1', name, versions: expect.any(Array), preferredVersion },
          ]);
          expect(body.versions[0]).toEqual(preferredVersion);
        }
        const missing = await reader.get('/apis/nope.example.com');
        expect([missing.status, missing.text]).toEqual([404, '404 page not found\n']);
      });

      test('how a custom resource is defined, to whom it lets read that', async () => {
        const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
        const name = 'gateways.gateway.networking.k8s.io';
        const { body } = await admin.get(`${definitions}/${name}`);
        expect(body).toMatchObject({
          kind: 'CustomResourceDefinition',
          metadata: {
            name,
            annotations: {
              'gateway.networking.k8s.io/bundle-version': 'v1.6.1',
              'gateway.networking.k8s.io/channel': 'experimental',
            },
          },
          spec: {
            group: 'gateway.networking.k8s.io',
            names: { plural: 'gateways', singular: 'gateway', kind: 'Gateway', listKind: 'GatewayList' },
            scope: 'Namespaced',
          },
        });
        expect(body.spec.versions[0]).toMatchObject({ name: 'v1', served: true, storage: true });
        const refused = await as(readerToken).get(`${definitions}/${name}`);
        expect([refused.status, refused.body.reason]).toEqual([403, 'Forbidden']);
        const missing = await admin.get(`${definitions}/nope.example.com`);
        expect([missing.status, missing.body.message]).toEqual([
          404,
          'customresourcedefinitions.apiextensions.k8s.io "nope.example.com" not found',
        ]);
      });
    });

    describe('access reviews', () => {
      const mine = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
      const anybodys = '/apis/authorization.k8s.io/v1/subjectaccessreviews';
      const toList = { group: 'autoscaling', resource: 'horizontalpodautoscalers', verb: 'list' };
      const because = (group: string, name = group) => ({
        allowed: true,
        reason: `RBAC: allowed by ClusterRoleBinding "${name}" of ClusterRole "${name}" to Group "${group}"`,
      });
      const readers = because('contract-readers');
      const ask = async (path: string, spec: object, token = adminToken) => {
        const kind = path === mine ? 'SelfSubjectAccessReview' : 'SubjectAccessReview';
        const { status, body } = await as(token).post(path, { kind, apiVersion: 'authorization.k8s.io/v1', spec });
        if (status === 201) {
          expect(body).toMatchObject({ kind, apiVersion: 'authorization.k8s.io/v1', spec });
          expect(body.metadata.managedFields).toMatchObject([{ manager: 'contract', operation: 'Update' }]);
        }
        return { status, body };
      };
      const asked = async (resourceAttributes: object, token: string) =>
        (await ask(mine, { resourceAttributes }, token)).body.status;

      test('tell anybody what they may do themselves, and why', async () => {
        expect(await asked(toList, adminToken)).toEqual({ allowed: true });
        expect(await asked(toList, readerToken)).toEqual(readers);
        expect(await asked({ ...toList, namespace }, readerToken)).toEqual(readers);
        expect(await asked({ ...toList, verb: 'delete' }, readerToken)).toEqual({ allowed: false });
        expect(await asked({ ...toList, subresource: 'status' }, readerToken)).toEqual({ allowed: false });
        const toRead = { resource: 'configmaps', verb: 'list' };
        expect(await asked({ ...toRead, name: 'one' }, readerToken)).toEqual(readers);
        expect(await asked({ ...toRead, name: 'three' }, readerToken)).toEqual({ allowed: false });
        expect(await asked(toRead, readerToken)).toEqual({ allowed: false });
        const toGet = { group: 'apps', resource: 'deployments', verb: 'get' };
        expect(await asked({ ...toGet, namespace: 'default' }, readerToken)).toEqual({
          allowed: true,
          reason:
            'RBAC: allowed by RoleBinding "contract-readers/default" of Role "contract-readers" to Group "contract-readers"',
        });
        expect(await asked({ ...toGet, namespace }, readerToken)).toEqual({ allowed: false });
        expect(await asked(toGet, readerToken)).toEqual({ allowed: false });
        const discovery = await ask(mine, { nonResourceAttributes: { path: '/apis', verb: 'get' } }, readerToken);
        expect(discovery.body.status).toEqual(because('system:authenticated', 'system:discovery'));
      });

      test('tell who may ask what a group may do, by its own bindings alone', async () => {
        const ofReaders = { resourceAttributes: toList, groups: ['contract-readers'] };
        expect((await ask(anybodys, ofReaders)).body.status).toEqual(readers);
        const ofOthers = { resourceAttributes: toList, groups: ['contract-writers'] };
        expect((await ask(anybodys, ofOthers)).body.status).toEqual({ allowed: false });
        const basic = { group: 'authorization.k8s.io', resource: 'selfsubjectaccessreviews', verb: 'create' };
        const ofThemselves = { resourceAttributes: basic, groups: ['contract-readers'] };
        expect((await ask(anybodys, ofThemselves)).body.status).toEqual({ allowed: false });
        const refused = await ask(anybodys, ofReaders, readerToken);
        expect([refused.status, refused.body.message]).toEqual([
          403,
          'subjectaccessreviews.authorization.k8s.io is forbidden: User "reader" cannot create resource "subjectaccessreviews" in API group "authorization.k8s.io" at the cluster scope',
        ]);
      });

      test('are refused where they ask nothing, or of nobody', async () => {
        for (const [path, spec, field, why] of [
          [
            mine,
            {},
            'spec.resourceAttributes',
            'Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified',
          ],
          [
            anybodys,
            { resourceAttributes: toList },
            'spec.user',
            'Invalid value: "": at least one of user or group must be specified',
          ],
        ] as const) {
          const { body } = await ask(path, spec);
          expect(body).toEqual(
            failure(422, 'Invalid', `.authorization.k8s.io "" is invalid: ${field}: ${why}`, {
              group: 'authorization.k8s.io',
              causes: [{ reason: 'FieldValueInvalid', message: why, field }],
            }),
          );
        }
      });

      test('cannot be read', async () => {
        expect((await admin.get(mine)).status).toBe(405);
        expect((await admin.get(`${mine}/one`)).status).toBe(404);
      });
    });

    describe('refusals', () => {
      test('401 without a token that it knows', async () => {
        for (const token of [undefined, 'unknown']) {
          const refused = await as(token).get(hpas);
          expect(refused.status).toBe(401);
          expect(refused.body).toEqual(failure(401, 'Unauthorized', 'Unauthorized'));
        }
      });

      test('403 for what no role allows', async () => {
        const reader = as(readerToken);
        expect((await reader.get('/apis/autoscaling/v2/horizontalpodautoscalers?limit=1')).status).toBe(200);
        const why = (verb: string, where: string, resource = 'horizontalpodautoscalers', group = 'autoscaling') =>
          `User "reader" cannot ${verb} resource "${resource}" in API group "${group}" ${where}`;
        const within = `in the namespace "${namespace}"`;
        const named = { name: 'web', group: 'autoscaling', kind: 'horizontalpodautoscalers' };

        const got = await reader.get(`${hpas}/web`);
        const forbidden = (message: string, details: object) => failure(403, 'Forbidden', message, details);
        const subject = 'horizontalpodautoscalers.autoscaling "web" is forbidden:';
        expect(got.body).toEqual(forbidden(`${subject} ${why('get', within)}`, named));
        const deleted = await reader.delete(`${hpas}/web`);
        expect(deleted.body).toEqual(forbidden(`${subject} ${why('delete', within)}`, named));
        const patched = await reader.merge(`${hpas}/web/status`, {});
        expect(patched.body).toEqual(
          forbidden(`${subject} ${why('patch', within, 'horizontalpodautoscalers/status')}`, named),
        );
        const listed = await reader.get('/apis/gateway.networking.k8s.io/v1/gatewayclasses');
        const group = 'gateway.networking.k8s.io';
        expect(listed.body).toEqual(
          forbidden(
            `gatewayclasses.${group} is forbidden: ${why('list', 'at the cluster scope', 'gatewayclasses', group)}`,
            { group, kind: 'gatewayclasses' },
          ),
        );
        const secret = await reader.get(`/api/v1/namespaces/${namespace}/secrets/web`);
        expect(secret.body).toEqual(
          forbidden(`secrets "web" is forbidden: ${why('get', within, 'secrets', '')}`, {
            name: 'web',
            kind: 'secrets',
          }),
        );
      });

      test('403 for a list that is not narrowed to an allowed name', async () => {
        const reader = as(readerToken);
        const list = (selector: string) =>
          reader.get(`/api/v1/configmaps?fieldSelector=${encodeURIComponent(selector)}`);
        expect((await list('metadata.name=one')).status).toBe(200);
        expect((await list('metadata.name=three')).status).toBe(403);
        expect((await reader.get('/api/v1/configmaps')).status).toBe(403);
        expect((await reader.get(`/api/v1/namespaces/${namespace}/configmaps/two`)).status).toBe(404);
      });

      test('404 for what is not served, in plain text where the whole API is missing', async () => {
        const missing = await admin.get('/apis/nope.example.com/v1/things');
        expect([missing.status, missing.text]).toEqual([404, '404 page not found\n']);
        const custom = await admin.get('/apis/gateway.networking.k8s.io/v1/things');
        expect([custom.status, custom.text]).toEqual([404, '404 page not found\n']);
        const builtIn = await admin.get('/apis/autoscaling/v2/things');
        const message = 'the server could not find the requested resource';
        expect(builtIn.body).toEqual(failure(404, 'NotFound', message, {}));
      });

      test('404 for an object in a namespace that does not exist', async () => {
        const refused = await admin.post(
          '/apis/autoscaling/v2/namespaces/nope/horizontalpodautoscalers',
          autoscaler('web'),
        );
        expect(refused.body).toEqual(
          failure(404, 'NotFound', 'namespaces "nope" not found', { name: 'nope', kind: 'namespaces' }),
        );
      });

      test('405 for a method that the resource does not have', async () => {
        const message = 'the server does not allow this method on the requested resource';
        for (const [method, path] of [
          ['POST', `${hpas}/web`],
          ['PATCH', hpas],
          ['POST', '/apis/autoscaling/v2/horizontalpodautoscalers'],
        ] as const) {
          const refused = await admin.send(method, path, { body: autoscaler('web') });
          expect(refused.body).toEqual(failure(405, 'MethodNotAllowed', message, {}));
        }
      });

      test('409 for a name that is taken', async () => {
        await admin.post(hpas, autoscaler('web'));
        const refused = await admin.post(hpas, autoscaler('web'));
        expect(refused.body).toEqual(
          failure(409, 'AlreadyExists', 'horizontalpodautoscalers.autoscaling "web" already exists', {
            name: 'web',
            group: 'autoscaling',
            kind: 'horizontalpodautoscalers',
          }),
        );
      });

      test('400 for a body that is no JSON or not what the path says', async () => {
        await admin.post(hpas, autoscaler('web'));
        const requests = [
          admin.send('PATCH', `${hpas}/web`, { body: '{nope', contentType: 'application/merge-patch+json' }),
          admin.send('PATCH', `${hpas}/web`, { body: '[]', contentType: 'application/merge-patch+json' }),
          admin.send('PATCH', `${hpas}/web`, { body: '{}', contentType: 'application/json-patch+json' }),
          admin.send('POST', hpas, { body: '{nope' }),
          admin.post(hpas, { ...autoscaler('other'), ...{ kind: 'Deployment' } }),
          admin.post(hpas, { ...autoscaler('other'), ...{ metadata: { name: 'other', namespace: 'other' } } }),
        ];
        for (const refused of await Promise.all(requests)) {
          expect([refused.status, refused.body.reason]).toEqual([400, 'BadRequest']);
        }
      });

      test('415 for a patch type that it does not take', async () => {
        await admin.post(proxies, envoyProxy('web'));
        const text = await admin.send('PATCH', `${proxies}/web`, { body: '{}', contentType: 'text/plain' });
        expect([text.status, text.body.reason]).toEqual([415, 'UnsupportedMediaType']);
        const contentType = 'application/strategic-merge-patch+json';
        const strategic = await admin.send('PATCH', `${proxies}/web`, { body: '{}', contentType });
        expect([strategic.status, strategic.body.reason]).toEqual([415, 'UnsupportedMediaType']);
      });

      test('422 for an object without a name', async () => {
        const refused = await admin.post(hpas, { ...autoscaler('web'), metadata: {} });
        expect(refused.status).toBe(422);
        expect(refused.body.message).toBe(
          'HorizontalPodAutoscaler.autoscaling "" is invalid: metadata.name: Required value: name or generateName is required',
        );
      });
    });

    describe('the audit log under EKS’s levels', () => {
      const lineOf = async (reply: Reply): Promise<AuditEvent> => {
        const id = reply.headers['audit-id'];
        const deadline = Date.now() + 10_000;
        while (Date.now() < deadline) {
          const event = (await server.audit()).find(({ auditID }) => auditID === id);
          if (event) return event;
          await delay(20);
        }
        throw new Error(`no audit event ${id}`);
      };
      const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
      const line = (rest: object) => ({
        kind: 'Event',
        apiVersion: 'audit.k8s.io/v1',
        auditID: expect.any(String),
        stage: 'ResponseComplete',
        user: { username: 'admin', uid: 'admin', groups: ['system:masters', 'system:authenticated'] },
        sourceIPs: ['127.0.0.1'],
        userAgent: 'contract/v1 (test)',
        requestReceivedTimestamp: time,
        stageTimestamp: time,
        annotations: { 'authorization.k8s.io/decision': 'allow', 'authorization.k8s.io/reason': '' },
        ...rest,
      });
      const hpa = (rest: object) => ({
        resource: 'horizontalpodautoscalers',
        namespace,
        ...rest,
        apiGroup: 'autoscaling',
        apiVersion: 'v2',
      });
      const proxy = (rest: object) => ({
        resource: 'envoyproxies',
        namespace,
        ...rest,
        apiGroup: 'gateway.envoyproxy.io',
        apiVersion: 'v1alpha1',
      });

      test('says all of what happens to HPAs', async () => {
        const manifest = autoscaler('web');
        const created = await applyAs('envoy-gateway', manifest);
        expect(await lineOf(created)).toEqual(
          line({
            level: 'RequestResponse',
            requestURI: `${hpas}/web?fieldManager=envoy-gateway&force=true`,
            verb: 'patch',
            objectRef: hpa({ name: 'web' }),
            responseStatus: { metadata: {}, code: 201 },
            requestObject: manifest,
            responseObject: created.body,
          }),
        );
        const got = await admin.get(`${hpas}/web`);
        expect(await lineOf(got)).toEqual(
          line({
            level: 'Request',
            requestURI: `${hpas}/web`,
            verb: 'get',
            objectRef: hpa({ name: 'web' }),
            responseStatus: { metadata: {}, code: 200 },
          }),
        );
        const options = { preconditions: { uid: created.body.metadata.uid }, propagationPolicy: 'Background' };
        const deleted = await admin.delete(`${hpas}/web`, options);
        expect(await lineOf(deleted)).toEqual(
          line({
            level: 'RequestResponse',
            requestURI: `${hpas}/web`,
            verb: 'delete',
            objectRef: hpa({ name: 'web' }),
            responseStatus: { metadata: {}, status: 'Success', details: deleted.body.details, code: 200 },
            requestObject: { kind: 'DeleteOptions', apiVersion: 'meta.k8s.io/__internal', ...options },
            responseObject: deleted.body,
          }),
        );
      });

      test('says that custom resources changed, and nothing more', async () => {
        const lines = [];
        const created = await admin.post(`${proxies}?fieldManager=person`, envoyProxy('web'));
        lines.push(created);
        lines.push(await admin.merge(`${proxies}/web?dryRun=All`, { spec: { provider: null } }));
        lines.push(await admin.merge(`${proxies}/web/status`, { status: { ancestors: [] } }));
        const { uid } = created.body.metadata;
        lines.push(await admin.delete(`${proxies}/web`));
        const success = {
          status: 'Success',
          details: { name: 'web', group: 'gateway.envoyproxy.io', kind: 'envoyproxies', uid },
        };
        const expected = [
          ['create', '?fieldManager=person', proxy({ name: 'web' }), { code: 201 }],
          ['patch', '/web?dryRun=All', proxy({ name: 'web' }), { code: 200 }],
          ['patch', '/web/status', proxy({ name: 'web', subresource: 'status' }), { code: 200 }],
          ['delete', '/web', proxy({ name: 'web' }), { ...success, code: 200 }],
        ] as const;
        for (const [index, [verb, path, objectRef, responseStatus]] of expected.entries()) {
          expect(await lineOf(lines[index] as Reply)).toEqual(
            line({
              level: 'Metadata',
              requestURI: `${proxies}${path}`,
              verb,
              objectRef,
              responseStatus: { metadata: {}, ...responseStatus },
            }),
          );
        }
      });

      test('says as little of ConfigMaps', async () => {
        const path = `/api/v1/namespaces/${namespace}/configmaps`;
        const created = await admin.post(path, { metadata: { name: 'one' }, data: { a: '1' } });
        expect(await lineOf(created)).toEqual(
          line({
            level: 'Metadata',
            requestURI: path,
            verb: 'create',
            objectRef: { resource: 'configmaps', namespace, name: 'one', apiVersion: 'v1' },
            responseStatus: { metadata: {}, code: 201 },
          }),
        );
        const listed = await admin.get('/api/v1/configmaps?fieldSelector=metadata.name%3Done');
        expect((await lineOf(listed)).objectRef).toEqual({ resource: 'configmaps', name: 'one', apiVersion: 'v1' });
      });

      test('says who was refused what', async () => {
        const refused = await as(readerToken).merge(`${proxies}/web`, { spec: {} });
        const { message, reason, details } = refused.body;
        expect(await lineOf(refused)).toEqual(
          line({
            level: 'Metadata',
            requestURI: `${proxies}/web`,
            verb: 'patch',
            user: { username: 'reader', uid: 'reader', groups: ['contract-readers', 'system:authenticated'] },
            objectRef: proxy({ name: 'web' }),
            responseStatus: { metadata: {}, status: 'Failure', message, reason, details, code: 403 },
            annotations: { 'authorization.k8s.io/decision': 'forbid', 'authorization.k8s.io/reason': '' },
          }),
        );
        const unknown = await lineOf(await as('unknown').get(hpas));
        expect(unknown.user).toEqual({});
        expect(unknown.annotations).toBeUndefined();
      });
    });
  });
}
