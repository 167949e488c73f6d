import { chmodSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { folder } from '../temporary-files.ts';
import { type Recorder, type Sent, startRecorder } from './recording-server.ts';

/** Asks for the HPAs of a cluster. */
export interface Client {
  /** @param env all of it besides PATH and HOME */
  run(kubeconfig: { flags: string[]; env: Record<string, string>; home: string }): Promise<{ code: number | null }>;
}

interface Parts {
  cluster?: object;
  user?: object;
  name?: string;
  current?: string;
}
const HPAS = '/apis/autoscaling/v2/horizontalpodautoscalers';
const V1 = 'client.authentication.k8s.io/v1';

/** A kubeconfig with one context, named like its cluster and user. */
const config = ({ name = 'x', cluster, user = { token: 't' }, current = name }: Parts) => ({
  ...{ apiVersion: 'v1', kind: 'Config', 'current-context': current },
  clusters: cluster ? [{ name, cluster }] : [],
  users: [{ name, user }],
  contexts: [{ name, context: { cluster: name, user: name } }],
});

interface Case {
  /** By name; every file is in $KUBECONFIG unless `order` says otherwise. */
  readonly files: Record<string, object | string>;
  /** The names in $KUBECONFIG; empty: none is set. */
  readonly order?: readonly string[];
  readonly flags?: string[];
  readonly env?: Record<string, string>;
  /** The first request, or `undefined` where none may be sent. */
  readonly sent?: Partial<Sent>;
  /** What a command of the user saw in KUBERNETES_EXEC_INFO. */
  readonly execInfo?: object;
}

function cases({ https, http, proxy, socks, ca, client }: Recorder): Record<string, (path: string) => Case> {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const trusted = { server: https, 'certificate-authority-data': base64(ca) };
  const remote = { server: 'https://api.internal.invalid:6443', 'insecure-skip-tls-verify': true };
  const toRemote = { through: 'api.internal.invalid:6443', servername: 'api.internal.invalid' };
  const bearer = (token = 't') => ({ server: 'https' as const, path: HPAS, authorization: `Bearer ${token}` });
  const of = (parts: Parts): Case['files'] => ({ a: config({ cluster: trusted, ...parts }) });
  const script = (answer: object) =>
    `#!/bin/sh\necho "$KUBERNETES_EXEC_INFO" >"$(dirname "$0")/info"\nprintf '%s' '${JSON.stringify({ kind: 'ExecCredential', apiVersion: V1, status: answer })}'\n`;
  const exec = (more: object = {}) => ({
    exec: { apiVersion: V1, interactiveMode: 'Never', command: './token.sh', ...more },
  });
  const token = { 'token.sh': script({ token: 'executed' }) };
  const first = { cluster: trusted, name: 'first' };
  const second = { cluster: { ...trusted, server: `${https}/second` }, name: 'second' };
  return {
    'a token': () => ({ files: of({}), sent: bearer() }),
    'the first file that names a current context': () => ({
      files: { a: config(first), b: config(second) },
      sent: bearer(),
    }),
    'a later current context where the first has none': () => ({
      files: { a: config({ ...first, current: '' }), b: config(second) },
      sent: { ...bearer(), path: `/second${HPAS}` },
    }),
    'the first of two clusters and users of one name': () => ({
      files: {
        a: config({ ...first, name: 'same' }),
        b: config({ ...second, name: 'same', user: { token: 'other' } }),
      },
      sent: bearer(),
    }),
    'the first user alone of two of one name': () => ({
      files: {
        a: config({ ...first, user: { username: 'jane', password: 'x' } }),
        b: config({ ...first, user: { token: 't' } }),
      },
      sent: { ...bearer(), authorization: `Basic ${base64('jane:x')}` },
    }),
    '--context': () => ({
      files: { a: config(first), b: config(second) },
      flags: ['--context', 'second'],
      sent: { ...bearer(), path: `/second${HPAS}` },
    }),
    'a list with a file that does not exist': () => ({ files: of({}), order: ['nowhere', 'a'], sent: bearer() }),
    '~/.kube/config without $KUBECONFIG': () => ({
      files: { '.kube/config': config(first) },
      order: [],
      sent: bearer(),
    }),
    '--kubeconfig in place of $KUBECONFIG': (path) => ({
      files: { a: config(first), b: config(second) },
      order: ['a'],
      flags: ['--kubeconfig', join(path, 'b')],
      sent: { ...bearer(), path: `/second${HPAS}` },
    }),
    'a --kubeconfig that does not exist': () => ({ files: of({}), flags: ['--kubeconfig', '/nowhere'] }),
    'a server with a path': () => ({
      files: of({ cluster: { ...trusted, server: `${https}/k8s/clusters/c-1/` } }),
      sent: { ...bearer(), path: `/k8s/clusters/c-1${HPAS}` },
    }),
    'a server without TLS, without credentials': () => ({
      files: of({ cluster: { server: http } }),
      sent: { server: 'http', path: HPAS },
    }),
    'a context without its cluster': () => ({ files: { a: config({ cluster: undefined }) } }),
    'a context without its user': () => ({ files: { a: { ...config(first), users: [] } } }),
    'a relative tokenFile': () => ({
      files: { ...of({ user: { tokenFile: 'token' } }), token: 'from-file\n' },
      sent: bearer('from-file'),
    }),
    'a tokenFile rather than a token': () => ({
      files: { ...of({ user: { token: 'old', tokenFile: 'token' } }), token: 'from-file' },
      sent: bearer('from-file'),
    }),
    'a token where its tokenFile does not exist': () => ({
      files: of({ user: { token: 't', tokenFile: 'nowhere' } }),
      sent: bearer(),
    }),
    'a tokenFile that does not exist': () => ({ files: of({ user: { tokenFile: 'nowhere' } }) }),
    'a user name and password': () => ({
      files: of({ user: { username: 'jane', password: 'x' } }),
      sent: { ...bearer(), authorization: `Basic ${base64('jane:x')}` },
    }),
    'a token and a user name': () => ({ files: of({ user: { token: 't', username: 'jane', password: 'x' } }) }),
    'a client certificate': () => ({
      files: of({
        user: { 'client-certificate-data': base64(client.certificate), 'client-key-data': base64(client.key) },
      }),
      sent: { server: 'https', path: HPAS, hasClientCertificate: true },
    }),
    'files of certificates beside the kubeconfig': () => ({
      files: {
        ...of({
          cluster: { server: https, 'certificate-authority': 'ca.crt' },
          user: { 'client-certificate': 'user.crt', 'client-key': 'user.key' },
        }),
        'ca.crt': ca,
        'user.crt': client.certificate,
        'user.key': client.key,
      },
      sent: { server: 'https', path: HPAS, hasClientCertificate: true },
    }),
    'a certificate that is not trusted': () => ({ files: of({ cluster: { server: https } }) }),
    'insecure-skip-tls-verify': () => ({
      files: of({ cluster: { server: https, 'insecure-skip-tls-verify': true } }),
      sent: bearer(),
    }),
    'a certificate authority and insecure-skip-tls-verify': () => ({
      files: of({ cluster: { ...trusted, 'insecure-skip-tls-verify': true } }),
    }),
    'tls-server-name': () => ({
      files: of({ cluster: { ...trusted, 'tls-server-name': 'localhost' } }),
      sent: { ...bearer(), servername: 'localhost' },
    }),
    'a tls-server-name that the certificate does not have': () => ({
      files: of({ cluster: { ...trusted, 'tls-server-name': 'other.example.com' } }),
    }),
    'impersonation of a user': () => ({
      files: of({ user: { token: 't', as: 'jane' } }),
      sent: { ...bearer(), impersonation: { 'impersonate-user': 'jane' } },
    }),
    'impersonation of a user with groups, uid and extras': () => ({
      files: of({
        user: {
          ...{ token: 't', as: 'jane', 'as-uid': '7', 'as-groups': ['dev', 'ops'] },
          'as-user-extra': { 'example.com/reason': ['a', 'b'], scopes: ['view'] },
        },
      }),
      sent: {
        ...bearer(),
        impersonation: {
          ...{ 'impersonate-user': 'jane', 'impersonate-uid': '7', 'impersonate-group': ['dev', 'ops'] },
          ...{ 'impersonate-extra-example.com%2freason': ['a', 'b'], 'impersonate-extra-scopes': 'view' },
        },
      },
    }),
    'impersonation of groups alone': () => ({ files: of({ user: { token: 't', 'as-groups': ['dev'] } }) }),
    'a command beside the kubeconfig': () => ({
      files: { ...of({ user: exec() }), ...token },
      sent: bearer('executed'),
      execInfo: { kind: 'ExecCredential', apiVersion: V1, spec: { interactive: false } },
    }),
    'a command in the PATH, with arguments and variables': () => ({
      files: of({
        user: exec({
          command: 'sh',
          args: [
            '-c',
            `echo "{\\"kind\\":\\"ExecCredential\\",\\"apiVersion\\":\\"${V1}\\",\\"status\\":{\\"token\\":\\"$WHO\\"}}"`,
          ],
          env: [{ name: 'WHO', value: 'jane' }],
        }),
      }),
      sent: bearer('jane'),
    }),
    'a command that gets the cluster in its environment': () => ({
      files: {
        ...of({
          user: exec({ provideClusterInfo: true }),
          cluster: {
            ...{ ...trusted, 'tls-server-name': 'localhost' },
            extensions: [{ name: 'client.authentication.k8s.io/exec', extension: { audience: 'me' } }],
          },
        }),
        ...token,
      },
      sent: { ...bearer('executed'), servername: 'localhost' },
      execInfo: {
        kind: 'ExecCredential',
        apiVersion: V1,
        spec: {
          cluster: { ...trusted, 'tls-server-name': 'localhost', config: { audience: 'me' } },
          interactive: false,
        },
      },
    }),
    'a token rather than a command': () => ({
      files: { ...of({ user: { ...exec(), token: 't' } }), ...token },
      sent: bearer(),
    }),
    'a command that gives a client certificate': () => ({
      files: {
        ...of({ user: exec() }),
        'token.sh': script({ clientCertificateData: client.certificate, clientKeyData: client.key }).replaceAll(
          "'",
          "'",
        ),
      },
      sent: { server: 'https', path: HPAS, hasClientCertificate: true },
    }),
    'a command that does not exist': () => ({ files: of({ user: exec({ command: 'no-such-plugin' }) }) }),
    'a command that needs a terminal': () => ({
      files: { ...of({ user: exec({ interactiveMode: 'Always' }) }), ...token },
    }),
    'a command without interactiveMode': () => ({
      files: { ...of({ user: exec({ interactiveMode: undefined }) }), ...token },
    }),
    'a command that answers in another version': () => ({
      files: { ...of({ user: exec({ apiVersion: 'client.authentication.k8s.io/v1beta1' }) }), ...token },
    }),
    'proxy-url to a server with TLS': () => ({
      files: of({ cluster: { ...remote, 'proxy-url': proxy } }),
      sent: { ...bearer(), ...toRemote },
    }),
    'proxy-url to a server without TLS': () => ({
      files: of({ cluster: { server: 'http://api.internal.invalid:6443', 'proxy-url': proxy } }),
      sent: { server: 'proxy', path: `http://api.internal.invalid:6443${HPAS}` },
    }),
    'proxy-url of a SOCKS proxy, which resolves the name': () => ({
      files: of({ cluster: { ...remote, 'proxy-url': socks } }),
      sent: { ...bearer(), ...toRemote },
    }),
    'a proxy-url of another scheme': () => ({
      files: of({ cluster: { ...remote, 'proxy-url': 'ftp://127.0.0.1:1' } }),
    }),
    HTTPS_PROXY: () => ({
      files: of({ cluster: remote }),
      env: { HTTPS_PROXY: proxy },
      sent: { ...bearer(), ...toRemote },
    }),
    'HTTPS_PROXY without a scheme': () => ({
      files: of({ cluster: remote }),
      env: { HTTPS_PROXY: proxy.replace('http://', '') },
      sent: { ...bearer(), ...toRemote },
    }),
    'NO_PROXY with the parent domain of a server that only the proxy knows': () => ({
      files: of({ cluster: remote }),
      env: { HTTPS_PROXY: proxy, NO_PROXY: 'internal.invalid' },
    }),
    'NO_PROXY for another port': () => ({
      files: of({ cluster: remote }),
      env: { HTTPS_PROXY: proxy, NO_PROXY: 'api.internal.invalid:443' },
      sent: { ...bearer(), ...toRemote },
    }),
    'NO_PROXY with an asterisk in a list, for a server that only the proxy knows': () => ({
      files: of({ cluster: remote }),
      env: { HTTPS_PROXY: proxy, NO_PROXY: 'example.com,*' },
    }),
    'ALL_PROXY alone for a server that only the proxy knows': () => ({
      files: of({ cluster: remote }),
      env: { ALL_PROXY: proxy },
    }),
    'https_proxy in lower case': () => ({
      files: of({ cluster: remote }),
      env: { https_proxy: proxy },
      sent: { ...bearer(), ...toRemote },
    }),
    HTTP_PROXY: () => ({
      files: of({ cluster: { server: 'http://api.internal.invalid:6443' } }),
      env: { HTTP_PROXY: proxy },
      sent: { server: 'proxy', path: `http://api.internal.invalid:6443${HPAS}` },
    }),
    'HTTPS_PROXY alone for a server without TLS': () => ({
      files: of({ cluster: { server: 'http://api.internal.invalid:6443' } }),
      env: { HTTPS_PROXY: proxy },
    }),
    'NO_PROXY with the domain of a server that only the proxy knows': () => ({
      files: of({ cluster: remote }),
      env: { HTTPS_PROXY: proxy, NO_PROXY: 'example.com,.internal.invalid' },
    }),
    'NO_PROXY with a range of other addresses': () => ({
      files: of({ cluster: { ...remote, server: 'https://192.0.2.1:6443' } }),
      env: { HTTPS_PROXY: proxy, NO_PROXY: '10.0.0.0/8,198.51.100.1' },
      sent: { ...bearer(), through: '192.0.2.1:6443' },
    }),
    'HTTPS_PROXY, which the loopback interface does not need': () => ({
      files: of({}),
      env: { HTTPS_PROXY: proxy },
      sent: bearer(),
    }),
    'proxy-url rather than NO_PROXY': () => ({
      files: of({ cluster: { ...remote, 'proxy-url': proxy } }),
      env: { HTTPS_PROXY: 'http://127.0.0.1:1', NO_PROXY: '*' },
      sent: { ...bearer(), ...toRemote },
    }),
  };
}

/**
 * What a client makes of kubeconfigs, proxies and commands: the first request that it sends, or that it sends none and fails. The
 * real kubectl is such a client too.
 */
export function describeKubeconfigs({ run }: Client): void {
  let recorder: Recorder;
  beforeAll(async () => {
    recorder = await startRecorder();
  });
  afterAll(() => recorder.stop());

  // The titles alone; the servers are not there yet.
  const nowhere = { https: '', http: '', proxy: '', socks: '', ca: '', client: { key: '', certificate: '' } };
  const titles = Object.entries(cases(nowhere as Recorder)).map(([title, of]) => [
    of('').sent ? 'works' : 'fails',
    title,
  ]);

  describe('a client of a cluster', () => {
    test.each(titles)('%s with %s', async (_, title = '') => {
      const home = mkdtempSync(join(folder, 'home-'));
      const {
        files,
        order = Object.keys(files).filter((name) => typeof files[name] === 'object'),
        ...one
      } = (cases(recorder)[title] as (path: string) => Case)(home);
      mkdirSync(join(home, '.kube'));
      for (const [name, content] of Object.entries(files)) {
        writeFileSync(join(home, name), typeof content === 'string' ? content : JSON.stringify(content));
        if (name.endsWith('.sh')) chmodSync(join(home, name), 0o755);
      }
      recorder.requests.length = 0;
      const list = order.map((name) => join(home, name)).join(delimiter);
      const env = { ...one.env, ...(list === '' ? {} : { KUBECONFIG: list }) };
      const { code } = await run({ flags: one.flags ?? [], env, home });
      expect({ succeeded: code === 0, sent: recorder.requests[0] }).toEqual({
        succeeded: one.sent !== undefined,
        sent: one.sent,
      });
      if (one.execInfo) expect(JSON.parse(readFileSync(join(home, 'info'), 'utf8'))).toEqual(one.execInfo);
    });
  });
}
