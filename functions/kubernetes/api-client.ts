import { setMaxListeners } from 'node:events';
import type { Agent } from 'node:http';
import { CustomObjectsApiRequestFactory } from '@kubernetes/client-node/dist/gen/apis/CustomObjectsApi.js';
import type { RequestContext } from '@kubernetes/client-node/dist/gen/http/http.js';
import { ServerConfiguration } from '@kubernetes/client-node/dist/gen/servers.js';
import { type HorizontalPodAutoscaler, horizontalPodAutoscalerSchema } from '../judgement/kubernetes-objects.ts';
import { ClusterSkippedError, OverloadedError, RetryableError } from '../platform/errors.ts';
import { problem } from '../platform/problems.ts';
import { parseObjects } from './parse-objects.ts';
import { ApiStatusError, httpTransport } from './transport.ts';

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

export const HPAS = ['autoscaling', 'v2', 'horizontalpodautoscalers'] as const;

/** Requests to one API server, and what its answers mean. */
export interface ApiClient {
  readonly server: ServerConfiguration<Record<string, never>>;
  /** Builds requests; `send` and its like send them. */
  readonly requests: CustomObjectsApiRequestFactory;
  /** @throws {ApiStatusError} for an answer that concerns a single object */
  send(context: RequestContext): Promise<unknown>;
  /** @returns `undefined` where there is no such object */
  read(context: RequestContext): Promise<unknown>;
  write(context: RequestContext): Promise<WriteResult & { body?: unknown }>;
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
  const server = new ServerConfiguration(connection.server, {});
  // An agent alone is never closed: it opens new connections for what still waits, or comes later.
  const closed = new AbortController();
  setMaxListeners(0, closed.signal); // Node 20 would warn of more than ten requests at a time.
  const transport = httpTransport(connection.agent, timeout, closed.signal);
  const requests = new CustomObjectsApiRequestFactory({
    baseServer: server,
    httpApi: undefined as never, // The requests are only built with it; the transport sends them.
    middleware: [],
    authMethods: {},
  });

  let sent = 0;
  async function attempt(context: RequestContext, renew: boolean): Promise<unknown> {
    for (const [name, value] of Object.entries(await connection.headers(renew))) context.setHeaderParam(name, value);
    sent += 1;
    return await transport(context);
  }

  async function send(context: RequestContext): Promise<unknown> {
    try {
      return await attempt(context, false).catch((error) => {
        // A long-lived process may have cached credentials that are no longer valid. The server did nothing.
        if (error instanceof ApiStatusError && error.code === 401) return attempt(context, true);
        throw error;
      });
    } catch (error) {
      throw error instanceof ApiStatusError ? translate(error) : error;
    }
  }

  async function read(context: RequestContext): Promise<unknown> {
    try {
      return await send(context);
    } catch (error) {
      if (error instanceof ApiStatusError && error.code === 404) return undefined;
      throw error;
    }
  }

  async function write(context: RequestContext): Promise<WriteResult & { body?: unknown }> {
    try {
      return { result: 'done', body: await send(context) };
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
  return { server, requests, send, read, write, requestsSent: () => sent, close };
}

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
