import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { type InstalledPackage, installPackage } from '../installed-package.ts';

// test/real/package.test.ts runs the package with the oldest Node, and as a plugin of kubectl.

let installed: InstalledPackage;
beforeAll(() => {
  installed = installPackage();
});

it('packs the command line tool alone, in less than 1 MB', () => {
  const { size, files } = installed.tarball;
  expect(size).toBeLessThan(1_000_000);
  const paths = files.map(({ path }) => path);
  expect(paths.filter((path) => !/^dist\/reaper\/[\w-]+-[0-9A-Z]{8}\.mjs$/.test(path)).toSorted()).toEqual(
    ['LICENSE', 'README.md', 'dist/reaper.mjs', 'dist/reaper/THIRD-PARTY-LICENSES', 'package.json'].toSorted(),
  );
});

it('installs nothing else', () => {
  const packages = readdirSync(join(installed.directory, 'node_modules'));
  expect(packages.filter((name) => !name.startsWith('.'))).toEqual(['envoy-hpa-reaper']);
});

it.each(['reaper', 'kubectl-reaper'])('runs as %s', (command) => {
  expect(installed.run(command, ['--version'])).toBe(`${packageJson.version}\n`);
  const scan = installed.run(command, ['scan', '--file', resolve('docs/example.json')]);
  expect(scan).toMatch(/^\S+example\.json: \d+ stale of \d+ HPAs /);
});
