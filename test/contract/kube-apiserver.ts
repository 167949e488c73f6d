import { randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import type { AuditEvent } from '../embedded-cluster/audit.ts';
import type { Reply } from './connection.ts';
import { autoscaler, envoyProxy } from './objects.ts';
import { adminToken, reaperToken, type Server, useServer, waitFor } from './server.ts';

type Named = { metadata: { name: string } };

/** What this project relies on in a kube-apiserver. */
export function describeKubeApiserver(start: () => Promise<Server>): void {
  describe('kube-apiserver', () => {
    const used = useServer(start);
    let namespace: string;
    let hpas: string;
    let proxies: string;

    beforeEach(async () => {
      namespace = `contract-${randomUUID().slice(0, 8)}`;
      hpas = `/apis/autoscaling/v2/namespaces/${namespace}/horizontalpodautoscalers`;
      proxies = `/apis/gateway.envoyproxy.io/v1alpha1/namespaces/${namespace}/envoyproxies`;
      expect((await used.admin.post('/api/v1/namespaces', { metadata: { name: namespace } })).status).toBe(201);
    });

    const applyAs = (manager: string, manifest: Named): Promise<Reply> =>
      used.admin.apply(`${hpas}/${manifest.metadata.name}?fieldManager=${manager}&force=true`, manifest);
    const applyWeb = (): Promise<Reply> => applyAs('envoy-gateway', autoscaler('web'));
    const versionOf = (reply: Reply): string => reply.body.metadata.resourceVersion;
    const entryOf = (reply: Reply, manager: string) =>
      reply.body.metadata.managedFields?.find((entry: { manager: string }) => entry.manager === manager);
    const names = (reply: Reply): string[] => reply.body.items.map(({ metadata }: Named) => metadata.name);
    const refusal = ({ status, body }: Reply) => [status, body.reason, body.message];

    const envoyGatewayOwns = {
      'f:metadata': { 'f:labels': { 'f:gateway.envoyproxy.io/owning-gateway-name': {} } },
      'f:spec': {
        'f:maxReplicas': {},
        'f:metrics': {},
        'f:minReplicas': {},
        'f:scaleTargetRef': { 'f:apiVersion': {}, 'f:kind': {}, 'f:name': {} },
      },
    };
    const { 'f:maxReplicas': _, ...withoutMaxReplicas } = envoyGatewayOwns['f:spec'];
    const ownsAllButMaxReplicas = { ...envoyGatewayOwns, 'f:spec': withoutMaxReplicas };

    describe('a server-side apply', () => {
      test('creates an object with an Apply entry that owns exactly what was sent', async () => {
        const created = await applyWeb();
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

      test('writes nothing if its fields are unchanged', async () => {
        const created = await applyWeb();
        const again = await applyWeb();
        expect(again.status).toBe(200);
        expect(again.body).toEqual(created.body);
      });

      test('with force takes over a field that somebody else changed', async () => {
        const created = await applyWeb();
        const patched = await used.admin.merge(`${hpas}/web?fieldManager=person`, {
          metadata: { annotations: { note: 'x' } },
          spec: { maxReplicas: 7 },
        });
        expect(versionOf(patched)).not.toBe(versionOf(created));
        expect(entryOf(patched, 'envoy-gateway').fieldsV1).toEqual(ownsAllButMaxReplicas);
        const note = { 'f:metadata': { 'f:annotations': { '.': {}, 'f:note': {} } } };
        expect(entryOf(patched, 'person')).toMatchObject({
          operation: 'Update',
          fieldsV1: { ...note, 'f:spec': { 'f:maxReplicas': {} } },
        });

        const forced = await applyWeb();
        expect(forced.body.spec.maxReplicas).toBe(5);
        expect(entryOf(forced, 'envoy-gateway').fieldsV1).toEqual(envoyGatewayOwns);
        expect(entryOf(forced, 'person').fieldsV1).toEqual(note);
        expect(forced.body.metadata.annotations).toEqual({ note: 'x' });
      });

      test('removes what only its manager owned and no longer sends', async () => {
        await applyAs('envoy-gateway', autoscaler('web', { labels: { a: '1', b: '2' } }));
        await applyAs('other', { ...autoscaler('web', { labels: { b: '2' } }), ...{ spec: { maxReplicas: 5 } } });
        const reduced = await applyAs('envoy-gateway', autoscaler('web', { labels: {} }));
        expect(reduced.status).toBe(200);
        expect(reduced.body.metadata.labels).toEqual({ b: '2' });
        expect(entryOf(reduced, 'envoy-gateway').fieldsV1['f:metadata']).toEqual({ 'f:labels': {} });
      });

      test('owns owner references by uid and finalizers by value', async () => {
        const reference = { apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: 'owner-uid' };
        const metadata = { labels: undefined, ownerReferences: [reference], finalizers: ['example.com/a'] };
        const applied = await applyAs('envoy-gateway', autoscaler('web', metadata));
        expect(entryOf(applied, 'envoy-gateway').fieldsV1['f:metadata']).toEqual({
          'f:finalizers': { 'v:"example.com/a"': {} },
          'f:ownerReferences': { 'k:{"uid":"owner-uid"}': {} },
        });
        await used.admin.merge(`${hpas}/web`, { metadata: { finalizers: null } });
      });
    });

    describe('the mark', () => {
      const mark = ({ body: { metadata } }: Reply) => {
        const managedFields = structuredClone(metadata.managedFields);
        delete managedFields[0].fieldsV1['f:spec']['f:maxReplicas'];
        return used.admin.jsonPatch(`${hpas}/web?fieldManager=envoy-hpa-reaper`, [
          { op: 'replace', path: '/metadata/resourceVersion', value: metadata.resourceVersion },
          { op: 'replace', path: '/metadata/managedFields', value: managedFields },
        ]);
      };

      test('takes one field out of the Apply entry, so that a later unchanged apply has to write', async () => {
        const created = await applyWeb();
        const marked = await mark(created);
        expect(marked.status).toBe(200);
        expect(versionOf(marked)).not.toBe(versionOf(created));
        const [entry] = created.body.metadata.managedFields;
        const managedFields = [{ ...entry, fieldsV1: ownsAllButMaxReplicas }];
        const metadata = { ...created.body.metadata, resourceVersion: versionOf(marked), managedFields };
        expect(marked.body).toEqual({ ...created.body, metadata });

        const again = await applyWeb();
        expect(versionOf(again)).not.toBe(versionOf(marked));
        expect(again.body.metadata.managedFields).toEqual(created.body.metadata.managedFields);
        expect(versionOf(await applyWeb())).toBe(versionOf(again));
      });

      test('stays when the status is written', async () => {
        const marked = await mark(await applyWeb());
        const status = { status: { desiredReplicas: 3, currentReplicas: 3 } };
        const written = await used.admin.merge(`${hpas}/web/status?fieldManager=kube-controller-manager`, status);
        expect(versionOf(written)).not.toBe(versionOf(marked));
        expect(entryOf(written, 'envoy-gateway')).toEqual(entryOf(marked, 'envoy-gateway'));
      });

      test('conflicts with any write since the HPA was read', async () => {
        const created = await applyWeb();
        await used.admin.merge(`${hpas}/web`, { spec: { maxReplicas: 6 } });
        expect(refusal(await mark(created))).toEqual([
          409,
          'Conflict',
          'Operation cannot be fulfilled on horizontalpodautoscalers.autoscaling "web": the object has been modified; please apply your changes to the latest version and try again',
        ]);
      });
    });

    describe('a merge patch', () => {
      test('that changes nothing keeps the resourceVersion', async () => {
        const { body } = await applyWeb();
        for (const same of [
          await used.admin.merge(`${hpas}/web?fieldManager=person`, { spec: { maxReplicas: 5 } }),
          await used.admin.merge(`${hpas}/web`, {}),
          await used.admin.merge(`${hpas}/web`, { status: { desiredReplicas: 4 } }),
          await used.admin.merge(`${hpas}/web/status`, { spec: { maxReplicas: 4 } }),
        ]) {
          expect([same.status, same.body]).toEqual([200, body]);
        }
      });

      test('that only removes a field increments the generation and owns nothing', async () => {
        const created = await used.admin.post(proxies, envoyProxy('web'));
        expect(created.body.metadata.generation).toBe(1);
        const removal = { spec: { provider: { kubernetes: { envoyHpa: null } } } };
        const removed = await used.admin.merge(`${proxies}/web?fieldManager=kubectl-patch`, removal);
        expect(removed.body.spec.provider).toEqual({ type: 'Kubernetes', kubernetes: {} });
        expect(removed.body.metadata.generation).toBe(2);
        const [entry, ...others] = removed.body.metadata.managedFields;
        expect(others).toEqual([]);
        expect(entry).toMatchObject({
          manager: 'contract',
          operation: 'Update',
          time: created.body.metadata.creationTimestamp,
        });
        expect(entry.fieldsV1['f:spec']['f:provider']).toEqual({ '.': {}, 'f:kubernetes': {}, 'f:type': {} });
      });

      test('of the status keeps everything else', async () => {
        const created = await used.admin.post(proxies, { ...envoyProxy('web'), ...{ status: { ancestors: [] } } });
        expect(created.body.status).toBeUndefined();
        const written = await used.admin.merge(`${proxies}/web/status?fieldManager=envoy-gateway`, {
          spec: { provider: null },
          status: { ancestors: [] },
        });
        expect(written.body.spec).toEqual(created.body.spec);
        expect(written.body.status).toEqual({ ancestors: [] });
        expect(written.body.metadata.generation).toBe(1);
        expect(entryOf(written, 'envoy-gateway')).toMatchObject({ operation: 'Update', subresource: 'status' });
      });
    });

    describe('a list', () => {
      const create = async (...labels: Record<string, string>[]) => {
        for (const [index, set] of labels.entries()) {
          await used.admin.post(hpas, autoscaler(`hpa-${index}`, { labels: set }));
        }
      };

      test.each([
        ['labelSelector=a', ['hpa-0', 'hpa-1']],
        ['labelSelector=a%3D1', ['hpa-0']],
        ['labelSelector=a%2Ca%3D2', ['hpa-1']],
        ['labelSelector=', ['hpa-0', 'hpa-1', 'hpa-2']],
        ['fieldSelector=metadata.name%3Dhpa-2', ['hpa-2']],
      ])('with %s has %j', async (query, found) => {
        await create({ a: '1' }, { a: '2' }, { b: '1' });
        expect(names(await used.admin.get(`${hpas}?${query}`))).toEqual(found);
      });

      test('is whole without a limit, and has items with a kind only for custom resources', async () => {
        await create({});
        const { body } = await used.admin.get(hpas);
        expect(body).toMatchObject({ kind: 'HorizontalPodAutoscalerList', apiVersion: 'autoscaling/v2' });
        const resourceVersion = expect.stringMatching(/^\d+$/);
        expect(body.metadata).toEqual({ resourceVersion });
        expect(body.items[0].kind).toBeUndefined();
        await used.admin.post(proxies, envoyProxy('web'));
        const custom = (await used.admin.get(proxies)).body;
        expect(custom.metadata).toEqual({ continue: '', resourceVersion });
        expect(custom.items[0]).toMatchObject({ kind: 'EnvoyProxy' });
      });
    });

    describe('a deletion', () => {
      test('succeeds once with the right preconditions', async () => {
        const { uid, resourceVersion } = (await applyWeb()).body.metadata;
        const deleted = await used.admin.delete(`${hpas}/web`, {
          apiVersion: 'v1',
          kind: 'DeleteOptions',
          preconditions: { uid, resourceVersion },
          propagationPolicy: 'Background',
        });
        expect([deleted.status, deleted.body.status]).toEqual([200, 'Success']);
        for (const gone of [await used.admin.get(`${hpas}/web`), await used.admin.delete(`${hpas}/web`)]) {
          expect(refusal(gone)).toEqual([404, 'NotFound', 'horizontalpodautoscalers.autoscaling "web" not found']);
        }
      });

      test.each([
        ['UID', { uid: 'other' }],
        ['ResourceVersion', { resourceVersion: '1' }],
      ])('conflicts with the precondition of another %s', async (field, change) => {
        const { body } = await applyWeb();
        const { uid, resourceVersion } = body.metadata;
        const preconditions = { uid, resourceVersion, ...change };
        const refused = await used.admin.delete(`${hpas}/web`, { preconditions });
        const message = expect.stringMatching(
          new RegExp(
            `^Operation cannot be fulfilled on HorizontalPodAutoscaler.autoscaling "web": the ${field} in the`,
          ),
        );
        expect(refusal(refused)).toEqual([409, 'Conflict', message]);
        expect((await used.admin.get(`${hpas}/web`)).body).toEqual(body);
      });
    });

    describe('a request is refused', () => {
      test('with 401 without a known token', async () => {
        for (const token of [undefined, 'unknown']) {
          expect(refusal(await used.connect(token).get(hpas))).toEqual([401, 'Unauthorized', 'Unauthorized']);
        }
      });

      test('with 403 if no role allows it', async () => {
        const reaper = used.connect(reaperToken);
        const group = 'gateway.networking.k8s.io';
        const refused = await Promise.all([
          reaper.post(hpas, autoscaler('web')),
          reaper.merge(`${hpas}/web/status`, {}),
          reaper.get(`/apis/${group}/v1/gatewayclasses/eg`),
          reaper.get(`/api/v1/namespaces/${namespace}/secrets/web`),
        ]);
        const within = `in the namespace "${namespace}"`;
        const user = 'is forbidden: User "envoy-hpa-reaper" cannot';
        const autoscaling = (resource: string) => `resource "${resource}" in API group "autoscaling" ${within}`;
        expect(refused.map(refusal)).toEqual(
          [
            `horizontalpodautoscalers.autoscaling ${user} create ${autoscaling('horizontalpodautoscalers')}`,
            `horizontalpodautoscalers.autoscaling "web" ${user} patch ${autoscaling('horizontalpodautoscalers/status')}`,
            `gatewayclasses.${group} "eg" ${user} get resource "gatewayclasses" in API group "${group}" at the cluster scope`,
            `secrets "web" ${user} get resource "secrets" in API group "" ${within}`,
          ].map((message) => [403, 'Forbidden', message]),
        );
      });

      test('with 403 for a list that is not narrowed to an allowed name', async () => {
        const reaper = used.connect(reaperToken);
        const list = (name: string) => reaper.get(`/api/v1/configmaps?fieldSelector=metadata.name%3D${name}`);
        expect((await list('envoy-gateway-config')).status).toBe(200);
        expect((await list('another')).status).toBe(403);
        expect((await reaper.get('/api/v1/configmaps')).status).toBe(403);
      });

      test('with 404 for an unknown resource, in plain text if the whole API is missing', async () => {
        for (const path of ['/apis/nope.example.com/v1/things', '/apis/gateway.networking.k8s.io/v1/things']) {
          const { status, text } = await used.admin.get(path);
          expect([status, text]).toEqual([404, '404 page not found\n']);
        }
        const message = 'the server could not find the requested resource';
        expect(refusal(await used.admin.get('/apis/autoscaling/v2/things'))).toEqual([404, 'NotFound', message]);
      });

      test('with 404, 409 or 500 if the object cannot be created', async () => {
        await used.admin.post(hpas, autoscaler('web'));
        for (const [path, manifest, expected] of [
          [hpas.replace(namespace, 'nope'), autoscaler('web'), [404, 'namespaces "nope" not found']],
          [hpas, autoscaler('web'), [409, 'horizontalpodautoscalers.autoscaling "web" already exists']],
          [
            hpas,
            autoscaler('other', { resourceVersion: '1' }),
            [500, 'resourceVersion should not be set on objects to be created'],
          ],
        ] as const) {
          const { status, body } = await used.admin.post(path, manifest);
          expect([status, body.message]).toEqual(expected);
        }
      });
    });

    describe('the audit log under EKS’s levels', () => {
      const lineOf = async (reply: Reply): Promise<AuditEvent> => {
        const find = async () =>
          (await used.server.audit()).find(({ auditID }) => auditID === reply.headers['audit-id']);
        await waitFor(async () => (await find()) !== undefined);
        return (await find()) as AuditEvent;
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
      const proxy = (rest: object = {}) => ({
        resource: 'envoyproxies',
        namespace,
        name: 'web',
        ...rest,
        apiGroup: 'gateway.envoyproxy.io',
        apiVersion: 'v1alpha1',
      });

      test('has the responses of writes of HPAs', async () => {
        const created = await applyWeb();
        const deleted = await used.admin.delete(`${hpas}/web`);
        for (const [reply, verb, query, code] of [
          [created, 'patch', '?fieldManager=envoy-gateway&force=true', 201],
          [deleted, 'delete', '', 200],
        ] as const) {
          const expected = line({
            level: 'RequestResponse',
            requestURI: `${hpas}/web${query}`,
            verb,
            objectRef: {
              resource: 'horizontalpodautoscalers',
              namespace,
              name: 'web',
              apiGroup: 'autoscaling',
              apiVersion: 'v2',
            },
            responseObject: reply.body,
          });
          const { requestObject: _, ...written } = (await lineOf(reply)) as AuditEvent & { requestObject?: object };
          expect(written).toMatchObject({ ...expected, responseStatus: { code } });
        }
        expect((await lineOf(await used.admin.get(`${hpas}/web`))).level).toBe('Request');
      });

      test('has only the metadata of custom resources and ConfigMaps', async () => {
        const created = await used.admin.post(`${proxies}?fieldManager=person`, envoyProxy('web'));
        const patched = await used.admin.merge(`${proxies}/web?dryRun=All`, { spec: { provider: null } });
        const written = await used.admin.merge(`${proxies}/web/status`, { status: { ancestors: [] } });
        const configMaps = `/api/v1/namespaces/${namespace}/configmaps`;
        const configMap = { resource: 'configmaps', namespace, name: 'one', apiVersion: 'v1' };
        for (const [reply, verb, requestURI, objectRef] of [
          [created, 'create', `${proxies}?fieldManager=person`, proxy()],
          [patched, 'patch', `${proxies}/web?dryRun=All`, proxy()],
          [written, 'patch', `${proxies}/web/status`, proxy({ subresource: 'status' })],
          [await used.admin.post(configMaps, { metadata: { name: 'one' } }), 'create', configMaps, configMap],
        ] as const) {
          const responseStatus = { metadata: {}, code: reply.status };
          const expected = line({ level: 'Metadata', requestURI, verb, objectRef, responseStatus });
          expect(await lineOf(reply)).toEqual(expected);
        }
      });

      test('has the requests that were refused', async () => {
        const refused = await used.connect(reaperToken).merge(`${proxies}/web`, { spec: {} });
        expect(await lineOf(refused)).toMatchObject({
          verb: 'patch',
          user: { username: 'envoy-hpa-reaper' },
          objectRef: proxy(),
          responseStatus: { status: 'Failure', message: refused.body.message, reason: 'Forbidden', code: 403 },
          annotations: { 'authorization.k8s.io/decision': 'forbid' },
        });
        expect((await lineOf(await used.connect('unknown').get(hpas))).user).toEqual({});
        expect((await lineOf(await used.connect(adminToken).get(hpas))).user).toMatchObject({ username: 'admin' });
      });
    });
  });
}
