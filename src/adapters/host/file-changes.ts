import { watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';

/** Looks that are made although nothing was noticed: for a change on another host, or a file system that tells nothing. */
const pollMs = 250;
/** Without a watch: the folder is not there yet, or the kernel gives no more watches. */
const blindPollMs = 25;

/** Tells that something changed in a folder, or one file of it. */
export class FileChanges {
  readonly #folder: string;
  readonly #name: string | undefined;
  readonly #signal: AbortSignal;
  #watcher: FSWatcher | undefined;
  #isPending = false;
  #wake: (() => void) | undefined;

  constructor(folder: string, signal: AbortSignal, name?: string) {
    this.#folder = folder;
    this.#name = name;
    this.#signal = signal;
    this.#watch();
    signal.addEventListener('abort', this.#notice);
  }

  /** Resolves at the next change since the last call, on abort, or after a while. */
  async next(maxMs = pollMs): Promise<void> {
    if (this.#watcher === undefined) this.#watch();
    if (!this.#isPending && !this.#signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<undefined>();
      const timer = setTimeout(resolve, Math.min(maxMs, this.#watcher === undefined ? blindPollMs : pollMs), undefined);
      this.#wake = () => resolve(undefined);
      await promise;
      clearTimeout(timer);
    }
    this.#isPending = false;
  }

  close(): void {
    this.#signal.removeEventListener('abort', this.#notice);
    this.#watcher?.close();
  }

  #watch(): void {
    try {
      const watcher = watch(this.#folder, (_, name) => {
        if (name === null || this.#name === undefined || name === this.#name) this.#notice();
      });
      watcher.on('error', () => {
        watcher.close();
        this.#watcher = undefined;
      });
      this.#watcher = watcher;
    } catch {
      this.#watcher = undefined;
    }
  }

  readonly #notice = (): void => {
    this.#isPending = true;
    this.#wake?.();
  };
}
