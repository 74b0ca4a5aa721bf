import type { Transaction } from 'kysely';
import { DomainError } from '../../core/errors.ts';
import type { ApplicationName, EnvironmentName } from '../../core/model/ids.ts';
import type { Environment, EnvironmentSettings, EnvironmentStore } from '../../ports/store.ts';
import { unknownApplication } from './applications.ts';
import type { Database } from './database.ts';
import type { EnvironmentTable, Tables } from './tables.ts';
import { cutText, fromJson, present, toFlag, toJson } from './values.ts';

// I3: the fence of an environment only grows, and belongs to one holder.

/** Finds a free port; `taken` are those of other environments. */
export type PickFrontPort = (taken: readonly number[]) => Promise<number>;

const maxPicks = 20;

const defaults: EnvironmentSettings = {
  target: 'process',
  protected: false,
  branches: [],
  trust: undefined,
  replicas: 1,
  memoryMb: undefined,
  cpus: undefined,
  config: {},
  lockPolicy: 'queue',
};

function toEnvironment(row: EnvironmentTable): Environment {
  return {
    application: row.application,
    name: row.name,
    target: row.target,
    protected: row.protected === 1,
    branches: fromJson(row.branches) as readonly string[],
    trust: present(row.trust),
    replicas: row.replicas,
    memoryMb: present(row.memoryMb),
    cpus: present(row.cpus),
    config: fromJson(row.config) as Readonly<Record<string, string>>,
    lockPolicy: row.lockPolicy,
    frontPort: row.frontPort,
    fence: row.fence,
    liveRelease: present(row.liveRelease),
  };
}

function toColumns(settings: EnvironmentSettings): Pick<EnvironmentTable, keyof EnvironmentSettings> {
  return {
    target: settings.target,
    protected: toFlag(settings.protected),
    branches: toJson(settings.branches),
    trust: settings.trust ?? null,
    replicas: settings.replicas,
    memoryMb: settings.memoryMb ?? null,
    cpus: settings.cpus ?? null,
    config: toJson(settings.config),
    lockPolicy: settings.lockPolicy,
  };
}

export function unknownEnvironment(application: ApplicationName, name: EnvironmentName): DomainError {
  return new DomainError('environment-unknown', `the application "${application}" has no environment "${name}"`);
}

/** Locks the row until the transaction ends, also on PostgreSQL: what is read after it holds until the commit. */
export async function lockEnvironment(
  db: Transaction<Tables>,
  application: ApplicationName,
  name: EnvironmentName,
): Promise<EnvironmentTable> {
  const row = await db
    .updateTable('environments')
    .set({ name })
    .where('application', '=', application)
    .where('name', '=', name)
    .returningAll()
    .executeTakeFirst();
  if (row === undefined) throw unknownEnvironment(application, name);
  return row;
}

export class SqlEnvironmentStore implements EnvironmentStore {
  readonly #database: Database;
  readonly #pickFrontPort: PickFrontPort;

  constructor(database: Database, pickFrontPort: PickFrontPort) {
    this.#database = database;
    this.#pickFrontPort = pickFrontPort;
  }

