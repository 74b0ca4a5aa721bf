import type { Logger } from '../../ports/logger.ts';
import type { Secret, SecretBox } from '../../ports/secret.ts';
import type { Store } from '../../ports/store.ts';
import { SqlApplicationStore } from './applications.ts';
import { SqlAuditStore } from './audit.ts';
import { SqlStatusStore } from './commit-statuses.ts';
import { Database } from './database.ts';
import { SqlDeliveryStore } from './deliveries.ts';
import { SqlEnvironmentStore, type PickFrontPort } from './environments.ts';
import { SqlGateStore } from './gates.ts';
import { SqlHostStore } from './hosts.ts';
import { SqlLogPositionStore } from './logs.ts';
import { createPostgresEngine } from './postgres-dialect.ts';
import { SqlReleaseStore } from './releases.ts';
import { SqlRunStore } from './runs.ts';
import { reseal } from './sealed.ts';
import { SqlSecretStore } from './secrets.ts';
import { createSqliteEngine } from './sqlite-dialect.ts';
import { SqlTaskStore } from './tasks.ts';
import { SqlTokenStore } from './tokens.ts';
import { SqlTrustStore } from './trusts.ts';

interface CommonOptions {
  readonly secretBox: SecretBox;
  readonly pickFrontPort: PickFrontPort;
  readonly logger?: Logger;
  readonly now?: () => number;
  /** How long a busy or lost database is waited for before a call throws `store-unavailable`. */
  readonly busyWaitMs?: number;
  /** How long a machine that is not heard of keeps what it has begun. */
  readonly hostLeaseMs?: number;
}

/** `file`: a database of SQLite, made when it is missing; several processes share it. `url`: one of PostgreSQL, which is there. */
export type StoreOptions = CommonOptions &
  ({ readonly file: string; readonly url?: undefined } | { readonly url: Secret });

const defaultBusyWaitMs = 10_000;
const defaultHostLeaseMs = 30_000;

/** Opens the database and brings its tables up to date. Throws `store-unavailable`. */
export async function createStore(options: StoreOptions): Promise<Store> {
  const { secretBox, pickFrontPort, logger, now = Date.now, busyWaitMs = defaultBusyWaitMs } = options;
  const { hostLeaseMs = defaultHostLeaseMs } = options;
  const engine =
    options.url === undefined
      ? createSqliteEngine(options.file, busyWaitMs)
      : createPostgresEngine(options.url, busyWaitMs, logger);
  const database = new Database({ engine, secretBox, now });
  try {
    await database.migrate();
  } catch (error) {
    await database.close();
    throw error;
  }
  logger?.debug({ database: options.url === undefined ? options.file : 'PostgreSQL' }, 'database opened');
  return {
    applications: new SqlApplicationStore(database),
    environments: new SqlEnvironmentStore(database, pickFrontPort),
    deliveries: new SqlDeliveryStore(database),
    runs: new SqlRunStore(database),
    tasks: new SqlTaskStore(database, hostLeaseMs),
    gates: new SqlGateStore(database),
    releases: new SqlReleaseStore(database),
    trusts: new SqlTrustStore(database),
    secrets: new SqlSecretStore(database),
    tokens: new SqlTokenStore(database),
    audit: new SqlAuditStore(database),
    logs: new SqlLogPositionStore(database),
    hosts: new SqlHostStore(database),
    statuses: new SqlStatusStore(database),
    reseal: () => reseal(database),
    close: () => database.close(),
  };
}
