import { closeSync, mkdirSync, openSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';
import type { SqlEngine } from './sql-engine.ts';

// One connection a process; its mutex makes the transactions of one process follow each other.
// A transaction begins IMMEDIATE: a deferred one that turns into a writer fails with SQLITE_BUSY at once, whatever the timeout says.
// SQLite's own wait blocks the event loop (heartbeats stop) and is not fair: it stays short, the rest of the wait is asynchronous.
const blockMs = 20;
const maxStatements = 500;
const busyCode = 5;

/** SQLite's primary result code of an error, undefined when the error is not SQLite's. */
function sqliteCode(error: unknown): number | undefined {
  const isOurs = error instanceof Error && 'errcode' in error && typeof error.errcode === 'number';
  return isOurs ? (error.errcode as number) & 0xff : undefined;
}

async function retryWhileBusy<T>(database: DatabaseSync, waitMs: number, attempt: () => T): Promise<T> {
  const deadline = performance.now() + waitMs;
  for (;;) {
    try {
      return attempt();
    } catch (error) {
      if (sqliteCode(error) !== busyCode || database.isTransaction || performance.now() > deadline) throw error;
      await delay(1 + Math.random() * 9);
    }
  }
}

class NodeSqliteConnection implements DatabaseConnection {
  readonly #database: DatabaseSync;
  readonly #waitMs: number;
  readonly #statements = new Map<string, StatementSync>();

  constructor(database: DatabaseSync, waitMs: number) {
    this.#database = database;
    this.#waitMs = waitMs;
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    return retryWhileBusy(this.#database, this.#waitMs, () => this.#execute<R>(query));
  }

  async *streamQuery<R>(query: CompiledQuery): AsyncIterableIterator<QueryResult<R>> {
    // A statement of its own: an open cursor must not be reset by a second use.
    const statement = this.#database.prepare(query.sql);
    for (const row of statement.iterate(...query.parameters.map(toSqlite))) {
      yield await Promise.resolve({ rows: [row as R] });
    }
  }

  #execute<R>(query: CompiledQuery): QueryResult<R> {
    const statement = this.#prepare(query.sql);
    const parameters = query.parameters.map(toSqlite);
    if (statement.columns().length > 0) return { rows: statement.all(...parameters) as R[] };
    const { changes, lastInsertRowid } = statement.run(...parameters);
    return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) };
  }

  #prepare(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    if (this.#statements.size >= maxStatements) this.#statements.clear();
    const statement = this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}

function toSqlite(value: unknown): SQLInputValue {
  if (value === undefined) return null;
  return value as SQLInputValue;
}

class NodeSqliteDriver implements Driver {
  readonly #file: string;
  readonly #waitMs: number;
  #database: DatabaseSync | undefined;
  #connection: NodeSqliteConnection | undefined;
  #last: Promise<unknown> = Promise.resolve();
  readonly #release = new WeakMap<DatabaseConnection, () => void>();

  constructor(file: string, waitMs: number) {
    this.#file = file;
    this.#waitMs = waitMs;
  }

  async init(): Promise<void> {
    mkdirSync(path.dirname(this.#file), { recursive: true });
    // Before SQLite makes it: the file holds hashes of tokens and sealed secrets, and its companions inherit the mode.
    closeSync(openSync(this.#file, 'a', 0o600));
    const database = new DatabaseSync(this.#file, { timeout: blockMs });
    // Two processes that open a new file at once: the change to WAL answers busy without waiting.
    await retryWhileBusy(database, this.#waitMs, () => database.exec('PRAGMA journal_mode = WAL'));
    database.exec('PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;');
    this.#database = database;
    this.#connection = new NodeSqliteConnection(database, this.#waitMs);
  }

  async acquireConnection(): Promise<DatabaseConnection> {
    const before = this.#last;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#last = promise;
    await before;
    if (this.#connection === undefined) throw new Error('the driver is not initialised');
    this.#release.set(this.#connection, () => resolve(undefined));
    return this.#connection;
  }

  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('BEGIN IMMEDIATE'));
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('COMMIT'));
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    // A full disk ends the transaction inside SQLite; a second end would hide the error that says so.
    if (this.#database?.isTransaction === true) await connection.executeQuery(CompiledQuery.raw('ROLLBACK'));
  }

  async releaseConnection(connection: DatabaseConnection): Promise<void> {
    this.#release.get(connection)?.();
    await Promise.resolve();
  }

  async destroy(): Promise<void> {
    this.#database?.close();
    this.#database = undefined;
    this.#connection = undefined;
    await Promise.resolve();
  }
}

/** SQLite rolls back DDL as well, which lets all migrations be one transaction. */
class TransactionalSqliteAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

/** BUSY, LOCKED, NOMEM, READONLY, IOERR, CORRUPT, FULL, CANTOPEN, NOTADB: the database, not the query, is at fault. */
const unavailableCodes = new Set([5, 6, 7, 8, 10, 11, 13, 14, 26]);

/** Also when the folder of a database file cannot be made. */
function isUnavailable(error: unknown): boolean {
  const code = sqliteCode(error);
  return code === undefined ? error instanceof Error && 'syscall' in error : unavailableCodes.has(code);
}

/** `waitMs`: how long a statement waits for writers of other processes. */
export function createSqliteEngine(file: string, waitMs: number): SqlEngine {
  // Statements repeat themselves while the file is busy: nothing is left to be repeated as a whole.
  return { dialect: createDialect(file, waitMs), hasOneConnection: true, isUnavailable, repeat: (work) => work() };
}

function createDialect(file: string, waitMs: number): Dialect {
  return {
    createAdapter: () => new TransactionalSqliteAdapter(),
    createQueryCompiler: () => new SqliteQueryCompiler(),
    createDriver: () => new NodeSqliteDriver(file, waitMs),
    createIntrospector: (database) => new SqliteIntrospector(database),
  };
}
