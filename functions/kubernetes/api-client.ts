import { setMaxListeners } from 'node:events';
import type { Agent } from 'node:http';
import { type HorizontalPodAutoscaler, horizontalPodAutoscalerSchema } from '../judgement/kubernetes-objects.ts';
import { OWN_MANAGER } from '../judgement/ownership.ts';
import { ClusterSkippedError, OverloadedError, RetryableError } from '../platform/errors.ts';
import { problem } from '../platform/problems.ts';
import { parseObjects } from './parse-objects.ts';
import { type ApiRequest, ApiStatusError, httpTransport } from './transport.ts';

/** How to reach one API server and authenticate there. */
export interface ClusterConnection {
  /** `https://host:port`, with a path where the server has one. */
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

/** What a write came to. `conflict`: the object is no longer what was read. `refused`: an admission policy said no. */
export type WriteResult =
  | { result: 'done'; hpa?: HorizontalPodAutoscaler }
  | { result: 'gone' }
  | { result: 'conflict' }
  | { result: 'refused'; message: string };

/** The path of the HPAs of a namespace, or of every namespace; or of one HPA. */
export const hpasPath = (namespace?: string, name?: string) =>
  resourcePath('autoscaling/v2', 'horizontalpodautoscalers', namespace, name);

/** The path of a resource in an API group; with a name the path of one object. */
export function resourcePath(api: string, plural: string, namespace?: string, name?: string): string {
  const scope = namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  const object = name === undefined ? '' : `/${encodeURIComponent(name)}`;
  return `${api.includes('/') ? '/apis' : '/api'}/${api}${scope}/${plural}${object}`;
}

/** Requests to one API server, and what its answers mean. */
export interface ApiClient {
  /** @throws {ApiStatusError} for an answer that concerns a single object */
  send(request: ApiRequest): Promise<unknown>;
  /** @returns `undefined` where there is no such object */
  read(request: ApiRequest): Promise<unknown>;
  write(request: ApiRequest): Promise<WriteResult & { body?: unknown }>;
  /** How many requests were sent so far, whatever came of them. */
  requestsSent(): number;
  /** Ends all connections; whatever is sent after that fails. */
  close(): void;
}

/**
 * Every call throws {@link RetryableError} when no answer came or the server could not give one now, and
 * {@link ClusterSkippedError} when the server does not authenticate (after one retry with new credentials) or authorize us.
 *
 * @param timeout milliseconds that one request may take
 */
export function apiClient(connection: ClusterConnection, timeout: number): ApiClient {
  // An agent alone is never closed: it opens new connections for what still waits, or comes later.
  const closed = new AbortController();
  setMaxListeners(0, closed.signal); // Node 20 would warn of more than ten requests at a time.
  const transport = httpTransport(connection.server, connection.agent, timeout, closed.signal);

  let sent = 0;
  async function attempt(request: ApiRequest, renew: boolean): Promise<unknown> {
    const headers = await connection.headers(renew);
    sent += 1;
    return await transport(request, headers);
  }

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

  async function read(request: ApiRequest): Promise<unknown> {
    try {
      return await send(request);
    } catch (error) {
      if (error instanceof ApiStatusError && error.code === 404) return undefined;
      throw error;
    }
  }

  async function write(request: ApiRequest): Promise<WriteResult & { body?: unknown }> {
    try {
      return { result: 'done', body: await send(request) };
    } catch (error) {
      if (!(error instanceof ApiStatusError)) throw error;
      if (error.code === 404) return { result: 'gone' };
      if (error.code === 409) return { result: 'conflict' };
      return { result: 'refused', message: error.message };
    }
  }

  const close = () => {
    closed.abort();
    connection.agent.destroy();
  };
  return { send, read, write, requestsSent: () => sent, close };
}

/** Replaces the managedFields of an HPA, if it is still what was read. */
export const managedFieldsPatch = (
  { metadata: { namespace, name, resourceVersion } }: HorizontalPodAutoscaler,
  managedFields: readonly object[],
): ApiRequest => ({
  method: 'PATCH',
  path: hpasPath(namespace, name),
  query: { fieldManager: OWN_MANAGER },
  contentType: 'application/json-patch+json',
  body: [
    { op: 'replace', path: '/metadata/resourceVersion', value: resourceVersion },
    { op: 'replace', path: '/metadata/managedFields', value: managedFields },
  ],
});

/** @throws {RetryableError} for an HPA of an unknown shape */
export const parseHpa = (body: unknown) =>
  parseObjects('HorizontalPodAutoscaler', horizontalPodAutoscalerSchema, [body])[0] as HorizontalPodAutoscaler;

/** What an answer means for the whole cluster; one that concerns a single object stays as it is. */
function translate(error: ApiStatusError): Error {
  const { code, message } = error;
  if (code === 401) {
    return new ClusterSkippedError(problem('ClusterUnauthorized', message), { cause: error });
  }
  // The authorizer's own words; an admission policy answers 403 too, but for its own reasons.
  if (code === 403 && / is forbidden: User ".*" cannot \w+ resource /.test(message)) {
    return new ClusterSkippedError(problem('ClusterForbidden', message), { cause: error });
  }
  if (code === 429) return new OverloadedError(message, { cause: error });
  if (code >= 500) return new RetryableError(message, { cause: error });
  return error;
}
