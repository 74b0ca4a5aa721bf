import path from 'node:path';
import type { Store } from '../ports/store.ts';
import { writePrivateFile } from './private-file.ts';

/**
 * Writes `<data>/relay/triggers.json`, from which the relay of this data folder knows its triggers: it has no database. Calls at once follow each other, so
 * that the last one to write has seen all that were added.
 */
export function createRelayTriggers(applications: Store['applications'], dataFolder: string): () => Promise<void> {
  const file = path.join(dataFolder, 'relay/triggers.json');
  let last: Promise<void> = Promise.resolve();

  async function write(): Promise<void> {
    const triggers = [];
    for (const { name, trigger } of await applications.list()) {
      triggers.push({ trigger, secret: (await applications.triggerSecret(name)).reveal() });
    }
    await writePrivateFile(file, `${JSON.stringify({ version: 1, triggers }, undefined, 2)}\n`);
  }

  return () => {
    last = last.then(write, write);
    return last;
  };
}
