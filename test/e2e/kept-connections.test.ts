import { expect, onTestFinished, test } from 'vitest';
import { clusterApi } from '../../functions/kubernetes/cluster-api.ts';
import { RetryableError } from '../../functions/platform/errors.ts';
import { connectionTo } from '../embedded-cluster/embedded-cluster.ts';
import { serve, staleList } from './harness.ts';

test.each([
  ['retries a read over a kept connection', 'get', 'kept', ['GET', 'GET']],
  ['does not retry a write, whose result is unknown, over a kept connection', 'mark', 'kept', ['PATCH']],
  ['does not retry a read over a new connection', 'get', 'new', ['GET']],
] as const)('%s that the server has closed', async (_, call, connection, requests) => {
  const cluster = await serve(staleList());
  const kept = clusterApi(connectionTo(cluster));
  const [hpa] = await kept.hpas.list();
  if (hpa === undefined) throw new Error('no HPA');
  const api = connection === 'kept' ? kept : clusterApi(connectionTo(cluster));
  onTestFinished(() => {
    kept.close();
    api.close();
  });
  cluster.requests.length = 0;
  cluster.onRequest = () => {
    cluster.onRequest = undefined;
    return { kind: 'reset' };
  };
  const answer = api.hpas[call](hpa);
  if (requests.length > 1) await expect(answer).resolves.toMatchObject({ metadata: { uid: hpa.metadata.uid } });
  else await expect(answer).rejects.toThrow(RetryableError);
  expect(cluster.requests.map(({ method }) => method)).toEqual(requests);
});
