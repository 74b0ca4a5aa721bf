import { open, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import path from 'node:path';
import type { Digest } from '../../../core/model/ids.ts';
import type { BlobStore } from '../../../ports/blob-store.ts';
import type { LogChunk, LogKey, LogPosition, LogStore } from '../../../ports/log-store.ts';
import type { LogPositionStore } from '../../../ports/log-store.ts';
import { sealLog } from '../sealed/sealed-log.ts';
import { SealedReader } from '../sealed/sealed-reader.ts';
import { anotherWriter, stale } from '../stale.ts';
import { FileChanges } from '../../host/file-changes.ts';
import { isMissing, logFileName, logFilePath } from './log-file.ts';
import { claimPath, LogWriter } from './log-writer.ts';

export interface FolderLogStoreOptions {
  /** `<data>/logs`: one file per attempt that runs. */
  readonly folder: string;
  readonly positions: LogPositionStore;
  /** Takes the logs of attempts that have ended. */
  readonly blobs: BlobStore;
}

type Chunk = Parameters<LogStore['append']>[1];

const idleMs = 2000;

export function createFolderLogStore(options: FolderLogStoreOptions): LogStore {
  return new FolderLogStore(options);
}

/** Logs as files of this host, readable while they are written, from any process. Bytes survive the death of every process, not a power cut. */
class FolderLogStore implements LogStore {
  readonly #folder: string;
  readonly #positions: LogPositionStore;
  readonly #blobs: BlobStore;
  readonly #sealed: SealedReader;
  readonly #writers = new Map<string, Promise<LogWriter>>();
  #isSweeping = false;

  constructor({ folder, positions, blobs }: FolderLogStoreOptions) {
    this.#folder = path.resolve(folder);
    this.#positions = positions;
    this.#blobs = blobs;
    this.#sealed = new SealedReader(blobs);
  }

  async position(key: LogKey): Promise<LogPosition> {
    const writer = await this.#writers.get(logFileName(key));
    if (writer !== undefined) {
      if (!writer.isOver && (await writer.holds())) return writer.position;
      await this.#release(key, writer);
    }
    const stored = await this.#positions.get(key);
    return { source: stored?.source ?? 0, stored: stored?.stored ?? 0 };
  }

  async append(key: LogKey, chunk: Chunk): Promise<LogPosition> {
    // A worker that was frozen comes back late: to claim the file would cut off what the one that went on has not committed yet.
    if (!this.#writers.has(logFileName(key))) {
      const stored = await this.position(key);
      if (chunk.nextSource <= stored.source) return stored;
      if (chunk.from !== stored.source) throw stale(`the log stands at ${stored.source}, not at ${chunk.from}`);
    }
    return await this.#write(key, (writer) => writer.append(chunk));
  }

  async note(key: LogKey, line: string): Promise<void> {
    await this.#write(key, (writer) => writer.note(line));
  }

  async read(key: LogKey, offset: number, maxBytes: number): Promise<LogChunk> {
    const stored = await this.#positions.get(key);
    if (stored?.sealed !== undefined) return await this.#sealed.read(stored.sealed, offset, maxBytes);
    const sizeBytes = Math.min(maxBytes, (stored?.stored ?? 0) - offset);
    if (sizeBytes <= 0) return { bytes: new Uint8Array(0), nextOffset: offset, ended: false };
    try {
      await using file = await open(logFilePath(this.#folder, key), 'r');
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(sizeBytes), 0, sizeBytes, offset);
      return { bytes: buffer.subarray(0, bytesRead), nextOffset: offset + bytesRead, ended: false };
    } catch (error) {
      if (!isMissing(error)) throw error;
      return await this.#readSealed(key, offset, maxBytes); // sealed since the position was read
    }
  }

  async wait(key: LogKey, offset: number, { timeoutMs, signal }: Parameters<LogStore['wait']>[2]): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs;
    const changes = new FileChanges(this.#folder, signal, logFileName(key));
    try {
      while (!signal.aborted) {
        const stored = await this.#positions.get(key);
        const leftMs = deadlineMs - performance.now();
        if (leftMs <= 0 || stored?.sealed !== undefined || (stored?.stored ?? 0) > offset) return;
        await changes.next(leftMs);
      }
    } finally {
      changes.close();
    }
  }

  async seal(key: LogKey): Promise<Digest> {
    const file = logFilePath(this.#folder, key);
    const digest = (await this.#positions.get(key))?.sealed ?? (await this.#sealNow(key, file));
    await rm(file, { force: true });
    await rm(claimPath(file), { force: true });
    return digest;
  }

  async #sealNow(key: LogKey, file: string): Promise<Digest> {
    await this.#endWriter(key);
    const { source, stored } = (await this.#positions.get(key)) ?? { source: 0, stored: 0 };
    const digest = await this.#store(file, stored);
    if (!(await this.#positions.seal(key, { source, stored }, digest))) throw anotherWriter();
    return digest;
  }

  async #store(file: string, sizeBytes: number): Promise<Digest> {
    const handle = await open(file, 'r').catch((error: unknown) => {
      if (isMissing(error)) return undefined; // nothing was ever written
      throw error;
    });
    try {
      return (await this.#blobs.put(sealLog(sizeBytes, (at, size) => readAt(handle, at, size)))).digest;
    } finally {
      await handle?.close();
    }
  }

  async #readSealed(key: LogKey, offset: number, maxBytes: number): Promise<LogChunk> {
    const sealed = (await this.#positions.get(key))?.sealed;
    if (sealed !== undefined) return await this.#sealed.read(sealed, offset, maxBytes);
    return { bytes: new Uint8Array(0), nextOffset: offset, ended: false };
  }

  async #write<T>(key: LogKey, step: (writer: LogWriter) => Promise<T>): Promise<T> {
    const writer = await this.#openWriter(key);
    try {
      return await step(writer);
    } finally {
      if (writer.isOver) await this.#release(key, writer);
    }
  }

  async #openWriter(key: LogKey): Promise<LogWriter> {
    const name = logFileName(key);
    for (;;) {
      const opening = this.#writers.get(name) ?? LogWriter.open(this.#folder, key, this.#positions);
      this.#writers.set(name, opening);
      this.#sweepLater();
      try {
        const writer = await opening;
        if (!writer.isOver) return writer;
        await this.#release(key, writer);
      } catch (error) {
        if (this.#writers.get(name) === opening) this.#writers.delete(name);
        throw error;
      }
    }
  }

  async #endWriter(key: LogKey): Promise<void> {
    const writer = await this.#writers.get(logFileName(key));
    if (writer === undefined) return;
    try {
      if (!writer.isOver) await writer.flush();
    } finally {
      await this.#release(key, writer);
    }
  }

  async #release(key: LogKey, writer: LogWriter): Promise<void> {
    const name = logFileName(key);
    const current = await this.#writers.get(name)?.catch(() => undefined);
    if (current === writer) this.#writers.delete(name);
    await writer.close();
  }

  #sweepLater(): void {
    if (this.#isSweeping) return;
    this.#isSweeping = true;
    setTimeout(() => void this.#closeIdle(), idleMs).unref();
  }

  /** An attempt that another worker took over is never sealed here: its file must not stay open for ever. */
  async #closeIdle(): Promise<void> {
    for (const [name, opening] of this.#writers) {
      const writer = await opening.catch(() => undefined);
      if (writer !== undefined && (writer.idleMs < idleMs || this.#writers.get(name) !== opening)) continue;
      this.#writers.delete(name);
      await writer?.flush().catch(() => undefined);
      await writer?.close();
    }
    this.#isSweeping = false;
    if (this.#writers.size > 0) this.#sweepLater();
  }
}

async function readAt(file: FileHandle | undefined, at: number, sizeBytes: number): Promise<Uint8Array> {
  if (file === undefined) return new Uint8Array(0);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(sizeBytes), 0, sizeBytes, at);
  return buffer.subarray(0, bytesRead);
}
