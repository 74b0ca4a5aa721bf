import type { ApplicationName, EnvironmentName, RunId } from '../core/model/ids.ts';
import type { Decision } from '../core/gate/gate.ts';
import type { RunRow } from './store.ts';

export type LockAnswer =
  | { readonly type: 'granted'; readonly fence: number }
  /** 1 is next after the holder. 0: not in the queue any more, `holder` has the place. */
  | { readonly type: 'waiting'; readonly position: number; readonly holder: string };

export interface LockRequest {
  readonly application: ApplicationName;
  readonly environment: EnvironmentName;
  readonly holder: string;
}

/** The durable engine (Temporal) as activities and doors see it. Every method may be repeated. Throws `temporal-unavailable`. */
export interface RunEngine {
  /**
   * Starts the run's workflow; a workflow of this id whose memo names the same delivery counts as started. `conflict`: the id belongs to another delivery
   * (a restored database hands out numbers again).
   */
  startRun(
    row: RunRow,
  ): Promise<{ readonly type: 'started'; readonly temporalRunId: string } | { readonly type: 'conflict' }>;
  /** Hands a recorded decision to its run. `gone`: the run has ended or the gate is closed. */
  deliverDecision(decision: Decision): Promise<'delivered' | 'gone'>;
  cancelRun(run: RunId): Promise<'requested' | 'gone'>;
  isOpen(workflowId: string): Promise<boolean>;
  /** How Temporal says that a closed run ended; undefined when it is open or unknown there. */
  closedStatus(run: RunId): Promise<'completed' | 'failed' | 'cancelled' | 'terminated' | 'timed-out' | undefined>;
  /** `ask` grows with each repeated question of the same holder: Temporal answers a repeated update id with its first answer. */
  acquireLock(request: LockRequest & { readonly ask: number }): Promise<LockAnswer>;
  releaseLock(request: LockRequest): Promise<void>;
}
