import type { Kysely } from 'kysely';
import { createTable } from './table-builder.ts';

/** Logs of attempts under way, where the hosts share no folder. */
export async function addLogChunks(db: Kysely<unknown>): Promise<void> {
  await createTable(
    db,
    'log_chunks',
    { run: 'text', task: 'text', attempt: 'number', at: 'number', bytes: 'bytes' },
    { key: ['run', 'task', 'attempt', 'at'] },
  );
}
