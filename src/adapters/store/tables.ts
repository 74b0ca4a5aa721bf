import type { ErrorCode } from '../../core/errors.ts';
import type { TaskType } from '../../core/graph/graph.ts';
import type { Gate, Verdict } from '../../core/gate/gate.ts';
import type { DeliverySource } from '../../core/model/delivery.ts';
import type { ApplicationName, Digest, EnvironmentName, RunId, Sha, TaskName } from '../../core/model/ids.ts';
import type { RunStatus, TaskStatus } from '../../core/model/status.ts';
import type { TargetKind } from '../../core/plan/plan.ts';
import type { Release } from '../../ports/store.ts';
import type { AttemptRow } from '../../ports/task-store.ts';
import type { Trust } from '../../ports/credential-store.ts';

/** 0 or 1: both databases have it, and compare it alike. */
export type Flag = 0 | 1;
/** JSON as text: nothing is queried inside. */
export type Json = string;

export interface ApplicationTable {
  readonly name: ApplicationName;
  readonly repositoryUrl: string;
  readonly local: Flag;
  readonly branches: Json;
  readonly trigger: string;
  readonly triggerSecret: string;
  readonly token: string | null;
  readonly deployKey: string | null;
  readonly lastRun: number;
  readonly watched: Flag;
  readonly createdAtMs: number;
}

export interface EnvironmentTable {
  readonly application: ApplicationName;
  readonly name: EnvironmentName;
  readonly target: TargetKind;
  readonly protected: Flag;
  readonly branches: Json;
  readonly trust: string | null;
  readonly replicas: number;
  readonly memoryMb: number | null;
  readonly cpus: number | null;
  readonly config: Json;
  readonly lockPolicy: 'queue' | 'newest';
  readonly frontPort: number;
  readonly fence: number;
  readonly fenceStep: string | null;
  readonly liveRelease: number | null;
}

export interface FenceTable {
  readonly application: ApplicationName;
  readonly environment: EnvironmentName;
  readonly holder: string;
  readonly fence: number;
}

export interface DeliveryTable {
  readonly id: string;
  readonly application: ApplicationName;
  readonly source: DeliverySource;
  readonly deliveryId: string;
  readonly bodyDigest: Digest;
  readonly ref: string;
  /** Zeros when there is none, as git writes it: null compares differently in the two databases. */
  readonly before: Sha;
  readonly after: Sha;
  readonly pushedAtMs: number;
  readonly message: string;
  readonly author: string;
  readonly receivedAtMs: number;
  readonly ignored: string | null;
  /** The first delivery of the same push, when another source brought it. */
  readonly duplicateOf: string | null;
}

/** A delivery without a row of its own in `deliveries`: a repeat of one that has, or an event that is no push. */
export interface ReceiptTable {
  readonly id: string;
  readonly application: ApplicationName;
  /** The delivery that it repeats. */
  readonly delivery: string | null;
  readonly ignored: string | null;
  readonly receivedAtMs: number;
}

export interface RunTable {
  readonly id: RunId;
  readonly application: ApplicationName;
  readonly number: number;
  readonly round: number;
  readonly delivery: string;
  readonly commit: Sha;
  readonly ref: string;
  readonly message: string;
  readonly author: string;
  readonly status: RunStatus;
  readonly statusSeq: number;
  readonly code: ErrorCode | null;
  readonly reason: string | null;
  readonly planDigest: Digest | null;
  readonly snapshot: Digest | null;
  readonly warnings: Json;
  readonly temporalRunId: string | null;
  readonly cancelRequestedBy: string | null;
  readonly cancelDelivered: Flag;
  readonly createdAtMs: number;
  readonly startedAtMs: number | null;
  readonly finishedAtMs: number | null;
}

export interface TaskTable {
  readonly run: RunId;
  readonly name: TaskName;
  /** Place in the plan. */
  readonly position: number;
  readonly type: TaskType;
  readonly status: TaskStatus;
  readonly attempt: number;
  readonly seq: number;
  readonly code: ErrorCode | null;
  readonly reason: string | null;
  readonly kept: Flag;
  readonly startedAtMs: number | null;
  readonly finishedAtMs: number | null;
}

