// What the API answers. One definition checks an answer (what is not listed does not leave: I7) and documents it.
import { z } from 'zod';
import { taskStatuses } from '../core/model/status.ts';

const Status = z.enum(taskStatuses);
export const Instant = z.iso.datetime();

export const Problem = z.object({
  pointer: z.string(),
  message: z.string(),
  code: z.string().optional(),
  remedy: z.string().optional(),
  line: z.int().optional(),
  column: z.int().optional(),
});

/** RFC 9457. */
export const ProblemDocument = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string(),
    code: z.string(),
    requestId: z.string(),
    errors: z.array(Problem),
  })
  .meta({ id: 'Problem' });
export type ProblemDocument = z.infer<typeof ProblemDocument>;

export const ApplicationView = z
  .object({
    name: z.string(),
    repositoryUrl: z.string(),
    local: z.boolean(),
    branches: z.array(z.string()),
    triggerUrl: z.string(),
    hasToken: z.boolean(),
    hasDeployKey: z.boolean(),
    createdAt: Instant,
  })
  .meta({ id: 'Application' });
export type ApplicationView = z.infer<typeof ApplicationView>;

export const CommitStatusView = z
  .object({
    /** Null: none is told. */
    repository: z.string().nullable(),
    apiUrl: z.string().nullable(),
    /** What the forge answered when it refused the last one. */
    error: z.string().nullable(),
  })
  .meta({ id: 'CommitStatuses' });
export type CommitStatusView = z.infer<typeof CommitStatusView>;

export const AddedApplication = z
  .object({
    ...ApplicationView.shape,
    repository: z.enum(['made', 'taken', 'remote']),
    hookInstalled: z.boolean(),
    /** Only for a remote repository, and only in this answer: what the forge must sign its webhooks with. */
    triggerSecret: z.string().optional(),
  })
  .meta({ id: 'AddedApplication' });
export type AddedApplication = z.infer<typeof AddedApplication>;

export const EnvironmentView = z
  .object({
    application: z.string(),
    name: z.string(),
    target: z.enum(['process', 'docker', 'swarm', 'heat']),
    protected: z.boolean(),
    branches: z.array(z.string()),
    trust: z.string().nullable(),
    replicas: z.int(),
    /** Of each container, in MiB; null: no limit. */
    memoryMb: z.int().nullable(),
    /** Cores of each container; null: no limit. */
    cpus: z.number().nullable(),
    config: z.record(z.string(), z.string()),
    lockPolicy: z.enum(['queue', 'newest']),
    frontPort: z.int(),
    /** Where people reach it; null on targets without a front. */
    url: z.string().nullable(),
    liveRelease: z.int().nullable(),
  })
  .meta({ id: 'Environment' });
export type EnvironmentView = z.infer<typeof EnvironmentView>;

export const TrustView = z
  .object({
    name: z.string(),
    provider: z.enum(['exec', 'static']),
    settings: z.record(z.string(), z.unknown()),
    state: z.string(),
    reason: z.string().nullable(),
    generation: z.int(),
    expiresAt: Instant.nullable(),
  })
  .meta({ id: 'Trust' });
export type TrustView = z.infer<typeof TrustView>;

export const TokenView = z
  .object({ name: z.string(), roles: z.array(z.string()), createdAt: Instant, expiresAt: Instant.nullable() })
  .meta({ id: 'Token' });
export type TokenView = z.infer<typeof TokenView>;

export const SecretView = z
  .object({ name: z.string(), environment: z.string().nullable(), changedAt: Instant })
  .meta({ id: 'SecretName' });
export type SecretView = z.infer<typeof SecretView>;

export const RunView = z
  .object({
    id: z.string(),
    application: z.string(),
    number: z.int(),
    round: z.int(),
    status: Status,
    code: z.string().nullable(),
    reason: z.string().nullable(),
    commit: z.string(),
    ref: z.string(),
    message: z.string(),
    author: z.string(),
    createdAt: Instant,
    startedAt: Instant.nullable(),
    finishedAt: Instant.nullable(),
    cancelRequestedBy: z.string().nullable(),
    url: z.string(),
    temporalUrl: z.string().nullable(),
  })
  .meta({ id: 'Run' });
export type RunView = z.infer<typeof RunView>;

export const AttemptView = z
  .object({
    attempt: z.int(),
    status: z.enum(['running', 'succeeded', 'failed', 'cancelled']),
    host: z.string(),
    exitCode: z.int().nullable(),
    code: z.string().nullable(),
    reason: z.string().nullable(),
    outputs: z.record(z.string(), z.string()),
    startedAt: Instant,
    finishedAt: Instant.nullable(),
  })
  .meta({ id: 'Attempt' });
export type AttemptView = z.infer<typeof AttemptView>;

export const TaskView = z
  .object({
    name: z.string(),
    type: z.string(),
    status: Status,
    attempt: z.int(),
    /** Kept from an earlier round. */
    kept: z.boolean(),
    code: z.string().nullable(),
    /** Why it did not succeed, or what it waits for. */
    reason: z.string().nullable(),
    startedAt: Instant.nullable(),
    finishedAt: Instant.nullable(),
  })
  .meta({ id: 'Task' });
