import type { ApplicationName, EnvironmentName } from '../../core/model/ids.ts';
import type { Secret } from '../../ports/secret.ts';
import type { SecretStore } from '../../ports/credential-store.ts';
import { unknownApplication } from './applications.ts';
import type { Database } from './database.ts';
import { contexts } from './sealed.ts';
import { checkedText } from './values.ts';

// I7: values are sealed for their place: one that is copied to another row does not open.

const everywhere = '';

export class SqlSecretStore implements SecretStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async put(
    application: ApplicationName,
    environment: EnvironmentName | undefined,
    name: string,
    value: Secret,
  ): Promise<void> {
    const place = environment ?? everywhere;
    const row = {
      application,
      environment: place,
      name: checkedText(name, 'the name of the secret', 200),
      value: this.#database.secretBox.seal(value.reveal(), contexts.secret(application, place, name)),
      changedAtMs: this.#database.now(),
    } as const;
    await this.#database.write(async (db) => {
      const owner = await db
        .selectFrom('applications')
        .select('name')
        .where('name', '=', application)
        .executeTakeFirst();
      if (owner === undefined) throw unknownApplication(application);
      await db
        .insertInto('secrets')
        .values(row)
        .onConflict((conflict) =>
          conflict
            .columns(['application', 'environment', 'name'])
            .doUpdateSet({ value: row.value, changedAtMs: row.changedAtMs }),
        )
        .execute();
    });
  }

  async remove(application: ApplicationName, environment: EnvironmentName | undefined, name: string): Promise<boolean> {
    const removed = await this.#database.write((db) =>
      db
        .deleteFrom('secrets')
        .where('application', '=', application)
        .where('environment', '=', environment ?? everywhere)
        .where('name', '=', name)
        .returning('name')
        .executeTakeFirst(),
    );
    return removed !== undefined;
  }

  async names(application: ApplicationName): ReturnType<SecretStore['names']> {
    const rows = await this.#database.read((db) =>
      db
        .selectFrom('secrets')
        .select(['environment', 'name', 'changedAtMs'])
        .where('application', '=', application)
        .orderBy('environment')
        .orderBy('name')
        .execute(),
    );
    return rows.map(({ environment, name, changedAtMs }) => ({
      environment: environment === everywhere ? undefined : environment,
      name,
      changedAtMs,
    }));
  }

  async values(
    application: ApplicationName,
    environment: EnvironmentName | undefined,
  ): Promise<ReadonlyMap<string, Secret>> {
    const places = environment === undefined ? ([everywhere] as const) : ([everywhere, environment] as const);
    const rows = await this.#database.read((db) =>
      db
        .selectFrom('secrets')
        .selectAll()
        .where('application', '=', application)
        .where('environment', 'in', places)
        .orderBy('environment')
        .execute(),
    );
    // Empty comes first, so the narrower place wins.
    return new Map(
      rows.map((row) => [
        row.name,
        this.#database.secretBox.open(row.value, contexts.secret(application, row.environment, row.name)),
      ]),
    );
  }
}
