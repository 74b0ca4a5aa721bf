/**
 * Everything that a workflow sees of this folder. Inputs and answers are history: small plain values, no secret, no log, no file (I7).
 * Each activity may run more than once for the same input and answers the same then (I2).
 */
import type { ErrorCode } from '../src/core/errors.ts';
import type { Decision } from '../src/core/gate/gate.ts';
import type {
  ApprovalTask,
  BuildImageTask,
  CompiledGraph,
  DeployStackTask,
  GenerateTemplateTask,
  RepoJobTask,
} from '../src/core/graph/graph.ts';
import type { ApplicationName, Digest, EnvironmentName, RunId, TaskName } from '../src/core/model/ids.ts';
import type { TaskOutcome, TaskStatus, TerminalStatus } from '../src/core/model/status.ts';
import type { TaskRecord } from '../src/core/scheduler/events.ts';

export interface TaskInput<Task> {
  readonly run: RunId;
  readonly planDigest: Digest;
  readonly task: Task;
  readonly attempt: number;
}

export interface DeployInput extends TaskInput<DeployStackTask> {
  readonly holder: string;
  readonly fence: number;
}

/** On queue `jobs`: executors and targets. Heartbeat 10 s; cancel stops what it runs and answers `{status: 'cancelled'}`. */
export interface JobActivities {
  repo_job(input: TaskInput<RepoJobTask>): Promise<TaskOutcome>;
  build_image(input: TaskInput<BuildImageTask>): Promise<TaskOutcome>;
  deploy_stack(input: DeployInput): Promise<TaskOutcome>;
}

export type ResolveResult =
  | {
      readonly type: 'ready';
      readonly planDigest: Digest;
      readonly graph: CompiledGraph;
      /** Tasks that an earlier round has done, and attempt numbers to go on from. */
      readonly seeded: readonly { readonly task: TaskName; readonly succeeded: boolean; readonly attempts: number }[];
      /** Names of the trusts that the deploys of this graph need; empty: no keeper. */
      readonly trusts: readonly string[];
    }
  | { readonly type: 'skipped'; readonly reason: string }
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly reason: string };

export interface GateOpening {
  readonly opening: number;
  /** Time that is left until the deadline in the gate's row. */
  readonly remainingMs: number;
  /** A decision that is there already. */
  readonly decision: Pick<Decision, 'id' | 'verdict' | 'by'> | undefined;
}

export interface RecordInput {
  readonly run: RunId;
  readonly tasks: readonly TaskRecord[];
  /** Status of the run itself, with its own growing number. */
  readonly status?: { readonly status: TaskStatus; readonly seq: number };
  readonly gates?: readonly {
    readonly gate: TaskName;
    readonly opening: number;
    readonly status: 'decided' | 'expired' | 'cancelled';
  }[];
  /** For people, beside the tasks: such as a trust that is no longer kept. */
  readonly warnings?: readonly string[];
}

export interface LockInput {
  readonly application: ApplicationName;
  readonly environment: EnvironmentName;
  readonly holder: string;
}

/** On queue `loam`: short, eager. */
export interface RunActivities {
  /** Claims the row, fetches the commit, snapshots the tree, compiles the plan. Retryable while the repository cannot be reached. */
  resolve(input: { readonly run: RunId }): Promise<ResolveResult>;
  generate_template(input: TaskInput<GenerateTemplateTask>): Promise<TaskOutcome>;
  /** Writes the gate's row (digests, preview, deadline) and begins the attempt of the approval task. */
  open_gate(input: TaskInput<ApprovalTask>): Promise<GateOpening>;
  /** Writes the row of the gate at which a deploy waits for its trust; a trust that was reconnected meanwhile counts as the decision. */
  openReconnect(input: TaskInput<DeployStackTask> & { readonly reason: string }): Promise<GateOpening>;
  /** I4: the decision as the database has it. Throws `gate-unknown` when the id is not a decision of this gate of this run. */
  readDecision(input: {
    readonly run: RunId;
    readonly gate: TaskName;
    readonly decisionId: string;
  }): Promise<Pick<Decision, 'id' | 'verdict' | 'by' | 'opening'>>;
  acquireLock(
    input: LockInput & { readonly ask: number },
  ): Promise<
    | { readonly type: 'granted'; readonly fence: number }
    | { readonly type: 'waiting'; readonly position: number; readonly holder: string }
  >;
  releaseLock(input: LockInput): Promise<void>;
  record(input: RecordInput): Promise<void>;
  /** Last record: removes the run's sandboxes, ends its row and what its deploys left half-way. */
  finish(input: {
    readonly run: RunId;
    readonly status: TerminalStatus;
    readonly code?: ErrorCode;
    readonly reason?: string;
    readonly records: RecordInput['tasks'];
  }): Promise<void>;
}

/** On queue `trusts`. Runs as long as its run; heartbeats `{trust, generation, expiresAt}`. Non-retryable: what only a person can mend. */
export interface TrustActivities {
  keepTrusts(input: { readonly run: RunId; readonly trusts: readonly string[] }): Promise<void>;
}

/** For the workflow `environment`, on queue `loam`. */
export interface EnvironmentActivities {
  takeFence(input: LockInput): Promise<number>;
  /** Is the workflow of this holder still open? */
  isHolderOpen(input: { readonly holder: string }): Promise<boolean>;
  /** Queueing rule of the environment. */
  readLockPolicy(input: {
    readonly application: ApplicationName;
    readonly environment: EnvironmentName;
  }): Promise<'queue' | 'newest'>;
}

export type Activities = JobActivities & RunActivities & TrustActivities & EnvironmentActivities;
