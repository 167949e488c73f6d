import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { backfillConfigSchema, payloadSchema } from '../../functions/backfill/backfill.ts';
import { ENROLMENT_PROBLEMS } from '../../functions/domain/enrolment.ts';
import { CHECKS } from '../../functions/domain/health.ts';
import { DELETE_REASONS, KEEP_REASONS } from '../../functions/domain/judge.ts';
import { OUTCOMES } from '../../functions/domain/report.ts';
import { RESTORE_OUTCOMES } from '../../functions/domain/restoration.ts';
import { enrollConfigSchema } from '../../functions/enroll/enroll.ts';
import { forwardConfigSchema } from '../../functions/forward/forward.ts';
import { reapConfigSchema } from '../../functions/reap/reap.ts';
import { configurationSchema } from '../../infra/configuration.ts';
import { SCHEMAS_FOLDER, schemaDocuments } from '../../infra/schemas.ts';

const readme = readFileSync('README.md', 'utf8');

/** The first cells of a document's tables under a heading. */
function firstCells(heading: string, document = readme): string[] {
  const section = document.split(`## ${heading}\n`)[1]?.split(/^## /m)[0] ?? '';
  return [...section.matchAll(/^\| `([^`]+)` \|/gm)].map(([, cell]) => cell as string);
}

test('docs/doctor.md lists every check in its order, and no other', () => {
  const rows = readFileSync('docs/doctor.md', 'utf8').matchAll(/^\| `([^`]+)` \|/gm);
  expect([...rows].map(([, id]) => id)).toEqual(CHECKS);
});

describe('the README', () => {
  test('lists every reason and every outcome, and no other', () => {
    expect(firstCells('Reasons').sort()).toEqual([...DELETE_REASONS, ...KEEP_REASONS, ...OUTCOMES].sort());
  });

  test('says of each reason whether it deletes', () => {
    for (const reason of DELETE_REASONS) expect(readme).toContain(`| \`${reason}\` | delete |`);
    for (const reason of KEEP_REASONS) expect(readme).toContain(`| \`${reason}\` | keep |`);
  });

  test('lists every configuration value, with the default that is delivered', () => {
    expect(firstCells('Configuration')).toEqual(Object.keys(configurationSchema.shape));
    const delivered = parse(readFileSync('infra/configuration.yml', 'utf8')) as Record<string, unknown>;
    for (const [key, value] of Object.entries(delivered).filter(([name]) => name !== 'clusters')) {
      const row = readme.split('\n').find((line) => line.startsWith(`| \`${key}\` |`));
      expect(row?.split(' | ')[1]?.replaceAll('`', ''), key).toBe(String(value));
    }
  });

  test('names every environment variable', () => {
    for (const schema of [forwardConfigSchema, reapConfigSchema, backfillConfigSchema, enrollConfigSchema]) {
      for (const name of Object.keys(schema.shape)) expect(readme).toContain(`\`${name}\``);
    }
  });

  test('sweeps by hand with a payload that backfill takes', () => {
    const [, payload] = /--payload '([^']+)'/.exec(readme) ?? [];
    expect(payloadSchema.parse(JSON.parse(payload ?? ''))).toMatchObject({ clusters: ['CLUSTER'], mode: 'delete' });
  });

  test('lists every problem of enrolment, and no other', () => {
    expect(firstCells('Enrolment').sort()).toEqual([...ENROLMENT_PROBLEMS].sort());
  });

  test('lists what infra/kubernetes/rbac.yaml allows', () => {
    const [role] = readFileSync('infra/kubernetes/rbac.yaml', 'utf8').split('---\n');
    const { rules } = parse(role ?? '') as { rules: { apiGroups: string[]; resources: string[]; verbs: string[] }[] };
    for (const { apiGroups, resources, verbs } of rules) {
      const quoted = (names: readonly string[]) => names.map((name) => `\`${name}\``).join(', ');
      const group = apiGroups.join() === '' ? 'core' : quoted(apiGroups);
      const row = readme.split('\n').find((line) => line.startsWith(`| ${group} | ${quoted(resources)}`));
      expect(row, `${group} ${resources}`).toContain(`| ${quoted(verbs)} |`);
    }
  });
});

test('docs/undoing.md lists every outcome of a restoration, and no other', () => {
  const undoing = readFileSync('docs/undoing.md', 'utf8');
  expect(firstCells('What it answers', undoing).toSorted()).toEqual(RESTORE_OUTCOMES.toSorted());
});

test.each([...schemaDocuments()])('docs/schemas/%s is what the code says (npm run schemas)', (file, text) => {
  expect(readFileSync(`${SCHEMAS_FOLDER}/${file}`, 'utf8')).toBe(text);
});
