import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { scan } from '../../functions/cli/commands/scan.ts';
import { formatReport } from '../../functions/cli/output/report.ts';
import { runReportSchema } from '../../functions/events/report.ts';
import { LIST_COMMAND } from '../../functions/kubernetes/cluster-list.ts';
import type { EmbeddedClusterOptions } from '../embedded-cluster/embedded-cluster.ts';
import { kubeconfigFor, patience, run, save, serveLive } from './cli-harness.ts';
import {
  caseNames,
  expectedOf,
  type List,
  listOf,
  MISSING,
  missingList,
  STALE,
  staleList,
  the,
  wantedList,
  writesTo,
} from './harness.ts';
import { saveBytes } from './repair-harness.ts';

const fileOf = (name: string) => fileURLToPath(new URL(`../cases/${name}/cluster.json`, import.meta.url));
const stale = fileOf('autoscaling-removed-v1.3.0');
const savedList = (name: string) => fileURLToPath(new URL(`../fixtures/lists/${name}.json`, import.meta.url));
const KINDS = ['GatewayClass', 'Gateway', 'EnvoyProxy', 'HorizontalPodAutoscaler', 'Deployment', 'ConfigMap'];
const lacksKinds = ({ items }: List) => !KINDS.every((kind) => items.some((item) => item.kind === kind));

