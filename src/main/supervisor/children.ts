import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import path from 'node:path';
import { endProcess, identifyProcess } from '../../adapters/host/process-identity.ts';
import { childEnvironment } from '../../config.ts';
import { supervisedFlag } from '../lifetime.ts';
import { readRecord, removeRecord, waitUntil } from '../processes.ts';

export interface ChildSpec {
  readonly name: string;
  /** Absolute path of the process's file in `src/main`. */
  readonly file: string;
  /** Options of Node. */
  readonly nodeOptions?: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export interface Children {
  /** Starts a process, waits until it says that it is ready, and from then on starts it again whenever it ends. */
  start(spec: ChildSpec): Promise<void>;
  /** Lets all of them drain and end. */
  stop(graceMs: number): Promise<void>;
}

export interface ChildrenOptions {
  readonly dataFolder: string;
  readonly say: (line: string) => void;
}

const readyDeadlineMs = 180_000;
const firstBackoffMs = 200;
const longestBackoffMs = 5_000;
/** A process that lived this long has earned a quick restart. */
const settledMs = 30_000;

interface Running {
  readonly spec: ChildSpec;
  child: ChildProcess;
  backoffMs: number;
  timer: NodeJS.Timeout | undefined;
}

/** Keeps worker, api and relay alive. Each holds the reading end of a pipe as descriptor 3: when the supervisor dies, however it dies, the pipe closes and they end. */
export function createChildren({ dataFolder, say }: ChildrenOptions): Children {
  const running = new Map<string, Running>();
  let stopping = false;

  function launch(spec: ChildSpec): ChildProcess {
    const folder = path.join(dataFolder, 'processes');
    mkdirSync(folder, { recursive: true });
    const log = openSync(path.join(folder, `${spec.name}.log`), 'a', 0o600);
    const child = spawn(process.execPath, [...(spec.nodeOptions ?? []), spec.file, supervisedFlag], {
      stdio: ['ignore', log, log, 'pipe'],
      env: childEnvironment(spec.env),
    });
    closeSync(log);
    return child;
  }

  function watch(entry: Running): void {
    const startedAt = performance.now();
    entry.child.on('error', (error) => say(`${entry.spec.name} cannot be started: ${error.message}`));
    entry.child.on('exit', (code, signal) => {
      if (stopping) return;
      if (performance.now() - startedAt > settledMs) entry.backoffMs = firstBackoffMs;
      say(`${entry.spec.name} ended (${signal ?? `exit code ${String(code)}`}); starting it again`);
      entry.timer = setTimeout(() => {
        entry.child = launch(entry.spec);
        watch(entry);
      }, entry.backoffMs);
      entry.backoffMs = Math.min(entry.backoffMs * 2, longestBackoffMs);
    });
  }

  async function isReady(name: string): Promise<boolean> {
    const record = await readRecord(dataFolder, name);
    return record !== undefined && record.pid === running.get(name)?.child.pid;
  }

  async function start(spec: ChildSpec): Promise<void> {
    await endProcess(await readRecord(dataFolder, spec.name), 10_000); // of a supervisor that was killed: it is on its way out
    const entry: Running = { spec, child: launch(spec), backoffMs: firstBackoffMs, timer: undefined };
    running.set(spec.name, entry);
    watch(entry);
    if (await waitUntil(() => isReady(spec.name), readyDeadlineMs)) return;
    throw new Error(
      `${spec.name} was not ready within ${String(readyDeadlineMs / 1000)} s; its log: ${path.join(dataFolder, 'processes', `${spec.name}.log`)}`,
    );
  }

  async function stop(graceMs: number): Promise<void> {
    stopping = true;
    await Promise.all(
      [...running.values()].map(async ({ spec, child, timer }) => {
        clearTimeout(timer);
        if (child.pid !== undefined) await endProcess(identifyProcess(child.pid), graceMs);
        await removeRecord(dataFolder, spec.name);
      }),
    );
  }

  return { start, stop };
}
