import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { runReportSchema } from '../../functions/events/report.ts';
import {
  failure,
  kubeconfigFor,
  kubeconfigOf,
  LOST,
  patience,
  run,
  save,
  serveLive,
  serveUntilEnd,
} from './cli-harness.ts';
import { type List, MISSING, missingList, STALE, staleList, the, wantedList, writesTo } from './harness.ts';

const NAME = STALE.split('/')[1];
const empty: List = { kind: 'List', items: [] };

/** The EnvoyProxy of a list as a file, with or without its settings for an HPA, and without a namespace on request. */
function proxyOf(list: List, envoyHpa: object | undefined, namespace = the('EnvoyProxy', list).metadata.namespace) {
  const { apiVersion, kind, metadata } = the('EnvoyProxy', list);
  const spec = { provider: { type: 'Kubernetes', kubernetes: { envoyHpa } } };
  return save({ apiVersion, kind, metadata: { name: metadata.name, namespace: namespace || undefined }, spec });
}

describe.concurrent('scan of a saved List', patience, () => {
  test('prints the documented JSON on stdout, and nothing on stderr', async () => {
    const file = save(staleList());
    const { code, stdout, stderr } = await run(['scan', '--file', file, '-o', 'json', '--exit-code']);
    expect({ code, stderr }).toEqual({ code: 3, stderr: '' });
    const report = JSON.parse(stdout);
    expect(runReportSchema.parse(report)).toEqual(report);
    const hpas = [{ name: NAME, action: 'delete', outcome: 'Reported' }];
    expect(report).toMatchObject({
      ...{ mode: 'report', clusters: [{ cluster: file, result: 'swept', hpas, missing: [] }] },
    });
  });

  test('prints a table without a terminal, whatever its width, in colors only with FORCE_COLOR', async () => {
    const file = save(staleList());
    expect((await run(['scan', '--file', file], { env: { FORCE_COLOR: '1' } })).stdout).toContain('\u001b[31m');
    const { code, stdout, stderr } = await run(['scan', '--file', file], { env: { COLUMNS: '80' } });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout.split('\n')).toEqual([
      `${file}: 1 stale of 1 HPA with a label of Envoy Gateway`,
      expect.stringMatching(/^ACTION {2}NAMESPACE +NAME +REASON +REPLICAS +WHY$/),
      expect.stringMatching(/^delete {2}envoy-gateway-system {2}envoy-autoscaling-removed-web-f9b1d10d {2}Autoscaling/),
      '',
    ]);
  });

  test('reads standard input, and prints YAML', async () => {
    const stdin = JSON.stringify(staleList());
    const { stdout } = await run(['scan', '--file', '-', '-o', 'yaml'], { stdin });
    expect(parse(stdout).clusters).toMatchObject([{ cluster: 'standard input', hpas: [{ action: 'delete' }] }]);
  });

  test('names the guard that would hold a stale HPA back', async () => {
    const list = staleList();
    the('HorizontalPodAutoscaler', list).metadata.creationTimestamp = new Date(Date.now() + 60_000).toISOString();
    const { code, stdout } = await run(['scan', '--file', save(list), '-o', 'json', '--exit-code']);
    expect(code).toBe(3);
    expect(JSON.parse(stdout).clusters[0].hpas).toMatchObject([{ action: 'delete', guard: { name: 'Settling' } }]);
  });

  test('reports a missing HPA, with exit code 3', async () => {
    const { code, stdout, stderr } = await run(['scan', '-f', save(missingList()), '--incomplete', '--exit-code']);
    expect({ code, stderr }).toEqual({ code: 3, stderr: '' });
    expect(stdout).toContain('Missing: wanted, but not found\nNAMESPACE ');
    expect(stdout).toContain(MISSING.split('/')[1]);
  });

  test('rejects a List without a kind, unless --incomplete is given', async () => {
    const file = save(empty);
    expect(await run(['scan', '-f', file])).toEqual(
      failure(1, /^reaper: \S+: it has no GatewayClass, .* --incomplete /),
    );
    const { stdout: table } = await run(['scan', '-f', file, '--incomplete']);
    expect(table).toBe(`${file}: no HPA with a label of Envoy Gateway\n`);
  });

  test('reports only the HPAs of -n and --gateway', async () => {
    const file = save(staleList());
    const { stdout } = await run(['scan', '-f', file, '-n', 'shop', '--gateway', 'shop/web']);
    const introduction = 'Only HPAs in namespace shop and of Gateway shop/web.\n\n';
    expect(stdout).toBe(`${introduction}${file}: no HPA with a label of Envoy Gateway\n`);
    const json = JSON.parse((await run(['scan', '-f', file, '--gateway', 'web', '-o', 'json'])).stdout);
    expect(json).toMatchObject({ selection: { gateway: 'web' }, totals: { hpas: 1 } });
  });
});

