import { fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

export interface ForkedWorker {
  readonly pid: number;
  /** Asks it to end, and resolves when it has. */
  close(): Promise<void>;
}

/** A worker of a bench, in a process of its own, as Loam's is. Resolves when it says that it is ready. */
export async function forkWorker(
  file: string,
  args: readonly string[],
  nodeOptions: readonly string[] = [],
): Promise<ForkedWorker> {
  const child = fork(path.resolve(import.meta.dirname, file), args, { execArgv: [...nodeOptions] });
  const ended = once(child, 'exit');
  await Promise.race([once(child, 'message'), ended.then(() => Promise.reject(new Error(`${file} ended`)))]);
  return {
    pid: child.pid ?? 0,
    async close() {
      child.disconnect();
      await ended;
    },
  };
}
