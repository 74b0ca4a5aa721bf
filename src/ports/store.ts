import type { ErrorCode } from '../core/errors.ts';
import type { TaskType } from '../core/graph/graph.ts';
import type { Decision, Gate, GatePreview, GateSubject, Verdict } from '../core/gate/gate.ts';
import type { ApplicationName, Digest, EnvironmentName, RunId, Sha, TaskName } from '../core/model/ids.ts';
import type { RunStatus, TerminalStatus } from '../core/model/status.ts';
import type { TargetKind } from '../core/plan/plan.ts';
import type { AuditStore } from './audit-store.ts';
import type { StatusStore } from './commit-status.ts';
import type { SecretStore, TokenStore, TrustStore } from './credential-store.ts';
import type { DeliveryStore } from './delivery-store.ts';
import type { DeployKey, GitSource } from './git.ts';
import type { HostStore } from './host-store.ts';
import type { LogPositionStore } from './log-store.ts';
import type { Secret } from './secret.ts';
import type { TaskStore } from './task-store.ts';

/**
 * The database. Every method is one transaction, may run concurrently in several processes, and throws `store-unavailable` when the database does not answer.
 * Instants are milliseconds since 1970.
 */
export interface Store {
  readonly applications: ApplicationStore;
  readonly environments: EnvironmentStore;
  readonly deliveries: DeliveryStore;
  readonly runs: RunStore;
  readonly tasks: TaskStore;
  readonly gates: GateStore;
  readonly releases: ReleaseStore;
  readonly trusts: TrustStore;
  readonly secrets: SecretStore;
  readonly tokens: TokenStore;
  readonly audit: AuditStore;
  readonly logs: LogPositionStore;
  readonly hosts: HostStore;
  readonly statuses: StatusStore;
  /** Seals with the present key what an older one has sealed. Returns how many texts that were; 0: the older ones are not needed here any more. */
  reseal(): Promise<number>;
  close(): Promise<void>;
}

export interface Application {
  readonly name: ApplicationName;
  readonly repositoryUrl: string;
  /** Added on this machine by its owner: may use a path as repository, weaker isolation where it must be, and unregistered `process` environments. */
  readonly local: boolean;
  /** Globs of branch names that start runs; others are `ignored`. */
  readonly branches: readonly string[];
  /** Public part of the trigger's URL; not secret. */
  readonly trigger: string;
  /** There is a token that its repository is read with. */
  readonly hasToken: boolean;
  /** There is a key that its repository is read with, by ssh. */
  readonly hasDeployKey: boolean;
  readonly createdAtMs: number;
}

export type NewApplication = Omit<Application, 'createdAtMs' | 'hasToken' | 'hasDeployKey'>;

export interface ApplicationStore {
  /** Throws `application-exists`. */
  add(application: NewApplication, triggerSecret: Secret): Promise<Application>;
  get(name: ApplicationName): Promise<Application | undefined>;
  list(): Promise<readonly Application[]>;
  update(
    name: ApplicationName,
    change: { readonly branches?: readonly string[]; readonly repositoryUrl?: string },
  ): Promise<Application>;
  /** The application behind a trigger, and what its deliveries are signed with. */
  byTrigger(trigger: string): Promise<{ readonly application: Application; readonly secret: Secret } | undefined>;
  triggerSecret(name: ApplicationName): Promise<Secret>;
  /** What git is given to read the repository, its token included. */
  source(name: ApplicationName): Promise<GitSource>;
  /** Undefined takes it away. */
  setToken(name: ApplicationName, token: Secret | undefined): Promise<Application>;
  /** Undefined takes it away. */
  setDeployKey(name: ApplicationName, deployKey: DeployKey | undefined): Promise<Application>;
}

/** What protects an environment lives here, never in the plan (I4). */
export interface Environment {
  readonly application: ApplicationName;
  readonly name: EnvironmentName;
  readonly target: TargetKind;
  /** True: `deploy_stack` asks for an approval bound to its digests, whatever the plan says. */
  readonly protected: boolean;
  /** Globs of branches that may deploy here; empty: all. */
  readonly branches: readonly string[];
  readonly trust: string | undefined;
  readonly replicas: number;
  /** What each container of a release may use, in MiB and in cores; undefined: no limit. Not for local processes. */
  readonly memoryMb: number | undefined;
  readonly cpus: number | undefined;
  /** Config of the environment, over that of application and plan. */
  readonly config: Readonly<Record<string, string>>;
  /** `queue`: first come first served. `newest`: a newer run replaces those that wait. */
  readonly lockPolicy: 'queue' | 'newest';
  /** Port of the stable URL on targets with a front. */
  readonly frontPort: number;
  readonly fence: number;
  readonly liveRelease: number | undefined;
}

