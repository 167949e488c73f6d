import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/{unit,contract,e2e}/**/*.test.ts'],
    // A machine under load is slow, and not wrong.
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
