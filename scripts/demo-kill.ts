// npm run demo:kill: kills the worker in the middle of a test, in a Loam of its own, and shows that the test and its log know nothing of it.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';

const root = path.resolve(import.meta.dirname, '..');
const tests = 48;
const killAt = 4;

const Added = z.object({ repositoryUrl: z.string() });
const Process = z.object({ pid: z.number() });
const Run = z.object({
  status: z.string(),
  tasks: z.array(z.object({ name: z.string(), status: z.string(), attempt: z.number() })),
});

const files = {
  'test.mjs': `import { setTimeout as delay } from 'node:timers/promises';
const begun = Date.now();
for (let test = 1; test <= ${String(tests)}; test += 1) {
  await delay(250);
  console.log('ok ' + test + ' of ${String(tests)}, after ' + ((Date.now() - begun) / 1000).toFixed(1) + ' s');
}
`,
  'loam.yaml': 'version: 1\nworkflow:\n  test: {type: repo_job, network: none, cmd: node test.mjs}\n',
};

const asked = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => asked.abort(new Error(signal)));

const folder = await mkdtemp(path.join(tmpdir(), 'loam-demo-'));
const dataFolder = path.join(folder, 'data');
// What a Loam of this machine is configured with is not for this one, but for where its programs lie.
const ofOthers = Object.keys(process.env).filter((name) => name.startsWith('LOAM_') && !name.endsWith('_BIN'));
const env = {
  ...process.env,
  ...Object.fromEntries(ofOthers.map((name) => [name, ''])),
  LOAM_DATA_DIR: dataFolder,
  LOAM_EXECUTOR: 'process',
  LOAM_API_PORT: '0',
  LOAM_RELAY_PORT: '0',
  LOAM_TEMPORAL_PORT: '0',
  LOAM_TEMPORAL_UI_PORT: '0',
  LOAM_FRONT_PORT_FIRST: '0',
};
try {
  process.exitCode = await show();
} catch (error) {
  say(`it did not work: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}

async function show(): Promise<number> {
  say('bringing up a Loam of its own, which is gone afterwards');
  const supervisor = spawn(process.execPath, ['src/main/up.ts', '--no-demo'], {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    await untilUp(supervisor);
    const repositoryUrl = Added.parse(await loam(['app', 'add', 'demo'])).repositoryUrl;
    say(`git push: a commit whose plan is one task, ${String(tests)} tests of a quarter of a second`);
    const pushed = push(repositoryUrl);
    pushed.catch(() => undefined); // awaited below, or of no matter because something else went wrong before
    const seen = await followAndKill(pushed);
    await pushed;
    return conclude(seen, Run.parse(await loam(['show', 'demo/1'])));
  } finally {
    say('ending all of it');
    asked.abort(new Error('it is over'));
    if (supervisor.exitCode === null && supervisor.signalCode === null) {
      const hasEnded = once(supervisor, 'exit');
      supervisor.kill('SIGINT');
      await hasEnded;
    }
    await run(['src/main/cli.ts', 'down', '--apps']);
    await rm(folder, { recursive: true, force: true });
  }
}

function say(line: string): void {
  process.stdout.write(`demo: ${line}\n`);
}

async function untilUp(supervisor: ChildProcess): Promise<void> {
  if (supervisor.stdout === null) throw new Error('no output of the supervisor');
  for await (const line of createInterface({ input: supervisor.stdout, signal: asked.signal })) {
    if (line.includes('Loam is up')) return;
  }
  asked.signal.throwIfAborted();
  throw new Error('Loam did not come up');
}

/** A program of Loam's, with Node and under the demonstration's data folder. */
async function run(args: readonly string[], program = process.execPath, cwd = root): Promise<string> {
  const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let [output, errors] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${String(code)}: ${errors}${output}`);
  return output;
}

async function loam(args: readonly string[]): Promise<unknown> {
  return JSON.parse(await run(['src/main/cli.ts', ...args, '--json'])) as unknown;
}

async function push(repositoryUrl: string): Promise<void> {
  const copy = path.join(folder, 'copy');
  await mkdir(copy);
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(copy, name), text);
  const git = (args: readonly string[]): Promise<string> =>
    run(['-c', 'user.name=Loam', '-c', 'user.email=demo@loam.invalid', ...args], 'git', copy);
  await git(['init', '--quiet', '--initial-branch=main']);
  await git(['add', '--all']);
  await git(['commit', '--quiet', '--message', 'Run some tests']);
  await git(['push', '--quiet', repositoryUrl, 'main']);
}

interface Seen {
  readonly lines: readonly string[];
  /** Process of the worker; 0 when the run was over before. */
  readonly killed: number;
}

/** Follows the log as "loam logs -f" does, and kills the worker in the middle. */
async function followAndKill(pushed: Promise<void>): Promise<Seen> {
  await Promise.race([pushed, untilBegun()]);
  const follower = spawn(process.execPath, ['src/main/cli.ts', 'logs', '-f', 'demo/1', 'test'], {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines: string[] = [];
  let [killed, killedAtMs, hasGoneOn] = [0, 0, false];
  for await (const line of createInterface({ input: follower.stdout, signal: asked.signal })) {
    if (killed !== 0 && !hasGoneOn) {
      hasGoneOn = true;
      const pauseMs = performance.now() - killedAtMs;
      say(
        `${(pauseMs / 1000).toFixed(1)} s later: process ${String(await workerPid())}, the next worker, goes on at the next line`,
      );
    }
    process.stdout.write(`        ${line}\n`);
    if (/^ok \d/.test(line)) lines.push(line);
    if (lines.length !== killAt || killed !== 0) continue;
    killed = await workerPid();
    process.kill(killed, 'SIGKILL');
    killedAtMs = performance.now();
    say(`kill -9 ${String(killed)}: the worker is dead, in the middle of its test; nobody reads the log now`);
  }
  asked.signal.throwIfAborted();
  return { lines, killed };
}

async function untilBegun(): Promise<void> {
  for (;;) {
    asked.signal.throwIfAborted();
    const { status } = await loam(['show', 'demo/1']).then(
      (found) => Run.parse(found),
      () => ({ status: 'none' }),
    );
    if (status === 'running') return;
  }
}

async function workerPid(): Promise<number> {
  return Process.parse(JSON.parse(await readFile(path.join(dataFolder, 'processes/worker.json'), 'utf8'))).pid;
}

function conclude({ lines, killed }: Seen, { status, tasks }: z.infer<typeof Run>): number {
  const isWhole = lines.every((line, index) => line.startsWith(`ok ${String(index + 1)} of `));
  const [task] = tasks;
  const isFine = isWhole && lines.length === tests && status === 'succeeded' && task?.attempt === 1;
  if (killed === 0 || !isFine) {
    say(
      `that is wrong: run ${status}, attempt ${String(task?.attempt)}, ${String(lines.length)} lines of ${String(tests)}`,
    );
    return 1;
  }
  say(`the run succeeded: ${String(tests)} lines, each once and in order, in one attempt`);
  say('what happened: the test ran in a sandbox that outlives the worker, and never noticed (see its times).');
  say(`Temporal missed the heartbeat of the worker and gave the task to the next one. That found the sandbox`);
  say(`and read on at the byte after line ${String(killAt)}. Nothing was run again.`);
  return 0;
}
