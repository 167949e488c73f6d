import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runReportSchema } from '../../functions/events/report.ts';
import { folder, patience, run, runInTerminal } from './cli-harness.ts';
import { hpasOf, STALE, staleList, times, wantedList, writesTo } from './harness.ts';
import { backupDirectory, kubeconfigOf, runLimited, serveSettled, writes } from './repair-harness.ts';

const NAME = STALE.split('/')[1];
const isDeletion = ({ method }: { method: string }) => method === 'DELETE';

/** Twenty Gateways of which so many have left an HPA behind. */
function someStale(stale: number, total = 20) {
  const list = times(total, staleList(), ['Gateway', 'HorizontalPodAutoscaler']);
  const proxies = list.items.filter(({ kind }) => kind === 'EnvoyProxy');
  const [proxy] = proxies;
  if (proxy === undefined) throw new Error('no EnvoyProxy');
  const wanting = structuredClone(proxy);
  Object.assign(wanting.metadata, { name: 'wanting', uid: 'wanting' });
  wanting.spec = { provider: { type: 'Kubernetes', kubernetes: { envoyHpa: { minReplicas: 2, maxReplicas: 5 } } } };
  list.items.push(wanting);
  const gateways = list.items.filter(({ kind }) => kind === 'Gateway');
  for (const gateway of gateways.slice(stale)) {
    const { infrastructure } = gateway.spec as { infrastructure: { parametersRef: { name: string } } };
    infrastructure.parametersRef.name = 'wanting';
  }
  return list;
}

