import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { KubeconfigDirectory } from '../../../functions/cli/input/kubeconfig.ts';
import { folder, save } from '../../temporary-files.ts';

interface Context {
  user?: object;
  cluster?: object;
  /** Whether there is a cluster of its name. */
  exists?: boolean;
}
/** A kubeconfig with these contexts, the first being the current one. */
function kubeconfig(contexts: Record<string, Context>): string {
  const entries = Object.entries(contexts).map(([name, one]) => ({ name, exists: true, ...one }));
  return save({
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': entries[0]?.name },
    clusters: entries
      .filter(({ exists }) => exists)
      .map(({ name, cluster }) => ({ name, cluster: { server: 'https://127.0.0.1:1', ...cluster } })),
    users: entries.map(({ name, user = { token: 'any' } }) => ({ name, user })),
    contexts: entries.map(({ name }) => ({ name, context: { cluster: name, user: name } })),
  });
}
/** The connection of a context. */
const connection = (context: Context) =>
  new KubeconfigDirectory({ kubeconfig: kubeconfig({ prod: context }) }).connection('prod');

const exec = (command: string, ...args: string[]) => ({
  exec: { apiVersion: 'client.authentication.k8s.io/v1', interactiveMode: 'IfAvailable', command, args },
});
const script = (code: string, ...args: string[]) => exec(process.execPath, '-e', code, ...args);
const credential = (status: object) =>
  JSON.stringify({ apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status });
const printing = (output: string) => script('console.log(process.argv[1])', output);
const COMMAND = `its command ${process.execPath} failed`;
const NO_PLUGIN = 'its command no-such-plugin failed: spawn no-such-plugin ENOENT';
const EXPIRED = credential({ token: 'any', expirationTimestamp: '2020-01-01T00:00:00Z' });

const TOO_LONG = `https://A${'-'.repeat(50_000)}`;

