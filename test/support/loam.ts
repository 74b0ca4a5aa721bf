import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { readStat } from '../../src/adapters/host/process-identity.ts';

const root = path.resolve(import.meta.dirname, '../..');

export interface ProgramResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A whole Loam of its own: supervisor, Temporal server, api, relay, worker, front, in a data folder of its own, on ports of its own. */
export interface Loam {
  readonly folder: string;
  readonly dataFolder: string;
  /** Starts it (again), as `npm start -- --no-demo` does, and resolves when it says that it is up. `sources`: of another build than this one. */
  start(sources?: string): Promise<void>;
  /** Asks the supervisor to end, as Ctrl-C does. Temporal, front and applications live on. */
  interrupt(): Promise<void>;
  /** Ends everything, applications too, and deletes the folder. Twice is fine. */
  destroy(): Promise<void>;
  cli(args: readonly string[], options?: { readonly input?: string }): Promise<ProgramResult>;
  /** As `cli` with `--json`, parsed; throws when it fails. */
  json(args: readonly string[]): Promise<unknown>;
  api(
    method: string,
    route: string,
    body?: unknown,
    token?: string,
  ): Promise<{ readonly status: number; readonly body: unknown }>;
  /** What the supervisor has printed. */
  output(): string;
  endpoint(): {
    readonly apiUrl: string;
    readonly relayUrl: string;
    readonly temporalAddress: string;
    readonly temporalUiUrl: string;
  };
}

/** For a machine that does much else; so are all deadlines of these tests. */
const startDeadlineMs = 300_000;

export async function createLoam(env: Readonly<Record<string, string>> = {}): Promise<Loam> {
  const folder = await mkdtemp(path.join(tmpdir(), 'loam-e2e-'));
  const dataFolder = path.join(folder, 'data');
  const environment = {
    ...process.env,
    LOAM_DATA_DIR: dataFolder,
    LOAM_API_PORT: '0',
    LOAM_RELAY_PORT: '0',
    LOAM_TEMPORAL_PORT: '0',
    LOAM_TEMPORAL_UI_PORT: '0',
    LOAM_FRONT_PORT_FIRST: '0',
    LOAM_API_PER_SECOND: '9999', // tests look often
    LOAM_EXECUTOR: 'process', // whatever engine the machine may have
    // What a test pushes is brought by what the test is about.
    LOAM_HEADS_SECONDS: '9999',
    NO_COLOR: '1',
    ...env,
  };
  let supervisor: ChildProcess | undefined;
  let printed = '';

  async function start(sources = root): Promise<void> {
    printed = '';
    const child = spawn(process.execPath, ['src/main/up.ts', '--no-demo'], {
      cwd: sources,
      env: environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    supervisor = child;
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (printed += chunk.toString('utf8')));
    let exit: number | null | undefined;
    child.on('exit', (code) => (exit = code));
    await waitFor(
      'Loam is up',
      () => {
        if (exit !== undefined) throw new Error(`the supervisor ended with ${String(exit)}:\n${printed}`);
        return printed.includes('Loam is up');
      },
      startDeadlineMs,
    );
  }

  async function interrupt(): Promise<void> {
    const child = supervisor;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGINT');
    await ended;
  }

  async function cli(args: readonly string[], options: { readonly input?: string } = {}): Promise<ProgramResult> {
    return run(process.execPath, [path.join(root, 'src/main/cli.ts'), ...args], {
      cwd: folder,
      env: environment,
      ...options,
    });
  }

  function endpoint(): {
    readonly apiUrl: string;
    readonly relayUrl: string;
    readonly temporalAddress: string;
    readonly temporalUiUrl: string;
  } {
    return JSON.parse(readFileSync(path.join(dataFolder, 'endpoint.json'), 'utf8')) as ReturnType<Loam['endpoint']>;
  }

  return {
    folder,
    dataFolder,
    start,
    interrupt,
    cli,
    endpoint,
    output: () => printed,
    async json(args) {
      const result = await cli([...args, '--json']);
      if (result.code !== 0)
        throw new Error(`loam ${args.join(' ')} ended with ${String(result.code)}\n${result.stdout}${result.stderr}`);
      return JSON.parse(result.stdout) as unknown;
    },
    async api(method, route, body, token) {
      const bearer = token ?? (await readFile(path.join(dataFolder, 'tokens/admin'), 'utf8')).trim();
      const response = await fetch(`${endpoint().apiUrl}${route}`, {
        method,
        headers: {
          authorization: `Bearer ${bearer}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      return { status: response.status, body: text === '' ? undefined : (JSON.parse(text) as unknown) };
    },
    async destroy() {
      if (!existsSync(folder)) return;
      await interrupt();
      await cli(['down', '--apps']);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export function isAlive(pid: number): boolean {
  return readStat(pid) !== undefined;
}

/** Waits for a condition; throws with its name when the deadline passes. */
export async function waitFor(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 120_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not within ${String(timeoutMs)} ms: ${what}`);
    await delay(25);
  }
}

export async function run(
  program: string,
  args: readonly string[],
  options: {
    readonly cwd: string;
    readonly env?: NodeJS.ProcessEnv;
    readonly input?: string;
    readonly timeoutMs?: number;
  },
): Promise<ProgramResult> {
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: options.timeoutMs ?? 300_000,
  });
  child.stdin.on('error', () => undefined).end(options.input ?? '');
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString('utf8')));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString('utf8')));
  const code = await new Promise<number>((resolve, reject) => {
    child.on('error', reject).on('close', (exitCode) => resolve(exitCode ?? 1));
  });
  return { code, stdout, stderr };
}

