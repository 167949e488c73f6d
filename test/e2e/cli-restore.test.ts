import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { readText } from '../../functions/cli/input/read-text.ts';
import { savedHpas } from '../../functions/cli/input/saved-hpas.ts';
import type { RunReport, SweepReport } from '../../functions/events/report.ts';
import { EksDouble, readEksToken } from '../doubles/eks.ts';
import { FilterLogEventsDouble } from '../doubles/filter-log-events.ts';
import type { EmbeddedCluster } from '../embedded-cluster/embedded-cluster.ts';
import type { KubernetesObject } from '../embedded-cluster/objects.ts';
import { awsEnvironment, patience, run, save } from './cli-harness.ts';
import {
  hpasOf,
  type List,
  listOf,
  rewrite,
  STALE,
  staleList,
  sweep,
  the,
  times,
  wantedList,
  writesTo,
} from './harness.ts';
import { kubeconfigOf, saveBytes, serveSettled, writes } from './repair-harness.ts';

const NAMESPACE = 'envoy-gateway-system';
const WANTED = the('HorizontalPodAutoscaler', wantedList()).metadata.name;

/** A cluster in which one HPA is wanted and not there, and that HPA. */
async function serveMissing(
  list: List = wantedList(),
): Promise<{ cluster: EmbeddedCluster; manifest: KubernetesObject }> {
  const cluster = await serveSettled({
    ...list,
    items: list.items.filter(({ kind }) => kind !== 'HorizontalPodAutoscaler'),
  });
  return { cluster, manifest: the('HorizontalPodAutoscaler', list) };
}

const deletion = (manifest: object, more: object = {}) => ({
  ...{ message: 'deleting HPA', cluster: 'production', sweepId: 'pass-1', reason: 'AutoscalingRemoved' },
  manifest,
  ...more,
});
/** As Powertools' Logger prints it. */
const logLine = (manifest: object, more: object = {}) =>
  JSON.stringify({
    ...{ level: 'INFO', timestamp: '2026-11-24T12:00:00.000Z', service: 'reap', sampling_rate: 0 },
    ...deletion(manifest, more),
  });

async function sweepReport(manifest: object): Promise<SweepReport> {
  const cluster = await serveSettled(staleList());
  const report = await sweep(cluster, { cluster: 'production' });
  const [deleted] = report.hpas;
  if (deleted === undefined) throw new Error('nothing was deleted');
  // What was kept may be in a report with its manifest, too.
  const kept = { ...deleted, name: 'kept', outcome: 'Kept' as const };
  return { ...report, hpas: [kept, { ...deleted, manifest: manifest as Record<string, unknown> }] };
}

async function runReport(manifest: object): Promise<RunReport> {
  const { startedAt, finishedAt, mode, hpas } = await sweepReport(manifest);
  const totals = { clusters: 1, swept: 1, skipped: 0, failed: 0, hpas: 1, stale: 1, missing: 0 };
  return {
    ...{ schemaVersion: 1, runId: 'run-1', mode, startedAt, finishedAt, regions: [], remaining: [] },
    totals: { ...totals, outcomes: { Deleted: 1 } },
    clusters: [{ cluster: 'production', result: 'swept', warnings: [], hpas, missing: [] }],
  };
}

/** As it was written before reports told what is missing, and what becomes of the replicas. */
async function earlierReport(manifest: object) {
  const { totals, clusters, ...report } = await runReport(manifest);
  return {
    ...report,
    totals: { ...totals, missing: undefined },
    clusters: clusters.map(({ missing: _, hpas, ...cluster }) => ({
      ...cluster,
      hpas: hpas.map((hpa) => ({ ...hpa, replicas: { min: 2, max: 5, fallback: 1 } })),
    })),
  };
}

const ONE_LOGGED = 'START RequestId: 1 Version: $LATEST\n';

