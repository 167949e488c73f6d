import { type Agent, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { RequestContext } from '@kubernetes/client-node/dist/gen/http/http.js';
import { RetryableError } from '../platform/errors.ts';

/** An answer of the API server that is no success: its code, and its Status object as far as it sent one. */
export class ApiStatusError extends Error {
  override name = 'ApiStatusError';
  readonly code: number;
  readonly reason: string | undefined;
  constructor(code: number, reason: string | undefined, message: string) {
    super(message);
    this.code = code;
    this.reason = reason;
  }
}

export interface Answer {
  /** The server's own JSON. */
  readonly body: unknown;
}

export type Transport = (context: RequestContext) => Promise<Answer>;

/**
 * Sends the generated client's requests over `node:https`; the agent keeps connections and verifies the server.
 *
 * @param timeout milliseconds that one request may take
 * @returns a transport that throws {@link ApiStatusError} for an answer above 299, and {@link RetryableError} where no
 * whole answer came: no connection, a reset, a timeout, a cut body, a body that is no JSON (a proxy's HTML)
 */
export function httpTransport(agent: Agent, timeout: number): Transport {
  const send: Transport = async (context) => {
    const { code, contentType, text } = await exchange(context, agent, timeout);
    const what = `${context.getHttpMethod()} ${new URL(context.getUrl()).pathname}`;
    const isJson = contentType?.startsWith('application/json');
    let body: unknown;
    try {
      body = isJson ? JSON.parse(text) : undefined;
    } catch (error) {
      throw new RetryableError(`${what} was answered ${code} with a body that is cut or no JSON`, { cause: error });
    }
    if (code > 299) {
      const status = body as { reason?: string; message?: string } | undefined;
      throw new ApiStatusError(
        code,
        status?.reason,
        `${what} was answered ${code}: ${status?.message ?? firstLine(text)}`,
      );
    }
    if (!isJson)
      throw new RetryableError(`${what} was answered ${code} with ${contentType ?? 'no content type'}, not JSON`);
    return { body };
  };
  return send;
}

const firstLine = (text: string) => text.slice(0, 200).split('\n', 1)[0] as string;

function exchange(
  context: RequestContext,
  agent: Agent,
  timeout: number,
): Promise<{ code: number; contentType: string | undefined; text: string }> {
  const url = context.getUrl();
  return new Promise((resolve, reject) => {
    const fail = (error: Error) =>
      reject(new RetryableError(`no whole answer from ${new URL(url).host}: ${error.message}`, { cause: error }));
    const request = url.startsWith('http:') ? requestHttp : requestHttps;
    const body = context.getBody() as string | undefined;
    // Node sends the body of a DELETE without a length unless it is told one, and the server would take the request for one
    // without preconditions.
    const headers = {
      ...context.getHeaders(),
      ...(body !== undefined && { 'content-length': Buffer.byteLength(body) }),
    };
    const sent = request(
      url,
      { agent, method: context.getHttpMethod(), headers, signal: AbortSignal.timeout(timeout) },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', fail);
        response.on('end', () =>
          resolve({
            code: response.statusCode ?? 0,
            contentType: response.headers['content-type'],
            text: Buffer.concat(chunks).toString('utf8'),
          }),
        );
      },
    );
    sent.on('error', fail);
    sent.end(body);
  });
}
