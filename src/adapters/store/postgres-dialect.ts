import { setTimeout as delay } from 'node:timers/promises';
import {
  type Kysely,
  PostgresAdapter,
  type PostgresCursor,
  PostgresDialect,
  type PostgresPool,
  type PostgresPoolClient,
  type PostgresQueryResult,
  sql,
} from 'kysely';
import pg from 'pg';
import { DomainError } from '../../core/errors.ts';
import type { Logger } from '../../ports/logger.ts';
import type { Secret } from '../../ports/secret.ts';
import type { SqlEngine } from './sql-engine.ts';

// I1: a transaction is done again only when its COMMIT was never sent; whether a COMMIT without an answer took place, only the caller's repeat can settle.
// I7: the password is in the URL alone, and no message repeats that.

const connectMs = 5_000;
/** A server that vanished without a word: its connections would wait for the kernel's quarter of an hour. */
const queryMs = 30_000;
/** A process that is frozen in a transaction must not keep its rows locked. */
const idleInTransactionMs = 30_000;
const maxConnections = 10;
/** Any number will do, the same in all versions: who brings the tables up to date holds it. */
const migrationLock = 7_700_001;

/** Undone by the server because of another transaction. */
const conflictStates = new Set(['40001', '40P01']);
/** The server ends, starts, or has no place left: soon it may be better. Class 08 is the connection itself. */
const passingStates = new Set(['57P01', '57P02', '57P03', '25P03', '53300']);
/** Disk or memory full, a row locked for too long, a server that only reads, a login refused, no such database, a fault inside. */
const unavailable = /^(53|58|XX|28|3D|F0)|^(55P03|57014|25006)$/;

class PostgresUnavailable extends Error {
  /** Nothing has happened, and another try may succeed. */
  readonly mayRepeat: boolean;

  constructor(cause: unknown, mayRepeat: boolean) {
    super(describe(cause), { cause });
    this.name = 'PostgresUnavailable';
    this.mayRepeat = mayRepeat;
  }
}

/** A refused connection to several addresses is an error without words, but with errors inside. */
function describe(error: unknown): string {
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  return first instanceof Error ? first.message : 'unknown error';
}

function classify(error: unknown, hasSentCommit: boolean): unknown {
  if (error instanceof TypeError || error instanceof RangeError) return error; // a fault of ours
  if (!(error instanceof pg.DatabaseError)) return new PostgresUnavailable(error, !hasSentCommit);
  const state = error.code ?? '';
  if (conflictStates.has(state)) return new PostgresUnavailable(error, true);
  if (passingStates.has(state) || state.startsWith('08')) return new PostgresUnavailable(error, !hasSentCommit);
  return unavailable.test(state) ? new PostgresUnavailable(error, false) : error;
}

/** Numbers of 64 bits come as text; all of ours (times, counters) fit. */
function toNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError('a number of the database is too large');
  return value;
}

const types = new pg.TypeOverrides();
types.setTypeParser(pg.types.builtins.INT8, toNumber);

/** One use of a connection: knows whether a COMMIT went out on it, and does not give a broken one back to the others. */
class Lease implements PostgresPoolClient {
  readonly #client: pg.PoolClient;
  readonly #onError: (error: Error) => void;
  #isBroken = false;
  #hasSentCommit = false;

