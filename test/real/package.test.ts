import { execFileSync } from 'node:child_process';
import { dirname, resolve } from 'node:path';
import process from 'node:process';
import { beforeAll, expect, it } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { type InstalledPackage, installPackage } from '../installed-package.ts';
import { folder, save } from '../temporary-files.ts';
import { kubectl } from './kubectl.ts';
import { realServer } from './server.ts';

// test/e2e/package.test.ts runs the package with the Node of the repository.

let installed: InstalledPackage;
beforeAll(() => {
  installed = installPackage();
});
const scan = ['scan', '--file', resolve('docs/example.json')];

it('runs on the oldest Node that it supports', async () => {
  const version = `${packageJson.engines.node.replace('>=', '')}.0`;
  const print = ['node', '--eval', 'console.log(process.execPath)'];
  // In the repository, npm would take its own Node.
  const node = execFileSync('npm', ['exec', '--yes', `--package=node@${version}`, '--', ...print], { cwd: folder });
  const run = (command: string, args: readonly string[]) =>
    installed.run(command, args, `${dirname(node.toString())}:${process.env.PATH}`);
  expect(run('node', ['--version'])).toBe(`v${version}\n`);
  expect(run('reaper', ['--version'])).toBe(`${packageJson.version}\n`);
  expect(run('reaper', scan)).toBe(installed.run('reaper', scan));

  const { url, caCertificate, reaperToken } = await realServer();
  const kubeconfig = save({
    'current-context': 'shop',
    contexts: [{ name: 'shop', context: { cluster: 'shop', user: 'reaper' } }],
    clusters: [{ name: 'shop', cluster: { server: url, 'certificate-authority-data': btoa(caCertificate) } }],
    users: [{ name: 'reaper', user: { token: reaperToken } }],
  });
  expect(run('reaper', ['scan', '--kubeconfig', kubeconfig])).toMatch(/^shop: /);
});

it('is a plugin of kubectl', () => {
  expect(installed.run(kubectl, ['reaper', ...scan])).toBe(installed.run('reaper', scan));
});
