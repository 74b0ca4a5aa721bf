import { randomBytes, randomUUID } from 'node:crypto';
import { link, mkdir, open, rm } from 'node:fs/promises';
import path from 'node:path';
import { DomainError } from '../../core/errors.ts';

export const keyBytes = 32;

const base64 = /^[A-Za-z0-9+/]{43}=$/;

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

/** The key in `file`, made when it is missing. Several processes may do so at once: one key wins. Throws `configuration-invalid`. */
export async function loadOrCreateKey(file: string): Promise<Uint8Array> {
  const known = await readKey(file);
  if (known !== undefined) return known;
  await createKey(file);
  const key = await readKey(file);
  if (key === undefined)
    throw new DomainError('configuration-invalid', `the key file ${file} vanished after it was made`);
  return key;
}

async function readKey(file: string): Promise<Uint8Array | undefined> {
  try {
    await using handle = await open(file, 'r');
    const { mode } = await handle.stat();
    if ((mode & 0o077) !== 0) {
      const message = `the key file ${file} can be read by other users; run: chmod 600 ${file}`;
      throw new DomainError('configuration-invalid', message);
    }
    const text = (await handle.readFile('utf8')).trim();
    if (!base64.test(text)) {
      throw new DomainError('configuration-invalid', `the key file ${file} must hold ${keyBytes} bytes in base64`);
    }
    return Buffer.from(text, 'base64');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    if (error instanceof DomainError) throw error;
    throw new DomainError('configuration-invalid', `the key file ${file} cannot be read`, { cause: error });
  }
}

/** Complete or not at all: a half-written key would lock everybody out. */
async function createKey(file: string): Promise<void> {
  const folder = path.dirname(file);
  await mkdir(folder, { recursive: true });
  const draft = `${file}.${randomUUID()}`;
  try {
    const handle = await open(draft, 'wx', 0o600);
    try {
      await handle.writeFile(`${randomBytes(keyBytes).toString('base64')}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await link(draft, file);
    await syncFolder(folder);
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) {
      throw new DomainError('configuration-invalid', `the key file ${file} cannot be made`, { cause: error });
    }
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
