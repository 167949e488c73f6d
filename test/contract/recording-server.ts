import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect, createServer as createTcpServer, type Server } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { selfSignedCertificate } from '../embedded-cluster/certificate.ts';

/** What a server saw of a request. */
export interface Sent {
  readonly server: 'https' | 'http' | 'proxy';
  /** Without the query; the whole URL at a proxy. */
  readonly path: string;
  /** The target of the CONNECT that led here. */
  readonly through?: string;
  readonly servername?: string;
  readonly authorization?: string;
  readonly impersonation?: Readonly<Record<string, string | string[]>>;
  readonly hasClientCertificate?: true;
}

export type Recorder = Awaited<ReturnType<typeof startRecorder>>;

/** An API server without objects over TLS and over HTTP, and two proxies that lead to it whatever the name. All record what is sent. */
export async function startRecorder() {
  const requests: Sent[] = [];
  const tunnels = new Map<number | undefined, string>();
  const server = selfSignedCertificate(new Date());
  const client = selfSignedCertificate(new Date());

  const recorderOf = (name: Sent['server']) => (request: IncomingMessage, response: ServerResponse) => {
    const { headers, socket, url = '' } = request;
    const tls = name === 'https' ? (socket as TLSSocket) : undefined;
    const impersonation = Object.entries(request.headersDistinct)
      .filter(([header]) => header.startsWith('impersonate-'))
      .map(([header, values = []]) => [header, values.length === 1 ? values[0] : values]);
    const seen = {
      server: name,
      path: url.split('?')[0],
      through: tunnels.get(socket.remotePort),
      servername: tls?.servername || undefined,
      authorization: headers.authorization,
      impersonation: impersonation.length > 0 ? Object.fromEntries(impersonation) : undefined,
      hasClientCertificate: tls?.getPeerCertificate().raw ? true : undefined,
    };
    requests.push(JSON.parse(JSON.stringify(seen)));
    response.setHeader('content-type', 'application/json').end('{"metadata":{},"items":[]}');
  };
  const tls = createTlsServer(
    { key: server.key, cert: server.certificate, requestCert: true, rejectUnauthorized: false },
    recorderOf('https'),
  );
  const plain = createServer(recorderOf('http'));
  const proxy = createServer(recorderOf('proxy'));
  proxy.on('connect', ({ url = '' }: IncomingMessage, socket) => {
    const upstream = connect(portOf(tls), '127.0.0.1', () => {
      tunnels.set(upstream.localPort, url);
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      socket.pipe(upstream).pipe(socket);
    });
    for (const end of [socket, upstream]) end.on('error', () => upstream.destroy());
  });
  const socks = createTcpServer(async (socket) => {
    // https://datatracker.ietf.org/doc/html/rfc1928: a greeting, and a request that names the target.
    const read = async () => ((await once(socket, 'data')) as [Buffer])[0];
    await read();
    socket.write(Buffer.from([5, 0]));
    const request = await read();
    const name = request[3] === 3 ? request.subarray(5, -2).toString() : 'an address';
    const upstream = connect(portOf(tls), '127.0.0.1', () => {
      tunnels.set(upstream.localPort, `${name}:${request.readUInt16BE(request.length - 2)}`);
      socket.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
      socket.pipe(upstream).pipe(socket);
    });
    for (const end of [socket, upstream]) end.on('error', () => upstream.destroy());
    socket.on('close', () => upstream.destroy());
  });
  const servers = [tls, plain, proxy, socks];
  await Promise.all(servers.map((one) => once(one.listen(0, '127.0.0.1'), 'listening')));
  return {
    requests,
    https: `https://127.0.0.1:${portOf(tls)}`,
    http: `http://127.0.0.1:${portOf(plain)}`,
    proxy: `http://127.0.0.1:${portOf(proxy)}`,
    socks: `socks5://127.0.0.1:${portOf(socks)}`,
    ca: server.certificate,
    client,
    async stop() {
      for (const one of [tls, plain, proxy]) one.closeAllConnections();
      await Promise.all(servers.map((one) => new Promise((done) => one.close(done))));
    },
  };
}

const portOf = (server: Server) => (server.address() as AddressInfo).port;
