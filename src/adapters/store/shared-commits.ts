import { type Kysely, sql, type Transaction } from 'kysely';

/** Works that share a commit. The more, the longer other processes wait for the lock. */
const maxTogether = 32;

/** A piece of work that waits for its transaction. */
interface Waiting<T> {
  run(transaction: Transaction<T>): Promise<void>;
  /** Its transaction is committed. */
  succeed(): void;
  fail(error: unknown): void;
}

/**
 * For a database of one connection, whose transactions follow each other anyway: what is asked for while another one commits shares the next commit, each in a
 * savepoint of its own. The disk's flush is what a write costs, and it costs the same for many.
 */
export class SharedCommits<T> {
  readonly #kysely: Kysely<T>;
  readonly #waiting: Waiting<T>[] = [];
  #isWriting = false;

  constructor(kysely: Kysely<T>) {
    this.#kysely = kysely;
  }

  /** Resolves when what `work` did is durable. */
  write<R>(work: (transaction: Transaction<T>) => Promise<R>): Promise<R> {
    const { promise, resolve, reject } = Promise.withResolvers<R>();
    let result: { readonly value: R } | undefined;
    this.#waiting.push({
      run: async (transaction) => void (result = { value: await work(transaction) }),
      succeed: () => {
        if (result !== undefined) resolve(result.value);
      },
      fail: reject,
    });
    void this.#writeAll();
    return promise;
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

  async #writeTogether(works: readonly Waiting<T>[]): Promise<void> {
    const failed = new Map<Waiting<T>, unknown>();
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
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

/** A work that fails takes back what it did, and nothing of its neighbours. */
async function runApart<T>(
  transaction: Transaction<T>,
  work: Waiting<T>,
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
