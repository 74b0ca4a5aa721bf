// What is seen of a run from outside, at little cost to the run.
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import type { Loam } from '../support/loam.ts';
import { open } from './application.ts';

const Instant = z.iso.datetime().transform((text) => Date.parse(text));
const Run = z.object({
  status: z.string(),
  reason: z.string().nullable(),
  createdAt: Instant,
  startedAt: Instant.nullable(),
  finishedAt: Instant.nullable(),
  tasks: z.array(z.object({ name: z.string(), startedAt: Instant.nullable(), finishedAt: Instant.nullable() })),
});
export type ObservedRun = z.infer<typeof Run>;

const pollMs = 100;
/** Clock ticks of /proc/<pid>/stat: 100 a second on every Linux that Node runs on. */
const tickMs = 10;

/** Looks rarely: each look is work for the API and the database that are measured. Throws unless the run ended with `ending`. */
export async function awaitEnd(loam: Loam, id: string, ending: string, deadlineMs = 60_000): Promise<ObservedRun> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    await delay(pollMs);
    const { status, body } = await loam.api('GET', `/v1/runs/${id}`);
    const found = Run.safeParse(body).data;
    if (status === 200 && found !== undefined && found.finishedAt !== null) {
      if (found.status === ending) return found;
      throw new Error(`run ${id} ended as ${found.status}: ${found.reason ?? ''}`);
    }
    if (performance.now() > deadline) throw new Error(`run ${id} did not end within ${deadlineMs / 1000} s`);
  }
}

export interface FirstLine {
  readonly text: string;
  /** Milliseconds since 1970 when it came. */
  readonly atMs: number;
}

/** Follows a task's log as a person does who opened it at once; resolves with the first text that holds the pattern. */
export async function awaitLine(loam: Loam, run: string, task: string, pattern: RegExp): Promise<FirstLine> {
  const token = (await readFile(path.join(loam.dataFolder, 'tokens/admin'), 'utf8')).trim();
  const url = new URL(`/v1/runs/${run}/tasks/${task}/log`, loam.endpoint().apiUrl);
  const headers = { accept: 'text/event-stream', authorization: `Bearer ${token}` };
  const response = await open(url, { method: 'GET', headers });
  let text = '';
  try {
    for await (const chunk of response.setEncoding('utf8')) {
      text += String(chunk);
      const found = pattern.exec(text)?.[0];
      if (found !== undefined) return { text: found, atMs: Date.now() };
    }
  } finally {
    response.destroy();
  }
  throw new Error(`the log of ${run} ${task} ended without ${String(pattern)}: ${text.slice(0, 500)}`);
}

/** The whole log of a task that has ended. */
export async function readWholeLog(loam: Loam, run: string, task: string): Promise<string> {
  const token = (await readFile(path.join(loam.dataFolder, 'tokens/admin'), 'utf8')).trim();
  const url = `${loam.endpoint().apiUrl}/v1/runs/${run}/tasks/${task}/log`;
  const response = await fetch(url, { headers: { accept: 'text/plain', authorization: `Bearer ${token}` } });
  return response.text();
}

/** CPU that a process has used so far, without its children. */
export function cpuOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * tickMs;
}

export function pidOf(loam: Loam, name: string): number {
  const text = readFileSync(path.join(loam.dataFolder, 'processes', `${name}.json`), 'utf8');
  return z.object({ pid: z.int().positive() }).parse(JSON.parse(text)).pid;
}

/** Memory that a process holds now. */
export function residentMiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}
