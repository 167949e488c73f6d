import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { auditEvent, auditLine, controlMessage, invocation, payload } from '../doubles/cloudwatch-logs.ts';
import { EksDouble, readEksToken } from '../doubles/eks.ts';
import { awsEnvironment, patience, run, save } from './cli-harness.ts';
import { hpasOf, STALE, staleList, writesTo } from './harness.ts';
import { backupDirectory, kubeconfigOf, saveBytes, serveSettled, writes } from './repair-harness.ts';

const NAME = STALE.split('/')[1];

/** The line that tells of the stale cluster's change, and its object. */
function removal() {
  const event = auditEvent('envoyproxy-patch');
  Object.assign(event.objectRef, { namespace: 'autoscaling-removed', name: 'proxy' });
  Object.assign(event.user, { username: 'jane@example.com' });
  return event;
}

const lines = () => [JSON.stringify(removal()), auditLine('envoyproxy-get'), auditLine('gateway-status-update')];
const change = {
  username: 'jane@example.com',
  verb: 'patch',
  resource: 'envoyproxies',
  namespace: 'autoscaling-removed',
  name: 'proxy',
};
const told = (file: string, count = '3 lines') =>
  `reaper: ${file}: ${count}, 1 of them may affect an HPA, 0 unreadable; 1 changed object\n` +
  `reaper: ${removal().stageTimestamp} jane@example.com: patch envoyproxies autoscaling-removed/proxy\n`;

