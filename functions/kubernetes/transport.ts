import { type Agent, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { RequestContext } from '@kubernetes/client-node/dist/gen/http/http.js';
import { describeError, NoAnswerError, RetryableError } from '../platform/errors.ts';

/** An answer of the API server that is no success: its code, and the message of its Status object if it sent one. */
export class ApiStatusError extends Error {
  override name = 'ApiStatusError';
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** Sends a request and gives back the server's own JSON. */
export type Transport = (context: RequestContext) => Promise<unknown>;

/**
 * Sends the generated client's requests over `node:https`; the agent keeps connections and verifies the server.
 *
 * @param timeout milliseconds that one request may take
 * @param closed once aborted, requests under way end without an answer, and no further one is sent
 * @returns a transport that throws {@link ApiStatusError} for an answer above 299, {@link NoAnswerError} where no whole
 * answer came (no connection, a reset, a timeout), and {@link RetryableError} for a body that is cut or no JSON (a
 * proxy's HTML)
 */
export function httpTransport(agent: Agent, timeout: number, closed?: AbortSignal): Transport {
  return async (context) => {
    const { code, contentType, text } = await exchange(context, agent, timeout, closed);
    const isJson = contentType?.startsWith('application/json') ?? false;
    let body: unknown;
    try {
      body = isJson ? JSON.parse(text) : undefined;
    } catch (error) {
      throw new RetryableError(`${nameOf(context)} was answered ${code} with a body that is cut or no JSON`, {
        cause: error,
      });
    }
    if (code > 299) {
      const message = (body as { message?: string })?.message ?? text.slice(0, 200).split('\n', 1)[0];
      throw new ApiStatusError(code, `${nameOf(context)} was answered ${code}: ${message}`);
    }
    if (!isJson) {
      throw new RetryableError(`${nameOf(context)} was answered ${code} with ${contentType ?? 'no type'}, not JSON`);
    }
    return body;
  };
}

const nameOf = (context: RequestContext) => `${context.getHttpMethod()} ${new URL(context.getUrl()).pathname}`;

interface Received {
  readonly code: number;
  readonly contentType: string | undefined;
  readonly text: string;
}

function exchange(
  context: RequestContext,
  agent: Agent,
  timeout: number,
  closed: AbortSignal | undefined,
): Promise<Received> {
  const url = context.getUrl();
  const body = context.getBody() as string | undefined;
  // Node sends the body of a DELETE without a length unless it is told one, and the server would take the request for one
  // without preconditions.
  const length = body === undefined ? undefined : { 'content-length': Buffer.byteLength(body) };
  const request = url.startsWith('http:') ? requestHttp : requestHttps;
  return new Promise((resolve, reject) => {
    const options = {
      agent,
      method: context.getHttpMethod(),
      headers: { ...context.getHeaders(), ...length },
      ...(closed && { signal: closed }),
    };
    const fail = (error: Error) => {
      clearTimeout(timer);
      // The server closed a kept connection while this process was frozen; to ask the same again is safe for a reading.
      if (
        sent.reusedSocket &&
        !answered &&
        options.method === 'GET' &&
        (error as NodeJS.ErrnoException).code === 'ECONNRESET'
      ) {
        resolve(exchange(context, agent, timeout, closed));
        return;
      }
      reject(new NoAnswerError(`no whole answer from ${new URL(url).host}: ${describeError(error)}`, { cause: error }));
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
    sent.end(body);
  });
}
