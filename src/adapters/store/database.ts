import { CamelCasePlugin, Kysely, type Transaction } from 'kysely';
import { DomainError } from '../../core/errors.ts';
import type { SecretBox } from '../../ports/secret.ts';
import { migrate } from './migrations/migrate.ts';
import { SharedCommits } from './shared-commits.ts';
import type { SqlEngine } from './sql-engine.ts';
import type { Tables } from './tables.ts';

export interface DatabaseOptions {
  readonly engine: SqlEngine;
  readonly secretBox: SecretBox;
  readonly now: () => number;
}

/** This process's way to the database, shared by the parts of the store: one connection to SQLite, a pool to PostgreSQL. */
export class Database {
  readonly secretBox: SecretBox;
  readonly now: () => number;
  readonly #engine: SqlEngine;
  readonly #kysely: Kysely<Tables>;
  readonly #sharedCommits: SharedCommits<Tables> | undefined;

  constructor({ engine, secretBox, now }: DatabaseOptions) {
    this.secretBox = secretBox;
    this.now = now;
    this.#engine = engine;
    this.#kysely = new Kysely<Tables>({
      dialect: engine.dialect,
      plugins: [new CamelCasePlugin()],
    });
    // Where connections are many, a work that waits for a row would keep its neighbours' rows locked.
    this.#sharedCommits = engine.hasOneConnection ? new SharedCommits(this.#kysely) : undefined;
  }

  async migrate(): Promise<void> {
    await this.#run(() => migrate(this.#kysely));
  }

  /** One statement. Several that must agree belong into `write`. */
  async read<T>(work: (db: Kysely<Tables>) => Promise<T>): Promise<T> {
    return this.#run(() => work(this.#kysely));
  }

  /**
   * One transaction, durable when it resolves. It holds a connection, on SQLite the only one, and may be done again from its beginning: nothing but the database
   * may be awaited within, or changed.
   */
  async write<T>(work: (transaction: Transaction<Tables>) => Promise<T>): Promise<T> {
    return this.#run(() => this.#sharedCommits?.write(work) ?? this.#kysely.transaction().execute(work));
  }

  async close(): Promise<void> {
    await this.#kysely.destroy();
  }

  async #run<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await this.#engine.repeat(work);
    } catch (error) {
      if (!this.#engine.isUnavailable(error)) throw error;
      const detail = error instanceof Error ? error.message : 'unknown error';
      throw new DomainError('store-unavailable', `the database does not answer: ${detail}`, { cause: error });
    }
  }
}
