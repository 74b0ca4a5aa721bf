import { randomUUID } from 'node:crypto';
import type { Transaction } from 'kysely';
import { DomainError } from '../../core/errors.ts';
import type { Decision, Gate, GatePreview, GateSubject } from '../../core/gate/gate.ts';
import type { EnvironmentName, RunId, TaskName } from '../../core/model/ids.ts';
import { isTerminal } from '../../core/model/status.ts';
import type { GateStore, NewGate } from '../../ports/store.ts';
import { carryOver, findApprovalFor, findEarlierApproval } from './approvals.ts';
import type { Database } from './database.ts';
import { lockRun } from './run-rows.ts';
import type { DecisionTable, GateTable, Tables } from './tables.ts';
import { cutText, fromJson, openStatuses, toJson } from './values.ts';

// I4: one decision per (run, gate, opening), bound to the subjects of that opening.

function toGate(row: GateTable): Gate {
  return {
    run: row.run,
    gate: row.gate,
    opening: row.opening,
    environment: row.environment,
    subjects: fromJson(row.subjects) as readonly GateSubject[],
    preview: fromJson(row.preview) as GatePreview,
    openedAtMs: row.openedAtMs,
    deadlineAtMs: row.deadlineAtMs,
    status: row.status,
  };
}

function toDecision({ id, run, gate, opening, verdict, by, comment, atMs }: DecisionTable): Decision {
  return { id, run, gate, opening, verdict, by, comment, atMs };
}

/** One text for the same subjects, whatever their order, to be compared as text. */
function toSubjects(subjects: readonly GateSubject[]): string {
  const sorted = [...subjects].sort((a, b) => (a.task < b.task ? -1 : 1));
  return toJson(sorted.map(({ task, template, image }) => ({ task, template, image })));
}

export class SqlGateStore implements GateStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async open(gate: NewGate): ReturnType<GateStore['open']> {
    const now = this.#database.now();
    const subjects = toSubjects(gate.subjects);
    return this.#database.write(async (db) => {
      const run = await lockRun(db, gate.run);
      const last = await selectNewest(db, gate.run, gate.gate);
      if (last !== undefined && isSameQuestion(last, gate, subjects)) return answerOf(db, last);
      if (isTerminal(run.status)) throw new DomainError('run-ended', `the run ${gate.run} has ended: ${run.status}`);
      if (last?.status === 'open') await closeGate(db, last, 'cancelled');
      const approval = await findEarlierApproval(db, run, gate, subjects);
      const row: GateTable = {
        run: gate.run,
        gate: gate.gate,
        opening: (last?.opening ?? 0) + 1,
        environment: gate.environment,
        subjects,
        preview: toJson(gate.preview),
        openedAtMs: now,
        deadlineAtMs: now + gate.timeoutMs,
        status: approval === undefined ? 'open' : 'decided',
      };
      await db.insertInto('gates').values(row).execute();
      if (approval !== undefined) await db.insertInto('decisions').values(carryOver(approval, row)).execute();
      return answerOf(db, row);
    });
  }

  async get(run: RunId, gate: TaskName): Promise<Gate | undefined> {
    const row = await this.#database.read((db) =>
      db
        .selectFrom('gates')
        .selectAll()
        .where('run', '=', run)
        .where('gate', '=', gate)
        .orderBy('opening', 'desc')
        .limit(1)
        .executeTakeFirst(),
    );
    return row && toGate(row);
  }

  async list({ run, open }: Parameters<GateStore['list']>[0]): Promise<readonly Gate[]> {
    const rows = await this.#database.read((db) => {
      let query = db.selectFrom('gates').selectAll();
      if (run !== undefined) query = query.where('run', '=', run);
      if (open !== undefined) query = query.where('status', open ? '=' : '<>', 'open');
      return query.orderBy('openedAtMs').orderBy('run').orderBy('gate').orderBy('opening').execute();
    });
    return rows.map(toGate);
  }

  async close(run: RunId, gate: TaskName, opening: number, status: 'decided' | 'expired' | 'cancelled'): Promise<void> {
    await this.#database.write((db) => closeGate(db, { run, gate, opening }, status));
  }

  async decide(
    run: RunId,
    gate: TaskName,
    decision: Parameters<GateStore['decide']>[2],
  ): ReturnType<GateStore['decide']> {
    const now = this.#database.now();
    return this.#database.write(async (db) => {
      const last = await lockGate(db, run, gate);
      if (decision.opening !== undefined && decision.opening !== last.opening) {
        throw new DomainError(
          'gate-closed',
          `the gate ${gate} of ${run} was opened again meanwhile: look at it once more`,
        );
      }
      const earlier = await selectDecision(db, last);
      if (earlier !== undefined) return { decision: toDecision(earlier), repeated: true };
      checkOpen(last, now);
      const row: DecisionTable = {
        id: randomUUID(),
        run,
        gate,
        opening: last.opening,
        verdict: decision.verdict,
        by: cutText(decision.by, 200),
        comment: cutText(decision.comment, 1_000),
        atMs: now,
        delivered: 0,
      };
      await db.insertInto('decisions').values(row).execute();
      await closeGate(db, last, 'decided');
      return { decision: toDecision(row), repeated: false };
    });
  }

  async decision(id: string): Promise<Decision | undefined> {
    const row = await this.#database.read((db) =>
      db.selectFrom('decisions').selectAll().where('id', '=', id).executeTakeFirst(),
    );
    return row && toDecision(row);
  }

  async decisions(run: RunId): Promise<readonly Decision[]> {
    const rows = await this.#database.read((db) =>
      db.selectFrom('decisions').selectAll().where('run', '=', run).orderBy('atMs').orderBy('id').execute(),
    );
    return rows.map(toDecision);
  }

  async undelivered(limit: number): Promise<readonly Decision[]> {
    const rows = await this.#database.read((db) =>
      db
        .selectFrom('decisions')
        .innerJoin('runs', 'runs.id', 'decisions.run')
        .selectAll('decisions')
        .where('decisions.delivered', '=', 0)
        // Nobody is left to hear of the others.
        .where('runs.status', 'in', openStatuses)
        .orderBy('decisions.atMs')
        .orderBy('decisions.id')
        .limit(limit)
        .execute(),
    );
    return rows.map(toDecision);
  }

  async markDelivered(id: string): Promise<void> {
    await this.#database.write((db) =>
      db.updateTable('decisions').set({ delivered: 1 }).where('id', '=', id).execute(),
    );
  }

  async approvalFor(run: RunId, environment: EnvironmentName, subject: GateSubject): Promise<Decision | undefined> {
    const row = await this.#database.read((db) => findApprovalFor(db, run, environment, subject));
    return row && toDecision(row);
  }
}

