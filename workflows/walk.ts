import { ActivityFailure, CancellationScope, isCancellation, patched, sleep } from '@temporalio/workflow';
import { isWithdrawal } from '../src/core/gate/reconnect.ts';
import type { CompiledGraph, CompiledTask, DeployStackTask } from '../src/core/graph/graph.ts';
import { lockHolder } from '../src/core/model/ids.ts';
import type { ApplicationName, Digest, RunId, TaskName } from '../src/core/model/ids.ts';
import type { TaskOutcome } from '../src/core/model/status.ts';
import type { RunEnd, SchedulerCommand, SchedulerEvent } from '../src/core/scheduler/events.ts';
import { at, createState, positionOf } from '../src/core/scheduler/state.ts';
import type { SchedulerState, SeededTask } from '../src/core/scheduler/state.ts';
import { transition } from '../src/core/scheduler/transition.ts';
import type { Board } from './board.ts';
import type { Gates } from './gates.ts';
import type { Locks } from './locks.ts';
import { releaser } from './options.ts';
import type { Recorder } from './records.ts';
import { awaitReconnect, runTask } from './tasks.ts';
import type { TaskHost } from './tasks.ts';

export interface WalkOptions {
  readonly run: RunId;
  readonly application: ApplicationName;
  readonly planDigest: Digest;
  readonly graph: CompiledGraph;
  readonly seeded: readonly SeededTask[];
  readonly board: Board;
  readonly recorder: Recorder;
  readonly locks: Locks;
  readonly gates: Gates;
  /** A trust that was withdrawn works again. */
  readonly onReconnected: () => void;
}

function isTrustLost({ status, code }: TaskOutcome): boolean {
  return status === 'failed' && isWithdrawal(code);
}

/**
 * The shell around the pure scheduler: carries out its commands and tells it what came of them. Everything that it starts hangs below one scope that the run's
 * own cancellation does not reach: the scheduler decides what is cancelled, and in which order.
 */
export class Walk {
  readonly #options: WalkOptions;
  readonly #shield = new CancellationScope({ cancellable: false });
  readonly #scopes = new Map<TaskName, CancellationScope>();
  readonly #releases: Promise<void>[] = [];
  readonly #end = Promise.withResolvers<RunEnd>();
  #state: SchedulerState;

  constructor(options: WalkOptions) {
    this.#options = options;
    this.#state = createState(options.graph, options.seeded);
  }

  /** From the first task to the last one's end, locks given back. */
  async run(root: CancellationScope): Promise<RunEnd> {
    if (root.consideredCancelled) this.#apply({ type: 'cancel-requested' });
    this.#apply({ type: 'run-started' });
    root.cancelRequested
      .catch(() => this.#apply({ type: 'cancel-requested' }))
      .catch((error: unknown) => this.#end.reject(error));
    const end = await this.#end.promise;
    await Promise.all(this.#releases);
    return end;
  }

  #apply(event: SchedulerEvent): void {
    const { state, commands } = transition(this.#state, event);
    this.#state = state;
    for (const command of commands) this.#execute(command);
    this.#options.board.show(state);
    if (commands.at(-1)?.type === 'finish') return; // the last message says the rest
    // Each promise costs in a workflow (the SDK notes where it was made), and most events leave nothing to tell.
    if (!this.#options.recorder.isDue()) return;
    // This may be reached from within a task's scope, and a message must not be cancelled with that.
    this.#watch(this.#shield.run(() => this.#options.recorder.flush()));
  }

  #execute(command: SchedulerCommand): void {
    switch (command.type) {
      case 'start-task':
        this.#start(command.task, command.attempt);
        return;
      case 'schedule-retry':
        this.#retryLater(command.task, command.attempt, command.delayMs);
        return;
      case 'cancel-task':
        this.#scopes.get(command.task)?.cancel();
        return;
      case 'release-lock':
        this.#releases.push(this.#shield.run(() => this.#release(command.task, command.attempt)));
        return;
      case 'record':
        this.#options.recorder.add({ tasks: [command.record] });
        return;
      case 'record-status':
        this.#options.recorder.add({ status: { status: command.status, seq: command.seq } });
        return;
      case 'finish':
        this.#end.resolve(command.end);
    }
  }

  #start(name: TaskName, attempt: number): void {
    const task = this.#task(name);
    const host = this.#hostOf(name, attempt);
    this.#inTaskScope(name, async () => {
      const ending = await runTask(host, task, attempt);
      const isLost = task.type === 'deploy_stack' && isTrustLost(ending.outcome);
      // Asked only where it matters: each answer is an event of its own in the history (I9).
      if (isLost && !this.#isStopping(name) && patched('reconnect'))
        await this.#park(host, task, attempt, ending.outcome);
      else this.#apply({ type: 'task-finished', task: name, attempt, ...ending });
    });
  }

  #isStopping(task: TaskName): boolean {
    return this.#scopes.get(task)?.consideredCancelled === true;
  }

