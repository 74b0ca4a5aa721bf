import { readFileSync, readdirSync } from 'node:fs';
import { isRunning, readStat } from '../../host/process-identity.ts';
import type { ProcessStat } from '../../host/process-identity.ts';
import type { ShimIdentity } from '../job/job-folder.ts';

export interface ProcessEntry extends ProcessStat {
  readonly pid: number;
}

/** All processes that live. */
export function readProcesses(): ReadonlyMap<number, ProcessEntry> {
  const entries = new Map<number, ProcessEntry>();
  for (const name of readdirSync('/proc')) {
    if (!isPid(name)) continue;
    const pid = Number(name);
    const stat = readStat(pid);
    if (stat !== undefined) entries.set(pid, { pid, ...stat });
  }
  return entries;
}

let bootId: string | undefined;

function readBootId(): string {
  return (bootId ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
}

/** Is it this very shim that still runs? */
export function isShimAlive(shim: ShimIdentity): boolean {
  return shim.bootId === readBootId() && isRunning(shim);
}

/** The shim and its helpers: its session, unless another process got its pid. */
export function sessionOf(shim: ShimIdentity, processes: ReadonlyMap<number, ProcessEntry>): readonly number[] {
  const leader = processes.get(shim.pid);
  if (shim.bootId !== readBootId() || (leader !== undefined && leader.startTime !== shim.startTime)) return [];
  return [...processes.values()].filter((entry) => entry.session === shim.pid).map((entry) => entry.pid);
}

/** All that descend from these, without them. */
export function descendantsOf(
  roots: readonly number[],
  processes: ReadonlyMap<number, ProcessEntry>,
): readonly number[] {
  const found = new Set(roots);
  let size: number;
  do {
    size = found.size;
    for (const entry of processes.values()) if (found.has(entry.parent)) found.add(entry.pid);
  } while (found.size > size);
  for (const root of roots) found.delete(root);
  return [...found];
}

/** Processes that carry this line in their environment: how the leftovers of a job without a sandbox are found. */
export function processesWith(variable: string, processes: ReadonlyMap<number, ProcessEntry>): readonly number[] {
  const needle = Buffer.from(`${variable}\0`);
  return [...processes.keys()].filter((pid) => {
    try {
      const environment = readFileSync(`/proc/${pid}/environ`);
      const at = environment.indexOf(needle);
      return at === 0 || (at > 0 && environment[at - 1] === 0);
    } catch {
      return false; // another user's, or gone
    }
  });
}

export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // gone already
    }
  }
}

function isPid(name: string): boolean {
  const first = name.charCodeAt(0);
  return first >= 48 && first <= 57;
}
