/**
 * `npm run mutate` changes functions/judgement and functions/sweep in thousands of small ways, and counts the changes that the
 * tests notice. It fails if they notice less than 95 %. `--mutate FILE` (repeatable) changes these files alone. Results are
 * reused where neither the code nor its tests have changed since; `--force` reuses none, which new tests need of code that runs
 * while its module is loaded. `--record` saves the counts. A whole run takes more than an hour.
 */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { Stryker } from '@stryker-mutator/core';
import { record } from './record.ts';

const FOLDERS = ['functions/judgement', 'functions/sweep'];

const { values } = parseArgs({
  options: {
    mutate: { type: 'string', multiple: true },
    force: { type: 'boolean' },
    record: { type: 'boolean' },
  },
});
if (values.mutate && values.record) throw new Error('--record counts everything: it goes without --mutate');

const mutants = await new Stryker({
  mutate: values.mutate ?? FOLDERS.map((folder) => `${folder}/**/*.ts`),
  testRunner: 'vitest',
  plugins: ['@stryker-mutator/vitest-runner'],
  vitest: { configFile: 'test/assurance/vitest.config.ts', related: false },
  coverageAnalysis: 'perTest',
  concurrency: 1,
  // A mutant that runs forever is noticed; a machine under load is slow, and notices nothing.
  timeoutMS: 60_000,
  incremental: true,
  incrementalFile: 'node_modules/.cache/stryker/incremental.json',
  force: values.force === true,
  tempDirName: join(tmpdir(), 'envoy-hpa-reaper-mutants'),
  cleanTempDir: 'always',
  // Stryker reads tsconfig.json by an interface that TypeScript 7 no longer has; no test needs it.
  tsconfigFile: 'none',
  reporters: ['clear-text', 'progress-append-only'],
  thresholds: { high: 95, low: 95, break: 95 },
}).runMutationTest();

const COLUMNS = ['folder', 'mutants', 'killed', 'timed out', 'survived', 'no coverage', 'ignored', 'score'];

const STATUSES = ['Killed', 'Timeout', 'Survived', 'NoCoverage', 'Ignored'] as const;

function rowOf(folder: string) {
  const statuses = mutants.filter(({ fileName }) => fileName.includes(folder)).map(({ status }) => status);
  const counts = STATUSES.map((wanted) => statuses.filter((status) => status === wanted).length);
  const [killed = 0, timedOut = 0, survived = 0, notCovered = 0] = counts;
  const noticed = killed + timedOut;
  return [folder, statuses.length, ...counts, `${((100 * noticed) / (noticed + survived + notCovered)).toFixed(1)} %`];
}

// Stryker has set the exit code where the score is below the threshold.
if (values.record && !process.exitCode) {
  await record('mutation', {
    command: 'npm run mutate',
    columns: COLUMNS,
    rows: [...FOLDERS, 'functions/'].map(rowOf),
  });
}
