import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { reviewAccess, reviewTypes } from './access-review.ts';
import type { Admission } from './admission.ts';
import { handleResourceRequest } from './api-server.ts';
import { type AuditEvent, type AuditTrace, auditEvent } from './audit.ts';
import { forbidden, type RbacManifest, rbacAuthorizer, type User } from './authorization.ts';
import { selfSignedCertificate } from './certificate.ts';
import { definitionOf } from './custom-resource-definitions.ts';
import { discover } from './discovery.ts';
import { type JsonObject, type KubernetesObject, timestamp } from './objects.ts';
import { type RequestInfo, requestInfo } from './request-info.ts';
import type { ReceivedRequest } from './request-log.ts';
import type { Answer, ResourceRequest } from './resource-request.ts';
import { apiVersionOf, type ResourceType, resourceTypes } from './resource-types.ts';
import { ApiError, noSuchResource, PageNotFound, unauthorized } from './status.ts';
import { ObjectStore } from './store.ts';

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
  /** ClusterRoles, Roles and their bindings. */
  rbac?: readonly RbacManifest[];
  /** False: the Gateway API and Envoy Gateway are not installed. */
  customResources?: boolean;
  onAudit?: (event: AuditEvent) => void;
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
  /** Takes over a `kubectl get -o json` List: what it gives is kept, what it lacks is filled in. */
  load(list: { items: readonly object[] }): void;
  /** All objects of a resource (`horizontalpodautoscalers`), in the order of a list. */
  objects(plural: string): KubernetesObject[];
  /** Lets the continue tokens given so far expire. */
  compact(): void;
  /** Ends all connections; nothing is left running. */
  close(): Promise<void>;
}

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
  const everybody = ({ groups, ...user }: User): User => ({ ...user, groups: [...groups, 'system:authenticated'] });
  const authorize = (user: User, request: RequestInfo): void => {
    if (!authorizer(everybody(user), request).allowed) throw forbidden(user, request);
  };
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
    const trace: AuditTrace = { objectRef: {} };
    const answer = answerOf(() => {
      const user = authenticate(message.headers.authorization);
      trace.user = user;
      request.username = user.username;
      trace.decision = 'forbid';
      authorize(user, info);
      trace.decision = 'allow';
      return serve(request, info, user, trace, message);
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
    if (event) {
      if (record) cluster.audit.push(event);
      options.onAudit?.(event);
    }
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

  function authenticate(authorization: string | undefined): User {
    const token = /^Bearer (.+)$/.exec(authorization ?? '')?.[1];
    const user = token === undefined ? undefined : userOf(token);
    if (!user) throw unauthorized();
    return user;
  }

  function serve(request: ReceivedRequest, info: RequestInfo, user: User, trace: AuditTrace, message: IncomingMessage) {
    if (!info.isResourceRequest) return { code: 200, body: discover(info, served) };
    const type = [...served, ...reviewTypes].find(
      ({ plural, group, version }) => plural === info.resource && isIn(info, { group, version }),
    );
    if (!type) {
      const isBuiltInGroup = [...served, ...reviewTypes].some(
        ({ custom, group, version }) => !custom && isIn(info, { group, version }),
      );
      throw isBuiltInGroup ? noSuchResource() : new PageNotFound();
    }
    const { verb, namespace, name, subresource } = info;
    const surroundings = { store, now, admission: () => cluster.admission };
    // A list by a field selector has that name for authorization and the audit log only.
    const isNamed = verb !== 'list' && verb !== 'watch' && verb !== 'deletecollection';
    const resourceRequest: ResourceRequest = {
      verb,
      type,
      ...(namespace !== undefined && { namespace }),
      ...(isNamed && name !== undefined && { name }),
      ...(subresource !== undefined && { subresource }),
      query: request.query,
      contentType: message.headers['content-type'],
      userAgent: message.headers['user-agent'],
      body: request.body,
      user,
      trace,
      authorizeCreate: () => authorize(user, { ...info, verb: 'create' }),
    };
    return reviewTypes.includes(type)
      ? reviewAccess(surroundings, resourceRequest, authorizer, everybody(user))
      : handleResourceRequest(surroundings, resourceRequest);
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
    const metadata = {
      name,
      labels: { 'kubernetes.io/metadata.name': name },
      creationTimestamp: timestamp(now()),
      uid: '',
      resourceVersion: '',
    };
    const status = { phase: 'Active' };
    store.restore(type, {
      kind: 'Namespace',
      apiVersion: 'v1',
      metadata,
      spec: { finalizers: ['kubernetes'] },
      status,
    });
  }

  for (const name of ['default', 'kube-system']) ensureNamespace(name);
  for (const type of served.filter(({ custom }) => custom)) {
    store.restore(typeOf('customresourcedefinitions'), definitionOf(type, timestamp(now())));
  }
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
    compact: () => store.compact(),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return cluster;
}

function typeOf(plural: string): ResourceType {
  const type = resourceTypes.find((candidate) => candidate.plural === plural);
  if (!type) throw new TypeError(`the embedded cluster has no resource ${plural}`);
  return type;
}

const isIn = (info: RequestInfo, { group, version }: Pick<ResourceType, 'group' | 'version'>): boolean =>
  info.group === group && info.version === version;

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
