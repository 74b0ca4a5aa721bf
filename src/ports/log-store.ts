import type { Digest, RunId, TaskName } from '../core/model/ids.ts';

export interface LogKey {
  readonly run: RunId;
  readonly task: TaskName;
  readonly attempt: number;
}

/** `source` counts the job's own bytes, `stored` those kept after masking: the two differ (I2: no gap, no double line). */
export interface LogPosition {
  readonly source: number;
  readonly stored: number;
}

export interface LogChunk {
  readonly bytes: Uint8Array;
  /** Where to read on. */
  readonly nextOffset: number;
  /** True when the attempt has ended and this chunk reaches its end. */
  readonly ended: boolean;
}

/** The output of task attempts. One writer per attempt at a time (the attempt's owner), any number of readers in any process. */
export interface LogStore {
  /** Where the writer goes on after a restart. `{0, 0}` for a log that does not exist. */
  position(key: LogKey): Promise<LogPosition>;
  /**
   * Appends `text`, which stands for the source bytes [position.source, nextSource). Idempotent by source offset: a chunk whose `nextSource` is not beyond the
   * position is dropped. Throws `fence-stale` when `from` is not the stored position: another writer went on.
   */
  append(
    key: LogKey,
    chunk: { readonly from: number; readonly nextSource: number; readonly text: Uint8Array },
  ): Promise<LogPosition>;
  /** Appends a line of Loam's own (`loam: not isolated ...`) that stands for no source bytes. Not idempotent; call it right after the attempt began anew. */
  note(key: LogKey, line: string): Promise<void>;
  /** Reads stored bytes from `offset`, at most `maxBytes`. An unknown log is empty and not ended. */
  read(key: LogKey, offset: number, maxBytes: number): Promise<LogChunk>;
  /** Resolves when there may be more than `offset` or the log has ended, or after `timeoutMs`, or on abort. */
  wait(
    key: LogKey,
    offset: number,
    options: { readonly timeoutMs: number; readonly signal: AbortSignal },
  ): Promise<void>;
  /** The attempt has ended: makes one compressed blob of it with a line index and returns its digest; readers see no difference. Twice is fine. Throws `fence-stale` when another writer went on. */
  seal(key: LogKey): Promise<Digest>;
}

/** Where logs stand; the bytes are the LogStore's. */
export interface LogPositionStore {
  get(key: LogKey): Promise<(LogPosition & { readonly sealed: Digest | undefined }) | undefined>;
  /** Compare-and-set on `from`; false when another writer went on or sealed the log. With `bytes`, these are kept as a row, for all hosts to read. */
  advance(key: LogKey, from: LogPosition, to: LogPosition, bytes?: Uint8Array): Promise<boolean>;
  /** Stored bytes from `offset`, at most `maxBytes`, as far as they are kept as rows. */
  read(key: LogKey, offset: number, maxBytes: number): Promise<Uint8Array>;
  /** Compare-and-set on `at`, how far the blob goes; false when another writer went on or sealed the log. Rows of the log's bytes go: they are in the blob. */
  seal(key: LogKey, at: LogPosition, digest: Digest): Promise<boolean>;
}
