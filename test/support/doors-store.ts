import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openKeyFile } from '../../src/adapters/secret/key-file.ts';
import type { KeyFile } from '../../src/adapters/secret/key-file.ts';
import { createSecretBox } from '../../src/adapters/secret/secret-box.ts';
import { createStore } from '../../src/adapters/store/store.ts';
import type { Store } from '../../src/ports/store.ts';

export interface TestStore {
  readonly store: Store;
  readonly folder: string;
  readonly keyFile: KeyFile;
  readonly destroy: () => Promise<void>;
}

/** The real database in a folder of its own, which may also hold other state of the test. */
export async function openTestStore(): Promise<TestStore> {
  const folder = await mkdtemp(path.join(tmpdir(), 'loam-doors-'));
  const keyFile = await openKeyFile(path.join(folder, 'key'));
  const store = await createStore({
    file: path.join(folder, 'loam.db'),
    secretBox: createSecretBox(keyFile),
    pickFrontPort: (taken) => Promise.resolve(Math.max(7_800, ...taken.map((port) => port + 1))),
  });
  return {
    store,
    folder,
    keyFile,
    destroy: async () => {
      await store.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
