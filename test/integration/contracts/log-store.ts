import { describe, expect, it } from 'vitest';
import { formatRunId, parseApplicationName, parseTaskName } from '../../../src/core/model/ids.ts';
import type { BlobStore } from '../../../src/ports/blob-store.ts';
import type { LogKey, LogStore } from '../../../src/ports/log-store.ts';

export interface LogStoreSubject {
  /** The same logs as another process sees them. */
  open(blobs?: BlobStore): LogStore;
  readonly blobs: BlobStore;
  close(): Promise<void>;
}

export function makeLogKey(task = 'test', attempt = 1): LogKey {
  const application = parseApplicationName('thingy');
  return { run: formatRunId({ application, number: 1, round: 1 }), task: parseTaskName(task), attempt };
}

export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Reads on, as a tail does, until the log has ended or `isEnough`. */
export async function follow(logs: LogStore, key: LogKey, isEnough: (text: string) => boolean, maxBytes = 64 * 1024) {
  const signal = AbortSignal.timeout(20_000);
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (;;) {
    signal.throwIfAborted();
    const { bytes, nextOffset, ended } = await logs.read(key, offset, maxBytes);
    parts.push(bytes);
    offset = nextOffset;
    const text = Buffer.concat(parts).toString();
    if (ended || isEnough(text)) return { text, offset, ended };
    if (bytes.length === 0) await logs.wait(key, offset, { timeoutMs: 5000, signal });
  }
}

