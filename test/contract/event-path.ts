import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import type { SweepReport } from '../../functions/events/report.ts';
import { createHandler as createForward } from '../../functions/forward/forward.ts';
import { type ClusterApi, clusterApi } from '../../functions/kubernetes/cluster-api.ts';
import { SILENT } from '../../functions/platform/logger.ts';
import { createHandler as createReap } from '../../functions/reap/reap.ts';
import { directoryOf } from '../builders/directory.ts';
import type { AuditEvent } from '../embedded-cluster/audit.ts';
import { connectionTo } from '../embedded-cluster/embedded-cluster.ts';
import {
  ACCOUNT,
  type BusEvent,
  busEvent,
  lambdaContext,
  REGION,
  subscriptionEvent,
} from '../embedded-cluster/event-path.ts';
import type { Connection } from './connection.ts';
import { Installation, SYSTEM } from './envoy-gateway.ts';
import { autoscaler } from './objects.ts';
import { reaperRbac, reaperToken, reaper as reaperUser, type Server, useServer, waitFor } from './server.ts';

const CONFIG = { ACCOUNT_ID: ACCOUNT, AWS_REGION: REGION, EVENT_BUS_NAME: 'bus' };
const quiet = { log: SILENT, metrics: { add: () => {} } };

/** The whole path, from the audit lines that this API server writes, as the user that infra/kubernetes/rbac.yaml authorizes. */
export function describeEventPath(start: () => Promise<Server>): void {
  describe('the event path', () => {
    const used = useServer(start);
    let server: Server;
    let admin: Connection;
    let api: ClusterApi;
    let leaking: Installation;
    let healthy: Installation;

    beforeAll(async () => {
      ({ server, admin } = used);
      api = used.closeAtEnd(clusterApi(connectionTo(server, reaperToken)));
      leaking = await Installation.withHpa(admin, 'leaking');
      healthy = await Installation.withHpa(admin, 'healthy');
    });

    /** The events of the audit lines that a write causes; the server writes them after it responds. */
    async function eventsOf(write: () => Promise<void>): Promise<BusEvent[]> {
      const since = (await server.audit()).length;
      await write();
      const lines = async () => (await server.audit()).slice(since);
      await waitFor(async () => (await lines()).some(({ verb }) => verb === 'patch'));
      const events: BusEvent[] = [];
      const forward = createForward({
        config: CONFIG,
        eventBus: { put: async (put) => void events.push(...put) },
        ...quiet,
      });
      await forward(subscriptionEvent('real', await lines()), lambdaContext('forward'));
      return events;
    }

    async function reap([event]: readonly BusEvent[], mode: 'report' | 'delete'): Promise<SweepReport> {
      const handler = createReap({
        config: { ...CONFIG, MODE: mode, MAX_DELETIONS: 25, SETTLE_HPA_SECONDS: 120, SETTLE_CONFIG_SECONDS: 180 },
        eventBus: { put: async () => {} },
        directory: directoryOf({ real: { api } }),
        // Past the time in which new objects settle.
        now: () => new Date(Date.now() + 3_600_000),
        ...quiet,
      });
      return (await handler(busEvent(event as BusEvent), lambdaContext('reap'))) as SweepReport;
    }

    const isOurs = ({ name }: { name: string }) => [leaking.hpaName, healthy.hpaName].includes(name);
    const ours = ({ hpas }: SweepReport) =>
      hpas
        .filter(isOurs)
        .map(({ name, outcome, reason }) => [name, outcome, reason])
        .sort();

    test('deletes exactly the HPA whose autoscaling configuration was removed', async () => {
      const all = await eventsOf(() => leaking.setAutoscaling('off'));
      const events = all.filter(({ detail }) => JSON.stringify(detail).includes('leaking'));
      const proxy = { resource: 'envoyproxies', namespace: 'leaking', name: 'web' };
      const change = { verb: 'patch', user: { username: 'admin' }, objectRef: proxy };
      expect(events.map(({ detail }) => detail)).toMatchObject([{ cluster: 'real', ...change }]);

      const kept = [healthy.hpaName, 'Kept', 'AutoscalingConfigured'];
      const reported = [leaking.hpaName, 'Reported', 'AutoscalingRemoved'];
      expect(ours(await reap(events, 'report'))).toEqual([kept, reported]);
      expect(await leaking.hpaExists()).toBe(true);

      const { body: manifest } = await admin.get(leaking.hpa);
      const report = await reap(events, 'delete');
      expect(ours(report)).toEqual([kept, [leaking.hpaName, 'Deleted', 'AutoscalingRemoved']]);
      expect(report.hpas.find(({ outcome }) => outcome === 'Deleted')).toMatchObject({
        manifest,
        changes: [{ username: 'admin', verb: 'patch', ...proxy }],
      });
      expect([await leaking.hpaExists(), await healthy.hpaExists()]).toEqual([false, true]);
      expect(ours(await reap(events, 'delete'))).toEqual([kept]);
    });

    test('reports a wanted HPA that somebody deletes as missing, with an Event of its Gateway', async () => {
      await healthy.deleteHpa();
      // Any change triggers a sweep; this one leaves the EnvoyProxy as it is.
      const events = await eventsOf(() => healthy.setAutoscaling('on'));
      expect(events).toHaveLength(1);
      const missing = (report: SweepReport) => report.missing.filter(isOurs);
      const warnings = async () =>
        (await admin.get('/api/v1/namespaces/healthy/events')).body.items.filter(
          ({ type }: { type: string }) => type === 'Warning',
        );

      const owner = { kind: 'Gateway', namespace: 'healthy', name: 'web' };
      const hpa = { namespace: SYSTEM, name: healthy.hpaName, reason: 'WantedButMissing', owner };
      expect(missing(await reap(events, 'report'))).toMatchObject([hpa]);
      expect(await warnings()).toEqual([]);

      expect(missing(await reap(events, 'delete'))).toMatchObject([hpa]);
      const { uid } = (await admin.get(healthy.gateway)).body.metadata;
      const message = expect.stringContaining(`there is no HPA ${SYSTEM}/${healthy.hpaName}.`);
      const warning = { reason: 'WantedHPAMissing', involvedObject: { ...owner, uid }, message };
      expect(await warnings()).toMatchObject([warning]);

      await healthy.applyHpa();
      expect(missing(await reap(events, 'delete'))).toEqual([]);
    });

    test('reads the release, the configuration and the rollout of the Deployment of Envoy Gateway', async () => {
      const named = { namespace: SYSTEM, name: 'envoy-gateway' };
      await leaking.runController(undefined);
      expect(await api.config.deployment(named)).toBeNull();
      await leaking.runController('v1.3.0');
      const { uid, generation } = (await admin.get(leaking.controller)).body.metadata;
      const container = {
        name: 'envoy-gateway',
        image: 'docker.io/envoyproxy/gateway:v1.3.0',
        args: ['server', '--config-path=/config/envoy-gateway.yaml'],
        volumeMounts: [
          { name: 'envoy-gateway-config', mountPath: '/config' },
          { name: 'certs', mountPath: '/certs' },
        ],
      };
      const configMap = { name: 'envoy-gateway-config' };
      const volumes = [{ name: 'envoy-gateway-config', configMap }, { name: 'certs' }];
      expect(await api.config.deployment(named)).toEqual({
        metadata: { ...named, uid, generation, labels: { 'app.kubernetes.io/version': 'v1.3.0' } },
        spec: { template: { spec: { containers: [container], volumes } } },
        status: { observedGeneration: generation, replicas: 1, updatedReplicas: 1 },
      });
      await leaking.runController(undefined);
    });

    /** An HPA of a person, until the test deletes it. */
    async function createHpa(namespace: string, name: string, labels = {}): Promise<string> {
      const path = `/apis/autoscaling/v2/namespaces/${namespace}/horizontalpodautoscalers/${name}`;
      const { status } = await admin.apply(`${path}?fieldManager=kubectl&force=true`, autoscaler(name, { labels }));
      expect(status).toBe(201);
      return path;
    }

    test('finds every HPA of a namespace with its target, whoever created it', async () => {
      await healthy.applyHpa();
      const created = [await createHpa(SYSTEM, 'of-keda'), await createHpa('healthy', 'elsewhere')];
      const wanted = ['of-keda', 'elsewhere', healthy.hpaName];
      const scalers = (await api.hpas.scalers(SYSTEM)).filter(({ metadata }) => wanted.includes(metadata.name));
      expect(scalers).toEqual(
        [healthy.hpaName, 'of-keda'].map((name) => ({
          metadata: { namespace: SYSTEM, name },
          spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name } },
        })),
      );
      expect(await api.hpas.scalers('nowhere')).toEqual([]);
      for (const path of created) await admin.delete(path);
    });

    test('finds the HPA of the rate limit service by all of its labels, and one that two selectors find once', async () => {
      const others = { 'app.kubernetes.io/component': 'ratelimit', 'app.kubernetes.io/managed-by': 'envoy-gateway' };
      const labels = { 'app.kubernetes.io/name': 'envoy-ratelimit', ...others };
      const created = [
        await createHpa('healthy', 'envoy-ratelimit', labels),
        await createHpa('healthy', 'not-of-rate-limit', others),
        await createHpa('healthy', 'of-another', { ...labels, 'app.kubernetes.io/managed-by': 'helm' }),
        await createHpa('healthy', 'both', { ...labels, 'gateway.envoyproxy.io/owning-gateway-name': 'web' }),
      ];
      const found = (await api.hpas.list()).filter(({ metadata }) => metadata.namespace === 'healthy');
      expect(found.map(({ metadata }) => metadata.name).sort()).toEqual(['both', 'envoy-ratelimit']);
      for (const path of created) await admin.delete(path);
    });

    /** The permissions of the role that a line of the audit log used, each as `verb group/resource name`. */
    const usedBy = ({ verb, user, objectRef = {}, annotations }: AuditEvent): string[] => {
      const { apiGroup = '', resource, name = '' } = objectRef;
      const isAllowed =
        user.username === reaperUser.username && annotations?.['authorization.k8s.io/decision'] === 'allow';
      return isAllowed ? [`${verb} ${apiGroup}/${resource} ${resource === 'configmaps' ? name : ''}`] : [];
    };
    async function permissions(): Promise<string[]> {
      const rules = (await reaperRbac()).flatMap(({ rules = [] }) => rules);
      return rules.flatMap(({ verbs, apiGroups = [], resources = [], resourceNames = [''] }) =>
        verbs.flatMap((verb) =>
          apiGroups.flatMap((group) =>
            resources.flatMap((resource) => resourceNames.map((name) => `${verb} ${group}/${resource} ${name}`)),
          ),
        ),
      );
    }

    test('is authorized for every call that the product makes, and has no other permission', async () => {
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
      const gateway = {
        apiVersion: 'gateway.networking.k8s.io/v1',
        kind: 'Gateway',
        namespace: 'healthy',
        name: 'web',
      };
      const object = { ...gateway, uid: randomUUID() };
      // The first one creates an Event, and the second one patches it. The audit log of EKS has neither.
      for (let time = 0; time < 2; time += 1) {
        const event = { object, type: 'Normal', reason: 'StaleHPADeleted', message: '', time: new Date() } as const;
        await expect(api.recordEvent(event)).resolves.toBe('done');
      }
      const ofEvents = ['create /events ', 'patch /events '];

      const requested = async () => (await server.audit()).slice(since).flatMap(usedBy);
      const last = 'get autoscaling/horizontalpodautoscalers ';
      await waitFor(async () => (await requested()).filter((one) => one === last).length === 2);
      expect([...new Set([...ofEvents, ...(await requested())])].sort()).toEqual((await permissions()).sort());
    });

    /** The result of a read, and the number of its requests. */
    async function counted<T>(reading: () => Promise<T>): Promise<[T, number]> {
      const before = api.requestsSent();
      const result = await reading();
      return [result, api.requestsSent() - before];
    }

    test('reads the whole configuration by four lists, and nothing but classes if there is none', async () => {
      const [whole, requests] = await counted(() => api.config.read());
      expect(requests).toBe(4);
      expect(await counted(() => api.config.readIfUsed())).toEqual([whole, 4]);
      // No other test needs one after this.
      const classes = '/apis/gateway.networking.k8s.io/v1/gatewayclasses';
      for (const { metadata } of whole.gatewayClasses) await admin.delete(`${classes}/${metadata.name}`);
      const [none, one] = await counted(() => api.config.readIfUsed());
      expect(one).toBe(1);
      expect(Object.values(none).flat()).toEqual([]);
      expect(await counted(() => api.config.read())).toEqual([{ ...whole, gatewayClasses: [] }, 4]);
    });
  });
}
