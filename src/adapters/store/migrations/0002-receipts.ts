import type { Kysely } from 'kysely';
import { createTable } from './table-builder.ts';

/** Deliveries without a row of their own, and what the look at the heads of a repository needs. */
export async function addReceipts(db: Kysely<unknown>): Promise<void> {
  await createTable(
    db,
    'receipts',
    { id: 'text', application: 'text', delivery: 'text?', ignored: 'text?', received_at_ms: 'number' },
    { key: ['id'] },
  );
  await db.schema
    .alterTable('applications')
    .addColumn('watched', 'integer', (column) => column.notNull().defaultTo(0))
    .execute();
  await db.schema
    .createIndex('deliveries_newest')
    .on('deliveries')
    .columns(['application', 'ref', 'received_at_ms'])
    .execute();
}
