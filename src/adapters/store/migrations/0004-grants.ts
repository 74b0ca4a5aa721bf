import { type Kysely, sql } from 'kysely';
import { numberType } from './table-builder.ts';

/** Roles per application and environment, and tokens that end by themselves. Until now a token had one role, in all of Loam. */
export async function addGrants(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .alterTable('tokens')
    .addColumn('grants', 'text', (column) => column.notNull().defaultTo('[]'))
    .execute();
  await db.schema.alterTable('tokens').addColumn('expires_at_ms', numberType(db)).execute();
  await sql`update tokens set grants = '[{"role":"' || role || '"}]'`.execute(db);
  await db.schema.alterTable('tokens').dropColumn('role').execute();
}