  async get(application: ApplicationName, name: EnvironmentName): Promise<Environment | undefined> {
    const row = await this.#database.read((db) =>
      db
        .selectFrom('environments')
        .selectAll()
        .where('application', '=', application)
        .where('name', '=', name)
        .executeTakeFirst(),
    );
    return row && toEnvironment(row);
  }

  async list(application?: ApplicationName): Promise<readonly Environment[]> {
    const rows = await this.#database.read((db) => {
      const query = db.selectFrom('environments').selectAll().orderBy('application').orderBy('name');
      return (application === undefined ? query : query.where('application', '=', application)).execute();
    });
    return rows.map(toEnvironment);
  }

  async put(
    application: ApplicationName,
    name: EnvironmentName,
    settings: Partial<EnvironmentSettings>,
  ): Promise<Environment> {
    for (let pick = 0; pick < maxPicks; pick += 1) {
      const changed = await this.#change(application, name, settings);
      if (changed !== undefined) return changed;
      // Outside of a transaction: trying ports takes time, and the unique key settles who gets one.
      const taken = await this.#database.read((db) => db.selectFrom('environments').select('frontPort').execute());
      const frontPort = await this.#pickFrontPort(taken.map((row) => row.frontPort));
      const added = await this.#add(application, name, { ...defaults, ...settings }, frontPort);
      if (added !== undefined) return added;
    }
    throw new DomainError('internal', `no free port for the front of ${application}/${name} after ${maxPicks} tries`);
  }

  async moveFront(application: ApplicationName, name: EnvironmentName, port: number): Promise<Environment> {
    return this.#database.write(async (db) => {
      const row = await lockEnvironment(db, application, name);
      const owner = await db
        .selectFrom('environments')
        .select(['application', 'name'])
        .where('frontPort', '=', port)
        .executeTakeFirst();
      if (owner !== undefined && (owner.application !== application || owner.name !== name)) {
        throw new DomainError('input-invalid', `port ${port} belongs to ${owner.application}/${owner.name}`);
      }
      await db
        .updateTable('environments')
        .set({ frontPort: port })
        .where('application', '=', application)
        .where('name', '=', name)
        .execute();
      return toEnvironment({ ...row, frontPort: port });
    });
  }

  async takeFence(application: ApplicationName, name: EnvironmentName, holder: string, seen: number): Promise<number> {
    return this.#database.write(async (db) => {
      const row = await lockEnvironment(db, application, name);
      const known = await db
        .selectFrom('fences')
        .select('fence')
        .where('application', '=', application)
        .where('environment', '=', name)
        .where('holder', '=', holder)
        .executeTakeFirst();
      if (known !== undefined) return known.fence;
      const fence = Math.max(row.fence, seen) + 1;
      await db
        .updateTable('environments')
        .set({ fence, fenceStep: null })
        .where('application', '=', application)
        .where('name', '=', name)
        .execute();
      await db.insertInto('fences').values({ application, environment: name, holder, fence }).execute();
      return fence;
    });
  }

  async isFenceOf(
    application: ApplicationName,
    name: EnvironmentName,
    holder: string,
    fence: number,
  ): Promise<boolean> {
    const row = await this.#database.read((db) =>
      db
        .selectFrom('fences')
        .select('fence')
        .where('application', '=', application)
        .where('environment', '=', name)
        .where('holder', '=', holder)
        .executeTakeFirst(),
    );
    return row?.fence === fence;
  }

  async checkFence(application: ApplicationName, name: EnvironmentName, fence: number, step: string): Promise<boolean> {
    const row = await this.#database.write((db) =>
      db
        .updateTable('environments')
        .set({ fenceStep: cutText(step, 200) })
        .where('application', '=', application)
        .where('name', '=', name)
        .where('fence', '=', fence)
        .returning('fence')
        .executeTakeFirst(),
    );
    return row !== undefined;
  }

  async #change(
    application: ApplicationName,
    name: EnvironmentName,
    settings: Partial<EnvironmentSettings>,
  ): Promise<Environment | undefined> {
    const row = await this.#database.write(async (db) => {
      const before = await db
        .updateTable('environments')
        .set({ name })
        .where('application', '=', application)
        .where('name', '=', name)
        .returningAll()
        .executeTakeFirst();
      if (before === undefined) return undefined;
      return db
        .updateTable('environments')
        .set(toColumns({ ...toEnvironment(before), ...settings }))
        .where('application', '=', application)
        .where('name', '=', name)
        .returningAll()
        .executeTakeFirst();
    });
    return row && toEnvironment(row);
  }

  async #add(
    application: ApplicationName,
    name: EnvironmentName,
    settings: EnvironmentSettings,
    frontPort: number,
  ): Promise<Environment | undefined> {
    const row = await this.#database.write(async (db) => {
      const owner = await db
        .selectFrom('applications')
        .select('name')
        .where('name', '=', application)
        .executeTakeFirst();
      if (owner === undefined) throw unknownApplication(application);
      return db
        .insertInto('environments')
        .values({
          application,
          name,
          ...toColumns(settings),
          frontPort,
          fence: 0,
          fenceStep: null,
          liveRelease: null,
        })
        .onConflict((conflict) => conflict.doNothing())
        .returningAll()
        .executeTakeFirst();
    });
    return row && toEnvironment(row);
  }
}
