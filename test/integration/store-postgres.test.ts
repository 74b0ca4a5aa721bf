import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createFolderBlobStore } from '../../src/adapters/blob/folder/folder-blob-store.ts';
import { createRowLogStore } from '../../src/adapters/log/rows/row-log-store.ts';
import { createSecretBox } from '../../src/adapters/secret/secret-box.ts';
import { describePostgres } from '../../src/adapters/store/postgres-dialect.ts';
import { createStore } from '../../src/adapters/store/store.ts';
import type { BlobStore } from '../../src/ports/blob-store.ts';
import { Secret } from '../../src/ports/secret.ts';
import type { Store } from '../../src/ports/store.ts';
import { startPostgres, type TestPostgres } from '../support/postgres.ts';
import { testLogStore } from './contracts/log-store.ts';
import { testStoreProcesses } from './contracts/store-processes.ts';
import { testStore } from './contracts/store.ts';
import { addApplication, TestKeys, thingy, type OpenStore } from './contracts/store-builders.ts';

/** Without regard to which row names which. */
const emptyAll = `do $$ declare one record; begin
  set local session_replication_role = replica;
  for one in select tablename from pg_tables where schemaname = 'public' and tablename not like 'kysely%' loop
    execute format('delete from %I', one.tablename);
  end loop;
end $$`;
const keys = new TestKeys();
const secretBox = createSecretBox(keys);
let postgres: TestPostgres;
let shared: { readonly url: string; readonly store: Store };

beforeAll(async () => {
  postgres = await startPostgres();
  const url = await postgres.createDatabase();
  shared = { url, store: await open(url, () => clock.nowMs) };
});

afterAll(async () => {
  await shared.store.close();
  await postgres.close();
});

function pickFrontPort(taken: readonly number[]): Promise<number> {
  return Promise.resolve(Math.max(7_799, ...taken) + 1);
}

function open(url: string, now: () => number = Date.now, busyWaitMs = 30_000): Promise<Store> {
  return createStore({ url: new Secret(url), secretBox, pickFrontPort, now, busyWaitMs });
}

const clock = { nowMs: 0 };

/** The same tables for every test, emptied: quicker than a database each. */
async function openEmptied(): Promise<OpenStore> {
  await postgres.query(emptyAll, shared.url);
  clock.nowMs = 1_700_000_000_000;
  return { store: shared.store, clock, keys, close: () => Promise.resolve() };
}

testStore('PostgreSQL', openEmptied);

testStoreProcesses('PostgreSQL', async () => {
  const url = await postgres.createDatabase();
  return { place: url, open: () => open(url), isWhole: () => true, close: () => postgres.dropDatabase(url) };
});

testLogStore('rows of PostgreSQL', async () => {
  const { store } = await openEmptied();
  const folder = await mkdtemp(path.join(tmpdir(), 'loam-blobs-'));
  const blobs: BlobStore = createFolderBlobStore({ folder });
  return {
    blobs,
    open: (into = blobs) => createRowLogStore({ rows: store.logs, blobs: into }),
    close: () => rm(folder, { recursive: true }),
  };
});

describe('PostgreSQL: the database', () => {
  it('has no secret in clear (I7)', async () => {
    const { store } = await openEmptied();
    await addApplication(store);
    await store.secrets.put(thingy, undefined, 'KEY', new Secret('correct horse'));
    const rows = JSON.stringify([
      await postgres.query('select * from applications', shared.url),
      await postgres.query('select * from secrets', shared.url),
    ]);

    expect(rows).toContain('thingy');
    expect(rows).not.toMatch(/correct horse|hook-secret/);
  });

  it('is described without a change', async () => {
    const url = await postgres.createDatabase();

    expect(await describePostgres(new Secret(url))).toEqual({
      version: expect.stringMatching(/^\d+\.\d+/) as string,
      tables: 0,
    });

    await postgres.dropDatabase(url);
  });

  it('that nobody serves is an unavailable store, and its password is not told (I7)', async () => {
    const opening = open('postgresql://loam:hunter2hunter2@127.0.0.1:1/loam', Date.now, 50);

    await expect(opening).rejects.toMatchObject({ code: 'store-unavailable' });
    await expect(opening).rejects.not.toThrow(/hunter2/);
  });
});