export type TaskView = z.infer<typeof TaskView>;

const GatePreview = z.object({
  application: z.string(),
  fromRelease: z.int().nullable(),
  fromCommit: z.string().nullable(),
  toCommit: z.string(),
  commits: z.array(z.object({ sha: z.string(), subject: z.string(), author: z.string() })),
  moreCommits: z.boolean(),
  configAdded: z.array(z.string()),
  configRemoved: z.array(z.string()),
  configChanged: z.array(z.string()),
  digest: z.string().nullable(),
});

export const DecisionView = z
  .object({
    id: z.string(),
    run: z.string(),
    gate: z.string(),
    opening: z.int(),
    verdict: z.enum(['approved', 'rejected']),
    by: z.string(),
    comment: z.string(),
    at: Instant,
  })
  .meta({ id: 'Decision' });
export type DecisionView = z.infer<typeof DecisionView>;

export const GateView = z
  .object({
    run: z.string(),
    gate: z.string(),
    opening: z.int(),
    environment: z.string(),
    status: z.enum(['open', 'decided', 'expired', 'cancelled']),
    openedAt: Instant,
    deadlineAt: Instant,
    subjects: z.array(z.object({ task: z.string(), template: z.string(), image: z.string().nullable() })),
    preview: GatePreview,
    /** Of a gate that waits for a trust to be reconnected: it takes no verdict. */
    reconnect: z.object({ trust: z.string(), task: z.string(), reason: z.string() }).nullable(),
    decision: DecisionView.nullable(),
  })
  .meta({ id: 'Gate' });
export type GateView = z.infer<typeof GateView>;

export const RunDetail = z
  .object({
    ...RunView.shape,
    warnings: z.array(z.string()),
    tasks: z.array(z.object({ ...TaskView.shape, attempts: z.array(AttemptView) })),
    gates: z.array(GateView),
  })
  .meta({ id: 'RunDetail' });
export type RunDetail = z.infer<typeof RunDetail>;

export const DecisionAnswer = z
  .object({
    decision: DecisionView,
    /** True when the gate had been decided before: then `decision` is that first one. */
    repeated: z.boolean(),
  })
  .meta({ id: 'DecisionAnswer' });
export type DecisionAnswer = z.infer<typeof DecisionAnswer>;

export const ReleaseView = z
  .object({
    application: z.string(),
    environment: z.string(),
    number: z.int(),
    run: z.string(),
    task: z.string(),
    attempt: z.int(),
    commit: z.string(),
    image: z.string().nullable(),
    template: z.string(),
    status: z.enum(['deploying', 'live', 'superseded', 'failed', 'cancelled']),
    reason: z.string().nullable(),
    createdAt: Instant,
    liveAt: Instant.nullable(),
  })
  .meta({ id: 'Release' });
export type ReleaseView = z.infer<typeof ReleaseView>;

const QueueEntry = z.object({
  run: z.string(),
  task: z.string(),
  type: z.string(),
  attempt: z.int(),
  since: Instant.nullable(),
  reason: z.string().nullable(),
});

export const QueueView = z
  .object({
    /** Jobs that this machine runs side by side. */
    capacity: z.int(),
    running: z.array(QueueEntry),
    /** Ready jobs that wait for a free place; 1 is next. */
    waiting: z.array(QueueEntry.extend({ position: z.int() })),
    /** Deploys that wait for the lock of their environment. */
    locks: z.array(QueueEntry),
    /** Gates that wait for a person. */
    gates: z.array(z.object({ run: z.string(), gate: z.string(), environment: z.string(), deadlineAt: Instant })),
  })
  .meta({ id: 'Queue' });
export type QueueView = z.infer<typeof QueueView>;

export const StatusView = z
  .object({
    version: z.string(),
    dataFolder: z.string(),
    temporal: z.enum(['ok', 'unavailable']),
    temporalUiUrl: z.string().nullable(),
    jobCapacity: z.int(),
    openRuns: z.int(),
    openGates: z.int(),
    /** Deliveries that no door has received yet, and those that were refused. */
    spooled: z.int(),
    spoolRefused: z.int(),
  })
  .meta({ id: 'Status' });
export type StatusView = z.infer<typeof StatusView>;

/** Server-sent events of a run: each carries the new state of what changed, so a reader that comes back misses nothing. */
export type RunEvent =
  | { readonly type: 'run'; readonly run: RunView }
  | { readonly type: 'task'; readonly task: TaskView }
  | { readonly type: 'gate'; readonly gate: GateView }
  /** The run has ended; the stream closes. */
  | { readonly type: 'end'; readonly run: RunView };

/** Server-sent events of a log; the event's id is the offset to go on from. */
export type LogEvent = { readonly type: 'log'; readonly text: string } | { readonly type: 'end' };
