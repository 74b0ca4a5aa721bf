import { createHash } from 'node:crypto';
import { DomainError } from '../../core/errors.ts';
import type { Secret } from '../../ports/secret.ts';
import type { Role, Token, TokenStore } from '../../ports/credential-store.ts';
import type { Database } from './database.ts';
import { checkedText } from './values.ts';

/** Tokens are long and random: a plain hash cannot be turned back, and finds the row by its index. */
function hashToken(token: Secret): string {
  return createHash('sha256').update(token.reveal()).digest('hex');
}

export class SqlTokenStore implements TokenStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async put(name: string, role: Role, token: Secret): Promise<Token> {
    if (token.reveal().length < 20) throw new DomainError('input-invalid', 'a token has at least 20 characters');
    const row = {
      name: checkedText(name, 'the name of the token', 100),
      role,
      hash: hashToken(token),
      createdAtMs: this.#database.now(),
    };
    await this.#database.write(async (db) => {
      const holder = await db.selectFrom('tokens').select('name').where('hash', '=', row.hash).executeTakeFirst();
      if (holder !== undefined && holder.name !== name)
        throw new DomainError('input-invalid', 'the token belongs to another name already');
      await db
        .insertInto('tokens')
        .values(row)
        .onConflict((conflict) => conflict.column('name').doUpdateSet(row))
        .execute();
    });
    return { name, role, createdAtMs: row.createdAtMs };
  }

  async authenticate(token: Secret): Promise<Token | undefined> {
    return this.#database.read((db) =>
      db
        .selectFrom('tokens')
        .select(['name', 'role', 'createdAtMs'])
        .where('hash', '=', hashToken(token))
        .executeTakeFirst(),
    );
  }

  async list(): Promise<readonly Token[]> {
    return this.#database.read((db) =>
      db.selectFrom('tokens').select(['name', 'role', 'createdAtMs']).orderBy('name').execute(),
    );
  }

  async remove(name: string): Promise<boolean> {
    const removed = await this.#database.write((db) =>
      db.deleteFrom('tokens').where('name', '=', name).returning('name').executeTakeFirst(),
    );
    return removed !== undefined;
  }
}
