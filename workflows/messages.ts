import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { Verdict } from '../src/core/gate/gate.ts';
import type { LockQueue, QueueEntry } from '../src/core/lock/queue.ts';
import type { ApplicationName, EnvironmentName, RunId, TaskName } from '../src/core/model/ids.ts';
import type { RunStatus, TaskStatus } from '../src/core/model/status.ts';

/** Argument of workflow `run`; its id is `runWorkflowId(run)`. */
export interface RunInput {
  readonly run: RunId;
  readonly application: ApplicationName;
}

/** Answer of workflow `run`, and the first detail of its failure: a run that fails or is cancelled ends its workflow so, for Temporal's lists to show it. */
export interface RunResult {
  readonly status: RunStatus;
  readonly reason?: string;
}

export interface RunView {
  readonly status: RunStatus;
  readonly tasks: readonly { readonly task: TaskName; readonly status: TaskStatus; readonly attempt: number }[];
}

/** Asks workflow `run` to look at a decision in the database (I4: nothing of the message itself is believed). The update id is the decision's id. */
export const decide = defineUpdate<{ readonly verdict: Verdict }, [gate: TaskName, decisionId: string]>('decide');
/** Says that a waiting deploy may go on. A lost one is replaced by asking again. */
export const lockGranted = defineSignal<[grant: { readonly holder: string; readonly fence: number }]>('lockGranted');
/** Says that a newer run has taken the place in the queue (`newest` wins): the deploy is cancelled. */
export const lockSuperseded =
  defineSignal<[notice: { readonly holder: string; readonly by: string }]>('lockSuperseded');
export const runView = defineQuery<RunView>('runView');

/** Argument of workflow `environment`; its id is `environmentWorkflowId(...)`. */
export interface EnvironmentInput {
  readonly application: ApplicationName;
  readonly environment: EnvironmentName;
  /** Carried over continue-as-new. */
  readonly queue?: LockQueue;
}

export type LockState = readonly QueueEntry[];

export type LockAnswer =
  | { readonly type: 'granted'; readonly fence: number }
  /** 1 is next after the holder. 0: not in the queue any more, the place went to `holder`. */
  | { readonly type: 'waiting'; readonly position: number; readonly holder: string };

/** I3: idempotent by holder; answers at once. The update id is `<holder>/<ask>`. */
export const acquire = defineUpdate<LockAnswer, [request: { readonly holder: string }]>('acquire');
export const release = defineUpdate<undefined, [request: { readonly holder: string }]>('release');
export const lockState = defineQuery<LockState>('lockState');
