// The outside world of a workflow, in memory: answers as a test says and remembers what it was asked.
import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type {
  Activities,
  GateOpening,
  LockInput,
  RecordInput,
  ResolveResult,
  TaskInput,
} from '../../activities/types.ts';
import type { ErrorCode } from '../../src/core/errors.ts';
import { errorKinds } from '../../src/core/errors.ts';
import type { Decision } from '../../src/core/gate/gate.ts';
import { reconnectGate } from '../../src/core/gate/reconnect.ts';
import type { CompiledGraph, CompiledTask, DeployStackTask } from '../../src/core/graph/graph.ts';
import { holderWorkflowId } from '../../src/core/model/ids.ts';
import type { RunId, TaskName } from '../../src/core/model/ids.ts';
import type { TaskOutcome } from '../../src/core/model/status.ts';
import type { RunEngine } from '../../src/ports/run-engine.ts';
import { planDigest } from './graphs.ts';

export interface AttemptContext {
  readonly run: RunId;
  readonly task: TaskName;
  readonly attempt: number;
  /** Temporal's own attempts of this activity, from 1. */
  readonly delivery: number;
  readonly fence: number | undefined;
}

export type Behaviour = TaskOutcome | ((context: AttemptContext) => Promise<TaskOutcome>);

export interface FakePlan {
  readonly graph: CompiledGraph;
  readonly seeded?: Extract<ResolveResult, { type: 'ready' }>['seeded'];
  readonly trusts?: readonly string[];
  /** By `task#attempt`, else by `task`; what is not listed succeeds. */
  readonly behaviours?: Readonly<Record<string, Behaviour>>;
  /** Instead of a graph. */
  readonly resolve?: () => Promise<ResolveResult>;
  /** Answers of `open_gate`, one per call, the last one for all further ones. */
  readonly gates?: Readonly<Record<string, readonly GateOpening[]>>;
  /** Before `open_gate` answers. */
  readonly onOpenGate?: () => Promise<unknown>;
  readonly keepTrusts?: () => Promise<void>;
}

export const openGate: GateOpening = { opening: 1, remainingMs: 7 * 24 * 3_600_000, decision: undefined };

export type FinishInput = Parameters<Activities['finish']>[0];

export class FakeWorld {
  readonly engine: RunEngine;
  readonly #plans = new Map<RunId, FakePlan>();
  /** `run task#attempt`, each time that an activity of a task began. */
  readonly started: string[] = [];
  readonly records: RecordInput[] = [];
  readonly finishes: FinishInput[] = [];
  readonly released: string[] = [];
  readonly keepers: { readonly run: RunId; end: 'open' | 'cancelled' }[] = [];
  readonly decisions = new Map<string, Pick<Decision, 'id' | 'verdict' | 'by' | 'opening' | 'run' | 'gate'>>();
  readonly policies = new Map<string, 'queue' | 'newest'>();
  readonly fences = new Map<string, number>();
  readonly #gateCalls = new Map<string, number>();
  /** While true, the database does not answer. */
  isDatabaseAway = false;

  constructor(engine: RunEngine) {
    this.engine = engine;
  }

  plan(run: RunId, plan: FakePlan): void {
    this.#plans.set(run, plan);
  }

  startedOf(run: RunId): readonly string[] {
    return this.started.flatMap((line) => (line.startsWith(`${run} `) ? [line.slice(run.length + 1)] : []));
  }

  /** What was recorded last about each task, finish included. */
  recordsOf(run: RunId): Record<string, string> {
    const all = [
      ...this.records.filter((record) => record.run === run).flatMap(({ tasks }) => tasks),
      ...this.finishes.filter((end) => end.run === run).flatMap(({ records }) => records),
    ];
    return Object.fromEntries(
      all.map(({ task, status, reason }) => [task, reason === undefined ? status : `${status}: ${reason}`]),
    );
  }

  /** What the run last said about itself. */
  statusOf(run: RunId): string | undefined {
    const end = this.finishOf(run)?.status;
    return end ?? this.records.findLast((record) => record.run === run && record.status !== undefined)?.status?.status;
  }

  /** How often a gate of the run was opened or looked at. */
  looksOf(run: RunId): number {
    return [...this.#gateCalls].reduce((sum, [key, calls]) => (key.startsWith(`${run} `) ? sum + calls : sum), 0);
  }

  warningsOf(run: RunId): readonly string[] {
    return this.records.filter((record) => record.run === run).flatMap(({ warnings = [] }) => warnings);
  }

  gatesOf(run: RunId): readonly string[] {
    const records = this.records.filter((record) => record.run === run);
    return records.flatMap(({ gates = [] }) =>
      gates.map(({ gate, opening, status }) => `${gate}/${opening} ${status}`),
    );
  }

  finishOf(run: RunId): FinishInput | undefined {
    return this.finishes.find((finish) => finish.run === run);
  }

  decide(decision: Pick<Decision, 'id' | 'run' | 'gate' | 'verdict'> & Partial<Decision>): void {
    this.decisions.set(decision.id, { by: 'ada', opening: 1, ...decision });
  }

  activities(): Activities {
    return {
      resolve: ({ run }) => this.#resolve(run),
      repo_job: (input) => this.#attempt(input),
      build_image: (input) => this.#attempt(input),
      generate_template: (input) => this.#attempt(input),
      deploy_stack: (input) => this.#attempt(input, input.fence),
      open_gate: (input) => this.#openGate(input),
      openReconnect: (input) => this.#openReconnect(input),
      readDecision: ({ run, gate, decisionId }) => this.#readDecision(run, gate, decisionId),
      acquireLock: (input) => this.engine.acquireLock(input),
      releaseLock: async (input) => {
        await this.engine.releaseLock(input);
        this.released.push(input.holder);
      },
      record: async (input) => {
        await this.#database();
        this.records.push(input);
      },
      finish: async (input) => {
        await this.#database();
        this.finishes.push(input);
      },
      keepTrusts: ({ run }) => this.#keepTrusts(run),
      takeFence: (input) => this.#takeFence(input),
      isHolderOpen: ({ holder }) => this.engine.isOpen(holderWorkflowId(holder)),
      readLockPolicy: ({ application, environment }) =>
        Promise.resolve(this.policies.get(`${application}/${environment}`) ?? 'queue'),
    };
  }

  async #database(): Promise<void> {
    if (this.isDatabaseAway) throw failure('store-unavailable', 'the database does not answer');
    return Promise.resolve();
  }

