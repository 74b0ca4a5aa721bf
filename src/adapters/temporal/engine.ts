// I1: starting is find-or-create by workflow id, checked against the delivery in the memo. I3: asking for a lock is idempotent by holder.
// I4: what travels to a run is the id of a decision; the run reads the decision itself from the database.
import {
  Client,
  Connection,
  WithStartWorkflowOperation,
  WorkflowExecutionAlreadyStartedError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  isGrpcServiceError,
} from '@temporalio/client';
import type { WorkflowHandle } from '@temporalio/client';
import { ApplicationFailure, defineSearchAttributeKey } from '@temporalio/common';
import { DomainError } from '../../core/errors.ts';
import type { RunId } from '../../core/model/ids.ts';
import { environmentWorkflowId, runWorkflowId } from '../../core/model/ids.ts';
import { branchOf } from '../../core/model/branch-filter.ts';
import type { LockAnswer, LockRequest, RunEngine } from '../../ports/run-engine.ts';
import type { RunRow } from '../../ports/store.ts';
import { cutBytes, escapeMarkdown } from './ui-text.ts';

/** Wire format of workflows/messages.ts, which an adapter must not import; a test holds the two to each other. */
export const wireNames = {
  runWorkflow: 'run',
  environmentWorkflow: 'environment',
  decide: 'decide',
  acquire: 'acquire',
  release: 'release',
  taskQueue: 'loam',
} as const;

const keyword = 'KEYWORD';
const attributes = {
  application: defineSearchAttributeKey('LoamApplication', keyword),
  commit: defineSearchAttributeKey('LoamCommit', keyword),
  branch: defineSearchAttributeKey('LoamBranch', keyword),
  status: defineSearchAttributeKey('LoamStatus', keyword),
  environment: defineSearchAttributeKey('LoamEnvironment', 'KEYWORD_LIST'),
};

const callTimeoutMs = 5_000;
/** An update waits for a worker: while there is none, the caller must not wait with it. */
const updateTimeoutMs = 8_000;
const summaryBytes = 400;
/** PostgreSQL and SQLite keep a keyword in 255 characters. */
const attributeBytes = 240;

interface Shown {
  /** Where a run can be looked at; shown in the Temporal UI. */
  readonly runUrl?: (row: RunRow) => string;
}

export interface OpenRunEngine extends RunEngine {
  /** Lets the calls that are under way end first: a connection that is closed under a retry would leave its caller without an answer. */
  close(): Promise<void>;
}

type RunEngineOptions = Shown &
  ({ readonly address: string; readonly namespace: string } | { readonly client: Client });

/** Given an address: on a connection of its own, which is made at the first call and again after each loss. */
export function createRunEngine(options: RunEngineOptions): OpenRunEngine {
  const { runUrl } = options;
  const connection = 'client' in options ? undefined : Connection.lazy({ address: options.address });
  const client =
    'client' in options
      ? options.client
      : new Client({ namespace: options.namespace, ...(connection && { connection }) });
  const underWay = new Set<Promise<unknown>>();
  function within<T>(timeoutMs: number, call: () => Promise<T>): Promise<T> {
    const answer = guard(() => client.connection.withDeadline(Date.now() + timeoutMs, call));
    underWay.add(answer);
    return answer.finally(() => underWay.delete(answer));
  }
  function describe(workflowId: string): Promise<Description | undefined> {
    return within(callTimeoutMs, () => describeHandle(client.workflow.getHandle(workflowId)));
  }
  return {
    close: async () => {
      await Promise.allSettled(underWay);
      await connection?.close();
    },
    startRun: (row) => within(callTimeoutMs, () => startRun(client, row, runUrl?.(row))),
    deliverDecision: async ({ id, run, gate }) => {
      const handle = client.workflow.getHandle(runWorkflowId(run));
      const isDelivered = await within(updateTimeoutMs, () =>
        untilGone(() => handle.executeUpdate(wireNames.decide, { args: [gate, id], updateId: id })),
      );
      return isDelivered ? 'delivered' : 'gone';
    },
    cancelRun: async (run) => {
      const workflowId = runWorkflowId(run);
      // The server also takes the cancel of a closed workflow, and says nothing.
      if ((await describe(workflowId))?.isOpen !== true) return 'gone';
      const handle = client.workflow.getHandle(workflowId);
      return (await within(callTimeoutMs, () => untilGone(() => handle.cancel()))) ? 'requested' : 'gone';
    },
    isOpen: async (workflowId) => (await describe(workflowId))?.isOpen ?? false,
    closedStatus: async (run: RunId) => (await describe(runWorkflowId(run)))?.closedAs,
    acquireLock: (request) => within(updateTimeoutMs, () => acquireLock(client, request)),
    releaseLock: async ({ application, environment, holder }) => {
      const handle = client.workflow.getHandle(environmentWorkflowId(application, environment));
      // No fixed update id: releasing twice is harmless, and a repeated id would be answered from memory.
      await within(updateTimeoutMs, () =>
        untilGone(() => handle.executeUpdate(wireNames.release, { args: [{ holder }] })),
      );
    },
  };
}

type StartAnswer = Awaited<ReturnType<RunEngine['startRun']>>;

