import type { IncomingMessage, ServerResponse } from 'node:http';
import { Agent, createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import type { ClusterConnection } from '../../functions/kubernetes/api-client.ts';
import { type AuditEvent, type AuditTrace, auditEvent } from './audit.ts';
import { forbidden, type RbacManifest, rbacAuthorizer, reviewAccess, type User } from './authorization.ts';
import { selfSignedCertificate } from './certificate.ts';
import { type JsonObject, type KubernetesObject, timestamp } from './objects.ts';
import { type RequestInfo, requestInfo } from './request-info.ts';
import { RESOURCE_TYPES, REVIEW_TYPES, typeOf } from './resource-types.ts';
import { type Admission, type Answer, bodyOf, type ResourceRequest, ResourceServer } from './resources.ts';
import { ApiError, noSuchResource, notSimulated, PageNotFound, unauthorized } from './status.ts';
import { ObjectStore } from './store.ts';

/** A request as the server received it. */
export interface ReceivedRequest {
  method: string;
  /** Without the query. */
  path: string;
  query: URLSearchParams;
  headers: Record<string, string | string[] | undefined>;
  body: string;
  username?: string;
  status?: number;
  /** Positions in the order of all starts and finishes. A request under way has not finished. */
  started: number;
  finished?: number;
}

/** What a test does to a request, or to its response. */
export type Intervention =
  | { kind: 'respond'; status: number; headers?: Record<string, string>; body: string | JsonObject }
  /** Closes the connection without a response. */
  | { kind: 'reset' }
  /** Never responds. */
  | { kind: 'hang' }
  /** Handles the request and closes the connection after this number of bytes of the body. */
  | { kind: 'cut'; after: number };

export type RequestHook = (request: ReceivedRequest) => Intervention | undefined | Promise<Intervention | undefined>;

export interface EmbeddedClusterOptions {
  /** The clock of the server. */
  now?: () => Date;
  /** The users by bearer token; a function for tokens that are not known in advance, such as EKS's. */
  users?: Readonly<Record<string, User>> | ((token: string) => User | undefined);
  /** ClusterRoles, Roles and their bindings. */
  rbac?: readonly RbacManifest[];
  /** False: the Gateway API and Envoy Gateway are not installed. */
  customResources?: boolean;
  onRequest?: RequestHook;
  admission?: Admission;
  /** False: `requests` and `audit` stay empty, to save memory in a test of 100,000 requests. */
  record?: boolean;
  /** Milliseconds between a request and its handling. */
  latency?: number;
}

export interface EmbeddedCluster {
  readonly url: string;
  /** PEM. */
  readonly caCertificate: string;
  /** Every request so far, in the order of arrival. May be emptied. */
  readonly requests: ReceivedRequest[];
  /** The audit log so far. May be emptied. */
  readonly audit: AuditEvent[];
  onRequest: RequestHook | undefined;
  admission: Admission | undefined;
  latency: number;
  /** Loads a List of `kubectl get -o json`. Missing metadata is added. */
  load(list: { items: readonly object[] }): void;
  /** All objects of a resource (`horizontalpodautoscalers`), in the order of a list. */
  objects(plural: string): KubernetesObject[];
  /** Makes all continue tokens expire. */
  compact(): void;
  /** Closes all connections and the server. */
  close(): Promise<void>;
}

export const admin: User = { username: 'admin', uid: 'admin', groups: ['system:masters'] };

/** The version that the embedded cluster reports. */
const VERSION = { major: '1', minor: '34', gitVersion: 'v1.34.2', compiler: 'gc', platform: 'linux/amd64' };

/**
 * Starts an HTTPS server on a port of the loopback interface that behaves like kube-apiserver v1.34 as far as this project uses
 * it. `test/contract` runs the same tests against it and the real one. Without `users`, the token `admin-token` is an
 * administrator.
 */
export async function startEmbeddedCluster(options: EmbeddedClusterOptions = {}): Promise<EmbeddedCluster> {
  const { now = () => new Date(), users = { 'admin-token': admin }, customResources = true, record = true } = options;
  const userOf = typeof users === 'function' ? users : (token: string) => new Map(Object.entries(users)).get(token);
  const store = new ObjectStore();
  const resources = new ResourceServer(store, now, () => cluster.admission);
  const authorizer = rbacAuthorizer(options.rbac ?? []);
  const authenticated = ({ groups, ...user }: User): User => ({ ...user, groups: [...groups, 'system:authenticated'] });
  const authorize = (user: User, request: RequestInfo): void => {
    if (!authorizer(authenticated(user), request)) throw forbidden(user, request);
  };
  const served = [...RESOURCE_TYPES.filter(({ custom }) => customResources || !custom), ...REVIEW_TYPES];
  let sequence = 0;

  const { key, certificate } = selfSignedCertificate(new Date());
  const server = createServer({ key, cert: certificate }, (request, response) => {
    exchange(request, response).catch((error) => response.destroy(error));
  });
  // kube-apiserver keeps idle connections for minutes. Node's default would close them under the next request of a client.
  server.keepAliveTimeout = 3 * 60 * 1000;

  async function exchange(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const received = now();
    const url = new URL(message.url ?? '/', 'https://127.0.0.1');
    const request: ReceivedRequest = {
      method: message.method ?? 'GET',
      path: url.pathname,
      query: url.searchParams,
      headers: message.headers,
      body: await text(message),
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
      intervention?.kind === 'respond' ? responseOf(intervention) : handle(request, url, message, received);
    request.status = status;
    request.finished = sequence++;
    response.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body) });
    if (intervention?.kind !== 'cut') response.end(body);
    else response.write(Buffer.from(body).subarray(0, intervention.after), () => message.socket.destroy());
  }

  function handle(request: ReceivedRequest, url: URL, message: IncomingMessage, received: Date) {
    const info = requestInfo(request.method, url);
    const trace: AuditTrace = {};
    const answer = answerOf(() => {
      const token = /^Bearer (.+)$/.exec(message.headers.authorization ?? '')?.[1];
      const user = token === undefined ? undefined : userOf(token);
      if (!user) throw unauthorized();
      trace.user = user;
      request.username = user.username;
      trace.decision = 'forbid';
      authorize(user, info);
      trace.decision = 'allow';
      return info.isResourceRequest ? serve(request, info, user, trace) : discover(info);
    });
    const isText = typeof answer.body === 'string';
    const event = auditEvent({
      request: info,
      requestURI: message.url ?? '',
      userAgent: message.headers['user-agent'],
      received,
      completed: now(),
      trace,
      code: answer.code,
      responseBody: isText ? undefined : (answer.body as JsonObject),
    });
    if (event && record) cluster.audit.push(event);
    return {
      status: answer.code,
      headers: {
        'Content-Type': isText ? 'text/plain; charset=utf-8' : 'application/json',
        'Cache-Control': 'no-cache, private',
        ...(event && { 'Audit-Id': event.auditID }),
      },
      body: isText ? String(answer.body) : `${JSON.stringify(answer.body)}\n`,
    };
  }

  function serve(request: ReceivedRequest, info: RequestInfo, user: User, trace: AuditTrace): Answer {
    const { verb, namespace, name, subresource } = info;
    const group = served.filter((type) => type.group === info.group && type.version === info.version);
    const type = group.find(({ plural }) => plural === info.resource);
    if (!type) throw group.some(({ custom }) => !custom) ? noSuchResource() : new PageNotFound();
    const resourceRequest: ResourceRequest = {
      verb,
      type,
      namespace,
      // A list by a field selector has that name only for authorization and the audit log.
      name: verb === 'list' ? undefined : name,
      subresource,
      query: request.query,
      contentType: request.headers['content-type'] as string | undefined,
      userAgent: request.headers['user-agent'] as string | undefined,
      body: request.body,
      trace,
      authorizeCreate: () => authorize(user, { ...info, verb: 'create' }),
    };
    if (!REVIEW_TYPES.includes(type)) return resources.answer(resourceRequest);
    return { code: 201, body: reviewAccess(bodyOf(resourceRequest), authorizer, authenticated(user)) };
  }

  /** `/version` and `/apis/<group>`. */
  function discover({ path, verb }: RequestInfo): Answer {
    if (verb !== 'get') throw notSimulated(`${verb} ${path}`);
    if (path === '/version') return { code: 200, body: VERSION };
    const name = /^\/apis\/([^/]+)$/.exec(path)?.[1];
    const { apiVersion, version } = served.find(({ group }) => group === name) ?? {};
    if (!name || !apiVersion || !version) throw new PageNotFound();
    const preferredVersion = { groupVersion: apiVersion, version };
    return {
      code: 200,
      body: { kind: 'APIGroup', apiVersion: 'v1', name, versions: [preferredVersion], preferredVersion },
    };
  }

  function load(list: { items: readonly object[] }): void {
    const items = list.items as readonly KubernetesObject[];
    const withVersion = items.filter(({ metadata }) => metadata.resourceVersion !== undefined);
    const withoutVersion = items.filter(({ metadata }) => metadata.resourceVersion === undefined);
    for (const item of [...withVersion, ...withoutVersion]) {
      // Lists of other clusters may have another version of the group.
      const group = item.apiVersion.split('/').slice(0, -1).join();
      const type = RESOURCE_TYPES.find((candidate) => candidate.kind === item.kind && candidate.group === group);
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
    store.restore(type, {
      kind: 'Namespace',
      apiVersion: 'v1',
      metadata: { name, labels, creationTimestamp: timestamp(now()), uid: '', resourceVersion: '' },
      spec: { finalizers: ['kubernetes'] },
      status: { phase: 'Active' },
    });
  }

  for (const name of ['default', 'kube-system']) ensureNamespace(name);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const cluster: EmbeddedCluster = {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    caCertificate: certificate,
    requests: [],
    audit: [],
    onRequest: options.onRequest,
    admission: options.admission,
    latency: options.latency ?? 0,
    load,
    objects: (plural) => store.all(typeOf(plural)),
    compact: () => store.compact(),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return cluster;
}

/** The connection of a client with a bearer token to an embedded cluster. */
export function connectionTo(
  { url, caCertificate }: Pick<EmbeddedCluster, 'url' | 'caCertificate'>,
  token = 'admin-token',
): ClusterConnection {
  return {
    server: url,
    agent: new Agent({ ca: caCertificate, keepAlive: true, maxSockets: 50 }),
    headers: async () => ({ authorization: `Bearer ${token}` }),
  };
}

function answerOf(handler: () => Answer): { code: number; body: Answer['body'] | string } {
  try {
    return handler();
  } catch (error) {
    if (error instanceof ApiError) return error;
    if (error instanceof PageNotFound) return { code: 404, body: '404 page not found\n' };
    return new ApiError(500, 'InternalError', `Internal error occurred: ${String(error)}`);
  }
}

function responseOf({ status, headers, body }: Extract<Intervention, { kind: 'respond' }>) {
  if (typeof body === 'string') return { status, headers, body };
  return { status, headers: { 'Content-Type': 'application/json', ...headers }, body: JSON.stringify(body) };
}