export type EnvironmentSettings = Pick<
  Environment,
  'target' | 'protected' | 'branches' | 'trust' | 'replicas' | 'memoryMb' | 'cpus' | 'config' | 'lockPolicy'
>;

export interface EnvironmentStore {
  get(application: ApplicationName, name: EnvironmentName): Promise<Environment | undefined>;
  list(application?: ApplicationName): Promise<readonly Environment[]>;
  /** Registers or changes; gives a new environment the next free front port from `firstFrontPort` on (as far as the rows know). Fields left out keep their value. */
  put(
    application: ApplicationName,
    name: EnvironmentName,
    settings: Partial<EnvironmentSettings>,
  ): Promise<Environment>;
  /** Moves the stable URL when its port turned out to be taken by another program. */
  moveFront(application: ApplicationName, name: EnvironmentName, port: number): Promise<Environment>;
  /**
   * I3: the fence of this holder; the first call of a holder adds one, a repeat answers the same. Only grows, and is above `seen`, the highest fence that the
   * environment carries: a database restored from a backup has forgotten some.
   */
  takeFence(application: ApplicationName, name: EnvironmentName, holder: string, seen: number): Promise<number>;
  /** I3: was this fence given to this holder, by whatever message it heard of it? */
  isFenceOf(application: ApplicationName, name: EnvironmentName, holder: string, fence: number): Promise<boolean>;
  /** I3: compare-and-set before each step that changes the world: true while `fence` is the newest. */
  checkFence(application: ApplicationName, name: EnvironmentName, fence: number, step: string): Promise<boolean>;
}

export interface RunRow {
  readonly id: RunId;
  readonly application: ApplicationName;
  readonly number: number;
  readonly round: number;
  /** Row id of the delivery. */
  readonly delivery: string;
  readonly commit: Sha;
  readonly ref: string;
  readonly message: string;
  readonly author: string;
  readonly status: RunStatus;
  readonly code: ErrorCode | undefined;
  readonly reason: string | undefined;
  readonly planDigest: Digest | undefined;
  /** Tar of the tree. */
  readonly snapshot: Digest | undefined;
  /** Warnings of plan and isolation, for people. */
  readonly warnings: readonly string[];
  readonly temporalRunId: string | undefined;
  readonly cancelRequestedBy: string | undefined;
  readonly createdAtMs: number;
  readonly startedAtMs: number | undefined;
  readonly finishedAtMs: number | undefined;
}

/** What a run works with. */
export interface RunPlan {
  readonly planDigest: Digest;
  /** Tar of the tree. */
  readonly snapshot: Digest;
  readonly tasks: readonly { readonly name: TaskName; readonly type: TaskType }[];
}

export interface RunStore {
  get(run: RunId): Promise<RunRow | undefined>;
  /** The last round of a run. */
  newest(application: ApplicationName, number: number): Promise<RunRow | undefined>;
  /** Newest first. `before`: only runs created before that run. */
  list(filter: {
    readonly application?: ApplicationName;
    /** Only of these. */
    readonly among?: readonly ApplicationName[] | undefined;
    readonly status?: RunStatus;
    readonly limit: number;
    readonly before?: RunId;
  }): Promise<readonly RunRow[]>;
  /** Rows whose workflow has not been started yet, oldest first: the outbox. */
  unstarted(limit: number): Promise<readonly RunRow[]>;
  /** Open rows: not terminal. */
  open(): Promise<readonly RunRow[]>;
  markStarted(run: RunId, temporalRunId: string): Promise<void>;
  /** Gives the delivery's run the next number, when Temporal has seen this one with another delivery. Only before it was started. */
  renumber(run: RunId): Promise<RunId>;
  /** `resolve` takes the row: status running, started now. Repeats are fine. Returns the row. Throws `run-unknown`. */
  claim(run: RunId): Promise<RunRow>;
  /** What `resolve` found; writes the task rows as pending (keeps those that exist). */
  setPlan(run: RunId, plan: RunPlan & { readonly warnings: readonly string[] }): Promise<void>;
  addWarning(run: RunId, warning: string): Promise<void>;
  /** Status of an open run; a lower `seq` than the stored one does nothing, a terminal row stays, a terminal status does nothing (that is `finish`). */
  setStatus(run: RunId, status: RunStatus, seq: number): Promise<void>;
  /** Terminal is final: the second end is dropped. Also ends task rows that are still open: `skipped`, or `cancelled` when they had begun or the run was; closes open gates. */
  finish(
    run: RunId,
    end: { readonly status: TerminalStatus; readonly code: ErrorCode | undefined; readonly reason: string | undefined },
  ): Promise<void>;
  /**
   * A retry: the next round, seeded from the rows of the last one: succeeded tasks with their outputs are kept, plan and snapshot too. Throws `run-not-ended`;
   * `input-invalid` when nothing failed. `from`: also run again this task and all that needs it (`descendants` says which).
   */
  newRound(run: RunId, again: readonly TaskName[]): Promise<RunRow>;
  requestCancel(run: RunId, by: string): Promise<RunRow>;
  /** Cancels that Temporal has not heard of yet. */
  undeliveredCancels(limit: number): Promise<readonly RunRow[]>;
  markCancelDelivered(run: RunId): Promise<void>;
}

