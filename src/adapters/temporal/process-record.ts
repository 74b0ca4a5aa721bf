import { readFileSync } from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';

/** Who a process is: a pid alone is given away again after its end. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/<pid>/stat; undefined where there is no /proc. */
  readonly startTime: string | undefined;
}

export function identifyProcess(pid: number): ProcessIdentity {
  return { pid, startTime: startTimeOf(pid) };
}

/** Is it this very process that still runs? */
export function isRunning(identity: ProcessIdentity): boolean {
  try {
    process.kill(identity.pid, 0);
  } catch {
    return false;
  }
  return startTimeOf(identity.pid) === identity.startTime;
}

/** A zombie counts as gone, unless threads of it still run: they hold its ports and files. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // the name in parentheses may hold anything
    const [state, threads, startTime] = [fields[0], Number(fields[17]), fields[19]];
    return state === 'Z' && threads <= 1 ? 'ended' : startTime;
  } catch {
    return undefined;
  }
}

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
  const { pid, port, uiPort, version } = value as Partial<Record<keyof ServerRecord, unknown>>;
  return [pid, port, uiPort].every((number) => typeof number === 'number') && typeof version === 'string';
}
