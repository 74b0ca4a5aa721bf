import { setTimeout as delay } from 'node:timers/promises';
import { readSandboxPid, readShim } from '../job/job-folder.ts';
import type { JobFolder } from '../job/job-folder.ts';
import { descendantsOf, processesWith, readProcesses, sessionOf, signalAll } from './processes.ts';
import type { ProcessEntry } from './processes.ts';

const killMs = 5000;

/** Short at first: most jobs end at once; each look reads all of /proc. */
function pause(elapsedMs: number): Promise<void> {
  return delay(Math.min(100, 5 + elapsedMs / 10));
}

interface JobProcesses {
  /** The shim and its helpers. */
  readonly session: readonly number[];
  /** First process of the sandbox; its end ends all in there. */
  readonly root: number | undefined;
  /** The shell that runs the script. */
  readonly shell: number | undefined;
  /** The other processes of the job. */
  readonly others: readonly number[];
}

/**
 * TERM to every process of the job, also to those that made a session of their own; KILL to what is left after `graceMs`. The script's shell is halted
 * meanwhile: otherwise it would begin its next command, or end and take the sandbox with it before the others have cleaned up.
 */
export async function endJob(folder: JobFolder, graceMs: number): Promise<void> {
  const startedAtMs = performance.now();
  const asked = new Set<number>();
  for (;;) {
    const elapsedMs = performance.now() - startedAtMs;
    if (elapsedMs >= graceMs) break;
    const found = findProcesses(folder);
    if (isGone(found)) return;
    askToEnd(found, asked, elapsedMs > graceMs / 2);
    await pause(elapsedMs);
  }
  await killJob(folder);
}

function askToEnd({ shell, others }: JobProcesses, asked: Set<number>, isLate: boolean): void {
  if (shell !== undefined && asked.has(shell)) return; // what it starts now is its own way to clean up
  const isShellsTurn = isLate || others.length === 0;
  if (shell !== undefined && !isShellsTurn) signalAll([shell], 'SIGSTOP');
  ask(others, asked);
  if (shell === undefined || !isShellsTurn) return;
  ask([shell], asked); // only now: a process that has both to take would take TERM before STOP
  signalAll([shell], 'SIGCONT');
}

/** KILL to all of it, until nothing is left. */
export async function killJob(folder: JobFolder): Promise<void> {
  const startedAtMs = performance.now();
  for (;;) {
    const elapsedMs = performance.now() - startedAtMs;
    const found = findProcesses(folder);
    if (isGone(found)) return;
    if (elapsedMs > killMs) throw new Error(`the processes of job ${folder.name} do not end`);
    kill(folder, found, elapsedMs);
    await pause(elapsedMs);
  }
}

function kill(folder: JobFolder, { session, root, shell, others }: JobProcesses, elapsedMs: number): void {
  const job = [root ?? shell, ...(root === undefined ? others : [])].filter((pid) => pid !== undefined);
  if (job.length > 0) signalAll(job, 'SIGKILL');
  // The shim writes down the end of its sandbox; it is killed only when it has none yet, or does not see the end.
  else if (readSandboxPid(folder) === undefined || elapsedMs > killMs / 2) signalAll(session, 'SIGKILL');
}

function isGone({ session, root, shell, others }: JobProcesses): boolean {
  return session.length === 0 && root === undefined && shell === undefined && others.length === 0;
}

function ask(pids: readonly number[], asked: Set<number>): void {
  const fresh = pids.filter((pid) => !asked.has(pid));
  signalAll(fresh, 'SIGTERM');
  for (const pid of fresh) asked.add(pid);
}

function findProcesses(folder: JobFolder): JobProcesses {
  const processes = readProcesses();
  const shim = readShim(folder);
  const session = shim === undefined ? [] : sessionOf(shim, processes);
  const pid = readSandboxPid(folder);
  if (pid === undefined) return { session, root: undefined, ...findMarked(folder, session, processes) };
  const root = isOurs(processes.get(pid), session) ? pid : undefined;
  if (root === undefined) return { session, root, shell: undefined, others: [] };
  const inside = descendantsOf([root], processes);
  const shell = inside
    .filter((each) => processes.get(each)?.parent === root)
    .toSorted((a, b) => Number(processes.get(a)?.startTime) - Number(processes.get(b)?.startTime))[0];
  return { session, root, shell, others: inside.filter((each) => each !== shell) };
}

/** Without a sandbox. The script's shell is the one whose parent is not marked: it is a child of the shim. */
function findMarked(
  folder: JobFolder,
  session: readonly number[],
  processes: ReadonlyMap<number, ProcessEntry>,
): Pick<JobProcesses, 'shell' | 'others'> {
  const marked = new Set(processesWith(`LOAM_JOB=${folder.path}`, processes));
  const parents = new Set(session.filter((pid) => !marked.has(pid)));
  const shell = [...marked].find((pid) => parents.has(processes.get(pid)?.parent ?? 0));
  return { shell, others: [...marked].filter((pid) => pid !== shell) };
}

/** The sandbox's first process is a child of bwrap, which is in the shim's session: so its pid has not been given away. */
function isOurs(root: ProcessEntry | undefined, session: readonly number[]): boolean {
  return root !== undefined && session.includes(root.parent);
}
