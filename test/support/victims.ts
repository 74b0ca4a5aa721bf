// Which processes a test of sudden death kills, and how it sees them come back.
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { descendantsOf, readProcesses } from '../../src/adapters/executor/process/processes.ts';
import { ProcessIdentity, isRunning } from '../../src/adapters/host/process-identity.ts';
import { tell } from './faults.ts';
import { isAlive, isProcessOf, processesOf, waitFor } from './loam.ts';
import type { Loam } from './loam.ts';

export type Victim = 'api' | 'application' | 'front' | 'keeper' | 'relay' | 'temporal' | 'up' | 'worker';

const Replica = z.object({ keeper: ProcessIdentity, app: ProcessIdentity.optional() });

/** The process of that name, as it last said of itself; `keeper` and `application` are those of the environment's newest release. */
export function findVictim(loam: Loam, victim: Victim, environment: string): number | undefined {
  try {
    if (victim === 'keeper' || victim === 'application') {
      const { keeper, app } = Replica.parse(readJson(path.join(newestRelease(loam, environment), '0/state.json')));
      return alive(victim === 'keeper' ? keeper : app);
    }
    const file = victim === 'front' ? 'front/front.json' : `processes/${victim}.json`;
    return alive(ProcessIdentity.parse(readJson(path.join(loam.dataFolder, file))));
  } catch {
    return undefined; // not written yet, or half gone
  }
}

/** Of who ended, the pid may be a job's by now. */
function alive(process: ProcessIdentity | undefined): number | undefined {
  return process !== undefined && isRunning(process) ? process.pid : undefined;
}

function newestRelease(loam: Loam, environment: string): string {
  const folder = path.join(loam.dataFolder, 'releases', environment);
  const numbers = readdirSync(folder).filter((name) => /^\d+-\d+$/.test(name));
  const [newest] = numbers.sort((a, b) => Number.parseInt(b, 10) - Number.parseInt(a, 10));
  if (newest === undefined) throw new Error(`${environment} has no release`);
  return path.join(folder, newest);
}

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(file, 'utf8')) as unknown;
}

/** kill -9. Resolves with the pid when it is gone. */
export async function kill(loam: Loam, victim: Victim, environment: string): Promise<number> {
  const pid = findVictim(loam, victim, environment);
  if (pid === undefined) throw new Error(`${victim} does not run`);
  process.kill(pid, 'SIGKILL');
  tell(`kill -9 ${victim}, process ${String(pid)}`);
  await waitFor(`${victim} is gone`, () => !isAlive(pid));
  return pid;
}

export async function waitForAnother(loam: Loam, victim: Victim, environment: string, than: number): Promise<void> {
  await waitFor(`another ${victim} runs`, () => ![undefined, than].includes(findVictim(loam, victim, environment)));
}

/** kill -9 of everything that belongs to the folder, at once, but the jobs: those are no processes of Loam's. */
export async function killAll(loam: Loam): Promise<readonly number[]> {
  const killed: number[] = [];
  const isEmpty = (): boolean => {
    // Asked again: a sandbox names the folder until it becomes the job's command, and would look like no job just after that.
    const found = processesOf(loam.folder).filter((pid) => !isJob(loam, pid) && isProcessOf(pid, loam.folder));
    for (const pid of found) signal(pid, 'SIGKILL');
    killed.push(...found);
    return found.length === 0;
  };
  await waitFor('all processes are gone', isEmpty);
  tell(`kill -9 everything, ${String(killed.length)} processes`);
  return killed;
}

/** kill -9 of one process, or of all at once. Resolves when what was killed is there again. */
export async function killAndRevive(loam: Loam, victim: Victim | 'all', environment: string): Promise<void> {
  if (victim === 'all') {
    await killAll(loam);
    await loam.start();
    return;
  }
  const killed = await kill(loam, victim, environment);
  if (victim === 'up') await loam.start();
  await waitForAnother(loam, victim, environment, killed);
}

/** The shim and what it started: their working folder is the job's, or was when they began. */
function isJob(loam: Loam, pid: number): boolean {
  const jobs = path.join(loam.dataFolder, 'jobs/');
  try {
    const process = `/proc/${String(pid)}`;
    return readlinkSync(`${process}/cwd`).startsWith(jobs) || readFileSync(`${process}/environ`, 'utf8').includes(jobs);
  } catch {
    return false;
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // gone meanwhile
  }
}

/** A process that is stopped cannot start again what dies. Returns how to let it go on. */
export function suspend(loam: Loam, victim: Victim): () => void {
  const pid = findVictim(loam, victim, '');
  if (pid === undefined) throw new Error(`${victim} does not run`);
  process.kill(pid, 'SIGSTOP');
  tell(`SIGSTOP ${victim}, process ${String(pid)}`);
  return () => process.kill(pid, 'SIGCONT');
}

export interface FrozenHost {
  /** Processes of its jobs, shims among them. */
  readonly jobs: readonly number[];
  /** Lets all go on at once, as after a suspended machine wakes up. */
  thaw(): void;
}

/** SIGSTOP to a worker and all that it started, jobs too. Whoever started the worker does not notice: it has not ended. */
export function freezeHost(loam: Loam): FrozenHost {
  const worker = findVictim(loam, 'worker', '');
  if (worker === undefined) throw new Error('no worker runs');
  const shims = processesOf(loam.dataFolder).filter((pid) => isJob(loam, pid));
  const table = readProcesses();
  const jobs = [...new Set([...shims, ...descendantsOf(shims, table)])];
  const all = [...new Set([worker, ...descendantsOf([worker], table), ...jobs])];
  for (const pid of all) signal(pid, 'SIGSTOP');
  tell(`SIGSTOP the first host: ${String(all.length)} processes, ${String(jobs.length)} of them of jobs`);
  return {
    jobs,
    thaw: () => {
      for (const pid of all) signal(pid, 'SIGCONT');
      tell('SIGCONT the first host');
    },
  };
}
