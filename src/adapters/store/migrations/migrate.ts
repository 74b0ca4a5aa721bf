import type { Kysely } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import { createFirstTables } from './0001-first.ts';
import { addReceipts } from './0002-receipts.ts';
import { addTrustCredentials } from './0003-trust-credentials.ts';
import { addGrants } from './0004-grants.ts';
import { addAudit } from './0005-audit.ts';
import { addRepositoryTokens } from './0006-repository-tokens.ts';
import { addHosts } from './0007-hosts.ts';
import { addLogChunks } from './0008-log-chunks.ts';
import { addCommitStatuses } from './0009-commit-statuses.ts';
import { addDeployKeys } from './0010-deploy-keys.ts';
import { addReleaseCodes } from './0011-release-codes.ts';
import { addEnvironmentLimits } from './0012-environment-limits.ts';

/** Only forward. Imported, not read from the folder: they also ship compiled. */
const migrations: Readonly<Record<string, Migration>> = {
  '0001-first': { up: createFirstTables },
  '0002-receipts': { up: addReceipts },
  '0003-trust-credentials': { up: addTrustCredentials },
  '0004-grants': { up: addGrants },
  '0005-audit': { up: addAudit },
  '0006-repository-tokens': { up: addRepositoryTokens },
  '0007-hosts': { up: addHosts },
  '0008-log-chunks': { up: addLogChunks },
  '0009-commit-statuses': { up: addCommitStatuses },
  '0010-deploy-keys': { up: addDeployKeys },
  '0011-release-codes': { up: addReleaseCodes },
  '0012-environment-limits': { up: addEnvironmentLimits },
};

/**
 * Brings the tables up to date, all or nothing. The transaction holds the write lock of SQLite, an advisory lock of PostgreSQL: of several processes that start at
 * once, one migrates and the rest wait.
 */
export async function migrate<T>(db: Kysely<T>): Promise<void> {
  await db.transaction().execute(async (transaction) => {
    // Before the migrator looks for its own tables: two that make them at once collide on PostgreSQL.
    const lock = { lockTable: 'kysely_migration_lock', lockRowId: 'migration_lock' };
    await transaction.getExecutor().adapter.acquireMigrationLock(transaction, lock);
    const provider = { getMigrations: () => Promise.resolve({ ...migrations }) };
    const { error } = await new Migrator({ db: transaction, provider }).migrateToLatest();
    if (error !== undefined) throw error instanceof Error ? error : new Error('a migration failed', { cause: error });
  });
}
