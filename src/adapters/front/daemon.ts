// Programs of Loam that outlive whoever started them: the front, and the keepers of processes.
import { spawn } from 'node:child_process';
import { mkdir, open } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { DomainError } from '../../core/errors.ts';
import { askFront } from './front-client.ts';
import type { FrontStatus } from './front-status.ts';
import { frontFolder } from './layout.ts';

export interface DaemonPrograms {
  readonly nodePath: string;
  /** Folder of front.ts and keeper.ts. */
  readonly mainFolder: string;
}

export const daemonStartMs = 15_000;
export const daemonPollMs = 20;

/** Starts the front unless one answers. Returns when it answers; may run concurrently, the front itself sees to it that it is one. */
export async function ensureFront(data: string, programs: DaemonPrograms): Promise<FrontStatus> {
  const running = await askFront(data);
  if (running !== undefined) return running;
  await mkdir(frontFolder(data), { recursive: true });
  const log = path.join(data, 'processes', 'front.log');
  const end = performance.now() + daemonStartMs;
  let daemon: Daemon | undefined;
  while (performance.now() < end) {
    // Again, when it gave way to a front that was just ending.
    if (daemon?.hasEnded() !== false)
      daemon = await startDaemon(programs, { file: 'front.ts', argument: data, log, input: '' });
    const status = await askFront(data);
    if (status !== undefined) {
      daemon.endUnless(status.process.pid);
      return status;
    }
    await delay(daemon.hasEnded() ? 500 : daemonPollMs);
  }
  throw new DomainError('internal', `the front did not start; its log is ${log}`);
}

interface Daemon {
  hasEnded(): boolean;
  /** One that came second would otherwise still be on its way, and take over later when nobody expects it. */
  endUnless(pid: number): void;
}

interface DaemonStart {
  readonly file: string;
  readonly argument: string;
  readonly log: string;
  readonly input: string;
}

/** Detached: it outlives its starter, and no signal to the starter's group reaches it. */
export async function startDaemon(programs: DaemonPrograms, start: DaemonStart): Promise<Daemon> {
  await mkdir(path.dirname(start.log), { recursive: true });
  const output = await open(start.log, 'a', 0o600);
  try {
    const child = spawn(programs.nodePath, [path.join(programs.mainFolder, start.file), start.argument], {
      cwd: '/',
      env: { PATH: '/usr/local/bin:/usr/bin:/bin' },
      detached: true,
      stdio: ['pipe', output.fd, output.fd],
    });
    let hasEnded = false;
    child.once('exit', () => (hasEnded = true));
    child.once('error', () => (hasEnded = true));
    child.stdin?.on('error', () => undefined); // it ended before it read; its log says why
    child.stdin?.end(start.input);
    child.unref();
    return {
      hasEnded: () => hasEnded,
      endUnless: (pid) => {
        if (child.pid !== pid) child.kill('SIGKILL');
      },
    };
  } finally {
    await output.close();
  }
}
