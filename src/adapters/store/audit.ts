import type { Transaction } from 'kysely';
import type { AuditEntry, AuditOutcome, AuditStore } from '../../ports/audit-store.ts';
import type { Database } from './database.ts';
import type { AuditTable, Tables } from './tables.ts';
import { cutText, fromJson, toJson } from './values.ts';

type NewEntry = Parameters<AuditStore['begin']>[0];

/** I10: bounded, whoever calls however often. */
const keptEntries = 100_000;

export class SqlAuditStore implements AuditStore {
  readonly #database: Database;
  readonly #kept: number;

  constructor(database: Database, kept = keptEntries) {
    this.#database = database;
    this.#kept = kept;
  }

  async begin(entry: NewEntry): Promise<number> {
    for (;;) {
      const number = await this.#database.write((db) => this.#add(db, entry));
      if (number !== undefined) return number;
    }
  }

  /** Undefined when another connection took the number meanwhile. */
  async #add(db: Transaction<Tables>, entry: NewEntry): Promise<number | undefined> {
    const last = await db.selectFrom('audit').select('number').orderBy('number', 'desc').limit(1).executeTakeFirst();
    const number = (last?.number ?? 0) + 1;
    const row: AuditTable = {
      number,
      atMs: this.#database.now(),
      token: cutText(entry.token, 100),
      address: cutText(entry.address, 100),
      method: cutText(entry.method, 10),
      path: cutText(entry.path, 500),
      details: toJson(entry.details),
      status: null,
      code: null,
    };
    const added = await db
      .insertInto('audit')
      .values(row)
      .onConflict((conflict) => conflict.doNothing())
      .returning('number')
      .executeTakeFirst();
    await db
      .deleteFrom('audit')
      .where('number', '<=', number - this.#kept)
      .execute();
    return added?.number;
  }

  async end(number: number, { status, code }: AuditOutcome): Promise<void> {
    await this.#database.write((db) =>
      db
        .updateTable('audit')
        .set({ status, code: code ?? null })
        .where('number', '=', number)
        .execute(),
    );
  }

  async list({ limit, before, token }: Parameters<AuditStore['list']>[0]): Promise<readonly AuditEntry[]> {
    const rows = await this.#database.read((db) => {
      let query = db.selectFrom('audit').selectAll();
      if (before !== undefined) query = query.where('number', '<', before);
      if (token !== undefined) query = query.where('token', '=', token);
      return query.orderBy('number', 'desc').limit(limit).execute();
    });
    return rows.map(toEntry);
  }
}

function toEntry({ status, code, details, ...row }: AuditTable): AuditEntry {
  return {
    ...row,
    details: fromJson(details) as AuditEntry['details'],
    outcome: status === null ? undefined : { status, code: code ?? undefined },
  };
}
