import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { KubeconfigDirectory } from '../../../functions/cli/input/kubeconfig.ts';
import { folder, save } from '../../temporary-files.ts';

interface Context {
  user?: object;
  cluster?: object;
  /** The name of the cluster, and whether there is one. */
  named?: string;
  exists?: boolean;
}
/** A kubeconfig with these contexts, the first being the current one. */
function kubeconfig(contexts: Record<string, Context>): string {
  const entries = Object.entries(contexts).map(([name, one]) => ({ name, named: name, exists: true, ...one }));
  return save({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': entries[0]?.name,
    clusters: entries
      .filter(({ exists }) => exists)
      .map(({ named, cluster }) => ({ name: named, cluster: { server: 'https://127.0.0.1:1', ...cluster } })),
    users: entries.map(({ name, user = { token: 'any' } }) => ({ name, user })),
    contexts: entries.map(({ name, named }) => ({ name, context: { cluster: named, user: name } })),
  });
}

const exec = (command: string, ...args: string[]) => ({
  exec: { apiVersion: 'client.authentication.k8s.io/v1', interactiveMode: 'IfAvailable', command, args },
});
const script = (code: string, ...args: string[]) => exec(process.execPath, '-e', code, ...args);
const credential = (status: object) =>
  JSON.stringify({ apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status });
const command = `command ${process.execPath}`;
const EXPIRED = credential({ token: 'any', expirationTimestamp: '2020-01-01T00:00:00Z' });

const TOO_LONG = `https://A${'-'.repeat(50_000)}`;

describe('a context that gives no access names its fault, and not the token', () => {
  test.each<[string, Context, string]>([
    [
      'a failing command',
      { user: script('console.error("\\nThe session has expired.\\nRun aws sso login."); process.exit(255)') },
      `cannot authenticate: its ${command} failed: The session has expired. Run aws sso login.`,
    ],
    [
      'a silent command',
      { user: script('process.exit(1)') },
      `cannot authenticate: its ${command} failed: it printed no reason`,
    ],
    [
      'a command that is not installed',
      { user: exec('no-such-plugin') },
      'cannot authenticate: its command no-such-plugin failed: spawn no-such-plugin ENOENT',
    ],
    [
      'a command that prints a bare token',
      { user: script('console.log("k8s-aws-v1.c2VjcmV0")') },
      `cannot authenticate: its ${command} failed: it gives no token`,
    ],
    [
      'a credential without a token',
      { user: script('console.log(process.argv[1])', '{"kind":"ExecCredential"}') },
      `cannot authenticate: its ${command} failed: it gives no token`,
    ],
    [
      'a credential of another type',
      { user: script('console.log(process.argv[1])', '{"status":{"clientCertificateData":{"x":"secret"}}}') },
      `cannot authenticate: its ${command} failed: its credential has fields that are not strings`,
    ],
    [
      'a certificate authority that does not exist',
      { cluster: { 'certificate-authority': '/nowhere/ca.crt' }, user: exec('echo') },
      "cannot authenticate: ENOENT: no such file or directory, open '/nowhere/ca.crt'",
    ],
    [
      'a client certificate that does not exist',
      { user: { 'client-certificate': '/nowhere/jane.crt', 'client-key': '/nowhere/jane.key' } },
      "cannot authenticate: ENOENT: no such file or directory, open '/nowhere/jane.crt'",
    ],
    [
      'an auth-provider',
      { user: { 'auth-provider': { name: 'gcp', config: {} } } },
      'cannot authenticate: its auth-provider gcp failed: Token is expired!',
    ],
    [
      'a client certificate that is none',
      { user: { 'client-certificate-data': 'aGVsbG8=', 'client-key-data': 'aGVsbG8=' } },
      'cannot authenticate: error:0480006C:PEM routines::no start line',
    ],
    [
      'a token that no header can contain',
      { user: { token: 'a\nb' } },
      'cannot authenticate: Invalid character in header content ["Authorization"]',
    ],
    [
      'an exec without a command',
      { user: exec('') },
      'cannot authenticate: its command  failed: the kubeconfig names no command',
    ],
    ['a proxy-url of FTP', { cluster: { 'proxy-url': 'ftp://proxy' } }, 'its proxy-url is not the URL of a proxy'],
    ['a proxy-url that is no URL', { cluster: { 'proxy-url': 'proxy' } }, 'its proxy-url is not the URL of a proxy'],
    ['no scheme', { cluster: { server: '127.0.0.1:1' } }, 'its server 127.0.0.1:1 is not an https:// URL'],
    [
      'a password before the host, and no scheme',
      { cluster: { server: 'jane:p@ss@127.0.0.1:1' } },
      'its server (user)@127.0.0.1:1 is not an https:// URL',
    ],
    ['a host that is too long', { cluster: { server: TOO_LONG } }, `${`its server ${TOO_LONG}`.slice(0, 1986)}…`],
    ['a control character', { cluster: { server: 'http://a\u001e' } }, 'its server http://a  is not an https:// URL'],
    ['no host', { cluster: { server: 'https://' } }, 'its server https:/ is not an https:// URL'],
    ['no cluster', { exists: false }, 'the kubeconfig has no cluster prod'],
    ['a token and a user name', { user: { token: 'any', username: 'jane' } }, 'its user has a token and a user name'],
    [
      'a command that is not installed, with its hint',
      { user: { exec: { ...exec('no-such-plugin').exec, installHint: '\nInstall it.\n' } } },
      'cannot authenticate: its command no-such-plugin failed: spawn no-such-plugin ENOENT: Install it.',
    ],
  ])('%s', async (_, context, fault) => {
    const directory = new KubeconfigDirectory({ kubeconfig: kubeconfig({ prod: context }) });
    const error = await directory.connection('prod').catch((thrown) => thrown);
    expect(error).toMatchObject({ reason: 'ClusterUnauthorized', message: `context prod: ${fault}` });
    expect(error.remedy).toMatch(
      /^(Log in again\. If|Write https:\/\/HOST:PORT into|Write http:\/\/HOST:PORT or socks5|Correct the context|Remove one of them)/,
    );
    expect(error.cause).toBeUndefined();
  });

  test('also where its command fails only later', async () => {
    const asked = join(folder, 'asked');
    const code =
      'const [file, credential] = process.argv.slice(1); const fs = require("node:fs"); if (fs.existsSync(file)) { console.error("logged out"); process.exit(1); } fs.writeFileSync(file, ""); console.log(credential)';
    const directory = new KubeconfigDirectory({
      kubeconfig: kubeconfig({ prod: { user: script(code, asked, EXPIRED) } }),
    });
    const { headers } = await directory.connection('prod');
    await expect(headers()).rejects.toThrow(`context prod: cannot authenticate: its ${command} failed: logged out`);
  });
});

