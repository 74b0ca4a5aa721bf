/** A stream of bytes; Node's Readable is one. */
type ByteStream = AsyncIterable<Uint8Array>;
import type { Digest } from '../core/model/ids.ts';

export interface StoredBlob {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

/** Immutable, content-addressed bytes: source snapshots, artifacts, templates, compiled plans, finished logs. All methods may run concurrently and twice. */
export interface BlobStore {
  /** Stores bytes under their digest, durably (fsync) before it returns; storing what exists is cheap. Throws `input-too-large` over `maxBytes`, storing nothing. */
  put(
    content: ByteStream | Uint8Array | string,
    options?: { readonly maxBytes?: number; readonly signal?: AbortSignal },
  ): Promise<StoredBlob>;
  /** Whole content; for small blobs. Throws `blob-missing`. */
  read(digest: Digest): Promise<Uint8Array>;
  /** Path of a read-only local copy, for programs. Throws `blob-missing`. Never write to it. */
  file(digest: Digest): Promise<string>;
}