  /** The trust of a deploy was withdrawn: the run waits for a person, and goes on from here. */
  async #park(host: TaskHost, task: DeployStackTask, attempt: number, lost: TaskOutcome): Promise<void> {
    const { name } = task;
    this.#apply({ type: 'task-parked', task: name, attempt, reason: lost.reason ?? 'its trust was withdrawn' });
    const outcome = await awaitReconnect(host, task, attempt, lost);
    if (outcome.status !== 'succeeded') {
      this.#apply({ type: 'task-finished', task: name, attempt, outcome, written: false });
      return;
    }
    this.#options.onReconnected();
    this.#apply({ type: 'task-reconnected', task: name, attempt });
  }

  #hostOf(task: TaskName, attempt: number): TaskHost {
    const { run, planDigest, locks, gates, recorder } = this.#options;
    return {
      ...{ run, planDigest, locks, gates },
      onWaiting: (reason) => this.#apply({ type: 'task-waiting', task, attempt, reason }),
      onGranted: () => this.#apply({ type: 'task-granted', task, attempt }),
      onPaused: () => this.#apply({ type: 'task-paused', task, attempt }),
      onGateClosed: (gate, closed) => recorder.add({ gates: [{ gate, ...closed }] }),
    };
  }

  #retryLater(task: TaskName, attempt: number, delayMs: number): void {
    this.#inTaskScope(task, async () => {
      try {
        await sleep(delayMs, { summary: `${task} #${attempt + 1}: waits before the next attempt` });
      } catch (error) {
        if (isCancellation(error)) return; // the scheduler knows: it asked for it
        throw error;
      }
      this.#apply({ type: 'retry-due', task, attempt });
    });
  }

  async #release(name: TaskName, attempt: number): Promise<void> {
    const { run, application } = this.#options;
    const task = this.#task(name);
    if (task.type !== 'deploy_stack') return;
    const { environment } = task;
    const holder = lockHolder(run, name, attempt);
    try {
      const summary = `${name} #${attempt}: give back ${environment}`;
      await releaser.releaseLock.executeWithOptions({ summary }, [{ application, environment, holder }]);
    } catch (error) {
      if (!(error instanceof ActivityFailure)) throw error; // else the environment sees that its holder has ended
    }
  }

  #inTaskScope(task: TaskName, work: () => Promise<void>): void {
    const scope = new CancellationScope({ cancellable: true, parent: this.#shield });
    this.#scopes.set(task, scope);
    this.#watch(scope.run(work));
  }

  /** A bug fails the workflow task, visibly, and goes on after a fix; unobserved it would hang the run. */
  #watch(work: Promise<void>): void {
    work.catch((error: unknown) => this.#end.reject(error));
  }

  #task(name: TaskName): CompiledTask {
    const { graph, positions } = this.#state.index;
    return at(graph.tasks, positionOf(positions, name));
  }
}
