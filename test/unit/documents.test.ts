import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Command } from 'commander';
import { expect, test, vi } from 'vitest';
import { parse } from 'yaml';
import { backfillConfigSchema, payloadSchema } from '../../functions/backfill/backfill.ts';
import { addDoctorCommand } from '../../functions/cli/commands/doctor.ts';
import { addEnrollCommand } from '../../functions/cli/commands/enroll.ts';
import { addReapCommand } from '../../functions/cli/commands/reap.ts';
import { addReplayCommand } from '../../functions/cli/commands/replay.ts';
import { addRestoreCommand } from '../../functions/cli/commands/restore.ts';
import { addScanCommand } from '../../functions/cli/commands/scan.ts';
import { formatReport } from '../../functions/cli/output/output.ts';
import { CHECKS } from '../../functions/doctor/report.ts';
import { enrollConfigSchema } from '../../functions/enroll/enroll.ts';
import { findingSchema } from '../../functions/enrollment/findings.ts';
import { GUARDS, OUTCOMES } from '../../functions/events/outcomes.ts';
import { forwardConfigSchema } from '../../functions/forward/forward.ts';
import { ROWS } from '../../functions/judgement/judge.ts';
import { DELETE_REASONS, KEEP_REASONS } from '../../functions/judgement/reasons.ts';
import { SWEEP_PROBLEMS } from '../../functions/platform/problems.ts';
import { reapConfigSchema } from '../../functions/reap/reap.ts';
import { RESTORE_OUTCOMES } from '../../functions/sweep/restore-hpas.ts';
import { SCHEMAS_FOLDER, schemaDocuments } from '../../infra/schemas.ts';
import { readConfiguration, SETTINGS, settingsTable } from '../../infra/settings.ts';
import packageJson from '../../package.json' with { type: 'json' };
import { assurancePage } from '../assurance/page.ts';

const DOCUMENTS = globSync(['*.md', 'docs/**/*.md']).toSorted();
const textOf = (file: string) => readFileSync(file, 'utf8');
const FENCE = /^ *```.*?^ *```$/gms;

const matchesIn = (file: string, pattern: RegExp) =>
  [...textOf(file).replaceAll(FENCE, '').matchAll(pattern)].map(([, match = '']) => match);

/** The links of a page within the repository. */
const linksIn = (file: string) => matchesIn(file, /\]\(([^)\s]+)\)/g).filter((link) => !/^https?:/.test(link));

/** The anchors of a page, as GitHub derives them from its headings. */
const anchorsIn = (file: string) =>
  matchesIn(file, /^#+ (.+)$/gm).map((heading) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );

/** The code of a page: the lines of its fenced blocks, and inline code. */
function codeIn(file: string): string[] {
  const text = textOf(file);
  const fenced = [...text.matchAll(FENCE)].flatMap(([block]) => block.replaceAll(/\\\n */g, '').split('\n'));
  return [...fenced, ...matchesIn(file, /`([^`]+)`/g).map((code) => code.replaceAll(/\s+/g, ' '))];
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

test('the page on assurance has the recorded figures', async () => {
  expect(readFileSync('docs/assurance.md', 'utf8')).toBe(await assurancePage());
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
    [...code.matchAll(/\bnpm (?:run (?:-s )?)?(?!(?:ci|pack|install|version)\b)([a-z:]+)(?: -- ([^|>;#]*))?/g)]
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

/** The first cells of the tables of a document, or of those below one of its headings. */
function firstCells(file: string, heading?: string): string[] {
  const document = textOf(file);
  const section = heading === undefined ? document : (document.split(`## ${heading}\n`)[1]?.split(/^## /m)[0] ?? '');
  return [...section.matchAll(/^\| `([^`]+)` \|/gm)].map(([, cell]) => cell as string);
}

test('the documents list every check, outcome and problem of the code, and no other', () => {
  expect({
    checks: firstCells('docs/doctor.md'),
    outcomes: firstCells('docs/reasons.md', 'Of an HPA'),
    problems: firstCells('docs/reasons.md', 'Of a cluster'),
    problemsOfEnrollment: firstCells('docs/enrollment.md').toSorted(),
    outcomesOfRestoration: firstCells('docs/undoing.md', 'Results').toSorted(),
  }).toEqual({
    checks: CHECKS,
    outcomes: [...OUTCOMES],
    problems: [...SWEEP_PROBLEMS],
    problemsOfEnrollment: findingSchema.shape.reason.def.innerType.options.toSorted(),
    outcomesOfRestoration: RESTORE_OUTCOMES.toSorted(),
  });
});

test('docs/reasons.md has the rows of the judgement in their order', () => {
  const requirements = { gone: ' if gone', seen: ' if seen', replaced: " if gone and the other's is not" };
  const rows = ROWS.map(({ deletes, keeps, requires, when }) => {
    const deletion = deletes && requires ? `\`${deletes}\`${requirements[requires]}` : '';
    return `| ${when} | ${deletion} | \`${keeps}\` |`;
  });
  expect(textOf('docs/reasons.md')).toContain(
    ['| when | delete | keep |', '| --- | --- | --- |', ...rows, ''].join('\n'),
  );
});

