// Blobs and logs in memory.
import { createHash } from 'node:crypto';
import { DomainError } from '../../src/core/errors.ts';
import { parseDigest } from '../../src/core/model/ids.ts';
import type { Digest } from '../../src/core/model/ids.ts';
import type { BlobStore, StoredBlob } from '../../src/ports/blob-store.ts';
import type { LogPositionStore } from '../../src/ports/log-store.ts';
import type { LogChunk, LogKey, LogPosition, LogStore } from '../../src/ports/log-store.ts';

export class FakeBlobStore implements BlobStore {
  readonly blobs = new Map<Digest, Uint8Array>();

  async put(
    content: Parameters<BlobStore['put']>[0],
    options: Parameters<BlobStore['put']>[1] = {},
  ): Promise<StoredBlob> {
    const bytes = await collect(content, options.maxBytes ?? Infinity);
    options.signal?.throwIfAborted();
    const digest = parseDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`);
    this.blobs.set(digest, bytes);
    return { digest, sizeBytes: bytes.byteLength };
  }

  async read(digest: Digest): Promise<Uint8Array> {
    const bytes = this.blobs.get(digest);
    if (bytes === undefined) throw new DomainError('blob-missing', `no blob ${digest}`);
    return Promise.resolve(bytes);
  }

  async file(digest: Digest): Promise<string> {
    await this.read(digest);
    return `/blobs/${digest}`;
  }
}

async function collect(content: Parameters<BlobStore['put']>[0], maxBytes: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let sizeBytes = 0;
  const take = (part: Uint8Array) => {
    sizeBytes += part.byteLength;
    if (sizeBytes > maxBytes) throw new DomainError('input-too-large', `over ${maxBytes} bytes`);
    parts.push(part);
  };
  if (typeof content === 'string') take(new TextEncoder().encode(content));
  else if (content instanceof Uint8Array) take(content);
  else for await (const part of content) take(part);
  return new Uint8Array(Buffer.concat(parts));
}

interface Log {
  position: LogPosition;
  text: string;
  sealed: Digest | undefined;
}

export class FakeLogStore implements LogStore {
  readonly #logs = new Map<string, Log>();
  readonly #blobs: BlobStore;
  readonly #positions: LogPositionStore;

  constructor(blobs: BlobStore, positions: LogPositionStore) {
    this.#blobs = blobs;
    this.#positions = positions;
  }

  async position(key: LogKey): Promise<LogPosition> {
    return Promise.resolve(this.#log(key).position);
  }

  async append(key: LogKey, { from, nextSource, text }: Parameters<LogStore['append']>[1]): Promise<LogPosition> {
    const log = this.#open(key);
    if (nextSource <= log.position.source) return log.position;
    if (from !== log.position.source) throw new DomainError('fence-stale', 'another writer went on');
    log.text += Buffer.from(text).toString('latin1');
    log.position = { source: nextSource, stored: log.text.length };
    return Promise.resolve(log.position);
  }

  async note(key: LogKey, line: string): Promise<void> {
    const log = this.#open(key);
    log.text += Buffer.from(`${line}\n`).toString('latin1');
    log.position = { ...log.position, stored: log.text.length };
    return Promise.resolve();
  }

  async read(key: LogKey, offset: number, maxBytes: number): Promise<LogChunk> {
    const log = this.#log(key);
    const bytes = Buffer.from(log.text, 'latin1').subarray(offset, offset + maxBytes);
    const nextOffset = offset + bytes.byteLength;
    const ended = log.sealed !== undefined && nextOffset >= log.text.length;
    return Promise.resolve({ bytes, nextOffset, ended });
  }

  async wait(): Promise<void> {
    return Promise.resolve();
  }

  async seal(key: LogKey): Promise<Digest> {
    const log = this.#log(key);
    log.sealed ??= (await this.#blobs.put(log.text)).digest;
    await this.#positions.seal(key, log.sealed);
    return log.sealed;
  }

  text(key: LogKey): string {
    return Buffer.from(this.#log(key).text, 'latin1').toString('utf8');
  }

  #open(key: LogKey): Log {
    const log = this.#log(key);
    if (log.sealed !== undefined) throw new DomainError('fence-stale', 'the log of this attempt is sealed');
    return log;
  }

  #log({ run, task, attempt }: LogKey): Log {
    const name = `${run}/${task}#${attempt}`;
    const log = this.#logs.get(name) ?? { position: { source: 0, stored: 0 }, text: '', sealed: undefined };
    this.#logs.set(name, log);
    return log;
  }
}
