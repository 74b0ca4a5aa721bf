// npm run test:faults: the fault table (test/chaos). `--long` runs all of it and writes docs/faults.md.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';

const root = path.resolve(import.meta.dirname, '..');
const help = `npm run test:faults                 kills what it can while runs are under way, and counts what became of them; part of "npm test"
npm run test:faults -- --seed N     makes the same choices as the run that printed this seed
npm run test:faults -- --long       the whole table; writes docs/faults.md
npm run test:faults -- NAME...      only the files of test/chaos whose name holds NAME
`;

const Report = z.object({
  testResults: z.array(
    z.object({
      assertionResults: z.array(
        z.object({ title: z.string(), fullName: z.string(), status: z.string(), duration: z.number().nullish() }),
      ),
    }),
  ),
});
const Told = z.object({ test: z.string(), what: z.string() });

const { values, positionals } = parseArgs({
  options: {
    seed: { type: 'string' },
    long: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
  allowPositionals: true,
});
if (values.help) process.stdout.write(help);
else if (values.seed !== undefined && !/^\d{1,9}$/.test(values.seed)) {
  process.stderr.write(`the seed is a whole number of at most nine digits\n\n${help}`);
  process.exitCode = 2;
} else process.exitCode = await runFaults(values.seed ?? String(Date.now() % 1_000_000));

async function runFaults(seed: string): Promise<number> {
  const folder = await mkdtemp(path.join(tmpdir(), 'loam-faults-'));
  const [report, told] = [path.join(folder, 'report.json'), path.join(folder, 'told')];
  await writeFile(told, '');
  try {
    process.stdout.write(`faults: seed ${seed}; "npm run test:faults -- --seed ${seed}" makes the same choices\n`);
    const vitest = path.join(root, 'node_modules/vitest/vitest.mjs');
    const reporters = ['--reporter=verbose', '--reporter=json', `--outputFile.json=${report}`];
    const child = spawn(process.execPath, [vitest, 'run', '--project', 'chaos', ...reporters, ...positionals], {
      cwd: root,
      stdio: 'inherit',
      env: { ...process.env, FAULTS_SEED: seed, FAULTS_LONG: String(values.long), FAULTS_FILE: told },
    });
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
    const [code] = (await once(child, 'exit')) as [number | null];
    if (values.long) await writePage(seed, await readFile(report, 'utf8'), await readFile(told, 'utf8'));
    return code ?? 1;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function writePage(seed: string, report: string, told: string): Promise<void> {
  const faults = told
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => Told.parse(JSON.parse(line)));
  const tests = Report.parse(JSON.parse(report)).testResults.flatMap(({ assertionResults }) => assertionResults);
  const rows = tests
    .map(({ fullName, title, status, duration }) => {
      const count = faults.filter(({ test, what }) => test.endsWith(title) && !what.startsWith('seed')).length;
      return `| ${fullName.replaceAll('|', '\\|')} | ${status} | ${String(count)} | ${((duration ?? 0) / 1000).toFixed(1)} |`;
    })
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  const page = `# Faults

Written by \`npm run test:faults -- --long --seed ${seed}\` on ${new Date().toISOString().slice(0, 10)}, ${String(availableParallelism())} cores, Node ${process.versions.node}, ${process.platform} ${process.arch}.
Each row is a test of \`test/chaos\`. Side effects are counted by a ledger outside Loam; its notes, and what was killed and when, are in the test's output.

| What must hold | Result | Faults | Seconds |
| --- | --- | ---: | ---: |
${rows.join('\n')}
`;
  await writeFile(path.join(root, 'docs/faults.md'), page);
  process.stdout.write('faults: wrote docs/faults.md\n');
}
