import { chmod, mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { createFolderBlobStore } from '../../src/adapters/blob/folder/folder-blob-store.ts';
import { testBlobStore } from './contracts/blob-store.ts';

async function openFolder() {
  const folder = await mkdtemp(path.join(tmpdir(), 'loam-blobs-'));
  return {
    folder,
    blobs: createFolderBlobStore({ folder: path.join(folder, 'blobs') }),
    close: () => rm(folder, { recursive: true }),
  };
}

testBlobStore('a folder', openFolder);

describe('a folder: files', () => {
  it('leaves no draft behind, and makes files read-only', async () => {
    const { folder, blobs, close } = await openFolder();
    try {
      const { digest } = await blobs.put('content');
      await blobs.put('content');
      await expect(blobs.put('too large', { maxBytes: 1 })).rejects.toThrow();

      expect(await readdir(path.join(folder, 'blobs/drafts'))).toEqual([]);
      expect((await stat(await blobs.file(digest))).mode & 0o777).toBe(0o444);
    } finally {
      await close();
    }
  });

  it('refuses a damaged blob, and heals one of the wrong size', async () => {
    const { blobs, close } = await openFolder();
    try {
      const { digest } = await blobs.put('content');
      const file = await blobs.file(digest);
      await chmod(file, 0o644);
      await writeFile(file, 'CONTENT');
      await expect(blobs.read(digest)).rejects.toMatchObject({ code: 'blob-missing' });
      await writeFile(file, '');

      await blobs.put('content');

      expect(Buffer.from(await blobs.read(digest)).toString()).toBe('content');
    } finally {
      await close();
    }
  });

  it('removes the drafts of a process that died a day ago', async () => {
    const { folder, close } = await openFolder();
    try {
      const blobs = path.join(folder, 'blobs');
      await createFolderBlobStore({ folder: blobs }).put('first');
      const drafts = path.join(blobs, 'drafts');
      const old = new Date(Date.now() - 25 * 60 * 60_000);
      await writeFile(path.join(drafts, 'old'), 'x');
      await utimes(path.join(drafts, 'old'), old, old);
      await writeFile(path.join(drafts, 'new'), 'x');

      await createFolderBlobStore({ folder: blobs }).put('second');

      expect(await readdir(drafts)).toEqual(['new']);
    } finally {
      await close();
    }
  });
});