describe.concurrent('restore', patience, () => {
  const sources: [string, (manifest: KubernetesObject) => unknown | Promise<unknown>][] = [
    ['a backup', (manifest) => `${JSON.stringify(deletion(manifest))}\n`],
    [
      'a backup of several lines',
      (manifest) => `${logLine(manifest, { message: 'pass finished' })}\n\n${logLine(manifest)}\n`,
    ],
    ["the Lambda's log", (manifest) => `${ONE_LOGGED}${logLine(manifest)}\nEND RequestId: 1\n`],
    [
      'an export of that log to S3',
      (manifest) => `2026-11-24T12:00:00.123Z ${logLine(manifest)}\n2026-11-24T12:00:01Z END RequestId: 1\n`,
    ],
    ['aws logs tail', (manifest) => `2026-11-24T12:00:00.123000+00:00 2026/11/24/[$LATEST]0af3 ${logLine(manifest)}\n`],
    [
      'aws logs filter-log-events',
      (manifest) => ({
        events: [
          { timestamp: 1, message: ONE_LOGGED },
          { timestamp: 1, message: logLine(manifest) },
        ],
        searchedLogStreams: [],
      }),
    ],
    ['the report of a pass', sweepReport],
    ['the report of a run', runReport],
    ['that in YAML', async (manifest) => stringify(await runReport(manifest))],
    ['that of an earlier version', earlierReport],
    [
      'an event',
      async (manifest) => ({
        'detail-type': 'Cluster Swept',
        source: 'envoy-hpa-reaper',
        detail: await sweepReport(manifest),
      }),
    ],
    [
      'the log of the outcomes',
      (manifest) =>
        ['HPA Reported', 'HPA Deleted', 'Sweep Completed']
          .map((type) => {
            const place = { cluster: 'production', region: 'eu-central-1', sweepId: 'pass-1' };
            const detail = { version: '1', ...place, ...(type === 'HPA Deleted' && { manifest }) };
            return JSON.stringify({ 'detail-type': type, source: 'envoy-hpa-reaper', detail });
          })
          .join('\n'),
    ],
    ['a manifest', (manifest) => manifest],
    ['a manifest in YAML', (manifest) => stringify(manifest)],
    ['several documents', (manifest) => `# saved\n---\n${stringify(manifest)}---\n`],
    ['a List', (manifest) => ({ apiVersion: 'v1', kind: 'List', items: [{ kind: 'Gateway' }, manifest] })],
  ];
  test.each(sources)('from %s, packed or not', async (_, source) => {
    const { cluster, manifest } = await serveMissing();
    const kubeconfig = kubeconfigOf({ production: cluster });
    const content = await source(manifest);
    const packed = gzipSync(typeof content === 'string' ? content : JSON.stringify(content, null, 2));
    const file = save(content);
    const first = await run(['restore', file, '--kubeconfig', kubeconfig, '-o', 'json']);
    expect(first).toMatchObject({ code: 0, stderr: '' });
    const [restored] = cluster.objects('horizontalpodautoscalers');
    expect(JSON.parse(first.stdout)).toEqual({
      schemaVersion: 1,
      hpas: [
        {
          ...{ cluster: 'production', namespace: NAMESPACE, name: WANTED, outcome: 'Restored', why: '' },
          ...{ uid: restored?.metadata.uid, stale: false },
        },
      ],
    });
    expect(restored).toMatchObject({ spec: manifest.spec, metadata: { labels: manifest.metadata.labels } });
    expect(restored?.metadata.managedFields).toEqual(
      manifest.metadata.managedFields?.filter(({ subresource }) => subresource !== 'status'),
    );
    const [creation, ownership, ...others] = writesTo(cluster);
    expect(others).toEqual([]);
    expect([creation?.method, creation?.query.get('fieldManager')]).toEqual(['POST', 'envoy-hpa-reaper']);
    expect(Object.keys(JSON.parse(creation?.body ?? '').metadata).toSorted()).toEqual(['labels', 'name', 'namespace']);
    expect(JSON.parse(ownership?.body ?? '')).toMatchObject([
      { op: 'replace', path: '/metadata/resourceVersion', value: expect.stringMatching(/^\d+$/) },
      { op: 'replace', path: '/metadata/managedFields' },
    ]);

    expect(savedHpas(await readText(saveBytes(packed)))).toEqual(savedHpas(await readText(file)));
  });

  test('of several the newest wins, whatever their order', async () => {
    const { cluster, manifest } = await serveMissing();
    const [older, newer] = [structuredClone(manifest), structuredClone(manifest)];
    Object.assign(older.spec as object, { maxReplicas: 3 });
    Object.assign(newer.spec as object, { maxReplicas: 7 });
    const lines = [
      logLine(newer, { timestamp: '2026-11-24T12:00:00.000Z' }),
      logLine(older, { timestamp: '2026-11-24T11:00:00.000Z' }),
    ];
    const { code } = await run([
      'restore',
      save(lines.join('\n')),
      '--kubeconfig',
      kubeconfigOf({ production: cluster }),
    ]);
    expect(code).toBe(0);
    expect(cluster.objects('horizontalpodautoscalers')).toMatchObject([{ spec: { maxReplicas: 7 } }]);
  });

  test('what is stale stays away, unless --force says otherwise', async () => {
    const { cluster, manifest } = await serveMissing(staleList());
    const args = ['restore', save(deletion(manifest)), '--kubeconfig', kubeconfigOf({ production: cluster })];
    const refused = await run(args);
    expect(refused.code).toBe(1);
    expect(refused.stdout).toMatch(
      /\nStillStale {2}production {2}.* It would be deleted again: Gateway .* asks for no autoscaling: .*\. --force puts it back all the same\.\n$/,
    );
    expect(writesTo(cluster)).toEqual([]);
    const forced = await run([...args, '--force']);
    expect(forced).toMatchObject({ code: 0, stdout: expect.stringMatching(/\nRestored .* It is stale: Gateway /) });
    expect(hpasOf(cluster)).toEqual([STALE]);
  });

  test('packed with gzip, twice: the second time it is there already', async () => {
    const { cluster, manifest } = await serveMissing();
    const packed = saveBytes(gzipSync(logLine(manifest)));
    const args = ['restore', packed, '--kubeconfig', kubeconfigOf({ production: cluster })];
    expect(await run(args)).toMatchObject({ code: 0, stdout: expect.stringMatching(/\nRestored +production /) });
    expect(await run(args)).toMatchObject({ code: 0, stdout: expect.stringMatching(/\nAlreadyThere +production /) });
    expect(writesTo(cluster)).toHaveLength(2);
  });

  test('the HPA of the rate limit service: stays away while nothing asks for it, else it is put back', async () => {
    const list = listOf('rate-limit-hpa-leaked-v1.3.0');
    const isIts = ({ kind, metadata }: KubernetesObject) =>
      kind === 'HorizontalPodAutoscaler' && metadata.name === 'envoy-ratelimit';
    const cluster = await serveSettled({ ...list, items: list.items.filter((object) => !isIts(object)) });
    const manifest = list.items.find(isIts) as KubernetesObject;
    const kubeconfig = kubeconfigOf({ production: cluster });
    const args = ['restore', save(manifest), '--kubeconfig', kubeconfig, '-o', 'json'];
    const restored = async (...flags: string[]) => JSON.parse((await run([...args, ...flags])).stdout).hpas;
    expect(await restored()).toMatchObject([
      {
        outcome: 'StillStale',
        why: 'It would be deleted again: ConfigMap envoy-gateway-system/envoy-gateway-config asks for no autoscaling of the rate limit service: it has no rateLimitHpa. --force puts it back all the same.',
      },
    ]);
    // It is of no Gateway, so a selection of one does not mean it.
    expect(await restored('--force', '--gateway', 'shop/web')).toEqual([]);
    const config = the('ConfigMap', list).data as Record<string, string>;
    const text = stringify({
      ...parse(config['envoy-gateway.yaml'] ?? ''),
      provider: { type: 'Kubernetes', kubernetes: { rateLimitHpa: { maxReplicas: 9 } } },
    });
    rewrite(cluster, 'configmaps', (object) => void Object.assign(object, { data: { 'envoy-gateway.yaml': text } }));
    expect(await restored('-n', NAMESPACE)).toMatchObject([{ outcome: 'Restored', stale: false, why: '' }]);
    expect(hpasOf(cluster)).toContain(`${NAMESPACE}/envoy-ratelimit`);
  });

  test('--dry-run writes nothing', async () => {
    const { cluster, manifest } = await serveMissing();
    const args = ['restore', save(deletion(manifest)), '--kubeconfig', kubeconfigOf({ production: cluster })];
    const { code, stdout } = await run([...args, '--dry-run']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/\nRestorable {2}production /) });
    expect(writesTo(cluster)).toEqual([]);
  });

  test('what is there is never overwritten', async () => {
    const cluster = await serveSettled(wantedList());
    const before = structuredClone(cluster.objects('horizontalpodautoscalers'));
    const manifest = the('HorizontalPodAutoscaler', wantedList());
    Object.assign(manifest.spec as object, { maxReplicas: 99 });
    const file = save(deletion(manifest));
    const { code, stdout } = await run([
      'restore',
      file,
      '--force',
      '--kubeconfig',
      kubeconfigOf({ production: cluster }),
    ]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/\nAlreadyThere {2}production .* There is an HPA of this name; it stays as it is\.\n$/);
    expect(cluster.objects('horizontalpodautoscalers')).toEqual(before);
    expect(writesTo(cluster)).toEqual([]);
  });

  test('says that the Deployment is not there, and that a manifest lacks its managedFields', async () => {
    const { cluster, manifest } = await serveMissing();
    Reflect.deleteProperty(manifest.metadata, 'managedFields');
    Object.assign((manifest.spec as { scaleTargetRef: object }).scaleTargetRef, { name: 'gone' });
    const { stdout } = await run(['restore', save(manifest), '--kubeconfig', kubeconfigOf({ production: cluster })]);
    expect(stdout).toMatch(
      /\nRestored .* Its Deployment envoy-gateway-system\/gone is not there\. Its manifest has no managedFields: from now on it counts as made by hand\.\n$/,
    );
    expect(writes(cluster)).toEqual(['POST horizontalpodautoscalers']);
  });

  test('-n and --gateway select', async () => {
    const list = times(3, wantedList(), ['Gateway', 'HorizontalPodAutoscaler']);
    const manifests = list.items.filter(({ kind }) => kind === 'HorizontalPodAutoscaler');
    const cluster = await serveSettled({ ...list, items: list.items.filter((item) => !manifests.includes(item)) });
    const file = save(manifests.map((manifest) => JSON.stringify(deletion(manifest))).join('\n'));
    const args = ['restore', file, '--kubeconfig', kubeconfigOf({ production: cluster })];
    await run([...args, '--gateway', 'web-1']);
    expect(hpasOf(cluster)).toEqual([`${NAMESPACE}/${WANTED}-1`]);
    const none = await run([...args, '-n', 'elsewhere']);
    expect(none).toEqual({ code: 0, stdout: '', stderr: 'reaper: none of the HPAs is meant by -n and --gateway\n' });
    expect(hpasOf(cluster)).toHaveLength(1);
  });

  test('an HPA that cannot be created is told, and 1', async () => {
    const { cluster, manifest } = await serveMissing();
    cluster.admission = ({ operation }) =>
      operation === 'CREATE' ? { webhook: 'policy.example.com', code: 403, message: 'not\n\u001b[2Jhere' } : undefined;
    const file = save(deletion(manifest));
    const { code, stdout } = await run(['restore', file, '--kubeconfig', kubeconfigOf({ production: cluster })]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: expect.stringMatching(/\nRefused {2}.*not \[2Jhere\n$/) });
  });

  describe('into which cluster', () => {
    test('each into the context of the name that it was deleted in', async () => {
      const [one, two] = [await serveMissing(), await serveMissing()];
      const current = await serveMissing();
      const file = save(
        [deletion(one.manifest, { cluster: 'one' }), deletion(two.manifest, { cluster: 'two' })]
          .map((line) => JSON.stringify(line))
          .join('\n'),
      );
      const kubeconfig = kubeconfigOf({ current: current.cluster, one: one.cluster, two: two.cluster });
      const { code, stdout } = await run(['restore', file, '--kubeconfig', kubeconfig, '-o', 'yaml']);
      expect(code).toBe(0);
      expect(stdout.match(/cluster: (one|two)/g)).toEqual(['cluster: one', 'cluster: two']);
      expect([one, two, current].map(({ cluster }) => hpasOf(cluster).length)).toEqual([1, 1, 0]);
    });

    test.each([
      [
        'no context of that name',
        [],
        { cluster: 'shop' },
        /HPAs of cluster shop go into the context of that name: the kubeconfig has no context shop; it has production, arn:aws:eks:eu-central-1:123456789012:cluster\/bar; else give --context/,
      ],
      [
        'another context',
        ['--context', 'production'],
        { cluster: 'shop' },
        /the HPAs are of cluster shop, and not of context production; if that context leads to that cluster, say so with --cluster shop\n$/,
      ],
      [
        'an ARN of another cluster',
        ['--context', 'arn:aws:eks:eu-central-1:123456789012:cluster/bar'],
        { cluster: 'ar' },
        /the HPAs are of cluster ar, and not of context arn:/,
      ],
      [
        'an ARN of another Region',
        ['--context', 'arn:aws:eks:eu-central-1:123456789012:cluster/bar'],
        { cluster: 'bar', region: 'us-east-1' },
        /the HPAs are of cluster bar in us-east-1, and not of context arn:/,
      ],
    ])('%s is refused, and nothing is asked', async (_, args, more, message) => {
      const { cluster, manifest } = await serveMissing();
      const arn = 'arn:aws:eks:eu-central-1:123456789012:cluster/bar';
      const kubeconfig = kubeconfigOf({ production: cluster, [arn]: cluster });
      const result = await run(['restore', save(deletion(manifest, more)), '--kubeconfig', kubeconfig, ...args]);
      expect(result).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(message) });
      expect(cluster.requests).toEqual([]);
    });

    test.each([
      ['--cluster says that it is that one', 'prod', ['--context', 'prod', '--cluster', 'shop']],
      [
        'the context is the ARN of that one',
        'arn:aws:eks:eu-central-1:123456789012:cluster/shop',
        ['--context', 'arn:aws:eks:eu-central-1:123456789012:cluster/shop'],
      ],
    ])('%s', async (_, context, args) => {
      const { cluster, manifest } = await serveMissing();
      const file = save(deletion(manifest, { cluster: 'shop' }));
      const result = await run(['restore', file, '--kubeconfig', kubeconfigOf({ [context]: cluster }), ...args]);
      expect(result).toMatchObject({ code: 0, stderr: '' });
      expect(hpasOf(cluster)).toHaveLength(1);
    });

    test('--context takes the backup of one cluster only, which --cluster chooses', async () => {
      const { cluster, manifest } = await serveMissing();
      const file = save(
        [deletion(manifest), deletion(manifest, { cluster: 'other' })].map((line) => JSON.stringify(line)).join('\n'),
      );
      const args = ['restore', file, '--kubeconfig', kubeconfigOf({ production: cluster }), '--context', 'production'];
      const refused = await run(args);
      expect(refused.code).toBe(1);
      expect(refused.stderr).toMatch(
        /^reaper: the HPAs are of several clusters \(production, other\), and --context takes those of one: /,
      );
      expect(cluster.requests).toEqual([]);
      const absent = await run([...args, '--cluster', 'absent']);
      expect(absent.stderr).toBe(`reaper: of cluster absent there is no deleted HPA in ${file}\n`);
      expect(await run([...args, '--cluster', 'production'])).toMatchObject({ code: 0 });
    });

    test('clusters of one name in two Regions do not go into one context', async () => {
      const { cluster, manifest } = await serveMissing();
      const file = save(
        ['eu-central-1', 'us-east-1']
          .map((region) => JSON.stringify(deletion(manifest, { cluster: 'shop', region })))
          .join('\n'),
      );
      const result = await run(['restore', file, '--kubeconfig', kubeconfigOf({ shop: cluster })]);
      expect(result).toMatchObject({ code: 1, stdout: '' });
      expect(result.stderr).toBe(
        'reaper: the HPAs are of several clusters that are named shop (eu-central-1, us-east-1), and a context is one of them: use --eks\n',
      );
      expect(cluster.requests).toEqual([]);
    });

    test('one that does not answer stops no other', async () => {
      const [one, two] = [await serveMissing(), await serveMissing()];
      await two.cluster.close();
      const file = save(
        [deletion(one.manifest, { cluster: 'one' }), deletion(two.manifest, { cluster: 'two' })]
          .map((line) => JSON.stringify(line))
          .join('\n'),
      );
      const kubeconfig = kubeconfigOf({ one: one.cluster, two: two.cluster });
      const { code, stdout, stderr } = await run(['restore', file, '--kubeconfig', kubeconfig]);
      expect(code).toBe(1);
      expect(stdout).toMatch(/\nRestored +one .*\nFailed +two .* no whole answer from /);
      expect(stderr).toMatch(/^reaper: two: no whole answer from .*\nRun this again later; /);
    });
  });

  describe('what cannot be understood is told with its place, the rest is restored, and 1', () => {
    test('a line that is cut off, and one that is no HPA', async () => {
      const { cluster, manifest } = await serveMissing();
      const whole = JSON.stringify(deletion(manifest));
      const other = JSON.stringify(deletion({ ...manifest, spec: { maxReplicas: 'many' } }));
      const file = save(`${other}\n${whole}\n${whole.slice(0, 100)}`);
      const { code, stdout, stderr } = await run([
        'restore',
        file,
        '--kubeconfig',
        kubeconfigOf({ production: cluster }),
      ]);
      expect(code).toBe(1);
      expect(stderr.split('\n')).toEqual([
        expect.stringMatching(
          new RegExp(`^reaper: ${file}: line 1: not an HPA: spec\\.scaleTargetRef: .*; spec\\.maxReplicas: `),
        ),
        `reaper: ${file}: line 3: not JSON (cut off?)`,
        '',
      ]);
      expect(stdout).toMatch(/\nRestored /);
    });

    test.each([
      [
        'another kind',
        { apiVersion: 'v1', kind: 'Secret', data: { token: 'c2VjcmV0' } },
        /: not an HPA: apiVersion: expected autoscaling\/v2; kind: expected HorizontalPodAutoscaler\n/,
      ],
      [
        'another version',
        { apiVersion: 'autoscaling/v1', kind: 'HorizontalPodAutoscaler' },
        /: not an HPA: apiVersion: expected autoscaling\/v2\n/,
      ],
      ['no YAML', 'a: [b', /: no YAML: /],
      ['a text', 'NAME AGE', /line 1: not JSON \(cut off\?\)\n/],
      ['a sentence', 'hello there', /: neither JSON nor YAML of an object\n/],
    ])('%s', async (_, content, message) => {
      const { code, stdout, stderr } = await run(['restore', save(content)]);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toMatch(message);
      expect(stderr).toMatch(/\nreaper: there is no deleted HPA in .*\n$/);
      expect(stderr).not.toContain('c2VjcmV0');
    });
  });

  test.each([
    [[], /^error: give files, or --eks CLUSTER --since TIME for the log of the functions/],
    [['--since', '1h'], /^error: --since needs to know the clusters: --eks CLUSTER/],
    [['--since', '1h', '--eks'], /^error: --since needs to know the clusters: --eks CLUSTER/],
    [['file', '--since', '1h', '--eks', 'shop'], /^error: give files or --since, not both/],
    [
      ['--since', 'yesterday', '--eks', 'shop'],
      /^error: option '--since <time>' argument 'yesterday' is invalid\. Expected a duration/,
    ],
    [['--since', '1h', '--eks', 'shop" || "'], /^error: --eks shop" \|\| ": not the name of an EKS cluster/],
    [['file', '--all-contexts'], /^error: --all-contexts and --tag are of no use here/],
    [['file', '-o', 'html'], /^error: option '-o, --output <format>' argument 'html' is invalid/],
  ])('%j is wrong usage', async (args, message) => {
    const result = await run(['restore', ...args]);
    expect(result).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(message) });
  });

  test('a file that is not there', async () => {
    const result = await run(['restore', '/nowhere']);
    expect(result).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^reaper: \/nowhere cannot be read: ENOENT/),
    });
  });
});