  #planOf(run: RunId): FakePlan {
    const plan = this.#plans.get(run);
    if (plan === undefined) throw failure('run-unknown', `no plan for ${run}`);
    return plan;
  }

  async #resolve(run: RunId): Promise<ResolveResult> {
    const { graph, seeded = [], trusts = [], resolve } = this.#planOf(run);
    return resolve === undefined ? { type: 'ready', planDigest, graph, seeded, trusts } : resolve();
  }

  async #attempt({ run, task, attempt }: TaskInput<CompiledTask>, fence?: number): Promise<TaskOutcome> {
    const { name } = task;
    this.started.push(`${run} ${name}#${attempt}`);
    const { behaviours = {} } = this.#planOf(run);
    const behaviour = behaviours[`${name}#${attempt}`] ?? behaviours[name] ?? { status: 'succeeded' };
    if (typeof behaviour !== 'function') return behaviour;
    return behaviour({ run, task: name, attempt, fence, delivery: Context.current().info.attempt });
  }

  async #openGate({ run, task, attempt }: TaskInput<CompiledTask>): Promise<GateOpening> {
    const isFirst = !this.#gateCalls.has(`${run} ${task.name}`);
    const opening = this.#nextOpening(run, task.name);
    if (isFirst) this.started.push(`${run} ${task.name}#${attempt}`);
    await this.#planOf(run).onOpenGate?.();
    return opening;
  }

  /** Answers of `plan.gates`, by the gate's name. */
  #openReconnect({ run, task }: TaskInput<DeployStackTask>): Promise<GateOpening> {
    return Promise.resolve(this.#nextOpening(run, reconnectGate(task.environment)));
  }

  #nextOpening(run: RunId, gate: TaskName): GateOpening {
    const key = `${run} ${gate}`;
    const call = this.#gateCalls.get(key) ?? 0;
    this.#gateCalls.set(key, call + 1);
    const answers = this.#planOf(run).gates?.[gate] ?? [openGate];
    return answers[call] ?? answers.at(-1) ?? openGate;
  }

  async #readDecision(run: RunId, gate: TaskName, id: string): ReturnType<Activities['readDecision']> {
    await this.#database();
    const decision = this.decisions.get(id);
    if (decision?.run !== run || decision.gate !== gate)
      throw failure('gate-unknown', `${id} is not a decision of ${gate}`);
    const { verdict, by, opening } = decision;
    return { id, verdict, by, opening };
  }

  async #keepTrusts(run: RunId): Promise<void> {
    const { keepTrusts } = this.#planOf(run);
    const keeper: (typeof this.keepers)[number] = { run, end: 'open' };
    this.keepers.push(keeper);
    if (keepTrusts !== undefined) return keepTrusts();
    try {
      await whileBeating(new Promise<never>(() => undefined));
    } finally {
      keeper.end = 'cancelled';
    }
  }

  async #takeFence({ application, environment, holder }: LockInput): Promise<number> {
    await this.#database();
    const known = this.fences.get(holder);
    if (known !== undefined) return known;
    const key = `${application}/${environment}`;
    const fence = (this.fences.get(key) ?? 0) + 1;
    this.fences.set(key, fence);
    this.fences.set(holder, fence);
    return fence;
  }
}

export function failure(code: ErrorCode, message: string): ApplicationFailure {
  return ApplicationFailure.create({ type: code, message, nonRetryable: !errorKinds[code].retryable });
}

/** Heartbeats until the promise settles; rejects when the activity is cancelled. */
export async function whileBeating<T>(work: Promise<T>): Promise<T> {
  const context = Context.current();
  const timer = setInterval(() => context.heartbeat(), 20);
  context.heartbeat();
  try {
    return await Promise.race([work, context.cancelled]);
  } finally {
    clearInterval(timer);
  }
}

/** A job that runs until the test ends it, and that ends as cancelled when it is told to. */
export class Held {
  readonly #end = Promise.withResolvers<TaskOutcome>();

  readonly behaviour = async (): Promise<TaskOutcome> => {
    try {
      return await whileBeating(this.#end.promise);
    } catch (error) {
      if (Context.current().cancellationSignal.aborted) return { status: 'cancelled' };
      throw error;
    }
  };

  end(outcome: TaskOutcome = { status: 'succeeded' }): void {
    this.#end.resolve(outcome);
  }
}
