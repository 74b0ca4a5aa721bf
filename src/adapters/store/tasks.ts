import type { Transaction } from 'kysely';
import { DomainError } from '../../core/errors.ts';
import type { OutputReference } from '../../core/graph/graph.ts';
import type { RunId } from '../../core/model/ids.ts';
import { isTerminal, taskSeq, type TaskOutcome } from '../../core/model/status.ts';
import type { TaskRecord } from '../../core/scheduler/events.ts';
import type { AttemptKey, AttemptRow, BeginResult, TaskRow, TaskStore } from '../../ports/task-store.ts';
import type { Database } from './database.ts';
import { findHold } from './hosts.ts';
import { lockRun } from './run-rows.ts';
import type { AttemptTable, Tables, TaskTable } from './tables.ts';
import { cutText, fromJson, present, openStatuses, toJson } from './values.ts';

// I2: an attempt ends once; its owner number says who may end it; a row keeps the highest seq it was told.

const maxOutputBytes = 4_096;
const maxOutputKeys = 64;
const maxReason = 500;

function toTaskRow(row: TaskTable): TaskRow {
  return {
    run: row.run,
    name: row.name,
    type: row.type,
    status: row.status,
    attempt: row.attempt,
    code: present(row.code),
    reason: present(row.reason),
    kept: row.kept === 1,
    startedAtMs: present(row.startedAtMs),
    finishedAtMs: present(row.finishedAtMs),
  };
}

function toOutputs(row: AttemptTable): Readonly<Record<string, string>> {
  return fromJson(row.outputs) as Readonly<Record<string, string>>;
}

function toAttemptRow(row: AttemptTable): AttemptRow {
  return {
    run: row.run,
    task: row.task,
    attempt: row.attempt,
    owner: row.owner,
    host: row.host,
    status: row.status,
    exitCode: present(row.exitCode),
    code: present(row.code),
    reason: present(row.reason),
    outputs: toOutputs(row),
    log: present(row.log),
    startedAtMs: row.startedAtMs,
    finishedAtMs: present(row.finishedAtMs),
  };
}

/** Undefined while it runs. */
function toOutcome({ status, exitCode, reason, code }: AttemptTable): TaskOutcome | undefined {
  if (status === 'running') return undefined;
  return {
    status,
    ...(exitCode !== null && { exitCode }),
    ...(reason !== null && { reason }),
    ...(code !== null && { code }),
  };
}

function checkOutputs({ task, attempt }: AttemptKey, outputs: Readonly<Record<string, string>>): void {
  const place = `outputs of ${task}#${attempt}`;
  const entries = Object.entries(outputs);
  if (entries.length > maxOutputKeys) {
    throw new DomainError('output-too-large', `${place}: ${entries.length} keys, at most ${maxOutputKeys} are kept`);
  }
  for (const [key, value] of entries) {
    const size = Math.max(Buffer.byteLength(key), Buffer.byteLength(value));
    if (size <= maxOutputBytes) continue;
    const name = cutText(key, 80);
    throw new DomainError(
      'output-too-large',
      `${place}: "${name}" has ${size} bytes, at most ${maxOutputBytes} are kept`,
    );
  }
}

function selectAttempt(db: Transaction<Tables>, key: AttemptKey): Promise<AttemptTable | undefined> {
  return db
    .selectFrom('attempts')
    .selectAll()
    .where('run', '=', key.run)
    .where('task', '=', key.task)
    .where('attempt', '=', key.attempt)
    .executeTakeFirst();
}

export class SqlTaskStore implements TaskStore {
  readonly #database: Database;
  readonly #hostLeaseMs: number;

  constructor(database: Database, hostLeaseMs: number) {
    this.#database = database;
    this.#hostLeaseMs = hostLeaseMs;
  }