export interface AttemptTable {
  readonly run: RunId;
  readonly task: TaskName;
  readonly attempt: number;
  readonly owner: number;
  readonly host: string;
  readonly status: AttemptRow['status'];
  readonly exitCode: number | null;
  readonly code: ErrorCode | null;
  readonly reason: string | null;
  readonly outputs: Json;
  readonly log: Digest | null;
  readonly startedAtMs: number;
  readonly finishedAtMs: number | null;
}

export interface GateTable {
  readonly run: RunId;
  readonly gate: TaskName;
  readonly opening: number;
  readonly environment: EnvironmentName;
  readonly subjects: Json;
  readonly preview: Json;
  readonly openedAtMs: number;
  readonly deadlineAtMs: number;
  readonly status: Gate['status'];
}

export interface DecisionTable {
  readonly id: string;
  readonly run: RunId;
  readonly gate: TaskName;
  readonly opening: number;
  readonly verdict: Verdict;
  readonly by: string;
  readonly comment: string;
  readonly atMs: number;
  readonly delivered: Flag;
}

export interface ReleaseTable {
  readonly application: ApplicationName;
  readonly environment: EnvironmentName;
  readonly number: number;
  readonly fence: number;
  readonly run: RunId;
  readonly task: TaskName;
  readonly attempt: number;
  readonly commit: Sha;
  readonly image: Digest | null;
  readonly template: Digest;
  readonly planDigest: Digest;
  readonly config: Json;
  readonly status: Release['status'];
  readonly code: ErrorCode | null;
  readonly reason: string | null;
  readonly createdAtMs: number;
  readonly liveAtMs: number | null;
}

export interface TrustTable {
  readonly name: string;
  readonly provider: Trust['provider'];
  readonly settings: Json;
  readonly credential: string | null;
  readonly state: Trust['state'];
  readonly reason: string | null;
  readonly generation: number;
  readonly token: string | null;
  readonly drawnAtMs: number | null;
  readonly expiresAtMs: number | null;
  readonly leaseOwner: string | null;
  readonly leaseUntilMs: number;
}

export interface SecretTable {
  readonly application: ApplicationName;
  /** Empty: all environments. */
  readonly environment: EnvironmentName | '';
  readonly name: string;
  readonly value: string;
  readonly changedAtMs: number;
}

export interface TokenTable {
  readonly name: string;
  readonly grants: Json;
  readonly hash: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
}

export interface AuditTable {
  readonly number: number;
  readonly atMs: number;
  readonly token: string;
  readonly address: string;
  readonly method: string;
  readonly path: string;
  readonly details: Json;
  readonly status: number | null;
  readonly code: string | null;
}

export interface LogTable {
  readonly run: RunId;
  readonly task: TaskName;
  readonly attempt: number;
  readonly source: number;
  readonly stored: number;
  readonly sealed: Digest | null;
}

export interface HostTable {
  readonly id: string;
  readonly beatAtMs: number;
}

/** A piece of a log that is not sealed yet: `at` is its offset in the stored bytes. */
export interface LogChunkTable {
  readonly run: RunId;
  readonly task: TaskName;
  readonly attempt: number;
  readonly at: number;
  readonly bytes: Uint8Array;
}

export interface StatusPlaceTable {
  readonly application: ApplicationName;
  readonly apiUrl: string;
  readonly repository: string;
  readonly token: string;
  /** Runs up to this number are not told of. */
  readonly fromRun: number;
  readonly error: string | null;
}

export interface StatusTable {
  readonly run: RunId;
  /** Empty: the run's own. */
  readonly gate: TaskName | '';
  /** What was told last; empty: nothing yet. */
  readonly told: string;
  readonly heldUntilMs: number;
}

export interface Tables {
  readonly applications: ApplicationTable;
  readonly environments: EnvironmentTable;
  readonly fences: FenceTable;
  readonly deliveries: DeliveryTable;
  readonly receipts: ReceiptTable;
  readonly runs: RunTable;
  readonly tasks: TaskTable;
  readonly attempts: AttemptTable;
  readonly gates: GateTable;
  readonly decisions: DecisionTable;
  readonly releases: ReleaseTable;
  readonly trusts: TrustTable;
  readonly secrets: SecretTable;
  readonly tokens: TokenTable;
  readonly audit: AuditTable;
  readonly logs: LogTable;
  readonly hosts: HostTable;
  readonly logChunks: LogChunkTable;
  readonly statusPlaces: StatusPlaceTable;
  readonly statuses: StatusTable;
}
