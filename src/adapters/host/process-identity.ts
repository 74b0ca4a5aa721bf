import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';

/** Who a process is: a pid alone is given away again after its end. */
export const ProcessIdentity = z.object({
  pid: z.int().positive(),
  /** Field 22 of /proc/<pid>/stat. */
  startTime: z.string(),
});
export type ProcessIdentity = Readonly<z.infer<typeof ProcessIdentity>>;

export interface ProcessStat {
  readonly parent: number;
  readonly session: number;
  readonly startTime: string;
}

/** Of a process that runs. A zombie counts as gone, unless threads of it still run: they hold its ports and files. */
export function readStat(pid: number): ProcessStat | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // the name in parentheses may hold anything
  const [state, parent, , session] = fields;
  const [threads, startTime] = [Number(fields[17]), fields[19]];
  if (startTime === undefined || state === 'X' || (state === 'Z' && threads <= 1)) return undefined;
  return { parent: Number(parent), session: Number(session), startTime };
}

/** Undefined when no such process runs. */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  const stat = readStat(pid);
  return stat === undefined ? undefined : { pid, startTime: stat.startTime };
}

export function isRunning(identity: ProcessIdentity): boolean {
  return readStat(identity.pid)?.startTime === identity.startTime;
}

/** `group`: also to all that it started and that made no group of their own; it must lead one. */
type Reach = 'process' | 'group';

/** Sends nothing to another process that got the same pid later. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals, reach: Reach = 'process'): void {
  if (!isRunning(identity)) return;
  try {
    process.kill(reach === 'group' ? -identity.pid : identity.pid, signal);
  } catch {
    // It ended in between.
  }
}

export async function waitForEnd(identities: readonly ProcessIdentity[], timeoutMs: number): Promise<boolean> {
  const end = performance.now() + timeoutMs;
  while (identities.some(isRunning)) {
    if (performance.now() > end) return false;
    await delay(20);
  }
  return true;
}

/** TERM, and KILL for what still runs after `graceMs`. Resolves when it is gone. */
export async function endProcess(
  identity: ProcessIdentity | undefined,
  graceMs: number,
  reach: Reach = 'process',
): Promise<void> {
  if (identity === undefined) return;
  signalProcess(identity, 'SIGTERM', reach);
  if (await waitForEnd([identity], graceMs)) return;
  signalProcess(identity, 'SIGKILL', reach);
  await waitForEnd([identity], 5_000);
}
