import { readFileSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';

/** A process that another one must find again. A pid alone is reused; with its start time (clock ticks since boot) it names one process for good. */
export const ProcessRecord = z.object({ pid: z.int().positive(), startTime: z.string() });
export type ProcessRecord = z.infer<typeof ProcessRecord>;

/** Field 22 of /proc/<pid>/stat; undefined when there is no such process, or only its corpse. */
export function readStartTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

export function isAlive(record: ProcessRecord): boolean {
  return readStartTime(record.pid) === record.startTime;
}

export function recordOf(pid: number): ProcessRecord | undefined {
  const startTime = readStartTime(pid);
  return startTime === undefined ? undefined : { pid, startTime };
}

function recordFile(dataFolder: string, name: string): string {
  return path.join(dataFolder, 'processes', `${name}.json`);
}

export async function readRecord(dataFolder: string, name: string): Promise<ProcessRecord | undefined> {
  const text = await readFile(recordFile(dataFolder, name), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  return ProcessRecord.safeParse(safeJson(text)).data;
}

export async function writeRecord(dataFolder: string, name: string, record: ProcessRecord): Promise<void> {
  const file = recordFile(dataFolder, name);
  await mkdir(path.dirname(file), { recursive: true });
  const temporary = `${file}.${String(process.pid)}.tmp`;
  await writeFile(temporary, JSON.stringify(record));
  await rename(temporary, file);
}

export async function removeRecord(dataFolder: string, name: string): Promise<void> {
  await rm(recordFile(dataFolder, name), { force: true });
}

/** The recorded process, if it still runs. */
export async function findProcess(dataFolder: string, name: string): Promise<ProcessRecord | undefined> {
  const record = await readRecord(dataFolder, name);
  return record !== undefined && isAlive(record) ? record : undefined;
}

/** Ends a process that Loam started: TERM, then KILL after `graceMs`. Resolves when it is gone. */
export async function endProcess(record: ProcessRecord | undefined, graceMs: number): Promise<void> {
  if (record === undefined || !isAlive(record)) return;
  signal(record, 'SIGTERM');
  if (await waitUntil(() => !isAlive(record), graceMs)) return;
  signal(record, 'SIGKILL');
  await waitUntil(() => !isAlive(record), 5_000);
}

function signal(record: ProcessRecord, name: NodeJS.Signals): void {
  try {
    if (isAlive(record)) process.kill(record.pid, name);
  } catch {
    // it went between the look and the signal
  }
}

/** Polls until the condition holds; false when `timeoutMs` passed first. */
export async function waitUntil(
  condition: () => boolean | Promise<boolean>,
  timeoutMs: number,
  everyMs = 50,
): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline) return false;
    await delay(everyMs);
  }
  return true;
}

export function safeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
