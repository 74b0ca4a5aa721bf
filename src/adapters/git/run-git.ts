import { spawn, type ChildProcessByStdio } from 'node:child_process';
import process from 'node:process';
import type { Readable, Writable } from 'node:stream';
import { DomainError } from '../../core/errors.ts';

const stderrBytes = 8_192;
const killAfterMs = 2_000;

export interface GitCommand {
  readonly args: readonly string[];
  readonly cwd: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** For its standard input. */
  readonly input?: string;
  /** More output than this ends the program with `input-too-large`. */
  readonly maxOutputBytes?: number;
}

export interface GitResult {
  readonly exitCode: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/** A running git in a process group of its own, so that what it starts (ssh, upload-pack) ends with it. */
interface RunningGit {
  readonly child: Child;
  readonly exitCode: Promise<number | null>;
  stderr(): string;
  /** Why it was ended by us. */
  reason(): unknown;
  stop(reason: unknown): void;
}

function start({ args, cwd, environment, timeoutMs, signal, input }: GitCommand): RunningGit {
  signal.throwIfAborted();
  const child = spawn('git', args, { cwd, env: environment, detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
  let stderr = Buffer.alloc(0);
  let reason: unknown;
  let killing: NodeJS.Timeout | undefined;

  function stop(why: unknown): void {
    if (reason !== undefined) return;
    reason = why;
    // TERM lets git remove its lock files.
    killGroup(child, 'SIGTERM');
    killing = setTimeout(() => killGroup(child, 'SIGKILL'), killAfterMs);
  }

  const onAbort = (): void => stop(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  const timer = setTimeout(() => stop(timedOut(timeoutMs)), timeoutMs);
  child.stderr.on('data', (chunk: Buffer) => {
    if (stderr.length < stderrBytes) stderr = Buffer.concat([stderr, chunk]).subarray(0, stderrBytes);
  });
  const exitCode = new Promise<number | null>((resolve, reject) => {
    child.once('error', (error) => reject(notStarted(error)));
    child.once('close', (code) => resolve(code));
  }).finally(() => {
    clearTimeout(timer);
    clearTimeout(killing);
    signal.removeEventListener('abort', onAbort);
  });
  // Whoever awaits it gets the error; until then it must not count as unhandled.
  exitCode.catch(() => undefined);
  child.stdin.on('error', () => undefined); // it ended before it had read everything; its exit code tells
  child.stdin.end(input ?? '');
  return { child, exitCode, stderr: () => stderr.toString('utf8'), reason: () => reason, stop };
}

function killGroup(child: Child, signal: NodeJS.Signals): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    child.kill(signal);
  }
}

function timedOut(timeoutMs: number): DomainError {
  return new DomainError('git-unavailable', `git did not end within ${Math.round(timeoutMs / 1_000)} s`);
}

function notStarted(cause: unknown): DomainError {
  return new DomainError('git-unavailable', 'git cannot be started; install git, version 2.30 or newer', { cause });
}

/** Runs git to its end. Throws the signal's reason on abort, `git-unavailable` on timeout. */
export async function runGit(command: GitCommand): Promise<GitResult> {
  const running = start(command);
  const chunks: Buffer[] = [];
  let size = 0;
  running.child.stdout.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (command.maxOutputBytes === undefined || size <= command.maxOutputBytes) chunks.push(chunk);
    else running.stop(new DomainError('input-too-large', `git answered more than ${command.maxOutputBytes} bytes`));
  });
  const exitCode = await running.exitCode;
  throwReason(running);
  return { exitCode, stdout: Buffer.concat(chunks), stderr: running.stderr() };
}

/** Runs git and passes on its output as it comes; `fail` makes the error of an exit code that is not 0. Ends git when the reader stops. */
export async function* streamGit(command: GitCommand, fail: (result: GitResult) => Error): AsyncGenerator<Uint8Array> {
  const running = start(command);
  try {
    for await (const chunk of running.child.stdout) yield chunk as Uint8Array;
    const exitCode = await running.exitCode;
    throwReason(running);
    if (exitCode !== 0) throw fail({ exitCode, stdout: Buffer.alloc(0), stderr: running.stderr() });
  } finally {
    running.stop(new Error('the reader has stopped'));
    running.child.stdout.destroy();
  }
}

function throwReason(running: RunningGit): void {
  const reason = running.reason();
  if (reason === undefined) return;
  throw reason instanceof Error ? reason : new Error('git was stopped', { cause: reason });
}
