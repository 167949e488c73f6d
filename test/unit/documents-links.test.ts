import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Command } from 'commander';
import { expect, test, vi } from 'vitest';
import { addDoctorCommand } from '../../functions/cli/commands/doctor.ts';
import { addEnrollCommand } from '../../functions/cli/commands/enroll.ts';
import { addReapCommand } from '../../functions/cli/commands/reap.ts';
import { addReplayCommand } from '../../functions/cli/commands/replay.ts';
import { addRestoreCommand } from '../../functions/cli/commands/restore.ts';
import { addScanCommand } from '../../functions/cli/commands/scan.ts';
import { formatReport } from '../../functions/cli/output/report.ts';
import packageJson from '../../package.json' with { type: 'json' };
import { alarms } from '../builders/alarms.ts';

const DOCUMENTS = ['README.md', 'CONTRIBUTING.md', ...globSync('docs/**/*.md').toSorted()];
const textOf = (file: string) => readFileSync(file, 'utf8');
const FENCE = /^ *```.*?^ *```$/gms;

/** The links of a page within the repository. */
const linksIn = (file: string): string[] =>
  [
    ...textOf(file)
      .replaceAll(FENCE, '')
      .matchAll(/\]\(([^)\s]+)\)/g),
  ]
    .map(([, link = '']) => link)
    .filter((link) => !/^https?:/.test(link));

/** The anchors of a page, as GitHub derives them from its headings. */
const anchorsIn = (file: string): string[] =>
  [
    ...textOf(file)
      .replaceAll(FENCE, '')
      .matchAll(/^#+ (.+)$/gm),
  ].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );

/** The code of a page: the lines of its fenced blocks, and inline code. */
function codeIn(file: string): string[] {
  const text = textOf(file);
  const fenced = [...text.matchAll(FENCE)].flatMap(([block]) => block.replaceAll(/\\\n */g, '').split('\n'));
  const inline = [...text.replaceAll(FENCE, '').matchAll(/`([^`]+)`/g)].map(([, code = '']) => code);
  return [...fenced, ...inline.map((code) => code.replaceAll(/\s+/g, ' '))];
}

const flagsIn = (text: string) => text.match(/(?<=^|\s)--?[a-z0-9][a-z0-9-]*/g) ?? [];

/** Expects no page to have a fault. Reports all faults at once. */
function expectNoFault(faultsIn: (file: string) => string[]): void {
  expect(DOCUMENTS.flatMap((file) => faultsIn(file).map((fault) => `${file}: ${fault}`))).toEqual([]);
}

const expectNoFaultInCode = (faultsIn: (code: string) => string[]) =>
  expectNoFault((file) => codeIn(file).flatMap(faultsIn));

test('every link within the repository leads to a file, and to a heading of it', () => {
  expectNoFault((file) =>
    linksIn(file).filter((link) => {
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? file : join(dirname(file), path);
      return !existsSync(target) || (anchor !== undefined && !anchorsIn(target).includes(anchor));
    }),
  );
});

test('every page is linked from the README, or from a page that is', () => {
  const reached = new Set<string>();
  const visit = (file: string) => {
    if (reached.has(file) || !file.endsWith('.md')) return;
    reached.add(file);
    for (const link of linksIn(file)) visit(join(dirname(file), link.split('#')[0] ?? ''));
  };
  visit('README.md');
  expect([...reached].toSorted()).toEqual(DOCUMENTS.toSorted());
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

test('every source file in a document exists', () => {
  expectNoFaultInCode((code) => (/^(functions|infra|test)\/[\w./-]+$/.test(code) && !existsSync(code) ? [code] : []));
});

test('every test that a document quotes exists', () => {
  expectNoFault((file) =>
    [
      ...textOf(file)
        .replaceAll(/\s+/g, ' ')
        .matchAll(/`(test\/[\w/.-]+)`, \*([^*…]+)…?\*/g),
    ]
      .filter(([, source = '', title = '']) => !existsSync(source) || !textOf(source).includes(title))
      .map(([quotation]) => quotation),
  );
});

test('docs/cost.md counts the metrics of the alarms', () => {
  const metrics = JSON.stringify(alarms()).match(/"MetricName":/g) ?? [];
  expect(textOf('docs/cost.md')).toContain(`| Alarms | ${metrics.length} × 0.10: `);
});

test('every command of reaper in a document exists, with its options', () => {
  const reaper = new Command();
  for (const add of [addScanCommand, addReapCommand, addRestoreCommand, addReplayCommand]) add(reaper);
  for (const add of [addDoctorCommand, addEnrollCommand]) add(reaper);
  expectNoFaultInCode((code) =>
    [...code.matchAll(/(?<![\w-])reaper(?: --)? ([a-z]+)([^|>;#]*)/g)].flatMap(([line, name, rest = '']) => {
      const command = reaper.commands.find((one) => one.name() === name);
      const options = ['--help', ...(command?.options.flatMap(({ long, short }) => [long, short]) ?? [])];
      return command && flagsIn(rest).every((flag) => options.includes(flag)) ? [] : [line];
    }),
  );
});

test('every npm command in a document exists, with the options of deploy and remove', () => {
  const deploying = textOf('infra/stack.ts');
  const isOption = (flag: string) => new RegExp(`^ {4}'?${flag.slice(2)}'?: \\{ type:`, 'm').test(deploying);
  expectNoFaultInCode((code) =>
    [...code.matchAll(/\bnpm (?:run (?:-s )?)?(?!ci\b)([a-z:]+)(?: -- ([^|>;#]*))?/g)]
      .filter(([, name = '', rest = '']) => {
        const isDeploying = name === 'deploy' || name === 'remove';
        return !(name in packageJson.scripts) || (isDeploying && !flagsIn(rest).every(isOption));
      })
      .map(([command]) => command),
  );
});

test('every aws cloudformation deploy in a document has a bucket, which a template of over 51,200 bytes requires', () => {
  expectNoFaultInCode((code) =>
    /aws cloudformation deploy -/.test(code) && !/--s3-bucket \S/.test(code) ? [code] : [],
  );
});
