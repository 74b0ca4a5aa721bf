import { setTimeout as delay } from 'node:timers/promises';
import type { Digest } from '../../../core/model/ids.ts';
import type { BlobStore } from '../../../ports/blob-store.ts';
import type { LogChunk, LogKey, LogPosition, LogPositionStore, LogStore } from '../../../ports/log-store.ts';
import { sealLog } from '../sealed/sealed-log.ts';
import { SealedReader } from '../sealed/sealed-reader.ts';
import { anotherWriter, stale } from '../stale.ts';

/** A chatty job makes at most this many rows; what it writes meanwhile waits where it is, and goes into the next one. */
const paceMs = 50;
/** This much at once is worth a row at any time. */
const fullBytes = 64 * 1024;
const pollMs = 100;
const newLine = 10;
const keptWriters = 1_000;

interface Written {
  readonly position: LogPosition;
  readonly atMs: number;
}

export interface RowLogStoreOptions {
  readonly rows: LogPositionStore;
  /** Takes the logs of attempts that have ended. */
  readonly blobs: BlobStore;
}

/**
 * Logs as rows of the database, for hosts that share no folder. Bytes and position are one transaction (I2), so there is nothing to claim and nothing to cut off:
 * of two writers the second one's compare-and-set fails.
 */
export function createRowLogStore({ rows, blobs }: RowLogStoreOptions): LogStore {
  return new RowLogStore(rows, blobs);
}

class RowLogStore implements LogStore {
  readonly #rows: LogPositionStore;
  readonly #blobs: BlobStore;
  readonly #sealed: SealedReader;
  /** What this process has written last. */
  readonly #written = new Map<string, Written>();

  constructor(rows: LogPositionStore, blobs: BlobStore) {
    this.#rows = rows;
    this.#blobs = blobs;
    this.#sealed = new SealedReader(blobs);
  }

  async position(key: LogKey): Promise<LogPosition> {
    this.#written.delete(nameOf(key)); // the caller goes on from what is there, whoever wrote it
    const { source, stored } = await this.#place(key);
    return { source, stored };
  }

  async append(key: LogKey, { from, nextSource, text }: Parameters<LogStore['append']>[1]): Promise<LogPosition> {
    if (text.length < fullBytes) await this.#pace(key);
    const place = await this.#openPlace(key);
    if (nextSource <= place.source) return { source: place.source, stored: place.stored };
    if (from !== place.source) throw stale(`the log stands at ${place.source}, not at ${from}`);
    return this.#write(key, place, nextSource, text);
  }

  async note(key: LogKey, line: string): Promise<void> {
    const place = await this.#openPlace(key);
    const last = place.stored === 0 ? undefined : (await this.#rows.read(key, place.stored - 1, 1))[0];
    const isFresh = last === undefined || last === newLine;
    await this.#write(key, place, place.source, Buffer.from(`${isFresh ? '' : '\n'}${line}\n`));
  }

  async read(key: LogKey, offset: number, maxBytes: number): Promise<LogChunk> {
    // The bytes first: a log that is sealed between the two reads is then read from its blob.
    const bytes = await this.#rows.read(key, offset, maxBytes);
    const { sealed } = await this.#place(key);
    if (sealed !== undefined) return this.#sealed.read(sealed, offset, maxBytes);
    return { bytes, nextOffset: offset + bytes.length, ended: false };
  }

  async wait(key: LogKey, offset: number, { timeoutMs, signal }: Parameters<LogStore['wait']>[2]): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs;
    while (!signal.aborted) {
      const { stored, sealed } = await this.#place(key);
      const leftMs = deadlineMs - performance.now();
      if (leftMs <= 0 || sealed !== undefined || stored > offset) return;
      await delay(Math.min(pollMs, leftMs), undefined, { signal }).catch(() => undefined);
    }
  }

  async seal(key: LogKey): Promise<Digest> {
    const { sealed } = await this.#place(key);
    if (sealed !== undefined) return sealed;
    const { source, stored } = await this.#openPlace(key);
    const { digest } = await this.#blobs.put(sealLog(stored, (at, size) => this.#rows.read(key, at, size)));
    this.#written.delete(nameOf(key));
    if (!(await this.#rows.seal(key, { source, stored }, digest))) throw anotherWriter();
    return digest;
  }

  async #place(key: LogKey): Promise<LogPosition & { readonly sealed: Digest | undefined }> {
    return (await this.#rows.get(key)) ?? { source: 0, stored: 0, sealed: undefined };
  }

  async #openPlace(key: LogKey): Promise<LogPosition> {
    const place = await this.#place(key);
    if (place.sealed !== undefined) throw stale('the log of this attempt is sealed');
    const own = this.#written.get(nameOf(key))?.position;
    if (own === undefined || (own.source === place.source && own.stored === place.stored)) return place;
    this.#written.delete(nameOf(key));
    throw anotherWriter();
  }

  async #write(key: LogKey, place: LogPosition, nextSource: number, text: Uint8Array): Promise<LogPosition> {
    const to = { source: nextSource, stored: place.stored + text.length };
    this.#written.delete(nameOf(key)); // if the database does not answer, nobody knows who wrote last
    if (!(await this.#rows.advance(key, { source: place.source, stored: place.stored }, to, text)))
      throw anotherWriter();
    this.#remember(nameOf(key), to);
    return to;
  }

  async #pace(key: LogKey): Promise<void> {
    const last = this.#written.get(nameOf(key));
    const waitMs = last === undefined ? 0 : last.atMs + paceMs - performance.now();
    if (waitMs > 0) await delay(waitMs);
  }

  #remember(name: string, position: LogPosition): void {
    this.#written.set(name, { position, atMs: performance.now() });
    const [oldest] = this.#written.keys();
    if (this.#written.size > keptWriters && oldest !== undefined) this.#written.delete(oldest);
  }
}

function nameOf({ run, task, attempt }: LogKey): string {
  return `${run} ${task} ${attempt}`;
}
