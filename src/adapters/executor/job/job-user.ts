import { createHash } from 'node:crypto';
import { chmodSync, statSync } from 'node:fs';
import { DomainError } from '../../../core/errors.ts';
import type { JobSpec } from '../../../ports/executor.ts';

/** User ids of jobs when Loam runs as root: nobody else's, and more than one, so that the limit on processes counts one job. */
export const firstJobUser = 1_700_000;
export const jobUsers = 256;

/** The user id of a job, by the name of its folder. */
export function userOf(name: string): number {
  return firstJobUser + (createHash('sha256').update(name).digest().readUInt16BE() % jobUsers);
}

/** A socket of Loam's refuses the job's user; the folder it lies in keeps all others out. */
export function openSockets(job: JobSpec, user: number | undefined): void {
  for (const { port, path } of job.sockets) {
    try {
      if (!statSync(path).isSocket()) throw new Error('it is no socket');
      if (user !== undefined) chmodSync(path, 0o666);
    } catch (cause) {
      throw new DomainError(
        'executor-unavailable',
        `nothing answers for port ${port} of the job: its socket is not there`,
        { cause },
      );
    }
  }
}
