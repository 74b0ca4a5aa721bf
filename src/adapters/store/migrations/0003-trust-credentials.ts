import type { Kysely } from 'kysely';

/** What a person hands over with a trust, sealed. */
export async function addTrustCredentials(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('trusts').addColumn('credential', 'text').execute();
}
