import { Agent, request } from 'node:https';
import { text } from 'node:stream/consumers';

export interface Reply {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
  /** The body if it is JSON, otherwise an empty object. */
  // biome-ignore lint/suspicious/noExplicitAny: tests read responses of every shape
  body: any;
}

export type Connection = ReturnType<typeof connect>;

/** HTTPS requests to an API server with a token. Tests see exactly what the server responds. */
export function connect(server: { url: string; caCertificate: string; token: string | undefined; userAgent?: string }) {
  const { userAgent = 'contract/v1 (test)' } = server;
  const agent = new Agent({ keepAlive: true, ca: server.caCertificate });
  const send = (method: string, path: string, body?: object | string, contentType = 'application/json') =>
    new Promise<Reply>((resolve, reject) => {
      const payload = typeof body === 'object' ? JSON.stringify(body) : body;
      const outgoing = request(server.url + path, {
        method,
        agent,
        headers: {
          'User-Agent': userAgent,
          ...(server.token !== undefined && { Authorization: `Bearer ${server.token}` }),
          ...(payload !== undefined && { 'Content-Type': contentType, 'Content-Length': Buffer.byteLength(payload) }),
        },
      });
      outgoing.once('error', reject);
      outgoing.once('response', (incoming) => {
        const { statusCode: status = 0, headers } = incoming;
        text(incoming).then((received) => {
          const isJson = headers['content-type']?.startsWith('application/json');
          resolve({ status, headers, text: received, body: isJson ? JSON.parse(received) : {} });
        }, reject);
      });
      outgoing.end(payload);
    });
  return {
    get: (path: string) => send('GET', path),
    post: (path: string, body: object) => send('POST', path, body),
    put: (path: string, body: object) => send('PUT', path, body),
    merge: (path: string, patch: object) => send('PATCH', path, patch, 'application/merge-patch+json'),
    jsonPatch: (path: string, patch: object[]) => send('PATCH', path, patch, 'application/json-patch+json'),
    /** @param manifest an object, or YAML */
    apply: (path: string, manifest: object | string) => send('PATCH', path, manifest, 'application/apply-patch+yaml'),
    delete: (path: string, options?: object) => send('DELETE', path, options),
    close: () => agent.destroy(),
  };
}
