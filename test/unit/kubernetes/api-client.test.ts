import { once } from 'node:events';
import { Agent, createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { apiClient, apiPath, type ClusterConnection } from '../../../functions/kubernetes/api-client.ts';
import { clusterApi } from '../../../functions/kubernetes/cluster-api.ts';
import { describeError, NoAnswerError, RetryableError } from '../../../functions/platform/errors.ts';
import { problemOf } from '../../../functions/platform/problems.ts';

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

/** A server with one answer to everything, at the path /k8s. */
const serving = (status: number, headers: Record<string, string>, body: string): Promise<ClusterConnection> =>
  servingWith((_, response) => response.writeHead(status, headers).end(body));

async function servingWith(listener: RequestListener): Promise<ClusterConnection> {
  const web = createServer(listener);
  onTestFinished(() => {
    web.close();
    web.closeAllConnections();
  });
  await once(web.listen(0, '127.0.0.1'), 'listening');
  const server = `http://127.0.0.1:${(web.address() as AddressInfo).port}/k8s`;
  return { server, agent: new Agent(), headers: async () => ({ Authorization: 'Bearer top-secret' }) };
}

describe('what is no answer of an API server is reported with who answered what', () => {
  const html = { 'content-type': 'text/html', server: 'nginx' };
  const page = '<html><head><title>x</title></head><body><h1>Access &amp; login</h1><script>1</script></body></html>';
  test.each<[string, number, Record<string, string>, string, string]>([
    [
      'a redirect to a login page',
      302,
      { ...html, location: 'https://jane:secret@login.example.com/in?token=secret#id_token=secret' },
      '',
      'answered 302 by nginx, with text/html, leading to https://login.example.com/in: (nothing)',
    ],
    ['the page of a proxy', 403, html, page, 'answered 403 by nginx, with text/html: Access &amp; login'],
    ['a wrong URL', 404, html, page, 'answered 404 by nginx, with text/html: Access &amp; login'],
    [
      'another Go server',
      404,
      { 'content-type': 'text/plain' },
      '404 page not found\n',
      'answered 404: 404 page not found',
    ],
    [
      'a proxy that wants credentials',
      407,
      { via: '1.1 squid', 'proxy-authenticate': 'Basic realm="corp"' },
      'no',
      'answered 407 by 1.1 squid, with no type, which asks for the credentials of a proxy (Basic realm="corp"): no',
    ],
    [
      'an access proxy (Teleport)',
      403,
      { 'content-type': 'application/json' },
      '{"error":{"message":"access denied"}}',
      'answered 403 with application/json: {"error":{"message":"access denied"}}',
    ],
    ['a login page', 200, html, page, 'answered 200 by nginx, with text/html: Access &amp; login'],
    [
      'a page that repeats the request',
      403,
      {},
      'denied: Bearer top-secret',
      'answered 403 with no type: denied: Bearer (credential)',
    ],
    [
      'another service',
      200,
      { 'content-type': 'application/json' },
      'null',
      'answered 200 with application/json: null',
    ],
    ['a load balancer', 502, {}, '', 'answered 502 with no type: (nothing)'],
  ])('%s', async (_, status, headers, body, message) => {
    const api = clusterApi(await serving(status, headers, body));
    const problem = problemOf(await api.hpas.list().catch((error: unknown) => error));
    expect(problem).toMatchObject({
      reason: 'ClusterUnreachable',
      remedy: expect.stringMatching(/^This is not the answer of/),
    });
    expect(problem.message).toBe(`GET /k8s/apis/autoscaling/v2/horizontalpodautoscalers was ${message}`);
  });
});

const JSON_TYPE = { 'content-type': 'application/json' };

test('a message of the API server that repeats the credential is shown without it', async () => {
  const body = JSON.stringify({ kind: 'Status', message: 'invalid token top-secret' });
  const api = clusterApi(await serving(401, JSON_TYPE, body));
  await expect(api.hpas.list()).rejects.toThrow(/ was answered 401: invalid token \(credential\)$/);
});

test.each(['{"items":[null]}', '{"items":[1,{}]}', '{"other":[{}],"items":[]}'])(
  'a list that cannot be divided into its items is refused: %s',
  async (body) => {
    const api = clusterApi(await serving(200, JSON_TYPE, body));
    await expect(api.hpas.list()).rejects.toThrow(RetryableError);
  },
);

const classOf = (name: string) =>
  JSON.stringify({ metadata: { name, uid: name, resourceVersion: '1' }, spec: { controllerName: 'x' } });

test('a list that somebody on the way divides is read whole, and never from what a server has seen some time ago', async () => {
  const queries: string[] = [];
  const connection = await servingWith(({ url = '' }, response) => {
    const [path, query = ''] = url.split('?');
    if (!path?.endsWith('gatewayclasses')) return response.writeHead(200, JSON_TYPE).end('{"items":[]}');
    queries.push(query);
    const items = query === '' ? [classOf('one'), classOf('two')] : [classOf('three')];
    // Custom resources have their metadata after the items.
    const metadata = JSON.stringify({ continue: query === '' ? 'a/b=' : '' });
    return response.writeHead(200, JSON_TYPE).end(`{"items":[${items}],"metadata":${metadata}}`);
  });
  const { gatewayClasses } = await clusterApi(connection).config.read();
  expect(gatewayClasses.map(({ metadata }) => metadata.name)).toEqual(['one', 'two', 'three']);
  expect(queries).toEqual(['', 'continue=a%2Fb%3D']);
});

test('a list that somebody on the way divides, and of which a later part expires, is not taken for whole', async () => {
  const connection = await servingWith(({ url = '' }, response) => {
    if (url.includes('continue=')) return response.writeHead(410, JSON_TYPE).end('{"kind":"Status"}');
    return response.writeHead(200, JSON_TYPE).end('{"metadata":{"continue":"next"},"items":[]}');
  });
  await expect(clusterApi(connection).config.read()).rejects.toThrow(RetryableError);
});

test('a list may take longer than the timeout while it arrives, and anything else may not', async () => {
  let parts = 6;
  const connection = await servingWith(async (_, response) => {
    response.writeHead(200, JSON_TYPE).write('{"items":[');
    for (let part = 0; part < parts; part += 1) {
      response.write(' ');
      await setTimeout(100);
    }
    if (parts === 6) response.end(']}');
  });
  const api = clusterApi(connection, 400);
  expect(await api.hpas.list()).toEqual([]);
  await expect(api.config.deployment({ namespace: 'shop', name: 'web' })).rejects.toThrow('no answer within 0.4 s');
  parts = 1;
  await expect(api.hpas.list()).rejects.toThrow('no answer within 0.4 s');
});

test('JSON that is cut is reported without quoting it', async () => {
  const api = clusterApi(await serving(403, JSON_TYPE, '{"sent":"Bearer top-sec'));
  const error = await api.hpas.list().catch((thrown: unknown) => thrown);
  expect(describeError(error)).toMatch(/ was answered 403 with a body that is cut or no JSON$/);
});

test.each(['"x"', '{"toString":1}', 'null'])(
  'a refusal of a list with the message %s is a failure to retry',
  async (message) => {
    const api = clusterApi(await serving(422, JSON_TYPE, `{"kind":"Status","message":${message}}`));
    const error = await api.hpas.list().catch((thrown: unknown) => thrown);
    expect(problemOf(error)).toMatchObject({
      reason: 'SweepFailed',
      message: expect.stringContaining('answered 422: '),
    });
  },
);

test.each([
  [401, false, /^Enroll the cluster: `reaper enroll --eks CLUSTER` creates the access entries/],
  [403, false, /^Enroll the cluster: `reaper enroll --eks CLUSTER` applies the RBAC/],
  [401, true, /^Log in again, .* `kubectl auth whoami`/],
  [403, true, /^Use a user who may do this, .* `kubectl auth can-i/],
])('the remedy for %i depends on whether the cluster is from a kubeconfig: %j', async (code, isKubeconfig, remedy) => {
  const message = 'x is forbidden: User "jane" cannot list resource "x"';
  const connection = await serving(
    code,
    { 'content-type': 'application/json' },
    JSON.stringify({ kind: 'Status', message }),
  );
  const api = clusterApi({ ...connection, isKubeconfig });
  expect(problemOf(await api.hpas.list().catch((error: unknown) => error)).remedy).toMatch(remedy);
});

test('names a request without a password in the path of the server, and encodes half of a character', async () => {
  const connection = await serving(500, { 'content-type': 'application/json' }, '{"message":"no"}');
  const client = apiClient({ ...connection, server: `${connection.server}/jane:secret@proxy` }, 5_000);
  const path = apiPath('apps/v1', 'deployments', { namespace: 'shop', name: '\ud800' });
  await expect(client.send({ path })).rejects.toThrow(
    'GET /k8s/(user)@proxy/apis/apps/v1/namespaces/shop/deployments/%20 was answered 500',
  );
});

test('masks a credential that a server returns, also within JSON', async () => {
  const token = 'top"secret"token';
  const connection = await serving(401, {}, JSON.stringify({ authorization: `Bearer ${token}`, again: token }));
  const client = apiClient({ ...connection, headers: async () => ({ authorization: `Bearer ${token}` }) }, 5_000);
  await expect(client.send({ path: '/version' })).rejects.toThrow(
    '{"authorization":"Bearer (credential)","again":"(credential)"}',
  );
});
