import { CamelCasePlugin, Kysely, type Transaction } from 'kysely';
import { DomainError } from '../../core/errors.ts';
import type { SecretBox } from '../../ports/secret.ts';
import { migrate } from './migrations/migrate.ts';
import { createNodeSqliteDialect, sqliteCode } from './sqlite-dialect.ts';
import type { Tables } from './tables.ts';

/** BUSY, LOCKED, NOMEM, READONLY, IOERR, CORRUPT, FULL, CANTOPEN, NOTADB: the database, not the query, is at fault. */
const unavailableCodes = new Set([5, 6, 7, 8, 10, 11, 13, 14, 26]);

export interface DatabaseOptions {
  readonly file: string;
  readonly secretBox: SecretBox;
  readonly now: () => number;
  readonly busyWaitMs: number;
}

/** One connection of this process to the database, shared by the parts of the store. */
export class Database {
  readonly secretBox: SecretBox;
  readonly now: () => number;
  readonly #kysely: Kysely<Tables>;

  constructor({ file, secretBox, now, busyWaitMs }: DatabaseOptions) {
    this.secretBox = secretBox;
    this.now = now;
    this.#kysely = new Kysely<Tables>({
      dialect: createNodeSqliteDialect(file, busyWaitMs),
      plugins: [new CamelCasePlugin()],
    });
  }

  async migrate(): Promise<void> {
    await translated(() => migrate(this.#kysely));
  }

  /** One statement. Several that must agree belong into `write`. */
  async read<T>(work: (db: Kysely<Tables>) => Promise<T>): Promise<T> {
    return translated(() => work(this.#kysely));
  }

  /** One transaction. It holds the only connection: nothing but the database may be awaited within. */
  async write<T>(work: (transaction: Transaction<Tables>) => Promise<T>): Promise<T> {
    return translated(() => this.#kysely.transaction().execute(work));
  }

  async close(): Promise<void> {
    await this.#kysely.destroy();
  }
}

async function translated<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isUnavailable(error)) throw error;
    const detail = error instanceof Error ? error.message : 'unknown error';
    throw new DomainError('store-unavailable', `the database does not answer: ${detail}`, { cause: error });
  }
}

/** Also when the folder of a database file cannot be made. */
function isUnavailable(error: unknown): boolean {
  const code = sqliteCode(error);
  return code === undefined ? error instanceof Error && 'syscall' in error : unavailableCodes.has(code);
}
