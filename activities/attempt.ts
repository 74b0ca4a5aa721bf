// Keeps I2: a finished attempt answers what its row says, and terminal is final.
import { activityInfo } from '@temporalio/activity';
import { TemporalFailure } from '@temporalio/common';
import { errorKinds, DomainError } from '../src/core/errors.ts';
import type { ErrorCode } from '../src/core/errors.ts';
import type { TaskOutcome } from '../src/core/model/status.ts';
import type { AttemptKey } from '../src/ports/task-store.ts';
import type { Room } from './dependencies.ts';
import { interruption } from './interruption.ts';
import type { TaskInput } from './types.ts';

export interface Attempt {
  readonly key: AttemptKey;
  /** False when an earlier owner began it: its sandbox or release may still be there. */
  readonly first: boolean;
  readonly owner: number;
  readonly startedAtMs: number;
}

export interface AttemptEnd {
  readonly outcome: TaskOutcome;
  readonly outputs?: Readonly<Record<string, string>>;
}

const reasonCharacters = 500;

export function succeeded(outputs: Readonly<Record<string, string>> = {}): AttemptEnd {
  return { outcome: { status: 'succeeded' }, outputs };
}

export function failed(code: ErrorCode, reason: string): AttemptEnd {
  return { outcome: { status: 'failed', code, reason: cut(reason) } };
}

export function cancelled(reason: string): AttemptEnd {
  return { outcome: { status: 'cancelled', reason: cut(reason) } };
}

export function cut(text: string, characters = reasonCharacters): string {
  return text.length <= characters ? text : `${text.slice(0, characters - 3)}...`;
}

/** An error that we do not know may pass (a full disk) or may not (a bug): tried this often, then it is the task's outcome. */
export const attemptsOfUnknown = 5;

/** The error that ends a task: waiting does not mend it. Undefined for all others, which are thrown on: Temporal tries the attempt again. */
export function finalError(error: unknown): DomainError | undefined {
  if (error instanceof DomainError) return errorKinds[error.code].retryable ? undefined : error;
  if (error instanceof TemporalFailure || interruption() !== undefined || activityInfo().attempt < attemptsOfUnknown) {
    return undefined;
  }
  return unexpected(error);
}

/** Its text is not ours and may hold anything (I7): history and rows get the name only. */
export function unexpected(error: unknown): DomainError {
  const name = error instanceof Error ? error.name : typeof error;
  return new DomainError('internal', `unexpected ${name}; the worker's log says more`, { cause: error });
}

/** For the worker's log. */
export function describeError(error: unknown): Record<string, unknown> {
  if (error instanceof DomainError) {
    return {
      code: error.code,
      reason: error.message,
      ...(error.cause !== undefined && { cause: describeCause(error.cause) }),
    };
  }
  return { error: describeCause(error), ...(error instanceof Error && { stack: error.stack }) };
}

function describeCause(cause: unknown): string {
  return cause instanceof Error ? `${cause.name}: ${cause.message}` : typeof cause;
}

export function attemptKey(input: TaskInput<{ readonly name: AttemptKey['task'] }>): AttemptKey {
  return { run: input.run, task: input.task.name, attempt: input.attempt };
}

/** The frame of every task activity: take the row over, work, seal the log, write the end. `hasLog` false: the task writes none. */
export async function runAttempt(
  room: Room,
  key: AttemptKey,
  options: { readonly hasLog: boolean },
  work: (attempt: Attempt) => Promise<AttemptEnd>,
): Promise<TaskOutcome> {
  const begin = await room.store.tasks.begin(key, room.hostId);
  if (begin.type === 'ended') return begin.outcome;
  if (begin.type === 'held') throw new DomainError('attempt-held', `${begin.host} has begun it and is still heard of`);
  const { owner, first, startedAtMs } = begin;
  const end = await endOf(room, key, options.hasLog, () => work({ key, owner, first, startedAtMs }));
  await ensureOwner(room, { key, owner });
  const log = options.hasLog ? await room.logs.seal(key) : undefined;
  const { outcome, outputs = {} } = end;
  const stored = await room.store.tasks.finish(key, owner, { outcome, outputs, log });
  if (stored === undefined) throw taken();
  return stored;
}

/**
 * Before a step that whoever took the attempt over would feel: this worker may have been frozen, and knows nothing of it yet. Throws `host-lost`; an attempt
 * that has ended is let pass, its row answers.
 */
export async function ensureOwner(room: Room, { key, owner }: Pick<Attempt, 'key' | 'owner'>): Promise<void> {
  const row = await room.store.tasks.attempt(key);
  if (row?.status === 'running' && row.owner !== owner) throw taken();
}

function taken(): DomainError {
  return new DomainError('host-lost', 'another worker has taken the attempt over');
}

async function endOf(
  room: Room,
  key: AttemptKey,
  hasLog: boolean,
  work: () => Promise<AttemptEnd>,
): Promise<AttemptEnd> {
  try {
    return await work();
  } catch (error) {
    const final = finalError(error);
    if (final === undefined) throw error;
    const fields = { runId: key.run, task: key.task, attempt: key.attempt, ...describeError(error) };
    if (final.code === 'internal') room.logger.error(fields, 'task failed unexpectedly');
    else room.logger.info(fields, 'task failed');
    if (hasLog) await room.logs.note(key, `loam: ${final.message}`);
    return failed(final.code, final.message);
  }
}
