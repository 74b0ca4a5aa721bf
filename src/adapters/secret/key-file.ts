import { randomBytes, randomUUID } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { link, mkdir, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { DomainError } from '../../core/errors.ts';

export const keyBytes = 32;

const base64 = /^[A-Za-z0-9+/]{43}=$/;

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

export type Keys = readonly [Uint8Array, ...Uint8Array[]];

/** The file of the master keys, one in base64 on each line: the first one seals, all of them open. */
export class KeyFile {
  readonly #file: string;
  #keys: Keys;
  #stamp: string;

  constructor(file: string, keys: Keys) {
    this.#file = file;
    this.#keys = keys;
    this.#stamp = stampOf(file);
  }

  /** As the file holds them now: a process that runs learns of a new key by itself. While the file cannot be read, those that were known. */
  current(): Keys {
    const stamp = stampOf(this.#file);
    if (stamp === this.#stamp) return this.#keys;
    try {
      this.#keys = readKeys(this.#file) ?? this.#keys;
      this.#stamp = stamp;
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
    }
    return this.#keys;
  }

  /** Puts a new key in front. The others stay: what they have sealed must be opened. */
  async addKey(): Promise<void> {
    const keys = [randomBytes(keyBytes), ...(readKeys(this.#file) ?? this.#keys)];
    await writeKeys(this.#file, keys, 'replace');
  }
}

/** The keys in `file`, which is made when it is missing. Several processes may do so at once: one key wins. Throws `configuration-invalid`. */
export async function openKeyFile(file: string): Promise<KeyFile> {
  let keys = readKeys(file);
  if (keys === undefined) {
    await writeKeys(file, [randomBytes(keyBytes)], 'create');
    keys = readKeys(file);
  }
  if (keys === undefined)
    throw new DomainError('configuration-invalid', `the key file ${file} vanished after it was made`);
  return new KeyFile(file, keys);
}

function stampOf(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false });
  return found === undefined ? '' : `${found.ino} ${found.mtimeMs} ${found.size}`;
}

function readKeys(file: string): Keys | undefined {
  try {
    const mode = statSync(file).mode;
    if ((mode & 0o077) !== 0) {
      const message = `the key file ${file} can be read by other users; run: chmod 600 ${file}`;
      throw new DomainError('configuration-invalid', message);
    }
    const lines = readFileSync(file, 'utf8').trim().split('\n');
    const [first, ...others] = lines.map((line) => parseKey(line.trim(), file));
    return first && [first, ...others];
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    if (error instanceof DomainError) throw error;
    throw new DomainError('configuration-invalid', `the key file ${file} cannot be read`, { cause: error });
  }
}

function parseKey(text: string, file: string): Uint8Array {
  if (base64.test(text)) return Buffer.from(text, 'base64');
  throw new DomainError(
    'configuration-invalid',
    `each line of the key file ${file} must hold ${keyBytes} bytes in base64`,
  );
}

/** Complete or not at all: a half-written key would lock everybody out. `create` leaves a file alone that is there. */
async function writeKeys(file: string, keys: readonly Uint8Array[], how: 'create' | 'replace'): Promise<void> {
  const folder = path.dirname(file);
  const draft = `${file}.${randomUUID()}`;
  try {
    await mkdir(folder, { recursive: true });
    const handle = await open(draft, 'wx', 0o600);
    try {
      await handle.writeFile(keys.map((key) => `${Buffer.from(key).toString('base64')}\n`).join(''));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await (how === 'create' ? link(draft, file) : rename(draft, file));
    await syncFolder(folder);
  } catch (error) {
    if (how === 'create' && hasCode(error, 'EEXIST')) return;
    throw new DomainError('configuration-invalid', `the key file ${file} cannot be made`, { cause: error });
  } finally {
    await rm(draft, { force: true });
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
