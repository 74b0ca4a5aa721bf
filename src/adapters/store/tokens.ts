import { createHash } from 'node:crypto';
import { DomainError } from '../../core/errors.ts';
import type { Grant } from '../../core/model/access.ts';
import type { Secret } from '../../ports/secret.ts';
import type { Token, TokenStore } from '../../ports/credential-store.ts';
import type { Database } from './database.ts';
import type { TokenTable } from './tables.ts';
import { checkedText, fromJson, present, toJson } from './values.ts';

type NewToken = Parameters<TokenStore['put']>[0];

/** Tokens are long and random: a plain hash cannot be turned back, and finds the row by its index. */
function hashToken(secret: Secret): string {
  return createHash('sha256').update(secret.reveal()).digest('hex');
}

export class SqlTokenStore implements TokenStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async put({ name, grants, expiresAtMs }: NewToken, secret: Secret): Promise<Token> {
    if (secret.reveal().length < 20) throw new DomainError('input-invalid', 'a token has at least 20 characters');
    if (grants.length === 0) throw new DomainError('input-invalid', 'a token has at least one role');
    const row = {
      name: checkedText(name, 'the name of the token', 100),
      grants: toJson(grants),
      hash: hashToken(secret),
      createdAtMs: this.#database.now(),
      expiresAtMs: expiresAtMs ?? null,
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
    return toToken(row);
  }

  async authenticate(secret: Secret): Promise<Token | undefined> {
    const row = await this.#database.read((db) =>
      db.selectFrom('tokens').selectAll().where('hash', '=', hashToken(secret)).executeTakeFirst(),
    );
    if (row === undefined || (row.expiresAtMs !== null && row.expiresAtMs <= this.#database.now())) return undefined;
    return toToken(row);
  }

  async list(): Promise<readonly Token[]> {
    const rows = await this.#database.read((db) => db.selectFrom('tokens').selectAll().orderBy('name').execute());
    return rows.map(toToken);
  }

  async remove(name: string): Promise<boolean> {
    const removed = await this.#database.write((db) =>
      db.deleteFrom('tokens').where('name', '=', name).returning('name').executeTakeFirst(),
    );
    return removed !== undefined;
  }
}

function toToken({ name, grants, createdAtMs, expiresAtMs }: TokenTable): Token {
  return { name, grants: fromJson(grants) as readonly Grant[], createdAtMs, expiresAtMs: present(expiresAtMs) };
}
