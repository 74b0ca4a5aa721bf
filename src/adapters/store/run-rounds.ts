import type { Transaction } from 'kysely';
import { DomainError } from '../../core/errors.ts';
import { formatRunId, type RunId, type TaskName } from '../../core/model/ids.ts';
import { isTerminal, taskSeq } from '../../core/model/status.ts';
import type { RunRow } from '../../ports/store.ts';
import { lockRun, toRunRow, unknownRun } from './run-rows.ts';
import type { RunTable, Tables, TaskTable } from './tables.ts';

/** A retry: the next round of the run, which keeps the outcomes, outputs and logs of what has succeeded (I2). */
export async function addNewRound(
  db: Transaction<Tables>,
  run: RunId,
  again: readonly TaskName[],
  now: number,
): Promise<RunRow> {
  const last = await lockLastRound(db, run);
  if (!isTerminal(last.status)) {
    throw new DomainError('run-not-ended', `the run ${last.id} has not ended; cancel it first, or wait`);
  }
  const tasks = await db.selectFrom('tasks').selectAll().where('run', '=', last.id).orderBy('position').execute();
  checkAgain(last, tasks, again);
  const row = makeRound(last, now);
  await db.insertInto('runs').values(row).execute();
  const repeated = new Set(again);
  for (const task of tasks) {
    const kept = !repeated.has(task.name) && (await copySuccess(db, task, row.id));
    await db
      .insertInto('tasks')
      .values(seedTask(task, row.id, kept))
      .execute();
  }
  return toRunRow(row);
}

async function lockLastRound(db: Transaction<Tables>, run: RunId): Promise<RunTable> {
  const { application, number } = await lockRun(db, run);
  const last = await db
    .selectFrom('runs')
    .selectAll()
    .where('application', '=', application)
    .where('number', '=', number)
    .orderBy('round', 'desc')
    .limit(1)
    .executeTakeFirst();
  if (last === undefined) throw unknownRun(run);
  return last;
}

function checkAgain(last: RunTable, tasks: readonly TaskTable[], again: readonly TaskName[]): void {
  const names = new Set(tasks.map((task) => task.name));
  const unknown = again.find((name) => !names.has(name));
  if (unknown !== undefined) throw new DomainError('task-unknown', `the run ${last.id} has no task "${unknown}"`);
  const hasFailed = last.status === 'failed' || last.status === 'cancelled';
  if (!hasFailed && again.length === 0) {
    throw new DomainError(
      'input-invalid',
      `nothing failed in the run ${last.id}; name a task to run it again from there`,
    );
  }
}

function makeRound(last: RunTable, now: number): RunTable {
  const round = last.round + 1;
  return {
    ...last,
    id: formatRunId({ application: last.application, number: last.number, round }),
    round,
    status: 'pending',
    statusSeq: 0,
    code: null,
    reason: null,
    temporalRunId: null,
    cancelRequestedBy: null,
    cancelDelivered: 0,
    createdAtMs: now,
    startedAtMs: null,
    finishedAtMs: null,
  };
}

/** The attempt's row is the truth: its task's row may say cancelled when the end of the run came first. Attempt and log keep their numbers. */
async function copySuccess(db: Transaction<Tables>, task: TaskTable, run: RunId): Promise<boolean> {
  const success = await db
    .selectFrom('attempts')
    .selectAll()
    .where('run', '=', task.run)
    .where('task', '=', task.name)
    .where('status', '=', 'succeeded')
    .orderBy('attempt', 'desc')
    .limit(1)
    .executeTakeFirst();
  if (success === undefined) return task.status === 'succeeded';
  await db
    .insertInto('attempts')
    .values({ ...success, run })
    .execute();
  const log = await db
    .selectFrom('logs')
    .selectAll()
    .where('run', '=', task.run)
    .where('task', '=', task.name)
    .where('attempt', '=', success.attempt)
    .where('sealed', 'is not', null)
    .executeTakeFirst();
  if (log !== undefined)
    await db
      .insertInto('logs')
      .values({ ...log, run })
      .execute();
  return true;
}

function seedTask(task: TaskTable, run: RunId, isKept: boolean): TaskTable {
  const { name, position, type, attempt } = task;
  const seed = { run, name, position, type, attempt, code: null, reason: null };
  if (!isKept) {
    return {
      ...seed,
      seq: taskSeq(attempt, 'waiting'),
      status: 'pending',
      kept: 0,
      startedAtMs: null,
      finishedAtMs: null,
    };
  }
  const { startedAtMs, finishedAtMs } = task;
  return { ...seed, seq: taskSeq(attempt, 'final'), status: 'succeeded', kept: 1, startedAtMs, finishedAtMs };
}
