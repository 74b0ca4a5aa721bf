import type { CompiledGraph } from '../../../src/core/graph/graph.ts';
import type { TaskName } from '../../../src/core/model/ids.ts';
import type { TaskOutcome } from '../../../src/core/model/status.ts';
import type { RunEnd, SchedulerCommand, SchedulerEvent } from '../../../src/core/scheduler/events.ts';
import { createState, viewTasks } from '../../../src/core/scheduler/state.ts';
import type { SchedulerState, SeededTask } from '../../../src/core/scheduler/state.ts';
import { transition } from '../../../src/core/scheduler/transition.ts';

/** Feeds events and keeps the newest state. */
export class Play {
  state: SchedulerState;
  commands: readonly SchedulerCommand[] = [];

  constructor(graph: CompiledGraph, seeded: readonly SeededTask[] = []) {
    this.state = createState(graph, seeded);
  }

  send(event: SchedulerEvent): readonly SchedulerCommand[] {
    const step = transition(this.state, event);
    this.state = step.state;
    this.commands = step.commands;
    return step.commands;
  }

  start(): readonly SchedulerCommand[] {
    return this.send({ type: 'run-started' });
  }

  finish(
    task: string,
    outcome: TaskOutcome = { status: 'succeeded' },
    { attempt = 1, written = true } = {},
  ): readonly SchedulerCommand[] {
    return this.send({ type: 'task-finished', task: task as TaskName, attempt, outcome, written });
  }

  event(
    type: 'task-granted' | 'task-paused' | 'task-reconnected' | 'retry-due',
    task: string,
    attempt = 1,
  ): readonly SchedulerCommand[] {
    return this.send({ type, task: task as TaskName, attempt });
  }

  park(task: string, reason: string, attempt = 1): readonly SchedulerCommand[] {
    return this.send({ type: 'task-parked', task: task as TaskName, attempt, reason });
  }

  wait(task: string, reason: string): readonly SchedulerCommand[] {
    return this.send({ type: 'task-waiting', task: task as TaskName, attempt: 1, reason });
  }

  statuses(): Record<string, string> {
    return Object.fromEntries(viewTasks(this.state).map(({ task, status }) => [task, status]));
  }
}

export function started(commands: readonly SchedulerCommand[]): readonly string[] {
  return commands.flatMap((command) => (command.type === 'start-task' ? [`${command.task}#${command.attempt}`] : []));
}

export function finished(commands: readonly SchedulerCommand[]): RunEnd | undefined {
  return commands.find((command) => command.type === 'finish')?.end;
}

export function reasons(commands: readonly SchedulerCommand[]): Record<string, string | undefined> {
  const records = commands.flatMap((command) => (command.type === 'record' ? [command.record] : []));
  return Object.fromEntries(records.map(({ task, status, reason }) => [task, `${status}: ${reason ?? ''}`]));
}

export const failed: TaskOutcome = { status: 'failed', exitCode: 1 };
export const cancelled: TaskOutcome = { status: 'cancelled' };
