import { ActivityFailure, ApplicationFailure, TimeoutFailure, isCancellation } from '@temporalio/workflow';
import type { ErrorCode } from '../src/core/errors.ts';
import { isErrorCode } from '../src/core/errors.ts';
import type { TaskOutcome } from '../src/core/model/status.ts';

export interface PlatformFailure {
  readonly code: ErrorCode;
  readonly reason: string;
}

const reasonLimit = 500;

/** How an activity failed that gave no outcome. Undefined: not a failure of an activity, so a bug; it must stall the run visibly. */
export function platformFailure(error: unknown): PlatformFailure | undefined {
  if (!(error instanceof ActivityFailure)) return undefined;
  const failure = findFailure(error.cause);
  if (failure !== undefined) return failure;
  const isTimeout = error.cause instanceof TimeoutFailure;
  return isTimeout
    ? { code: 'host-lost', reason: `no worker finished ${error.activityType} in time` }
    : {
        code: 'internal',
        reason: `${error.activityType} failed: ${error.cause?.message ?? error.message}`.slice(0, reasonLimit),
      };
}

/** The newest failure with a code of ours; a timeout carries the failure of the attempt before it. */
function findFailure(cause: unknown): PlatformFailure | undefined {
  for (let error = cause; error instanceof Error; error = error.cause) {
    if (!(error instanceof ApplicationFailure)) continue;
    const { type, message } = error;
    if (type != null && isErrorCode(type)) return { code: type, reason: message.slice(0, reasonLimit) };
  }
  return undefined;
}

/** A cancelled or failed activity as the outcome of its task; anything else is thrown on. */
export function outcomeOfError(error: unknown, wasCancelled: boolean): TaskOutcome {
  if (isCancellation(error)) return { status: 'cancelled' };
  const failure = platformFailure(error);
  if (failure === undefined) throw error;
  // Temporal tries a cancelled activity not again: when its worker died, that is all one hears of it.
  if (wasCancelled && failure.code === 'host-lost') return { status: 'cancelled', reason: failure.reason };
  return { status: 'failed', ...failure };
}
