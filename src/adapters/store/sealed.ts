// Every text of the database that is sealed, and the context that binds it to its row (I7): one that is copied to another row does not open.
import type { Kysely } from 'kysely';
import type { ApplicationName, EnvironmentName } from '../../core/model/ids.ts';
import type { Database } from './database.ts';
import type { Tables } from './tables.ts';

export const contexts = {
  triggerSecret: (application: ApplicationName) => `application/${application}/trigger`,
  repositoryToken: (application: ApplicationName) => `application/${application}/token`,
  deployKey: (application: ApplicationName) => `application/${application}/deploy-key`,
  statusToken: (application: ApplicationName) => `application/${application}/status-token`,
  /** `environment` empty: for all of the application. */
  secret: (application: ApplicationName, environment: EnvironmentName | '', name: string) =>
    `secret/${application}/${environment}/${name}`,
  trustToken: (trust: string) => `trust/${trust}`,
  trustCredential: (trust: string) => `trust/${trust}/credential`,
} as const;

interface SealedText {
  readonly text: string | null;
  readonly context: string;
  /** Does nothing when the row holds another text by now. */
  readonly replace: (sealed: string) => Promise<unknown>;
}

/** Seals with the present key what an older one has sealed. Returns how many texts that were. */
export async function reseal(database: Database): Promise<number> {
  const { secretBox } = database;
  return database.write(async (db) => {
    let count = 0;
    for (const { text, context, replace } of await findSealed(db)) {
      if (text === null || secretBox.isCurrent(text)) continue;
      await replace(secretBox.seal(secretBox.open(text, context).reveal(), context));
      count += 1;
    }
    return count;
  });
}

async function findSealed(db: Kysely<Tables>): Promise<readonly SealedText[]> {
  return [
    ...(await applicationTexts(db)),
    ...(await trustTexts(db)),
    ...(await secretTexts(db)),
    ...(await statusTexts(db)),
  ];
}

async function applicationTexts(db: Kysely<Tables>): Promise<readonly SealedText[]> {
  const rows = await db.selectFrom('applications').select(['name', 'triggerSecret', 'token', 'deployKey']).execute();
  return rows.flatMap(({ name, triggerSecret, token, deployKey }) => [
    {
      text: triggerSecret,
      context: contexts.triggerSecret(name),
      replace: (sealed: string) =>
        db
          .updateTable('applications')
          .set({ triggerSecret: sealed })
          .where('name', '=', name)
          .where('triggerSecret', '=', triggerSecret)
          .execute(),
    },
    {
      text: token,
      context: contexts.repositoryToken(name),
      replace: (sealed: string) =>
        db
          .updateTable('applications')
          .set({ token: sealed })
          .where('name', '=', name)
          .where('token', '=', token)
          .execute(),
    },
    {
      text: deployKey,
      context: contexts.deployKey(name),
      replace: (sealed: string) =>
        db
          .updateTable('applications')
          .set({ deployKey: sealed })
          .where('name', '=', name)
          .where('deployKey', '=', deployKey)
          .execute(),
    },
  ]);
}

async function trustTexts(db: Kysely<Tables>): Promise<readonly SealedText[]> {
  const rows = await db.selectFrom('trusts').select(['name', 'token', 'credential']).execute();
  return rows.flatMap(({ name, token, credential }) => [
    {
      text: token,
      context: contexts.trustToken(name),
      replace: (sealed: string) =>
        db.updateTable('trusts').set({ token: sealed }).where('name', '=', name).where('token', '=', token).execute(),
    },
    {
      text: credential,
      context: contexts.trustCredential(name),
      replace: (sealed: string) =>
        db
          .updateTable('trusts')
          .set({ credential: sealed })
          .where('name', '=', name)
          .where('credential', '=', credential)
          .execute(),
    },
  ]);
}

async function secretTexts(db: Kysely<Tables>): Promise<readonly SealedText[]> {
  const rows = await db.selectFrom('secrets').select(['application', 'environment', 'name', 'value']).execute();
  return rows.map(({ application, environment, name, value }) => ({
    text: value,
    context: contexts.secret(application, environment, name),
    replace: (sealed: string) =>
      db
        .updateTable('secrets')
        .set({ value: sealed })
        .where('application', '=', application)
        .where('environment', '=', environment)
        .where('name', '=', name)
        .where('value', '=', value)
        .execute(),
  }));
}

async function statusTexts(db: Kysely<Tables>): Promise<readonly SealedText[]> {
  const rows = await db.selectFrom('statusPlaces').select(['application', 'token']).execute();
  return rows.map(({ application, token }) => ({
    text: token,
    context: contexts.statusToken(application),
    replace: (sealed: string) =>
      db
        .updateTable('statusPlaces')
        .set({ token: sealed })
        .where('application', '=', application)
        .where('token', '=', token)
        .execute(),
  }));
}
