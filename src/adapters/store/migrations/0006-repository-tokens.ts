import type { Kysely } from 'kysely';

/** What a private repository is read with, sealed. */
export async function addRepositoryTokens(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('applications').addColumn('token', 'text').execute();
}
