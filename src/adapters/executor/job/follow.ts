import { watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import type { JobEnd, JobOutput } from '../../../ports/executor.ts';
import { readEnd } from './job-folder.ts';
import type { JobFolder } from './job-folder.ts';

const chunkBytes = 256 * 1024;
const pollMs = 200;

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
  const changes = new Changes(folder.path, options.signal);
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

/** Tells that something changed in a folder. Where the kernel gives no more watches, the poll alone does. */
class Changes {
  readonly #signal: AbortSignal;
  #watcher: FSWatcher | undefined;
  #pending = false;
  #wake: (() => void) | undefined;

  constructor(path: string, signal: AbortSignal) {
    this.#signal = signal;
    try {
      this.#watcher = watch(path, () => this.#notice());
      this.#watcher.on('error', () => this.#watcher?.close());
    } catch {
      this.#watcher = undefined;
    }
    signal.addEventListener('abort', this.#notice);
  }

  async next(): Promise<void> {
    if (!this.#pending && !this.#signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<undefined>();
      const timer = setTimeout(resolve, this.#watcher === undefined ? pollMs / 10 : pollMs, undefined);
      this.#wake = () => resolve(undefined);
      await promise;
      clearTimeout(timer);
    }
    this.#pending = false;
  }

  close(): void {
    this.#signal.removeEventListener('abort', this.#notice);
    this.#watcher?.close();
  }

  readonly #notice = (): void => {
    this.#pending = true;
    this.#wake?.();
  };
}
