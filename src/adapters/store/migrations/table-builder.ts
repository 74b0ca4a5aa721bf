import { type CreateTableBuilder, type Kysely, type RawBuilder, sql, SqliteAdapter } from 'kysely';

interface ColumnTypes {
  readonly text: 'text' | RawBuilder<unknown>;
  readonly number: 'integer' | 'bigint';
  readonly bytes: 'blob' | 'bytea';
}

/** STRICT tables refuse the wrong type in a column, and the name `bigint`; their integers have 64 bits. */
const sqliteTypes: ColumnTypes = { text: 'text', number: 'integer', bytes: 'blob' };
/** Text is compared by its bytes, as SQLite does, whatever the language of the server. */
const postgresTypes: ColumnTypes = { text: sql`text collate "C"`, number: 'bigint', bytes: 'bytea' };

/** The only place of the tables where the databases differ. */
function isSqlite(db: Kysely<unknown>): boolean {
  return db.getExecutor().adapter instanceof SqliteAdapter;
}

type Columns = Readonly<Record<string, 'text' | 'text?' | 'number' | 'number?' | 'bytes'>>;

export interface TableOptions {
  readonly key: readonly string[];
  readonly unique?: readonly (readonly string[])[];
  /** Rows of a run follow it when it is renumbered. */
  readonly ofRun?: boolean;
}

/** Type of a number in the database at hand: PostgreSQL's `integer` is too small for an instant. */
export function numberType(db: Kysely<unknown>): ColumnTypes['number'] {
  return (isSqlite(db) ? sqliteTypes : postgresTypes).number;
}

/** `?` behind a type: may be null. */
export async function createTable(
  db: Kysely<unknown>,
  name: string,
  columns: Columns,
  options: TableOptions,
): Promise<void> {
  const types = isSqlite(db) ? sqliteTypes : postgresTypes;
  let table: CreateTableBuilder<string, string> = db.schema.createTable(name);
  for (const [column, type] of Object.entries(columns)) {
    const isNullable = type.endsWith('?');
    const base = types[type.replace('?', '') as keyof ColumnTypes];
    table = table.addColumn(column, base, (definition) => (isNullable ? definition : definition.notNull()));
  }
  table = table.addPrimaryKeyConstraint(`${name}_key`, [...options.key] as [string, ...string[]]);
  for (const unique of options.unique ?? []) {
    table = table.addUniqueConstraint(`${name}_${unique.join('_')}`, [...unique] as [string, ...string[]]);
  }
  if (options.ofRun === true) {
    table = table.addForeignKeyConstraint(`${name}_run`, ['run'], 'runs', ['id'], (key) => key.onUpdate('cascade'));
  }
  await (isSqlite(db) ? table.modifyEnd(sql`strict`) : table).execute();
}
