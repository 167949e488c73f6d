import { type Agent, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { describeError, NoAnswerError, RetryableError } from '../platform/errors.ts';

/** A response of the API server above 299: its code, and the message of its Status object if there is one. */
export class ApiStatusError extends Error {
  override name = 'ApiStatusError';
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Keeps the connections, and verifies the server's certificate. */
  readonly agent: Agent;
  /** Milliseconds for the whole response. */
  readonly timeout: number;
  /** Once aborted, the request ends without a response. */
  readonly signal: AbortSignal;
}

/**
 * Sends a request and parses the JSON of the response.
 *
 * @throws {ApiStatusError} for a status above 299
 * @throws {NoAnswerError} without a whole response (no connection, a reset, a timeout)
 * @throws {RetryableError} for a body that is cut or no JSON (a proxy's HTML)
 */
export async function sendForJson(request: HttpRequest): Promise<unknown> {
  const name = `${request.method} ${request.url.pathname}`;
  const { code, contentType, text } = await exchange(request);
  const isJson = contentType?.startsWith('application/json') ?? false;
  let body: unknown;
  try {
    body = isJson ? JSON.parse(text) : undefined;
  } catch (error) {
    throw new RetryableError(`${name} was answered ${code} with a body that is cut or no JSON`, { cause: error });
  }
  if (code > 299) {
    const message = (body as { message?: string })?.message ?? text.slice(0, 200).split('\n', 1)[0];
    throw new ApiStatusError(code, `${name} was answered ${code}: ${message}`);
  }
  if (!isJson) throw new RetryableError(`${name} was answered ${code} with ${contentType ?? 'no type'}, not JSON`);
  return body;
}

function exchange(request: HttpRequest): Promise<{ code: number; contentType?: string; text: string }> {
  const { url, method, body, timeout, ...options } = request;
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
      // A page is megabytes: decoded while it arrives, it is in memory once, and not as chunks, buffer and text.
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('error', fail);
      response.on('end', () => {
        resolve({ code: response.statusCode ?? 0, contentType: response.headers['content-type'], text });
      });
    });
    const timer = setTimeout(() => sent.destroy(new Error(`no answer within ${timeout / 1000} s`)), timeout);
    sent.on('close', () => clearTimeout(timer));
    sent.on('error', fail);
    sent.end(body);
  });
}
