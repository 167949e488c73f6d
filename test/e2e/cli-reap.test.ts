import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runReportSchema } from '../../functions/events/report.ts';
import type { EmbeddedCluster } from '../embedded-cluster/embedded-cluster.ts';
import {
  backupDirectory,
  failure,
  folder,
  kubeconfigOf,
  LOST,
  patience,
  run,
  runInTerminal,
  serveSettled,
  writes,
} from './cli-harness.ts';
import { hpasOf, type List, STALE, staleList, times, wantedList, writesTo } from './harness.ts';

const NAME = STALE.split('/')[1];
const REMOVAL = [`PATCH ${NAME}`, `DELETE ${NAME}`, 'POST events'];
const isDeletion = ({ method }: { method: string }) => method === 'DELETE';

/** Gateways of which some have left an HPA behind. */
function someStale(stale: number, total = 20) {
  const list = times(total, staleList(), ['Gateway', 'HorizontalPodAutoscaler']);
  const proxy = list.items.find(({ kind }) => kind === 'EnvoyProxy');
  const wanting = structuredClone(proxy) as NonNullable<typeof proxy>;
  Object.assign(wanting.metadata, { name: 'wanting', uid: 'wanting' });
  wanting.spec = { provider: { type: 'Kubernetes', kubernetes: { envoyHpa: { minReplicas: 2, maxReplicas: 5 } } } };
  list.items.push(wanting);
  for (const gateway of list.items.filter(({ kind }) => kind === 'Gateway').slice(stale)) {
    const { infrastructure } = gateway.spec as { infrastructure: { parametersRef: { name: string } } };
    infrastructure.parametersRef.name = 'wanting';
  }
  return list;
}

/** A cluster as the current context, a directory for backups, and `reap` there. */
async function setUp(list: List) {
  const cluster = await serveSettled(list);
  const directory = backupDirectory();
  const kubeconfig = kubeconfigOf({ production: cluster });
  const args = ['reap', '--kubeconfig', kubeconfig, '--backup-dir', directory.path];
  return { cluster, directory, kubeconfig, args, reap: (...flags: string[]) => run([...args, ...flags]) };
}

