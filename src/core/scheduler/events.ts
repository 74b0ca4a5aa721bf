import type { ErrorCode } from '../errors.ts';
import type { TaskName } from '../model/ids.ts';
import type { TaskOutcome, TaskStatus, TerminalStatus } from '../model/status.ts';

/** What happened. Events about a task that has ended, or about an attempt that is not its current one, change nothing. */
export type SchedulerEvent =
  | { readonly type: 'run-started' }
  /** A deploy waits for the lock of its environment; also each time that its place in the queue changed. */
  | { readonly type: 'task-waiting'; readonly task: TaskName; readonly attempt: number; readonly reason: string }
  | { readonly type: 'task-granted'; readonly task: TaskName; readonly attempt: number }
  /** A gate is open and waits for a person. */
  | { readonly type: 'task-paused'; readonly task: TaskName; readonly attempt: number }
  /** A deploy ended because its trust was withdrawn, and waits for a person to reconnect that. */
  | { readonly type: 'task-parked'; readonly task: TaskName; readonly attempt: number; readonly reason: string }
  | { readonly type: 'task-reconnected'; readonly task: TaskName; readonly attempt: number }
  | {
      readonly type: 'task-finished';
      readonly task: TaskName;
      readonly attempt: number;
      readonly outcome: TaskOutcome;
      /** True when the activity that ran the attempt has written this outcome into its row. */
      readonly written: boolean;
    }
  | { readonly type: 'retry-due'; readonly task: TaskName; readonly attempt: number }
  | { readonly type: 'cancel-requested' };

export interface RunEnd {
  readonly status: TerminalStatus;
  readonly code?: ErrorCode;
  readonly reason?: string;
}

/** What no activity writes about a task. */
export interface TaskRecord {
  readonly task: TaskName;
  readonly attempt: number;
  /** By `taskSeq`. */
  readonly seq: number;
  readonly status: TaskStatus;
  readonly code?: ErrorCode;
  readonly reason?: string;
}

/** What to do about it, in this order. */
export type SchedulerCommand =
  | { readonly type: 'start-task'; readonly task: TaskName; readonly attempt: number }
  /** Answer with `retry-due` after the delay. */
  | { readonly type: 'schedule-retry'; readonly task: TaskName; readonly attempt: number; readonly delayMs: number }
  /** Ends what runs, waits or is to be retried; a task that was running still answers with `task-finished`. */
  | { readonly type: 'cancel-task'; readonly task: TaskName; readonly attempt: number }
  /** I5: the readers of this deploy have ended, or it failed: the environment is free for others. */
  | { readonly type: 'release-lock'; readonly task: TaskName; readonly attempt: number }
  | { readonly type: 'record'; readonly record: TaskRecord }
  | { readonly type: 'record-status'; readonly status: 'running' | 'paused'; readonly seq: number }
  | { readonly type: 'finish'; readonly end: RunEnd };
