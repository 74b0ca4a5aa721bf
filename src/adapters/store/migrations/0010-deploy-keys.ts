import type { Kysely } from 'kysely';

/** Key and known hosts of a private repository by ssh, sealed. */
export async function addDeployKeys(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('applications').addColumn('deploy_key', 'text').execute();
}
