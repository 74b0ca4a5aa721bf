// Keeps I2 (no gap and no double line over a dead worker) and I7 (secrets are masked before a byte is stored).
import { createMasker } from '../src/core/log/masker.ts';
import type { Masker } from '../src/core/log/masker.ts';
import type { JobOutput } from '../src/ports/executor.ts';
import type { LogKey } from '../src/ports/log-store.ts';
import type { Secret } from '../src/ports/secret.ts';
import type { Room } from './dependencies.ts';

/**
 * A sandbox that is started anew counts its output from 0 again, while the log's source offset only grows. So each sandbox of an attempt has a range of
 * its own: the offset itself says how many there were, and no further row has to agree with it.
 */
const rangeBytes = 2 ** 40;
/** Output that may wait in memory while an append is under way; then the job's reader waits too. */
const maxWaitingBytes = 1024 * 1024;

export interface JobLog {
  /** How many sandboxes the attempt has lost so far. */
  readonly lost: number;
  /** Where the output of the present sandbox is to be read on; 0: nothing of it is stored. */
  readonly offset: number;
  write(output: JobOutput): Promise<void>;
  /** Waits until nothing is under way; what the masker holds back stays out. */
  settle(): Promise<void>;
  /** Stores what is still held back. The job has ended. */
  finish(): Promise<void>;
}

/** Opens the log at what is stored, in the range of the present sandbox. */
export async function openJobLog(room: Room, key: LogKey, secrets: Iterable<Secret>): Promise<JobLog> {
  const { source } = await room.logs.position(key);
  const base = source - (source % rangeBytes);
  const masker = createMasker([...secrets], source);
  return new RangedLog(room, key, { base, source, masker });
}

/** Says that the sandbox is gone and begins the range of the next one. Safe to repeat after a crash: the offset is compared. */
export async function beginNextRange(room: Room, key: LogKey, line: string): Promise<void> {
  const { source } = await room.logs.position(key);
  const nextSource = source - (source % rangeBytes) + rangeBytes;
  await room.logs.append(key, { from: source, nextSource, text: new TextEncoder().encode(`loam: ${line}\n`) });
}

class RangedLog implements JobLog {
  readonly #room: Room;
  readonly #key: LogKey;
  readonly #base: number;
  readonly #masker: Masker;
  /** Up to here the store has the output. */
  #stored: number;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  /** Source offset that `#waiting` reaches. */
  #reached: number;
  #appending: Promise<void> | undefined;
  #failure: { readonly reason: unknown } | undefined;

  constructor(
    room: Room,
    key: LogKey,
    start: { readonly base: number; readonly source: number; readonly masker: Masker },
  ) {
    this.#room = room;
    this.#key = key;
    this.#base = start.base;
    this.#masker = start.masker;
    this.#stored = start.source;
    this.#reached = start.source;
  }

  get lost(): number {
    return this.#base / rangeBytes;
  }

  get offset(): number {
    return this.#stored - this.#base;
  }

  async write(output: JobOutput): Promise<void> {
    this.#take(this.#masker.push(output.bytes));
    if (this.#failure !== undefined) throw this.#failure.reason;
    this.#appending ??= this.#appendAll().catch((reason: unknown) => {
      this.#failure = { reason };
    });
    if (this.#waitingBytes > maxWaitingBytes) await this.#appending;
  }

  async settle(): Promise<void> {
    await this.#appending;
    if (this.#failure !== undefined) throw this.#failure.reason;
  }

  async finish(): Promise<void> {
    await this.settle();
    this.#take(this.#masker.flush());
    await this.#appendAll();
  }

  #take(masked: { readonly nextSource: number; readonly text: Uint8Array }): void {
    this.#waiting.push(masked.text);
    this.#waitingBytes += masked.text.byteLength;
    this.#reached = masked.nextSource;
  }

  /** What comes while one append is under way goes into the next: few appends when much is written, none late when little is. */
  async #appendAll(): Promise<void> {
    while (this.#reached > this.#stored) {
      const text = concatenate(this.#waiting, this.#waitingBytes);
      const nextSource = this.#reached;
      this.#waiting = [];
      this.#waitingBytes = 0;
      await this.#room.logs.append(this.#key, { from: this.#stored, nextSource, text });
      this.#stored = nextSource;
    }
    this.#appending = undefined;
  }
}

function concatenate(parts: readonly Uint8Array[], sizeBytes: number): Uint8Array {
  const whole = new Uint8Array(sizeBytes);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}
