// Runs every check and every test project, and ends with one line: `N passed, N failed, N skipped`. A check counts as one test.
// Unlike verify it goes on after a failure: one run shows all that is wrong.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { run, runCheck, staticChecks, testChecks } from './checks.ts';

interface Count {
  passed: number;
  failed: number;
  skipped: number;
}

interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly { readonly status: string }[];
  }[];
}

const count: Count = { passed: 0, failed: 0, skipped: 0 };
const coverage = testChecks.filter((check) => check.name === 'unit');
for (const check of [...staticChecks, ...coverage]) {
  const { passed } = await runCheck(check);
  count[passed ? 'passed' : 'failed'] += 1;
}
await runTests();
console.log(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
process.exitCode = count.failed > 0 ? 1 : 0;

async function runTests(): Promise<void> {
  const folder = await mkdtemp(path.join(tmpdir(), 'loam-ci-'));
  const file = path.join(folder, 'report.json');
  const failedBefore = count.failed;
  try {
    console.log('\n==== All tests (npm test)');
    const exitCode = await run([
      'npm',
      'test',
      '--',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${file}`,
    ]);
    addReport(JSON.parse(await readFile(file, 'utf8')) as Report);
    // An error outside of any test (a hook of the whole run, an unhandled rejection) is in no test's result.
    if (exitCode !== 0 && count.failed === failedBefore) count.failed += 1;
  } catch (error) {
    console.error(`the tests left no report: ${error instanceof Error ? error.message : String(error)}`);
    count.failed += 1;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function addReport(report: Report): void {
  count.passed += report.numPassedTests;
  count.failed += report.numFailedTests;
  count.skipped += report.numPendingTests + report.numTodoTests;
  // A file that cannot be loaded, or whose hook fails, is no failed test; it must not pass for skipped.
  const broken = report.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.every((test) => test.status !== 'failed'),
  );
  count.failed += broken.length;
}