/** Every adapter of the port passes this. */
export function testLogStore(name: string, make: () => Promise<LogStoreSubject>): void {
  async function withLogs(
    work: (writer: LogStore, open: LogStoreSubject['open'], blobs: BlobStore) => Promise<void>,
  ): Promise<void> {
    const subject = await make();
    try {
      await work(subject.open(), (blobs) => subject.open(blobs), subject.blobs);
    } finally {
      await subject.close();
    }
  }

  const key = makeLogKey();

  describe(`${name}: logs`, () => {
    it('knows an unknown log as empty and not ended', () =>
      withLogs(async (logs) => {
        expect(await logs.position(key)).toEqual({ source: 0, stored: 0 });
        expect(await logs.read(key, 0, 100)).toEqual({ bytes: new Uint8Array(0), nextOffset: 0, ended: false });
      }));

    it('appends masked text for source bytes, in order', () =>
      withLogs(async (logs, open) => {
        await logs.append(key, { from: 0, nextSource: 20, text: bytesOf('one\n') });
        const position = await logs.append(key, { from: 20, nextSource: 25, text: bytesOf('two\n') });

        expect(position).toEqual({ source: 25, stored: 8 });
        expect(await follow(open(), key, (text) => text.length >= 8)).toMatchObject({ text: 'one\ntwo\n' });
      }));

    it('keeps attempts apart', () =>
      withLogs(async (logs) => {
        await logs.append(makeLogKey('a', 1), { from: 0, nextSource: 1, text: bytesOf('1') });
        await logs.append(makeLogKey('a', 2), { from: 0, nextSource: 1, text: bytesOf('2') });

        expect(await follow(logs, makeLogKey('a', 2), (text) => text !== '')).toMatchObject({ text: '2' });
      }));

    it('drops what is stored already', () =>
      withLogs(async (logs) => {
        await logs.append(key, { from: 0, nextSource: 4, text: bytesOf('one\n') });

        expect(await logs.append(key, { from: 0, nextSource: 4, text: bytesOf('one\n') })).toEqual({
          source: 4,
          stored: 4,
        });
        expect(await follow(logs, key, (text) => text.length >= 4)).toMatchObject({ text: 'one\n' });
      }));

    it('refuses a chunk that does not begin where the log ends', () =>
      withLogs(async (logs) => {
        await logs.append(key, { from: 0, nextSource: 4, text: bytesOf('one\n') });

        await expect(logs.append(key, { from: 2, nextSource: 8, text: bytesOf('e\ntwo\n') })).rejects.toMatchObject({
          code: 'fence-stale',
        });
        expect(await logs.append(key, { from: 4, nextSource: 8, text: bytesOf('two\n') })).toMatchObject({ source: 8 });
      }));

    it('goes on with another writer, and refuses the one before', () =>
      withLogs(async (first, open) => {
        await first.append(key, { from: 0, nextSource: 4, text: bytesOf('one\n') });
        await follow(open(), key, (text) => text.length >= 4);
        const second = open();
        expect(await second.position(key)).toEqual({ source: 4, stored: 4 });
        await second.append(key, { from: 4, nextSource: 8, text: bytesOf('two\n') });

        await expect(first.append(key, { from: 4, nextSource: 8, text: bytesOf('TWO\n') })).rejects.toMatchObject({
          code: 'fence-stale',
        });
        expect(await follow(second, key, (text) => text.length >= 8)).toMatchObject({ text: 'one\ntwo\n' });
      }));

    it('lets a writer that comes back late take nothing from the one that went on (I2)', () =>
      withLogs(async (elder, open) => {
        const [younger, late] = [open(), open()];
        await elder.append(key, { from: 0, nextSource: 4, text: bytesOf('one\n') });
        await younger.append(key, { from: 4, nextSource: 8, text: bytesOf('two\n') });
        await younger.append(key, { from: 8, nextSource: 12, text: bytesOf('six\n') });

        const stale = await Promise.allSettled([
          elder.append(key, { from: 4, nextSource: 20, text: bytesOf('late\n') }),
          late.append(key, { from: 4, nextSource: 20, text: bytesOf('late\n') }),
        ]);
        await younger.append(key, { from: 12, nextSource: 16, text: bytesOf('ten\n') });
        await younger.seal(key);

        for (const result of stale)
          expect(result).toMatchObject({ status: 'rejected', reason: { code: 'fence-stale' } });
        expect((await follow(open(), key, () => false)).text).toBe('one\ntwo\nsix\nten\n');
      }));

    it('lets a writer that comes back late neither note nor seal (I2)', () =>
      withLogs(async (elder, open) => {
        const younger = open();
        await elder.append(key, { from: 0, nextSource: 4, text: bytesOf('one\n') });
        await younger.append(key, { from: 4, nextSource: 8, text: bytesOf('two\n') });
        await expect(elder.note(key, 'late')).rejects.toMatchObject({ code: 'fence-stale' });

        await elder.position(key);
        const another = open();
        await elder.append(key, { from: 8, nextSource: 12, text: bytesOf('six\n') });
        await another.append(key, { from: 12, nextSource: 16, text: bytesOf('ten\n') });
        await expect(elder.seal(key)).rejects.toMatchObject({ code: 'fence-stale' });

        await another.append(key, { from: 16, nextSource: 20, text: bytesOf('end\n') });
        await another.seal(key);
        expect((await follow(open(), key, () => false)).text).toBe('one\ntwo\nsix\nten\nend\n');
      }));

    it('seals no log that another writer goes on with meanwhile (I2)', () =>
      withLogs(async (elder, open, blobs) => {
        const younger = open();
        const slow = open({
          read: (digest) => blobs.read(digest),
          file: (digest) => blobs.file(digest),
          put: async (...blob) => {
            const stored = await blobs.put(...blob);
            await younger.note(key, 'two');
            return stored;
          },
        });
        await elder.note(key, 'one');

        await expect(slow.seal(key)).rejects.toMatchObject({ code: 'fence-stale' });
        await younger.seal(key);

        expect((await follow(open(), key, () => false)).text).toBe('one\ntwo\n');
      }));

    it('puts a note on a line of its own', () =>
      withLogs(async (logs) => {
        await logs.note(key, 'loam: begins');
        await logs.append(key, { from: 0, nextSource: 4, text: bytesOf('half') });
        await logs.note(key, 'loam: goes on');
        const position = await logs.append(key, { from: 4, nextSource: 5, text: bytesOf('\n') });

        expect(position.source).toBe(5);
        expect(await follow(logs, key, (text) => text.endsWith('on\n\n'))).toMatchObject({
          text: 'loam: begins\nhalf\nloam: goes on\n\n',
        });
      }));

    it('wakes a reader of another process', () =>
      withLogs(async (logs, open) => {
        const reader = open();
        const tail = follow(reader, key, (text) => text.includes('second'));

        await logs.append(key, { from: 0, nextSource: 6, text: bytesOf('first\n') });
        await logs.append(key, { from: 6, nextSource: 13, text: bytesOf('second\n') });

        expect(await tail).toMatchObject({ text: 'first\nsecond\n', ended: false });
      }));

    it('ends a wait in time and on abort', () =>
      withLogs(async (logs) => {
        const controller = new AbortController();

        await logs.wait(key, 0, { timeoutMs: 20, signal: new AbortController().signal });
        const waiting = logs.wait(key, 0, { timeoutMs: 60_000, signal: controller.signal });
        controller.abort();

        await waiting;
      }));

    it('shows readers the same after the end, piece by piece', () =>
      withLogs(async (logs, open) => {
        const lines = Array.from({ length: 60_000 }, (_, index) => `line ${index}\n`).join('');
        await logs.append(key, { from: 0, nextSource: lines.length, text: bytesOf(lines) });
        const reader = open();
        const tail = follow(reader, key, () => false);

        const digest = await logs.seal(key);

        expect(await logs.seal(key)).toBe(digest);
        const { text, ended, offset } = await tail;
        expect([text === lines, ended, offset]).toEqual([true, true, lines.length]);
        expect((await follow(open(), key, () => false, 10_007)).text === lines).toBe(true);
        const piece = await open().read(key, 300_000, 30);
        expect(Buffer.from(piece.bytes).toString()).toBe(lines.slice(300_000, 300_030));
        expect(await open().read(key, lines.length, 30)).toMatchObject({ nextOffset: lines.length, ended: true });
      }));

    it('seals a log that was never written', () =>
      withLogs(async (logs) => {
        await logs.seal(key);

        expect(await logs.read(key, 0, 10)).toEqual({ bytes: new Uint8Array(0), nextOffset: 0, ended: true });
        await logs.wait(key, 0, { timeoutMs: 60_000, signal: new AbortController().signal });
      }));
  });
}
