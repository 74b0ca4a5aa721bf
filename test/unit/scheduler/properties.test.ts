// I2 and I5 over random graphs, outcomes and orders of events.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CompiledGraph, CompiledTask } from '../../../src/core/graph/graph.ts';
import type { TaskName } from '../../../src/core/model/ids.ts';
import { isTerminal } from '../../../src/core/model/status.ts';
import type { TaskOutcome } from '../../../src/core/model/status.ts';
import type { RunEnd, SchedulerCommand, SchedulerEvent } from '../../../src/core/scheduler/events.ts';
import { createState, viewTasks } from '../../../src/core/scheduler/state.ts';
import { transition } from '../../../src/core/scheduler/transition.ts';
import { makeApproval, makeDeploy, makeGraph, makeJob } from '../../support/graphs.ts';

interface Scenario {
  readonly graph: CompiledGraph;
  /** How each attempt of each task ends. */
  readonly outcomes: readonly (readonly TaskOutcome['status'][])[];
  /** Cancel the run before this event, if it comes that far. */
  readonly cancelAt: number | undefined;
}

const status = fc.constantFrom<TaskOutcome['status'][]>('succeeded', 'succeeded', 'succeeded', 'failed');

const shape = fc.record({
  kind: fc.constantFrom('job', 'job', 'deploy', 'approval'),
  needs: fc.array(fc.nat({ max: 11 }), { maxLength: 3 }),
  maxAttempts: fc.integer({ min: 1, max: 3 }),
  retryDelayMs: fc.constantFrom(0, 1000),
  outcomes: fc.array(status, { minLength: 3, maxLength: 3 }),
});

function makeScenario(cancels: boolean): fc.Arbitrary<Scenario> {
  return fc
    .record({
      shapes: fc.array(shape, { maxLength: 12 }),
      onFailure: fc.constantFrom('fail-fast' as const, 'continue' as const),
      cancelAt: cancels ? fc.nat({ max: 30 }) : fc.constant(undefined),
    })
    .map(({ shapes, onFailure, cancelAt }) => {
      const needsOf = shapes.map(({ needs }, position) =>
        [...new Set(needs.filter((need) => need < position))].map((need) => `t${need}`),
      );
      const tasks = shapes.map(({ kind, maxAttempts, retryDelayMs }, position): CompiledTask => {
        const name = `t${position}`;
        const needs = needsOf[position] ?? [];
        const readers = needsOf.flatMap((others, reader) =>
          others.includes(name) && reader % 2 === 0 ? [`t${reader}`] : [],
        );
        if (kind === 'deploy') return makeDeploy(name, needs, { readers, maxAttempts });
        if (kind === 'approval') return makeApproval(name, needs);
        return makeJob(name, needs, { maxAttempts, retryDelayMs });
      });
      return { graph: makeGraph(tasks, onFailure), outcomes: shapes.map(({ outcomes }) => outcomes), cancelAt };
    });
}

interface Trace {
  readonly commands: readonly SchedulerCommand[];
  readonly ends: readonly RunEnd[];
  readonly statuses: Readonly<Record<string, string>>;
  /** Each change of a task's status to a terminal one. */
  readonly endings: readonly string[];
  readonly problems: readonly string[];
  readonly events: number;
}

/** Plays the outside world: answers each command with an event, in an order that `pick` chooses. */
function play({ graph, outcomes, cancelAt }: Scenario, pick: (count: number) => number): Trace {
  let state = createState(graph, []);
  const commands: SchedulerCommand[] = [];
  const endings: string[] = [];
  const problems: string[] = [];
  const pending: SchedulerEvent[] = [];
  let events = 0;
  const cancelledTasks = new Set<string>();
  const begin = (task: TaskName, attempt: number): void => {
    const position = graph.tasks.findIndex(({ name }) => name === task);
    const before = new Map(viewTasks(state).map((view) => [view.task, view.status]));
    const unmet = graph.tasks[position]?.needs.filter((need) => before.get(need) !== 'succeeded') ?? [];
    if (unmet.length > 0) problems.push(`${task} started before ${unmet.join()}`);
    const outcome: TaskOutcome = { status: outcomes[position]?.[attempt - 1] ?? 'succeeded' };
    const type = graph.tasks[position]?.type;
    if (type === 'deploy_stack') pending.push({ type: 'task-waiting', task, attempt, reason: 'x' });
    if (type === 'approval') pending.push({ type: 'task-paused', task, attempt });
    pending.push({ type: 'task-finished', task, attempt, outcome, written: true });
  };
  const answer = (command: SchedulerCommand): void => {
    if (command.type === 'start-task') begin(command.task, command.attempt);
    else if (command.type === 'cancel-task') cancelledTasks.add(command.task);
    else if (command.type === 'schedule-retry') pending.push({ ...command, type: 'retry-due' });
  };
  const send = (event: SchedulerEvent): void => {
    const before = viewTasks(state);
    const step = transition(state, event);
    state = step.state;
    viewTasks(state).forEach((view, position) => {
      const was = before[position]?.status ?? 'pending';
      if (was === view.status) return;
      if (isTerminal(was)) problems.push(`${view.task} went from ${was} to ${view.status}`);
      if (isTerminal(view.status)) endings.push(view.task);
    });
    step.commands.forEach(answer);
    commands.push(...step.commands);
    events += 1;
  };
  send({ type: 'run-started' });
  for (;;) {
    if (events === cancelAt) send({ type: 'cancel-requested' });
    const [event] = pending.splice(pick(pending.length), 1);
    if (event === undefined) break;
    // A cancelled task answers so, whatever it was about to say.
    const isCancelled = event.type === 'task-finished' && cancelledTasks.has(event.task);
    send(isCancelled ? { ...event, outcome: { status: 'cancelled' } } : event);
  }
  const ends = commands.flatMap((command) => (command.type === 'finish' ? [command.end] : []));
  const statuses = Object.fromEntries(viewTasks(state).map((view) => [view.task, view.status]));
  return { commands, ends, statuses, endings, problems, events };
}

