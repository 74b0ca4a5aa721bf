// The baseline of jobs in containers: `docker run` with the limits that the executor gives.
import { spawn } from 'node:child_process';
import { once } from 'node:events';

export interface BenchEngine {
  readonly socketPath: string;
  readonly image: string;
}

const memory = '512m';
const hardening = [
  ...['--network', 'none', '--read-only', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges:true'],
  ...['--user', '1000:1000', '--pids-limit', '4101', '--memory', memory, '--memory-swap', memory, '--cpus', '1'],
  ...['--log-driver', 'none', '--tmpfs', '/tmp'],
];

/** Milliseconds, with the removal of the container; its output is read as it comes and dropped. */
export function dockerRun({ socketPath, image }: BenchEngine, command: string): Promise<number> {
  return timeProgram('docker', ['-H', `unix://${socketPath}`, 'run', '--rm', ...hardening, image, 'sh', '-c', command]);
}

/** Milliseconds from the start of a program to its end. Throws when it fails. */
export async function timeProgram(program: string, args: readonly string[]): Promise<number> {
  const startedAt = performance.now();
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  child.stdout.resume();
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${program} ended with ${String(code)}`);
  return performance.now() - startedAt;
}
