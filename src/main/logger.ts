import { pino } from 'pino';
import type { Logger } from '../ports/logger.ts';

/** JSON lines; on standard error, which the supervisor keeps in a file and a container collects, or in the file given. */
export function createLogger(name: string, level: string, file?: string): Logger {
  const destination = file === undefined ? { dest: 2, sync: true } : { dest: file, sync: true, mkdir: true };
  return pino({ level, base: { process: name, pid: process.pid } }, pino.destination(destination));
}
