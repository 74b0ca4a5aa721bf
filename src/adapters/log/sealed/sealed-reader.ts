import type { Digest } from '../../../core/model/ids.ts';
import type { BlobStore } from '../../../ports/blob-store.ts';
import type { LogChunk } from '../../../ports/log-store.ts';
import { readBlock, readIndex } from './sealed-log.ts';
import type { SealedBlock, SealedIndex } from './sealed-log.ts';

const keptIndexes = 64;
const keptBlocks = 16;

/** Reads sealed logs piece by piece; readers go forward, so the block in hand is mostly the next one asked for. */
export class SealedReader {
  readonly #blobs: BlobStore;
  readonly #indexes = new Map<string, Promise<SealedIndex>>();
  readonly #blocks = new Map<string, Promise<Uint8Array>>();

  constructor(blobs: BlobStore) {
    this.#blobs = blobs;
  }

  async read(digest: Digest, offset: number, maxBytes: number): Promise<LogChunk> {
    const path = await this.#blobs.file(digest);
    const index = await remember(this.#indexes, digest, keptIndexes, () => readIndex(path));
    const block = findBlock(index, offset);
    if (block === undefined) return { bytes: new Uint8Array(0), nextOffset: offset, ended: true };
    const bytes = await remember(this.#blocks, `${digest} ${block.at}`, keptBlocks, () => readBlock(path, block));
    const from = offset - block.at;
    const piece = bytes.subarray(from, from + maxBytes);
    const nextOffset = offset + piece.length;
    return { bytes: piece, nextOffset, ended: nextOffset >= index.sizeBytes };
  }
}

function findBlock({ blocks }: SealedIndex, offset: number): SealedBlock | undefined {
  const index = blocks.findLastIndex((block) => block.at <= offset);
  const block = blocks[index];
  return block !== undefined && offset < block.at + block.sizeBytes ? block : undefined;
}

/** The last `size` values that were asked for. */
async function remember<T>(
  kept: Map<string, Promise<T>>,
  key: string,
  size: number,
  make: () => Promise<T>,
): Promise<T> {
  const value = kept.get(key) ?? make();
  kept.delete(key);
  kept.set(key, value);
  for (const oldest of kept.keys()) {
    if (kept.size <= size) break;
    kept.delete(oldest);
  }
  try {
    return await value;
  } catch (error) {
    kept.delete(key);
    throw error;
  }
}
