import type { Digest } from '../../core/model/ids.ts';
import type { LogKey, LogPosition } from '../../ports/log-store.ts';
import type { LogPositionStore } from '../../ports/log-store.ts';
import type { Database } from './database.ts';
import { present } from './values.ts';

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

  async advance({ run, task, attempt }: LogKey, from: LogPosition, to: LogPosition): Promise<boolean> {
    const row = await this.#database.write(async (db) => {
      if (from.source === 0 && from.stored === 0) {
        const start = { run, task, attempt, source: 0, stored: 0, sealed: null };
        await db
          .insertInto('logs')
          .values(start)
          .onConflict((conflict) => conflict.doNothing())
          .execute();
      }
      return db
        .updateTable('logs')
        .set({ source: to.source, stored: to.stored })
        .where('run', '=', run)
        .where('task', '=', task)
        .where('attempt', '=', attempt)
        .where('source', '=', from.source)
        .where('stored', '=', from.stored)
        .where('sealed', 'is', null)
        .returning('source')
        .executeTakeFirst();
    });
    return row !== undefined;
  }

  async seal({ run, task, attempt }: LogKey, digest: Digest): Promise<void> {
    await this.#database.write((db) =>
      db
        .insertInto('logs')
        .values({ run, task, attempt, source: 0, stored: 0, sealed: digest })
        .onConflict((conflict) => conflict.columns(['run', 'task', 'attempt']).doUpdateSet({ sealed: digest }))
        .execute(),
    );
  }
}
