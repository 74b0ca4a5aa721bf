import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';

export interface TokenProgram {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export type TokenProgramEnd =
  | { readonly type: 'ended'; readonly exitCode: number; readonly output: string; readonly errors: string }
  /** It could not be started, took too long, wrote too much or died of a signal. */
  | { readonly type: 'failed'; readonly reason: string; readonly errors: string };

/** A token and its expiry are small; more is a mistake or an attack. */
const maxOutputBytes = 64 * 1024;
const maxErrorBytes = 16 * 1024;

/** Runs the program in a process group of its own, which is killed as a whole. Rejects on abort only, with the signal's reason. */
export async function runTokenProgram(program: TokenProgram): Promise<TokenProgramEnd> {
  const { signal, timeoutMs, env } = program;
  signal.throwIfAborted();
  const [file = '', ...rest] = program.command;
  const child = spawn(file, rest, { env, cwd: '/', detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const over = Promise.withResolvers<string | undefined>();
  const timer = setTimeout(() => over.resolve(`it did not end within ${timeoutMs / 1000} s`), timeoutMs);
  const abort = (): void => over.resolve(undefined);
  signal.addEventListener('abort', abort, { once: true });
  const output = collect(child.stdout, maxOutputBytes, () =>
    over.resolve(`it wrote more than ${maxOutputBytes} bytes`),
  );
  const errors = collect(child.stderr, maxErrorBytes, () => undefined);
  const ended = endOf(child);
  try {
    const end = await Promise.race([ended, over.promise]);
    killGroup(child); // also what it left running with our pipes open
    signal.throwIfAborted();
    if (typeof end === 'number') return { type: 'ended', exitCode: end, output: output(), errors: errors() };
    return { type: 'failed', reason: end ?? 'it was aborted', errors: errors() };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
    child.stdout.destroy();
    child.stderr.destroy();
  }
}

/** The exit code once its output has been read, or why there is none. */
function endOf(child: ChildProcess): Promise<number | string> {
  return new Promise((resolve) => {
    child.once('error', (error) => {
      const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name;
      resolve(code === 'ENOENT' ? 'it was not found' : `it could not be started (${code})`);
    });
    child.once('close', (exitCode, name) => resolve(exitCode ?? `it was ended by ${name ?? 'a signal'}`));
    // A grandchild may hold the pipes for ever: after the program's own end they get a moment.
    child.once('exit', () => setTimeout(() => killGroup(child), 500).unref());
  });
}

function collect(stream: Readable, maxBytes: number, onTooMuch: () => void): () => string {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= maxBytes) chunks.push(chunk);
    else onTooMuch();
  });
  stream.on('error', () => undefined);
  return () => Buffer.concat(chunks).toString('utf8');
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // Nothing of the group is left.
  }
}