const seeds = fc.infiniteStream(fc.nat());

function picker(stream: Iterator<number>): (count: number) => number {
  return (count) => (count === 0 ? 0 : Number(stream.next().value) % count);
}

function check(cancels: boolean, holds: (trace: Trace, scenario: Scenario) => void): void {
  fc.assert(
    fc.property(makeScenario(cancels), seeds, (scenario, stream) => {
      holds(play(scenario, picker(stream)), scenario);
    }),
    { numRuns: 300 },
  );
}

describe.each([{ cancels: false }, { cancels: true }])('any order of events, cancelled: $cancels', ({ cancels }) => {
  it('never starts a task before its needs have succeeded, and never changes an end', () => {
    check(cancels, ({ problems }) => expect(problems).toEqual([]));
  });

  it('ends each task exactly once and the run exactly once, last', () => {
    check(cancels, ({ endings, ends, commands }, { graph }) => {
      expect([...endings].sort()).toEqual(graph.tasks.map(({ name }) => name as string).sort());
      expect(ends).toHaveLength(1);
      expect(commands.at(-1)?.type).toBe('finish');
    });
  });

  it('never starts an attempt twice, nor more of them than the plan allows', () => {
    check(cancels, ({ commands }, { graph }) => {
      const starts = commands.flatMap((command) =>
        command.type === 'start-task' ? [`${command.task}#${command.attempt}`] : [],
      );
      expect(new Set(starts).size).toBe(starts.length);
      const limits = new Map<TaskName, number>(graph.tasks.map(({ name, maxAttempts }) => [name, maxAttempts]));
      for (const command of commands) {
        if (command.type === 'start-task') expect(command.attempt).toBeLessThanOrEqual(limits.get(command.task) ?? 0);
      }
    });
  });

  it('releases the lock of each deploy attempt exactly once (I5)', () => {
    check(cancels, ({ commands }, { graph }) => {
      const deploys = new Set(graph.tasks.filter(({ type }) => type === 'deploy_stack').map(({ name }) => name));
      const of = (type: 'start-task' | 'release-lock') =>
        commands.flatMap((command) =>
          command.type === type && deploys.has(command.task) ? [`${command.task}#${command.attempt}`] : [],
        );
      expect(of('release-lock').sort()).toEqual(of('start-task').sort());
    });
  });

  it('is deterministic', () => {
    fc.assert(
      fc.property(makeScenario(cancels), fc.array(fc.nat(), { minLength: 100, maxLength: 100 }), (scenario, picks) => {
        const first = play(scenario, picker([...picks][Symbol.iterator]()));

        expect(play(scenario, picker([...picks][Symbol.iterator]()))).toEqual(first);
      }),
      { numRuns: 100 },
    );
  });
});

it('a succeeded run has only succeeded tasks, any other one a reason', () => {
  check(true, ({ ends, statuses }) => {
    const all = new Set(Object.values(statuses));
    all.delete('succeeded');
    expect(ends[0]?.status === 'succeeded').toBe(all.size === 0);
    expect(ends[0]?.reason === undefined).toBe(all.size === 0);
  });
});

it('with `continue`, the order of events does not change how the tasks end', () => {
  fc.assert(
    fc.property(makeScenario(false), seeds, seeds, (scenario, one, other) => {
      const lasting = { ...scenario, graph: { ...scenario.graph, onFailure: 'continue' as const } };

      expect(play(lasting, picker(one)).statuses).toEqual(play(lasting, picker(other)).statuses);
    }),
    { numRuns: 300 },
  );
});

it('fail-fast starts nothing after a task has failed for good', () => {
  check(false, ({ commands, statuses }, { graph }) => {
    if (graph.onFailure === 'continue' || !Object.values(statuses).includes('failed')) return;
    const firstSkip = commands.findIndex((command) => command.type === 'record' && command.record.status === 'skipped');
    if (firstSkip === -1) return;
    expect(commands.slice(firstSkip).some(({ type }) => type === 'start-task')).toBe(false);
  });
});

it('a cancelled run with something left to do ends as cancelled', () => {
  check(true, ({ ends, statuses, events }, { cancelAt = 0 }) => {
    if (cancelAt >= events || !Object.values(statuses).includes('cancelled')) return;
    const hasFailed = Object.values(statuses).includes('failed');
    expect(ends[0]?.status === 'cancelled' || hasFailed).toBe(true);
  });
});
