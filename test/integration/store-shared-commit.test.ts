import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createSecretBox } from '../../src/adapters/secret/secret-box.ts';
import { Database } from '../../src/adapters/store/database.ts';
import { createSqliteEngine } from '../../src/adapters/store/sqlite-dialect.ts';

let folder = '';
let database: Database;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'loam-store-'));
  const secretBox = createSecretBox({ key: new Uint8Array(32).fill(7) });
  const engine = createSqliteEngine(path.join(folder, 'loam.db'), 1_000);
  database = new Database({ engine, secretBox, now: () => 0 });
  await database.write((db) => sql`create table words (word text primary key)`.execute(db));
});

afterEach(async () => {
  await database.close();
  await rm(folder, { recursive: true });
});

function write(word: string, failure?: Error): Promise<string> {
  return database.write(async (db) => {
    await sql`insert into words (word) values (${word})`.execute(db);
    if (failure !== undefined) throw failure;
    return word;
  });
}

async function words(): Promise<readonly string[]> {
  const { rows } = await database.read((db) => sql<{ word: string }>`select word from words order by word`.execute(db));
  return rows.map(({ word }) => word);
}

it('gives each of many writes at once its own result', async () => {
  const many = Array.from({ length: 100 }, (_, index) => `word-${String(index).padStart(3, '0')}`);

  await expect(Promise.all(many.map((word) => write(word)))).resolves.toEqual(many);
  await expect(words()).resolves.toEqual(many);
});

it('takes back a write that failed, and nothing of those that shared its commit', async () => {
  const results = await Promise.allSettled([
    write('first'),
    write('second', new Error('changed its mind')),
    write('third'),
    write('first'), // against the primary key
    write('fourth'),
  ]);

  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'rejected', 'fulfilled']);
  await expect(words()).resolves.toEqual(['first', 'fourth', 'third']);
});

it('sees what an earlier write of the same commit did', async () => {
  const count = (): Promise<number> =>
    database.write(async (db) => {
      const { rows } = await sql<{ found: number }>`select count(*) as found from words`.execute(db);
      return rows[0]?.found ?? -1;
    });

  await expect(Promise.all([count(), write('one'), count(), write('two'), count()])).resolves.toEqual([
    0,
    'one',
    1,
    'two',
    2,
  ]);
});

it('fails all that shared a commit, for the reason it had, when the database ends their transaction', async () => {
  await write('taken');
  const ended = database.write((db) => sql`insert or rollback into words (word) values ('taken')`.execute(db));

  const results = await Promise.allSettled([write('first'), ended, write('third')]);

  expect(results.map((result) => (result.status === 'rejected' ? String(result.reason) : result.value))).toEqual(
    Array.from({ length: 3 }, () => expect.stringContaining('UNIQUE') as string),
  );
  await expect(words()).resolves.toEqual(['taken']);
  await expect(write('afterwards')).resolves.toBe('afterwards');
});
