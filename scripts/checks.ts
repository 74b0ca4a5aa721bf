// The checks that need no test runner, in the order from cheap to dear. `npm run verify` and .ci/run walk through them.
import { spawn } from 'node:child_process';
import { performance } from 'node:perf_hooks';

export interface Check {
  readonly name: string;
  readonly title: string;
  readonly commands: readonly (readonly [string, ...string[]])[];
  /** What to do when it fails. */
  readonly remedy: string;
}

export interface CheckEnd {
  readonly passed: boolean;
  readonly seconds: string;
}

export const staticChecks: readonly Check[] = [
  {
    name: 'format',
    title: 'Layout (Prettier)',
    commands: [['prettier', '--check', '--log-level=warn', '.']],
    remedy: 'npm run format',
  },
  {
    name: 'types',
    title: 'Types (tsc: all, workflows, core)',
    commands: [
      ['tsc', '-p', 'tsconfig.json'],
      ['tsc', '-p', 'workflows'],
      ['tsc', '-p', 'src/core'],
    ],
    remedy: 'correct the types above',
  },
  {
    name: 'lint',
    title: 'Rules of code (ESLint)',
    commands: [['eslint', '.', '--max-warnings=0']],
    remedy: 'correct the lines above; `npx eslint . --fix` does some of it',
  },
  {
    name: 'dependencies',
    title: 'Rules of import (dependency-cruiser)',
    commands: [
      [
        'depcruise',
        '--config',
        '.dependency-cruiser.mjs',
        '--output-type',
        'err-long',
        'src',
        'activities',
        'workflows',
        'test',
        'scripts',
      ],
    ],
    remedy: 'CONVENTIONS.md, section 1, says who may import whom',
  },
  {
    name: 'modules',
    title: 'Every module loads under plain Node',
    commands: [['node', '--experimental-vm-modules', '--no-warnings', 'scripts/check-modules.ts']],
    remedy: 'import types with `type`; take names that Node cannot see from the default import of the package',
  },
  { name: 'dead-code', title: 'Dead code (knip)', commands: [['knip']], remedy: 'delete what nobody uses' },
  {
    name: 'bundle',
    title: 'Workflow bundle and its budget',
    commands: [['node', 'scripts/check-bundle.ts']],
    remedy: 'keep Node modules and big libraries out of workflows/ and of the rooms that they import',
  },
];

export const testChecks: readonly Check[] = [
  {
    name: 'unit',
    title: 'Unit tests, with full branch coverage of core',
    commands: [['vitest', 'run', '--project', 'unit', '--coverage']],
    remedy: 'correct code or test; core needs a test for every branch',
  },
  {
    name: 'workflow',
    title: 'Workflow tests (skipped time, real Temporal server)',
    commands: [['vitest', 'run', '--project', 'workflow']],
    remedy: 'correct code or test',
  },
  {
    name: 'replay',
    title: 'Replay of recorded histories',
    commands: [['vitest', 'run', '--project', 'replay']],
    remedy: 'guard changed commands with patched() and add a history',
  },
];

/** Runs the check's commands one after the other with a heading; stops at the first that fails. */
export async function runCheck(check: Check): Promise<CheckEnd> {
  process.stdout.write(`\n==== ${check.title} [${check.name}]\n`);
  const startedAt = performance.now();
  let passed = true;
  for (const command of check.commands) {
    passed &&= (await run(command)) === 0;
  }
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  process.stdout.write(passed ? `ok (${seconds} s)\n` : `FAILED [${check.name}]: ${check.remedy}\n`);
  return { passed, seconds };
}

/** Standard streams are shared. Resolves to the exit code. */
export async function run([program, ...programArguments]: readonly [string, ...string[]]): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const child = spawn(program, programArguments, { stdio: 'inherit' });
  child.on('error', reject);
  child.on('exit', (code) => {
    resolve(code ?? 1);
  });
  return promise;
}
