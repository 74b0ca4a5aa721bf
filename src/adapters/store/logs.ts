import type { Transaction, Updateable } from 'kysely';
import type { Digest } from '../../core/model/ids.ts';
import type { LogKey, LogPosition } from '../../ports/log-store.ts';
import type { LogPositionStore } from '../../ports/log-store.ts';
import type { Database } from './database.ts';
import type { LogTable, Tables } from './tables.ts';
import { present } from './values.ts';

/** Readers count on it. */
const maxChunkBytes = 256 * 1024;

export class SqlLogPositionStore implements LogPositionStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async get({ run, task, attempt }: LogKey): ReturnType<LogPositionStore['get']> {
    const row = await this.#database.read((db) =>
      db
        .selectFrom('logs')
        .select(['source', 'stored', 'sealed'])
        .where('run', '=', run)
        .where('task', '=', task)
        .where('attempt', '=', attempt)
        .executeTakeFirst(),
    );
    return row && { source: row.source, stored: row.stored, sealed: present(row.sealed) };
  }

  async advance(key: LogKey, from: LogPosition, to: LogPosition, bytes?: Uint8Array): Promise<boolean> {
    const { run, task, attempt } = key;
    return this.#database.write(async (db) => {
      if (!(await change(db, key, from, { source: to.source, stored: to.stored }))) return false;
      for (let at = 0; bytes !== undefined && at < bytes.length; at += maxChunkBytes) {
        const chunk = { run, task, attempt, at: from.stored + at, bytes: bytes.subarray(at, at + maxChunkBytes) };
        await db.insertInto('logChunks').values(chunk).execute();
      }
      return true;
    });
  }

  async read({ run, task, attempt }: LogKey, offset: number, maxBytes: number): Promise<Uint8Array> {
    const chunks = await this.#database.read((db) =>
      db
        .selectFrom('logChunks')
        .select(['at', 'bytes'])
        .where('run', '=', run)
        .where('task', '=', task)
        .where('attempt', '=', attempt)
        .where('at', '<', offset + maxBytes)
        .where('at', '>', offset - maxChunkBytes)
        .orderBy('at')
        .execute(),
    );
    const pieces = chunks.map(({ at, bytes }) => bytes.subarray(Math.max(0, offset - at), offset + maxBytes - at));
    return new Uint8Array(Buffer.concat(pieces));
  }

  async seal(key: LogKey, at: LogPosition, digest: Digest): Promise<boolean> {
    const { run, task, attempt } = key;
    return this.#database.write(async (db) => {
      if (!(await change(db, key, at, { sealed: digest }))) return false;
      await db
        .deleteFrom('logChunks')
        .where('run', '=', run)
        .where('task', '=', task)
        .where('attempt', '=', attempt)
        .execute();
      return true;
    });
  }
}

/** Compare-and-set on the position of a log that is not sealed; a log that was never written stands at its start. */
async function change(
  db: Transaction<Tables>,
  { run, task, attempt }: LogKey,
  from: LogPosition,
  to: Updateable<LogTable>,
): Promise<boolean> {
  if (from.source === 0 && from.stored === 0) {
    await db
      .insertInto('logs')
      .values({ run, task, attempt, source: 0, stored: 0, sealed: null })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }
  const row = await db
    .updateTable('logs')
    .set(to)
    .where('run', '=', run)
    .where('task', '=', task)
    .where('attempt', '=', attempt)
    .where('source', '=', from.source)
    .where('stored', '=', from.stored)
    .where('sealed', 'is', null)
    .returning('source')
    .executeTakeFirst();
  return row !== undefined;
}
