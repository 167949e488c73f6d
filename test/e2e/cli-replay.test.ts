import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { auditEvent, auditLine, controlMessage } from '../doubles/cloudwatch-logs.ts';
import { invocation } from '../embedded-cluster/event-path.ts';
import { backupDirectory, failure, kubeconfigOf, patience, run, save, serveSettled, writes } from './cli-harness.ts';
import { hpasOf, STALE, staleList, writesTo } from './harness.ts';

const NAME = STALE.split('/')[1];

/** The audit event of the change that made the HPA of the cluster stale. */
function removal() {
  const event = auditEvent('envoyproxy-patch');
  Object.assign(event.objectRef, { namespace: 'autoscaling-removed', name: 'proxy' });
  Object.assign(event.user, { username: 'jane@example.com' });
  return event;
}

const lines = () => [JSON.stringify(removal()), auditLine('envoyproxy-get'), auditLine('gateway-status-update')];
const proxy = { resource: 'envoyproxies', namespace: 'autoscaling-removed', name: 'proxy' };
const change = { username: 'jane@example.com', verb: 'patch', ...proxy };
const { stageTimestamp, auditID } = removal();
const changed = `Changed by jane@example.com: patch envoyproxies autoscaling-removed/proxy at ${stageTimestamp}, auditID ${auditID}.`;

describe.concurrent('replay', patience, () => {
  test('reports what the changes left behind, and changes nothing', async () => {
    const cluster = await serveSettled(staleList());
    const file = save(Buffer.concat(lines().map((line) => gzipSync(`${line}\n`))));
    const args = ['replay', file, '--kubeconfig', kubeconfigOf({ production: cluster }), '-o', 'json'];
    const { code, stdout, stderr } = await run(args);
    const counts = '3 audit events, 1 of which may affect an HPA, 0 unreadable; 1 changed object';
    const plan = 'would delete 1 HPA in cluster production; nothing was changed';
    expect({ code, stderr }).toEqual({ code: 0, stderr: `reaper: ${file}: ${counts}\nreaper: ${plan}\n` });
    const hpas = [{ name: NAME, outcome: 'Reported', changes: [change] }];
    expect(JSON.parse(stdout)).toMatchObject({ mode: 'report', clusters: [{ cluster: 'production', hpas }] });
    expect(writesTo(cluster)).toEqual([]);
  });

  test('reads standard input, and reports what is unreadable', async () => {
    const cluster = await serveSettled(staleList());
    const broken = Array.from({ length: 11 }, () => '{"kind":');
    const stdin = [...lines(), JSON.stringify({ kind: 'Event', apiVersion: 'audit.k8s.io/v1' }), ...broken].join('\n');
    const args = ['replay', '-', '--kubeconfig', kubeconfigOf({ production: cluster })];
    const { code, stdout, stderr } = await run(args, { stdin });
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/^production: 1 stale of 1 HPA /) });
    expect(stdout).toContain(` ${changed}\n`);
    expect(stderr.split('\n').slice(9, 13)).toEqual([
      'reaper: standard input: line 14: not JSON (cut off?)',
      'reaper: standard input: and 1 more; line 15: not JSON (cut off?)',
      expect.stringMatching(/^reaper: standard input: line 4: not an audit\.k8s\.io\/v1 Event: auditID, stage, /),
      'reaper: standard input: 4 audit events, 1 of which may affect an HPA, 1 unreadable; 1 changed object',
    ]);
  });

  test('sends no request when no object was changed that an HPA depends on', async () => {
    const cluster = await serveSettled(staleList());
    const file = save(auditLine('envoyproxy-get'));
    const message = /\nreaper: no object that an HPA depends on was changed: nothing to sweep\n$/;
    const result = await run(['replay', file, '--kubeconfig', kubeconfigOf({ production: cluster })]);
    expect(result).toEqual(failure(0, message));
    expect(cluster.requests).toEqual([]);
  });

  test('deletes with --mode delete as reap does, with a backup, and reports who changed what', async () => {
    const cluster = await serveSettled(staleList());
    const directory = backupDirectory();
    const file = save(lines().join('\n'));
    const args = ['replay', file, '--kubeconfig', kubeconfigOf({ production: cluster }), '--mode', 'delete'];
    expect(await run(args, { cwd: directory.path })).toMatchObject({ code: 2, stdout: '' });
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

  const wanted = 'no audit event \\(kind Event, apiVersion audit\\.k8s\\.io/v1\\) found\n$';
  test.each([
    ['a Pod', save({ apiVersion: 'v1', kind: 'Pod' }), wanted],
    ['random bytes', save(Uint8Array.from([0, 255, 10, 200, 7])), `: line 1: not JSON\n[^]*${wanted}`],
    ['the test of a destination', save(invocation(controlMessage())), wanted],
    ['only unreadable events', save({ kind: 'Event', apiVersion: 'audit.k8s.io/v1' }), ': line 1: not an audit'],
    ['a missing file', '/nowhere', '^reaper: /nowhere cannot be read: ENOENT'],
    ['gzip that is cut off', save(gzipSync('a'.repeat(1000)).subarray(0, 20)), ': unexpected end of file\n$'],
  ])('fails with %s, and asks no cluster', async (_, file, message) => {
    expect(await run(['replay', file])).toEqual(failure(1, new RegExp(message)));
  });
});
