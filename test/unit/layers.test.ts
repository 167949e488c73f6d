import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';

const LAMBDAS = ['backfill', 'enroll', 'forward', 'reap'];
const LIBRARIES = ['sweep', 'enrollment', 'doctor', 'judgement', 'events', 'kubernetes', 'aws', 'platform'];
/** The folders of functions/ that each folder may import, beside itself. docs/architecture.md draws the same arrows. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  platform: [],
  judgement: ['platform'],
  events: ['judgement', 'platform'],
  kubernetes: ['judgement', 'events', 'platform'],
  aws: ['kubernetes', 'events', 'platform'],
  sweep: ['judgement', 'events', 'kubernetes', 'aws', 'platform'],
  enrollment: ['sweep', 'events', 'kubernetes', 'aws', 'platform'],
  doctor: ['enrollment', 'sweep', 'judgement', 'events', 'kubernetes', 'aws', 'platform'],
  ...Object.fromEntries(LAMBDAS.map((name) => [name, LIBRARIES])),
  cli: [...LIBRARIES, 'forward'],
};
/** Folders that decide and reach nothing: no SDK, no file system, no network. */
const PURE = ['judgement', 'events'];
const NO_SDK = [...PURE, 'sweep', 'enrollment', 'doctor'];

const imports = new Map(
  globSync('functions/**/*.ts')
    .toSorted()
    .map((file) => [
      file,
      [...readFileSync(file, 'utf8').matchAll(/(?:\bfrom |\bimport\(|^import )'([^']+)'/gm)].map(([, path = '']) =>
        path.startsWith('.') ? join(dirname(file), path) : path,
      ),
    ]),
);
const folderOf = (file: string) => file.split('/')[1] as string;
const offenders = (isForbidden: (from: string, path: string) => boolean) =>
  [...imports].flatMap(([file, paths]) =>
    paths.filter((path) => isForbidden(folderOf(file), path)).map((path) => `${file} imports ${path}`),
  );

it('lets each folder import only the folders below it', () => {
  expect([...new Set([...imports.keys()].map(folderOf))].toSorted()).toEqual(Object.keys(MAY_IMPORT).toSorted());
  expect(
    offenders(
      (from, path) =>
        path.startsWith('functions/') && folderOf(path) !== from && !MAY_IMPORT[from]?.includes(folderOf(path)),
    ),
  ).toEqual([]);
});

it('imports nothing of test/ or infra/ into functions/', () => {
  expect(offenders((_, path) => /^(test|infra)\//.test(path))).toEqual([]);
});

it('keeps SDKs out of the use cases, and all input and output out of the pure folders', () => {
  expect(
    offenders(
      (from, path) =>
        (NO_SDK.includes(from) && /^@(aws-sdk|kubernetes|smithy|aws-lambda-powertools)\//.test(path)) ||
        (PURE.includes(from) && /^node:(fs|https?|process|child_process)/.test(path)),
    ),
  ).toEqual([]);
});
