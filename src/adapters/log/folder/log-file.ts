import path from 'node:path';
import { parseRunId } from '../../../core/model/ids.ts';
import type { LogKey } from '../../../ports/log-store.ts';

/** Name of an attempt's file; dots separate, since neither applications nor tasks hold one. */
export function logFileName({ run, task, attempt }: LogKey): string {
  const { application, number, round } = parseRunId(run);
  return `${[application, number, round, task, attempt].join('.')}.log`;
}

export function logFilePath(folder: string, key: LogKey): string {
  return path.join(folder, logFileName(key));
}

export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
