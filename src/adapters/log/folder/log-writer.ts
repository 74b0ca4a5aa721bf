import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, readFile, rename, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import path from 'node:path';
import type { LogKey, LogPosition } from '../../../ports/log-store.ts';
import type { LogPositionStore } from '../../../ports/log-store.ts';
import { anotherWriter, stale } from '../stale.ts';
import { logFilePath } from './log-file.ts';

/**
 * The position goes to the database at most this often: a transaction per line would be slower than the job. What a death cuts off between is
 * still in the job's own output, and is appended again.
 */
const commitMs = 20;
const newLine = 10;

interface Opened {
  readonly file: FileHandle;
  readonly claim: string;
  readonly start: LogPosition;
}

/**
 * Appends to the file of one attempt. The bytes go into the file first and count only once the position in the database covers them (I2), so what a dead writer
 * left behind that position is cut off. Two writers at once: the younger claims the file, and the elder stops at its next step.
 */
export class LogWriter {
  readonly #key: LogKey;
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #claim: string;
  readonly #positions: LogPositionStore;
  #position: LogPosition;
  #committed: LogPosition;
  #committedAtMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #failure: { readonly reason: unknown } | undefined;
  /** Steps of one log run one after the other. */
  #queue: Promise<unknown> = Promise.resolve();
  #usedAtMs = performance.now();
  #isClosed = false;

  private constructor(
    place: { readonly key: LogKey; readonly path: string },
    opened: Opened,
    positions: LogPositionStore,
  ) {
    this.#key = place.key;
    this.#path = place.path;
    this.#file = opened.file;
    this.#claim = opened.claim;
    this.#position = opened.start;
    this.#committed = opened.start;
    this.#positions = positions;
  }

  static async open(folder: string, key: LogKey, positions: LogPositionStore): Promise<LogWriter> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const file = logFilePath(folder, key);
    const claim = randomUUID();
    const draft = path.join(folder, `.${claim}`);
    await writeFile(draft, claim, { mode: 0o600 });
    await rename(draft, claimPath(file)); // before the position is read: whoever wrote until now has stopped
    const stored = await positions.get(key);
    if (stored?.sealed !== undefined) throw stale('the log of this attempt is sealed');
    const handle = await open(file, constants.O_RDWR | constants.O_CREAT, 0o600);
    const start = { source: stored?.source ?? 0, stored: stored?.stored ?? 0 };
    try {
      if ((await handle.stat()).size > start.stored) await handle.truncate(start.stored);
      return new LogWriter({ key, path: file }, { file: handle, claim, start }, positions);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  get position(): LogPosition {
    return this.#position;
  }

  get idleMs(): number {
    return performance.now() - this.#usedAtMs;
  }

  /** True when nothing more can be written: the next step needs a new writer. */
  get isOver(): boolean {
    return this.#isClosed || this.#failure !== undefined;
  }

  append(chunk: {
    readonly from: number;
    readonly nextSource: number;
    readonly text: Uint8Array;
  }): Promise<LogPosition> {
    return this.#step(async () => {
      if (chunk.nextSource <= this.#position.source) return this.#position;
      if (chunk.from !== this.#position.source)
        throw stale(`the log stands at ${this.#position.source}, not at ${chunk.from}`);
      await this.#change(() => this.#write(chunk.text, chunk.nextSource));
      if (performance.now() - this.#committedAtMs >= commitMs) await this.#change(() => this.#commit());
      else this.#timer ??= setTimeout(() => this.#commitLater(), commitMs);
      return this.#position;
    });
  }

  /** A line of its own, also after an unfinished one. */
  note(line: string): Promise<void> {
    return this.#step(() =>
      this.#change(async () => {
        const last = Buffer.alloc(1, newLine);
        if (this.#position.stored > 0) await this.#file.read(last, 0, 1, this.#position.stored - 1);
        await this.#write(Buffer.from(`${last[0] === newLine ? '' : '\n'}${line}\n`), this.#position.source);
        await this.#commit();
      }),
    );
  }

  /** Makes the position durable. */
  flush(): Promise<void> {
    return this.#step(() => this.#change(() => this.#commit()));
  }

  /** Is this still the writer of the log? */
  async holds(): Promise<boolean> {
    const claim = await readFile(claimPath(this.#path), 'utf8').catch(() => undefined);
    return claim === this.#claim;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#queue;
    clearTimeout(this.#timer);
    await this.#file.close();
  }

  #step<T>(work: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw stale('the log was closed meanwhile');
    this.#usedAtMs = performance.now();
    const step = this.#queue.then(() => {
      if (this.#failure !== undefined) throw this.#failure.reason;
      return work();
    });
    this.#queue = step.catch(() => undefined);
    return step;
  }

  /** What is in the file and what is in the database may differ after a failure: a new writer sorts it out. */
  async #change<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (reason) {
      this.#failure = { reason };
      throw reason;
    }
  }

  async #write(text: Uint8Array, nextSource: number): Promise<void> {
    if (!(await this.holds())) throw anotherWriter();
    const { stored } = this.#position;
    let written = 0;
    while (written < text.length) {
      written += (await this.#file.write(text, written, text.length - written, stored + written)).bytesWritten;
    }
    this.#position = { source: nextSource, stored: stored + text.length };
  }

  async #commit(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const to = this.#position;
    if (!(await this.holds())) throw stale('another writer has cut off what was not committed');
    if (to.source === this.#committed.source && to.stored === this.#committed.stored) return;
    if (!(await this.#positions.advance(this.#key, this.#committed, to))) throw anotherWriter();
    this.#committed = to;
    this.#committedAtMs = performance.now();
    const now = new Date();
    await this.#file.utimes(now, now); // wakes readers, who watch the file: the position is theirs to see only now
  }

  #commitLater(): void {
    this.#timer = undefined;
    this.flush().catch(() => undefined); // kept as the failure of the next step
  }
}

/** Names the writer that may write to a log. */
export function claimPath(file: string): string {
  return `${file}.writer`;
}
