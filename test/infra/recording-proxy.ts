import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { callsOf, signatureOf } from '../doubles/aws-calls.ts';
import type { RecordedCall } from '../doubles/iam-policy.ts';

/** A call, and the access key that it was signed with. */
export type SignedCall = RecordedCall & { accessKeyId: string };

export interface ProxyOptions {
  /** The URL of the server that answers a request. */
  upstreamOf(path: string): string;
  /** Puts into a JSON answer of status 200 what the server lacks. */
  complete(path: string, answer: object): object;
}

/** Stands in front of AWS, whatever the service, and writes down what IAM would be asked before each request. */
export class RecordingProxy {
  readonly calls: SignedCall[] = [];
  readonly #options: ProxyOptions;
  readonly #server = createServer((request, response) => void this.#exchange(request, response));

  constructor(options: ProxyOptions) {
    this.#options = options;
  }

  async start(): Promise<string> {
    await new Promise<void>((listening) => this.#server.listen(0, '127.0.0.1', listening));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((closed) => this.#server.close(closed));
  }

  async #exchange(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const { method = 'GET', url: path = '/', headers } = request;
      const body = await text(request);
      const { accessKeyId } = signatureOf(request);
      for (const call of callsOf(request, body)) this.calls.push({ ...call, accessKeyId });
      const { host: _, connection: __, 'content-length': ___, ...forwarded } = headers;
      const answer = await fetch(this.#options.upstreamOf(path) + path, {
        method,
        headers: forwarded as Record<string, string>,
        ...(body !== '' && { body }),
      });
      const said = await answer.text();
      response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'application/json' });
      response.end(answer.ok ? this.#completed(path, said) : said);
    } catch (error) {
      // The function fails with it, and no client tries that again.
      response.writeHead(400, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ __type: 'NotRecorded', message: String(error) }));
    }
  }

  #completed(path: string, said: string): string {
    return said.startsWith('{') ? JSON.stringify(this.#options.complete(path, JSON.parse(said))) : said;
  }
}