/** A working copy of the demo application, or of given files, that pushes to an application's repository. */
export interface WorkingCopy {
  readonly folder: string;
  write(file: string, text: string): Promise<void>;
  /** Commits all and pushes; resolves when the push has ended, that is, when its run has ended or waits for a person. */
  push(message: string, branch?: string): Promise<ProgramResult & { readonly sha: string }>;
}

export async function createWorkingCopy(
  loam: Pick<Loam, 'folder'>,
  repositoryUrl: string,
  files: 'thingy' | Readonly<Record<string, string>>,
): Promise<WorkingCopy> {
  const folder = await mkdtemp(path.join(loam.folder, 'copy-'));
  if (files === 'thingy') await cp(path.join(root, 'examples/thingy'), folder, { recursive: true });
  const git = (args: readonly string[]): Promise<ProgramResult> =>
    run('git', ['-c', 'user.name=Test', '-c', 'user.email=test@loam.invalid', ...args], { cwd: folder });
  await git(['init', '--quiet', '--initial-branch=main']);
  await git(['remote', 'add', 'origin', repositoryUrl]);
  const copy: WorkingCopy = {
    folder,
    async write(file, text) {
      await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
      await writeFile(path.join(folder, file), text);
    },
    async push(message, branch = 'main') {
      await git(['add', '--all']);
      await git(['commit', '--quiet', '--allow-empty', '--message', message]);
      const { stdout } = await git(['rev-parse', 'HEAD']);
      const result = await git(['push', 'origin', `HEAD:refs/heads/${branch}`]);
      return { ...result, sha: stdout.trim() };
    },
  };
  if (files !== 'thingy') for (const [file, text] of Object.entries(files)) await copy.write(file, text);
  return copy;
}

/** Pids of processes whose environment or command line names the folder: what a test must not leave behind. */
export function processesOf(folder: string): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name) && Number(name) !== process.pid)
    .map(Number)
    .filter((pid) => isProcessOf(pid, folder));
}

export function isProcessOf(pid: number, folder: string): boolean {
  return isAlive(pid) && ['cmdline', 'environ'].some((file) => readProc(pid, file).includes(folder));
}

function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${String(pid)}/${file}`, 'utf8');
  } catch {
    return '';
  }
}