const REAP_LOG = '/aws/lambda/envoy-hpa-reaper-reap';
const BACKFILL_LOG = '/aws/lambda/envoy-hpa-reaper-backfill';

describe.concurrent('restore into EKS', patience, () => {
  const doubles: { stop(): Promise<void> }[] = [];
  afterAll(async () => void (await Promise.all(doubles.map((double) => double.stop()))));

  async function serveAws() {
    const eks = new EksDouble();
    const logs = new FilterLogEventsDouble();
    const env = awsEnvironment({
      EKS: await eks.start(),
      CLOUDWATCH_LOGS: await logs.start(),
    });
    doubles.push(eks, logs);
    const enroll = async (name: string, list = wantedList()) => {
      const { cluster, manifest } = await serveMissing(list);
      const isGood = (token: string) => readEksToken(token)?.isGoodFor(name, env.AWS_SECRET_ACCESS_KEY ?? '');
      const guarded = await serveSettled(
        { kind: 'List', items: [] },
        { users: (token) => (isGood(token) ? { username: 'jane', groups: ['system:masters'] } : undefined) },
      );
      guarded.load({
        items: cluster
          .objects('gatewayclasses')
          .concat(
            ...['gateways', 'envoyproxies', 'deployments', 'configmaps'].map((plural) => cluster.objects(plural)),
          ),
      });
      eks.clusters.set(name, { status: 'ACTIVE', endpoint: guarded.url, ca: guarded.caCertificate });
      return { cluster: guarded, manifest };
    };
    return { eks, logs, env, enroll };
  }

  test('from the log of the functions: what was logged since then of this cluster', async () => {
    const { logs, env, enroll } = await serveAws();
    const { cluster, manifest } = await enroll('shop');
    const now = Date.now();
    const named = (name: string) => ({ ...manifest, metadata: { ...manifest.metadata, name } });
    logs.groups.set(REAP_LOG, [
      { timestamp: now - 25 * 3_600_000, message: logLine(named('too-old'), { cluster: 'shop' }) },
      { timestamp: now - 3_600_000, message: ONE_LOGGED },
      { timestamp: now - 3_600_000, message: logLine(named('of-another'), { cluster: 'other' }) },
      { timestamp: now - 3_600_000, message: logLine(manifest, { cluster: 'shop', message: 'pass finished' }) },
      { timestamp: now - 3_600_000, message: logLine(manifest, { cluster: 'shop' }) },
    ]);
    const { code, stdout, stderr } = await run(['restore', '--eks', 'shop', '--since', '24h', '-o', 'json'], { env });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const [restored] = cluster.objects('horizontalpodautoscalers');
    expect(JSON.parse(stdout).hpas).toEqual([
      {
        ...{ cluster: 'shop', region: 'eu-central-1', namespace: NAMESPACE, name: WANTED, outcome: 'Restored' },
        ...{ why: '', uid: restored?.metadata.uid, stale: false },
      },
    ]);
    expect(hpasOf(cluster)).toEqual([`${NAMESPACE}/${WANTED}`]);
    expect(logs.requests.map(({ logGroupName }) => logGroupName).toSorted()).toEqual([
      BACKFILL_LOG,
      ...Array(5).fill(REAP_LOG),
    ]);
    expect(logs.requests[0]?.filterPattern).toBe('{ $.message = "deleting HPA" && $.cluster = "shop" }');
  });

  test('in each Region that is named', async () => {
    const { logs, env, enroll } = await serveAws();
    const { manifest } = await enroll('shop');
    logs.groups.set(REAP_LOG, [{ timestamp: Date.now(), message: logLine(manifest, { cluster: 'shop' }) }]);
    const args = ['--since', '1h', '--region', 'us-east-1', '--region', 'eu-central-1', '--dry-run', '-o', 'json'];
    const { code, stdout } = await run(['restore', '--eks', 'shop', ...args], { env });
    expect(code).toBe(0);
    expect(JSON.parse(stdout).hpas).toMatchObject([
      { cluster: 'shop', region: 'eu-central-1', outcome: 'Restorable' },
      { cluster: 'shop', region: 'us-east-1', outcome: 'Restorable' },
    ]);
  });

  test('the log of backfill counts as well', async () => {
    const { logs, env, enroll } = await serveAws();
    const { cluster, manifest } = await enroll('shop');
    logs.groups.set(BACKFILL_LOG, [{ timestamp: Date.now(), message: logLine(manifest, { cluster: 'shop' }) }]);
    const since = new Date(Date.now() - 60_000).toISOString();
    expect(await run(['restore', '--eks', 'shop', '--since', since], { env })).toMatchObject({ code: 0, stderr: '' });
    expect(hpasOf(cluster)).toHaveLength(1);
  });

  test('what backfill deleted in another Region goes into that one', async () => {
    const { eks, logs, env, enroll } = await serveAws();
    const { cluster, manifest } = await enroll('shop');
    const message = logLine(manifest, { cluster: 'shop', region: 'us-east-1' });
    logs.groups.set(BACKFILL_LOG, [{ timestamp: Date.now(), message }]);
    const args = ['restore', '--eks', 'shop', '--since', '1h', '-o', 'json'];
    const refused = await run([...args, '--region', 'eu-central-1'], { env });
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(/HPAs of cluster shop are of us-east-1, and the Regions are eu-central-1; /);
    expect([eks.described, cluster.requests]).toEqual([[], []]);

    const { stdout } = await run(args, { env });
    expect(JSON.parse(stdout).hpas).toMatchObject([{ cluster: 'shop', region: 'us-east-1', outcome: 'Restored' }]);
  });

  test('of one cluster that goes by two names the newest wins', async () => {
    const { env, enroll } = await serveAws();
    const { cluster, manifest } = await enroll('shop');
    const older = { ...manifest, spec: { ...(manifest.spec as object), maxReplicas: 9 } };
    const arn = 'arn:aws:eks:eu-central-1:123456789012:cluster/shop';
    const file = save(
      [
        deletion(manifest, { cluster: arn, timestamp: '2026-11-24T12:00:00Z' }),
        deletion(older, { cluster: 'shop', region: 'eu-central-1', timestamp: '2026-11-24T11:00:00Z' }),
      ]
        .map((line) => JSON.stringify(line))
        .join('\n'),
    );
    const { code, stdout } = await run(['restore', file, '--eks', '-o', 'json'], { env });
    expect(code).toBe(0);
    expect(JSON.parse(stdout).hpas).toMatchObject([{ cluster: 'shop', outcome: 'Restored' }]);
    expect(cluster.objects('horizontalpodautoscalers')).toMatchObject([{ spec: manifest.spec }]);
  });

  test.each<[string, (logs: FilterLogEventsDouble) => void, number, RegExp]>([
    [
      'nothing was deleted',
      (logs) => logs.groups.set(REAP_LOG, []),
      0,
      /^reaper: there is no deleted HPA in the log\n$/,
    ],
    [
      'there is no log',
      () => {},
      1,
      /^reaper: eu-central-1 has neither log group .*-reap nor .*-backfill; name the Region of the deployment with --region\n$/,
    ],
    [
      'the log may not be read',
      (logs) => logs.failRequests(2, 400, 'AccessDeniedException'),
      1,
      /^reaper: CloudWatch Logs could not search \/aws\/lambda\/envoy-hpa-reaper-\w+ in eu-central-1: .*\nThe credentials do not allow this call: /,
    ],
    [
      'the credentials have expired',
      (logs) => logs.failRequests(2, 400, 'ExpiredTokenException'),
      1,
      /^reaper: CloudWatch Logs could not search .*\nThe credentials have expired: /,
    ],
  ])('where %s', async (_, prepare, code, message) => {
    const { logs, eks, env } = await serveAws();
    prepare(logs);
    const result = await run(['restore', '--eks', 'shop', '--since', '7d'], { env });
    expect(result).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(message) });
    expect(eks.described).toEqual([]);
  });

  test('a backup of several, each into its own', async () => {
    const { env, enroll } = await serveAws();
    const [one, two] = [await enroll('one'), await enroll('two')];
    const arn = 'arn:aws:eks:eu-central-1:123456789012:cluster/two';
    const file = save(
      [deletion(one.manifest, { cluster: 'one', region: 'eu-central-1' }), deletion(two.manifest, { cluster: arn })]
        .map((line) => JSON.stringify(line))
        .join('\n'),
    );
    expect(await run(['restore', file, '--eks'], { env })).toMatchObject({ code: 0, stderr: '' });
    expect([one, two].map(({ cluster }) => hpasOf(cluster).length)).toEqual([1, 1]);
  });

  test.each([
    [
      'one that is not named',
      { cluster: 'other' },
      ['--eks', 'shop'],
      /there are HPAs of cluster other, and --eks names shop; /,
    ],
    [
      'one of another Region',
      { cluster: 'shop', region: 'us-east-1' },
      ['--eks', 'shop', '--region', 'eu-central-1'],
      /HPAs of cluster shop are of us-east-1, and the Regions are eu-central-1; /,
    ],
    [
      'one that is not known',
      undefined,
      ['--eks'],
      /HPAs that do not say of which cluster they are: name the one with --eks CLUSTER/,
    ],
  ])('%s is refused, and nothing is asked', async (_, more, args, message) => {
    const { eks, env, enroll } = await serveAws();
    const { manifest } = await enroll('shop');
    const file = save(more === undefined ? manifest : deletion(manifest, more));
    const result = await run(['restore', file, ...args], { env });
    expect(result).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(message) });
    expect(eks.described).toEqual([]);
  });

  test('credentials that EKS does not take are told with what to do', async () => {
    const { eks, env } = await serveAws();
    const file = save(deletion(the('HorizontalPodAutoscaler', wantedList()), { cluster: 'shop' }));
    eks.failRequests(9, 400, 'ExpiredTokenException');
    const { code, stderr } = await run(['restore', file, '--eks'], { env });
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^reaper: shop: EKS could not describe cluster shop: .*\nThe credentials have expired: .*\n$/,
    );
  });

  test('a cluster of the same name in another account gets nothing', async () => {
    const { env, enroll } = await serveAws();
    const { cluster, manifest } = await enroll('shop');
    const arnOf = (account: string) => `arn:aws:eks:eu-central-1:${account}:cluster/shop`;
    const other = await run(['restore', save(deletion(manifest, { cluster: arnOf('999999999999') })), '--eks'], {
      env,
    });
    expect({ code: other.code, requests: cluster.requests }).toEqual({ code: 1, requests: [] });
    expect(other.stderr).toBe(
      `reaper: shop: the HPAs were deleted in ${arnOf('999999999999')}, and these credentials lead to ${arnOf('123456789012')}\n` +
        'Give the credentials of that account (--profile).\n',
    );
    const own = await run(['restore', save(deletion(manifest, { cluster: arnOf('123456789012') })), '--eks'], { env });
    expect(own).toMatchObject({ code: 0, stdout: expect.stringContaining('Restored') });
  });

  test('a cluster that is gone is told', async () => {
    const { env } = await serveAws();
    const file = save(deletion(the('HorizontalPodAutoscaler', wantedList()), { cluster: 'gone' }));
    const { code, stdout, stderr } = await run(['restore', file, '--eks'], { env });
    expect({ code, stdout }).toEqual({ code: 1, stdout: expect.stringMatching(/\nFailed +gone /) });
    expect(stderr).toBe(
      'reaper: gone: there is no cluster gone in eu-central-1: refused by the test\nCheck the name, the Region and the account; nothing to do if it was deleted.\n',
    );
  });
});
