import { ActivityFailure, ApplicationFailure, CancelledFailure, RetryState, TimeoutFailure } from '@temporalio/common';
import { describe, expect, it } from 'vitest';
import { outcomeOfError, platformFailure } from '../../../workflows/failure.ts';

function activityFailure(cause: Error): ActivityFailure {
  return new ActivityFailure('Activity task failed', 'repo_job', 'test#1', RetryState.TIMEOUT, 'worker', cause);
}

function timeout(cause?: Error): TimeoutFailure {
  const failure = new TimeoutFailure('activity Heartbeat timeout', undefined, 'HEARTBEAT');
  return cause === undefined ? failure : Object.assign(failure, { cause });
}

describe('a failed activity as an outcome', () => {
  it('keeps the code of ours', () => {
    const error = activityFailure(ApplicationFailure.nonRetryable('no output digest', 'output-missing'));

    expect(outcomeOfError(error, false)).toEqual({
      status: 'failed',
      code: 'output-missing',
      reason: 'no output digest',
    });
  });

  it('finds the code of the attempt before a timeout', () => {
    const error = activityFailure(timeout(ApplicationFailure.retryable('no sandbox', 'executor-unavailable')));

    expect(platformFailure(error)).toEqual({ code: 'executor-unavailable', reason: 'no sandbox' });
  });

  it('calls a timeout without one a lost host', () => {
    expect(platformFailure(activityFailure(timeout()))).toEqual({
      code: 'host-lost',
      reason: 'no worker finished repo_job in time',
    });
  });

  it('calls what it does not know internal, and cuts it', () => {
    const failure = platformFailure(activityFailure(ApplicationFailure.nonRetryable('x'.repeat(900), 'TypeError')));

    expect(failure?.code).toBe('internal');
    expect(failure?.reason).toHaveLength(500);
  });

  it('takes a cancelled task as cancelled, also when its worker died over it', () => {
    expect(outcomeOfError(activityFailure(new CancelledFailure('cancelled')), true)).toEqual({ status: 'cancelled' });
    expect(outcomeOfError(activityFailure(timeout()), true)).toMatchObject({ status: 'cancelled' });
    expect(outcomeOfError(activityFailure(timeout()), false)).toMatchObject({ status: 'failed' });
  });

  it('throws a bug on, so that it stalls the run visibly', () => {
    expect(() => outcomeOfError(new TypeError('x is undefined'), false)).toThrow(TypeError);
  });
});
