import type { Kysely } from 'kysely';
import { createTable } from './table-builder.ts';

/** When each machine that runs tasks was last heard of. */
export async function addHosts(db: Kysely<unknown>): Promise<void> {
  await createTable(db, 'hosts', { id: 'text', beat_at_ms: 'number' }, { key: ['id'] });
}
