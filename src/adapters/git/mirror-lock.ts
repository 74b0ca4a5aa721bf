import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';

const busyCode = 5;

function isBusy(error: unknown): boolean {
  if (!(error instanceof Error) || !('errcode' in error)) return false;
  return typeof error.errcode === 'number' && (error.errcode & 0xff) === busyCode;
}

/**
 * Runs `work` alone among all processes of this machine, and within this one. The lock is one of the operating system, through SQLite: it ends with its
 * process, also by kill -9, so no stale lock has to be judged. Throws the signal's reason on abort.
 */
export async function withMirrorLock<T>(file: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    while (!tryLock(database)) {
      await delay(5 + Math.random() * 15);
      signal.throwIfAborted();
    }
    return await work();
  } finally {
    database.close();
  }
}

function tryLock(database: DatabaseSync): boolean {
  try {
    database.exec('BEGIN EXCLUSIVE');
    return true;
  } catch (error) {
    if (isBusy(error)) return false;
    throw error;
  }
}
