import type { Transaction } from 'kysely';
import type { HostStore } from '../../ports/host-store.ts';
import type { BeginResult } from '../../ports/task-store.ts';
import type { Database } from './database.ts';
import type { AttemptTable, Tables } from './tables.ts';

// I2: what a machine has begun is its own while it is heard of.

export class SqlHostStore implements HostStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async beat(host: string): Promise<void> {
    const beatAtMs = this.#database.now();
    await this.#database.write((db) =>
      db
        .insertInto('hosts')
        .values({ id: host, beatAtMs })
        .onConflict((conflict) => conflict.column('id').doUpdateSet({ beatAtMs }))
        .execute(),
    );
  }
}

/** Undefined: the host may take the attempt over. */
export async function findHold(
  db: Transaction<Tables>,
  attempt: AttemptTable,
  asking: { readonly host: string; readonly now: number; readonly leaseMs: number },
): Promise<Extract<BeginResult, { type: 'held' }> | undefined> {
  if (attempt.host === asking.host) return undefined;
  const row = await db.selectFrom('hosts').selectAll().where('id', '=', attempt.host).executeTakeFirst();
  const leftMs = row === undefined ? 0 : row.beatAtMs + asking.leaseMs - asking.now;
  return leftMs > 0 ? { type: 'held', host: attempt.host, leftMs } : undefined;
}