describe.concurrent('reap', patience, () => {
  test('deletes a stale HPA with preconditions, after its manifest is on the disk', async () => {
    const { cluster, directory, kubeconfig, reap } = await setUp(staleList());
    const [manifest] = structuredClone(cluster.objects('horizontalpodautoscalers'));
    const saved: string[] = [];
    cluster.onRequest = (request) => {
      if (isDeletion(request)) saved.push(readFileSync(directory.backups()[0] ?? '', 'utf8'));
      return undefined;
    };
    const { code, stdout, stderr } = await reap('--yes', '-o', 'json');
    expect(code).toBe(0);
    const report = runReportSchema.parse(JSON.parse(stdout));
    const hpas = [{ name: NAME, outcome: 'Deleted', manifest }];
    expect(report).toMatchObject({ mode: 'delete', clusters: [{ cluster: 'production', hpas }] });
    expect(hpasOf(cluster)).toEqual([]);
    expect(writes(cluster)).toEqual(REMOVAL);
    const preconditions = { uid: manifest?.metadata.uid, resourceVersion: expect.stringMatching(/^\d+$/) };
    expect(JSON.parse(writesTo(cluster)[1]?.body ?? '')).toMatchObject({ preconditions });

    const [backup = ''] = directory.backups();
    const [file = ''] = directory.reports();
    expect(saved).toEqual([readFileSync(backup, 'utf8')]);
    const [timestamp, sweepId] = [expect.stringMatching(/^\d{4}-/), expect.stringMatching(/\/production$/)];
    const line = { message: 'deleting HPA', timestamp, cluster: 'production', sweepId, reason: 'AutoscalingRemoved' };
    expect(directory.lines()).toEqual([{ ...line, manifest }]);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(report);
    expect([backup, file].map((path) => statSync(path).mode & 0o777)).toEqual([0o600, 0o600]);
    expect(stderr).toBe(
      [
        `reaper: the report is in ${file}`,
        `reaper: the deleted HPAs are in ${backup}; to undo it:`,
        `  reaper restore ${backup} --keep --kubeconfig ${kubeconfig}`,
        'reaper: --keep annotates them; without it, the next sweep deletes them again\n',
      ].join('\n'),
    );
    const [, undo = ''] = /^ {2}reaper (.*)$/m.exec(stderr) ?? [];
    expect(await run(undo.split(' '))).toMatchObject({ code: 0, stdout: expect.stringMatching(/\nRestored /) });
    expect(cluster.objects('horizontalpodautoscalers')).toMatchObject([{ spec: manifest?.spec }]);
    expect(await reap('--yes')).toMatchObject({ code: 0, stderr: 'reaper: nothing to delete\n' });
  });

  test('deletes in every context, each line names its cluster, and one that does not answer stops no other', async () => {
    const clusters = { one: await serveSettled(staleList()), two: await serveSettled(staleList()) };
    const wanted = await serveSettled(wantedList());
    const directory = backupDirectory();
    const args = ['reap', '--kubeconfig', kubeconfigOf({ lost: LOST, ...clusters, three: wanted }), '-y'];
    const all = await run([...args, '--all-contexts'], { cwd: directory.path });
    expect(all.code).toBe(1);
    expect(all.stdout).toMatch(/\nlost: not swept\n {2}failed, ClusterUnreachable\n {4}no whole answer from /);
    const lines = directory.lines().map(({ cluster }) => cluster);
    expect(lines.sort()).toEqual(['one', 'two']);
    expect(Object.values(clusters).flatMap(hpasOf)).toEqual([]);
    expect(writesTo(wanted)).toEqual([]);
    expect(await run(args)).toEqual(failure(1, /^reaper: no whole answer from .*\nCheck that the API server /));
  });

  test('counts a cluster that two contexts lead to once, and deletes there once', async () => {
    const cluster = await serveSettled(staleList());
    const args = ['--kubeconfig', kubeconfigOf({ prod: cluster, 'prod-readonly': cluster }), '--all-contexts', '-y'];
    const { code, stdout } = await run(['reap', ...args, '-o', 'json'], { cwd: backupDirectory().path });
    const { totals, clusters } = JSON.parse(stdout);
    expect([code, totals]).toMatchObject([0, { clusters: 1, swept: 1, hpas: 1, outcomes: { Deleted: 1 } }]);
    expect(clusters).toMatchObject([{ cluster: 'prod' }]);
    expect(writes(cluster).filter((request) => request.startsWith('DELETE'))).toHaveLength(1);
  });

  test('needs --yes where there is no terminal', async () => {
    const { cluster, directory, reap } = await setUp(staleList());
    expect(await reap()).toEqual(failure(2, /^reaper: there is no terminal to ask on: give --yes .*, or --dry-run /));
    expect(cluster.requests).toEqual([]);
    expect(directory.files()).toEqual([]);
  });

  test('--dry-run prints what scan prints, also what is missing, and writes nothing', async () => {
    const list = someStale(1, 2);
    list.items = list.items.filter(({ metadata }) => metadata.name !== `${NAME}-1`);
    const { cluster, directory, kubeconfig, reap } = await setUp(list);
    const plan = await reap('--dry-run');
    const scan = await run(['scan', '--kubeconfig', kubeconfig]);
    const stderr = 'reaper: would delete 1 HPA in cluster production; nothing was changed\n';
    expect(plan).toEqual({ ...scan, stderr });
    expect(plan.stdout).toContain('production: 1 stale of 1 HPA with a label of Envoy Gateway, 1 missing\n');
    expect(writesTo(cluster)).toEqual([]);
    expect(directory.files()).toEqual([]);
  });

  test('deletes only the HPAs of --gateway', async () => {
    const { cluster, reap } = await setUp(someStale(3));
    const { code, stdout } = await reap('-y', '--gateway', 'autoscaling-removed/web-1', '-o', 'json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout).totals).toMatchObject({ hpas: 1, outcomes: { Deleted: 1 } });
    expect(writes(cluster)).toEqual([`PATCH ${NAME}-1`, `DELETE ${NAME}-1`, 'POST events']);
    expect(hpasOf(cluster)).toHaveLength(19);
  });

  test('does not delete what became stale after the plan', async () => {
    const { cluster, reap } = await setUp(someStale(2));
    cluster.onRequest = () => {
      // From the second reading on, no EnvoyProxy asks for autoscaling.
      const readings = cluster.requests.filter(({ path }) => path.endsWith('/envoyproxies')).length;
      const wanting = cluster.objects('envoyproxies').find(({ metadata }) => metadata.name === 'wanting');
      if (readings === 2 && wanting) wanting.spec = { provider: { type: 'Kubernetes' } };
      return undefined;
    };
    const { code, stdout } = await reap('-y', '-o', 'json');
    expect(code).toBe(0);
    const deletions = writes(cluster).filter((request) => request.startsWith('DELETE'));
    expect(deletions.sort()).toEqual([`DELETE ${NAME}-0`, `DELETE ${NAME}-1`]);
    expect(JSON.parse(stdout).totals).toMatchObject({ outcomes: { Deleted: 2 } });
  });

  test('says why a guard holds HPAs back, and --max-deletions raises the limit', async () => {
    const { cluster, directory, reap } = await setUp(someStale(11));
    const held = 'reaper: production: 11 held back: 11 of 20 HPAs at once are more than half. To delete all: --max-';
    const stderr = `${held}deletions 11\nreaper: nothing to delete\n`;
    expect(await reap('-y')).toMatchObject({ code: 0, stderr });
    const tooFew = await reap('-y', '--max-deletions', '10');
    expect(tooFew.stderr).toContain('11 held back: 11 deletions, and the limit for this run is 10');
    expect([writesTo(cluster), directory.files()]).toEqual([[], []]);

    expect((await reap('-y', '--max-deletions', '11')).code).toBe(0);
    expect(hpasOf(cluster)).toHaveLength(9);
    expect(directory.lines()).toHaveLength(11);
  });

  test('marks nothing where the backup cannot be written', async () => {
    const { cluster, reap } = await setUp(staleList());
    const message =
      /^reaper: no backup can be written, so nothing is deleted: ENOENT: .*; give another --backup-dir\n$/;
    const result = await reap('-y', '--backup-dir', join(folder, 'absent'));
    expect(result).toMatchObject({ code: 2, stderr: expect.stringMatching(message) });
    expect(writesTo(cluster)).toEqual([]);
  });

  test('has exit code 1 when a deletion is refused', async () => {
    const { cluster, reap } = await setUp(staleList());
    cluster.admission = ({ operation }) =>
      operation === 'DELETE' ? { webhook: 'policy.example.com', code: 403, message: 'hands off' } : undefined;
    const stderr = expect.stringMatching(/^reaper: production: .*: DeleteRefused, .*hands off\n/);
    expect(await reap('-y')).toMatchObject({ code: 1, stderr });
    expect(hpasOf(cluster)).toEqual([STALE]);
  });
});

describe.concurrent('reap on a terminal', patience, () => {
  test.each([
    ['y\r', 0, REMOVAL, '; to undo it:'],
    ['yes\r', 0, REMOVAL, '; to undo it:'],
    ['n\r', 0, [], 'reaper: nothing was deleted'],
    ['\r', 0, [], 'reaper: nothing was deleted'],
    ['\u0004', 0, [], 'reaper: nothing was deleted'],
    ['\u0003', 130, [], 'reaper: nothing was deleted'],
  ])('asks, and understands %j', async (keys, code, requests, message) => {
    const { cluster, directory, args } = await setUp(staleList());
    const answer: [string, string] = ['Delete 1 HPA in cluster production? [y/N] ', keys];
    const result = await runInTerminal(args, { columns: 200, answer });
    expect(writes(cluster)).toEqual(requests);
    expect(result.screen.join('\n')).toContain(message);
    expect(result.code).toBe(code);
    expect(directory.backups()).toHaveLength(requests.length === 0 ? 0 : 1);
  });

  test('shows every HPA that would be deleted above its question on an 80x24 terminal', async () => {
    const { args } = await setUp(someStale(2, 65));
    const { screen } = await runInTerminal(args, { rows: 24, answer: ['[y/N]', 'n\r'] });
    // The question itself is no longer on the screen: readline rewrites its line.
    const plan = screen.slice(0, screen.indexOf('reaper: nothing was deleted') - 1);
    expect(plan.length).toBeLessThan(24);
    expect(plan.filter((line) => line.startsWith('delete  '))).toHaveLength(2);
    expect(plan[0]).toMatch(/^production: 2 stale of 65 HPAs /);
    expect(plan.slice(-4)).toEqual(['', 'Not deleted: 63 Kept.', '', expect.stringMatching(/^Replicas afterwards: /)]);
  });

  /** Presses Ctrl-C when this many deletions have arrived, which wait until it is answered. */
  function interruptAt(cluster: EmbeddedCluster, deletions: number) {
    const answered = Promise.withResolvers<void>();
    let type = (_: string) => {};
    let arrived = 0;
    cluster.onRequest = async (request) => {
      if (!isDeletion(request)) return undefined;
      arrived += 1;
      if (arrived === deletions) type('\u0003');
      await answered.promise;
      return undefined;
    };
    return (written: string, keys: (keys: string) => void) => {
      type = keys;
      if (written.includes('reaper: stopping: requests in progress finish, and nothing else')) answered.resolve();
    };
  }

  test('stops before the next deletion on Ctrl-C, and reports what was done', async () => {
    const { cluster, directory, args } = await setUp(someStale(25, 60));
    // Maximum concurrent requests.
    const result = await runInTerminal([...args, '--yes'], { columns: 200, onOutput: interruptAt(cluster, 20) });
    expect(result.code).toBe(130);
    expect(writesTo(cluster).filter(isDeletion)).toHaveLength(20);
    expect(hpasOf(cluster)).toHaveLength(40);
    expect(directory.lines()).toHaveLength(20);
    const report = JSON.parse(readFileSync(directory.reports()[0] ?? '', 'utf8'));
    expect(report.totals.outcomes).toEqual({ Deleted: 20, Stopped: 5, Kept: 35 });
    expect(report.remaining).toEqual([{ cluster: 'production' }]);
    expect(result.written).toContain('; to undo it:');
  });

  test('ends at once on a second Ctrl-C', async () => {
    const { cluster, directory, args } = await setUp(staleList());
    let type = (_: string) => {};
    cluster.onRequest = (request) => {
      if (!isDeletion(request)) return undefined;
      type('\u0003');
      return { kind: 'hang' };
    };
    const onOutput = (_: string, keys: typeof type) => {
      type = keys;
    };
    const answer: [string, string] = ['Ctrl-C again ends at once.', '\u0003'];
    const result = await runInTerminal([...args, '--yes'], { columns: 200, onOutput, answer });
    expect(result.code).toBe(130);
    expect(directory.reports()).toEqual([]);
    // The HPA that may be deleted by now can be restored.
    expect(directory.lines()).toHaveLength(1);
  });
});
