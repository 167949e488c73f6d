import { setMaxListeners } from 'node:events';
import type { Agent } from 'node:http';
import type { HorizontalPodAutoscaler, ManagedFieldsEntry, NamespacedName } from '../judgement/kubernetes-objects.ts';
import { OWN_MANAGER } from '../judgement/ownership.ts';
import { ClusterSkippedError, OverloadedError, RetryableError } from '../platform/errors.ts';
import { problem } from '../platform/problems.ts';
import { checkedObject } from './kinds.ts';
import { ApiStatusError, type HttpRequest, sendForJson } from './transport.ts';

/** How to reach one API server and authenticate there. */
export interface ClusterConnection {
  /** `https://host:port`, with a path if the server has one. */
  readonly server: string;
  /** Keeps the connections, and verifies the server's certificate. */
  readonly agent: Agent;
  /**
   * The headers that authenticate a request.
   *
   * @param renew after a 401: with new credentials in place of cached ones
   */
  headers(renew?: boolean): Promise<Record<string, string>>;
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
}

/** The result of a write. `conflict`: the object has changed since it was read. `refused`: by an admission policy. */
export type WriteResult<Done = object> =
  | ({ result: 'done' } & Done)
  | { result: 'gone' }
  | { result: 'conflict' }
  | { result: 'refused'; message: string };
/** With the HPA as it is then. */
export type HpaWriteResult = WriteResult<{ hpa: HorizontalPodAutoscaler }>;

export type ApiClient = ReturnType<typeof apiClient>;

/** The path of all objects of a kind (in a namespace), or of one object. */
export function apiPath(apiVersion: string, plural: string, { namespace, name }: Partial<NamespacedName> = {}): string {
  const scope = namespace === undefined ? [] : ['namespaces', namespace];
  const segments = [...scope, plural, ...(name === undefined ? [] : [name])].map(encodeURIComponent);
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
 * @param timeout milliseconds for one request
 */
export function apiClient(connection: ClusterConnection, timeout: number) {
  // An agent alone is never closed: it opens new connections for waiting and later requests.
  const closed = new AbortController();
  setMaxListeners(0, closed.signal); // Node 20 would warn of more than ten concurrent requests.
  let sent = 0;

  const common = { agent: connection.agent, timeout, signal: closed.signal };

  async function attempt(request: ApiRequest, renew: boolean) {
    const { method = 'GET', path, query, body, contentType = 'application/json' } = request;
    const url = new URL(`${connection.server}${path}`);
    const fieldManager = method === 'POST' || method === 'PATCH' ? OWN_MANAGER : undefined;
    for (const [name, value] of Object.entries({ fieldManager, ...query })) {
      if (value !== undefined) url.searchParams.set(name, value);
    }
    const type = body && { 'content-type': contentType };
    const headers = { accept: 'application/json', ...type, ...(await connection.headers(renew)) };
    sent += 1;
    return await sendForJson({ ...common, method, url, headers, body: body && JSON.stringify(body) });
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
      throw error instanceof ApiStatusError ? translate(error) : error;
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
    async writeHpa(request: ApiRequest): Promise<HpaWriteResult> {
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
function translate(error: ApiStatusError): Error {
  const { code, message } = error;
  if (code === 401) return new ClusterSkippedError(problem('ClusterUnauthorized', message), { cause: error });
  // The authorizer's own words; an admission policy responds with 403 too, but for its own reasons.
  if (code === 403 && / is forbidden: User ".*" cannot \w+ resource /.test(message)) {
    return new ClusterSkippedError(problem('ClusterForbidden', message), { cause: error });
  }
  if (code === 429) return new OverloadedError(message, { cause: error });
  if (code >= 500) return new RetryableError(message, { cause: error });
  return error;
}