describe.concurrent('a what-if', patience, () => {
  test('reports what becomes stale, and its state now, with exit code 3', async () => {
    const proxy = proxyOf(wantedList(), undefined);
    const args = ['--file', save(wantedList()), '--with', proxy, '--exit-code', '-o', 'json'];
    const { code, stdout, stderr } = await run(['scan', ...args]);
    expect({ code, stderr }).toEqual({ code: 3, stderr: '' });
    const report = JSON.parse(stdout);
    expect(runReportSchema.parse(report)).toEqual(report);
    const { uid, resourceVersion } = the('EnvoyProxy', wantedList()).metadata;
    expect(report).toMatchObject({
      whatIf: { applied: [{ kind: 'EnvoyProxy', namespace: 'autoscaling-kept', name: 'proxy' }], deleted: [] },
      totals: { hpas: 1, stale: 1 },
    });
    expect(report.clusters[0].hpas).toMatchObject([
      {
        reason: 'AutoscalingRemoved',
        restsOn: expect.arrayContaining([expect.objectContaining({ kind: 'EnvoyProxy', uid, resourceVersion })]),
        whatIf: { change: 'BecomesStale', now: { action: 'keep', reason: 'AutoscalingConfigured' } },
      },
    ]);
  });

  const WITHOUT_HPA = ['--with', proxyOf(staleList(), undefined)];
  const [PROXY, GATEWAY] = ['envoyproxy/autoscaling-removed/proxy', 'gateway/autoscaling-kept/web'];
  const [WAITS, NONE] = ['1 stale without Deployment', 'no HPA with a label of Envoy Gateway'];
  test.each<[string, List, string[], number, string]>([
    ['an HPA that is stale already', staleList(), WITHOUT_HPA, 0, 'nothing changes; 1 stale'],
    ['a stale one whose Deployment has to go', staleList(), ['--without', PROXY], 0, `${WAITS}; then 0 stale`],
    ['a wanted one whose Deployment has to go', wantedList(), ['--without', GATEWAY], 3, `${WAITS}; then 0 stale`],
    ['one that is missing now', missingList(), ['--incomplete', ...WITHOUT_HPA], 0, `${NONE}, 1 missing`],
  ])('has the right exit code for %s', async (_, list, flags, code, summary) => {
    const file = save(list);
    const result = await run(['scan', '-f', file, ...flags, '--exit-code']);
    expect(result).toMatchObject({ code, stderr: '', stdout: expect.stringContaining(`\n${file}: ${summary}`) });
  });

  test('reads a live cluster once, writes nothing, and uses the namespace of the context', async () => {
    const { cluster, kubeconfig } = await serveLive(wantedList());
    const proxy = proxyOf(wantedList(), undefined, '');
    const args = ['scan', '--kubeconfig', kubeconfig, '--with', proxy, '--exit-code', '-o', 'json'];
    const inDefault = await run(args);
    expect(inDefault.code).toBe(0);
    cluster.requests.length = 0;
    const config = kubeconfigFor({ production: cluster });
    for (const { context } of config.contexts) Object.assign(context, { namespace: 'autoscaling-kept' });
    const { code, stdout, stderr } = await run(args.with(2, save(config)));
    expect({ code, stderr }).toEqual({ code: 3, stderr: '' });
    expect(JSON.parse(stdout).clusters[0].hpas).toMatchObject([{ whatIf: { change: 'BecomesStale' } }]);
    expect(writesTo(cluster)).toEqual([]);
    const paths = cluster.requests.map(({ path, query }) => `${path}?${query.get('labelSelector') ?? ''}`);
    expect(new Set(paths).size).toBe(paths.length);
    // Three lists of HPAs and four of configuration, Envoy Gateway's Deployment, and the other HPAs there.
    expect(paths).toHaveLength(9);
  });

  test('says which kinds it ignores, and warns about what does not exist', async () => {
    const others = ['web', 'api'].map((name) => ({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name } }));
    const file = save({ apiVersion: 'v1', kind: 'List', items: others });
    const flags = ['--with', file, '--with', proxyOf(wantedList(), {}), '--without', 'gateway/shop/nope'];
    const { code, stdout, stderr } = await run(['scan', '-f', save(wantedList()), ...flags]);
    expect(code).toBe(0);
    expect(stderr).toBe('reaper: ignored, because they do not affect HPAs: 2 Deployment\n');
    expect(stdout).toContain('warning, NothingToDelete\n    there is no Gateway shop/nope to delete\n');
  });
});

