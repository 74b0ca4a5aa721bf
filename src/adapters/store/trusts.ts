import { DomainError } from '../../core/errors.ts';
import type { Secret } from '../../ports/secret.ts';
import type { Trust, TrustStore } from '../../ports/credential-store.ts';
import type { Database } from './database.ts';
import { contexts } from './sealed.ts';
import type { TrustTable } from './tables.ts';
import { checkedText, cutText, fromJson, present, toJson } from './values.ts';

// I7: a token is sealed in its row, and opened only for whoever asks for it.

function toTrust(row: TrustTable): Trust {
  return {
    name: row.name,
    provider: row.provider,
    settings: fromJson(row.settings) as Readonly<Record<string, unknown>>,
    state: row.state,
    reason: present(row.reason),
    generation: row.generation,
    expiresAtMs: present(row.expiresAtMs),
  };
}

function unknownTrust(name: string): DomainError {
  return new DomainError('trust-unknown', `there is no trust "${name}"; "loam trust list" names those that are`);
}

export class SqlTrustStore implements TrustStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async put(trust: Pick<Trust, 'name' | 'provider' | 'settings'>, credential?: Secret): Promise<Trust> {
    const name = checkedText(trust.name, 'the name of the trust', 100);
    const settings = toJson(trust.settings);
    const sealed =
      credential === undefined
        ? null
        : this.#database.secretBox.seal(credential.reveal(), contexts.trustCredential(name));
    const fresh: TrustTable = {
      name,
      provider: trust.provider,
      settings,
      credential: sealed,
      state: 'unused',
      reason: null,
      generation: 0,
      token: null,
      drawnAtMs: null,
      expiresAtMs: null,
      leaseOwner: null,
      leaseUntilMs: 0,
    };
    return this.#database.write(async (db) => {
      await db
        .insertInto('trusts')
        .values(fresh)
        .onConflict((conflict) => conflict.column('name').doNothing())
        .execute();
      const row = await db
        .updateTable('trusts')
        .set({ name })
        .where('name', '=', name)
        .returningAll()
        .executeTakeFirstOrThrow();
      if (sealed === null && isSame(row, fresh)) return toTrust(row);
      // A person has connected anew: no token of the old settings may be used, or still be saved by whoever holds the lease.
      const changed = { ...fresh, generation: row.generation, credential: sealed ?? row.credential };
      await db.updateTable('trusts').set(changed).where('name', '=', name).execute();
      return toTrust(changed);
    });
  }

  async get(name: string): Promise<Trust | undefined> {
    const row = await this.#row(name);
    return row && toTrust(row);
  }

  async list(): Promise<readonly Trust[]> {
    const rows = await this.#database.read((db) => db.selectFrom('trusts').selectAll().orderBy('name').execute());
    return rows.map(toTrust);
  }

  async token(name: string): ReturnType<TrustStore['token']> {
    const row = await this.#row(name);
    if (row?.token == null || row.drawnAtMs === null || row.expiresAtMs === null) return undefined;
    const token = this.#database.secretBox.open(row.token, contexts.trustToken(name));
    return { token, generation: row.generation, drawnAtMs: row.drawnAtMs, expiresAtMs: row.expiresAtMs };
  }

  async credential(name: string): Promise<Secret | undefined> {
    const row = await this.#row(name);
    return row?.credential == null
      ? undefined
      : this.#database.secretBox.open(row.credential, contexts.trustCredential(name));
  }

  async lease(name: string, owner: string, forMs: number): Promise<boolean> {
    const now = this.#database.now();
    return this.#database.write(async (db) => {
      const row = await db
        .updateTable('trusts')
        .set({ name })
        .where('name', '=', name)
        .returningAll()
        .executeTakeFirst();
      if (row === undefined) throw unknownTrust(name);
      const isFree = row.leaseOwner === null || row.leaseOwner === owner || row.leaseUntilMs <= now;
      if (!isFree) return false;
      await db
        .updateTable('trusts')
        .set({ leaseOwner: owner, leaseUntilMs: now + forMs })
        .where('name', '=', name)
        .execute();
      return true;
    });
  }

  async unlease(name: string, owner: string): Promise<void> {
    await this.#database.write((db) =>
      db
        .updateTable('trusts')
        .set({ leaseOwner: null, leaseUntilMs: 0 })
        .where('name', '=', name)
        .where('leaseOwner', '=', owner)
        .execute(),
    );
  }

  async saveToken(name: string, owner: string, after: number, token: Secret, expiresAtMs: number): Promise<boolean> {
    const sealed = this.#database.secretBox.seal(token.reveal(), contexts.trustToken(name));
    const row = await this.#database.write((db) =>
      db
        .updateTable('trusts')
        .set({
          token: sealed,
          generation: after + 1,
          drawnAtMs: this.#database.now(),
          expiresAtMs: Math.trunc(expiresAtMs),
          state: 'valid',
          reason: null,
        })
        .where('name', '=', name)
        // A lease that ran out while the provider was slow still counts as long as nobody took it: the token is drawn, and may be the only good one.
        .where('leaseOwner', '=', owner)
        .where('generation', '=', after)
        .returning('generation')
        .executeTakeFirst(),
    );
    return row !== undefined;
  }

  async setState(name: string, state: Trust['state'], reason: string | undefined): Promise<void> {
    await this.#database.write((db) =>
      db
        .updateTable('trusts')
        .set({ state, reason: reason === undefined ? null : cutText(reason, 500) })
        .where('name', '=', name)
        .execute(),
    );
  }

  async dropExpired(): Promise<number> {
    const rows = await this.#database.write((db) =>
      db
        .updateTable('trusts')
        .set({ token: null })
        .where('token', 'is not', null)
        .where('expiresAtMs', '<=', this.#database.now())
        .returning('name')
        .execute(),
    );
    return rows.length;
  }

  async #row(name: string): Promise<TrustTable | undefined> {
    return this.#database.read((db) => db.selectFrom('trusts').selectAll().where('name', '=', name).executeTakeFirst());
  }
}

function isSame(row: TrustTable, { provider, settings }: TrustTable): boolean {
  const isGood = row.state === 'valid' || row.state === 'expiring' || row.state === 'unused';
  return isGood && row.provider === provider && row.settings === settings;
}
