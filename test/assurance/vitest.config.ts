import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** The tests of one moment first: most mutants end there. */
class QuickestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isUnit = ({ moduleId }: TestSpecification) => moduleId.includes('/test/unit/');
    return [...files.filter(isUnit), ...files.filter((file) => !isUnit(file))];
  }
}

/**
 * The tests that a mutant has to get past. Those over random clusters are left out, so that the same mutants survive each run;
 * so are those in other processes, and those that take over a second each.
 */
export default defineConfig({
  test: {
    include: ['test/unit/**/*.test.ts', 'test/e2e/{cases,outcomes,reap,restore-hpas,sweep-account,waves}.test.ts'],
    exclude: ['**/*.property.test.ts', '**/layers.test.ts', 'test/unit/{aws,infra}/**'],
    testTimeout: 5_000,
    sequence: { sequencer: QuickestFirst },
  },
});
