import { defineConfig } from 'vitest/config';
import type { TestProjectInlineConfiguration } from 'vitest/config';

const temporal = 'test/support/temporal.ts';
const engine = 'test/support/engine.ts';

/**
 * Every project but `unit` gets the one Temporal server of the test run and the workflow bundle, and may ask for the Docker engine where that is said. The
 * deadlines are for a machine that does much else: they cost nothing where all goes well.
 */
function withServers(name: string, timeoutMs: number, servers: string[]): TestProjectInlineConfiguration {
  return {
    extends: true,
    test: {
      name,
      include: [`test/${name}/**/*.test.ts`],
      globalSetup: servers,
      testTimeout: timeoutMs,
      expect: { poll: { timeout: 60_000, interval: 20 } },
      hookTimeout: Math.max(timeoutMs, 60_000),
    },
  };
}

export default defineConfig({
  test: {
    pool: 'forks',
    // Most files wait for processes that they have started; the standard of a machine with two cores is one file at a time.
    maxWorkers: 2,
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
      withServers('workflow', 60_000, [temporal]),
      withServers('replay', 60_000, [temporal]),
      withServers('integration', 120_000, [temporal, engine]),
      withServers('e2e', 600_000, [temporal, engine]),
      withServers('chaos', 900_000, [temporal, engine]),
    ],
  },
});
