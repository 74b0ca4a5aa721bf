import { CancellationScope } from '@temporalio/workflow';
import type { TaskInput } from '../activities/types.ts';
import { reconnectGate } from '../src/core/gate/reconnect.ts';
import type { ApprovalTask, CompiledTask, DeployStackTask } from '../src/core/graph/graph.ts';
import type { Digest, RunId, TaskName } from '../src/core/model/ids.ts';
import type { TaskOutcome } from '../src/core/model/status.ts';
import { outcomeOfError } from './failure.ts';
import type { GateEnd, Gates } from './gates.ts';
import type { Locks } from './locks.ts';
import { jobTimeouts, jobs, loam, opener } from './options.ts';
import { oneLine } from './ui-text.ts';

export interface TaskHost {
  readonly run: RunId;
  readonly planDigest: Digest;
  readonly locks: Locks;
  readonly gates: Gates;
  readonly onWaiting: (reason: string) => void;
  readonly onGranted: () => void;
  readonly onPaused: () => void;
  readonly onGateClosed: (gate: TaskName, closed: NonNullable<GateEnd['closed']>) => void;
}

export interface TaskEnding {
  readonly outcome: TaskOutcome;
  /** True when the activity has written the outcome into its row. */
  readonly written: boolean;
}

/** One attempt of a task, in the scope that cancels it. What fails as a platform is an outcome too; a bug is thrown. */
export async function runTask(host: TaskHost, task: CompiledTask, attempt: number): Promise<TaskEnding> {
  try {
    return await runByType(host, task, attempt);
  } catch (error) {
    return { outcome: outcomeOfError(error, CancellationScope.current().consideredCancelled), written: false };
  }
}

/** The activity type comes from this list, never from the plan: Temporal retries an unknown one for ever. */
async function runByType(host: TaskHost, task: CompiledTask, attempt: number): Promise<TaskEnding> {
  switch (task.type) {
    case 'repo_job': {
      const options = optionsFor(task, attempt, oneLine(task.cmd, 60));
      return written(await jobs.repo_job.executeWithOptions(options, [inputFor(host, task, attempt)]));
    }
    case 'build_image': {
      const options = optionsFor(task, attempt, `build ${task.application}`);
      return written(await jobs.build_image.executeWithOptions(options, [inputFor(host, task, attempt)]));
    }
    case 'generate_template': {
      const options = optionsFor(task, attempt, `template of ${task.application}`);
      const input = inputFor(host, task, attempt);
      // With a build it is as long as one.
      if (task.build !== undefined) return written(await jobs.generate_template.executeWithOptions(options, [input]));
      const { activityId, summary } = options;
      return written(await loam.generate_template.executeWithOptions({ activityId, summary }, [input]));
    }
    case 'deploy_stack':
      return deploy(host, task, attempt);
    case 'approval':
      return ask(host, task, attempt);
  }
}

async function ask(host: TaskHost, task: ApprovalTask, attempt: number): Promise<TaskEnding> {
  const { name, environment } = task;
  const input = inputFor(host, task, attempt);
  const { outcome, closed } = await host.gates.ask({
    name,
    waitsFor: `decide about ${environment}`,
    look: (look) => {
      const id = `${name}#${attempt}`;
      const options =
        look === 1
          ? { activityId: id, summary: `${name} #${attempt}: open the gate for ${environment}` }
          : { activityId: `${id}/look/${look}`, summary: `${name} #${attempt}: look for a decision` };
      return opener.open_gate.executeWithOptions(options, [input]);
    },
    onOpen: host.onPaused,
  });
  if (closed !== undefined) host.onGateClosed(name, closed);
  return { outcome, written: false };
}

/**
 * Waits until a person has reconnected the trust that ended this attempt. `succeeded`: a further attempt may begin; else how the task ends.
 */
export async function awaitReconnect(
  host: TaskHost,
  task: DeployStackTask,
  attempt: number,
  lost: TaskOutcome,
): Promise<TaskOutcome> {
  const name = reconnectGate(task.environment);
  const reason = lost.reason ?? 'the trust was withdrawn';
  const input = { ...inputFor(host, task, attempt), reason };
  const id = `${task.name}#${attempt}/reconnect`;
  const summary = `${task.name} #${attempt}: its trust was withdrawn, open the gate ${name}`;
  try {
    const { outcome, closed } = await host.gates.ask({
      name,
      waitsFor: 'reconnect the trust',
      look: (look) => opener.openReconnect.executeWithOptions({ activityId: `${id}/${look}`, summary }, [input]),
      onOpen: () => undefined, // paused since it was parked
    });
    if (closed !== undefined) host.onGateClosed(name, closed);
    if (outcome.status !== 'failed') return outcome;
    return { ...lost, reason: `${reason.slice(0, 400)}; nobody reconnected the trust in time` };
  } catch (error) {
    return outcomeOfError(error, CancellationScope.current().consideredCancelled);
  }
}

async function deploy(host: TaskHost, task: DeployStackTask, attempt: number): Promise<TaskEnding> {
  const lock = await host.locks.acquire({ task, attempt, onWaiting: host.onWaiting });
  if (lock.type === 'lost') return { outcome: { status: 'cancelled', reason: lock.reason }, written: false };
  host.onGranted();
  const { holder, fence } = lock;
  const options = optionsFor(task, attempt, `deploy to ${task.environment}, fence ${fence}`);
  return written(
    await jobs.deploy_stack.executeWithOptions(options, [{ ...inputFor(host, task, attempt), holder, fence }]),
  );
}

function inputFor<Task>({ run, planDigest }: TaskHost, task: Task, attempt: number): TaskInput<Task> {
  return { run, planDigest, task, attempt };
}

function optionsFor(task: CompiledTask, attempt: number, what: string) {
  const activityId = `${task.name}#${attempt}`;
  return { ...jobTimeouts(task.timeoutMs), activityId, summary: `${task.name} #${attempt}: ${what}` };
}

function written(outcome: TaskOutcome): TaskEnding {
  return { outcome, written: true };
}
