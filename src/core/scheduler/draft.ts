import type { ErrorCode } from '../errors.ts';
import { isTerminal, taskSeq } from '../model/status.ts';
import type { TerminalStatus } from '../model/status.ts';
import type { SchedulerCommand } from './events.ts';
import { at, statusOf } from './state.ts';
import type { SchedulerState, Stop, TaskPhase, TaskState } from './state.ts';

export interface Step {
  readonly state: SchedulerState;
  readonly commands: readonly SchedulerCommand[];
}

/** A copy that one transition works on; what has not changed is shared with the state before. */
export type Draft = {
  -readonly [Key in keyof Omit<SchedulerState, 'tasks' | 'ready' | 'counts'>]: SchedulerState[Key];
} & {
  readonly tasks: TaskState[];
  readonly ready: number[];
  readonly counts: Record<TaskPhase, number>;
  readonly commands: SchedulerCommand[];
};

export interface TaskEnd {
  readonly status: TerminalStatus;
  readonly code?: ErrorCode;
  readonly reason?: string;
  /** True when an activity has written it. */
  readonly written: boolean;
}

export function openDraft(state: SchedulerState): Draft {
  return { ...state, tasks: [...state.tasks], ready: [...state.ready], counts: { ...state.counts }, commands: [] };
}

export function setTask(draft: Draft, position: number, change: Partial<TaskState>): void {
  const before = at(draft.tasks, position);
  const after: TaskState = { ...before, reason: undefined, ...change };
  draft.counts[before.phase] -= 1;
  draft.counts[after.phase] += 1;
  draft.tasks[position] = after;
}

export function release(draft: Draft, position: number): void {
  const { name } = at(draft.index.graph.tasks, position);
  setTask(draft, position, { locked: false });
  draft.commands.push({ type: 'release-lock', task: name, attempt: at(draft.tasks, position).attempt });
}

/** Ends one task. What needs it is not looked at. */
export function endTask(draft: Draft, position: number, { status, code, reason, written }: TaskEnd): void {
  setTask(draft, position, { phase: status, ...(reason !== undefined && { reason }) });
  if (!written) {
    const { attempt } = at(draft.tasks, position);
    const record = {
      task: at(draft.index.graph.tasks, position).name,
      attempt,
      seq: taskSeq(attempt, 'final'),
      status,
      ...(code !== undefined && { code }),
      ...(reason !== undefined && { reason }),
    };
    draft.commands.push({ type: 'record', record });
  }
  for (const deploy of at(draft.index.reads, position)) {
    const { phase, locked, openReaders } = at(draft.tasks, deploy);
    draft.tasks[deploy] = { ...at(draft.tasks, deploy), openReaders: openReaders - 1 };
    if (openReaders === 1 && locked && phase === 'succeeded') release(draft, deploy);
  }
}

/** Ends a task; what needs it becomes ready, or is skipped with all that needs that. */
export function endWithDependents(draft: Draft, first: number, firstEnd: TaskEnd): void {
  const ends = [{ position: first, end: firstEnd }];
  for (const { position, end } of ends) {
    if (position !== first && at(draft.tasks, position).phase !== 'blocked') continue; // skipped already, by another need
    endTask(draft, position, end);
    for (const dependent of at(draft.index.dependents, position)) {
      if (at(draft.tasks, dependent).phase !== 'blocked') continue;
      if (end.status === 'succeeded') meetNeed(draft, dependent);
      else ends.push({ position: dependent, end: skippedBy(draft, position, end.status) });
    }
  }
}

function meetNeed(draft: Draft, position: number): void {
  const { missing } = at(draft.tasks, position);
  setTask(draft, position, { missing: missing - 1, phase: missing === 1 ? 'ready' : 'blocked' });
  if (missing === 1) draft.ready.push(position);
}

function skippedBy(draft: Draft, need: number, status: Exclude<TerminalStatus, 'succeeded'>): TaskEnd {
  const { name } = at(draft.index.graph.tasks, need);
  const word = status === 'failed' ? 'failed' : `was ${status}`;
  return { status: 'skipped', reason: `it needs "${name}", which ${word}`, written: false };
}

/** Starts nothing more: what has not begun ends here, what is under way is told to end. */
export function stopRun(draft: Draft, stop: Stop): void {
  draft.stop = stop;
  draft.ready.length = 0;
  draft.tasks.forEach((_, position) => stopTask(draft, position, stop));
}

function stopTask(draft: Draft, position: number, stop: Stop): void {
  const { phase, attempt, firstAttempt } = at(draft.tasks, position);
  const { name: task } = at(draft.index.graph.tasks, position);
  if (!isTerminal(statusOf(phase)) && phase !== 'blocked' && phase !== 'ready') {
    draft.commands.push({ type: 'cancel-task', task, attempt });
  }
  if (statusOf(phase) !== 'pending') return;
  const wasTried = attempt > firstAttempt;
  if (stop.type === 'cancelled') {
    endTask(draft, position, { status: 'cancelled', reason: 'the run was cancelled', written: false });
  } else if (wasTried) {
    endTask(draft, position, {
      status: 'failed',
      reason: stop.reason.replace('started', 'tried again'),
      written: false,
    });
  } else {
    endTask(draft, position, { status: 'skipped', reason: stop.reason, written: false });
  }
}