  async list(run: RunId): Promise<readonly TaskRow[]> {
    const rows = await this.#database.read((db) =>
      db.selectFrom('tasks').selectAll().where('run', '=', run).orderBy('position').execute(),
    );
    return rows.map(toTaskRow);
  }

  async attempts(run: RunId): Promise<readonly AttemptRow[]> {
    const rows = await this.#database.read((db) =>
      db
        .selectFrom('attempts')
        .selectAll()
        .where('run', '=', run)
        .orderBy('startedAtMs')
        .orderBy('task')
        .orderBy('attempt')
        .execute(),
    );
    return rows.map(toAttemptRow);
  }

  async attempt(key: AttemptKey): Promise<AttemptRow | undefined> {
    const row = await this.#database.read((db) =>
      db
        .selectFrom('attempts')
        .selectAll()
        .where('run', '=', key.run)
        .where('task', '=', key.task)
        .where('attempt', '=', key.attempt)
        .executeTakeFirst(),
    );
    return row && toAttemptRow(row);
  }

  async begin(key: AttemptKey, host: string): Promise<BeginResult> {
    const now = this.#database.now();
    return this.#database.write(async (db) => {
      const run = await lockRun(db, key.run);
      const known = await selectAttempt(db, key);
      const outcome = known && toOutcome(known);
      if (outcome !== undefined) return { type: 'ended', outcome };
      // The reconciler or a person has ended the run: nothing of it may start any more.
      if (isTerminal(run.status)) {
        return { type: 'ended', outcome: { status: 'cancelled', code: 'run-ended', reason: 'the run has ended' } };
      }
      const hold = known && (await findHold(db, known, { host, now, leaseMs: this.#hostLeaseMs }));
      if (hold !== undefined) return hold;
      const taken = await takeAttempt(db, key, host, now);
      await markRunning(db, key, now);
      return { type: 'begun', owner: taken.owner, first: taken.owner === 1, startedAtMs: taken.startedAtMs };
    });
  }

  async finish(
    key: AttemptKey,
    owner: number,
    end: Parameters<TaskStore['finish']>[2],
  ): Promise<TaskOutcome | undefined> {
    const { outcome, outputs, log } = end;
    checkOutputs(key, outputs);
    const now = this.#database.now();
    const reason = outcome.reason === undefined ? null : cutText(outcome.reason, maxReason);
    const result = { status: outcome.status, code: outcome.code ?? null, reason, finishedAtMs: now };
    return this.#database.write(async (db) => {
      const ended = await db
        .updateTable('attempts')
        .set({ ...result, exitCode: outcome.exitCode ?? null, outputs: toJson(outputs), log: log ?? null })
        .where('run', '=', key.run)
        .where('task', '=', key.task)
        .where('attempt', '=', key.attempt)
        .where('owner', '=', owner)
        .where('status', '=', 'running')
        .returningAll()
        .executeTakeFirst();
      if (ended === undefined) return storedOutcome(db, key);
      const seq = taskSeq(key.attempt, 'finished');
      await db
        .updateTable('tasks')
        .set({ ...result, attempt: key.attempt, seq })
        .where('run', '=', key.run)
        .where('name', '=', key.task)
        .where('seq', '<=', seq)
        .execute();
      return toOutcome(ended);
    });
  }

  async record(run: RunId, records: readonly TaskRecord[]): Promise<void> {
    const now = this.#database.now();
    await this.#database.write(async (db) => {
      const row = await lockRun(db, run);
      if (isTerminal(row.status)) return;
      for (const record of records) await writeRecord(db, run, record, now);
    });
  }

  async output(run: RunId, { task, key }: OutputReference): Promise<string | undefined> {
    const row = await this.#database.read((db) =>
      db
        .selectFrom('attempts')
        .selectAll()
        .where('run', '=', run)
        .where('task', '=', task)
        .where('status', '=', 'succeeded')
        .orderBy('attempt', 'desc')
        .limit(1)
        .executeTakeFirst(),
    );
    if (row === undefined) return undefined;
    const outputs = toOutputs(row);
    return Object.hasOwn(outputs, key) ? outputs[key] : undefined;
  }
}

async function takeAttempt(db: Transaction<Tables>, key: AttemptKey, host: string, now: number): Promise<AttemptTable> {
  return db
    .insertInto('attempts')
    .values({
      run: key.run,
      task: key.task,
      attempt: key.attempt,
      owner: 1,
      host,
      status: 'running',
      exitCode: null,
      code: null,
      reason: null,
      outputs: toJson({}),
      log: null,
      startedAtMs: now,
      finishedAtMs: null,
    })
    .onConflict((conflict) =>
      conflict
        .columns(['run', 'task', 'attempt'])
        .doUpdateSet((set) => ({ owner: set('attempts.owner', '+', 1), host })),
    )
    .returningAll()
    .executeTakeFirstOrThrow();
}

async function markRunning(db: Transaction<Tables>, key: AttemptKey, now: number): Promise<void> {
  const seq = taskSeq(key.attempt, 'running');
  const row = await db
    .selectFrom('tasks')
    .select(['seq', 'startedAtMs'])
    .where('run', '=', key.run)
    .where('name', '=', key.task)
    .executeTakeFirst();
  if (row === undefined) throw new DomainError('task-unknown', `the run ${key.run} has no task "${key.task}"`);
  if (row.seq > seq) return;
  await db
    .updateTable('tasks')
    .set({
      status: 'running',
      attempt: key.attempt,
      seq,
      code: null,
      reason: null,
      kept: 0,
      startedAtMs: row.startedAtMs ?? now,
      finishedAtMs: null,
    })
    .where('run', '=', key.run)
    .where('name', '=', key.task)
    .execute();
}

async function storedOutcome(db: Transaction<Tables>, key: AttemptKey): Promise<TaskOutcome | undefined> {
  const row = await selectAttempt(db, key);
  if (row !== undefined) return toOutcome(row);
  throw new DomainError('task-unknown', `the attempt ${key.task}#${key.attempt} of the run ${key.run} has not begun`);
}

async function writeRecord(db: Transaction<Tables>, run: RunId, record: TaskRecord, now: number): Promise<void> {
  const { task, attempt, seq, status, code, reason } = record;
  await db
    .updateTable('tasks')
    .set({
      status,
      attempt,
      seq,
      code: code ?? null,
      reason: reason === undefined ? null : cutText(reason, maxReason),
      finishedAtMs: isTerminal(status) ? now : null,
    })
    .where('run', '=', run)
    .where('name', '=', task)
    // The same seq twice is a repeat, or the end of an attempt that its activity has told already.
    .where((where) =>
      where.or([where('seq', '<', seq), where.and([where('seq', '=', seq), where('status', 'in', openStatuses)])]),
    )
    .execute();
}
