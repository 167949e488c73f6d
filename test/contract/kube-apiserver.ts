import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { AuditEvent } from '../embedded-cluster/audit.ts';
import { type Connection, connect, type Reply } from './connection.ts';
import { READER_TOKEN, type Server, waitFor } from './server.ts';

type Manifest = { metadata: { name: string; [field: string]: unknown }; spec: object };

const autoscaler = (name: string) => ({
  apiVersion: 'autoscaling/v2',
  kind: 'HorizontalPodAutoscaler',
  metadata: { name, labels: { 'gateway.envoyproxy.io/owning-gateway-name': 'web' } },
  spec: {
    scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name },
    minReplicas: 2,
    maxReplicas: 5,
    metrics: [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } } }],
  },
});

const envoyProxy = (name: string) => ({
  apiVersion: 'gateway.envoyproxy.io/v1alpha1',
  kind: 'EnvoyProxy',
  metadata: { name },
  spec: {
    // The default of the CRD's schema, which the embedded cluster does not know.
    logging: { level: { default: 'warn' } },
    provider: { type: 'Kubernetes', kubernetes: { envoyHpa: { minReplicas: 2, maxReplicas: 5 } } },
  },
});

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

/** The behavior of kube-apiserver that this project relies on. */
export function describeKubeApiserver(start: () => Promise<Server>): void {
  describe('the API server', () => {
    let server: Server;
    let admin: Connection;
    let reader: Connection;
    let stranger: Connection;
    let namespace: string;
    let hpas: string;
    let proxies: string;

    beforeAll(async () => {
      server = await start();
      admin = connect({ ...server, token: server.adminToken });
      reader = connect({ ...server, token: READER_TOKEN });
      stranger = connect({ ...server, token: 'unknown' });
    });
    afterAll(async () => {
      for (const connection of [admin, reader, stranger]) connection?.close();
      await server?.close();
    });
    beforeEach(async () => {
      namespace = `contract-${randomUUID().slice(0, 8)}`;
      hpas = `/apis/autoscaling/v2/namespaces/${namespace}/horizontalpodautoscalers`;
      proxies = `/apis/gateway.envoyproxy.io/v1alpha1/namespaces/${namespace}/envoyproxies`;
      expect((await admin.post('/api/v1/namespaces', { metadata: { name: namespace } })).status).toBe(201);
    });

    const applyAs = (manager: string, manifest: Manifest): Promise<Reply> =>
      admin.apply(`${hpas}/${manifest.metadata.name}?fieldManager=${manager}&force=true`, manifest);
    const applyAsEnvoyGateway = () => applyAs('envoy-gateway', autoscaler('web'));
    const versionOf = (reply: Reply): string => reply.body.metadata.resourceVersion;
    const entryOf = (reply: Reply, manager: string) =>
      reply.body.metadata.managedFields?.find((entry: { manager: string }) => entry.manager === manager);
    const names = (reply: Reply): string[] =>
      reply.body.items.map((item: { metadata: { name: string } }) => item.metadata.name);

    const { 'f:maxReplicas': marked, ...unmarked } = {
      'f:maxReplicas': {},
      'f:metrics': {},
      'f:minReplicas': {},
      'f:scaleTargetRef': { 'f:apiVersion': {}, 'f:kind': {}, 'f:name': {} },
    };
    const ownedLabels = { 'f:metadata': { 'f:labels': { 'f:gateway.envoyproxy.io/owning-gateway-name': {} } } };
    const owned = { ...ownedLabels, 'f:spec': { 'f:maxReplicas': marked, ...unmarked } };
    const ownedWithoutMark = { ...ownedLabels, 'f:spec': unmarked };

    describe('server-side apply', () => {
      test('creates an object with an Apply entry of exactly the fields that were sent', async () => {
        const created = await applyAsEnvoyGateway();
        expect(created.status).toBe(201);
        expect(created.body.metadata.managedFields).toEqual([
          {
            manager: 'envoy-gateway',
            operation: 'Apply',
            apiVersion: 'autoscaling/v2',
            time: created.body.metadata.creationTimestamp,
            fieldsType: 'FieldsV1',
            fieldsV1: owned,
          },
        ]);
        expect(created.body.metadata.generation).toBeUndefined();
        expect(created.body.status).toEqual({ desiredReplicas: 0, currentMetrics: null });
      });

      test('does not write when no field changes, whatever status is sent', async () => {
        const created = await applyAsEnvoyGateway();
        const status = { desiredReplicas: 9, currentMetrics: null };
        const again = await applyAs('envoy-gateway', { ...autoscaler('web'), ...{ status } });
        expect([again.status, again.body]).toEqual([200, created.body]);
      });

      test('takes a field back from a manager that changed it', async () => {
        const created = await applyAsEnvoyGateway();
        const note = { 'f:metadata': { 'f:annotations': { '.': {}, 'f:note': {} } } };
        const change = { metadata: { annotations: { note: 'x' } }, spec: { maxReplicas: 7 } };
        const patched = await admin.merge(`${hpas}/web?fieldManager=person`, change);
        expect(versionOf(patched)).not.toBe(versionOf(created));
        expect(entryOf(patched, 'envoy-gateway').fieldsV1).toEqual(ownedWithoutMark);
        const fieldsV1 = { ...note, 'f:spec': { 'f:maxReplicas': {} } };
        expect(entryOf(patched, 'person')).toMatchObject({ operation: 'Update', fieldsV1 });

        const applied = await applyAsEnvoyGateway();
        expect(applied.body.spec.maxReplicas).toBe(5);
        expect(entryOf(applied, 'envoy-gateway').fieldsV1).toEqual(owned);
        expect(entryOf(applied, 'person').fieldsV1).toEqual(note);
        expect(applied.body.metadata.annotations).toEqual({ note: 'x' });
      });

      test('removes the fields that only this manager owned and no longer sends', async () => {
        const labeled = (labels: object) => ({ ...autoscaler('web'), metadata: { name: 'web', labels } });
        await applyAs('envoy-gateway', labeled({ a: '1', b: '2' }));
        await applyAs('other', { ...labeled({ b: '2' }), spec: { maxReplicas: 5 } });
        const reduced = await applyAs('envoy-gateway', labeled({}));
        expect(reduced.body.metadata.labels).toEqual({ b: '2' });
        expect(entryOf(reduced, 'envoy-gateway').fieldsV1['f:metadata']).toEqual({ 'f:labels': {} });
      });

      test('gives the existing fields to before-first-apply after a reset of managedFields', async () => {
        await applyAsEnvoyGateway();
        const reset = await admin.merge(`${hpas}/web`, { metadata: { managedFields: [{}] } });
        expect(reset.body.metadata.managedFields).toBeUndefined();
        // This shows, without a wait for the next second, that an apply which changes no value sets no time.
        const adopted = await applyAsEnvoyGateway();
        expect(entryOf(adopted, 'envoy-gateway').time).toBeUndefined();
        expect(versionOf(adopted)).not.toBe(versionOf(reset));
        await admin.merge(`${hpas}/web`, { metadata: { managedFields: [{}] } });
        const untracked = await admin.merge(`${hpas}/web`, { spec: { maxReplicas: 6 } });
        expect(untracked.body.metadata.managedFields).toBeUndefined();
        const applied = await applyAsEnvoyGateway();
        expect(entryOf(applied, 'envoy-gateway').fieldsV1).toEqual(owned);
        const before = entryOf(applied, 'before-first-apply');
        expect(before).toMatchObject({ operation: 'Update', fieldsV1: { 'f:spec': { 'f:minReplicas': {} } } });
        expect(before.fieldsV1['f:spec']['f:maxReplicas']).toBeUndefined();
      });

      test('owns list items by key, finalizers by value, and other lists as a whole', async () => {
        const reference = { apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: 'owner-uid' };
        const metadata = { name: 'web', ownerReferences: [reference], finalizers: ['example.com/a'] };
        const applied = await applyAs('envoy-gateway', { ...autoscaler('web'), metadata });
        expect(entryOf(applied, 'envoy-gateway').fieldsV1['f:metadata']).toEqual({
          'f:finalizers': { 'v:"example.com/a"': {} },
          'f:ownerReferences': { 'k:{"uid":"owner-uid"}': {} },
        });
        const gateway = `/apis/gateway.networking.k8s.io/v1/namespaces/${namespace}/gateways/web`;
        const { body } = await admin.apply(`${gateway}?fieldManager=person&force=true`, {
          apiVersion: 'gateway.networking.k8s.io/v1',
          kind: 'Gateway',
          metadata: { name: 'web' },
          spec: { gatewayClassName: 'eg', listeners: [{ name: 'http', port: 80, protocol: 'HTTP' }] },
        });
        expect(body.metadata.managedFields[0].fieldsV1['f:spec']).toEqual({
          'f:gatewayClassName': {},
          'f:listeners': { 'k:{"name":"http"}': { '.': {}, 'f:name': {}, 'f:port': {}, 'f:protocol': {} } },
        });
        await admin.merge(`${hpas}/web`, { metadata: { finalizers: null } });
      });
    });

    describe('the mark', () => {
      const mark = ({ body: { metadata } }: Reply) => {
        const [{ fieldsV1, ...entry }] = metadata.managedFields;
        return admin.jsonPatch(`${hpas}/web?fieldManager=envoy-hpa-reaper`, [
          { op: 'replace', path: '/metadata/resourceVersion', value: metadata.resourceVersion },
          { op: 'replace', path: '/metadata/managedFields', value: [{ ...entry, fieldsV1: ownedWithoutMark }] },
        ]);
      };

      test('changes one field of the Apply entry, so that the next apply writes although nothing else changed', async () => {
        const created = await applyAsEnvoyGateway();
        const reply = await mark(created);
        expect(versionOf(reply)).not.toBe(versionOf(created));
        const { metadata } = created.body;
        const managedFields = [{ ...metadata.managedFields[0], fieldsV1: ownedWithoutMark }];
        expect(reply.body).toEqual({
          ...created.body,
          metadata: { ...metadata, resourceVersion: versionOf(reply), managedFields },
        });

        const again = await applyAsEnvoyGateway();
        expect(versionOf(again)).not.toBe(versionOf(reply));
        expect(again.body.metadata.managedFields).toEqual(metadata.managedFields);
        expect(versionOf(await applyAsEnvoyGateway())).toBe(versionOf(again));
      });

      test('remains when the status is written', async () => {
        const reply = await mark(await applyAsEnvoyGateway());
        const status = { status: { desiredReplicas: 3, currentReplicas: 3 } };
        const written = await admin.merge(`${hpas}/web/status?fieldManager=kube-controller-manager`, status);
        expect(versionOf(written)).not.toBe(versionOf(reply));
        expect(entryOf(written, 'envoy-gateway')).toEqual(entryOf(reply, 'envoy-gateway'));
      });

      test('conflicts with any write since the object was read', async () => {
        const created = await applyAsEnvoyGateway();
        await admin.merge(`${hpas}/web`, { spec: { maxReplicas: 6 } });
        expect((await mark(created)).body).toEqual(
          failure(
            409,
            'Conflict',
            'Operation cannot be fulfilled on horizontalpodautoscalers.autoscaling "web": the object has been modified; please apply your changes to the latest version and try again',
            { name: 'web', group: 'autoscaling', kind: 'horizontalpodautoscalers' },
          ),
        );
      });
    });

    describe('a patch', () => {
      test('that changes nothing keeps the resourceVersion', async () => {
        const created = await applyAsEnvoyGateway();
        for (const same of [
          await admin.merge(`${hpas}/web?fieldManager=person`, { spec: { maxReplicas: 5 } }),
          await admin.jsonPatch(`${hpas}/web`, [{ op: 'replace', path: '/spec/maxReplicas', value: 5 }]),
          await admin.merge(`${hpas}/web`, { status: { desiredReplicas: 4 } }),
          await admin.merge(`${hpas}/web/status`, { spec: { maxReplicas: 4 } }),
        ]) {
          expect([same.status, same.body]).toEqual([200, created.body]);
        }
      });

      test('increments the generation, and with dryRun only returns the result', async () => {
        const created = await admin.post(proxies, envoyProxy('web'));
        expect(created.body.metadata.generation).toBe(1);
        const removal = { spec: { provider: { kubernetes: { envoyHpa: null } } } };
        const tried = await admin.merge(`${proxies}/web?dryRun=All`, removal);
        expect(tried.body.spec.provider.kubernetes).toEqual({});
        expect((await admin.get(`${proxies}/web`)).body).toEqual(created.body);

        const removed = await admin.merge(`${proxies}/web?fieldManager=kubectl-patch`, removal);
        expect(removed.body.spec.provider).toEqual({ type: 'Kubernetes', kubernetes: {} });
        expect(removed.body.metadata.generation).toBe(2);
        // A manager that only removes fields owns none: it has no entry, and the other one keeps its time.
        expect(removed.body.metadata.managedFields).toMatchObject([
          { manager: 'contract', operation: 'Update', time: created.body.metadata.creationTimestamp },
        ]);
        const [{ fieldsV1 }] = removed.body.metadata.managedFields;
        expect(fieldsV1['f:spec']['f:provider']).toEqual({ '.': {}, 'f:kubernetes': {}, 'f:type': {} });
      });

      test('with another resourceVersion conflicts', async () => {
        await applyAsEnvoyGateway();
        const stale = await admin.merge(`${hpas}/web`, { metadata: { resourceVersion: '1' } });
        expect([stale.status, stale.body.reason]).toEqual([409, 'Conflict']);
      });

      test('of the status changes nothing else, and a write of the object does not change the status', async () => {
        const created = await admin.post(proxies, { ...envoyProxy('web'), ...{ status: { ancestors: [] } } });
        expect(created.body.status).toBeUndefined();
        const { body } = await admin.merge(`${proxies}/web/status?fieldManager=envoy-gateway`, {
          metadata: { labels: { ignored: 'yes' } },
          spec: { provider: null },
          status: { ancestors: [] },
        });
        expect(body).toMatchObject({ spec: created.body.spec, status: { ancestors: [] }, metadata: { generation: 1 } });
        expect(body.metadata.labels).toBeUndefined();
        expect(body.metadata.managedFields).toContainEqual(
          expect.objectContaining({ manager: 'envoy-gateway', operation: 'Update', subresource: 'status' }),
        );
      });
    });

    describe('a list', () => {
      const create = async (...labels: Record<string, string>[]) => {
        for (const [index, set] of labels.entries()) {
          const name = `hpa-${index}`;
          await admin.post(hpas, { ...autoscaler(name), metadata: { name, labels: set } });
        }
      };

      test.each([
        ['labelSelector=a', ['hpa-0', 'hpa-1']],
        ['labelSelector=a%3D1', ['hpa-0']],
        ['labelSelector=a,a%3D2', ['hpa-1']],
        ['labelSelector=', ['hpa-0', 'hpa-1', 'hpa-2']],
        ['fieldSelector=metadata.name%3Dhpa-1', ['hpa-1']],
      ])('selects with %s', async (query, found) => {
        await create({ a: '1' }, { a: '2' }, { b: '1' });
        expect(names(await admin.get(`${hpas}?${query}`))).toEqual(found);
        const everywhere = await admin.get(`/apis/autoscaling/v2/horizontalpodautoscalers?${query}`);
        expect(names(everywhere)).toEqual(expect.arrayContaining(found));
      });

      test('has items without a kind for a built-in resource, and with a kind for a custom resource', async () => {
        await create({});
        const { body } = await admin.get(hpas);
        expect(body).toMatchObject({ kind: 'HorizontalPodAutoscalerList', apiVersion: 'autoscaling/v2' });
        expect(body.items[0].kind).toBeUndefined();
        await admin.post(proxies, envoyProxy('web'));
        expect((await admin.get(proxies)).body.items[0]).toMatchObject({ kind: 'EnvoyProxy' });
      });

      test('has pages that all show the state of the first one', async () => {
        await create({}, {}, {}, {}, {});
        const next = ({ body }: Reply) => admin.get(`${hpas}?limit=2&continue=${body.metadata.continue}`);
        const first = await admin.get(`${hpas}?limit=2`);
        await admin.delete(`${hpas}/hpa-2`);
        await admin.post(hpas, autoscaler('hpa-3a'));
        const second = await next(first);
        const third = await next(second);
        expect([first, second, third].map(names)).toEqual([['hpa-0', 'hpa-1'], ['hpa-2', 'hpa-3'], ['hpa-4']]);
        expect([second, third].map(versionOf)).toEqual([versionOf(first), versionOf(first)]);
        expect(third.body.metadata.continue).toBeUndefined();
      });

      test('is 410 Expired for a page whose state is gone, with a token for the remainder', async () => {
        await create({}, {}, {});
        const first = await admin.get(`${hpas}?limit=1`);
        await admin.post(hpas, autoscaler('hpa-0a'));
        await server.compact();
        const gone = await admin.get(`${hpas}?limit=1&continue=${first.body.metadata.continue}`);
        const message = /^The provided continue parameter is too old to display a consistent list/;
        const metadata = { continue: expect.any(String) };
        expect(gone.body).toEqual(failure(410, 'Expired', expect.stringMatching(message), undefined, metadata));
        const rest = await admin.get(`${hpas}?limit=5&continue=${gone.body.metadata.continue}`);
        expect(names(rest)).toEqual(['hpa-0a', 'hpa-1', 'hpa-2']);
      });
    });

    describe('a delete', () => {
      test('with met preconditions is a Success with the uid, and the next one is 404', async () => {
        const created = await applyAsEnvoyGateway();
        const { uid, resourceVersion } = created.body.metadata;
        const options = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid, resourceVersion } };
        const deleted = await admin.delete(`${hpas}/web`, { ...options, propagationPolicy: 'Background' });
        const details = { name: 'web', group: 'autoscaling', kind: 'horizontalpodautoscalers' };
        expect([deleted.status, deleted.body]).toEqual([
          200,
          { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details: { ...details, uid } },
        ]);
        const message = 'horizontalpodautoscalers.autoscaling "web" not found';
        for (const gone of [await admin.get(`${hpas}/web`), await admin.delete(`${hpas}/web`)]) {
          expect(gone.body).toEqual(failure(404, 'NotFound', message, details));
        }
      });

      test('conflicts with preconditions that are not met', async () => {
        const created = await applyAsEnvoyGateway();
        const { uid, resourceVersion } = created.body.metadata;
        for (const [preconditions, why] of [
          [
            { uid: 'other', resourceVersion: '1' },
            `the UID in the precondition (other) does not match the UID in record (${uid}). The object might have been deleted and then recreated`,
          ],
          [
            { uid, resourceVersion: '1' },
            `the ResourceVersion in the precondition (1) does not match the ResourceVersion in record (${resourceVersion}). The object might have been modified`,
          ],
        ] as const) {
          const message = `Operation cannot be fulfilled on HorizontalPodAutoscaler.autoscaling "web": ${why}`;
          expect((await admin.delete(`${hpas}/web`, { preconditions })).body).toEqual(
            failure(409, 'Conflict', message, { name: 'web', group: 'autoscaling', kind: 'HorizontalPodAutoscaler' }),
          );
        }
        expect((await admin.get(`${hpas}/web`)).body).toEqual(created.body);
      });
    });

    test('reports its version to authenticated users', async () => {
      const version = { major: '1', minor: '34', gitVersion: expect.stringMatching(/^v1\.34\.\d+$/) };
      for (const { get } of [admin, reader]) expect((await get('/version')).body).toMatchObject(version);
      expect((await stranger.get('/version')).status).toBe(401);
    });

    test('reports the versions of an API group to authenticated users', async () => {
      for (const [name, version] of [
        ['gateway.networking.k8s.io', 'v1'],
        ['gateway.envoyproxy.io', 'v1alpha1'],
        ['apps', 'v1'],
      ] as const) {
        const preferredVersion = { groupVersion: `${name}/${version}`, version };
        const group = { kind: 'APIGroup', apiVersion: 'v1', name, preferredVersion };
        const { body } = await reader.get(`/apis/${name}`);
        expect(body).toEqual({ ...group, versions: expect.arrayContaining([preferredVersion]) });
      }
      expect((await reader.get('/apis/nope.example.com')).status).toBe(404);
    });

    describe('an access review', () => {
      const review = async (kind: string, connection: Connection, spec: object) => {
        const path = `/apis/authorization.k8s.io/v1/${kind.toLowerCase()}s`;
        const { status, body } = await connection.post(path, { kind, apiVersion: 'authorization.k8s.io/v1', spec });
        return { status, message: body.message, allowed: body.status?.allowed };
      };
      const toList = { group: 'autoscaling', resource: 'horizontalpodautoscalers', verb: 'list' };
      const toRead = { resource: 'configmaps', verb: 'list' };
      const toGet = { group: 'apps', resource: 'deployments', verb: 'get' };

      test.each([
        [true, toList],
        [true, { ...toList, namespace: 'any' }],
        [false, { ...toList, verb: 'delete' }],
        [false, { ...toList, subresource: 'status' }],
        [true, { ...toRead, name: 'one' }],
        [false, { ...toRead, name: 'three' }],
        [false, toRead],
        [true, { ...toGet, namespace: 'default' }],
        [false, { ...toGet, namespace: 'other' }],
        [false, toGet],
      ])('of the sender is %s for %o', async (allowed, resourceAttributes) => {
        const spec = { resourceAttributes };
        expect(await review('SelfSubjectAccessReview', reader, spec)).toMatchObject({ status: 201, allowed });
        expect(await review('SelfSubjectAccessReview', admin, spec)).toMatchObject({ status: 201, allowed: true });
      });

      test('of a group counts only the bindings of that group, and requires its own permission', async () => {
        const ask = (group: string, resourceAttributes: object, connection = admin) =>
          review('SubjectAccessReview', connection, { resourceAttributes, groups: [group] });
        expect(await ask('contract-readers', toList)).toMatchObject({ status: 201, allowed: true });
        expect(await ask('contract-writers', toList)).toMatchObject({ status: 201, allowed: false });
        const basic = { group: 'authorization.k8s.io', resource: 'selfsubjectaccessreviews', verb: 'create' };
        expect(await ask('contract-readers', basic)).toMatchObject({ status: 201, allowed: false });
        expect(await ask('contract-readers', toList, reader)).toMatchObject({
          status: 403,
          message:
            'subjectaccessreviews.authorization.k8s.io is forbidden: User "reader" cannot create resource "subjectaccessreviews" in API group "authorization.k8s.io" at the cluster scope',
        });
      });
    });

    describe('a request is refused with', () => {
      test('401 without a known token', async () => {
        const anonymous = connect({ ...server, token: undefined });
        for (const { get } of [anonymous, stranger]) {
          expect((await get(hpas)).body).toEqual(failure(401, 'Unauthorized', 'Unauthorized'));
        }
        anonymous.close();
      });

      test('403 unless a role allows it', async () => {
        expect((await reader.get('/apis/autoscaling/v2/horizontalpodautoscalers?limit=1')).status).toBe(200);
        const subject = 'horizontalpodautoscalers.autoscaling "web" is forbidden: User "reader" cannot';
        const scope = `in API group "autoscaling" in the namespace "${namespace}"`;
        const details = { name: 'web', group: 'autoscaling', kind: 'horizontalpodautoscalers' };
        for (const [reply, verb, resource] of [
          [await reader.get(`${hpas}/web`), 'get', 'horizontalpodautoscalers'],
          [await reader.delete(`${hpas}/web`), 'delete', 'horizontalpodautoscalers'],
          [await reader.merge(`${hpas}/web/status`, {}), 'patch', 'horizontalpodautoscalers/status'],
        ] as const) {
          const message = `${subject} ${verb} resource "${resource}" ${scope}`;
          expect(reply.body).toEqual(failure(403, 'Forbidden', message, details));
        }
        const group = 'gateway.networking.k8s.io';
        expect((await reader.get(`/apis/${group}/v1/gatewayclasses`)).body).toEqual(
          failure(
            403,
            'Forbidden',
            `gatewayclasses.${group} is forbidden: User "reader" cannot list resource "gatewayclasses" in API group "${group}" at the cluster scope`,
            { group, kind: 'gatewayclasses' },
          ),
        );
        expect((await reader.get(`/api/v1/namespaces/${namespace}/secrets/web`)).body).toEqual(
          failure(
            403,
            'Forbidden',
            `secrets "web" is forbidden: User "reader" cannot get resource "secrets" in API group "" in the namespace "${namespace}"`,
            { name: 'web', kind: 'secrets' },
          ),
        );
      });

      test('403 for a list without a field selector of an allowed name', async () => {
        const list = (name: string) => reader.get(`/api/v1/configmaps?fieldSelector=metadata.name%3D${name}`);
        expect((await list('one')).status).toBe(200);
        expect((await list('three')).status).toBe(403);
        expect((await reader.get('/api/v1/configmaps')).status).toBe(403);
        expect((await reader.get(`/api/v1/namespaces/${namespace}/configmaps/two`)).status).toBe(404);
      });

      test('404 for an unknown resource, in plain text for an unknown or custom API', async () => {
        for (const version of ['nope.example.com/v1', 'gateway.networking.k8s.io/v1']) {
          const missing = await admin.get(`/apis/${version}/things`);
          expect([missing.status, missing.text]).toEqual([404, '404 page not found\n']);
        }
        const builtIn = await admin.get('/apis/autoscaling/v2/things');
        expect(builtIn.body).toEqual(failure(404, 'NotFound', 'the server could not find the requested resource', {}));
      });

      test('404 in a namespace that does not exist', async () => {
        const reply = await admin.post(hpas.replace(namespace, 'nope'), autoscaler('web'));
        const details = { name: 'nope', kind: 'namespaces' };
        expect(reply.body).toEqual(failure(404, 'NotFound', 'namespaces "nope" not found', details));
      });

      test('409 for an existing name', async () => {
        await admin.post(hpas, autoscaler('web'));
        const message = 'horizontalpodautoscalers.autoscaling "web" already exists';
        const details = { name: 'web', group: 'autoscaling', kind: 'horizontalpodautoscalers' };
        const { body } = await admin.post(hpas, autoscaler('web'));
        expect(body).toEqual(failure(409, 'AlreadyExists', message, details));
      });
    });

    describe('the audit log at the levels of EKS', () => {
      const lineOf = async (reply: Reply): Promise<AuditEvent> => {
        const find = async () => (await server.audit()).find(({ auditID }) => auditID === reply.headers['audit-id']);
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
      const proxy = (rest: object) => ({
        resource: 'envoyproxies',
        namespace,
        name: 'web',
        apiGroup: 'gateway.envoyproxy.io',
        apiVersion: 'v1alpha1',
        ...rest,
      });

      test('has the bodies of requests for HPAs', async () => {
        const manifest = autoscaler('web');
        const created = await applyAs('envoy-gateway', manifest);
        const got = await admin.get(`${hpas}/web`);
        const options = { preconditions: { uid: created.body.metadata.uid }, propagationPolicy: 'Background' };
        const deleted = await admin.delete(`${hpas}/web`, options);
        const objectRef = {
          resource: 'horizontalpodautoscalers',
          namespace,
          name: 'web',
          apiGroup: 'autoscaling',
          apiVersion: 'v2',
        };
        const level = 'RequestResponse';
        for (const [reply, query, expected] of [
          [
            created,
            '?fieldManager=envoy-gateway&force=true',
            { verb: 'patch', level, code: 201, requestObject: manifest, responseObject: created.body },
          ],
          [got, '', { verb: 'get', level: 'Request', code: 200 }],
          [
            deleted,
            '',
            {
              ...{ verb: 'delete', level, code: 200, status: 'Success', details: deleted.body.details },
              requestObject: { kind: 'DeleteOptions', apiVersion: 'meta.k8s.io/__internal', ...options },
              responseObject: deleted.body,
            },
          ],
        ] as const) {
          const { code, status, details, ...rest } = { status: undefined, details: undefined, ...expected };
          const responseStatus = { metadata: {}, status, details, code };
          const requestURI = `${hpas}/web${query}`;
          expect(await lineOf(reply)).toEqual(line({ requestURI, objectRef, responseStatus, ...rest }));
        }
      });

      test('has no body of a request for a custom resource or a ConfigMap', async () => {
        const created = await admin.post(`${proxies}?fieldManager=person`, envoyProxy('web'));
        const configMaps = `/api/v1/namespaces/${namespace}/configmaps`;
        const configMap = { resource: 'configmaps', namespace, name: 'one', apiVersion: 'v1' };
        const { uid } = created.body.metadata;
        const details = { name: 'web', group: 'gateway.envoyproxy.io', kind: 'envoyproxies', uid };
        for (const [reply, verb, requestURI, objectRef, responseStatus] of [
          [created, 'create', `${proxies}?fieldManager=person`, proxy({}), { code: 201 }],
          [
            await admin.merge(`${proxies}/web?dryRun=All`, { spec: { provider: null } }),
            'patch',
            `${proxies}/web?dryRun=All`,
            proxy({}),
            { code: 200 },
          ],
          [
            await admin.merge(`${proxies}/web/status`, { status: { ancestors: [] } }),
            'patch',
            `${proxies}/web/status`,
            proxy({ subresource: 'status' }),
            { code: 200 },
          ],
          [
            await admin.delete(`${proxies}/web`),
            'delete',
            `${proxies}/web`,
            proxy({}),
            { status: 'Success', details, code: 200 },
          ],
          [await admin.post(configMaps, { metadata: { name: 'one' } }), 'create', configMaps, configMap, { code: 201 }],
        ] as const) {
          const expected = { level: 'Metadata', requestURI, verb, objectRef };
          const status = { metadata: {}, ...responseStatus };
          expect(await lineOf(reply)).toEqual(line({ ...expected, responseStatus: status }));
        }
        const listed = await admin.get('/api/v1/configmaps?fieldSelector=metadata.name%3Done');
        expect((await lineOf(listed)).objectRef).toEqual({ resource: 'configmaps', name: 'one', apiVersion: 'v1' });
      });

      test('has refused requests', async () => {
        const refused = await reader.merge(`${proxies}/web`, { spec: {} });
        const { message, reason, details } = refused.body;
        expect(await lineOf(refused)).toEqual(
          line({
            level: 'Metadata',
            requestURI: `${proxies}/web`,
            verb: 'patch',
            user: { username: 'reader', uid: 'reader', groups: ['contract-readers', 'system:authenticated'] },
            objectRef: proxy({}),
            responseStatus: { metadata: {}, status: 'Failure', message, reason, details, code: 403 },
            annotations: { 'authorization.k8s.io/decision': 'forbid', 'authorization.k8s.io/reason': '' },
          }),
        );
        const unknown = await lineOf(await stranger.get(hpas));
        expect([unknown.user, unknown.annotations]).toEqual([{}, undefined]);
      });
    });
  });
}
