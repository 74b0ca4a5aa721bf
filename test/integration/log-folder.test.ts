import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { createFolderBlobStore } from '../../src/adapters/blob/folder/folder-blob-store.ts';
import { createFolderLogStore } from '../../src/adapters/log/folder/folder-log-store.ts';
import { createSecretBox } from '../../src/adapters/secret/secret-box.ts';
import { createStore } from '../../src/adapters/store/store.ts';
import type { BlobStore } from '../../src/ports/blob-store.ts';
import type { LogPositionStore } from '../../src/ports/log-store.ts';
import { bytesOf, follow, makeLogKey, testLogStore } from './contracts/log-store.ts';

async function makeFolder() {
  const folder = await mkdtemp(path.join(tmpdir(), 'loam-logs-'));
  const store = await createStore({
    file: path.join(folder, 'loam.db'),
    secretBox: createSecretBox({ key: new Uint8Array(32).fill(7) }),
    pickFrontPort: () => Promise.resolve(1),
  });
  let advances = 0;
  const positions: LogPositionStore = {
    get: (log) => store.logs.get(log),
    advance: (...step) => {
      advances += 1;
      return store.logs.advance(...step);
    },
    read: (...piece) => store.logs.read(...piece),
    seal: (...end) => store.logs.seal(...end),
  };
  const blobs: BlobStore = createFolderBlobStore({ folder: path.join(folder, 'blobs') });
  const open = (into = blobs) => createFolderLogStore({ folder: path.join(folder, 'logs'), positions, blobs: into });
  const file = path.join(folder, 'logs', 'thingy.1.1.test.1.log');
  async function close(): Promise<void> {
    await store.close();
    await rm(folder, { recursive: true });
  }
  return { folder, file, blobs, open, countAdvances: () => advances, close };
}

const key = makeLogKey();

testLogStore('a folder', makeFolder);
describe('a folder: log files', () => {
  it('cuts off what a dead writer left behind the position', async () => {
    const { open, close, file } = await makeFolder();
    try {
      await open().note(key, 'one');
      await writeFile(file, 'one\nhalf a li');

      expect(await open().read(key, 0, 100)).toMatchObject({ bytes: Buffer.from('one\n'), ended: false });
      const writer = open();
      await writer.append(key, { from: 0, nextSource: 4, text: bytesOf('two\n') });
      expect((await follow(writer, key, (text) => text.length >= 8)).text).toBe('one\ntwo\n');
      expect(await readFile(file, 'utf8')).toBe('one\ntwo\n');
    } finally {
      await close();
    }
  });

  it('stays readable when a power cut took the end of the file', async () => {
    const { open, close, file } = await makeFolder();
    try {
      await open().note(key, 'one and two');
      await truncate(file, 4);

      expect(await open().read(key, 0, 100)).toMatchObject({ nextOffset: 4, ended: false });
      await open().seal(key);
      expect((await follow(open(), key, () => false)).text).toBe('one ');
    } finally {
      await close();
    }
  });

  it('leaves one compressed blob that zcat reads, and no file', async () => {
    const { open, close, folder, blobs } = await makeFolder();
    try {
      const text = 'a line of some length\n'.repeat(50_000);
      const logs = open();
      await logs.append(key, { from: 0, nextSource: text.length, text: bytesOf(text) });

      const digest = await logs.seal(key);

      expect(await readdir(path.join(folder, 'logs'))).toEqual([]);
      const blob = await blobs.read(digest);
      expect(blob.length).toBeLessThan(text.length / 50);
      expect(gunzipSync(blob).toString() === text).toBe(true);
    } finally {
      await close();
    }
  });

  it('takes a stream of small chunks with few steps in the database', async () => {
    const { open, close, countAdvances } = await makeFolder();
    try {
      const logs = open();
      const text = bytesOf(`${'x'.repeat(1023)}\n`);
      const startedAtMs = performance.now();
      let from = 0;
      while (from < 8 * 1024 * 1024) {
        await logs.append(key, { from, nextSource: from + text.length, text });
        from += text.length;
      }
      const elapsedMs = performance.now() - startedAtMs;
      await logs.seal(key);

      expect((await open().position(key)).stored).toBe(from);
      expect(countAdvances()).toBeLessThan(elapsedMs / 20 + 3);
    } finally {
      await close();
    }
  });
});
