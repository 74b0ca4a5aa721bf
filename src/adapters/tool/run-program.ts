import { spawn } from 'node:child_process';

export interface ProgramEnd {
  /** Undefined when the program could not be started or was ended by a signal. */
  readonly exitCode: number | undefined;
  /** Standard output, at most 64 kB of it. */
  readonly output: string;
  /** The end of standard error, or why it could not be started. */
  readonly reason: string;
}

export interface ProgramOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly cwd?: string;
}

const keptBytes = 64 * 1024;

/** Runs a program to its end and never rejects, but on abort: with the signal's reason. */
export async function runProgram(
  program: string,
  programArguments: readonly string[],
  options: ProgramOptions,
): Promise<ProgramEnd> {
  const timeout = AbortSignal.timeout(options.timeoutMs);
  const signal = options.signal === undefined ? timeout : AbortSignal.any([options.signal, timeout]);
  options.signal?.throwIfAborted();
  const { promise, resolve } = Promise.withResolvers<ProgramEnd>();
  const child = spawn(program, programArguments, {
    ...(options.cwd !== undefined && { cwd: options.cwd }),
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
    killSignal: 'SIGKILL',
  });
  let output = '';
  let reason = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(0, keptBytes)));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (reason = (reason + text).slice(-keptBytes)));
  child.on('error', (error) => {
    reason += timeout.aborted ? `${program} did not end within ${options.timeoutMs / 1000} s` : error.message;
    if (child.pid === undefined) resolve({ exitCode: undefined, output, reason });
  });
  child.on('close', (code) => {
    resolve({ exitCode: code ?? undefined, output, reason: reason.trim() });
  });
  const end = await promise;
  options.signal?.throwIfAborted();
  return end;
}
