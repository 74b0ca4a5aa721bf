import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';

/*
 * A finished log: gzip members of some 256 kB each, one after the other, so that a piece is read without the rest, and the whole with `zcat`. An empty member at
 * the end carries the index as its extra field: per block its compressed bytes, its bytes and its lines, and last the number of blocks.
 */
const blockBytes = 256 * 1024;
const entryBytes = 12;
/** The extra field of gzip holds 64 kB: beyond that the blocks grow. */
const maxBlocks = 5000;
const emptyMember = Buffer.from([0x03, 0x00, 0, 0, 0, 0, 0, 0, 0, 0]);
const compress = promisify(gzip);
const decompress = promisify(gunzip);
const newLine = 10;

export interface SealedBlock {
  readonly compressedAt: number;
  readonly compressedBytes: number;
  readonly at: number;
  readonly sizeBytes: number;
  /** Lines before this block. */
  readonly line: number;
}

export interface SealedIndex {
  readonly blocks: readonly SealedBlock[];
  readonly sizeBytes: number;
}

/** Reads from an offset; fewer bytes than asked for: there are no more. */
export type ReadAt = (at: number, sizeBytes: number) => Promise<Uint8Array>;

/** The sealed form of the first `sizeBytes` of a log, or of what there is of them. */
export async function* sealLog(sizeBytes: number, readAt: ReadAt): AsyncGenerator<Uint8Array> {
  const entries: number[][] = [];
  const step = Math.max(blockBytes, Math.ceil(sizeBytes / maxBlocks));
  for (let at = 0; at < sizeBytes; at += step) {
    const wanted = Math.min(step, sizeBytes - at);
    const block = await readAt(at, wanted);
    if (block.length === 0) break;
    const compressed = await compress(block, { level: 3 });
    entries.push([compressed.length, block.length, countLines(block)]);
    yield compressed;
    if (block.length < wanted) break; // shorter than the position: a power cut took the rest
  }
  yield indexMember(entries);
}

function indexMember(entries: readonly (readonly number[])[]): Uint8Array {
  const field = Buffer.alloc(entries.length * entryBytes + 4);
  entries.flat().forEach((value, index) => field.writeUInt32LE(value, index * 4));
  field.writeUInt32LE(entries.length, field.length - 4);
  const head = Buffer.from([0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 0, 0, 'L'.charCodeAt(0), 'M'.charCodeAt(0), 0, 0]);
  head.writeUInt16LE(field.length + 4, 10);
  head.writeUInt16LE(field.length, 14);
  return Buffer.concat([head, field, emptyMember]);
}

function countLines(block: Uint8Array): number {
  let lines = 0;
  for (let at = block.indexOf(newLine); at >= 0; at = block.indexOf(newLine, at + 1)) lines += 1;
  return lines;
}

export async function readIndex(path: string): Promise<SealedIndex> {
  await using file = await open(path, 'r');
  const { size } = await file.stat();
  const end = size - emptyMember.length;
  const count = (await readExactly(file, end - 4, 4)).readUInt32LE();
  const entries = await readExactly(file, end - 4 - count * entryBytes, count * entryBytes);
  const blocks: SealedBlock[] = [];
  let [compressedAt, at, line] = [0, 0, 0];
  for (let offset = 0; offset < entries.length; offset += entryBytes) {
    const [compressedBytes, sizeBytes] = [entries.readUInt32LE(offset), entries.readUInt32LE(offset + 4)];
    blocks.push({ compressedAt, compressedBytes, at, sizeBytes, line });
    compressedAt += compressedBytes;
    at += sizeBytes;
    line += entries.readUInt32LE(offset + 8);
  }
  return { blocks, sizeBytes: at };
}

export async function readBlock(path: string, block: SealedBlock): Promise<Uint8Array> {
  await using file = await open(path, 'r');
  return await decompress(await readExactly(file, block.compressedAt, block.compressedBytes));
}

async function readExactly(file: FileHandle, at: number, sizeBytes: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(sizeBytes), 0, sizeBytes, at);
  if (bytesRead < sizeBytes) throw new Error('a sealed log is cut off');
  return buffer;
}
