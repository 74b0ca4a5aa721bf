import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createSecretBox } from '../../src/adapters/secret/secret-box.ts';
import { createStore } from '../../src/adapters/store/store.ts';
import type { Store } from '../../src/ports/store.ts';

export interface TestStore {
  readonly store: Store;
  readonly folder: string;
  readonly destroy: () => Promise<void>;
}

/** The real database in a folder of its own, which may also hold other state of the test. */
export async function openTestStore(): Promise<TestStore> {
  const folder = await mkdtemp(path.join(tmpdir(), 'loam-doors-'));
  const store = await createStore({
    file: path.join(folder, 'loam.db'),
    secretBox: createSecretBox({ key: randomBytes(32) }),
    pickFrontPort: (taken) => Promise.resolve(Math.max(7_800, ...taken.map((port) => port + 1))),
  });
  return {
    store,
    folder,
    destroy: async () => {
      await store.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
