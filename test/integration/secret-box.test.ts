import { chmod, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openKeyFile } from '../../src/adapters/secret/key-file.ts';
import { createSecretBox } from '../../src/adapters/secret/secret-box.ts';

const oldKey = new Uint8Array(32).fill(1);
const newKey = new Uint8Array(32).fill(2);

describe('secret box', () => {
  it.each(['', 'hällo 😀', 'x'.repeat(100_000)])('opens what it has sealed', (plain) => {
    const box = createSecretBox({ key: oldKey });

    const sealed = box.seal(plain, 'trust/demo');

    expect(box.open(sealed, 'trust/demo').reveal()).toBe(plain);
    expect(inspect({ secret: box.open(sealed, 'trust/demo') })).toContain('[redacted]');
  });

  it('never seals alike', () => {
    const box = createSecretBox({ key: oldKey });

    expect(box.seal('same', 'a')).not.toBe(box.seal('same', 'a'));
  });

  it('refuses a text that was changed, moved or sealed by an unknown key', () => {
    const box = createSecretBox({ key: oldKey });
    const sealed = box.seal('secret', 'trust/demo');
    const parts = sealed.split('.');
    const other = box.seal('secret', 'trust/demo').split('.');
    const changed = [
      parts.with(3, `${String(parts[3]).slice(0, -4)}AAAA`),
      parts.with(2, String(other[2])),
      parts.with(0, 'v2'),
      parts.slice(0, 3),
      [...parts, ''],
      parts.with(3, ''),
    ].map((some) => some.join('.'));

    for (const text of [...changed, '', 'plain']) {
      expect(() => box.open(text, 'trust/demo')).toThrow(expect.objectContaining({ code: 'internal' }));
    }
    expect(() => box.open(sealed, 'trust/other')).toThrow(expect.objectContaining({ code: 'internal' }));
    expect(() => createSecretBox({ key: newKey }).open(sealed, 'trust/demo')).toThrow(/is missing/);
  });

  it('seals with the first key and opens with all of them', () => {
    const before = createSecretBox({ key: oldKey }).seal('secret', 'a');
    const rotated = createSecretBox({ keys: [newKey, oldKey] });

    const after = rotated.seal('secret', 'a');

    expect(rotated.open(before, 'a').reveal()).toBe('secret');
    expect(createSecretBox({ key: newKey }).open(after, 'a').reveal()).toBe('secret');
  });

  it('refuses a key of another length', () => {
    expect(() => createSecretBox({ key: new Uint8Array(16) })).toThrow(
      expect.objectContaining({ code: 'configuration-invalid' }),
    );
  });
});

describe('key file', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'loam-key-'));
  });

  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  it('is made once for its owner, also by many at the same moment', async () => {
    const file = path.join(folder, 'data', 'key');

    const keys = await Promise.all(Array.from({ length: 10 }, async () => (await openKeyFile(file)).current()[0]));

    expect(new Set(keys.map((key) => Buffer.from(key).toString('hex'))).size).toBe(1);
    expect(keys[0]).toHaveLength(32);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readdir(path.dirname(file))).toEqual(['key']);
  });

  it.each([0o640, 0o604, 0o660])('is refused when others can read it (%o)', async (mode) => {
    const file = path.join(folder, 'key');
    await openKeyFile(file);
    await chmod(file, mode);

    await expect(openKeyFile(file)).rejects.toMatchObject({
      code: 'configuration-invalid',
      message: expect.stringContaining(`chmod 600 ${file}`) as string,
    });
  });

  it.each(['', 'short', `${'A'.repeat(43)}=x`])('is refused when it holds no key: %j', async (text) => {
    const file = path.join(folder, 'key');
    await writeFile(file, text, { mode: 0o600 });

    await expect(openKeyFile(file)).rejects.toMatchObject({ code: 'configuration-invalid' });
  });

  it('is refused when it is a folder', async () => {
    await expect(openKeyFile(folder)).rejects.toMatchObject({ code: 'configuration-invalid' });
  });

  it('takes a new key in front while it is open elsewhere, and opens what the old one has sealed', async () => {
    const file = path.join(folder, 'key');
    const [one, other] = await Promise.all([openKeyFile(file), openKeyFile(file)]);
    const [box, theirs] = [createSecretBox(one), createSecretBox(other)];
    const before = box.seal('secret', 'a');

    await one.addKey();
    const after = theirs.seal('secret', 'a');

    expect([theirs.isCurrent(before), box.isCurrent(after)]).toEqual([false, true]);
    expect([theirs.open(before, 'a').reveal(), box.open(after, 'a').reveal()]).toEqual(['secret', 'secret']);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readdir(folder)).toEqual(['key']);
  });

  it('goes on with the keys that it knows while the file is damaged or gone', async () => {
    const file = path.join(folder, 'key');
    const box = createSecretBox(await openKeyFile(file));
    const sealed = box.seal('secret', 'a');

    await writeFile(file, 'damaged');
    const damaged = box.open(sealed, 'a').reveal();
    await rm(file);

    expect([damaged, box.open(sealed, 'a').reveal()]).toEqual(['secret', 'secret']);
  });
});