export interface NewGate {
  readonly run: RunId;
  readonly gate: TaskName;
  readonly environment: EnvironmentName;
  readonly subjects: readonly GateSubject[];
  readonly preview: GatePreview;
  readonly timeoutMs: number;
}

export interface GateStore {
  /** Find-or-create: the open gate of this run and task with the same subjects, else the next opening. Answers a decision that is already there (an approval of an earlier round with the same subjects too, as a decision of this round). */
  open(gate: NewGate): Promise<{ readonly gate: Gate; readonly decision: Decision | undefined }>;
  get(run: RunId, gate: TaskName): Promise<Gate | undefined>;
  list(filter: { readonly run?: RunId; readonly open?: boolean }): Promise<readonly Gate[]>;
  close(run: RunId, gate: TaskName, opening: number, status: 'decided' | 'expired' | 'cancelled'): Promise<void>;
  /** UNIQUE (run, gate, opening): the first decision counts; a second call answers that one. Throws `gate-unknown`, `gate-closed` (expired, run ended). */
  decide(
    run: RunId,
    gate: TaskName,
    decision: {
      readonly verdict: Verdict;
      readonly by: string;
      readonly comment: string;
      /** The opening that the person looked at; `gate-closed` when it is not the newest any more (I4). */
      readonly opening?: number;
    },
  ): Promise<{ readonly decision: Decision; readonly repeated: boolean }>;
  decision(id: string): Promise<Decision | undefined>;
  /** All decisions of a run, oldest first: who decided what. */
  decisions(run: RunId): Promise<readonly Decision[]>;
  /** The outbox of decisions, oldest first. */
  undelivered(limit: number): Promise<readonly Decision[]>;
  markDelivered(id: string): Promise<void>;
  /** I4: the approval of any round of this run for exactly this deploy; what `deploy_stack` demands in a protected environment. */
  approvalFor(run: RunId, environment: EnvironmentName, subject: GateSubject): Promise<Decision | undefined>;
}

export interface Release {
  readonly application: ApplicationName;
  readonly environment: EnvironmentName;
  /** From 1 per environment. */
  readonly number: number;
  readonly fence: number;
  readonly run: RunId;
  readonly task: TaskName;
  readonly attempt: number;
  readonly commit: Sha;
  readonly image: Digest | undefined;
  readonly template: Digest;
  readonly planDigest: Digest;
  /** Literal config that it runs with; secrets only by name. */
  readonly config: Readonly<Record<string, string>>;
  readonly status: 'deploying' | 'live' | 'superseded' | 'failed' | 'cancelled';
  readonly code: ErrorCode | undefined;
  readonly reason: string | undefined;
  readonly createdAtMs: number;
  readonly liveAtMs: number | undefined;
}

/** How a deploy ended that did not succeed: what is answered also by whoever finds only the release. */
export interface ReleaseEnd {
  readonly status: 'failed' | 'cancelled';
  readonly code?: ErrorCode;
  readonly reason: string;
}

export interface ReleaseStore {
  /** Find-or-create by (run, task, attempt); the number is the next of the environment. Throws `fence-stale` when the fence is not the newest. */
  begin(release: Omit<Release, 'number' | 'status' | 'code' | 'reason' | 'createdAtMs' | 'liveAtMs'>): Promise<Release>;
  /**
   * One transaction with compare-and-set on the fence: this one live, the last one superseded, and the environment's number of replicas, when one is given.
   * Repeats are fine. Throws `fence-stale`.
   */
  makeLive(
    release: Pick<Release, 'application' | 'environment' | 'number' | 'fence'>,
    replicas: number | undefined,
  ): Promise<void>;
  /** Only a `deploying` release. */
  fail(release: Pick<Release, 'application' | 'environment' | 'number'>, end: ReleaseEnd): Promise<void>;
  get(application: ApplicationName, environment: EnvironmentName, number: number): Promise<Release | undefined>;
  /** Newest first. */
  list(application: ApplicationName, environment?: EnvironmentName): Promise<readonly Release[]>;
}
