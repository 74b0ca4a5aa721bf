import { type CreateTableBuilder, type Kysely, sql } from 'kysely';

/**
 * Column types by what they hold, the only place where the databases differ: STRICT tables of SQLite refuse the wrong type in a column, and the name `bigint`.
 */
const types = { text: 'text', number: 'integer' } as const;

type Columns = Readonly<Record<string, 'text' | 'text?' | 'number' | 'number?'>>;

export interface TableOptions {
  readonly key: readonly string[];
  readonly unique?: readonly (readonly string[])[];
  /** Rows of a run follow it when it is renumbered. */
  readonly ofRun?: boolean;
}

/** `?` behind a type: may be null. */
export async function createTable(
  db: Kysely<unknown>,
  name: string,
  columns: Columns,
  options: TableOptions,
): Promise<void> {
  let table: CreateTableBuilder<string, string> = db.schema.createTable(name);
  for (const [column, type] of Object.entries(columns)) {
    const isNullable = type.endsWith('?');
    const base = type.startsWith('text') ? types.text : types.number;
    table = table.addColumn(column, base, (definition) => (isNullable ? definition : definition.notNull()));
  }
  table = table.addPrimaryKeyConstraint(`${name}_key`, [...options.key] as [string, ...string[]]);
  for (const unique of options.unique ?? []) {
    table = table.addUniqueConstraint(`${name}_${unique.join('_')}`, [...unique] as [string, ...string[]]);
  }
  if (options.ofRun === true) {
    table = table.addForeignKeyConstraint(`${name}_run`, ['run'], 'runs', ['id'], (key) => key.onUpdate('cascade'));
  }
  await table.modifyEnd(sql`strict`).execute();
}
