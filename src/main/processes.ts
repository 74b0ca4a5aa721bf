import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ProcessIdentity, isRunning } from '../adapters/host/process-identity.ts';

function recordFile(dataFolder: string, name: string): string {
  return path.join(dataFolder, 'processes', `${name}.json`);
}

export async function readRecord(dataFolder: string, name: string): Promise<ProcessIdentity | undefined> {
  const text = await readFile(recordFile(dataFolder, name), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  return ProcessIdentity.safeParse(safeJson(text)).data;
}

export async function writeRecord(dataFolder: string, name: string, record: ProcessIdentity): Promise<void> {
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
export async function findProcess(dataFolder: string, name: string): Promise<ProcessIdentity | undefined> {
  const record = await readRecord(dataFolder, name);
  return record !== undefined && isRunning(record) ? record : undefined;
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
