import { defineConfig } from 'vitest/config';
import type { TestProjectInlineConfiguration } from 'vitest/config';

const temporal = 'test/support/temporal.ts';
const engine = 'test/support/engine.ts';

/** Every project but `unit` gets the one Temporal server of the test run and the workflow bundle, and may ask for the Docker engine where that is said. */
function withServers(
  name: string,
  timeoutMs: number,
  { isParallel, servers }: { readonly isParallel: boolean; readonly servers: string[] },
): TestProjectInlineConfiguration {
  return {
    extends: true,
    test: {
      name,
      include: [`test/${name}/**/*.test.ts`],
      globalSetup: servers,
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
      withServers('workflow', 20_000, { isParallel: true, servers: [temporal] }),
      withServers('replay', 20_000, { isParallel: true, servers: [temporal] }),
      withServers('integration', 60_000, { isParallel: false, servers: [temporal, engine] }),
      withServers('e2e', 180_000, { isParallel: false, servers: [temporal, engine] }),
      withServers('chaos', 300_000, { isParallel: false, servers: [temporal, engine] }),
    ],
  },
});
