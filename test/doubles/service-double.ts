import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

export type AwsRequest = Pick<IncomingMessage, 'method' | 'url' | 'headers'>;

export interface ServiceAnswer {
  status: number;
  /** An object becomes JSON; a text is the XML of the query protocol. */
  body: object | string;
}

/** An AWS service on the loopback interface. A client finds it with AWS_ENDPOINT_URL_<SERVICE>. */
export abstract class ServiceDouble {
  /** The access keys of all requests. */
  readonly accessKeys = new Set<string>();
  readonly #refusals: { matches: RegExp; answer: ServiceAnswer; left: number }[] = [];
  readonly #scheme: 'http' | 'https';
  readonly #server: ReturnType<typeof createServer>;

  /** @param tls the PEM of a key and its certificate, for a double that uses TLS like the real service */
  constructor(tls?: { key: string; cert: string }) {
    const listener = (request: IncomingMessage, response: ServerResponse) => void this.#exchange(request, response);
    this.#scheme = tls === undefined ? 'http' : 'https';
    this.#server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  }

  /** @returns the URL of the service */
  async start(): Promise<string> {
    await new Promise<void>((listening) => this.#server.listen(0, '127.0.0.1', listening));
    return `${this.#scheme}://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((closed) => this.#server.close(closed));
  }

  /** Refuses the next requests whose name matches: `METHOD /path`, or in the JSON protocol `Operation logGroup`. */
  refuse(matches: RegExp, status: number, type: string, times = Number.POSITIVE_INFINITY): void {
    this.#refusals.push({ matches, answer: refusal(status, type), left: times });
  }

  failRequests(times: number, status: number, type: string): void {
    this.refuse(/(?:)/, status, type, times);
  }

  protected nameOf({ method, url = '' }: AwsRequest, _body: string): string {
    return `${method} ${decodeURIComponent(new URL(url, 'http://aws').pathname)}`;
  }

  /** @param refused the answer that the test wants instead */
  protected abstract answer(
    request: AwsRequest,
    body: string,
    refused: ServiceAnswer | undefined,
  ): ServiceAnswer | Promise<ServiceAnswer>;

  async #exchange(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const received = await text(request);
    const [, accessKey] = /Credential=([^/]+)/.exec(request.headers.authorization ?? '') ?? [];
    if (accessKey) this.accessKeys.add(accessKey);
    const name = this.nameOf(request, received);
    const refused = this.#refusals.find(({ matches, left }) => left > 0 && matches.test(name));
    if (refused) refused.left -= 1;
    const { status, body } = await this.answer(request, received, refused?.answer);
    const isXml = typeof body === 'string';
    const contentType = isXml ? 'text/xml' : 'application/x-amz-json-1.1';
    response.writeHead(status, { 'content-type': contentType, 'x-amzn-requestid': randomUUID() });
    response.end(isXml ? body : JSON.stringify(body));
  }
}

/** An error in the JSON protocols of AWS. */
export const refusal = (status: number, type: string): ServiceAnswer => ({
  status,
  body: { __type: type, message: 'refused by the test' },
});
