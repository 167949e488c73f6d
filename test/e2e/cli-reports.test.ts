import { chmodSync, cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { SweptHpa } from '../../functions/events/report.ts';
import { startRecorder } from '../contract/recording-server.ts';
import { EksDouble } from '../doubles/eks.ts';
import { awsEnvironment, folder, patience, run, save } from './cli-harness.ts';

// Inputs of people who had trouble with tools like this one, each with the right answer. A directory of test/fixtures/reports is
// one kind of trouble.

const REPORTS = 'test/fixtures/reports';

/** A copy of the files of a report, with other addresses in them. */
function copyOf(report: string, replace: Record<string, string> = {}): (name: string) => string {
  const copy = mkdtempSync(join(folder, 'report-'));
  cpSync(join(REPORTS, report), copy, { recursive: true });
  return (name) => {
    const file = join(copy, name);
    const text = Object.entries(replace).reduce(
      (all, [from, to]) => all.replaceAll(from, to),
      readFileSync(file, 'utf8'),
    );
    writeFileSync(file, text);
    return file;
  };
}

async function recorder() {
  const started = await startRecorder();
  onTestFinished(() => started.stop());
  return started;
}

describe.concurrent('a report about kubeconfigs', patience, () => {
  test.each<[string, string[], string[], string]>([
    ['kubeconfig-current-context', ['a', 'c'], [], '127.0.0.1:1'],
    ['kubeconfig-current-context', ['first', 'second'], [], '127.0.0.1:7101'],
    ['kubeconfig-merge', ['a', 'b'], ['--context', 'ctx-b'], '127.0.0.1:1'],
    ['kubeconfig-merge', ['nowhere', 'b'], [], '127.0.0.1:2'],
  ])('%s: %j %j leads to %s', async (report, files, flags, server) => {
    const KUBECONFIG = files.map((name) => join(REPORTS, report, name)).join(':');
    const { code, stderr } = await run(['scan', ...flags], { env: { KUBECONFIG } });
    // Nothing listens there.
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining(`no whole answer from ${server}: `) });
  });

  test('kubeconfig-merge: one broken context stops no other', async () => {
    const { https, ca } = await recorder();
    const broken = { apiVersion: 'v1', contexts: [{ name: 'broken', context: { cluster: 'gone', user: 'gone' } }] };
    const cluster = { server: https, 'certificate-authority-data': Buffer.from(ca).toString('base64') };
    const good = {
      ...{ apiVersion: 'v1', clusters: [{ name: 'c', cluster }], users: [{ name: 'u', user: { token: 't' } }] },
      contexts: [{ name: 'good', context: { cluster: 'c', user: 'u' } }],
    };
    const env = { KUBECONFIG: `${save(broken)}:${save(good)}` };
    const { code, stdout } = await run(['scan', '--all-contexts'], { env });
    expect(code).toBe(1);
    expect(stdout).toContain('broken: not swept\n');
    expect(stdout).toContain('good: no HPA with a label of Envoy Gateway\n');
  });

  test.each(['tfa', 'tft'])('token-file: the token of %s is that of its file', async (name) => {
    const { http, requests } = await recorder();
    const kubeconfig = copyOf('token-file', { 'http://127.0.0.1:7101': http })(name);
    await run(['scan', '--kubeconfig', kubeconfig]);
    expect(requests[0]).toMatchObject({ authorization: 'Bearer filetoken' });
  });

  test('exec-command-path: a command beside the kubeconfig gives the token', async () => {
    const { http, requests } = await recorder();
    const file = copyOf('exec-command-path', { 'http://127.0.0.1:7101': http });
    chmodSync(file('tok.sh'), 0o755);
    await run(['scan', '--kubeconfig', file('ex2')]);
    expect(requests[0]).toMatchObject({ authorization: 'Bearer k8s-aws-v1.abc' });
  });

  test('https-proxy-environment: reaches a server whose name only the proxy knows', async () => {
    const { proxy, requests } = await recorder();
    const kubeconfig = join(REPORTS, 'https-proxy-environment/hp');
    await run(['scan', '--kubeconfig', kubeconfig], { env: { HTTP_PROXY: proxy } });
    expect(requests[0]?.path).toMatch(/^http:\/\/api\.internal\.invalid:7101\/apis\//);
  });

  const html = { 'content-type': 'text/html' };
  test.each<[string, number, Record<string, string>, string, RegExp]>([
    ['m-r302', 302, { location: 'https://login.example.com/' }, '', /302 .*leading to https:\/\/login\.example\.com\//],
    ['m-h403', 403, html, '<h1>Blocked by policy</h1>', /403 with text\/html: Blocked by policy/],
    ['m-h404', 404, html, '<h1>Not found</h1>', /404 with text\/html: Not found/],
    ['m-p407', 407, { 'proxy-authenticate': 'Basic' }, '', /407 .*credentials of a proxy \(Basic\)/],
    ['m-tele', 403, { 'content-type': 'application/json' }, '{"error":{"message":"denied"}}', /403 .*"denied"/],
  ])(
    'fault-of-this-program: %s says what answered, and what to check',
    async (name, status, headers, body, message) => {
      const server = createServer((_, response) => response.writeHead(status, headers).end(body)).listen(
        0,
        '127.0.0.1',
      );
      onTestFinished(() => void server.close());
      await new Promise((listening) => server.once('listening', listening));
      const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
      const kubeconfig = copyOf('fault-of-this-program', { '127.0.0.1:7110': address })(name);
      const { code, stderr } = await run(['scan', '--kubeconfig', kubeconfig]);
      expect(code).toBe(1);
      expect(stderr).toMatch(message);
      expect(stderr).toMatch(/\nThis is not the answer of a Kubernetes API server\. Check the URL of the server, /);
    },
  );
});

describe.concurrent('a report about the account of a context', patience, () => {
  async function enroll(kubeconfig: string) {
    const eks = new EksDouble();
    onTestFinished(() => eks.stop());
    eks.clusters.set('shop', { status: 'ACTIVE', endpoint: 'https://OTHER.gr7.eu-west-1.eks.amazonaws.com', ca: '' });
    const profile = '[prod]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = x\n';
    const env = { ...awsEnvironment({ EKS: await eks.start() }), AWS_SHARED_CREDENTIALS_FILE: save(profile) };
    return { eks, ...(await run(['enroll', '--kubeconfig', kubeconfig, '--dry-run'], { env })) };
  }

  test('enroll-other-account: refuses before it writes anything', async () => {
    const { code, stderr } = await enroll(join(REPORTS, 'enroll-other-account/a3'));
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /context x leads to cluster shop in eu-west-1 of account 222233334444, .* profile prod is 123456789012/,
    );
  });

  test.each(['a2', 'a4'])('cluster-name-equals: reads the cluster of %s from one argument', async (name) => {
    const { eks, code } = await enroll(join(REPORTS, 'cluster-name-equals', name));
    // The endpoint is that of another cluster.
    expect({ code, described: eks.described[0] }).toEqual({ code: 2, described: 'shop' });
  });
});

