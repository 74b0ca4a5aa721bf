import type { Transaction } from 'kysely';
import { DomainError } from '../../core/errors.ts';
import type { ApplicationName, EnvironmentName } from '../../core/model/ids.ts';
import type { Release, ReleaseEnd, ReleaseStore } from '../../ports/store.ts';
import type { Database } from './database.ts';
import { lockEnvironment } from './environments.ts';
import type { EnvironmentTable, ReleaseTable, Tables } from './tables.ts';
import { cutText, fromJson, present, toJson } from './values.ts';

// I3: a release changes only under the newest fence. I6: what is live and what was superseded change in one transaction.

function toRelease(row: ReleaseTable): Release {
  return {
    application: row.application,
    environment: row.environment,
    number: row.number,
    fence: row.fence,
    run: row.run,
    task: row.task,
    attempt: row.attempt,
    commit: row.commit,
    image: present(row.image),
    template: row.template,
    planDigest: row.planDigest,
    config: fromJson(row.config) as Readonly<Record<string, string>>,
    status: row.status,
    code: present(row.code),
    reason: present(row.reason),
    createdAtMs: row.createdAtMs,
    liveAtMs: present(row.liveAtMs),
  };
}

/** Locks the environment while its fence is the newest. */
async function lockFenced(
  db: Transaction<Tables>,
  release: Pick<Release, 'application' | 'environment' | 'fence'>,
): Promise<EnvironmentTable> {
  const row = await lockEnvironment(db, release.application, release.environment);
  if (row.fence === release.fence) return row;
  const place = `${release.application}/${release.environment}`;
  throw new DomainError(
    'fence-stale',
    `${place} has gone on to fence ${row.fence}; this deploy holds ${release.fence}`,
  );
}

export class SqlReleaseStore implements ReleaseStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async begin(release: Parameters<ReleaseStore['begin']>[0]): Promise<Release> {
    const now = this.#database.now();
    return this.#database.write(async (db) => {
      await lockFenced(db, release);
      const known = await db
        .selectFrom('releases')
        .selectAll()
        .where('run', '=', release.run)
        .where('task', '=', release.task)
        .where('attempt', '=', release.attempt)
        .executeTakeFirst();
      if (known !== undefined) return toRelease(known);
      const row: ReleaseTable = {
        application: release.application,
        environment: release.environment,
        number: await nextNumber(db, release),
        fence: release.fence,
        run: release.run,
        task: release.task,
        attempt: release.attempt,
        commit: release.commit,
        image: release.image ?? null,
        template: release.template,
        planDigest: release.planDigest,
        config: toJson(release.config),
        status: 'deploying',
        code: null,
        reason: null,
        createdAtMs: now,
        liveAtMs: null,
      };
      await db.insertInto('releases').values(row).execute();
      return toRelease(row);
    });
  }

  async makeLive(release: Parameters<ReleaseStore['makeLive']>[0], replicas: number | undefined): Promise<void> {
    const { application, environment, number } = release;
    const now = this.#database.now();
    await this.#database.write(async (db) => {
      const { liveRelease } = await lockFenced(db, release);
      if (liveRelease === number) return;
      await db
        .updateTable('releases')
        .set({ status: 'superseded' })
        .where('application', '=', application)
        .where('environment', '=', environment)
        .where('status', '=', 'live')
        .execute();
      const live = await db
        .updateTable('releases')
        .set({ status: 'live', liveAtMs: now })
        .where('application', '=', application)
        .where('environment', '=', environment)
        .where('number', '=', number)
        .where('status', '=', 'deploying')
        .returning('number')
        .executeTakeFirst();
      if (live === undefined) {
        throw new DomainError(
          'deploy-refused',
          `release ${number} of ${application}/${environment} is not being deployed`,
        );
      }
      await db
        .updateTable('environments')
        .set({ liveRelease: number, ...(replicas !== undefined && { replicas }) })
        .where('application', '=', application)
        .where('name', '=', environment)
        .execute();
    });
  }

  async fail(release: Parameters<ReleaseStore['fail']>[0], { status, code, reason }: ReleaseEnd): Promise<void> {
    await this.#database.write((db) =>
      db
        .updateTable('releases')
        .set({ status, code: code ?? null, reason: cutText(reason, 500) })
        .where('application', '=', release.application)
        .where('environment', '=', release.environment)
        .where('number', '=', release.number)
        .where('status', '=', 'deploying')
        .execute(),
    );
  }

  async get(application: ApplicationName, environment: EnvironmentName, number: number): Promise<Release | undefined> {
    const row = await this.#database.read((db) =>
      db
        .selectFrom('releases')
        .selectAll()
        .where('application', '=', application)
        .where('environment', '=', environment)
        .where('number', '=', number)
        .executeTakeFirst(),
    );
    return row && toRelease(row);
  }

  async list(application: ApplicationName, environment?: EnvironmentName): Promise<readonly Release[]> {
    const rows = await this.#database.read((db) => {
      const query = db.selectFrom('releases').selectAll().where('application', '=', application);
      const filtered = environment === undefined ? query : query.where('environment', '=', environment);
      return filtered.orderBy('createdAtMs', 'desc').orderBy('number', 'desc').orderBy('environment').execute();
    });
    return rows.map(toRelease);
  }
}

async function nextNumber(
  db: Transaction<Tables>,
  { application, environment }: Pick<Release, 'application' | 'environment'>,
): Promise<number> {
  const last = await db
    .selectFrom('releases')
    .select('number')
    .where('application', '=', application)
    .where('environment', '=', environment)
    .orderBy('number', 'desc')
    .limit(1)
    .executeTakeFirst();
  return (last?.number ?? 0) + 1;
}
