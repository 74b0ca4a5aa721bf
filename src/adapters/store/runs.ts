import { DomainError } from '../../core/errors.ts';
import { formatRunId, type ApplicationName, type RunId, type TaskName } from '../../core/model/ids.ts';
import { isTerminal, type RunStatus } from '../../core/model/status.ts';
import type { RunRow, RunStore } from '../../ports/store.ts';
import type { Database } from './database.ts';
import { insertTasks } from './new-run.ts';
import { addNewRound } from './run-rounds.ts';
import { addWarnings, lockRun, toRunRow, unknownRun } from './run-rows.ts';
import { cutText, openStatuses } from './values.ts';

// I1: a run row is found by the dispatcher until its workflow has started.
// I2: terminal is final; a round keeps what the last one has done.

export class SqlRunStore implements RunStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async get(run: RunId): Promise<RunRow | undefined> {
    const row = await this.#database.read((db) =>
      db.selectFrom('runs').selectAll().where('id', '=', run).executeTakeFirst(),
    );
    return row && toRunRow(row);
  }

  async newest(application: ApplicationName, number: number): Promise<RunRow | undefined> {
    const row = await this.#database.read((db) =>
      db
        .selectFrom('runs')
        .selectAll()
        .where('application', '=', application)
        .where('number', '=', number)
        .orderBy('round', 'desc')
        .limit(1)
        .executeTakeFirst(),
    );
    return row && toRunRow(row);
  }

  async list({
    application,
    among,
    status,
    limit,
    before,
  }: Parameters<RunStore['list']>[0]): Promise<readonly RunRow[]> {
    const cursor = before === undefined ? undefined : await this.get(before);
    if (before !== undefined && cursor === undefined) throw unknownRun(before);
    const rows = await this.#database.read((db) => {
      let query = db.selectFrom('runs').selectAll();
      if (application !== undefined) query = query.where('application', '=', application);
      if (among !== undefined) query = query.where('application', 'in', among);
      if (status !== undefined) query = query.where('status', '=', status);
      if (cursor !== undefined) {
        const { createdAtMs, number, round, application: owner } = cursor;
        query = query.where((where) =>
          where(
            where.refTuple('createdAtMs', 'number', 'round', 'application'),
            '<',
            where.tuple(createdAtMs, number, round, owner),
          ),
        );
      }
      return query
        .orderBy('createdAtMs', 'desc')
        .orderBy('number', 'desc')
        .orderBy('round', 'desc')
        .orderBy('application', 'desc')
        .limit(limit)
        .execute();
    });
    return rows.map(toRunRow);
  }

  async unstarted(limit: number): Promise<readonly RunRow[]> {
    const rows = await this.#database.read((db) =>
      db
        .selectFrom('runs')
        .selectAll()
        .where('temporalRunId', 'is', null)
        .where('status', 'in', openStatuses)
        .orderBy('createdAtMs')
        .orderBy('number')
        .orderBy('round')
        .limit(limit)
        .execute(),
    );
    return rows.map(toRunRow);
  }

  async open(): Promise<readonly RunRow[]> {
    const rows = await this.#database.read((db) =>
      db
        .selectFrom('runs')
        .selectAll()
        .where('status', 'in', openStatuses)
        .orderBy('createdAtMs')
        .orderBy('number')
        .orderBy('round')
        .execute(),
    );
    return rows.map(toRunRow);
  }

  async markStarted(run: RunId, temporalRunId: string): Promise<void> {
    await this.#database.write(async (db) => {
      await lockRun(db, run);
      await db.updateTable('runs').set({ temporalRunId }).where('id', '=', run).execute();
    });
  }

  async renumber(run: RunId): Promise<RunId> {
    return this.#database.write(async (db) => {
      const row = await lockRun(db, run);
      const { application } = row;
      if (row.temporalRunId !== null) {
        throw new DomainError('input-invalid', `the run ${run} has started and keeps its number`);
      }
      let { number, round } = row;
      if (round === 1) {
        const owner = await db
          .updateTable('applications')
          .set((set) => ({ lastRun: set('lastRun', '+', 1) }))
          .where('name', '=', application)
          .returning('lastRun')
          .executeTakeFirstOrThrow();
        number = owner.lastRun;
      } else {
        round += 1;
      }
      const id = formatRunId({ application, number, round });
      await db.updateTable('runs').set({ id, number, round }).where('id', '=', run).execute();
      return id;
    });
  }

  async claim(run: RunId): Promise<RunRow> {
    return this.#database.write(async (db) => {
      const row = await lockRun(db, run);
      if (isTerminal(row.status)) return toRunRow(row);
      const status: RunStatus = row.status === 'pending' ? 'running' : row.status;
      const change = { status, startedAtMs: row.startedAtMs ?? this.#database.now() };
      await db.updateTable('runs').set(change).where('id', '=', run).execute();
      return toRunRow({ ...row, ...change });
    });
  }

  async setPlan(run: RunId, plan: Parameters<RunStore['setPlan']>[1]): Promise<void> {
    await this.#database.write(async (db) => {
      const row = await lockRun(db, run);
      const { planDigest, snapshot } = plan;
      const warnings = addWarnings(row, plan.warnings);
      await db.updateTable('runs').set({ planDigest, snapshot, warnings }).where('id', '=', run).execute();
      await insertTasks(db, run, plan.tasks);
    });
  }

  async addWarning(run: RunId, warning: string): Promise<void> {
    await this.#database.write(async (db) => {
      const row = await lockRun(db, run);
      const warnings = addWarnings(row, [warning]);
      await db.updateTable('runs').set({ warnings }).where('id', '=', run).execute();
    });
  }

  async setStatus(run: RunId, status: RunStatus, seq: number): Promise<void> {
    // The end of a run is `finish`: it also ends the rows of its tasks and gates.
    if (isTerminal(status)) return;
    await this.#database.write((db) =>
      db
        .updateTable('runs')
        .set({ status, statusSeq: seq })
        .where('id', '=', run)
        .where('statusSeq', '<=', seq)
        .where('status', 'in', openStatuses)
        .execute(),
    );
  }

  async finish(run: RunId, end: Parameters<RunStore['finish']>[1]): Promise<void> {
    const now = this.#database.now();
    await this.#database.write(async (db) => {
      const row = await lockRun(db, run);
      if (isTerminal(row.status)) return;
      const reason = end.reason === undefined ? null : cutText(end.reason, 500);
      await db
        .updateTable('runs')
        .set({ status: end.status, code: end.code ?? null, reason, finishedAtMs: now })
        .where('id', '=', run)
        .execute();
      const open = db.updateTable('tasks').where('run', '=', run).where('status', 'in', openStatuses);
      // A task that had begun was not skipped, whatever ended its run.
      await open.set({ status: 'cancelled', finishedAtMs: now }).where('startedAtMs', 'is not', null).execute();
      const rest = end.status === 'cancelled' ? 'cancelled' : 'skipped';
      await open.set({ status: rest, finishedAtMs: now }).execute();
      await db
        .updateTable('gates')
        .set({ status: 'cancelled' })
        .where('run', '=', run)
        .where('status', '=', 'open')
        .execute();
    });
  }

  async newRound(run: RunId, again: readonly TaskName[]): Promise<RunRow> {
    return this.#database.write((db) => addNewRound(db, run, again, this.#database.now()));
  }

  async requestCancel(run: RunId, by: string): Promise<RunRow> {
    return this.#database.write(async (db) => {
      const row = await lockRun(db, run);
      if (isTerminal(row.status)) throw new DomainError('run-ended', `the run ${run} has ended: ${row.status}`);
      if (row.cancelRequestedBy !== null) return toRunRow(row);
      const change = { cancelRequestedBy: cutText(by, 200) };
      await db.updateTable('runs').set(change).where('id', '=', run).execute();
      return toRunRow({ ...row, ...change });
    });
  }

  async undeliveredCancels(limit: number): Promise<readonly RunRow[]> {
    const rows = await this.#database.read((db) =>
      db
        .selectFrom('runs')
        .selectAll()
        .where('status', 'in', openStatuses)
        .where('cancelRequestedBy', 'is not', null)
        .where('cancelDelivered', '=', 0)
        // A workflow that has not started cannot be cancelled: it starts first, and hears of it then.
        .where('temporalRunId', 'is not', null)
        .orderBy('createdAtMs')
        .limit(limit)
        .execute(),
    );
    return rows.map(toRunRow);
  }

  async markCancelDelivered(run: RunId): Promise<void> {
    await this.#database.write((db) =>
      db.updateTable('runs').set({ cancelDelivered: 1 }).where('id', '=', run).execute(),
    );
  }
}
