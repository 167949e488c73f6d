import { setMaxListeners } from 'node:events';
import { type Agent, type IncomingHttpHeaders, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { HorizontalPodAutoscaler, ManagedFieldsEntry, NamespacedName } from '../judgement/kubernetes-objects.ts';
import { OWN_MANAGER } from '../judgement/ownership.ts';
import {
  ClusterSkippedError,
  describeError,
  ForeignAnswerError,
  NoAnswerError,
  OverloadedError,
  RetryableError,
} from '../platform/errors.ts';
import { printable } from '../platform/printable.ts';
import { problem } from '../platform/problems.ts';
import { parsedUrl, withoutUser } from '../platform/url.ts';
import { checkedObject } from './kinds.ts';
import { itemsTaker } from './list-items.ts';

/** A response of the API server above 299: its code, and the message of its Status object if there is one. */
export class ApiStatusError extends RetryableError {
  override name = 'ApiStatusError';
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** How to reach one API server and authenticate there. */
export interface ClusterConnection {
  /** `https://host:port`, with a path if the server has one. */
  readonly server: string;
  /** Keeps the connections, and verifies the server's certificate. */
  readonly agent: Agent;
  /** Whether the credentials are those of a person, from a kubeconfig. */
  readonly isKubeconfig?: boolean;
  /**
   * The headers that authenticate a request.
   *
   * @param renew after a 401: with new credentials in place of cached ones
   */
  headers(renew?: boolean): Promise<Readonly<Record<string, string | string[]>>>;
}

export interface ApiRequest {
  /** By default `GET`. */
  readonly method?: HttpRequest['method'];
  /** From {@link apiPath}, or with encoded segments. */
  readonly path: string;
  /** Parameters that are `undefined` are not sent. */
  readonly query?: Readonly<Record<string, string | undefined>>;
  /** Becomes JSON. */
  readonly body?: object;
  /** The type of the body, by default `application/json`. */
  readonly contentType?: string;
  /**
   * Called with each item of the List that responds, while the rest of it is under way. In the response it is `null`. An error that
   * this throws ends the request.
   */
  readonly onItem?: (item: unknown) => void;
}

/** The result of a write. `conflict`: the object has changed since it was read. `refused`: by an admission policy. */
export type WriteResult<Done = object> =
  | ({ result: 'done' } & Done)
  | { result: 'gone' }
  | { result: 'conflict' }
  | { result: 'refused'; message: string };

export type ApiClient = ReturnType<typeof apiClient>;

/** The path of all objects of a kind (in a namespace), or of one object. */
export function apiPath(apiVersion: string, plural: string, { namespace, name }: Partial<NamespacedName> = {}): string {
  const scope = namespace === undefined ? [] : ['namespaces', namespace];
  // A name of a saved object may contain half of a character.
  const encoded = (segment: string) => encodeURIComponent(printable(segment));
  const segments = [...scope, plural, ...(name === undefined ? [] : [name])].map(encoded);
  return `/${apiVersion.includes('/') ? 'apis' : 'api'}/${apiVersion}/${segments.join('/')}`;
}

/** The request that replaces the managedFields of an HPA that has not changed since it was read. */
export const managedFieldsPatch = (
  { metadata }: HorizontalPodAutoscaler,
  entries: readonly ManagedFieldsEntry[],
): ApiRequest => ({
  method: 'PATCH',
  path: apiPath('autoscaling/v2', 'horizontalpodautoscalers', metadata),
  contentType: 'application/json-patch+json',
  body: [
    { op: 'replace', path: '/metadata/resourceVersion', value: metadata.resourceVersion },
    { op: 'replace', path: '/metadata/managedFields', value: entries },
  ],
});

/**
 * Requests to one API server. Every method throws {@link RetryableError} if there is no response or the server cannot
 * give one now, and {@link ClusterSkippedError} if the server does not authenticate (after one retry with new credentials) or
 * authorize us.
 *
 * @param timeout milliseconds for one request; for a List, between two parts of the response
 */
export function apiClient(connection: ClusterConnection, timeout: number) {
  // An agent alone is never closed: it opens new connections for waiting and later requests.
  const closed = new AbortController();
  const { signal } = closed;
  setMaxListeners(0, signal); // Node 20 would warn of more than ten concurrent requests.
  let sent = 0;

  async function attempt(request: ApiRequest, renew: boolean) {
    const { method = 'GET', path, query, body, contentType = 'application/json', onItem } = request;
    const url = new URL(`${connection.server}${path}`);
    const fieldManager = method === 'POST' || method === 'PATCH' ? OWN_MANAGER : undefined;
    for (const [name, value] of Object.entries({ fieldManager, ...query })) {
      if (value !== undefined) url.searchParams.set(name, value);
    }
    const type = body && { 'content-type': contentType };
    const headers = { accept: 'application/json', ...type, ...(await connection.headers(renew)) };
    sent += 1;
    const { agent } = connection;
    const payload = body && JSON.stringify(body);
    return await sendForJson({ method, url, headers, body: payload, agent, timeout, signal, onItem });
  }

  /** @throws {ApiStatusError} for a response that concerns a single object */
  async function send(request: ApiRequest): Promise<unknown> {
    try {
      return await attempt(request, false).catch((error) => {
        // A long-lived process may have cached credentials that are no longer valid. The server did nothing.
        if (error instanceof ApiStatusError && error.code === 401) return attempt(request, true);
        throw error;
      });
    } catch (error) {
      throw error instanceof ApiStatusError ? translate(error, connection.isKubeconfig) : error;
    }
  }

  async function write(request: ApiRequest): Promise<WriteResult<{ body: unknown }>> {
    try {
      return { result: 'done', body: await send(request) };
    } catch (error) {
      if (!(error instanceof ApiStatusError)) throw error;
      if (error.code === 404) return { result: 'gone' };
      if (error.code === 409) return { result: 'conflict' };
      return { result: 'refused', message: error.message };
    }
  }

  return {
    send,
    /** @returns `undefined` without such an object */
    async read(request: ApiRequest): Promise<unknown> {
      try {
        return await send(request);
      } catch (error) {
        if (error instanceof ApiStatusError && error.code === 404) return undefined;
        throw error;
      }
    },
    write,
    /** With the HPA as it is then. */
    async writeHpa(request: ApiRequest): Promise<WriteResult<{ hpa: HorizontalPodAutoscaler }>> {
      const answer = await write(request);
      if (answer.result !== 'done') return answer;
      return { result: 'done', hpa: checkedObject('HorizontalPodAutoscaler', answer.body) };
    },
    /** The number of requests sent so far, whatever their result. */
    requestsSent: () => sent,
    /** Closes all connections. Requests under way and later ones fail. */
    close() {
      closed.abort();
      connection.agent.destroy();
    },
  };
}

/** What a response means for the whole cluster. One that concerns a single object is returned unchanged. */
function translate(error: ApiStatusError, isKubeconfig?: boolean): Error {
  const { code, message } = error;
  if (code === 401)
    return new ClusterSkippedError(problem('ClusterUnauthorized', message, isKubeconfig), { cause: error });
  // The authorizer's own words; an admission policy responds with 403 too, but for its own reasons.
  if (code === 403 && / is forbidden: User ".*" cannot \w+ resource /.test(message)) {
    return new ClusterSkippedError(problem('ClusterForbidden', message, isKubeconfig), { cause: error });
  }
  if (code === 429) return new OverloadedError(message, { cause: error });
  if (code >= 500) return new RetryableError(message, { cause: error });
  return error;
}

interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly body?: string;
  readonly agent: Agent;
  readonly timeout: number;
  /** Once aborted, the request ends without a response. */
  readonly signal: AbortSignal;
  readonly onItem: ApiRequest['onItem'];
}

/**
 * Sends a request and parses the JSON of the response.
 *
 * @throws {ApiStatusError} for a status above 299 of an API server
 * @throws {NoAnswerError} without a whole response (no connection, a reset, a timeout)
 * @throws {ForeignAnswerError} for the response of a proxy, a login page or another service
 * @throws {RetryableError} for JSON that is cut
 */
async function sendForJson(request: HttpRequest): Promise<unknown> {
  // The path of a server may have a password, too. Those of the API have no @.
  const name = `${request.method} ${request.url.pathname.split('/').map(withoutUser).join('/')}`;
  const { code, headers, text: whole } = await exchange(request);
  const text = code <= 299 ? whole : withoutCredential(whole, request);
  let body: { kind?: string; message?: string } | undefined;
  try {
    body = isJson(headers) ? JSON.parse(text) : undefined;
  } catch {
    // Without the cause, which quotes the body.
    throw new RetryableError(`${name} was answered ${code} with a body that is cut or no JSON`);
  }
  if (code <= 299 && typeof body === 'object' && body !== null) return body;
  const words = firstWords(withoutCredential(text, request));
  // The API server itself answers in text where it knows no such API group. A 401 means the same from everybody.
  const isOfApiServer =
    body?.kind === 'Status' ||
    [401, 429].includes(code) ||
    (request.method === 'GET' && text === '404 page not found\n');
  if (code > 299 && isOfApiServer) {
    throw new ApiStatusError(
      code,
      `${name} was answered ${code}: ${typeof body?.message === 'string' ? body.message : words}`,
    );
  }
  const { server, via, location, 'content-type': type = 'no type', 'proxy-authenticate': scheme } = headers;
  const facts = [
    [server, via].filter(Boolean).length > 0 && `by ${[server, via].filter(Boolean).join(' via ')}`,
    `with ${type}`,
    location && `leading to ${withoutSecrets(location, request.url.href)}`,
    scheme && `which asks for the credentials of a proxy (${scheme})`,
  ].filter(Boolean);
  throw new ForeignAnswerError(`${name} was answered ${code} ${facts.join(', ')}: ${words || '(nothing)'}`);
}

/** Some servers return the request in what they say about it. */
function withoutCredential(text: string, { headers }: HttpRequest): string {
  const [, authorization = ''] = Object.entries(headers).find(([name]) => name.toLowerCase() === 'authorization') ?? [];
  const [, credential = ''] = String(authorization).split(' ');
  // A shorter one is no secret, and part of any text.
  const escaped = JSON.stringify(credential).slice(1, -1);
  const mask = '(credential)';
  return credential.length >= 8 ? text.replaceAll(credential, mask).replaceAll(escaped, mask) : text;
}

/** The target of a redirect without its user, query and fragment, any of which can hold a token. */
function withoutSecrets(location: string, base: string): string {
  const target = parsedUrl(location, base);
  return target === undefined ? '(no URL)' : `${target.protocol}//${target.host}${target.pathname}`;
}

/** The beginning of a text, or of the visible text of an HTML page. */
const firstWords = (text: string): string =>
  text
    .replaceAll(/<(script|style|head)\b[\s\S]*?<\/\1>|<[^>]*>/gi, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim()
    .slice(0, 120);

const isJson = (headers: IncomingHttpHeaders): boolean =>
  headers['content-type']?.startsWith('application/json') ?? false;

function exchange(request: HttpRequest): Promise<{ code: number; headers: IncomingHttpHeaders; text: string }> {
  const { url, method, body, timeout, onItem, ...options } = request;
  // Without a length, Node sends the body of a DELETE chunked, and the API server would ignore its preconditions.
  const headers = { ...options.headers, ...(body !== undefined && { 'content-length': Buffer.byteLength(body) }) };
  return new Promise((resolve, reject) => {
    let answered = false;
    const fail = (error: NodeJS.ErrnoException) => {
      // The server closed a kept connection while this process was frozen. Only a GET is safe to repeat.
      if (sent.reusedSocket && !answered && method === 'GET' && error.code === 'ECONNRESET') resolve(exchange(request));
      else reject(new NoAnswerError(`no whole answer from ${url.host}: ${describeError(error)}`, { cause: error }));
    };
    const requestWith = url.protocol === 'http:' ? requestHttp : requestHttps;
    const sent = requestWith(url, { ...options, method, headers }, (response) => {
      answered = true;
      const { statusCode: code = 0, headers } = response;
      const read = onItem && code <= 299 && isJson(headers) ? itemsTaker(onItem) : (part: string) => part;
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        if (onItem) timer.refresh();
        try {
          text += read(part);
        } catch (error) {
          reject(error);
          sent.destroy();
        }
      });
      response.on('error', fail);
      response.on('end', () => resolve({ code, headers, text }));
    });
    const timer = setTimeout(() => sent.destroy(new Error(`no answer within ${timeout / 1000} s`)), timeout);
    sent.on('close', () => clearTimeout(timer));
    sent.on('error', fail);
    sent.end(body);
  });
}
