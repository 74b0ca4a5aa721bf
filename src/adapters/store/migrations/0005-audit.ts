import type { Kysely } from 'kysely';
import { createTable } from './table-builder.ts';

export async function addAudit(db: Kysely<unknown>): Promise<void> {
  await createTable(
    db,
    'audit',
    {
      number: 'number',
      at_ms: 'number',
      token: 'text',
      address: 'text',
      method: 'text',
      path: 'text',
      details: 'text',
      status: 'number?',
      code: 'text?',
    },
    { key: ['number'] },
  );
  await db.schema.createIndex('audit_token').on('audit').columns(['token', 'number']).execute();
}
