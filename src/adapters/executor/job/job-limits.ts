import { DomainError } from '../../../core/errors.ts';
import type { JobSpec } from '../../../ports/executor.ts';

/** The kernel takes 128 kB for one argument or variable and 2 MB for all. */
const maxTextBytes = 128 * 1024 - 256;
const maxTotalBytes = 1024 * 1024;
const maxSockets = 16;
const namePattern = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Refuses what could not be started (I10); never repeats a value, which may be a secret (I7). */
export function checkJob(job: JobSpec): void {
  const secrets = Object.entries(job.secrets).map(([name, secret]) => [name, secret.reveal()] as const);
  const variables = [...Object.entries(job.env), ...secrets];
  for (const [name] of variables) {
    if (!namePattern.test(name))
      throw new DomainError('input-invalid', `"${name.slice(0, 80)}" cannot be the name of a variable`);
  }
  let totalBytes = 0;
  for (const [name, text] of [...variables, ['the command', job.cmd] as const]) {
    totalBytes += checkText(name, text);
    if (totalBytes > maxTotalBytes)
      throw new DomainError('input-too-large', 'the variables of a job are larger than 1 MB together');
  }
  if (job.sockets.length > maxSockets)
    throw new DomainError('input-too-large', `a job reaches at most ${maxSockets} sockets`);
  if (job.outputLimitBytes < 1 || job.timeoutMs < 1)
    throw new DomainError('input-invalid', 'the limits of a job are positive numbers');
}

function checkText(name: string, text: string): number {
  if (text.includes('\0'))
    throw new DomainError('input-invalid', `${name} holds a NUL character, which no program can be given`);
  const sizeBytes = Buffer.byteLength(text);
  if (sizeBytes > maxTextBytes)
    throw new DomainError('input-too-large', `${name} is larger than 128 kB: put it into a file of the repository`);
  return sizeBytes + name.length;
}