test('a context with values of other types gives no access', async () => {
  const odd = { toString: 1 };
  const file = save({
    clusters: [{ name: 'c', cluster: { server: odd } }],
    users: [{ name: 'u', user: { exec: { command: odd } } }],
    contexts: [
      { name: 'no-cluster', context: { cluster: odd, user: odd, namespace: odd } },
      { name: 'no-server', context: { cluster: 'c', user: 'u' } },
    ],
    'current-context': odd,
  });
  const directory = new KubeconfigDirectory({ kubeconfig: file, allContexts: true });
  await expect(directory.connection('no-cluster')).rejects.toThrow(/the kubeconfig has no cluster \(none\)$/);
  await expect(directory.connection('no-server')).rejects.toThrow(/its server \(none\) is not an https:\/\/ URL$/);
  expect(directory.eksContext('no-server')).toBeUndefined();
  expect(() => new KubeconfigDirectory({ kubeconfig: file })).toThrow(/no context \(none is current\)/);
});

test('lists every context, also one without a cluster', async () => {
  const file = kubeconfig({ one: {}, two: { exists: false } });
  expect(await new KubeconfigDirectory({ kubeconfig: file, allContexts: true }).list()).toEqual(['one', 'two']);
  expect(await new KubeconfigDirectory({ kubeconfig: file }).list()).toEqual(['one']);
});

test('reads the file of a token again after a minute', async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  onTestFinished(() => void vi.useRealTimers());
  const tokenFile = save('one');
  const directory = new KubeconfigDirectory({ kubeconfig: kubeconfig({ prod: { user: { tokenFile } } }) });
  const { headers } = await directory.connection('prod');
  const tokens: unknown[] = [];
  for (const text of ['two', 'three']) {
    tokens.push((await headers()).Authorization);
    writeFileSync(tokenFile, text);
    vi.advanceTimersByTime(61_000);
  }
  expect([...tokens, (await headers()).Authorization]).toEqual(['Bearer one', 'Bearer two', 'Bearer three']);
});

test('runs the command of a user again once its credential has expired, or after a 401', async () => {
  const code = 'console.log(process.argv[1].replace("any", String(process.hrtime.bigint())))';
  const tokens = async (credential: string, renew: boolean) => {
    const user = script(code, credential);
    const { headers } = await new KubeconfigDirectory({ kubeconfig: kubeconfig({ prod: { user } }) }).connection(
      'prod',
    );
    return new Set([(await headers()).Authorization, (await headers(renew)).Authorization]).size;
  };
  expect(await tokens(EXPIRED, false)).toBe(2);
  expect(await tokens(credential({ token: 'any' }), false)).toBe(1);
  expect(await tokens(credential({ token: 'any' }), true)).toBe(2);
});

test('runs the command once for requests that are sent at the same time', async () => {
  const runs = join(folder, 'runs');
  const code = 'require("node:fs").appendFileSync(process.argv[1], "x"); console.log(process.argv[2])';
  const user = script(code, runs, EXPIRED);
  const { headers } = await new KubeconfigDirectory({ kubeconfig: kubeconfig({ prod: { user } }) }).connection('prod');
  await Promise.all([headers(), headers(), headers()]);
  expect(readFileSync(runs, 'utf8')).toBe('xx');
});

// kubectl sends none, but whoever writes both wants them sent.
test('sends credentials without TLS where insecure-skip-tls-verify is set', async () => {
  const cluster = { server: 'http://127.0.0.1:1', 'insecure-skip-tls-verify': true };
  const directory = new KubeconfigDirectory({ kubeconfig: kubeconfig({ prod: { cluster } }) });
  expect(await (await directory.connection('prod')).headers()).toMatchObject({ Authorization: 'Bearer any' });
});

test.each<[string, () => ConstructorParameters<typeof KubeconfigDirectory>[0], RegExp]>([
  ['a file that does not exist', () => ({ kubeconfig: '/nowhere' }), /^kubeconfig \/nowhere cannot be read: ENOENT/],
  [
    'a file that is no YAML, without quoting its token',
    () => ({ kubeconfig: save('users:\n- {name: jane, user: {token: secret}]\n') }),
    /^kubeconfig \S+ cannot be read: (?!.*secret).*$/,
  ],
  [
    'an unknown context',
    () => ({ kubeconfig: kubeconfig({ one: {}, two: {} }), context: 'staging' }),
    /^the kubeconfig has no context staging; it has one, two$/,
  ],
])('rejects %s', (_, options, message) => {
  expect(() => new KubeconfigDirectory(options())).toThrow(message);
});
