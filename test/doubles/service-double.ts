import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

export interface ServiceAnswer {
  status: number;
  /** Becomes JSON; a text is XML, as the query protocol answers. */
  body: object | string;
}

/** A service of AWS on the loopback interface. A client finds it by AWS_ENDPOINT_URL_<SERVICE>. */
export abstract class ServiceDouble {
  readonly #failures: ServiceAnswer[] = [];
  readonly #scheme: 'http' | 'https';
  readonly #server: ReturnType<typeof createServer>;

  /** @param tls PEM of a key and its certificate, for a double that answers over TLS as the real one does */
  constructor(tls?: { key: string; cert: string }) {
    const listener = (request: IncomingMessage, response: ServerResponse) => void this.#exchange(request, response);
    this.#scheme = tls === undefined ? 'http' : 'https';
    this.#server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  }

  /** @returns the URL that it answers on */
  async start(): Promise<string> {
    await new Promise<void>((listening) => this.#server.listen(0, '127.0.0.1', listening));
    return `${this.#scheme}://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((closed) => this.#server.close(closed));
  }

  /** The next requests fail as a whole. */
  failRequests(times: number, status: number, type: string): void {
    for (let time = 0; time < times; time += 1) this.#failures.push(this.refused(status, type));
  }

  /** An error as the service writes it. */
  protected refused(status: number, type: string): ServiceAnswer {
    return refusal(status, type);
  }

  /** @param failure what the test wants answered to this request instead */
  protected abstract answer(
    request: Pick<IncomingMessage, 'method' | 'url' | 'headers'>,
    body: string,
    failure: ServiceAnswer | undefined,
  ): ServiceAnswer;

  async #exchange(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { status, body } = this.answer(request, await text(request), this.#failures.shift());
    const isXml = typeof body === 'string';
    const contentType = isXml ? 'text/xml' : 'application/x-amz-json-1.1';
    response.writeHead(status, { 'content-type': contentType, 'x-amzn-requestid': randomUUID() });
    response.end(isXml ? body : JSON.stringify(body));
  }
}

/** An error as the JSON protocols of AWS write it. */
export const refusal = (status: number, type: string): ServiceAnswer => ({
  status,
  body: { __type: type, message: 'refused by the test' },
});

/** An error as the query protocol of AWS writes it. */
export const queryRefusal = (status: number, code: string, message = 'refused by the test'): ServiceAnswer => ({
  status,
  body: `<ErrorResponse><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error><RequestId>${randomUUID()}</RequestId></ErrorResponse>`,
});