describe('a context that gives no access names its fault, and not the token', () => {
  const noAccess = async (context: Context, fault: string, remedy: RegExp) => {
    const error = await connection(context).catch((thrown) => thrown);
    expect(error).toMatchObject({ reason: 'ClusterUnauthorized', message: `context prod: ${fault}` });
    expect(error.remedy).toMatch(remedy);
    expect(error.cause).toBeUndefined();
  };

  test.each<[string, object, string]>([
    ['a command', script('console.error("\\nExpired.\\nLog in."); process.exit(255)'), `${COMMAND}: Expired. Log in.`],
    ['a silent command', script('process.exit(1)'), `${COMMAND}: it printed no reason`],
    ['a command that is not installed', exec('no-such-plugin'), NO_PLUGIN],
    [
      'a command that is not installed, with its hint',
      { exec: { ...exec('no-such-plugin').exec, installHint: '\nInstall it.\n' } },
      `${NO_PLUGIN}: Install it.`,
    ],
    ['a command that prints a bare token', printing('k8s-aws-v1.c2VjcmV0'), `${COMMAND}: it gives no token`],
    ['a credential without a token', printing('{"kind":"ExecCredential"}'), `${COMMAND}: it gives no token`],
    [
      'a credential of another type',
      printing('{"status":{"clientCertificateData":{"x":"secret"}}}'),
      `${COMMAND}: its credential has fields that are not strings`,
    ],
    ['an exec without a command', exec(''), 'its command  failed: the kubeconfig names no command'],
    [
      'a client certificate that does not exist',
      { 'client-certificate': '/nowhere/jane.crt', 'client-key': '/nowhere/jane.key' },
      "ENOENT: no such file or directory, open '/nowhere/jane.crt'",
    ],
    [
      'a client certificate that is none',
      { 'client-certificate-data': 'aGVsbG8=', 'client-key-data': 'aGVsbG8=' },
      'error:0480006C:PEM routines::no start line',
    ],
    [
      'an auth-provider',
      { 'auth-provider': { name: 'gcp', config: { 'cmd-path': 'echo', 'cmd-args': 'secret', 'token-key': '{.a}' } } },
      'its auth-provider gcp failed: kubectl knows no such auth-provider',
    ],
    [
      'a token of OIDC that is none',
      { 'auth-provider': { name: 'oidc', config: { 'id-token': 'secret.secret.secret', 'client-id': 'me' } } },
      'its auth-provider oidc failed: its token has expired, or is none; any kubectl command with this context renews it',
    ],
    ['a token that no header can contain', { token: 'a\nb' }, 'Invalid character in header content ["Authorization"]'],
  ])('%s that does not authenticate', async (_, user, fault) => {
    await noAccess({ user }, `cannot authenticate: ${fault}`, /^Log in again\. If/);
  });

  const PROXY = 'its proxy-url is not the URL of a proxy';
  test.each<[string, Context, string, RegExp]>([
    [
      'a certificate authority that does not exist',
      { cluster: { 'certificate-authority': '/nowhere/ca.crt' }, user: exec('echo') },
      "cannot authenticate: ENOENT: no such file or directory, open '/nowhere/ca.crt'",
      /^Log in again\. If/,
    ],
    ['a proxy-url of FTP', { cluster: { 'proxy-url': 'ftp://proxy' } }, PROXY, /^Write http:.* or socks5/],
    ['a proxy-url that is no URL', { cluster: { 'proxy-url': 'proxy' } }, PROXY, /^Write http:.* or socks5/],
    ['no cluster', { exists: false }, 'the kubeconfig has no cluster prod', /^Correct the context/],
    [
      'a token and a user name',
      { user: { token: 'any', username: 'jane' } },
      'its user has a token and a user name',
      /^Remove one of them/,
    ],
  ])('%s', async (_, context, fault, remedy) => {
    await noAccess(context, fault, remedy);
  });

  test.each([
    ['no scheme', '127.0.0.1:1', '127.0.0.1:1 is not an https:// URL'],
    ['a password and no scheme', 'jane:p@ss@127.0.0.1:1', '(user)@127.0.0.1:1 is not an https:// URL'],
    ['a host that is too long', TOO_LONG, `${TOO_LONG.slice(0, 1975)}…`],
    ['a control character', 'http://a\u001e', 'http://a  is not an https:// URL'],
    ['no host', 'https://', 'https:/ is not an https:// URL'],
  ])('a server with %s', async (_, server, fault) => {
    await noAccess({ cluster: { server } }, `its server ${fault}`, /^Write https:\/\/HOST:PORT into/);
  });

  test('also if its command fails only later', async () => {
    const asked = join(folder, 'asked');
    const code =
      'const [file, credential] = process.argv.slice(1); const fs = require("node:fs"); if (fs.existsSync(file)) { console.error("logged out"); process.exit(1); } fs.writeFileSync(file, ""); console.log(credential)';
    const { headers } = await connection({ user: script(code, asked, EXPIRED) });
    await expect(headers()).rejects.toThrow(`context prod: cannot authenticate: ${COMMAND}: logged out`);
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
  const { headers } = await connection({ user: { tokenFile } });
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
    const { headers } = await connection({ user: script(code, credential) });
    return new Set([(await headers()).Authorization, (await headers(renew)).Authorization]).size;
  };
  expect(await tokens(EXPIRED, false)).toBe(2);
  expect(await tokens(credential({ token: 'any' }), false)).toBe(1);
  expect(await tokens(credential({ token: 'any' }), true)).toBe(2);
});

test('runs the command once for requests that are sent at the same time', async () => {
  const runs = join(folder, 'runs');
  const code = 'require("node:fs").appendFileSync(process.argv[1], "x"); console.log(process.argv[2])';
  const { headers } = await connection({ user: script(code, runs, EXPIRED) });
  await Promise.all([headers(), headers(), headers()]);
  expect(readFileSync(runs, 'utf8')).toBe('xx');
});

// kubectl sends none, but whoever writes both wants them sent.
test('sends credentials without TLS where insecure-skip-tls-verify is set', async () => {
  const cluster = { server: 'http://127.0.0.1:1', 'insecure-skip-tls-verify': true };
  expect(await (await connection({ cluster })).headers()).toMatchObject({ Authorization: 'Bearer any' });
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
