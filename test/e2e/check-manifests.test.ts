import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { expect, test } from 'vitest';
import { folder } from '../temporary-files.ts';

// The scripts of .github/workflows/check-manifests.yml.

const cluster = resolve('test/cases/autoscaling-kept-v1.3.0/cluster.json');
const inFolder = (file: string) => join(folder, file);
const textOf = (file: string) => readFileSync(inFolder(file), 'utf8');

function run(script: string, args: string[], env: Record<string, string>) {
  const options = { cwd: folder, env: { ...process.env, ...env }, encoding: 'utf8' } as const;
  return spawnSync(resolve('.ci', script), args, options);
}

/** A folder with these settings in an EnvoyProxy, and with files that do not matter. */
function manifests(name: string, kubernetes: object): string {
  mkdirSync(inFolder(name));
  const kind = { apiVersion: 'gateway.envoyproxy.io/v1alpha1', kind: 'EnvoyProxy' };
  const metadata = { name: 'proxy', namespace: 'autoscaling-kept' };
  const proxy = { ...kind, metadata, spec: { provider: { type: 'Kubernetes', kubernetes } } };
  writeFileSync(inFolder(`${name}/proxy.yaml`), JSON.stringify(proxy));
  writeFileSync(inFolder(`${name}/service.yml`), 'apiVersion: v1\nkind: Service\nmetadata: { name: web }\n');
  writeFileSync(inFolder(`${name}/README.md`), '# Gateways\n');
  return name;
}

const check = (name: string) =>
  run('check-manifests', [name, 'report.md', '--file', cluster], { GITHUB_STEP_SUMMARY: inFolder(`${name}.summary`) });

test('a check fails with 3 and shows the HPA that the manifests of a folder would leave behind', () => {
  expect(check(manifests('removed', {}))).toMatchObject({ status: 3 });
  expect(textOf('report.md')).toContain('| newly stale | delete | envoy-gateway-system | envoy-autoscaling-kept-');
  expect(textOf('removed.summary')).toBe(textOf('report.md'));
});

test('a check succeeds if nothing is left behind, and fails without a report if there are no manifests', () => {
  expect(check(manifests('kept', { envoyHpa: { maxReplicas: 9 } }))).toMatchObject({ status: 0 });
  expect(textOf('report.md')).toContain('nothing changes');
  expect(check('nowhere')).toMatchObject({ status: 1 });
  mkdirSync(inFolder('kept/base'));
  writeFileSync(inFolder('kept/base/kustomization.yml'), 'resources: []\n');
  expect(check('kept').stderr).toContain('kept contains folders with a kustomization: name one of them');
  expect(textOf('report.md')).toBe('');
});

/** In place of gh: prints the comments that its filter selects, or writes what it is to send. */
const GH = `#!/usr/bin/env node
const [, , , first, ...rest] = process.argv;
if (first === '--paginate') console.log(process.env.EARLIER);
else {
  require('node:fs').writeFileSync('request', rest.slice(1, 3).join(' '));
  require('node:fs').copyFileSync(rest.at(-1).replace('body=@', ''), 'body');
}
`;

test.each([
  ['creates the comment of a check', '', 'POST repos/o/r/issues/12/comments'],
  ['updates the comment of an earlier check', '3\n4', 'PATCH repos/o/r/issues/comments/3'],
])('%s, also without a report', (_, earlier, request) => {
  mkdirSync(inFolder('bin'), { recursive: true });
  writeFileSync(inFolder('bin/gh'), GH, { mode: 0o755 });
  const repository = { GITHUB_REPOSITORY: 'o/r', GITHUB_SERVER_URL: 'https://github.com', GITHUB_RUN_ID: '7' };
  const env = { ...repository, EARLIER: earlier, PATH: `${inFolder('bin')}:${process.env.PATH}` };
  for (const shown of ['| a table |', 'could not be checked']) {
    rmSync(inFolder('report.md'), { force: true });
    if (shown.startsWith('|')) writeFileSync(inFolder('report.md'), shown);
    expect(run('comment', ['12', 'report.md', 'gateways'], env)).toMatchObject({ status: 0, stderr: '' });
    expect(textOf('request')).toBe(request);
    expect(textOf('body')).toMatch(/^<!-- envoy-hpa-reaper [0-9a-f]{16} -->\n.*o\/r\/actions\/runs\/7/s);
    expect(textOf('body')).toContain(shown);
  }
});
