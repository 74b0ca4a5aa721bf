import { defineConfig } from 'vitest/config';
import type { TestProjectInlineConfiguration } from 'vitest/config';

/** Every project but `unit` gets the one Temporal server of the test run and the workflow bundle. */
function withTemporal(name: string, timeoutMs: number, isParallel: boolean): TestProjectInlineConfiguration {
  return {
    extends: true,
    test: {
      name,
      include: [`test/${name}/**/*.test.ts`],
      globalSetup: ['test/support/temporal.ts'],
      testTimeout: timeoutMs,
      hookTimeout: Math.max(timeoutMs, 60_000),
      fileParallelism: isParallel,
    },
  };
}

export default defineConfig({
  test: {
    pool: 'forks',
    passWithNoTests: false,
    coverage: {
      provider: 'v8',
      include: ['src/core/**/*.ts'],
      reporter: ['text-summary', 'json'],
      reportsDirectory: '.cache/coverage',
      thresholds: { 'src/core/**/*.ts': { branches: 100 } },
    },
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['test/unit/**/*.test.ts'], setupFiles: ['test/support/property-seed.ts'] },
      },
      withTemporal('workflow', 20_000, true),
      withTemporal('replay', 20_000, true),
      withTemporal('integration', 60_000, false),
      withTemporal('e2e', 180_000, false),
      withTemporal('chaos', 300_000, false),
    ],
  },
});
