import { afterEach, expect, test } from 'vitest';
import { type ClusterApi, clusterApi } from '../../functions/kubernetes/cluster-api.ts';
import { RetryableError } from '../../functions/platform/errors.ts';
import { connectionTo, type EmbeddedCluster, startEmbeddedCluster } from '../embedded-cluster/embedded-cluster.ts';
import { staleList } from './harness.ts';

let cluster: EmbeddedCluster;
let api: ClusterApi;
afterEach(async () => {
  api.close();
  await cluster.close();
});

/** A cluster that closes the connection on the next request, as one whose kept connection has gone stale. */
async function withStaleConnection() {
  cluster = await startEmbeddedCluster();
  cluster.load(staleList());
  api = clusterApi(connectionTo(cluster));
  const [hpa] = await api.hpas.list();
  if (hpa === undefined) throw new Error('no HPA');
  cluster.requests.length = 0;
  cluster.onRequest = () => {
    cluster.onRequest = undefined;
    return { kind: 'reset' };
  };
  return hpa;
}

test('retries a read over a kept connection that the server has closed', async () => {
  const hpa = await withStaleConnection();
  await expect(api.hpas.get(hpa)).resolves.toMatchObject({ metadata: { uid: hpa.metadata.uid } });
  expect(cluster.requests.map(({ method }) => method)).toEqual(['GET', 'GET']);
});

test('does not retry a write, whose result is unknown', async () => {
  const hpa = await withStaleConnection();
  await expect(api.hpas.mark(hpa)).rejects.toThrow(RetryableError);
  expect(cluster.requests.map(({ method }) => method)).toEqual(['PATCH']);
});

test('does not retry a read over a new connection', async () => {
  const hpa = await withStaleConnection();
  api.close();
  api = clusterApi(connectionTo(cluster));
  await expect(api.hpas.get(hpa)).rejects.toThrow(RetryableError);
  expect(cluster.requests.map(({ method }) => method)).toEqual(['GET']);
});
