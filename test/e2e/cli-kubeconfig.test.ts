import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { DoctorReport } from '../../functions/doctor/health.ts';
import { folder, kubeconfigFor, patience, run, save, serveUntilEnd } from './cli-harness.ts';
import { staleList } from './harness.ts';

// Contexts that give no way in, each for a reason that is everyday to whoever has a kubeconfig.

const exec = (command: string, ...args: string[]) => ({
  exec: { apiVersion: 'client.authentication.k8s.io/v1', interactiveMode: 'IfAvailable', command, args },
});
const credential = (status: object) =>
  JSON.stringify({ apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status });

/** Answers once in a process, with a token that is good no longer, so that it is asked again, and then fails. */
const failingLater = () => {
  const mark = join(folder, 'asked-by-$PPID');
  const expired = credential({ token: 'admin-token', expirationTimestamp: '2020-01-01T00:00:00Z' });
  return exec('sh', '-c', `test -e ${mark} && { echo logged out >&2; exit 1; }; touch ${mark}; echo '${expired}'`);
};

interface Fault {
  user?: object;
  cluster?: object;
  message: string;
  remedy: RegExp;
}

const byHand = /^Log in again, or run that command by hand/;
const asUrl = /^Write https:\/\/HOST:PORT into the kubeconfig; /;
const faults: Record<string, Fault> = {
  expired: {
    user: exec('sh', '-c', 'printf "\\nThe SSO session has expired.\\nRun aws sso login.\\n" >&2; exit 255'),
    message: 'cannot authenticate: its command sh failed: The SSO session has expired. Run aws sso login.',
    remedy: byHand,
  },
  mute: {
    user: exec('false'),
    message: 'cannot authenticate: its command false failed: it does not say why',
    remedy: byHand,
  },
  later: {
    user: failingLater(),
    message: 'cannot authenticate: its command sh failed: logged out',
    remedy: byHand,
  },
  uninstalled: {
    user: exec('no-such-plugin'),
    message: 'cannot authenticate: its command no-such-plugin cannot be run: spawn no-such-plugin ENOENT',
    remedy: /^Install that command, /,
  },
  'bare-token': {
    user: exec('echo', 'k8s-aws-v1.c2VjcmV0'),
    message: 'cannot authenticate: its command echo prints no ExecCredential',
    remedy: byHand,
  },
  'no-status': {
    user: exec('echo', '{"kind":"ExecCredential"}'),
    message: 'cannot authenticate: its command echo prints no ExecCredential',
    remedy: byHand,
  },
  'no-ca': {
    cluster: { 'certificate-authority': '/nowhere/ca.crt' },
    message: "cannot authenticate: ENOENT: no such file or directory, open '/nowhere/ca.crt'",
    remedy: /^Put that file back, /,
  },
  'no-certificate': {
    user: { 'client-certificate': '/nowhere/jane.crt', 'client-key': '/nowhere/jane.key' },
    message: "cannot authenticate: ENOENT: no such file or directory, open '/nowhere/jane.crt'",
    remedy: /^Put that file back, /,
  },
  gcp: {
    user: { 'auth-provider': { name: 'gcp', config: {} } },
    message: 'cannot authenticate: auth-provider gcp gives no token: Token is expired!',
    remedy: /^Log in again, or have an exec command in its place/,
  },
  'bare-token-of-a-provider': {
    user: { 'auth-provider': { name: 'exec', config: { exec: { command: 'echo', args: ['k8s-aws-v1.c2VjcmV0'] } } } },
    message: 'cannot authenticate: auth-provider exec gives no token',
    remedy: /^Log in again, or have an exec command in its place/,
  },
  'uninstalled-provider': {
    user: { 'auth-provider': { name: 'exec', config: { exec: { command: 'no-such-plugin' } } } },
    message: 'cannot authenticate: its command no-such-plugin cannot be run: spawn no-such-plugin ENOENT',
    remedy: /^Install that command, /,
  },
  'in-the-clear': {
    cluster: { server: 'http://127.0.0.1:1' },
    message: 'its server http://127.0.0.1:1 is no https:// URL',
    remedy: asUrl,
  },
  'no-url': { cluster: { server: '127.0.0.1:1' }, message: 'its server 127.0.0.1:1 is no https:// URL', remedy: asUrl },
  'no-host': { cluster: { server: 'https://' }, message: 'its server https:/ is no https:// URL', remedy: asUrl },
};
const names = Object.keys(faults).toSorted();

/** With `production`, the current context, where all is well. */
async function kubeconfig(): Promise<string> {
  const config = kubeconfigFor(await serveUntilEnd(staleList()), 'admin-token');
  const [production] = config.contexts;
  return save({
    ...config,
    clusters: [
      ...config.clusters,
      ...names.map((name) => ({ name, cluster: { server: 'https://127.0.0.1:1', ...faults[name]?.cluster } })),
    ],
    users: [...config.users, ...names.map((name) => ({ name, user: faults[name]?.user ?? { token: 'any' } }))],
    contexts: [
      production,
      ...names.map((name) => ({ name, context: { cluster: name === 'later' ? 'shop' : name, user: name } })),
    ],
  });
}

describe.concurrent('a context that gives no way in', patience, () => {
  test('is told as such by scan, with what to do, and stops no other', async () => {
    const args = ['scan', '--kubeconfig', await kubeconfig(), '--all-contexts', '-o', 'json'];
    const { code, stdout } = await run(args);
    expect(code).toBe(1);
    expect(stdout).not.toContain('c2VjcmV0');
    const { clusters } = JSON.parse(stdout);
    expect(clusters).toMatchObject(
      [...names, 'production'].toSorted().map((cluster) => {
        const fault = faults[cluster];
        if (fault === undefined) return { cluster, result: 'swept', hpas: [{ action: 'delete' }] };
        const problem = {
          reason: 'ClusterUnauthorized',
          message: `context ${cluster}: ${fault.message}`,
          remedy: expect.stringMatching(fault.remedy),
        };
        return { cluster, result: 'skipped', problem };
      }),
    );
  });

  test('is a broken link to doctor, with what to do, and stops no other', async () => {
    const args = ['doctor', '--kubeconfig', await kubeconfig(), '--all-contexts', '-o', 'json'];
    const { code, stdout } = await run(args);
    expect(code).toBe(1);
    const { clusters } = JSON.parse(stdout) as DoctorReport;
    const access = clusters.map(({ cluster, checks }) => [cluster, checks.find(({ id }) => id === 'cluster-access')]);
    expect(Object.fromEntries(access)).toMatchObject({
      production: { state: 'ok' },
      ...Object.fromEntries(
        names.map((name) => [
          name,
          // It let us in at first.
          name === 'later'
            ? { state: 'broken', found: `it does not know who we are: context later: ${faults.later?.message}` }
            : {
                state: 'broken',
                found: `context ${name}: ${faults[name]?.message}`,
                remedy: expect.stringMatching(faults[name]?.remedy ?? ''),
              },
        ]),
      ),
    });
  });
});
