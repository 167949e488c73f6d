import { describe, expect, test } from 'vitest';
import { auditLine } from '../doubles/cloudwatch-logs.ts';
import { folder, kubeconfigFor, LOST, patience, run, runInTerminal, save, serveLive } from './cli-harness.ts';
import { type List, staleList, the, withTenantConfig } from './harness.ts';

// What is the same for every command that reads clusters, each as a process.

const backup = save(
  JSON.stringify({
    ...{ message: 'deleting HPA', cluster: 'shop', sweepId: 'pass-1', reason: 'AutoscalingRemoved' },
    manifest: the('HorizontalPodAutoscaler', staleList()),
  }),
);
const auditLog = save(auditLine('envoyproxy-patch'));

/**
 * Each command with its arguments; `into` tells restore the cluster where the context has another name, and `stale` is its output
 * for a stale HPA.
 */
const commands: Record<string, { args: string[]; into?: string[]; stale: string }> = {
  scan: { args: ['scan'], stale: '"action": "delete"' },
  reap: { args: ['reap', '--yes'], stale: '"outcome": "Deleted"' },
  restore: { args: ['restore', backup, '--dry-run'], into: ['--cluster', 'shop'], stale: '"outcome": "StillStale"' },
  replay: { args: ['replay', auditLog], stale: '"action": "delete"' },
  doctor: { args: ['doctor'], stale: '1 of 1 HPA with a label of Envoy Gateway is stale' },
};

const empty: List = { kind: 'List', items: [] };

describe.concurrent.each(Object.entries(commands))('%s', patience, (name, { args, stale, into = [] }) => {
  const inCluster = (kubeconfig: string) => ['--kubeconfig', kubeconfig, '--context', 'production', ...into];
  const planning = [...args, ...(name === 'reap' ? ['--dry-run'] : [])];
  const noContext = save({ apiVersion: 'v1', kind: 'Config' });
  test.each([
    ['no kubeconfig', '', 'no kubeconfig with a context was found; set KUBECONFIG, or give --kubeconfig FILE'],
    ['a kubeconfig without a context', noContext, `kubeconfig ${noContext} has no context`],
  ])('takes %s for wrong usage', async (_, KUBECONFIG, message) => {
    const { code, stdout, stderr } = await run(args, { env: { KUBECONFIG } });
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    // Other commands print first what they read.
    expect(stderr.trimEnd().split('\n').at(-1)).toBe(`reaper: ${message}`);
  });

  test('says why the user of a context cannot log in', async () => {
    const users = [{ name: 'jane', user: { exec: { command: 'no-such-plugin' } } }];
    const kubeconfig = save({ ...kubeconfigFor({ production: LOST }), users });
    const { code, stdout, stderr } = await run([...args, ...inCluster(kubeconfig)]);
    expect(code).toBe(1);
    expect(stdout + stderr).toContain('production: cannot authenticate: its command no-such-plugin failed: ');
    expect(stdout + stderr).toContain('Log in again. If that does not help, check the user of this context');
  });

  test('says which AWS credentials to give', async () => {
    const { code, stderr } = await run([...args, '--eks', 'shop'], { env: { AWS_REGION: 'eu-central-1' } });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^Give AWS credentials: a profile that `aws configure list-profiles` names /m);
  });

  test('changes nothing in an empty cluster', async () => {
    const { cluster, kubeconfig } = await serveLive(empty);
    const { code } = await run([...args, ...inCluster(kubeconfig)]);
    // There is no namespace to put the HPA into; and nothing that doctor would find broken.
    expect(code).toBe(name === 'restore' ? 1 : 0);
    expect(cluster.objects('horizontalpodautoscalers')).toEqual([]);
  });

  test('judges by the ConfigMaps in the controller namespaces', async () => {
    const list = withTenantConfig(staleList());
    // The processes use the real clock.
    for (const { kind, metadata } of list.items)
      if (kind !== 'ConfigMap') Reflect.deleteProperty(metadata, 'creationTimestamp');
    if (name === 'restore') list.items = list.items.filter(({ kind }) => kind !== 'HorizontalPodAutoscaler');
    const { kubeconfig } = await serveLive(list, { now: () => new Date('2026-01-01T00:00:00Z') });
    const line = [...args, ...inCluster(kubeconfig), '-o', 'json'];
    expect((await run(line, { cwd: folder })).stdout).not.toContain(stale);
    const named = ['--controller-namespace', 'elsewhere', '--controller-namespace', 'envoy-gateway-system'];
    expect((await run([...line, ...named], { cwd: folder })).stdout).toContain(stale);
  });

  test('tolerates a reader that stops early', async () => {
    const { kubeconfig } = await serveLive(staleList());
    const { stderr } = await run([...planning, ...inCluster(kubeconfig), '-o', 'json'], {
      reader: async (stdout) => {
        for await (const chunk of stdout) return String(chunk); // Leaving the loop closes the pipe, as `head -1` does.
        return '';
      },
    });
    expect(stderr).not.toMatch(/EPIPE|^\s+at /m);
  });

  test('fits a terminal of 80 columns', async () => {
    const { kubeconfig } = await serveLive(staleList());
    const { screen } = await runInTerminal([...planning, ...inCluster(kubeconfig)]);
    // A sentence may go on in the next line; what is laid out may not. A word alone cannot be broken.
    const laidOut = screen.filter((line) => !line.startsWith('reaper: ') && /\S\s+\S/.test(line.trim()));
    expect(laidOut.filter((line) => line.length > 80)).toEqual([]);
    expect(screen.join('\n')).toContain('envoy-gateway-system');
  });
});
