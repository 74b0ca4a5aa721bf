// I2: a task that has ended never starts again. I5: a lock is held until the readers of its deploy have ended.
// Workflow history depends on the order of the commands: changing it for events of the past needs `patched()` in the shell (I9).
import type { CompiledTask } from '../graph/graph.ts';
import { isTerminal, taskSeq } from '../model/status.ts';
import type { TaskOutcome } from '../model/status.ts';
import type { RunEnd, SchedulerEvent } from './events.ts';
import { endWithDependents, openDraft, release, setTask, stopRun } from './draft.ts';
import type { Draft, Step } from './draft.ts';
import { at, positionOf, runWindow } from './state.ts';
import type { SchedulerState, TaskPhase, TaskState } from './state.ts';

/** Decides what follows from an event. Pure and deterministic; work is proportional to what changes. */
export function transition(state: SchedulerState, event: SchedulerEvent): Step {
  if (isTerminal(state.status)) return { state, commands: [] };
  const draft = openDraft(state);
  handle(draft, event);
  if (draft.status !== 'pending') {
    startReady(draft);
    updateStatus(draft);
  }
  const { commands, ...next } = draft;
  return { state: next, commands };
}

type TaskEvent = Exclude<SchedulerEvent, { type: 'run-started' | 'cancel-requested' }>;

function handle(draft: Draft, event: SchedulerEvent): void {
  if (event.type !== 'run-started' && event.type !== 'cancel-requested') {
    handleTask(draft, event);
    return;
  }
  begin(draft);
  if (event.type === 'cancel-requested' && draft.stop === undefined) stopRun(draft, { type: 'cancelled' });
}

function handleTask(draft: Draft, event: TaskEvent): void {
  switch (event.type) {
    case 'task-waiting':
      whenIn(draft, event, ['running', 'waiting'], (position) => markWaiting(draft, position, event.reason));
      return;
    case 'task-granted':
      whenIn(draft, event, ['waiting'], (position) => setTask(draft, position, { phase: 'running' }));
      return;
    case 'task-paused':
      whenIn(draft, event, ['running'], (position) => markPaused(draft, position));
      return;
    case 'task-parked':
      whenIn(draft, event, ['running'], (position) => park(draft, position, event.reason));
      return;
    case 'task-reconnected':
      whenIn(draft, event, ['paused'], (position) => goOn(draft, position));
      return;
    case 'task-finished':
      whenIn(draft, event, ['running', 'waiting', 'paused'], (position) => settle(draft, position, event));
      return;
    case 'retry-due':
      whenIn(draft, event, ['retrying'], (position) => makeReady(draft, position));
  }
}

function begin(draft: Draft): void {
  if (draft.status === 'pending') draft.status = 'running';
}

/** An answer that comes late, of a task that has ended or of an earlier attempt, changes nothing. */
function whenIn(
  draft: Draft,
  event: TaskEvent,
  phases: readonly TaskPhase[],
  change: (position: number) => void,
): void {
  const position = positionOf(draft.index.positions, event.task);
  const { phase, attempt } = at(draft.tasks, position);
  if (attempt === event.attempt && phases.includes(phase)) change(position);
}

function markWaiting(draft: Draft, position: number, reason: string): void {
  const { phase, reason: before, attempt } = at(draft.tasks, position);
  if (phase === 'waiting' && before === reason) return;
  setTask(draft, position, { phase: 'waiting', reason });
  const { name } = taskAt(draft, position);
  const seq = taskSeq(attempt, 'waiting');
  draft.commands.push({ type: 'record', record: { task: name, attempt, seq, status: 'waiting', reason } });
}

function markPaused(draft: Draft, position: number): void {
  setTask(draft, position, { phase: 'paused' });
  const { attempt } = at(draft.tasks, position);
  const { name } = taskAt(draft, position);
  const seq = taskSeq(attempt, 'paused');
  draft.commands.push({ type: 'record', record: { task: name, attempt, seq, status: 'paused' } });
}

/** I5: the lock is given back, since nobody knows when the person comes; the next attempt queues for it again. */
function park(draft: Draft, position: number, reason: string): void {
  release(draft, position); // only deploys are parked, and one that runs has its lock
  setTask(draft, position, { phase: 'paused', reason });
  const { attempt } = at(draft.tasks, position);
  const { name } = taskAt(draft, position);
  const seq = taskSeq(attempt, 'retrying'); // the attempt has ended, and a further one follows
  draft.commands.push({ type: 'record', record: { task: name, attempt, seq, status: 'paused', reason } });
}

/** The attempt that the withdrawn trust ended is not one of those that the plan allows. */
function goOn(draft: Draft, position: number): void {
  const { firstAttempt } = at(draft.tasks, position);
  makeReady(draft, position, { firstAttempt: firstAttempt + 1 });
}

function makeReady(draft: Draft, position: number, change: Partial<TaskState> = {}): void {
  setTask(draft, position, { ...change, phase: 'ready' });
  draft.ready.push(position);
}