describe.concurrent('reap', patience, () => {
  test('deletes what is stale, with preconditions, and keeps the manifests', async () => {
    const cluster = await serveSettled(staleList());
    const [manifest] = structuredClone(cluster.objects('horizontalpodautoscalers'));
    const directory = backupDirectory();
    const kubeconfig = kubeconfigOf({ production: cluster });
    const saved: string[] = [];
    cluster.onRequest = (request) => {
      // The line is on the disk before the request is there.
      if (isDeletion(request)) saved.push(readFileSync(directory.backups()[0] ?? '', 'utf8'));
      return undefined;
    };
    const { code, stdout, stderr } = await run([
      ...['reap', '--kubeconfig', kubeconfig, '--yes', '-o', 'json', '--backup-dir', directory.path],
    ]);
    expect(code).toBe(0);
    const report = runReportSchema.parse(JSON.parse(stdout));
    expect(report).toMatchObject({
      mode: 'delete',
      clusters: [{ cluster: 'production', hpas: [{ name: NAME, outcome: 'Deleted', manifest }] }],
    });
    expect(hpasOf(cluster)).toEqual([]);
    const [mark, deletion, event, ...others] = writesTo(cluster);
    expect(others).toEqual([]);
    expect(event).toMatchObject({ method: 'POST', path: '/api/v1/namespaces/autoscaling-removed/events', status: 201 });
    expect([mark?.method, deletion?.method]).toEqual(['PATCH', 'DELETE']);
    expect(JSON.parse(deletion?.body ?? '')).toMatchObject({
      preconditions: { uid: manifest?.metadata.uid, resourceVersion: expect.stringMatching(/^\d+$/) },
    });

    const [backup = ''] = directory.backups();
    const [file = ''] = directory.reports();
    expect(saved).toEqual([readFileSync(backup, 'utf8')]);
    expect(directory.lines()).toEqual([
      {
        message: 'deleting HPA',
        timestamp: expect.stringMatching(/^\d{4}-/),
        cluster: 'production',
        sweepId: expect.stringMatching(/\/production$/),
        reason: 'AutoscalingRemoved',
        manifest,
      },
    ]);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(report);
    expect([backup, file].map((path) => statSync(path).mode & 0o777)).toEqual([0o600, 0o600]);
    expect(stderr).toContain(`production: 1 stale of 1 HPA`);
    expect(stderr).toMatch(
      new RegExp(
        `reaper: the report is in ${file}\nreaper: the deleted HPAs are in ${backup}; to undo it: reaper restore ${backup} --kubeconfig ${kubeconfig}\n$`,
      ),
    );
  });

  test('in every context, each line saying where', async () => {
    const clusters = { one: await serveSettled(staleList()), two: await serveSettled(staleList()) };
    const wanted = await serveSettled(wantedList());
    const directory = backupDirectory();
    const kubeconfig = kubeconfigOf({ ...clusters, three: wanted });
    const { code } = await run(['reap', '--kubeconfig', kubeconfig, '--all-contexts', '-y'], { cwd: directory.path });
    expect(code).toBe(0);
    expect(
      directory
        .lines()
        .map((line) => line.cluster)
        .sort(),
    ).toEqual(['one', 'two']);
    expect(Object.values(clusters).flatMap(hpasOf)).toEqual([]);
    expect(writesTo(wanted)).toEqual([]);
  });

  test.each([
    ['--dry-run', ['--dry-run'], 0, /^reaper: would delete 1 HPA in 1 cluster; nothing was changed\n$/],
    [
      'neither a terminal nor --yes',
      [],
      2,
      /^error: there is no terminal to ask on: give --yes to delete without a question, or --dry-run to see the plan\n/,
    ],
  ])('%s writes nothing', async (_, args, code, message) => {
    const cluster = await serveSettled(staleList());
    const directory = backupDirectory();
    const kubeconfig = kubeconfigOf({ production: cluster });
    const result = await run(['reap', '--kubeconfig', kubeconfig, ...args], { cwd: directory.path });
    expect(result).toMatchObject({ code, stderr: expect.stringMatching(message) });
    if (code === 0) expect(result.stdout).toMatch(/^production: 1 stale of 1 HPA /);
    else expect(cluster.requests).toEqual([]);
    expect(writesTo(cluster)).toEqual([]);
    expect(directory.files()).toEqual([]);
  });

  test('says so where there is nothing to delete', async () => {
    const cluster = await serveSettled(wantedList());
    const directory = backupDirectory();
    const kubeconfig = kubeconfigOf({ production: cluster });
    const result = await run(['reap', '--kubeconfig', kubeconfig, '--yes'], { cwd: directory.path });
    expect(result).toMatchObject({ code: 0, stderr: 'reaper: nothing to delete\n' });
    expect(writesTo(cluster)).toEqual([]);
    expect(directory.files()).toEqual([]);
  });

  test('tells what is missing as scan does, and what becomes of the replicas', async () => {
    const list = someStale(1, 2);
    list.items = list.items.filter(
      ({ kind, metadata }) => kind !== 'HorizontalPodAutoscaler' || metadata.uid.endsWith('-0'),
    );
    const cluster = await serveSettled(list);
    const kubeconfig = kubeconfigOf({ production: cluster });
    const plan = await run(['reap', '--kubeconfig', kubeconfig, '--dry-run']);
    const seen = await run(['scan', '--kubeconfig', kubeconfig]);
    expect(plan).toEqual({
      ...seen,
      stderr: 'reaper: would delete 1 HPA in 1 cluster; nothing was changed\n',
    });
    expect(plan.stdout).toContain('production: 1 stale of 1 HPA with a label of Envoy Gateway, 1 missing\n');
    expect(plan.stdout).toContain(' → stays ');
    expect(plan.stdout).toMatch(
      /\nMissing: .*\nmissing {2}envoy-gateway-system\/envoy-.* of Gateway autoscaling-removed\/web-1\n/,
    );
    expect(writesTo(cluster)).toEqual([]);
  });

  test('deletes what the flags select, and nothing else', async () => {
    const cluster = await serveSettled(someStale(3));
    const directory = backupDirectory();
    const kubeconfig = kubeconfigOf({ production: cluster });
    const { code, stdout } = await run(
      ['reap', '--kubeconfig', kubeconfig, '-y', '--gateway', 'autoscaling-removed/web-1', '-o', 'json'],
      {
        cwd: directory.path,
      },
    );
    expect(code).toBe(0);
    expect(JSON.parse(stdout).totals).toMatchObject({ hpas: 1, outcomes: { Deleted: 1 } });
    expect(writes(cluster)).toEqual([`PATCH ${NAME}-1`, `DELETE ${NAME}-1`, 'POST events']);
    expect(hpasOf(cluster)).toHaveLength(19);
  });

  test('what became stale after the plan is not deleted', async () => {
    const cluster = await serveSettled(someStale(2));
    const directory = backupDirectory();
    const lists = () => cluster.requests.filter(({ path }) => path.endsWith('/envoyproxies'));
    cluster.onRequest = () => {
      // From the second reading on, no EnvoyProxy asks for autoscaling.
      const wanting = cluster.objects('envoyproxies').find(({ metadata }) => metadata.name === 'wanting');
      if (lists().length === 2 && wanting) wanting.spec = { provider: { type: 'Kubernetes' } };
      return undefined;
    };
    const kubeconfig = kubeconfigOf({ production: cluster });
    const { code, stdout } = await run(['reap', '--kubeconfig', kubeconfig, '-y', '-o', 'json'], {
      cwd: directory.path,
    });
    expect(code).toBe(0);
    expect(writes(cluster).toSorted()).toEqual([
      ...[`DELETE ${NAME}-0`, `DELETE ${NAME}-1`, `PATCH ${NAME}-0`, `PATCH ${NAME}-1`],
      ...['POST events', 'POST events'],
    ]);
    expect(JSON.parse(stdout).totals).toMatchObject({ outcomes: { Deleted: 2 } });
  });

  test('what a guard holds back is told, with how to raise the limit, which --max-deletions does', async () => {
    const cluster = await serveSettled(someStale(11));
    const directory = backupDirectory();
    const kubeconfig = kubeconfigOf({ production: cluster });
    const held = await run(['reap', '--kubeconfig', kubeconfig, '-y'], { cwd: directory.path });
    expect(held.code).toBe(0);
    expect(held.stderr).toBe(
      'reaper: production: 11 held back: 11 of 20 HPAs at once are more than half. To delete them all, give the number with --max-deletions.\nreaper: nothing to delete\n',
    );
    expect(writesTo(cluster)).toEqual([]);

    const tooFew = await run(['reap', '--kubeconfig', kubeconfig, '-y', '--max-deletions', '10'], {
      cwd: directory.path,
    });
    expect(tooFew.stderr).toContain('11 held back: 11 deletions, and the limit for this run is 10');
    expect(writesTo(cluster)).toEqual([]);

    const raised = await run(['reap', '--kubeconfig', kubeconfig, '-y', '--max-deletions', '11'], {
      cwd: directory.path,
    });
    expect(raised.code).toBe(0);
    expect(hpasOf(cluster)).toHaveLength(9);
    expect(directory.lines()).toHaveLength(11);
  });

  test('a directory that cannot be written is found out before anything is marked', async () => {
    const cluster = await serveSettled(staleList());
    const kubeconfig = kubeconfigOf({ production: cluster });
    const directory = join(folder, 'absent');
    const { code, stderr } = await run(['reap', '--kubeconfig', kubeconfig, '-y', '--backup-dir', directory]);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /\nreaper: no backup can be written, so nothing is deleted: ENOENT: .*; give another --backup-dir\n$/,
    );
    expect(writesTo(cluster)).toEqual([]);
  });

  test('an HPA whose manifest does not get onto the disk is kept, and what did can be put back', async () => {
    const cluster = await serveSettled(someStale(2));
    const directory = backupDirectory();
    const kubeconfig = kubeconfigOf({ production: cluster });
    // Files may have 2 KiB: one line fits.
    const full = await runLimited(2, ['reap', '--kubeconfig', kubeconfig, '-y', '--backup-dir', directory.path]);
    expect(full.code).toBe(1);
    expect(full.stderr).toMatch(/\nreaper: production: .*: Failed, not deleted: EFBIG: file too large, write\n/);
    expect(full.stderr).toMatch(/\nreaper: the report could not be written: EFBIG: /);
    expect(full.stderr).toContain(
      `\nreaper: the deleted HPAs are in ${directory.backups()[0]}; to undo it: reaper restore `,
    );
    expect(writesTo(cluster).filter(isDeletion)).toHaveLength(1);
    expect(hpasOf(cluster)).toHaveLength(19);

    const [backup = ''] = directory.backups();
    const restored = await run(['restore', backup, '--force', '--kubeconfig', kubeconfig]);
    expect(restored.stderr).toBe(`reaper: ${backup}: line 2: not JSON (cut off?)\n`);
    expect(restored.stdout).toMatch(/\nRestored /);
    expect(hpasOf(cluster)).toHaveLength(20);
  });

  test('a refused deletion is told, and 1', async () => {
    const cluster = await serveSettled(staleList(), {
      admission: ({ operation }) =>
        operation === 'DELETE' ? { webhook: 'policy.example.com', code: 403, message: 'hands off' } : undefined,
    });
    const directory = backupDirectory();
    const kubeconfig = kubeconfigOf({ production: cluster });
    const { code, stderr } = await run(['reap', '--kubeconfig', kubeconfig, '-y'], { cwd: directory.path });
    expect(code).toBe(1);
    expect(stderr).toMatch(/\nreaper: production: .*: DeleteRefused, .*hands off\n/);
    expect(hpasOf(cluster)).toEqual([STALE]);
  });

  test('a cluster that does not answer is told, and 1, and the others are worked on', async () => {
    const [cluster, lost] = [await serveSettled(staleList()), await serveSettled(staleList())];
    const directory = backupDirectory();
    const kubeconfig = kubeconfigOf({ production: cluster, lost });
    await lost.close();
    const { code, stderr } = await run(['reap', '--kubeconfig', kubeconfig, '--all-contexts', '-y'], {
      cwd: directory.path,
    });
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^lost: not swept\n {2}failed, ClusterUnreachable\n {4}no whole answer from .*\n {4}Check that the API server /,
    );
    expect(hpasOf(cluster)).toEqual([]);
  });

  test('the one cluster that is asked for, and does not answer, is told as scan tells it', async () => {
    const lost = await serveSettled(staleList());
    await lost.close();
    const { code, stdout, stderr } = await run(['reap', '--kubeconfig', kubeconfigOf({ lost }), '-y']);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^reaper: no whole answer from .*\nCheck that the API server runs .*\n$/);
  });

  test.each([
    [
      ['reap', '--max-deletions', 'many'],
      /^error: option '--max-deletions <number>' argument 'many' is invalid\. Expected/,
    ],
    [['reap', 'now'], /^error: too many arguments for 'reap'/],
  ])('%j is wrong usage', async (args, message) => {
    const result = await run(args);
    expect(result).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(message) });
  });
});

