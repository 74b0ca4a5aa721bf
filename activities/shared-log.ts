// Keeps I2: an attempt's log may have had another writer, before or at this moment.
import { DomainError } from '../src/core/errors.ts';
import type { LogKey, LogStore } from '../src/ports/log-store.ts';
import type { LogPositionStore } from '../src/ports/log-store.ts';

/**
 * The log store as activities write to it. A log that is sealed takes nothing more: the attempt died between the seal and its end, and is only finishing. Another
 * writer that is further is not the task's failure: `host-lost`, so the attempt is looked at anew.
 */
export function shareLogs(logs: LogStore, positions: LogPositionStore): LogStore {
  async function guard<T>(key: LogKey, write: () => Promise<T>, whenSealed: () => Promise<T>): Promise<T> {
    try {
      return await write();
    } catch (error) {
      if (!(error instanceof DomainError) || error.code !== 'fence-stale') throw error;
      const stored = await positions.get(key);
      if (stored?.sealed !== undefined) return whenSealed();
      throw new DomainError('host-lost', 'another worker writes the log of this attempt', { cause: error });
    }
  }
  return {
    position: (key) => logs.position(key),
    append: (key, chunk) =>
      guard(
        key,
        () => logs.append(key, chunk),
        () => logs.position(key),
      ),
    note: (key, line) =>
      guard(
        key,
        () => logs.note(key, line),
        () => Promise.resolve(),
      ),
    read: (key, offset, maxBytes) => logs.read(key, offset, maxBytes),
    wait: (key, offset, options) => logs.wait(key, offset, options),
    seal: (key) =>
      guard(
        key,
        () => logs.seal(key),
        () => logs.seal(key),
      ),
  };
}
