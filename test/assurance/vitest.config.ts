import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** First the tests that most mutants do not get past. */
class InOrder extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const order = ['/judgement/', '/sweep/', '/unit/', '/e2e/', '/contract/'];
    const rank = ({ moduleId }: TestSpecification) => order.findIndex((part) => moduleId.includes(part));
    return files.toSorted((a, b) => rank(a) - rank(b));
  }
}

/**
 * The tests that a mutant has to get past. Not among them are those over random clusters, so that the same mutants survive each
 * run; those in other processes, which no mutant reaches; and those that take several seconds each.
 */
export default defineConfig({
  test: {
    include: [
      'test/unit/{documents,doctor/*,judgement/*,kubernetes/*,sweep/*}.test.ts',
      'test/e2e/{cases,outcomes,reap,restore-hpas,sweep-account,waves}.test.ts',
      'test/contract/contract.test.ts',
    ],
    exclude: ['**/*.property.test.ts'],
    testTimeout: 20_000,
    sequence: { sequencer: InOrder },
  },
});
