// A namespace of its own on the test run's Temporal server, the real workflows on real workers, and a fake world around them.
import { randomUUID } from 'node:crypto';
import { InterceptingCall } from '@grpc/grpc-js';
import type { Interceptor } from '@grpc/grpc-js';
import { Client, Connection } from '@temporalio/client';
import type { WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime, Worker, makeTelemetryFilterString } from '@temporalio/worker';
import { createRunEngine } from '../../src/adapters/temporal/engine.ts';
import { prepareNamespace } from '../../src/adapters/temporal/namespace.ts';
import { formatRunId, parseApplicationName, runWorkflowId } from '../../src/core/model/ids.ts';
import type { RunId, TaskName } from '../../src/core/model/ids.ts';
import { decide } from '../../workflows/messages.ts';
import type { run } from '../../workflows/run.ts';
import { FakeWorld } from './fake-activities.ts';
import type { FakePlan } from './fake-activities.ts';

/** The field `time_skipping_config {enabled: true}` of a start, which the SDK has no option for; protobuf merges what is appended. */
const timeSkipping = Buffer.from('ea01020801', 'hex');

const skipTime: Interceptor = (options, nextCall) =>
  new InterceptingCall(nextCall(options), {
    sendMessage: (message: unknown, next) => {
      const isStart = options.method_definition.path.endsWith('/StartWorkflowExecution');
      next(isStart && Buffer.isBuffer(message) ? Buffer.concat([message, timeSkipping]) : message);
    },
  });

export interface BedOptions {
  readonly address: string;
  readonly bundlePath: string;
  readonly maxCachedWorkflows: number;
}

export interface StartOptions {
  readonly application?: string;
  readonly number?: number;
  readonly round?: number;
  /** The workflow's clock jumps whenever nothing is under way. */
  readonly skipTime?: boolean;
}

export interface StartedRun {
  readonly id: RunId;
  readonly handle: WorkflowHandleWithFirstExecutionRunId<typeof run>;
}

export interface Bed {
  readonly client: Client;
  /** Starts workflows whose time is skipped. */
  readonly skipping: Client;
  readonly world: FakeWorld;
  /** False: every step replays the history. */
  readonly isCached: boolean;
  readonly start: (plan: FakePlan, options?: StartOptions) => Promise<StartedRun>;
  /** Records a decision and hands it over, as api and dispatcher do. */
  readonly approve: (
    run: StartedRun,
    gate: string,
    options?: { verdict?: 'approved' | 'rejected'; id?: string },
  ) => Promise<unknown>;
  /** Number of events in the history. */
  readonly countEvents: (workflowId: string) => Promise<number>;
  /** Such as `activityTaskScheduled`, in order. */
  readonly eventNames: (workflowId: string) => Promise<readonly string[]>;
  readonly close: () => Promise<void>;
}

let nextApplication = 0;

export async function openBed({ address, bundlePath, maxCachedWorkflows }: BedOptions): Promise<Bed> {
  installRuntime();
  const namespace = `bed-${randomUUID()}`;
  await makeNamespace(address, namespace);
  const connection = await Connection.connect({ address });
  const skippingConnection = await Connection.connect({ address, interceptors: [skipTime] });
  const client = new Client({ connection, namespace });
  const skipping = new Client({ connection: skippingConnection, namespace });
  const world = new FakeWorld(createRunEngine({ client }));
  const native = await NativeConnection.connect({ address });
  const base = {
    connection: native,
    namespace,
    activities: world.activities(),
    shutdownForceTime: '5s',
    maxHeartbeatThrottleInterval: '20ms', // else a cancellation is heard of after seconds
  } as const;
  const workers = await Promise.all([
    Worker.create({ ...base, taskQueue: 'loam', workflowBundle: { codePath: bundlePath }, maxCachedWorkflows }),
    Worker.create({ ...base, taskQueue: 'jobs', maxConcurrentActivityTaskExecutions: 200 }),
    Worker.create({ ...base, taskQueue: 'trusts' }),
  ]);
  const running = workers.map((worker) => worker.run());
  return {
    ...{ client, skipping, world, isCached: maxCachedWorkflows > 0 },
    start: async (plan, options = {}) => {
      const application = parseApplicationName(options.application ?? `app-${(nextApplication += 1)}`);
      const id = formatRunId({ application, number: options.number ?? 1, round: options.round ?? 1 });
      world.plan(id, plan);
      const handle = await (options.skipTime === true ? skipping : client).workflow.start<typeof run>('run', {
        taskQueue: 'loam',
        workflowId: runWorkflowId(id),
        args: [{ run: id, application }],
      });
      return { id, handle: client.workflow.getHandle(handle.workflowId) as StartedRun['handle'] };
    },
    approve: async ({ id: run, handle }, gate, { verdict = 'approved', id = randomUUID() } = {}) => {
      world.decide({ id, run, gate: gate as TaskName, verdict });
      return handle.executeUpdate(decide, { args: [gate as TaskName, id], updateId: id });
    },
    countEvents: async (workflowId) => {
      const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
      return events?.length ?? 0;
    },
    eventNames: async (workflowId) => {
      const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
      const suffix = 'EventAttributes';
      return (events ?? []).map((event) => {
        const key = Object.keys(event).find((one) => one.endsWith(suffix)) ?? '';
        return key.slice(0, -suffix.length);
      });
    },
    close: async () => {
      for (const worker of workers) worker.shutdown();
      await Promise.all(running);
      await Promise.all([native.close(), connection.close(), skippingConnection.close()]);
    },
  };
}

/** A namespace is known to all parts of the server a moment after it was made. */
export async function makeNamespace(address: string, namespace: string): Promise<void> {
  let why: unknown;
  const isReady = (): Promise<boolean> =>
    prepareNamespace(address, namespace, { deadlineMs: 20_000 }).then(
      () => true,
      (error: unknown) => {
        why = error;
        return false;
      },
    );
  await until(isReady, `a new namespace (${String(why)})`, 30_000);
}

/** Quiet: what the tests provoke would fill the screen. */
export function installRuntime(): void {
  try {
    const filter = makeTelemetryFilterString({ core: 'ERROR', other: 'ERROR' });
    Runtime.install({ logger: new DefaultLogger('ERROR'), telemetryOptions: { logging: { filter } } });
  } catch {
    // another suite of this process was faster
  }
}

/** Waits for a condition with a deadline. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  deadlineMs = 30_000,
): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
