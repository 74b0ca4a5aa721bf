// Stops Loam between two writes of its database, so that a test can kill it there.
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setImmediate as turn } from 'node:timers/promises';
import type { Loam } from './loam.ts';

export interface HeldWrites {
  /** Lets one write of Loam's pass, and holds the next one back. False when none comes. */
  step(): Promise<boolean>;
  release(): void;
}

/** Holds back whoever would write to the database: SQLite has one lock for it. */
export function holdWrites({ dataFolder }: Loam): HeldWrites {
  const database = new DatabaseSync(path.join(dataFolder, 'loam.db'), { timeout: 60_000 });
  const version = database.prepare('pragma data_version'); // another one after each write of somebody else
  database.exec('begin immediate');
  return {
    async step() {
      const before = JSON.stringify(version.get());
      database.exec('commit');
      const deadline = performance.now() + 5_000;
      let hasWritten = false;
      while (!hasWritten && performance.now() < deadline) {
        await turn();
        hasWritten = JSON.stringify(version.get()) !== before;
      }
      database.exec('begin immediate');
      return hasWritten;
    },
    release: () => database.close(),
  };
}