test('every reason is one of a row and in docs/reasons.md, and every guard is there too', () => {
  const ofRows = ROWS.flatMap(({ deletes, keeps }) => (deletes ? [deletes, keeps] : [keeps]));
  expect([...DELETE_REASONS, ...KEEP_REASONS].filter((reason) => !ofRows.includes(reason))).toEqual([]);
  const names = [...DELETE_REASONS, ...KEEP_REASONS, ...Object.keys(GUARDS)];
  expect(names.filter((name) => !textOf('docs/reasons.md').includes(`\`${name}\``))).toEqual([]);
});

test('docs/configuration.md lists every setting, and infra/configuration.yml sets each to its default', () => {
  expect(textOf('docs/configuration.md')).toContain(`\n${settingsTable()}\n`);
  const defaults = Object.entries(SETTINGS).map(([key, setting]) => [key, setting.default]);
  expect(Object.entries(parse(textOf('infra/configuration.yml')))).toEqual(defaults);
  expect(readConfiguration()).toEqual(Object.fromEntries(defaults));
});

test('docs/configuration.md names every environment variable', () => {
  const schemas = [forwardConfigSchema, reapConfigSchema, backfillConfigSchema, enrollConfigSchema];
  const configuration = textOf('docs/configuration.md');
  const names = schemas.flatMap(({ shape }) => Object.keys(shape));
  expect(names.filter((name) => !configuration.includes(`\`${name}\``))).toEqual([]);
});

test('docs/permissions.md lists what infra/kubernetes/rbac.yaml allows', () => {
  const permissions = textOf('docs/permissions.md');
  const [role] = textOf('infra/kubernetes/rbac.yaml').split('---\n');
  const { rules } = parse(role ?? '') as { rules: Record<'apiGroups' | 'resources' | 'verbs', string[]>[] };
  const quoted = (names: readonly string[]) => names.map((name) => `\`${name}\``).join(', ');
  const missing = rules
    .map(({ apiGroups: [group = ''], resources, verbs }) => [
      `| ${group === '' ? 'core' : quoted([group])} | ${quoted(resources)}`,
      `| ${quoted(verbs)} |`,
    ])
    .filter(
      ([beginning = '', verbs = '']) =>
        !permissions.split('\n').some((line) => line.startsWith(beginning) && line.includes(verbs)),
    );
  expect(missing).toEqual([]);
});

test('docs/runbook.md sweeps by hand with a payload that backfill takes', () => {
  const [, payload] = /reaper-backfill [^']+--payload '([^']+)'/.exec(textOf('docs/runbook.md')) ?? [];
  expect(payloadSchema.parse(JSON.parse(payload ?? ''))).toMatchObject({ clusters: ['CLUSTER'], mode: 'delete' });
});

test('docs/schemas has the schemas of the code (npm run schemas)', () => {
  const stale = [...schemaDocuments()].filter(([file, text]) => textOf(`${SCHEMAS_FOLDER}/${file}`) !== text);
  expect(stale.map(([file]) => file)).toEqual([]);
});
