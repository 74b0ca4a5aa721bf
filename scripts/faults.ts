// npm run test:faults: the fault table (test/chaos). Prints what was killed and when, and in the end the table that docs/faults.md holds.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, loadavg, release, tmpdir, totalmem } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';

const root = path.resolve(import.meta.dirname, '..');
const help = `npm run test:faults                 kills what it can while runs are under way, and counts what became of them; part of "npm test"
npm run test:faults -- --seed N     makes the same choices as the run that printed this seed
npm run test:faults -- --long       more and longer of it
npm run test:faults -- NAME...      only the files of test/chaos whose name holds NAME
npm run test:faults -- --write      puts the table that it prints into docs/faults.md
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
const Told = z.object({ test: z.string(), kind: z.enum(['fault', 'count', 'seed']), what: z.string() });
const marker = '<!-- npm run test:faults -- --write -->';

const { values, positionals } = parseArgs({
  options: {
    seed: { type: 'string' },
    long: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
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
    const table = makeTable(seed, await readFile(report, 'utf8'), await readFile(told, 'utf8'));
    process.stdout.write(`\n${table}`);
    if (values.write) await writePage(table);
    return code ?? 1;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Only what ran: a row for each test, with the machine and the command. */
function makeTable(seed: string, report: string, told: string): string {
  const lines = told
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => Told.parse(JSON.parse(line)));
  const tests = Report.parse(JSON.parse(report)).testResults.flatMap(({ assertionResults }) => assertionResults);
  const rows = tests
    .map(({ fullName, title, status, duration }) => {
      const own = lines.filter(({ test }) => test.endsWith(title));
      const faults = String(own.filter(({ kind }) => kind === 'fault').length);
      const counts = own.filter(({ kind }) => kind === 'count').map(({ what }) => what);
      const cells = [fullName, status, faults, ((duration ?? 0) / 1000).toFixed(1), counts.join('; ')];
      return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
    })
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  return `\`npm run test:faults -- ${[...(values.long ? ['--long'] : []), '--seed', seed, ...positionals].join(' ')}\` on ${describeMachine()}.

| What must hold | Result | Faults | Seconds | Counted |
| --- | --- | ---: | ---: | --- |
${rows.join('\n')}
`;
}

function describeMachine(): string {
  return [
    `${process.platform} ${release()} ${process.arch}`,
    `${String(availableParallelism())} cores (${cpus()[0]?.model ?? 'unknown'})`,
    `${(totalmem() / 1024 ** 3).toFixed(0)} GiB`,
    `load ${(loadavg()[0] ?? 0).toFixed(1)} at the end`,
    `Node ${process.versions.node}`,
    new Date().toISOString().slice(0, 10),
  ].join(', ');
}

async function writePage(table: string): Promise<void> {
  const file = path.join(root, 'docs/faults.md');
  const [head, rest] = (await readFile(file, 'utf8')).split(marker);
  if (head === undefined || rest === undefined) throw new Error(`${file} does not hold the line ${marker}`);
  await writeFile(file, `${head}${marker}\n\n${table}`);
  process.stdout.write('faults: wrote docs/faults.md\n');
}
