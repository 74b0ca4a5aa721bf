import type { Digest } from '../../src/core/model/ids.ts';
import type { LogKey, LogPosition } from '../../src/ports/log-store.ts';
import type { LogPositionStore } from '../../src/ports/log-store.ts';

interface Row extends LogPosition {
  readonly sealed: Digest | undefined;
}

function nameOf({ run, task, attempt }: LogKey): string {
  return `${run} ${task} ${attempt}`;
}

/** Positions that several log stores share, as processes share the database. */
export class MemoryLogPositions implements LogPositionStore {
  readonly #rows = new Map<string, Row>();
  /** How often a position was written. */
  advances = 0;

  get(key: LogKey): Promise<Row | undefined> {
    return Promise.resolve(this.#rows.get(nameOf(key)));
  }

  advance(key: LogKey, from: LogPosition, to: LogPosition): Promise<boolean> {
    const row = this.#rows.get(nameOf(key)) ?? { source: 0, stored: 0, sealed: undefined };
    if (row.source !== from.source || row.stored !== from.stored) return Promise.resolve(false);
    this.advances += 1;
    this.#rows.set(nameOf(key), { ...to, sealed: row.sealed });
    return Promise.resolve(true);
  }

  seal(key: LogKey, digest: Digest): Promise<void> {
    const row = this.#rows.get(nameOf(key)) ?? { source: 0, stored: 0 };
    this.#rows.set(nameOf(key), { source: row.source, stored: row.stored, sealed: digest });
    return Promise.resolve();
  }
}