describe.concurrent('scan of a saved List', patience, () => {
  test.each(caseNames)('%s: on stdout is the documented JSON, and nothing on stderr', async (name) => {
    const expected = expectedOf(name);
    const incomplete = lacksKinds(listOf(name)) ? ['--incomplete'] : [];
    const { code, stdout, stderr } = await run([
      ...['scan', '--file', fileOf(name), '-o', 'json', '--exit-code', ...incomplete],
    ]);
    expect(stderr).toBe('');
    expect(code).toBe(expected.delete.length > 0 ? 3 : 0);

    const scan = JSON.parse(stdout);
    expect(runReportSchema.parse(scan)).toEqual(scan);
    expect(scan).toMatchObject({ mode: 'report', clusters: [{ cluster: fileOf(name), result: 'swept', missing: [] }] });
    const { hpas } = scan.clusters[0];
    for (const hpa of hpas) {
      expect(hpa).toMatchObject({
        ...{ namespace: expect.any(String), name: expect.any(String), uid: expect.any(String) },
        ...{ action: expect.stringMatching(/^(delete|keep)$/), reason: expect.stringMatching(/^[A-Z][A-Za-z]+$/) },
      });
    }
    const keys = (action: string) =>
      hpas
        .filter((hpa: { action: string }) => hpa.action === action)
        .map((hpa: { namespace: string; name: string }) => `${hpa.namespace}/${hpa.name}`);
    expect({ delete: keys('delete'), keep: keys('keep') }).toEqual({ delete: expected.delete, keep: expected.keep });
  });

  test('a table, without colour where there is no terminal, whatever its width', async () => {
    const { code, stdout, stderr } = await run(['scan', '--file', stale], { env: { COLUMNS: '80' } });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const [summary, headings, row, ...rest] = stdout.split('\n');
    expect(summary).toBe(`${stale}: 1 stale of 1 HPA with a label of Envoy Gateway`);
    expect(headings).toMatch(/^ACTION {2}NAMESPACE +NAME +REASON +REPLICAS +WHY$/);
    expect(row).toMatch(
      /^delete {2}envoy-gateway-system {2}envoy-autoscaling-removed-web-f9b1d10d {2}AutoscalingRemoved {2}\? \(2-5\) → stays {2}Gateway .* asks for no autoscaling: no envoyHpa in EnvoyProxy autoscaling-removed\/proxy\. Afterwards its Deployment stays at the replicas it has until somebody scales it\.$/,
    );
    expect(rest).toEqual(['']);
    expect(stdout).not.toContain('\u001b');
  });

  test('YAML says what JSON says', async () => {
    const { code, stdout, stderr } = await run(['scan', '-f', stale, '-o', 'yaml']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(parse(stdout)).toMatchObject({
      schemaVersion: 1,
      clusters: [{ cluster: stale, hpas: [{ action: 'delete', reason: 'AutoscalingRemoved', replicas: { max: 5 } }] }],
    });
  });

  test('markdown is a table for a ticket', async () => {
    const { code, stdout, stderr } = await run(['scan', '-f', stale, '--output', 'markdown']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout.split('\n')).toEqual([
      `### ${stale}`,
      '',
      '1 stale of 1 HPA with a label of Envoy Gateway.',
      '',
      '| ACTION | NAMESPACE | NAME | REASON | REPLICAS | WHY |',
      '| --- | --- | --- | --- | --- | --- |',
      expect.stringMatching(
        /^\| delete \| envoy-gateway-system \| .* \| AutoscalingRemoved \| \? \(2-5\) → stays \| .* \|$/,
      ),
      '',
    ]);
  });

  test('packed with gzip, and with a byte order mark', async () => {
    for (const content of [
      gzipSync(JSON.stringify(staleList())),
      Buffer.from(`\ufeff${JSON.stringify(staleList())}`),
    ]) {
      const file = saveBytes(content);
      const { code, stdout } = await run(['scan', '--file', file, '-o', 'json', '--exit-code']);
      expect(code).toBe(3);
      expect(JSON.parse(stdout).clusters).toMatchObject([{ cluster: file, hpas: [{ action: 'delete' }] }]);
    }
  });

  test('- is standard input', async () => {
    const { code, stdout } = await run(['scan', '--file', '-', '-o', 'json', '--exit-code'], {
      stdin: JSON.stringify(staleList()),
    });
    expect(code).toBe(3);
    expect(JSON.parse(stdout).clusters).toMatchObject([{ cluster: 'standard input', hpas: [{ action: 'delete' }] }]);
  });

  test('what a guard would hold back is stale all the same, and the guard is named', async () => {
    const list = staleList();
    the('HorizontalPodAutoscaler', list).metadata.creationTimestamp = new Date(Date.now() + 60_000).toISOString();
    const { code, stdout } = await run(['scan', '--file', save(list), '-o', 'json', '--exit-code']);
    expect(code).toBe(3);
    expect(JSON.parse(stdout).clusters[0].hpas).toMatchObject([{ action: 'delete', guard: { name: 'Settling' } }]);
  });

  test('without an HPA of Envoy Gateway says so', async () => {
    const file = save({ kind: 'List', items: [] });
    const { code, stdout } = await run(['scan', '--file', file, '--incomplete', '--exit-code']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/: no HPA with a label of Envoy Gateway\n$/);
  });

  test('an HPA that is missing is told, with 3', async () => {
    const { code, stdout, stderr } = await run(['scan', '-f', save(missingList()), '--incomplete', '--exit-code']);
    expect({ code, stderr }).toEqual({ code: 3, stderr: '' });
    expect(stdout.split('\n')).toEqual([
      expect.stringMatching(/: no HPA with a label of Envoy Gateway, 1 missing$/),
      '',
      'Missing: asked for, but not there',
      `missing  ${MISSING} of Gateway autoscaling-kept/web`,
      `  Gateway autoscaling-kept/web asks for autoscaling in EnvoyProxy autoscaling-kept/proxy, and there is no HPA ${MISSING}.`,
      expect.stringMatching(/^ {2}Envoy Gateway does not notice that it is gone: restart Envoy Gateway, or change /),
      '',
    ]);
  });

  test('a List that lacks a kind is refused with the command that saves it, unless --incomplete is given', async () => {
    const file = fileOf('gateway-deleted-v1.3.0');
    const { code, stdout, stderr } = await run(['scan', '-f', file]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toBe(
      `reaper: ${file}: it has no Gateway, no Deployment, and what is not in it counts as gone. List them too (\`${LIST_COMMAND}\`), or say with --incomplete that the cluster has none\n`,
    );
  });

  test('a List without managedFields is refused, and never said to have nothing stale', async () => {
    const { code, stdout, stderr } = await run(['scan', '-f', savedList('without-managed-fields'), '--incomplete']);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(
      /^reaper: .*without-managed-fields\.json: its HPAs have no managedFields, .*: save it with --show-managed-fields\n$/,
    );
  });

  test.each<[string, string, string, string?]>([
    ['replicas-stay', 'delete AutoscalingRemoved', '5 (2-10) → stays at 5'],
    ['replicas-by-a-patch', 'delete AutoscalingRemoved', '5 (2-10) → 5'],
    [
      'replicas-governed-by-the-successor',
      'delete Renamed',
      '5 (2-10) → HPA envoy-gateway-system/envoy-shop-web-97375646',
    ],
    ['replicas-governed-by-keda', 'delete AutoscalingRemoved', '5 (2-10) → HPA envoy-gateway-system/keda-hpa-edge'],
    ['runs-as-daemonset', 'delete ScaleTargetGone', '5 (2-10) → no Deployment'],
    ['istio-gateway', 'delete AutoscalingRemoved', '5 (2-10) → stays at 5'],
    [
      'orphaned-deployment',
      'keep ScaleTargetStillRuns',
      '5 (2-10)',
      'If nothing uses the Deployment anymore, delete it, and the next sweep deletes the HPA.',
    ],
    [
      'orphaned-deployment-of-another-name',
      'keep ScaleTargetStillRuns',
      '5 (2-10)',
      'Envoy Gateway removes Deployment envoy-gateway-system/edge too, unless it was down when the owner was deleted',
    ],
  ])('%s: what becomes of it, and what to do', async (name, verdict, replicas, remedy) => {
    const report = await scan(
      { file: savedList(name), incomplete: name === 'runs-as-daemonset' },
      // Its HPAs are older than an hour.
      { now: () => new Date('2027-01-01T00:00:00Z') },
    );
    const row = formatReport(report, 'markdown', { color: false })
      .split('\n')
      .find((line) => line.startsWith('| delete ') || line.startsWith('| keep '));
    const [action, , , reason, told, why] = row?.slice(2).split(' | ') ?? [];
    expect([`${action} ${reason}`, told]).toEqual([verdict, replicas]);
    if (remedy) expect(why).toContain(remedy);
  });

  test('a reader that has enough ends it without a word', async () => {
    const list = staleList();
    const hpa = the('HorizontalPodAutoscaler', list);
    // More than a pipe holds.
    list.items.push(
      ...Array.from({ length: 2_000 }, (_, n) => ({ ...hpa, metadata: { ...hpa.metadata, uid: `${n}` } })),
    );
    const file = save(list);
    const { code, stderr } = await run(['scan', '--file', file], {
      reader: async (stdout) => {
        for await (const chunk of stdout) return String(chunk); // Leaving the loop closes the pipe, as `head -1` does.
        return '';
      },
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });
});

describe.concurrent('scan of a live cluster', patience, () => {
  test('goes by $KUBECONFIG and its current context, and writes nothing', async () => {
    const { cluster, kubeconfig } = await serveLive(staleList());
    const { code, stdout, stderr } = await run(['scan', '-o', 'json', '--exit-code'], {
      env: { KUBECONFIG: kubeconfig },
    });
    expect({ code, stderr }).toEqual({ code: 3, stderr: '' });
    expect(JSON.parse(stdout).clusters).toMatchObject([
      { cluster: 'production', hpas: [{ action: 'delete', reason: 'AutoscalingRemoved', name: STALE.split('/')[1] }] },
    ]);
    // Three lists of HPAs and four of what decides; then Envoy Gateway's Deployment, and what else scales there.
    expect(cluster.requests).toHaveLength(9);
    expect(writesTo(cluster)).toEqual([]);
    expect(cluster.requests.every(({ username }) => username === 'admin')).toBe(true);
  });

  test('goes by --kubeconfig and --context', async () => {
    const { kubeconfig } = await serveLive(wantedList());
    const found = await run(['scan', '--kubeconfig', kubeconfig, '--context', 'production', '--exit-code']);
    expect(found).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringMatching(/^production: 0 stale of 1 HPA /),
    });
  });

  test('an empty cluster: says so, and asks for nothing but HPAs and classes', async () => {
    const { cluster, kubeconfig } = await serveLive({ kind: 'List', items: [] });
    const { code, stdout, stderr } = await run(['scan', '--kubeconfig', kubeconfig, '--exit-code']);
    expect({ code, stdout, stderr }).toEqual({
      code: 0,
      stdout: 'production: no HPA with a label of Envoy Gateway\n',
      stderr: '',
    });
    expect(cluster.requests).toHaveLength(4);
  });

  test('as a page: the manifest of every HPA is in it', async () => {
    const { cluster, kubeconfig } = await serveLive(wantedList());
    const { code, stdout, stderr } = await run(['scan', '--kubeconfig', kubeconfig, '-o', 'html']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^<!doctype html>\n.*<\/html>\n$/s);
    expect(stdout).toContain(
      '<details><summary>Manifest</summary><pre># without managedFields\napiVersion: autoscaling/v2\n',
    );
    expect(writesTo(cluster)).toEqual([]);
  });

  const live: [string, EmbeddedClusterOptions & { token?: string }, string[], RegExp][] = [
    [
      'an unreachable server',
      {},
      ['--context', 'lost'],
      /^reaper: no whole answer from 127\.0\.0\.1:1: connect ECONNREFUSED 127\.0\.0\.1:1\nCheck that the API server runs /,
    ],
    [
      'an unknown context',
      {},
      ['--context', 'staging'],
      /^reaper: the kubeconfig has no context staging; it has production, lost\n$/,
    ],
    [
      'a token that is not known',
      { token: 'stolen' },
      [],
      /^reaper: GET .* was answered 401: Unauthorized\nEnroll the cluster: .* renew its credentials/,
    ],
    [
      'a user without rights',
      { users: { 'admin-token': { username: 'jane', groups: [] } } },
      [],
      /^reaper: .* 403: .* cannot list resource .*\nEnroll the cluster: .* applies the RBAC /,
    ],
  ];
  test.each(live)('%s fails it with one sentence', async (_, options, args, message) => {
    const { kubeconfig } = await serveLive(staleList(), options);
    const { code, stdout, stderr } = await run(['scan', '--kubeconfig', kubeconfig, '-o', 'json', ...args]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(message);
  });

  test('the certificate of another CA fails it, and nothing is sent', async () => {
    const { cluster } = await serveLive(staleList());
    const { cluster: other } = await serveLive(staleList());
    const kubeconfig = save(kubeconfigFor(cluster, 'admin-token', other.caCertificate));
    const { code, stderr } = await run(['scan', '--kubeconfig', kubeconfig]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^reaper: no whole answer from 127\.0\.0\.1:\d+: .*certificate.*\nCheck /);
    expect(cluster.requests).toEqual([]);
  });
});

describe.concurrent('what cannot be done fails with one sentence on stderr and 1', patience, () => {
  // A parser that quotes the line with the fault quotes the token.
  const secretive = 'users:\n- {name: jane, user: {token: secret}]\n';
  const files: [string, () => string[], RegExp][] = [
    [
      'no kubeconfig',
      () => [],
      /^reaper: no kubeconfig with a context was found; set KUBECONFIG, or give --kubeconfig FILE\n$/,
    ],
    [
      'a kubeconfig that is not there',
      () => ['--kubeconfig', '/nowhere'],
      /^reaper: kubeconfig \/nowhere cannot be read: ENOENT/,
    ],
    ['a kubeconfig that is none', () => ['--kubeconfig', save(secretive)], /^reaper: kubeconfig .* cannot be read: /],
    ['a file that is not there', () => ['--file', '/nowhere'], /^reaper: \/nowhere cannot be read: ENOENT/],
    ['a folder', () => ['--file', '/'], /^reaper: \/ cannot be read: EISDIR/],
    [
      'no JSON',
      () => ['--file', save('NAME AGE')],
      /^reaper: .* is not JSON \(.*\); save it with `kubectl get … -o json`\n$/,
    ],
    ['nothing', () => ['--file', save('')], /^reaper: .* is not JSON /],
    ['one object', () => ['--file', save({ kind: 'Pod' })], /^reaper: .*: expected a List, .* found a Pod\n$/],
    [
      'an unknown shape',
      () => ['--file', save(broken()), '--incomplete'],
      /^reaper: .*: EnvoyProxy autoscaling-removed\/proxy has a shape that is not understood: spec\.provider: /,
    ],
  ];
  test.each(files)('%s', async (_, args, message) => {
    const { code, stdout, stderr } = await run(['scan', ...args()]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).not.toContain('secret');
  });
});

function broken(): List {
  const list = staleList();
  the('EnvoyProxy', list).spec.provider = 'Kubernetes';
  return list;
}

describe.concurrent('wrong usage is told on stderr and 2', patience, () => {
  test.each<[string[], RegExp]>([
    [['scan', '--fiel', stale], /^error: unknown option '--fiel'/],
    [
      ['scan', '-o', 'xml'],
      /^error: option '-o, --output <format>' argument 'xml' is invalid\. Allowed choices are table, json, yaml, markdown, html\./,
    ],
    [
      ['scan', '--file', stale, '--context', 'production'],
      /^error: option '-f, --file <file>' cannot be used with option '--context <name>'/,
    ],
    [['scan', '--incomplete'], /^error: option '--incomplete' can only be used together with '--file'\n/],
    [
      ['scan', '--incomplete', '--eks', 'shop'],
      /^error: option '--incomplete' can only be used together with '--file'\n/,
    ],
    [['scan', '--profile', 'shop'], /^error: option '--profile' can only be used together with '--eks'\n/],
    [
      ['scan', '--file', stale, '--region', 'eu-west-1', '--tag', 'a=b'],
      /^error: option '--region', '--tag' can only be used together with '--eks'\n/,
    ],
    [
      ['scan', '--eks', '--tag', 'team'],
      /^error: option '--tag <key=value>' argument 'team' is invalid\. Expected key=value\./,
    ],
    [
      ['scan', '--eks', 'shop,'],
      /^error: option '--eks \[names\]' argument 'shop,' is invalid\. Expected names, parted /,
    ],
    [
      ['scan', '--eks', '--context', 'production'],
      /^error: option '--eks \[names\]' cannot be used with option '--context <name>'/,
    ],
    [
      ['scan', '--all-contexts', '--context', 'production'],
      /^error: option '--all-contexts' cannot be used with option '--context <name>'/,
    ],
    [
      ['scan', '--gateway', 'a/b/c'],
      /^error: option '--gateway <namespace\/name>' argument 'a\/b\/c' is invalid\. Expected namespace\/name, /,
    ],
    [['scan', stale], /^error: too many arguments for 'scan'/],
    [['sweep'], /^error: unknown command 'sweep'/],
    [[], /^Usage: reaper /],
  ])('%j', async (args, message) => {
    const { code, stdout, stderr } = await run(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(message);
  });

  test('help and version are asked for, so they go to stdout with 0', async () => {
    const [help, version] = await Promise.all([run(['scan', '--help']), run(['--version'])]);
    expect(help).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('Exit codes:\n  0  done') });
    expect(help.stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
    const continued = (text: string) => text.replaceAll('\\\n', '');
    expect(continued(help.stdout)).toContain(`    ${LIST_COMMAND} |\n      reaper scan --file -`);
    expect(continued(readFileSync('README.md', 'utf8'))).toContain(
      `\n${LIST_COMMAND} |\n  npm run -s reaper -- scan --file -\n`,
    );
    expect(version).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
  });
});
