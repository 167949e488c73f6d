import { afterEach, describe, expect, test } from 'vitest';
import { tooManyRequests, waves } from '../doubles/kube-apiserver.ts';
import {
  type EmbeddedCluster,
  type EmbeddedClusterOptions,
  startEmbeddedCluster,
} from '../embedded-cluster/embedded-cluster.ts';
import { type Connection, connect } from './connection.ts';
import { adminToken, autoscaler, contractRbac, contractUsers } from './fixture.ts';
import { describeKubeApiserver } from './kube-apiserver.ts';

describeKubeApiserver('embedded cluster', async () => {
  const cluster = await startEmbeddedCluster({ users: contractUsers, rbac: contractRbac });
  return {
    url: cluster.url,
    caCertificate: cluster.caCertificate,
    audit: async () => cluster.audit,
    compact: async () => cluster.compact(),
    stop: () => cluster.close(),
  };
});

describe('what only the embedded cluster can do', () => {
  const running: { cluster: EmbeddedCluster; admin: Connection }[] = [];
  const hpas = '/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers';

  async function start(options: EmbeddedClusterOptions = {}) {
    const cluster = await startEmbeddedCluster(options);
    const admin = connect({ url: cluster.url, caCertificate: cluster.caCertificate, token: adminToken });
    running.push({ cluster, admin });
    return { cluster, admin };
  }
  afterEach(async () => {
    for (const { cluster, admin } of running.splice(0)) {
      admin.close();
      await cluster.close();
    }
  });

  test('a List is taken over as it is, and what it lacks is filled in', async () => {
    const now = new Date('2026-01-02T03:04:05.678Z');
    const { cluster, admin } = await start({ now: () => now });
    const managedFields = [{ manager: 'envoy-gateway', operation: 'Apply' }];
    const given = { uid: 'u-1', resourceVersion: '400', creationTimestamp: '2025-01-01T00:00:00Z', managedFields };
    cluster.load({
      items: [
        { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'bare', namespace: 'shop' } },
        { ...autoscaler('web'), metadata: { name: 'web', namespace: 'shop', ...given } },
      ],
    });
    const [web] = cluster.objects('horizontalpodautoscalers');
    expect(web?.metadata).toEqual({ name: 'web', namespace: 'shop', ...given });
    const [bare] = cluster.objects('configmaps');
    expect(bare?.metadata).toMatchObject({ creationTimestamp: '2026-01-02T03:04:05Z', uid: expect.any(String) });
    expect(Number(bare?.metadata.resourceVersion)).toBeGreaterThan(400);
    expect((await admin.get('/api/v1/namespaces/shop')).status).toBe(200);
    const created = await admin.post(hpas.replace('default', 'shop'), autoscaler('next'));
    expect(Number(created.body.metadata.resourceVersion)).toBeGreaterThan(Number(bare?.metadata.resourceVersion));
    expect(created.body.metadata.creationTimestamp).toBe('2026-01-02T03:04:05Z');
  });

  test('without the custom resources their APIs are not there', async () => {
    const { admin } = await start({ customResources: false });
    const missing = await admin.get('/apis/gateway.networking.k8s.io/v1/gateways');
    expect([missing.status, missing.text]).toEqual([404, '404 page not found\n']);
    expect((await admin.get(hpas)).status).toBe(200);
  });

  test('tokens may be looked up by a function', async () => {
    const seen: string[] = [];
    const { admin, cluster } = await start({
      users: (token) => {
        seen.push(token);
        return contractUsers[token];
      },
    });
    expect((await admin.get(hpas)).status).toBe(200);
    expect(seen).toEqual([adminToken]);
    expect(cluster.requests[0]).toMatchObject({ method: 'GET', path: hpas, username: 'admin', status: 200 });
  });

  test('a hook can answer, reset, cut and hang, and close() ends what hangs', async () => {
    const { cluster, admin } = await start();
    cluster.onRequest = () => tooManyRequests(7);
    const throttled = await admin.get(hpas);
    expect([throttled.status, throttled.headers['retry-after']]).toEqual([429, '7']);
    cluster.onRequest = () => ({ kind: 'respond', status: 502, headers: { 'Content-Type': 'text/html' }, body: '<p>' });
    expect((await admin.get(hpas)).text).toBe('<p>');
    cluster.onRequest = () => ({ kind: 'reset' });
    await expect(admin.get(hpas)).rejects.toThrow(/hang up|ECONNRESET/);
    cluster.onRequest = () => ({ kind: 'cut', after: 10 });
    await expect(admin.get(hpas)).rejects.toThrow(/aborted/);
    let arrived = () => {};
    const arrival = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    cluster.onRequest = () => {
      arrived();
      return { kind: 'hang' };
    };
    const hanging = expect(admin.get(hpas)).rejects.toThrow(/hang up|ECONNRESET/);
    await arrival;
    await cluster.close();
    await hanging;
  });

  test('a hook can do something between two requests', async () => {
    const { cluster, admin } = await start();
    const created = await admin.post(hpas, autoscaler('web'));
    cluster.onRequest = async ({ method }) => {
      if (method !== 'DELETE') return undefined;
      cluster.onRequest = undefined;
      await admin.merge(`${hpas}/web`, { spec: { maxReplicas: 9 } });
      return undefined;
    };
    const { uid, resourceVersion } = created.body.metadata;
    const refused = await admin.delete(`${hpas}/web`, { preconditions: { uid, resourceVersion } });
    expect(refused.status).toBe(409);
  });

  test('an admission webhook can refuse', async () => {
    const { cluster, admin } = await start();
    await admin.post(hpas, autoscaler('web'));
    cluster.admission = ({ operation, resource, name }) =>
      operation === 'UPDATE'
        ? { webhook: 'policy.example.com', code: 403, reason: 'Forbidden', message: `${resource} ${name}` }
        : undefined;
    const refused = await admin.merge(`${hpas}/web`, { metadata: { managedFields: [{}] } });
    expect(refused.status).toBe(403);
    expect(refused.body).toMatchObject({
      reason: 'Forbidden',
      message: 'admission webhook "policy.example.com" denied the request: horizontalpodautoscalers web',
    });
    expect(cluster.objects('horizontalpodautoscalers')[0]?.metadata.managedFields).toHaveLength(1);
    expect((await admin.delete(`${hpas}/web`)).status).toBe(200);
  });

  test('requests are told apart in waves', async () => {
    const { cluster, admin } = await start({ latency: 50 });
    await Promise.all([admin.get(hpas), admin.get('/api/v1/configmaps')]);
    await admin.get(hpas);
    expect(waves(cluster.requests).map((wave) => wave.length)).toEqual([2, 1]);
  });

  test('the audit log comes as it grows, one object a line', async () => {
    const lines: string[] = [];
    const { cluster, admin } = await start({ onAudit: (event) => lines.push(JSON.stringify(event)) });
    await admin.post(hpas, autoscaler('web'));
    expect(lines).toEqual(cluster.audit.map((event) => JSON.stringify(event)));
    expect(lines).toHaveLength(1);
  });

  test('nothing is kept of the requests where nothing is to be recorded', async () => {
    const lines: string[] = [];
    const { cluster, admin } = await start({ record: false, onAudit: (event) => lines.push(event.verb) });
    await admin.post(hpas, autoscaler('web'));
    expect([cluster.requests, cluster.audit, lines]).toEqual([[], [], ['create']]);
  });
});
