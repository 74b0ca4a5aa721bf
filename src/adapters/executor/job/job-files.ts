import { randomBytes } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { DomainError } from '../../../core/errors.ts';
import { deleteTree } from '../../host/delete-tree.ts';
import { exists } from './job-folder.ts';
import type { JobFolder } from './job-folder.ts';

const trialLifeMs = 60 * 60_000;

/** Path of a regular file that the job left; undefined when it did not. */
export function collectFile(folder: JobFolder, name: string): string | undefined {
  if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name))
    throw new DomainError('input-invalid', 'the name of an output file has no folder');
  const path = join(folder.out, name);
  return lstatSync(path, { throwIfNoEntry: false })?.isFile() === true ? path : undefined;
}

/** Under another name first: a removal that is cut off must not look like a job that was never started. */
export async function removeFolder(jobsFolder: string, folder: JobFolder): Promise<void> {
  const trash = join(jobsFolder, `.gone-${randomBytes(6).toString('hex')}`);
  try {
    renameSync(folder.path, trash);
  } catch (error) {
    if (!exists(folder.path)) return;
    throw error;
  }
  await deleteTree(trash);
}

/** Makes the folder of all jobs. Deletes what a removal that was cut off left behind, and a trial of long ago; a young one may be another process's. */
export async function prepareJobsFolder(jobsFolder: string): Promise<void> {
  mkdirSync(jobsFolder, { recursive: true, mode: 0o700 });
  for (const name of readdirSync(jobsFolder)) {
    const path = join(jobsFolder, name);
    const isOld = (lstatSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0) < Date.now() - trialLifeMs;
    if (name.startsWith('.gone-') || (name.startsWith('.probe-') && isOld)) await deleteTree(path);
  }
}
