import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Secret } from '../ports/secret.ts';
import type { Store } from '../ports/store.ts';

const tokenBytes = 32;

/**
 * The local administrator's token: a file that only this user reads. Given by the configuration, or made at the first start; its hash is put back when the
 * database was replaced.
 */
export async function ensureAdminToken(store: Store, dataFolder: string, given: string | undefined): Promise<void> {
  const file = path.join(dataFolder, 'tokens/admin');
  const known = (await readFile(file, 'utf8').catch(() => '')).trim();
  const token = new Secret(given ?? (known === '' ? `loam_${randomBytes(tokenBytes).toString('base64url')}` : known));
  if (known !== token.reveal()) {
    await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(`${file}.tmp`, `${token.reveal()}\n`, { mode: 0o600 });
    await rename(`${file}.tmp`, file);
  }
  if ((await store.tokens.authenticate(token)) === undefined) {
    await store.tokens.put({ name: 'admin', grants: [{ role: 'admin' }], expiresAtMs: undefined }, token);
  }
}
