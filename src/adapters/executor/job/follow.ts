import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import type { JobEnd, JobOutput } from '../../../ports/executor.ts';
import { FileChanges } from '../../host/file-changes.ts';
import { readEnd } from './job-folder.ts';
import type { JobFolder } from './job-folder.ts';

const chunkBytes = 256 * 1024;

export interface FollowOptions {
  readonly fromOffset: number;
  readonly signal: AbortSignal;
  readonly onOutput: (output: JobOutput) => Promise<void>;
}

/** Gives a job's output from an offset on and answers how it ended. `endWithoutWord` is asked when the job has left no word about its end; undefined: it runs. */
export async function followJob(
  folder: JobFolder,
  options: FollowOptions,
  endWithoutWord: () => JobEnd | undefined,
): Promise<JobEnd> {
  const changes = new FileChanges(folder.path, options.signal);
  const file = await open(folder.output, 'r');
  try {
    let offset = options.fromOffset;
    for (;;) {
      const end = readEnd(folder) ?? endWithoutWord(); // before the output is read: it is complete once there is an end
      offset = await giveOutput(file, offset, options);
      if (end !== undefined) return end;
      await changes.next();
    }
  } finally {
    changes.close();
    await file.close();
  }
}

async function giveOutput(file: FileHandle, from: number, { signal, onOutput }: FollowOptions): Promise<number> {
  let offset = from;
  for (;;) {
    signal.throwIfAborted();
    const { size } = await file.stat();
    if (size <= offset) return offset; // most looks find nothing: no large buffer for those
    const length = Math.min(chunkBytes, size - offset);
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(length), 0, length, offset);
    if (bytesRead === 0) return offset;
    await onOutput({ offset, bytes: buffer.subarray(0, bytesRead) });
    offset += bytesRead;
  }
}