async function startRun(client: Client, row: RunRow, url: string | undefined): Promise<StartAnswer> {
  const workflowId = runWorkflowId(row.id);
  try {
    const handle = await client.workflow.start(wireNames.runWorkflow, {
      workflowId,
      taskQueue: wireNames.taskQueue,
      // With these two an id is used once for ever; who comes second is told, and asks whose run it is.
      workflowIdConflictPolicy: 'FAIL',
      workflowIdReusePolicy: 'REJECT_DUPLICATE',
      args: [{ run: row.id, application: row.application }],
      memo: { delivery: row.delivery },
      staticSummary: summarise(row),
      staticDetails: detail(row, url),
      typedSearchAttributes: [
        { key: attributes.application, value: row.application },
        { key: attributes.commit, value: row.commit },
        { key: attributes.branch, value: cutBytes(branchOf(row.ref) ?? row.ref, attributeBytes) },
        { key: attributes.status, value: 'pending' },
      ],
    });
    return { type: 'started', temporalRunId: handle.firstExecutionRunId };
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    const { memo, runId } = await client.workflow.getHandle(workflowId).describe();
    return memo?.['delivery'] === row.delivery ? { type: 'started', temporalRunId: runId } : { type: 'conflict' };
  }
}

async function acquireLock(client: Client, request: LockRequest & { readonly ask: number }): Promise<LockAnswer> {
  const { application, environment, holder, ask } = request;
  return client.workflow.executeUpdateWithStart<() => Promise<void>, LockAnswer, [{ holder: string }]>(
    wireNames.acquire,
    {
      args: [{ holder }],
      updateId: `${holder}/${ask}`,
      startWorkflowOperation: new WithStartWorkflowOperation(wireNames.environmentWorkflow, {
        workflowId: environmentWorkflowId(application, environment),
        taskQueue: wireNames.taskQueue,
        workflowIdConflictPolicy: 'USE_EXISTING',
        args: [{ application, environment }],
        staticSummary: `lock of ${application}/${environment}`,
        staticDetails:
          'One deploy at a time: who holds the lock and who waits for it. Ends when nobody has asked for an hour.',
        typedSearchAttributes: [
          { key: attributes.application, value: application },
          { key: attributes.environment, value: [environment] },
        ],
      }),
    },
  );
}

interface Description {
  readonly isOpen: boolean;
  readonly closedAs: Awaited<ReturnType<RunEngine['closedStatus']>>;
}

const closings = {
  COMPLETED: 'completed',
  FAILED: 'failed',
  CANCELLED: 'cancelled',
  TERMINATED: 'terminated',
  TIMED_OUT: 'timed-out',
} as const;

async function describeHandle(handle: WorkflowHandle): Promise<Description | undefined> {
  try {
    const { name } = (await handle.describe()).status;
    const closedAs = Object.entries(closings).find(([status]) => status === name)?.[1];
    return { isOpen: closedAs === undefined, closedAs };
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

/** False when the workflow has ended or was never there, or when it refused since there is nothing to do any more. */
async function untilGone(call: () => Promise<unknown>): Promise<boolean> {
  try {
    await call();
    return true;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError || isRefusal(error)) return false;
    throw error;
  }
}

function isRefusal(error: unknown): boolean {
  if (!(error instanceof WorkflowUpdateFailedError)) return false;
  const { cause } = error;
  if (!(cause instanceof ApplicationFailure)) return false;
  return (
    cause.type === 'gate-closed' || cause.type === 'gate-unknown' || cause.type === 'AcceptedUpdateCompletedWorkflow'
  );
}

const invalidArgument = 3; // gRPC status code: the call itself is wrong, asking again does not help

async function guard<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof DomainError) throw error;
    const { message, grpcCode } = inspect(error);
    if (grpcCode === invalidArgument) {
      throw new DomainError('internal', `Temporal refused it: ${message}`, { cause: error });
    }
    throw new DomainError('temporal-unavailable', `Temporal did not do it: ${message}`, { cause: error });
  }
}

function inspect(error: unknown): { readonly message: string; readonly grpcCode: unknown } {
  if (!(error instanceof Error)) return { message: String(error), grpcCode: undefined };
  const inner: unknown = isGrpcServiceError(error) ? error : error.cause;
  const grpcCode = isGrpcServiceError(inner) ? inner.code : undefined;
  const detail = inner instanceof Error && inner !== error ? `${error.message}: ${inner.message}` : error.message;
  return { message: detail.slice(0, 300), grpcCode };
}

/** What the lists of the Temporal UI show beside the id. */
export function summarise(row: Pick<RunRow, 'application' | 'commit' | 'message'>): string {
  const text = `${row.application}@${row.commit.slice(0, 7)}: ${escapeMarkdown(row.message)}`;
  return cutBytes(text, summaryBytes);
}

function detail(row: RunRow, url: string | undefined): string {
  const lines = [
    `- application: ${row.application}`,
    `- commit: ${row.commit}`,
    `- ref: ${escapeMarkdown(row.ref)}`,
    `- author: ${escapeMarkdown(row.author)}`,
    `- message: ${escapeMarkdown(row.message)}`,
    ...(url === undefined ? [] : [`- run: ${url}`]),
  ];
  return lines.join('\n');
}
