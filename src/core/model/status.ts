import type { ErrorCode } from '../errors.ts';

/** The same words in database, API, logs and workflow. `waiting`: for a lock. `paused`: for a person. */
export const taskStatuses = [
  'pending',
  'waiting',
  'running',
  'paused',
  'succeeded',
  'failed',
  'cancelled',
  'skipped',
] as const;
export type TaskStatus = (typeof taskStatuses)[number];

/** A run is `pending` until its workflow runs, `paused` while all that is left waits for a person. `skipped`: its plan's filters did not match. */
export type RunStatus = TaskStatus;

export type TerminalStatus = 'succeeded' | 'failed' | 'cancelled' | 'skipped';

export function isTerminal(status: TaskStatus): status is TerminalStatus {
  return status === 'succeeded' || status === 'failed' || status === 'cancelled' || status === 'skipped';
}

/**
 * How one task attempt ended. It enters Temporal's history, so it stays small and carries no outputs: those are rows, read by whoever needs them.
 * A red test is `failed` with an exit code, not an exception.
 */
export interface TaskOutcome {
  readonly status: 'succeeded' | 'failed' | 'cancelled';
  readonly exitCode?: number;
  /** Why it did not succeed, for people; at most 500 characters. */
  readonly reason?: string;
  readonly code?: ErrorCode;
}

const phases = { waiting: 0, running: 1, paused: 2, finished: 5, retrying: 6, final: 9 } as const;

/**
 * Order of what is said about a task: later attempts after earlier ones, and within one attempt in the order of a life. Rows keep the highest, so that an answer
 * that arrives late changes nothing.
 */
export function taskSeq(attempt: number, phase: keyof typeof phases): number {
  return attempt * 10 + phases[phase];
}
