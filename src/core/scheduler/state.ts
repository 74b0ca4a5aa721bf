import type { CompiledGraph, CompiledTask } from '../graph/graph.ts';
import type { TaskName } from '../model/ids.ts';
import type { RunStatus, TaskStatus, TerminalStatus } from '../model/status.ts';
import type { RunEnd } from './events.ts';

/** How many tasks of a run are under way at once; gates and deploys that wait for a lock do not count. Wide fan-outs slow Temporal down. */
export const runWindow = 50;

/** `blocked`, `ready` and `retrying` are all `pending` for the outside. */
export type TaskPhase = 'blocked' | 'ready' | 'retrying' | 'running' | 'waiting' | 'paused' | TerminalStatus;

export interface TaskState {
  readonly phase: TaskPhase;
  /** Of this attempt: 0 before the first. */
  readonly attempt: number;
  /** Attempts that do not count: those of earlier rounds, and those that a withdrawn trust ended. */
  readonly firstAttempt: number;
  /** Needs that have not succeeded yet. */
  readonly missing: number;
  /** Tasks that read this deploy's outputs and have not ended yet (I5). */
  readonly openReaders: number;
  /** May hold or wait for a lock. */
  readonly locked: boolean;
  /** Why it is in this phase. */
  readonly reason?: string | undefined;
}

/** What never changes during a run; positions are those of the graph's tasks. */
export interface GraphIndex {
  readonly graph: CompiledGraph;
  readonly positions: ReadonlyMap<TaskName, number>;
  /** Of each task: which ones need it. */
  readonly dependents: readonly (readonly number[])[];
  /** Of each task: the deploys whose outputs it reads. */
  readonly reads: readonly (readonly number[])[];
}

/** Why nothing new is started any more. The first cause counts. */
export type Stop = { readonly type: 'cancelled' } | { readonly type: 'failed'; readonly reason: string };

export type Counts = Readonly<Record<TaskPhase, number>>;

export interface SchedulerState {
  readonly index: GraphIndex;
  readonly tasks: readonly TaskState[];
  /** Positions of ready tasks, in the order in which they became ready. */
  readonly ready: readonly number[];
  readonly counts: Counts;
  readonly status: RunStatus;
  /** Number of the last `record-status`. */
  readonly statusSeq: number;
  readonly stop: Stop | undefined;
  /** What the run ends with, as far as one knows: the first failure, else the first cancellation that nobody asked for. */
  readonly cause: RunEnd | undefined;
}

export interface SeededTask {
  readonly task: TaskName;
  readonly succeeded: boolean;
  readonly attempts: number;
}

const noCounts: Counts = {
  blocked: 0,
  ready: 0,
  retrying: 0,
  running: 0,
  waiting: 0,
  paused: 0,
  succeeded: 0,
  failed: 0,
  cancelled: 0,
  skipped: 0,
};

/** The state before `run-started`. Tasks that an earlier round has done count as done; attempt numbers go on. */
export function createState(graph: CompiledGraph, seeded: readonly SeededTask[]): SchedulerState {
  const index = indexGraph(graph);
  const seeds = new Map(seeded.map((seed) => [seed.task, seed]));
  const isDone = (task: TaskName): boolean => seeds.get(task)?.succeeded === true;
  const ended = new Set(graph.tasks.filter(({ name }) => isDone(name)).map(({ name }) => name));
  const tasks = graph.tasks.map((task) => initialState(task, seeds.get(task.name), ended));
  const counts: Record<TaskPhase, number> = { ...noCounts };
  for (const { phase } of tasks) counts[phase] += 1;
  const ready = tasks.flatMap(({ phase }, position) => (phase === 'ready' ? [position] : []));
  return { index, tasks, ready, counts, status: 'pending', statusSeq: 0, stop: undefined, cause: undefined };
}

function initialState(task: CompiledTask, seed: SeededTask | undefined, ended: ReadonlySet<TaskName>): TaskState {
  const missing = task.needs.filter((need) => !ended.has(need)).length;
  const pending = missing === 0 ? 'ready' : 'blocked';
  const attempts = seed?.attempts ?? 0;
  return {
    phase: ended.has(task.name) ? 'succeeded' : pending,
    attempt: attempts,
    firstAttempt: attempts,
    missing,
    openReaders: task.type === 'deploy_stack' ? task.readers.filter((reader) => !ended.has(reader)).length : 0,
    locked: false,
  };
}

function indexGraph(graph: CompiledGraph): GraphIndex {
  const positions = new Map(graph.tasks.map(({ name }, position) => [name, position]));
  const dependents: number[][] = graph.tasks.map(() => []);
  const reads: number[][] = graph.tasks.map(() => []);
  graph.tasks.forEach((task, position) => {
    for (const need of task.needs) at(dependents, positionOf(positions, need)).push(position);
    if (task.type !== 'deploy_stack') return;
    for (const reader of task.readers) at(reads, positionOf(positions, reader)).push(position);
  });
  return { graph, positions, dependents, reads };
}

export function positionOf(positions: ReadonlyMap<TaskName, number>, task: TaskName): number {
  const position = positions.get(task);
  if (position === undefined) throw new Error(`the graph has no task "${task}"`); // a bug of the compiler or the shell
  return position;
}

export function at<T>(items: readonly T[], position: number): T {
  const item = items[position];
  if (item === undefined) throw new Error(`no item at ${position} of ${items.length}`);
  return item;
}

export function statusOf(phase: TaskPhase): TaskStatus {
  return phase === 'blocked' || phase === 'ready' || phase === 'retrying' ? 'pending' : phase;
}

export interface TaskView {
  readonly task: TaskName;
  readonly status: TaskStatus;
  readonly attempt: number;
  readonly reason?: string;
}

/** What a reader sees of the tasks, in the order of the graph. */
export function viewTasks(state: SchedulerState): readonly TaskView[] {
  return state.tasks.map((_, position) => viewTask(state, position));
}

export function viewTask({ index, tasks }: SchedulerState, position: number): TaskView {
  const { phase, attempt, reason } = at(tasks, position);
  const { name: task } = at(index.graph.tasks, position);
  return { task, status: statusOf(phase), attempt, ...(reason !== undefined && { reason }) };
}
