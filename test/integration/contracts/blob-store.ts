import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { parseDigest, type Digest } from '../../../src/core/model/ids.ts';
import type { BlobStore } from '../../../src/ports/blob-store.ts';

export interface OpenBlobStore {
  readonly blobs: BlobStore;
  close(): Promise<void>;
}

function digestOf(content: string | Uint8Array): Digest {
  return parseDigest(`sha256:${createHash('sha256').update(content).digest('hex')}`);
}

async function* inChunks(...chunks: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield await Promise.resolve(Buffer.from(chunk));
}

async function* endless(): AsyncGenerator<Uint8Array> {
  for (;;) yield await Promise.resolve(new Uint8Array(1_024));
}

/** Every adapter of the port passes this. */
export function testBlobStore(name: string, open: () => Promise<OpenBlobStore>): void {
  async function withBlobs(work: (blobs: BlobStore) => Promise<void>): Promise<void> {
    const opened = await open();
    try {
      await work(opened.blobs);
    } finally {
      await opened.close();
    }
  }

  describe(`${name}: blobs`, () => {
    it.each([
      ['text', 'hällo', 'hällo'],
      ['bytes', Buffer.from([0, 255, 1]), Buffer.from([0, 255, 1])],
      ['a stream', inChunks('a', '', 'bc'), 'abc'],
      ['nothing', inChunks(), ''],
    ])('keeps %s under its digest', (_, content, same) =>
      withBlobs(async (blobs) => {
        const stored = await blobs.put(content);

        const bytes = Buffer.from(same);
        expect(stored).toEqual({ digest: digestOf(bytes), sizeBytes: bytes.length });
        expect(Buffer.from(await blobs.read(stored.digest))).toEqual(bytes);
        expect(await readFile(await blobs.file(stored.digest))).toEqual(bytes);
      }),
    );

    it('stores the same content many times at once', () =>
      withBlobs(async (blobs) => {
        const content = 'x'.repeat(100_000);

        const all = await Promise.all(Array.from({ length: 20 }, () => blobs.put(inChunks(content, 'y'))));

        expect(new Set(all.map((one) => one.digest)).size).toBe(1);
        expect(Buffer.from(await blobs.read(digestOf(`${content}y`))).toString()).toBe(`${content}y`);
      }));

    it('refuses what is over the limit and stores nothing of it', () =>
      withBlobs(async (blobs) => {
        await expect(blobs.put(endless(), { maxBytes: 10_000 })).rejects.toMatchObject({ code: 'input-too-large' });
        await expect(blobs.put('12345', { maxBytes: 4 })).rejects.toMatchObject({ code: 'input-too-large' });

        expect((await blobs.put('1234', { maxBytes: 4 })).sizeBytes).toBe(4);
        await expect(blobs.read(digestOf('12345'))).rejects.toMatchObject({ code: 'blob-missing' });
      }));

    it('ends on abort', () =>
      withBlobs(async (blobs) => {
        const controller = new AbortController();
        const putting = blobs.put(endless(), { signal: controller.signal });

        controller.abort(new Error('enough'));

        await expect(putting).rejects.toThrow('enough');
      }));

    it('passes on the failure of a stream', () =>
      withBlobs(async (blobs) => {
        async function* broken(): AsyncGenerator<Uint8Array> {
          yield await Promise.resolve(Buffer.from('half'));
          throw new Error('the source broke');
        }

        await expect(blobs.put(broken())).rejects.toThrow('the source broke');
        await expect(blobs.file(digestOf('half'))).rejects.toMatchObject({ code: 'blob-missing' });
      }));

    it('says that a blob is missing, also for a text that is no digest', () =>
      withBlobs(async (blobs) => {
        const hostile = 'sha256:../../../../etc/passwd' as Digest;

        for (const digest of [digestOf('nobody'), hostile]) {
          await expect(blobs.read(digest)).rejects.toMatchObject({ code: 'blob-missing' });
          await expect(blobs.file(digest)).rejects.toMatchObject({ code: 'blob-missing' });
        }
      }));
  });
}
