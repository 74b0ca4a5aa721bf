import type { CompiledTask } from '../core/graph/graph.ts';
import type { RunRow, Store } from '../ports/store.ts';
import type { TaskRow } from '../ports/task-store.ts';
import type { RunReader } from './run-reader.ts';
import type { QueueView } from './schema.ts';
import { instant, instantOrNull } from './view.ts';

type Entry = QueueView['running'][number];

interface ReadyJob {
  readonly entry: Entry;
  readonly sinceMs: number;
}

const jobTypes: readonly string[] = ['repo_job', 'build_image'];

/** What runs and what waits, from the rows of the open runs: for jobs, for locks, for persons. */
export async function readQueue(store: Store, reader: RunReader, capacity: number): Promise<QueueView> {
  const running: Entry[] = [];
  const ready: ReadyJob[] = [];
  const locks: Entry[] = [];
  for (const row of await store.runs.open()) {
    const tasks = await store.tasks.list(row.id);
    for (const task of tasks) {
      if (jobTypes.includes(task.type) && task.status === 'running') running.push(entryOf(row, task, task.startedAtMs));
      if (task.type === 'deploy_stack' && task.status === 'waiting') locks.push(entryOf(row, task, task.startedAtMs));
    }
    ready.push(...(await readyJobs(reader, row, tasks)));
  }
  // As the task queue hands them out: first come, first served.
  ready.sort((one, other) => one.sinceMs - other.sinceMs);
  const waiting = ready.map(({ entry }, index) => ({ ...entry, position: index + 1 }));
  const gates = (await store.gates.list({ open: true })).map(({ run, gate, environment, deadlineAtMs }) => {
    return { run, gate, environment, deadlineAt: instant(deadlineAtMs) };
  });
  return { capacity, running, waiting, locks, gates };
}

async function readyJobs(reader: RunReader, row: RunRow, tasks: readonly TaskRow[]): Promise<ReadyJob[]> {
  if (!tasks.some((task) => jobTypes.includes(task.type) && task.status === 'pending')) return [];
  const plan = await reader.plan(row).catch(() => undefined); // a lost blob must not take the whole answer away
  const states = new Map<string, TaskRow>(tasks.map((task) => [task.name, task]));
  return (plan?.graph.tasks ?? []).flatMap((compiled) => {
    const task = states.get(compiled.name);
    const sinceMs = readySince(row, compiled, states);
    if (task?.status !== 'pending' || !jobTypes.includes(compiled.type) || sinceMs === undefined) return [];
    return [{ entry: entryOf(row, task, sinceMs), sinceMs }];
  });
}

/** When the last of its needs ended; undefined while one has not. */
function readySince(row: RunRow, { needs }: CompiledTask, states: ReadonlyMap<string, TaskRow>): number | undefined {
  let sinceMs = row.startedAtMs ?? row.createdAtMs;
  for (const need of needs) {
    const task = states.get(need);
    if (task?.status !== 'succeeded') return undefined;
    sinceMs = Math.max(sinceMs, task.finishedAtMs ?? 0);
  }
  return sinceMs;
}

function entryOf(row: RunRow, task: TaskRow, sinceMs: number | undefined): Entry {
  const { name, type, attempt, reason = null } = task;
  return { run: row.id, task: name, type, attempt, since: instantOrNull(sinceMs), reason };
}
