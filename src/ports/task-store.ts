import type { ErrorCode } from '../core/errors.ts';
import type { OutputReference, TaskType } from '../core/graph/graph.ts';
import type { Digest, RunId, TaskName } from '../core/model/ids.ts';
import type { TaskOutcome, TaskStatus } from '../core/model/status.ts';
import type { TaskRecord } from '../core/scheduler/events.ts';

export interface TaskRow {
  readonly run: RunId;
  readonly name: TaskName;
  readonly type: TaskType;
  readonly status: TaskStatus;
  /** 0 before the first. */
  readonly attempt: number;
  readonly code: ErrorCode | undefined;
  readonly reason: string | undefined;
  /** Kept from an earlier round. */
  readonly kept: boolean;
  readonly startedAtMs: number | undefined;
  readonly finishedAtMs: number | undefined;
}

export interface AttemptRow {
  readonly run: RunId;
  readonly task: TaskName;
  readonly attempt: number;
  /** Grows each time that an activity takes the attempt over. */
  readonly owner: number;
  readonly host: string;
  readonly status: 'running' | 'succeeded' | 'failed' | 'cancelled';
  readonly exitCode: number | undefined;
  readonly code: ErrorCode | undefined;
  readonly reason: string | undefined;
  readonly outputs: Readonly<Record<string, string>>;
  readonly log: Digest | undefined;
  readonly startedAtMs: number;
  readonly finishedAtMs: number | undefined;
}

export interface AttemptKey {
  readonly run: RunId;
  readonly task: TaskName;
  readonly attempt: number;
}

export type BeginResult =
  /** The attempt has ended: answer this and do nothing (I2). */
  | { readonly type: 'ended'; readonly outcome: TaskOutcome }
  /** Another host has begun it and is still heard of; nothing was written. */
  | { readonly type: 'held'; readonly host: string; readonly leftMs: number }
  /** `first` is false when an earlier owner began it. */
  | { readonly type: 'begun'; readonly owner: number; readonly first: boolean; readonly startedAtMs: number };

export interface TaskStore {
  list(run: RunId): Promise<readonly TaskRow[]>;
  attempts(run: RunId): Promise<readonly AttemptRow[]>;
  attempt(key: AttemptKey): Promise<AttemptRow | undefined>;
  /** First step of every task activity: takes the attempt over with a higher owner number, or answers how it ended (`cancelled` when its run has ended). Sets the task row to running. What another host has begun is `held` while that one's last beat is younger than the lease. */
  begin(key: AttemptKey, host: string): Promise<BeginResult>;
  /**
   * Last step: terminal is final. When another owner took over or ended it, nothing is written and the stored outcome is returned (undefined while that one still runs).
   * Outputs over 4 kB each or 64 keys throw `output-too-large`.
   */
  finish(
    key: AttemptKey,
    owner: number,
    end: {
      readonly outcome: TaskOutcome;
      readonly outputs: Readonly<Record<string, string>>;
      readonly log: Digest | undefined;
    },
  ): Promise<TaskOutcome | undefined>;
  /** What the workflow says about tasks that no activity runs at the moment. A lower `seq` than the stored one does nothing. */
  record(run: RunId, records: readonly TaskRecord[]): Promise<void>;
  /** The value of a finished task's output in this run (kept ones included); undefined when it is missing. Key `''` is stored as `''`. */
  output(run: RunId, reference: OutputReference): Promise<string | undefined>;
}
