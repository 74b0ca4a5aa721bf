import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { createSecretBox } from '../../src/adapters/secret/secret-box.ts';
import { createStore } from '../../src/adapters/store/store.ts';
import { testStoreProcesses } from './contracts/store-processes.ts';

testStoreProcesses('SQLite', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'loam-store-'));
  const file = path.join(folder, 'loam.db');
  const secretBox = createSecretBox({ key: new Uint8Array(32).fill(7) });
  return {
    place: file,
    open: () => createStore({ file, secretBox, pickFrontPort: () => Promise.resolve(7_800) }),
    isWhole: () => {
      const database = new DatabaseSync(file);
      const answer = database.prepare('PRAGMA integrity_check').get();
      database.close();
      return answer?.['integrity_check'] === 'ok';
    },
    close: () => rm(folder, { recursive: true }),
  };
});
