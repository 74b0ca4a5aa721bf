// What the workflow says about itself; short, and safe to repeat.
import type { TaskOutcome, TaskStatus } from '../src/core/model/status.ts';
import type { RunId } from '../src/core/model/ids.ts';
import type { TaskRecord } from '../src/core/scheduler/events.ts';
import type { Room } from './dependencies.ts';
import { sweepReleasesOf, sweepSandboxesOf } from './sweep.ts';
import type { RecordInput, RunActivities } from './types.ts';

export async function record(
  room: Room,
  { run, tasks, status, gates = [], warnings = [] }: RecordInput,
): Promise<void> {
  await recordTasks(room, run, tasks);
  for (const { gate, opening, status: end } of gates) await room.store.gates.close(run, gate, opening, end);
  for (const warning of warnings) await room.store.runs.addWarning(run, warning);
  if (status !== undefined) await room.store.runs.setStatus(run, status.status, status.seq);
}

async function recordTasks(room: Room, run: RunId, tasks: readonly TaskRecord[]): Promise<void> {
  if (tasks.length === 0) return;
  await room.store.tasks.record(run, tasks);
  await endApprovals(room, run, tasks);
}

/** The attempt of an approval was begun by `open_gate`, and no activity of its own ends it. */
async function endApprovals(room: Room, run: RunId, tasks: readonly TaskRecord[]): Promise<void> {
  const ended = tasks.filter(({ status, attempt }) => attempt > 0 && isOutcome(status));
  if (ended.length === 0) return;
  const rows = await room.store.tasks.list(run);
  const approvals = new Set(rows.filter(({ type }) => type === 'approval').map(({ name }) => name));
  for (const { task, attempt, status, code, reason } of ended) {
    if (!approvals.has(task) || !isOutcome(status)) continue;
    const key = { run, task, attempt };
    const row = await room.store.tasks.attempt(key);
    if (row?.status !== 'running') continue;
    const outcome = { status, ...(code !== undefined && { code }), ...(reason !== undefined && { reason }) };
    await room.store.tasks.finish(key, row.owner, { outcome, outputs: {}, log: undefined });
  }
}

function isOutcome(status: TaskStatus): status is TaskOutcome['status'] {
  return status === 'succeeded' || status === 'failed' || status === 'cancelled';
}

/** Each step may be done again: a worker that dies between two leaves the rest to the next execution. */
export async function finish(room: Room, input: Parameters<RunActivities['finish']>[0]): Promise<void> {
  const { run, status, code, reason, records } = input;
  // Before the row: whoever reads how the run ended finds no job of it alive (I8).
  await sweepSandboxesOf(room, run);
  await recordTasks(room, run, records);
  // Also closes gates that are still open.
  await room.store.runs.finish(run, { status, code, reason });
  // After the row: a release of an open run is left alone.
  await sweepReleasesOf(room, run);
}