describe.concurrent('a report about saved Lists', patience, () => {
  const stays = { kind: 'Stays', replicas: 5 };
  test.each<[string, string[], string, object]>([
    ['replicas-fall-to-one/01.json', [], 'AutoscalingRemoved', { replicas: { after: stays }, dropsCapacity: false }],
    [
      'replicas-fall-to-one/02.json',
      [],
      'AutoscalingRemoved',
      { replicas: { after: { kind: 'Becomes', replicas: 5 } } },
    ],
    ['replicas-fall-to-one/03b.json', [], 'Renamed', { replicas: { after: { kind: 'Governed' } } }],
    ['replicas-fall-to-one/m5.json', [], 'AutoscalingRemoved', { replicas: { after: { kind: 'Governed' } } }],
    // Its proxies are DaemonSets, and there is no Deployment at all.
    [
      'replicas-fall-to-one/15.json',
      ['--incomplete'],
      'ScaleTargetGone',
      { replicas: { after: { kind: 'NoDeployment' } } },
    ],
    ['istio-gateway-in-list/11b.json', [], 'AutoscalingRemoved', { replicas: { after: stays } }],
    [
      'orphaned-deployment/04.json',
      [],
      'ScaleTargetStillRuns',
      { remedy: expect.stringMatching(/If nothing uses the Deployment anymore, delete it/) },
    ],
    [
      'orphaned-deployment/05.json',
      [],
      'ScaleTargetStillRuns',
      { remedy: expect.stringMatching(/If nothing uses the Deployment anymore, delete it/) },
    ],
    [
      'velero/13.json',
      [],
      'Adopted',
      { explanation: expect.stringContaining('field manager velero-server owns its scaleTargetRef') },
    ],
  ])('%s %j: finds an HPA with the reason %s', async (file, flags, reason, facts) => {
    const { code, stdout } = await run(['scan', '--file', join(REPORTS, file), ...flags, '-o', 'json']);
    expect(code).toBe(0);
    const hpas: SweptHpa[] = JSON.parse(stdout).clusters[0].hpas;
    expect(hpas.find((hpa) => hpa.reason === reason)).toMatchObject(facts);
  });

  test('no-managed-fields: refuses the List, with the flag that is missing', async () => {
    const { code, stdout, stderr } = await run(['scan', '--file', join(REPORTS, 'no-managed-fields/10.json')]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('save it with --show-managed-fields');
  });
});

test.each(['array', 'eventlist', 'firehose', 'fle', 'insights', 'payload'])(
  'a report about audit-log-formats: finds the events of %s.json, packed or not',
  patience,
  async (name) => {
    const bytes = readFileSync(join(REPORTS, `audit-log-formats/${name}.json`));
    const env = { KUBECONFIG: join(REPORTS, 'kubeconfig-merge/a') };
    for (const file of [save(bytes), save(gzipSync(bytes))]) {
      const { stderr } = await run(['replay', file], { env });
      expect(stderr).toContain(
        `: ${name === 'insights' ? '1 audit event, 1' : '2 audit events, 2'} of which may affect an HPA, 0 unreadable`,
      );
    }
  },
);
