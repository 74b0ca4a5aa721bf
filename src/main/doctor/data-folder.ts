// The data folder: may we write, is there room, does the database open, who may read the key.
import { constants } from 'node:fs';
import { access, stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describePostgres } from '../../adapters/store/postgres-dialect.ts';
import type { Config } from '../../config.ts';
import { Secret } from '../../ports/secret.ts';
import { describe, missing, ok, warning } from './check.ts';
import type { Check } from './check.ts';

const mebibyte = 1024 ** 2;
const gibibyte = 1024 ** 3;
/** Below: the first artifacts or a busy log fill the disk. */
const littleBytes = 2 * gibibyte;
const tooLittleBytes = 200 * mebibyte;
const busyMs = 2_000;

export async function checkDataFolder({ dataDir }: Config): Promise<Check> {
  const name = 'data folder';
  const folder = await nearestFolder(dataDir);
  const isThere = folder === dataDir;
  const remedy = 'give it to the user who starts Loam, or set LOAM_DATA_DIR to another folder';
  if (!(await stat(folder)).isDirectory()) return missing(name, `${folder} is not a folder`, remedy);
  try {
    await access(folder, constants.W_OK | constants.X_OK);
  } catch {
    return missing(name, isThere ? `${dataDir} is not writable` : `${dataDir} cannot be made in ${folder}`, remedy);
  }
  return ok(name, isThere ? dataDir : `${dataDir} (not there yet: the first start makes it)`);
}

export async function checkFreeSpace({ dataDir }: Config): Promise<Check> {
  const name = 'free space';
  const { bavail, bsize } = await statfs(await nearestFolder(dataDir));
  const freeBytes = bavail * bsize;
  const found = `${(freeBytes / gibibyte).toFixed(1)} GiB`;
  const remedy = 'make room on the disk of the data folder, or set LOAM_DATA_DIR to another one';
  if (freeBytes < tooLittleBytes) return missing(name, found, remedy);
  return freeBytes < littleBytes ? warning(name, found, remedy) : ok(name, found);
}

/** Reads only: a doctor that migrates is no doctor. */
export async function checkDatabase({ dataDir, database: { readUrl } }: Config): Promise<Check> {
  const name = 'database';
  if (readUrl !== undefined) return checkServer(name, new Secret(readUrl()));
  const file = path.join(dataDir, 'loam.db');
  const size = await sizeOf(file);
  if (size === undefined || size === 0) return ok(name, 'not there yet: the first start makes it');
  try {
    using database = new DatabaseSync(file, { readOnly: true, timeout: busyMs });
    const { tables } =
      database.prepare("select count(*) as tables from sqlite_master where type = 'table'").get() ?? {};
    return ok(name, `${file} opens (SQLite ${process.versions['sqlite'] ?? ''}, ${String(tables)} tables)`);
  } catch (error) {
    return missing(name, `${file} does not open: ${describe(error)}`, 'put a backup of loam.db in its place');
  }
}

async function checkServer(name: string, url: Secret): Promise<Check> {
  try {
    const { version, tables } = await describePostgres(url);
    return ok(name, `PostgreSQL ${version} answers (${String(tables)} tables)`);
  } catch (error) {
    return missing(name, describe(error), 'start the server, or correct LOAM_DATABASE_URL');
  }
}

export async function checkKey({ keyFile, dataDir, database }: Config): Promise<Check> {
  const name = 'key';
  const found = await stat(keyFile).catch(() => undefined);
  if (found === undefined && database.readUrl !== undefined) {
    const remedy = 'put the key of the other hosts there; on the first host the start makes it';
    return warning(name, `${keyFile} is not there`, remedy);
  }
  if (found === undefined) {
    const isFirstStart = (await sizeOf(path.join(dataDir, 'loam.db'))) === undefined;
    if (isFirstStart) return ok(name, 'not there yet: the first start makes it');
    return missing(
      name,
      `${keyFile} is gone, and with it what opens the stored secrets`,
      'put the file back, or set LOAM_KEY_FILE to where it is',
    );
  }
  const mode = (found.mode & 0o777).toString(8).padStart(4, '0');
  if ((found.mode & 0o077) === 0) return ok(name, `${keyFile}, mode ${mode}`);
  return missing(name, `${keyFile} has mode ${mode}: other users may read it`, `chmod 600 ${keyFile}`);
}

async function nearestFolder(folder: string): Promise<string> {
  for (let candidate = folder; ; candidate = path.dirname(candidate)) {
    if ((await stat(candidate).catch(() => undefined)) !== undefined || candidate === path.dirname(candidate))
      return candidate;
  }
}

async function sizeOf(file: string): Promise<number | undefined> {
  return stat(file).then(
    ({ size }) => size,
    () => undefined,
  );
}
