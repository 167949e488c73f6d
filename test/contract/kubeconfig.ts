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
  /** The name of a file stands for its path. */
  readonly flags?: string[];
  readonly env?: Record<string, string>;
  /** The first request, or `undefined` where none may be sent. */
  readonly sent?: Partial<Sent>;
  /** What a command of the user saw in KUBERNETES_EXEC_INFO. */
  readonly execInfo?: object;
}

function cases({ https, http, proxy, socks, ca, client }: Recorder): Record<string, Case> {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const trusted = { server: https, 'certificate-authority-data': base64(ca) };
  const insecure = { server: https, 'insecure-skip-tls-verify': true };
  const remote = { ...insecure, server: 'https://api.internal.invalid:6443' };
  const plainRemote = { server: 'http://api.internal.invalid:6443' };
  const request = { server: 'https' as const, path: HPAS };
  const bearer = (token = 't') => ({ ...request, authorization: `Bearer ${token}` });
  const basic = { ...request, authorization: `Basic ${base64('jane:x')}` };
  const withCertificate = { ...request, hasClientCertificate: true as const };
  const toRemote = { ...bearer(), through: 'api.internal.invalid:6443', servername: 'api.internal.invalid' };
  const toPlainRemote = { server: 'proxy' as const, path: `http://api.internal.invalid:6443${HPAS}` };
  const ofCertificate = {
    'client-certificate-data': base64(client.certificate),
    'client-key-data': base64(client.key),
  };
  const jane = { username: 'jane', password: 'x' };

  /** The API server would check the signature. */
  const idToken = (exp: number) =>
    ['{"alg":"none"}', `{"exp":${exp}}`, 'x'].map((part) => Buffer.from(part).toString('base64url')).join('.');
  const valid = idToken(4_102_444_800);
  const issuer = { 'client-id': 'me', 'idp-issuer-url': 'https://issuer.internal.invalid', 'refresh-token': 'r' };
  const oidc = (token: string) => ({ 'auth-provider': { name: 'oidc', config: { ...issuer, 'id-token': token } } });

  /** A kubeconfig with one context. */
  const one = (parts: Parts, sent?: Partial<Sent>, { files, ...more }: Partial<Case> = {}): Case => ({
    ...{ files: { a: config({ cluster: trusted, ...parts }), ...files }, sent },
    ...more,
  });
  /** Two kubeconfigs, which say the same but for what is given here. */
  const two = (a: Parts, b: Parts, sent: Partial<Sent>, more: Partial<Case> = {}): Case => ({
    files: {
      a: config({ name: 'first', cluster: trusted, ...a }),
      b: config({ name: 'second', cluster: { ...trusted, server: `${https}/second` }, ...b }),
    },
    ...{ sent, ...more },
  });
  const toSecond = { ...bearer(), path: `/second${HPAS}` };

  const script = (answer: object) =>
    `#!/bin/sh\necho "$KUBERNETES_EXEC_INFO" >"$(dirname "$0")/info"\nprintf '%s' '${JSON.stringify({ kind: 'ExecCredential', apiVersion: V1, status: answer })}'\n`;
  const answer = `{\\"kind\\":\\"ExecCredential\\",\\"apiVersion\\":\\"${V1}\\",\\"status\\":{\\"token\\":\\"$WHO\\"}}`;
  const exec = (more: object = {}) => ({
    exec: { apiVersion: V1, interactiveMode: 'Never', command: './token.sh', ...more },
  });
  const token = { files: { 'token.sh': script({ token: 'executed' }) } };
  const certificate = { clientCertificateData: client.certificate, clientKeyData: client.key };
  const execInfo = (spec: object) => ({
    ...{ kind: 'ExecCredential', apiVersion: V1 },
    spec: { interactive: false, ...spec },
  });
  const named = { ...trusted, 'tls-server-name': 'localhost' };
  const audience = [{ name: 'client.authentication.k8s.io/exec', extension: { audience: 'me' } }];

  return {
    'a token': one({}, bearer()),
    'the first file that names a current context': two({}, {}, bearer()),
    'a later current context where the first has none': two({ current: '' }, {}, toSecond),
    'the first of two clusters and users of one name': two(
      { name: 'same' },
      { name: 'same', user: { token: 'other' } },
      bearer(),
    ),
    'the first user alone of two of one name': two({ user: jane }, { name: 'first', user: { token: 't' } }, basic),
    '--context': two({}, {}, toSecond, { flags: ['--context', 'second'] }),
    'a list with a file that does not exist': one({}, bearer(), { order: ['nowhere', 'a'] }),
    '~/.kube/config without $KUBECONFIG': {
      files: { '.kube/config': config({ cluster: trusted }) },
      order: [],
      sent: bearer(),
    },
    '--kubeconfig in place of $KUBECONFIG': two({}, {}, toSecond, { order: ['a'], flags: ['--kubeconfig', 'b'] }),
    'a --kubeconfig that does not exist': one({}, undefined, { flags: ['--kubeconfig', '/nowhere'] }),
    'a server with a path': one(
      { cluster: { ...trusted, server: `${https}/k8s/clusters/c-1/` } },
      { ...bearer(), path: `/k8s/clusters/c-1${HPAS}` },
    ),
    'a server without TLS, without credentials': one({ cluster: { server: http } }, { server: 'http', path: HPAS }),
    'a context without its cluster': one({ cluster: undefined }),
    'a context without its user': { files: { a: { ...config({ cluster: trusted }), users: [] } } },
    'a relative tokenFile': one({ user: { tokenFile: 'token' } }, bearer('from-file'), {
      files: { token: 'from-file\n' },
    }),
    'a tokenFile rather than a token': one({ user: { token: 'old', tokenFile: 'token' } }, bearer('from-file'), {
      files: { token: 'from-file' },
    }),
    'a token where its tokenFile does not exist': one({ user: { token: 't', tokenFile: 'nowhere' } }, bearer()),
    'a tokenFile that does not exist': one({ user: { tokenFile: 'nowhere' } }),
    'a user name and password': one({ user: jane }, basic),
    'a user name alone': one({ user: { username: 'jane' } }, { ...request, authorization: `Basic ${base64('jane:')}` }),
    'an auth-provider (OIDC) whose token is valid': one({ user: oidc(valid) }, bearer(valid)),
    'an auth-provider (OIDC) whose token has expired, and whose issuer does not answer': one({
      user: oidc(idToken(1)),
    }),
    'an auth-provider that is no longer known': one({ user: { 'auth-provider': { name: 'gcp', config: {} } } }),
    'a token and a user name': one({ user: { token: 't', ...jane } }),
    'a client certificate': one({ user: ofCertificate }, withCertificate),
    'files of certificates beside the kubeconfig': one(
      {
        cluster: { server: https, 'certificate-authority': 'ca.crt' },
        user: { 'client-certificate': 'user.crt', 'client-key': 'user.key' },
      },
      withCertificate,
      { files: { 'ca.crt': ca, 'user.crt': client.certificate, 'user.key': client.key } },
    ),
    ...Object.fromEntries(
      ['client-certificate', 'client-key'].map((both) => [
        `${both} and ${both}-data`,
        one({ user: { ...ofCertificate, [both]: 'file' } }, undefined, {
          files: { file: both === 'client-key' ? client.key : client.certificate },
        }),
      ]),
    ),
    'certificate-authority and certificate-authority-data': one(
      { cluster: { ...trusted, 'certificate-authority': 'ca.crt' } },
      undefined,
      { files: { 'ca.crt': ca } },
    ),
    'a client certificate without a key': one({ user: { ...ofCertificate, 'client-key-data': undefined } }),
    'null where nothing is set': one(
      {
        cluster: { ...trusted, 'certificate-authority': null, 'tls-server-name': null, 'proxy-url': null },
        user: { ...exec({ args: null, env: null }), token: null, as: null, 'as-groups': null, 'as-user-extra': null },
      },
      bearer('executed'),
      token,
    ),
    'a certificate that is not trusted': one({ cluster: { server: https } }),
    'insecure-skip-tls-verify': one({ cluster: insecure }, bearer()),
    'a certificate authority and insecure-skip-tls-verify': one({ cluster: { ...trusted, ...insecure } }),
    'tls-server-name': one({ cluster: named }, { ...bearer(), servername: 'localhost' }),
    'a tls-server-name that the certificate does not have': one({
      cluster: { ...trusted, 'tls-server-name': 'other.example.com' },
    }),
    'impersonation of a user': one(
      { user: { token: 't', as: 'jane' } },
      { ...bearer(), impersonation: { 'impersonate-user': 'jane' } },
    ),
    'impersonation of a user with groups, uid and extras': one(
      {
        user: {
          ...{ token: 't', as: 'jane', 'as-uid': '7', 'as-groups': ['dev', 'ops'] },
          'as-user-extra': { 'example.com/reason': ['a', 'b'], scopes: ['view'] },
        },
      },
      {
        ...bearer(),
        impersonation: {
          ...{ 'impersonate-user': 'jane', 'impersonate-uid': '7', 'impersonate-group': ['dev', 'ops'] },
          ...{ 'impersonate-extra-example.com%2freason': ['a', 'b'], 'impersonate-extra-scopes': 'view' },
        },
      },
    ),
    'impersonation of groups alone': one({ user: { token: 't', 'as-groups': ['dev'] } }),
    'a command beside the kubeconfig': one({ user: exec() }, bearer('executed'), {
      ...token,
      execInfo: execInfo({}),
    }),
    'a command in the PATH, with arguments and variables': one(
      { user: exec({ command: 'sh', args: ['-c', `echo "${answer}"`], env: [{ name: 'WHO', value: 'jane' }] }) },
      bearer('jane'),
    ),
    'a command that gets the cluster in its environment': one(
      { user: exec({ provideClusterInfo: true }), cluster: { ...named, extensions: audience } },
      { ...bearer('executed'), servername: 'localhost' },
      { ...token, execInfo: execInfo({ cluster: { ...named, config: { audience: 'me' } } }) },
    ),
    'a token rather than a command': one({ user: { ...exec(), token: 't' } }, bearer(), token),
    'a user name rather than a command': one({ user: { ...exec(), ...jane } }, basic, token),
    'a client certificate rather than a command': one(
      { user: { ...exec(), ...ofCertificate } },
      withCertificate,
      token,
    ),
    'a command that gives a client certificate': one({ user: exec() }, withCertificate, {
      files: { 'token.sh': script(certificate) },
    }),
    'a command that does not exist': one({ user: exec({ command: 'no-such-plugin' }) }),
    'a command that needs a terminal': one({ user: exec({ interactiveMode: 'Always' }) }, undefined, token),
    'a command without interactiveMode': one({ user: exec({ interactiveMode: undefined }) }, undefined, token),
    'a command that answers in another version': one(
      { user: exec({ apiVersion: 'client.authentication.k8s.io/v1beta1' }) },
      undefined,
      token,
    ),
    'proxy-url to a server with TLS': one({ cluster: { ...remote, 'proxy-url': proxy } }, toRemote),
    'proxy-url to a server without TLS': one({ cluster: { ...plainRemote, 'proxy-url': proxy } }, toPlainRemote),
    'proxy-url of a SOCKS proxy, which resolves the name': one(
      { cluster: { ...remote, 'proxy-url': socks } },
      toRemote,
    ),
    'a proxy-url of another scheme': one({ cluster: { ...remote, 'proxy-url': 'ftp://127.0.0.1:1' } }),
    'proxy-url rather than NO_PROXY': one({ cluster: { ...remote, 'proxy-url': proxy } }, toRemote, {
      env: { HTTPS_PROXY: 'http://127.0.0.1:1', NO_PROXY: '*' },
    }),
    HTTPS_PROXY: one({ cluster: remote }, toRemote, { env: { HTTPS_PROXY: proxy } }),
    'HTTPS_PROXY without a scheme': one({ cluster: remote }, toRemote, {
      env: { HTTPS_PROXY: proxy.replace('http://', '') },
    }),
    'https_proxy in lower case': one({ cluster: remote }, toRemote, { env: { https_proxy: proxy } }),
    'ALL_PROXY alone for a server that only the proxy knows': one({ cluster: remote }, undefined, {
      env: { ALL_PROXY: proxy },
    }),
    HTTP_PROXY: one({ cluster: plainRemote }, toPlainRemote, { env: { HTTP_PROXY: proxy } }),
    'HTTPS_PROXY alone for a server without TLS': one({ cluster: plainRemote }, undefined, {
      env: { HTTPS_PROXY: proxy },
    }),
    'HTTPS_PROXY, which the loopback interface does not need': one({}, bearer(), { env: { HTTPS_PROXY: proxy } }),
    // A server that only the proxy knows is reached through it, or not at all.
    ...Object.fromEntries(
      ['internal.invalid', 'example.com,.internal.invalid', 'example.com,*'].map((NO_PROXY) => [
        `NO_PROXY ${NO_PROXY} for a server that only the proxy knows`,
        one({ cluster: remote }, undefined, { env: { HTTPS_PROXY: proxy, NO_PROXY } }),
      ]),
    ),
    'NO_PROXY for another port': one({ cluster: remote }, toRemote, {
      env: { HTTPS_PROXY: proxy, NO_PROXY: 'api.internal.invalid:443' },
    }),
    'NO_PROXY with a range of other addresses': one(
      { cluster: { ...remote, server: 'https://192.0.2.1:6443' } },
      { ...bearer(), through: '192.0.2.1:6443' },
      { env: { HTTPS_PROXY: proxy, NO_PROXY: '10.0.0.0/8,198.51.100.1' } },
    ),
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
  const titles = Object.entries(cases(nowhere as Recorder)).map(([title, { sent }]) => [
    sent ? 'works' : 'fails',
    title,
  ]);

  describe('a client of a cluster', () => {
    test.each(titles)('%s with %s', async (_, title = '') => {
      const home = mkdtempSync(join(folder, 'home-'));
      const { files, flags = [], env, sent, execInfo, ...one } = cases(recorder)[title] as Case;
      const { order = Object.keys(files).filter((name) => typeof files[name] === 'object') } = one;
      const pathOf = (name: string) => join(home, name);
      mkdirSync(join(home, '.kube'));
      for (const [name, content] of Object.entries(files)) {
        writeFileSync(pathOf(name), typeof content === 'string' ? content : JSON.stringify(content));
        if (name.endsWith('.sh')) chmodSync(pathOf(name), 0o755);
      }
      recorder.requests.length = 0;
      const { code } = await run({
        flags: flags.map((flag) => (flag in files ? pathOf(flag) : flag)),
        env: { ...env, ...(order.length > 0 && { KUBECONFIG: order.map(pathOf).join(delimiter) }) },
        home,
      });
      expect({ succeeded: code === 0, sent: recorder.requests[0] }).toEqual({ succeeded: sent !== undefined, sent });
      if (execInfo) expect(JSON.parse(readFileSync(pathOf('info'), 'utf8'))).toEqual(execInfo);
    });
  });
}
