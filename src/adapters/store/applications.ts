import { DomainError } from '../../core/errors.ts';
import type { ApplicationName } from '../../core/model/ids.ts';
import type { DeployKey, GitSource } from '../../ports/git.ts';
import type { Application, ApplicationStore, NewApplication } from '../../ports/store.ts';
import { Secret } from '../../ports/secret.ts';
import type { Database } from './database.ts';
import { contexts } from './sealed.ts';
import type { ApplicationTable } from './tables.ts';
import { checkedText, fromJson, toFlag, toJson } from './values.ts';

function toApplication(row: ApplicationTable): Application {
  return {
    name: row.name,
    repositoryUrl: row.repositoryUrl,
    local: row.local === 1,
    branches: fromJson(row.branches) as readonly string[],
    trigger: row.trigger,
    hasToken: row.token !== null,
    hasDeployKey: row.deployKey !== null,
    createdAtMs: row.createdAtMs,
  };
}

function toDeployKey(opened: Secret): DeployKey {
  const { key, knownHosts } = fromJson(opened.reveal()) as { readonly key: string; readonly knownHosts: string };
  return { key: new Secret(key), knownHosts };
}

export function unknownApplication(name: ApplicationName): DomainError {
  return new DomainError(
    'application-unknown',
    `there is no application "${name}"; "loam app list" names those that are`,
  );
}

export class SqlApplicationStore implements ApplicationStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async add(application: NewApplication, triggerSecret: Secret): Promise<Application> {
    // With an empty secret anybody could sign.
    if (triggerSecret.reveal() === '')
      throw new DomainError('input-invalid', 'the secret of a trigger must not be empty');
    const row: ApplicationTable = {
      name: application.name,
      repositoryUrl: checkedText(application.repositoryUrl, 'the URL of the repository', 2_000),
      local: toFlag(application.local),
      branches: toJson(application.branches),
      trigger: checkedText(application.trigger, 'the id of the trigger', 100),
      triggerSecret: this.#database.secretBox.seal(triggerSecret.reveal(), contexts.triggerSecret(application.name)),
      token: null,
      deployKey: null,
      lastRun: 0,
      watched: 0,
      createdAtMs: this.#database.now(),
    };
    const added = await this.#database.write((db) =>
      db
        .insertInto('applications')
        .values(row)
        .onConflict((conflict) => conflict.doNothing())
        .returningAll()
        .executeTakeFirst(),
    );
    if (added === undefined)
      throw new DomainError('application-exists', `the application "${row.name}" exists already`);
    return toApplication(added);
  }

  async get(name: ApplicationName): Promise<Application | undefined> {
    const row = await this.#row(name);
    return row && toApplication(row);
  }

  async list(): Promise<readonly Application[]> {
    const rows = await this.#database.read((db) => db.selectFrom('applications').selectAll().orderBy('name').execute());
    return rows.map(toApplication);
  }

  async update(name: ApplicationName, change: Parameters<ApplicationStore['update']>[1]): Promise<Application> {
    const { branches, repositoryUrl } = change;
    const row = await this.#database.write((db) =>
      db
        .updateTable('applications')
        .set({
          name,
          ...(branches && { branches: toJson(branches) }),
          ...(repositoryUrl !== undefined && {
            repositoryUrl: checkedText(repositoryUrl, 'the URL of the repository', 2_000),
          }),
        })
        .where('name', '=', name)
        .returningAll()
        .executeTakeFirst(),
    );
    if (row === undefined) throw unknownApplication(name);
    return toApplication(row);
  }

  async byTrigger(trigger: string): ReturnType<ApplicationStore['byTrigger']> {
    const row = await this.#database.read((db) =>
      db.selectFrom('applications').selectAll().where('trigger', '=', trigger).executeTakeFirst(),
    );
    return row && { application: toApplication(row), secret: this.#openSecret(row) };
  }

  async triggerSecret(name: ApplicationName): Promise<Secret> {
    const row = await this.#row(name);
    if (row === undefined) throw unknownApplication(name);
    return this.#openSecret(row);
  }

  async source(name: ApplicationName): Promise<GitSource> {
    const row = await this.#row(name);
    if (row === undefined) throw unknownApplication(name);
    const { repositoryUrl, token, deployKey } = row;
    const box = this.#database.secretBox;
    return {
      application: name,
      repositoryUrl,
      local: row.local === 1,
      token: token === null ? undefined : box.open(token, contexts.repositoryToken(name)),
      deployKey: deployKey === null ? undefined : toDeployKey(box.open(deployKey, contexts.deployKey(name))),
    };
  }

  async setDeployKey(name: ApplicationName, given: DeployKey | undefined): Promise<Application> {
    const text = given && toJson({ key: given.key.reveal(), knownHosts: given.knownHosts });
    const deployKey = text === undefined ? null : this.#database.secretBox.seal(text, contexts.deployKey(name));
    const row = await this.#database.write((db) =>
      db.updateTable('applications').set({ deployKey }).where('name', '=', name).returningAll().executeTakeFirst(),
    );
    if (row === undefined) throw unknownApplication(name);
    return toApplication(row);
  }

  async setToken(name: ApplicationName, token: Secret | undefined): Promise<Application> {
    const sealed =
      token === undefined ? null : this.#database.secretBox.seal(token.reveal(), contexts.repositoryToken(name));
    const row = await this.#database.write((db) =>
      db.updateTable('applications').set({ token: sealed }).where('name', '=', name).returningAll().executeTakeFirst(),
    );
    if (row === undefined) throw unknownApplication(name);
    return toApplication(row);
  }

  async #row(name: ApplicationName): Promise<ApplicationTable | undefined> {
    return this.#database.read((db) =>
      db.selectFrom('applications').selectAll().where('name', '=', name).executeTakeFirst(),
    );
  }

  #openSecret(row: ApplicationTable): Secret {
    return this.#database.secretBox.open(row.triggerSecret, contexts.triggerSecret(row.name));
  }
}
