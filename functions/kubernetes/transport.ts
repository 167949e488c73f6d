import { type Agent, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { describeError, NoAnswerError, RetryableError } from '../platform/errors.ts';

/** A response of the API server that is no success: its code, and the message of its Status object if it has one. */
export class ApiStatusError extends Error {
  override name = 'ApiStatusError';
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** Its variable parts are encoded already. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  /** Becomes JSON. */
  readonly body?: object;
  /** Absent for `application/json`. */
  readonly contentType?: string;
}

/** Sends a request with headers, and returns the server's own JSON. */
export type Transport = (request: ApiRequest, headers: Record<string, string>) => Promise<unknown>;

/**
 * Sends requests over `node:https`; the agent keeps connections and verifies the server.
 *
 * @param server `https://host:port`, with a path if the server has one
 * @param timeout milliseconds for one request
 * @param closed once aborted, requests under way end without an answer, and no further one is sent
 * @returns a transport that throws {@link ApiStatusError} for a code above 299, {@link NoAnswerError} if no whole answer came
 * (no connection, a reset, a timeout), and {@link RetryableError} for a body that is cut or no JSON (a proxy's HTML)
 */
export function httpTransport(server: string, agent: Agent, timeout: number, closed?: AbortSignal): Transport {
  return async (request, headers) => {
    const { code, contentType, text } = await exchange(server, request, headers, agent, timeout, closed);
    const name = `${request.method} ${request.path}`;
    const isJson = contentType?.startsWith('application/json') ?? false;
    let body: unknown;
    try {
      body = isJson ? JSON.parse(text) : undefined;
    } catch (error) {
      throw new RetryableError(`${name} was answered ${code} with a body that is cut or no JSON`, {
        cause: error,
      });
    }
    if (code > 299) {
      const message = (body as { message?: string })?.message ?? text.slice(0, 200).split('\n', 1)[0];
      throw new ApiStatusError(code, `${name} was answered ${code}: ${message}`);
    }
    if (!isJson) {
      throw new RetryableError(`${name} was answered ${code} with ${contentType ?? 'no type'}, not JSON`);
    }
    return body;
  };
}

interface Received {
  readonly code: number;
  readonly contentType: string | undefined;
  readonly text: string;
}

function exchange(
  server: string,
  { method, path, query = {}, body, contentType = 'application/json' }: ApiRequest,
  headers: Record<string, string>,
  agent: Agent,
  timeout: number,
  signal: AbortSignal | undefined,
): Promise<Received> {
  const url = new URL(`${server.replace(/\/$/, '')}${path}`);
  for (const [key, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(key, value);
  const content = body && JSON.stringify(body);
  // Node sends the body of a DELETE without a length unless it gets one, and the server would take the request for one
  // without preconditions.
  const ofContent = content && { 'content-type': contentType, 'content-length': Buffer.byteLength(content) };
  const options = { agent, method, headers: { accept: 'application/json', ...headers, ...ofContent }, signal };
  const request = url.protocol === 'http:' ? requestHttp : requestHttps;
  return new Promise((resolve, reject) => {
    const retry = () =>
      resolve(exchange(server, { method, path, query, body, contentType }, headers, agent, timeout, signal));
    const fail = (error: Error) => {
      clearTimeout(timer);
      // The server closed a kept connection while this process was frozen; to ask the same again is safe for a reading.
      if (
        sent.reusedSocket &&
        !answered &&
        method === 'GET' &&
        (error as NodeJS.ErrnoException).code === 'ECONNRESET'
      ) {
        retry();
        return;
      }
      reject(new NoAnswerError(`no whole answer from ${url.host}: ${describeError(error)}`, { cause: error }));
    };
    let answered = false;
    const sent = request(url, options, (response) => {
      answered = true;
      // A page is megabytes: as text from the start it is held once, and not as its chunks, their sum and the text.
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('error', fail);
      response.on('end', () => {
        clearTimeout(timer);
        resolve({ code: response.statusCode ?? 0, contentType: response.headers['content-type'], text });
      });
    });
    const timer = setTimeout(() => sent.destroy(new Error(`no answer within ${timeout / 1000} s`)), timeout);
    sent.on('error', fail);
    sent.end(content);
  });
}
