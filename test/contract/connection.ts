import { Agent, request } from 'node:https';
import type { JsonObject } from '../embedded-cluster/objects.ts';

export interface Reply {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
  /** The body where it is JSON, else an empty object. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  body: any;
}

interface Sent {
  body?: JsonObject | JsonObject[] | string;
  contentType?: string;
  headers?: Record<string, string>;
}

/** Plain HTTPS to an API server as the owner of a token, verified against its CA, so that tests see exact answers. */
export interface Connection {
  send(method: string, path: string, sent?: Sent): Promise<Reply>;
  get(path: string): Promise<Reply>;
  post(path: string, body: JsonObject | object): Promise<Reply>;
  merge(path: string, patch: JsonObject | object): Promise<Reply>;
  jsonPatch(path: string, patch: object[]): Promise<Reply>;
  apply(path: string, manifest: JsonObject | object): Promise<Reply>;
  delete(path: string, options?: JsonObject | object): Promise<Reply>;
  close(): void;
}

export function connect(server: { url: string; caCertificate: string; token: string | undefined }): Connection {
  const agent = new Agent({ keepAlive: true, ca: server.caCertificate });
  const send: Connection['send'] = (method, path, { body, contentType = 'application/json', headers } = {}) =>
    new Promise((resolve, reject) => {
      const payload = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
      const outgoing = request(server.url + path, {
        method,
        agent,
        headers: {
          'User-Agent': 'contract/v1 (test)',
          ...(server.token !== undefined && { Authorization: `Bearer ${server.token}` }),
          ...(payload !== undefined && { 'Content-Type': contentType, 'Content-Length': Buffer.byteLength(payload) }),
          ...headers,
        },
      });
      outgoing.once('error', reject);
      outgoing.once('response', (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.once('error', reject);
        incoming.once('end', () => {
          const text = Buffer.concat(chunks).toString();
          const isJson = incoming.headers['content-type']?.startsWith('application/json');
          resolve({
            status: incoming.statusCode ?? 0,
            headers: incoming.headers,
            text,
            body: isJson ? JSON.parse(text) : {},
          });
        });
      });
      outgoing.end(payload);
    });
  const write = (method: string, contentType: string) => (path: string, body: JsonObject | JsonObject[] | object) =>
    send(method, path, { body: body as JsonObject, contentType });
  return {
    send,
    get: (path) => send('GET', path),
    post: write('POST', 'application/json'),
    merge: write('PATCH', 'application/merge-patch+json'),
    jsonPatch: write('PATCH', 'application/json-patch+json'),
    apply: write('PATCH', 'application/apply-patch+yaml'),
    delete: (path, options) => send('DELETE', path, options && { body: options as JsonObject }),
    close: () => agent.destroy(),
  };
}
