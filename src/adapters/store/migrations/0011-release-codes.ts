import type { Kysely } from 'kysely';

/** Why a release failed, as the code that its deploy answers. */
export async function addReleaseCodes(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('releases').addColumn('code', 'text').execute();
}
