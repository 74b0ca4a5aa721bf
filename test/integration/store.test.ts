import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Kysely, sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import { createSecretBox } from '../../src/adapters/secret/secret-box.ts';
import { addGrants } from '../../src/adapters/store/migrations/0004-grants.ts';
import { createSqliteEngine } from '../../src/adapters/store/sqlite-dialect.ts';
import { createStore } from '../../src/adapters/store/store.ts';
import { Secret } from '../../src/ports/secret.ts';
import type { Store } from '../../src/ports/store.ts';
import { testStore } from './contracts/store.ts';
import { addApplication, TestKeys, thingy, type OpenStore } from './contracts/store-builders.ts';

const secretBox = createSecretBox({ key: new Uint8Array(32).fill(7) });

function pickFrontPort(taken: readonly number[]): Promise<number> {
  return Promise.resolve(Math.max(7_799, ...taken) + 1);
}

async function openSqlite(busyWaitMs = 10_000): Promise<OpenStore & { readonly file: string }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'loam-store-'));
  const file = path.join(folder, 'data', 'loam.db');
  const clock = { nowMs: 1_700_000_000_000 };
  const keys = new TestKeys();
  const store: Store = await createStore({
    ...{ file, pickFrontPort, busyWaitMs, now: () => clock.nowMs },
    secretBox: createSecretBox(keys),
  });
  return {
    store,
    clock,
    keys,
    file,
    close: async () => {
      await store.close();
      await rm(folder, { recursive: true });
    },
  };
}

testStore('SQLite', openSqlite);

describe('SQLite: the file', () => {
  it('is for its owner alone, and has no secret in clear (I7)', async () => {
    const opened = await openSqlite();
    try {
      await addApplication(opened.store);
      await opened.store.secrets.put(thingy, undefined, 'KEY', new Secret('correct horse'));
      const { mode } = await stat(opened.file);
      const { mode: walMode } = await stat(`${opened.file}-wal`);
      const database = new DatabaseSync(opened.file, { readOnly: true });
      const rows = JSON.stringify([
        database.prepare('select * from applications').all(),
        database.prepare('select * from secrets').all(),
      ]);
      database.close();

      expect([mode & 0o777, walMode & 0o777]).toEqual([0o600, 0o600]);
      expect(rows).not.toMatch(/correct horse|hook-secret/);
      expect(rows).not.toContain(Buffer.from('correct horse').toString('base64url').slice(0, 12));
    } finally {
      await opened.close();
    }
  });

  it('is opened again with all that it had, by WAL and full sync', async () => {
    const opened = await openSqlite();
    try {
      await addApplication(opened.store);
      const second = await createStore({ file: opened.file, secretBox, pickFrontPort });

      expect(await second.applications.list()).toHaveLength(1);

      await second.close();
      const database = new DatabaseSync(opened.file);
      expect(database.prepare('PRAGMA journal_mode').get()).toMatchObject({ journal_mode: 'wal' });
      expect(() => database.exec("insert into tokens values ('a', 'h', 'not a number', '[]', null)")).toThrow(
        /INTEGER/,
      );
      database.close();
    } finally {
      await opened.close();
    }
  });

  it('keeps tokens of an older Loam: their role holds everywhere', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'loam-store-'));
    const database = new Kysely<unknown>({ dialect: createSqliteEngine(path.join(folder, 'old.db'), 1_000).dialect });
    try {
      await sql`create table tokens (name text primary key, role text not null, hash text not null) strict`.execute(
        database,
      );
      await sql`insert into tokens values ('ann', 'approver', 'a'), ('admin', 'admin', 'b')`.execute(database);
      await addGrants(database);
      const tokens = await sql`select * from tokens order by hash`.execute(database);
      expect(tokens.rows).toEqual([
        { name: 'ann', hash: 'a', grants: '[{"role":"approver"}]', expires_at_ms: null },
        { name: 'admin', hash: 'b', grants: '[{"role":"admin"}]', expires_at_ms: null },
      ]);
    } finally {
      await database.destroy();
      await rm(folder, { recursive: true });
    }
  });

  it('that cannot be opened is an unavailable store', async () => {
    const opening = createStore({ file: '/dev/null/loam.db', secretBox, pickFrontPort });

    await expect(opening).rejects.toMatchObject({ code: 'store-unavailable' });
  });

  it('that is held too long by another process is an unavailable store', async () => {
    const opened = await openSqlite(300);
    const database = new DatabaseSync(opened.file);
    try {
      database.exec('BEGIN IMMEDIATE');
      const startedAt = performance.now();
      let ticks = 0;
      const timer = setInterval(() => (ticks += 1), 20);

      await expect(addApplication(opened.store)).rejects.toMatchObject({ code: 'store-unavailable' });

      clearInterval(timer);
      expect(performance.now() - startedAt).toBeGreaterThanOrEqual(299);
      expect(ticks).toBeGreaterThan(3); // the event loop was not blocked for long
      database.exec('ROLLBACK');
      await addApplication(opened.store);
    } finally {
      database.close();
      await opened.close();
    }
  });
});
