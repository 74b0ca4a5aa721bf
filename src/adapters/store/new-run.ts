import type { Transaction } from 'kysely';
import { formatRunId } from '../../core/model/ids.ts';
import type { RunId } from '../../core/model/ids.ts';
import type { RunPlan } from '../../ports/store.ts';
import type { DeliveryTable, RunTable, Tables, TaskTable } from './tables.ts';
import { toJson } from './values.ts';

/** Rows of one insert: SQLite takes 32,766 parameters. */
const chunkSize = 200;

interface NewRun {
  readonly delivery: DeliveryTable;
  readonly number: number;
  readonly plan: RunPlan | undefined;
  readonly now: number;
}

export async function insertRun(db: Transaction<Tables>, run: NewRun): Promise<void> {
  const row = toRun(run);
  await db.insertInto('runs').values(row).execute();
  if (run.plan !== undefined) await insertTasks(db, row.id, run.plan.tasks);
}

/** As pending; keeps those that exist. */
export async function insertTasks(db: Transaction<Tables>, run: RunId, tasks: RunPlan['tasks']): Promise<void> {
  const rows = tasks.map(({ name, type }, position): TaskTable => ({
    run,
    name,
    position,
    type,
    status: 'pending',
    attempt: 0,
    seq: 0,
    code: null,
    reason: null,
    kept: 0,
    startedAtMs: null,
    finishedAtMs: null,
  }));
  for (let from = 0; from < rows.length; from += chunkSize) {
    const chunk = rows.slice(from, from + chunkSize);
    await db
      .insertInto('tasks')
      .values(chunk)
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }
}

function toRun({ delivery: row, number, plan, now }: NewRun): RunTable {
  const { application } = row;
  return {
    id: formatRunId({ application, number, round: 1 }),
    application,
    number,
    round: 1,
    delivery: row.id,
    commit: row.after,
    ref: row.ref,
    message: row.message,
    author: row.author,
    status: 'pending',
    statusSeq: 0,
    code: null,
    reason: null,
    planDigest: plan?.planDigest ?? null,
    snapshot: plan?.snapshot ?? null,
    warnings: toJson([]),
    temporalRunId: null,
    cancelRequestedBy: null,
    cancelDelivered: 0,
    createdAtMs: now,
    startedAtMs: null,
    finishedAtMs: null,
  };
}
