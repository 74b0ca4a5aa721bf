// Every text of the database that is sealed, and the context that binds it to its row (I7): one that is copied to another row does not open.
import { sql } from 'kysely';
import type { Transaction } from 'kysely';
import type { ApplicationName, EnvironmentName } from '../../core/model/ids.ts';
import type { Database } from './database.ts';
import type { Tables } from './tables.ts';

export const contexts = {
  triggerSecret: (application: ApplicationName) => `application/${application}/trigger`,
  repositoryToken: (application: ApplicationName) => `application/${application}/token`,
  deployKey: (application: ApplicationName) => `application/${application}/deploy-key`,
  statusToken: (application: ApplicationName) => `application/${application}/status-token`,
  /** `environment` empty: for all of the application. */
  secret: (application: ApplicationName, environment: EnvironmentName | '', name: string) =>
    `secret/${application}/${environment}/${name}`,
  trustToken: (trust: string) => `trust/${trust}`,
  trustCredential: (trust: string) => `trust/${trust}/credential`,
} as const;

type Row = Readonly<Record<string, string | null>>;

/** A column of sealed texts. */
interface SealedColumn {
  readonly table: keyof Tables;
  readonly column: string;
  /** Columns that name a row. */
  readonly key: readonly string[];
  readonly contextOf: (row: Row) => string;
}

const columns: readonly SealedColumn[] = [
  ofApplication('applications', 'triggerSecret', 'name', contexts.triggerSecret),
  ofApplication('applications', 'token', 'name', contexts.repositoryToken),
  ofApplication('applications', 'deployKey', 'name', contexts.deployKey),
  ofApplication('statusPlaces', 'token', 'application', contexts.statusToken),
  {
    table: 'secrets',
    column: 'value',
    key: ['application', 'environment', 'name'],
    contextOf: ({ application, environment, name }) =>
      contexts.secret(application as ApplicationName, environment as EnvironmentName | '', name ?? ''),
  },
  { table: 'trusts', column: 'token', key: ['name'], contextOf: ({ name }) => contexts.trustToken(name ?? '') },
  {
    table: 'trusts',
    column: 'credential',
    key: ['name'],
    contextOf: ({ name }) => contexts.trustCredential(name ?? ''),
  },
];

function ofApplication(
  table: keyof Tables,
  column: string,
  key: string,
  context: (application: ApplicationName) => string,
): SealedColumn {
  return { table, column, key: [key], contextOf: (row) => context(row[key] as ApplicationName) };
}

/** Seals with the present key what an older one has sealed. Returns how many texts that were. */
export async function reseal(database: Database): Promise<number> {
  return database.write(async (db) => {
    let count = 0;
    for (const column of columns) count += await resealColumn(database, db, column);
    return count;
  });
}

async function resealColumn(
  { secretBox }: Database,
  db: Transaction<Tables>,
  { table, column, key, contextOf }: SealedColumn,
): Promise<number> {
  const named = sql.join([...key, column].map((one) => sql.ref(one)));
  const { rows } = await sql<Row>`select ${named} from ${sql.table(table)}`.execute(db);
  let count = 0;
  for (const row of rows) {
    const text = row[column] ?? null;
    if (text === null || secretBox.isCurrent(text)) continue;
    const context = contextOf(row);
    const sealed = secretBox.seal(secretBox.open(text, context).reveal(), context);
    // Nothing where the row holds another text by now.
    const same = sql.join(
      [...key, column].map((one) => sql`${sql.ref(one)} = ${row[one]}`),
      sql` and `,
    );
    await sql`update ${sql.table(table)} set ${sql.ref(column)} = ${sealed} where ${same}`.execute(db);
    count += 1;
  }
  return count;
}
