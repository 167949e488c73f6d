import { existsSync, globSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import packageJson from '../../package.json' with { type: 'json' };

const textOf = (file: string) => readFileSync(file, 'utf8');

test('nvm and the workflows use the Node that the scripts use', () => {
  expect(textOf('.nvmrc').trim()).toBe(packageJson.devDependencies.node.split('.')[0]);
});

test('the newest version of CHANGELOG.md is that of package.json, with a link', () => {
  const [, newest] = /^## \[(\d[^\]]*)\] - \d{4}-\d\d-\d\d$/m.exec(textOf('CHANGELOG.md')) ?? [];
  expect(newest).toBe(packageJson.version);
  expect(textOf('CHANGELOG.md')).toMatch(new RegExp(`^\\[${newest}\\]: ${packageJson.homepage.split('#')[0]}/`, 'm'));
});

test('documents mention the assets and the workflow of this version', () => {
  const mentions = globSync(['*.md', 'docs/*.md']).flatMap((file) =>
    [...textOf(file).matchAll(/envoy-hpa-reaper-(\d+\.\d+\.\d+)\.tgz|\.yml@v([\d.]+)|download v([\d.]+)/g)].map(
      ([, ...versions]) => `${file}: ${versions.join('')}`,
    ),
  );
  expect(mentions).not.toEqual([]);
  expect(mentions.filter((mention) => !mention.endsWith(`: ${packageJson.version}`))).toEqual([]);
});

test('LICENSE has the license of package.json', () => {
  const [, name, version] = /^ +(\w+) License\n +Version (\S+),/m.exec(textOf('LICENSE')) ?? [];
  expect(`${name}-${version}`).toBe(packageJson.license);
});

const WORKFLOWS = globSync('.github/workflows/*.yml');

test.each(WORKFLOWS)('%s pins actions by commit, and no expression becomes part of a script', (file) => {
  const uses = [...textOf(file).matchAll(/\buses: (?!\.\/)(.*)/g)].map(([, action]) => action);
  expect(uses.filter((action) => !/^[\w/-]+@[\da-f]{40} # v[\d.]+$/.test(action ?? ''))).toEqual([]);
  const { jobs } = parse(textOf(file)) as { jobs: Record<string, { steps?: { run?: string }[] }> };
  const scripts = Object.values(jobs).flatMap(({ steps = [] }) => steps.map(({ run = '' }) => run));
  expect(scripts.filter((script) => script.includes('${{'))).toEqual([]);
});

test('every script that the workflows and .ci run exists', () => {
  const text = [...WORKFLOWS, ...globSync('.ci/*')].map(textOf).join('\n');
  const npm = [...text.matchAll(/\bnpm (?:run )?([a-z]\w*(?::\w+)?)/g)].map(([, name = '']) => name);
  const npmOwn = ['pkg', 'pack', 'sbom'];
  expect(npm.filter((name) => !npmOwn.includes(name) && !(name in packageJson.scripts))).toEqual([]);
  expect([...text.matchAll(/\.ci\/[a-z-]+/g)].map(String).filter((script) => !existsSync(script))).toEqual([]);
});
