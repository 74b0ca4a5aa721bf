import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { DomainError } from '../../../core/errors.ts';
import { isDigest, type Digest } from '../../../core/model/ids.ts';
import type { BlobStore, StoredBlob } from '../../../ports/blob-store.ts';

// <folder>/ab/abcdef...   a blob under its digest, complete: it was written elsewhere, synced, then renamed
// <folder>/drafts/<uuid>  what is being written; one that is old belongs to a process that died

const prefix = 'sha256:';
const draftLifeMs = 24 * 60 * 60_000;

type Content = Parameters<BlobStore['put']>[0];
type PutOptions = NonNullable<Parameters<BlobStore['put']>[1]>;

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

function toDigest(hex: string): Digest {
  const digest = `${prefix}${hex}`;
  if (!isDigest(digest)) throw new DomainError('internal', 'a digest was made wrong');
  return digest;
}

function missing(digest: Digest, options?: { readonly cause: unknown }): DomainError {
  return new DomainError('blob-missing', `the blob ${digest} is not stored here`, options);
}

/** Checks limit and abort with every chunk, so that an endless stream ends. */
async function* limited(content: Content, { maxBytes, signal }: PutOptions): AsyncGenerator<Uint8Array> {
  const chunks = typeof content === 'string' || content instanceof Uint8Array ? [content] : content;
  let size = 0;
  for await (const chunk of chunks) {
    signal?.throwIfAborted();
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    size += bytes.length;
    if (maxBytes !== undefined && size > maxBytes) {
      throw new DomainError('input-too-large', `more than ${maxBytes} bytes; nothing was stored`);
    }
    yield bytes;
  }
  signal?.throwIfAborted();
}

async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r');
  await handle.sync();
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  let written = 0;
  while (written < bytes.length) written += (await handle.write(bytes, written)).bytesWritten;
}

class FolderBlobStore implements BlobStore {
  readonly #folder: string;
  readonly #drafts: string;
  #ready: Promise<void> | undefined;

  constructor(folder: string) {
    this.#folder = path.resolve(folder);
    this.#drafts = path.join(this.#folder, 'drafts');
  }

  async put(content: Content, options: PutOptions = {}): Promise<StoredBlob> {
    await this.#prepare();
    const draft = path.join(this.#drafts, randomUUID());
    try {
      const blob = await this.#write(draft, content, options);
      await this.#keep(draft, blob);
      return blob;
    } finally {
      await rm(draft, { force: true });
    }
  }

  async read(digest: Digest): Promise<Uint8Array> {
    let bytes: Buffer;
    try {
      bytes = await readFile(this.#place(digest));
    } catch (error) {
      throw hasCode(error, 'ENOENT') ? missing(digest, { cause: error }) : error;
    }
    if (toDigest(createHash('sha256').update(bytes).digest('hex')) === digest) return bytes;
    throw new DomainError('blob-missing', `the blob ${digest} was damaged on disk`);
  }

  async file(digest: Digest): Promise<string> {
    const place = this.#place(digest);
    try {
      await stat(place);
    } catch (error) {
      throw hasCode(error, 'ENOENT') ? missing(digest, { cause: error }) : error;
    }
    return place;
  }

  /** Digests come from rows and outputs; one that is none must not become a path. */
  #place(digest: Digest): string {
    if (!isDigest(digest)) throw missing(digest);
    const hex = (digest as string).slice(prefix.length);
    return path.join(this.#folder, hex.slice(0, 2), hex);
  }

  async #write(draft: string, content: Content, options: PutOptions): Promise<StoredBlob> {
    // Read-only from the start: what is content-addressed never changes.
    await using handle = await open(draft, 'wx', 0o444);
    const hash = createHash('sha256');
    let sizeBytes = 0;
    for await (const bytes of limited(content, options)) {
      hash.update(bytes);
      await writeAll(handle, bytes);
      sizeBytes += bytes.length;
    }
    await handle.sync();
    return { digest: toDigest(hash.digest('hex')), sizeBytes };
  }

  async #keep(draft: string, { digest, sizeBytes }: StoredBlob): Promise<void> {
    const place = this.#place(digest);
    if (await this.#isStored(place, sizeBytes)) return;
    const folder = path.dirname(place);
    await mkdir(folder, { recursive: true });
    // Whoever else stores the same at this moment renames the same bytes over these.
    await rename(draft, place);
    await syncFolder(folder);
    await syncFolder(this.#folder);
  }

  /** One of another size was damaged, and is replaced. */
  async #isStored(place: string, sizeBytes: number): Promise<boolean> {
    try {
      return (await stat(place)).size === sizeBytes;
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return false;
      throw error;
    }
  }

  async #prepare(): Promise<void> {
    this.#ready ??= this.#clean();
    try {
      await this.#ready;
    } catch (error) {
      this.#ready = undefined;
      throw error;
    }
  }

  async #clean(): Promise<void> {
    await mkdir(this.#drafts, { recursive: true });
    for (const name of await readdir(this.#drafts)) {
      const draft = path.join(this.#drafts, name);
      try {
        if (Date.now() - (await stat(draft)).mtimeMs > draftLifeMs) await rm(draft, { force: true });
      } catch (error) {
        if (!hasCode(error, 'ENOENT')) throw error;
      }
    }
  }
}

/** Blobs as files in a folder of this machine; several processes may share it. */
export function createFolderBlobStore(options: { readonly folder: string }): BlobStore {
  return new FolderBlobStore(options.folder);
}