  constructor(client: pg.PoolClient) {
    this.#client = client;
    this.#onError = () => (this.#isBroken = true);
    client.on('error', this.#onError);
  }

  query<R>(text: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<R>>;
  query<R>(cursor: PostgresCursor<R>): PostgresCursor<R>;
  query(text: unknown, parameters: readonly unknown[] = []): unknown {
    if (typeof text !== 'string') throw new TypeError('cursors are not used here');
    return this.#query(text, parameters);
  }

  async #query(text: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<unknown>> {
    if (text === 'rollback' && this.#isBroken) return { command: 'ROLLBACK', rowCount: 0, rows: [] };
    if (text === 'commit') this.#hasSentCommit = true;
    try {
      return (await this.#client.query(text, [...parameters])) as unknown as PostgresQueryResult<unknown>;
    } catch (error) {
      const found = classify(error, this.#hasSentCommit);
      if (found instanceof PostgresUnavailable && !isConflict(error)) this.#isBroken = true;
      throw found;
    }
  }

  release(): void {
    this.#client.off('error', this.#onError);
    this.#client.release(this.#isBroken);
  }
}

function isConflict(error: unknown): boolean {
  return error instanceof pg.DatabaseError && conflictStates.has(error.code ?? '');
}

function createPool(url: Secret, logger: Logger | undefined): PostgresPool {
  const pool = new pg.Pool({
    connectionString: url.reveal(),
    types,
    max: maxConnections,
    connectionTimeoutMillis: connectMs,
    query_timeout: queryMs,
    idle_in_transaction_session_timeout: idleInTransactionMs,
    keepAlive: true,
    application_name: 'loam',
  });
  // For its whole life: between two users of a connection, and while a broken one ends, nobody else listens, and an error that nobody hears ends the process.
  pool.on('connect', (client) => client.on('error', () => undefined));
  pool.on('error', (error) => logger?.warn({ error: error.message }, 'an idle connection to the database was lost'));
  return {
    options: {},
    async connect() {
      if (pool.ending) throw new Error('the store is closed');
      try {
        return new Lease(await pool.connect());
      } catch (error) {
        throw classify(error, false);
      }
    },
    end: () => pool.end(),
  };
}

/** The lock of a transaction ends with it, also when the migration fails; the session's would stay with a pooled connection. */
class TransactionalPostgresAdapter extends PostgresAdapter {
  override async acquireMigrationLock(db: Kysely<unknown>): Promise<void> {
    await sql`select pg_advisory_xact_lock(${sql.lit(migrationLock)})`.execute(db);
  }

  override async releaseMigrationLock(): Promise<void> {
    await Promise.resolve();
  }
}

class LoamPostgresDialect extends PostgresDialect {
  override createAdapter(): PostgresAdapter {
    return new TransactionalPostgresAdapter();
  }
}

/** `waitMs`: for how long what was cut off is tried again before the caller hears of it. Throws `store-unavailable` for a URL that is none. */
export function createPostgresEngine(url: Secret, waitMs: number, logger: Logger | undefined): SqlEngine {
  checkUrl(url);
  return {
    dialect: new LoamPostgresDialect({ pool: createPool(url, logger) }),
    hasOneConnection: false,
    isUnavailable: (error) => error instanceof PostgresUnavailable,
    repeat: (work) => repeatWhileLost(work, waitMs),
  };
}

/** What answers there; changes nothing. Throws `store-unavailable`. */
export async function describePostgres(url: Secret): Promise<{ readonly version: string; readonly tables: number }> {
  checkUrl(url);
  const client = new pg.Client({
    connectionString: url.reveal(),
    connectionTimeoutMillis: connectMs,
    query_timeout: connectMs,
  });
  client.on('error', () => undefined); // the query fails as well, and says why
  try {
    await client.connect();
    const { rows } = await client.query<{ version: string; tables: string }>(
      "select current_setting('server_version') as version, (select count(*) from pg_tables where schemaname = current_schema()) as tables",
    );
    return { version: rows[0]?.version ?? 'unknown', tables: Number(rows[0]?.tables) };
  } catch (error) {
    throw new DomainError('store-unavailable', `the database does not answer: ${describe(error)}`, { cause: error });
  } finally {
    await client.end().catch(() => undefined);
  }
}

function checkUrl(url: Secret): void {
  try {
    new pg.Client({ connectionString: url.reveal() }); // it does not connect, it only reads the URL
  } catch {
    throw new DomainError('store-unavailable', 'the URL of the database cannot be read; correct LOAM_DATABASE_URL');
  }
}

async function repeatWhileLost<T>(work: () => Promise<T>, waitMs: number): Promise<T> {
  const deadline = performance.now() + waitMs;
  for (let pauseMs = 10; ; pauseMs = Math.min(pauseMs * 2, 500)) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof PostgresUnavailable) || !error.mayRepeat || performance.now() > deadline) throw error;
      await delay(pauseMs * (0.5 + Math.random()));
    }
  }
}
