import { ApplicationFailure, Context } from '@temporalio/activity';

/**
 * Why Temporal asks an activity to end. `cancel`: somebody wants the work stopped. `leave`: this worker stops, or Temporal has given the attempt to another
 * one; sandboxes and releases stay as they are for whoever goes on (I2).
 */
export function interruption(): 'cancel' | 'leave' | undefined {
  const { cancellationSignal, cancellationDetails } = Context.current();
  if (!cancellationSignal.aborted) return undefined;
  return cancellationDetails?.cancelRequested === true ? 'cancel' : 'leave';
}

/** A plain failure, not a cancellation: the server retries it at once on another worker, and drops it when the attempt is no longer ours. */
export function leaveFailure(): ApplicationFailure {
  return ApplicationFailure.create({
    type: 'host-lost',
    message: 'the worker stops; another one goes on',
    nextRetryDelay: '1s',
    category: 'BENIGN',
  });
}

/**
 * Heartbeats at once and then every `everyMs` while `work` runs: without them the activity hears of no cancellation, and a dead worker is noticed late.
 * `details` are for people who look at pending activities, and never a secret (I7).
 */
export async function whileBeating<T>(
  everyMs: number,
  work: (signal: AbortSignal) => Promise<T>,
  details?: Readonly<Record<string, string>>,
): Promise<T> {
  const context = Context.current();
  const beat = () => context.heartbeat(details);
  beat();
  const timer = setInterval(beat, everyMs);
  try {
    return await work(context.cancellationSignal);
  } finally {
    clearInterval(timer);
  }
}
