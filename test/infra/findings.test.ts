import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type Resource, readTemplate, templateFile } from './packaged.ts';

/*
 * An exception stands in the Metadata of its resource, where the tools read it, with its reason. Each tool runs twice: as it
 * is, which must find nothing, and with every exception taken away, which must find exactly what is excepted.
 */
const { bin } = inject('tools');
// What the representative one has, the one with everything has too.
const packagings = inject('packagings').filter(({ configuration }) => configuration !== 'representative');

const folder = mkdtempSync(join(tmpdir(), 'findings-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Of one tool in one resource. */
interface Exception {
  resource: string;
  rule: string;
  reason: unknown;
}

interface Tool {
  exceptionsOf(resource: string, metadata: Resource['Metadata']): Exception[];
  /** What it finds in a template, each as `<resource> <rule>`. */
  find(template: string): string[];
  /** As a person runs it. */
  plainly(template: string): { status: number | null; output: string };
}

const cfnLint: Tool = {
  exceptionsOf: (resource, metadata) =>
    (metadata?.['cfn-lint']?.config.ignore_checks ?? []).map((rule: string) => ({
      resource,
      rule,
      reason: metadata['cfn-lint'].comment,
    })),
  find(template) {
    const findings = lintings(template).flatMap((args) => {
      const { stdout, stderr } = spawnSync(join(bin, 'cfn-lint'), [...args, '--format', 'json'], {
        encoding: 'utf8',
        cwd: folder,
      });
      if (stdout.trim() === '' && stderr !== '') throw new Error(stderr);
      return JSON.parse(stdout || '[]') as { Rule: { Id: string }; Location: { Path: unknown[] } }[];
    });
    return findings.map(({ Rule, Location }) => `${Location.Path?.[1] ?? 'the template'} ${Rule.Id}`);
  },
  plainly(template) {
    const runs = lintings(template).map((args) => plainly('cfn-lint', ...args));
    return runs.find(({ status }) => status !== 0) ?? { status: 0, output: '' };
  },
};

/**
 * The arguments of cfn-lint for every Region that it knows, since one template is for all of them. The section Rules makes
 * it take five times as long for each, so that this is looked at in one.
 */
function lintings(template: string): string[][] {
  const { Rules: _, ...rest } = JSON.parse(readFileSync(template, 'utf8'));
  const withoutRules = join(folder, 'without-rules.json');
  writeFileSync(withoutRules, JSON.stringify(rest, null, 2));
  return [
    ['--template', template, '--regions', 'eu-central-1'],
    ['--template', withoutRules, '--regions', 'ALL_REGIONS'],
  ];
}

/** Whatever would go out finds nobody there. */
const OFFLINE = ['http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY'].map((name) => [name, 'http://127.0.0.1:9']);
const CHECKOV = ['--framework', 'cloudformation', '--compact', '--quiet', '--skip-download', '--skip-results-upload'];

const checkov: Tool = {
  exceptionsOf: (resource, metadata) =>
    (metadata?.checkov?.skip ?? []).map(({ id, comment }: { id: string; comment?: string }) => ({
      resource,
      rule: id,
      reason: comment,
    })),
  find(template) {
    const output = execFileSync(join(bin, 'checkov'), ['--file', template, ...CHECKOV, '--soft-fail', '-o', 'json'], {
      encoding: 'utf8',
      env: { ...process.env, ...Object.fromEntries(OFFLINE) },
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const { results, summary } = JSON.parse(output) as {
      results: { failed_checks: { check_id: string; resource: string }[] };
      summary: { parsing_errors: number; passed: number };
    };
    expect(summary.parsing_errors).toBe(0);
    expect(summary.passed).toBeGreaterThan(0);
    return results.failed_checks.map(({ check_id, resource }) => `${resource.split('.').at(-1)} ${check_id}`);
  },
  plainly: (template) => plainly('checkov', '--file', template, ...CHECKOV),
};

function plainly(tool: string, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(join(bin, tool), args, {
    encoding: 'utf8',
    env: { ...process.env, ...Object.fromEntries(OFFLINE) },
    cwd: folder,
  });
  return { status, output: stdout + stderr };
}

/** A packaged template with every exception taken away. */
function withoutExceptions(packaging: (typeof packagings)[number]): string {
  const { Metadata: _, ...template } = readTemplate(packaging);
  for (const { Metadata } of Object.values(template.Resources)) {
    if (Metadata === undefined) continue;
    delete Metadata['cfn-lint'];
    delete Metadata.checkov;
  }
  const file = join(folder, `${packaging.configuration}.json`);
  writeFileSync(file, JSON.stringify(template, null, 2));
  return file;
}

describe.each([
  ['cfn-lint', cfnLint],
  ['checkov', checkov],
])('%s', (name, tool) => {
  let exceptions: Exception[][];
  let findings: string[][];
  beforeAll(() => {
    exceptions = packagings.map((packaging) =>
      Object.entries(readTemplate(packaging).Resources).flatMap(([id, { Metadata }]) =>
        tool.exceptionsOf(id, Metadata),
      ),
    );
    findings = packagings.map((packaging) => tool.find(withoutExceptions(packaging)));
  });
  const keyOf = ({ resource, rule }: Exception) => `${resource} ${rule}`;

  test.each(packagings)('finds nothing in the template of the $configuration configuration', (packaging) => {
    const { status, output } = tool.plainly(templateFile(packaging));
    expect(status, output).toBe(0);
  });

  test('finds nothing that is not excepted, and every exception is needed', () => {
    for (const [index, { configuration }] of packagings.entries()) {
      const excepted = new Set(exceptions[index]?.map(keyOf));
      const surplus = findings[index]?.filter((finding) => !excepted.has(finding));
      expect(surplus, `new findings of ${name} with the ${configuration} configuration`).toEqual([]);
    }
    const found = new Set(findings.flat());
    const stale = exceptions.flat().filter((exception) => !found.has(keyOf(exception)));
    expect(stale, `exceptions of ${name} of which there is no finding any more`).toEqual([]);
  });

  test('gives the reason of every exception', () => {
    expect(exceptions.flat().length).toBeGreaterThan(0);
    for (const exception of exceptions.flat()) {
      expect(exception, keyOf(exception)).toMatchObject({ reason: expect.stringMatching(/\w+ \w+ \w+/) });
    }
    const reasons = new Map(exceptions.flat().map((exception) => [keyOf(exception), exception.reason]));
    console.log([...reasons].map(([key, reason]) => `excepted from ${name}: ${key}: ${reason}`).join('\n'));
  });
});
