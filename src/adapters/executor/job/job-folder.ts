import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isTaskName, parseRunId } from '../../../core/model/ids.ts';
import type { RunId } from '../../../core/model/ids.ts';
import type { JobEnd, JobKey } from '../../../ports/executor.ts';

/** The files of one job. The shim writes `pid`, `status`, `exit` and `begun`; the worker the rest. */
export interface JobFolder {
  readonly name: string;
  readonly path: string;
  /** Who the shim is. Its creation is the claim: no such file, no job. */
  readonly pid: string;
  /** What bwrap says: the process id of the sandbox's first process, later its exit code. */
  readonly status: string;
  /** How the job ended; written after its last byte of output. */
  readonly exit: string;
  readonly output: string;
  /** Not empty once a container of the job has run (docker). */
  readonly begun: string;
  /** Users and groups that the job sees (docker). */
  readonly passwd: string;
  readonly group: string;
  /** Present once somebody asked for the end of the job. */
  readonly stop: string;
  readonly work: string;
  readonly out: string;
  readonly home: string;
}

export interface ShimIdentity {
  readonly pid: number;
  readonly startTime: string;
  readonly bootId: string;
}

/** One folder per job, with a name that reads back; dots separate, since neither applications nor tasks hold one. */
export function jobFolder(jobsFolder: string, key: JobKey): JobFolder {
  const { application, number, round } = parseRunId(key.run);
  const name = [application, number, round, key.task, key.attempt].join('.');
  const path = join(jobsFolder, name);
  const file = (one: string): string => join(path, one);
  return {
    ...{ name, path, pid: file('pid'), status: file('status'), exit: file('exit'), output: file('output') },
    ...{ begun: file('begun'), passwd: file('passwd'), group: file('group'), stop: file('stop') },
    ...{ work: file('work'), out: file('out'), home: file('home') },
  };
}

const namePattern = /^([a-z][a-z0-9-]*)\.(\d{1,10})\.(\d{1,5})\.([A-Za-z][A-Za-z0-9_-]*)\.(\d{1,9})$/;

/** The job that a folder name means; undefined for anything else in the folder. */
export function parseJobName(name: string): JobKey | undefined {
  const [, application, number, round, task, attempt] = namePattern.exec(name) ?? [];
  if (application === undefined || number === undefined || task === undefined || !isTaskName(task)) return undefined;
  const run = round === '1' ? `${application}/${number}` : `${application}/${number}/${String(round)}`;
  return { run: run as RunId, task, attempt: Number(attempt) };
}

export function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** Undefined as long as no shim has claimed the job. */
export function readShim(folder: JobFolder): ShimIdentity | undefined {
  const [pid, startTime, bootId] = readLine(folder.pid)?.split(' ') ?? [];
  if (pid === undefined || startTime === undefined || bootId === undefined) return undefined;
  return { pid: Number(pid), startTime, bootId };
}

/** The process id, on this host, of the sandbox's first process: its end is the end of all in there. */
export function readSandboxPid(folder: JobFolder): number | undefined {
  const pid = /"child-pid": (\d+)/.exec(readText(folder.status))?.[1];
  return pid === undefined ? undefined : Number(pid);
}

/** How the job ended; undefined while it runs (or is lost, which only the process table tells). */
export function readEnd(folder: JobFolder): JobEnd | undefined {
  if (!exists(folder.exit)) return undefined;
  const line = readLine(folder.exit);
  if (line === undefined) return undefined;
  const [type, code] = line.split(' ');
  if (type === 'timed-out' || type === 'output-limit' || type === 'stopped') return { type };
  return type === 'exited' && code !== undefined ? { type, exitCode: Number(code) } : { type: 'lost' };
}

/** The first line of a file that is written at once; undefined when it is not there yet. */
function readLine(path: string): string | undefined {
  const text = readText(path);
  return text.endsWith('\n') ? text.slice(0, text.indexOf('\n')) : undefined;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
