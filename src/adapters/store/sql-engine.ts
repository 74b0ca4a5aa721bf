import type { Dialect } from 'kysely';

/** What differs between the databases beyond their SQL. */
export interface SqlEngine {
  readonly dialect: Dialect;
  /** All work of this process follows each other on one connection. */
  readonly hasOneConnection: boolean;
  /** The database, not the query, is at fault. */
  isUnavailable(error: unknown): boolean;
  /** Runs a statement or a whole transaction, again when it certainly did nothing and may succeed the next time. */
  repeat<T>(work: () => Promise<T>): Promise<T>;
}
