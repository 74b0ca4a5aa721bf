import type { Kysely } from 'kysely';

/** What a container of an environment may use. */
export async function addEnvironmentLimits(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('environments').addColumn('memory_mb', 'integer').execute();
  await db.schema.alterTable('environments').addColumn('cpus', 'real').execute();
}
