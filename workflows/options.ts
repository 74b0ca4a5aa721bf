import { ActivityCancellationType, proxyActivities } from '@temporalio/workflow';
import type { EnvironmentActivities, JobActivities, RunActivities, TrustActivities } from '../activities/types.ts';

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

/** Workflows and short activities run on the queue that the workflow was started on (`loam`), eagerly. */
export const jobsQueue = 'jobs';
export const trustsQueue = 'trusts';

/** How long a job may wait for a free executor, over all its attempts; the job's own deadline is kept by its shim. */
const queueingMs = day;

/** Recovery after kill -9 of a worker takes this, the first retry and what the timers are late (budget: 15 s). */
const heartbeatTimeout = 10 * second;

const { TRY_CANCEL, WAIT_CANCELLATION_COMPLETED } = ActivityCancellationType;

const short = {
  startToCloseTimeout: 10 * second,
  retry: { initialInterval: 200, backoffCoefficient: 2, maximumInterval: 10 * second },
  cancellationType: TRY_CANCEL,
} as const;

export const resolver = proxyActivities<Pick<RunActivities, 'resolve'>>({
  startToCloseTimeout: 15 * minute,
  scheduleToCloseTimeout: hour,
  heartbeatTimeout,
  retry: { initialInterval: second, backoffCoefficient: 2, maximumInterval: 30 * second },
  cancellationType: TRY_CANCEL,
});

export const loam = proxyActivities<Pick<RunActivities, 'generate_template' | 'record'>>(short);

/** Bounded, since Temporal answers a repeated question with its first answer: after this the next question follows. */
export const asker = proxyActivities<Pick<RunActivities, 'acquireLock'>>({ ...short, scheduleToCloseTimeout: minute });

/** Reads git for its preview, and heartbeats meanwhile. */
export const opener = proxyActivities<Pick<RunActivities, 'open_gate' | 'openReconnect'>>({
  ...short,
  startToCloseTimeout: 5 * minute,
  scheduleToCloseTimeout: day,
  heartbeatTimeout,
});

/** Within an Update: its caller waits. */
export const reader = proxyActivities<Pick<RunActivities, 'readDecision'>>({
  ...short,
  startToCloseTimeout: 5 * second,
  scheduleToCloseTimeout: 6 * second,
});

/** When it does not succeed, the environment finds out by itself that its holder has ended. */
export const releaser = proxyActivities<Pick<RunActivities, 'releaseLock'>>({
  ...short,
  scheduleToCloseTimeout: 10 * minute,
});

/** Removes sandboxes too, which takes a moment. Never given up: the row says how the run ended. */
export const closer = proxyActivities<Pick<RunActivities, 'finish'>>({ ...short, startToCloseTimeout: 20 * second });

/**
 * Jobs and deploys: as many attempts as it takes, since a worker that dies costs one. A cancelled one is waited for: the run must not end while its deploy
 * goes on (I6).
 */
export const jobs = proxyActivities<JobActivities & Pick<RunActivities, 'generate_template'>>({
  taskQueue: jobsQueue,
  startToCloseTimeout: day, // overridden by `jobTimeouts`
  heartbeatTimeout,
  retry: { initialInterval: second, backoffCoefficient: 2, maximumInterval: minute },
  cancellationType: WAIT_CANCELLATION_COMPLETED,
});

export function jobTimeouts(timeoutMs: number): {
  readonly startToCloseTimeout: number;
  readonly scheduleToCloseTimeout: number;
} {
  // An hour beyond the job's own deadline: fetching the tree, storing artifact and log.
  return { startToCloseTimeout: timeoutMs + hour, scheduleToCloseTimeout: timeoutMs + hour + queueingMs };
}

export const keeper = proxyActivities<TrustActivities>({
  taskQueue: trustsQueue,
  startToCloseTimeout: 60 * day, // the longest life of a run
  heartbeatTimeout,
  retry: { initialInterval: second, backoffCoefficient: 2, maximumInterval: 30 * second },
  cancellationType: TRY_CANCEL,
});

/**
 * Within an Update, or between two. Not local ones, here as elsewhere: with an empty cache the SDK drops those, and a workflow task times out for each.
 */
export const warden = proxyActivities<EnvironmentActivities>({
  ...short,
  startToCloseTimeout: 5 * second,
  scheduleToCloseTimeout: 6 * second, // less than the patience of whoever asked
});

/** A grant comes by signal; this is for the signal that was lost. */
export function askAgainMs(ask: number): number {
  return Math.min(minute * 2 ** (ask - 1), 30 * minute);
}

export const holderCheckMs = 30 * second;
/** A lock that nobody asks for ends its workflow; the next question starts a new one, and the fence is in the database. */
export const idleLockMs = hour;
