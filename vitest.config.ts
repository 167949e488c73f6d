import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // A machine under load is slow, and not wrong.
    testTimeout: 30_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    projects: [
      { extends: true, test: { name: 'unit', include: ['test/unit/**/*.test.ts'], exclude: ['test/unit/infra/**'] } },
      { extends: true, test: { name: 'simulation', include: ['test/simulation/**/*.test.ts'] } },
      { extends: true, test: { name: 'contract', include: ['test/contract/**/*.test.ts'] } },
      {
        extends: true,
        test: { name: 'e2e', include: ['test/e2e/**/*.test.ts'], globalSetup: 'test/e2e/global-setup.ts' },
      },
      {
        extends: true,
        test: {
          name: 'infra',
          include: ['test/unit/infra/**/*.test.ts'],
          globalSetup: 'test/unit/infra/global-setup.ts',
        },
      },
    ],
  },
});
