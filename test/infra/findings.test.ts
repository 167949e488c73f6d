import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type Resource, readTemplate, templateFile } from '../builders/packaged-stack.ts';
import type { Packaging } from './packaged.ts';

/*
 * The Metadata of a resource lists its exceptions with their reasons, where the tools read them. Each tool runs twice: on the template,
 * where it must find nothing, and without the exceptions, where it must find exactly what is excepted.
 */
const { bin } = inject('tools');
const packagings = inject('packagings');

const folder = mkdtempSync(join(tmpdir(), 'findings-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Exception {
  readonly rule: string;
  readonly reason?: string;
}

interface Tool {
  exceptionsOf(metadata: Resource['Metadata']): Exception[];
  /** The findings in a template, each as `<resource> <rule>`. */
  find(template: string): string[];
}

/** Runs a tool without network access and parses what it prints. */
function run<Output>(tool: string, args: readonly string[]): Output {
  const proxies = ['http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY'].map((name) => [
    name,
    'http://127.0.0.1:9',
  ]);
  const env = { ...process.env, ...Object.fromEntries(proxies) };
  const { stdout, stderr } = spawnSync(join(bin, tool), args, { encoding: 'utf8', cwd: folder, env });
  if (stdout.trim() === '' && stderr !== '') throw new Error(stderr);
  return JSON.parse(stdout || '[]');
}

const cfnLint: Tool = {
  exceptionsOf: (metadata) =>
    (metadata?.['cfn-lint']?.config.ignore_checks ?? []).map((rule: string) => ({
      rule,
      reason: metadata['cfn-lint'].comment,
    })),
  find: (template) =>
    lintings(template)
      .flatMap((args) =>
        run<{ Rule: { Id: string }; Location: { Path?: unknown[] } }[]>('cfn-lint', [...args, '--format', 'json']),
      )
      .map(({ Rule, Location }) => `${Location.Path?.[1] ?? 'the template'} ${Rule.Id}`),
};

/** In every Region, since one template is for all; the section Rules, which takes five times as long, in one Region. */
function lintings(template: string): string[][] {
  const { Rules: _, ...rest } = JSON.parse(readFileSync(template, 'utf8'));
  const withoutRules = join(folder, 'without-rules.json');
  writeFileSync(withoutRules, JSON.stringify(rest, null, 2));
  return [
    ['--template', template, '--regions', 'eu-central-1'],
    ['--template', withoutRules, '--regions', 'ALL_REGIONS'],
  ];
}

const CHECKOV = ['--framework', 'cloudformation', '--compact', '--quiet', '--skip-download', '--skip-results-upload'];

const checkov: Tool = {
  exceptionsOf: (metadata) =>
    (metadata?.checkov?.skip ?? []).map(({ id, comment }: { id: string; comment?: string }) => ({
      rule: id,
      reason: comment,
    })),
  find(template) {
    const { results, summary } = run<{
      results: { failed_checks: { check_id: string; resource: string }[] };
      summary: { parsing_errors: number; passed: number };
    }>('checkov', ['--file', template, ...CHECKOV, '--soft-fail', '-o', 'json']);
    expect(summary).toMatchObject({ parsing_errors: 0, passed: expect.any(Number) });
    expect(summary.passed).toBeGreaterThan(0);
    return results.failed_checks.map(({ check_id, resource }) => `${resource.split('.').at(-1)} ${check_id}`);
  },
};

/** A packaged template without exceptions. */
function withoutExceptions(packaging: Packaging): string {
  const { Metadata: _, ...template } = readTemplate(packaging.folder);
  for (const { Metadata } of Object.values(template.Resources)) {
    delete Metadata?.['cfn-lint'];
    delete Metadata?.checkov;
  }
  const file = join(folder, `${packaging.configuration}.json`);
  writeFileSync(file, JSON.stringify(template, null, 2));
  return file;
}

describe.each([
  ['cfn-lint', cfnLint],
  ['checkov', checkov],
])('%s', (_name, tool) => {
  const exceptions = packagings.map((packaging) =>
    Object.entries(readTemplate(packaging.folder).Resources).flatMap(([id, { Metadata }]) =>
      tool.exceptionsOf(Metadata).map(({ rule, reason }) => ({ key: `${id} ${rule}`, reason })),
    ),
  );
  let findings: string[][];
  beforeAll(() => {
    findings = packagings.map((packaging) => tool.find(withoutExceptions(packaging)));
  });

  test.each(packagings)('finds nothing in the template of the $configuration configuration', (packaging) => {
    expect(tool.find(templateFile(packaging.folder))).toEqual([]);
  });

  test('finds only what is excepted, and everything that is excepted', () => {
    for (const [index, found] of findings.entries()) {
      const excepted = exceptions[index]?.map(({ key }) => key);
      expect(found.filter((finding) => !excepted?.includes(finding))).toEqual([]);
    }
    const stale = exceptions.flat().filter(({ key }) => !findings.flat().includes(key));
    expect(stale, 'exceptions without a finding').toEqual([]);
  });

  test('has a reason for every exception', () => {
    expect(exceptions.flat().length).toBeGreaterThan(0);
    for (const { key, reason } of exceptions.flat()) expect(reason, key).toMatch(/\w+ \w+ \w+/);
  });
});