function isSameQuestion(last: GateTable, gate: NewGate, subjects: string): boolean {
  const isAlive = last.status === 'open' || last.status === 'decided';
  return (
    isAlive &&
    last.environment === gate.environment &&
    last.subjects === subjects &&
    isSameWait(fromJson(last.preview) as GatePreview, gate.preview)
  );
}

/** Each attempt that lost its trust asks anew: a trust that was reconnected once may be withdrawn again. */
function isSameWait({ reconnect: one }: GatePreview, { reconnect: other }: GatePreview): boolean {
  return one?.task === other?.task && one?.attempt === other?.attempt;
}

function checkOpen({ run, gate, status, deadlineAtMs }: GateTable, now: number): void {
  const name = `the gate ${gate} of the run ${run}`;
  if (status !== 'open') throw new DomainError('gate-closed', `${name} is closed: ${status}`);
  if (now >= deadlineAtMs) throw new DomainError('gate-closed', `${name} has expired`);
}

async function selectNewest(db: Transaction<Tables>, run: RunId, gate: TaskName): Promise<GateTable | undefined> {
  return db
    .selectFrom('gates')
    .selectAll()
    .where('run', '=', run)
    .where('gate', '=', gate)
    .orderBy('opening', 'desc')
    .limit(1)
    .executeTakeFirst();
}

/** Locks the run as well, so that its end and a decision follow each other. */
async function lockGate(db: Transaction<Tables>, run: RunId, gate: TaskName): Promise<GateTable> {
  const owner = await db.updateTable('runs').set({ id: run }).where('id', '=', run).returning('id').executeTakeFirst();
  const row = owner && (await selectNewest(db, run, gate));
  if (row === undefined) throw new DomainError('gate-unknown', `the run ${run} has no gate "${gate}"`);
  return row;
}

async function selectDecision(
  db: Transaction<Tables>,
  { run, gate, opening }: Pick<GateTable, 'run' | 'gate' | 'opening'>,
): Promise<DecisionTable | undefined> {
  return db
    .selectFrom('decisions')
    .selectAll()
    .where('run', '=', run)
    .where('gate', '=', gate)
    .where('opening', '=', opening)
    .executeTakeFirst();
}

async function answerOf(db: Transaction<Tables>, row: GateTable): ReturnType<GateStore['open']> {
  const decision = await selectDecision(db, row);
  return { gate: toGate(row), decision: decision && toDecision(decision) };
}

async function closeGate(
  db: Transaction<Tables>,
  { run, gate, opening }: Pick<GateTable, 'run' | 'gate' | 'opening'>,
  status: Gate['status'],
): Promise<void> {
  await db
    .updateTable('gates')
    .set({ status })
    .where('run', '=', run)
    .where('gate', '=', gate)
    .where('opening', '=', opening)
    .where('status', '=', 'open')
    .execute();
}
