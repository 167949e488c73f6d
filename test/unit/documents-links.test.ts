import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Command } from 'commander';
import { describe, expect, test, vi } from 'vitest';
import { addDoctorCommand } from '../../functions/cli/commands/doctor.ts';
import { addEnrollCommand } from '../../functions/cli/commands/enroll.ts';
import { addReapCommand } from '../../functions/cli/commands/reap.ts';
import { addReplayCommand } from '../../functions/cli/commands/replay.ts';
import { addRestoreCommand } from '../../functions/cli/commands/restore.ts';
import { addScanCommand } from '../../functions/cli/commands/scan.ts';
import { formatReport } from '../../functions/cli/output/report.ts';
import packageJson from '../../package.json' with { type: 'json' };
import { alarms } from '../builders/alarms.ts';

/* What the documents lead to is there: pages, headings, files, tests and commands with their flags. */

const documents = ['README.md', 'CONTRIBUTING.md', ...globSync('docs/**/*.md').toSorted()];
const textOf = (file: string) => readFileSync(file, 'utf8');

const FENCE = /^ *```.*?^ *```$/gms;
const CODE = /`([^`]+)`/g;

/** The anchors of a page, as GitHub makes them of its headings. */
function anchorsOf(file: string): string[] {
  const headings = [
    ...textOf(file)
      .replaceAll(FENCE, '')
      .matchAll(/^#+ (.+)$/gm),
  ].map(([, heading = '']) => heading);
  return headings.map((heading) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

/** Code, one command a line: what stands in fences, and in lines of prose. */
function commandsIn(file: string): string[] {
  const text = textOf(file);
  const fenced = [...text.matchAll(FENCE)].flatMap(([block]) => block.replaceAll(/\\\n */g, '').split('\n'));
  const inline = [...text.replaceAll(FENCE, '').matchAll(CODE)].map(([, code = '']) => code.replaceAll(/\s+/g, ' '));
  return [...fenced, ...inline];
}

const flagsIn = (text: string) => text.match(/(?<=^|\s)--?[a-z0-9][a-z0-9-]*/g) ?? [];

test.each(documents)('every link of %s within the repository leads somewhere', (file) => {
  const links = [
    ...textOf(file)
      .replaceAll(FENCE, '')
      .matchAll(/\]\(([^)\s]+)\)/g),
  ].map(([, link = '']) => link);
  for (const link of links.filter((one) => !/^https?:/.test(one))) {
    const [path = '', anchor] = link.split('#');
    const target = path === '' ? file : join(dirname(file), path);
    expect(existsSync(target), link).toBe(true);
    if (anchor !== undefined) expect(anchorsOf(target), link).toContain(anchor);
  }
});

test('every page is linked from the README, or from a page that is', () => {
  const reached = new Set<string>();
  const visit = (file: string) => {
    if (reached.has(file) || !file.endsWith('.md')) return;
    reached.add(file);
    for (const [, link = ''] of textOf(file).matchAll(/\]\(([^)#\s]+)/g)) {
      if (!/^https?:/.test(link)) visit(join(dirname(file), link));
    }
  };
  visit('README.md');
  expect([...reached].toSorted()).toEqual(documents.toSorted());
});

test('the README shows what scan prints for docs/example.json on a terminal of 100 columns', async () => {
  const write = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  const program = new Command();
  addScanCommand(program);
  await program.parseAsync(['scan', '--quiet', '--file', 'docs/example.json', '-o', 'json'], { from: 'user' });
  const report = JSON.parse(String(write.mock.calls[0]?.[0]));
  write.mockRestore();
  expect(textOf('README.md')).toContain(`\n${formatReport(report, 'table', { width: 100, color: false })}\`\`\`\n`);
});

test.each(documents)('every source that %s names is there', (file) => {
  const paths = commandsIn(file).filter((code) => /^(functions|infra|test)\/[\w./-]+$/.test(code));
  for (const path of paths) expect(existsSync(path), path).toBe(true);
});

test.each(documents)('every test that %s quotes is there', (file) => {
  const quoted = textOf(file)
    .replaceAll(/\s+/g, ' ')
    .matchAll(/`(test\/[\w/.-]+)`, \*([^*…]+)…?\*/g);
  for (const [, source = '', title = ''] of quoted) expect(textOf(source), source).toContain(title);
});

test('docs/cost.md counts every metric that an alarm looks at, but for those of its query', () => {
  const metrics = JSON.stringify(alarms()).match(/"MetricName":/g) ?? [];
  expect(textOf('docs/cost.md')).toContain(`| Alarms | ${metrics.length} × 0.10: `);
});

describe('every command that is named is there, with its flags', () => {
  const reaper = new Command();
  for (const add of [
    addScanCommand,
    addReapCommand,
    addRestoreCommand,
    addReplayCommand,
    addDoctorCommand,
    addEnrollCommand,
  ]) {
    add(reaper);
  }
  const deploying = textOf('infra/stack.ts');

  test.each(documents)('of reaper, in %s', (file) => {
    for (const line of commandsIn(file)) {
      for (const [, name, rest = ''] of line.matchAll(/(?<![\w-])reaper(?: --)? ([a-z]+)([^|>;#]*)/g)) {
        const command = reaper.commands.find((one) => one.name() === name);
        expect(command, line).toBeDefined();
        const known = command?.options.flatMap(({ long, short }) => [long, short]);
        for (const flag of flagsIn(rest)) expect([...(known ?? []), '--help'], line).toContain(flag);
      }
    }
  });

  test.each(documents)('of npm, in %s', (file) => {
    for (const line of commandsIn(file)) {
      for (const [, name = '', rest = ''] of line.matchAll(
        /\bnpm (?:run (?:-s )?)?(?!ci\b)([a-z:]+)(?: -- ([^|>;#]*))?/g,
      )) {
        expect(Object.keys(packageJson.scripts), line).toContain(name);
        if (name !== 'deploy' && name !== 'remove') continue;
        for (const flag of flagsIn(rest))
          expect(deploying, line).toMatch(new RegExp(`^ {4}'?${flag.slice(2)}'?: \\{ type:`, 'm'));
      }
    }
  });

  /** CloudFormation takes no template of more than 51,200 bytes but from a bucket. */
  test.each(documents)('of aws cloudformation deploy, in %s: with a bucket for the template', (file) => {
    for (const line of commandsIn(file)) {
      if (/aws cloudformation deploy -/.test(line)) expect(line).toMatch(/--s3-bucket \S/);
    }
  });
});