function settle(
  draft: Draft,
  position: number,
  { outcome, written }: { outcome: TaskOutcome; written: boolean },
): void {
  const { locked, openReaders } = at(draft.tasks, position);
  const isFree = outcome.status !== 'succeeded' || openReaders === 0;
  if (locked && isFree) release(draft, position);
  if (outcome.status === 'succeeded') {
    endWithDependents(draft, position, { status: 'succeeded', written });
  } else if (outcome.status === 'failed' && mayRetry(draft, position)) {
    retry(draft, position, outcome);
  } else {
    endBadly(draft, position, outcome, written);
  }
}

/** A person's "no" and a gate's deadline are not repaired by asking again. */
function mayRetry(draft: Draft, position: number): boolean {
  const task = taskAt(draft, position);
  const { attempt, firstAttempt } = at(draft.tasks, position);
  return draft.stop === undefined && task.type !== 'approval' && attempt - firstAttempt < task.maxAttempts;
}

function retry(draft: Draft, position: number, outcome: TaskOutcome): void {
  const { name, retryDelayMs: delayMs } = taskAt(draft, position);
  const { attempt } = at(draft.tasks, position);
  if (delayMs === 0) {
    makeReady(draft, position);
    return;
  }
  const reason = `attempt ${attempt} failed${describe(outcome)}; the next one follows in ${delayMs / 1000} s`;
  setTask(draft, position, { phase: 'retrying', reason });
  const seq = taskSeq(attempt, 'retrying');
  draft.commands.push({ type: 'record', record: { task: name, attempt, seq, status: 'pending', reason } });
  draft.commands.push({ type: 'schedule-retry', task: name, attempt, delayMs });
}

function endBadly(draft: Draft, position: number, outcome: TaskOutcome, written: boolean): void {
  const status = outcome.status === 'failed' ? 'failed' : 'cancelled';
  const wasAsked = status === 'cancelled' && draft.stop !== undefined;
  const why = `"${taskAt(draft, position).name}" ${status === 'failed' ? 'failed' : 'was cancelled'}`;
  const said = sayWhy(outcome, wasAsked ? stopReason(draft) : undefined);
  if (!wasAsked) blame(draft, { ...said, status, reason: `${why}${describe(outcome)}` });
  // Whether a cancelled activity had begun is not known here, so its end is always recorded.
  endWithDependents(draft, position, { ...said, status, written: written && status === 'failed' });
  if (draft.index.graph.onFailure === 'fail-fast' && draft.stop === undefined) {
    stopRun(draft, { type: 'failed', reason: `not started, since ${why}` });
  }
}

function sayWhy(outcome: TaskOutcome, otherwise: string | undefined): Pick<TaskOutcome, 'code' | 'reason'> {
  const reason = outcome.reason ?? otherwise;
  return { ...(outcome.code && { code: outcome.code }), ...(reason !== undefined && { reason }) };
}

/** The first failure counts, and before a cancellation that came earlier. */
function blame(draft: Draft, end: RunEnd): void {
  if (draft.cause === undefined || (draft.cause.status === 'cancelled' && end.status === 'failed')) draft.cause = end;
}

function stopReason({ stop }: Draft): string {
  return stop?.type === 'failed' ? stop.reason.replace('not started', 'cancelled') : 'the run was cancelled';
}

function describe({ reason, exitCode }: TaskOutcome): string {
  if (reason !== undefined) return `: ${reason}`;
  return exitCode === undefined ? '' : `: exit code ${exitCode}`;
}

function startReady(draft: Draft): void {
  const free = runWindow - draft.counts.running;
  for (const position of draft.ready.splice(0, Math.max(free, 0))) {
    const task = taskAt(draft, position);
    const attempt = at(draft.tasks, position).attempt + 1;
    setTask(draft, position, { phase: 'running', attempt, locked: task.type === 'deploy_stack' });
    draft.commands.push({ type: 'start-task', task: task.name, attempt });
  }
}

function updateStatus(draft: Draft): void {
  const { blocked, ready, retrying, running, waiting, paused } = draft.counts;
  const active = ready + retrying + running + waiting;
  if (active + blocked + paused === 0) {
    const isCancelled = draft.stop?.type === 'cancelled' && draft.counts.cancelled > 0;
    const end = isCancelled
      ? ({ status: 'cancelled', reason: 'the run was cancelled' } as const)
      : (draft.cause ?? { status: 'succeeded' as const });
    draft.status = end.status;
    draft.commands.push({ type: 'finish', end });
    return;
  }
  const status = active === 0 ? 'paused' : 'running'; // nothing active: blocked ones wait for what is paused
  if (status === draft.status) return;
  draft.status = status;
  draft.statusSeq += 1;
  draft.commands.push({ type: 'record-status', status, seq: draft.statusSeq });
}

function taskAt(draft: Draft, position: number): CompiledTask {
  return at(draft.index.graph.tasks, position);
}