describe.concurrent('reap on a terminal', patience, () => {
  test.each([
    ['y\r', 0, [`PATCH ${NAME}`, `DELETE ${NAME}`, 'POST events'], 'to undo it: reaper restore'],
    ['yes\r', 0, [`PATCH ${NAME}`, `DELETE ${NAME}`, 'POST events'], 'to undo it: reaper restore'],
    ['n\r', 0, [], 'reaper: nothing was deleted'],
    ['\r', 0, [], 'reaper: nothing was deleted'],
    ['\u0004', 0, [], 'reaper: nothing was deleted'],
    ['\u0003', 130, [], 'reaper: nothing was deleted'],
  ])('asks, and %j is understood', async (keys, code, requests, told) => {
    const cluster = await serveSettled(staleList());
    const directory = backupDirectory();
    let asked = 0;
    const result = await runInTerminal(
      ['reap', '--kubeconfig', kubeconfigOf({ production: cluster }), '--backup-dir', directory.path],
      {
        columns: 200,
        onOutput: (written, type) => {
          if (asked > 0 || !written.includes('Delete 1 HPA in 1 cluster? [y/N] ')) return;
          asked += 1;
          type(keys);
        },
      },
    );
    expect(asked).toBe(1);
    expect(writes(cluster)).toEqual(requests);
    expect(result.screen.join('\n')).toContain(told);
    expect(result.code).toBe(code);
    expect(directory.backups()).toHaveLength(requests.length === 0 ? 0 : 1);
  });

  test('Ctrl-C stops before the next deletion, and what was done is told', async () => {
    const cluster = await serveSettled(someStale(25, 60));
    const directory = backupDirectory();
    let letGo = () => {};
    const told = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    let type = (_: string) => {};
    let arrived = 0;
    cluster.onRequest = async (request) => {
      if (!isDeletion(request)) return undefined;
      arrived += 1;
      // So many are under way at a time.
      if (arrived === 20) type('\u0003');
      await told;
      return undefined;
    };
    const result = await runInTerminal(
      ['reap', '--kubeconfig', kubeconfigOf({ production: cluster }), '--yes', '--backup-dir', directory.path],
      {
        columns: 200,
        onOutput: (written, keys) => {
          type = keys;
          if (written.includes('reaper: stopping: requests in progress finish, and nothing else is deleted.')) letGo();
        },
      },
    );
    expect(result.code).toBe(130);
    expect(writesTo(cluster).filter(isDeletion)).toHaveLength(20);
    expect(hpasOf(cluster)).toHaveLength(40);
    expect(directory.lines()).toHaveLength(20);
    const report = JSON.parse(readFileSync(directory.reports()[0] ?? '', 'utf8'));
    expect(report).toMatchObject({
      totals: { outcomes: { Deleted: 20, Stopped: 5, Kept: 35 } },
      remaining: [{ cluster: 'production' }],
    });
    expect(result.written).toContain('to undo it: reaper restore');
  });

  test('a second Ctrl-C ends it at once', async () => {
    const cluster = await serveSettled(staleList());
    const directory = backupDirectory();
    let type = (_: string) => {};
    cluster.onRequest = (request) => {
      if (!isDeletion(request)) return undefined;
      type('\u0003');
      return { kind: 'hang' };
    };
    const result = await runInTerminal(
      ['reap', '--kubeconfig', kubeconfigOf({ production: cluster }), '--yes', '--backup-dir', directory.path],
      {
        columns: 200,
        onOutput: (written, keys) => {
          type = keys;
          if (written.includes('Ctrl-C again ends at once.')) keys('\u0003');
        },
      },
    );
    expect(result.code).toBe(130);
    expect(directory.reports()).toEqual([]);
    // What may be deleted by now can be put back.
    expect(directory.lines()).toHaveLength(1);
  });
});
