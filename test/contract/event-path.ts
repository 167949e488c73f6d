import { randomUUID } from 'node:crypto';
import type { SQSBatchResponse } from 'aws-lambda';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BusEvent } from '../../functions/aws/event-bus.ts';
import type { SweepReport } from '../../functions/events/report.ts';
import { createHandler as createForward } from '../../functions/forward/forward.ts';
import { type ClusterApi, clusterApi } from '../../functions/kubernetes/cluster-api.ts';
import type { ObjectEvent } from '../../functions/kubernetes/event-recorder.ts';
import { createHandler as createReap } from '../../functions/reap/reap.ts';
import type { AuditEvent } from '../embedded-cluster/audit.ts';
import { connectionTo } from '../embedded-cluster/embedded-cluster.ts';
import {
  ACCOUNT,
  busEvent,
  lambdaContext,
  queueBatch,
  REGION,
  subscriptionEvent,
} from '../embedded-cluster/event-path.ts';
import { type Connection, connect } from './connection.ts';
import { Installation, SYSTEM } from './envoy-gateway.ts';
import { reaperRbac, reaper as reaperUser, type Server, waitFor } from './server.ts';

const quiet = { log: { info: () => {}, warn: () => {}, error: () => {} }, metrics: { add: () => {} } };

/** The whole path, with the audit lines that this API server wrote, as the user that infra/kubernetes/rbac.yaml lets in. */
export function describeEventPath(start: () => Promise<Server>): void {
  describe('from the audit line to the deletion', () => {
    let server: Server;
    let admin: Connection;
    let reaper: Connection;
    let api: ClusterApi;
    let leaking: Installation;
    let healthy: Installation;

    beforeAll(async () => {
      server = await start();
      admin = connect({ ...server, token: server.adminToken });
      reaper = connect({ ...server, token: server.reaperToken });
      api = clusterApi(connectionTo(server, server.reaperToken));
      leaking = new Installation(admin, 'leaking');
      healthy = new Installation(admin, 'healthy');
      for (const installation of [leaking, healthy]) {
        await installation.setUp();
        await installation.setAutoscaling('on');
        await installation.applyHpa();
      }
    });
    afterAll(async () => {
      for (const connection of [api, admin, reaper]) connection?.close();
      await server?.close();
    });

    async function forwardAll(since: number): Promise<BusEvent[]> {
      const events: BusEvent[] = [];
      const forward = createForward({
        config: { ACCOUNT_ID: ACCOUNT, AWS_REGION: REGION, EVENT_BUS_NAME: 'bus' },
        eventBus: { put: async (put) => void events.push(...put) },
        ...quiet,
      });
      const lines = (await server.audit()).slice(since);
      await forward(subscriptionEvent('real', lines), lambdaContext('forward'));
      return events;
    }

    async function reap(events: readonly BusEvent[], mode: 'report' | 'delete'): Promise<SweepReport[]> {
      const reports: SweepReport[] = [];
      const handler = createReap({
        config: {
          ACCOUNT_ID: ACCOUNT,
          AWS_REGION: REGION,
          MODE: mode,
          MAX_DELETIONS: 25,
          SETTLE_HPA_SECONDS: 120,
          SETTLE_CONFIG_SECONDS: 180,
          EVENT_BUS_NAME: 'bus',
        },
        eventBus: { put: async () => {} },
        directory: {
          list: async () => [],
          describe: async () => ({ tags: {} }),
          connect: async () => api,
          forget: () => {},
        },
        // All that was just written has settled by then.
        now: () => new Date(Date.now() + 3_600_000),
        onReport: (report) => reports.push(report),
        ...quiet,
      });
      const batch = queueBatch(events.map((event) => JSON.stringify(busEvent(event))));
      const { batchItemFailures } = (await handler(batch, lambdaContext('reap'))) as SQSBatchResponse;
      expect(batchItemFailures).toEqual([]);
      return reports;
    }

    const ours = (report: SweepReport | undefined) =>
      report?.hpas
        .filter(({ name: hpa }) => [leaking.hpaName, healthy.hpaName].includes(hpa))
        .map(({ name: hpa, outcome, reason }) => [hpa, outcome, reason])
        .sort();

    test('deletes exactly the HPA whose autoscaling configuration was removed', async () => {
      const since = (await server.audit()).length;
      await leaking.setAutoscaling('off');
      // The audit log is written behind the answer.
      await waitFor(async () => (await server.audit()).slice(since).some(({ verb }) => verb === 'patch'));
      const events = (await forwardAll(since)).filter(({ detail }) => JSON.stringify(detail).includes('leaking'));
      expect(events.map(({ detail }) => detail)).toMatchObject([
        {
          cluster: 'real',
          verb: 'patch',
          user: { username: 'admin' },
          objectRef: { resource: 'envoyproxies', namespace: 'leaking', name: 'web' },
        },
      ]);

      const [reported] = await reap(events, 'report');
      expect(ours(reported)).toEqual([
        [healthy.hpaName, 'Kept', 'AutoscalingConfigured'],
        [leaking.hpaName, 'Reported', 'AutoscalingRemoved'],
      ]);
      expect(await leaking.hpaExists()).toBe(true);

      const { body: manifest } = await admin.get(leaking.hpa);
      const [report] = await reap(events, 'delete');
      expect(ours(report)).toEqual([
        [healthy.hpaName, 'Kept', 'AutoscalingConfigured'],
        [leaking.hpaName, 'Deleted', 'AutoscalingRemoved'],
      ]);
      expect(report?.hpas.find(({ outcome }) => outcome === 'Deleted')).toMatchObject({
        manifest,
        changes: [{ username: 'admin', verb: 'patch', resource: 'envoyproxies', namespace: 'leaking', name: 'web' }],
      });
      expect(await leaking.hpaExists()).toBe(false);
      expect(await healthy.hpaExists()).toBe(true);

      const [again] = await reap(events, 'delete');
      expect(ours(again)).toEqual([[healthy.hpaName, 'Kept', 'AutoscalingConfigured']]);
    });

    test('a wanted HPA that somebody deletes is reported as missing, and its Gateway is told', async () => {
      const since = (await server.audit()).length;
      await healthy.deleteHpa();
      // A change of anything is an occasion to look; this one leaves the EnvoyProxy as it is.
      await healthy.setAutoscaling('on');
      await waitFor(async () => (await server.audit()).slice(since).some(({ verb }) => verb === 'patch'));
      const events = await forwardAll(since);
      expect(events).toHaveLength(1);
      const missing = (report: SweepReport | undefined) =>
        report?.missing.filter(({ name: hpa }) => [leaking.hpaName, healthy.hpaName].includes(hpa));
      const warnings = async () =>
        (await admin.get('/api/v1/namespaces/healthy/events')).body.items.filter(
          ({ type }: { type: string }) => type === 'Warning',
        );

      const [reported] = await reap(events, 'report');
      expect(missing(reported)).toMatchObject([
        {
          ...{ namespace: SYSTEM, name: healthy.hpaName, reason: 'WantedButMissing' },
          owner: { kind: 'Gateway', namespace: 'healthy', name: 'web' },
        },
      ]);
      expect(await warnings()).toEqual([]);

      const [report] = await reap(events, 'delete');
      expect(missing(report)).toEqual(missing(reported));
      const { body: gateway } = await admin.get(healthy.gateway);
      expect(await warnings()).toMatchObject([
        {
          reason: 'WantedHPAMissing',
          involvedObject: { kind: 'Gateway', namespace: 'healthy', name: 'web', uid: gateway.metadata.uid },
          message: expect.stringContaining(`there is no HPA ${SYSTEM}/${healthy.hpaName}.`),
        },
      ]);

      await healthy.applyHpa();
      expect(missing((await reap(events, 'delete'))[0])).toEqual([]);
    });

    test('of the Deployment of Envoy Gateway is kept which release it runs, on which configuration, and how far it is rolled out', async () => {
      const place = { namespace: SYSTEM, name: 'envoy-gateway' };
      await leaking.runController(undefined);
      expect(await api.config.deployment(place)).toBeNull();
      await leaking.runController('v1.3.0');
      const { uid, generation } = (await admin.get(leaking.controller)).body.metadata;
      expect(await api.config.deployment(place)).toEqual({
        metadata: { ...place, uid, generation, labels: { 'app.kubernetes.io/version': 'v1.3.0' } },
        spec: {
          template: {
            spec: {
              containers: [
                {
                  name: 'envoy-gateway',
                  image: 'docker.io/envoyproxy/gateway:v1.3.0',
                  args: ['server', '--config-path=/config/envoy-gateway.yaml'],
                  volumeMounts: [
                    { name: 'envoy-gateway-config', mountPath: '/config' },
                    { name: 'certs', mountPath: '/certs' },
                  ],
                },
              ],
              volumes: [
                { name: 'envoy-gateway-config', configMap: { name: 'envoy-gateway-config' } },
                { name: 'certs' },
              ],
            },
          },
        },
        status: { observedGeneration: generation, replicas: 1, updatedReplicas: 1 },
      });
      await leaking.runController(undefined);
    });

    /** Made by a person, with these labels. */
    async function makeHpa(namespace: string, hpa: string, labels: Record<string, string>): Promise<string> {
      const path = `/apis/autoscaling/v2/namespaces/${namespace}/horizontalpodautoscalers/${hpa}`;
      const { status } = await admin.apply(`${path}?fieldManager=kubectl&force=true`, {
        ...{
          apiVersion: 'autoscaling/v2',
          kind: 'HorizontalPodAutoscaler',
          metadata: { name: hpa, namespace, labels },
        },
        spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'any' }, maxReplicas: 2 },
      });
      expect(status).toBe(201);
      return path;
    }

    test('every HPA of a namespace is found as what scales what, whoever made it', async () => {
      await healthy.applyHpa();
      const made = [await makeHpa(SYSTEM, 'of-keda', {}), await makeHpa('healthy', 'elsewhere', {})];
      const scalers = await api.hpas.scalers(SYSTEM);
      const target = (deployment: string) => ({ apiVersion: 'apps/v1', kind: 'Deployment', name: deployment });
      expect(
        scalers.filter(({ metadata }) => ['of-keda', 'elsewhere', healthy.hpaName].includes(metadata.name)),
      ).toEqual(
        [
          [healthy.hpaName, healthy.hpaName],
          ['of-keda', 'any'],
        ].map(([hpa, deployment = '']) => ({
          metadata: { namespace: SYSTEM, name: hpa },
          spec: { scaleTargetRef: target(deployment) },
        })),
      );
      expect(await api.hpas.scalers('nowhere')).toEqual([]);
      for (const path of made) await admin.delete(path);
    });

    test('the HPA of the rate limit service is found by all of its labels', async () => {
      const labels = {
        'app.kubernetes.io/name': 'envoy-ratelimit',
        'app.kubernetes.io/component': 'ratelimit',
        'app.kubernetes.io/managed-by': 'envoy-gateway',
      };
      const { 'app.kubernetes.io/name': _, ...others } = labels;
      const made = [
        await makeHpa('healthy', 'envoy-ratelimit', labels),
        await makeHpa('healthy', 'not-of-rate-limit', others),
        await makeHpa('healthy', 'of-another', { ...labels, 'app.kubernetes.io/managed-by': 'helm' }),
        await makeHpa('healthy', 'both', { ...labels, 'gateway.envoyproxy.io/owning-gateway-name': 'web' }),
      ];
      const found = (await api.hpas.list()).filter(({ metadata }) => metadata.namespace === 'healthy');
      // One that two selectors find is there once.
      expect(found.map(({ metadata }) => metadata.name).sort()).toEqual(['both', 'envoy-ratelimit']);
      for (const path of made) await admin.delete(path);
    });

    /** The role's rights that a line of the audit log made use of, each as `verb group/resource name`. */
    const usedBy = ({ verb, user, objectRef = {}, annotations }: AuditEvent): string[] => {
      const { apiGroup = '', resource, name = '' } = objectRef;
      const isOurs =
        user.username === reaperUser.username && annotations?.['authorization.k8s.io/decision'] === 'allow';
      return isOurs ? [`${verb} ${apiGroup}/${resource} ${resource === 'configmaps' ? name : ''}`] : [];
    };
    async function rights(): Promise<string[]> {
      const rules = (await reaperRbac()).flatMap(({ rules = [] }) => rules);
      return rules.flatMap(({ verbs, apiGroups = [], resources = [], resourceNames = [''] }) =>
        verbs.flatMap((verb) =>
          apiGroups.flatMap((group) =>
            resources.flatMap((resource) => resourceNames.map((name) => `${verb} ${group}/${resource} ${name}`)),
          ),
        ),
      );
    }

    test('is let in for every call that the product makes, and has no right that none of them needs', async () => {
      await healthy.applyHpa();
      const since = (await server.audit()).length;
      const found = (await api.hpas.list()).find(({ metadata }) => metadata.name === healthy.hpaName);
      if (found === undefined) throw new Error('the HPA is not in the list');
      await expect(api.config.read()).resolves.toBeDefined();
      await expect(api.config.deployment({ namespace: SYSTEM, name: healthy.hpaName })).resolves.toBeTruthy();
      await expect(api.config.deployment({ namespace: SYSTEM, name: 'absent' })).resolves.toBeNull();
      await expect(api.hpas.scalers(SYSTEM)).resolves.not.toEqual([]);
      const marked = await api.hpas.mark(found);
      if (marked.result !== 'done' || !marked.hpa) throw new Error(JSON.stringify(marked));
      await expect(api.hpas.get(found)).resolves.toMatchObject({ metadata: { uid: found.metadata.uid } });
      await expect(api.hpas.delete(found)).resolves.toEqual({ result: 'conflict' });
      await expect(api.hpas.delete(marked.hpa)).resolves.toEqual({ result: 'done' });
      await expect(api.hpas.delete(marked.hpa)).resolves.toEqual({ result: 'gone' });
      await expect(api.hpas.get(found)).resolves.toBeUndefined();
      const object = { apiVersion: 'gateway.networking.k8s.io/v1', kind: 'Gateway', namespace: 'healthy', name: 'web' };
      const event: ObjectEvent = {
        object: { ...object, uid: randomUUID() },
        type: 'Normal',
        reason: 'StaleHPADeleted',
        message: '',
        time: new Date(),
      };
      for (let time = 0; time < 2; time += 1) await expect(api.events?.record(event)).resolves.toBe('done');
      const { body } = await admin.get('/api/v1/namespaces/healthy/events');
      const [counted] = body.items.filter(
        (item: { involvedObject: { uid: string } }) => item.involvedObject.uid === event.object.uid,
      );
      expect(counted.count).toBe(2);

      const lines = async () => (await server.audit()).slice(since);
      const last = (line: AuditEvent) => usedBy(line).includes('get autoscaling/horizontalpodautoscalers ');
      await waitFor(async () => (await lines()).filter(last).length === 2);
      // EKS's audit log has no Events: one that counts two was created, and then patched.
      const ofEvents = ['create /events ', 'patch /events '];
      const used = new Set([...ofEvents, ...(await lines()).flatMap(usedBy)]);
      expect([...used].sort()).toEqual((await rights()).sort());
    });

    test.each<[string, (connection: Connection) => Promise<{ status: number }>]>([
      ['deleting a Deployment', (connection) => connection.delete(leaking.deployment)],
      ['changing a Deployment', (connection) => connection.merge(leaking.deployment, { spec: { replicas: 0 } })],
      ['listing Deployments', (connection) => connection.get('/apis/apps/v1/deployments')],
      ['reading a Secret', (connection) => connection.get(`/api/v1/namespaces/${SYSTEM}/secrets/envoy-gateway`)],
      ['listing Secrets', (connection) => connection.get('/api/v1/secrets')],
      ['writing an EnvoyProxy', (connection) => connection.merge(leaking.proxy, { metadata: { labels: { a: 'b' } } })],
      ['listing all ConfigMaps', (connection) => connection.get('/api/v1/configmaps')],
      [
        'writing the ConfigMap',
        (connection) => connection.delete(`/api/v1/namespaces/${SYSTEM}/configmaps/envoy-gateway-config`),
      ],
      [
        'creating an HPA',
        (connection) => connection.post(`/apis/autoscaling/v2/namespaces/${SYSTEM}/horizontalpodautoscalers`, {}),
      ],
      [
        'deleting a collection of HPAs',
        (connection) => connection.delete(`/apis/autoscaling/v2/namespaces/${SYSTEM}/horizontalpodautoscalers`),
      ],
      [
        'reading a Gateway by name',
        (connection) => connection.get('/apis/gateway.networking.k8s.io/v1/namespaces/healthy/gateways/web'),
      ],
    ])('is refused %s', async (_name, call) => {
      expect((await call(reaper)).status).toBe(403);
    });

    /** What a reading gives, and how many requests it takes. */
    async function counted<T>(reading: () => Promise<T>): Promise<[T, number]> {
      const before = api.requestsSent();
      const result = await reading();
      return [result, api.requestsSent() - before];
    }

    test('the whole configuration is four lists where Envoy Gateway is used, and one where there is no class', async () => {
      const [whole, requests] = await counted(() => api.config.read());
      expect(requests).toBe(4);
      expect(await counted(() => api.config.readIfUsed())).toEqual([whole, 4]);
      // No other test needs one after this.
      const classes = '/apis/gateway.networking.k8s.io/v1/gatewayclasses';
      for (const { metadata } of whole.gatewayClasses) await admin.delete(`${classes}/${metadata.name}`);
      expect(await counted(() => api.config.readIfUsed())).toEqual([undefined, 1]);
      expect(await counted(() => api.config.read())).toEqual([{ ...whole, gatewayClasses: [] }, 4]);
    });
  });
}
