import { readFile, rename, writeFile } from 'node:fs/promises';
import type { ProcessIdentity } from '../host/process-identity.ts';

/** What a start of the server leaves for the next one. */
export interface ServerRecord extends ProcessIdentity {
  readonly version: string;
  readonly port: number;
  readonly uiPort: number;
}

export async function readRecord(file: string): Promise<ServerRecord | undefined> {
  try {
    const value: unknown = JSON.parse(await readFile(file, 'utf8'));
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined; // none yet, or cut off by a power cut: the same as none
  }
}

export async function writeRecord(file: string, record: ServerRecord): Promise<void> {
  await writeFile(`${file}.new`, `${JSON.stringify(record)}\n`);
  await rename(`${file}.new`, file);
}

function isRecord(value: unknown): value is ServerRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { pid, startTime, port, uiPort, version } = value as Partial<Record<keyof ServerRecord, unknown>>;
  return (
    [pid, port, uiPort].every((number) => typeof number === 'number') &&
    [startTime, version].every((text) => typeof text === 'string')
  );
}
