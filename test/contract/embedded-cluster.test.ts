import { expect, onTestFinished, test } from 'vitest';
import { tooManyRequests, waves } from '../doubles/kube-apiserver.ts';
import { type EmbeddedClusterOptions, startEmbeddedCluster } from '../embedded-cluster/embedded-cluster.ts';
import { connect } from './connection.ts';
import { autoscaler } from './objects.ts';
import { adminToken, contractUsers } from './server.ts';

/* The features of the embedded cluster that a real API server does not have. */

const hpas = '/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers';

async function start(options: EmbeddedClusterOptions = {}) {
  const cluster = await startEmbeddedCluster(options);
  const admin = connect({ ...cluster, token: adminToken });
  onTestFinished(async () => {
    admin.close();
    await cluster.close();
  });
  return { cluster, admin };
}

test('loads a List unchanged, and adds missing metadata', async () => {
  const { cluster, admin } = await start({ now: () => new Date('2026-01-02T03:04:05.678Z') });
  const managedFields = [{ manager: 'envoy-gateway', operation: 'Apply' }];
  const creationTimestamp = '2025-01-01T00:00:00Z';
  const metadata = { name: 'web', namespace: 'shop', uid: 'u-1', resourceVersion: '400', creationTimestamp };
  cluster.load({
    items: [
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'bare', namespace: 'shop' } },
      autoscaler('web', { ...metadata, managedFields }),
    ],
  });
  const [web] = cluster.objects('horizontalpodautoscalers');
  expect(web?.metadata).toMatchObject({ ...metadata, managedFields });
  const [bare] = cluster.objects('configmaps');
  expect(bare?.metadata).toMatchObject({ creationTimestamp: '2026-01-02T03:04:05Z', uid: expect.any(String) });
  expect(Number(bare?.metadata.resourceVersion)).toBeGreaterThan(400);
  expect((await admin.get('/api/v1/namespaces/shop')).status).toBe(200);
  const created = await admin.post(hpas.replace('default', 'shop'), autoscaler('next'));
  expect(Number(created.body.metadata.resourceVersion)).toBeGreaterThan(Number(bare?.metadata.resourceVersion));
  expect(created.body.metadata.creationTimestamp).toBe('2026-01-02T03:04:05Z');
});

test('does not serve custom resources that are not installed', async () => {
  const { admin } = await start({ customResources: false });
  expect((await admin.get('/apis/gateway.networking.k8s.io/v1/gateways')).text).toBe('404 page not found\n');
  expect((await admin.get(hpas)).status).toBe(200);
});

test('looks up the user of a token with a function, and records the requests and the audit log', async () => {
  const { admin, cluster } = await start({ users: (token) => contractUsers[token] });
  expect((await admin.get(hpas)).status).toBe(200);
  expect(cluster.requests).toMatchObject([{ method: 'GET', path: hpas, username: 'admin', status: 200 }]);
  expect(cluster.audit).toMatchObject([{ verb: 'list' }]);
});

test('records nothing with record: false', async () => {
  const { cluster, admin } = await start({ record: false });
  await admin.post(hpas, autoscaler('web'));
  expect([cluster.requests, cluster.audit]).toEqual([[], []]);
});

test('lets a hook respond, reset, cut and hang, and ends a hanging request when it closes', async () => {
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
  const arrived = new Promise<void>((resolve) => {
    cluster.onRequest = () => {
      resolve();
      return { kind: 'hang' };
    };
  });
  const hanging = expect(admin.get(hpas)).rejects.toThrow(/hang up|ECONNRESET/);
  await arrived;
  await cluster.close();
  await hanging;
});

test('lets a hook act between two requests', async () => {
  const { cluster, admin } = await start();
  const created = await admin.post(hpas, autoscaler('web'));
  cluster.onRequest = async ({ method }) => {
    if (method !== 'DELETE') return undefined;
    cluster.onRequest = undefined;
    await admin.merge(`${hpas}/web`, { spec: { maxReplicas: 9 } });
    return undefined;
  };
  const { uid, resourceVersion } = created.body.metadata;
  expect((await admin.delete(`${hpas}/web`, { preconditions: { uid, resourceVersion } })).status).toBe(409);
});

test('lets an admission webhook refuse a write', async () => {
  const { cluster, admin } = await start();
  const created = await admin.post(hpas, autoscaler('web'));
  cluster.admission = ({ operation }) =>
    operation === 'UPDATE' ? { webhook: 'policy.example.com', code: 403, message: 'hands off' } : undefined;
  const message = 'admission webhook "policy.example.com" denied the request: hands off';
  const refused = await admin.merge(`${hpas}/web`, { spec: { maxReplicas: 9 } });
  expect(refused.body).toMatchObject({ code: 403, message });
  expect((await admin.get(`${hpas}/web`)).body).toEqual(created.body);
  expect((await admin.delete(`${hpas}/web`)).status).toBe(200);
});

test('keeps the requests of a wave apart from those of the next one', async () => {
  const { cluster, admin } = await start({ latency: 50 });
  await Promise.all([admin.get(hpas), admin.get('/api/v1/configmaps')]);
  await admin.get(hpas);
  expect(waves(cluster.requests).map((wave) => wave.length)).toEqual([2, 1]);
});

test('responds 501 to a request that it does not simulate', async () => {
  const { admin } = await start();
  const reply = await admin.get(`${hpas}?labelSelector=${encodeURIComponent('a in (b)')}`);
  expect([reply.status, reply.body.message]).toEqual([501, expect.stringContaining('does not simulate')]);
});
