// Keeps I7 and I10 at the border to Temporal: what leaves is small, plain and has a code of the catalogue.
import { ApplicationFailure, CancelledFailure, CompleteAsyncError, activityInfo } from '@temporalio/activity';
import { TemporalFailure } from '@temporalio/common';
import { errorKinds, DomainError } from '../src/core/errors.ts';
import type { ErrorCode } from '../src/core/errors.ts';
import type { Logger } from '../src/ports/logger.ts';
import { attemptsOfUnknown, cut, describeError, unexpected } from './attempt.ts';
import { interruption, leaveFailure } from './interruption.ts';

const warnBytes = 64 * 1024;
const maxBytes = 256 * 1024;
const messageCharacters = 1_000;
const maxProblems = 20;
/** The host that holds an attempt may be the one that takes it next, so it is soon offered again. */
const heldRetryDelay = '2s';

type Handler = (...args: never[]) => Promise<unknown>;

/** Wraps every activity once: size guard for input and result, and one place where errors become `ApplicationFailure`. */
export function guardActivities<T extends object>(activities: T, logger: Logger): T {
  const guarded = Object.entries(activities as Record<string, Handler>).map(([name, handler]) => [
    name,
    guard(name, handler, logger),
  ]);
  return Object.fromEntries(guarded) as T;
}

function guard(name: string, handler: Handler, logger: Logger): Handler {
  return async (...args) => {
    const fields = { activity: name, ...runFields(args[0]) };
    try {
      guardSize(args, fields, 'input', logger);
      const result = await handler(...args);
      guardSize(result, fields, 'result', logger);
      return result;
    } catch (error) {
      throw toFailure(error, fields, logger);
    }
  };
}

function runFields(input: unknown): Record<string, unknown> {
  const { run, task, attempt } = (input ?? {}) as { run?: unknown; task?: { name?: unknown }; attempt?: unknown };
  return {
    ...(run !== undefined && { runId: run }),
    ...(task?.name !== undefined && { task: task.name }),
    ...(attempt !== undefined && { attempt }),
  };
}

function guardSize(
  value: unknown,
  fields: Record<string, unknown>,
  direction: 'input' | 'result',
  logger: Logger,
): void {
  // Undefined has no JSON.
  const sizeBytes = new TextEncoder().encode(JSON.stringify(value ?? null)).byteLength;
  if (sizeBytes > maxBytes) {
    throw new DomainError('payload-too-large', `the ${direction} has ${sizeBytes} bytes, at most ${maxBytes} may pass`);
  }
  // The compiled graph is the one exception: up to 200 kB from `resolve`.
  if (sizeBytes > warnBytes && fields['activity'] !== 'resolve') {
    logger.warn({ ...fields, direction, sizeBytes }, 'activity payload is large');
  }
}

function toFailure(error: unknown, fields: Record<string, unknown>, logger: Logger): unknown {
  const why = interruption();
  // A port that was aborted may throw an error of its own kind instead of the signal's reason.
  if (why !== undefined && (error instanceof CancelledFailure || isAbort(error))) {
    return why === 'cancel' ? new CancelledFailure('CANCELLED') : leaveFailure();
  }
  if (error instanceof TemporalFailure || error instanceof CompleteAsyncError) return error;
  if (error instanceof DomainError) return fromDomainError(error, fields, logger);

  logger.error({ ...fields, ...describeError(error) }, 'activity failed unexpectedly');
  return ApplicationFailure.create({
    type: 'internal' satisfies ErrorCode,
    message: unexpected(error).message,
    nonRetryable: activityInfo().attempt >= attemptsOfUnknown,
  });
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError');
}

function fromDomainError(error: DomainError, fields: Record<string, unknown>, logger: Logger): ApplicationFailure {
  const { status, retryable } = errorKinds[error.code];
  const isExpected = status < 500;
  if (!isExpected) logger.warn({ ...fields, ...describeError(error) }, 'activity failed');
  const problems = error.problems.slice(0, maxProblems);
  const details = { ...error.details, ...(problems.length > 0 && { problems }) };
  return ApplicationFailure.create({
    type: error.code,
    message: cut(error.message, messageCharacters),
    nonRetryable: !retryable,
    ...(Object.keys(details).length > 0 && { details: [details] }),
    ...(isExpected && { category: 'BENIGN' }),
    ...(error.code === 'attempt-held' && { nextRetryDelay: heldRetryDelay }),
  });
}
