import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { backfillConfigSchema, payloadSchema } from '../../functions/backfill/backfill.ts';
import { CHECKS } from '../../functions/doctor/report.ts';
import { enrollConfigSchema } from '../../functions/enroll/enroll.ts';
import { findingSchema } from '../../functions/enrollment/findings.ts';
import { OUTCOMES } from '../../functions/events/report.ts';
import { forwardConfigSchema } from '../../functions/forward/forward.ts';
import { ROWS } from '../../functions/judgement/judge.ts';
import { SWEEP_PROBLEMS } from '../../functions/platform/problems.ts';
import { reapConfigSchema } from '../../functions/reap/reap.ts';
import { RESTORE_OUTCOMES } from '../../functions/sweep/restore-hpas.ts';
import { SCHEMAS_FOLDER, schemaDocuments } from '../../infra/schemas.ts';
import { readConfiguration, SETTINGS, settingsTable } from '../../infra/settings.ts';

const documentOf = (name: string) => readFileSync(name, 'utf8');

/** The first cells of the tables of a document, or of those below one of its headings. */
function firstCells(file: string, heading?: string): string[] {
  const document = documentOf(file);
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
  expect(documentOf('docs/reasons.md')).toContain(
    ['| when | delete | keep |', '| --- | --- | --- |', ...rows, ''].join('\n'),
  );
});

test('docs/configuration.md lists every setting, and infra/configuration.yml sets each to its default', () => {
  expect(documentOf('docs/configuration.md')).toContain(`\n${settingsTable()}\n`);
  const defaults = Object.entries(SETTINGS).map(([key, setting]) => [key, setting.default]);
  expect(Object.entries(parse(documentOf('infra/configuration.yml')))).toEqual(defaults);
  expect(readConfiguration()).toEqual(Object.fromEntries(defaults));
});

test('docs/configuration.md names every environment variable', () => {
  const schemas = [forwardConfigSchema, reapConfigSchema, backfillConfigSchema, enrollConfigSchema];
  const configuration = documentOf('docs/configuration.md');
  const names = schemas.flatMap(({ shape }) => Object.keys(shape));
  expect(names.filter((name) => !configuration.includes(`\`${name}\``))).toEqual([]);
});

test('docs/permissions.md lists what infra/kubernetes/rbac.yaml allows', () => {
  const permissions = documentOf('docs/permissions.md');
  const [role] = documentOf('infra/kubernetes/rbac.yaml').split('---\n');
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
  const [, payload] = /reaper-backfill [^']+--payload '([^']+)'/.exec(documentOf('docs/runbook.md')) ?? [];
  expect(payloadSchema.parse(JSON.parse(payload ?? ''))).toMatchObject({ clusters: ['CLUSTER'], mode: 'delete' });
});

test('docs/schemas has the schemas of the code (npm run schemas)', () => {
  const stale = [...schemaDocuments()].filter(([file, text]) => documentOf(`${SCHEMAS_FOLDER}/${file}`) !== text);
  expect(stale.map(([file]) => file)).toEqual([]);
});
