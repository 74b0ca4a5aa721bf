import { pino } from 'pino';
import type { Logger } from '../ports/logger.ts';

const maxKeptBytes = 1_048_576;

/** JSON lines; on standard error, which the supervisor keeps in a file and a container collects, or in the file given. */
export function createLogger(name: string, level: string, file?: string): Logger {
  const place = file === undefined ? { dest: 2 } : { dest: file, mkdir: true };
  const destination = pino.destination({ ...place, sync: true, maxLength: maxKeptBytes });
  // A full disk may cost lines of the log, never the process: they are kept in memory until there is room, as far as they fit there.
  destination.on('error', () => undefined);
  return pino({ level, base: { process: name, pid: process.pid } }, destination);
}
