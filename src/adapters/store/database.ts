import { CamelCasePlugin, Kysely, sql, type Transaction } from 'kysely';
import { DomainError } from '../../core/errors.ts';
import type { SecretBox } from '../../ports/secret.ts';
import { migrate } from './migrations/migrate.ts';
import { createNodeSqliteDialect, sqliteCode } from './sqlite-dialect.ts';
import type { Tables } from './tables.ts';

/** BUSY, LOCKED, NOMEM, READONLY, IOERR, CORRUPT, FULL, CANTOPEN, NOTADB: the database, not the query, is at fault. */
const unavailableCodes = new Set([5, 6, 7, 8, 10, 11, 13, 14, 26]);

/** Works that share a commit. The more, the longer other processes wait for the lock. */
const maxTogether = 32;

/** A piece of work that waits for its transaction. */
interface Waiting {
  run(transaction: Transaction<Tables>): Promise<void>;
  /** Its transaction is committed. */
  succeed(): void;
  fail(error: unknown): void;
}

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
  readonly #waiting: Waiting[] = [];
  #isWriting = false;

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

  /**
   * One transaction, durable when it resolves. It holds the only connection: nothing but the database may be awaited within. What is asked for while another
   * one commits shares the next commit, each in a savepoint of its own: the disk's flush is what a write costs, and it costs the same for many.
   */
  async write<T>(work: (transaction: Transaction<Tables>) => Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    let result: { readonly value: T } | undefined;
    this.#waiting.push({
      run: async (transaction) => void (result = { value: await work(transaction) }),
      succeed: () => {
        if (result !== undefined) resolve(result.value);
      },
      fail: reject,
    });
    void this.#writeAll();
    return translated(() => promise);
  }

  async #writeAll(): Promise<void> {
    if (this.#isWriting) return;
    this.#isWriting = true;
    while (this.#waiting.length > 0) {
      // A turn of the event loop: requests that came in while the driver held the thread get here, and share.
      await turn();
      await this.#writeTogether(this.#waiting.splice(0, maxTogether));
    }
    this.#isWriting = false;
  }

  async #writeTogether(works: readonly Waiting[]): Promise<void> {
    const failed = new Map<Waiting, unknown>();
    try {
      await this.#kysely.transaction().execute(async (transaction) => {
        const [only, ...others] = works;
        if (only !== undefined && others.length === 0) await only.run(transaction);
        else for (const work of works) await runApart(transaction, work, (error) => failed.set(work, error));
      });
    } catch (error) {
      for (const work of works) work.fail(error);
      return;
    }
    for (const work of works) {
      if (failed.has(work)) work.fail(failed.get(work));
      else work.succeed();
    }
  }

  async close(): Promise<void> {
    await this.#kysely.destroy();
  }
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

/** A work that fails takes back what it did, and nothing of its neighbours. */
async function runApart(
  transaction: Transaction<Tables>,
  work: Waiting,
  onFailure: (error: unknown) => void,
): Promise<void> {
  await sql`savepoint work`.execute(transaction);
  try {
    await work.run(transaction);
  } catch (error) {
    try {
      await sql`rollback to savepoint work`.execute(transaction);
    } catch {
      throw error; // SQLite has ended the whole transaction (a full disk), and all of them have failed for this reason
    }
    onFailure(error);
  }
  await sql`release savepoint work`.execute(transaction);
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