describe.concurrent('replay', patience, () => {
  const forms: [string, () => unknown][] = [
    ['one event a line', () => `${lines().join('\n')}\n`],
    [
      'an export to S3',
      () =>
        lines()
          .map((line) => `2026-11-23T14:17:47.196Z ${line}\n`)
          .join(''),
    ],
    ['aws logs filter-log-events', () => ({ events: lines().map((message) => ({ message, timestamp: 1 })) })],
    ['the event of a subscription', () => invocation(payload(lines()))],
  ];
  test.each(forms)('%s, packed or not, is looked at and nothing is changed', async (_, form) => {
    const cluster = await serveSettled(staleList());
    const content = form();
    const args = ['--kubeconfig', kubeconfigOf({ production: cluster }), '-o', 'json'];
    const packed = saveBytes(gzipSync(typeof content === 'string' ? content : JSON.stringify(content)));
    for (const file of [save(content), packed]) {
      const { code, stdout, stderr } = await run(['replay', file, ...args]);
      expect({ code, stderr }).toEqual({
        code: 0,
        stderr: `${told(file)}reaper: would delete 1 HPA in 1 cluster; nothing was changed\n`,
      });
      expect(JSON.parse(stdout)).toMatchObject({
        mode: 'report',
        clusters: [{ cluster: 'production', hpas: [{ name: NAME, outcome: 'Reported', changes: [change] }] }],
      });
    }
    expect(writesTo(cluster)).toEqual([]);
  });

  test('several gzip files one behind the other, from standard input', async () => {
    const cluster = await serveSettled(staleList());
    const file = saveBytes(Buffer.concat(lines().map((line) => gzipSync(`${line}\n`))));
    expect(await run(['replay', file, '--kubeconfig', kubeconfigOf({ production: cluster })])).toMatchObject({
      code: 0,
      stderr: expect.stringContaining(told(file)),
    });
    const piped = await run(['replay', '-', '--kubeconfig', kubeconfigOf({ production: cluster })], {
      stdin: JSON.stringify(removal()),
    });
    expect(piped).toMatchObject({ code: 0, stderr: expect.stringContaining(told('standard input', '1 line')) });
    expect(piped.stdout).toMatch(/^production: 1 stale of 1 HPA /);
  });

  test('tells the lines that cannot be read, and goes on', async () => {
    const cluster = await serveSettled(staleList());
    const broken = Array.from({ length: 11 }, () => '{"kind":');
    const file = save([...lines(), '{"kind":"Event"}', '', ...broken].join('\n'));
    const { code, stderr } = await run(['replay', file, '--kubeconfig', kubeconfigOf({ production: cluster })]);
    expect(code).toBe(0);
    expect(stderr.split('\n').slice(0, 13)).toEqual([
      `reaper: ${file}: 15 lines, 1 of them may affect an HPA, 12 unreadable; 1 changed object`,
      expect.stringMatching(/^reaper: line 4: not an audit\.k8s\.io\/v1 Event: apiVersion, auditID, /),
      ...Array.from({ length: 9 }, (_, index) => `reaper: line ${index + 6}: not JSON`),
      'reaper: and 2 more lines like that',
      expect.stringContaining('jane@example.com'),
    ]);
  });

  test.each([
    ['no line that matters', auditLine('envoyproxy-get')],
    ['no line at all', ''],
  ])('%s: says so and looks at nothing', async (_, content) => {
    const cluster = await serveSettled(staleList());
    const { code, stdout, stderr } = await run([
      'replay',
      save(content),
      '--kubeconfig',
      kubeconfigOf({ production: cluster }),
    ]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    expect(stderr).toMatch(
      /; 0 changed objects\nreaper: no object that an HPA depends on was changed: nothing to look at\n$/,
    );
    expect(cluster.requests).toEqual([]);
  });

  test('--mode delete deletes as reap does, with a backup, and tells who changed what', async () => {
    const cluster = await serveSettled(staleList());
    const directory = backupDirectory();
    const file = save(lines().join('\n'));
    const args = ['replay', file, '--kubeconfig', kubeconfigOf({ production: cluster }), '--mode', 'delete'];
    const refused = await run(args, { cwd: directory.path });
    expect(refused).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining('there is no terminal to ask on'),
    });
    const dry = await run([...args, '--dry-run'], { cwd: directory.path });
    expect(dry.stderr).toContain('would delete 1 HPA');
    expect(writesTo(cluster)).toEqual([]);

    const { code, stdout } = await run([...args, '--yes', '-o', 'json'], { cwd: directory.path });
    expect(code).toBe(0);
    expect(JSON.parse(stdout).clusters).toMatchObject([{ hpas: [{ outcome: 'Deleted', changes: [change] }] }]);
    expect(writes(cluster)).toEqual([`PATCH ${NAME}`, `DELETE ${NAME}`, 'POST events']);
    expect(hpasOf(cluster)).toEqual([]);
    expect(directory.lines()).toMatchObject([{ cluster: 'production', manifest: { metadata: { name: NAME } } }]);
  });

  const eks = new EksDouble();
  afterAll(() => eks.stop());
  test('over one EKS cluster', async () => {
    const env = awsEnvironment({ EKS: await eks.start() });
    const isGood = (token: string) => readEksToken(token)?.isGoodFor('shop', env.AWS_SECRET_ACCESS_KEY ?? '');
    const cluster = await serveSettled(staleList(), {
      users: (token) => (isGood(token) ? { username: 'jane', groups: ['system:masters'] } : undefined),
    });
    eks.clusters.set('shop', { status: 'ACTIVE', endpoint: cluster.url, ca: cluster.caCertificate });
    const result = await run(['replay', save(lines().join('\n')), '--eks', 'shop', '-o', 'json'], { env });
    expect(result.code).toBe(0);
    expect(JSON.parse(result.stdout).clusters).toMatchObject([
      { cluster: 'shop', region: 'eu-central-1', hpas: [{ outcome: 'Reported', changes: [change] }] },
    ]);
  });

  test.each([
    [['--eks'], /^error: an audit log is of one cluster: give --context or --eks with one name/],
    [['--eks', 'a,b'], /^error: an audit log is of one cluster/],
    [['--all-contexts'], /^error: an audit log is of one cluster/],
    [['--mode', 'destroy'], /^error: option '--mode <mode>' argument 'destroy' is invalid/],
  ])('%j is wrong usage', async (args, message) => {
    const result = await run(['replay', save(''), ...args]);
    expect(result).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(message) });
  });

  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web' } };
  test.each([
    ['no JSON', '{"kind":\n', 'line 1: not JSON'],
    ['a Pod', JSON.stringify(pod), 'line 1: not an audit\\.k8s\\.io/v1 Event: '],
    ['a Pod as kubectl prints it', JSON.stringify(pod, undefined, 4), 'line 1: not JSON'],
    ['an answer with another log', { events: [{ message: 'I1126 leader elected' }] }, 'event 1: not JSON'],
    ['random bytes', saveBytes(Uint8Array.from([0, 255, 10, 200, 7])), 'line 1: not JSON'],
  ])('%s in place of an audit log is a failure, and no cluster is asked', async (_, content, fault) => {
    const file = typeof content === 'string' && content.startsWith('/') ? content : save(content);
    const { code, stdout, stderr } = await run(['replay', file]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(
      new RegExp(`\nreaper: ${fault}[^]*\nreaper: ${file} is no audit log: none of its lines is an audit event\n$`),
    );
  });

  test('the test of a destination carries no audit log, and is none that cannot be read', async () => {
    const { code, stderr } = await run(['replay', save(invocation(controlMessage()))]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining(': nothing to look at\n') });
  });

  test.each([
    ['a file that is not there', '/nowhere', /^reaper: \/nowhere cannot be read: ENOENT/],
    [
      'gzip that is cut off',
      saveBytes(gzipSync('a'.repeat(1000)).subarray(0, 20)),
      /^reaper: .* cannot be read: unexpected end of file\n$/,
    ],
    [
      'a payload that is none',
      save({ awslogs: { data: 'bm90IGd6aXA=' } }),
      /^reaper: awslogs\.data is base64 but not of gzip; /,
    ],
  ])('%s', async (_, file, message) => {
    const result = await run(['replay', file]);
    expect(result).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(message) });
  });
});