describe.concurrent('scan of a live cluster', patience, () => {
  test('uses $KUBECONFIG and its current context, and writes nothing', async () => {
    const { cluster, kubeconfig } = await serveLive(staleList());
    const env = { KUBECONFIG: kubeconfig };
    const { code, stdout, stderr } = await run(['scan', '-o', 'json', '--exit-code'], { env });
    expect({ code, stderr }).toEqual({ code: 3, stderr: '' });
    expect(JSON.parse(stdout).clusters).toMatchObject([
      { cluster: 'production', hpas: [{ action: 'delete', reason: 'AutoscalingRemoved', name: NAME }] },
    ]);
    expect(cluster.requests).toHaveLength(9);
    expect(writesTo(cluster)).toEqual([]);
    expect(cluster.requests.every(({ username }) => username === 'admin')).toBe(true);
  });

  test('reads only HPAs and classes of an empty cluster', async () => {
    const { cluster, kubeconfig } = await serveLive(empty);
    const args = ['scan', '--kubeconfig', kubeconfig, '--context', 'production', '--exit-code'];
    const stdout = 'production: no HPA with a label of Envoy Gateway\n';
    expect(await run(args)).toEqual({ code: 0, stdout, stderr: '' });
    expect(cluster.requests).toHaveLength(4);
  });

  test('puts the manifest of every HPA into a page', async () => {
    const { kubeconfig } = await serveLive(wantedList());
    const { code, stdout, stderr } = await run(['scan', '--kubeconfig', kubeconfig, '-o', 'html']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^<!doctype html>\n.*<style>\n:root .*<\/html>\n$/s);
    expect(stdout).toContain('<summary>Manifest</summary><pre># without managedFields\napiVersion: autoscaling/v2\n');
  });

  const JANE = { 'admin-token': { username: 'jane', groups: [] } };
  test.each<[string, Parameters<typeof serveLive>[1], RegExp, string?]>([
    ['a server that is off', {}, /^reaper: .*: connect ECONNREFUSED .*\nCheck that the API server/, LOST.url],
    ['an unknown token', { users: {} }, /^reaper: GET .* was answered 401: Unauthorized\nLog in again, or check /],
    ['a user without permissions', { users: JANE }, /^reaper: .* 403: .* cannot list .*\nUse a user who may do /],
  ])('fails for %s, with the reason and the remedy', async (_, options, message, otherUrl) => {
    const { url, caCertificate } = await serveUntilEnd(staleList(), options);
    const kubeconfig = kubeconfigOf({ production: { url: otherUrl ?? url, caCertificate } });
    expect(await run(['scan', '--kubeconfig', kubeconfig, '-o', 'json'])).toEqual(failure(1, message));
  });

  test('sends nothing to a server with the certificate of another CA', async () => {
    const { cluster } = await serveLive(staleList());
    const { cluster: other } = await serveLive(staleList());
    const kubeconfig = kubeconfigOf({ production: { ...cluster, caCertificate: other.caCertificate } });
    const { code, stderr } = await run(['scan', '--kubeconfig', kubeconfig]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^reaper: no whole answer from 127\.0\.0\.1:\d+: .*certificate.*\nCheck /);
    expect(cluster.requests).toEqual([]);
  });
});

test('help and version go to stdout with 0, and a missing command is wrong usage', patience, async () => {
  const [help, version, none] = await Promise.all([run(['--help']), run(['--version']), run([])]);
  expect(help).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/^Usage: reaper /) });
  expect(version).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
  expect(none).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(/^Usage: reaper /) });
});

test.each(['bash', 'zsh', 'fish'])('prints a completion script for %s', patience, async (shell) => {
  const stdout = expect.stringContaining('reaper');
  expect(await run(['completion', shell])).toEqual({ code: 0, stdout, stderr: '' });
});

test('completes commands, options and formats', patience, async () => {
  const complete = async (...words: string[]) => {
    const { stdout } = await run(['complete', '--', ...words]);
    return stdout.split('\n').map((line) => line.split('\t')[0]);
  };
  expect(await complete('re')).toEqual(expect.arrayContaining(['reap', 'restore', 'replay']));
  expect(await complete('scan', '--all')).toEqual(expect.arrayContaining(['--all', '--all-contexts']));
  expect(await complete('scan', '--output', '')).toEqual(expect.arrayContaining(['name', 'html']));
});
