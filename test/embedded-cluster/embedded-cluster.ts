import type { IncomingMessage, ServerResponse } from 'node:http';
import { Agent, createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { ClusterConnection } from '../../functions/kubernetes/api-client.ts';
import { type AuditEvent, auditEvent } from './audit.ts';
import { forbidden, type RbacManifest, rbacAuthorizer, reviewAccess, reviewTypes, type User } from './authorization.ts';
import { selfSignedCertificate } from './certificate.ts';
import { type JsonObject, type KubernetesObject, timestamp } from './objects.ts';
import { type RequestInfo, requestInfo } from './request-info.ts';
import { type Admission, type Answer, resourceHandler } from './resource-handler.ts';
import { apiVersionOf, resourceTypes, typeOf } from './resource-types.ts';
import { ApiError, noSuchResource, PageNotFound, unauthorized } from './status.ts';
import { ObjectStore } from './store.ts';

/** A request as the server received it; `finished` is missing while it is under way. */
export interface ReceivedRequest {
  method: string;
  /** Without the query. */
  path: string;
  query: URLSearchParams;
  headers: Record<string, string | string[] | undefined>;
  body: string;
  username?: string;
  status?: number;
  /** Positions in the order of all starts and finishes. */
  started: number;
  finished?: number;
}

/** What a test does to a request instead of letting it be handled, or to its answer. */
export type Intervention =
  | { kind: 'respond'; status: number; headers?: Record<string, string>; body: string | JsonObject }
  /** Closes the connection without an answer. */
  | { kind: 'reset' }
  /** Never answers. */
  | { kind: 'hang' }
  /** Handles the request and closes the connection after so many bytes of the body. */
  | { kind: 'cut'; after: number };

export type RequestHook = (request: ReceivedRequest) => Intervention | undefined | Promise<Intervention | undefined>;

export interface EmbeddedClusterOptions {
  /** The server's clock. */
  now?: () => Date;
  /** Who a bearer token is; a function where tokens are not known beforehand, as EKS's are not. */
  users?: Readonly<Record<string, User>> | ((token: string) => User | undefined);
  /** ClusterRoles and ClusterRoleBindings. */
  rbac?: readonly RbacManifest[];
  /** False: the Gateway API and Envoy Gateway are not installed. */
  customResources?: boolean;
  onRequest?: RequestHook;
  admission?: Admission;
  /** False: `requests` and `audit` stay empty, so that a hundred thousand requests do not fill the memory. */
  record?: boolean;
  /** Milliseconds between a request and its handling. */
  latency?: number;
}

export interface EmbeddedCluster {
  readonly url: string;
  readonly port: number;
  /** PEM. */
  readonly caCertificate: string;
  /** Every request so far, in the order of arrival. May be emptied. */
  readonly requests: ReceivedRequest[];
  /** The audit log so far. May be emptied. */
  readonly audit: AuditEvent[];
  onRequest: RequestHook | undefined;
  admission: Admission | undefined;
  latency: number;
  /** Takes over a `kubectl get -o json` List: what it gives is kept, what is missing is filled in. */
  load(list: { items: readonly object[] }): void;
  /** All objects of a resource (`horizontalpodautoscalers`), in the order of a list. */
  objects(plural: string): KubernetesObject[];
  /** Ends all connections; nothing is left running. */
  close(): Promise<void>;
}

/** The connection of a client with a bearer token. */
export const connectionTo = (
  { url, caCertificate }: Pick<EmbeddedCluster, 'url' | 'caCertificate'>,
  token = 'admin-token',
): ClusterConnection => ({
  server: url,
  agent: new Agent({ ca: caCertificate, keepAlive: true, maxSockets: 50 }),
  headers: async () => ({ authorization: `Bearer ${token}` }),
});

export const admin: User = { username: 'admin', uid: 'admin', groups: ['system:masters'] };

/**
 * Starts an HTTPS server on a port of the loopback interface that behaves as kube-apiserver v1.34 does for what this
 * project uses. `test/contract` runs the same assertions against it and the real one. Without `users`, the token
 * `admin-token` is an administrator.
 */
export async function startEmbeddedCluster(options: EmbeddedClusterOptions = {}): Promise<EmbeddedCluster> {
  const { now = () => new Date(), users = { 'admin-token': admin }, customResources = true, record = true } = options;
  const userOf = typeof users === 'function' ? users : (token: string) => new Map(Object.entries(users)).get(token);
  const store = new ObjectStore();
  const authorizer = rbacAuthorizer(options.rbac ?? []);
  const authorize = (user: User, request: RequestInfo): void => {
    if (!authorizer(user, request)) throw forbidden(user, request);
  };
  const handleResource = resourceHandler(store, now, () => cluster.admission);
  const { key, certificate } = selfSignedCertificate(new Date());
  const served = resourceTypes.filter((type) => customResources || !type.custom);
  let sequence = 0;

  const server = createServer({ key, cert: certificate }, (request, response) => {
    exchange(request, response).catch((error) => response.destroy(error));
  });

  // kube-apiserver keeps idle connections for minutes; Node's default would close them under a client's next request.
  server.keepAliveTimeout = 3 * 60 * 1000;

  async function exchange(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const received = now();
    const url = new URL(message.url ?? '/', 'https://127.0.0.1');
    const request: ReceivedRequest = {
      method: message.method ?? 'GET',
      path: url.pathname,
      query: url.searchParams,
      headers: message.headers,
      body: await bodyOf(message),
      started: sequence++,
    };
    if (record) cluster.requests.push(request);
    if (cluster.latency > 0) await delay(cluster.latency);
    const intervention = await cluster.onRequest?.(request);
    if (intervention?.kind === 'hang') return;
    if (intervention?.kind === 'reset') {
      request.finished = sequence++;
      message.socket.destroy();
      return;
    }
    const { status, headers, body } =
      intervention?.kind === 'respond' ? respondWith(intervention) : handle(request, url, message, received);
    request.status = status;
    request.finished = sequence++;
    response.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body) });
    if (intervention?.kind !== 'cut') response.end(body);
    else response.write(Buffer.from(body).subarray(0, intervention.after), () => message.socket.destroy());
  }

  function handle(request: ReceivedRequest, url: URL, message: IncomingMessage, received: Date) {
    const info = requestInfo(request.method, url);
    const userAgent = message.headers['user-agent'];
    let user: User | undefined;
    let decision: 'allow' | 'forbid' | undefined;
    const { code, body } = answerOf(() => {
      const token = /^Bearer (.+)$/.exec(message.headers.authorization ?? '')?.[1];
      user = token === undefined ? undefined : userOf(token);
      if (!user) throw unauthorized();
      request.username = user.username;
      decision = 'forbid';
      authorize(user, info);
      decision = 'allow';
      return serve(request, info, user, userAgent);
    });
    const responseBody = typeof body === 'string' ? undefined : (body as JsonObject);
    const requestURI = message.url ?? '';
    const completed = now();
    const exchange = { request: info, requestURI, userAgent, received, completed, user, decision, code, responseBody };
    const event = record ? auditEvent(exchange) : undefined;
    if (event) cluster.audit.push(event);
    return {
      status: code,
      headers: {
        'Content-Type': responseBody ? 'application/json' : 'text/plain; charset=utf-8',
        ...(event && { 'Audit-Id': event.auditID }),
      },
      body: typeof body === 'string' ? body : `${JSON.stringify(body)}\n`,
    };
  }

  function serve(request: ReceivedRequest, info: RequestInfo, user: User, userAgent: string | undefined): Answer {
    if (!info.isResourceRequest) return { code: 200, body: discover(info.path) };
    const ofGroup = [...served, ...reviewTypes].filter(
      ({ group, version }) => group === info.group && version === info.version,
    );
    const type = ofGroup.find(({ plural }) => plural === info.resource);
    if (!type) throw ofGroup.some(({ custom }) => !custom) ? noSuchResource() : new PageNotFound();
    if (reviewTypes.includes(type)) return { code: 201, body: reviewAccess(type, request.body, authorizer, user) };
    return handleResource({
      ...info,
      type,
      // A list by a field selector has that name for authorization and the audit log only.
      name: info.verb === 'list' ? undefined : info.name,
      query: request.query,
      contentType: String(request.headers['content-type']).split(';')[0],
      userAgent,
      body: request.body,
      authorizeCreate: () => authorize(user, { ...info, verb: 'create' }),
    });
  }

  /** What the server says of itself: `/version` and `/apis/<group>`. */
  function discover(path: string): JsonObject {
    if (path === '/version') return { major: '1', minor: '34', gitVersion: 'v1.34.2' };
    const name = /^\/apis\/([^/]+)$/.exec(path)?.[1];
    const version = served.find(({ group }) => group === name)?.version;
    if (name === undefined || version === undefined) throw new PageNotFound();
    const preferredVersion = { groupVersion: `${name}/${version}`, version };
    return { kind: 'APIGroup', apiVersion: 'v1', name, versions: [preferredVersion], preferredVersion };
  }

  function load(list: { items: readonly object[] }): void {
    const items = list.items as readonly KubernetesObject[];
    const withVersion = items.filter(({ metadata }) => metadata.resourceVersion !== undefined);
    const withoutVersion = items.filter(({ metadata }) => metadata.resourceVersion === undefined);
    for (const item of [...withVersion, ...withoutVersion]) {
      const type = resourceTypes.find(({ kind, group }) => kind === item.kind && isOfGroup(item, group));
      if (!type) throw new TypeError(`the embedded cluster does not serve ${item.apiVersion} ${item.kind}`);
      const metadata = { ...item.metadata, creationTimestamp: item.metadata.creationTimestamp ?? timestamp(now()) };
      store.restore(type, { ...structuredClone(item), metadata: structuredClone(metadata) });
    }
    for (const { metadata } of items) if (metadata.namespace) ensureNamespace(metadata.namespace);
  }

  function ensureNamespace(name: string): void {
    const type = typeOf('namespaces');
    if (store.get(type, undefined, name)) return;
    const labels = { 'kubernetes.io/metadata.name': name };
    const metadata = { name, labels, creationTimestamp: timestamp(now()), uid: '', resourceVersion: '' };
    const spec = { finalizers: ['kubernetes'] };
    store.restore(type, { kind: 'Namespace', apiVersion: 'v1', metadata, spec, status: { phase: 'Active' } });
  }

  for (const name of ['default', 'kube-system']) ensureNamespace(name);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;

  const cluster: EmbeddedCluster = {
    url: `https://127.0.0.1:${port}`,
    port,
    caCertificate: certificate,
    requests: [],
    audit: [],
    onRequest: options.onRequest,
    admission: options.admission,
    latency: options.latency ?? 0,
    load,
    objects: (plural) => store.all(typeOf(plural)),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return cluster;
}

/** Lists from other clusters may hold another version of the group. */
const isOfGroup = ({ apiVersion }: KubernetesObject, group: string): boolean =>
  apiVersion === apiVersionOf({ group, version: apiVersion.split('/').at(-1) ?? '' });

function answerOf(handler: () => Answer): { code: number; body: Answer['body'] | string } {
  try {
    return handler();
  } catch (error) {
    if (error instanceof ApiError) return error;
    if (error instanceof PageNotFound) return { code: 404, body: '404 page not found\n' };
    return new ApiError(500, 'InternalError', `Internal error occurred: ${String(error)}`);
  }
}

function respondWith({ status, headers, body }: Extract<Intervention, { kind: 'respond' }>) {
  if (typeof body === 'string') return { status, headers, body };
  return { status, headers: { 'Content-Type': 'application/json', ...headers }, body: JSON.stringify(body) };
}

async function bodyOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
