// npm run bench -- <name> [options]: measures against the budgets. The benches lie in test/bench, one program each.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

const programs: Readonly<Record<string, string>> = {
  path: path.resolve(import.meta.dirname, '../test/bench/path.ts'),
  engine: path.resolve(import.meta.dirname, '../test/bench/engine.ts'),
  deliveries: path.resolve(import.meta.dirname, '../test/bench/deliveries.ts'),
  jobs: path.resolve(import.meta.dirname, '../test/bench/jobs.ts'),
  waiting: path.resolve(import.meta.dirname, '../test/bench/waiting.ts'),
};

const [name = '', ...options] = process.argv.slice(2);
const program = Object.hasOwn(programs, name) ? programs[name] : undefined;
if (program === undefined) {
  console.error(`npm run bench -- NAME [options]\n\n  NAME: ${Object.keys(programs).join(', ')}`);
  process.exitCode = 2;
} else {
  const child = spawn(process.execPath, [program, ...options], { stdio: 'inherit' });
  // Ctrl-C reaches the bench as well; it has a Loam to take down before it ends.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  const [code] = (await once(child, 'exit')) as [number | null];
  process.exitCode = code ?? 1;
}
