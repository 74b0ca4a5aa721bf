import type { Kysely } from 'kysely';
import { createTable } from './table-builder.ts';

export async function addCommitStatuses(db: Kysely<unknown>): Promise<void> {
  await createTable(
    db,
    'status_places',
    {
      application: 'text',
      api_url: 'text',
      repository: 'text',
      token: 'text',
      from_run: 'number',
      error: 'text?',
    },
    { key: ['application'] },
  );
  await createTable(
    db,
    'statuses',
    { run: 'text', gate: 'text', told: 'text', held_until_ms: 'number' },
    { key: ['run', 'gate'], ofRun: true },
  );
  await db.schema.createIndex('runs_commit').on('runs').columns(['application', 'commit', 'number']).execute();
}
