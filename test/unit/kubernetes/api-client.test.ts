import { once } from 'node:events';
import { Agent, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { apiClient } from '../../../functions/kubernetes/api-client.ts';
import { clusterInspection } from '../../../functions/kubernetes/cluster-inspection.ts';
import { describeError, NoAnswerError, RetryableError } from '../../../functions/platform/errors.ts';

test('reports for each address of a host why it did not answer', async () => {
  // An endpoint of EKS has an address in each of several zones.
  const addresses = ['127.0.0.1', '127.0.0.2'].map((address) => ({ address, family: 4 }));
  const agent = new Agent({ lookup: (_, __, found) => found(null, addresses) });
  const client = apiClient({ server: 'http://several.example:1', agent, headers: async () => ({}) }, 5_000);
  const error = await client.send({ path: '/version' }).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(NoAnswerError);
  expect(describeError(error)).toBe(
    'no whole answer from several.example:1: connect ECONNREFUSED 127.0.0.1:1; connect ECONNREFUSED 127.0.0.2:1',
  );
});

test('reports that a server without /version is no Kubernetes API server', async () => {
  const web = createServer((_, response) => response.writeHead(404, { 'content-type': 'text/html' }).end('<html>'));
  onTestFinished(() => void web.close());
  await once(web.listen(0, '127.0.0.1'), 'listening');
  const server = `http://127.0.0.1:${(web.address() as AddressInfo).port}`;
  const { version } = clusterInspection({ server, agent: new Agent(), headers: async () => ({}) });
  const message = `something other than a Kubernetes API server answers at ${server}`;
  await expect(version()).rejects.toThrow(new RetryableError(message));
});
