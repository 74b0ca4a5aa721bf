import { spawn } from 'node:child_process';

export interface ProgramOptions {
  readonly cwd: string;
  /** Over the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** True: the person sees its output as it comes. */
  readonly show?: boolean;
}

/** Runs a program with an argument array and returns what it printed. Throws with the end of its output when it fails. */
export async function runProgram(program: string, args: readonly string[], options: ProgramOptions): Promise<string> {
  const child = spawn(program, args, {
    cwd: options.cwd,
    stdio: options.show === true ? ['ignore', 'inherit', 'inherit'] : ['ignore', 'pipe', 'pipe'],
    signal: AbortSignal.any([options.signal, AbortSignal.timeout(options.timeoutMs)]),
    ...(options.env === undefined ? {} : { env: options.env }),
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString('utf8')).slice(-20_000);
    });
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject).on('close', resolve);
  });
  if (code === 0) return output;
  throw new Error(`"${program} ${args.join(' ')}" failed (exit code ${String(code)})\n${output.trimEnd()}`);
}
